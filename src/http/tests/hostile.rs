//! Invalid or malicious heads.

use super::*;

const AUTHORISED: &str = "Host: x\r\nAuthorization: Bearer tok-of-the-tests\r\n";

#[test]
fn requests_that_http_forbids_are_refused() {
    let server = api(settings());
    let long = "x".repeat(20_000);
    let endless = "x".repeat(200_000);
    let many = "a: b\r\n".repeat(101);
    let cases: Vec<(String, u16)> = vec![
        ("GET /healthz HTTP/1.1\r\n\r\n".into(), 400),
        ("GET /healthz HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n".into(), 400),
        ("GET /healthz HTTP/1.1\r\nHost: a b\r\n\r\n".into(), 400),
        ("GET /healthz HTTP/1.1\r\nHost: user@a\r\n\r\n".into(), 400),
        ("GET http://b/healthz HTTP/1.1\r\nHost: a\r\n\r\n".into(), 400),
        (
            "POST /v1/events HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
                .into(),
            400,
        ),
        (
            "POST /v1/events HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n"
                .into(),
            400,
        ),
        ("POST /v1/events HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n".into(), 400),
        ("POST /v1/events HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n".into(), 400),
        ("POST /v1/events HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n".into(), 400),
        ("POST /v1/events HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".into(), 400),
        ("POST /v1/events HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcd".into(), 400),
        ("POST /v1/events HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n".into(), 400),
        ("POST /v1/events HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\na".into(), 400),
        ("POST /v1/events HTTP/1.1\r\nHost : a\r\n\r\n".into(), 400),
        ("GET /healthz HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n".into(), 400),
        ("GET /healthz HTTP/1.1\nHost: a\n\n".into(), 400),
        ("GET /healthz HTTP/1.1\r\nHost: a\nX: b\r\n\r\n".into(), 400),
        ("POST /v1/events HTTP/1.1\r\nHost: a\r\nContent-Length: 4\n\r\nabcd".into(), 400),
        ("GET /healthz HTTP/1.1\r\nHost: a\r\nX: a\rY: b\r\n\r\n".into(), 400),
        ("GET /healthz HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n".into(), 400),
        ("GET /health z HTTP/1.1\r\nHost: a\r\n\r\n".into(), 400),
        ("\x16\x03\x01\x02\x00\x01\x00\x01\r\n\r\n".into(), 400),
        (format!("GET /healthz HTTP/1.1\r\nHost: a\r\nX: {long}\r\n\r\n"), 431),
        (format!("GET /healthz HTTP/1.1\r\nHost: a\r\nX: {endless}"), 431),
        (format!("GET /healthz HTTP/1.1\r\nHost: a\r\n{many}\r\n"), 431),
        ("CONNECT x:80 HTTP/1.1\r\nHost: x:80\r\n\r\n".into(), 405),
        ("TRACE /healthz HTTP/1.1\r\nHost: a\r\n\r\n".into(), 405),
        ("BREW /healthz HTTP/1.1\r\nHost: a\r\n\r\n".into(), 501),
    ];
    for (bytes, wanted) in cases {
        let answer = exchange(server.address(), &bytes);
        assert_eq!(status(&answer), Some(wanted), "{:?}\n{answer}", &bytes[..bytes.len().min(120)]);
    }
    let prior_knowledge = exchange(server.address(), "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    assert!(!prior_knowledge.contains("200"), "{prior_knowledge}");
    let good = exchange(server.address(), "GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_eq!(status(&good), Some(200), "{good}");
}

#[test]
fn old_and_absolute_forms_are_understood() {
    let server = api(settings());
    for head in [
        "GET /healthz HTTP/1.0\r\n\r\n",
        "GET http://a:80/healthz HTTP/1.1\r\nHost: a:80\r\nConnection: close\r\n\r\n",
        "HEAD /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        "GET /healthz?x#y HTTP/1.1\r\nHost: [::1]:4665\r\nConnection: close\r\n\r\n",
    ] {
        let answer = exchange(server.address(), head);
        assert_eq!(status(&answer), Some(200), "{head}\n{answer}");
        assert_eq!(answer.ends_with("\r\n\r\n"), head.starts_with("HEAD"), "{answer}");
    }
}

#[test]
fn nothing_is_disclosed_without_a_token() {
    let server = api(settings());
    for path in ["/v1/events", "/v1/nothing", "/nothing", "/v1/../etc/passwd", "/metrics", "*"] {
        for token in ["", "Authorization: Bearer wrong\r\n", "Authorization: Basic dG9rOg==\r\n"] {
            let head = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{token}\r\n");
            let answer = exchange(server.address(), head);
            assert_eq!(status(&answer), Some(401), "{path} {token}");
            assert!(answer.contains("www-authenticate: Bearer"), "{answer}");
        }
    }
    let ready = exchange(server.address(), "GET /readyz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert!(status(&ready) == Some(503) && ready.contains("the store is being read"), "{ready}");
    assert!(ready.contains("retry-after: "), "{ready}");
}

#[test]
fn unknown_paths_and_methods_are_distinguished() {
    let server = api(settings());
    let cases = [
        ("GET", "/v1/nothing", 404, ""),
        ("GET", "/v1/./event-types", 404, ""),
        ("GET", "/v1/%2e%2e/v1/event-types", 404, ""),
        ("GET", "/v1%2Fevent-types", 404, ""),
        ("GET", "/v1/event-types/", 404, ""),
        ("GET", "/v1/event-types/call.unknown", 404, ""),
        ("GET", "/v1/events/evt_1", 404, ""),
        ("GET", "/v1/messages", 405, "allow: POST\r\n"),
        ("PUT", "/v1/events", 405, "allow: GET, HEAD, POST\r\n"),
        ("OPTIONS", "/v1/event-types", 405, "allow: GET, HEAD\r\n"),
        ("GET", "/v1/test", 405, "allow: POST\r\n"),
        ("POST", "/healthz", 405, "allow: GET, HEAD\r\n"),
        ("GET", "/v1/event-types", 200, "content-type: application/json\r\n"),
        ("HEAD", "/v1/event-types/call.new", 200, "cache-control: no-store\r\n"),
    ];
    for (method, path, wanted, header) in cases {
        let answer = exchange(server.address(), request(method, path, "", b""));
        assert_eq!(status(&answer), Some(wanted), "{method} {path}\n{answer}");
        assert!(answer.contains(header), "{method} {path}\n{answer}");
    }
}

#[test]
fn a_connection_goes_on_after_a_refusal_but_not_after_chunks() {
    let server = api(settings());
    let mut stream = connect(server.address());
    let get = format!("GET /v1/event-types/call.new HTTP/1.1\r\n{AUTHORISED}\r\n");
    let missing = format!("GET /v1/nothing HTTP/1.1\r\n{AUTHORISED}\r\n");
    stream.write_all(format!("{get}{missing}{get}").as_bytes()).unwrap();
    for wanted in [200, 404, 200] {
        assert_eq!(status(&read_one(&mut stream)), Some(wanted));
    }
    let chunked = format!(
        "POST /v1/events HTTP/1.1\r\n{AUTHORISED}Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{{\r\n0\r\n\r\n{get}"
    );
    stream.write_all(chunked.as_bytes()).unwrap();
    let rest = read_all(&mut stream);
    assert_eq!(status(&rest), Some(400), "{rest}");
    assert!(rest.contains("connection: close\r\n") && rest.matches("HTTP/1.1 ").count() == 1, "{rest}");
}
