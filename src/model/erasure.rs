//! An erasure, as far as it is.

use crate::core::event::Company;
use crate::core::id::ErasureId;
use crate::core::time::Timestamp;

/// An erasure that was asked for, as far as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erasure {
    /// Its id.
    pub id: ErasureId,
    /// Owner data it was.
    pub company: Company,
    /// When it was asked for. From then on nothing of it was shown or sent.
    pub requested_at: Timestamp,
    /// When it was off the disk; `None` while it is not.
    pub done_at: Option<Timestamp>,
    /// How many events it was found in.
    pub events: u64,
    /// How many messages; entries of the log. Known once it is done.
    pub messages: u64,
    /// How many entries of the log.
    pub log_entries: u64,
    /// How many deliveries were cancelled.
    pub cancelled: u64,
}
