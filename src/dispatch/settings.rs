//! `[senders]`, `[retry]` and `[ordering]`, as far as they say how deliveries are sent.

use std::time::Duration;

use crate::core::backoff::RetryPolicy;

/// How deliveries are sent.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How many sender threads there may be.
    pub threads: usize,
    /// How many attempts may be under way for a subscription that does not say.
    pub max_in_flight: u32,
    /// How long a failed delivery holds back the later ones of its call.
    pub hold: Duration,
    /// When failed deliveries are tried again.
    pub retry: RetryPolicy,
}
