//! One lane: the deliveries of one call to one subscription, in order, and what can be done in it.

use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};
use std::time::Duration;

use crate::core::delivery::Delivery;
use crate::core::id::DeliveryId;
use crate::core::subscription::Ordering;
use crate::core::time::Timestamp;

/// Which lane: the hash of a call, or the sequence number of a delivery that keeps no order.
pub(super) type LaneKey = u64;

/// How many passed deliveries are named at most, the oldest first: a header has an end.
pub(super) const NAMED_MOST: usize = 32;

#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub(super) struct Item {
    pub(super) delivery: Delivery,
    /// What was heard of it while it was under way.
    pub(super) heard: Heard,
}

impl Item {
    pub(super) const fn new(delivery: Delivery) -> Self {
        Self { delivery, heard: Heard::Nothing }
    }
}

/// What was heard last, since an attempt began, of a delivery that is under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Heard {
    Nothing,
    /// It was asked for again.
    Owed(Box<Delivery>),
    /// It is no longer owed: it goes when it is back.
    Over,
}

/// Where a lane stands in its subscription's books.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Nowhere: nothing in it can be done, or it has not been looked at.
    Nowhere,
    /// Among those that could go on, under the sequence number of its next.
    Ready(u64),
    /// Among the timers.
    Waiting(Timestamp),
    /// One of its deliveries, this one, is under way.
    UnderWay(u64),
}

#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub(super) struct Lane {
    pub(super) items: BTreeMap<u64, Item>,
    pub(super) place: Place,
    /// How many of its deliveries are counted among those that flow.
    pub(super) flowing: usize,
}

/// What can be done in a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    Nothing,
    /// This one can be handed out.
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

    /// The earlier deliveries that `sequence` passes, the oldest first.
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

/// Whether a delivery that waits to be tried again is due at once when its subscription is enabled: it failed, and
/// the receiver did not ask for the delay.
pub(super) fn is_forgiven(delivery: &Delivery) -> bool {
    delivery.first_failed_at.is_some() && !may_have_asked(delivery)
}

/// Whether the last answer is one with which a receiver may say when it wants to be asked again. Whether it did is not
/// kept.
pub(super) const fn may_have_asked(delivery: &Delivery) -> bool {
    matches!(delivery.last_response, Some(429 | 503))
}

/// `after`, how a delivery stands after its last attempt, with what `owed` says, by which it was asked for before the
/// store knew of that attempt.
pub(super) fn asked_for(after: Delivery, owed: &Delivery) -> Delivery {
    Delivery { give_up_at: owed.give_up_at, expire_at: owed.expire_at, replay: owed.replay, ..after }
}
