//! A subscription's health, and its deliveries by state.

use std::time::Duration;

use crate::core::time::Timestamp;

/// The health of a subscription: how its recent attempts went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Health {
    /// The first failure since the last success.
    pub failing_since: Option<Timestamp>,
    /// Failures since the last success.
    pub failures: u32,
    /// The last success.
    pub last_success: Option<Timestamp>,
    /// The duration of that attempt.
    pub answer: Option<Duration>,
}

/// The number of deliveries by state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Not attempted yet.
    pub pending: u64,
    /// Waiting for a retry.
    pub retrying: u64,
    /// Dead letters.
    pub failed: u64,
}

impl Counts {
    /// The number of waiting deliveries: pending or retrying.
    pub const fn waiting(&self) -> u64 {
        self.pending + self.retrying
    }

    /// Replaces one summand.
    pub(crate) fn replace(&mut self, before: Self, now: Self) {
        let changed = |sum: u64, before: u64, now: u64| sum.saturating_sub(before).saturating_add(now);
        self.pending = changed(self.pending, before.pending, now.pending);
        self.retrying = changed(self.retrying, before.retrying, now.retrying);
        self.failed = changed(self.failed, before.failed, now.failed);
    }
}
