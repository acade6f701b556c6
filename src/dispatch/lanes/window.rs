//! Deliveries entering memory: new ones as far as there is room, and those read from the store as the window drains.

use std::collections::BTreeSet;
use std::ops::Bound;

use crate::core::delivery::Delivery;
use crate::core::id::SubscriptionNumber;
use crate::core::time::Timestamp;

use super::Lanes;
use super::queue::{Inserted, Location, Queue};
use super::values::{Standing, Wanted};

impl Lanes {
    /// A delivery is outstanding: it is new, or retried by hand. If it is in flight already, that attempt serves the
    /// request. It enters memory if there is room, and is read later if not.
    pub fn put(&mut self, delivery: Delivery, now: Timestamp) {
        let (number, sequence, held) = (delivery.id.subscription_number(), delivery.id.sequence(), self.held);
        if let Some((_, past)) = self.departed.returning(number) {
            (past.last, past.outstanding) = (past.last.max(sequence), true);
        }
        let Some(queue) = self.queues.get_mut(&number) else { return };
        match queue.accept(sequence, held) {
            Location::Memory => self.insert(delivery, now),
            Location::Store => self.refresh(number, now),
            Location::Ended => {}
        }
    }

    /// The next read that the lanes want. Call until `None`, answering each with [`Lanes::read`] before the next
    /// call.
    pub fn wanted(&mut self) -> Option<Wanted> {
        self.reads = self.reads.wrapping_add(1);
        // The others must not starve.
        let others_first = self.reads.is_multiple_of(4);
        if let Some(wanted) = self.wanted_of(&self.eager, self.fed_eager).filter(|_| !others_first) {
            self.fed_eager = wanted.number;
            return Some(wanted);
        }
        let wanted = self.wanted_of(&self.unread, self.fed)?;
        self.fed = wanted.number;
        Some(wanted)
    }

    /// The next read for those in `set`, in round robin after `last`.
    fn wanted_of(&self, set: &BTreeSet<SubscriptionNumber>, last: SubscriptionNumber) -> Option<Wanted> {
        let behind = set.range((Bound::Excluded(last), Bound::Unbounded));
        let in_turn = behind.chain(set.range(..=last));
        // With little memory left, not every unread subscription may read more now.
        let mut requests = in_turn.filter_map(|number| {
            let queue = self.queues.get(number)?;
            Some(Wanted { number: *number, after: queue.cursor(), most: queue.wanted(self.held)? })
        });
        requests.next()
    }

    /// The result of a read: the first `most` outstanding deliveries above `after`, or all if there are fewer.
    pub fn read(&mut self, wanted: Wanted, found: Vec<Delivery>, now: Timestamp) {
        let Wanted { number, after, most } = wanted;
        let Some(queue) = self.queues.get_mut(&number) else { return };
        let last = found.last().filter(|_| found.len() >= most).map(|delivery| delivery.id.sequence());
        if !queue.advance(after, last) {
            return;
        }
        for mut delivery in found {
            let Some(queue) = self.queues.get_mut(&number) else { return };
            if queue.takes(&mut delivery, now) {
                self.insert(delivery, now);
            }
        }
        self.refresh(number, now);
    }

    /// Inserts or updates a delivery in memory.
    fn insert(&mut self, delivery: Delivery, now: Timestamp) {
        let number = delivery.id.subscription_number();
        let expiry = delivery.expire_at.map(|at| (at, delivery.id));
        let Some(queue) = self.queues.get_mut(&number) else { return };
        let key = match queue.insert(delivery) {
            Inserted::New(key) => {
                self.held += 1;
                key
            }
            Inserted::Changed(key, before) => {
                self.forget_expiry(&before);
                key
            }
            Inserted::InFlight => return,
        };
        self.expiries.extend(expiry);
        self.place(number, key, now);
    }

    /// A subscription's state.
    pub fn standing(&self, number: SubscriptionNumber) -> Option<Standing> {
        self.queues.get(&number).map(Queue::standing)
    }
}
