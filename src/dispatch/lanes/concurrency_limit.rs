//! How many attempts one receiver may have under way, and how it has answered lately.
//!
//! Pure. A concurrency limit by feedback, without a number that would have to be known beforehand:
//! - it begins with 2 and doubles with each round of answers, as long as what it allows is used; the queue holds it to
//!   the subscription's `max_in_flight`;
//! - refusals that speak of the receiver as a whole (429, 503, no answer), if they are more than a few of a hundred,
//!   cut it. What was refused then is not tried again for a [while](Ceiling), and below it grows slowly. If it refuses
//!   as many with less under way, that is its manner, and the limit is as before;
//! - beyond [`SAFE`], latency that rises with it cuts it as well (`latency`). Whether it rises *with* it is found out
//!   by having less under way for a round: a receiver that is slower for reasons of its own is as slow as before;
//! - it never needs to be more than [`RATE_MOST`] answers a second take, so a receiver that answers at once is not sent
//!   more at once than the machine has use for.
//!
//! What else is known of a receiver is the time its attempts take, however they end: one that refuses at once holds no
//! thread.

use std::time::Duration;

use crate::core::time::Timestamp;

use super::circuit_breaker::{Kind, Seen};

mod latency;

use self::latency::{Latency, Verdict};

/// An attempt that takes longer is slow.
pub(super) const QUICK: Duration = Duration::from_secs(1);
/// What is known of a receiver holds for so long without an attempt.
const LATELY: Duration = Duration::from_secs(300);
/// With how many attempts at once a receiver begins.
const FIRST: f64 = 2.0;
/// Longer attempts count as long as this.
const LONGEST: Duration = Duration::from_secs(10);
/// So many at once are every receiver's own affair, however its latency rises with them.
const SAFE: f64 = 16.0;
/// No receiver is expected to take more than so many a second.
const RATE_MOST: f64 = 10_000.0;
/// A round has at least so many answers: fewer say little.
const ROUND_LEAST: u32 = 16;
/// Refusals are counted over so many answers, or over a round if that is more.
const COUNTED_LEAST: u32 = 64;
/// Such a part may be refused without being taken for a sign, and such a part at most if it is refused in any case.
const TOLERATED: f64 = 0.04;
const TOLERATED_MOST: f64 = 0.15;
/// To this part of what was not refused the limit is cut.
const CUT: f64 = 0.75;
/// Where it has been in trouble it grows by so much in a round, one at least.
const SLOWLY: f64 = 1.0 / 32.0;
/// A ceiling that is passed by so much is none any more.
const HIGHER: f64 = 1.25;
/// How long a ceiling holds at first, and at most.
const HOLDS_FIRST: Duration = Duration::from_secs(10);
const HOLDS_MOST: Duration = Duration::from_secs(300);

/// What is known of a receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    /// Nothing, or nothing lately.
    Unproven,
    /// It answered quickly before the last start: nothing, but likely to be quick.
    Known,
    /// Its attempts end quickly.
    Quick,
    /// They do not.
    Slow,
}

/// A limit that was too high lately.
#[derive(Debug, Clone, Copy)]
struct Ceiling {
    at: f64,
    /// Until then the limit stays below it.
    until: Timestamp,
    /// How long that is; twice as long each time that much is refused again.
    holds: Duration,
}

/// What was refused lately.
#[derive(Debug, Clone, Copy)]
struct Refusals {
    refused: u32,
    counted: u32,
    /// The part of the counted that is no sign.
    tolerated: f64,
    /// How many of the refused were so although no more was under way than the last cut left.
    below: u32,
    /// The limit was cut for those before: from this, to that, for such a part of the counted.
    cut: Option<(f64, f64, f64)>,
}

impl Refusals {
    const NONE: Self = Self { refused: 0, counted: 0, tolerated: TOLERATED, below: 0, cut: None };

    /// An answer came; with `others` under way, it was a refusal.
    fn count(&mut self, others: Option<usize>) {
        self.counted += 1;
        self.refused += u32::from(others.is_some());
        let below = self.cut.zip(others).is_some_and(|((_, to, _), others)| (others as f64) < to.floor());
        self.below += u32::from(below);
    }

    /// The part of the counted that was refused.
    fn part(&self) -> f64 {
        f64::from(self.refused) / f64::from(self.counted.max(1))
    }

    /// Whether that is more than chance, or the events, make of `of`.
    fn are_many(&self, of: u32) -> bool {
        f64::from(self.refused) > (f64::from(of.max(COUNTED_LEAST)) * self.tolerated).max(3.0)
    }

    /// Whether it refuses some whatever it is sent.
    fn are_its_manner(&self) -> bool {
        self.tolerated > TOLERATED
    }

    /// The limit before the cut, if that made little difference: it refuses as many of any number.
    fn in_vain(&self) -> Option<f64> {
        let (before, _, part) = self.cut?;
        let below = f64::from(self.below);
        (self.part() < TOLERATED_MOST && below >= (f64::from(self.counted) * part / 4.0).max(2.0)).then_some(before)
    }

    /// Counts from new.
    fn restart(&mut self) {
        // What it is used to refuse, it may cease to.
        let ceased = self.part() < self.tolerated / 4.0;
        let tolerated = if ceased { (self.tolerated / 2.0).max(TOLERATED) } else { self.tolerated };
        *self = Self { tolerated, ..Self::NONE };
    }
}

#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub(super) struct ConcurrencyLimit {
    limit: f64,
    /// Up to here it doubles in each round, and grows slowly beyond.
    doubles_below: f64,
    ceiling: Option<Ceiling>,
    /// The most that was under way in this round, and in the one before.
    used: [u32; 2],
    /// How many answers end this round.
    round: u32,
    refusals: Refusals,
    /// Attempts that began before say nothing of the limit as it is.
    changed: Timestamp,
    /// Latencies are counted from then on.
    settled: Timestamp,
    latency: Latency,
    proof: Proof,
    /// How long its attempts take, the late ones weighing more.
    average: Duration,
    /// When one ended last.
    ended: Timestamp,
}

impl ConcurrencyLimit {
    /// Of a receiver of which `proof` is known.
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

    /// How many may be under way, 1 and up.
    pub(super) const fn limit(&self) -> u32 {
        self.limit as u32
    }

    /// What is known.
    pub(super) const fn proof(&self) -> Proof {
        self.proof
    }

    /// Forgets what was known for too long; to be called when nothing is under way.
    pub(super) fn age(&mut self, now: Timestamp) {
        if self.proof == Proof::Quick && now.since(self.ended) > LATELY {
            let (limit, ended) = (self.limit.min(FIRST), self.ended);
            *self = Self { limit, ended, ..Self::new(Proof::Unproven) };
        }
    }

    /// An attempt has begun, so that `under_way` are.
    pub(super) fn began(&mut self, under_way: usize) {
        self.used[0] = self.used[0].max(u32::try_from(under_way).unwrap_or(u32::MAX));
    }

    /// An attempt has ended, and `others` are under way; there may be `most` at once.
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

    /// It is down, or back after it was: begin again with one.
    pub(super) fn restart(&mut self, now: Timestamp) {
        if self.limit > 1.0 {
            self.doubles_below = (self.limit / 2.0).max(SAFE);
        }
        self.latency.restart();
        self.refusals = Refusals { tolerated: self.refusals.tolerated, ..Refusals::NONE };
        self.set(1.0, now);
    }

    /// Attempts are under way for longer than quick ones are.
    pub(super) fn drags(&mut self, now: Timestamp) {
        // One that takes about a second, now more and now less, is no news.
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

    /// An answer came as it should.
    fn grow(&mut self, most: u32, now: Timestamp) {
        let used = f64::from(self.used[0].max(self.used[1]));
        let step = if self.latency.is_held() || self.refusals.cut.is_some() {
            0.0
        } else if self.limit < self.doubles_below {
            // As long as half of it is used: what has just been allowed has not begun yet.
            if self.limit < 2.0 * used { 1.0 } else { 0.0 }
        } else if self.limit.floor() <= used {
            SLOWLY.max(self.limit.recip())
        } else {
            0.0
        };
        let wanted = (self.limit + step).min(self.highest(now)).min(f64::from(most.max(1)));
        // What holds it does not lower it, but for the subscription's own limit.
        self.limit = wanted.max(self.limit.min(f64::from(most.max(1))));
        if self.ceiling.is_some_and(|ceiling| self.limit > ceiling.at * HIGHER) {
            (self.ceiling, self.doubles_below) = (None, f64::INFINITY);
        }
    }

    /// How high it may grow at `now`.
    fn highest(&self, now: Timestamp) -> f64 {
        let enough = self.latency.usual().map_or(f64::INFINITY, |usual| usual.as_secs_f64() * RATE_MOST).max(SAFE);
        self.held(now).map_or(enough, |ceiling| enough.min(ceiling.at))
    }

    /// The ceiling, if it holds. The time may have been set back: none holds longer than it was to.
    fn held(&self, now: Timestamp) -> Option<Ceiling> {
        self.ceiling.filter(|ceiling| now < ceiling.until && ceiling.until <= now.plus(ceiling.holds))
    }

    /// What was one too many is not sent again at once.
    fn step_back(&mut self, now: Timestamp) {
        if self.refusals.are_its_manner() || self.held(now).is_some_and(|ceiling| self.limit <= ceiling.at) {
            return;
        }
        // Of many, it takes two to be more than it grows.
        self.limit = (self.limit - (self.limit / f64::from(COUNTED_LEAST)).clamp(1.0, 2.0)).max(1.0);
        if self.limit >= self.doubles_below {
            let holds = self.ceiling.map_or(HOLDS_FIRST, |ceiling| ceiling.holds);
            self.ceiling = Some(Ceiling { at: self.limit, until: now.plus(holds), holds });
        }
    }

    /// Too much was refused, while `others` were not.
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

    /// Whether the limit is as it was before it was cut, because less under way did not help.
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

    /// It is `limit` from now on, and a round begins.
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
