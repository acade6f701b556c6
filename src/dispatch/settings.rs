//! `[senders]`, `[retry]` and `[ordering]` as far as they concern dispatch.

use std::time::Duration;

use crate::core::backoff::RetryPolicy;

/// Settings of dispatch.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Maximum number of sender threads.
    pub threads: usize,
    /// Default for a subscription's maximum number of attempts in flight.
    pub max_in_flight: u32,
    /// How long a failed delivery holds back the later ones of its call.
    pub hold: Duration,
    /// When failed deliveries are retried.
    pub retry: RetryPolicy,
}
