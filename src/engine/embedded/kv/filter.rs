//! Bloom filters of the keys of a run, so that looking up a new key costs no search.
//!
//! For keys that end in a hash and are mostly looked up before they exist, such as a call's at its first event. A filter
//! has false positives, but no false negatives.

use crate::engine::embedded::kv::stored_key::prefix;
use crate::model::key::ValueKind;

/// Bits for each key, and how many of them a key sets: 0.3 % false positives (Bloom 1970).
const BITS_PER_KEY: usize = 12;
const PROBES: u64 = 8;

/// The kinds of keys that are in filters.
const FILTERED: [ValueKind; 3] = [ValueKind::Call, ValueKind::Producer, ValueKind::Message];

/// Whether filters contain the stored key.
pub(super) fn is_filtered(key: &[u8]) -> bool {
    FILTERED.iter().any(|kind| key.starts_with(prefix(*kind)))
}

/// The filter of a number of keys that was known before.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Filter(Vec<u8>);

impl Filter {
    /// An empty filter, made for this number of keys.
    pub(super) fn for_keys(keys: usize) -> Self {
        Self(vec![0; (keys * BITS_PER_KEY).div_ceil(8)])
    }

    /// As it was [stored](Self::into_bytes).
    pub(super) const fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// Bytes and bits of a key. Kirsch and Mitzenmacher, 'Less Hashing, Same Performance': two halves of one hash
    /// suffice for all probes. The keys end in 16 bytes of SHA-256, which are that hash.
    fn bits_of(&self, key: &[u8]) -> impl Iterator<Item = (usize, u8)> + use<> {
        let hash = key.last_chunk::<16>().map_or(0, |hash| u128::from_le_bytes(*hash));
        let (first, step) = (hash as u64, (hash >> 64) as u64 | 1);
        let bits = (self.0.len() as u64 * 8).max(1);
        (0..PROBES).map(move |probe| {
            let bit = first.wrapping_add(probe.wrapping_mul(step)) % bits;
            ((bit / 8) as usize, 1 << (bit % 8))
        })
    }

    /// Adds a [filtered](is_filtered) key.
    pub(super) fn add(&mut self, key: &[u8]) {
        for (byte, bit) in self.bits_of(key) {
            if let Some(byte) = self.0.get_mut(byte) {
                *byte |= bit;
            }
        }
    }

    /// Whether it may contain this [filtered](is_filtered) key.
    pub(super) fn may_have(&self, key: &[u8]) -> bool {
        self.bits_of(key).all(|(byte, bit)| self.0.get(byte).is_some_and(|byte| byte & bit != 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::embedded::kv::stored_key::stored;

    #[test]
    fn there_are_no_false_negatives_and_few_false_positives() {
        const KEYS: usize = 5_000;
        let key = |number: usize| stored(&crate::model::keys::call("acme", &number.to_string()));
        let mut filter = Filter::for_keys(KEYS);
        (0..KEYS).for_each(|number| filter.add(&key(number)));
        let filter = Filter::from_bytes(filter.into_bytes());
        assert!(is_filtered(&key(1)) && (0..KEYS).all(|number| filter.may_have(&key(number))));
        let passed = (KEYS..2 * KEYS).filter(|number| filter.may_have(&key(*number))).count();
        assert!(passed < KEYS / 50, "{passed} false positives of {KEYS}");
        assert!(!Filter::for_keys(0).may_have(&key(1)));
    }
}
