//! Responses as sent by real receivers: the status line decides, and other faults become a note.

use std::io::Write as _;
use std::net::Shutdown;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::{LONG, ONE, Script, answer, hook, phases, to, transport, transport_with};
use crate::core::attempt::{Answer, Phase, Report};
use crate::sender::receiver::{Conversation, Receiver};

/// The report of one POST to a receiver that answers with `text`, then closes or waits.
fn report_of(text: &'static [u8], close: bool) -> Report {
    let receiver = Receiver::start(move |talk| {
        talk.request();
        talk.send_bytes(text).ok();
        if close {
            talk.socket.shutdown(Shutdown::Write).ok();
        }
        talk.stall();
    });
    transport().post(ONE, &hook(&receiver), None)
}

fn text(answer: &Answer) -> String {
    String::from_utf8_lossy(&answer.body).into_owned()
}

#[test]
fn a_complete_answer_that_is_untidy_is_an_answer() {
    for (bytes, status, body, note) in [
        // What nginx sends for an `add_header` of several lines.
        (
            &b"HTTP/1.1 200 OK\r\nContent-Security-Policy: default-src 'self';\r\n  script-src 'self'\r\nContent-Length: 2\r\n\r\nok"[..],
            200,
            "ok",
            None,
        ),
        (b"HTTP/1.1 100 Continue\r\nX-A: b\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", 204, "", None),
        (b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, "ok", None),
        (b"HTTP/1.1 200\nContent-Length: 2\n\nok", 200, "ok", None),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, "ok", None),
        (b"HTTP/1.1 404 Not Found\r\nno colon\r\nX\xe4: \xff\0\r\nContent-Length : 2\r\n\r\nno", 404, "no", Some("3 of its header lines")),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 9\r\n\r\n2\r\nok\r\n0\r\n\r\n", 200, "ok", Some("both")),
        (b"HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\nok", 200, "ok", Some("not a length")),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!", 200, "ok!", Some("not a length")),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", 101, "", None),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok", 204, "", None),
    ] {
        // Open as well as closed: none of these waits for the end of the connection.
        for close in [true, false] {
            let shown = String::from_utf8_lossy(bytes);
            let report = report_of(bytes, close);
            assert_eq!((answer(&report).status, text(answer(&report)).as_str()), (status, body), "{shown}");
            assert_eq!(report.note.is_some(), note.is_some(), "{shown}: {:?}", report.note);
            assert!(report.note.as_deref().unwrap_or_default().contains(note.unwrap_or_default()), "{:?}", report.note);
            assert!(report.duration < LONG / 2, "{shown}: {:?}", report.duration);
        }
    }
}

#[test]
fn an_answer_that_breaks_off_is_an_answer() {
    for (bytes, body, part) in [
        (&b"HTTP/1.1 200 OK\r\n"[..], "", "ended within its headers"),
        (b"HTTP/1.1 200 OK\r\nX: y", "", "ended within its headers"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", "half", "ended before its body did"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "", "ended before its body did"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nha", "ha", "ended before its body did"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhalf\r\n", "", "not validly chunked"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\nhalf\r\n", "", "not validly chunked"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nhalf\r\n",
            "",
            "not validly chunked",
        ),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nplain text, not chunked at all\r\n",
            "",
            "not validly chunked",
        ),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nplain", "plain", "Content-Encoding"),
    ] {
        let shown = String::from_utf8_lossy(bytes);
        let report = report_of(bytes, true);
        assert_eq!((answer(&report).status, text(answer(&report)).as_str()), (200, body), "{shown}");
        assert!(report.note.as_deref().is_some_and(|note| note.contains(part)), "{shown}: {:?}", report.note);
    }
    // However much of it was received.
    for came in [100, 8_191, 8_192, 12_000] {
        let receiver = Receiver::start(move |talk| {
            talk.request();
            talk.send(&format!("HTTP/1.1 200 OK\r\nContent-Length: 20000\r\n\r\n{}", "x".repeat(came))).ok();
        });
        let report = transport().post(ONE, &hook(&receiver), None);
        assert_eq!((answer(&report).status, answer(&report).body.len()), (200, came.min(Answer::BODY_KEPT)));
        assert_eq!(report.note.is_some(), came < Answer::BODY_KEPT, "{came}: {:?}", report.note);
    }
}

#[test]
fn an_answer_that_does_not_end_in_time_is_an_answer() {
    let cases: [(Script, &str); 5] = [
        (
            |talk| {
                talk.send("HTTP/1.1 200 OK\r\nX: ").ok();
                talk.repeat("y", Duration::from_millis(5));
            },
            "its headers did not end in time",
        ),
        (
            |talk| {
                talk.send("HTTP/1.1 200 OK\r\n").ok();
                talk.stall();
            },
            "its headers did not end in time",
        ),
        (
            |talk| {
                talk.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf").ok();
                talk.stall();
            },
            "its body did not end in time",
        ),
        (
            |talk| {
                talk.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").ok();
                talk.repeat("1\r\nx\r\n", Duration::from_millis(5));
            },
            "its body did not end in time",
        ),
        (
            |talk| {
                talk.send("HTTP/1.1 200 OK\r\n\r\n").ok();
                talk.stall();
            },
            "its body did not end in time",
        ),
    ];
    let limit = Duration::from_secs(1);
    std::thread::scope(|scope| {
        for (script, note) in cases {
            scope.spawn(move || {
                let receiver = Receiver::start(script);
                let report = transport().post(ONE, &hook(&receiver), Some(limit));
                assert_eq!((answer(&report).status, report.note.as_deref()), (200, Some(note)));
                assert!(report.duration >= limit && report.duration < LONG / 2, "{:?}", report.duration);
            });
        }
    });
}

#[test]
fn large_heads_are_read_and_larger_ones_still_count() {
    let lines = |count: usize| "Set-Cookie: a=b\r\n".repeat(count);
    let long = |size: usize| format!("X-Long: {}\r\n", "y".repeat(size));
    for (headers, complete) in [
        (lines(129), true),
        (lines(490), true),
        (lines(2_000), false),
        (long(40_000), true),
        (long(250_000), true),
        (long(600_000), false),
    ] {
        let size = headers.len();
        let receiver = Receiver::start(move |talk| {
            while talk.request().is_some() {
                talk.send(&format!("HTTP/1.1 200 OK\r\n{headers}Content-Length: 2\r\n\r\nok")).ok();
            }
        });
        let transport = transport();
        for _ in 0..2 {
            let report = transport.post(ONE, &hook(&receiver), None);
            let wanted = if complete { "ok" } else { "" };
            assert_eq!((answer(&report).status, text(answer(&report)).as_str()), (200, wanted), "{size}");
            assert_eq!(report.note.is_none(), complete, "{size}: {:?}", report.note);
        }
        assert_eq!(receiver.connections(), if complete { 1 } else { 2 }, "{size}");
    }
}

#[test]
fn an_encoded_body_is_kept_readable() {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&b"readable ".repeat(100_000)).unwrap();
    let packed = encoder.finish().unwrap();
    let receiver = Receiver::start(move |talk| {
        while talk.request().is_some() {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n", packed.len());
            talk.send_bytes(&[head.as_bytes(), &packed].concat()).ok();
        }
    });
    let report = transport().post(ONE, &hook(&receiver), None);
    assert!(text(answer(&report)).starts_with("readable readable "), "{report:?}");
    assert_eq!((answer(&report).body.len(), answer(&report).truncated, &report.note), (Answer::BODY_KEPT, true, &None));
    assert_eq!(answer(&report).header("content-encoding"), Some("gzip"), "the headers are unchanged");
}

#[test]
fn a_408_that_was_waiting_is_a_closed_connection() {
    // As HAProxy ends an idle connection; it crosses the request being sent.
    let receiver = Receiver::start(|talk| {
        talk.request();
        talk.answer(200, "ok");
        talk.request();
        talk.send("HTTP/1.0 408 Request Time-out\r\nConnection: close\r\n\r\n<h1>408</h1>").ok();
    });
    let transport = transport();
    for _ in 0..6 {
        let report = transport.post(ONE, &hook(&receiver), None);
        assert_eq!((answer(&report).status, report.note.as_ref()), (200, None));
    }
    // On a fresh connection it is a response.
    let receiver = Receiver::start(|talk| {
        while talk.request().is_some() {
            talk.answer(408, "too slow");
        }
    });
    for _ in 0..3 {
        assert_eq!(answer(&transport.post(None, &hook(&receiver), None)).status, 408);
    }
    assert_eq!(receiver.requests().len(), 3);
    // A receiver that always says so is not retried for ever.
    for _ in 0..2 {
        assert_eq!(answer(&transport.post(ONE, &hook(&receiver), None)).status, 408);
    }
    assert_eq!(receiver.requests().len(), 6);
}

/// Answers before the body was sent, and then neither reads nor closes.
fn early(talk: &mut Conversation) {
    talk.head();
    talk.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig").ok();
    talk.wait();
}

#[test]
fn an_answer_that_comes_before_the_body_was_taken_is_the_answer() {
    let plain = Receiver::start(early);
    let secure = Receiver::start_tls("localhost.pem", early);
    let url = format!("https://localhost:{}/", secure.address.port());
    for (transport, mut request) in [(transport(), hook(&plain)), (transport_with(&["127.0.0.1"]), to(&url))] {
        request.body = vec![b' '; 64 << 20];
        let report = transport.post(ONE, &request, None);
        assert_eq!((answer(&report).status, text(answer(&report)).as_str()), (413, "big"));
        assert_eq!(report.note.as_deref(), Some("it came before the whole request was read"));
        assert!(report.duration < LONG / 2, "{:?}", report.duration);
        assert_eq!(phases(&report).last(), Some(&Phase::Receive));
    }
    // Closed with unread data: a reset follows the response.
    let reset = Receiver::start(|talk| {
        talk.head();
        talk.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig").ok();
    });
    let mut request = hook(&reset);
    request.body = vec![b' '; 64 << 20];
    for _ in 0..5 {
        let report = transport().post(ONE, &request, None);
        assert_eq!((answer(&report).status, text(answer(&report)).as_str()), (413, "big"), "{:?}", report.note);
    }
}

#[test]
fn names_in_the_log_are_as_they_came() {
    let report = report_of(b"HTTP/1.1 200 OK\r\nX-Request-ID: 7\r\ncontent-LENGTH: 0\r\n\r\n", false);
    let headers = &answer(&report).headers;
    assert_eq!(headers, &[("X-Request-ID".to_owned(), "7".to_owned()), ("content-LENGTH".to_owned(), "0".to_owned())]);
}
