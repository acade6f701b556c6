//! The attempts of a queue: how they begin and end, and what they say of the receiver.

use super::Queue;
use crate::core::delivery::Delivery;
use crate::core::time::Timestamp;
use crate::dispatch::lanes::circuit_breaker::{Kind, Seen, Transition};
use crate::dispatch::lanes::concurrency_limit::Proof;
use crate::dispatch::lanes::lane::{Heard, LaneKey, Place, asked_for};
use crate::dispatch::lanes::values::Start;

/// How many deliveries are remembered that failed since the last success.
const STALLED_MOST: usize = 1024;

/// A delivery whose attempt has ended.
pub(in crate::dispatch::lanes) struct TakenBack {
    /// How it stays in memory, if it does.
    pub(in crate::dispatch::lanes) stays: Option<Delivery>,
}

/// What an attempt said of its receiver.
pub(in crate::dispatch::lanes) struct Judged {
    /// What was known of how quick it is, before and after.
    pub(in crate::dispatch::lanes) before: Proof,
    pub(in crate::dispatch::lanes) after: Proof,
    /// How many attempts are still under way.
    pub(in crate::dispatch::lanes) others: usize,
    /// Whether it goes down or is back by this.
    pub(in crate::dispatch::lanes) turn: Option<Transition>,
    /// What is due by this.
    pub(in crate::dispatch::lanes) due: Vec<u64>,
}

impl Queue {
    /// A delivery that waits to be tried again is due now. Gives its lane, which is to be placed.
    pub(in crate::dispatch::lanes) fn make_due(&mut self, sequence: u64, now: Timestamp) -> Option<LaneKey> {
        let key = self.lane_of(sequence)?;
        if let Some(item) = self.item(key, sequence) {
            item.delivery.due = item.delivery.due.min(now);
        }
        Some(key)
    }

    /// The delivery `sequence` of the lane that goes first is under way from now on.
    pub(in crate::dispatch::lanes) fn begin(&mut self, key: LaneKey, sequence: u64, now: Timestamp) -> Option<Start> {
        self.ready.pop_first();
        let lane = self.lanes.get_mut(&key)?;
        let start = Start { delivery: lane.items.get(&sequence)?.delivery.clone(), gap: lane.passed_by(sequence) };
        lane.place = Place::UnderWay(sequence);
        self.under_way.begin(sequence, now);
        self.concurrency.began(self.under_way.len());
        self.bucket.take(now);
        self.breaker.take(now);
        Some(start)
    }

    /// Notes what was heard of a delivery if it is under way; whether it is.
    pub(in crate::dispatch::lanes) fn note_under_way(&mut self, key: LaneKey, sequence: u64, heard: Heard) -> bool {
        let under_way = self.is_under_way(key, sequence);
        if under_way && let Some(item) = self.item(key, sequence) {
            item.heard = heard;
        }
        under_way
    }

    /// The attempt of a delivery has ended, which stands as `after` says from now on, and `asked` tells whether the
    /// receiver said when it is to come again. Gives how the delivery stays in memory; `None` if it was not under way.
    pub(in crate::dispatch::lanes) fn take_back(
        &mut self,
        key: LaneKey,
        after: Delivery,
        asked: bool,
    ) -> Option<TakenBack> {
        let sequence = after.id.sequence();
        if !self.is_under_way(key, sequence) {
            return None;
        }
        self.unplace(key);
        let heard = std::mem::replace(&mut self.item(key, sequence)?.heard, Heard::Nothing);
        let is_recorded = self.unrecorded.ended(sequence) <= 0;
        let stays = match heard {
            Heard::Nothing => after.state.is_owed().then_some(after),
            Heard::Over => None,
            // It was asked for after all attempts that there were.
            Heard::Owed(owed) if is_recorded => Some(*owed),
            Heard::Owed(owed) => after.state.is_owed().then(|| asked_for(after, &owed)),
        };
        self.unrecorded.note_over(sequence, stays.is_none());
        if stays.is_some() {
            self.stall(sequence, asked);
        }
        Some(TakenBack { stays })
    }

    /// A delivery is no longer wanted; it is to be removed. Tells whether that ends it: one that is under way may arrive
    /// yet, and its judgement knows what time it is.
    pub(in crate::dispatch::lanes) fn expire(&mut self, key: LaneKey, sequence: u64) -> bool {
        if !self.lanes.contains_key(&key) || self.is_under_way(key, sequence) {
            return false;
        }
        self.unrecorded.ended(sequence);
        self.unrecorded.note_over(sequence, true);
        true
    }

    /// How an attempt or an expiry of a delivery ended is on the disk. Gives by how much those that ended are ahead.
    pub(in crate::dispatch::lanes) fn recorded(&mut self, sequence: u64) -> i32 {
        self.unrecorded.recorded(sequence)
    }

    /// A delivery in memory had at least so many attempts.
    pub(in crate::dispatch::lanes) fn had_attempts(&mut self, key: LaneKey, sequence: u64, attempts: u32) {
        if let Some(item) = self.item(key, sequence) {
            item.delivery.attempts = item.delivery.attempts.max(attempts);
        }
    }

    /// What an attempt of the lane `key` that ended says of the receiver.
    pub(in crate::dispatch::lanes) fn judge(
        &mut self,
        key: LaneKey,
        sequence: u64,
        seen: Seen,
        now: Timestamp,
        chance: f64,
    ) -> Judged {
        let before = self.concurrency.proof();
        self.under_way.end(sequence);
        let others = self.under_way.len();
        self.concurrency.ended(seen, others, self.terms.max_in_flight, now);
        let after = self.concurrency.proof();
        let turn = self.breaker.ended(key, seen, others, now, chance);
        if turn.is_some() {
            self.concurrency.restart(now);
        }
        let mut due = Vec::new();
        if seen.kind == Kind::Success {
            self.failing_since = None;
            let stalled = std::mem::take(&mut self.stalled);
            if turn == Some(Transition::Closed) {
                // They failed because it was down: now they are the first in order again.
                due = stalled;
            }
        }
        Judged { before, after, others, turn, due }
    }

    /// The time has come to see whether the attempts under way take longer than quick ones do. Gives what was known of
    /// the receiver before, if that is news.
    pub(in crate::dispatch::lanes) fn note_drag(&mut self, now: Timestamp) -> Option<Proof> {
        if !self.drags(now) {
            return None;
        }
        let before = self.concurrency.proof();
        self.concurrency.drags(now);
        Some(before)
    }

    /// When to look whether the attempts under way take longer than quick ones do, if that would be news.
    pub(super) fn drags_at(&mut self, now: Timestamp) -> Option<Timestamp> {
        if self.concurrency.proof() == Proof::Slow { None } else { self.under_way.look_at(now) }
    }

    /// Whether the attempts under way have taken longer than quick ones do, and that is news.
    fn drags(&mut self, now: Timestamp) -> bool {
        self.concurrency.proof() != Proof::Slow && self.under_way.drag(now)
    }

    /// Remembers that a delivery failed. `asked`: the receiver said when it is to come again.
    pub(super) fn stall(&mut self, sequence: u64, asked: bool) {
        self.stalled.retain(|other| *other != sequence);
        if !asked && self.stalled.len() < STALLED_MOST {
            self.stalled.push(sequence);
        }
    }
}
