//! Test of isolation: beside many hanging receivers, deliveries to healthy ones start at once.

use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::core::delivery::State;
use crate::core::event::CallId;
use crate::core::subscription::Ordering;

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
const TERMS: Terms = Terms { enabled: true, ordering: Ordering::Call, max_in_flight: 512, rate_per_second: None };
const HEALTHY: u32 = 20;
/// Duration of an attempt to a healthy receiver, and the timeout of one to a hanging receiver.
const ANSWER: Duration = Duration::from_millis(5);
const TIMEOUT: Duration = Duration::from_secs(30);

struct World {
    lanes: Lanes,
    now: Timestamp,
    in_flight: BTreeMap<(Timestamp, SubscriptionNumber, u64), Delivery>,
    /// Delay between acceptance and start of each delivery to a healthy receiver.
    waited: Vec<Duration>,
}

impl World {
    /// Healthy receivers have the lowest numbers. `known`: they existed before the start and were quick.
    fn new(threads: usize, hanging: u32, known: bool) -> Self {
        let (first_probe, longest_probe_pause) = (Duration::from_secs(5), Duration::from_secs(300));
        let (hold, bounds) = (Duration::from_secs(900), Bounds::default());
        let mut lanes =
            Lanes::new(LaneRules { hold, threads, unrecorded: 4096, first_probe, longest_probe_pause, bounds });
        for number in (1..=HEALTHY + hanging).map(SubscriptionNumber::new) {
            let past = Past { quick: known && number.get() <= HEALTHY, ..Past::default() };
            lanes.load(number, TERMS, past, NOW, 0.5);
        }
        Self { lanes, now: NOW, in_flight: BTreeMap::new(), waited: Vec::new() }
    }

    fn accept(&mut self, number: SubscriptionNumber, sequence: u64) {
        self.lanes.put(
            Delivery {
                call: CallId::parse(&sequence.to_string()).unwrap(),
                due: self.now,
                ..Delivery::for_test(DeliveryId::new(NOW, number, sequence))
            },
            self.now,
        );
    }

    fn begin(&mut self) {
        while let Some(Start { delivery, .. }) = self.lanes.start(self.now) {
            let (number, sequence) = (delivery.id.subscription_number(), delivery.id.sequence());
            let takes = if number.get() <= HEALTHY { ANSWER } else { TIMEOUT };
            if number.get() <= HEALTHY {
                self.waited.push(self.now.since(delivery.due));
            }
            self.in_flight.insert((self.now.plus(takes), number, sequence), delivery);
        }
    }

    fn go_on(&mut self, until: Timestamp) {
        loop {
            self.lanes.wake(self.now);
            self.begin();
            let end = self.in_flight.first_key_value().map(|((at, ..), _)| *at);
            let next = end.into_iter().chain(self.lanes.next_wake()).min().unwrap_or(until);
            if next >= until {
                self.now = until;
                return;
            }
            self.now = next.max(self.now.plus(Duration::from_millis(1)));
            while let Some(entry) = self.in_flight.first_entry().filter(|entry| entry.key().0 <= self.now) {
                let healthy = entry.key().1.get() <= HEALTHY;
                let delivery = entry.remove();
                let (kind, duration) = if healthy { (Kind::Success, ANSWER) } else { (Kind::Trouble, TIMEOUT) };
                let due = self.now.plus(Duration::from_secs(20));
                let (state, first_failed_at) =
                    if healthy { (State::Delivered, None) } else { (State::Retrying, Some(self.now)) };
                let after = Delivery { state, due, first_failed_at, attempts: delivery.attempts + 1, ..delivery };
                self.lanes.done(after.clone(), Seen { kind, duration, wait: None }, self.now, 0.5);
                self.lanes.recorded(after, self.now);
            }
        }
    }

    /// For a minute, healthy receivers get 50 events a second, and the others as many or one.
    fn run(&mut self, same: bool) {
        for event in 0..3_000 {
            // Hanging receivers come first.
            let others = if same || event % 50 == 0 { self.lanes.queues.len() as u32 } else { HEALTHY };
            (1..=others).rev().for_each(|number| self.accept(SubscriptionNumber::new(number), event + 1));
            self.go_on(self.now.plus(Duration::from_millis(20)));
        }
        self.waited.sort_unstable();
    }
}

#[test]
fn a_large_pool_has_a_thread_for_every_stranger_and_healthy_ones_never_wait() {
    for (hanging, same, known) in [(20, true, false), (1_000, false, false), (1_000, false, true)] {
        let mut world = World::new(2_048, hanging, known);
        world.run(same);
        assert_eq!(world.waited.len(), 3_000 * HEALTHY as usize, "{hanging}");
        let longest = world.waited.last().copied().unwrap_or_default();
        assert!(longest <= Duration::from_millis(1), "{longest:?} beside {hanging}");
    }
}

#[test]
fn where_the_pool_is_too_small_healthy_ones_are_soon_found() {
    for (threads, hanging) in [(64, 300), (2_048, 8_000)] {
        let mut world = World::new(threads, hanging, false);
        world.run(false);
        assert_eq!(world.waited.len(), 3_000 * HEALTHY as usize);
        let late = world.waited.iter().filter(|waited| **waited > Duration::from_millis(1)).count();
        assert!(late * 100 < world.waited.len() * 2, "{late} of {} beside {hanging}", world.waited.len());
        let longest = world.waited.last().copied().unwrap_or_default();
        assert!(longest <= Duration::from_secs(2), "{longest:?} beside {hanging}");
    }
}
