//! The checkpoint position: how far the write-ahead log has been applied to the state database.

use bincode::{Decode, Encode};

use crate::core::id::SubscriptionNumber;

/// How far the log has been applied to the persisted view.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode)]
pub(crate) struct CheckpointPosition {
    /// The segment.
    pub(crate) segment: u32,
    /// The end of the last applied record in it.
    pub(crate) offset: u32,
    /// The number of the last group commit.
    pub(crate) batch: u64,
    /// The last generated id.
    pub(crate) last_id: u128,
    /// The number of the next subscription.
    pub(crate) next_number: SubscriptionNumber,
}
