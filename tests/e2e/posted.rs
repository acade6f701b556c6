//! What platforms really post: text that was cut inside an emoji, byte order marks, empty members, keys in quotes.

use serde_json::{Value, json};

use crate::client::Reply;
use crate::daemon::Daemon;
use crate::platform::{event, with};
use crate::receiver::Receiver;

const JSON: &str = "application/json";
const NDJSON: &str = "application/x-ndjson";
const CLOUD_EVENT: &str = "application/cloudevents+json";
const BATCH: &str = "application/cloudevents-batch+json";
const MARK: &str = "\u{feff}";

#[track_caller]
fn post(daemon: &Daemon, path: &str, content_type: &str, body: &str) -> Reply {
    daemon.api().request("POST", path, &[("content-type", content_type)], body.as_bytes())
}

/// An event of `acme` with `data`, as text.
fn with_data(data: &str) -> String {
    format!(r#"{{"type":"call.new","company":"acme","source":"widget","data":{data}}}"#)
}

fn cloud_event(id: &str, company: &str) -> String {
    format!(
        r#"{{"specversion":"1.0","id":"{id}","source":"/acme/widget","type":"call.new","company":"{company}","data":{{"call_id":"{id}"}}}}"#
    )
}

#[test]
fn half_an_emoji_is_accepted_and_goes_out_as_it_was_posted() {
    let daemon = Daemon::start();
    let receiver = Receiver::willing();
    for (path, settings) in [
        ("/json", json!({})),
        ("/flat", json!({"layout": "flat"})),
        ("/form", json!({"format": "form", "layout": "flat"})),
    ] {
        daemon.subscribe(&receiver.url(path), settings);
    }
    // JavaScript, Python and Java all write this where a text was cut inside an emoji.
    let data = r#"{"call_id":"c\ude00","lead_name":"ok \ud83d","lead_phone":"\ud83d1","a\ud83d":["\ud83d\ud83d\ude00"],"agent_id":"\ud83d"}"#;
    let accepted = post(&daemon, "/v1/events", JSON, &with_data(data)).expect(202).json();
    let arrived = receiver.wait_for(3);
    let body = |path: &str| arrived.iter().find(|request| request.path == path).expect(path).text();
    assert!(body("/json").ends_with(&format!(r#""data":{data}}}"#)), "{}", body("/json"));
    assert_eq!(body("/flat"), data.replacen('{', r#"{"event":"call.new","#, 1));
    let form = arrived.iter().find(|request| request.path == "/form").expect("the form").form();
    for pair in [
        ("lead_name", "ok \u{fffd}"),
        ("call_id", "c\u{fffd}"),
        ("lead_phone", "\u{fffd}1"),
        ("a\u{fffd}[0]", "\u{fffd}\u{1f600}"),
    ] {
        assert!(form.contains(&(pair.0.to_owned(), pair.1.to_owned())), "{pair:?} in {form:?}");
    }
    // Whoever looks at it later gets an answer, too: the API, the log, the report and the page.
    let id = accepted["id"].as_str().unwrap_or_default();
    assert!(daemon.api().get(&format!("/v1/events/{id}")).expect(200).text().contains(data));
    let call = "c%EF%BF%BD";
    assert!(daemon.api().get(&format!("/v1/events?call={call}")).expect(200).text().contains(id));
    daemon.api().get(&format!("/v1/calls/{call}?company=acme")).expect(200);
    daemon.api().get("/v1/report/calls").expect(200);
    let entries = daemon.wait_for_list("/v1/log?limit=10", 3);
    for entry in &entries {
        let shown = daemon.api().get(&format!("/v1/log/{}", entry["id"].as_str().unwrap_or_default()));
        assert_eq!(shown.expect(200).json()["call"], "c\u{fffd}");
    }
}

#[test]
fn half_an_emoji_of_an_sms_stands_in_the_conversation_as_a_replacement_character() {
    let daemon = Daemon::start();
    let receiver = Receiver::willing();
    daemon.subscribe(&receiver.url("/"), json!({}));
    let message = |direction: &str, second: u32| {
        format!(
            r#"{{"company":"acme","source":"api","call_id":"c1","direction":"{direction}","from":"+1","to":"+2",
            "sent_at":"2026-03-10T15:00:0{second}Z","lead":{{"name":"\ud83d"}},"widget_id":"w\ud83d","body":"ok \ud83d"}}"#
        )
    };
    post(&daemon, "/v1/messages", JSON, &message("outbound", 0)).expect(202);
    post(&daemon, "/v1/messages", JSON, &message("inbound", 1)).expect(202);
    let text = receiver.wait_for(1)[0].text();
    for wanted in [
        "\"message\":\"ok \u{fffd}\"",
        "\"body\":\"ok \u{fffd}\"",
        "\"lead_name\":\"\u{fffd}\"",
        "\"widget_id\":\"w\u{fffd}\"",
    ] {
        assert!(text.contains(wanted), "{wanted} in {text}");
    }
    let thread = daemon.api().get("/v1/conversations/c1?company=acme").expect(200).json();
    assert_eq!((&thread["messages"][0]["body"], &thread["widget_id"]), (&json!("ok \u{fffd}"), &json!("w\u{fffd}")));
}

#[test]
fn a_byte_order_mark_is_passed_over_wherever_a_document_begins() {
    let daemon = Daemon::start();
    let one = |call: &str| with_data(&format!(r#"{{"call_id":"{call}"}}"#));
    let cloud = [cloud_event("1", "acme"), format!("[{}]", cloud_event("2", "acme"))];
    for (content_type, body, count) in [
        (JSON, format!("{MARK}{}", one("a")), 1),
        (NDJSON, format!("{MARK}{}\r\n{MARK}{}\n{MARK}\n", one("b"), one("c")), 3),
        (CLOUD_EVENT, format!("{MARK}{}", cloud[0]), 4),
        (BATCH, format!("{MARK}{}", cloud[1]), 5),
    ] {
        post(&daemon, "/v1/events", content_type, &body).expect(202);
        assert_eq!(daemon.list("/v1/events").len(), count, "{content_type}");
    }
    let hook = json!({"company": "acme", "url": "https://127.0.0.1/", "events": ["*"]});
    post(&daemon, "/v1/subscriptions", JSON, &format!("{MARK}{hook}")).expect(201);
    post(&daemon, "/v1/events", JSON, MARK).expect_problem(&[400]);
}

#[test]
fn identity_is_no_compression_and_charsets_are_read_as_they_are_meant() {
    let daemon = Daemon::start();
    let body = event("call.new", "c1").to_string();
    let post = |headers: &[(&str, &str)]| daemon.api().request("POST", "/v1/events", headers, body.as_bytes());
    for coding in ["identity", "Identity", ""] {
        post(&[("content-type", JSON), ("content-encoding", coding)]).expect(202);
    }
    for kind in
        ["application/json; charset=utf8", "application/json;charset=\"UTF-8\"", "application/json; charset=us-ascii"]
    {
        post(&[("content-type", kind)]).expect(202);
    }
    for coding in ["gzip", "br", "identity, gzip"] {
        post(&[("content-type", JSON), ("content-encoding", coding)]).expect_problem(&[415]);
    }
}

#[test]
fn an_optional_member_that_is_empty_is_as_good_as_null() {
    let daemon = Daemon::start();
    // Member by member: what is empty, and whether it is taken.
    let good = event("call.new", "c1");
    for (name, status) in [
        ("domain", 202),
        ("occurred_at", 202),
        ("id", 202),
        ("type", 422),
        ("company", 422),
        ("source", 422),
        ("data", 422),
    ] {
        let reply = daemon.api().post("/v1/events", &with(good.clone(), name, ""));
        assert_eq!(reply.status, status, "{name}: {reply:?}");
        if status == 202 {
            let id = reply.json()["id"].as_str().unwrap_or_default().to_owned();
            let stored = daemon.api().get(&format!("/v1/events/{id}")).expect(200).json();
            let shown = if name == "id" { &stored["producer_id"] } else { &stored["domain"] };
            assert!(name == "occurred_at" || shown.is_null(), "{name}: {stored}");
        }
    }
    assert_eq!(daemon.list("/v1/events").len(), 3, "an empty id is no id: nothing is a repeat");
    let message = json!({"company": "acme", "source": "api", "call_id": "c1", "direction": "outbound", "from": "+1",
        "to": "+2", "body": "hi"});
    for (name, nothing, status) in [
        ("domain", json!(""), 202),
        ("id", json!(""), 202),
        ("sent_at", json!(""), 202),
        ("widget_id", json!(""), 202),
        ("lead", json!(""), 202),
        ("lead", json!([]), 202),
        ("lead", json!({"email": "", "name": "", "phone": ""}), 202),
        ("company", json!(""), 422),
        ("call_id", json!(""), 422),
        ("direction", json!(""), 422),
        ("from", json!(""), 422),
        ("to", json!(""), 422),
    ] {
        let reply = daemon.api().post("/v1/messages", &with(message.clone(), name, nothing.clone()));
        assert_eq!(reply.status, status, "{name} {nothing}: {reply:?}");
    }
    let thread = daemon.api().get("/v1/conversations/c1?company=acme").expect(200).json();
    assert_eq!(
        (&thread["message_count"], &thread["lead"]["email"], &thread["widget_id"]),
        (&json!(7), &Value::Null, &Value::Null)
    );
}

#[test]
fn a_key_in_quotes_is_its_content_for_events_and_messages() {
    let daemon = Daemon::start();
    let body = event("call.new", "c1");
    let post = |path: &str, key: &str, body: &Value| {
        let headers = [("content-type", JSON), ("idempotency-key", key)];
        daemon.api().request("POST", path, &headers, body.to_string().as_bytes())
    };
    let first = post("/v1/events", r#""8e03978e-40d5""#, &body).expect(202).json();
    for key in ["8e03978e-40d5", r#""8e03978e-40d5""#, r#""8e03978e-40d5";x=1"#] {
        let again = post("/v1/events", key, &body).expect(202).json();
        assert_eq!((&again["id"], &again["duplicate"]), (&first["id"], &json!(true)), "{key}");
    }
    let own = daemon.accept(&with(body.clone(), "id", "8e03978e-40d5"));
    assert_eq!(own["duplicate"], true, "the member and the header say the same");
    for wrong in [r#""8e03978e-40d5"#, r#""a" "b""#, r#""""#, ""] {
        let problem = post("/v1/events", wrong, &body).expect_problem(&[422]);
        assert_eq!(problem["errors"][0]["pointer"], "/id", "{wrong}");
    }
    let message = json!({"company": "acme", "source": "api", "call_id": "c1", "direction": "outbound", "from": "+1",
        "to": "+2", "body": "hi"});
    post("/v1/messages", r#""m 1""#, &message).expect(202);
    assert_eq!(post("/v1/messages", "m 1", &message).expect(202).json()["duplicate"], true);
}

#[test]
fn cloud_events_come_quoted_and_in_batches() {
    let daemon = Daemon::start();
    let receiver = Receiver::willing();
    daemon.subscribe(&receiver.url("/"), json!({"company": "acme & söhne", "domain": "www.acme.example"}));
    let headers = [
        ("content-type", JSON),
        ("ce-specversion", "\"1.0\""),
        ("ce-id", r#""7\"8""#),
        ("ce-source", r#""/acme/widget""#),
        ("ce-type", r#""call.new""#),
        ("ce-company", r#""acme & s%C3%B6hne""#),
        ("ce-domain", "www.acme.example"),
    ];
    let accepted = daemon.api().request("POST", "/v1/events", &headers, br#"{"call_id":"c1"}"#).expect(202).json();
    assert_eq!(accepted["deliveries"], 1, "{accepted}");
    assert_eq!(receiver.wait_for(1)[0].json()["company"], "acme & söhne");
    // Binary mode says nothing by an empty extension.
    let mut bare = headers;
    (bare[2].1, bare[6].1) = ("9", "");
    let accepted = daemon.api().request("POST", "/v1/events", &bare, br#"{"call_id":"c2"}"#).expect(202).json();
    assert_eq!(accepted["deliveries"], 0, "of no domain: {accepted}");

    let batch = |events: &[String]| post(&daemon, "/v1/events", BATCH, &format!("[{}]", events.join(",")));
    let before = daemon.list("/v1/events").len();
    let bad = cloud_event("3", "acme").replace("call.new", "call.exploded");
    let problem = batch(&[cloud_event("1", "acme"), cloud_event("2", "acme"), bad]).expect_problem(&[422]);
    assert_eq!(problem["errors"][0]["pointer"], "/2/type", "{problem}");
    assert_eq!(daemon.list("/v1/events").len(), before, "all or none");
    let events =
        batch(&[cloud_event("1", "acme"), cloud_event("2", "acme"), cloud_event("1", "acme")]).expect(202).json();
    let duplicates: Vec<_> = events["events"].as_array().into_iter().flatten().map(|one| &one["duplicate"]).collect();
    assert_eq!(duplicates, [&json!(false), &json!(false), &json!(true)], "{events}");
    assert_eq!(batch(&[]).expect(202).json(), json!({"events": []}));
    let headers = [("content-type", BATCH), ("idempotency-key", "k")];
    daemon.api().request("POST", "/v1/events", &headers, b"[]").expect_problem(&[422]);
    let many: Vec<String> = (0..1_001).map(|n| cloud_event(&n.to_string(), "acme")).collect();
    batch(&many).expect_problem(&[413, 422]);
}
