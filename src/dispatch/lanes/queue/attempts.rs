//! The attempts of a queue: start, end, and what they say about the receiver.

use super::Queue;
use crate::core::delivery::Delivery;
use crate::core::time::Timestamp;
use crate::dispatch::lanes::circuit_breaker::{Kind, Seen, Transition};
use crate::dispatch::lanes::concurrency_limit::Proof;
use crate::dispatch::lanes::lane::{LaneKey, Place, Update, merged};
use crate::dispatch::lanes::values::Start;

/// Maximum number of remembered deliveries that failed since the last success.
const STALLED_MOST: usize = 1024;

/// A delivery whose attempt has ended.
pub(in crate::dispatch::lanes) struct TakenBack {
    /// Its state in memory, if it stays.
    pub(in crate::dispatch::lanes) stays: Option<Delivery>,
}

/// What an attempt said about its receiver.
pub(in crate::dispatch::lanes) struct Judged {
    /// What was known about its speed, before and after.
    pub(in crate::dispatch::lanes) before: Proof,
    pub(in crate::dispatch::lanes) after: Proof,
    /// Attempts still in flight.
    pub(in crate::dispatch::lanes) others: usize,
    /// The circuit breaker's transition.
    pub(in crate::dispatch::lanes) transition: Option<Transition>,
    /// Deliveries that become due.
    pub(in crate::dispatch::lanes) due: Vec<u64>,
}

impl Queue {
    /// Makes a delivery that waits for a retry due now. Returns its lane, which must be placed.
    pub(in crate::dispatch::lanes) fn make_due(&mut self, sequence: u64, now: Timestamp) -> Option<LaneKey> {
        let key = self.lane_of(sequence)?;
        if let Some(item) = self.item(key, sequence) {
            item.delivery.due = item.delivery.due.min(now);
        }
        Some(key)
    }

    /// Starts the delivery `sequence` of the first lane.
    pub(in crate::dispatch::lanes) fn begin(&mut self, key: LaneKey, sequence: u64, now: Timestamp) -> Option<Start> {
        self.ready.pop_first();
        let lane = self.lanes.get_mut(&key)?;
        let start = Start { delivery: lane.items.get(&sequence)?.delivery.clone(), gap: lane.passed_by(sequence) };
        lane.place = Place::InFlight(sequence);
        self.in_flight.begin(sequence, now);
        self.concurrency.began(self.in_flight.len());
        self.bucket.take(now);
        self.breaker.take(now);
        Some(start)
    }

    /// Records an update if the delivery is in flight; returns whether it is.
    pub(in crate::dispatch::lanes) fn note_in_flight(&mut self, key: LaneKey, sequence: u64, update: Update) -> bool {
        let in_flight = self.is_in_flight(key, sequence);
        if in_flight && let Some(item) = self.item(key, sequence) {
            item.update = update;
        }
        in_flight
    }

    /// Ends the attempt of a delivery, whose state is now `after`; `retry_after` means that the receiver sent
    /// `Retry-After`. Returns the delivery's state in memory; `None` if it was not in flight.
    pub(in crate::dispatch::lanes) fn take_back(
        &mut self,
        key: LaneKey,
        after: Delivery,
        retry_after: bool,
    ) -> Option<TakenBack> {
        let sequence = after.id.sequence();
        if !self.is_in_flight(key, sequence) {
            return None;
        }
        self.unplace(key);
        let update = std::mem::replace(&mut self.item(key, sequence)?.update, Update::Nothing);
        let is_recorded = self.unrecorded.ended(sequence) <= 0;
        let stays = match update {
            Update::Nothing => after.state.is_owed().then_some(after),
            Update::Ended => None,
            // Requested after all attempts so far.
            Update::Requested(outstanding) if is_recorded => Some(*outstanding),
            Update::Requested(outstanding) => after.state.is_owed().then(|| merged(after, &outstanding)),
        };
        self.unrecorded.note_over(sequence, stays.is_none());
        if stays.is_some() {
            self.stall(sequence, retry_after);
        }
        Some(TakenBack { stays })
    }

    /// A delivery has expired and must be removed. Returns whether that ends it: an attempt in flight may still
    /// succeed, and its judgement considers the time.
    pub(in crate::dispatch::lanes) fn expire(&mut self, key: LaneKey, sequence: u64) -> bool {
        if !self.lanes.contains_key(&key) || self.is_in_flight(key, sequence) {
            return false;
        }
        self.unrecorded.ended(sequence);
        self.unrecorded.note_over(sequence, true);
        true
    }

    /// The result of an attempt or expiry is durable. Returns how far results are ahead of records.
    pub(in crate::dispatch::lanes) fn recorded(&mut self, sequence: u64) -> i32 {
        self.unrecorded.recorded(sequence)
    }

    /// Raises the attempts of a delivery in memory to at least this.
    pub(in crate::dispatch::lanes) fn had_attempts(&mut self, key: LaneKey, sequence: u64, attempts: u32) {
        if let Some(item) = self.item(key, sequence) {
            item.delivery.attempts = item.delivery.attempts.max(attempts);
        }
    }

    /// Evaluates what an ended attempt of the lane `key` says about the receiver.
    pub(in crate::dispatch::lanes) fn judge(
        &mut self,
        key: LaneKey,
        sequence: u64,
        seen: Seen,
        now: Timestamp,
        chance: f64,
    ) -> Judged {
        let before = self.concurrency.proof();
        self.in_flight.end(sequence);
        let others = self.in_flight.len();
        self.concurrency.ended(seen, others, self.terms.max_in_flight, now);
        let after = self.concurrency.proof();
        let transition = self.breaker.ended(key, seen, others, now, chance);
        if transition.is_some() {
            self.concurrency.restart(now);
        }
        let mut due = Vec::new();
        if seen.kind == Kind::Success {
            self.failing_since = None;
            let stalled = std::mem::take(&mut self.stalled);
            if transition == Some(Transition::Closed) {
                // They failed because it was down: now they are first in order again.
                due = stalled;
            }
        }
        Judged { before, after, others, transition, due }
    }

    /// Checks whether attempts in flight take longer than quick ones. Returns the previous proof if it changes.
    pub(in crate::dispatch::lanes) fn note_drag(&mut self, now: Timestamp) -> Option<Proof> {
        if !self.drags(now) {
            return None;
        }
        let before = self.concurrency.proof();
        self.concurrency.drags(now);
        Some(before)
    }

    /// When to check whether attempts in flight drag, if that would change the proof.
    pub(super) fn drags_at(&mut self, now: Timestamp) -> Option<Timestamp> {
        if self.concurrency.proof() == Proof::Slow { None } else { self.in_flight.look_at(now) }
    }

    /// Whether attempts in flight drag and that changes the proof.
    fn drags(&mut self, now: Timestamp) -> bool {
        self.concurrency.proof() != Proof::Slow && self.in_flight.drag(now)
    }

    /// Remembers a failed delivery. `retry_after`: the receiver sent `Retry-After`.
    pub(super) fn stall(&mut self, sequence: u64, retry_after: bool) {
        self.stalled.retain(|other| *other != sequence);
        if !retry_after && self.stalled.len() < STALLED_MOST {
            self.stalled.push(sequence);
        }
    }
}
