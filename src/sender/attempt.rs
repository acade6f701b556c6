//! One POST, from the request as a value to the report of its result.
//!
//! Must not know deliveries, the retry schedule, or the log. Invariants: an attempt ends when its time is up; no more
//! of a response is held than is kept; a status that was received is reported, whatever is wrong with the rest.

use std::io::Read as _;
use std::time::{Duration, Instant};

use ureq::http::{HeaderName, HeaderValue, Response, Uri};
use ureq::typestate::WithBody;
use ureq::{Agent, RequestBuilder};

use super::content;
use super::failure::Failure;
use super::head::{Framing, Head};
use super::marks::{self, Marks};
use crate::core::attempt::{Answer, Fault, Outcome, Phase, Report};
use crate::core::hidden::Hidden;
use crate::core::request::{AUTHORIZATION, Outgoing};

/// How much of a body beyond what is kept is read so that the connection can be reused.
const DRAIN_MOST: usize = 64 * 1024;
/// Time limit for that.
const DRAIN_TIME: Duration = Duration::from_millis(250);
/// Read size, on the stack of every sender thread.
const PIECE: usize = 1024;

/// Time limits of an attempt.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// In total.
    pub(super) whole: Duration,
    /// For resolving and connecting.
    pub(super) connect: Duration,
}

/// Posts `request` to `target`, over a connection kept by `agent` or a new one. If a kept connection turns out to
/// have been closed by the receiver, the request is repeated at once over a fresh one of `lone`, within the same
/// time: the receiver may have closed it while the request was being sent. The reported phases are those of the
/// second try.
///
/// `authorization` is the value of Authorization, if it signs in.
pub(super) fn post(
    agent: &Agent,
    lone: &Agent,
    (request, authorization): (&Outgoing, Option<&Hidden>),
    target: &Uri,
    limits: Limits,
) -> Report {
    let request = Signed { request, authorization };
    let begin = Instant::now();
    let deadline = begin + limits.whole;
    marks::begin(begin, deadline, limits.connect);
    let mut result = exchange(agent, &request, target);
    let mut marks = marks::end();
    let now = Instant::now();
    if now < deadline && marks.as_ref().is_some_and(|marks| had_been_closed(marks, &result)) {
        marks::begin(now, deadline, limits.connect);
        result = exchange(lone, &request, target);
        marks = marks::end();
    }
    reported(begin, marks, result)
}

/// Asks with OPTIONS, over a fresh connection of `lone`, within the time.
pub(super) fn ask(lone: &Agent, request: &Outgoing, target: &Uri, limits: Limits) -> Report {
    let begin = Instant::now();
    marks::begin(begin, begin + limits.whole, limits.connect);
    let asked = with_headers(lone.options(target), request.headers.iter().map(pair), target).and_then(|built| {
        let response = built.call().map_err(|error| Failure::from_ureq(error, marks::phase()))?;
        marks::enter(Phase::Receive);
        Ok(read_body(response))
    });
    reported(begin, marks::end(), asked)
}

fn reported(begin: Instant, mut marks: Option<Marks>, result: Result<Received, Failure>) -> Report {
    let address = marks.as_ref().and_then(|marks| marks.address).map(|address| address.to_string());
    let head = marks.as_mut().and_then(|marks| marks.head.take());
    let (outcome, note) = outcome(head, result);
    let phases = marks.map(|marks| marks.phases).unwrap_or_default();
    Report { outcome, note, duration: begin.elapsed(), address, phases }
}

/// Whether a kept connection turned out to have been closed. Some receivers signal that by a `408`, which does not
/// answer the request that crossed it (RFC 9110 section 15.5.9).
fn had_been_closed(marks: &Marks, result: &Result<Received, Failure>) -> bool {
    let died = matches!(result, Err(failure) if failure.fault == Fault::Disconnected) && marks.received == 0;
    !marks.fresh && (died || marks.head.as_ref().is_some_and(|head| head.status == 408))
}

/// With a response head there is a response, and later failures become a note.
fn outcome(head: Option<Head>, result: Result<Received, Failure>) -> (Outcome, Option<String>) {
    let Some(head) = head else {
        let none = || Failure::new(Fault::Internal, "an answer came without a head");
        let Failure { fault, detail } = result.err().unwrap_or_else(none);
        return (Outcome::Failed { fault, detail }, None);
    };
    let Head { status, headers, framing, mut notes, .. } = head;
    let Received { body, truncated, failure } = result.unwrap_or_else(Received::nothing);
    // A body without a known end is not reported as unfinished.
    notes.extend(failure.filter(|_| framing != Framing::Unclear).as_ref().map(of_body));
    let mut answer = Answer { status, headers, body, truncated };
    if let Some(encoding) = answer.header("content-encoding").map(str::to_owned) {
        let content = content::decoded(&encoding, std::mem::take(&mut answer.body), truncated);
        (answer.body, answer.truncated) = (content.bytes, content.truncated);
        // A body that was cut off cannot be complete.
        notes.extend(content.note.filter(|_| notes.is_empty()).map(str::to_owned));
    }
    (Outcome::Answered(answer), (!notes.is_empty()).then(|| notes.join("; ")))
}

/// A failure within a body, as part of a note.
fn of_body(failure: &Failure) -> String {
    match failure.fault {
        Fault::BodyTimeout => "its body did not end in time".to_owned(),
        Fault::Disconnected => "the connection ended before its body did".to_owned(),
        Fault::Protocol => "its body is not validly chunked".to_owned(),
        _ => format!("within its body, {}", failure.detail),
    }
}

/// What was received of a body.
struct Received {
    body: Vec<u8>,
    truncated: bool,
    /// Why it did not end.
    failure: Option<Failure>,
}

impl Received {
    fn nothing(failure: Failure) -> Self {
        Self { body: Vec::new(), truncated: false, failure: Some(failure) }
    }
}

/// A request with the value of Authorization.
struct Signed<'r> {
    request: &'r Outgoing,
    authorization: Option<&'r Hidden>,
}

fn exchange(agent: &Agent, request: &Signed<'_>, target: &Uri) -> Result<Received, Failure> {
    let built = build(agent, request, target)?;
    let sent = built.send(request.request.body.as_slice());
    let response = sent.map_err(|error| Failure::from_ureq(error, marks::phase()))?;
    marks::enter(Phase::Receive);
    Ok(read_body(response))
}

/// The request, with header names in their original case.
fn build(agent: &Agent, request: &Signed<'_>, target: &Uri) -> Result<RequestBuilder<WithBody>, Failure> {
    let Signed { request, authorization } = request;
    let length = request.body.len().to_string();
    let standard = request.headers.iter().map(pair);
    let own = request.own_headers.iter().map(|header| (header.name.as_str(), header.value.expose()));
    let signs_in = authorization.iter().map(|value| (AUTHORIZATION, value.expose()));
    let all = standard.chain(own).chain(signs_in).chain([("Content-Length", length.as_str())]);
    with_headers(agent.post(target), all, target)
}

fn pair((name, value): &(String, String)) -> (&str, &str) {
    (name, value)
}

fn with_headers<'h, Body>(
    mut built: RequestBuilder<Body>,
    headers: impl Iterator<Item = (&'h str, &'h str)>,
    target: &Uri,
) -> Result<RequestBuilder<Body>, Failure> {
    let host = host(target);
    for (name, value) in headers.map(|(name, value)| (name, value.to_owned())).chain([("Host", host)]) {
        let good = HeaderName::from_bytes(name.as_bytes()).is_ok() && HeaderValue::from_bytes(value.as_bytes()).is_ok();
        if !good {
            return Err(unsendable(&format!("header `{name}`")));
        }
        built = built.header_raw(name, value.as_bytes());
    }
    Ok(built)
}

/// The value of Host: without the scheme's default port, user name and password.
fn host(target: &Uri) -> String {
    let (host, usual) =
        (target.host().unwrap_or_default(), if target.scheme_str() == Some("https") { 443 } else { 80 });
    match target.port_u16().filter(|port| *port != usual) {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

/// Something that should have been checked earlier was not; never shows a value.
fn unsendable(what: &str) -> Failure {
    Failure::new(Fault::Internal, format!("the {what} cannot be sent over HTTP"))
}

fn read_body(response: Response<ureq::Body>) -> Received {
    if !marks::has_clear_end() {
        marks::shorten(DRAIN_TIME);
    }
    let mut reader = response.into_body().into_reader();
    let mut body = Vec::new();
    let mut piece = [0; PIECE];
    while body.len() < Answer::BODY_KEPT {
        let room = PIECE.min(Answer::BODY_KEPT - body.len());
        match reader.read(&mut piece[..room]) {
            Ok(0) => return Received { body, truncated: false, failure: None },
            Ok(count) => body.extend_from_slice(&piece[..count]),
            Err(error) => {
                let failure = Failure::from_ureq(error.into(), Phase::Receive);
                return Received { body, truncated: false, failure: Some(failure) };
            }
        }
    }
    Received { body, truncated: drain(&mut reader, &mut piece), failure: None }
}

/// Reads on to the body's end if little is left; returns whether there was more. Dropping the reader before its end
/// closes the connection.
fn drain(reader: &mut ureq::BodyReader<'static>, piece: &mut [u8]) -> bool {
    marks::shorten(DRAIN_TIME);
    let mut more = 0;
    while more < DRAIN_MOST {
        match reader.read(piece) {
            Ok(0) => return more > 0,
            Ok(count) => more += count,
            Err(_) => return true,
        }
    }
    true
}
