//! Failing deliveries: retried, delayed as requested, given up, cancelled, expired, retried by hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::daemon::{Daemon, Home};
use crate::platform::{event, numbered};
use crate::receiver::{Answer, Received, Receiver};
use crate::wait::Gate;

/// A receiver that answers `bad` until the gate is open, and 200 from then on.
fn failing_until(gate: &Arc<Gate>, bad: u16) -> Receiver {
    let gate = Arc::clone(gate);
    Receiver::start(move |_| Answer::status(if gate.is_open() { 200 } else { bad }))
}

fn attempts(requests: &[Arc<Received>]) -> Vec<u32> {
    requests.iter().map(|request| request.attempt()).collect()
}

/// The entries of the log, oldest first, as (attempt, response, status).
fn logged(daemon: &Daemon, path: &str, count: usize) -> Vec<(u64, Value, String)> {
    let mut entries = daemon.wait_for_list(path, count);
    entries.reverse();
    let tell = |entry: &Value| {
        let status = entry["status"].as_str().unwrap_or_default().to_owned();
        (entry["attempt"].as_u64().unwrap_or(u64::MAX), entry["response"].clone(), status)
    };
    entries.iter().map(tell).collect()
}

#[test]
fn a_receiver_that_fails_twice_gets_the_same_event_a_third_time() {
    let daemon = Daemon::start();
    let receiver = Receiver::start(|request| match request.attempt() {
        1 => Answer::status(500),
        2 => Answer::Close,
        _ => Answer::status(204),
    });
    let subscription = daemon.subscribe(&receiver.url("/"), json!({}));
    let accepted = daemon.accept(&event("call.new", "c1"));
    let requests =
        receiver.wait_until("the third attempt", |requests| requests.last().is_some_and(|r| r.attempt() == 3));
    // A connection that breaks before its response may be retried once within the attempt.
    let mut numbers = attempts(&requests);
    numbers.dedup();
    assert_eq!(numbers, [1, 2, 3]);
    for request in &requests {
        assert_eq!(request.webhook_id(), accepted["id"], "{request:?}");
        assert_eq!(request.delivery(), requests[0].delivery(), "{request:?}");
        assert_eq!(request.sequence(), 1, "{request:?}");
        assert!(request.is_signed_with(&subscription.secret), "signature of {request:?}");
        assert_eq!(request.body(), requests[0].body(), "the body changed between attempts");
    }
    let seen = logged(&daemon, "/v1/log", 3);
    let wanted = [(1, json!(500), "retrying"), (2, Value::Null, "retrying"), (3, json!(204), "delivered")];
    assert_eq!(seen, wanted.map(|(attempt, response, status)| (attempt, response, status.to_owned())));
    assert_eq!(daemon.wait_for_state(requests[0].delivery(), "delivered")["attempts"], 3);
}

#[test]
fn retry_after_is_respected() {
    let daemon = Daemon::start();
    let receiver = Receiver::start(|request| match request.attempt() {
        1 => Answer::status(429).header("retry-after", "2"),
        _ => Answer::status(200),
    });
    daemon.subscribe(&receiver.url("/"), json!({}));
    daemon.accept(&event("call.new", "c1"));
    let requests = receiver.wait_for(2);
    let pause = requests[1].at.duration_since(requests[0].at);
    // The daemon computes in whole milliseconds.
    assert!(pause >= Duration::from_millis(1999), "asked for 2 s, left alone for {pause:?}");
}

#[test]
fn a_redirect_is_a_failure_and_is_not_followed() {
    let daemon = Daemon::start();
    let elsewhere = Receiver::willing();
    let target = elsewhere.url("/stolen");
    let statuses = [301, 302, 303, 307, 308];
    let receiver = Receiver::start(move |request| match statuses.get(request.nth) {
        Some(status) => Answer::status(*status).header("location", target.clone()),
        None => Answer::status(200),
    });
    daemon.subscribe(&receiver.url("/"), json!({}));
    daemon.accept(&event("call.new", "c1"));
    assert_eq!(attempts(&receiver.wait_for(6)), [1, 2, 3, 4, 5, 6]);
    let responses: Vec<_> = logged(&daemon, "/v1/log", 6).into_iter().map(|(_, response, _)| response).collect();
    assert_eq!(responses, [301, 302, 303, 307, 308, 200].map(|status| json!(status)));
    assert_eq!(elsewhere.requests().len(), 0, "a redirect was followed");
}

#[test]
fn a_receiver_that_is_gone_is_disabled_and_its_delivery_kept() {
    let daemon = Daemon::start();
    let receiver = Receiver::start(|_| Answer::status(410));
    let subscription = daemon.subscribe(&receiver.url("/"), json!({}));
    daemon.accept(&event("call.new", "c1"));
    let delivery = receiver.wait_for(1)[0].delivery().to_owned();
    daemon.wait_for_state(&delivery, "failed");
    assert_eq!(logged(&daemon, "/v1/log", 1), [(1, json!(410), "failed".to_owned())]);
    let seen = daemon.api().get(&subscription.path()).expect(200).json();
    assert_eq!(seen["enabled"], false, "{seen}");
    assert!(seen["disabled_reason"].as_str().is_some_and(|reason| reason.contains("410")), "{seen}");
    // It stays disabled: later deliveries wait, and a restart keeps the reason.
    assert_eq!(daemon.accept(&event("call.new", "c2"))["deliveries"], 1);
    let (home, exit) = daemon.stop();
    exit.expect(0);
    let daemon = home.start();
    let seen = daemon.api().get(&subscription.path()).expect(200).json();
    assert_eq!((&seen["enabled"], &seen["waiting"]), (&json!(false), &json!(1)), "{seen}");
    assert!(seen["disabled_reason"].as_str().is_some_and(|reason| reason.contains("410")), "{seen}");
    assert_eq!(receiver.requests().len(), 1, "a disabled receiver was called");
}

#[test]
fn one_that_failed_for_too_long_and_is_enabled_again_may_fail_as_long_again() {
    let home = Home::new().set("retry.disable_after", "\"1s\"");
    let mut daemon = home.start();
    let receiver = Receiver::start(|_| Answer::status(500));
    let subscription = daemon.subscribe(&receiver.url("/"), json!({}));
    daemon.accept(&event("call.new", "c1"));
    for again in [false, true] {
        let before = receiver.requests().len();
        if again {
            // Nor does a restart remember earlier failures.
            daemon.api().patch(&subscription.path(), &json!({"enabled": true})).expect(200);
            daemon = daemon.kill().start();
        }
        let seen = crate::wait::eventually("a subscription that is disabled", || {
            let seen = daemon.api().get(&subscription.path()).expect(200).json();
            if seen["enabled"] == false { Ok(seen) } else { Err(seen.to_string()) }
        });
        assert_eq!(seen["disabled_reason"], "every attempt failed for too long", "{seen}");
        let requests = receiver.requests();
        let (first, last) = (requests[before].at, requests[requests.len() - 1].at);
        let length = last.duration_since(first);
        assert!(length >= Duration::from_millis(900), "again: {again}; disabled after {length:?}");
    }
}

#[test]
fn dead_letters_are_listed_and_delivered_by_hand() {
    let daemon = Home::new().set("retry.give_up_after", "\"1s\"").start();
    let gate = Arc::new(Gate::closed());
    let receiver = failing_until(&gate, 500);
    let subscription = daemon.subscribe(&receiver.url("/"), json!({}));
    let id = daemon.accept(&event("call.new", "c1"))["id"].clone();
    let letters = daemon.wait_for_list("/v1/deliveries?state=failed", 1);
    let delivery = letters[0]["id"].as_str().unwrap_or_default().to_owned();
    assert_eq!(letters[0]["state"], "failed", "{}", letters[0]);
    assert_eq!(delivery, receiver.requests()[0].delivery());
    assert!(receiver.requests().len() >= 2, "only {} attempts in a second", receiver.requests().len());
    assert_eq!(daemon.list("/v1/log?status=failed").len(), 1);
    let by_subscription = format!("/v1/deliveries?state=failed&subscription={}", subscription.id);
    assert_eq!(daemon.list(&by_subscription).len(), 1);
    // Filters are named like the members they compare.
    let event_id = id.as_str().unwrap_or_default();
    for (filter, wanted) in
        [("event=call.new", 1), ("event=call.missed", 0), (format!("event_id={event_id}").as_str(), 1)]
    {
        assert_eq!(daemon.list(&format!("/v1/deliveries?{filter}")).len(), wanted, "{filter}");
    }

    let before = receiver.requests().len();
    gate.open();
    daemon.api().post(&format!("/v1/deliveries/{delivery}/retry"), &json!({})).expect_success();
    let again = receiver.wait_for(before + 1);
    assert_eq!(again[before].webhook_id(), id);
    assert_eq!(again[before].delivery(), delivery);
    daemon.wait_for_state(&delivery, "delivered");
    daemon.wait_for_list("/v1/deliveries?state=failed", 0);
}

#[test]
fn a_cancelled_delivery_is_not_tried_again_and_holds_nothing_back() {
    // Long enough between attempts that it is cancelled while waiting, not in flight.
    let daemon = Home::new().set("retry.initial_delay", "\"5s\"").start();
    let receiver = Receiver::start(|request| {
        let fails = request.json()["data"]["n"] == 0;
        Answer::status(if fails { 500 } else { 200 })
    });
    daemon.subscribe(&receiver.url("/"), json!({}));
    daemon.accept(&numbered("c1", 0));
    daemon.accept(&numbered("c1", 1));
    daemon.wait_for_list("/v1/log?status=retrying", 1);
    let requests = receiver.requests();
    assert_eq!(attempts(&requests), [1], "the second event of the call was not held back");
    let delivery = requests[0].delivery().to_owned();
    daemon.api().post(&format!("/v1/deliveries/{delivery}/cancel"), &json!({})).expect_success();
    daemon.wait_for_state(&delivery, "cancelled");
    let entry = &daemon.wait_for_list("/v1/log?status=cancelled", 1)[0];
    assert_eq!((&entry["delivery"], &entry["response"]), (&json!(delivery), &Value::Null), "{entry}");
    let requests = receiver.wait_for(2);
    assert_eq!(requests[1].sequence(), 2, "the event behind it flows at once");
    assert_eq!(requests[1].header("hookswitch-gap"), None, "nothing was passed");
    daemon.wait_for_list("/v1/log?status=delivered", 1);
    daemon.api().post(&format!("/v1/deliveries/{delivery}/cancel"), &json!({})).expect_problem(&[409]);
    let unknown = "/v1/deliveries/dlv_01JDBZ0000000000000000000A/cancel";
    daemon.api().post(unknown, &json!({})).expect_problem(&[404]);
}

#[test]
fn deliveries_expire() {
    let daemon = Daemon::start();
    let receiver = Receiver::start(|_| Answer::status(500));
    daemon.subscribe(&receiver.url("/"), json!({"expire_after": {"call.new": "1s"}}));
    daemon.accept(&event("call.new", "c1"));
    let delivery = receiver.wait_for(1)[0].delivery().to_owned();
    daemon.wait_for_state(&delivery, "expired");
    let entry = &daemon.wait_for_list("/v1/log?status=expired", 1)[0];
    assert_eq!((&entry["delivery"], &entry["event"]), (&json!(delivery), &json!("call.new")), "{entry}");
    assert_eq!(daemon.list("/v1/deliveries?state=failed").len(), 0, "what expired is no dead letter");
}

#[test]
fn deliveries_that_expire_while_waiting_are_not_sent_and_are_logged() {
    let daemon = Daemon::start();
    let receiver = Receiver::start(|_| Answer::status(503).header("retry-after", "9"));
    daemon.subscribe(&receiver.url("/"), json!({"expire_after": {"call.new": "1s"}}));
    daemon.accept(&event("call.new", "c1"));
    let delivery = receiver.wait_for(1)[0].delivery().to_owned();
    daemon.wait_for_state(&delivery, "expired");
    daemon.wait_for_list("/v1/log?status=expired", 1);
    assert_eq!(receiver.requests().len(), 1);
}

#[test]
fn a_restart_between_failures_goes_on_counting() {
    let daemon = Home::new().set("retry.initial_delay", "\"300ms\"").start();
    let receiver = Receiver::start(|request| Answer::status(if request.attempt() < 5 { 503 } else { 200 }));
    daemon.subscribe(&receiver.url("/"), json!({}));
    daemon.accept(&event("call.new", "c1"));
    daemon.wait_for_list("/v1/log", 2);
    let daemon = daemon.kill().start();
    daemon.wait_for_list("/v1/log?status=retrying", 3);
    let (home, exit) = daemon.stop();
    exit.expect(0);
    let daemon = home.start();
    let requests =
        receiver.wait_until("the fifth attempt", |requests| requests.last().is_some_and(|r| r.attempt() == 5));
    // An attempt cut off by the kill before it was recorded is repeated under its number.
    let mut numbers = attempts(&requests);
    numbers.dedup();
    assert_eq!(numbers, [1, 2, 3, 4, 5]);
    daemon.wait_for_state(requests[0].delivery(), "delivered");
}

#[test]
fn a_receiver_that_was_down_gets_its_events_when_it_is_back() {
    let daemon = Daemon::start();
    let gone = Receiver::willing();
    let address = gone.address();
    let url = gone.url("/");
    drop(gone);
    daemon.subscribe(&url, json!({}));
    daemon.accept(&event("call.new", "c1"));
    let entry = &crate::wait::eventually("a refused attempt in the log", || {
        let entries = daemon.list("/v1/log");
        if entries.is_empty() { Err("no entry".to_owned()) } else { Ok(entries) }
    })[0];
    assert_eq!((&entry["response"], &entry["status"]), (&Value::Null, &json!("retrying")), "{entry}");
    assert!(entry["error"].as_str().is_some_and(|error| error.contains("refused")), "{entry}");
    let back = Receiver::start_at(address, |_| Answer::status(200));
    let delivery = back.wait_for(1)[0].delivery().to_owned();
    daemon.wait_for_state(&delivery, "delivered");
}

#[test]
fn an_attempt_ends_at_the_subscriptions_own_timeout() {
    let daemon = Daemon::start();
    let hung = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&hung);
    let receiver = Receiver::start(move |_| match count.fetch_add(1, Ordering::Relaxed) {
        0 => Answer::Hang,
        _ => Answer::status(200),
    });
    daemon.subscribe(&receiver.url("/"), json!({"timeout_ms": 500}));
    daemon.accept(&event("call.new", "c1"));
    let requests = receiver.wait_for(2);
    let pause = requests[1].at.duration_since(requests[0].at);
    assert!(pause < Duration::from_secs(8), "a timeout of 500 ms took {pause:?}");
    let first = &logged(&daemon, "/v1/log", 2)[0];
    assert_eq!(first, &(1, Value::Null, "retrying".to_owned()));
}
