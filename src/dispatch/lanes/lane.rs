//! One lane: the deliveries of one call to one subscription, in order, and what can start next.

use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};
use std::time::Duration;

use crate::core::delivery::Delivery;
use crate::core::id::DeliveryId;
use crate::core::subscription::Ordering;
use crate::core::time::Timestamp;

/// The hash of a call, or the sequence number of a delivery without order.
pub(super) type LaneKey = u64;

/// Maximum number of passed deliveries named, oldest first: header size is bounded.
pub(super) const NAMED_MOST: usize = 32;

#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub(super) struct Item {
    pub(super) delivery: Delivery,
    /// The last update received while it was in flight.
    pub(super) update: Update,
}

impl Item {
    pub(super) const fn new(delivery: Delivery) -> Self {
        Self { delivery, update: Update::Nothing }
    }
}

/// The last update of a delivery received since its attempt began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Update {
    Nothing,
    /// Requested again.
    Requested(Box<Delivery>),
    /// No longer outstanding: removed when the attempt ends.
    Ended,
}

/// Where a lane is registered in its queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Nowhere: nothing in it can start, or it has not been examined.
    Nowhere,
    /// Among the ready lanes, under the sequence number of its next.
    Ready(u64),
    /// Among the timers.
    Waiting(Timestamp),
    /// This delivery is in flight.
    InFlight(u64),
}

#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub(super) struct Lane {
    pub(super) items: BTreeMap<u64, Item>,
    pub(super) place: Place,
    /// How many of its deliveries count as flowing.
    pub(super) flowing: usize,
}

/// What can start in a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    Nothing,
    /// This delivery can start.
    Ready(u64),
    /// Nothing before this time.
    At(Timestamp),
}

impl Lane {
    pub(super) const fn new() -> Self {
        Self { items: BTreeMap::new(), place: Place::Nowhere, flowing: 0 }
    }

    /// The earliest in sequence that is due, past those whose hold has ended.
    pub(super) fn next(&self, hold: Duration, now: Timestamp) -> Next {
        let mut wake: Option<Timestamp> = None;
        for (sequence, item) in &self.items {
            let delivery = &item.delivery;
            if delivery.due <= now {
                return Next::Ready(*sequence);
            }
            let hold_ends = delivery.first_failed_at.map(|failed| failed.plus(hold));
            let at = hold_ends.filter(|ends| *ends > now).map_or(delivery.due, |ends| ends.min(delivery.due));
            wake = Some(wake.map_or(at, |wake| wake.min(at)));
            if hold_ends.is_none_or(|ends| ends > now) {
                break;
            }
        }
        wake.map_or(Next::Nothing, Next::At)
    }

    /// The earlier deliveries that `sequence` passes, oldest first.
    pub(super) fn passed_by(&self, sequence: u64) -> Vec<DeliveryId> {
        self.items.range(..sequence).take(NAMED_MOST).map(|(_, item)| item.delivery.id).collect()
    }
}

pub(super) fn lane_key(ordering: Ordering, delivery: &Delivery) -> LaneKey {
    match ordering {
        Ordering::None => delivery.id.sequence(),
        Ordering::Call => {
            let mut hasher = DefaultHasher::new();
            delivery.call.hash(&mut hasher);
            hasher.finish()
        }
    }
}

/// Whether a delivery that waits for a retry becomes due when its subscription is enabled: it failed, and the
/// receiver did not ask for the delay.
pub(super) fn is_forgiven(delivery: &Delivery) -> bool {
    delivery.first_failed_at.is_some() && !may_have_retry_after(delivery)
}

/// Whether the last response may have carried `Retry-After`. Whether it did is not stored.
pub(super) const fn may_have_retry_after(delivery: &Delivery) -> bool {
    matches!(delivery.last_response, Some(429 | 503))
}

/// Merges `after`, the state after the last attempt, with `outstanding`, a request made before the store knew of that
/// attempt.
pub(super) fn merged(after: Delivery, outstanding: &Delivery) -> Delivery {
    Delivery {
        give_up_at: outstanding.give_up_at,
        expire_at: outstanding.expire_at,
        replay: outstanding.replay,
        ..after
    }
}
