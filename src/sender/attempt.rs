//! One POST, from the request as a value to the report of what happened.
//!
//! Must not know deliveries, retries by the schedule, or the log. What always holds: an attempt ends
//! when its time is up; no more of an answer is held than is kept; a status that came is told even
//! if the rest of a long body did not.

use std::io::Read as _;
use std::time::{Duration, Instant};

use ureq::Agent;
use ureq::http::{HeaderName, HeaderValue, Request, Response, Uri};

use super::failure::Failure;
use super::marks;
use crate::core::attempt::{Answer, Fault, Outcome, Phase, Report};
use crate::core::request::Outgoing;

/// How much of a body beyond what is kept is read, so that the connection can be used again.
const DRAIN_MOST: usize = 64 * 1024;
/// How long that may take.
const DRAIN_TIME: Duration = Duration::from_millis(250);

/// How long an attempt may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// In all.
    pub(super) whole: Duration,
    /// For resolving and connecting.
    pub(super) connect: Duration,
}

/// Posts `request` to `target`, over a connection that `agent` kept or a new one. If one that was
/// kept turns out to have been closed by the receiver, the request goes out again at once over a
/// fresh one of `lone`, within the same time: the receiver may have closed it while the request
/// was on its way, and the phases reported are those of the second try.
pub(super) fn post(agent: &Agent, lone: &Agent, request: &Outgoing, target: &Uri, limits: Limits) -> Report {
    let begin = Instant::now();
    let deadline = begin + limits.whole;
    marks::begin(begin, deadline, limits.connect);
    let mut result = exchange(agent, request, target);
    let mut marks = marks::end();
    let died = matches!(&result, Err(failure) if failure.fault == Fault::Disconnected);
    let now = Instant::now();
    if died && now < deadline && marks.as_ref().is_some_and(|marks| !marks.fresh && marks.received == 0) {
        marks::begin(now, deadline, limits.connect);
        result = exchange(lone, request, target);
        marks = marks::end();
    }
    let outcome = match result {
        Ok(answer) => Outcome::Answered(answer),
        Err(Failure { fault, detail }) => Outcome::Failed { fault, detail },
    };
    Report {
        outcome,
        duration: begin.elapsed(),
        address: marks.as_ref().and_then(|marks| marks.address).map(|address| address.to_string()),
        phases: marks.map(|marks| marks.phases).unwrap_or_default(),
    }
}

fn exchange(agent: &Agent, request: &Outgoing, target: &Uri) -> Result<Answer, Failure> {
    let request = build(request, target)?;
    let response = agent.run(request).map_err(|error| Failure::from_ureq(error, marks::phase()))?;
    marks::enter(Phase::Receive);
    read_answer(response)
}

fn build<'a>(request: &'a Outgoing, target: &Uri) -> Result<Request<&'a [u8]>, Failure> {
    let ours = request.headers.iter().map(|(name, value)| (name, value.as_str()));
    let own = request.own_headers.iter().map(|header| (&header.name, header.value.expose()));
    let mut built = Request::post(target.clone()).body(request.body.as_slice()).map_err(|_| unsendable("URL"))?;
    for (name, value) in ours.chain(own) {
        let parsed = HeaderName::from_bytes(name.as_bytes()).ok().zip(HeaderValue::from_bytes(value.as_bytes()).ok());
        let (parsed, value) = parsed.ok_or_else(|| unsendable(&format!("header `{name}`")))?;
        built.headers_mut().append(parsed, value);
    }
    Ok(built)
}

/// What was to be checked before it came here was not; never shows a value.
fn unsendable(what: &str) -> Failure {
    Failure::new(Fault::Internal, format!("the {what} cannot be sent over HTTP"))
}

fn read_answer(response: Response<ureq::Body>) -> Result<Answer, Failure> {
    let (parts, body) = response.into_parts();
    let mut reader = body.into_reader();
    let mut kept = Vec::new();
    let mut piece = [0; Answer::BODY_KEPT];
    while kept.len() < Answer::BODY_KEPT {
        let room = Answer::BODY_KEPT - kept.len();
        match reader.read(&mut piece[..room]) {
            Ok(0) => break,
            Ok(count) => kept.extend_from_slice(&piece[..count]),
            Err(error) => return Err(Failure::from_ureq(error.into(), Phase::Receive)),
        }
    }
    let truncated = kept.len() == Answer::BODY_KEPT && drain(&mut reader, &mut piece);
    Ok(Answer { status: parts.status.as_u16(), headers: headers(&parts.headers), body: kept, truncated })
}

/// Reads on to the body's end, if it is near; whether there was more. Dropping the reader before its
/// end closes the connection.
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

/// Headers by which something is done: they are kept wherever they stand among the others.
const TELLING: [&str; 2] = ["retry-after", "location"];

fn headers(all: &ureq::http::HeaderMap) -> Vec<(String, String)> {
    let mut room = Answer::HEADERS_KEPT;
    let mut kept = Vec::with_capacity(all.len());
    let (first, others): (Vec<_>, Vec<_>) = all.iter().partition(|(name, _)| TELLING.contains(&name.as_str()));
    for (name, value) in first.into_iter().chain(others) {
        let value = String::from_utf8_lossy(value.as_bytes());
        let Some(left) = room.checked_sub(name.as_str().len() + value.len()) else { break };
        room = left;
        kept.push((name.as_str().to_owned(), value.into_owned()));
    }
    kept
}
