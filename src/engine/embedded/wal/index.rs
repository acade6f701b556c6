//! The index of a segment: a sparse index of ids, and a posting list of frames under each
//! [key](crate::model::term::Term).
//!
//! It can be rebuilt from the segment. The index of the active segment is in memory ([`growing`]); that of a full
//! segment is in a file beside it (`NNNNNN.idx`, [`sealed`]).

mod entry;
mod filter;
mod growing;
mod sealed;

use std::fs::File;
use std::io;

use crate::engine::embedded::wal::stats::SegmentStats;

use self::sealed::Sealed;

pub(crate) use self::entry::{IndexEntry, Posting, entry_of, tag_of};
pub(crate) use self::growing::Growing;
pub(crate) use self::sealed::{end_in, is_outdated, to_bytes};

/// The index of a segment.
#[derive(Debug)]
pub(crate) enum Index {
    /// Of the active segment, or of one whose index could not be written.
    Growing(Growing),
    /// Of a full segment.
    Sealed(Sealed),
}

impl Index {
    /// The index in `file`; `None` if it is damaged, of another version, or cannot be read.
    pub(crate) fn open(file: File) -> Option<Self> {
        Sealed::open(file).map(Self::Sealed)
    }

    /// The statistics of the segment.
    pub(crate) const fn stats(&self) -> SegmentStats {
        match self {
            Self::Growing(index) => index.stats,
            Self::Sealed(index) => index.stats(),
        }
    }

    /// Whether there may be postings under `key`, from memory.
    pub(crate) fn may_have(&self, key: u64) -> bool {
        match self {
            Self::Growing(index) => index.may_have(key),
            Self::Sealed(index) => index.may_have(key),
        }
    }

    /// Some of the postings under `key` with offsets below `below`: the last ones, ascending; empty if there are none.
    pub(crate) fn below(&self, key: u64, below: u32) -> io::Result<Vec<Posting>> {
        match self {
            Self::Growing(index) => Ok(index.below(key, below)),
            Self::Sealed(index) => index.below(key, below),
        }
    }

    /// Up to `most` keys between `first` and `last` that have postings, ascending.
    pub(crate) fn keys_between(&self, first: u64, last: u64, most: usize) -> io::Result<Vec<u64>> {
        match self {
            Self::Growing(index) => Ok(index.keys_between(first, last, most)),
            Self::Sealed(index) => index.keys_between(first, last, most),
        }
    }

    /// The postings under all keys between `first` and `last`, unordered.
    pub(crate) fn postings_between(&self, first: u64, last: u64) -> io::Result<Vec<Posting>> {
        match self {
            Self::Growing(index) => Ok(index.postings_between(first, last)),
            Self::Sealed(index) => index.postings_between(first, last),
        }
    }

    /// An offset at most about [`SPARSE_EVERY`](entry::SPARSE_EVERY) bytes ahead of a frame with this id.
    pub(crate) fn sparse_floor(&self, id: u128) -> io::Result<Option<u32>> {
        match self {
            Self::Growing(index) => Ok(index.sparse_floor(id)),
            Self::Sealed(index) => index.sparse_floor(id),
        }
    }

    /// An offset behind which all ids are above `id`, at most about [`SPARSE_EVERY`](entry::SPARSE_EVERY) bytes behind
    /// the first of them.
    pub(crate) fn sparse_ceiling(&self, id: u128) -> io::Result<Option<u32>> {
        match self {
            Self::Growing(index) => Ok(index.sparse_ceiling(id)),
            Self::Sealed(index) => index.sparse_ceiling(id),
        }
    }
}

#[cfg(test)]
mod tests;
