//! The index entry of a frame.

use crate::engine::embedded::wal::stats::SegmentStats;
use crate::model::error::u32_of;
use crate::model::record::Head;
use crate::model::record::{Class, Schema};
use crate::model::term::Terms;

/// The distance of entries in the sparse index: a look-up by id reads about this many bytes.
pub(crate) const SPARSE_EVERY: u32 = 8 * 1024;

/// What the index records of a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IndexEntry {
    /// The offset of the frame.
    pub(crate) offset: u32,
    /// Its total length.
    pub(crate) length: u32,
    /// The class of its record.
    pub(crate) class: Class,
    /// The id of the record; 0 if it has none.
    pub(crate) id: u128,
    /// Its terms.
    pub(crate) terms: Terms,
}

/// A frame in a posting list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Posting {
    /// The offset of the frame.
    pub(crate) offset: u32,
    /// The kind of its record: one bit of four.
    pub(crate) tag: u8,
}

impl Posting {
    pub(crate) fn of(offset: u32, class: Class) -> Self {
        Self { offset, tag: tag_of(class) }
    }

    pub(crate) fn packed(self) -> u64 {
        (u64::from(self.offset) << 2) | u64::from(self.tag.trailing_zeros() & 3)
    }

    pub(crate) fn unpacked(packed: u64) -> Self {
        // The offsets of a list sum up to valid ones unless its bytes are damaged, which their checksum detects.
        Self { offset: u32::try_from(packed >> 2).unwrap_or(u32::MAX), tag: 1 << (packed & 3) }
    }
}

/// The bit for a class of records in posting lists.
pub(crate) const fn tag_of(class: Class) -> u8 {
    match class {
        Class::Event => 1,
        Class::LogEntry => 2,
        Class::Message => 4,
        Class::WithEvent | Class::Other => 8,
    }
}

/// The index entry of a frame.
pub(crate) fn entry_of(schema: &Schema, offset: u32, length: usize, head: Head, payload: &[u8]) -> IndexEntry {
    let (class, terms) = ((schema.class)(head.kind), (schema.terms)(head, payload));
    IndexEntry { offset, length: u32_of(length), class, id: head.id, terms }
}

impl SegmentStats {
    pub(crate) fn add(&mut self, entry: &IndexEntry) {
        self.end = entry.offset + entry.length;
        match entry.class {
            Class::LogEntry => {
                self.logged += entry.length;
                self.last_logged = entry.id;
            }
            Class::Event | Class::WithEvent => self.last_event = entry.id,
            Class::Message => self.last_message = entry.id,
            Class::Other => {}
        }
        let made = u64::try_from(entry.id >> 80).unwrap_or(u64::MAX);
        self.late = self.late.max(entry.terms.at.map_or(0, |at| made.saturating_sub(at)));
    }
}
