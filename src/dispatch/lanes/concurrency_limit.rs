//! Concurrency limit per receiver by feedback, and what is known about the receiver's speed.
//!
//! Pure. No parameter needs to be known beforehand:
//! - the limit starts at 2 and doubles with each round of responses while it is used; the queue caps it at the
//!   subscription's `max_in_flight`;
//! - refusals that concern the receiver as a whole (429, 503, no response) cut the limit if they exceed a few
//!   percent. The refused level is not tried again for a [while](Ceiling), and growth below it is slow. If the
//!   refusal rate stays the same with less in flight, it is unrelated to load and the limit is restored;
//! - beyond [`SAFE`], latency that rises with concurrency also cuts it (`latency`). Whether concurrency is the cause
//!   is tested by reducing it for a round;
//! - the limit never exceeds what [`RATE_MOST`] responses a second take, so a receiver that responds immediately is
//!   not sent more at once than the machine can use.
//!
//! A receiver's speed is the duration of its attempts whatever their result: immediate refusals hold no thread.

use std::time::Duration;

use crate::core::time::Timestamp;

use super::circuit_breaker::{Kind, Seen};

mod latency;

use self::latency::{Latency, Verdict};

/// An attempt that takes longer is slow.
pub(super) const QUICK: Duration = Duration::from_secs(1);
/// Knowledge about a receiver expires after this time without an attempt.
const LATELY: Duration = Duration::from_secs(300);
/// The initial limit.
const FIRST: f64 = 2.0;
/// Longer attempts count as this.
const LONGEST: Duration = Duration::from_secs(10);
/// Up to this limit, rising latency is ignored.
const SAFE: f64 = 16.0;
/// No receiver is expected to handle more per second.
const RATE_MOST: f64 = 10_000.0;
/// Minimum responses per round: fewer say little.
const ROUND_LEAST: u32 = 16;
/// Refusals are counted over at least this many responses, or over a round if that is more.
const COUNTED_LEAST: u32 = 64;
/// The refusal rate ignored by default, and the highest that can count as unrelated to load.
const TOLERATED: f64 = 0.04;
const TOLERATED_MOST: f64 = 0.15;
/// The limit is cut to this part of what was not refused.
const CUT: f64 = 0.75;
/// Growth per round after trouble, at least one.
const SLOWLY: f64 = 1.0 / 32.0;
/// A ceiling exceeded by this factor is dropped.
const HIGHER: f64 = 1.25;
/// How long a ceiling holds at first, and at most.
const HOLDS_FIRST: Duration = Duration::from_secs(10);
const HOLDS_MOST: Duration = Duration::from_secs(300);

/// What is known about a receiver's speed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    /// Nothing recent.
    Unproven,
    /// Unproven, but quick before the last start.
    Known,
    /// Its attempts end quickly.
    Quick,
    /// They do not.
    Slow,
}

/// A limit that was recently too high.
#[derive(Debug, Clone, Copy)]
struct Ceiling {
    at: f64,
    /// The limit stays below it until then.
    until: Timestamp,
    /// Its duration; doubled each time that level is refused again.
    holds: Duration,
}

/// Recent refusals.
#[derive(Debug, Clone, Copy)]
struct Refusals {
    refused: u32,
    counted: u32,
    /// The refusal rate taken as unrelated to load.
    tolerated: f64,
    /// How many refusals came with no more in flight than the last cut left.
    below: u32,
    /// The last cut: from, to, and the refusal rate before it.
    cut: Option<(f64, f64, f64)>,
}

impl Refusals {
    const NONE: Self = Self { refused: 0, counted: 0, tolerated: TOLERATED, below: 0, cut: None };

    /// Counts a response; with `others` in flight, a refusal.
    fn count(&mut self, others: Option<usize>) {
        self.counted += 1;
        self.refused += u32::from(others.is_some());
        let below = self.cut.zip(others).is_some_and(|((_, to, _), others)| (others as f64) < to.floor());
        self.below += u32::from(below);
    }

    /// The refusal rate.
    fn part(&self) -> f64 {
        f64::from(self.refused) / f64::from(self.counted.max(1))
    }

    /// Whether that exceeds what chance or single events explain, of `of`.
    fn are_many(&self, of: u32) -> bool {
        f64::from(self.refused) > (f64::from(of.max(COUNTED_LEAST)) * self.tolerated).max(3.0)
    }

    /// Whether it refuses some regardless of load.
    fn are_its_manner(&self) -> bool {
        self.tolerated > TOLERATED
    }

    /// The limit before the cut, if the cut made little difference.
    fn in_vain(&self) -> Option<f64> {
        let (before, _, part) = self.cut?;
        let below = f64::from(self.below);
        (self.part() < TOLERATED_MOST && below >= (f64::from(self.counted) * part / 4.0).max(2.0)).then_some(before)
    }

    fn restart(&mut self) {
        // A tolerated refusal rate may drop again.
        let ceased = self.part() < self.tolerated / 4.0;
        let tolerated = if ceased { (self.tolerated / 2.0).max(TOLERATED) } else { self.tolerated };
        *self = Self { tolerated, ..Self::NONE };
    }
}

#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub(super) struct ConcurrencyLimit {
    limit: f64,
    /// Up to here it doubles each round, and grows slowly beyond.
    doubles_below: f64,
    ceiling: Option<Ceiling>,
    /// Maximum in flight in this round and in the previous one.
    used: [u32; 2],
    /// Responses that end this round.
    round: u32,
    refusals: Refusals,
    /// Attempts started before say nothing about the current limit.
    changed: Timestamp,
    /// Latencies count from then on.
    settled: Timestamp,
    latency: Latency,
    proof: Proof,
    /// Exponential moving average of attempt durations.
    average: Duration,
    /// End of the last attempt.
    ended: Timestamp,
}

impl ConcurrencyLimit {
    pub(super) fn new(proof: Proof) -> Self {
        Self {
            limit: FIRST,
            doubles_below: f64::INFINITY,
            ceiling: None,
            used: [0; 2],
            round: ROUND_LEAST,
            refusals: Refusals::NONE,
            changed: Timestamp::ZERO,
            settled: Timestamp::ZERO,
            latency: Latency::default(),
            proof,
            average: Duration::ZERO,
            ended: Timestamp::ZERO,
        }
    }

    /// The limit, at least 1.
    pub(super) const fn limit(&self) -> u32 {
        self.limit as u32
    }

    pub(super) const fn proof(&self) -> Proof {
        self.proof
    }

    /// Drops outdated knowledge; call only when nothing is in flight.
    pub(super) fn age(&mut self, now: Timestamp) {
        if self.proof == Proof::Quick && now.since(self.ended) > LATELY {
            let (limit, ended) = (self.limit.min(FIRST), self.ended);
            *self = Self { limit, ended, ..Self::new(Proof::Unproven) };
        }
    }

    /// An attempt started; now `in_flight` are in flight.
    pub(super) fn began(&mut self, in_flight: usize) {
        self.used[0] = self.used[0].max(u32::try_from(in_flight).unwrap_or(u32::MAX));
    }

    /// An attempt ended, with `others` in flight and a cap of `most`.
    pub(super) fn ended(&mut self, seen: Seen, others: usize, most: u32, now: Timestamp) {
        if seen.kind == Kind::Nothing {
            return;
        }
        self.learn(seen.duration, now);
        // The clock may have been set back.
        self.changed = self.changed.min(now);
        let began = Timestamp::from_millis(now.millis().saturating_sub(seen.duration.as_millis() as u64));
        match seen.kind {
            Kind::Success => {
                self.refusals.count(None);
                self.grow(most, now);
                if self.settled <= now || self.settled > now.plus(self.latency.settling()) {
                    self.latency.add(seen.duration);
                }
            }
            Kind::Trouble if began >= self.changed => {
                self.refusals.count(Some(others));
                self.step_back(now);
                if self.refusals.are_many(self.limit()) {
                    self.refused(others as f64, now);
                }
            }
            Kind::Trouble | Kind::Refusal | Kind::Nothing => {}
        }
        if self.refusals.counted >= self.limit().max(COUNTED_LEAST) && !self.bear_refusals(now) {
            self.refusals.restart();
        }
        if self.latency.count() >= self.round {
            self.end_round(now);
        }
    }

    /// The receiver went down or recovered: restart from one.
    pub(super) fn restart(&mut self, now: Timestamp) {
        if self.limit > 1.0 {
            self.doubles_below = (self.limit / 2.0).max(SAFE);
        }
        self.latency.restart();
        self.refusals = Refusals { tolerated: self.refusals.tolerated, ..Refusals::NONE };
        self.set(1.0, now);
    }

    /// Attempts in flight take longer than quick ones.
    pub(super) fn drags(&mut self, now: Timestamp) {
        // A receiver whose attempts take about a second is not news.
        if self.average < QUICK / 2 {
            if self.proof == Proof::Quick {
                self.doubles_below = self.limit / 2.0;
            }
            self.set(self.limit / 2.0, now);
        }
        self.proof = Proof::Slow;
        self.average = self.average.max(QUICK * 2);
    }

    fn learn(&mut self, took: Duration, now: Timestamp) {
        self.ended = now;
        let took = took.min(LONGEST);
        self.average = match self.proof {
            Proof::Unproven | Proof::Known => took,
            Proof::Quick | Proof::Slow => (self.average * 3 + took) / 4,
        };
        self.proof = if self.average <= QUICK { Proof::Quick } else { Proof::Slow };
    }

    /// A successful response.
    fn grow(&mut self, most: u32, now: Timestamp) {
        let used = f64::from(self.used[0].max(self.used[1]));
        let step = if self.latency.is_held() || self.refusals.cut.is_some() {
            0.0
        } else if self.limit < self.doubles_below {
            // If half of it is used: what was just allowed has not started yet.
            if self.limit < 2.0 * used { 1.0 } else { 0.0 }
        } else if self.limit.floor() <= used {
            SLOWLY.max(self.limit.recip())
        } else {
            0.0
        };
        let wanted = (self.limit + step).min(self.highest(now)).min(f64::from(most.max(1)));
        // Only the subscription's own cap lowers it here.
        self.limit = wanted.max(self.limit.min(f64::from(most.max(1))));
        if self.ceiling.is_some_and(|ceiling| self.limit > ceiling.at * HIGHER) {
            (self.ceiling, self.doubles_below) = (None, f64::INFINITY);
        }
    }

    /// The maximum at `now`.
    fn highest(&self, now: Timestamp) -> f64 {
        let enough = self.latency.usual().map_or(f64::INFINITY, |usual| usual.as_secs_f64() * RATE_MOST).max(SAFE);
        self.held(now).map_or(enough, |ceiling| enough.min(ceiling.at))
    }

    /// The ceiling, if in force. The time may have been set back: none holds longer than intended.
    fn held(&self, now: Timestamp) -> Option<Ceiling> {
        self.ceiling.filter(|ceiling| now < ceiling.until && ceiling.until <= now.plus(ceiling.holds))
    }

    /// Does not retry a refused level immediately.
    fn step_back(&mut self, now: Timestamp) {
        if self.refusals.are_its_manner() || self.held(now).is_some_and(|ceiling| self.limit <= ceiling.at) {
            return;
        }
        // With many responses, a step of two outweighs growth.
        self.limit = (self.limit - (self.limit / f64::from(COUNTED_LEAST)).clamp(1.0, 2.0)).max(1.0);
        if self.limit >= self.doubles_below {
            let holds = self.ceiling.map_or(HOLDS_FIRST, |ceiling| ceiling.holds);
            self.ceiling = Some(Ceiling { at: self.limit, until: now.plus(holds), holds });
        }
    }

    /// Too many refusals, while `others` were accepted.
    fn refused(&mut self, others: f64, now: Timestamp) {
        if self.bear_refusals(now) {
            return;
        }
        self.latency.restart();
        let taken = self.limit.min(others.max(1.0));
        let cut = Some((self.limit, taken * CUT, self.refusals.part()));
        self.refusals = Refusals { tolerated: self.refusals.tolerated, cut, ..Refusals::NONE };
        self.put_ceiling(taken, now);
        self.set(taken * CUT, now);
        self.doubles_below = self.limit;
    }

    /// Whether the limit was restored because the cut did not help.
    fn bear_refusals(&mut self, now: Timestamp) -> bool {
        let Some(before) = self.refusals.in_vain() else { return false };
        let tolerated = (2.0 * self.refusals.part()).clamp(self.refusals.tolerated, TOLERATED_MOST);
        self.refusals = Refusals { tolerated, ..Refusals::NONE };
        self.ceiling = None;
        self.latency.restart();
        self.set(before, now);
        true
    }

    fn end_round(&mut self, now: Timestamp) {
        let used = f64::from(self.used[0].max(self.used[1]));
        match self.latency.end_round(self.limit.min(used), SAFE) {
            Verdict::Usual => self.begin_round(),
            Verdict::Held => self.set(self.limit, now),
            Verdict::Risen(fewer) => self.set(fewer, now),
            Verdict::Helped => {
                self.put_ceiling(self.limit * HIGHER, now);
                self.doubles_below = self.limit;
                self.begin_round();
            }
            Verdict::InVain(before) => {
                self.doubles_below = before;
                self.set(before, now);
            }
        }
    }

    fn put_ceiling(&mut self, at: f64, now: Timestamp) {
        let holds = self.ceiling.map_or(HOLDS_FIRST, |ceiling| (ceiling.holds * 2).min(HOLDS_MOST));
        self.ceiling = Some(Ceiling { at: at.max(1.0), until: now.plus(holds), holds });
    }

    /// Sets the limit and begins a round.
    fn set(&mut self, limit: f64, now: Timestamp) {
        self.limit = limit.max(1.0);
        self.changed = now;
        self.settled = now.plus(self.latency.settling());
        self.begin_round();
    }

    fn begin_round(&mut self) {
        self.round = self.limit().max(ROUND_LEAST);
        self.used = [0, self.used[0]];
    }
}

#[cfg(test)]
mod receivers;
#[cfg(test)]
mod tests;
