//! The test of a URL: the result in plain language, at once, and in the log only for a subscription.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::daemon::{Daemon, Home};
use crate::receiver::{Answer, Receiver};

/// A daemon that does not wait long for a receiver.
fn impatient() -> Daemon {
    Home::new().set("senders.timeout", "\"1s\"").set("senders.connect_timeout", "\"500ms\"").start()
}

#[track_caller]
fn probe(daemon: &Daemon, body: &Value) -> Value {
    let found = daemon.api().post("/v1/test", body).expect(200).json();
    assert!(found["message"].as_str().is_some_and(|message| message.len() > 20), "in plain words: {found}");
    assert!(found["duration_ms"].is_number() && found["phases"].is_object() | found["phases"].is_array(), "{found}");
    found
}

#[test]
fn an_answering_url_works_and_a_404_does_not() {
    let daemon = impatient();
    let receiver = Receiver::start(|request| match request.path.as_str() {
        "/hook" => Answer::status(200).body("thank you"),
        _ => Answer::status(404).body("no such page"),
    });
    let found = probe(&daemon, &json!({"url": receiver.url("/hook")}));
    assert_eq!((&found["response"], &found["working"]), (&json!(200), &json!(true)), "{found}");
    assert!(found["error"].is_null(), "{found}");
    assert_eq!(found["response_body"], "thank you", "{found}");
    assert_eq!(found["address"], receiver.address().to_string(), "{found}");
    assert!(
        found["curl"].as_str().is_some_and(|curl| curl.contains("curl") && curl.contains(&receiver.url("/hook"))),
        "{found}"
    );

    let found = probe(&daemon, &json!({"url": receiver.url("/nowhere")}));
    assert_eq!((&found["response"], &found["working"]), (&json!(404), &json!(false)), "{found}");
    let message = found["message"].as_str().unwrap_or_default().to_lowercase();
    assert!(message.contains("not working") && message.contains("correct"), "what to do about it: {found}");
    let bodies: Vec<_> = receiver.requests().iter().map(|request| request.text()).collect();
    assert!(bodies.iter().all(|body| body.contains("call_id")), "a sample event: {bodies:?}");
}

#[test]
fn every_other_outcome_is_named() {
    let daemon = impatient();
    let elsewhere = Receiver::willing();
    let target = elsewhere.url("/");
    let receiver = Receiver::start(move |request| match request.path.as_str() {
        "/moved" => Answer::status(302).header("location", target.clone()),
        "/broken" => Answer::status(500),
        "/close" => Answer::Close,
        _ => Answer::Hang,
    });
    for (path, status) in [("/moved", 302), ("/broken", 500)] {
        let found = probe(&daemon, &json!({"url": receiver.url(path)}));
        assert_eq!((&found["response"], &found["working"]), (&json!(status), &json!(false)), "{found}");
    }
    assert_eq!(elsewhere.requests().len(), 0, "a redirect was followed");

    let begun = Instant::now();
    let found = probe(&daemon, &json!({"url": receiver.url("/hang")}));
    assert!(begun.elapsed() < Duration::from_secs(10), "a timeout of 1 s took {:?}", begun.elapsed());
    assert_eq!((&found["response"], &found["working"]), (&Value::Null, &json!(false)), "{found}");
    assert_eq!(found["phase"], "wait", "{found}");
    assert!(found["error"].as_str().is_some_and(|error| error.contains("timeout")), "{found}");

    let found = probe(&daemon, &json!({"url": receiver.url("/close")}));
    assert_eq!((&found["response"], &found["working"]), (&Value::Null, &json!(false)), "{found}");
    let address = receiver.address();
    drop(receiver);
    let found = probe(&daemon, &json!({"url": format!("http://{address}/")}));
    assert_eq!((&found["response"], &found["working"]), (&Value::Null, &json!(false)), "{found}");
    assert!(found["error"].as_str().is_some_and(|error| error.contains("refused")), "{found}");
    assert_eq!(found["phase"], "connect", "{found}");
    let found = probe(&daemon, &json!({"url": "http://no-such-host.invalid/"}));
    assert_eq!((&found["response"], &found["phase"]), (&Value::Null, &json!("resolve")), "{found}");
    assert_eq!(daemon.list("/v1/log").len(), 0, "a URL that is not saved has no log");
}

#[test]
fn a_probe_sends_the_requested_event() {
    let daemon = impatient();
    let receiver = Receiver::willing();
    let body = json!({"url": receiver.url("/"), "format": "form", "layout": "flat", "event": "call.missed",
        "headers": {"X-Api-Key": "k3y-v4lue"}});
    let found = probe(&daemon, &body);
    let request = receiver.wait_for(1)[0].clone();
    assert_eq!(request.header("x-api-key"), Some("k3y-v4lue"));
    assert!(request.header("content-type").is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded")));
    assert!(request.form().contains(&("event".to_owned(), "call.missed".to_owned())), "{request:?}");
    assert_eq!(found["request"]["body"], request.text(), "{found}");
    assert!(request.header("webhook-signature").is_some(), "a probe is signed");
    for bad in [
        json!({}),
        json!({"url": 5}),
        json!({"url": "nonsense"}),
        json!({"url": receiver.url("/"), "event": "call.exploded"}),
        json!({"url": receiver.url("/"), "format": "xml"}),
        json!({"url": receiver.url("/"), "colour": "red"}),
    ] {
        daemon.api().post("/v1/test", &bad).expect_problem(&[422]);
    }
}

#[test]
fn the_probe_of_a_subscription_is_signed_and_logged_as_a_test() {
    let daemon = impatient();
    let receiver = Receiver::start(|request| Answer::status(if request.nth == 0 { 404 } else { 200 }));
    let subscription = daemon.subscribe(&receiver.url("/"), json!({"events": ["call.finished"]}));
    let test = format!("{}/test", subscription.path());
    let found = daemon.api().post(&test, &json!({})).expect(200).json();
    assert_eq!((&found["response"], &found["working"]), (&json!(404), &json!(false)), "{found}");
    let found = daemon.api().post(&test, &json!({"event": "call.missed"})).expect(200).json();
    assert_eq!((&found["response"], &found["working"]), (&json!(200), &json!(true)), "{found}");
    let requests = receiver.wait_for(2);
    assert!(requests.iter().all(|request| request.is_signed_with(&subscription.secret)), "signed with its own secret");
    assert_eq!(requests[1].json()["type"], "call.missed");
    let entries = daemon.wait_for_list("/v1/log", 2);
    let seen: Vec<_> =
        entries.iter().map(|entry| (&entry["test"], &entry["response"], &entry["subscription"])).collect();
    let id = json!(subscription.id);
    assert_eq!(seen, [(&json!(true), &json!(200), &id), (&json!(true), &json!(404), &id)]);
    assert_eq!(daemon.list("/v1/log?test=false").len(), 0);
    // A probe is not an event: nothing is outstanding, nothing is retried, no number is used.
    assert_eq!(daemon.list("/v1/events").len() + daemon.list("/v1/deliveries").len(), 0);
    daemon.accept(&crate::platform::event("call.finished", "c1"));
    assert_eq!(receiver.wait_for(3)[2].sequence(), 1);
}

/// A receiver that checks the signature with one secret, like those of the handbook.
fn verifying(secret: &str) -> Receiver {
    let secret = secret.to_owned();
    Receiver::start(move |request| Answer::status(if request.is_signed_with(&secret) { 200 } else { 401 }))
}

#[test]
fn a_receiver_that_checks_the_signature_can_be_tested_before_and_after_saving() {
    let daemon = impatient();
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let receiver = verifying(secret);
    let found = probe(&daemon, &json!({"url": receiver.url("/"), "secret": secret}));
    assert_eq!((&found["response"], &found["working"]), (&json!(200), &json!(true)), "{found}");
    assert!(!found.to_string().contains(secret), "the secret is not repeated: {found}");
    let made = daemon.subscribe(&receiver.url("/"), json!({"secret": secret, "events": ["call.missed"]}));
    assert_eq!(made.secret, secret, "it is the one that was given");
    let test = format!("{}/test", made.path());
    let found = daemon.api().post(&test, &json!({})).expect(200).json();
    assert_eq!((&found["response"], &found["working"]), (&json!(200), &json!(true)), "{found}");
    assert_eq!(receiver.wait_for(2)[1].json()["type"], "call.missed", "an event that it selected");
    // With unsaved edits applied, but signed with the stored secret.
    let edited = json!({"event": "call.claimed", "settings": {"url": receiver.url("/new"), "format": "form"}});
    let found = daemon.api().post(&test, &edited).expect(200).json();
    assert_eq!(found["response"], 200, "{found}");
    let request = receiver.wait_for(3)[2].clone();
    assert_eq!(request.path, "/new");
    assert!(request.form().contains(&("type".to_owned(), "call.claimed".to_owned())), "{request:?}");
    let entries = daemon.wait_for_list("/v1/log?test=true", 2);
    assert_eq!(entries[0]["url"], receiver.url("/new"), "the log has what was tested");
    let stored = daemon.api().get(&made.path()).expect(200).json();
    assert_eq!((&stored["url"], &stored["format"]), (&json!(receiver.url("/")), &json!("json")), "nothing was changed");
}

#[test]
fn a_refusal_names_the_signature_as_the_likely_cause() {
    let daemon = impatient();
    for status in [401, 403] {
        let receiver = Receiver::start(move |_| Answer::status(status));
        let found = probe(&daemon, &json!({"url": receiver.url("/")}));
        let message = found["message"].as_str().unwrap_or_default();
        for part in ["signature", "secret", "thrown away", "header that it expects"] {
            assert!(message.contains(part), "{part}: {message}");
        }
        let made = daemon.subscribe(&receiver.url("/"), json!({}));
        let found = daemon.api().post(&format!("{}/test", made.path()), &json!({})).expect(200).json();
        let message = found["message"].as_str().unwrap_or_default();
        assert!(message.contains("this webhook's secret") && !message.contains("thrown away"), "{message}");
    }
}
