//! Status: how much is owed, how it goes, and how the machine is.

use minijinja::context;

use super::visit::Visit;
use crate::http::problem::Problem;
use crate::http::reply::Reply;

/// The figures of `/v1/stats`, and whether the daemon can do its work.
///
/// # Errors
/// What the API refuses.
pub(super) async fn show(visit: &Visit) -> Result<Reply, Problem> {
    let stats = visit.ask("/v1/stats", visit.chosen(&["company", "cursor"])).await?;
    let trouble = (visit.services().ready)().err();
    visit.page("status.html", "status", context! { stats, trouble })
}
