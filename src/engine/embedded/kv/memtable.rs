//! Memtables: changes that have not been written to sled.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use crate::model::error::StateError;

/// A change that has not been written to sled.
#[derive(Debug)]
struct Pending {
    /// The new value; `None` for a removed key.
    value: Option<Vec<u8>>,
    /// Whether sled is known not to have the key. If so, removing it again leaves nothing to do.
    fresh: bool,
}

/// Changes by key.
#[derive(Debug, Default)]
pub(crate) struct Memtable {
    changes: BTreeMap<Vec<u8>, Pending>,
    /// Bytes of keys and values.
    bytes: usize,
}

/// A key with its value; `None` if it is removed.
pub(crate) type Pair = (Vec<u8>, Option<Vec<u8>>);

/// The bounds of a range of keys.
pub(crate) type Range<'k> = (std::ops::Bound<&'k [u8]>, std::ops::Bound<&'k [u8]>);

impl Memtable {
    /// The change of `key`; `None` if there is none.
    pub(crate) fn get(&self, key: &[u8]) -> Option<&Option<Vec<u8>>> {
        self.changes.get(key).map(|change| &change.value)
    }

    /// Sets or removes `key`. `fresh`: sled is known not to have it.
    pub(crate) fn change(&mut self, key: Vec<u8>, value: Option<Vec<u8>>, fresh: bool) {
        let size = key.len() + value.as_ref().map_or(0, Vec::len);
        match self.changes.entry(key) {
            Entry::Vacant(_) if fresh && value.is_none() => {}
            Entry::Vacant(place) => {
                self.bytes += size;
                place.insert(Pending { value, fresh });
            }
            Entry::Occupied(mut place) => {
                self.bytes -= place.key().len() + place.get().value.as_ref().map_or(0, Vec::len);
                let fresh = fresh || place.get().fresh;
                if fresh && value.is_none() {
                    place.remove();
                    return;
                }
                self.bytes += size;
                place.insert(Pending { value, fresh });
            }
        }
    }

    /// The size of all changes in bytes.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// The changes within a range, ascending.
    pub(crate) fn range(&self, range: Range<'_>) -> impl DoubleEndedIterator<Item = Result<Pair, StateError>> {
        self.changes.range::<[u8], _>(range).map(|(key, change)| Ok((key.clone(), change.value.clone())))
    }

    /// All changes, ascending.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Result<Pair, StateError>> {
        self.changes.iter().map(|(key, change)| Ok((key.clone(), change.value.clone())))
    }

    /// The keys of all changes.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &[u8]> {
        self.changes.keys().map(Vec::as_slice)
    }
}
