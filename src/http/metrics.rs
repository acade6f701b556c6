//! `GET /metrics`: what is measured, in Prometheus' text format 0.0.4.

use hyper::StatusCode;

use super::body::{Body, with_body};
use super::bridge::Share;
use super::context::RequestContext;
use super::fair_limit::{Lane, Principal};
use super::problem::Problem;
use super::reply::Reply;
use super::request::Permitted;

const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Shows it to a token. What is counted is counted over all companies, so not to one that is bound.
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

/// Shows it to this one.
///
/// # Errors
/// 500 if it cannot be written; 429 or 503 as for all that waits for its turn.
pub(super) async fn show(context: &RequestContext, principal: Principal) -> Result<Reply, Problem> {
    let measured = context.services.metrics.clone();
    let text = Share::of(context, Lane::Control, principal).run(move || measured()).await?.map_err(|error| {
        tracing::error!("a bug: what is measured cannot be shown: {error}");
        Problem::internal()
    })?;
    Ok(with_body(StatusCode::OK, TEXT, Body::Whole(text.into())))
}
