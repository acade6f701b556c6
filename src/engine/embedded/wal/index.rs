//! The index of one journal file: where ids begin, and under each [key](Term) the frames that speak of it.
//!
//! Everything in it can be made again from the journal file. While the file is written the index is
//! in memory ([`growing`]); when the file is full it is written beside it (`NNNNNN.idx`, [`sealed`]).

mod entry;
mod filter;
mod growing;
mod sealed;

use std::fs::File;
use std::io;

use crate::model::segment::SegmentStats;

use self::sealed::Sealed;

pub(crate) use self::entry::{IndexEntry, Posting, entry_of, tag_of};
pub(crate) use self::growing::Growing;
pub(crate) use self::sealed::{end_in, is_of_before, to_bytes};

/// The index of one journal file.
#[derive(Debug)]
pub(crate) enum Index {
    /// Of the file that is being written, or of one whose index could not be written.
    Growing(Growing),
    /// Of a full one.
    Sealed(Sealed),
}

impl Index {
    /// The index in `file`; `None` if it is damaged, of another version, or cannot be read.
    pub(crate) fn open(file: File) -> Option<Self> {
        Sealed::open(file).map(Self::Sealed)
    }

    /// What there is in the file.
    pub(crate) const fn stats(&self) -> SegmentStats {
        match self {
            Self::Growing(index) => index.stats,
            Self::Sealed(index) => index.stats(),
        }
    }

    /// Whether there may be postings under `key`, told from memory.
    pub(crate) fn may_have(&self, key: u64) -> bool {
        match self {
            Self::Growing(index) => index.may_have(key),
            Self::Sealed(index) => index.may_have(key),
        }
    }

    /// Some of the postings under `key` that lie below `below`: the last ones, ascending; none if there are none.
    pub(crate) fn below(&self, key: u64, below: u32) -> io::Result<Vec<Posting>> {
        match self {
            Self::Growing(index) => Ok(index.below(key, below)),
            Self::Sealed(index) => index.below(key, below),
        }
    }

    /// Up to `most` keys from `first` to `last` that have postings, ascending.
    pub(crate) fn keys_between(&self, first: u64, last: u64, most: usize) -> io::Result<Vec<u64>> {
        match self {
            Self::Growing(index) => Ok(index.keys_between(first, last, most)),
            Self::Sealed(index) => index.keys_between(first, last, most),
        }
    }

    /// The postings under all keys from `first` to `last`, in no order.
    pub(crate) fn postings_between(&self, first: u64, last: u64) -> io::Result<Vec<Posting>> {
        match self {
            Self::Growing(index) => Ok(index.postings_between(first, last)),
            Self::Sealed(index) => index.postings_between(first, last),
        }
    }

    /// The place from which a frame with this id is at most about [`MARK_EVERY`] bytes away.
    pub(crate) fn mark_up_to(&self, id: u128) -> io::Result<Option<u32>> {
        match self {
            Self::Growing(index) => Ok(index.mark_up_to(id)),
            Self::Sealed(index) => index.mark_up_to(id),
        }
    }

    /// A place behind which all ids are above `id`, at most about [`MARK_EVERY`] bytes behind the first that is.
    pub(crate) fn mark_from(&self, id: u128) -> io::Result<Option<u32>> {
        match self {
            Self::Growing(index) => Ok(index.mark_from(id)),
            Self::Sealed(index) => index.mark_from(id),
        }
    }
}

#[cfg(test)]
mod tests;
