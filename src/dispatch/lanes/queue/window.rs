//! The in-memory window of a queue: what enters, leaves, and must be read from the store.

use super::Queue;
use crate::core::delivery::Delivery;
use crate::core::time::Timestamp;
use crate::dispatch::lanes::concurrency_limit::Proof;
use crate::dispatch::lanes::lane::{
    Item, Lane, LaneKey, Place, Update, is_forgiven, lane_key, may_have_retry_after, merged,
};
use crate::dispatch::lanes::values::Bounds;

/// The result of an insertion.
pub(in crate::dispatch::lanes) enum Inserted {
    /// New in this lane.
    New(LaneKey),
    /// Already in this lane, in this previous state.
    Changed(LaneKey, Box<Delivery>),
    /// In flight; that attempt serves the request.
    InFlight,
}

/// Where an outstanding delivery belongs.
pub(in crate::dispatch::lanes) enum Location {
    /// In memory.
    Memory,
    /// In the store, to be read later.
    Store,
    /// Nowhere: it has ended, and the store does not know yet.
    Ended,
}

impl Queue {
    /// A delivery is outstanding. Returns where it belongs, with `held` deliveries in memory in total.
    pub(in crate::dispatch::lanes) fn accept(&mut self, sequence: u64, held: usize) -> Location {
        // Of one before it that another process accepted, the lanes may not have heard yet: it is read with that one.
        let all_here = self.cursor >= self.tail && sequence <= self.tail + 1;
        self.tail = self.tail.max(sequence);
        if self.unrecorded.is_over(sequence) {
            return Location::Ended;
        }
        let room = self.has_room(held);
        if self.by_sequence.contains_key(&sequence) {
            Location::Memory
        } else if sequence <= self.cursor {
            if room {
                Location::Memory
            } else {
                self.cursor = sequence - 1;
                Location::Store
            }
        } else if all_here && room {
            self.cursor = sequence;
            Location::Memory
        } else {
            Location::Store
        }
    }

    /// Inserts or updates a delivery; its lane must be placed afterwards. If it is in flight, only the request is
    /// noted.
    pub(in crate::dispatch::lanes) fn insert(&mut self, delivery: Delivery) -> Inserted {
        let sequence = delivery.id.sequence();
        let fresh = lane_key(self.terms.ordering, &delivery);
        let key = *self.by_sequence.entry(sequence).or_insert(fresh);
        let lane = self.lanes.entry(key).or_insert_with(Lane::new);
        let Some(item) = lane.items.get_mut(&sequence) else {
            lane.items.insert(sequence, Item::new(delivery));
            return Inserted::New(key);
        };
        if lane.place == Place::InFlight(sequence) {
            item.update = Update::Requested(Box::new(delivery));
            return Inserted::InFlight;
        }
        let after = if self.unrecorded.contains(sequence) {
            // The store does not know its last attempt yet.
            Delivery { due: item.delivery.due.min(delivery.due), ..merged(item.delivery.clone(), &delivery) }
        } else {
            delivery
        };
        Inserted::Changed(key, Box::new(std::mem::replace(&mut item.delivery, after)))
    }

    /// Outstanding deliveries above `after` were read, up to `last` or all of them. Returns whether the read was
    /// still wanted.
    pub(in crate::dispatch::lanes) fn advance(&mut self, after: u64, last: Option<u64>) -> bool {
        if self.cursor != after {
            return false;
        }
        self.cursor = last.map_or(self.tail, |last| last.min(self.tail));
        true
    }

    /// Whether a delivery that was read belongs in memory; may make it due earlier than stored.
    pub(in crate::dispatch::lanes) fn takes(&mut self, delivery: &mut Delivery, now: Timestamp) -> bool {
        let sequence = delivery.id.sequence();
        // Above the tail it is not durable yet; a notification follows.
        if sequence > self.tail || self.unrecorded.is_over(sequence) || self.by_sequence.contains_key(&sequence) {
            return false;
        }
        let failed = delivery.first_failed_at.zip(self.failing_since).is_some_and(|(at, since)| at >= since);
        if failed {
            self.stall(sequence, may_have_retry_after(delivery));
        }
        if self.forgiving && is_forgiven(delivery) {
            // Not tried since the subscription was enabled, or it would be in memory.
            delivery.due = delivery.due.min(now);
        }
        true
    }

    /// The number of flowing deliveries wanted in memory, with `held` in total.
    fn window(&self, held: usize) -> usize {
        let Bounds { window, least, most_of_all, .. } = self.bounds;
        if self.breaker.is_open() || held >= most_of_all {
            return least;
        }
        (if self.concurrency.proof() == Proof::Unproven { least } else { window }).max(4 * self.limit() as usize)
    }

    /// The number of deliveries that could start if there were threads for all.
    pub(in crate::dispatch::lanes) fn need(&self) -> usize {
        let elsewhere = usize::try_from(self.tail.saturating_sub(self.cursor)).unwrap_or(usize::MAX);
        self.ready.len().saturating_add(elsewhere)
    }

    /// Whether one more delivery fits in memory, with `held` in total.
    fn has_room(&self, held: usize) -> bool {
        let Bounds { least, most, most_of_all, .. } = self.bounds;
        let most = if held >= most_of_all { least } else { most };
        self.flowing < self.window(held) && self.by_sequence.len() < most
    }

    /// The number of deliveries to read from the store, with `held` in memory in total.
    pub(in crate::dispatch::lanes) fn wanted(&self, held: usize) -> Option<usize> {
        if !self.terms.enabled || self.cursor >= self.tail {
            return None;
        }
        let (window, total) = (self.window(held), self.by_sequence.len());
        let behind_cursor = self.ready.first_key_value().is_some_and(|(sequence, _)| *sequence > self.cursor);
        if behind_cursor && total < 2 * self.bounds.most {
            // Deliveries that could start wait for one that is not in memory: read regardless of limits.
            return Some(self.bounds.least);
        }
        let most = if held >= self.bounds.most_of_all { self.bounds.window } else { self.bounds.most };
        if self.flowing * 2 > window || total >= most {
            return None;
        }
        Some((window - self.flowing).min(most - total).max(1))
    }

    /// Removes a delivery from its lane; the lane must be placed afterwards.
    pub(in crate::dispatch::lanes) fn remove(&mut self, key: LaneKey, sequence: u64) -> Option<Delivery> {
        self.by_sequence.remove(&sequence);
        Some(self.lanes.get_mut(&key)?.items.remove(&sequence)?.delivery)
    }

    /// Updates a delivery in memory. Returns its previous state.
    pub(in crate::dispatch::lanes) fn replace(&mut self, key: LaneKey, delivery: Delivery) -> Option<Delivery> {
        let item = self.item(key, delivery.id.sequence())?;
        Some(std::mem::replace(&mut item.delivery, delivery))
    }
}
