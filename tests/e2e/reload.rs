//! SIGHUP: reloadable keys change, others are reported, and faults change nothing.

use std::time::Duration;

use serde_json::json;

use crate::daemon::{Daemon, Home};
use crate::engine::has_directory;
use crate::platform::{event, numbered};
use crate::receiver::{Answer, Receiver};

/// Makes the daemon reload its configuration, as it is in `home` now; returns the resulting log line.
fn reload(daemon: &Daemon, home: &Home, saying: &str) -> String {
    home.write_config();
    daemon.signal("HUP");
    daemon.wait_for_saying(saying)
}

#[test]
fn changed_keys_are_reported_and_those_that_need_a_restart_too() {
    let home = Home::new();
    let daemon = home.start();
    let home = home
        .set("senders.max_in_flight", "3")
        .set("retry.initial_delay", "\"200ms\"")
        .set("senders.threads", "8")
        .set("http.max_connections", "99")
        .set("alerts.url", "\"http://127.0.0.1:9/\"")
        .set("alerts.secret", "\"whsec_ZXhhbXBsZSBvbmx5OiBtYWtlIG9uZSBvZiB5b3VyIG93bg==\"");
    let live = reload(&daemon, &home, "in force now");
    for part in
        ["senders.max_in_flight (512, now 3)", "retry.initial_delay (\"100ms\", now \"200ms\")", "alerts.secret,"]
    {
        assert!(live.contains(part), "{part} is not in {live}");
    }
    assert!(!live.contains("threads") && !live.contains("whsec_"), "{live}");
    let later = daemon.wait_for_saying("only after a restart");
    for part in ["senders.threads (2048, now 8)", "http.max_connections (1024, now 99)"] {
        assert!(later.contains(part), "{part} is not in {later}");
    }
    assert!(!later.contains("retry"), "{later}");
    // Again: no reloadable key has changed, and others still need a restart.
    reload(&daemon, &home, "no reloadable key has changed");
    let (_, exit) = daemon.stop();
    let stderr = exit.expect(0).stderr;
    assert_eq!(stderr.matches("only after a restart").count(), 2, "{stderr}");
}

#[test]
fn a_reading_that_is_wrong_changes_nothing_of_it() {
    let home = Home::new();
    let daemon = home.start();
    let receiver = Receiver::willing();
    daemon.subscribe(&receiver.url("/"), json!({}));
    let wrong = home.clone().set("network.deny", "[\"127.0.0.0/8\"]").set("retry.jitter", "7.0");
    let message = reload(&daemon, &wrong, "reload: retry.jitter");
    assert!(message.contains("hookswitch.toml"), "where it came from: {message}");
    daemon.wait_for_saying("stays in force");
    let wrong = home.clone().set("network.deny", "[\"127.0.0.0/8\"]").set("network.extra_ca", "[\"/nonexistent.pem\"]");
    reload(&daemon, &wrong, "/nonexistent.pem");
    daemon.accept(&event("call.new", "c1"));
    receiver.wait_for(1);
    let right = home.set("network.deny", "[\"127.0.0.0/8\"]");
    reload(&daemon, &right, "in force now: network.deny");
    let event = daemon.accept(&event("call.new", "c2"));
    let denied = crate::wait::eventually("a refusal in the log", || {
        let entries = daemon.list("/v1/log");
        let found = entries.iter().find(|entry| entry["event_id"] == event["id"]).cloned();
        found.ok_or_else(|| json!(entries).to_string())
    });
    assert_eq!(denied["error"], "address_denied", "{denied}");
    assert_eq!(receiver.requests().len(), 1);
}

#[test]
fn waiting_deliveries_follow_the_new_rules() {
    let home = Home::new().set("retry.initial_delay", "\"1h\"").set("retry.max_delay", "\"1h\"");
    let daemon = home.start();
    let receiver = Receiver::start(|request| Answer::status(if request.call() == "poisoned" { 500 } else { 200 }));
    daemon.subscribe(&receiver.url("/"), json!({}));
    daemon.accept(&numbered("poisoned", 0));
    receiver.wait_for(1);
    daemon.accept(&numbered("poisoned", 1));
    // The second is held back by the first, until the hold ends.
    let home =
        home.set("ordering.hold", "\"0s\"").set("retry.initial_delay", "\"100ms\"").set("retry.max_delay", "\"100ms\"");
    reload(&daemon, &home, "in force now");
    let all = receiver.wait_until("the second, again and again", |requests| {
        requests.iter().filter(|request| request.sequence() == 2).count() >= 3
    });
    assert_eq!(all.iter().filter(|request| request.sequence() == 1).count(), 1, "what is due in an hour is due then");
    if !has_directory() {
        return;
    }
    // From now on the disk counts as full, and then not any more.
    let full = home.clone().set("store.min_free_bytes", "1099511627776");
    reload(&daemon, &full, "store.min_free_bytes (268435456, now 1099511627776)");
    crate::wait::eventually("507", || {
        let status = daemon.api().post("/v1/events", &numbered("d", 0)).status;
        if status == 507 { Ok(()) } else { Err(status.to_string()) }
    });
    reload(&daemon, &home, "now 268435456");
    crate::wait::eventually("202", || {
        let status = daemon.api().post("/v1/events", &numbered("d", 0)).status;
        if status == 202 { Ok(()) } else { Err(status.to_string()) }
    });
}

#[test]
fn messages_are_logged_from_the_new_level_on() {
    let home = Home::new().set("diagnostics.level", "\"error\"");
    let daemon = home.start();
    let home = home.set("diagnostics.level", "\"info\"");
    reload(&daemon, &home, "diagnostics.level (\"error\", now \"info\")");
    let (_, exit) = daemon.stop();
    assert!(exit.expect(0).stderr.contains("stopping"));
}

#[test]
fn a_reload_ends_no_delivery_that_is_under_way() {
    let home = Home::new();
    let daemon = home.start();
    let receiver = Receiver::start(|_| Answer::status(200).after(Duration::from_millis(300)));
    daemon.subscribe(&receiver.url("/"), json!({"max_in_flight": 4}));
    (0..40).for_each(|n| drop(daemon.accept(&numbered(&format!("c{n}"), n))));
    receiver.wait_for(1);
    let home = home.set("senders.timeout", "\"20s\"");
    reload(&daemon, &home, "senders.timeout");
    receiver.wait_for(40);
    crate::wait::eventually("all delivered", || {
        let entries = daemon.list("/v1/log?limit=100");
        let all = entries.len() == 40 && entries.iter().all(|entry| entry["status"] == "delivered");
        if all { Ok(()) } else { Err(json!(entries).to_string()) }
    });
}
