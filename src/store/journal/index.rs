//! The index of one journal file: where ids begin, and under each [key](Key) the frames that speak of it.
//!
//! Everything in it can be made again from the journal file. While the file is written the index is
//! in memory ([`growing`]); when the file is full it is written beside it (`NNNNNN.idx`, [`sealed`]).

mod filter;
mod growing;
mod key;
mod sealed;

use std::fs::File;
use std::io;

use super::kind;

pub(in crate::store) use self::growing::Growing;
pub(in crate::store) use self::key::{Key, Lookup, Whose};
use self::sealed::Sealed;
pub(in crate::store) use self::sealed::{end_in, is_of_before, to_bytes};

/// How far apart marks are: a look-up by id reads about this many bytes.
const MARK_EVERY: u32 = 8 * 1024;

/// A frame, as the index takes note of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) struct Note {
    /// Where it begins.
    pub(in crate::store) offset: u32,
    /// Its whole length.
    pub(in crate::store) length: u32,
    /// The kind of its record.
    pub(in crate::store) kind: u8,
    /// The id in it; 0 if it has none.
    pub(in crate::store) id: u128,
    /// What it speaks of.
    pub(in crate::store) marks: Marks,
}

/// What the index keeps of a frame's payload.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(in crate::store) struct Marks {
    /// Its [keys](Key).
    pub(in crate::store) keys: Vec<u64>,
    /// The time in it by which lists are narrowed, in milliseconds; `None` if it has none.
    pub(in crate::store) at: Option<u64>,
}

/// A frame that a list names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Posting {
    /// Where it begins.
    pub(super) offset: u32,
    /// What kind of record it has: one bit of four.
    pub(super) tag: u8,
}

impl Posting {
    fn of(offset: u32, kind: u8) -> Self {
        Self { offset, tag: tag_of(kind) }
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
pub(super) const fn tag_of(kind: u8) -> u8 {
    match kind {
        kind::ACCEPTED => 1,
        kind::LOGGED => 2,
        kind::MESSAGE | kind::MEDIA_MESSAGE => 4,
        _ => 8,
    }
}

/// What there is in a journal file, in short.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct Outline {
    /// The first byte behind its last frame; 0 if it has none.
    pub(in crate::store) end: u32,
    /// How many bytes of it are entries of the log.
    pub(in crate::store) logged: u32,
    /// The id of the last of them; 0 if there is none.
    pub(in crate::store) last_logged: u128,
    /// The id of the last frame that is an event, or goes when its event goes; 0 if there is none.
    pub(in crate::store) last_event: u128,
    /// The id of the last message; 0 if there is none.
    pub(in crate::store) last_message: u128,
    /// By how many milliseconds an id in it is younger, at most, than the time that its frame tells: of an entry of the
    /// log, as long as its attempt took; otherwise only where the clock was set back.
    pub(in crate::store) late: u64,
}

impl Outline {
    fn note(&mut self, note: &Note) {
        self.end = note.offset + note.length;
        match note.kind {
            kind::LOGGED => {
                self.logged += note.length;
                self.last_logged = note.id;
            }
            kind::ACCEPTED | kind::ENDED | kind::ENDED_OF_COMPANY | kind::FAN_OUT => self.last_event = note.id,
            kind::MESSAGE | kind::MEDIA_MESSAGE => self.last_message = note.id,
            _ => {}
        }
        let made = u64::try_from(note.id >> 80).unwrap_or(u64::MAX);
        self.late = self.late.max(note.marks.at.map_or(0, |at| made.saturating_sub(at)));
    }
}

/// The index of one journal file.
#[derive(Debug)]
pub(super) enum Index {
    /// Of the file that is being written, or of one whose index could not be written.
    Growing(Growing),
    /// Of a full one.
    Sealed(Sealed),
}

impl Index {
    /// The index in `file`; `None` if it is damaged, of another version, or cannot be read.
    pub(super) fn open(file: File) -> Option<Self> {
        Sealed::open(file).map(Self::Sealed)
    }

    /// What there is in the file.
    pub(super) const fn outline(&self) -> Outline {
        match self {
            Self::Growing(index) => index.outline,
            Self::Sealed(index) => index.outline(),
        }
    }

    /// Whether there may be postings under `key`, told from memory.
    pub(super) fn may_have(&self, key: u64) -> bool {
        match self {
            Self::Growing(index) => index.may_have(key),
            Self::Sealed(index) => index.may_have(key),
        }
    }

    /// Some of the postings under `key` that lie below `below`: the last ones, ascending; none if there are none.
    pub(super) fn below(&self, key: u64, below: u32) -> io::Result<Vec<Posting>> {
        match self {
            Self::Growing(index) => Ok(index.below(key, below)),
            Self::Sealed(index) => index.below(key, below),
        }
    }

    /// Up to `most` keys from `first` to `last` that have postings, ascending.
    pub(super) fn keys_between(&self, first: u64, last: u64, most: usize) -> io::Result<Vec<u64>> {
        match self {
            Self::Growing(index) => Ok(index.keys_between(first, last, most)),
            Self::Sealed(index) => index.keys_between(first, last, most),
        }
    }

    /// The postings under all keys from `first` to `last`, in no order.
    pub(super) fn postings_between(&self, first: u64, last: u64) -> io::Result<Vec<Posting>> {
        match self {
            Self::Growing(index) => Ok(index.postings_between(first, last)),
            Self::Sealed(index) => index.postings_between(first, last),
        }
    }

    /// The place from which a frame with this id is at most about [`MARK_EVERY`] bytes away.
    pub(super) fn mark_up_to(&self, id: u128) -> io::Result<Option<u32>> {
        match self {
            Self::Growing(index) => Ok(index.mark_up_to(id)),
            Self::Sealed(index) => index.mark_up_to(id),
        }
    }

    /// A place behind which all ids are above `id`, at most about [`MARK_EVERY`] bytes behind the first that is.
    pub(super) fn mark_from(&self, id: u128) -> io::Result<Option<u32>> {
        match self {
            Self::Growing(index) => Ok(index.mark_from(id)),
            Self::Sealed(index) => index.mark_from(id),
        }
    }
}

#[cfg(test)]
mod tests;
