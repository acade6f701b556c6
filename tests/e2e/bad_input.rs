//! Bad input: each a clear 4xx or a closed connection, nothing stored, the daemon unaffected.

use std::fmt::Display;
use std::io::Write as _;

use serde_json::{Value, json};

use crate::client::{Raw, Then, connect, raw};
use crate::daemon::{Daemon, Home, items};
use crate::platform::{event, with};
use crate::receiver::Receiver;

const JSON: &str = "application/json";

/// A refused body.
struct Refused {
    /// The fault.
    fault: &'static str,
    body: Vec<u8>,
    content_type: &'static str,
    /// The accepted statuses.
    status: &'static [u16],
    /// The pointer in the reply, if any.
    pointer: Option<&'static str>,
}

/// JSON that cannot be parsed, or bytes that are not JSON.
fn unreadable(fault: &'static str, body: impl Into<Vec<u8>>) -> Refused {
    Refused { fault, body: body.into(), content_type: JSON, status: &[400], pointer: None }
}

/// JSON that is parsed but not valid at `pointer`.
fn invalid(fault: &'static str, pointer: &'static str, body: impl Display) -> Refused {
    let body = body.to_string().into_bytes();
    Refused { fault, body, content_type: JSON, status: &[422], pointer: Some(pointer) }
}

fn good() -> Value {
    event("call.new", "c1")
}

fn without(mut event: Value, name: &str) -> Value {
    event.as_object_mut().unwrap().remove(name);
    event
}

fn with_data(name: &str, value: Value) -> Value {
    let mut event = good();
    event["data"][name] = value;
    event
}

/// The text of a valid event with this `data`.
fn with_data_text(data: &str) -> String {
    format!(r#"{{"type":"call.new","company":"acme","source":"widget","data":{data}}}"#)
}

fn unreadable_bodies() -> Vec<Refused> {
    let latin1 =
        [with_data_text(r#"{"call_id":"c1","lead_name":"J"#).trim_end_matches('}').as_bytes(), b"\xfcrgen\"}}"]
            .concat();
    let deep = with_data_text(&format!(r#"{{"call_id":"c1","deep":{}{}}}"#, "[".repeat(10_000), "]".repeat(10_000)));
    let objects =
        with_data_text(&format!(r#"{{"call_id":"c1","deep":{}1{}}}"#, r#"{"a":"#.repeat(10_000), "}".repeat(10_000)));
    let either = |refused| Refused { status: &[400, 422], ..refused };
    vec![
        unreadable("no body", ""),
        unreadable("not JSON", "hello"),
        unreadable("half a document", &good().to_string()[..40]),
        unreadable("something behind the document", format!("{} x", good())),
        unreadable("a form", "type=call.new&company=acme"),
        unreadable("a comma too many", good().to_string().replacen("{", "{,", 1)),
        unreadable("NaN", with_data_text(r#"{"call_id":"c1","n":NaN}"#)),
        unreadable("Latin-1", latin1),
        unreadable("zero bytes", vec![0; 64]),
        either(unreadable("10,000 lists", deep)),
        either(unreadable("10,000 objects", objects)),
        either(unreadable("10,000 lists that do not end", "[".repeat(10_000))),
    ]
}

fn invalid_documents() -> Vec<Refused> {
    let long = "x".repeat(129);
    vec![
        invalid("a list", "", json!([good()])),
        invalid("null", "", "null"),
        invalid("a number", "", 7),
        invalid("no type", "/type", without(good(), "type")),
        invalid("no company", "/company", without(good(), "company")),
        invalid("no source", "/source", without(good(), "source")),
        invalid("no data", "/data", without(good(), "data")),
        invalid("a type of the wrong type", "/type", with(good(), "type", 5)),
        invalid("an unknown type", "/type", with(good(), "type", "call.exploded")),
        invalid("a company of the wrong type", "/company", with(good(), "company", json!({"name": "acme"}))),
        invalid("an empty company", "/company", with(good(), "company", "")),
        invalid("a company too long", "/company", with(good(), "company", long.as_str())),
        invalid("a company with a control character", "/company", with(good(), "company", "ac\u{0}me")),
        invalid("a domain of the wrong type", "/domain", with(good(), "domain", json!(["www.acme.example"]))),
        invalid("an unknown source", "/source", with(good(), "source", "fax")),
        invalid("a time that is none", "/occurred_at", with(good(), "occurred_at", "yesterday")),
        invalid("an id too long", "/id", with(good(), "id", long.as_str())),
        invalid("an id of the wrong type", "/id", with(good(), "id", 12)),
        invalid("an unknown member", "/colour", with(good(), "colour", "red")),
        invalid("a member that is given twice", "/company", good().to_string().replacen('{', r#"{"company":"a","#, 1)),
    ]
}

fn invalid_data() -> Vec<Refused> {
    let twice = with_data_text(r#"{"call_id":"c1","call_id":"c2"}"#);
    let twice_below = with_data_text(r#"{"call_id":"c1","a":[{"b":1,"b":1}]}"#);
    let mut scheduled = event("call.scheduled", "c1");
    scheduled["data"].as_object_mut().unwrap().remove("scheduled_for");
    let mut answered = event("call.smsfollowup", "c1");
    answered["data"]["conversation"] = json!("hello");
    let mut silent = event("call.smsfollowup", "c1");
    silent["data"].as_object_mut().unwrap().remove("message");
    vec![
        invalid("data of the wrong type", "/data", with(good(), "data", "call_id=c1")),
        invalid("data that is null", "/data", with(good(), "data", Value::Null)),
        invalid("no call", "/data/call_id", with(good(), "data", json!({"lead_phone": "+12025550142"}))),
        invalid("a call of the wrong type", "/data/call_id", with_data("call_id", json!(17))),
        invalid("an empty call", "/data/call_id", with_data("call_id", json!(""))),
        invalid("a call too long", "/data/call_id", with_data("call_id", json!("x".repeat(129)))),
        invalid("call.scheduled without its time", "/data/scheduled_for", scheduled),
        invalid("call.smsfollowup without its message", "/data/message", silent),
        invalid("a conversation that is no list", "/data/conversation", answered),
        invalid("a member of data that is given twice", "/data/call_id", twice),
        invalid("a member deep in data that is given twice", "/data/a/0/b", twice_below),
    ]
}

fn wrong_content_types() -> Vec<Refused> {
    let types =
        ["text/plain", "application/xml", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"];
    let refused =
        |content_type| Refused { content_type, status: &[415], ..unreadable("the content type", good().to_string()) };
    types.into_iter().map(refused).collect()
}

#[test]
fn each_bad_body_is_refused_by_name_and_nothing_is_stored() {
    let daemon = Daemon::start();
    let receiver = Receiver::willing();
    daemon.subscribe(&receiver.url("/"), json!({}));
    let cases = [unreadable_bodies(), invalid_documents(), invalid_data(), wrong_content_types()];
    let mut wrong = Vec::new();
    for case in cases.iter().flatten() {
        let reply = daemon.api().request("POST", "/v1/events", &[("content-type", case.content_type)], &case.body);
        let seen = format!("{reply:?}");
        if !case.status.contains(&reply.status) {
            wrong.push(format!("{}: expected {:?}, came {seen}", case.fault, case.status));
            continue;
        }
        let problem = reply.expect_problem(case.status);
        let named =
            |pointer| problem["errors"].as_array().is_some_and(|all| all.iter().any(|e| e["pointer"] == pointer));
        if case.pointer.is_some_and(|pointer| !named(pointer)) {
            wrong.push(format!("{}: expected the pointer {:?}, came {seen}", case.fault, case.pointer));
        }
    }
    assert!(wrong.is_empty(), "{} of the bad bodies:\n{}", wrong.len(), wrong.join("\n"));
    check_unmoved(&daemon, &receiver);
}

/// Nothing is stored, nothing was sent, and a valid event still goes through.
#[track_caller]
fn check_unmoved(daemon: &Daemon, receiver: &Receiver) {
    assert_eq!(daemon.list("/v1/events"), [Value::Null; 0]);
    assert_eq!(daemon.list("/v1/deliveries"), [Value::Null; 0]);
    let accepted = daemon.accept(&good());
    let requests = receiver.wait_for(1);
    assert_eq!(requests.iter().map(|request| request.webhook_id()).collect::<Vec<_>>(), [&accepted["id"]]);
    assert_eq!(requests[0].sequence(), 1, "a refused event was given a sequence number");
}

#[test]
fn all_faults_of_a_document_are_reported_at_once() {
    let daemon = Daemon::start();
    let body = json!({"type": "nope", "company": 3, "source": "fax", "data": {}, "extra": true});
    let problem = daemon.api().post("/v1/events", &body).expect_problem(&[422]);
    let pointers: Vec<_> = problem["errors"].as_array().into_iter().flatten().map(|e| e["pointer"].clone()).collect();
    for wanted in ["/type", "/company", "/source", "/extra"] {
        assert!(pointers.contains(&json!(wanted)), "{wanted} in {problem}");
    }
    let faults = problem["errors"].to_string();
    assert!(faults.contains("call.missed"), "the event types there are: {problem}");
}

#[test]
fn oversized_bodies_are_refused_before_they_are_read() {
    let daemon = Daemon::start();
    let receiver = Receiver::willing();
    daemon.subscribe(&receiver.url("/"), json!({}));
    let head = |more: &str| {
        format!(
            "POST /v1/events HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nauthorization: Bearer {}\r\n{more}\r\n\r\n",
            daemon.home().token()
        )
    };
    let announced = raw(daemon.address, head("content-length: 999999999").as_bytes(), Then::Waits);
    assert_eq!(announced, Raw::Status(413));
    let large = with_data("lead_name", json!("x".repeat(1_500_000))).to_string();
    let sent =
        raw(daemon.address, (head(&format!("content-length: {}", large.len())) + &large).as_bytes(), Then::Waits);
    assert!(matches!(sent, Raw::Status(413) | Raw::Closed), "{sent:?}");
    let chunk = format!("100000\r\n{}\r\n", " ".repeat(0x10_0000));
    let chunked = head("transfer-encoding: chunked") + &chunk + &chunk + "0\r\n\r\n";
    let sent = raw(daemon.address, chunked.as_bytes(), Then::Waits);
    assert!(matches!(sent, Raw::Status(413) | Raw::Closed), "{sent:?}");
    check_unmoved(&daemon, &receiver);
}

#[test]
fn a_batch_is_accepted_whole_or_not_at_all() {
    let daemon = Daemon::start();
    let receiver = Receiver::willing();
    daemon.subscribe(&receiver.url("/"), json!({}));
    let post = |lines: &[String]| {
        let body = lines.join("\n") + "\n";
        daemon.api().request("POST", "/v1/events", &[("content-type", "application/x-ndjson")], body.as_bytes())
    };
    let line = |n: usize| with(event("call.new", &format!("c{n}")), "id", format!("p{n}")).to_string();
    let bad = [
        vec![line(0), "{".to_owned(), line(2)],
        vec![line(0), line(1), with(good(), "type", "nope").to_string()],
        vec![without(good(), "company").to_string(), line(1)],
    ];
    for lines in bad {
        post(&lines).expect_problem(&[400, 422]);
    }
    post(&(0..1_001).map(line).collect::<Vec<_>>()).expect_problem(&[413, 422]);
    assert_eq!(daemon.list("/v1/events"), [Value::Null; 0]);

    let accepted = post(&(0..3).map(line).collect::<Vec<_>>()).expect(202).json();
    let ids =
        |accepted: &Value| accepted["events"].as_array().unwrap().iter().map(|e| e["id"].clone()).collect::<Vec<_>>();
    let first = ids(&accepted);
    assert_eq!(first.len(), 3, "{accepted}");
    let again = post(&[line(1), line(3), line(3)]).expect(202).json();
    let duplicates: Vec<_> = again["events"].as_array().unwrap().iter().map(|e| e["duplicate"] == true).collect();
    assert_eq!(duplicates, [true, false, true], "{again}");
    assert_eq!(ids(&again)[0], first[1], "{again}");
    let requests = receiver.wait_for(4);
    assert_eq!(requests.iter().map(|request| request.sequence()).max(), Some(4));
    assert_eq!(daemon.list("/v1/events").len(), 4);
}

#[test]
fn a_full_batch_is_accepted() {
    let daemon = Daemon::start();
    let lines: String = (0..1_000).map(|n| event("call.new", &format!("c{n}")).to_string() + "\n").collect();
    let headers = [("content-type", "application/x-ndjson")];
    let reply = daemon.api().request("POST", "/v1/events", &headers, lines.as_bytes()).expect(202).json();
    assert_eq!(reply["events"].as_array().map(Vec::len), Some(1_000));
}

#[test]
fn unknown_paths_are_404_and_wrong_methods_405() {
    let daemon = Daemon::start();
    const ULID: &str = "01JDBZ0000000000000000000A";
    for path in ["/v1", "/v1/nothing", "/v1/events/", "/v2/events", "/v1/event-types/call.nothing", "/v1/../healthz"] {
        daemon.api().get(path).expect_problem(&[404]);
    }
    for (collection, prefix) in [("events", "evt"), ("subscriptions", "sub"), ("deliveries", "dlv"), ("log", "att")] {
        for id in [format!("{prefix}_{ULID}"), format!("{prefix}_nonsense"), "x".repeat(500), "%00".to_owned()] {
            daemon.api().get(&format!("/v1/{collection}/{id}")).expect_problem(&[404]);
        }
    }
    let unknown = format!("/v1/subscriptions/sub_{ULID}");
    daemon.api().patch(&unknown, &json!({"enabled": false})).expect_problem(&[404]);
    daemon.api().delete(&unknown).expect_problem(&[404]);
    for call in ["secret", "rotate-secret", "test"] {
        let method = if call == "secret" { "GET" } else { "POST" };
        daemon
            .api()
            .request(method, &format!("{unknown}/{call}"), &[("content-type", JSON)], b"{}")
            .expect_problem(&[404]);
    }
    for call in ["retry", "cancel"] {
        daemon.api().post(&format!("/v1/deliveries/dlv_{ULID}/{call}"), &json!({})).expect_problem(&[404]);
    }
    let allowed = [
        ("PUT", "/v1/events", "POST"),
        ("DELETE", "/v1/events", "GET"),
        ("POST", "/v1/log", "GET"),
        ("PATCH", "/v1/event-types", "GET"),
        ("GET", "/v1/test", "POST"),
        ("POST", "/healthz", "GET"),
    ];
    for (method, path, allow) in allowed {
        let reply = daemon.api().request(method, path, &[], b"");
        let listed = reply.header("allow").unwrap_or_default().to_owned();
        reply.expect_problem(&[405]);
        assert!(listed.contains(allow), "Allow: {listed} of {method} {path}");
    }
}

#[test]
fn bad_queries_are_refused() {
    let daemon = Daemon::start();
    let queries =
        ["limit=0", "limit=501", "limit=many", "cursor=rubbish", "since=yesterday", "colour=red", "limit=1&limit=2"];
    for list in ["/v1/log", "/v1/events", "/v1/deliveries"] {
        for query in queries {
            daemon.api().get(&format!("{list}?{query}")).expect_problem(&[400, 422]);
        }
    }
    daemon.api().get("/v1/log?status=perhaps").expect_problem(&[400, 422]);
    daemon.api().get("/v1/deliveries?state=perhaps").expect_problem(&[400, 422]);
    assert_eq!(items(&daemon.api().get("/v1/log").expect(200)).len(), 0);
}

/// Requests that are incomplete or not HTTP; `TOKEN` stands for the token.
const BROKEN: [(&str, &str); 10] = [
    ("half a line", "POST /v1/ev"),
    ("half a head", "POST /v1/events HTTP/1.1\r\nhost: x\r\ncontent-ty"),
    (
        "half a body",
        "POST /v1/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer TOKEN\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n{\"type\":\"call.new\",",
    ),
    (
        "half a chunk",
        "POST /v1/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer TOKEN\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\nff\r\n{\"type\"",
    ),
    ("not HTTP", "SSH-2.0-OpenSSH_9.2\r\n\r\n"),
    ("TLS", "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\r\n\r\n"),
    ("two hosts", "GET /healthz HTTP/1.1\r\nhost: x\r\nhost: y\r\n\r\n"),
    ("no host", "GET /healthz HTTP/1.1\r\n\r\n"),
    (
        "two lengths",
        "POST /v1/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer TOKEN\r\ncontent-type: application/json\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    ("an unknown method", "BREW /v1/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer TOKEN\r\n\r\n"),
];

#[test]
fn broken_requests_get_a_refusal_or_the_end_of_the_connection() {
    let daemon = Home::new().set("http.header_timeout", "\"1s\"").set("http.body_timeout", "\"1s\"").start();
    let receiver = Receiver::willing();
    daemon.subscribe(&receiver.url("/"), json!({}));
    let token = daemon.home().token();
    std::thread::scope(|scope| {
        for (fault, text) in BROKEN {
            let request = text.replace("TOKEN", &token);
            let address = daemon.address;
            for then in [Then::EndsItsSide, Then::Waits] {
                let request = request.clone();
                scope.spawn(move || {
                    let got = raw(address, request.as_bytes(), then);
                    let refused = matches!(got, Raw::Closed | Raw::Status(400..=499 | 501));
                    assert!(refused, "{fault}, and the client {then:?}: {got:?}");
                });
            }
        }
        // A silent connection is not kept for ever.
        let silent = raw(daemon.address, b"", Then::Waits);
        assert!(matches!(silent, Raw::Closed | Raw::Status(408)), "{silent:?}");
    });
    check_unmoved(&daemon, &receiver);
}

#[test]
fn a_client_that_goes_away_in_the_middle_leaves_nothing() {
    let daemon = Daemon::start();
    let receiver = Receiver::willing();
    daemon.subscribe(&receiver.url("/"), json!({}));
    let half = BROKEN[2].1.replace("TOKEN", &daemon.home().token());
    for _ in 0..50 {
        let mut stream = connect(daemon.address).expect("a connection");
        stream.write_all(half.as_bytes()).expect("half a request sent");
    }
    check_unmoved(&daemon, &receiver);
}
