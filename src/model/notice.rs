//! Notifications to the dispatcher and the metrics about a durable group commit.

use std::sync::Arc;
use std::time::Duration;

use crate::core::delivery::Delivery;
use crate::core::id::{DeliveryId, SubscriptionId};
use crate::core::shards::Ownership;
use crate::core::subscription::Subscription;

/// Measurements of a durable group commit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Committed {
    /// The number of accepted events.
    pub accepted: u64,
    /// The number of events posted again, which were not stored.
    pub repeated: u64,
    /// The duration: deciding, writing and syncing.
    pub took: Duration,
    /// The duration of the sync; `None` if there was nothing to write.
    pub synced: Option<Duration>,
}

/// What the writer reports to the dispatcher, in the order in which it became durable.
#[derive(Debug, Clone)]
pub enum StoreEvent {
    /// New pending deliveries, or requeued ones.
    Owed(Vec<Delivery>),
    /// Created or changed, which includes enabling and disabling.
    Subscription(Arc<Subscription>),
    /// Deleted: its deliveries are no longer sent.
    Deleted(SubscriptionId),
    /// No longer to be sent.
    Cancelled(DeliveryId),
    /// This process now owns these shards, and sends for no other subscriptions.
    Owned(Ownership),
    /// An [`AttemptResult`](crate::model::command::AttemptResult) is durable.
    Finished(Delivery),
}
