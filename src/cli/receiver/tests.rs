use super::*;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::sync::mpsc;

/// A receiver that always answers `answer` and forwards what it received.
fn receiver(answer: Answer) -> (Receiver, mpsc::Receiver<Message>) {
    let (sender, requests) = mpsc::channel();
    let handler = move |message: &Message| {
        sender.send(message.clone()).ok();
        answer
    };
    (Receiver::start((Ipv4Addr::LOCALHOST, 0).into(), handler).unwrap(), requests)
}

const OK: Answer = Answer { status: 200, delay: Duration::ZERO };

/// Everything received after sending `bytes` on one connection.
fn exchange(receiver: &Receiver, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(receiver.address()).unwrap();
    stream.write_all(bytes).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut back = String::new();
    stream.read_to_string(&mut back).unwrap();
    back
}

fn statuses(back: &str) -> Vec<&str> {
    back.lines().filter_map(|line| line.strip_prefix("HTTP/1.1 ")?.split(' ').next()).collect()
}

#[test]
fn several_requests_share_a_connection() {
    let (receiver, requests) = receiver(OK);
    let first = "POST /a?b HTTP/1.1\r\nHost: x\r\nWebhook-Id: evt_1\r\nContent-Length: 5\r\n\r\nhello";
    let second = "POST /b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0A\r\n0123456789\r\n0\r\nT: r\r\n\r\n";
    let third = "GET /c HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\nGET /never HTTP/1.1\r\n\r\n";
    let back = exchange(&receiver, [first, second, third].concat().as_bytes());
    assert_eq!(statuses(&back), ["200", "200", "200"]);
    let messages: Vec<Message> = requests.try_iter().collect();
    assert_eq!(delivery::header(&messages[0], "webhook-id"), Some("evt_1"));
    assert_eq!((messages[0].method().as_str(), messages[0].uri().to_string().as_str()), ("POST", "/a?b"));
    let bodies: Vec<&[u8]> = messages.iter().map(|message| message.body().as_slice()).collect();
    assert_eq!(bodies, [&b"hello"[..], b"abc0123456789", b""]);
}

#[test]
fn malformed_requests_are_refused_and_not_passed_on() {
    let (receiver, requests) = receiver(OK);
    let long = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(70_000));
    let large = format!(
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffff\r\n{}",
        "x".repeat(33 * 1024 * 1024)
    );
    let cases = [
        ("nonsense\r\n\r\n", "400"),
        ("GET / HTTP/2\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nno colon\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\n folded: x\r\n\r\n", "400"),
        ("POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", "400"),
        ("POST / HTTP/1.1\r\nContent-Length: +1\r\n\r\nx", "400"),
        ("POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx", "400"),
        ("POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\nx", "413"),
        (large.as_str(), "413"),
        ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "400"),
        ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxyz\r\n0\r\n\r\n", "400"),
        ("POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhel", "400"),
        (long.as_str(), "431"),
    ];
    for (text, wanted) in cases {
        assert_eq!(statuses(&exchange(&receiver, text.as_bytes())), [wanted], "{:.60}", text);
    }
    for text in ["", "GET / HT", "GET / HTTP/1.1\r\nA: b\r\n"] {
        assert_eq!(exchange(&receiver, text.as_bytes()), "", "{text}");
    }
    assert_eq!(requests.try_iter().count(), 0);
}

#[test]
fn the_answer_is_as_configured() {
    for (status, length) in [(200, true), (204, false), (503, true)] {
        let (receiver, _told) = receiver(Answer { status, delay: Duration::from_millis(1) });
        let back = exchange(&receiver, b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx");
        assert_eq!(statuses(&back), ["100", status.to_string().as_str()]);
        assert_eq!(back.contains("content-length: 0"), length);
    }
}

#[test]
fn stopping_ends_connections_that_are_idle_and_answers_that_are_held_back() {
    let (receiver, requests) = receiver(Answer { status: 200, delay: Duration::from_secs(3600) });
    let mut idle = TcpStream::connect(receiver.address()).unwrap();
    let mut waiting = TcpStream::connect(receiver.address()).unwrap();
    waiting.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    requests.recv().unwrap();
    drop(receiver);
    let mut back = String::new();
    // Closed or reset, but not left open.
    idle.read_to_string(&mut back).ok();
    waiting.read_to_string(&mut back).ok();
    assert_eq!(back, "");
}

#[test]
fn a_port_in_use_is_an_error() {
    let (receiver, _told) = receiver(OK);
    assert!(Receiver::start(receiver.address(), |_| OK).is_err());
}

mod meaning {
    use super::super::delivery::{Signature, attempt, event_type, signature};
    use super::*;
    use crate::core::signature::{BadSignature, sign, sign_asymmetric};
    use crate::core::subscription::Secret;
    use std::time::UNIX_EPOCH;

    #[test]
    fn the_event_type_is_found_in_every_rendering() {
        const JSON: &[(&str, &str)] = &[];
        const FORM: &[(&str, &str)] = &[("Content-Type", "application/x-www-form-urlencoded")];
        let cases = [
            (JSON, r#"{"id":"evt_1","type":"call.new","data":{}}"#, Some("call.new")),
            (JSON, r#"{"event":"call.finished","call_id":"c","type":"inbound"}"#, Some("call.finished")),
            (FORM, "id=evt_1&type=call.new&data%5Bevent%5D=x", Some("call.new")),
            (FORM, "event=call.finished&type=inbound", Some("call.finished")),
            (JSON, "[]", None),
            (JSON, "type=call.new", None),
            (JSON, "", None),
        ];
        for (headers, body, wanted) in cases {
            assert_eq!(event_type(&message(headers, body)).as_deref(), wanted, "{body}");
        }
        assert_eq!(attempt(&message(&[("hookswitch-attempt", "3")], "")), Some(3));
        assert_eq!(attempt(&message(&[("hookswitch-attempt", "x")], "")), None);
    }

    #[test]
    fn signatures_are_checked_over_the_bytes_that_came() {
        let secret = Secret::from_bytes(vec![7; 32]);
        let now = UNIX_EPOCH + Duration::from_secs(1_790_000_000);
        let signed = sign(&[&secret], "evt_1", 1_790_000_000, b"{}");
        let headers =
            [("webhook-id", "evt_1"), ("webhook-timestamp", "1790000000"), ("webhook-signature", signed.as_str())];
        let check = |headers: &[(&str, &str)], body, at| signature(&message(headers, body), Some(&secret), at);
        assert_eq!(check(&headers, "{}", now), Signature::Good);
        assert_eq!(check(&headers, "{ }", now), Signature::Wrong(BadSignature::Mismatch));
        let asymmetric = sign_asymmetric(&[&secret], "evt_1", 1_790_000_000, b"{}");
        let by_pair = [headers[0], headers[1], ("webhook-signature", asymmetric.as_str())];
        assert_eq!(check(&by_pair, "{}", now), Signature::Good);
        assert_eq!(check(&by_pair, "{ }", now), Signature::Wrong(BadSignature::Mismatch));
        let later = now + Duration::from_secs(delivery::TOLERANCE + 1);
        assert_eq!(check(&headers, "{}", later), Signature::Wrong(BadSignature::Stale));
        assert_eq!(check(&[], "{}", now), Signature::Wrong(BadSignature::Missing));
        assert_eq!(signature(&message(&headers, "{}"), None, now), Signature::NotChecked);
    }
}
