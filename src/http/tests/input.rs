//! Invalid bodies and parameters. Nothing here reaches the store.

use super::*;

fn pointers(problem: &serde_json::Value) -> Vec<&str> {
    let errors = problem["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
    errors.iter().map(|error| error["pointer"].as_str().unwrap()).collect()
}

#[test]
fn an_event_that_cannot_be_read_is_refused() {
    let server = api(settings());
    let json = "application/json";
    let deep = format!("{{\"data\":{}{}}}", "[".repeat(1900), "]".repeat(1900));
    let cases: [(&str, &[u8], u16, &[&str]); 15] = [
        (json, b"", 400, &[]),
        (json, b"{", 400, &[]),
        (json, b"{\"type\": \"\xff\"}", 400, &[]),
        (json, b"[]", 422, &[""]),
        (json, b"null", 422, &[""]),
        (json, b"{}", 422, &["/type", "/company", "/source", "/data"]),
        (
            json,
            br#"{"type":"no","company":1,"source":"fax","data":[],"x":1}"#,
            422,
            &["/type", "/company", "/source", "/x", "/data"],
        ),
        (
            json,
            br#"{"type":"call.new","company":"a","company":"b","source":"api","data":{"call_id":"c"}}"#,
            422,
            &["/company"],
        ),
        (
            json,
            br#"{"type":"call.new","company":"a","source":"api","data":{"call_id":"c","x":{"y":1,"y":2}}}"#,
            422,
            &["/data/x/y"],
        ),
        (json, deep.as_bytes(), 422, &[]),
        ("text/plain", b"{}", 415, &[]),
        ("application/json; charset=utf-16", b"{}", 415, &[]),
        (
            "application/cloudevents+json",
            b"{\"data\":{}}",
            422,
            &["/specversion", "/id", "/source", "/type", "/company"],
        ),
        ("application/cloudevents-batch+json", b"[{\"data\":{}}]", 422, &["/0/specversion", "/0/company"]),
        ("application/x-www-form-urlencoded", b"a=b", 415, &[]),
    ];
    for (content_type, body, wanted, named) in cases {
        let (status, problem) = post(server.address(), "/v1/events", content_type, body);
        let shown = String::from_utf8_lossy(&body[..body.len().min(100)]);
        assert_eq!(status, wanted, "{content_type} {shown}: {problem}");
        assert!(problem["status"] == wanted && problem["title"].is_string() && problem["detail"].is_string());
        for pointer in named {
            assert!(pointers(&problem).contains(pointer), "{shown}: {problem}");
        }
    }
    let untyped = exchange(server.address(), request("POST", "/v1/events", "", b"{}"));
    assert_eq!(status(&untyped), Some(415), "{untyped}");
    let packed = "Content-Type: application/json\r\nContent-Encoding: gzip\r\n";
    let packed = exchange(server.address(), request("POST", "/v1/events", packed, b"{}"));
    assert_eq!(status(&packed), Some(415), "{packed}");
}

#[test]
fn a_batch_is_refused_with_its_lines() {
    let server = api(Settings { max_body_bytes: 1 << 20, ..settings() });
    let good = r#"{"type":"call.new","company":"a","source":"api","data":{"call_id":"c"}}"#;
    let ndjson = "application/x-ndjson";
    let send = |body: String| post(server.address(), "/v1/events", ndjson, body.as_bytes());
    let (status, problem) = send(format!("{good}\n\n{{\"type\":\"no\"}}\n{good}\n[]\n"));
    assert_eq!(status, 422, "{problem}");
    assert!(pointers(&problem).starts_with(&["/1/type"]) && pointers(&problem).ends_with(&["/3"]), "{problem}");
    assert!(problem["errors"][0]["detail"].as_str().unwrap().starts_with("(line 3) "), "{problem}");
    let (status, problem) = send(format!("{good}\n{good}\n{{\"type\":\n"));
    assert_eq!(status, 400, "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("line 3"), "{problem}");
    for (body, count) in [(String::new(), "0"), ("\n \n".to_owned(), "0"), (format!("{good}\n").repeat(1001), "1001")] {
        let (status, problem) = send(body);
        assert_eq!((status, pointers(&problem)), (422, vec![""]), "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains(&format!("{count} events")), "{problem}");
    }
}

#[test]
fn a_producers_id_is_given_once() {
    let server = api(settings());
    let event =
        |id: &str| format!(r#"{{"type":"call.new","company":"a","source":"api",{id}"data":{{"call_id":"c"}}}}"#);
    let long = "k".repeat(129);
    let cases = [
        ("application/json", event("\"id\":\"one\","), "two", "/id"),
        ("application/json", event(""), "", "/id"),
        ("application/json", event(""), &long, "/id"),
        ("application/x-ndjson", event(""), "one", ""),
    ];
    for (content_type, body, key, pointer) in cases {
        let more = format!("Content-Type: {content_type}\r\nIdempotency-Key: {key}\r\n");
        let answer = exchange(server.address(), request("POST", "/v1/events", &more, body.as_bytes()));
        assert_eq!(status(&answer), Some(422), "{key}: {answer}");
        assert!(answer.contains(&format!("\"pointer\":\"{pointer}\"")), "{key}: {answer}");
    }
}

#[test]
fn parameters_and_members_that_are_not_known_are_named() {
    let server = api(settings());
    for (path, name) in [
        ("/v1/events?typ=call.new", "?typ"),
        ("/v1/events?source=fax", "?source"),
        ("/v1/log?response=abc", "?response"),
        ("/v1/log?status=lost", "?status"),
        ("/v1/log?cursor=abc", "?cursor"),
        ("/v1/deliveries?state=lost", "?state"),
        ("/v1/deliveries?limit=1000", "?limit"),
        ("/v1/deliveries?subscription=evt_1", "?subscription"),
        ("/v1/deliveries?event_id=call.new", "?event_id"),
        ("/v1/deliveries?type=call.new", "?type"),
        ("/v1/event-types?limit=0", "?limit"),
    ] {
        let answer = exchange(server.address(), request("GET", path, "", b""));
        assert_eq!(status(&answer), Some(422), "{path}\n{answer}");
        assert!(answer.contains(&format!("\"pointer\":\"{name}\"")), "{path}\n{answer}");
    }
    let csv = exchange(server.address(), request("GET", "/v1/log?limit=5", "Accept: text/csv\r\n", b""));
    assert_eq!(status(&csv), Some(422), "a stream has no pages: {csv}");
    let probe = br#"{"url":"ftp://a.example/","format":"xml","event":"no","headers":{"Host":"x"},"secret":"x"}"#;
    let (status, problem) = post(server.address(), "/v1/test", "application/json", probe);
    assert_eq!(status, 422, "{problem}");
    for pointer in ["/url", "/format", "/event", "/headers/Host", "/secret"] {
        assert!(pointers(&problem).contains(&pointer), "{problem}");
    }
    let (status, problem) = post(server.address(), "/v1/subscriptions", "application/json", b"{\"id\":\"x\"}");
    assert_eq!((status, pointers(&problem)), (422, vec!["/id"]), "{problem}");
}
