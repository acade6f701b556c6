//! Fallible responses: JSON of a value, and bodies counted in the memory budget.

use hyper::StatusCode;
use hyper::header::{HeaderValue, LOCATION};
use serde::Serialize;

use super::body::{Body, json_text, no_content};
use super::budget::Account;
use super::problem::Problem;

pub(super) use super::body::Reply;

/// A response whose body is counted.
///
/// # Errors
/// 503: the client has too much unread already.
pub(super) fn counted(mut reply: Reply, account: &Account) -> Result<Reply, Problem> {
    if let Body::Whole(text) = reply.body_mut() {
        *text = account.hold(std::mem::take(text))?;
    }
    Ok(reply)
}

/// A response with `value` as JSON.
///
/// # Errors
/// 500 if `value` cannot be serialised, which is an internal error.
pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Result<Reply, Problem> {
    let text = serde_json::to_vec(value).map_err(|_| Problem::internal())?;
    Ok(json_text(status, text))
}

/// `201 Created` of the resource at `location`.
///
/// # Errors
/// As [`json`].
pub(super) fn created(location: &str, value: &impl Serialize) -> Result<Reply, Problem> {
    let mut reply = json(StatusCode::CREATED, value)?;
    let location = HeaderValue::from_str(location).map_err(|_| Problem::internal())?;
    reply.headers_mut().insert(LOCATION, location);
    Ok(reply)
}

/// `303 See Other` to `location`, an ASCII path of the page.
pub(super) fn seen_other(location: &str) -> Reply {
    let mut reply = no_content();
    *reply.status_mut() = StatusCode::SEE_OTHER;
    let location = HeaderValue::from_str(location).unwrap_or(HeaderValue::from_static("/webhooks"));
    reply.headers_mut().insert(LOCATION, location);
    reply
}
