use std::time::Duration;

use super::*;
use crate::core::delivery::State;
use crate::core::event::CallId;
use crate::core::subscription::Ordering;

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
const MINUTE: Duration = Duration::from_secs(60);
const HOLD: Duration = Duration::from_secs(15 * 60);

const TERMS: Terms = Terms { enabled: true, ordering: Ordering::Call, max_in_flight: 100, rate_per_second: None };

fn rules() -> LaneRules {
    let (first_probe, longest_probe_pause) = (Duration::from_secs(5), Duration::from_secs(300));
    LaneRules {
        hold: HOLD,
        threads: 256,
        unrecorded: 4096,
        first_probe,
        longest_probe_pause,
        bounds: Bounds::default(),
    }
}

fn n(number: u32) -> SubscriptionNumber {
    SubscriptionNumber::new(number)
}

/// Lanes with one subscription whose receiver has succeeded often enough to have no limit.
fn lanes(terms: Terms) -> Lanes {
    let mut lanes = Lanes::new(rules());
    lanes.put_subscription(n(1), terms, NOW);
    trust(&mut lanes, n(1));
    lanes
}

fn trust(lanes: &mut Lanes, number: SubscriptionNumber) {
    let queue = lanes.queues.get_mut(&number).unwrap();
    queue.trust(seen(Kind::Success), NOW);
}

/// The next wake-up other than a slowness check.
fn next_timer(lanes: &mut Lanes, now: Timestamp) -> Option<Timestamp> {
    lanes.wake(now.plus(2 * concurrency_limit::QUICK));
    lanes.next_wake()
}

fn seen(kind: Kind) -> Seen {
    Seen { kind, duration: Duration::from_millis(5), wait: None }
}

fn done(lanes: &mut Lanes, after: Delivery, now: Timestamp) -> Option<Transition> {
    let kind = if after.state == State::Delivered { Kind::Success } else { Kind::Refusal };
    lanes.done(after, seen(kind), now, 0.5)
}

fn delivery(number: u32, sequence: u64, call: &str) -> Delivery {
    Delivery { call: CallId::parse(call).unwrap(), ..Delivery::for_test(DeliveryId::new(NOW, n(number), sequence)) }
}

/// Starts everything that can start, as (sequence, sequences passed).
fn started(lanes: &mut Lanes, now: Timestamp) -> Vec<(u64, Vec<u64>)> {
    let mut all = Vec::new();
    while let Some(start) = lanes.start(now) {
        all.push((start.delivery.id.sequence(), start.gap.iter().map(|id| id.sequence()).collect()));
    }
    all
}

fn delivered(sequence: u64, call: &str) -> Delivery {
    Delivery { state: State::Delivered, ..delivery(1, sequence, call) }
}

fn failed(sequence: u64, call: &str, first: Timestamp, due: Timestamp) -> Delivery {
    Delivery { state: State::Retrying, due, first_failed_at: Some(first), attempts: 1, ..delivery(1, sequence, call) }
}

fn plain(sequences: &[u64]) -> Vec<(u64, Vec<u64>)> {
    sequences.iter().map(|sequence| (*sequence, Vec::new())).collect()
}

#[test]
fn calls_go_side_by_side_and_each_in_order() {
    let mut lanes = lanes(TERMS);
    for (sequence, call) in [(1, "a"), (2, "b"), (3, "a"), (4, "b"), (5, "c")] {
        lanes.put(delivery(1, sequence, call), NOW);
    }
    assert_eq!(started(&mut lanes, NOW), plain(&[1, 2, 5]));
    done(&mut lanes, delivered(2, "b"), NOW);
    assert_eq!(started(&mut lanes, NOW), plain(&[4]));
    done(&mut lanes, delivered(1, "a"), NOW);
    done(&mut lanes, delivered(4, "b"), NOW);
    assert_eq!(started(&mut lanes, NOW), plain(&[3]));
}

#[test]
fn a_failure_holds_its_call_until_the_hold_ends_and_overtakers_name_it() {
    let mut lanes = lanes(TERMS);
    for sequence in 1..=3 {
        lanes.put(delivery(1, sequence, "a"), NOW);
    }
    assert_eq!(started(&mut lanes, NOW), plain(&[1]));
    let retry_at = NOW.plus(2 * HOLD);
    done(&mut lanes, failed(1, "a", NOW, retry_at), NOW);
    assert_eq!(next_timer(&mut lanes, NOW), Some(NOW.plus(HOLD)));
    assert_eq!(started(&mut lanes, NOW.plus(HOLD - Duration::from_millis(1))), []);
    assert_eq!(started(&mut lanes, NOW.plus(HOLD)), [(2, vec![1])]);
    done(&mut lanes, delivered(2, "a"), NOW.plus(HOLD));
    assert_eq!(started(&mut lanes, NOW.plus(HOLD)), [(3, vec![1])]);
    done(&mut lanes, delivered(3, "a"), NOW.plus(HOLD));
    assert_eq!(next_timer(&mut lanes, NOW.plus(HOLD)), Some(retry_at));
    assert_eq!(started(&mut lanes, retry_at), plain(&[1]));
}

#[test]
fn one_that_passed_and_failed_holds_those_behind_it_for_a_hold_of_its_own() {
    let mut lanes = lanes(TERMS);
    for sequence in 1..=3 {
        lanes.put(delivery(1, sequence, "a"), NOW);
    }
    started(&mut lanes, NOW);
    done(&mut lanes, failed(1, "a", NOW, NOW.plus(10 * HOLD)), NOW);
    let passing = NOW.plus(HOLD);
    assert_eq!(started(&mut lanes, passing), [(2, vec![1])]);
    done(&mut lanes, failed(2, "a", passing, NOW.plus(10 * HOLD)), passing);
    assert_eq!(started(&mut lanes, passing.plus(MINUTE)), []);
    assert_eq!(started(&mut lanes, passing.plus(HOLD)), [(3, vec![1, 2])]);
}

#[test]
fn one_that_comes_due_again_goes_before_those_that_could_pass_it() {
    let mut lanes = lanes(Terms { max_in_flight: 1, ..TERMS });
    for (sequence, call) in [(1, "a"), (2, "a"), (3, "b")] {
        lanes.put(delivery(1, sequence, call), NOW);
    }
    assert_eq!(started(&mut lanes, NOW), plain(&[1]));
    done(&mut lanes, failed(1, "a", NOW, NOW.plus(HOLD + MINUTE)), NOW);
    assert_eq!(started(&mut lanes, NOW), plain(&[3]));
    // While 3 is in flight the hold ends, so 2 is listed; then 1 comes due before anything starts.
    assert_eq!(started(&mut lanes, NOW.plus(HOLD)), []);
    let later = NOW.plus(HOLD + MINUTE);
    done(&mut lanes, delivered(3, "b"), later);
    assert_eq!(started(&mut lanes, later), plain(&[1]));
}

#[test]
fn without_an_order_nothing_is_held() {
    let mut lanes = lanes(Terms { ordering: Ordering::None, ..TERMS });
    for sequence in 1..=3 {
        lanes.put(delivery(1, sequence, "a"), NOW);
    }
    assert_eq!(started(&mut lanes, NOW), plain(&[1, 2, 3]));
}

#[test]
fn subscriptions_keep_their_limits_and_share_the_pool() {
    let mut lanes = lanes(Terms { max_in_flight: 2, ..TERMS });
    lanes.put_subscription(n(2), TERMS, NOW);
    trust(&mut lanes, n(2));
    for sequence in 1..=4 {
        lanes.put(delivery(1, sequence, &format!("a{sequence}")), NOW);
        lanes.put(delivery(2, sequence, &format!("b{sequence}")), NOW);
    }
    let order: Vec<u32> =
        std::iter::from_fn(|| lanes.start(NOW)).map(|start| start.delivery.id.subscription_number().get()).collect();
    assert_eq!(order, [1, 2, 1, 2, 2, 2]);
    done(&mut lanes, delivered(1, "a1"), NOW);
    assert_eq!(started(&mut lanes, NOW), plain(&[3]));
}

#[test]
fn a_disabled_subscription_keeps_its_deliveries_and_resumes_in_order() {
    let mut lanes = lanes(Terms { enabled: false, ..TERMS });
    for sequence in [1, 2, 3] {
        lanes.put(delivery(1, sequence, &format!("c{sequence}")), NOW);
    }
    assert_eq!(started(&mut lanes, NOW), []);
    lanes.put_subscription(n(1), TERMS, NOW);
    assert_eq!(started(&mut lanes, NOW), plain(&[1, 2, 3]));
}

#[test]
fn failed_deliveries_go_first_when_a_subscription_is_enabled_again() {
    let (paused, again) = (Terms { enabled: false, ..TERMS }, NOW.plus(HOLD));
    let much_later = NOW.plus(100 * HOLD);
    let mut running = lanes(TERMS);
    running.put(delivery(1, 1, "a"), NOW);
    assert_eq!(started(&mut running, NOW), plain(&[1]));
    done(&mut running, failed(1, "a", NOW, much_later), NOW);
    running.put(delivery(1, 2, "a"), NOW);
    running.put_subscription(n(1), paused, NOW);
    running.put_subscription(n(1), TERMS, again);
    assert_eq!(started(&mut running, again), plain(&[1]));

    let mut restarted = Lanes::new(rules());
    restarted.load(n(1), paused, Past { last: 2, outstanding: true, ..Past::default() }, NOW, 0.5);
    restarted.put_subscription(n(1), TERMS, again);
    let wanted = restarted.wanted().unwrap();
    restarted.read(wanted, vec![failed(1, "a", NOW, much_later), delivery(1, 2, "a")], again);
    assert_eq!(started(&mut restarted, again), plain(&[1]));
}

#[test]
fn a_rate_is_kept() {
    let mut lanes = lanes(Terms { rate_per_second: Some(2), ..TERMS });
    for sequence in 1..=3 {
        lanes.put(delivery(1, sequence, &format!("c{sequence}")), NOW);
    }
    assert_eq!(started(&mut lanes, NOW), plain(&[1]));
    let next = lanes.next_wake().unwrap();
    assert_eq!(next, NOW.plus(Duration::from_millis(500)));
    assert_eq!(started(&mut lanes, next), plain(&[2]));
}

#[test]
fn cancelled_deliveries_are_not_sent_and_release_later_ones() {
    let mut lanes = lanes(TERMS);
    for sequence in 1..=3 {
        lanes.put(delivery(1, sequence, "a"), NOW);
    }
    lanes.cancel(DeliveryId::new(NOW, n(1), 2), NOW);
    assert_eq!(started(&mut lanes, NOW), plain(&[1]));
    lanes.cancel(DeliveryId::new(NOW, n(1), 1), NOW);
    done(&mut lanes, failed(1, "a", NOW, NOW), NOW);
    assert_eq!(started(&mut lanes, NOW), plain(&[3]), "1 was cancelled while in flight");
}

#[test]
fn expired_deliveries_end_once_and_in_time() {
    let mut lanes = lanes(Terms { enabled: false, ..TERMS });
    let wanted_until = NOW.plus(MINUTE);
    lanes.put(Delivery { expire_at: Some(wanted_until), ..delivery(1, 1, "a") }, NOW);
    lanes.put(delivery(1, 2, "a"), NOW);
    assert_eq!(lanes.next_wake(), Some(wanted_until));
    assert_eq!(lanes.expired(NOW), None);
    assert_eq!(lanes.expired(wanted_until).map(|delivery| delivery.id.sequence()), Some(1));
    assert_eq!(lanes.expired(wanted_until), None);
    lanes.put_subscription(n(1), TERMS, wanted_until);
    assert_eq!(started(&mut lanes, wanted_until), plain(&[2]));
}

#[test]
fn a_delivery_that_is_added_twice_is_sent_once() {
    let mut lanes = lanes(TERMS);
    lanes.put(delivery(1, 1, "a"), NOW);
    lanes.put(delivery(1, 1, "a"), NOW);
    assert_eq!(started(&mut lanes, NOW), plain(&[1]));
    lanes.put(delivery(1, 1, "a"), NOW);
    assert_eq!(started(&mut lanes, NOW), []);
    done(&mut lanes, delivered(1, "a"), NOW);
    assert_eq!(started(&mut lanes, NOW), []);
    assert_eq!(next_timer(&mut lanes, NOW), None);
}

#[test]
fn nothing_is_left_of_a_subscription_that_is_gone() {
    let mut lanes = lanes(TERMS);
    lanes.put(Delivery { expire_at: Some(NOW.plus(MINUTE)), due: NOW.plus(MINUTE), ..delivery(1, 1, "a") }, NOW);
    lanes.put(delivery(1, 2, "b"), NOW);
    assert_eq!(started(&mut lanes, NOW), plain(&[2]));
    lanes.remove_subscription(n(1));
    done(&mut lanes, delivered(2, "b"), NOW);
    assert_eq!((lanes.start(NOW.plus(HOLD)), lanes.next_wake(), lanes.held), (None, None, 0));
}

#[test]
fn deliveries_of_fast_receivers_are_loaded_first_without_starving_others() {
    let mut lanes = Lanes::new(rules());
    for number in 1..=5 {
        let past = Past { last: 9_000, outstanding: true, quick: number >= 4, ..Past::default() };
        lanes.load(n(number), TERMS, past, NOW, 0.5);
    }
    let mut reads = Vec::new();
    for _ in 0..16 {
        let wanted = lanes.wanted().unwrap();
        reads.push(wanted.number.get());
        // They stay unread: nothing that was read is due now.
        lanes.read(wanted, Vec::new(), NOW);
        let queue = lanes.queues.get_mut(&wanted.number).unwrap();
        queue.reach(0, 9_000);
        lanes.refresh(wanted.number, NOW);
    }
    assert_eq!(reads[..3], [4, 5, 4], "{reads:?}");
    assert!((1..=3).all(|number| reads.contains(&number)), "{reads:?}");
}

#[test]
fn of_a_stranger_little_is_read_until_it_answers() {
    let mut lanes = Lanes::new(rules());
    let Bounds { window, least, .. } = Bounds::default();
    let past = |quick| Past { last: 9_000, outstanding: true, quick, ..Past::default() };
    lanes.load(n(1), TERMS, past(false), NOW, 0.5);
    lanes.load(n(2), TERMS, past(true), NOW, 0.5);
    let mut wanted = std::iter::from_fn(|| lanes.wanted()).take(8).map(|wanted| (wanted.number.get(), wanted.most));
    assert!(wanted.all(|reads| [(1, least), (2, window)].contains(&reads)));

    let wanted = Wanted { number: n(1), after: 0, most: least };
    let found = (1..=least as u64).map(|sequence| delivery(1, sequence, &format!("call-{sequence}"))).collect();
    lanes.remove_subscription(n(2));
    lanes.read(wanted, found, NOW);
    assert_eq!(lanes.wanted(), None, "the window is full for now");
    let first = started(&mut lanes, NOW)[0].0;
    assert_eq!(first, 1);
    done(&mut lanes, delivered(1, "call-1"), NOW);
    let more = lanes.wanted().unwrap();
    assert_eq!((more.number.get(), more.after), (1, least as u64));
    assert!(more.most > window - least && more.most <= window, "{more:?}");
}
