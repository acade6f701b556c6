//! Attempts that fail, each with its own fault.

use std::net::{Shutdown, TcpListener};
use std::time::{Duration, Instant};

use super::{LONG, ONE, SHORT, Script, answer, fault, hook, phases, settings, tls, to, transport, transport_with};
use crate::core::address::AddressPolicy;
use crate::core::attempt::{Fault, Outcome, Phase};
use crate::sender::receiver::{Conversation, Receiver};
use crate::sender::resolver::Resolver;
use crate::sender::{Transport, TransportSettings};

/// The fault of one POST to a receiver with this script, over a fresh connection.
fn fault_of(script: impl Fn(&mut Conversation) + Send + Sync + 'static) -> Fault {
    let receiver = Receiver::start(script);
    fault(&transport().post(None, &hook(&receiver), None))
}

#[test]
fn time_runs_out_in_the_phase_that_took_it() {
    let cases: [(Script, Fault, Phase); 3] = [
        (Conversation::stall, Fault::ResponseTimeout, Phase::Wait),
        (
            |talk| {
                talk.send("HTTP/1.1 200 O").ok();
                talk.repeat("K", Duration::from_millis(5));
            },
            Fault::ResponseTimeout,
            Phase::Wait,
        ),
        (
            |talk| talk.repeat("HTTP/1.1 102 Processing\r\n\r\n", Duration::from_millis(5)),
            Fault::ResponseTimeout,
            Phase::Wait,
        ),
    ];
    // Enough for the preceding phases even on a busy machine; run in parallel to save time.
    let limit = Duration::from_secs(1);
    std::thread::scope(|scope| {
        for (script, wanted, phase) in cases {
            scope.spawn(move || {
                let receiver = Receiver::start(script);
                let begin = Instant::now();
                let report = transport().post(ONE, &hook(&receiver), Some(limit));
                assert_eq!((fault(&report), phases(&report).last()), (wanted, Some(&phase)));
                assert!(report.duration >= limit && begin.elapsed() < LONG / 2, "{wanted}: {:?}", begin.elapsed());
            });
        }
    });
}

#[test]
fn a_receiver_that_does_not_read_ends_in_time() {
    // More than the kernel buffers on both sides of the connection.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut request = to(&format!("http://{}/", listener.local_addr().unwrap()));
    request.body = vec![b' '; 64 << 20];
    let report = transport().post(ONE, &request, Some(SHORT));
    assert_eq!((fault(&report), phases(&report).last()), (Fault::SendTimeout, Some(&Phase::Send)));
}

#[test]
fn resolving_and_connecting_have_a_limit_of_their_own() {
    // A listener that accepts and says nothing: the TLS handshake never ends.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://localhost:{}/", listener.local_addr().unwrap().port());
    let policy = settings().policy;
    let here = Resolver::with_lookup(policy.clone(), Box::new(|_| Ok(vec!["127.0.0.1".parse().unwrap()])));
    let report = Transport::with_parts(SHORT, LONG, here, tls()).post(ONE, &to(&url), None);
    assert_eq!((fault(&report), phases(&report)), (Fault::ConnectTimeout, vec![Phase::Resolve, Phase::Connect]));
    let Outcome::Failed { detail, .. } = &report.outcome else { panic!("{report:?}") };
    assert!(detail.contains("TLS handshake"), "{detail}");
    assert!(report.duration < LONG / 4);

    let (hold, held) = std::sync::mpsc::channel::<()>();
    let held = std::sync::Mutex::new(held);
    let silent = move |_: &str| {
        held.lock().unwrap().recv().ok();
        Ok(Vec::new())
    };
    let silent = Resolver::with_lookup(policy, Box::new(silent));
    let report = Transport::with_parts(SHORT, LONG, silent, tls()).post(ONE, &to(&url), None);
    assert_eq!((fault(&report), phases(&report)), (Fault::ResolveTimeout, vec![Phase::Resolve]));
    assert!(report.duration < LONG / 4);
    drop(hold);
}

#[test]
fn answers_that_are_not_http_are_reported() {
    fn after_request(talk: &mut Conversation, text: &str) {
        talk.request();
        talk.send(text).ok();
        talk.socket.shutdown(Shutdown::Write).ok();
        talk.stall();
    }
    assert_eq!(fault_of(|talk| after_request(talk, "SSH-2.0-OpenSSH_9.2\r\n\r\n")), Fault::Protocol);
    assert_eq!(fault_of(|talk| after_request(talk, "HTTP/9.9 200 OK\r\n\r\n")), Fault::Protocol);
    assert_eq!(fault_of(|talk| after_request(talk, "HTTP/1.1 099 Low\r\n\r\n")), Fault::Protocol);
    assert_eq!(fault_of(|talk| talk.repeat("HTTP/1.1 102 Processing\r\n\r\n", Duration::ZERO)), Fault::Protocol);
    let bomb = |talk: &mut Conversation| {
        talk.send("HTTP/1.1 200 O").ok();
        talk.repeat(&"x".repeat(1024), Duration::ZERO);
    };
    assert_eq!(fault_of(bomb), Fault::Protocol);
    assert_eq!(fault_of(|talk| after_request(talk, "")), Fault::Disconnected);
    assert_eq!(fault_of(|talk| after_request(talk, "HTTP/1.1 200 OK")), Fault::Disconnected);
    assert_eq!(fault_of(|talk| after_request(talk, "HTTP/1.1 100 Continue\r\n\r\n")), Fault::Disconnected);
}

#[test]
fn nothing_listens() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let report = transport().post(ONE, &to(&format!("http://{address}/")), None);
    assert_eq!((fault(&report), phases(&report)), (Fault::Refused, vec![Phase::Resolve, Phase::Connect]));
    assert_eq!(report.address, None);
}

#[test]
fn denied_addresses_are_not_connected_to() {
    let receiver = Receiver::obliging();
    let guarded = Transport::new(TransportSettings { policy: AddressPolicy::default(), ..settings() }).unwrap();
    let port = receiver.address.port();
    for host in
        ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "localhost", "2130706433", "0x7f.1", "127.1", "0", "①27.0.0.1"]
    {
        let url = format!("http://{host}:{port}/");
        let report = guarded.post(ONE, &to(&url), None);
        let Outcome::Failed { fault: Fault::AddressDenied, detail } = &report.outcome else {
            panic!("{host}: {report:?}")
        };
        assert!(detail.contains("`allow` in [network]"), "{host}: {detail}");
        assert_eq!(guarded.check_url(&url).as_ref(), Err(detail), "one sentence at registration and delivery");
    }
    assert_eq!(receiver.connections(), 0);
    assert_eq!(transport().check_url(&hook(&receiver).url), Ok(()));
    assert_eq!(guarded.check_url("http://no-such-host.invalid/"), Ok(()));
    assert!(guarded.check_url("ftp://x.example/").is_err());
}

#[test]
fn names_with_inner_addresses_are_not_called_there() {
    let canary = Receiver::obliging();
    let outer = Receiver::obliging_at("127.0.0.2", canary.address.port());
    let policy = || AddressPolicy::new(vec!["127.0.0.2/32".parse().unwrap()], Vec::new(), false);
    let transport = |addresses: &'static [&'static str]| {
        let lookup = move |_: &str| Ok(addresses.iter().map(|text| text.parse().unwrap()).collect());
        Transport::with_parts(LONG, LONG, Resolver::with_lookup(policy(), Box::new(lookup)), tls())
    };
    let url = format!("http://x.example:{}/", canary.address.port());
    let inward: &[&'static [&'static str]] = &[
        &["127.0.0.1"],
        &["::ffff:127.0.0.1", "10.0.0.1"],
        &["::1", "127.0.0.1", "169.254.169.254"],
        &["64:ff9b::7f00:1", "2002:7f00:1::", "0.0.0.0", "::"],
    ];
    for addresses in inward {
        let transport = transport(addresses);
        let report = transport.post(ONE, &to(&url), None);
        let Outcome::Failed { fault: Fault::AddressDenied, detail } = &report.outcome else { panic!("{report:?}") };
        assert!(detail.contains(addresses[0]), "the first is named: {detail}");
        assert_eq!(transport.check_url(&url).as_ref(), Err(detail), "one sentence at registration and delivery");
    }
    // Of several, those that are allowed are called.
    let mixed = transport(&["127.0.0.1", "127.0.0.2", "::1"]);
    assert_eq!(mixed.check_url(&url), Ok(()));
    let report = mixed.post(ONE, &to(&url), None);
    assert_eq!((answer(&report).status, &report.address), (200, &Some(outer.address.to_string())));
    assert_eq!((canary.connections(), outer.connections()), (0, 1));
}

#[test]
fn unusable_urls_are_reported() {
    let policy = AddressPolicy::new(Vec::new(), Vec::new(), true);
    let strict = Transport::new(TransportSettings { policy, ..settings() }).unwrap();
    for url in ["", "x.example/hook", "ftp://x.example/", "http://x.example/"] {
        assert_eq!(fault(&strict.post(ONE, &to(url), None)), Fault::BadUrl, "{url}");
    }
    let mut request = to("https://x.example/");
    request.headers.push(("X".to_owned(), "a\r\nb: c".to_owned()));
    assert_eq!(fault(&strict.post(ONE, &request, None)), Fault::Internal);
}

#[test]
fn tls_works_and_its_failures_have_names() {
    let serve = |talk: &mut Conversation| {
        while talk.request().is_some() {
            talk.answer(200, "ok");
        }
    };
    let trusting = transport_with(&["127.0.0.1"]);
    let url = |receiver: &Receiver| to(&format!("https://localhost:{}/", receiver.address.port()));

    let good = Receiver::start_tls("localhost.pem", serve);
    for _ in 0..5 {
        assert_eq!(answer(&trusting.post(ONE, &url(&good), None)).body, b"ok");
    }
    assert_eq!(good.connections(), 1, "kept");
    let report = transport().post(ONE, &url(&good), None);
    let untrusted = fault(&report);
    // A machine without root certificates reports that instead.
    assert!(matches!(untrusted, Fault::TlsUnknownIssuer | Fault::Tls), "{report:?}");

    let expired = Receiver::start_tls("expired.pem", serve);
    assert_eq!(fault(&trusting.post(ONE, &url(&expired), None)), Fault::TlsExpired);
    let elsewhere = Receiver::start_tls("elsewhere.pem", serve);
    assert_eq!(fault(&trusting.post(ONE, &url(&elsewhere), None)), Fault::TlsWrongName);
    // The output of `openssl req -x509`, which people try first.
    let home_made = Receiver::start_tls("self-signed.pem", serve);
    let report = trusting.post(ONE, &url(&home_made), None);
    let Outcome::Failed { fault: Fault::TlsUnknownIssuer, detail } = &report.outcome else { panic!("{report:?}") };
    assert!(detail.contains("self-signed"), "{detail}");
    let plain = Receiver::start(|talk| {
        talk.send("HTTP/1.1 400 Bad Request\r\n\r\n").ok();
    });
    let report = trusting.post(ONE, &url(&plain), None);
    let Outcome::Failed { fault: Fault::Tls, detail } = &report.outcome else { panic!("{report:?}") };
    assert!(detail.contains("plain HTTP"), "{detail}");
    // And plain HTTP to a port for TLS.
    let plainly = to(&format!("http://{}/", good.address));
    let report = transport().post(ONE, &plainly, None);
    let Outcome::Failed { fault: Fault::Protocol | Fault::Disconnected, detail } = &report.outcome else {
        panic!("{report:?}")
    };
    assert!(detail.contains("TLS") || detail.contains("broke"), "{detail}");
    let alert = Receiver::start(|talk| {
        talk.request();
        talk.send_bytes(b"\x15\x03\x01\x00\x02\x02\x46").ok();
    });
    let report = transport().post(ONE, &hook(&alert), None);
    let Outcome::Failed { fault: Fault::Protocol, detail } = &report.outcome else { panic!("{report:?}") };
    assert!(detail.contains("this port is for https"), "{detail}");
}
