//! The gate in front of a receiver: open while it takes what it is sent, closed while it is down.
//!
//! Pure: time and chance come in. It knows attempts by how they went ([`Seen`]) and by the lane that
//! they were of; it must not know deliveries.
//!
//! It closes after failures of [`WEIGHT`] in a row with no success between, each of a lane of its
//! own: a failure that speaks of the receiver as a whole weighs two, one that may be the event's own
//! fault weighs one. So five calls in a row that get no answer close it, or ten that are refused; one
//! poisoned event, tried again and again, counts once and never does. Where many are under way it takes more: a
//! receiver that has too much at once and refuses some of it goes on answering the others, which is the limit's
//! affair (`pace`). While it is closed one delivery
//! at a time asks, after a pause that doubles. One success opens it, and what goes through grows from
//! slow: [`RAMP_FIRST`] in the first second, twice as many in each further one.

use std::time::Duration;

use crate::core::time::Timestamp;

use super::super::rate::Bucket;

/// How much failure closes the gate.
const WEIGHT: u32 = 10;
/// How many deliveries may begin in the first second after it opened.
const RAMP_FIRST: u32 = 10;
/// After how many seconds any number may.
const RAMP_SECONDS: u32 = 8;

/// What an attempt says of its receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It took what it was sent.
    Success,
    /// It answered no: that may be this event's own fault.
    Refusal,
    /// It could not be reached, did not answer, or said that it cannot.
    Trouble,
    /// Nothing: the attempt could not be made, through a fault of ours.
    Nothing,
}

/// How an attempt went, as far as it says something of the receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// What it says.
    pub kind: Kind,
    /// How long it took.
    pub duration: Duration,
    /// How long the receiver asked to be left alone.
    pub wait: Option<Duration>,
}

/// What an attempt did to the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// The receiver counts as down from now on, and is asked next at this time.
    Closed(Timestamp),
    /// The receiver is back.
    Opened,
}

/// How long is waited between two questions.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asking {
    /// Before the first.
    pub(super) first: Duration,
    /// At most.
    pub(super) most: Duration,
}

#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub(super) struct Gate {
    asking: Asking,
    /// The lanes that failed in a row, and how much that weighs.
    failed: Vec<u64>,
    weight: u32,
    closed: Option<Closed>,
    ramp: Option<Ramp>,
}

#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
struct Closed {
    /// How many questions went without success.
    asked: u32,
    next: Timestamp,
}

/// The first seconds after the gate opened.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
struct Ramp {
    opened: Timestamp,
    second: u32,
    bucket: Bucket,
}

impl Gate {
    /// An open gate.
    pub(super) const fn new(asking: Asking) -> Self {
        Self { asking, failed: Vec::new(), weight: 0, closed: None, ramp: None }
    }

    /// A closed gate: the receiver was down before the start. It is asked soon, not at once, so that
    /// not all that are down are asked together.
    pub(super) fn shut(asking: Asking, now: Timestamp, chance: f64) -> Self {
        let next = now.plus(asking.first.mul_f64(chance.clamp(0.0, 1.0)));
        Self { closed: Some(Closed { asked: 0, next }), ..Self::new(asking) }
    }

    /// Whether the receiver counts as down.
    pub(super) const fn is_closed(&self) -> bool {
        self.closed.is_some()
    }

    /// When it is asked next, if it is down.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.closed.as_ref().map(|closed| closed.next)
    }

    /// When a delivery may go through: `now`, or later.
    pub(super) fn free_at(&mut self, now: Timestamp) -> Timestamp {
        if let Some(closed) = &mut self.closed {
            // The clock may have been set back: no pause is longer than the longest.
            closed.next = closed.next.min(now.plus(self.asking.most.mul_f64(SPREAD_MOST)));
            return closed.next.max(now);
        }
        let Some(ramp) = &mut self.ramp else { return now };
        ramp.opened = ramp.opened.min(now);
        let second = u32::try_from(now.since(ramp.opened).as_secs()).unwrap_or(u32::MAX);
        if second >= RAMP_SECONDS {
            self.ramp = None;
            return now;
        }
        if second != ramp.second {
            ramp.second = second;
            ramp.bucket = Bucket::new(Some(RAMP_FIRST << second), now);
        }
        let next_second = ramp.opened.plus(Duration::from_secs(u64::from(second) + 1));
        ramp.bucket.free_at(now).min(next_second)
    }

    /// A delivery goes through.
    pub(super) fn take(&mut self, now: Timestamp) {
        if let Some(ramp) = &mut self.ramp {
            ramp.bucket.take(now);
        }
    }

    /// An attempt of the lane `lane` has ended, and `others` are under way.
    pub(super) fn ended(&mut self, lane: u64, seen: Seen, others: usize, now: Timestamp, chance: f64) -> Option<Turn> {
        let weight = match seen.kind {
            Kind::Success => return self.succeeded(now),
            Kind::Refusal => 1,
            Kind::Trouble => 2,
            Kind::Nothing => 0,
        };
        if let Some(closed) = &mut self.closed {
            // Others may have been under way when it closed: they are no answer to a question.
            closed.asked = closed.asked.saturating_add(u32::from(others == 0 && weight > 0));
            closed.next = closed.next.max(now.plus(pause(self.asking, closed.asked, seen.wait, chance)));
            return None;
        }
        if weight > 0 && !self.failed.contains(&lane) {
            self.failed.push(lane);
            self.weight += weight;
        }
        if self.weight < WEIGHT || (self.weight as usize) < others {
            return None;
        }
        let next = now.plus(pause(self.asking, 0, seen.wait, chance));
        self.closed = Some(Closed { asked: 0, next });
        self.ramp = None;
        Some(Turn::Closed(next))
    }

    fn succeeded(&mut self, now: Timestamp) -> Option<Turn> {
        self.failed.clear();
        self.weight = 0;
        self.closed.take()?;
        self.ramp = Some(Ramp { opened: now, second: 0, bucket: Bucket::new(Some(RAMP_FIRST), now) });
        Some(Turn::Opened)
    }
}

/// How far chance spreads a pause: from this part of it to [`SPREAD_MOST`].
const SPREAD_LEAST: f64 = 0.75;
const SPREAD_MOST: f64 = 1.25;

/// The pause after `asked` questions that went without success.
fn pause(asking: Asking, asked: u32, wait: Option<Duration>, chance: f64) -> Duration {
    let nominal = asking.first.saturating_mul(1 << asked.min(20)).min(asking.most);
    let spread = SPREAD_LEAST + (SPREAD_MOST - SPREAD_LEAST) * chance.clamp(0.0, 1.0);
    nominal.mul_f64(spread).max(wait.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
    const ASKING: Asking = Asking { first: Duration::from_secs(5), most: Duration::from_secs(300) };

    fn seen(kind: Kind) -> Seen {
        Seen { kind, duration: Duration::ZERO, wait: None }
    }

    /// After how many failures of different lanes it closes.
    fn closes_after(kind: Kind) -> Option<u64> {
        let mut gate = Gate::new(ASKING);
        (1..100).find(|lane| gate.ended(*lane, seen(kind), 0, NOW, 0.5).is_some())
    }

    #[test]
    fn it_closes_when_the_receiver_is_down_and_not_for_one_event() {
        assert_eq!(closes_after(Kind::Trouble), Some(5));
        assert_eq!(closes_after(Kind::Refusal), Some(10));
        assert_eq!(closes_after(Kind::Nothing), None);
        let mut gate = Gate::new(ASKING);
        for _ in 0..1000 {
            assert_eq!(gate.ended(7, seen(Kind::Trouble), 0, NOW, 0.5), None, "one lane only");
        }
        for lane in 0..1000 {
            gate.ended(lane, seen(Kind::Trouble), 0, NOW, 0.5);
            gate.ended(lane, seen(Kind::Success), 0, NOW, 0.5);
        }
        assert!(!gate.is_closed(), "successes between");
    }

    #[test]
    fn it_stays_open_while_most_of_many_are_answered() {
        for (others, wanted) in [(8, 5), (10, 5), (50, 25), (500, 250)] {
            let mut gate = Gate::new(ASKING);
            let closed = (1..1000).find(|lane| gate.ended(*lane, seen(Kind::Trouble), others, NOW, 0.5).is_some());
            assert_eq!(closed, Some(wanted), "{others}");
        }
    }

    #[test]
    fn its_questions_grow_rarer_keep_to_what_was_asked_and_end_with_an_answer() {
        let mut gate = Gate::new(ASKING);
        let closed = (0..5).find_map(|lane| gate.ended(lane, seen(Kind::Trouble), 0, NOW, 0.5));
        assert_eq!(closed, Some(Turn::Closed(NOW.plus(Duration::from_secs(5)))));
        let mut now = NOW;
        let mut pauses = Vec::new();
        for _ in 0..8 {
            let next = gate.free_at(now);
            pauses.push(next.since(now).as_secs());
            now = next;
            gate.ended(9, seen(Kind::Trouble), 0, now, 0.5);
        }
        assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 300, 300]);
        let wait = Some(Duration::from_secs(3600));
        gate.ended(9, Seen { wait, ..seen(Kind::Trouble) }, 0, now, 0.5);
        assert_eq!(gate.next(), Some(now.plus(Duration::from_secs(3600))));
        assert_eq!(gate.ended(9, seen(Kind::Success), 0, now, 0.5), Some(Turn::Opened));
        assert_eq!(gate.free_at(now), now);
    }

    #[test]
    fn what_goes_through_afterwards_grows_from_slow() {
        let mut gate = Gate::shut(ASKING, NOW, 0.0);
        gate.ended(1, seen(Kind::Success), 0, NOW, 0.5);
        let mut now = NOW;
        let mut begun = [0u32; 10];
        while now < NOW.plus(Duration::from_secs(7)) {
            let free = gate.free_at(now);
            if free > now {
                now = free;
                continue;
            }
            gate.take(now);
            begun[now.since(NOW).as_secs() as usize] += 1;
        }
        for (second, begun) in begun.iter().enumerate().take(7) {
            let most = RAMP_FIRST << second;
            assert!(*begun <= most + most / 50 + 2 && *begun >= most * 8 / 10, "{begun} in second {second}, of {most}");
        }
        assert_eq!(gate.free_at(NOW.plus(Duration::from_secs(9))), NOW.plus(Duration::from_secs(9)));
    }
}
