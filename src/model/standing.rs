//! What is counted of a subscription: its health, and how many deliveries stand where.

use std::time::Duration;

use crate::core::time::Timestamp;

/// How the attempts of a subscription have gone lately.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Health {
    /// The first failure since the last success.
    pub failing_since: Option<Timestamp>,
    /// Failures since the last success.
    pub failures: u32,
    /// The last success.
    pub last_success: Option<Timestamp>,
    /// How long that attempt took.
    pub answer: Option<Duration>,
}

/// How many deliveries stand where.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Not tried yet.
    pub pending: u64,
    /// To be tried again.
    pub retrying: u64,
    /// Dead letters.
    pub failed: u64,
}

impl Counts {
    /// How many wait: to be sent, or to be sent again.
    pub const fn waiting(&self) -> u64 {
        self.pending + self.retrying
    }

    /// In this sum, one that was `before` is `now`.
    pub(crate) fn replace(&mut self, before: Self, now: Self) {
        let changed = |sum: u64, before: u64, now: u64| sum.saturating_sub(before).saturating_add(now);
        self.pending = changed(self.pending, before.pending, now.pending);
        self.retrying = changed(self.retrying, before.retrying, now.retrying);
        self.failed = changed(self.failed, before.failed, now.failed);
    }
}
