//! The circuit breaker of a receiver: closed while it works, open while it is down.
//!
//! Pure: time and randomness are arguments. It knows attempts by their result ([`Seen`]) and their lane, and nothing
//! about deliveries.
//!
//! It opens after failures of [`WEIGHT`] in a row, each in a different lane: a failure that concerns the receiver as
//! a whole weighs two, one that may be the event's own fault weighs one. So five calls in a row without a response
//! open it, or ten that are refused; a poisoned event that is retried over and over counts once. With many attempts
//! in flight it takes more: a receiver that refuses part of an overload keeps answering the rest, which is the
//! concurrency limit's concern. While open, it lets one delivery at a time through as a probe, after a pause that
//! doubles. One success closes it, and throughput ramps up from [`RAMP_FIRST`] in the first second, doubling each
//! second.

use std::time::Duration;

use crate::core::time::Timestamp;

use super::super::rate::Bucket;

/// The weight of failures that opens the circuit breaker.
const WEIGHT: u32 = 10;
/// Starts in the first second after it closed.
const RAMP_FIRST: u32 = 10;
/// Seconds after which starts are unlimited.
const RAMP_SECONDS: u32 = 8;

/// What an attempt says about its receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It accepted the request.
    Success,
    /// It rejected the request, which may be this event's own fault.
    Refusal,
    /// It was unreachable, did not respond, or declared itself unavailable.
    Trouble,
    /// Nothing: the attempt was not made because of an internal fault.
    Nothing,
}

/// An attempt's result as far as it concerns the receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// The kind of result.
    pub kind: Kind,
    /// The attempt's duration.
    pub duration: Duration,
    /// The receiver's `Retry-After`.
    pub wait: Option<Duration>,
}

/// A state change of the circuit breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transition {
    /// The receiver is down; the next probe is at this time.
    Opened(Timestamp),
    /// The receiver recovered.
    Closed,
}

/// Pauses between probes.
#[derive(Debug, Clone, Copy)]
pub(super) struct ProbePauses {
    /// Before the first.
    pub(super) first: Duration,
    /// At most.
    pub(super) most: Duration,
}

#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub(super) struct CircuitBreaker {
    probe_pauses: ProbePauses,
    /// The lanes that failed in a row, and their weight.
    failed: Vec<u64>,
    weight: u32,
    open: Option<Open>,
    ramp: Option<Ramp>,
}

#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
struct Open {
    /// Number of probes without success.
    probes: u32,
    next: Timestamp,
}

/// The first seconds after it closed.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
struct Ramp {
    since: Timestamp,
    second: u32,
    bucket: Bucket,
}

impl CircuitBreaker {
    /// A closed breaker.
    pub(super) const fn new(probe_pauses: ProbePauses) -> Self {
        Self { probe_pauses, failed: Vec::new(), weight: 0, open: None, ramp: None }
    }

    /// An open breaker: the receiver was down before the start. The first probe is soon but not immediate, so that
    /// not all that are down are probed together.
    pub(super) fn opened(probe_pauses: ProbePauses, now: Timestamp, chance: f64) -> Self {
        let next = now.plus(probe_pauses.first.mul_f64(chance.clamp(0.0, 1.0)));
        Self { open: Some(Open { probes: 0, next }), ..Self::new(probe_pauses) }
    }

    /// Whether the receiver is down.
    pub(super) const fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// The time of the next probe, if it is down.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.open.as_ref().map(|open| open.next)
    }

    /// When a delivery may start: `now`, or later.
    pub(super) fn free_at(&mut self, now: Timestamp) -> Timestamp {
        if let Some(open) = &mut self.open {
            // The clock may have been set back: no pause exceeds the longest.
            open.next = open.next.min(now.plus(self.probe_pauses.most.mul_f64(SPREAD_MOST)));
            return open.next.max(now);
        }
        let Some(ramp) = &mut self.ramp else { return now };
        ramp.since = ramp.since.min(now);
        let second = u32::try_from(now.since(ramp.since).as_secs()).unwrap_or(u32::MAX);
        if second >= RAMP_SECONDS {
            self.ramp = None;
            return now;
        }
        if second != ramp.second {
            ramp.second = second;
            ramp.bucket = Bucket::new(Some(RAMP_FIRST << second), now);
        }
        let next_second = ramp.since.plus(Duration::from_secs(u64::from(second) + 1));
        ramp.bucket.free_at(now).min(next_second)
    }

    /// A delivery starts.
    pub(super) fn take(&mut self, now: Timestamp) {
        if let Some(ramp) = &mut self.ramp {
            ramp.bucket.take(now);
        }
    }

    /// An attempt of the lane `lane` ended, with `others` in flight.
    pub(super) fn ended(
        &mut self,
        lane: u64,
        seen: Seen,
        others: usize,
        now: Timestamp,
        chance: f64,
    ) -> Option<Transition> {
        let weight = match seen.kind {
            Kind::Success => return self.succeeded(now),
            Kind::Refusal => 1,
            Kind::Trouble => 2,
            Kind::Nothing => 0,
        };
        if let Some(open) = &mut self.open {
            // Attempts in flight when it opened are no probes.
            open.probes = open.probes.saturating_add(u32::from(others == 0 && weight > 0));
            open.next = open.next.max(now.plus(pause(self.probe_pauses, open.probes, seen.wait, chance)));
            return None;
        }
        if weight > 0 && !self.failed.contains(&lane) {
            self.failed.push(lane);
            self.weight += weight;
        }
        if self.weight < WEIGHT || (self.weight as usize) < others {
            return None;
        }
        let next = now.plus(pause(self.probe_pauses, 0, seen.wait, chance));
        self.open = Some(Open { probes: 0, next });
        self.ramp = None;
        Some(Transition::Opened(next))
    }

    fn succeeded(&mut self, now: Timestamp) -> Option<Transition> {
        self.failed.clear();
        self.weight = 0;
        self.open.take()?;
        self.ramp = Some(Ramp { since: now, second: 0, bucket: Bucket::new(Some(RAMP_FIRST), now) });
        Some(Transition::Closed)
    }
}

/// Bounds of the random spread of a pause: from this factor to [`SPREAD_MOST`].
const SPREAD_LEAST: f64 = 0.75;
const SPREAD_MOST: f64 = 1.25;

/// The pause after `probes` unsuccessful probes.
fn pause(probe_pauses: ProbePauses, probes: u32, wait: Option<Duration>, chance: f64) -> Duration {
    let nominal = probe_pauses.first.saturating_mul(1 << probes.min(20)).min(probe_pauses.most);
    let spread = SPREAD_LEAST + (SPREAD_MOST - SPREAD_LEAST) * chance.clamp(0.0, 1.0);
    nominal.mul_f64(spread).max(wait.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
    const PROBE_PAUSES: ProbePauses = ProbePauses { first: Duration::from_secs(5), most: Duration::from_secs(300) };

    fn seen(kind: Kind) -> Seen {
        Seen { kind, duration: Duration::ZERO, wait: None }
    }

    /// The number of failures of different lanes after which it opens.
    fn opens_after(kind: Kind) -> Option<u64> {
        let mut breaker = CircuitBreaker::new(PROBE_PAUSES);
        (1..100).find(|lane| breaker.ended(*lane, seen(kind), 0, NOW, 0.5).is_some())
    }

    #[test]
    fn it_opens_when_the_receiver_is_down_and_not_for_one_event() {
        assert_eq!(opens_after(Kind::Trouble), Some(5));
        assert_eq!(opens_after(Kind::Refusal), Some(10));
        assert_eq!(opens_after(Kind::Nothing), None);
        let mut breaker = CircuitBreaker::new(PROBE_PAUSES);
        for _ in 0..1000 {
            assert_eq!(breaker.ended(7, seen(Kind::Trouble), 0, NOW, 0.5), None, "one lane only");
        }
        for lane in 0..1000 {
            breaker.ended(lane, seen(Kind::Trouble), 0, NOW, 0.5);
            breaker.ended(lane, seen(Kind::Success), 0, NOW, 0.5);
        }
        assert!(!breaker.is_open(), "successes between");
    }

    #[test]
    fn it_stays_closed_while_most_of_many_are_answered() {
        for (others, wanted) in [(8, 5), (10, 5), (50, 25), (500, 250)] {
            let mut breaker = CircuitBreaker::new(PROBE_PAUSES);
            let opened = (1..1000).find(|lane| breaker.ended(*lane, seen(Kind::Trouble), others, NOW, 0.5).is_some());
            assert_eq!(opened, Some(wanted), "{others}");
        }
    }

    #[test]
    fn probes_back_off_respect_retry_after_and_end_with_an_answer() {
        let mut breaker = CircuitBreaker::new(PROBE_PAUSES);
        let opened = (0..5).find_map(|lane| breaker.ended(lane, seen(Kind::Trouble), 0, NOW, 0.5));
        assert_eq!(opened, Some(Transition::Opened(NOW.plus(Duration::from_secs(5)))));
        let mut now = NOW;
        let mut pauses = Vec::new();
        for _ in 0..8 {
            let next = breaker.free_at(now);
            pauses.push(next.since(now).as_secs());
            now = next;
            breaker.ended(9, seen(Kind::Trouble), 0, now, 0.5);
        }
        assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 300, 300]);
        let wait = Some(Duration::from_secs(3600));
        breaker.ended(9, Seen { wait, ..seen(Kind::Trouble) }, 0, now, 0.5);
        assert_eq!(breaker.next(), Some(now.plus(Duration::from_secs(3600))));
        assert_eq!(breaker.ended(9, seen(Kind::Success), 0, now, 0.5), Some(Transition::Closed));
        assert_eq!(breaker.free_at(now), now);
    }

    #[test]
    fn the_rate_after_recovery_grows_from_slow() {
        let mut breaker = CircuitBreaker::opened(PROBE_PAUSES, NOW, 0.0);
        breaker.ended(1, seen(Kind::Success), 0, NOW, 0.5);
        let mut now = NOW;
        let mut begun = [0u32; 10];
        while now < NOW.plus(Duration::from_secs(7)) {
            let free = breaker.free_at(now);
            if free > now {
                now = free;
                continue;
            }
            breaker.take(now);
            begun[now.since(NOW).as_secs() as usize] += 1;
        }
        for (second, begun) in begun.iter().enumerate().take(7) {
            let most = RAMP_FIRST << second;
            assert!(*begun <= most + most / 50 + 2 && *begun >= most * 8 / 10, "{begun} in second {second}, of {most}");
        }
        assert_eq!(breaker.free_at(NOW.plus(Duration::from_secs(9))), NOW.plus(Duration::from_secs(9)));
    }
}
