//! What the dispatcher and the metrics are told of a group commit that is durable.

use std::sync::Arc;
use std::time::Duration;

use crate::core::delivery::Delivery;
use crate::core::id::{DeliveryId, SubscriptionId};
use crate::core::subscription::Subscription;

/// One group commit that is on the disk, for whoever measures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Committed {
    /// Events that were accepted.
    pub accepted: u64,
    /// Events that had been posted before, and were not stored again.
    pub repeated: u64,
    /// How long it took: deciding, writing, syncing.
    pub took: Duration,
    /// How long the sync alone took; `None` if there was nothing to write.
    pub synced: Option<Duration>,
}

/// What the committer tells the dispatcher, in the order in which it was made durable.
#[derive(Debug, Clone)]
pub enum StoreEvent {
    /// Newly owed, or owed again by hand.
    Owed(Vec<Delivery>),
    /// Created or changed; enabled and disabled included.
    Subscription(Arc<Subscription>),
    /// Deleted: what it was owed is no longer to be sent.
    Deleted(SubscriptionId),
    /// No longer to be sent.
    Cancelled(DeliveryId),
    /// A [`AttemptResult`] is on the disk.
    Finished(Delivery),
}
