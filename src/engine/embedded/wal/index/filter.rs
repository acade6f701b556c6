//! Bloom filters for the keys of an index: eight bits a key (Bloom 1970), about one false positive in thirty, no false
//! negatives.
//!
//! All filters together use at most [`MOST`] bytes of memory. Beyond that an index has no filter, and a query reads a
//! block of it instead.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Bits for each key.
const BITS: usize = 8;
/// How many bits each key sets.
const SET: u32 = 4;
/// The size of all filters in memory in bytes: enough for about 20 GB of WAL.
const MOST: usize = 32 << 20;
static USED: AtomicUsize = AtomicUsize::new(0);

/// Builds the filter of an index that has `keys`.
pub(crate) fn of(keys: impl ExactSizeIterator<Item = u64>) -> Vec<u8> {
    let mut bits = vec![0; (keys.len() * BITS).div_ceil(8)];
    for key in keys {
        bits_of(key, bits.len()).for_each(|(byte, bit)| bits[byte] |= bit);
    }
    bits
}

/// The bits of a key. Keys are hashes, so two parts of one serve as two hashes (Kirsch and Mitzenmacher 2006).
fn bits_of(key: u64, bytes: usize) -> impl Iterator<Item = (usize, u8)> {
    let mixed = key.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let (first, step) = (mixed >> 32, (mixed & 0xffff_ffff) | 1);
    let all = (bytes as u64 * 8).max(1);
    (0..u64::from(SET)).map(move |nth| {
        let position = first.wrapping_add(nth * step) % all;
        (usize::try_from(position / 8).unwrap_or(0), 1 << (position % 8))
    })
}

/// A filter in memory.
#[derive(Debug)]
pub(crate) struct Filter(Vec<u8>);

impl Filter {
    /// Loads a filter, unless all filters together would be too large.
    pub(crate) fn hold(bits: Vec<u8>) -> Option<Self> {
        let filter = Self(bits);
        let before = USED.fetch_add(filter.0.len(), Ordering::Relaxed);
        // Dropping it subtracts its size again.
        (before + filter.0.len() <= MOST).then_some(filter)
    }

    /// Whether the index may have the key.
    pub(crate) fn may_have(&self, key: u64) -> bool {
        bits_of(key, self.0.len()).all(|(byte, bit)| self.0.get(byte).is_some_and(|byte| byte & bit != 0))
    }
}

impl Drop for Filter {
    fn drop(&mut self) {
        USED.fetch_sub(self.0.len(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::term::{Owner, Term};

    #[test]
    fn there_are_no_false_negatives_and_few_false_positives() {
        let whose = Owner::company("acme");
        let key = |n: u32| whose.keys([Term::Call(&format!("call-{n}"))])[0];
        let filter = Filter::hold(of((0..10_000).map(key).collect::<Vec<_>>().into_iter())).unwrap();
        assert!((0..10_000).all(|n| filter.may_have(key(n))));
        let claimed = (10_000..20_000).filter(|n| filter.may_have(key(*n))).count();
        assert!(claimed < 500, "{claimed} of 10,000");
        assert!(!Filter::hold(of(std::iter::empty())).unwrap().may_have(7));
    }
}
