//! Keys: the tokens of programs and people, and the sessions of the page.

use minijinja::context;

use super::visit::Visit;
use crate::http::problem::Problem;
use crate::http::query::MAX_LIMIT;
use crate::http::reply::Reply;

/// The list, the form of a new one, and who is signed in.
///
/// # Errors
/// 403 if the visitor may not see them.
pub(super) async fn show(visit: &Visit) -> Result<Reply, Problem> {
    let limit = MAX_LIMIT.to_string();
    let mut parameters = vec![("limit", limit.as_str())];
    parameters.extend(visit.chosen(&["company", "cursor"]));
    let found = visit.ask("/v1/tokens", parameters).await?;
    let company = visit.company().map(|company| ("company", company));
    let sessions = visit.ask("/v1/sessions", company.into_iter().chain([("limit", limit.as_str())])).await?;
    visit.page("keys.html", "keys", context! { found, sessions })
}
