//! One address, one token or one guesser against all others: connections, sign-ins and sessions.

use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::json;
use socket2::{Domain, Socket, Type};

use crate::client::{Client, Reply};
use crate::daemon::{Daemon, Home, hookswitch, run};
use crate::wait::eventually;

/// A connection from 127.0.0.`last`.
fn connect_from(last: u8, address: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((Ipv4Addr::new(127, 0, 0, last), 0)).into()).unwrap();
    socket.connect(&address.into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

/// The status of the response to a request on `stream`; `None` if the connection ends without one.
fn ask(mut stream: &TcpStream, request: &str) -> Option<u16> {
    stream.write_all(request.as_bytes()).ok()?;
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    reader.read_line(&mut first).ok()?;
    let status = first.split(' ').nth(1)?.parse().ok()?;
    let (mut line, mut length) = (String::new(), 0);
    while reader.read_line(&mut line).ok()? > 2 {
        if let Some((_, value)) = line.to_ascii_lowercase().split_once("content-length:") {
            length = value.trim().parse().ok()?;
        }
        line.clear();
    }
    reader.read_exact(&mut vec![0; length]).ok()?;
    Some(status)
}

const HEALTH: &str = "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";

/// `count` connections from 127.0.0.`last` that have sent the beginning of a head and stall.
fn slow_heads(last: u8, count: usize, daemon: &Daemon) -> Vec<TcpStream> {
    let slow = (0..count).map(|_| {
        let mut stream = connect_from(last, daemon.address);
        let _ = stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\nx: ");
        stream
    });
    slow.collect()
}

/// How many of them the daemon still serves.
fn served(streams: &mut [TcpStream]) -> usize {
    let is_over = |stream: &mut TcpStream| {
        stream.set_nonblocking(true).unwrap();
        !matches!(stream.read(&mut [0; 4096]), Err(error) if error.kind() == ErrorKind::WouldBlock)
    };
    streams.iter_mut().filter_map(|stream| (!is_over(stream)).then_some(())).count()
}

#[test]
fn slow_heads_of_one_address_do_not_block_others() {
    let home = Home::new().set("http.max_connections", "100").set("http.header_timeout", "\"60s\"");
    let daemon = home.set("limits.connections_per_address", "60").start();
    let mut slow = slow_heads(2, 140, &daemon);
    eventually("those beyond the address's own share to be sent away", || {
        let left = served(&mut slow);
        if left <= 60 { Ok(()) } else { Err(format!("{left} of 140 are served")) }
    });
    for last in [1, 3, 4, 5] {
        assert_eq!(ask(&connect_from(last, daemon.address), HEALTH), Some(200), "from 127.0.0.{last}");
    }
    // Even the greedy address is served, once its silent connections have been silent for long enough.
    eventually("a quick one from the same address to be served", || {
        match ask(&connect_from(2, daemon.address), HEALTH) {
            Some(200) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    assert!(served(&mut slow) <= 60);
}

#[test]
fn a_crowd_of_addresses_leaves_the_operators_command_line_its_way_in() {
    let home = Home::new().set("http.max_connections", "64").set("http.header_timeout", "\"60s\"");
    let daemon = home.set("limits.connections_per_address", "64").start();
    let mut crowd: Vec<_> = (2..12).flat_map(|last| slow_heads(last, 30, &daemon)).collect();
    let mut status = hookswitch();
    status.args(["status", "--url", &format!("http://{}", daemon.address)]);
    status.env("HOOKSWITCH_TOKEN", daemon.home().token());
    run(status).expect(0);
    eventually("those beyond all places to be sent away", || match served(&mut crowd) {
        0..=72 => Ok(()),
        left => Err(format!("{left} are served")),
    });
    // Newcomers displace silent connections of addresses with many.
    for last in 100..140 {
        eventually("a newcomer to be served", || match ask(&connect_from(last, daemon.address), HEALTH) {
            Some(200) => Ok(()),
            other => Err(format!("127.0.0.{last}: {other:?}")),
        });
    }
}

#[test]
fn who_has_shown_a_good_token_is_not_cut_off_for_others() {
    let home = Home::new().set("http.max_connections", "16").set("http.header_timeout", "\"60s\"");
    let daemon = home.set("limits.connections_per_address", "10").start();
    let request =
        format!("GET /v1/event-types HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\r\n", daemon.home().token());
    let known: Vec<_> = (0..10).map(|_| connect_from(2, daemon.address)).collect();
    assert!(known.iter().all(|stream| ask(stream, &request) == Some(200)));
    let begun = Instant::now();
    // Longer than a stranger may be silent without being evicted.
    while begun.elapsed() < Duration::from_millis(1_500) {
        assert_eq!(ask(&connect_from(2, daemon.address), HEALTH), Some(503));
    }
    assert!(known.iter().all(|stream| ask(stream, &request) == Some(200)), "one was cut off");
}

#[test]
fn behind_a_trusted_proxy_clients_count_by_themselves() {
    let home = Home::new().set("http.trusted_proxies", "[\"127.0.0.1\", \"10.0.0.0/8\"]");
    let daemon = home.set("limits.connections_per_address", "4").set("http.body_timeout", "\"60s\"").start();
    let token = daemon.home().token();
    let post = |client: &str| {
        let stream = connect_from(1, daemon.address);
        let head = format!(
            "POST /v1/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n\
             x-forwarded-for: {client}\r\nexpect: 100-continue\r\ncontent-length: 1000\r\n\r\n"
        );
        (ask(&stream, &head), stream)
    };
    // The daemon requests the body of four, which never comes, and of no fifth, whatever the client claims.
    let slow: Vec<_> = (0..4).map(|number| post(&format!("203.0.113.{number}, 192.0.2.7"))).collect();
    assert!(slow.iter().all(|(status, _)| *status == Some(100)), "{slow:?}");
    assert_eq!(post("192.0.2.7").0, Some(503));
    assert_eq!(post("192.0.2.7, 10.1.2.3").0, Some(503), "through a second trusted proxy");
    assert_eq!(post("192.0.2.8").0, Some(100), "another client");
    assert_eq!(ask(&connect_from(1, daemon.address), HEALTH), Some(200), "the proxy's machine itself");
    // From an untrusted address the header is ignored.
    let forged = "GET /healthz HTTP/1.1\r\nhost: x\r\nx-forwarded-for: 192.0.2.7\r\n\r\n";
    assert_eq!(ask(&connect_from(2, daemon.address), forged), Some(200));
}

/// Sends the sign-in form from 127.0.0.`last`.
fn sign_in(daemon: &Daemon, token: &str) -> Reply {
    let origin = format!("http://{}", daemon.address);
    let headers = [("content-type", "application/x-www-form-urlencoded"), ("origin", origin.as_str())];
    Client::new(daemon.address, None).request("POST", "/sign-in", &headers, format!("token={token}").as_bytes())
}

/// The cookie it sets.
fn cookie(reply: &Reply) -> String {
    let cookie = reply.header("set-cookie").unwrap_or_else(|| panic!("no cookie: {reply:?}"));
    cookie.split(';').next().unwrap().to_owned()
}

fn is_signed_in(daemon: &Daemon, cookie: &str) -> bool {
    Client::new(daemon.address, None).request("GET", "/webhooks", &[("cookie", cookie)], b"").status == 200
}

#[test]
fn token_guesses_do_not_lock_out_valid_tokens() {
    let daemon = Daemon::start();
    let statuses: Vec<u16> =
        (0..150).map(|number| sign_in(&daemon, &format!("hsk_guessing-{number}")).status).collect();
    assert_eq!(statuses[..10], [403; 10]);
    assert_eq!(statuses[20], 429, "one kind of token");
    let statuses: Vec<u16> = (0..150).map(|number| sign_in(&daemon, &format!("{number}-hsk_guess")).status).collect();
    assert_eq!(statuses.last(), Some(&429), "all kinds of tokens");
    let signed_in = sign_in(&daemon, &daemon.home().token()).expect(303);
    assert!(is_signed_in(&daemon, &cookie(&signed_in)));
    // Nor is the API affected: wrong tokens, of any scheme, are refused without consequences for the valid one.
    for scheme in ["Bearer hsk_wrong", "Basic dXNlcjpwYXNz", "Bearer", ""] {
        for _ in 0..50 {
            let header = [("authorization", scheme)];
            Client::new(daemon.address, None).request("GET", "/v1/stats", &header, b"").expect(401);
        }
    }
    daemon.api().get("/v1/stats").expect(200);
}

#[test]
fn sign_ins_with_one_token_end_no_session_of_another() {
    let daemon = Daemon::start();
    let admin = cookie(&sign_in(&daemon, &daemon.home().token()).expect(303));
    let read = daemon.api().post("/v1/tokens", &json!({"role": "read", "company": "acme"})).expect(201).json();
    let read = read["token"].as_str().unwrap().to_owned();
    let first = cookie(&sign_in(&daemon, &read).expect(303));
    let client = Client::new(daemon.address, None);
    let origin = format!("http://{}", daemon.address);
    let headers = [("content-type", "application/x-www-form-urlencoded"), ("origin", origin.as_str())];
    for _ in 0..1_001 {
        client.request("POST", "/sign-in", &headers, format!("token={read}").as_bytes()).expect(303);
    }
    assert!(!is_signed_in(&daemon, &first), "the token's own sessions have a bound");
    assert!(is_signed_in(&daemon, &admin), "the administrator was signed out");
}

#[test]
fn addresses_of_this_machine_are_distinguished() {
    // An assumption of these tests.
    let daemon = Home::new().set("limits.connections_per_address", "1").start();
    let one = connect_from(9, daemon.address);
    assert_eq!(one.local_addr().unwrap().ip(), IpAddr::from([127, 0, 0, 9]));
    assert_eq!(ask(&one, HEALTH), Some(200));
    let second = ask(&connect_from(9, daemon.address), HEALTH);
    assert_eq!(second, Some(503));
    assert_eq!(ask(&connect_from(10, daemon.address), HEALTH), Some(200));
}
