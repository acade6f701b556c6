//! What is looked up by the hash of a secret text that a request presents: tokens, sessions, portal links.
//!
//! A hash is looked up by its first bytes and then compared in constant time.

use std::collections::{BTreeMap, HashMap};

use crate::core::token::TokenHash;

/// Something that has an id and is found by a hash.
pub(crate) trait Hashed: Clone {
    /// The bits of its id.
    fn bits(&self) -> u128;
    /// The hash of the text that it is found by; it never changes.
    fn hash(&self) -> &TokenHash;
}

/// Things by id and by hash.
#[derive(Debug)]
pub(crate) struct ByHash<T> {
    by_id: BTreeMap<u128, T>,
    /// The ids by a part of the hash.
    by_locator: HashMap<u64, Vec<u128>>,
}

impl<T> Default for ByHash<T> {
    fn default() -> Self {
        Self { by_id: BTreeMap::new(), by_locator: HashMap::new() }
    }
}

impl<T: Hashed> ByHash<T> {
    /// Adds one, or replaces the one with its id, which is returned.
    pub(crate) fn put(&mut self, thing: T) -> Option<T> {
        let old = self.remove(thing.bits());
        self.by_locator.entry(thing.hash().locator()).or_default().push(thing.bits());
        self.by_id.insert(thing.bits(), thing);
        old
    }

    /// Removes the one with this id.
    pub(crate) fn remove(&mut self, bits: u128) -> Option<T> {
        let old = self.by_id.remove(&bits)?;
        let locator = old.hash().locator();
        if let Some(ids) = self.by_locator.get_mut(&locator) {
            ids.retain(|id| *id != bits);
            if ids.is_empty() {
                self.by_locator.remove(&locator);
            }
        }
        Some(old)
    }

    /// The one with this id.
    pub(crate) fn get(&self, bits: u128) -> Option<&T> {
        self.by_id.get(&bits)
    }

    /// The one with this hash.
    pub(crate) fn find(&self, hash: &TokenHash) -> Option<&T> {
        let ids = self.by_locator.get(&hash.locator())?;
        ids.iter().filter_map(|id| self.by_id.get(id)).find(|thing| thing.hash().same(hash))
    }

    /// All, in order of their ids.
    pub(crate) fn all(&self) -> impl Iterator<Item = &T> {
        self.by_id.values()
    }

    /// Those with ids from `bits` on, in order.
    pub(crate) fn from(&self, bits: u128) -> impl Iterator<Item = &T> {
        self.by_id.range(bits..).map(|(_, thing)| thing)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, PartialEq)]
    struct Thing(u128, TokenHash, u8);

    impl Hashed for Thing {
        fn bits(&self) -> u128 {
            self.0
        }

        fn hash(&self) -> &TokenHash {
            &self.1
        }
    }

    #[test]
    fn a_thing_is_found_by_its_whole_hash_until_it_is_removed() {
        let mut things = ByHash::default();
        let (one, two) = (TokenHash::of("one"), TokenHash::of("two"));
        assert_eq!(things.put(Thing(1, one, 0)), None);
        assert_eq!(things.put(Thing(2, two, 0)), None);
        assert_eq!(things.put(Thing(1, one, 1)), Some(Thing(1, one, 0)), "the same again, changed");
        assert_eq!((things.find(&one).map(|found| found.2), things.len()), (Some(1), 2));
        let mut near = *two.bytes();
        near[31] ^= 1;
        assert_eq!(things.find(&TokenHash::from_bytes(near)), None, "the whole hash is compared");
        assert_eq!(things.from(2).count(), 1);
        assert!(things.remove(1).is_some() && things.remove(1).is_none());
        assert!(things.find(&one).is_none() && things.get(2).is_some());
        assert_eq!((things.by_locator.len(), things.all().count()), (1, 1));
    }
}
