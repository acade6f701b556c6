//! The end of deliveries, which the lanes learn twice: from the sender immediately, and from the store once durable.
//!
//! `unrecorded` counts how far the former is ahead of the latter.

use crate::core::delivery::Delivery;
use crate::core::id::{DeliveryId, SubscriptionNumber};
use crate::core::time::Timestamp;

use super::Lanes;
use super::circuit_breaker::{Seen, Transition};
use super::concurrency_limit::Proof;
use super::lane::{LaneKey, Update};

impl Lanes {
    /// A delivery is no longer outstanding.
    pub fn cancel(&mut self, id: DeliveryId, now: Timestamp) {
        let Some((number, key)) = self.find(id) else { return };
        if !self.note_in_flight(number, key, id.sequence(), Update::Ended) {
            self.remove(number, key, id.sequence());
            self.place(number, key, now);
        }
    }

    /// An attempt of a subscription that has left was never made.
    pub fn withdraw(&mut self, number: SubscriptionNumber, now: Timestamp) {
        if self.departed.has_attempt(number) {
            self.departed.ended(number);
            self.departed.recorded(number);
            self.share.give_back(Proof::Quick, 1);
            self.unrecorded = self.unrecorded.saturating_sub(1);
            self.settle(number, now);
        }
    }

    /// Records an update of a delivery if it is in flight; returns whether it is.
    fn note_in_flight(&mut self, number: SubscriptionNumber, key: LaneKey, sequence: u64, update: Update) -> bool {
        self.queues.get_mut(&number).is_some_and(|queue| queue.note_in_flight(key, sequence, update))
    }

    /// Ends an attempt; the delivery's state is now `after`. `seen` is what the attempt says about the receiver;
    /// `chance` in [0, 1) spreads the probes of one that is down. Returns whether the receiver went down or
    /// recovered.
    pub fn done(&mut self, after: Delivery, seen: Seen, now: Timestamp, chance: f64) -> Option<Transition> {
        let (number, sequence) = (after.id.subscription_number(), after.id.sequence());
        if self.departed.has_attempt(number) {
            self.departed.ended(number);
            self.share.give_back(Proof::Quick, 1);
            self.settle(number, now);
            return None;
        }
        let queue = self.queues.get_mut(&number)?;
        let key = queue.lane_of(sequence)?;
        match queue.take_back(key, after, seen.wait.is_some())?.stays {
            Some(delivery) => self.replace(number, key, delivery),
            None => drop(self.remove(number, key, sequence)),
        }
        let transition = self.judge(number, key, sequence, seen, now, chance);
        self.place(number, key, now);
        transition
    }

    /// The result of an attempt or expiry is durable; `after` is the delivery as stored.
    pub fn recorded(&mut self, after: Delivery, now: Timestamp) {
        self.unrecorded = self.unrecorded.saturating_sub(1);
        let (id, outstanding) = (after.id, after.state.is_owed());
        let (number, sequence) = (id.subscription_number(), id.sequence());
        let Some(queue) = self.queues.get_mut(&number) else {
            self.departed.recorded(number);
            return self.settle(number, now);
        };
        let ahead = queue.recorded(sequence);
        if ahead > 0 {
            return;
        }
        let Some(key) = queue.lane_of(sequence) else {
            // It has ended for the lanes, and was requested again before that was recorded.
            if outstanding {
                self.put(after, now);
            }
            return;
        };
        let attempts = after.attempts;
        let update = if outstanding { Update::Requested(Box::new(after)) } else { Update::Ended };
        if (ahead < 0 || !outstanding) && self.note_in_flight(number, key, sequence, update) {
            return;
        }
        if !outstanding {
            self.remove(number, key, sequence);
        } else if let Some(queue) = self.queues.get_mut(&number) {
            queue.had_attempts(key, sequence, attempts);
        }
        self.place(number, key, now);
    }

    fn replace(&mut self, number: SubscriptionNumber, key: LaneKey, delivery: Delivery) {
        let expiry = delivery.expire_at.map(|at| (at, delivery.id));
        let before = self.queues.get_mut(&number).and_then(|queue| queue.replace(key, delivery));
        if let Some(before) = before {
            self.forget_expiry(&before);
            self.expiries.extend(expiry);
        }
    }

    /// Evaluates what an ended attempt says about its receiver.
    fn judge(
        &mut self,
        number: SubscriptionNumber,
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
        judged.transition
    }

    /// The next expired delivery, if any; it leaves the lanes.
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
