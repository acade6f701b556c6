//! A disabled subscription is paused: its deliveries wait, and follow in order when it is enabled.

use std::sync::Arc;

use serde_json::json;

use crate::daemon::Daemon;
use crate::platform::numbered;
use crate::receiver::{Received, Receiver};

#[test]
fn a_paused_subscription_keeps_its_deliveries_and_gets_them_in_order() {
    let daemon = Daemon::start();
    let (paused, other) = (Receiver::willing(), Receiver::willing());
    let subscription = daemon.subscribe(&paused.url("/"), json!({}));
    daemon.subscribe(&other.url("/"), json!({}));
    daemon.accept(&numbered("c1", 0));
    paused.wait_for(1);
    let seen = daemon.api().patch(&subscription.path(), &json!({"enabled": false})).expect(200).json();
    assert_eq!(seen["enabled"], false, "{seen}");
    assert!(seen["disabled_reason"].is_string(), "{seen}");
    for n in 1..8 {
        assert_eq!(daemon.accept(&numbered("c1", n))["deliveries"], 2);
    }
    // The other one has them all: so the paused one could have had them too.
    other.wait_for(8);
    assert_eq!(paused.requests().len(), 1, "a paused subscription was called");
    assert_eq!(daemon.api().get(&subscription.path()).expect(200).json()["waiting"], 7);

    let daemon = daemon.kill().start();
    daemon.accept(&numbered("c1", 8));
    other.wait_until("the event after the restart", |requests| sequences(requests).contains(&9));
    assert_eq!(paused.requests().len(), 1, "a paused subscription was called after a restart");
    let seen = daemon.api().get(&subscription.path()).expect(200).json();
    assert_eq!((&seen["enabled"], &seen["waiting"]), (&json!(false), &json!(8)), "{seen}");

    let seen = daemon.api().patch(&subscription.path(), &json!({"enabled": true})).expect(200).json();
    assert_eq!((&seen["enabled"], seen["disabled_reason"].is_null()), (&json!(true), true), "{seen}");
    let requests = paused.wait_for(9);
    assert_eq!(sequences(&requests), (1..=9).collect::<Vec<_>>());
    assert_eq!(numbers(&requests), (0..=8).collect::<Vec<_>>());
    crate::wait::eventually("nothing to wait", || {
        let waiting = daemon.api().get(&subscription.path()).expect(200).json()["waiting"].clone();
        if waiting == 0 { Ok(()) } else { Err(waiting.to_string()) }
    });
}

fn sequences(requests: &[Arc<Received>]) -> Vec<u64> {
    requests.iter().map(|request| request.sequence()).collect()
}

fn numbers(requests: &[Arc<Received>]) -> Vec<u64> {
    requests.iter().map(|request| request.json()["data"]["n"].as_u64().unwrap_or(u64::MAX)).collect()
}

#[test]
fn a_deleted_subscription_has_no_deliveries_left() {
    let daemon = Daemon::start();
    let receiver = Receiver::willing();
    let subscription = daemon.subscribe(&receiver.url("/deleted"), json!({"enabled": false}));
    daemon.subscribe(&receiver.url("/kept"), json!({}));
    assert_eq!(daemon.accept(&numbered("c1", 0))["deliveries"], 2);
    daemon.api().delete(&subscription.path()).expect_success();
    daemon.api().get(&subscription.path()).expect_problem(&[404]);
    daemon.api().get(&format!("{}/secret", subscription.path())).expect_problem(&[404]);
    assert_eq!(daemon.accept(&numbered("c1", 1))["deliveries"], 1);
    receiver.wait_until("the kept deliveries", |requests| requests.len() >= 2);
    let daemon = daemon.kill().start();
    daemon.api().get(&subscription.path()).expect_problem(&[404]);
    daemon.accept(&numbered("c1", 2));
    receiver.wait_until("the event after the restart", |requests| sequences(requests).contains(&3));
    assert_eq!(receiver.requests_to("/deleted").len(), 0);
}
