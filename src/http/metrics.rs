//! `GET /metrics`, in Prometheus' text format 0.0.4.

use hyper::StatusCode;

use super::body::{Body, with_body};
use super::bridge::Share;
use super::context::RequestContext;
use super::fair_limit::{Lane, Principal};
use super::problem::Problem;
use super::reply::Reply;
use super::request::Permitted;

const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// For a token. Metrics cover all companies, so bound tokens are refused.
///
/// # Errors
/// 403 for such a token, and as [`show`].
pub(super) async fn permitted(request: &Permitted) -> Result<Reply, Problem> {
    request.no_query()?;
    if request.access.is_bound() {
        return Err(Problem::forbidden("this shows all companies together, and this token is bound to one"));
    }
    show(&request.context, request.access.principal()).await
}

/// For `principal`.
///
/// # Errors
/// 500 if they cannot be rendered; 429 or 503 as for all blocking work.
pub(super) async fn show(context: &RequestContext, principal: Principal) -> Result<Reply, Problem> {
    let measured = context.services.metrics.clone();
    let text = Share::of(context, Lane::Control, principal).run(move || measured()).await?.map_err(|error| {
        tracing::error!("bug: the metrics cannot be rendered: {error}");
        Problem::internal()
    })?;
    Ok(with_body(StatusCode::OK, TEXT, Body::Whole(text.into())))
}
