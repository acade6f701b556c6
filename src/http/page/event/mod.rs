//! One event: what was posted, whom it was delivered to, and every attempt.

use minijinja::value::{Serde, merge_maps};
use minijinja::{Value, context};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::event_types::titles;
use super::filters::Filters;
use super::visit::Visit;
use super::{logs, named};
use crate::core::id::EventId;
use crate::core::json::pretty;
use crate::http::problem::Problem;
use crate::http::reply::Reply;

/// An event as returned by the API.
#[derive(Deserialize, Serialize)]
struct Event {
    id: String,
    r#type: String,
    company: String,
    domain: Option<String>,
    source: String,
    occurred_at: String,
    accepted_at: String,
    producer_id: Option<String>,
    /// As posted: numbers are not parsed.
    #[serde(skip_serializing)]
    data: Box<RawValue>,
    deliveries: Value,
}

#[derive(Deserialize)]
struct Named {
    call_id: Option<String>,
}

/// The event.
///
/// # Errors
/// 404 if the visitor may not see it.
pub(super) async fn one(visit: &Visit, id: EventId) -> Result<Reply, Problem> {
    let text = id.to_string();
    let event: Event = visit.ask_for(&format!("/v1/events/{id}"), []).await?;
    let filters = Filters::read(visit, &[]);
    let attempts = logs::attempts(visit, &filters, &[("event_id", &text)]).await?;
    let receivers = named::webhooks(visit, &event.deliveries, "subscription");
    let call = serde_json::from_str::<Named>(event.data.get()).ok().and_then(|named| named.call_id);
    let own = context! { event_id => text, call, company => event.company.as_str() };
    let leads = named::leads(visit, &Value::from(vec![own.clone()])).await?;
    let values = context! {
        receivers, own, own_leads => leads, data => pretty(event.data.get()), titles => titles(visit),
        event => Value::from(Serde(&event)),
    };
    visit.page("event.html", "logs", merge_maps([values, attempts]))
}
