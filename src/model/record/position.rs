//! How far the log has been applied to the view.

use bincode::{Decode, Encode};

/// How far the journal has been taken into the state database.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode)]
pub(crate) struct CheckpointPosition {
    /// The journal file.
    pub(crate) segment: u32,
    /// The first byte behind what was taken in.
    pub(crate) offset: u32,
    /// The number of the last group commit.
    pub(crate) batch: u64,
    /// The id given last.
    pub(crate) last_id: u128,
    /// The number that the next subscription gets.
    pub(crate) next_number: u32,
}
