//! Property test: the lanes against a naive model under random events. Everything is in one map, and every ordering
//! rule is written down as documented.

mod elsewhere;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::*;
use crate::core::delivery::State;
use crate::core::event::CallId;
use crate::core::subscription::Ordering;

const SEEDS: u64 = 1_000;
const EVENTS: usize = 1_000;
const HOLD: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const SUBSCRIPTIONS: u32 = 4;
const UNRECORDED: usize = 40;

type Key = (SubscriptionNumber, u64);

/// A small generator: a seed determines the whole run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % most
    }

    fn of(&mut self, part: u64, whole: u64) -> bool {
        self.below(whole) < part
    }

    fn part(&mut self) -> f64 {
        self.below(1000) as f64 / 1000.0
    }
}

/// The dimensions of a run.
#[derive(Clone, Copy)]
struct Size {
    threads: usize,
    /// Maximum attempts in flight of one subscription.
    in_flight: u64,
    /// Number of calls.
    calls: u64,
    bounds: Bounds,
}

impl Size {
    const fn of(threads: usize) -> Self {
        let tight = Bounds { window: 6, least: 2, most: 20, most_of_all: 40 };
        let roomy = Bounds { window: 64, least: 8, most: 400, most_of_all: 800 };
        if threads < 64 {
            Self { threads, in_flight: 4, calls: 7, bounds: tight }
        } else {
            Self { threads, in_flight: 600, calls: 500, bounds: roomy }
        }
    }

    /// Cycles through sizes; most runs are small.
    const fn of_seed(seed: u64) -> Self {
        Self::of([5, 1, 5, 2, 5, 8, 5, 64, 2_048, 8_192][seed as usize % 10])
    }
}

/// The true state of a delivery.
struct Truth {
    delivery: Delivery,
    in_flight: bool,
    /// The receiver's `Retry-After` ends then.
    retry_after: Timestamp,
}

struct World {
    size: Size,
    chance: Chance,
    now: Timestamp,
    lanes: Lanes,
    terms: BTreeMap<SubscriptionNumber, Terms>,
    last: BTreeMap<SubscriptionNumber, u64>,
    /// How many of ten attempts fail, by subscription.
    mood: BTreeMap<SubscriptionNumber, u64>,
    /// The store's state.
    stored: BTreeMap<Key, Delivery>,
    /// Dead letters.
    dead: BTreeMap<Key, Delivery>,
    /// Results not yet in the store.
    records: VecDeque<Delivery>,
    /// All outstanding deliveries.
    outstanding: BTreeMap<Key, Truth>,
    /// Subscriptions that another process sends for.
    away: BTreeSet<SubscriptionNumber>,
    ended: u64,
}

fn key(delivery: &Delivery) -> Key {
    (delivery.id.subscription_number(), delivery.id.sequence())
}

fn rules(size: Size) -> LaneRules {
    let (first_probe, longest_probe_pause) = (Duration::from_secs(5), Duration::from_secs(300));
    let Size { threads, bounds, .. } = size;
    LaneRules { hold: HOLD, threads, unrecorded: UNRECORDED + threads, first_probe, longest_probe_pause, bounds }
}

impl World {
    fn new(seed: u64) -> Self {
        let mut chance = Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let now = Timestamp::from_millis(1_790_000_000_000);
        let size = Size::of_seed(seed);
        let mut lanes = Lanes::new(rules(size));
        let mut terms = BTreeMap::new();
        for number in (1..=SUBSCRIPTIONS).map(SubscriptionNumber::new) {
            let ordering = if number == SubscriptionNumber::new(4) { Ordering::None } else { Ordering::Call };
            let max_in_flight = 1 + chance.below(size.in_flight) as u32;
            let rate_per_second = chance.of(1, 4).then(|| 1 + chance.below(20) as u32);
            let its = Terms { enabled: true, ordering, max_in_flight, rate_per_second };
            lanes.put_subscription(number, its, now);
            terms.insert(number, its);
        }
        Self {
            size,
            chance,
            now,
            lanes,
            terms,
            last: BTreeMap::new(),
            mood: BTreeMap::new(),
            stored: BTreeMap::new(),
            dead: BTreeMap::new(),
            records: VecDeque::new(),
            outstanding: BTreeMap::new(),
            away: BTreeSet::new(),
            ended: 0,
        }
    }

    fn event(&mut self) {
        match self.chance.below(100) {
            0..38 => self.accept(),
            38..40 => self.accept_two(),
            40..75 => self.end_one(),
            75..83 => self.record_some(),
            83..90 => self.now = self.now.plus(Duration::from_millis(self.chance.below(20_000))),
            90..92 => self.set_mood(),
            92..94 => self.cancel(),
            94..96 => self.retry(),
            96 => self.toggle(),
            97 => self.now = self.now.plus(HOUR.mul_f64(self.chance.part() * 5.0)),
            98 => {
                let back = HOUR.mul_f64(self.chance.part() * 3.0).as_millis() as u64;
                self.now = Timestamp::from_millis(self.now.millis() - back);
            }
            _ => match self.chance.below(8) {
                0..2 => self.restart(),
                2..5 => self.hand_over(),
                _ => self.end_elsewhere(),
            },
        }
        self.go_on();
    }

    fn number(&mut self) -> SubscriptionNumber {
        SubscriptionNumber::new(1 + self.chance.below(u64::from(SUBSCRIPTIONS)) as u32)
    }

    fn accept(&mut self) {
        let number = self.number();
        let delivery = self.new_delivery(number);
        self.track(delivery);
    }

    fn new_delivery(&mut self, number: SubscriptionNumber) -> Delivery {
        let last = self.last.entry(number).or_default();
        *last += 1;
        Delivery {
            call: CallId::parse(&self.chance.below(self.size.calls).to_string()).unwrap(),
            due: self.now,
            expire_at: self.chance.of(1, 20).then(|| self.now.plus(Duration::from_secs(90))),
            ..Delivery::for_test(DeliveryId::new(Timestamp::from_millis(1), number, *last))
        }
    }

    /// The delivery is durable, and the lanes are notified.
    fn track(&mut self, delivery: Delivery) {
        self.store(&delivery);
        self.lanes.put(delivery, self.now);
    }

    /// The delivery is durable.
    fn store(&mut self, delivery: &Delivery) {
        self.stored.insert(key(delivery), delivery.clone());
        let truth = self.outstanding.entry(key(delivery)).or_insert_with(|| Truth {
            delivery: delivery.clone(),
            in_flight: false,
            retry_after: Timestamp::ZERO,
        });
        if !truth.in_flight {
            (truth.delivery, truth.retry_after) = (delivery.clone(), Timestamp::ZERO);
        }
    }

    /// Starts, reads and expires what is possible; checks each against the rules.
    fn go_on(&mut self) {
        self.lanes.wake(self.now);
        while let Some(expired) = self.lanes.expired(self.now) {
            assert!(expired.expire_at.is_some_and(|at| at <= self.now));
            let truth = self.outstanding.remove(&key(&expired)).expect("only outstanding deliveries expire");
            assert!(!truth.in_flight);
            self.ended += 1;
            self.records.push_back(Delivery { state: State::Expired, ..expired });
        }
        self.start_all();
        while let Some(wanted) = self.lanes.wanted() {
            let above = (wanted.number, wanted.after + 1)..=(wanted.number, u64::MAX);
            let found = self.stored.range(above).take(wanted.most).map(|(_, delivery)| delivery.clone()).collect();
            self.lanes.read(wanted, found, self.now);
            self.start_all();
        }
        let Bounds { window, least, most_of_all, .. } = self.size.bounds;
        let window = window.max(4 * self.size.in_flight as usize);
        let most = most_of_all + SUBSCRIPTIONS as usize * (window + least);
        assert!(self.lanes.held <= most, "{} in memory, at most {most}", self.lanes.held);
        assert_eq!(self.lanes.tally(), self.lanes.tally_one_by_one(), "the running tally equals a recount");
    }

    fn start_all(&mut self) {
        while let Some(start) = self.lanes.start(self.now) {
            self.judge(&start);
            self.outstanding.get_mut(&key(&start.delivery)).expect("judged").in_flight = true;
        }
    }

    fn judge(&self, start: &Start) {
        let (number, sequence) = key(&start.delivery);
        let truth = self.outstanding.get(&(number, sequence)).expect("only outstanding deliveries are sent");
        assert!(!truth.in_flight, "sent twice at once");
        assert_eq!(truth.delivery.attempts, start.delivery.attempts, "the state after its last attempt");
        assert!(truth.retry_after <= self.now, "sent before Retry-After");
        let terms = self.terms[&number];
        assert!(terms.enabled);
        let of_all = self.outstanding.values().filter(|truth| truth.in_flight).count();
        assert!(of_all < self.size.threads, "more than threads");
        let its = || self.outstanding.range((number, 0)..=(number, u64::MAX)).map(|(_, truth)| truth);
        let in_flight = its().filter(|truth| truth.in_flight).count();
        assert!(in_flight < terms.max_in_flight as usize, "more than max_in_flight");
        let standing = self.lanes.standing(number).expect("it is there");
        assert!(
            standing.condition != Condition::Down || in_flight == 0,
            "more than one probe to a receiver that is down"
        );
        if terms.ordering == Ordering::None {
            assert!(start.gap.is_empty());
            return;
        }
        let mut passed = Vec::new();
        for other in its().filter(|other| other.delivery.call == truth.delivery.call) {
            assert!(!other.in_flight, "two deliveries of one call in flight");
            if other.delivery.id.sequence() >= sequence {
                continue;
            }
            let held = other.delivery.first_failed_at.is_none_or(|failed| failed.plus(HOLD) > self.now);
            assert!(!held, "{} goes before {} whose hold has not ended", sequence, other.delivery.id.sequence());
            passed.push(other.delivery.id);
        }
        passed.truncate(lane::NAMED_MOST);
        assert_eq!(start.gap, passed, "the gap names what is passed");
    }

    fn end_one(&mut self) {
        let in_flight: Vec<Key> =
            self.outstanding.iter().filter(|(_, truth)| truth.in_flight).map(|(key, _)| *key).collect();
        if in_flight.is_empty() {
            return;
        }
        let at = in_flight[self.chance.below(in_flight.len() as u64) as usize];
        let fails = self.chance.below(10) < self.mood.get(&at.0).copied().unwrap_or(1);
        let (spread, took) = (self.chance.part(), self.chance.below(3_000));
        let trouble = self.chance.of(1, 2);
        let truth = self.outstanding.get_mut(&at).expect("it is under way");
        truth.in_flight = false;
        let before = &truth.delivery;
        let mut after = Delivery { attempts: before.attempts + 1, due: self.now, ..before.clone() };
        let (mut kind, mut wait) = (Kind::Success, None);
        truth.retry_after = Timestamp::ZERO;
        if fails {
            kind = if trouble { Kind::Trouble } else { Kind::Refusal };
            after.first_failed_at = before.first_failed_at.or(Some(self.now));
            after.state = State::Retrying;
            after.due = self.now.plus(Duration::from_secs(5 << after.attempts.min(8)));
            if self.chance.of(1, 10) {
                let retry_after = Duration::from_secs(self.chance.below(400));
                wait = Some(retry_after);
                after.due = after.due.max(self.now.plus(retry_after));
                after.last_response = Some(503);
                truth.retry_after = self.now.plus(retry_after);
            }
            if self.chance.of(1, 20) {
                after.state = State::Failed;
            }
            truth.delivery = after.clone();
        } else {
            after.state = State::Delivered;
        }
        // Cancelled meanwhile, as the store says already.
        let cancelled = !self.stored.contains_key(&at);
        if !after.state.is_owed() || cancelled {
            self.outstanding.remove(&at);
            self.ended += 1;
        }
        self.records.push_back(after.clone());
        let seen = Seen { kind, duration: Duration::from_millis(took), wait };
        self.lanes.done(after, seen, self.now, spread);
    }

    /// Some results reach the store.
    fn record_some(&mut self) {
        for _ in 0..self.chance.below(self.size.in_flight + 2) {
            let Some(mut after) = self.records.pop_front() else { return };
            let at = key(&after);
            if self.stored.remove(&at).is_some() {
                if after.state.is_owed() {
                    self.stored.insert(at, after.clone());
                } else if after.state == State::Failed {
                    self.dead.insert(at, after.clone());
                }
            } else {
                after.state = State::Cancelled;
            }
            self.lanes.recorded(after, self.now);
        }
    }

    fn set_mood(&mut self) {
        let (number, fails) = (self.number(), [0, 1, 3, 10][self.chance.below(4) as usize]);
        self.mood.insert(number, fails);
    }

    fn toggle(&mut self) {
        let number = self.number();
        let terms = self.terms.get_mut(&number).expect("it is there");
        terms.enabled = !terms.enabled;
        if !self.away.contains(&number) {
            self.lanes.put_subscription(number, *terms, self.now);
        }
    }

    /// Cancels an outstanding delivery by hand.
    fn cancel(&mut self) {
        if self.stored.is_empty() {
            return;
        }
        let nth = self.chance.below(self.stored.len() as u64) as usize;
        let at = *self.stored.keys().nth(nth).expect("there are more");
        // Ended, but the store does not know yet: not cancelled here.
        let Some(truth) = self.outstanding.get(&at) else { return };
        let (id, in_flight) = (truth.delivery.id, truth.in_flight);
        self.stored.remove(&at);
        if !in_flight {
            self.outstanding.remove(&at);
            self.ended += 1;
        }
        self.lanes.cancel(id, self.now);
    }

    /// Retries by hand: an outstanding delivery or a dead letter.
    fn retry(&mut self) {
        let from = if self.chance.of(1, 2) { &self.dead } else { &self.stored };
        if from.is_empty() {
            return;
        }
        let nth = self.chance.below(from.len() as u64) as usize;
        let mut delivery = from.values().nth(nth).expect("there are more").clone();
        let at = key(&delivery);
        let behind = self.records.iter().any(|record| key(record) == at);
        if behind {
            return;
        }
        if self.dead.remove(&at).is_some() {
            (delivery.state, delivery.first_failed_at) = (State::Retrying, None);
            self.ended -= 1;
        }
        (delivery.due, delivery.expire_at) = (self.now, None);
        self.track(delivery);
    }

    /// Kills and restarts the process: some results are lost, nothing is in flight.
    fn restart(&mut self) {
        for _ in 0..2 {
            self.record_some();
        }
        self.records.clear();
        self.outstanding = self
            .stored
            .iter()
            .map(|(at, delivery)| {
                (*at, Truth { delivery: delivery.clone(), in_flight: false, retry_after: Timestamp::ZERO })
            })
            .collect();
        let all: u64 = self.last.values().sum();
        self.ended = all - self.outstanding.len() as u64;
        self.lanes = Lanes::new(rules(self.size));
        for number in self.terms.keys().copied().collect::<Vec<_>>() {
            self.come_back(number);
        }
    }

    /// All receivers work from now on; everything must end.
    fn settle(&mut self) {
        for number in (1..=SUBSCRIPTIONS).map(SubscriptionNumber::new) {
            self.mood.insert(number, 0);
            let terms = self.terms.get_mut(&number).expect("it is there");
            terms.enabled = true;
            let terms = *terms;
            if self.away.contains(&number) {
                self.come_back(number);
            }
            self.lanes.put_subscription(number, terms, self.now);
        }
        let mut rounds = 0;
        while !self.outstanding.is_empty() {
            rounds += 1;
            assert!(rounds < 20_000, "{} are still outstanding", self.outstanding.len());
            self.go_on();
            if self.outstanding.values().any(|truth| truth.in_flight) {
                self.end_one();
            } else if !self.outstanding.is_empty() {
                self.record_some();
                // The store may be waited for.
                let wake = self.lanes.next_wake().or((!self.records.is_empty()).then_some(self.now));
                self.now = self.now.max(wake.expect("outstanding deliveries have a due time"));
            }
        }
        let all: u64 = self.last.values().sum();
        assert_eq!(self.ended, all, "every delivery ends exactly once");
        while !self.records.is_empty() {
            self.record_some();
        }
        assert!(
            self.lanes.held == 0
                && self.lanes.unrecorded == 0
                && self.lanes.share.taken() == 0
                && self.stored.is_empty()
        );
        assert!(self.lanes.is_settled(&ShardSet::ALL), "what has left is forgotten");
        assert!(self.lanes.queues.values().all(Queue::is_at_rest));
    }
}

#[test]
fn whatever_happens_the_order_holds_and_everything_ends() {
    for seed in 1..=SEEDS {
        let print_seed = PrintSeed(seed);
        let mut world = World::new(seed);
        for _ in 0..EVENTS {
            world.event();
        }
        world.settle();
        drop(print_seed);
    }
}

/// Prints the seed on failure.
struct PrintSeed(u64);

impl Drop for PrintSeed {
    #[expect(clippy::print_stderr, reason = "the test harness shows this below the message of a failed test")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("seed {}", self.0);
        }
    }
}
