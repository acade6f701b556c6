//! Pages of lists, and the cost of reading them.

use crate::core::time::Timestamp;

/// One page of a list, newest first. Filling a page reads a bounded number of records; if that budget is exhausted the
/// page ends early and says how far the search got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T, P = u128> {
    /// The items.
    pub items: Vec<T>,
    /// The cursor for the next page, if there may be more: the bits of the id after which it starts.
    pub next: Option<P>,
    /// If the page ended early: everything from this time on was searched.
    pub scanned_until: Option<Timestamp>,
}

/// A cursor in a list of deliveries: the list continues after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeliveryCursor {
    /// The bits of an event's or a log entry's id; 0 if neither orders the list.
    pub major: u128,
    /// The bits of a delivery's id; 0 if all deliveries of the event were examined.
    pub minor: u128,
}

/// How much was read for queries since the store was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reads {
    /// Records of the log.
    pub frames: u64,
    /// Blocks of its indexes, of about 2 KiB.
    pub blocks: u64,
    /// Values of the view.
    pub records: u64,
    /// Bytes of log records.
    pub bytes: u64,
}

impl Reads {
    /// The number of reads of any kind.
    pub const fn count(&self) -> u64 {
        self.frames + self.blocks + self.records
    }
}
