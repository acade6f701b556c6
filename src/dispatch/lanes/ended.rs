//! The end of deliveries, of which the lanes are told twice: by the sender, at once, and by the store, once it is
//! durable.
//!
//! `unrecorded` counts how far the first is ahead of the second.

use crate::core::delivery::Delivery;
use crate::core::id::DeliveryId;
use crate::core::time::Timestamp;

use super::Lanes;
use super::circuit_breaker::{Seen, Transition};
use super::concurrency_limit::Proof;
use super::lane::{Heard, LaneKey};

impl Lanes {
    /// A delivery is no longer owed.
    pub fn cancel(&mut self, id: DeliveryId, now: Timestamp) {
        let Some((number, key)) = self.find(id) else { return };
        if !self.note_under_way(number, key, id.sequence(), Heard::Over) {
            self.remove(number, key, id.sequence());
            self.place(number, key, now);
        }
    }

    /// Notes what was heard of a delivery if it is under way; whether it is.
    fn note_under_way(&mut self, number: u32, key: LaneKey, sequence: u64, heard: Heard) -> bool {
        self.queues.get_mut(&number).is_some_and(|queue| queue.note_under_way(key, sequence, heard))
    }

    /// A delivery that was handed out is back, and stands as `after` says from now on. `seen` is what
    /// its attempt says of the receiver; `chance` (0 up to 1) spreads the questions to one that is
    /// down. Tells whether it goes down or is back by this.
    pub fn done(&mut self, after: Delivery, seen: Seen, now: Timestamp, chance: f64) -> Option<Transition> {
        let (number, sequence) = (after.id.subscription_number(), after.id.sequence());
        let Some(queue) = self.queues.get_mut(&number) else {
            if self.orphans > 0 {
                self.orphans -= 1;
                self.share.give_back(Proof::Quick, 1);
            }
            return None;
        };
        let key = queue.lane_of(sequence)?;
        match queue.take_back(key, after, seen.wait.is_some())?.stays {
            Some(delivery) => self.replace(number, key, delivery),
            None => drop(self.remove(number, key, sequence)),
        }
        let turn = self.judge(number, key, sequence, seen, now, chance);
        self.place(number, key, now);
        turn
    }

    /// How an attempt or an expiry ended is on the disk, with its delivery as the store has it now.
    pub fn recorded(&mut self, after: Delivery, now: Timestamp) {
        self.unrecorded = self.unrecorded.saturating_sub(1);
        let (id, owed) = (after.id, after.state.is_owed());
        let (number, sequence) = (id.subscription_number(), id.sequence());
        let Some(queue) = self.queues.get_mut(&number) else { return };
        let ahead = queue.recorded(sequence);
        if ahead > 0 {
            return;
        }
        let Some(key) = queue.lane_of(sequence) else {
            // It is over as the lanes know, and was asked for before that was recorded.
            if owed {
                self.put(after, now);
            }
            return;
        };
        let attempts = after.attempts;
        let heard = if owed { Heard::Owed(Box::new(after)) } else { Heard::Over };
        if (ahead < 0 || !owed) && self.note_under_way(number, key, sequence, heard) {
            return;
        }
        if !owed {
            self.remove(number, key, sequence);
        } else if let Some(queue) = self.queues.get_mut(&number) {
            queue.had_attempts(key, sequence, attempts);
        }
        self.place(number, key, now);
    }

    /// A delivery in memory stands as `delivery` says from now on.
    fn replace(&mut self, number: u32, key: LaneKey, delivery: Delivery) {
        let expiry = delivery.expire_at.map(|at| (at, delivery.id));
        let before = self.queues.get_mut(&number).and_then(|queue| queue.replace(key, delivery));
        if let Some(before) = before {
            self.forget_expiry(&before);
            self.expiries.extend(expiry);
        }
    }

    /// What an attempt that ended says of its receiver.
    fn judge(
        &mut self,
        number: u32,
        key: LaneKey,
        sequence: u64,
        seen: Seen,
        now: Timestamp,
        chance: f64,
    ) -> Option<Transition> {
        let judged = self.queues.get_mut(&number)?.judge(key, sequence, seen, now, chance);
        self.share.give_back(judged.before, 1);
        self.share.change(judged.before, judged.after, judged.others);
        for sequence in judged.due {
            self.make_due(number, sequence, now);
        }
        judged.turn
    }

    /// The next delivery that is no longer wanted, if there is one. It leaves the lanes.
    pub fn expired(&mut self, now: Timestamp) -> Option<Delivery> {
        if self.unrecorded >= self.rules.unrecorded {
            return None;
        }
        while let Some((at, id)) = self.expiries.first().copied() {
            if at > now {
                return None;
            }
            self.expiries.remove(&(at, id));
            let Some((number, key)) = self.find(id) else { continue };
            let Some(queue) = self.queues.get_mut(&number) else { continue };
            if !queue.expire(key, id.sequence()) {
                continue;
            }
            self.unrecorded += 1;
            let delivery = self.remove(number, key, id.sequence());
            self.place(number, key, now);
            if delivery.is_some() {
                return delivery;
            }
        }
        None
    }
}
