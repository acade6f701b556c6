//! Scripted receivers of deliveries, in the place of a customer's web application.
//!
//! Each request is recorded before the script runs, so the records are in order of arrival.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{BufReader, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hookswitch::core::signature;
use hookswitch::core::subscription::Secret;
use serde_json::Value;

use crate::wait::{PATIENCE, Watched};
use crate::wire::{self, Message};

/// The script's response to one request.
pub(crate) enum Answer {
    /// An HTTP response, after a delay.
    Reply { status: u16, headers: Vec<(&'static str, String)>, body: String, delay: Duration },
    /// The connection closes without a response.
    Close,
    /// No response, and the connection stays open until the receiver ends.
    Hang,
}

impl Answer {
    pub(crate) const fn status(status: u16) -> Self {
        Self::Reply { status, headers: Vec::new(), body: String::new(), delay: Duration::ZERO }
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        if let Self::Reply { headers, .. } = &mut self {
            headers.push((name, value.into()));
        }
        self
    }

    pub(crate) fn body(mut self, text: impl Into<String>) -> Self {
        if let Self::Reply { body, .. } = &mut self {
            *body = text.into();
        }
        self
    }

    /// Delays the response.
    pub(crate) fn after(mut self, length: Duration) -> Self {
        if let Self::Reply { delay, .. } = &mut self {
            *delay = length;
        }
        self
    }
}

/// One request as received.
pub(crate) struct Received {
    /// The number of earlier requests.
    pub(crate) nth: usize,
    /// The index of its connection, from 0.
    pub(crate) connection: usize,
    pub(crate) at: Instant,
    pub(crate) method: String,
    pub(crate) path: String,
    message: Message,
    answered: OnceLock<u16>,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.message.header(name)
    }

    #[track_caller]
    fn must_have(&self, name: &str) -> &str {
        self.header(name).unwrap_or_else(|| panic!("no header {name} in {self:?}"))
    }

    pub(crate) fn body(&self) -> &[u8] {
        &self.message.body
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.message.body).into_owned()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(self.body()).unwrap_or_else(|error| panic!("not JSON ({error}): {self:?}"))
    }

    /// The pairs of a form body, decoded.
    pub(crate) fn form(&self) -> Vec<(String, String)> {
        url::form_urlencoded::parse(self.body()).into_owned().collect()
    }

    #[track_caller]
    pub(crate) fn webhook_id(&self) -> &str {
        self.must_have("webhook-id")
    }

    #[track_caller]
    pub(crate) fn delivery(&self) -> &str {
        self.must_have("hookswitch-delivery")
    }

    #[track_caller]
    pub(crate) fn attempt(&self) -> u32 {
        self.must_have("hookswitch-attempt").parse().expect("hookswitch-attempt is a number")
    }

    #[track_caller]
    pub(crate) fn sequence(&self) -> u64 {
        self.must_have("hookswitch-sequence").parse().expect("hookswitch-sequence is a number")
    }

    /// `data.call_id` of a JSON envelope; empty for anything else.
    pub(crate) fn call(&self) -> String {
        let parsed: Value = serde_json::from_slice(self.body()).unwrap_or_default();
        parsed["data"]["call_id"].as_str().unwrap_or_default().to_owned()
    }

    /// The status with which the script answered, once it has.
    pub(crate) fn answered(&self) -> Option<u16> {
        self.answered.get().copied()
    }

    /// The number of signatures in the request.
    #[track_caller]
    pub(crate) fn signatures(&self) -> usize {
        self.must_have("webhook-signature").split(' ').count()
    }

    /// Whether a receiver with `secret` (`whsec_…`) that knows v1 only would accept the request.
    #[track_caller]
    pub(crate) fn is_signed_with(&self, secret: &str) -> bool {
        let secret = Secret::parse(secret).expect("a secret as the API shows it");
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let (id, timestamp) = (self.webhook_id(), self.must_have("webhook-timestamp"));
        let all = self.must_have("webhook-signature").split(' ');
        let signatures = all.filter(|one| one.starts_with("v1,")).collect::<Vec<_>>().join(" ");
        signature::verify(&secret, id, timestamp, &signatures, self.body(), now, 300).is_ok()
    }
}

impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body: String = self.text().chars().take(300).collect();
        let sent = |name| self.header(name).unwrap_or("-");
        write!(
            f,
            "#{} {} {} id={} delivery={} attempt={} sequence={} gap={} answered={:?} body={body}",
            self.nth,
            self.method,
            self.path,
            sent("webhook-id"),
            sent("hookswitch-delivery"),
            sent("hookswitch-attempt"),
            sent("hookswitch-sequence"),
            sent("hookswitch-gap"),
            self.answered(),
        )
    }
}

type Script = dyn Fn(&Received) -> Answer + Send + Sync;

#[derive(Default)]
struct State {
    requests: Vec<Arc<Received>>,
    /// Open connections, by index.
    connections: BTreeMap<usize, TcpStream>,
    in_flight: usize,
    most_in_flight: usize,
    ended: bool,
    /// Requests on earlier connections are answered and not recorded.
    heard_from: usize,
}

struct Shared {
    script: Box<Script>,
    state: Watched<State>,
}

/// A receiver on its own port. Ends, with all its connections, when dropped.
pub(crate) struct Receiver {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

impl Receiver {
    /// A receiver that answers with `script`. The script may block: each connection has a thread.
    pub(crate) fn start(script: impl Fn(&Received) -> Answer + Send + Sync + 'static) -> Self {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0)), script)
    }

    /// A receiver that answers 200.
    pub(crate) fn willing() -> Self {
        Self::start(|_| Answer::status(200))
    }

    /// As [`Receiver::start`], on a given address, such as that of an earlier receiver.
    pub(crate) fn start_at(address: SocketAddr, script: impl Fn(&Received) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(address).expect("a port to listen on");
        let address = listener.local_addr().expect("the address bound");
        let shared = Arc::new(Shared { script: Box::new(script), state: Watched::new(State::default()) });
        let accepts_for = Arc::clone(&shared);
        let accepting = Some(std::thread::spawn(move || accept(&listener, &accepts_for)));
        Self { address, shared, accepting }
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// All requests so far, in order of arrival.
    pub(crate) fn requests(&self) -> Vec<Arc<Received>> {
        self.shared.state.look(|state| state.requests.clone())
    }

    /// Drops all requests so far, and ignores those that still come on existing connections, which belong to a daemon
    /// that is gone. Returns the dropped requests.
    pub(crate) fn begin_anew(&self) -> Vec<Arc<Received>> {
        // Connections are accepted in order: this one comes after all earlier ones.
        let mark = TcpStream::connect(self.address).expect("a receiver that listens");
        let own = mark.local_addr().ok();
        let number = self.shared.state.wait(PATIENCE, |state| {
            let is_own = |stream: &TcpStream| stream.peer_addr().ok() == own;
            state.connections.iter().rev().find(|(_, stream)| is_own(stream)).map(|(number, _)| *number)
        });
        self.shared.state.change(|state| {
            state.heard_from = number.unwrap_or(usize::MAX);
            std::mem::take(&mut state.requests)
        })
    }

    /// Those on one path.
    pub(crate) fn requests_to(&self, path: &str) -> Vec<Arc<Received>> {
        self.requests().into_iter().filter(|request| request.path == path).collect()
    }

    /// The maximum number of concurrent requests so far.
    pub(crate) fn most_in_flight(&self) -> usize {
        self.shared.state.look(|state| state.most_in_flight)
    }

    /// Waits until at least `count` requests have come; returns all of them.
    #[track_caller]
    pub(crate) fn wait_for(&self, count: usize) -> Vec<Arc<Received>> {
        self.wait_until(&format!("{count} requests"), |requests| requests.len() >= count)
    }

    /// Waits until `enough` returns true for the requests; returns all of them.
    #[track_caller]
    pub(crate) fn wait_until(
        &self,
        what: &str,
        mut enough: impl FnMut(&[Arc<Received>]) -> bool,
    ) -> Vec<Arc<Received>> {
        let found = self.shared.state.wait(PATIENCE, |state| enough(&state.requests).then(|| state.requests.clone()));
        found.unwrap_or_else(|| panic!("waited {PATIENCE:?} for {what}; {} requests came", self.requests().len()))
    }
}

impl Drop for Receiver {
    #[expect(clippy::print_stderr, reason = "the test harness shows this below the message of a failed test")]
    fn drop(&mut self) {
        let requests = self.requests();
        if std::thread::panicking() {
            eprintln!("--- what came to the receiver at {}: {} requests", self.address, requests.len());
            for request in requests.iter().take(40) {
                eprintln!("{request:?}");
            }
        }
        self.shared.state.change(|state| {
            state.ended = true;
            for connection in state.connections.values() {
                // It may be closed already.
                let _ = connection.shutdown(Shutdown::Both);
            }
        });
        // Wakes the accepting thread, which then ends; from then on the port refuses.
        let _ = TcpStream::connect(self.address);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for (number, stream) in listener.incoming().enumerate() {
        let Ok(stream) = stream else { return };
        let Ok(copy) = stream.try_clone() else { return };
        let ended = shared.state.change(|state| {
            state.connections.insert(number, copy);
            state.ended
        });
        if ended {
            return;
        }
        let shared = Arc::clone(shared);
        std::thread::spawn(move || {
            serve(stream, number, &shared);
            shared.state.change(|state| state.connections.remove(&number));
        });
    }
}

fn serve(mut stream: TcpStream, connection: usize, shared: &Shared) {
    let _ = stream.set_nodelay(true);
    let Ok(copy) = stream.try_clone() else { return };
    let mut reader = BufReader::new(copy);
    while let Ok(Some(message)) = wire::read_request(&mut reader) {
        let request = record(shared, message, connection);
        let answer = (shared.script)(&request);
        let goes_on = give(&mut stream, &request, answer, shared);
        if !goes_on {
            let _ = stream.shutdown(Shutdown::Both);
            return;
        }
    }
}

fn record(shared: &Shared, message: Message, connection: usize) -> Arc<Received> {
    let mut words = message.start.split(' ').map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    shared.state.change(|state| {
        let (nth, answered) = (state.requests.len(), OnceLock::new());
        let request = Arc::new(Received { nth, connection, at: Instant::now(), method, path, message, answered });
        if connection >= state.heard_from {
            state.requests.push(Arc::clone(&request));
        }
        state.in_flight += 1;
        state.most_in_flight = state.most_in_flight.max(state.in_flight);
        request
    })
}

/// Sends the response; returns whether the connection continues.
fn give(stream: &mut TcpStream, request: &Received, answer: Answer, shared: &Shared) -> bool {
    // A client may send again at once after a response, so the request counts as ended before.
    let ended = || shared.state.change(|state| state.in_flight -= 1);
    match answer {
        Answer::Reply { status, headers, body, delay } => {
            if !delay.is_zero() {
                std::thread::sleep(delay);
            }
            let mut text = format!("HTTP/1.1 {status} Scripted\r\ncontent-length: {}\r\n", body.len());
            let mut closes = false;
            for (name, value) in headers {
                text += &format!("{name}: {value}\r\n");
                closes |= name == "connection" && value == "close";
            }
            text += &format!("\r\n{body}");
            let _ = request.answered.set(status);
            ended();
            stream.write_all(text.as_bytes()).is_ok() && !closes
        }
        Answer::Close => {
            ended();
            false
        }
        Answer::Hang => {
            shared.state.wait(Duration::from_secs(120), |state| state.ended.then_some(()));
            ended();
            false
        }
    }
}

#[test]
fn a_receiver_records_requests_in_order_and_counts_those_in_flight() {
    use crate::client::Client;
    use crate::wait::Gate;
    let gate = Arc::new(Gate::closed());
    let held = Arc::clone(&gate);
    let receiver = Receiver::start(move |_| {
        held.pass();
        Answer::status(204)
    });
    let address = receiver.address();
    std::thread::scope(|scope| {
        for path in ["/a", "/b"] {
            scope.spawn(move || Client::new(address, None).request("POST", path, &[], b"x=1&y%5B0%5D=+").expect(204));
        }
        receiver.wait_for(2);
        gate.open();
    });
    assert_eq!(receiver.most_in_flight(), 2);
    assert_eq!(receiver.requests_to("/a").len(), 1);
    let requests = receiver.requests();
    assert_eq!(requests.iter().map(|r| r.nth).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(requests[0].form(), [("x".to_owned(), "1".to_owned()), ("y[0]".to_owned(), " ".to_owned())]);
    assert_eq!(requests[1].answered(), Some(204));
}

#[test]
fn a_receiver_that_ended_refuses() {
    let receiver = Receiver::willing();
    let address = receiver.address();
    drop(receiver);
    assert!(TcpStream::connect(address).is_err());
    let again = Receiver::start_at(address, |_| Answer::status(200));
    assert_eq!(again.address(), address);
}

#[test]
fn a_receiver_that_begins_anew_knows_nothing_of_earlier_connections() {
    use crate::client::Client;
    let receiver = Receiver::willing();
    let (old, new) = (Client::new(receiver.address(), None), Client::new(receiver.address(), None));
    old.post("/old", &Value::Null).expect(200);
    assert_eq!(receiver.begin_anew().len(), 1);
    old.post("/old", &Value::Null).expect(200);
    new.post("/new", &Value::Null).expect(200);
    let paths: Vec<String> = receiver.requests().iter().map(|request| request.path.clone()).collect();
    assert_eq!(paths, ["/new"]);
}
