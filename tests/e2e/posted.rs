//! Realistic posts: text cut inside an emoji, byte order marks, empty members, quoted keys.

use serde_json::{Value, json};

use crate::client::Reply;
use crate::daemon::{Daemon, Home, hookswitch, run};
use crate::engine::has_directory;
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
    // JavaScript, Python and Java all produce this when text is cut inside an emoji.
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
    // Later readers get it too: the API, the log, the report and the page.
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
    // Member by member: the empty value, and whether it is accepted.
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
    // In binary mode an empty extension counts as absent.
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

fn check_picture_in_a_backup(daemon: &Daemon, shown: &Value) {
    let (file, other) = (daemon.home().beside("backup"), Home::new());
    let mut backup = hookswitch();
    backup.arg("backup").arg(&file).args(["--url", &format!("http://{}", daemon.address)]);
    backup.arg("--data-dir").arg(daemon.home().data());
    run(backup).expect(0);
    let mut restore = hookswitch();
    restore.arg("restore").arg(&file).arg("--data-dir").arg(other.data());
    run(restore).expect(0);
    let daemon = other.start();
    let thread = daemon.api().get("/v1/conversations/c1?company=acme").expect(200).json();
    assert_eq!(thread["messages"][1]["media"], *shown);
    let (home, _) = daemon.stop();
    let mut verify = hookswitch();
    verify.args(["verify", "--data-dir"]).arg(home.data());
    run(verify).expect(0);
}

#[test]
fn a_picture_is_a_message_like_any_other() {
    let daemon = Daemon::start();
    let receiver = Receiver::willing();
    daemon.subscribe(&receiver.url("/"), json!({"events": ["call.smsfollowup"]}));
    let message = |direction: &str, second: u32, id: &str| {
        json!({"company": "acme", "source": "api", "call_id": "c1", "direction": direction, "from": "+1", "to": "+2",
            "id": id, "body": "", "sent_at": format!("2026-03-10T15:00:0{second}Z")})
    };
    let post = |message: &Value| daemon.api().post("/v1/messages", message).expect(202).json();
    post(&message("outbound", 0, "m1"));
    let media =
        json!([{"url": "https://media.example/1.jpg", "content_type": "image/jpeg"}, {"url": "http://m.example/2"}]);
    let mut picture = with(message("inbound", 1, "m2"), "media", media);
    picture.as_object_mut().expect("an object").remove("body");
    let raised = post(&picture);
    assert!(raised["event"].is_string(), "{raised}");
    let mut shown = picture["media"].clone();
    shown[1]["content_type"] = Value::Null;
    let data = receiver.wait_for(1)[0].json()["data"].clone();
    assert_eq!((&data["message"], &data["media"]), (&json!(""), &shown), "{data}");
    assert_eq!((&data["conversation"][0]["body"], &data["conversation"][0]["media"]), (&json!(""), &Value::Null));
    assert_eq!(data["conversation"][1]["media"], shown);
    assert_eq!(post(&picture)["duplicate"], true);
    // It survives a crash, and is in a backup, on the command line and on the page.
    let daemon = daemon.kill().start();
    let whole = daemon.api().get("/v1/conversations/c1?company=acme").expect(200).json();
    assert_eq!((&whole["messages"][1]["media"], &whole["messages"][1]["body"]), (&shown, &json!("")), "{whole}");
    assert_eq!(whole["last_message"]["media"], shown);
    let again =
        daemon.api().post("/v1/messages", &with(message("inbound", 2, "m3"), "body", "and?")).expect(202).json();
    let event =
        daemon.api().get(&format!("/v1/events/{}", again["event"].as_str().unwrap_or_default())).expect(200).json();
    assert_eq!(event["data"]["conversation"][1]["media"], shown, "read anew");
    let url = format!("http://{}", daemon.address);
    let data = daemon.home().data();
    let cli = |arguments: &[&str]| {
        let mut command = hookswitch();
        command.args(arguments).args(["--url", &url]).arg("--data-dir").arg(&data);
        run(command).expect(0).stdout
    };
    assert!(cli(&["conversations", "c1", "--company", "acme"]).contains("[image/jpeg] https://media.example/1.jpg"));
    let posted = [
        "message",
        "--company",
        "acme",
        "--call",
        "c2",
        "--direction",
        "inbound",
        "--from",
        "+1",
        "--to",
        "+2",
        "--media",
        "https://m.example/3",
        "--json",
    ];
    assert!(cli(&posted).contains("\"messages\":1"));
    if has_directory() {
        check_picture_in_a_backup(&daemon, &shown);
    }
}

#[test]
fn a_repeated_id_with_other_content_names_the_difference() {
    let daemon = Daemon::start();
    let receiver = Receiver::willing();
    daemon.subscribe(&receiver.url("/"), json!({}));
    let first = with(event("call.new", "c1"), "id", "p1");
    let accepted = daemon.accept(&first);
    let other = with(first.clone(), "data", json!({"call_id": "c1", "lead_name": "somebody else"}));
    let detail = |reply: Reply| {
        let problem = reply.expect_problem(&[422]);
        let error = &problem["errors"][0];
        (
            error["pointer"].as_str().unwrap_or_default().to_owned(),
            error["detail"].as_str().unwrap_or_default().to_owned(),
        )
    };
    let (pointer, text) = detail(daemon.api().post("/v1/events", &other));
    assert!(
        pointer == "/id" && text.contains("`data`") && text.contains(accepted["id"].as_str().unwrap_or("?")),
        "{text}"
    );
    let (pointer, text) = detail(daemon.api().post("/v1/events", &with(first.clone(), "type", "call.missed")));
    assert!(pointer == "/id" && text.contains("`type`") && !text.contains("`data`"), "{text}");
    // The same in another notation is the same, also after a crash.
    let daemon = daemon.kill().start();
    let data: Vec<(String, Value)> =
        first["data"].as_object().into_iter().flatten().map(|(name, value)| (name.clone(), value.clone())).collect();
    let turned: Vec<String> = data.iter().rev().map(|(name, value)| format!(" \"{name}\" :\t{value}")).collect();
    let text = format!(
        r#"{{"type":"call.new","company":"acme","source":"widget","id":"p1","data":{{{}}}}}"#,
        turned.join(",")
    );
    let again = post(&daemon, "/v1/events", JSON, &text).expect(202).json();
    assert_eq!(again, with(accepted, "duplicate", true));
    assert_eq!(daemon.accept(&with(other.clone(), "company", "globex"))["duplicate"], false, "another company's id");
    // Batches, and within one.
    let line = |id: &str, call: &str| with(event("call.new", call), "id", id).to_string();
    let lines = [line("p2", "c2"), String::new(), line("p1", "c2"), line("p2", "c3")].join("\n");
    let problem = post(&daemon, "/v1/events", NDJSON, &lines).expect_problem(&[422]);
    let errors: Vec<_> = problem["errors"].as_array().into_iter().flatten().collect();
    assert_eq!(errors.iter().map(|error| &error["pointer"]).collect::<Vec<_>>(), [&json!("/1/id"), &json!("/2/id")]);
    assert!(errors[1]["detail"].as_str().is_some_and(|detail| detail.starts_with("(line 4) ")), "{problem}");
    let batch = format!(
        "[{},{}]",
        cloud_event("7", "acme"),
        cloud_event("7", "acme").replace("\"call_id\":\"7\"", "\"call_id\":\"8\"")
    );
    assert_eq!(detail(post(&daemon, "/v1/events", BATCH, &batch)).0, "/1/id");
    assert_eq!(daemon.list("/v1/events").len(), 2, "nothing of it was stored");

    let message = |direction: &str, body: &str| {
        json!({"company": "acme", "source": "api", "call_id": "c1", "direction": direction, "from": "+1", "to": "+2",
            "id": "m1", "body": body, "sent_at": "2026-03-10T15:00:00Z"})
    };
    daemon.api().post("/v1/messages", &message("outbound", "hi")).expect(202);
    for (other, named) in [
        (message("outbound", "ho"), "`body`"),
        (message("inbound", "hi"), "`direction`"),
        (with(message("outbound", "hi"), "call_id", "c2"), "`call_id`"),
        (with(message("outbound", "hi"), "media", json!([{"url": "https://m.example/1"}])), "`media`"),
    ] {
        let (pointer, text) = detail(daemon.api().post("/v1/messages", &other));
        assert!(pointer == "/id" && text.contains(named), "{other}: {text}");
    }
    let again = daemon.api().post("/v1/messages", &with(message("outbound", "hi"), "sent_at", "")).expect(202).json();
    assert_eq!((&again["duplicate"], &again["messages"]), (&json!(true), &json!(1)));
    assert_eq!(daemon.list("/v1/conversations").len(), 1);
}

#[test]
fn companies_that_post_and_have_no_webhook_are_named() {
    let daemon = Daemon::start();
    let receiver = Receiver::willing();
    daemon.subscribe(&receiver.url("/"), json!({"events": ["call.missed"]}));
    let unserved = |daemon: &Daemon| -> Vec<String> {
        let stats = daemon.api().get("/v1/stats").expect(200).json();
        let all = stats["companies_without_webhook"].as_array().cloned().unwrap_or_else(|| panic!("{stats}"));
        all.iter().map(|one| one["company"].as_str().unwrap_or_default().to_owned()).collect()
    };
    // No match for an event of a company that has a webhook may be intended.
    assert_eq!(daemon.accept(&event("call.new", "c1"))["deliveries"], 0);
    assert_eq!(unserved(&daemon), Vec::<String>::new());
    assert_eq!(daemon.accept(&with(event("call.new", "c2"), "company", "acmee"))["deliveries"], 0);
    assert_eq!(unserved(&daemon), ["acmee"]);
    let shown = |daemon: &Daemon| {
        let mut status = hookswitch();
        status.args(["status", "--url", &format!("http://{}", daemon.address), "--data-dir"]).arg(daemon.home().data());
        run(status).expect(0).stdout
    };
    assert!(shown(&daemon).contains("  acmee  latest event "), "{}", shown(&daemon));
    // Across a crash and a stop, and until it has one.
    let daemon = daemon.kill().start();
    assert_eq!(unserved(&daemon), ["acmee"]);
    let (home, _) = daemon.stop();
    let daemon = home.start();
    assert_eq!(unserved(&daemon), ["acmee"]);
    // A token for one company does not see others.
    let token = daemon.api().post("/v1/tokens", &json!({"role": "read", "company": "acme"})).expect(201).json();
    let bound = crate::client::Client::new(daemon.address, token["token"].as_str().map(str::to_owned));
    assert_eq!(bound.get("/v1/stats").expect(200).json()["companies_without_webhook"], json!([]));
    daemon.subscribe(&receiver.url("/"), json!({"company": "acmee"}));
    assert_eq!(unserved(&daemon), Vec::<String>::new());
}
