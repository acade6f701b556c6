//! How deliveries end, and what is made of it that this is heard of twice: from the sender, at once, and from the store,
//! once it is on the disk.
//!
//! The lanes go on as soon as an attempt has ended. Until its record is heard of, the store lags behind what they know:
//! it may say that the delivery is owed, or say something of it that the record will change. So for each delivery it is
//! counted by how much the attempts that ended are ahead of their records. While they are, what the attempts said
//! holds; once they are even, what the store has said holds, whatever was heard before. Nothing depends on which of the
//! two is heard first: the count of a delivery may be negative for a while.

use crate::core::delivery::Delivery;
use crate::core::id::DeliveryId;
use crate::core::time::Timestamp;

use super::gate::{Kind, Seen, Turn};
use super::lane::{Heard, LaneKey, Place};
use super::pace::Proof;
use super::queue::Queue;
use super::{Lanes, lane_item};

/// By how much the attempts of a delivery are ahead of their records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unrecorded {
    /// How many attempts (or expiries) ended, less how many records were heard of; never 0.
    ahead: i32,
    /// Whether it is over, as the last of them says.
    over: bool,
}

impl Queue {
    /// Whether a delivery has ended, and the store may still say that it is owed.
    pub(super) fn is_over(&self, sequence: u64) -> bool {
        self.unrecorded.get(&sequence).is_some_and(|unrecorded| unrecorded.over && unrecorded.ahead > 0)
    }

    /// An attempt ended, or (`by` is -1) was recorded. Gives how far they are ahead now.
    fn count(&mut self, sequence: u64, by: i32) -> i32 {
        let unrecorded = self.unrecorded.entry(sequence).or_insert(Unrecorded { ahead: 0, over: false });
        unrecorded.ahead += by;
        let ahead = unrecorded.ahead;
        if ahead == 0 {
            self.unrecorded.remove(&sequence);
        }
        ahead
    }

    fn note_over(&mut self, sequence: u64, over: bool) {
        if let Some(unrecorded) = self.unrecorded.get_mut(&sequence) {
            unrecorded.over = over;
        }
    }

    /// Whether nothing is in memory or under way.
    #[cfg(test)]
    pub(super) fn is_at_rest(&self) -> bool {
        let here = self.by_sequence.is_empty() && self.lanes.is_empty() && self.ready.is_empty();
        here && self.unrecorded.is_empty() && self.under_way.is_empty() && self.flowing == 0
    }
}

/// `after`, how a delivery stands after its last attempt, with what `owed` says, by which it was asked for before the
/// store knew of that attempt.
pub(super) fn asked_for(after: Delivery, owed: &Delivery) -> Delivery {
    Delivery { give_up_at: owed.give_up_at, expire_at: owed.expire_at, replay: owed.replay, ..after }
}

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
        let Some(queue) = self.queues.get_mut(&number) else { return false };
        if queue.lanes.get(&key).is_none_or(|lane| lane.place != Place::UnderWay(sequence)) {
            return false;
        }
        if let Some(item) = lane_item(queue, key, sequence) {
            item.heard = heard;
        }
        true
    }

    /// A delivery that was handed out is back, and stands as `after` says from now on. `seen` is what
    /// its attempt says of the receiver; `chance` (0 up to 1) spreads the questions to one that is
    /// down. Tells whether it goes down or is back by this.
    pub fn done(&mut self, after: Delivery, seen: Seen, now: Timestamp, chance: f64) -> Option<Turn> {
        let (number, sequence) = (after.id.subscription_number(), after.id.sequence());
        let Some(queue) = self.queues.get_mut(&number) else {
            if self.orphans > 0 {
                self.orphans -= 1;
                self.share.give_back(Proof::Quick, 1);
            }
            return None;
        };
        let key = *queue.by_sequence.get(&sequence)?;
        let lane = queue.lanes.get_mut(&key)?;
        if lane.place != Place::UnderWay(sequence) {
            return None;
        }
        lane.place = Place::Nowhere;
        let item = lane.items.get_mut(&sequence)?;
        let heard = std::mem::replace(&mut item.heard, Heard::Nothing);
        let is_recorded = queue.count(sequence, 1) <= 0;
        let stays = match heard {
            Heard::Nothing => after.state.is_owed().then_some(after),
            Heard::Over => None,
            // It was asked for after all attempts that there were.
            Heard::Owed(owed) if is_recorded => Some(*owed),
            Heard::Owed(owed) => after.state.is_owed().then(|| asked_for(after, &owed)),
        };
        queue.note_over(sequence, stays.is_none());
        match stays {
            Some(delivery) => {
                queue.stall(sequence, seen.wait.is_some());
                self.replace(number, key, delivery);
            }
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
        let ahead = queue.count(sequence, -1);
        if ahead > 0 {
            return;
        }
        let Some(key) = queue.by_sequence.get(&sequence).copied() else {
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
        } else if let Some(item) = self.queues.get_mut(&number).and_then(|queue| lane_item(queue, key, sequence)) {
            item.delivery.attempts = item.delivery.attempts.max(attempts);
        }
        self.place(number, key, now);
    }

    /// A delivery in memory stands as `delivery` says from now on.
    pub(super) fn replace(&mut self, number: u32, key: LaneKey, delivery: Delivery) {
        let expiry = delivery.expire_at.map(|at| (at, delivery.id));
        let item = self.queues.get_mut(&number).and_then(|queue| lane_item(queue, key, delivery.id.sequence()));
        let Some(item) = item else { return };
        let before = std::mem::replace(&mut item.delivery, delivery);
        self.forget_expiry(&before);
        self.expiries.extend(expiry);
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
    ) -> Option<Turn> {
        let queue = self.queues.get_mut(&number)?;
        let before = queue.pace.proof();
        queue.under_way.end(sequence);
        let others = queue.under_way.len();
        self.share.give_back(before, 1);
        queue.pace.ended(seen, others, queue.terms.max_in_flight, now);
        self.share.change(before, queue.pace.proof(), others);
        let turn = queue.gate.ended(key, seen, others, now, chance);
        if turn.is_some() {
            queue.pace.restart(now);
        }
        if seen.kind != Kind::Success {
            return turn;
        }
        queue.failing_since = None;
        let stalled = std::mem::take(&mut queue.stalled);
        if turn == Some(Turn::Opened) {
            // They failed because it was down: now they are the first in order again.
            for sequence in stalled {
                self.make_due(number, sequence, now);
            }
        }
        turn
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
            let lane = queue.lanes.get(&key);
            // One that is under way may arrive yet; its judgement knows what time it is.
            if lane.is_none_or(|lane| lane.place == Place::UnderWay(id.sequence())) {
                continue;
            }
            queue.count(id.sequence(), 1);
            queue.note_over(id.sequence(), true);
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
