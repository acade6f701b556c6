//! The head of a record in the log.

/// A record without its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) version: u8,
    pub(crate) kind: u8,
    /// Whether the next record belongs to the same atomic unit.
    pub(crate) continues: bool,
    /// The number of the group commit that wrote it.
    pub(crate) batch: u64,
    /// The bits of its id; 0 if it has none.
    pub(crate) id: u128,
}
