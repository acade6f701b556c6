//! What of a queue is in memory: what comes in, goes out, and is to be read from the store.

use super::Queue;
use crate::core::delivery::Delivery;
use crate::core::time::Timestamp;
use crate::dispatch::lanes::concurrency_limit::Proof;
use crate::dispatch::lanes::lane::{
    Heard, Item, Lane, LaneKey, Place, asked_for, is_forgiven, lane_key, may_have_asked,
};
use crate::dispatch::lanes::values::Bounds;

/// What became of a delivery that was to be in memory.
pub(in crate::dispatch::lanes) enum Inserted {
    /// It is new in this lane.
    New(LaneKey),
    /// It was in this lane already, and stood so before.
    Changed(LaneKey, Box<Delivery>),
    /// It is under way, and that attempt is the one that was asked for.
    UnderWay,
}

/// Where a delivery that is owed is to be.
pub(in crate::dispatch::lanes) enum Owed {
    /// In memory.
    Here,
    /// In the store, to be read later.
    Elsewhere,
    /// Nowhere: it has ended, and the store does not know yet.
    Over,
}

impl Queue {
    /// A delivery is owed. Tells whether it is to be in memory now, if there are `held` in all.
    pub(in crate::dispatch::lanes) fn owe(&mut self, sequence: u64, held: usize) -> Owed {
        let all_here = self.cursor >= self.tail;
        self.tail = self.tail.max(sequence);
        if self.unrecorded.is_over(sequence) {
            return Owed::Over;
        }
        let room = self.has_room(held);
        if self.by_sequence.contains_key(&sequence) {
            Owed::Here
        } else if sequence <= self.cursor {
            if room {
                Owed::Here
            } else {
                self.cursor = sequence - 1;
                Owed::Elsewhere
            }
        } else if all_here && room {
            self.cursor = sequence;
            Owed::Here
        } else {
            Owed::Elsewhere
        }
    }

    /// Takes a delivery into memory, or changes it there; its lane is to be placed afterwards. Of one that is under way
    /// it is only noted that it was asked for.
    pub(in crate::dispatch::lanes) fn insert(&mut self, delivery: Delivery) -> Inserted {
        let sequence = delivery.id.sequence();
        let fresh = lane_key(self.terms.ordering, &delivery);
        let key = *self.by_sequence.entry(sequence).or_insert(fresh);
        let lane = self.lanes.entry(key).or_insert_with(Lane::new);
        let Some(item) = lane.items.get_mut(&sequence) else {
            lane.items.insert(sequence, Item::new(delivery));
            return Inserted::New(key);
        };
        if lane.place == Place::UnderWay(sequence) {
            item.heard = Heard::Owed(Box::new(delivery));
            return Inserted::UnderWay;
        }
        let after = if self.unrecorded.contains(sequence) {
            // The store does not know of its last attempt yet.
            Delivery { due: item.delivery.due.min(delivery.due), ..asked_for(item.delivery.clone(), &delivery) }
        } else {
            delivery
        };
        Inserted::Changed(key, Box::new(std::mem::replace(&mut item.delivery, after)))
    }

    /// What is owed above `after` was read, up to `last`, or all there is. Tells whether it was to be read from there.
    pub(in crate::dispatch::lanes) fn advance(&mut self, after: u64, last: Option<u64>) -> bool {
        if self.cursor != after {
            return false;
        }
        self.cursor = last.map_or(self.tail, |last| last.min(self.tail));
        true
    }

    /// A delivery was read. Tells whether it is to be taken into memory; it may be due earlier than the store says.
    pub(in crate::dispatch::lanes) fn takes(&mut self, delivery: &mut Delivery, now: Timestamp) -> bool {
        let sequence = delivery.id.sequence();
        // What is above the tail is not on the disk yet; it will be told of.
        if sequence > self.tail || self.unrecorded.is_over(sequence) || self.by_sequence.contains_key(&sequence) {
            return false;
        }
        let failed = delivery.first_failed_at.zip(self.failing_since).is_some_and(|(at, since)| at >= since);
        if failed {
            self.stall(sequence, may_have_asked(delivery));
        }
        if self.forgiving && is_forgiven(delivery) {
            // It has not been tried since it was enabled: then it would be in memory.
            delivery.due = delivery.due.min(now);
        }
        true
    }

    /// How many deliveries that flow are wanted in memory, if there are `held` in all.
    fn window(&self, held: usize) -> usize {
        let Bounds { window, least, most_of_all, .. } = self.bounds;
        if self.breaker.is_open() || held >= most_of_all {
            return least;
        }
        (if self.concurrency.proof() == Proof::Unproven { least } else { window }).max(4 * self.limit() as usize)
    }

    /// How many deliveries could begin, as far as is known, if there were room for all.
    pub(in crate::dispatch::lanes) fn need(&self) -> usize {
        let elsewhere = usize::try_from(self.tail.saturating_sub(self.cursor)).unwrap_or(usize::MAX);
        self.ready.len().saturating_add(elsewhere)
    }

    /// Whether one more delivery may be taken into memory, if there are `held` in all.
    fn has_room(&self, held: usize) -> bool {
        let Bounds { least, most, most_of_all, .. } = self.bounds;
        let most = if held >= most_of_all { least } else { most };
        self.flowing < self.window(held) && self.by_sequence.len() < most
    }

    /// How many deliveries are to be read from the store, if there are `held` in memory in all.
    pub(in crate::dispatch::lanes) fn wanted(&self, held: usize) -> Option<usize> {
        if !self.terms.enabled || self.cursor >= self.tail {
            return None;
        }
        let (window, total) = (self.window(held), self.by_sequence.len());
        let behind_cursor = self.ready.first_key_value().is_some_and(|(sequence, _)| *sequence > self.cursor);
        if behind_cursor && total < 2 * self.bounds.most {
            // What could go on must wait for what is not in memory: that is to come, whatever there is.
            return Some(self.bounds.least);
        }
        let most = if held >= self.bounds.most_of_all { self.bounds.window } else { self.bounds.most };
        if self.flowing * 2 > window || total >= most {
            return None;
        }
        Some((window - self.flowing).min(most - total).max(1))
    }

    /// Takes a delivery out of its lane; the lane is to be placed afterwards.
    pub(in crate::dispatch::lanes) fn remove(&mut self, key: LaneKey, sequence: u64) -> Option<Delivery> {
        self.by_sequence.remove(&sequence);
        Some(self.lanes.get_mut(&key)?.items.remove(&sequence)?.delivery)
    }

    /// A delivery in memory stands as `delivery` says from now on. Gives how it stood before.
    pub(in crate::dispatch::lanes) fn replace(&mut self, key: LaneKey, delivery: Delivery) -> Option<Delivery> {
        let item = self.item(key, delivery.id.sequence())?;
        Some(std::mem::replace(&mut item.delivery, delivery))
    }
}
