//! The limits and periods by which commands are decided.

use std::time::Duration;

use crate::model::retention::Rules as Retention;

/// What the store is told at its opening.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// How much memory the state database may use for its cache.
    pub cache_bytes: u64,
    /// How long after acceptance a delivery is given up.
    pub give_up_after: Duration,
    /// How long a producer's id is remembered.
    pub idempotency_window: Duration,
    /// How long events and entries of the log are kept.
    pub retention: Retention,
    /// How many bytes of the file system are to stay free.
    pub min_free_bytes: u64,
    /// The most bytes of the data of an event that is raised here: no more than may be posted.
    pub max_data_bytes: usize,
    /// How many subscriptions one company may have.
    pub subscriptions_per_company: u32,
    /// How many deliveries one request may cause.
    pub deliveries_per_request: u32,
}
