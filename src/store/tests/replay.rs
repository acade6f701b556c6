//! Replays and discards: in small steps, in order, and across restarts.

use std::collections::VecDeque;

use super::*;

fn created(store: &Store) -> SubscriptionId {
    ask(|reply| store.by(anyone()).create_subscription(draft("acme"), reply)).unwrap().id
}

/// Waits until `count` finished attempts are reported.
fn finished(open: &Open, count: usize) {
    let finished = |change: &StoreEvent| matches!(change, StoreEvent::Finished(_));
    assert_eq!(open.changes.iter().flatten().filter(finished).take(count).count(), count);
}

/// Accepts `count` events and finishes each with `status`.
fn past(open: &Open, count: usize, status: Status) {
    let events: Vec<NewEvent> = (0..count).map(|n| event(&format!("c{n}"), None)).collect();
    accept(&open.store, events);
    owed_deliveries(&open.store).iter().for_each(|delivery| open.store.finish(finish(delivery, status)));
    finished(open, count);
}

fn replay(store: &Store, id: SubscriptionId, filter: ReplayFilter) -> u64 {
    let plan = store.plan_replay(id, filter).unwrap().unwrap();
    let queued = plan.queued;
    ask(|reply| store.by(anyone()).replay(id, plan, reply)).unwrap();
    queued
}

fn everything() -> ReplayFilter {
    ReplayFilter { since: NOW, until: None, events: Vec::new(), failed_only: false }
}

/// Waits for requeued deliveries.
fn owed_again(open: &Open) -> Vec<Delivery> {
    loop {
        for change in open.changes.recv().unwrap() {
            if let StoreEvent::Owed(deliveries) = change {
                return deliveries;
            }
        }
    }
}

#[test]
fn a_replay_continues_in_small_steps_in_order_across_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let mut now = open(dir.path());
    let id = created(&now.store);
    past(&now, 30, Status::Delivered);
    assert_eq!(replay(&now.store, id, everything()), 30);
    let mut seen = Vec::new();
    while seen.len() < 30 {
        let back = owed_again(&now);
        for delivery in &back {
            assert!(delivery.replay && delivery.attempts == 0 && delivery.state == State::Pending, "{delivery:?}");
            seen.push(delivery.id.sequence());
        }
        let waiting = owed(&now.store);
        assert!(waiting.len() <= 8, "{waiting:?}");
        if seen.len() == 8 {
            drop(now.store);
            now.running.stop();
            now = open(dir.path());
            assert_eq!(owed(&now.store), waiting);
        }
        // Not all pending ones: some may have ended already without being durable.
        back.iter().for_each(|delivery| now.store.finish(finish(delivery, Status::Delivered)));
    }
    assert_eq!(seen, (1..=30).collect::<Vec<u64>>());
    let settled = accept(&now.store, vec![event("new", None)]);
    assert_eq!(settled[0].deliveries, 1);
    assert_eq!(owed(&now.store), [31], "the replay is over");
    let log = now.store.log(&LogFilter::default(), None, 100).unwrap().items;
    let count = |replay: bool| log.iter().filter(|entry| entry.replay == replay).count();
    assert_eq!((count(false), count(true)), (30, 30));
    now.running.stop();
}

#[test]
fn a_replay_selects_by_its_filter() {
    let dir = tempfile::tempdir().unwrap();
    let now = open(dir.path());
    let id = created(&now.store);
    past(&now, 3, Status::Delivered);
    past(&now, 2, Status::Failed);
    accept(&now.store, vec![event("owed", None)]);
    let later = Timestamp::from_millis(NOW.millis() + 1);
    let of = |name: &str| vec![EventType::parse(name).unwrap()];
    let queued = |filter| now.store.plan_replay(id, filter).unwrap().unwrap().queued;
    assert_eq!(queued(everything()), 5, "pending deliveries are not requeued");
    assert_eq!(queued(ReplayFilter { since: later, ..everything() }), 0);
    assert_eq!(queued(ReplayFilter { until: Some(NOW), ..everything() }), 0);
    assert_eq!(queued(ReplayFilter { until: Some(later), ..everything() }), 5);
    assert_eq!(queued(ReplayFilter { events: of("call.new"), ..everything() }), 5);
    assert_eq!(queued(ReplayFilter { events: of("call.missed"), ..everything() }), 0);
    assert!(now.store.plan_replay(SubscriptionId::from_bits(7), everything()).unwrap().is_none());
    assert_eq!(replay(&now.store, id, ReplayFilter { failed_only: true, ..everything() }), 2);
    let again: Vec<u64> = owed_again(&now).iter().map(|delivery| delivery.id.sequence()).collect();
    assert!(again == [4, 5] || again == [6], "{again:?}");
    let again = if again == [6] { owed_again(&now).iter().map(|d| d.id.sequence()).collect() } else { again };
    assert_eq!(again, [4, 5]);
    assert_eq!((owed(&now.store), now.store.counts().failed), (vec![4, 5, 6], 0));
    now.running.stop();
}

#[test]
fn a_discard_cancels_pending_deliveries_and_nothing_newer() {
    let dir = tempfile::tempdir().unwrap();
    let now = open(dir.path());
    let id = created(&now.store);
    past(&now, 20, Status::Delivered);
    assert_eq!(replay(&now.store, id, everything()), 20);
    accept(&now.store, (0..200).map(|n| event(&format!("d{n}"), None)).collect());
    let cancelled = ask(|reply| now.store.by(anyone()).discard(id, reply)).unwrap();
    assert!((200..=208).contains(&cancelled), "{cancelled}");
    accept(&now.store, vec![event("new", None)]);
    // After a restart half-way, it continues.
    drop(now.store);
    now.running.stop();
    let now = open(dir.path());
    while owed(&now.store) != [221] {
        now.changes.recv().unwrap();
    }
    let cancelled_entries = LogFilter { status: Some(Status::Cancelled), ..LogFilter::default() };
    assert_eq!(now.store.log(&cancelled_entries, None, 500).unwrap().items.len() as u64, cancelled);
    assert_eq!(ask(|reply| now.store.by(anyone()).discard(id, reply)), Ok(1));
    now.running.stop();
}

#[test]
fn deliveries_are_found_by_sequence_number() {
    let dir = tempfile::tempdir().unwrap();
    let now = open(dir.path());
    let (first, second) = (created(&now.store), created(&now.store));
    past(&now, 40, Status::Delivered);
    let found = |id, from, to, most| {
        let found = now.store.owed_between(id, from, to, most).unwrap();
        found
            .items
            .iter()
            .map(|(delivery, event)| (delivery.id.sequence(), event.call.as_str().to_owned()))
            .collect::<Vec<_>>()
    };
    for id in [first, second] {
        let calls =
            |range: std::ops::RangeInclusive<u64>| range.map(|n| (n, format!("c{}", n - 1))).collect::<Vec<_>>();
        assert_eq!(found(id, 1, 3, 10), calls(1..=3));
        assert_eq!(found(id, 17, 1000, 10), calls(17..=26));
        assert_eq!(found(id, 40, 40, 10), calls(40..=40));
        assert_eq!(found(id, 41, 50, 10), []);
        assert_eq!(found(id, 5, 4, 10), []);
    }
    now.running.stop();
}

#[test]
fn a_delivery_that_ended_without_an_attempt_keeps_its_last_response() {
    let dir = tempfile::tempdir().unwrap();
    let now = open(dir.path());
    created(&now.store);
    let accepted = accept(&now.store, vec![event("a", None)]);
    let delivery = now.store.event_deliveries(accepted[0].id).unwrap().remove(0);
    let mut tried = finish(&delivery, Status::Retrying);
    (tried.entry.response, tried.after.last_response) = (Some(503), Some(503));
    now.store.finish(tried);
    finished(&now, 1);
    let cancelled = ask(|reply| now.store.by(anyone()).cancel(known(&now.store, delivery.id), reply)).unwrap();
    let seen = now.store.delivery(delivery.id).unwrap().unwrap();
    for one in [&cancelled, &seen] {
        assert_eq!((one.state, one.attempts, one.last_response), (State::Cancelled, 1, Some(503)), "{one:?}");
    }
    let again = ask(|reply| now.store.by(anyone()).retry(known(&now.store, delivery.id), reply)).unwrap();
    assert_eq!((again.attempts, again.last_response), (1, Some(503)), "{again:?}");
    now.running.stop();
}

#[test]
fn a_replay_continues_after_its_deliveries_are_retried_or_cancelled_by_hand() {
    let dir = tempfile::tempdir().unwrap();
    let now = open(dir.path());
    let id = created(&now.store);
    past(&now, 30, Status::Delivered);
    assert_eq!(replay(&now.store, id, everything()), 30);
    // The requeued ones end by an attempt that is not the replay's, in either way. The next ones may be requeued at any
    // moment after the first has ended.
    let mut back = VecDeque::new();
    let next_back = |back: &mut VecDeque<Delivery>| {
        if back.is_empty() {
            back.extend(next_owed(&now));
        }
        back.pop_front().unwrap()
    };
    for n in 0..20 {
        let delivery = next_back(&mut back);
        assert!(delivery.replay, "{delivery:?}");
        if n % 3 == 2 {
            ask(|reply| now.store.by(anyone()).cancel(known(&now.store, delivery.id), reply)).unwrap();
            continue;
        }
        let asked = ask(|reply| now.store.by(anyone()).retry(known(&now.store, delivery.id), reply)).unwrap();
        assert!(!asked.replay);
        loop {
            let (by_hand, replayed): (Vec<_>, Vec<_>) = next_owed(&now).into_iter().partition(|owed| !owed.replay);
            back.extend(replayed);
            if !by_hand.is_empty() {
                assert_eq!(by_hand, std::slice::from_ref(&asked));
                break;
            }
        }
        now.store.finish(finish(&asked, Status::Delivered));
    }
    assert!(next_back(&mut back).replay);
    now.running.stop();
}

/// As [`owed_again`], with a timeout.
fn next_owed(open: &Open) -> Vec<Delivery> {
    loop {
        let changes = open.changes.recv_timeout(Duration::from_secs(20));
        let mut owed = Vec::new();
        for change in changes.expect("deliveries are requeued") {
            if let StoreEvent::Owed(deliveries) = change {
                owed.extend(deliveries);
            }
        }
        if !owed.is_empty() {
            return owed;
        }
    }
}

#[test]
fn a_delivery_retried_by_hand_during_an_attempt_does_not_expire() {
    let dir = tempfile::tempdir().unwrap();
    let now = open(dir.path());
    created(&now.store);
    accept(&now.store, (0..2).map(|n| event(&format!("c{n}"), None)).collect());
    // The attempts started while the deliveries had an expiry time; in the store they have none, as after a retry by
    // hand.
    let of_before = |delivery: Delivery| Delivery { expire_at: Some(NOW), ..delivery };
    let [tried, waiting] = <[Delivery; 2]>::try_from(owed_deliveries(&now.store)).unwrap().map(of_before);
    now.store.finish(finish(&tried, Status::Expired));
    let mut expiry = finish(&waiting, Status::Expired);
    (expiry.entry.attempt, expiry.after.attempts) = (0, 0);
    now.store.finish(expiry);
    let mut finished = Vec::new();
    while finished.len() < 2 {
        let events = now.changes.recv().unwrap().into_iter();
        finished.extend(
            events.filter_map(|change| if let StoreEvent::Finished(after) = change { Some(after) } else { None }),
        );
    }
    let [tried, waiting] = [&finished[0], &finished[1]];
    assert_eq!((tried.state, tried.attempts, tried.expire_at), (State::Retrying, 1, None));
    assert_eq!((waiting.state, waiting.attempts, waiting.expire_at), (State::Pending, 0, None));
    assert_eq!(owed_deliveries(&now.store), finished);
    let log = now.store.log(&LogFilter::default(), None, 100).unwrap().items;
    assert_eq!(log.iter().map(|entry| (entry.attempt, entry.status)).collect::<Vec<_>>(), [(1, Status::Retrying)]);
    now.running.stop();
}

#[test]
fn a_dead_letter_is_kept_and_can_be_retried() {
    let dir = tempfile::tempdir().unwrap();
    let Open { store, running, changes } = open(dir.path());
    ask(|reply| store.by(anyone()).create_subscription(draft("acme"), reply)).unwrap();
    let accepted = accept(&store, vec![event("a", None)]);
    let delivery = store.event_deliveries(accepted[0].id).unwrap().remove(0);
    store.finish(finish(&delivery, Status::Failed));
    while !changes.iter().flatten().any(|change| matches!(change, StoreEvent::Finished(_))) {}
    let dead = DeliveryFilter { state: Some(State::Failed), ..DeliveryFilter::default() };
    assert_eq!(store.deliveries(&dead, None, 10).unwrap().items.len(), 1);
    assert_eq!((owed(&store), store.counts().failed), (vec![], 1));
    let again = ask(|reply| store.by(anyone()).retry(known(&store, delivery.id), reply)).unwrap();
    assert_eq!((again.state, again.attempts, again.due), (State::Retrying, 1, NOW));
    assert_eq!((owed(&store), store.counts().failed), (vec![1], 0));
    let cancelled = ask(|reply| store.by(anyone()).cancel(known(&store, delivery.id), reply)).unwrap();
    assert_eq!(cancelled.state, State::Cancelled);
    assert!(matches!(
        ask(|reply| store.by(anyone()).cancel(known(&store, delivery.id), reply)),
        Err(StoreError::Conflict(_))
    ));
    assert_eq!(store.delivery(delivery.id).unwrap().map(|d| (d.state, d.attempts)), Some((State::Cancelled, 1)));
    running.stop();
}

#[test]
fn an_attempt_that_finishes_after_cancellation_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let Open { store, running, changes } = open(dir.path());
    ask(|reply| store.by(anyone()).create_subscription(draft("acme"), reply)).unwrap();
    let accepted = accept(&store, vec![event("a", None)]);
    let delivery = store.event_deliveries(accepted[0].id).unwrap().remove(0);
    ask(|reply| store.by(anyone()).cancel(known(&store, delivery.id), reply)).unwrap();
    store.finish(finish(&delivery, Status::Retrying));
    while !changes.iter().flatten().any(|change| matches!(change, StoreEvent::Finished(_))) {}
    assert_eq!((owed(&store), store.counts()), (vec![], Counts::default()));
    let log = store.log(&LogFilter { delivery: Some(delivery.id), ..LogFilter::default() }, None, 10).unwrap();
    let logged: Vec<_> = log.items.iter().map(|entry| (entry.status, entry.attempt)).collect();
    assert_eq!(logged, [(Status::Cancelled, 1), (Status::Cancelled, 0)]);
    running.stop();
}

#[test]
fn data_read_before_an_erasure_is_not_logged_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let Open { store, running, .. } = open(dir.path());
    ask(|reply| store.by(anyone()).create_subscription(draft("acme"), reply)).unwrap();
    let phone = "+12025550100";
    let posted = NewEvent { phone: Some(phone.to_owned()), ..event("a", None) };
    let accepted = accept(&store, vec![posted]);
    let delivery = store.event_deliveries(accepted[0].id).unwrap().remove(0);
    let read = known(&store, delivery.id);
    store.by(anyone()).erase(&Company::parse("acme").unwrap(), phone, false, NOW).unwrap();
    ask(|reply| store.by(anyone()).cancel(read, reply)).unwrap();
    let log = store.log(&LogFilter { delivery: Some(delivery.id), ..LogFilter::default() }, None, 10).unwrap();
    let logged: Vec<_> = log.items.iter().map(|entry| (entry.status, entry.phone.as_deref())).collect();
    assert_eq!(logged, [(Status::Cancelled, None)]);
    running.stop();
}
