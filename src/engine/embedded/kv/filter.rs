//! Bloom filters of the keys that sled may have, so that looking up a new key costs no search.
//!
//! For keys that are mostly looked up before they exist, such as a call's at its first event. A filter has false
//! positives but no false negatives: a key is added before it can reach sled, and the keys that were there before are
//! read by a thread; until it is done the filter rules nothing out.
//!
//! A filter has parts, each twice as large as the one before, so that it grows without rereading keys. Removed keys
//! remain in it; once most of its keys are removed ones, it is rebuilt from the existing keys.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock};

/// Bits for each key, and how many of them a key sets: in each part 0.3 % false positives.
const BITS_PER_KEY: usize = 12;
const PROBES: u64 = 8;
/// For how many keys the first part is made by default: 96 KiB.
pub(crate) const MIN_KEYS: usize = 64 << 10;
/// How many keys are read from sled between two checks for a stop.
const READ_AT_ONCE: usize = 1_024;

/// One part, of a fixed size.
#[derive(Debug)]
struct Bits {
    words: Vec<AtomicU64>,
    /// How many keys it was made for, and how many were added.
    capacity: usize,
    added: AtomicUsize,
}

impl Bits {
    fn for_keys(capacity: usize) -> Self {
        let words = (capacity * BITS_PER_KEY).div_ceil(64);
        Self { words: (0..words).map(|_| AtomicU64::new(0)).collect(), capacity, added: AtomicUsize::new(0) }
    }

    /// Words and bits of a key. Kirsch and Mitzenmacher, 'Less Hashing, Same Performance': two halves of one hash
    /// suffice for all probes. The keys end in 16 bytes of SHA-256, which are that hash.
    fn bits_of(&self, key: &[u8]) -> impl Iterator<Item = (usize, u64)> + use<> {
        let hash = key.last_chunk::<16>().map_or(0, |hash| u128::from_le_bytes(*hash));
        let (first, step) = (hash as u64, (hash >> 64) as u64 | 1);
        let bits = self.words.len() as u64 * 64;
        (0..PROBES).map(move |probe| {
            let bit = first.wrapping_add(probe.wrapping_mul(step)) % bits;
            ((bit / 64) as usize, 1 << (bit % 64))
        })
    }

    fn add(&self, key: &[u8]) {
        for (word, bit) in self.bits_of(key) {
            self.words[word].fetch_or(bit, Ordering::Relaxed);
        }
        self.added.fetch_add(1, Ordering::Relaxed);
    }

    fn may_have(&self, key: &[u8]) -> bool {
        self.bits_of(key).all(|(word, bit)| self.words[word].load(Ordering::Relaxed) & bit != 0)
    }

    fn is_full(&self) -> bool {
        self.added.load(Ordering::Relaxed) > self.capacity
    }
}

/// Parts, the smallest and oldest first; new keys go into the last.
#[derive(Debug)]
struct Chain(Vec<Bits>);

impl Chain {
    fn for_keys(capacity: usize) -> Self {
        Self(vec![Bits::for_keys(capacity)])
    }

    fn may_have(&self, key: &[u8]) -> bool {
        self.0.iter().rev().any(|part| part.may_have(key))
    }

    /// Adds a key unless it seems to be present. Returns whether the last part is full.
    fn add(&self, key: &[u8]) -> bool {
        let Some(last) = self.0.last() else { return false };
        // A key that is present has been counted.
        if !self.may_have(key) {
            last.add(key);
        }
        last.is_full()
    }

    /// Adds another part if the last one is full.
    fn grow(&mut self) {
        if let Some(last) = self.0.last().filter(|last| last.is_full()) {
            let part = Bits::for_keys(last.capacity * 2);
            self.0.push(part);
        }
    }

    /// How many keys were added.
    fn keys(&self) -> usize {
        self.0.iter().map(|part| part.added.load(Ordering::Relaxed)).sum()
    }
}

#[derive(Debug, Default)]
struct Filters {
    /// Contains all keys that sled may have.
    complete: Option<Chain>,
    /// Receives new keys while the existing ones are read into it.
    building: Option<Chain>,
}

/// The filter of the keys with one prefix.
#[derive(Debug)]
pub(crate) struct Filter {
    prefix: u8,
    min_keys: usize,
    filters: RwLock<Filters>,
    /// How many keys were removed since the filter was begun.
    removed: AtomicUsize,
    stop: AtomicBool,
}

impl Filter {
    /// A filter of keys that begin with `prefix` and end in a hash, initially for `min_keys` of them. It rules
    /// nothing out until it is [filled](Self::fill).
    pub(crate) fn of(prefix: u8, min_keys: usize) -> Self {
        Self { prefix, min_keys, filters: RwLock::default(), removed: 0.into(), stop: false.into() }
    }

    /// Whether `key`, which has the prefix, is certainly neither in sled nor about to be.
    pub(crate) fn rules_out(&self, key: &[u8]) -> bool {
        self.read(|filters| filters.complete.as_ref().is_some_and(|complete| !complete.may_have(key)))
    }

    /// Adds a key with the prefix that may reach sled from now on.
    pub(crate) fn add(&self, key: &[u8]) {
        let full = self.read(|filters| {
            let add = |chain: &Option<Chain>| chain.as_ref().is_some_and(|chain| chain.add(key));
            add(&filters.complete) | add(&filters.building)
        });
        if full {
            let mut filters = self.filters.write().unwrap_or_else(PoisonError::into_inner);
            let Filters { complete, building } = &mut *filters;
            [complete, building].into_iter().flatten().for_each(Chain::grow);
        }
    }

    /// Counts a removed key. Returns whether most of the filter's keys are removed ones: the caller should then
    /// [begin](Self::begin) a new filter.
    pub(crate) fn remove(&self) -> bool {
        let removed = self.removed.fetch_add(1, Ordering::Relaxed) + 1;
        removed > self.min_keys
            && self.read(|filters| filters.complete.as_ref().is_some_and(|complete| removed > complete.keys() / 2))
    }

    /// Begins a new filter, unless one is begun already. From now on it receives [added](Self::add) keys; all existing
    /// keys must be passed to [`Self::fill`].
    pub(crate) fn begin(&self) -> bool {
        let mut filters = self.filters.write().unwrap_or_else(PoisonError::into_inner);
        let free = filters.building.is_none();
        if free {
            filters.building = Some(Chain::for_keys(self.min_keys));
            self.removed.store(0, Ordering::Relaxed);
        }
        free
    }

    /// Reads `keys` into the filter that was [begun](Self::begin), and uses it from then on. Gives up at a key that
    /// cannot be read; whoever looks it up gets the error, too.
    pub(crate) fn fill<K: AsRef<[u8]>, E>(&self, keys: impl Iterator<Item = Result<K, E>>) {
        let mut complete = true;
        for (read, key) in keys.enumerate() {
            complete = key.is_ok_and(|key| self.insert_existing(key.as_ref()));
            if read.is_multiple_of(READ_AT_ONCE) && self.stop.load(Ordering::Relaxed) {
                complete = false;
            }
            if !complete {
                break;
            }
        }
        let mut filters = self.filters.write().unwrap_or_else(PoisonError::into_inner);
        let building = filters.building.take();
        if complete {
            filters.complete = building;
        }
    }

    /// Adds an existing key to the filter that is being built; returns whether there is one.
    fn insert_existing(&self, key: &[u8]) -> bool {
        let Some(full) = self.read(|filters| filters.building.as_ref().map(|building| building.add(key))) else {
            return false;
        };
        if full {
            let mut filters = self.filters.write().unwrap_or_else(PoisonError::into_inner);
            filters.building.as_mut().map(Chain::grow).is_some()
        } else {
            true
        }
    }

    /// The prefix of its keys.
    pub(crate) const fn prefix(&self) -> u8 {
        self.prefix
    }

    /// Makes [`Self::fill`] give up: its source is about to be closed.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    fn read<T>(&self, query: impl FnOnce(&Filters) -> T) -> T {
        query(&self.filters.read().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use sha2::{Digest as _, Sha256};

    use super::*;

    const PREFIX: u8 = b't';
    const KEYS: usize = 5_000;

    fn key(number: usize) -> Vec<u8> {
        [&[PREFIX], &Sha256::digest(number.to_le_bytes())[..16]].concat()
    }

    fn filled(keys: std::ops::Range<usize>) -> Filter {
        let filter = Filter::of(PREFIX, KEYS);
        assert!(filter.begin() && !filter.begin(), "one at a time");
        filter.fill(keys.map(|number| Ok::<_, Infallible>(key(number))));
        filter
    }

    #[test]
    fn nothing_is_ruled_out_before_all_keys_were_read() {
        let filter = Filter::of(PREFIX, KEYS);
        assert!(!filter.rules_out(&key(1)));
        assert!(filter.begin());
        filter.add(&key(2));
        assert!(!filter.rules_out(&key(1)));
        filter.fill([Ok(key(3)), Err("the disk")].into_iter());
        assert!(!filter.rules_out(&key(1)), "it is incomplete");
        assert!(filter.begin());
        filter.add(&key(2));
        filter.fill([Ok::<_, Infallible>(key(3))].into_iter());
        assert!(filter.rules_out(&key(1)) && !filter.rules_out(&key(2)) && !filter.rules_out(&key(3)));
    }

    #[test]
    fn there_are_no_false_negatives_and_few_false_positives() {
        let filter = filled(0..KEYS);
        assert!((0..KEYS).all(|number| !filter.rules_out(&key(number))));
        let passed = (KEYS..2 * KEYS).filter(|number| !filter.rules_out(&key(*number))).count();
        assert!(passed < KEYS / 50, "{passed} false positives of {KEYS}");
    }

    #[test]
    fn it_grows_with_its_keys_even_while_being_filled() {
        let filter = filled(0..10);
        (10..10 * KEYS).for_each(|number| filter.add(&key(number)));
        assert!((0..10 * KEYS).all(|number| !filter.rules_out(&key(number))));
        assert!(filter.begin());
        (10 * KEYS..13 * KEYS).for_each(|number| filter.add(&key(number)));
        filter.fill((0..10 * KEYS).map(|number| Ok::<_, Infallible>(key(number))));
        assert!((0..13 * KEYS).all(|number| !filter.rules_out(&key(number))));
        let passed = (20 * KEYS..22 * KEYS).filter(|number| !filter.rules_out(&key(*number))).count();
        assert!(passed < KEYS / 20, "{passed} false positives of {}", 2 * KEYS);
        let keys = filter.read(|filters| filters.complete.as_ref().map(Chain::keys)).unwrap();
        assert!((12 * KEYS..=13 * KEYS).contains(&keys), "each key is counted once: {keys}");
    }

    #[test]
    fn a_filter_of_mostly_removed_keys_is_due_for_a_rebuild() {
        let filter = filled(0..4 * KEYS);
        let due = (0..).position(|_| filter.remove());
        assert!(due.is_some_and(|removed| (KEYS..=2 * KEYS).contains(&removed)));
        assert!(filter.begin());
        filter.fill((2 * KEYS..4 * KEYS).map(|number| Ok::<_, Infallible>(key(number))));
        assert!(!filter.remove());
    }
}
