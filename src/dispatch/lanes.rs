//! Lanes: whose turn is it? Sans-io: values in, decisions out; no clock, no thread, no store.
//!
//! A lane holds the deliveries of one call to one subscription (or a single delivery, where no
//! order is kept). A lane is serial: at most one of its deliveries is under way. Its next is the
//! earliest in sequence that is due; one that has failed and waits to be tried again holds back
//! those behind it until `hold` after its first failure, and is then passed: what passes names it.
//!
//! Always:
//! - of one call, a later delivery is never handed out while an earlier one is under way, or while
//!   an earlier one is owed whose hold has not ended;
//! - a subscription never has more under way than its `max_in_flight`, nor begins more in a second
//!   than its `rate_per_second`, and a disabled one begins nothing;
//! - subscriptions that could go on take turns.
//!
//! Two calls whose hashes agree share a lane, which costs them speed and nothing else.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{Hash as _, Hasher as _};
use std::time::Duration;

use crate::core::delivery::Delivery;
use crate::core::id::DeliveryId;
use crate::core::subscription::Ordering;
use crate::core::time::Timestamp;

use super::rate::Bucket;

/// What lanes need to know of a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// Whether deliveries flow.
    pub enabled: bool,
    /// Which order is kept.
    pub ordering: Ordering,
    /// How many may be under way at once, at least 1.
    pub max_in_flight: u32,
    /// How many may begin each second; `None` for any number.
    pub rate_per_second: Option<u32>,
}

/// A delivery whose turn it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// The delivery.
    pub delivery: Delivery,
    /// The earlier deliveries of its call that it passes, the oldest first.
    pub gap: Vec<DeliveryId>,
}

/// Which lane: the hash of a call, or the sequence number of a delivery that keeps no order.
type LaneKey = u64;

#[derive(Debug)]
struct Item {
    delivery: Delivery,
    /// Cancelled while it was under way: it goes when it is back.
    cancelled: bool,
}

/// Where a lane stands in its subscription's books.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
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
struct Lane {
    items: BTreeMap<u64, Item>,
    place: Place,
}

#[derive(Debug)]
struct Queue {
    terms: Terms,
    lanes: HashMap<LaneKey, Lane>,
    /// The lane of each delivery, by its sequence number.
    by_sequence: HashMap<u64, LaneKey>,
    /// The lanes that could go on, by the sequence number of their next: the oldest goes first.
    ready: BTreeMap<u64, LaneKey>,
    in_flight: u32,
    bucket: Bucket,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    Lane(u32, LaneKey),
    Rate(u32),
}

/// All lanes of all subscriptions, which go by their numbers here.
#[derive(Debug)]
pub struct Lanes {
    hold: Duration,
    queues: HashMap<u32, Queue>,
    /// Subscriptions that could begin a delivery now.
    runnable: BTreeSet<u32>,
    /// The subscription whose turn it was last.
    last: u32,
    timers: BTreeSet<(Timestamp, Timer)>,
    /// When deliveries stop being wanted.
    expiries: BTreeSet<(Timestamp, DeliveryId)>,
}

impl Lanes {
    /// No lanes; one that fails holds back those behind it for `hold`.
    pub fn new(hold: Duration) -> Self {
        Self {
            hold,
            queues: HashMap::new(),
            runnable: BTreeSet::new(),
            last: 0,
            timers: BTreeSet::new(),
            expiries: BTreeSet::new(),
        }
    }

    /// A subscription is new, or its terms have changed. A change of its ordering holds for what is
    /// owed from then on.
    pub fn put_subscription(&mut self, number: u32, terms: Terms, now: Timestamp) {
        let fresh = || Queue {
            terms,
            lanes: HashMap::new(),
            by_sequence: HashMap::new(),
            ready: BTreeMap::new(),
            in_flight: 0,
            bucket: Bucket::new(terms.rate_per_second, now),
        };
        let queue = self.queues.entry(number).or_insert_with(fresh);
        if queue.terms.rate_per_second != terms.rate_per_second {
            queue.bucket = Bucket::new(terms.rate_per_second, now);
        }
        queue.terms = terms;
        self.settle(number, now);
    }

    /// A subscription is gone, and what it was owed with it.
    pub fn remove_subscription(&mut self, number: u32) {
        self.runnable.remove(&number);
        let Some(queue) = self.queues.remove(&number) else { return };
        for (key, lane) in queue.lanes {
            if let Place::Waiting(at) = lane.place {
                self.timers.remove(&(at, Timer::Lane(number, key)));
            }
            for item in lane.items.values() {
                self.forget_expiry(&item.delivery);
            }
        }
    }

    /// A delivery is owed: a new one, or one that is to be tried again by hand. One that is under
    /// way already stays so.
    pub fn put(&mut self, delivery: Delivery, now: Timestamp) {
        let (number, sequence) = (delivery.id.subscription_number(), delivery.id.sequence());
        let Some(queue) = self.queues.get_mut(&number) else { return };
        let fresh = lane_key(queue.terms.ordering, &delivery);
        let key = *queue.by_sequence.entry(sequence).or_insert(fresh);
        let lane = queue.lanes.entry(key).or_insert_with(|| Lane { items: BTreeMap::new(), place: Place::Nowhere });
        if lane.place == Place::UnderWay(sequence) {
            return;
        }
        let expiry = delivery.expire_at.map(|at| (at, delivery.id));
        let before = lane.items.insert(sequence, Item { delivery, cancelled: false });
        if let Some(before) = before {
            self.forget_expiry(&before.delivery);
        }
        self.expiries.extend(expiry);
        self.place(number, key, now);
    }

    /// A delivery is no longer owed.
    pub fn cancel(&mut self, id: DeliveryId, now: Timestamp) {
        let Some((number, key)) = self.find(id) else { return };
        let Some(lane) = self.queues.get_mut(&number).and_then(|queue| queue.lanes.get_mut(&key)) else { return };
        if lane.place == Place::UnderWay(id.sequence()) {
            if let Some(item) = lane.items.get_mut(&id.sequence()) {
                item.cancelled = true;
            }
            return;
        }
        self.remove(number, key, id.sequence());
        self.place(number, key, now);
    }

    /// A delivery that was handed out is back, and stands as it says from now on.
    pub fn done(&mut self, after: Delivery, now: Timestamp) {
        let (number, sequence) = (after.id.subscription_number(), after.id.sequence());
        let Some((_, key)) = self.find(after.id) else { return };
        let Some(queue) = self.queues.get_mut(&number) else { return };
        let Some(lane) = queue.lanes.get_mut(&key) else { return };
        if lane.place != Place::UnderWay(sequence) {
            return;
        }
        lane.place = Place::Nowhere;
        queue.in_flight = queue.in_flight.saturating_sub(1);
        let cancelled = lane.items.get(&sequence).is_some_and(|item| item.cancelled);
        if after.state.is_owed() && !cancelled {
            lane.items.insert(sequence, Item { delivery: after, cancelled: false });
        } else {
            self.remove(number, key, sequence);
        }
        self.place(number, key, now);
    }

    /// The next delivery whose turn it is, if there is one; it is under way from now on.
    pub fn start(&mut self, now: Timestamp) -> Option<Start> {
        self.wake(now);
        let behind = self.runnable.range(self.last.saturating_add(1)..).next();
        let number = *behind.or_else(|| self.runnable.first())?;
        self.last = number;
        let queue = self.queues.get_mut(&number)?;
        let (listed, key) = queue.ready.pop_first()?;
        let lane = queue.lanes.get_mut(&key)?;
        // An earlier one may have come due since the lane was listed.
        let sequence = match next_of(lane, self.hold, now) {
            Next::Ready(sequence) => sequence,
            Next::Nothing | Next::At(_) => listed,
        };
        let gap = lane.items.range(..sequence).map(|(_, item)| item.delivery.id).collect();
        let delivery = lane.items.get(&sequence)?.delivery.clone();
        lane.place = Place::UnderWay(sequence);
        queue.in_flight += 1;
        queue.bucket.take(now);
        self.settle(number, now);
        Some(Start { delivery, gap })
    }

    /// The next delivery that is no longer wanted, if there is one. It leaves the lanes.
    pub fn expired(&mut self, now: Timestamp) -> Option<Delivery> {
        while let Some((at, id)) = self.expiries.first().copied() {
            if at > now {
                return None;
            }
            self.expiries.remove(&(at, id));
            let Some((number, key)) = self.find(id) else { continue };
            let lane = self.queues.get(&number).and_then(|queue| queue.lanes.get(&key));
            // One that is under way may arrive yet; its judgement knows what time it is.
            if lane.is_none_or(|lane| lane.place == Place::UnderWay(id.sequence())) {
                continue;
            }
            let delivery = self.remove(number, key, id.sequence());
            self.place(number, key, now);
            if delivery.is_some() {
                return delivery;
            }
        }
        None
    }

    /// When there is something to do again, if nothing happens before.
    pub fn next_wake(&self) -> Option<Timestamp> {
        let timer = self.timers.first().map(|(at, _)| *at);
        let expiry = self.expiries.first().map(|(at, _)| *at);
        timer.into_iter().chain(expiry).min()
    }

    /// Looks again at what waited for a time that has come.
    fn wake(&mut self, now: Timestamp) {
        while let Some((at, timer)) = self.timers.first().copied() {
            if at > now {
                return;
            }
            self.timers.remove(&(at, timer));
            match timer {
                Timer::Rate(number) => self.settle(number, now),
                Timer::Lane(number, key) => {
                    if let Some(lane) = self.queues.get_mut(&number).and_then(|queue| queue.lanes.get_mut(&key)) {
                        lane.place = Place::Nowhere;
                    }
                    self.place(number, key, now);
                }
            }
        }
    }

    /// Puts a lane where it belongs after something in it has changed.
    fn place(&mut self, number: u32, key: LaneKey, now: Timestamp) {
        let Some(queue) = self.queues.get_mut(&number) else { return };
        let Some(lane) = queue.lanes.get_mut(&key) else { return };
        match lane.place {
            Place::UnderWay(_) => return,
            Place::Ready(sequence) => drop(queue.ready.remove(&sequence)),
            Place::Waiting(at) => drop(self.timers.remove(&(at, Timer::Lane(number, key)))),
            Place::Nowhere => {}
        }
        lane.place = match next_of(lane, self.hold, now) {
            Next::Nothing => Place::Nowhere,
            Next::Ready(sequence) => {
                queue.ready.insert(sequence, key);
                Place::Ready(sequence)
            }
            Next::At(at) => {
                self.timers.insert((at, Timer::Lane(number, key)));
                Place::Waiting(at)
            }
        };
        if lane.items.is_empty() {
            queue.lanes.remove(&key);
        }
        self.settle(number, now);
    }

    /// Sees whether a subscription could begin a delivery now.
    fn settle(&mut self, number: u32, now: Timestamp) {
        let Some(queue) = self.queues.get_mut(&number) else { return };
        let wants = queue.terms.enabled && !queue.ready.is_empty() && queue.in_flight < queue.terms.max_in_flight;
        let free_at = queue.bucket.free_at(now);
        if wants && free_at <= now {
            self.runnable.insert(number);
            return;
        }
        self.runnable.remove(&number);
        if wants {
            self.timers.insert((free_at, Timer::Rate(number)));
        }
    }

    /// The lane of a delivery that is owed.
    fn find(&self, id: DeliveryId) -> Option<(u32, LaneKey)> {
        let number = id.subscription_number();
        let key = *self.queues.get(&number)?.by_sequence.get(&id.sequence())?;
        Some((number, key))
    }

    /// Takes a delivery out of its lane.
    fn remove(&mut self, number: u32, key: LaneKey, sequence: u64) -> Option<Delivery> {
        let queue = self.queues.get_mut(&number)?;
        queue.by_sequence.remove(&sequence);
        let item = queue.lanes.get_mut(&key)?.items.remove(&sequence)?;
        self.forget_expiry(&item.delivery);
        Some(item.delivery)
    }

    fn forget_expiry(&mut self, delivery: &Delivery) {
        if let Some(at) = delivery.expire_at {
            self.expiries.remove(&(at, delivery.id));
        }
    }
}

fn lane_key(ordering: Ordering, delivery: &Delivery) -> LaneKey {
    match ordering {
        Ordering::None => delivery.id.sequence(),
        Ordering::Call => {
            let mut hasher = DefaultHasher::new();
            delivery.call.hash(&mut hasher);
            hasher.finish()
        }
    }
}

/// What can be done in a lane.
enum Next {
    Nothing,
    /// This one can be handed out.
    Ready(u64),
    /// Nothing before this time.
    At(Timestamp),
}

/// The earliest in sequence that is due, past those whose hold has ended.
fn next_of(lane: &Lane, hold: Duration, now: Timestamp) -> Next {
    let mut wake: Option<Timestamp> = None;
    for (sequence, item) in &lane.items {
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

#[cfg(test)]
mod tests;
