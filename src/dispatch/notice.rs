//! Notices from the dispatcher and its senders, the input of metrics and alerts.

use std::sync::Arc;

use crate::core::attempt::LogEntry;
use crate::core::id::SubscriptionId;
use crate::core::subscription::{DisabledReason, Subscription};
use crate::core::time::Timestamp;

/// An event inside the daemon; its record is not durable yet.
#[derive(Debug, Clone, Copy)]
pub enum Notice<'n> {
    /// An attempt has ended, or (attempt 0) a delivery ended without one.
    Ended(&'n LogEntry),
    /// A receiver went down.
    Down {
        /// The receiver's subscription.
        subscription: &'n Subscription,
        /// Failures since the last success.
        failures: u32,
        /// Time of the first of them.
        since: Option<Timestamp>,
        /// Number of waiting deliveries.
        waiting: u64,
    },
    /// A receiver that was down recovered.
    Back {
        /// The receiver's subscription.
        subscription: &'n Subscription,
        /// Number of waiting deliveries.
        waiting: u64,
    },
    /// A subscription was enabled, disabled or deleted through the API.
    Settled(SubscriptionId),
    /// An event to be sent cannot be read from disk; the text names the file.
    Unreadable(&'n str),
    /// A subscription was disabled automatically.
    Disabled {
        /// The subscription.
        subscription: &'n Subscription,
        /// The reason.
        reason: DisabledReason,
        /// Number of waiting deliveries.
        waiting: u64,
    },
}

/// Called on the dispatcher's and the senders' threads. Must not block.
pub type Listener = Arc<dyn Fn(Notice<'_>) + Send + Sync>;
