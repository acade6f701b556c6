//! A subscription's queue as a whole: replay, discard, and reading by sequence number.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::daemon::{Daemon, Home};
use crate::platform::numbered;
use crate::receiver::{Answer, Receiver};
use crate::wait::{Gate, eventually};

const LONG_AGO: &str = "2020-01-01T00:00:00Z";

#[test]
fn a_replay_delivers_again_in_order_with_the_original_ids_and_says_so_in_the_log() {
    let daemon = Daemon::start();
    let receiver = Receiver::willing();
    let subscription = daemon.subscribe(&receiver.url("/"), json!({}));
    let ids: Vec<Value> = (0..40).map(|n| daemon.accept(&numbered("c1", n))["id"].clone()).collect();
    receiver.wait_for(40);
    eventually("nothing to wait", || nothing_waits(&daemon, &subscription.path()));
    let replay = format!("{}/replay", subscription.path());
    let queued = daemon.api().post(&replay, &json!({"since": LONG_AGO})).expect(202).json();
    assert_eq!(queued, json!({"queued": 40}));
    receiver.wait_until("half of the replay", |requests| requests.len() >= 60);

    let daemon = daemon.kill().start();
    let live = daemon.accept(&numbered("c2", 40));
    let requests = receiver.wait_until("all of the replay and the live event", |requests| {
        let has = |id: &Value, times| requests.iter().filter(|request| *id == request.webhook_id()).count() >= times;
        ids.iter().all(|id| has(id, 2)) && has(&live["id"], 1)
    });
    let again: Vec<u64> = requests[40..].iter().filter(|r| r.sequence() <= 40).map(|r| r.sequence()).collect();
    // Deliveries in flight at the kill may be repeated; but never an older one after a newer one that it had
    // preceded.
    let mut first_seen = again.clone();
    let mut highest = 0;
    first_seen.retain(|sequence| {
        let new = *sequence > highest;
        highest = highest.max(*sequence);
        new
    });
    assert_eq!(first_seen, (1..=40).collect::<Vec<u64>>(), "{again:?}");
    for request in &requests {
        assert!(request.is_signed_with(&subscription.secret));
    }
    eventually("the log to tell of the replay", || {
        let log = daemon.api().get("/v1/log?limit=500").expect(200).json();
        let replayed =
            log["entries"].as_array().map_or(0, |entries| entries.iter().filter(|e| e["replay"] == true).count());
        if replayed >= 40 { Ok(()) } else { Err(log.to_string()) }
    });
}

#[test]
fn a_replay_can_be_limited_to_failed_deliveries() {
    let daemon = Home::new().set("retry.give_up_after", "\"1s\"").start();
    let gate = Arc::new(Gate::closed());
    let shut = gate.clone();
    let receiver = Receiver::start(move |request| match request.json()["data"]["n"].as_u64() {
        Some(1) if !shut.is_open() => Answer::status(500),
        _ => Answer::status(200),
    });
    let subscription = daemon.subscribe(&receiver.url("/"), json!({"ordering": "none"}));
    for n in 0..3 {
        daemon.accept(&numbered("c1", n));
    }
    daemon.wait_for_list("/v1/deliveries?state=failed", 1);
    gate.open();
    let replay = format!("{}/replay", subscription.path());
    let post = |body: Value| daemon.api().post(&replay, &body).expect(202).json();
    assert_eq!(post(json!({"since": "2999-01-01T00:00:00Z", "only": "failed"})), json!({"queued": 0}));
    assert_eq!(post(json!({"since": LONG_AGO, "only": "failed", "events": ["call.missed"]})), json!({"queued": 0}));
    let counted = json!({"since": LONG_AGO, "only": "failed", "dry_run": true});
    assert_eq!(daemon.api().post(&replay, &counted).expect(200).json(), json!({"queued": 1}));
    assert_eq!(daemon.list("/v1/deliveries?state=failed").len(), 1, "counting changes nothing");
    assert_eq!(post(json!({"since": LONG_AGO, "only": "failed"})), json!({"queued": 1}));
    daemon.wait_for_list("/v1/log?status=delivered", 3);
    assert!(daemon.list("/v1/deliveries?state=failed").is_empty());
    for body in [json!({}), json!({"since": LONG_AGO, "only": "some"}), json!({"since": LONG_AGO, "x": 1})] {
        daemon.api().post(&replay, &body).expect_problem(&[422]);
    }
}

#[test]
fn a_discard_cancels_waiting_deliveries() {
    let daemon = Daemon::start();
    let receiver = Receiver::willing();
    let subscription = daemon.subscribe(&receiver.url("/"), json!({"enabled": false}));
    for n in 0..5 {
        daemon.accept(&numbered("c1", n));
    }
    let discard = format!("{}/discard", subscription.path());
    assert_eq!(daemon.api().post(&discard, &json!({})).expect(202).json(), json!({"cancelled": 5}));
    eventually("nothing to wait", || nothing_waits(&daemon, &subscription.path()));
    daemon.accept(&numbered("c1", 5));
    daemon.api().patch(&subscription.path(), &json!({"enabled": true})).expect(200);
    let requests = receiver.wait_for(1);
    assert_eq!((requests.len(), requests[0].sequence()), (1, 6), "what was discarded was sent");
    let cancelled = daemon.api().get("/v1/log?status=cancelled").expect(200).json();
    assert_eq!(cancelled["entries"].as_array().map(Vec::len), Some(5), "{cancelled}");
}

#[test]
fn a_receiver_fills_its_own_gaps() {
    let daemon = Daemon::start();
    let receiver = Receiver::willing();
    let subscription = daemon.subscribe(&receiver.url("/"), json!({"headers": {"X-Key": "hunter2"}}));
    for n in 0..7 {
        daemon.accept(&numbered("c1", n));
    }
    let sent = receiver.wait_for(7);
    let events = format!("{}/events", subscription.path());
    let page = daemon.api().get(&format!("{events}?from=3&to=6&limit=3")).expect(200).json();
    let items = page["items"].as_array().expect("a list");
    assert_eq!(items.iter().map(|item| item["sequence"].as_u64()).collect::<Vec<_>>(), [3, 4, 5].map(Some));
    for (item, sent) in items.iter().zip(&sent[2..]) {
        assert_eq!(item["body"].as_str().map(str::as_bytes), Some(sent.body()), "{item}");
        assert_eq!(item["headers"]["webhook-id"], sent.webhook_id());
        assert_eq!(item["delivery"], sent.delivery());
        assert!(item["headers"]["webhook-signature"].is_string() && item["headers"]["X-Key"].is_null(), "{item}");
    }
    let next = page["next"].as_str().expect("there is one more");
    let rest = daemon.api().get(&format!("{events}?from=3&to=6&limit=3&cursor={next}")).expect(200).json();
    assert_eq!((rest["items"][0]["sequence"].as_u64(), &rest["next"]), (Some(6), &Value::Null), "{rest}");
    assert_eq!(daemon.api().get(&format!("{events}?from=8")).expect(200).json()["items"], json!([]));
    for wrong in ["from=0", "from=x", "from=3&to=2", "since=1"] {
        daemon.api().get(&format!("{events}?{wrong}")).expect_problem(&[422]);
    }
}

fn nothing_waits(daemon: &Daemon, path: &str) -> Result<(), String> {
    let waiting = daemon.api().get(path).expect(200).json()["waiting"].clone();
    if waiting == 0 { Ok(()) } else { Err(waiting.to_string()) }
}

/// Posts this many events, each of its own call.
fn post_many(daemon: &Daemon, count: usize) {
    for first in (0..count).step_by(1000) {
        let events = (first..count.min(first + 1000)).map(|n| numbered(&format!("c{n}"), n).to_string());
        let lines: Vec<String> = events.collect();
        let body = lines.join("\n");
        daemon
            .api()
            .request("POST", "/v1/events", &[("content-type", "application/x-ndjson")], body.as_bytes())
            .expect(202);
    }
}

/// A receiver that answers at once, and its number of requests.
fn counting() -> (Receiver, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    let receiver = Receiver::start(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        Answer::status(200)
    });
    (receiver, count)
}

/// Waits for this many requests, as long as more arrive.
fn wait_for_many(count: &AtomicUsize, many: usize) {
    loop {
        let before = count.load(Ordering::SeqCst);
        if before >= many {
            return;
        }
        eventually("more to arrive", || match count.load(Ordering::SeqCst) {
            now if now > before => Ok(()),
            _ => Err(format!("{before} of {many} came")),
        });
    }
}

#[test]
fn a_long_replay_to_receivers_that_answer_at_once_comes_to_its_end() {
    const EVENTS: usize = 1_500;
    let daemon = Daemon::start();
    let receivers: Vec<_> = (0..4).map(|_| counting()).collect();
    let subscribe = |(receiver, _): &(Receiver, _)| daemon.subscribe(&receiver.url("/"), json!({})).path();
    let paths: Vec<String> = receivers.iter().map(subscribe).collect();
    post_many(&daemon, EVENTS);
    let arrived = |times: usize| {
        receivers.iter().for_each(|(_, count)| wait_for_many(count, times * EVENTS));
        paths.iter().for_each(|path| eventually("nothing to wait", || nothing_waits(&daemon, path)));
    };
    arrived(1);
    for path in &paths {
        let queued = daemon.api().post(&format!("{path}/replay"), &json!({"since": LONG_AGO})).expect(202).json();
        assert_eq!(queued, json!({"queued": EVENTS}));
    }
    arrived(2);
}

#[test]
fn thousands_of_manual_retries_during_delivery_are_all_sent() {
    const EVENTS: usize = 500;
    const TIMES: usize = 6;
    let daemon = Daemon::start();
    let (receiver, count) = counting();
    let path = daemon.subscribe(&receiver.url("/"), json!({})).path();
    post_many(&daemon, EVENTS);
    wait_for_many(&count, EVENTS);
    let requests = receiver.requests();
    let deliveries: Vec<&str> = requests.iter().take(EVENTS).map(|request| request.delivery()).collect();
    // Each is retried by hand as soon as it was answered, several times.
    std::thread::scope(|scope| {
        for part in deliveries.chunks(EVENTS / 4) {
            let daemon = &daemon;
            scope.spawn(move || {
                let api = daemon.api();
                for delivery in part.iter().flat_map(|delivery| [delivery; TIMES]) {
                    api.post(&format!("/v1/deliveries/{delivery}/retry"), &json!({})).expect_success();
                }
            });
        }
    });
    eventually("nothing to wait", || nothing_waits(&daemon, &path));
    let sent = count.load(Ordering::SeqCst);
    assert!(sent > 2 * EVENTS, "only {sent} were sent");
}
