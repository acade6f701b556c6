//! Work on a subscription's queue that takes more than one group commit.

use bincode::{Decode, Encode};

/// A replay that has not put back everything yet.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) struct ReplayRecord {
    /// The subscription's number.
    pub(crate) number: u32,
    /// Tells replays of one subscription apart, and orders them.
    pub(crate) id: u128,
    /// The event types that are wanted; all if there are none.
    pub(crate) events: Vec<String>,
    /// Whether dead letters only are put back.
    pub(crate) failed_only: bool,
    /// The sequence number that is looked at next.
    pub(crate) next: u64,
    /// The last sequence number that is looked at. Below `next` once all were.
    pub(crate) last: u64,
    /// The sequence numbers of what was put back and has not ended yet.
    pub(crate) outstanding: Vec<u64>,
}

impl ReplayRecord {
    /// Whether there is nothing left to be done.
    pub(crate) fn is_over(&self) -> bool {
        self.next > self.last && self.outstanding.is_empty()
    }
}

/// That what a subscription is owed is to be cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub(crate) struct DiscardRecord {
    /// The subscription's number.
    pub(crate) number: u32,
    /// The last sequence number that is cancelled; 0 once all were.
    pub(crate) last: u64,
}
