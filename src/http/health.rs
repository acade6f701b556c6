//! `GET /healthz` and `GET /readyz`: without a token, for whoever watches the machine.

use hyper::StatusCode;

use super::edge::Edge;
use super::problem::Problem;
use super::reply::{Reply, json_text};
use super::routes::Resource;

/// Alive: whoever gets this answer knows it. Ready: if the daemon says so.
///
/// # Errors
/// 503 with the reason while the daemon is not ready.
pub(super) fn answer(edge: &Edge, resource: &Resource) -> Result<Reply, Problem> {
    if *resource == Resource::Ready {
        (edge.ready)().map_err(|reason| Problem::unavailable(reason, 5))?;
        return Ok(json_text(StatusCode::OK, r#"{"status":"ready"}"#));
    }
    Ok(json_text(StatusCode::OK, r#"{"status":"ok"}"#))
}
