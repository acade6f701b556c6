//! The progress of an erasure.

use crate::core::event::Company;
use crate::core::id::ErasureId;
use crate::core::time::Timestamp;

/// A requested erasure and its progress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erasure {
    /// Its id.
    pub id: ErasureId,
    /// The company whose data it is.
    pub company: Company,
    /// When it was requested. From then on the data is neither shown nor sent.
    pub requested_at: Timestamp,
    /// When the data was gone from disk; `None` until then.
    pub done_at: Option<Timestamp>,
    /// The number of affected events.
    pub events: u64,
    /// The number of affected messages, known once it is done.
    pub messages: u64,
    /// The number of affected log entries, known once it is done.
    pub log_entries: u64,
    /// The number of cancelled deliveries.
    pub cancelled: u64,
}
