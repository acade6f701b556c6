//! Pages of lists, and what reading them cost.

use crate::core::time::Timestamp;

/// One page of a list, newest first. A page is never gathered from more than a bounded number of records: where that is
/// used up it ends early, and says how far it has looked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T, P = u128> {
    /// What is on it.
    pub items: Vec<T>,
    /// Where to go on, if there may be more: the bits of the id after which that is.
    pub next: Option<P>,
    /// If the page has ended early: everything from this time on was looked at.
    pub scanned_until: Option<Timestamp>,
}

/// A place in a list of deliveries, behind which it goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeliveryCursor {
    /// The bits of an event's id, or of an entry's of the log; 0 where neither orders the list.
    pub major: u128,
    /// The bits of a delivery's id; 0 where all of the event's were looked at.
    pub minor: u128,
}

/// How much was read to answer questions, since the store was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reads {
    /// Frames of the journal.
    pub frames: u64,
    /// Blocks of its indexes, of about 2 KiB.
    pub blocks: u64,
    /// Records of the state database.
    pub records: u64,
    /// Bytes of frames.
    pub bytes: u64,
}

impl Reads {
    /// Everything but the bytes.
    pub const fn count(&self) -> u64 {
        self.frames + self.blocks + self.records
    }
}
