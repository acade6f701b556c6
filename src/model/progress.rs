//! Work on a subscription's queue that spans several group commits.

use bincode::{Decode, Encode};

use crate::core::id::SubscriptionNumber;

/// A replay in progress.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) struct ReplayRecord {
    /// The subscription's number.
    pub(crate) number: SubscriptionNumber,
    /// Distinguishes and orders the replays of a subscription.
    pub(crate) id: u128,
    /// The requested event types; all if empty.
    pub(crate) events: Vec<String>,
    /// Whether only dead letters are requeued.
    pub(crate) failed_only: bool,
    /// The next sequence number to examine.
    pub(crate) next: u64,
    /// The last sequence number to examine; below `next` once done.
    pub(crate) last: u64,
    /// The sequence numbers of requeued deliveries that have not ended yet.
    pub(crate) outstanding: Vec<u64>,
}

impl ReplayRecord {
    /// Whether the replay is complete.
    pub(crate) fn is_over(&self) -> bool {
        self.next > self.last && self.outstanding.is_empty()
    }
}

/// A discard in progress: pending deliveries to be cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub(crate) struct DiscardRecord {
    /// The subscription's number.
    pub(crate) number: SubscriptionNumber,
    /// The last sequence number to cancel; 0 once done.
    pub(crate) last: u64,
}
