//! A small blocking client of the daemon's API, with one kept connection.

use std::fmt;
use std::io::{self, BufReader, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;

use crate::wire::{self, Message};

/// A reply.
pub(crate) struct Reply {
    /// The request's method and path, for messages.
    request_line: String,
    pub(crate) status: u16,
    message: Message,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.message.header(name)
    }

    /// All values of a header.
    pub(crate) fn headers<'r>(&'r self, name: &'r str) -> impl Iterator<Item = &'r str> {
        let all = self.message.headers.iter().filter(move |(given, _)| given.eq_ignore_ascii_case(name));
        all.map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.message.body).into_owned()
    }

    /// The body as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.message.body).unwrap_or_else(|error| panic!("not JSON ({error}): {self:?}"))
    }

    /// Fails unless the status is `wanted`.
    #[track_caller]
    pub(crate) fn expect(self, wanted: u16) -> Self {
        assert_eq!(self.status, wanted, "expected {wanted}, came {self:?}");
        self
    }

    /// Fails unless the status is 2xx, for calls whose exact status is not promised.
    #[track_caller]
    pub(crate) fn expect_success(self) -> Self {
        assert!((200..300).contains(&self.status), "expected success, came {self:?}");
        self
    }

    /// Fails unless this is a problem reply (RFC 9457) with one of the `wanted` statuses and the promised members;
    /// returns the document.
    #[track_caller]
    pub(crate) fn expect_problem(self, wanted: &[u16]) -> Value {
        assert!(wanted.contains(&self.status), "expected one of {wanted:?}, came {self:?}");
        let kind = self.header("content-type").unwrap_or_default().to_owned();
        assert!(kind.starts_with("application/problem+json"), "expected a problem document, came {self:?}");
        let problem = self.json();
        assert_eq!(problem["status"], self.status, "the document's status differs from the reply's: {self:?}");
        assert!(problem["title"].as_str().is_some_and(|title| !title.is_empty()), "no title: {self:?}");
        assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "no detail: {self:?}");
        for error in problem["errors"].as_array().into_iter().flatten() {
            let whole = error["pointer"].is_string() && error["detail"].as_str().is_some_and(|d| !d.is_empty());
            assert!(whole, "an error without pointer or detail: {self:?}");
        }
        problem
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body: String = self.text().chars().take(2_000).collect();
        write!(f, "{} to {}\n  headers: {:?}\n  body: {body}", self.status, self.request_line, self.message.headers)
    }
}

/// One connection to the daemon, with a token. Shared by threads one at a time.
pub(crate) struct Client {
    address: SocketAddr,
    token: Option<String>,
    kept: Mutex<Option<BufReader<TcpStream>>>,
}

/// Longer than any reply of the daemon takes.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

impl Client {
    pub(crate) const fn new(address: SocketAddr, token: Option<String>) -> Self {
        Self { address, token, kept: Mutex::new(None) }
    }

    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Reply {
        self.request("GET", path, &[], b"")
    }

    #[track_caller]
    pub(crate) fn post(&self, path: &str, body: &Value) -> Reply {
        self.request("POST", path, &[("content-type", "application/json")], body.to_string().as_bytes())
    }

    #[track_caller]
    pub(crate) fn patch(&self, path: &str, body: &Value) -> Reply {
        self.request("PATCH", path, &[("content-type", "application/json")], body.to_string().as_bytes())
    }

    #[track_caller]
    pub(crate) fn delete(&self, path: &str) -> Reply {
        self.request("DELETE", path, &[], b"")
    }

    /// # Panics
    /// If no reply came.
    #[track_caller]
    pub(crate) fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        let reply = self.try_request(method, path, headers, body);
        reply.unwrap_or_else(|error| panic!("no reply to {method} {path}: {error}"))
    }

    /// As [`Client::request`], when the daemon may be gone. A kept connection that turns out to be closed is replaced
    /// once.
    pub(crate) fn try_request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<Reply> {
        let request_line = format!("{method} {path}");
        let request = self.render(&request_line, headers, body);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(mut reused) = kept.take()
            && let Ok(Some(answer)) = exchange(&mut reused, &request)
        {
            return Ok(keep(&mut kept, reused, request_line, answer));
        }
        let mut fresh = BufReader::new(connect(self.address)?);
        match exchange(&mut fresh, &request)? {
            Some(answer) => Ok(keep(&mut kept, fresh, request_line, answer)),
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    fn render(&self, request_line: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
        let mut head = format!("{request_line} HTTP/1.1\r\nhost: {}\r\n", self.address);
        if let Some(token) = &self.token {
            head += &format!("authorization: Bearer {token}\r\n");
        }
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        if !request_line.starts_with("GET") || !body.is_empty() {
            head += &format!("content-length: {}\r\n", body.len());
        }
        head += "\r\n";
        [head.as_bytes(), body].concat()
    }
}

/// A stream on which nothing blocks for ever.
pub(crate) fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, ANSWER_TIMEOUT)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    stream.set_write_timeout(Some(ANSWER_TIMEOUT))?;
    Ok(stream)
}

/// Sends and reads. A server may answer and close before it has read a refused body completely: the reply counts.
fn exchange(stream: &mut BufReader<TcpStream>, request: &[u8]) -> io::Result<Option<(u16, Message)>> {
    let sent = stream.get_mut().write_all(request);
    match wire::read_reply(stream) {
        Ok(Some(answer)) => Ok(Some(answer)),
        other => sent.and(other),
    }
}

fn keep(
    kept: &mut Option<BufReader<TcpStream>>,
    stream: BufReader<TcpStream>,
    request_line: String,
    (status, message): (u16, Message),
) -> Reply {
    let has_end = message.header("content-length").is_some()
        || message.header("transfer-encoding").is_some()
        || matches!(status, 204 | 304);
    if has_end && !message.wants_close() {
        *kept = Some(stream);
    }
    Reply { request_line, status, message }
}

/// The response to a hand-written request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Raw {
    /// A reply of this status.
    Status(u16),
    /// The connection was closed without a reply.
    Closed,
}

/// Whether the client shuts down its write side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    EndsItsSide,
    Waits,
}

/// Sends `bytes` verbatim and waits for a reply or the end.
///
/// # Panics
/// If neither comes in time, or the reply is not HTTP.
#[track_caller]
pub(crate) fn raw(address: SocketAddr, bytes: &[u8], then: Then) -> Raw {
    let mut stream = connect(address).expect("a connection");
    // The daemon may refuse, and close, before everything is sent.
    let _ = stream.write_all(bytes);
    if then == Then::EndsItsSide {
        let _ = stream.shutdown(Shutdown::Write);
    }
    match wire::read_reply(&mut BufReader::new(stream)) {
        Ok(Some((status, _))) => Raw::Status(status),
        Ok(None) => Raw::Closed,
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Raw::Closed,
        Err(error) => panic!("neither a reply nor the end of the connection: {error}"),
    }
}

#[test]
fn the_client_keeps_its_connection_and_replaces_a_closed_one() {
    use crate::receiver::{Answer, Receiver};
    let receiver = Receiver::start(|request| match request.path.as_str() {
        "/close" => Answer::status(200).header("connection", "close"),
        "/echo" => Answer::status(201).body(request.text()),
        _ => Answer::status(404),
    });
    let client = Client::new(receiver.address(), Some("t0ken".to_owned()));
    let echoed = client.request("POST", "/echo", &[("content-type", "text/plain")], b"h\xc3\xa9").expect(201);
    assert_eq!(echoed.text(), "hé");
    client.get("/close").expect(200);
    client.get("/nowhere").expect(404);
    let requests = receiver.requests();
    assert_eq!(requests[0].header("authorization"), Some("Bearer t0ken"));
    assert_eq!(requests.iter().map(|r| r.connection).collect::<Vec<_>>(), [0, 0, 1]);
}

#[test]
fn a_connection_that_ends_without_a_word_is_an_error() {
    use crate::receiver::{Answer, Receiver};
    let receiver = Receiver::start(|_| Answer::Close);
    let client = Client::new(receiver.address(), None);
    assert!(client.try_request("GET", "/", &[], b"").is_err());
}
