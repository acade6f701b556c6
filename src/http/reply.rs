//! Answers that can fail to be made: JSON of a value, and what is counted in the budget of memory.

use hyper::StatusCode;
use hyper::header::{HeaderValue, LOCATION};
use serde::Serialize;

use super::body::{Body, json_text, no_content};
use super::budget::Account;
use super::problem::Problem;

pub(super) use super::body::Reply;

/// An answer whose body is counted.
///
/// # Errors
/// 503: its client has not read too much already.
pub(super) fn counted(mut reply: Reply, account: &Account) -> Result<Reply, Problem> {
    if let Body::Whole(text) = reply.body_mut() {
        *text = account.hold(std::mem::take(text))?;
    }
    Ok(reply)
}

/// An answer that shows `value`.
///
/// # Errors
/// 500 if `value` cannot be written as JSON, which is a fault of ours.
pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Result<Reply, Problem> {
    let text = serde_json::to_vec(value).map_err(|_| Problem::internal())?;
    Ok(json_text(status, text))
}

/// `201 Created` of what stands at `location`.
///
/// # Errors
/// As [`json`].
pub(super) fn created(location: &str, value: &impl Serialize) -> Result<Reply, Problem> {
    let mut reply = json(StatusCode::CREATED, value)?;
    let location = HeaderValue::from_str(location).map_err(|_| Problem::internal())?;
    reply.headers_mut().insert(LOCATION, location);
    Ok(reply)
}

/// `303 See Other`: what is wanted stands at `place`, a path of the page with nothing but ASCII in it.
pub(super) fn seen_other(place: &str) -> Reply {
    let mut reply = no_content();
    *reply.status_mut() = StatusCode::SEE_OTHER;
    let place = HeaderValue::from_str(place).unwrap_or(HeaderValue::from_static("/webhooks"));
    reply.headers_mut().insert(LOCATION, place);
    reply
}
