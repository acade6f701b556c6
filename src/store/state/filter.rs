//! Which keys sled may have, in memory: a Bloom filter, so that looking for a key that is new costs no search.
//!
//! Made for keys that are looked for when they are not there yet, as a call's at its first event. Wrong towards 'it may
//! be there' now and then (about 1 in 100), never towards 'it is not': a key is added before it can reach sled, and what
//! was there before is read by a thread of its own, until whose end nothing is told. A key that is removed stays in it; a
//! filter that has become full is made again, twice as large, from what is there then.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

/// Bits for each key, and how many of them a key sets: 1.2 % of the keys that are not there seem to be.
const BITS_PER_KEY: usize = 10;
const PROBES: u64 = 7;
/// For how many keys the first filter is made, if nothing else is said: 80 KiB.
pub(super) const LEAST_KEYS: usize = 64 << 10;
/// How many keys are read from sled between two looks at whether to stop.
const READ_AT_ONCE: usize = 1_024;

/// One filter of a fixed size.
#[derive(Debug)]
struct Bits {
    words: Vec<AtomicU64>,
    /// How many keys it was made for, and how many were added since.
    room: usize,
    added: AtomicUsize,
}

impl Bits {
    fn for_keys(room: usize) -> Self {
        let words = (room * BITS_PER_KEY).div_ceil(64);
        Self { words: (0..words).map(|_| AtomicU64::new(0)).collect(), room, added: AtomicUsize::new(0) }
    }

    /// Words and bits in them for a key. Kirsch and Mitzenmacher, 'Less Hashing, Same Performance': two halves of one
    /// hash do for all probes. The keys end in 16 bytes of SHA-256, which are that hash.
    fn places(&self, key: &[u8]) -> impl Iterator<Item = (usize, u64)> + use<> {
        let hash = key.last_chunk::<16>().map_or(0, |hash| u128::from_le_bytes(*hash));
        let (first, step) = (hash as u64, (hash >> 64) as u64 | 1);
        let bits = self.words.len() as u64 * 64;
        (0..PROBES).map(move |probe| {
            let bit = first.wrapping_add(probe.wrapping_mul(step)) % bits;
            ((bit / 64) as usize, 1 << (bit % 64))
        })
    }

    fn add(&self, key: &[u8]) {
        for (word, bit) in self.places(key) {
            self.words[word].fetch_or(bit, Ordering::Relaxed);
        }
        self.added.fetch_add(1, Ordering::Relaxed);
    }

    fn may_have(&self, key: &[u8]) -> bool {
        self.places(key).all(|(word, bit)| self.words[word].load(Ordering::Relaxed) & bit != 0)
    }

    fn is_full(&self) -> bool {
        self.added.load(Ordering::Relaxed) > self.room
    }
}

#[derive(Debug, Default)]
struct Filters {
    /// It has all keys that sled may have.
    whole: Option<Arc<Bits>>,
    /// It gets those that come, while those that are there are read into it.
    growing: Option<Arc<Bits>>,
}

/// The filter of the keys with one prefix.
#[derive(Debug)]
pub(super) struct Filter {
    prefix: u8,
    least_keys: usize,
    filters: RwLock<Filters>,
    stop: AtomicBool,
}

impl Filter {
    /// A filter of the keys that begin with `prefix` and end in a hash, at first for `least_keys` of them; it tells nothing
    /// until it is [filled](Self::fill).
    pub(super) fn of(prefix: u8, least_keys: usize) -> Self {
        Self { prefix, least_keys, filters: RwLock::default(), stop: false.into() }
    }

    /// Whether sled is known not to have `key`.
    pub(super) fn rules_out(&self, key: &[u8]) -> bool {
        key.first() == Some(&self.prefix)
            && self.read(|filters| filters.whole.as_ref().is_some_and(|whole| !whole.may_have(key)))
    }

    /// Takes note of a key that may reach sled from now on. Says whether there is no room for more: whoever changes keys
    /// is to [fill](Self::fill) a larger one, then.
    pub(super) fn add(&self, key: &[u8]) -> bool {
        if key.first() != Some(&self.prefix) {
            return false;
        }
        self.read(|filters| {
            let both = [&filters.whole, &filters.growing];
            // What is there already has been counted.
            both.into_iter().flatten().filter(|bits| !bits.may_have(key)).for_each(|bits| bits.add(key));
            filters.growing.is_none() && filters.whole.as_ref().is_some_and(|whole| whole.is_full())
        })
    }

    /// Begins a filter twice as large as the one in use, unless one is begun already. From now on it gets what is
    /// [added](Self::add); what was before, wherever it is, is to be given to [`Self::fill`].
    pub(super) fn begin(&self) -> bool {
        let mut filters = self.filters.write().unwrap_or_else(PoisonError::into_inner);
        let free = filters.growing.is_none();
        if free {
            let room = filters.whole.as_ref().map_or(self.least_keys, |whole| whole.room * 2);
            filters.growing = Some(Arc::new(Bits::for_keys(room)));
        }
        free
    }

    /// Reads `keys` into the filter that was [begun](Self::begin), and goes by it from then on. Gives up if one cannot be
    /// read, for whoever needs it is told that, too.
    pub(super) fn fill<K: AsRef<[u8]>, E>(&self, keys: impl Iterator<Item = Result<K, E>>) {
        let Some(growing) = self.read(|filters| filters.growing.clone()) else { return };
        let mut whole = true;
        for (read, key) in keys.enumerate() {
            match key {
                Ok(key) if !growing.may_have(key.as_ref()) => growing.add(key.as_ref()),
                Ok(_) => {}
                Err(_) => whole = false,
            }
            if read.is_multiple_of(READ_AT_ONCE) && self.stop.load(Ordering::Relaxed) {
                whole = false;
            }
            if !whole {
                break;
            }
        }
        let mut filters = self.filters.write().unwrap_or_else(PoisonError::into_inner);
        filters.growing = None;
        if whole {
            filters.whole = Some(growing);
        }
    }

    /// The prefix of its keys.
    pub(super) const fn prefix(&self) -> u8 {
        self.prefix
    }

    /// Lets [`Self::fill`] give up: what it reads is to be closed.
    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    fn read<T>(&self, look: impl FnOnce(&Filters) -> T) -> T {
        look(&self.filters.read().unwrap_or_else(PoisonError::into_inner))
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
    fn nothing_is_ruled_out_before_all_that_is_there_was_read() {
        let filter = Filter::of(PREFIX, KEYS);
        assert!(!filter.rules_out(&key(1)));
        assert!(filter.begin() && !filter.add(&key(2)));
        assert!(!filter.rules_out(&key(1)));
        filter.fill([Ok(key(3)), Err("the disk")].into_iter());
        assert!(!filter.rules_out(&key(1)), "it could not be read to its end");
        assert!(filter.begin() && !filter.add(&key(2)));
        filter.fill([Ok::<_, Infallible>(key(3))].into_iter());
        assert!(filter.rules_out(&key(1)) && !filter.rules_out(&key(2)) && !filter.rules_out(&key(3)));
        assert!(!filter.rules_out(b"another prefix"));
    }

    #[test]
    fn none_of_those_it_has_is_ruled_out_and_few_others_pass() {
        let filter = filled(0..KEYS);
        assert!((0..KEYS).all(|number| !filter.rules_out(&key(number))));
        let passed = (KEYS..2 * KEYS).filter(|number| !filter.rules_out(&key(*number))).count();
        assert!(passed < KEYS / 50, "{passed} of {KEYS} that are not there passed");
    }

    #[test]
    fn a_full_one_is_followed_by_a_larger_one() {
        let filter = filled(0..10);
        let mut full = 0;
        for number in 10..3 * KEYS {
            if filter.add(&key(number)) && filter.begin() {
                full += 1;
                // While it is filled, more come.
                filter.add(&key(number + 10 * KEYS));
                filter.fill((0..=number).map(|number| Ok::<_, Infallible>(key(number))));
                assert!(!filter.rules_out(&key(number + 10 * KEYS)));
            }
        }
        assert_eq!(full, 2);
        assert!((0..3 * KEYS).all(|number| !filter.rules_out(&key(number))));
    }
}
