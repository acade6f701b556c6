//! Where ranges of keys begin, once much was removed from their beginnings.
//!
//! Queues are read from their heads, again and again. A removed key stays in the memtables and runs until all runs are
//! merged, so after a receiver was away for a day, each look for its first waiting delivery would pass over a million
//! keys. Therefore a scan that passed over many of them notes up to where there was nothing.
//!
//! Invariant: no key that a head passes over is set. It holds because heads are noted while the layers are locked for
//! reading, and [given up](Heads::give_up) while they are locked for writing.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How many removed keys a scan passes over before that is worth a note: fewer cost it less than 0.1 ms.
const WORTH_NOTING: usize = 256;
/// How many heads are kept. They are few: those of ranges that once were long.
const MAX_HEADS: usize = 1_024;

/// Heads by the prefixes of their ranges: the last key from the beginning of the range on that is known to be removed.
#[derive(Debug, Default)]
pub(super) struct Heads {
    heads: Mutex<BTreeMap<Vec<u8>, Vec<u8>>>,
    /// A bit for each length of a prefix that has a head, and perhaps for others: so that few prefixes of a key have to
    /// be looked for, and none as long as there are no heads.
    lengths: AtomicU64,
}

impl Heads {
    /// The key behind which the range of `prefix` begins, if that is known.
    pub(super) fn before(&self, prefix: &[u8]) -> Option<Vec<u8>> {
        if self.lengths.load(Relaxed) & bit(prefix.len()) == 0 { None } else { self.lock().get(prefix).cloned() }
    }

    /// Notes that a scan from the beginning of the range of `prefix` passed over so many removed keys, the `last` of them
    /// the last key before the first that is set. For those who hold the layers' lock.
    pub(super) fn note(&self, prefix: &[u8], passed: usize, last: Vec<u8>) {
        if passed < WORTH_NOTING || bit(prefix.len()) == 0 {
            return;
        }
        let mut heads = self.lock();
        if heads.len() >= MAX_HEADS {
            heads.clear();
            self.lengths.store(0, Relaxed);
        }
        heads.insert(prefix.to_vec(), last);
        self.lengths.fetch_or(bit(prefix.len()), Relaxed);
    }

    /// Gives up the heads that pass over `key`, which is about to be set. For the writer, who holds the layers' lock.
    pub(super) fn give_up(&self, key: &[u8]) {
        let lengths = self.lengths.load(Relaxed);
        if lengths == 0 {
            return;
        }
        let mut heads = self.lock();
        for length in (0..=key.len()).filter(|length| lengths & bit(*length) != 0) {
            let prefix = &key[..length];
            if heads.get(prefix).is_some_and(|last| key <= last.as_slice()) {
                heads.remove(prefix);
            }
        }
        if heads.is_empty() {
            self.lengths.store(0, Relaxed);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Vec<u8>, Vec<u8>>> {
        self.heads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The bit of a length; none for those so long that their heads are not kept.
const fn bit(length: usize) -> u64 {
    if length < u64::BITS as usize { 1 << length } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_holds_until_a_key_is_set_before_it() {
        let heads = Heads::default();
        heads.note(b"q1", WORTH_NOTING - 1, b"q17".to_vec());
        heads.note(&[b'q'; 64], WORTH_NOTING, b"q17".to_vec());
        assert_eq!((heads.before(b"q1"), heads.before(&[b'q'; 64])), (None, None), "not worth it, too long");
        for (prefix, last) in [("q1", "q177"), ("q", "q05"), ("q2", "q277")] {
            heads.note(prefix.as_bytes(), WORTH_NOTING, last.into());
        }
        let known = |heads: &Heads| [b"q1".as_slice(), b"q", b"q2"].map(|prefix| heads.before(prefix).is_some());
        for other in [b"q178".as_slice(), b"q278", b"p", b"", b"r"] {
            heads.give_up(other);
        }
        assert_eq!(known(&heads), [true; 3]);
        heads.give_up(b"q04");
        heads.give_up(b"q25");
        assert_eq!(known(&heads), [true, false, false]);
        heads.give_up(b"q1");
        assert_eq!((known(&heads), heads.lengths.load(Relaxed)), ([false; 3], 0));
    }

    #[test]
    fn heads_are_bounded() {
        let heads = Heads::default();
        for number in 0..3 * MAX_HEADS as u32 {
            heads.note(&number.to_be_bytes(), WORTH_NOTING, vec![255; 5]);
        }
        assert!((1..=MAX_HEADS).contains(&heads.lock().len()));
    }
}
