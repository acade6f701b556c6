//! Attempts against scripted receivers: what is sent, what is reported, and that they end in time.

use std::net::{IpAddr, Shutdown};
use std::path::PathBuf;
use std::time::Duration;

use super::receiver::{Conversation, Receiver};
use super::resolver::Resolver;
use super::tls::Tls;
use super::{Transport, TransportSettings, probe};
use crate::core::address::AddressPolicy;
use crate::core::attempt::{Answer, Fault, Outcome, Phase, Report};
use crate::core::hidden::Hidden;
use crate::core::id::SubscriptionId;
use crate::core::request::Outgoing;
use crate::core::subscription::{Format, Header, Layout, Nested};
use crate::core::success::SuccessRule;

const ONE: Option<SubscriptionId> = Some(SubscriptionId::from_bits(1));
type Script = fn(&mut Conversation);
/// Longer than anything here takes unless it hangs.
const LONG: Duration = Duration::from_secs(20);
/// For timeouts that must expire.
const SHORT: Duration = Duration::from_millis(150);

pub(super) fn testdata(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/sender/testdata").join(name)
}

fn settings() -> TransportSettings {
    let policy = AddressPolicy::new(vec!["127.0.0.0/8".parse().unwrap()], Vec::new(), false);
    TransportSettings { connect_timeout: LONG, timeout: LONG, policy, extra_ca: Vec::new(), proxy: None, idle_most: 64 }
}

fn transport() -> Transport {
    Transport::new(settings()).unwrap()
}

/// A transport that resolves every name to these addresses and trusts the authority in `testdata`.
fn transport_with(addresses: &'static [&'static str]) -> Transport {
    let policy = settings().policy;
    let lookup = move |_: &str| Ok(addresses.iter().map(|text| text.parse::<IpAddr>().unwrap()).collect());
    let resolver = Resolver::with_lookup(policy, Box::new(lookup));
    Transport::with_parts(LONG, LONG, resolver, tls())
}

/// Trusts the authority in `testdata`.
fn tls() -> Tls {
    Tls::new(&[testdata("ca.pem")]).unwrap()
}

fn to(url: &str) -> Outgoing {
    Outgoing {
        url: url.to_owned(),
        headers: vec![
            ("Content-Type".to_owned(), "application/json".to_owned()),
            ("User-Agent".to_owned(), "Hookswitch/0".to_owned()),
        ],
        own_headers: vec![Header { name: "X-Api-Key".to_owned(), value: Hidden::new("k1") }],
        client_certificate: None,
        body: b"{\"a\":1}".to_vec(),
        format: Format::Json,
        layout: Layout::Envelope,
        nested: Nested::Brackets,
        is_templated: false,
        auth: None,
        success: SuccessRule::default(),
    }
}

fn hook(receiver: &Receiver) -> Outgoing {
    to(&format!("http://{}/hook?x=y", receiver.address))
}

fn answer(report: &Report) -> &Answer {
    match &report.outcome {
        Outcome::Answered(answer) => answer,
        Outcome::Failed { fault, detail } => panic!("{fault}: {detail}"),
    }
}

fn fault(report: &Report) -> Fault {
    match &report.outcome {
        Outcome::Answered(answer) => panic!("answered {}", answer.status),
        Outcome::Failed { fault, detail } => {
            assert!(!detail.is_empty(), "{fault} without a sentence");
            *fault
        }
    }
}

fn phases(report: &Report) -> Vec<Phase> {
    report.phases.iter().map(|(phase, _)| *phase).collect()
}

#[test]
fn sends_what_the_request_names_and_nothing_else() {
    let receiver = Receiver::obliging();
    let report = transport().post(ONE, &hook(&receiver), None);
    assert_eq!(answer(&report).body, b"ok");
    assert_eq!(report.address, Some(receiver.address.to_string()));
    let requests = receiver.requests();
    let (head, body) = requests[0].split_once("\r\n\r\n").unwrap();
    let mut lines: Vec<&str> = head.lines().collect();
    lines[1..].sort();
    let host = format!("Host: {}", receiver.address);
    assert_eq!(
        lines,
        [
            "POST /hook?x=y HTTP/1.1",
            "Content-Length: 7",
            "Content-Type: application/json",
            &host,
            "User-Agent: Hookswitch/0",
            "X-Api-Key: k1",
        ]
    );
    assert_eq!(body, "{\"a\":1}");
}

#[test]
fn every_status_is_an_answer() {
    let receiver = Receiver::start(|talk| {
        while let Some(request) = talk.request() {
            let status: u16 = request.split(['/', ' ']).nth(2).unwrap().parse().unwrap();
            let body = if status == 204 || status == 304 { "" } else { "said" };
            talk.answer(status, body);
        }
    });
    let transport = transport();
    for status in [200, 204, 301, 304, 307, 401, 404, 410, 429, 500, 503, 599] {
        let report = transport.post(ONE, &to(&format!("http://{}/{status}", receiver.address)), None);
        assert_eq!(answer(&report).status, status);
    }
}

#[test]
fn redirects_are_answers_and_not_followed() {
    let receiver = Receiver::start(|talk| {
        while talk.request().is_some() {
            talk.send("HTTP/1.1 302 Found\r\nLocation: /other\r\nContent-Length: 5\r\n\r\nmoved").ok();
        }
    });
    let report = transport().post(ONE, &hook(&receiver), None);
    let answer = answer(&report);
    assert_eq!(
        (answer.status, answer.header("Location"), answer.body.as_slice()),
        (302, Some("/other"), &b"moved"[..])
    );
    assert_eq!(receiver.requests().len(), 1);
}

#[test]
fn a_connection_is_kept_and_the_phases_say_so() {
    let receiver = Receiver::obliging();
    let transport = transport();
    let first = transport.post(ONE, &hook(&receiver), None);
    assert_eq!(phases(&first), [Phase::Resolve, Phase::Connect, Phase::Send, Phase::Wait, Phase::Receive]);
    for _ in 0..20 {
        let report = transport.post(ONE, &hook(&receiver), None);
        assert_eq!(phases(&report), [Phase::Send, Phase::Wait, Phase::Receive]);
        assert_eq!(report.address, first.address);
        let sum: Duration = report.phases.iter().map(|(_, length)| *length).sum();
        assert!(sum <= report.duration);
    }
    assert_eq!(receiver.connections(), 1);
    // Other receivers and probes do not share it.
    transport.post(Some(SubscriptionId::from_bits(2)), &hook(&receiver), None);
    let probe = transport.post(None, &hook(&receiver), None);
    assert_eq!(phases(&probe).first(), Some(&Phase::Resolve));
    assert_eq!(receiver.connections(), 3);
}

#[test]
fn a_kept_connection_that_the_receiver_closed_costs_no_attempt() {
    // The connection breaks on the next request, too late to be noticed before.
    let receiver = Receiver::start(|talk| {
        talk.request();
        talk.answer(200, "ok");
        talk.request();
    });
    let transport = transport();
    for _ in 0..10 {
        let report = transport.post(ONE, &hook(&receiver), None);
        assert_eq!(answer(&report).status, 200);
        assert_eq!(report.phases.len(), if phases(&report)[0] == Phase::Resolve { 5 } else { 3 });
    }
    // Every second one was sent twice: the fresh connection of a second try is not kept.
    assert_eq!(receiver.requests().len(), 15);

    // Closed immediately: noticed before anything is sent.
    let receiver = Receiver::start(|talk| {
        talk.request();
        talk.answer(200, "ok");
        talk.socket.shutdown(Shutdown::Both).ok();
    });
    for _ in 0..10 {
        assert_eq!(answer(&transport.post(ONE, &hook(&receiver), None)).status, 200);
    }
    assert_eq!(receiver.requests().len(), 10);
}

#[test]
fn a_fresh_connection_that_dies_is_a_failure_and_not_tried_again() {
    let receiver = Receiver::start(|talk| {
        talk.request();
    });
    let report = transport().post(ONE, &hook(&receiver), None);
    assert_eq!(fault(&report), Fault::Disconnected);
    assert_eq!(receiver.requests().len(), 1);
    // After the first byte of a response, a request on a kept connection is not repeated either.
    let receiver = Receiver::start(|talk| {
        talk.request();
        talk.answer(200, "ok");
        talk.request();
        talk.send("HTTP/1.1 2").ok();
    });
    let transport = transport();
    transport.post(ONE, &hook(&receiver), None);
    assert_eq!(fault(&transport.post(ONE, &hook(&receiver), None)), Fault::Disconnected);
    assert_eq!(receiver.requests().len(), 2);
}

#[test]
fn a_long_body_is_cut_and_the_answer_counts() {
    let transport = transport();
    let endless: [Script; 3] = [
        |talk| {
            talk.send("HTTP/1.1 200 OK\r\n\r\n").ok();
            talk.repeat(&"x".repeat(4096), Duration::ZERO);
        },
        |talk| {
            talk.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").ok();
            talk.repeat("400\r\n", Duration::ZERO);
        },
        |talk| {
            talk.send(&format!("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n{}", "x".repeat(9000))).ok();
            talk.stall();
        },
    ];
    for (number, script) in endless.into_iter().enumerate() {
        let receiver = Receiver::start(script);
        let report = transport.post(ONE, &hook(&receiver), None);
        if number == 1 {
            // Chunk sizes without chunks.
            assert_eq!(answer(&report).status, 200);
            assert_eq!(report.note.as_deref(), Some("its body is not validly chunked"));
            continue;
        }
        assert_eq!(report.note, None);
        let answer = answer(&report);
        assert_eq!((answer.status, answer.body.len(), answer.truncated), (200, Answer::BODY_KEPT, true));
        assert!(report.duration < LONG / 4, "{:?}", report.duration);
    }
}

#[test]
fn a_body_that_is_not_much_too_long_keeps_the_connection() {
    for (length, truncated, connections) in
        [(Answer::BODY_KEPT, false, 1), (Answer::BODY_KEPT + 1, true, 1), (40_000, true, 1), (1 << 20, true, 2)]
    {
        let receiver = Receiver::start(move |talk| {
            while talk.request().is_some() {
                talk.answer(200, &"x".repeat(length));
            }
        });
        let transport = transport();
        for _ in 0..2 {
            let report = transport.post(ONE, &hook(&receiver), None);
            assert_eq!((answer(&report).body.len(), answer(&report).truncated), (Answer::BODY_KEPT, truncated));
        }
        assert_eq!(receiver.connections(), connections, "{length}");
    }
}

#[test]
fn headers_are_kept_up_to_a_limit_and_as_text() {
    let receiver = Receiver::start(|talk| {
        talk.request();
        let many: String = (0..20).map(|n| format!("X-{n}: {}\r\n", "v".repeat(1000))).collect();
        talk.send(&format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{many}\r\n")).ok();
    });
    let report = transport().post(ONE, &hook(&receiver), None);
    let kept: usize = answer(&report).headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    assert!(kept <= Answer::HEADERS_KEPT && kept > Answer::HEADERS_KEPT / 2);
    assert_eq!(answer(&report).header("content-length"), Some("0"));
}

#[test]
fn retry_after_is_kept_behind_any_other_headers() {
    let receiver = Receiver::start(|talk| {
        talk.request();
        let many: String = (0..20).map(|n| format!("X-{n}: {}\r\n", "v".repeat(1000))).collect();
        let asked = "Retry-After: 7\r\nLocation: /there\r\n";
        talk.send(&format!("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n{many}{asked}\r\n")).ok();
    });
    let report = transport().post(ONE, &hook(&receiver), None);
    assert_eq!(answer(&report).header("retry-after"), Some("7"));
    assert_eq!(answer(&report).header("location"), Some("/there"));
    let kept: usize = answer(&report).headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    assert!(kept <= Answer::HEADERS_KEPT && kept > Answer::HEADERS_KEPT / 2);
}

#[test]
fn an_answer_sent_before_the_request_was_read_is_received() {
    let receiver = Receiver::start(|talk| {
        talk.head();
        talk.send("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").ok();
        talk.socket.shutdown(Shutdown::Both).ok();
    });
    let mut request = hook(&receiver);
    request.body = vec![b' '; 64 << 20];
    assert_eq!(answer(&transport().post(ONE, &request, None)).status, 413);
}

#[test]
fn the_next_address_is_tried() {
    let receiver = Receiver::obliging();
    let port = receiver.address.port();
    let report = transport_with(&["127.0.0.9", "10.0.0.1", "127.0.0.1"]).post(
        ONE,
        &to(&format!("http://x.example:{port}/")),
        None,
    );
    assert_eq!(answer(&report).status, 200);
    assert_eq!(report.address, Some(receiver.address.to_string()));
}

#[test]
fn many_threads_share_the_connections_of_a_receiver() {
    let receiver = Receiver::obliging();
    let transport = transport();
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                for _ in 0..50 {
                    assert_eq!(answer(&transport.post(ONE, &hook(&receiver), None)).status, 200);
                }
            });
        }
    });
    assert_eq!(receiver.requests().len(), 800);
    assert!(receiver.connections() <= 16, "{}", receiver.connections());
}

#[test]
fn unusual_answers_are_answers() {
    let cases = [
        ("HTTP/1.0 200 OK\r\n\r\nto the end", "to the end"),
        ("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nto the end", "to the end"),
        ("HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1;x=y\r\nd\r\n0\r\nT: r\r\n\r\n", "abcd"),
        (
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
            "x",
        ),
        ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxHTTP/1.1 500 Smuggled\r\n\r\n", "x"),
    ];
    for (text, body) in cases {
        let receiver = Receiver::start(move |talk| {
            while talk.request().is_some() {
                talk.send(text).ok();
                if !text.contains("Content-Length") {
                    talk.socket.shutdown(Shutdown::Write).ok();
                }
            }
        });
        let transport = transport();
        for _ in 0..3 {
            let report = transport.post(ONE, &hook(&receiver), None);
            assert_eq!((answer(&report).status, answer(&report).body.as_slice()), (200, body.as_bytes()), "{text}");
        }
    }
}

#[test]
fn a_probe_reports_all_phases_and_what_to_do() {
    let receiver = Receiver::start(|talk| {
        while talk.request().is_some() {
            talk.answer(404, "<h1>nothing here</h1>");
        }
    });
    let transport = transport();
    for _ in 0..2 {
        let found = probe::run(&transport, hook(&receiver), Some(LONG));
        assert_eq!((found.response, found.working), (Some(404), false));
        assert!(found.message.contains("check that the URL is correct"), "{}", found.message);
        assert_eq!(found.response_body().as_deref(), Some("<h1>nothing here</h1>"));
        assert_eq!(phases(&found.report), Phase::ALL);
        assert!(found.curl.contains(&receiver.address.to_string()));
    }
    let guarded = Transport::new(TransportSettings { policy: AddressPolicy::default(), ..settings() }).unwrap();
    let found = probe::run(&guarded, hook(&receiver), None);
    assert_eq!((found.error(), found.phase()), (Some(Fault::AddressDenied), None));
    assert!(found.message.contains("--allow 127.0.0.0/8"), "{}", found.message);
}

mod answers;
mod cost;
mod failures;
mod fetches;
mod handshakes;
