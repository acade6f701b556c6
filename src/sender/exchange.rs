//! One HTTP exchange that is no attempt, by an agent of ureq: see [`fetch`](super::fetch).

use std::io::Read as _;
use std::time::Instant;

use ureq::Agent;
use ureq::http::{Method, Request, Response};

use super::attempt::Limits;
use super::failure::Failure;
use super::marks;
use crate::core::attempt::{Fault, Phase};

/// Sends `request` by an agent that keeps no connection, and reads its answer, of `most` bytes at most.
pub(super) fn exchange(
    lone: &Agent,
    request: Request<Vec<u8>>,
    limits: Limits,
    most: usize,
) -> Result<Response<Vec<u8>>, Failure> {
    let begin = Instant::now();
    marks::begin(begin, begin + limits.whole, limits.connect);
    let done = answered(lone, request, most);
    marks::end();
    done
}

fn answered(lone: &Agent, request: Request<Vec<u8>>, most: usize) -> Result<Response<Vec<u8>>, Failure> {
    let has_body = !matches!(*request.method(), Method::GET | Method::HEAD);
    let sent = if has_body { lone.run(request) } else { lone.run(request.map(drop)) };
    let response = sent.map_err(|error| Failure::from_ureq(error, marks::phase()))?;
    marks::enter(Phase::Receive);
    let (parts, body) = response.into_parts();
    let mut whole = Vec::new();
    let limit = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
    let read = body.into_reader().take(limit).read_to_end(&mut whole);
    read.map_err(|error| Failure::from_ureq(error.into(), Phase::Receive))?;
    if whole.len() > most {
        return Err(Failure::new(Fault::Protocol, format!("the answer has more than {} KiB", most / 1024)));
    }
    Ok(Response::from_parts(parts, whole))
}
