//! Test of the thundering herd: after an hour without network, no receiver is flooded.

use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::core::delivery::State;
use crate::core::event::CallId;
use crate::core::subscription::Ordering;

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
const RECEIVERS: u32 = 40;
const BACKLOG: u64 = 600;
/// Duration of an attempt once the network is back.
const ANSWER: Duration = Duration::from_millis(20);

struct Network {
    lanes: Lanes,
    /// Outstanding deliveries outside the lanes, which read them as from a store.
    stored: BTreeMap<(SubscriptionNumber, u64), Delivery>,
    /// Attempts in flight, by end time.
    in_flight: BTreeMap<(Timestamp, SubscriptionNumber, u64), Delivery>,
    /// Times at which each receiver was sent something since the network is back.
    sent: BTreeMap<SubscriptionNumber, Vec<Timestamp>>,
    most_at_once: BTreeMap<SubscriptionNumber, usize>,
    random: u64,
}

impl Network {
    fn new() -> Self {
        let (first_probe, longest_probe_pause) = (Duration::from_secs(5), Duration::from_secs(300));
        let (hold, bounds) = (Duration::from_secs(900), Bounds::default());
        let mut lanes =
            Lanes::new(LaneRules { hold, threads: 64, unrecorded: 4096, first_probe, longest_probe_pause, bounds });
        let terms = Terms { enabled: true, ordering: Ordering::Call, max_in_flight: 16, rate_per_second: None };
        let mut stored = BTreeMap::new();
        for number in (1..=RECEIVERS).map(SubscriptionNumber::new) {
            lanes.put_subscription(number, terms, NOW);
            for sequence in 1..=BACKLOG {
                let delivery = Delivery {
                    call: CallId::parse(&(sequence % 50).to_string()).unwrap(),
                    ..Delivery::for_test(DeliveryId::new(NOW, number, sequence))
                };
                stored.insert((number, sequence), delivery.clone());
                lanes.put(delivery, NOW);
            }
        }
        let (in_flight, sent, most_at_once) = Default::default();
        Self { lanes, stored, in_flight, sent, most_at_once, random: 7 }
    }

    fn chance(&mut self) -> f64 {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.random >> 40) as f64 / f64::from(1u32 << 24)
    }

    fn begin(&mut self, now: Timestamp, down: bool) {
        loop {
            while let Some(start) = self.lanes.start(now) {
                let (number, sequence) = (start.delivery.id.subscription_number(), start.delivery.id.sequence());
                let took = if down { Duration::from_secs(5) } else { ANSWER };
                self.in_flight.insert((now.plus(took), number, sequence), start.delivery);
                if !down {
                    self.sent.entry(number).or_default().push(now);
                    let at_once = self.in_flight.keys().filter(|(_, other, _)| *other == number).count();
                    let most = self.most_at_once.entry(number).or_default();
                    *most = at_once.max(*most);
                }
            }
            let Some(wanted) = self.lanes.wanted() else { return };
            let above = (wanted.number, wanted.after + 1)..=(wanted.number, u64::MAX);
            let found = self.stored.range(above).take(wanted.most).map(|(_, delivery)| delivery.clone()).collect();
            self.lanes.read(wanted, found, now);
        }
    }

    /// Runs until `until`; returns the most attempts any receiver was sent while down.
    fn run(&mut self, from: Timestamp, until: Timestamp, down: bool) {
        let mut now = from;
        while now < until {
            self.lanes.wake(now);
            self.begin(now, down);
            let end = self.in_flight.first_key_value().map(|((at, ..), _)| *at);
            let next = end.into_iter().chain(self.lanes.next_wake()).min().unwrap_or(until);
            now = next.max(now.plus(Duration::from_millis(1)));
            while let Some(entry) = self.in_flight.first_entry().filter(|entry| entry.key().0 <= now) {
                let (at, number, sequence) = *entry.key();
                let delivery = entry.remove();
                let took = if down { Duration::from_secs(5) } else { ANSWER };
                let kind = if down { Kind::Trouble } else { Kind::Success };
                let after = if down {
                    let delay = Duration::from_secs(5 << (2 * delivery.attempts).min(12));
                    let due = at.plus(delay.mul_f64(0.9 + self.chance() / 5.0));
                    let first_failed_at = delivery.first_failed_at.or(Some(at));
                    let attempts = delivery.attempts + 1;
                    Delivery { state: State::Retrying, due, first_failed_at, attempts, ..delivery }
                } else {
                    Delivery { state: State::Delivered, ..delivery }
                };
                if down {
                    self.stored.insert((number, sequence), after.clone());
                } else {
                    self.stored.remove(&(number, sequence));
                }
                let chance = self.chance();
                self.lanes.done(after.clone(), Seen { kind, duration: took, wait: None }, at, chance);
                self.lanes.recorded(after, at);
            }
        }
    }
}

#[test]
fn after_an_hour_without_network_no_receiver_is_hammered() {
    let mut network = Network::new();
    let back = NOW.plus(Duration::from_secs(3600));
    network.run(NOW, back, true);
    let used: Vec<u32> = network.stored.values().map(|delivery| delivery.attempts).collect();
    let untouched = used.iter().filter(|attempts| **attempts == 0).count();
    assert!(
        untouched * 10 > used.len() * 8,
        "deliveries used up attempts during the outage: {untouched} of {} did not",
        used.len()
    );
    for number in (1..=RECEIVERS).map(SubscriptionNumber::new) {
        let standing = network.lanes.standing(number).unwrap();
        assert_eq!(standing.condition, Condition::Down);
        assert!(standing.held <= 256, "{} in memory", standing.held);
    }
    network.run(back, back.plus(Duration::from_secs(420)), false);
    assert!(network.stored.is_empty(), "{} are still outstanding after seven minutes", network.stored.len());
    let mut opened: BTreeMap<u64, u32> = BTreeMap::new();
    for (number, sent) in &network.sent {
        let first = sent[0];
        *opened.entry(first.since(back).as_secs() / 10).or_default() += 1;
        for (index, at) in sent.iter().enumerate().skip(1) {
            let second = at.since(first).as_secs().min(8);
            let allowed = 4 + (10usize << (second + 1));
            assert!(index <= allowed, "receiver {number}: {index} within {:?}", at.since(first));
        }
        let most = network.most_at_once[number];
        assert!(most <= 16, "receiver {number}: {most} at once");
        let early = sent.iter().filter(|at| at.since(first) < Duration::from_secs(1)).count();
        assert!(early <= 12, "receiver {number}: {early} in the first second");
    }
    let together = opened.values().max().copied().unwrap_or_default();
    assert!(together <= RECEIVERS / 3, "{together} of {RECEIVERS} were probed within the same ten seconds: {opened:?}");
}
