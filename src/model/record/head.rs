//! What stands ahead of a record in the log.

/// The part of a frame that is not its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) version: u8,
    pub(crate) kind: u8,
    /// Whether the next frame belongs to the same step.
    pub(crate) continues: bool,
    /// The number of the group commit that wrote it.
    pub(crate) batch: u64,
    /// Id bits of what is in it; 0 if it has none.
    pub(crate) id: u128,
}
