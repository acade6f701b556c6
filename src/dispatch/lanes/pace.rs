//! How many attempts one receiver may have under way, and how it has answered lately.
//!
//! Pure. The number starts at 2, grows by success and is halved by trouble; the queue holds it to the
//! subscription's `max_in_flight`. What is known of a receiver is the time its attempts take, however
//! they end: one that refuses at once holds no thread.

use std::time::Duration;

use crate::core::time::Timestamp;

use super::gate::{Kind, Seen};

/// An attempt that takes longer is slow.
pub(super) const QUICK: Duration = Duration::from_secs(1);
/// What is known of a receiver holds for so long without an attempt.
const LATELY: Duration = Duration::from_secs(300);
/// With how many attempts at once a receiver begins.
const FIRST: f64 = 2.0;
/// Longer attempts count as long as this.
const LONGEST: Duration = Duration::from_secs(10);

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

#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub(super) struct Pace {
    limit: f64,
    /// It has been in trouble: grow one by one, not by doubling.
    careful: bool,
    proof: Proof,
    /// How long its attempts take, the late ones weighing more.
    average: Duration,
    /// When one ended last.
    ended: Timestamp,
}

impl Pace {
    /// Of a receiver of which `proof` is known.
    pub(super) const fn new(proof: Proof) -> Self {
        Self { limit: FIRST, careful: false, proof, average: Duration::ZERO, ended: Timestamp::ZERO }
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
            (self.proof, self.limit) = (Proof::Unproven, self.limit.min(FIRST));
        }
    }

    /// An attempt has ended; there may be `most` at once.
    pub(super) fn ended(&mut self, seen: Seen, most: u32, now: Timestamp) {
        if seen.kind == Kind::Nothing {
            return;
        }
        self.ended = now;
        let took = seen.duration.min(LONGEST);
        self.average = match self.proof {
            Proof::Unproven | Proof::Known => took,
            Proof::Quick | Proof::Slow => (self.average * 3 + took) / 4,
        };
        self.proof = if self.average <= QUICK { Proof::Quick } else { Proof::Slow };
        match seen.kind {
            Kind::Success => {
                let doubling = !self.careful && took <= QUICK;
                self.limit = (self.limit + if doubling { 1.0 } else { self.limit.recip() }).min(f64::from(most.max(1)));
                self.careful &= self.limit < f64::from(most);
            }
            Kind::Trouble => self.trouble(),
            Kind::Refusal | Kind::Nothing => {}
        }
    }

    /// It is down, or back after it was: begin again with one.
    pub(super) const fn restart(&mut self) {
        (self.limit, self.careful) = (1.0, true);
    }

    /// An attempt is under way for longer than a quick one is.
    pub(super) fn drags(&mut self) {
        self.proof = Proof::Slow;
        self.average = self.average.max(QUICK * 2);
        self.trouble();
    }

    fn trouble(&mut self) {
        (self.limit, self.careful) = ((self.limit / 2.0).max(1.0), true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

    fn seen(kind: Kind, millis: u64) -> Seen {
        Seen { kind, duration: Duration::from_millis(millis), wait: None }
    }

    #[test]
    fn it_grows_by_success_and_is_halved_by_trouble() {
        let mut pace = Pace::new(Proof::Unproven);
        assert_eq!(pace.limit(), 2);
        for _ in 0..6 {
            pace.ended(seen(Kind::Success, 5), 100, NOW);
        }
        assert_eq!(pace.limit(), 8);
        pace.ended(seen(Kind::Refusal, 5), 100, NOW);
        assert_eq!(pace.limit(), 8);
        pace.ended(seen(Kind::Trouble, 5), 100, NOW);
        assert_eq!(pace.limit(), 4);
        for _ in 0..4 {
            pace.ended(seen(Kind::Success, 5), 100, NOW);
        }
        assert_eq!(pace.limit(), 4, "after trouble it takes a round to grow by one");
        for _ in 0..10_000 {
            pace.ended(seen(Kind::Success, 5), 10, NOW);
        }
        assert_eq!(pace.limit(), 10);
        for _ in 0..10 {
            pace.ended(seen(Kind::Trouble, 5), 10, NOW);
        }
        assert_eq!(pace.limit(), 1);
    }

    #[test]
    fn it_knows_the_quick_from_the_slow_and_forgets() {
        let mut pace = Pace::new(Proof::Unproven);
        pace.ended(seen(Kind::Trouble, 1), 10, NOW);
        assert_eq!(pace.proof(), Proof::Quick, "one that refuses at once holds no thread");
        pace.drags();
        assert_eq!(pace.proof(), Proof::Slow);
        pace.ended(seen(Kind::Success, 10_000), 10, NOW);
        let quick = (1..20).find(|_| {
            pace.ended(seen(Kind::Success, 100), 10, NOW);
            pace.proof() == Proof::Quick
        });
        assert!(quick.is_some_and(|quick| quick > 2), "{quick:?}: not after one quick answer, and not never");
        pace.age(NOW.plus(LATELY));
        assert_eq!(pace.proof(), Proof::Quick);
        pace.age(NOW.plus(LATELY * 2));
        assert_eq!(pace.proof(), Proof::Unproven);
    }
}
