//! Blocks: ascending keys with their values, as they are stored in one value of sled.
//!
//! A key is stored as what it does not share with the key before it. An entry is: the number of shared bytes, the length
//! of the rest and the rest, then 0 for a removed key, or the length of the value plus one and the value. Numbers are
//! [varints](crate::engine::embedded::varint).

use std::cmp::Ordering;

use crate::engine::embedded::kv::memtable::Pair;
use crate::engine::embedded::varint;

/// A block that is being filled.
#[derive(Debug, Default)]
pub(super) struct Builder {
    bytes: Vec<u8>,
    last: Vec<u8>,
}

impl Builder {
    /// Appends a key that is greater than all before; `None` for a removed one.
    pub(super) fn push(&mut self, key: &[u8], value: Option<&[u8]>) {
        let shared = self.last.iter().zip(key).take_while(|(last, now)| last == now).count();
        varint::put(&mut self.bytes, shared as u64);
        varint::put(&mut self.bytes, (key.len() - shared) as u64);
        self.bytes.extend_from_slice(&key[shared..]);
        varint::put(&mut self.bytes, value.map_or(0, |value| value.len() as u64 + 1));
        self.bytes.extend_from_slice(value.unwrap_or_default());
        self.last.truncate(shared);
        self.last.extend_from_slice(&key[shared..]);
    }

    /// The length in bytes.
    pub(super) const fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Takes the block and begins the next.
    pub(super) fn take(&mut self) -> Vec<u8> {
        self.last.clear();
        std::mem::take(&mut self.bytes)
    }
}

/// The entries of a block, read one after the other.
struct Entries<'b> {
    rest: &'b [u8],
    key: Vec<u8>,
}

impl<'b> Entries<'b> {
    /// Moves to the next entry and returns its value, `Some(None)` at a removed key. `None` at the end, and where the
    /// block is damaged: then something of it is left.
    fn next(&mut self) -> Option<Option<&'b [u8]>> {
        let mut bytes = self.rest;
        let shared = usize::try_from(varint::take(&mut bytes)?).ok()?;
        let rest = varint::take_bytes(&mut bytes)?;
        let length = varint::take(&mut bytes)?;
        let value = match length.checked_sub(1) {
            None => None,
            Some(length) => Some(bytes.split_off(..usize::try_from(length).ok()?)?),
        };
        if shared > self.key.len() {
            return None;
        }
        self.key.truncate(shared);
        self.key.extend_from_slice(rest);
        self.rest = bytes;
        Some(value)
    }
}

/// What a block says of `key`: `Ok(None)` if nothing, `Ok(Some(None))` that it is removed.
///
/// # Errors
/// The block is damaged.
pub(super) fn find(block: &[u8], key: &[u8]) -> Result<Option<Option<Vec<u8>>>, ()> {
    let mut entries = Entries { rest: block, key: Vec::new() };
    while let Some(value) = entries.next() {
        match entries.key.as_slice().cmp(key) {
            Ordering::Less => {}
            Ordering::Equal => return Ok(Some(value.map(<[u8]>::to_vec))),
            Ordering::Greater => return Ok(None),
        }
    }
    if entries.rest.is_empty() { Ok(None) } else { Err(()) }
}

/// The pairs of a block within a range, ascending.
///
/// # Errors
/// The block is damaged.
pub(super) fn pairs(block: &[u8], within: impl Fn(&[u8]) -> bool) -> Result<Vec<Pair>, ()> {
    let mut entries = Entries { rest: block, key: Vec::new() };
    let mut found = Vec::new();
    while let Some(value) = entries.next() {
        if within(&entries.key) {
            found.push((entries.key.clone(), value.map(<[u8]>::to_vec)));
        }
    }
    if entries.rest.is_empty() { Ok(found) } else { Err(()) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use proptest::prelude::*;

    fn block(pairs: &BTreeMap<Vec<u8>, Option<Vec<u8>>>) -> Vec<u8> {
        let mut builder = Builder::default();
        pairs.iter().for_each(|(key, value)| builder.push(key, value.as_deref()));
        builder.take()
    }

    proptest! {
        #[test]
        fn a_block_has_what_was_put_into_it(
            pairs in proptest::collection::btree_map(
                proptest::collection::vec(0u8..3, 0..6),
                proptest::option::of(proptest::collection::vec(any::<u8>(), 0..300)),
                0..40,
            ),
            key in proptest::collection::vec(0u8..3, 0..6),
        ) {
            let bytes = block(&pairs);
            prop_assert_eq!(super::pairs(&bytes, |_| true).unwrap(), pairs.clone().into_iter().collect::<Vec<_>>());
            prop_assert_eq!(find(&bytes, &key).unwrap(), pairs.get(&key).cloned());
        }

        #[test]
        fn damaged_blocks_do_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let read = pairs(&bytes, |_| true);
            let found = find(&bytes, &[1]);
            prop_assert!(read.is_ok() || found.is_err() || found.unwrap().is_none());
        }
    }

    #[test]
    fn a_block_that_was_cut_short_is_damaged() {
        let pairs = BTreeMap::from([(vec![1], Some(vec![7; 20])), (vec![1, 2], None)]);
        let bytes = block(&pairs);
        for length in 1..bytes.len() {
            let cut = super::pairs(&bytes[..length], |_| true);
            assert!(cut.is_err() || cut.is_ok_and(|pairs| pairs.len() == 1), "{length}");
        }
    }
}
