//! Alerts to the operator: signed, of what needs attention, and never twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::daemon::{Daemon, Home};
use crate::engine::left_out;
use crate::platform::numbered;
use crate::receiver::{Answer, Receiver};

const SECRET: &str = "whsec_ZXhhbXBsZSBvbmx5OiBtYWtlIG9uZSBvZiB5b3VyIG93bg==";

fn watched(operator: &Receiver) -> Home {
    Home::new()
        .set("alerts.url", &format!("{:?}", operator.url("/ops")))
        .set("alerts.secret", &format!("{SECRET:?}"))
        .set("alerts.backlog_age", "\"1s\"")
}

/// The alerts of a type received so far.
fn alerts(operator: &Receiver, kind: &str) -> Vec<Value> {
    let all = operator.requests();
    all.iter().map(|request| request.json()).filter(|alert| alert["type"] == kind).collect()
}

/// Waits for an alert of a type that matches `wanted`.
fn wait_for(operator: &Receiver, kind: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    operator.wait_until(&format!("an alert of type {kind}"), |requests| {
        requests.iter().any(|request| request.json()["type"] == kind && wanted(&request.json()))
    });
    alerts(operator, kind).into_iter().find(|alert| wanted(alert)).expect("one was there a moment ago")
}

fn names(alert: &Value, id: &str) -> bool {
    alert["data"]["subscriptions"].as_array().is_some_and(|all| all.iter().any(|one| one["id"] == id))
}

#[test]
fn a_receiver_that_goes_down_and_comes_back_and_one_that_is_gone() {
    let operator = Receiver::willing();
    let daemon = watched(&operator).start();
    let up = Arc::new(AtomicBool::new(false));
    let is_up = Arc::clone(&up);
    let shaky = Receiver::start(move |_| Answer::status(if is_up.load(Ordering::Relaxed) { 200 } else { 503 }));
    let gone = Receiver::start(|_| Answer::status(410));
    let shaky = daemon.subscribe(&shaky.url("/shaky?key=hunter2"), json!({"events": ["call.claimed"]}));
    (0..10).for_each(|n| drop(daemon.accept(&numbered(&format!("c{n}"), n))));
    let failing = wait_for(&operator, "subscription.failing", |alert| names(alert, &shaky.id));
    let shown = &failing["data"]["subscriptions"][0];
    assert_eq!((&shown["company"], failing["data"]["count"].as_u64()), (&json!("acme"), Some(1)), "{failing}");
    assert!(shown["url"].as_str().is_some_and(|url| url.ends_with("/shaky")), "{failing}");
    let old = wait_for(&operator, "backlog.old", |_| true);
    assert_eq!(old["data"]["subscription"]["id"], shaky.id, "{old}");
    up.store(true, Ordering::Relaxed);
    wait_for(&operator, "subscription.recovered", |alert| names(alert, &shaky.id));
    wait_for(&operator, "backlog.recovered", |_| true);

    let gone = daemon.subscribe(&gone.url("/gone"), json!({}));
    daemon.accept(&numbered("d", 0));
    let disabled = wait_for(&operator, "subscription.disabled", |alert| names(alert, &gone.id));
    assert!(disabled["message"].as_str().is_some_and(|text| text.contains("/gone")), "{disabled}");
    let dead = wait_for(&operator, "dead_letters.added", |alert| names(alert, &gone.id));
    assert_eq!(dead["data"]["count"], 1, "{dead}");

    for request in operator.requests() {
        assert!(request.is_signed_with(SECRET), "{request:?}");
        assert_eq!(request.json()["id"], request.webhook_id());
        assert!(!request.text().contains("hunter2"), "{request:?}");
    }
    assert!(daemon.list("/v1/log").iter().all(|entry| !entry["url"].as_str().unwrap_or("").contains("/ops")));
    let mut kinds: Vec<_> = operator.requests().iter().map(|request| request.json()["type"].to_string()).collect();
    kinds.sort();
    let count = kinds.len();
    kinds.dedup();
    assert_eq!((count, kinds.len()), (6, 6), "nothing is said twice: {kinds:?}");
    daemon.stop().1.expect(0);
}

#[test]
fn an_alert_that_cannot_be_posted_is_logged_and_harmless() {
    let home = Home::new()
        .set("alerts.url", "\"http://10.1.2.3/hook\"")
        .set("alerts.secret", &format!("{SECRET:?}"))
        .set("network.allow", "[\"10.0.0.0/8\"]");
    // Refused at start, if at all.
    let refused = home.clone().set("network.allow", "[]").refused_start().expect(78);
    assert!(refused.stderr.contains("alerts.url") && refused.stderr.contains("[network]"), "{refused:?}");
    let refused = home.clone().set("alerts.secret", "\"hunter2\"").refused_start().expect(78);
    assert!(refused.stderr.contains("alerts.secret") && !refused.stderr.contains("hunter2"), "{refused:?}");

    let operator = Receiver::start(|_| Answer::status(500));
    let daemon = watched(&operator).start();
    let gone = Receiver::start(|_| Answer::status(410));
    let good = Receiver::willing();
    daemon.subscribe(&gone.url("/"), json!({}));
    daemon.subscribe(&good.url("/"), json!({}));
    daemon.accept(&numbered("c", 0));
    operator.wait_for(1);
    good.wait_for(1);
    let text = crate::wait::eventually("the failure in /metrics", || {
        let text = daemon.api().get("/metrics").expect(200).text();
        if text.contains("hookswitch_alert_failures_total 1") { Ok(text) } else { Err(text) }
    });
    assert!(text.contains("hookswitch_alerts_sent_total 0"), "{text}");
    let exit = daemon.stop().1.expect(0);
    assert!(exit.stderr.contains("could not be sent by [alerts] url") && exit.stderr.contains("500"), "{exit:?}");
    let first = operator.requests()[0].webhook_id().to_owned();
    assert!(operator.requests().iter().take(2).all(|request| request.webhook_id() == first), "one at a time");
}

#[test]
fn a_disk_low_on_space_raises_an_alert() {
    if left_out() {
        return;
    }
    let operator = Receiver::willing();
    // More than any disk has.
    let daemon: Daemon = watched(&operator).set("store.min_free_bytes", "1099511627776").start();
    let low = wait_for(&operator, "disk.low", |_| true);
    assert_eq!(low["data"]["min_free_bytes"].as_u64(), Some(1 << 40), "{low}");
    let begun = std::time::Instant::now();
    daemon.stop().1.expect(0);
    assert!(begun.elapsed() < Duration::from_secs(20), "alerts hold up the end");
}
