//! What comes into memory: what is newly owed, as far as there is room, and what is read from the
//! store as the window drains.

use std::collections::BTreeSet;

use crate::core::delivery::Delivery;
use crate::core::time::Timestamp;

use super::Lanes;
use super::queue::{Inserted, Owed, Queue};
use super::values::{Standing, Wanted};

impl Lanes {
    /// A delivery is owed: a new one, or one that is to be tried again by hand. One that is under way already stays
    /// so: that attempt is the one that was asked for. It is taken into memory if there is room, and read later if not.
    pub fn put(&mut self, delivery: Delivery, now: Timestamp) {
        let (number, sequence, held) = (delivery.id.subscription_number(), delivery.id.sequence(), self.held);
        let Some(queue) = self.queues.get_mut(&number) else { return };
        match queue.owe(sequence, held) {
            Owed::Here => self.insert(delivery, now),
            Owed::Elsewhere => self.settle(number, now),
            Owed::Over => {}
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
            Some(Wanted { number: *number, after: queue.cursor(), most: queue.wanted(self.held)? })
        });
        asking.next()
    }

    /// Here is what was wanted: the first `most` that are owed above `after`, or all if there are fewer.
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
        self.settle(number, now);
    }

    /// Takes a delivery into memory, or changes it there.
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
            Inserted::UnderWay => return,
        };
        self.expiries.extend(expiry);
        self.place(number, key, now);
    }

    /// How a subscription stands.
    pub fn standing(&self, number: u32) -> Option<Standing> {
        self.queues.get(&number).map(Queue::standing)
    }
}
