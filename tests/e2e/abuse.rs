//! Hostile clients, by the hundred and the thousand: healthy ones are served meanwhile, and memory stays bounded.
//!
//! Single hostile requests are tested in `bad_input` and in the module's own tests.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::certificates::Authority;
use crate::client::{Client, Raw, Then, connect, raw};
use crate::daemon::{Daemon, Home, hookswitch, run};
use crate::platform::event;
use crate::receiver::{Answer, Receiver};
use crate::tls::{ask, home, try_ask};
use crate::wait::{PATIENCE, eventually};

/// Longer than a healthy request takes, even on a busy machine; shorter than the 3 s after which slow clients are
/// ended here, so that waiting for them is noticed.
const HEALTHY: Duration = Duration::from_millis(2_500);

/// The daemon's resident memory, in KiB.
fn resident(daemon: &Daemon) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Posts `count` events in sequence on its own connection; returns the slowest duration.
#[track_caller]
fn healthy(daemon: &Daemon, count: usize) -> Duration {
    let client = Client::new(daemon.address, Some(daemon.home().token()));
    let slowest = (0..count).map(|_| {
        let begun = Instant::now();
        client.post("/v1/events", &event("call.new", "c1")).expect(202);
        begun.elapsed()
    });
    let slowest = slowest.max().unwrap();
    assert!(slowest < HEALTHY, "a healthy request took {slowest:?}");
    slowest
}

/// The limit of open files of this process.
fn open_files() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    line.split_whitespace().next().and_then(|soft| soft.parse().ok()).unwrap_or(1024)
}

/// Whether the daemon has closed the connection.
fn is_over(stream: &mut TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    loop {
        match stream.read(&mut [0; 4096]) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() != ErrorKind::WouldBlock,
        }
    }
}

#[test]
fn ten_thousand_idle_connections_cost_little_and_block_none() {
    // Each needs a file here and one there.
    let count = 10_000.min(open_files().saturating_sub(600));
    let daemon = Home::new()
        .set("http.max_connections", "20000")
        .set("limits.connections_per_address", "20000")
        .set("http.header_timeout", "\"60s\"")
        .start();
    let alone = healthy(&daemon, 50);
    let before = resident(&daemon);
    let mut idle: Vec<TcpStream> = (0..count).map(|_| connect(daemon.address).unwrap()).collect();
    // Every second one has sent a request before it fell silent.
    for stream in idle.iter_mut().step_by(2) {
        stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    }
    for stream in idle.iter_mut().step_by(2) {
        let mut begun = [0; 12];
        stream.read_exact(&mut begun).unwrap();
        assert_eq!(&begun, b"HTTP/1.1 200");
    }
    let meanwhile = healthy(&daemon, 50);
    let grown = resident(&daemon).saturating_sub(before);
    println!("{count} idle: {grown} KiB more; slowest healthy request {meanwhile:?}, alone {alone:?}");
    assert!(grown < 40 * 1024 + 32 * count as u64, "{count} idle connections cost {grown} KiB");
}

#[test]
fn connections_beyond_the_cap_cut_no_other_and_slots_come_back() {
    let daemon = Home::new().set("http.max_connections", "64").set("http.header_timeout", "\"3s\"").start();
    let kept = Client::new(daemon.address, Some(daemon.home().token()));
    let mut crowd: Vec<TcpStream> = Vec::new();
    let mut slowest = Duration::ZERO;
    for _ in 0..20 {
        // Existing connections continue to be served. A connection that was cut could not be replaced now.
        kept.post("/v1/events", &event("call.new", "c1")).expect(202);
        crowd.extend((0..50).map(|_| connect(daemon.address).unwrap()));
        // A new one is refused at once, with a message.
        let begun = Instant::now();
        let newcomer = raw(daemon.address, b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n", Then::Waits);
        assert_eq!(newcomer, Raw::Status(if crowd.len() < 64 { 200 } else { 503 }), "beside {}", crowd.len());
        slowest = slowest.max(begun.elapsed());
    }
    println!("1000 beyond a cap of 64: newcomers told so after {slowest:?} at most");
    assert!(slowest < HEALTHY, "a newcomer waited {slowest:?} to be sent away");
    eventually("the crowd to be sent away", || {
        crowd.retain_mut(|stream| !is_over(stream));
        if crowd.is_empty() { Ok(()) } else { Err(format!("{} are left", crowd.len())) }
    });
    healthy(&daemon, 5);
}

#[test]
fn over_tls_connections_beyond_the_cap_are_answered_after_a_handshake() {
    let authority = Authority::new();
    let home = home(&authority.issue(&["localhost"])).set("http.max_connections", "8");
    let daemon = home.set("http.header_timeout", "\"60s\"").start();
    let (client, health) = (authority.client(), b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n");
    let crowd: Vec<TcpStream> = (0..8).map(|_| connect(daemon.address).unwrap()).collect();
    // More, in sequence, than are refused at the same time.
    let mut refused = 0;
    for _ in 0..40 {
        let (status, reply) = ask(daemon.address, &client, health);
        // Silent ones are evicted after a moment.
        assert!(status == 200 || (status == 503 && reply.header("retry-after") == Some("1")), "{status}");
        refused += u32::from(status == 503);
    }
    assert!(refused > 0, "nobody was refused");
    // Even if silent connections hold all those places, nobody is kept waiting, and soon a new one is refused or
    // served again.
    let silent: Vec<TcpStream> = (0..64).map(|_| connect(daemon.address).unwrap()).collect();
    eventually("a newcomer to be told", || {
        let begun = Instant::now();
        let status = try_ask(daemon.address, &client, health).ok().flatten().map(|(status, _)| status);
        assert!(begun.elapsed() < HEALTHY, "a newcomer waited {:?}", begun.elapsed());
        if matches!(status, Some(200 | 503)) { Ok(()) } else { Err(format!("{status:?}")) }
    });
    drop((crowd, silent));
    eventually("room", || {
        let status = try_ask(daemon.address, &client, health).ok().flatten().map(|(status, _)| status);
        if status == Some(200) { Ok(()) } else { Err(format!("{status:?}")) }
    });
}

/// A client that sends `slowly` byte by byte after `at_once`; without it, it never reads either.
struct Slow {
    stream: TcpStream,
    slowly: Vec<u8>,
}

impl Slow {
    fn new(daemon: &Daemon, at_once: &str, slowly: &str) -> Self {
        let mut stream = connect(daemon.address).unwrap();
        stream.set_nonblocking(true).unwrap();
        // The daemon may stop reading; what it has suffices.
        let _ = stream.write_all(at_once.as_bytes());
        Self { stream, slowly: slowly.as_bytes().to_vec() }
    }

    /// Sends a byte; returns whether it is still served.
    fn goes_on(&mut self) -> bool {
        let sent = self.stream.write(&self.slowly[..self.slowly.len().min(1)]);
        self.slowly.drain(..sent.as_ref().map_or(0, |sent| *sent));
        !sent.is_err_and(|error| error.kind() != ErrorKind::WouldBlock) && !is_over(&mut self.stream)
    }
}

/// Heads and bodies sent byte by byte.
fn slow_senders(daemon: &Daemon, each: usize) -> Vec<Slow> {
    let post = format!(
        "POST /v1/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n",
        daemon.home().token()
    );
    let kinds = [
        (String::new(), format!("GET /healthz HTTP/1.1\r\nhost: x\r\nx: {}", "y".repeat(10_000))),
        (format!("{post}content-length: 900000\r\n\r\n"), " ".repeat(10_000)),
        (format!("{post}transfer-encoding: chunked\r\n\r\n"), "1\r\n \r\n".repeat(2_000)),
    ];
    let each_kind = kinds.iter().cycle().take(each * kinds.len());
    each_kind.map(|(at_once, slowly)| Slow::new(daemon, at_once, slowly)).collect()
}

#[test]
fn slow_clients_are_ended_and_the_healthy_do_not_notice() {
    let daemon = Home::new().set("http.header_timeout", "\"3s\"").set("http.body_timeout", "\"3s\"").start();
    let receiver = Receiver::willing();
    daemon.subscribe(&receiver.url("/"), json!({}));
    let alone = healthy(&daemon, 20);
    let before = resident(&daemon);
    let begun = Instant::now();
    // Much more than the buffers of both sockets hold.
    let requests = "GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n".repeat(200);
    let unread: Vec<Slow> = (0..20).map(|_| Slow::new(&daemon, &requests, "")).collect();
    let mut slow = slow_senders(&daemon, 100);
    let (mut slowest, mut most, mut posted) = (Duration::ZERO, 0, 20);
    while !slow.is_empty() {
        assert!(begun.elapsed() < 2 * PATIENCE, "{} slow clients are still served", slow.len());
        slow.retain_mut(Slow::goes_on);
        slowest = slowest.max(healthy(&daemon, 2));
        posted += 2;
        most = most.max(resident(&daemon));
    }
    let grown = most.saturating_sub(before);
    println!(
        "300 that send slowly, 20 that do not read: {grown} KiB more; slowest of {posted} healthy requests {slowest:?}, \
         alone {alone:?}; {:?}",
        begun.elapsed()
    );
    assert!(grown < 32 * 1024, "320 slow clients cost {grown} KiB");
    receiver.wait_for(posted);
    drop(unread);
}

#[test]
fn slow_handshakes_are_ended_and_the_healthy_do_not_notice() {
    let authority = Authority::new();
    let daemon = home(&authority.issue(&["localhost"])).set("http.header_timeout", "\"3s\"").start();
    // A record of the maximum size that begins a hello of nearly that size, or nothing at all.
    let hello = format!("\x16\x03\x01\x40\x00\x01\x00\x3f\x7c\x03\x03{}", "\x07".repeat(4_000));
    let kinds = ["", &hello, &hello, &hello, &hello];
    let mut slow: Vec<Slow> = kinds.iter().cycle().take(500).map(|kind| Slow::new(&daemon, "", kind)).collect();
    let before = resident(&daemon);
    let begun = Instant::now();
    let mut slowest = Duration::ZERO;
    while !slow.is_empty() {
        assert!(begun.elapsed() < 2 * PATIENCE, "{} slow handshakes go on", slow.len());
        slow.retain_mut(Slow::goes_on);
        let begun = Instant::now();
        let request = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n";
        assert_eq!(ask(daemon.address, &authority.client(), request).0, 200);
        slowest = slowest.max(begun.elapsed());
    }
    let grown = resident(&daemon).saturating_sub(before);
    println!("500 slow handshakes: {grown} KiB more; slowest healthy handshake and request {slowest:?}");
    assert!(slowest < HEALTHY && grown < 64 * 1024, "{slowest:?}, {grown} KiB");
}

#[test]
fn paths_that_climb_or_hide_lead_nowhere() {
    let daemon = Daemon::start();
    let token = daemon.home().token();
    for path in [
        "/../../../../etc/passwd",
        "/v1/../admin.token",
        "/v1/..%2f..%2fadmin.token",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/..%c0%af..%c0%afetc/passwd",
        "/v1/events/..;/tokens",
        "//v1/events",
        "/v1//events",
        "/v1/events%00",
        "/v1/events%0d%0aX:%20y",
        "/V1/events",
        "/v1/events/.",
        "/.git/config",
        "/assets/../../../etc/passwd",
        "/page/%2e%2e/mod.rs",
        "file:///etc/passwd",
        "/v1/subscriptions/sub_01JDBZ0000000000000000000A/../../tokens",
        "\\..\\..\\etc\\passwd",
    ] {
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\r\n");
        // A client that shuts down its write side may count as gone, and gets no response then.
        let got = raw(daemon.address, request.as_bytes(), Then::Waits);
        assert!(matches!(got, Raw::Status(400 | 404)), "{path}: {got:?}");
    }
}

#[test]
fn foreign_data_forges_no_log_line() {
    let receiver = Receiver::start(|request| {
        let body = "\u{1b}[2J\u{1b}]0;owned\u{7}\r\n2026-01-01T00:00:00Z ERROR forged\u{9b}31m\u{202e}";
        match request.path.as_str() {
            "/moved" => Answer::status(302).header("location", "http://x/\u{1b}[31m\u{7}").body(body),
            _ => Answer::status(500).body(body),
        }
    });
    let daemon = Home::new().set("diagnostics.level", "\"trace\"").start();
    for path in ["/v1/\u{1b}[31mforged", "/v1/x%0a2026-01-01T00:00:00Z%20ERROR%20forged"] {
        let request = format!("GET {path} HTTP/1.1\r\nhost: \u{1b}[31m\r\nx: \u{7}\r\n\r\n");
        raw(daemon.address, request.as_bytes(), Then::EndsItsSide);
    }
    daemon.subscribe(&receiver.url("/hook"), json!({"description": "line\nERROR forged"}));
    daemon.accept(&event("call.new", "c1"));
    receiver.wait_for(1);
    for arguments in
        [&["test", &receiver.url("/moved")][..], &["test", &receiver.url("/hook")], &["log"], &["subscription", "list"]]
    {
        let mut command = hookswitch();
        command.args(arguments).args(["--url", &format!("http://{}", daemon.address)]);
        command.env("HOOKSWITCH_TOKEN", daemon.home().token());
        let exit = run(command);
        for output in [&exit.stdout, &exit.stderr] {
            let control = output.chars().find(|c| c.is_control() && *c != '\n');
            assert_eq!(control, None, "{arguments:?}: {output:?}");
        }
    }
    let (_, exit) = daemon.stop();
    let forged = exit.stderr.lines().find(|line| line.starts_with("2026-01-01") || line.chars().any(char::is_control));
    assert_eq!(forged, None, "{}", exit.stderr);
}
