//! `GET /healthz` and `GET /readyz`: without a token, for monitoring.

use hyper::StatusCode;

use super::body::json_text;
use super::context::Services;
use super::problem::Problem;
use super::reply::Reply;

/// Alive: the response itself is the proof.
pub(super) fn alive() -> Reply {
    json_text(StatusCode::OK, r#"{"status":"ok"}"#)
}

/// Ready: if the daemon says so.
///
/// # Errors
/// 503 with the reason while it is not.
pub(super) fn ready(services: &Services) -> Result<Reply, Problem> {
    (services.ready)().map_err(|reason| Problem::unavailable(reason, 5))?;
    Ok(json_text(StatusCode::OK, r#"{"status":"ready"}"#))
}
