//! Notices of the dispatcher and its senders, from which metrics and alerts are made.

use std::sync::Arc;

use crate::core::attempt::LogEntry;
use crate::core::id::SubscriptionId;
use crate::core::subscription::{DisabledReason, Subscription};
use crate::core::time::Timestamp;

/// Something that has happened; not on the disk yet.
#[derive(Debug, Clone, Copy)]
pub enum Notice<'n> {
    /// An attempt has ended, or (attempt 0) a delivery without one.
    Ended(&'n LogEntry),
    /// A receiver is taken to be down.
    Down {
        /// Whose.
        subscription: &'n Subscription,
        /// Failures since the last success.
        failures: u32,
        /// The first of them.
        since: Option<Timestamp>,
        /// How many deliveries wait.
        waiting: u64,
    },
    /// A receiver that was down is back.
    Back {
        /// Whose.
        subscription: &'n Subscription,
        /// How many deliveries wait.
        waiting: u64,
    },
    /// Somebody enabled or disabled a subscription by hand, or deleted it.
    Settled(SubscriptionId),
    /// What is to be sent cannot be read from the disk; the sentence names the file.
    Unreadable(&'n str),
    /// A subscription is disabled, not by hand.
    Disabled {
        /// Which.
        subscription: &'n Subscription,
        /// Why.
        reason: DisabledReason,
        /// How many deliveries wait.
        waiting: u64,
    },
}

/// Hears of it, in the dispatcher's and the senders' threads. Must not block.
pub type Listener = Arc<dyn Fn(Notice<'_>) + Send + Sync>;
