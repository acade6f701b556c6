//! The order of a call's events, which deliveries a failure holds back, and how many are in flight.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use crate::daemon::{Daemon, Home};
use crate::platform::numbered;
use crate::receiver::{Answer, Received, Receiver};
use crate::wait::{Gate, PATIENCE, Watched};

/// Fails event 0 of `call` until the gate is open; accepts everything else.
fn failing_first(call: &'static str, gate: &Arc<Gate>) -> Receiver {
    let gate = Arc::clone(gate);
    Receiver::start(move |request| {
        let fails = request.call() == call && request.json()["data"]["n"] == 0 && !gate.is_open();
        Answer::status(if fails { 500 } else { 200 })
    })
}

fn taken(requests: &[Arc<Received>], call: &str) -> Vec<u64> {
    let of_call = requests.iter().filter(|request| request.answered() == Some(200) && request.call() == call);
    of_call.map(|request| request.json()["data"]["n"].as_u64().unwrap_or(u64::MAX)).collect()
}

#[test]
fn a_failing_event_holds_back_its_own_call_and_nothing_else() {
    let daemon = Daemon::start();
    let gate = Arc::new(Gate::closed());
    let receiver = failing_first("a", &gate);
    daemon.subscribe(&receiver.url("/"), json!({}));
    for n in 0..3 {
        daemon.accept(&numbered("a", n));
    }
    for n in 0..3 {
        daemon.accept(&numbered("b", n));
    }
    let enough = |requests: &[Arc<Received>]| {
        let failures = requests.iter().filter(|request| request.answered() == Some(500)).count();
        failures >= 4 && taken(requests, "b").len() == 3
    };
    let requests = receiver.wait_until("call b, and call a's failures", enough);
    assert_eq!(taken(&requests, "b"), [0, 1, 2]);
    assert_eq!(taken(&requests, "a"), [0; 0], "what comes after a failure is held back");
    gate.open();
    let requests = receiver.wait_until("call a", |requests| taken(requests, "a").len() == 3);
    assert_eq!(taken(&requests, "a"), [0, 1, 2]);
    assert!(requests.iter().all(|request| request.header("hookswitch-gap").is_none()), "nothing was passed");
}

#[test]
fn after_the_hold_later_events_overtake_and_name_the_overtaken() {
    let daemon = Home::new().set("ordering.hold", "\"1s\"").start();
    let gate = Arc::new(Gate::closed());
    let receiver = failing_first("a", &gate);
    daemon.subscribe(&receiver.url("/"), json!({}));
    daemon.accept(&numbered("a", 0));
    let failing = receiver.wait_for(1)[0].delivery().to_owned();
    daemon.accept(&numbered("a", 1));
    daemon.accept(&numbered("a", 2));
    daemon.accept(&numbered("b", 0));
    let passed = |requests: &[Arc<Received>]| taken(requests, "a").len() == 2 && taken(requests, "b").len() == 1;
    let requests = receiver.wait_until("what passes", passed);
    assert_eq!(taken(&requests, "a"), [1, 2]);
    for request in requests.iter().filter(|request| request.answered() == Some(200)) {
        let gap = if request.call() == "a" { Some(failing.as_str()) } else { None };
        assert_eq!(request.header("hookswitch-gap"), gap, "{request:?}");
    }
    let first = requests.iter().find(|request| request.answered() == Some(200) && request.call() == "a");
    let held = first.expect("one passed").at.duration_since(requests[0].at);
    assert!(held >= Duration::from_millis(900), "passed after {held:?}, before the hold of 1 s was over");
    gate.open();
    let requests = receiver.wait_until("the one that was passed", |requests| taken(requests, "a").len() == 3);
    assert_eq!(taken(&requests, "a"), [1, 2, 0]);
}

#[test]
fn without_ordering_nothing_is_held_back() {
    let daemon = Daemon::start();
    let gate = Arc::new(Gate::closed());
    let receiver = failing_first("a", &gate);
    daemon.subscribe(&receiver.url("/"), json!({"ordering": "none"}));
    daemon.accept(&numbered("a", 0));
    receiver.wait_for(1);
    daemon.accept(&numbered("a", 1));
    let requests = receiver.wait_until("the second event", |requests| taken(requests, "a") == [1]);
    assert!(requests.iter().all(|request| request.header("hookswitch-gap").is_none()));
}

#[test]
fn no_more_is_under_way_than_the_subscription_allows() {
    let daemon = Daemon::start();
    for (most, calls) in [(1, 12), (3, 24)] {
        let receiver = Receiver::start(|_| Answer::status(200).after(Duration::from_millis(15)));
        daemon.subscribe(&receiver.url("/"), json!({"company": format!("of-{most}"), "max_in_flight": most}));
        for call in 0..calls {
            let event = numbered(&format!("call-{call}"), 0);
            daemon.accept(&crate::platform::with(event, "company", format!("of-{most}")));
        }
        receiver.wait_for(calls);
        assert!(receiver.most_in_flight() <= most, "{} at once, {most} allowed", receiver.most_in_flight());
    }
}

#[test]
fn different_calls_are_delivered_side_by_side() {
    let daemon = Daemon::start();
    let under_way = Arc::new(Watched::new(0));
    let met = Arc::clone(&under_way);
    // Each waits for the other: sequentially, the first would fail.
    let receiver = Receiver::start(move |_| {
        met.change(|count| *count += 1);
        let both = met.wait(PATIENCE / 4, |count| (*count >= 2).then_some(()));
        Answer::status(if both.is_some() { 200 } else { 500 })
    });
    daemon.subscribe(&receiver.url("/"), json!({}));
    daemon.accept(&numbered("a", 0));
    daemon.accept(&numbered("b", 0));
    let requests = receiver.wait_until("both answers", |requests| {
        requests.len() >= 2 && requests.iter().all(|request| request.answered().is_some())
    });
    assert_eq!(requests.iter().map(|request| request.answered()).collect::<Vec<_>>(), [Some(200), Some(200)]);
}

#[test]
fn a_hanging_receiver_does_not_hold_up_a_healthy_one() {
    let daemon = Daemon::start();
    let hanging = Receiver::start(|_| Answer::Hang);
    let healthy = Receiver::willing();
    daemon.subscribe(&hanging.url("/"), json!({"max_in_flight": 2}));
    daemon.subscribe(&healthy.url("/"), json!({}));
    for n in 0..20 {
        daemon.accept(&numbered(&format!("call-{n}"), 0));
    }
    healthy.wait_for(20);
}

/// The receiver fails about every seventh attempt, by a fixed rule that looks random, in both ways; each accepted
/// attempt must be the next of its call.
#[test]
fn a_receiver_that_fails_at_random_sees_every_call_in_order() {
    const CALLS: usize = 500;
    const EVENTS: usize = 40;
    let daemon = Home::new()
        .set("retry.initial_delay", "\"5ms\"")
        .set("retry.jitter", "0.5")
        .set("senders.max_in_flight", "32")
        .start();
    let next = Arc::new(Watched::new((vec![0; CALLS], 0, 0u64)));
    let seen = Arc::clone(&next);
    let receiver = Receiver::start(move |request| {
        let data = request.json()["data"].clone();
        let call: usize = request.call().parse().unwrap_or(usize::MAX);
        let number = data["n"].as_u64().unwrap_or(u64::MAX);
        seen.change(|(next, inversions, random)| {
            *random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            match (*random >> 33) % 20 {
                0 | 1 => return Answer::status(500),
                2 => return Answer::Close,
                _ => {}
            }
            // One that comes again after its answer was lost is a repeat, not an inversion.
            *inversions += usize::from(number > next[call]);
            next[call] = next[call].max(number + 1);
            Answer::status(200)
        })
    });
    daemon.subscribe(&receiver.url("/"), json!({}));
    for number in 0..EVENTS {
        let lines: Vec<String> = (0..CALLS).map(|call| numbered(&call.to_string(), number).to_string()).collect();
        let ndjson = [("content-type", "application/x-ndjson")];
        daemon.api().request("POST", "/v1/events", &ndjson, lines.join("\n").as_bytes()).expect(202);
    }
    let all = next.wait(2 * PATIENCE, |(next, _, _)| next.iter().all(|next| *next == EVENTS as u64).then_some(()));
    let arrived: u64 = next.look(|(next, _, _)| next.iter().sum());
    assert!(all.is_some(), "only {arrived} of {} arrived", CALLS * EVENTS);
    assert_eq!(next.look(|(_, inversions, _)| *inversions), 0, "inversions in {arrived} events");
    assert!(receiver.requests().iter().all(|request| request.header("hookswitch-gap").is_none()));
}
