//! What comes into memory: what is newly owed, as far as there is room, and what is read from the
//! store as the window drains.

use std::collections::BTreeSet;

use crate::core::delivery::Delivery;
use crate::core::time::Timestamp;

use super::lane::{Heard, Item, Lane, Place, lane_key};
use super::{Lanes, Standing, Wanted, ended, is_forgiven, may_have_asked};

impl Lanes {
    /// A delivery is owed: a new one, or one that is to be tried again by hand. One that is under way already stays
    /// so: that attempt is the one that was asked for. It is taken into memory if there is room, and read later if not.
    pub fn put(&mut self, delivery: Delivery, now: Timestamp) {
        let (number, sequence, held) = (delivery.id.subscription_number(), delivery.id.sequence(), self.held);
        let Some(queue) = self.queues.get_mut(&number) else { return };
        let all_here = queue.cursor >= queue.tail;
        queue.tail = queue.tail.max(sequence);
        if queue.is_over(sequence) {
            return;
        }
        let known = queue.by_sequence.contains_key(&sequence);
        let room = queue.has_room(held);
        if known {
            self.insert(delivery, now);
        } else if sequence <= queue.cursor {
            if room {
                self.insert(delivery, now);
            } else {
                queue.cursor = sequence - 1;
                self.settle(number, now);
            }
        } else if all_here && room {
            queue.cursor = sequence;
            self.insert(delivery, now);
        } else {
            self.settle(number, now);
        }
    }

    /// What the lanes want to be read next, if they want anything. Ask until it is `None`, and bring
    /// each with [`Lanes::read`] before asking again.
    pub fn wanted(&mut self) -> Option<Wanted> {
        self.reads = self.reads.wrapping_add(1);
        // The others are not to wait for ever.
        let others_first = self.reads.is_multiple_of(4);
        if let Some(wanted) = self.wanted_of(&self.eager, self.fed_eager).filter(|_| !others_first) {
            self.fed_eager = wanted.number;
            return Some(wanted);
        }
        let wanted = self.wanted_of(&self.hungry, self.fed)?;
        self.fed = wanted.number;
        Some(wanted)
    }

    /// What those in `set` want, in turn; `last` had it last.
    fn wanted_of(&self, set: &BTreeSet<u32>, last: u32) -> Option<Wanted> {
        let behind = set.range(last.saturating_add(1)..);
        let in_turn = behind.chain(set.range(..=last));
        // Where memory is short, not all that are hungry may have more now.
        let mut asking = in_turn.filter_map(|number| {
            let queue = self.queues.get(number)?;
            Some(Wanted { number: *number, after: queue.cursor, most: queue.wanted(self.held)? })
        });
        asking.next()
    }

    /// Here is what was wanted: the first `most` that are owed above `after`, or all if there are fewer.
    pub fn read(&mut self, wanted: Wanted, found: Vec<Delivery>, now: Timestamp) {
        let Wanted { number, after, most } = wanted;
        let Some(queue) = self.queues.get_mut(&number) else { return };
        if queue.cursor != after {
            return;
        }
        let last = found.last().filter(|_| found.len() >= most).map(|delivery| delivery.id.sequence());
        queue.cursor = last.map_or(queue.tail, |last| last.min(queue.tail));
        for mut delivery in found {
            let Some(queue) = self.queues.get_mut(&number) else { return };
            let sequence = delivery.id.sequence();
            // What is above the tail is not on the disk yet; it will be told of.
            if sequence > queue.tail || queue.is_over(sequence) || queue.by_sequence.contains_key(&sequence) {
                continue;
            }
            let failed = delivery.first_failed_at.zip(queue.failing_since).is_some_and(|(at, since)| at >= since);
            if failed {
                queue.stall(sequence, may_have_asked(&delivery));
            }
            if queue.forgiving && is_forgiven(&delivery) {
                // It has not been tried since it was enabled: then it would be in memory.
                delivery.due = delivery.due.min(now);
            }
            self.insert(delivery, now);
        }
        self.settle(number, now);
    }

    /// Takes a delivery into memory, or changes it there.
    fn insert(&mut self, delivery: Delivery, now: Timestamp) {
        let (number, sequence) = (delivery.id.subscription_number(), delivery.id.sequence());
        let Some(queue) = self.queues.get_mut(&number) else { return };
        let fresh = lane_key(queue.terms.ordering, &delivery);
        let key = *queue.by_sequence.entry(sequence).or_insert(fresh);
        let lane = queue.lanes.entry(key).or_insert_with(Lane::new);
        let before = lane.items.get_mut(&sequence);
        if let Some(item) = before {
            if lane.place == Place::UnderWay(sequence) {
                item.heard = Heard::Owed(Box::new(delivery));
                return;
            }
            let due = delivery.due;
            let delivery = if queue.unrecorded.contains_key(&sequence) {
                // The store does not know of its last attempt yet.
                Delivery { due: item.delivery.due.min(due), ..ended::asked_for(item.delivery.clone(), &delivery) }
            } else {
                delivery
            };
            self.replace(number, key, delivery);
        } else {
            self.expiries.extend(delivery.expire_at.map(|at| (at, delivery.id)));
            lane.items.insert(sequence, Item::new(delivery));
            self.held += 1;
        }
        self.place(number, key, now);
    }

    /// How a subscription stands.
    pub fn standing(&self, number: u32) -> Option<Standing> {
        let queue = self.queues.get(&number)?;
        Some(Standing {
            condition: queue.condition(),
            next_try: queue.gate.next(),
            in_flight: u32::try_from(queue.under_way.len()).unwrap_or(u32::MAX),
            limit: queue.limit(),
            held: queue.by_sequence.len(),
        })
    }
}
