//! The index of one journal file: where ids begin, and under each [key](Key) the frames that speak of it.
//!
//! Everything in it can be made again from the journal file. While the file is written the index is
//! in memory ([`growing`]); when the file is full it is written beside it (`NNNNNN.idx`, [`sealed`]).

mod filter;
mod growing;
mod sealed;

use std::fs::File;
use std::io;

use crate::model::segment::{Class, Outline};
use crate::model::term::Marks;

use self::sealed::Sealed;

pub(crate) use self::growing::Growing;
pub(crate) use self::sealed::{end_in, is_of_before, to_bytes};

/// How far apart marks are: a look-up by id reads about this many bytes.
const MARK_EVERY: u32 = 8 * 1024;

/// A frame, as the index takes note of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Note {
    /// Where it begins.
    pub(crate) offset: u32,
    /// Its whole length.
    pub(crate) length: u32,
    /// The class of its record.
    pub(crate) class: Class,
    /// The id in it; 0 if it has none.
    pub(crate) id: u128,
    /// What it speaks of.
    pub(crate) marks: Marks,
}

/// A frame that a list names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Posting {
    /// Where it begins.
    pub(crate) offset: u32,
    /// What kind of record it has: one bit of four.
    pub(crate) tag: u8,
}

impl Posting {
    fn of(offset: u32, class: Class) -> Self {
        Self { offset, tag: tag_of(class) }
    }

    fn packed(self) -> u64 {
        (u64::from(self.offset) << 2) | u64::from(self.tag.trailing_zeros() & 3)
    }

    fn unpacked(packed: u64) -> Self {
        // A list's offsets add up to what they were made of, unless the bytes are damaged, and those have a checksum.
        Self { offset: u32::try_from(packed >> 2).unwrap_or(u32::MAX), tag: 1 << (packed & 3) }
    }
}

/// The bit of a kind of record that lists have.
pub(crate) const fn tag_of(class: Class) -> u8 {
    match class {
        Class::Event => 1,
        Class::LogEntry => 2,
        Class::Message => 4,
        Class::WithEvent | Class::Other => 8,
    }
}

impl Outline {
    pub(crate) fn note(&mut self, note: &Note) {
        self.end = note.offset + note.length;
        match note.class {
            Class::LogEntry => {
                self.logged += note.length;
                self.last_logged = note.id;
            }
            Class::Event | Class::WithEvent => self.last_event = note.id,
            Class::Message => self.last_message = note.id,
            Class::Other => {}
        }
        let made = u64::try_from(note.id >> 80).unwrap_or(u64::MAX);
        self.late = self.late.max(note.marks.at.map_or(0, |at| made.saturating_sub(at)));
    }
}

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
    pub(crate) const fn outline(&self) -> Outline {
        match self {
            Self::Growing(index) => index.outline,
            Self::Sealed(index) => index.outline(),
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
