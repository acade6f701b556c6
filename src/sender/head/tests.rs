//! Heads as sent by real receivers, at once and byte by byte.

use super::*;

/// The head in `text`, and its length in bytes; the same whether read at once or byte by byte.
fn read(text: &[u8]) -> Result<(Head, usize), Failure> {
    let at_once = finish(&mut HeadReader::new(), text, text.len());
    let one_by_one = finish(&mut HeadReader::new(), text, 1);
    assert!(at_once == one_by_one, "{}", lossy(&text[..text.len().min(300)]));
    at_once
}

fn finish(reader: &mut HeadReader, text: &[u8], step: usize) -> Result<(Head, usize), Failure> {
    let mut used = 0;
    for piece in text.chunks(step) {
        let (count, progress) = reader.read(piece);
        used += count;
        match progress {
            Progress::More => assert_eq!(count, piece.len()),
            Progress::Done(head) => return Ok((head, used)),
            Progress::Bad(failure) => return Err(failure),
        }
    }
    reader
        .cut("it ended".to_owned())
        .map(|head| (head, used))
        .ok_or_else(|| Failure::new(Fault::Disconnected, "nothing"))
}

fn head(text: &str) -> Head {
    read(text.as_bytes()).unwrap_or_else(|failure| panic!("{text:?}: {failure}")).0
}

fn detail(text: &[u8]) -> String {
    read(text).expect_err(&lossy(text)).detail
}

fn headers(head: &Head) -> Vec<(&str, &str)> {
    head.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

#[test]
fn names_and_values_are_as_they_came_and_the_body_stays() {
    let text = "HTTP/1.1 200 OK\r\nX-Api-VERSION: 1\r\nserver:  nginx \r\nEmpty:\r\nContent-Length: 2\r\n\r\nok";
    let (head, used) = read(text.as_bytes()).unwrap();
    assert_eq!(&text[used..], "ok");
    assert_eq!(headers(&head), [("X-Api-VERSION", "1"), ("server", "nginx"), ("Empty", ""), ("Content-Length", "2")]);
    assert_eq!(
        (head.status, head.framing, head.close, head.notes.as_slice()),
        (200, Framing::Length(2), false, &[][..])
    );
    assert_eq!(head.normalized(), b"HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\n");
}

#[test]
fn folded_lines_are_blanks() {
    for text in [
        "HTTP/1.1 200 OK\r\nContent-Security-Policy: default-src 'self';\r\n  script-src 'self'\r\nA: b\r\n\r\n",
        "HTTP/1.1 200 OK\nContent-Security-Policy:\n\tdefault-src 'self';  \n \n script-src 'self'\nA: b\n\n",
    ] {
        let head = head(text);
        let value = headers(&head)[0].1.trim().replace("  ", " ");
        assert_eq!((value.as_str(), headers(&head)[1]), ("default-src 'self'; script-src 'self'", ("A", "b")));
        assert_eq!(head.notes, [""; 0]);
    }
    // A folded framing header is honoured as well.
    assert_eq!(head("HTTP/1.1 200 OK\r\nContent-Length:\r\n 2\r\n\r\n").framing, Framing::Length(2));
}

#[test]
fn informational_answers_are_passed_over_with_their_headers() {
    let text = "HTTP/1.1 100 Continue\r\nX-A: b\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>;\r\n rel=preload\r\n\r\n\
                HTTP/1.1 204 No Content\r\nX-C: d\r\n\r\n";
    let head = head(text);
    assert_eq!((head.status, headers(&head)), (204, vec![("X-C", "d")]));
    let none = read(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 O").unwrap_err();
    assert_eq!(none.fault, Fault::Disconnected, "an incomplete status line does not count");
    let flood = "HTTP/1.1 102 Processing\r\n\r\n".repeat(BYTES_MOST / 20);
    assert!(detail(flood.as_bytes()).contains("no answer in the first 262144 bytes"));
    // 101 is final.
    assert_eq!(read(b"HTTP/1.1 101 Switching\r\n\r\n").unwrap().0.status, 101);
}

#[test]
fn status_lines_of_every_kind() {
    for (line, status) in [
        ("HTTP/1.1 200 OK", 200),
        ("HTTP/1.1 200", 200),
        ("HTTP/1.1 200 ", 200),
        ("HTTP/1.0 204 No Content", 204),
        ("HTTP/1.1  404  Not Found", 404),
        ("http/1.1 500 oops", 500),
        ("HTTP/1.1 200 sch\u{f6}n \0", 200),
        ("HTTP/1.1 999 Whatever", 999),
        ("\r\nHTTP/1.1 200 OK", 200),
    ] {
        for end in ["\r\n\r\n", "\n\n", "\r\n", "\n"] {
            assert_eq!(head(&format!("{line}{end}")).status, status, "{line:?} {end:?}");
        }
    }
    for line in ["HTTP/1.1 099 Low", "HTTP/1.1 20 OK", "HTTP/1.1 2000 OK", "HTTP/1.1 -20 OK", "HTTP/1.1 OK", "HTTP/1.1"]
    {
        assert!(detail(format!("{line}\r\n\r\n").as_bytes()).contains("not HTTP"), "{line}");
    }
}

#[test]
fn other_protocols_are_named_by_their_first_bytes() {
    for (bytes, part) in [
        (&b"\x15\x03\x03\x00\x02\x02\x46"[..], "TLS"),
        (b"\0\0\x12\x04\0\0\0\0\0", "HTTP/2"),
        (b"HTTP/2 200 \r\n", "version"),
        (b"HTTP/9.9 200 OK\r\n", "version"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "SSH"),
        (b"220 mx.example ESMTP\r\n", "mail"),
        (b"<html>", "not HTTP"),
        (b"\xff\xfe", "not HTTP"),
    ] {
        let (_, progress) = HeadReader::new().read(bytes);
        let Progress::Bad(failure) = progress else { panic!("{bytes:?}: {progress:?}") };
        assert!(failure.fault == Fault::Protocol && failure.detail.contains(part), "{failure}");
    }
}

#[test]
fn untidy_lines_are_passed_over_and_counted() {
    let text = "HTTP/1.1 200 OK\r\n leading: fold\r\nno colon here\r\n: no name\r\nX-Blank : 1\r\nSome Thing: 2\r\n\
                X-Nul: a\0b\r\nX-Cr: a\rb\r\nContent-Length : 2\r\n\r\n";
    let head = head(text);
    let wanted = [("X-Blank", "1"), ("Some Thing", "2"), ("X-Nul", "a b"), ("X-Cr", "a b"), ("Content-Length", "2")];
    assert_eq!((headers(&head).as_slice(), head.framing), (&wanted[..], Framing::Length(2)));
    assert_eq!(head.notes, ["8 of its header lines are malformed"]);
    let (latin, _) = read(b"HTTP/1.1 200 OK\r\nX-City: K\xf6ln\r\nX-\xfc: u\r\n\r\n").unwrap();
    assert_eq!(headers(&latin), [("X-City", "K\u{fffd}ln"), ("X-\u{fffd}", "u")]);
}

#[test]
fn how_the_body_ends() {
    let framing = |lines: &str| {
        let head = head(&format!("HTTP/1.1 200 OK\r\n{lines}\r\n"));
        (head.framing, head.close, head.notes.len())
    };
    for (lines, wanted) in [
        ("", (Framing::Close, false, 0)),
        ("Content-Length: 5\r\n", (Framing::Length(5), false, 0)),
        ("Content-Length: 5\r\nContent-Length: 5\r\n", (Framing::Length(5), false, 0)),
        ("Content-Length: 5, 5\r\n", (Framing::Length(5), false, 0)),
        ("Content-Length: 5\r\nContent-Length: 6\r\n", (Framing::Unclear, false, 1)),
        ("Content-Length: x\r\n", (Framing::Unclear, false, 1)),
        ("Content-Length: -1\r\n", (Framing::Unclear, false, 1)),
        ("Content-Length: +5\r\n", (Framing::Unclear, false, 1)),
        ("Content-Length:\r\n", (Framing::Unclear, false, 1)),
        ("Content-Length: 99999999999999999999999\r\n", (Framing::Unclear, false, 1)),
        ("Transfer-Encoding: chunked\r\n", (Framing::Chunked, false, 0)),
        ("transfer-encoding: CHUNKED\r\n", (Framing::Chunked, false, 0)),
        ("Transfer-Encoding: identity\r\nContent-Length: 5\r\n", (Framing::Length(5), false, 0)),
        ("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", (Framing::Chunked, true, 1)),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", (Framing::Chunked, false, 1)),
        ("Transfer-Encoding: gzip, chunked\r\n", (Framing::Chunked, false, 1)),
        ("Transfer-Encoding: gzip\r\n", (Framing::Close, false, 1)),
        ("Connection: Close\r\nContent-Length: 5\r\n", (Framing::Length(5), true, 0)),
        ("Connection: foo, close\r\nContent-Length: 5\r\n", (Framing::Length(5), true, 0)),
    ] {
        assert_eq!(framing(lines), wanted, "{lines:?}");
    }
    let old = |lines: &str| head(&format!("HTTP/1.0 200 OK\r\n{lines}\r\n")).close;
    assert!(old("Content-Length: 5\r\n") && !old("Connection: keep-alive\r\nContent-Length: 5\r\n"));
    assert!(old("Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n"));
}

#[test]
fn bounds_end_the_head_and_never_the_status() {
    let lines = |count: usize| format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(count));
    let full = head(&lines(LINES_MOST));
    assert!(full.notes.is_empty() && full.headers.len() == LINES_MOST, "{:?}", full.notes);
    let more = head(&lines(LINES_MOST + 1));
    assert_eq!((more.status, more.notes[0].as_str()), (200, "only the first 500 lines of its headers were read"));
    assert_eq!((more.framing, more.close), (Framing::Length(0), true));
    let folded = head(&format!("HTTP/1.1 200 OK\r\na: b\r\n{}\r\n", " c\r\n".repeat(LINES_MOST)));
    assert!(folded.notes[0].contains("lines") && folded.headers.len() == 1);

    let long = |size: usize| format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "y".repeat(size));
    assert_eq!(head(&long(BYTES_MOST - 30)).notes, [""; 0]);
    let more = head(&long(BYTES_MOST));
    assert_eq!((more.status, more.notes[0].as_str()), (200, "only the first 262144 bytes of its headers were read"));
    let reason = format!("HTTP/1.1 200 {}", "y".repeat(BYTES_MOST));
    assert!(detail(reason.as_bytes()).contains("no answer"), "a status line without end does not count");
}

#[test]
fn stored_headers_are_bounded_and_useful_ones_are_kept() {
    let many: String = (0..40).map(|n| format!("X-{n}: {}\r\n", "v".repeat(1000))).collect();
    let text = format!("HTTP/1.1 503 Busy\r\n{many}Content-Length: 0\r\nRetry-After: 7\r\nLocation: /there\r\n\r\n");
    let head = head(&text);
    let kept: usize = head.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    assert!(kept <= Answer::HEADERS_KEPT && kept > Answer::HEADERS_KEPT / 2, "{kept}");
    assert_eq!(headers(&head)[head.headers.len() - 2..], [("Retry-After", "7"), ("Location", "/there")]);
    assert_eq!((headers(&head)[0].0, head.framing), ("X-0", Framing::Length(0)), "read, but not kept");

    let mut reader = HeadReader::new();
    reader.read(b"HTTP/1.1 200 OK\r\nX: ");
    reader.read(&vec![b'y'; BYTES_MOST / 2]);
    assert_eq!(reader.line.len(), LINE_KEPT);
}
