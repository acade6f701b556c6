//! Activity: who changed what, and who looked at which secret.

use minijinja::{Value, context};

use super::filters::Filters;
use super::logs::or_fault;
use super::named;
use super::visit::Visit;
use crate::core::audit::Action;
use crate::http::problem::Problem;
use crate::http::reply::Reply;

const SECTION: &str = "activity";
const FILTERS: [&str; 6] = ["company", "actor", "action", "subscription", "since", "until"];

/// The newest entries of the audit, filtered.
///
/// # Errors
/// Those of the API, except for invalid filters, which are shown in the form.
pub(super) async fn list(visit: &Visit) -> Result<Reply, Problem> {
    let filters = Filters::read(visit, &FILTERS);
    let cursor = visit.parameter("cursor").map(|cursor| ("cursor", cursor));
    let found = visit.ask("/v1/audit", filters.parameters().chain(cursor)).await;
    let (found, fault) = or_fault(found, context! { items => Vec::<Value>::new(), next => Value::from(()) })?;
    let named = named::webhooks(visit, &found.get_attr("items").unwrap_or_default(), "subscription");
    let actions: Vec<&str> = Action::ALL.iter().map(|action| action.as_str()).collect();
    let values = context! {
        found, fault, actions, named, filters => filters.fields(), query => filters.query(), chosen => filters.len(),
    };
    visit.page("activity.html", SECTION, values)
}
