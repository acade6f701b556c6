//! The main job: every event type reaches every kind of subscription, complete and signed, and the log says so;
//! subscriptions that did not select it get nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hookswitch::core::time::Timestamp;
use serde_json::{Value, json};

use crate::daemon::{Created, Daemon};
use crate::platform::{EVENT_TYPES, event, with};
use crate::receiver::{Received, Receiver};

const OCCURRED: &str = "2026-11-23T11:30:00.5+02:00";

/// The path of a receiver, and the settings of its subscription.
const KINDS: [(&str, &str, &str); 4] = [
    ("/json-envelope", "json", "envelope"),
    ("/json-flat", "json", "flat"),
    ("/form-envelope", "form", "envelope"),
    ("/form-flat", "form", "flat"),
];

#[test]
fn every_event_type_reaches_every_format_and_layout_signed_and_is_in_the_log() {
    let daemon = Daemon::start();
    let receiver = Receiver::willing();
    let subscriptions = KINDS.map(|(path, format, layout)| {
        daemon.subscribe(&receiver.url(path), json!({"format": format, "layout": layout}))
    });
    let posted = post_samples(&daemon);
    receiver.wait_for(KINDS.len() * posted.len());
    for ((path, format, layout), subscription) in KINDS.iter().zip(&subscriptions) {
        let requests = receiver.requests_to(path);
        assert_eq!(requests.len(), posted.len(), "at {path}");
        // The samples are of one call: they arrive in the order in which they were posted.
        for (number, (request, (id, event))) in requests.iter().zip(&posted).enumerate() {
            check_headers(request, format, id, number as u64 + 1);
            assert!(request.is_signed_with(&subscription.secret), "signature of {request:?}");
            let wanted = document(id, event, layout);
            check_body(request, format, layout, &wanted);
        }
    }
    check_log(&daemon, &subscriptions, &posted);
}

/// Posts the sample of each event type; returns the ids and the events.
fn post_samples(daemon: &Daemon) -> Vec<(String, Value)> {
    let types = daemon.list("/v1/event-types");
    let names: Vec<_> = types.iter().map(|entry| entry["name"].as_str().unwrap_or_default()).collect();
    assert_eq!(names, EVENT_TYPES);
    let post = |entry: &Value| {
        let sample = &entry["sample"];
        assert!(sample["call_id"].is_string(), "a sample without call_id: {entry}");
        let event = json!({"type": entry["name"], "company": "acme", "domain": "www.acme.example",
            "source": "widget", "occurred_at": OCCURRED, "data": sample});
        let accepted = daemon.accept(&event);
        assert_eq!((&accepted["deliveries"], &accepted["duplicate"]), (&json!(4), &json!(false)), "{accepted}");
        (accepted["id"].as_str().unwrap_or_default().to_owned(), event)
    };
    types.iter().map(post).collect()
}

fn check_headers(request: &Received, format: &str, id: &str, sequence: u64) {
    assert_eq!(request.method, "POST");
    let kind = request.header("content-type").unwrap_or_default();
    let wanted = if format == "json" { "application/json" } else { "application/x-www-form-urlencoded" };
    assert!(kind.starts_with(wanted), "content-type {kind} of {request:?}");
    assert_eq!(request.header("user-agent"), Some(concat!("Hookswitch/", env!("CARGO_PKG_VERSION"))), "{request:?}");
    assert_eq!(request.webhook_id(), id, "{request:?}");
    assert!(id.starts_with("evt_"), "{id}");
    assert!(request.delivery().starts_with("dlv_"), "{request:?}");
    assert_eq!((request.attempt(), request.sequence()), (1, sequence), "{request:?}");
    assert_eq!(request.header("hookswitch-gap"), None, "{request:?}");
    assert_eq!(request.signatures(), 1, "{request:?}");
}

/// The documented body.
fn document(id: &str, event: &Value, layout: &str) -> Value {
    if layout == "flat" {
        let mut flat = event["data"].clone();
        flat["event"] = event["type"].clone();
        return flat;
    }
    json!({"id": id, "type": event["type"], "timestamp": "2026-11-23T09:30:00.500Z", "company": "acme",
        "domain": "www.acme.example", "source": "widget", "data": event["data"]})
}

fn check_body(request: &Received, format: &str, layout: &str, wanted: &Value) {
    if format == "json" {
        assert_eq!(&request.json(), wanted, "{request:?}");
        let text = request.text();
        let order = if layout == "flat" {
            vec!["event"]
        } else {
            vec!["id", "type", "timestamp", "company", "domain", "source", "data"]
        };
        let places: Vec<_> = order.iter().map(|name| text.find(&format!("\"{name}\":"))).collect();
        assert_eq!(places[0], Some(1), "the first member is {}: {text}", order[0]);
        assert!(places.is_sorted(), "members in the order {order:?}: {text}");
        return;
    }
    let pairs = request.form();
    let mut expected = Vec::new();
    flatten(String::new(), wanted, &mut expected);
    assert_eq!(pairs.iter().cloned().collect::<BTreeSet<_>>(), expected.into_iter().collect(), "{request:?}");
    let names: BTreeSet<_> = pairs.iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), pairs.len(), "a key is given twice: {pairs:?}");
}

/// The pairs of a form, as documented.
fn flatten(key: String, value: &Value, into: &mut Vec<(String, String)>) {
    let below = |name: &str| if key.is_empty() { name.to_owned() } else { format!("{key}[{name}]") };
    match value {
        Value::Object(members) => members.iter().for_each(|(name, value)| flatten(below(name), value, into)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, value)| flatten(below(&index.to_string()), value, into));
        }
        Value::Null => into.push((key, String::new())),
        Value::String(text) => into.push((key, text.clone())),
        Value::Bool(_) | Value::Number(_) => into.push((key, value.to_string())),
    }
}

fn check_log(daemon: &Daemon, subscriptions: &[Created], posted: &[(String, Value)]) {
    let entries = daemon.wait_for_list("/v1/log?limit=100", KINDS.len() * posted.len());
    for entry in &entries {
        assert_eq!((&entry["response"], &entry["status"]), (&json!(200), &json!("delivered")), "{entry}");
        assert_eq!((&entry["test"], &entry["attempt"]), (&json!(false), &json!(1)), "{entry}");
        assert!(Timestamp::parse(entry["created"].as_str().unwrap_or_default()).is_ok(), "{entry}");
        assert!(entry["id"].as_str().is_some_and(|id| id.starts_with("att_")), "{entry}");
        assert_eq!(entry["company"], "acme", "{entry}");
    }
    let text = |entry: &Value, name: &str| entry[name].as_str().unwrap_or_default().to_owned();
    let pair = |entry: &Value| (text(entry, "subscription"), text(entry, "event_id"), text(entry, "event"));
    let logged: BTreeSet<_> = entries.iter().map(pair).collect();
    let wanted: BTreeSet<_> = subscriptions
        .iter()
        .flat_map(|s| posted.iter().map(|(id, event)| (s.id.clone(), id.clone(), text(event, "type"))))
        .collect();
    assert_eq!(logged, wanted);
}

/// A subscription's path and its scope.
fn scopes() -> BTreeMap<&'static str, Value> {
    BTreeMap::from([
        ("/all", json!({})),
        ("/www", json!({"domain": "www.acme.example"})),
        ("/widget", json!({"sources": ["widget"]})),
        ("/lead-connect", json!({"sources": ["lead_connect"]})),
        ("/new-only", json!({"events": ["call.new"]})),
        ("/globex", json!({"company": "globex"})),
    ])
}

#[test]
fn an_event_goes_to_matching_subscriptions_only() {
    let daemon = Daemon::start();
    let receiver = Receiver::willing();
    for (path, settings) in scopes() {
        daemon.subscribe(&receiver.url(path), settings);
    }
    let at = |domain: Value, source: &str, event_type: &str, call: &str| {
        with(with(event(event_type, call), "domain", domain), "source", source)
    };
    let www = || json!("www.acme.example");
    let cases: [(Value, &[&str]); 6] = [
        (at(www(), "widget", "call.new", "c1"), &["/all", "/new-only", "/widget", "/www"]),
        (at(json!("shop.acme.example"), "api", "call.missed", "c2"), &["/all"]),
        (at(Value::Null, "widget", "call.missed", "c3"), &["/all", "/widget"]),
        (at(www(), "ilr", "call.missed", "c4"), &["/all", "/lead-connect", "/www"]),
        (with(at(www(), "widget", "call.new", "c5"), "company", "globex"), &["/globex"]),
        (with(at(www(), "widget", "call.new", "c6"), "company", "initech"), &[]),
    ];
    let mut wanted = BTreeSet::new();
    for (event, paths) in &cases {
        let accepted = daemon.accept(event);
        assert_eq!(accepted["deliveries"], paths.len(), "{event} gave {accepted}");
        let id = accepted["id"].as_str().unwrap_or_default();
        wanted.extend(paths.iter().map(|path| ((*path).to_owned(), id.to_owned())));
    }
    let requests = receiver.wait_for(wanted.len());
    let pair = |request: &Arc<Received>| (request.path.clone(), request.webhook_id().to_owned());
    assert_eq!(requests.iter().map(pair).collect::<BTreeSet<_>>(), wanted);
}

#[test]
fn an_event_can_be_read_again_with_its_deliveries() {
    let daemon = Daemon::start();
    let receiver = Receiver::willing();
    let subscription = daemon.subscribe(&receiver.url("/"), json!({}));
    let posted = event("call.missed", "call-1");
    let id = daemon.accept(&posted)["id"].as_str().unwrap_or_default().to_owned();
    let delivery = receiver.wait_for(1)[0].delivery().to_owned();
    daemon.wait_for_state(&delivery, "delivered");
    let seen = daemon.api().get(&format!("/v1/events/{id}")).expect(200).json();
    for name in ["type", "company", "domain", "source", "data"] {
        assert_eq!(seen[name], posted[name], "{name} of {seen}");
    }
    assert_eq!(seen["id"], id.as_str());
    let owed = &seen["deliveries"][0];
    assert_eq!((&owed["id"], &owed["state"]), (&json!(delivery), &json!("delivered")), "{seen}");
    assert_eq!(owed["subscription"], subscription.id.as_str(), "{seen}");
    let listed = daemon.list("/v1/events");
    assert_eq!(listed.iter().map(|event| &event["id"]).collect::<Vec<_>>(), [&json!(id)]);
}

#[test]
fn a_delivery_can_be_read_at_every_moment_of_its_life() {
    let daemon = Daemon::start();
    let receiver = Receiver::willing();
    daemon.subscribe(&receiver.url("/"), json!({}));
    for n in 0..100 {
        let id = daemon.accept(&event("call.new", &format!("call-{n}")))["id"].as_str().unwrap_or_default().to_owned();
        let seen = daemon.api().get(&format!("/v1/events/{id}")).expect(200).json();
        let delivery =
            seen["deliveries"][0]["id"].as_str().unwrap_or_else(|| panic!("event {n}: no delivery in {seen}"));
        // Fails on any response but 200, while the delivery changes its state.
        daemon.wait_for_state(delivery, "delivered");
    }
}
