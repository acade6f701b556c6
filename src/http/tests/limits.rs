//! Clients that are slow, large, many or gone.

use std::sync::mpsc;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::{Request, StatusCode};

use super::super::body::{Body, Reply, json_text, with_body};
use super::*;

const SOON: Duration = Duration::from_millis(200);

/// A handler with one behaviour per path.
struct Ways {
    /// Notified when a `/wait` or a `/flood` has ended, and when a `/wait` has begun.
    ended: mpsc::Sender<&'static str>,
}

struct NotifyOnDrop(mpsc::Sender<&'static str>, &'static str);

impl Drop for NotifyOnDrop {
    fn drop(&mut self) {
        let _ = self.0.send(self.1);
    }
}

impl Handler for Ways {
    async fn handle(self: Arc<Self>, request: Request<Incoming>) -> Reply {
        match request.uri().path() {
            "/panic" => panic!("as the test wants it"),
            "/wait" => {
                let _told = NotifyOnDrop(self.ended.clone(), "wait");
                let _ = self.ended.send("begun");
                std::future::pending().await
            }
            "/flood" => {
                let (room, pieces) = tokio::sync::mpsc::channel(1);
                let ended_rx = NotifyOnDrop(self.ended.clone(), "flood");
                tokio::spawn(async move {
                    let _told = ended_rx;
                    while room.send(Ok(Bytes::from_static(&[b'x'; 64 * 1024]))).await.is_ok() {}
                });
                with_body(StatusCode::OK, "text/plain", Body::Stream(pieces))
            }
            _ => json_text(StatusCode::OK, "{}"),
        }
    }
}

fn ways(settings: Settings) -> (Server, mpsc::Receiver<&'static str>) {
    let (ended, ended_rx) = mpsc::channel();
    (serve(Ways { ended }, settings), ended_rx)
}

#[test]
fn a_head_that_does_not_end_and_an_idle_connection_are_closed() {
    let (server, _told) = ways(Settings { header_timeout: SOON, ..settings() });
    let mut silent = connect(server.address());
    let mut slow = connect(server.address());
    slow.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nX: ").unwrap();
    let mut idle = connect(server.address());
    idle.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    assert_eq!(status(&read_one(&mut idle)), Some(200));
    for stream in [&mut silent, &mut slow, &mut idle] {
        assert_ne!(status(&read_all(stream)), Some(200));
    }
}

#[test]
fn a_body_that_does_not_end_is_refused() {
    let server = api(Settings { body_timeout: SOON, ..settings() });
    let mut stream = connect(server.address());
    let head = format!(
        "POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{{"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let answer = read_all(&mut stream);
    assert_eq!(status(&answer), Some(408), "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
    let half = format!("{head}\"half\"");
    let mut stream = connect(server.address());
    stream.write_all(half.as_bytes()).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert_ne!(status(&read_all(&mut stream)), Some(202));
}

#[test]
fn a_body_that_is_too_large_is_refused_before_and_while_it_is_read() {
    let server = api(settings());
    let head = |more: &str| {
        format!(
            "POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n{more}\r\n"
        )
    };
    let text = exchange(server.address(), head("Content-Length: 4097\r\nExpect: 100-continue\r\n"));
    assert_eq!(status(&text), Some(413), "{text}");
    let lied = exchange(server.address(), head("Content-Length: 18446744073709551615\r\n"));
    assert!(matches!(status(&lied), Some(400 | 413 | 431)), "{lied}");
    let chunk = format!("400\r\n{}\r\n", "x".repeat(1024));
    let read = exchange(server.address(), head("Transfer-Encoding: chunked\r\n") + &chunk.repeat(5));
    assert_eq!(status(&read), Some(413), "{read}");
    let sent =
        exchange(server.address(), [head("Content-Length: 1000000\r\n").as_bytes(), &[b'x'; 1_000_000]].concat());
    assert_eq!(status(&sent), Some(413), "the answer is seen though the client goes on sending: {sent}");
    let fits = exchange(server.address(), head("Connection: close\r\nContent-Length: 4096\r\n") + &" ".repeat(4096));
    assert_eq!(status(&fits), Some(400), "it was read, and is no JSON: {fits}");
    let broken = exchange(server.address(), head("Transfer-Encoding: chunked\r\n") + "zz\r\n");
    assert_eq!(status(&broken), Some(400), "{broken}");
}

#[test]
fn no_100_continue_is_sent_before_a_refusal() {
    let server = api(settings());
    let head = "POST /v1/events HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: 2\r\nExpect: 100-continue\r\n";
    let stranger = exchange(server.address(), format!("{head}\r\n"));
    assert_eq!(status(&stranger), Some(401), "{stranger}");
    let mut known = connect(server.address());
    known.write_all(format!("{head}Authorization: Bearer {TOKEN}\r\n\r\n").as_bytes()).unwrap();
    assert_eq!(status(&read_one(&mut known)), Some(100));
    known.write_all(b"[]").unwrap();
    assert_eq!(status(&read_all(&mut known)), Some(422));
}

#[test]
fn a_client_that_does_not_read_its_answer_is_cut_off() {
    let (server, ended_rx) = ways(Settings { write_timeout: SOON, ..settings() });
    let mut stream = connect(server.address());
    stream.write_all(b"GET /flood HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    assert_eq!(ended_rx.recv_timeout(PATIENCE), Ok("flood"));
}

#[test]
fn a_client_that_disconnects_cancels_its_request() {
    let (server, ended_rx) = ways(settings());
    let mut stream = connect(server.address());
    stream.write_all(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    assert_eq!(
        ended_rx.recv_timeout(PATIENCE),
        Ok("begun"),
        "a request whose client is gone already is not even begun"
    );
    drop(stream);
    assert_eq!(ended_rx.recv_timeout(PATIENCE), Ok("wait"));
}

#[test]
fn a_panic_ends_one_request_and_its_connection_only() {
    let (server, _told) = ways(settings());
    let mut other = connect(server.address());
    other.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    assert_eq!(status(&read_one(&mut other)), Some(200));
    let answer = exchange(server.address(), "GET /panic HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(status(&answer) == Some(500) && answer.contains("connection: close"), "{answer}");
    assert!(answer.contains("application/problem+json") && !answer.contains("as the test wants"), "{answer}");
    other.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    assert_eq!(status(&read_one(&mut other)), Some(200));
}

#[test]
fn connections_beyond_the_cap_are_answered_503() {
    let (server, _told) = ways(Settings { max_connections: 2, ..settings() });
    let get = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut held: Vec<_> = (0..2).map(|_| connect(server.address())).collect();
    for stream in &mut held {
        stream.write_all(get.as_bytes()).unwrap();
        assert_eq!(status(&read_one(stream)), Some(200));
    }
    let refused = exchange(server.address(), get);
    assert!(status(&refused) == Some(503) && refused.contains("retry-after: 1\r\n"), "{refused}");
    held.pop();
    let began = std::time::Instant::now();
    let get_and_close = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    while status(&exchange(server.address(), get_and_close)) != Some(200) {
        assert!(began.elapsed() < PATIENCE, "room was not given back");
    }
}
