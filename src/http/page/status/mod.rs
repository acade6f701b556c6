//! Status: queue, receivers, machine.

use minijinja::{Value, context};

use super::named;
use super::problems;
use super::visit::Visit;
use crate::http::problem::Problem;
use crate::http::reply::Reply;

/// The figures of `/v1/stats`, and whether the daemon is ready.
///
/// # Errors
/// Those of the API.
pub(super) async fn show(visit: &Visit) -> Result<Reply, Problem> {
    let stats = visit.ask("/v1/stats", visit.chosen(&["company", "cursor"])).await?;
    let named = named::webhooks(visit, &stats.get_attr("subscriptions").unwrap_or_default(), "id");
    let trouble = (visit.services().ready)().err();
    let cluster = match visit.is_bound() {
        true => Value::UNDEFINED,
        false => visit.ask("/v1/cluster", []).await?,
    };
    visit.page("status.html", "status", context! { stats, trouble, cluster, named, problems => problems::of(visit) })
}
