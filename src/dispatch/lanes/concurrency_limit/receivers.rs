//! The limit against simulated receivers of different kinds: it converges to what each handles best and stays there.

use std::collections::BTreeSet;

use super::*;

/// Simulated time, microseconds.
type Micros = u64;

const SECOND: Micros = 1_000_000;
/// The subscription's own limit.
const MOST: u32 = 512;

/// A receiver.
#[derive(Debug, Clone, Copy)]
enum Receiver {
    /// Handles any number concurrently, each for this long.
    Roomy(Micros),
    /// Handles this many concurrently, each for this long; the others queue.
    Queueing(usize, Micros),
    /// Handles this many concurrently, each for this long, and refuses the others.
    Refusing(usize, Micros),
    /// Handles any number; this many of a hundred take the second duration, the others the first.
    Mixed(u64, Micros, Micros),
    /// Handles any number; durations spread around this, from half of it to several times it.
    Jittery(Micros),
    /// Handles any number and refuses one of this many at random.
    Moody(u64, Micros),
    /// Handles any number; after a while each takes three times as long.
    Changing(Micros, Micros),
}

struct World {
    kind: Receiver,
    concurrency: ConcurrencyLimit,
    now: Micros,
    random: u64,
    /// Attempts in flight: end, number, start, whether refused.
    in_flight: BTreeSet<(Micros, u64, Micros, bool)>,
    /// When each worker is free.
    workers: Vec<Micros>,
    begun: u64,
}

/// What was observed over a period.
#[derive(Debug)]
struct Stretch {
    per_second: f64,
    refused: f64,
    least: u32,
    most: u32,
}

impl World {
    fn new(kind: Receiver) -> Self {
        let workers = match kind {
            Receiver::Queueing(count, _) | Receiver::Refusing(count, _) => vec![0; count],
            _ => Vec::new(),
        };
        let concurrency = ConcurrencyLimit::new(Proof::Unproven);
        Self { kind, concurrency, now: 0, random: 7, in_flight: BTreeSet::new(), workers, begun: 0 }
    }

    /// In [0, 1).
    fn chance(&mut self) -> f64 {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 40) as f64 / f64::from(1u32 << 24)
    }

    fn time(&self) -> Timestamp {
        Timestamp::from_millis(1_790_000_000_000 + self.now / 1_000)
    }

    /// The next attempt's duration, and whether it is refused.
    fn next(&mut self) -> (Micros, bool) {
        let (chance, now) = (self.chance(), self.now);
        match self.kind {
            Receiver::Roomy(time) => (time, false),
            Receiver::Queueing(_, time) => {
                let worker = self.workers.iter_mut().min().expect("it has workers");
                *worker = now.max(*worker) + time;
                (*worker - now, false)
            }
            Receiver::Refusing(_, time) => match self.workers.iter_mut().find(|free| **free <= now) {
                Some(worker) => {
                    *worker = now + time;
                    (time, false)
                }
                None => (1_000, true),
            },
            Receiver::Mixed(part, usual, long) => (if chance * 100.0 < part as f64 { long } else { usual }, false),
            Receiver::Jittery(time) => ((time as f64 * (0.5 - (1.0 - chance).ln() / 2.0)) as Micros, false),
            Receiver::Moody(of, time) => {
                if chance * (of as f64) < 1.0 {
                    (1_000, true)
                } else {
                    (time, false)
                }
            }
            Receiver::Changing(at, time) => (if now < at { time } else { time * 3 }, false),
        }
    }

    /// Runs for `time` with a limit of `most`.
    fn run(&mut self, most: u32, time: Micros) -> Stretch {
        let (until, from) = (self.now + time, self.now);
        let mut seen = Stretch { per_second: 0.0, refused: 0.0, least: u32::MAX, most: 0 };
        while self.now < until {
            while self.in_flight.len() < self.concurrency.limit().min(most) as usize {
                let (takes, refused) = self.next();
                self.begun += 1;
                // Spread slightly, as by the machine's scheduling.
                let end = self.now + takes + self.begun % 97;
                self.in_flight.insert((end, self.begun, self.now, refused));
                self.concurrency.began(self.in_flight.len());
            }
            // Attempts that end within a millisecond are reported together.
            let update = self.in_flight.first().expect("there is always something under way").0 + 1_000;
            while let Some((end, _, begun, refused)) =
                self.in_flight.first().copied().filter(|(end, ..)| *end <= update)
            {
                self.in_flight.pop_first();
                self.now = end;
                let kind = if refused { Kind::Trouble } else { Kind::Success };
                let duration = Duration::from_micros(end - begun);
                let attempt = Seen { kind, duration, wait: None };
                self.concurrency.ended(attempt, self.in_flight.len(), most, self.time());
                seen.per_second += if refused { 0.0 } else { 1.0 };
                seen.refused += if refused { 1.0 } else { 0.0 };
                seen.least = seen.least.min(self.concurrency.limit());
                seen.most = seen.most.max(self.concurrency.limit());
            }
        }
        seen.refused /= seen.per_second + seen.refused;
        seen.per_second /= (self.now - from) as f64 / SECOND as f64;
        seen
    }
}

/// `receiver`, observed for two minutes once it has had `after` to converge.
fn settled(receiver: Receiver, after: Micros) -> Stretch {
    let mut world = World::new(receiver);
    world.run(MOST, after);
    world.run(MOST, 120 * SECOND)
}

#[test]
fn one_that_takes_any_number_is_soon_sent_as_much_as_there_may_be() {
    for (time, soon) in [(200_000, 4), (1_000_000, 10), (100_000, 2)] {
        let seen = settled(Receiver::Roomy(time), soon * SECOND);
        let possible = f64::from(MOST) * SECOND as f64 / time as f64;
        assert!(seen.per_second > 0.99 * possible && seen.least == MOST, "{time}: {seen:?} of {possible}");
    }
}

#[test]
fn one_that_answers_at_once_is_sent_no_more_than_the_machine_has_use_for() {
    for receiver in [Receiver::Roomy(500), Receiver::Queueing(2, 300), Receiver::Queueing(1, 100)] {
        let seen = settled(receiver, 5 * SECOND);
        assert!(seen.most <= 32 && seen.per_second > 6_000.0, "{receiver:?}: {seen:?}");
    }
    let seen = settled(Receiver::Roomy(20_000), 5 * SECOND);
    assert!(seen.per_second > 9_000.0, "{seen:?}");
}

#[test]
fn a_queueing_receiver_is_kept_busy_and_not_overloaded() {
    for workers in [4, 20, 50, 300] {
        let seen = settled(Receiver::Queueing(workers, 200_000), 20 * SECOND);
        let possible = workers as f64 * 5.0;
        assert!(seen.per_second > 0.97 * possible, "{workers}: {seen:?} of {possible}");
        let most = (workers as f64 * 2.0).max(2.0 * SAFE);
        assert!(f64::from(seen.most) <= most, "{workers}: {seen:?}");
    }
}

#[test]
fn a_receiver_that_refuses_excess_is_rarely_sent_any() {
    for (workers, tolerated) in [(3, 0.05), (8, 0.01), (50, 0.01), (300, 0.03)] {
        let seen = settled(Receiver::Refusing(workers, 200_000), 20 * SECOND);
        let possible = workers as f64 * 5.0;
        assert!(seen.per_second > 0.9 * possible, "{workers}: {seen:?} of {possible}");
        assert!(seen.refused < tolerated, "{workers}: {seen:?}");
    }
}

#[test]
fn mixed_or_jittery_latency_does_not_lower_the_limit() {
    let cases = [
        (Receiver::Jittery(200_000), 2_560.0, 0.95),
        (Receiver::Mixed(1, 200_000, 10_000_000), 1_718.0, 0.95),
        (Receiver::Mixed(10, 100_000, 1_000_000), 2_694.0, 0.5),
        (Receiver::Mixed(50, 100_000, 1_000_000), 930.0, 0.5),
    ];
    for (receiver, possible, part) in cases {
        let seen = settled(receiver, 60 * SECOND);
        assert!(seen.per_second > part * possible, "{receiver:?}: {seen:?} of {possible}");
    }
}

#[test]
fn latency_unrelated_to_load_does_not_lower_the_limit() {
    let seen = settled(Receiver::Changing(30 * SECOND, 200_000), 60 * SECOND);
    assert!(seen.per_second > 0.95 * f64::from(MOST) / 0.6, "{seen:?}");
}

#[test]
fn refusals_that_are_not_of_its_making_do_not_stop_it() {
    for (of, part) in [(1_000, 0.95), (100, 0.9), (20, 0.02)] {
        let seen = settled(Receiver::Moody(of, 200_000), 20 * SECOND);
        assert!(seen.per_second > part * 2_560.0, "one of {of}: {seen:?}");
    }
}
