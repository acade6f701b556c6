//! The limits and periods used by decisions.

use std::time::Duration;

use crate::model::retention::Rules as Retention;

/// The settings of a store.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// The cache size of the state database, in bytes.
    pub cache_bytes: u64,
    /// How long after acceptance a delivery is given up.
    pub give_up_after: Duration,
    /// The idempotency window: how long a producer's id is remembered.
    pub idempotency_window: Duration,
    /// How long data is kept.
    pub retention: Retention,
    /// The disk space to keep free, in bytes.
    pub min_free_bytes: u64,
    /// The maximum size of the data of a raised event: the same as for a posted one.
    pub max_data_bytes: usize,
    /// The maximum number of subscriptions of a company.
    pub subscriptions_per_company: u32,
    /// The maximum number of deliveries caused by one request.
    pub deliveries_per_request: u32,
}
