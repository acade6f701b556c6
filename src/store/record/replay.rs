//! Work on a subscription's queue that takes more than one group commit.

use bincode::{Decode, Encode};

/// A replay that has not put back everything yet.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(in crate::store) struct ReplayRecord {
    /// The subscription's number.
    pub(in crate::store) number: u32,
    /// Tells replays of one subscription apart, and orders them.
    pub(in crate::store) id: u128,
    /// The event types that are wanted; all if there are none.
    pub(in crate::store) events: Vec<String>,
    /// Whether dead letters only are put back.
    pub(in crate::store) failed_only: bool,
    /// The sequence number that is looked at next.
    pub(in crate::store) next: u64,
    /// The last sequence number that is looked at. Below `next` once all were.
    pub(in crate::store) last: u64,
    /// The sequence numbers of what was put back and has not ended yet.
    pub(in crate::store) outstanding: Vec<u64>,
}

impl ReplayRecord {
    /// Whether there is nothing left to be done.
    pub(in crate::store) fn is_over(&self) -> bool {
        self.next > self.last && self.outstanding.is_empty()
    }
}

/// That what a subscription is owed is to be cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub(in crate::store) struct DiscardRecord {
    /// The subscription's number.
    pub(in crate::store) number: u32,
    /// The last sequence number that is cancelled; 0 once all were.
    pub(in crate::store) last: u64,
}
