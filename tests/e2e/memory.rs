//! The memory budget: clients that do not read their responses or do not finish their bodies, with a small budget;
//! usage is read from the daemon's own figures.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};

use crate::client::Client;
use crate::daemon::{Daemon, Home, hookswitch, items, run};
use crate::platform::event;
use crate::wait::eventually;

const MIB: u64 = 1 << 20;
/// `[limits] memory` here.
const LIMIT: u64 = 8 * MIB;
/// Number of greedy clients.
const GREEDY: usize = 60;

fn daemon() -> Daemon {
    Home::new().set("limits.memory", &LIMIT.to_string()).set("http.body_timeout", "\"60s\"").start()
}

/// An event with this many bytes of text.
fn large(call: &str, bytes: usize) -> Value {
    let mut event = event("call.new", call);
    event["data"]["note"] = "x".repeat(bytes).into();
    event
}

/// Posts `count` events of 30 KiB.
fn fill(daemon: &Daemon, count: usize) {
    let headers = [("content-type", "application/x-ndjson")];
    for batch in 0..count.div_ceil(30) {
        let lines =
            (0..30.min(count - batch * 30)).map(|line| format!("{}\n", large(&format!("c{batch}-{line}"), 30_000)));
        daemon.api().request("POST", "/v1/events", &headers, lines.collect::<String>().as_bytes()).expect(202);
    }
}

fn token(daemon: &Daemon, role: &str) -> String {
    let made = daemon.api().post("/v1/tokens", &json!({"role": role})).expect(201).json();
    made["token"].as_str().unwrap().to_owned()
}

/// A connection with a small receive buffer.
fn connect(address: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(&address.into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.set_write_timeout(Some(Duration::from_secs(30))).unwrap();
    stream
}

/// Bytes in use.
fn held(daemon: &Daemon) -> u64 {
    daemon.api().get("/v1/stats").expect(200).json()["memory"]["used_bytes"].as_u64().unwrap()
}

/// Sends `request` on many connections and reads only the status of each response.
fn unread(daemon: &Daemon, request: &str) -> Vec<(u16, TcpStream)> {
    let streams: Vec<TcpStream> = (0..GREEDY)
        .map(|_| {
            let mut stream = connect(daemon.address);
            stream.write_all(request.as_bytes()).unwrap();
            stream
        })
        .collect();
    let answered = streams.into_iter().map(|mut stream| {
        let mut begun = [0; 12];
        stream.read_exact(&mut begun).unwrap();
        (std::str::from_utf8(&begun[9..]).unwrap().parse().unwrap(), stream)
    });
    answered.collect()
}

/// Invariants while `greedy` exist, and after they are gone.
#[track_caller]
fn bounded(daemon: &Daemon, what: &str, greedy: Vec<(u16, TcpStream)>) {
    let served = greedy.iter().filter(|(status, _)| *status == 200 || *status == 100).count();
    let refused = greedy.iter().filter(|(status, _)| *status == 503).count();
    let used = held(daemon);
    println!("{what}: {served} served, {refused} refused, {used} bytes held");
    assert_eq!(served + refused, greedy.len(), "{what}: answered otherwise");
    assert!(served > 0 && refused > 0, "{what}: {served} served, {refused} refused");
    assert!((1..=LIMIT).contains(&used), "{what}: {used} bytes held");
    // Another token is served, also with large responses; and the greedy token's own small requests.
    let other = Client::new(daemon.address, Some(token(daemon, "admin")));
    other.post("/v1/events", &event("call.new", "small")).expect(202);
    other.post("/v1/events", &large("large", 100_000)).expect(202);
    other.get("/v1/events?limit=1").expect(200);
    daemon.api().post("/v1/events", &event("call.new", "small")).expect(202);
    daemon.api().get("/v1/subscriptions").expect(200);
    drop(greedy);
    eventually("all of it to be given back", || match held(daemon) {
        0 => Ok(()),
        used => Err(format!("{used} bytes held")),
    });
}

fn get(path: &str, accept: &str, token: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\naccept: {accept}\r\n\r\n")
}

#[test]
fn answers_that_are_not_read_take_no_more_than_the_budget() {
    let daemon = daemon();
    let subscription = daemon.subscribe("http://127.0.0.1:9/", json!({}));
    fill(&daemon, 90);
    let one = daemon.api().post("/v1/events", &large("one", 1_000_000)).expect(202).json();
    let token = token(&daemon, "read");
    let json = "application/json";
    for (what, path) in [
        ("a list", "/v1/events?limit=500".to_owned()),
        ("past deliveries", format!("{}/events?limit=500", subscription.path())),
        ("a single event", format!("/v1/events/{}", one["id"].as_str().unwrap())),
    ] {
        let greedy = unread(&daemon, &get(&path, json, &token));
        bounded(&daemon, what, greedy);
    }
    // Pipelining requests on one connection does not circumvent it.
    let greedy = unread(&daemon, &get("/v1/events?limit=500", json, &token).repeat(20));
    bounded(&daemon, "pipelined", greedy);
}

#[test]
fn bodies_that_are_not_ended_take_no_more_than_the_budget() {
    let daemon = daemon();
    let token = token(&daemon, "ingest");
    let head = format!("POST /v1/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n");
    let most = " ".repeat(900_000);
    for (what, begun) in [
        ("a body", format!("{head}content-type: application/json\r\ncontent-length: 1000000\r\n\r\n{most}")),
        ("a batch", format!("{head}content-type: application/x-ndjson\r\ncontent-length: 1000000\r\n\r\n{most}")),
        (
            "a body in chunks",
            format!("{head}content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\ndbba0\r\n{most}"),
        ),
    ] {
        let mut greedy: Vec<TcpStream> = (0..GREEDY)
            .map(|_| {
                let mut stream = connect(daemon.address);
                // A refused request is not read to its end.
                let _ = stream.write_all(begun.as_bytes());
                stream
            })
            .collect();
        let mut refused = 0;
        eventually("some to be refused", || {
            greedy.retain_mut(|stream| {
                stream.set_nonblocking(true).unwrap();
                let mut answer = [0; 12];
                let complete = stream.read(&mut answer).is_ok_and(|count| count == 12);
                refused += usize::from(complete && answer.ends_with(b"503"));
                !complete
            });
            if refused > 0 { Ok(()) } else { Err(format!("{what}: none of {GREEDY}")) }
        });
        assert!(refused > 0 && !greedy.is_empty(), "{what}: {refused} refused, {} go on", greedy.len());
        let greedy = greedy.into_iter().map(|stream| (100, stream));
        let refusal = (503, connect(daemon.address));
        bounded(&daemon, what, greedy.chain([refusal]).collect());
    }
    // Announcing much and sending nothing uses nothing.
    let silent: Vec<TcpStream> = (0..GREEDY)
        .map(|_| {
            let mut stream = connect(daemon.address);
            let announced = format!("{head}content-type: application/json\r\ncontent-length: 1000000\r\n\r\n{{");
            stream.write_all(announced.as_bytes()).unwrap();
            stream
        })
        .collect();
    assert_eq!(held(&daemon), 0);
    drop(silent);
}

#[test]
fn a_page_of_a_list_ends_early_where_it_is_large_and_nothing_is_left_out() {
    let daemon = daemon();
    let subscription = daemon.subscribe("http://127.0.0.1:9/", json!({}));
    fill(&daemon, 90);
    for path in ["/v1/events".to_owned(), format!("{}/events", subscription.path())] {
        let (mut next, mut seen, mut pages) = (String::new(), std::collections::HashSet::new(), 0);
        loop {
            let reply = daemon.api().get(&format!("{path}?limit=500{next}")).expect(200);
            assert!(reply.text().len() < 3 << 19, "{path}: a page of {} bytes", reply.text().len());
            let id = |item: &Value| item.get("event_id").unwrap_or(&item["id"]).to_string();
            seen.extend(items(&reply).iter().map(id));
            pages += 1;
            match reply.json()["next"].as_str() {
                Some(cursor) => next = format!("&cursor={cursor}"),
                None => break,
            }
        }
        assert_eq!(seen.len(), 90, "{path}");
        assert!(pages > 2, "{path}: {pages} pages");
    }
}

#[test]
fn memory_in_use_is_reported() {
    let daemon = daemon();
    let metrics = daemon.api().get("/metrics").expect(200).text();
    for wanted in ["hookswitch_client_memory_bytes 0", "hookswitch_client_memory_limit_bytes 8388608"] {
        assert!(metrics.lines().any(|line| line == wanted), "{wanted} in\n{metrics}");
    }
    let stats = daemon.api().get("/v1/stats").expect(200).json();
    assert_eq!(stats["memory"], json!({"used_bytes": 0, "limit_bytes": LIMIT}));
    let mut status = hookswitch();
    status.args(["status", "--url", &format!("http://{}", daemon.address)]);
    status.env("HOOKSWITCH_TOKEN", daemon.home().token());
    let exit = run(status);
    assert!(exit.stdout.contains("0 bytes of 8.0 MiB"), "{}", exit.stdout);
    // Not among the figures of a single company.
    let made = daemon.api().post("/v1/tokens", &json!({"role": "read", "company": "acme"})).expect(201).json();
    let bound = Client::new(daemon.address, Some(made["token"].as_str().unwrap().to_owned()));
    assert!(bound.get("/v1/stats").expect(200).json().get("memory").is_none());
}
