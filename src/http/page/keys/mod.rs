//! Keys: the tokens of programs and people.

use minijinja::context;

use super::visit::Visit;
use crate::http::problem::Problem;
use crate::http::query::MAX_LIMIT;
use crate::http::reply::Reply;

/// The list, and the form of a new one.
///
/// # Errors
/// 403 if the visitor may not see them.
pub(super) async fn show(visit: &Visit) -> Result<Reply, Problem> {
    let limit = MAX_LIMIT.to_string();
    let mut parameters = vec![("limit", limit.as_str())];
    parameters.extend(visit.chosen(&["company", "cursor"]));
    let found = visit.ask("/v1/tokens", parameters).await?;
    visit.page("keys.html", "keys", context! { found })
}
