//! Runs: sorted, immutable sets of changes, each written by one checkpoint or merged from others.
//!
//! A run is stored in sled as [blocks](block) of at most [`BLOCK_BYTES`], or of one longer pair, which takes several
//! values of sled; and an index: where each block begins and with which key, and a [filter](Filter). The index is in
//! memory, so a look-up reads at most one block. A run exists once the [manifest](super::manifest) names it.

use std::ops::{Bound, Range as Numbers, RangeBounds};

use crate::engine::embedded::kv::block::{self, Builder};
use crate::engine::embedded::kv::database::StoredPairs;
use crate::engine::embedded::kv::filter::{Filter, is_filtered};
use crate::engine::embedded::kv::manifest::{Index, Meta};
use crate::engine::embedded::kv::memtable::{Pair, Range};
use crate::engine::embedded::kv::stored_key::{block_key, index_key};
use crate::model::error::StateError;
use crate::model::record;

/// The length of a block, and of a value in sled, in bytes. sled writes leaves of up to 17 values as a whole, and those of
/// more than 128 KiB to files that it never syncs. With smaller blocks it would do more for each key.
const BLOCK_BYTES: usize = 4 << 10;

/// A run that can be read.
#[derive(Debug)]
pub(super) struct Run {
    meta: Meta,
    /// The first key of each block.
    firsts: Vec<Vec<u8>>,
    /// The number of the first value in sled of each block.
    begins: Vec<u32>,
    filter: Filter,
}

impl Run {
    /// Reads the index of a run.
    pub(super) fn open(db: &sled::Db, meta: Meta) -> Result<Self, StateError> {
        let unreadable = || StateError::unreadable("an index of its keys");
        let mut bytes = Vec::new();
        for number in 0..meta.index {
            bytes.extend_from_slice(&db.get(index_key(meta.id, number))?.ok_or_else(unreadable)?);
        }
        let index = record::decode::<Index>(&bytes).filter(|index| index.firsts.len() == index.begins.len());
        Ok(Self::of(meta, index.ok_or_else(unreadable)?))
    }

    fn of(meta: Meta, Index { firsts, begins, filter }: Index) -> Self {
        Self { meta, firsts, begins, filter: Filter::from_bytes(filter) }
    }

    pub(super) const fn meta(&self) -> &Meta {
        &self.meta
    }

    /// What it says of `key`: `None` if nothing, `Some(None)` that it is removed.
    pub(super) fn get(&self, db: &sled::Db, key: &[u8]) -> Result<Option<Option<Vec<u8>>>, StateError> {
        if is_filtered(key) && !self.filter.may_have(key) {
            return Ok(None);
        }
        let Some(number) = self.firsts.partition_point(|first| first.as_slice() <= key).checked_sub(1) else {
            return Ok(None);
        };
        block::find(&self.block(db, number)?, key).map_err(|()| damaged())
    }

    fn block(&self, db: &sled::Db, number: usize) -> Result<sled::IVec, StateError> {
        let get = |number| db.get(block_key(self.meta.id, number))?.ok_or_else(damaged);
        let (begin, end) = (self.begins[number], self.begins.get(number + 1).copied().unwrap_or(self.meta.blocks));
        let mut block = get(begin)?;
        for number in begin + 1..end {
            block = [block, get(number)?].concat().into();
        }
        Ok(block)
    }

    /// Its changes within a range, in either direction.
    pub(super) fn range<'r>(&'r self, db: &'r sled::Db, range: Range<'r>) -> Changes<'r> {
        let firsts = &self.firsts;
        let begin = match range.0 {
            Bound::Included(key) | Bound::Excluded(key) => {
                firsts.partition_point(|first| first.as_slice() <= key).saturating_sub(1)
            }
            Bound::Unbounded => 0,
        };
        let end = match range.1 {
            Bound::Included(key) => firsts.partition_point(|first| first.as_slice() <= key),
            Bound::Excluded(key) => firsts.partition_point(|first| first.as_slice() < key),
            Bound::Unbounded => firsts.len(),
        };
        let none = Vec::new().into_iter();
        Changes { run: self, db, range, numbers: begin..end.max(begin), front: none.clone(), back: none }
    }

    /// The keys in sled that it consists of.
    pub(super) fn stored_keys(&self) -> impl Iterator<Item = Vec<u8>> {
        let Meta { id, blocks, index, .. } = self.meta;
        (0..blocks).map(move |number| block_key(id, number)).chain((0..index).map(move |number| index_key(id, number)))
    }
}

fn damaged() -> StateError {
    StateError::unreadable("a block of values")
}

/// The changes of a run within a range, read block by block.
pub(super) struct Changes<'r> {
    run: &'r Run,
    db: &'r sled::Db,
    range: Range<'r>,
    /// The blocks that have not been read.
    numbers: Numbers<usize>,
    front: std::vec::IntoIter<Pair>,
    back: std::vec::IntoIter<Pair>,
}

impl Changes<'_> {
    fn read(&self, number: usize) -> Result<std::vec::IntoIter<Pair>, StateError> {
        let block = self.run.block(self.db, number)?;
        Ok(block::pairs(&block, |key| RangeBounds::<[u8]>::contains(&self.range, key))
            .map_err(|()| damaged())?
            .into_iter())
    }
}

impl Iterator for Changes<'_> {
    type Item = Result<Pair, StateError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(pair) = self.front.next() {
                return Some(Ok(pair));
            }
            let Some(number) = self.numbers.next() else { return self.back.next().map(Ok) };
            match self.read(number) {
                Ok(pairs) => self.front = pairs,
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl DoubleEndedIterator for Changes<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(pair) = self.back.next_back() {
                return Some(Ok(pair));
            }
            let Some(number) = self.numbers.next_back() else { return self.front.next_back().map(Ok) };
            match self.read(number) {
                Ok(pairs) => self.back = pairs,
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

/// A run that is being written.
pub(super) struct RunWriter {
    meta: Meta,
    builder: Builder,
    firsts: Vec<Vec<u8>>,
    begins: Vec<u32>,
    filter: Filter,
    /// Pairs for sled that have not been taken.
    out: StoredPairs,
}

impl RunWriter {
    /// Begins a run, whose filter will have up to this number of keys.
    pub(super) fn begin(id: u64, level: u32, filtered: u64) -> Self {
        let meta = Meta { id, level, keys: 0, removed: 0, filtered: 0, blocks: 0, index: 0 };
        let filter = Filter::for_keys(usize::try_from(filtered).unwrap_or(0));
        Self { meta, builder: Builder::default(), firsts: Vec::new(), begins: Vec::new(), filter, out: Vec::new() }
    }

    /// The number of keys of some runs that a filter for all of them must be made for.
    pub(super) fn filtered<'r>(runs: impl Iterator<Item = &'r Meta>) -> u64 {
        runs.map(|meta| meta.filtered).sum()
    }

    /// Appends a key that is greater than all before; `None` for a removed one.
    pub(super) fn push(&mut self, key: &[u8], value: Option<&[u8]>) {
        let length = key.len() + value.map_or(0, <[u8]>::len);
        if self.builder.len() > 0 && self.builder.len() + length > BLOCK_BYTES {
            self.end_block();
        }
        if self.builder.len() == 0 {
            self.firsts.push(key.to_vec());
            self.begins.push(self.meta.blocks);
        }
        self.builder.push(key, value);
        self.meta.keys += 1;
        self.meta.removed += u64::from(value.is_none());
        if is_filtered(key) {
            self.filter.add(key);
            self.meta.filtered += 1;
        }
    }

    fn end_block(&mut self) {
        for piece in self.builder.take().chunks(BLOCK_BYTES) {
            self.out.push((block_key(self.meta.id, self.meta.blocks), piece.to_vec()));
            self.meta.blocks += 1;
        }
    }

    /// How many pairs for sled are complete and not [taken](Self::take).
    pub(super) const fn complete(&self) -> usize {
        self.out.len()
    }

    /// The pairs to be written into sled next.
    pub(super) fn take(&mut self) -> StoredPairs {
        std::mem::take(&mut self.out)
    }

    /// Completes the run, and returns the last pairs to be written.
    pub(super) fn finish(mut self) -> (Run, StoredPairs) {
        if self.builder.len() > 0 {
            self.end_block();
        }
        let index = Index { firsts: self.firsts, begins: self.begins, filter: self.filter.into_bytes() };
        for piece in record::encode(&index).chunks(BLOCK_BYTES) {
            self.out.push((index_key(self.meta.id, self.meta.index), piece.to_vec()));
            self.meta.index += 1;
        }
        (Run::of(self.meta, index), self.out)
    }
}
