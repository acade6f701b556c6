//! Logs: attempts with request and response; the dead letters.

mod body;

use hyper::StatusCode;
use minijinja::value::merge_maps;
use minijinja::{Value, context};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::event_types::{title, titles};
use super::filters::Filters;
use super::named;
use super::problems;
use super::visit::Visit;
use crate::core::id::AttemptId;
use crate::http::log;
use crate::http::problem::Problem;
use crate::http::query::MAX_LIMIT;
use crate::http::reply::{Reply, json};
use crate::store::LogFilter;

const SECTION: &str = "logs";
/// The filters of the log: those in the form, and `delivery`, which entries link to.
const FILTERS: [&str; 12] = [
    "company",
    "domain",
    "subscription",
    "delivery",
    "event",
    "status",
    "response",
    "call",
    "phone",
    "since",
    "until",
    "test",
];
/// The filters of the dead letters.
const DEAD_FILTERS: [&str; 6] = ["company", "subscription", "event", "call", "since", "until"];

/// The list, newest first.
///
/// # Errors
/// Those of the API, except for invalid filters, which are shown in the form.
pub(super) async fn list(visit: &Visit) -> Result<Reply, Problem> {
    let filters = Filters::read(visit, &FILTERS);
    let attempts = attempts(visit, &filters, &[]).await?;
    let webhooks = webhooks(visit).await?;
    let problems = problems::of(visit);
    visit.page("logs.html", SECTION, context! { problems, ..merge_maps([webhooks, attempts]) })
}

/// A page of the log by the filters and these parameters, newest first, for this view and those with a part of it.
///
/// # Errors
/// Those of the API, except for invalid filters.
pub(super) async fn attempts(visit: &Visit, filters: &Filters, more: &[(&str, &str)]) -> Result<Value, Problem> {
    // Read first: entries added meanwhile count as new at the next check.
    let newest = newest_tag(visit).await?;
    let cursor = visit.parameter("cursor").map(|cursor| ("cursor", cursor));
    let found = visit.ask("/v1/log", filters.parameters().chain(more.iter().copied()).chain(cursor)).await;
    let (found, fault) = or_fault(found, context! { entries => Vec::<Value>::new(), next => Value::from(()) })?;
    let entries = found.get_attr("entries").unwrap_or_default();
    let (named, leads) = (named::webhooks(visit, &entries, "subscription"), named::leads(visit, &entries).await?);
    let paged = visit.parameter("cursor").is_some();
    Ok(context! { found, fault, newest, paged, named, leads, ..choices(visit, filters) })
}

/// The result, or `nothing` and the fault of the filters.
pub(super) fn or_fault(found: Result<Value, Problem>, nothing: Value) -> Result<(Value, Value), Problem> {
    match found {
        Ok(found) => Ok((found, Value::from(()))),
        Err(problem) if problem.status() == 422 => Ok((nothing, problem.detail().into())),
        Err(problem) => Err(problem),
    }
}

/// The form's values, and its choices other than webhooks.
fn choices(visit: &Visit, filters: &Filters) -> Value {
    let events = visit.services().catalogue.entries().iter();
    let events: Vec<Value> =
        events.map(|entry| context! { name => entry.name.as_str(), title => title(visit.texts(), entry) }).collect();
    context! {
        filters => filters.fields(), query => filters.query(), chosen => filters.len(), events, titles => titles(visit),
    }
}

/// The webhooks that can be chosen.
async fn webhooks(visit: &Visit) -> Result<Value, Problem> {
    let limit = MAX_LIMIT.to_string();
    let company = visit.company().map(|company| ("company", company));
    let found = visit.ask("/v1/subscriptions", company.into_iter().chain([("limit", limit.as_str())])).await?;
    let webhooks = found.get_attr("items").unwrap_or_default();
    let known: Vec<String> = named::attributes(&webhooks, "id").collect();
    Ok(context! { webhooks, known })
}

#[derive(Serialize)]
struct Newest {
    newest: String,
}

/// Whether the log has grown, for the list's script.
///
/// # Errors
/// 500 if the log cannot be read.
pub(super) async fn newest(visit: &Visit) -> Result<Reply, Problem> {
    json(StatusCode::OK, &Newest { newest: newest_tag(visit).await? })
}

/// Changes whenever the log grows. It reads only the newest entry, whatever the filters; as that may be another
/// company's, it is hashed.
///
/// # Errors
/// The log cannot be read.
pub(super) async fn newest_tag(visit: &Visit) -> Result<String, Problem> {
    let newest = log::page(visit, LogFilter::default(), None, 1).await?;
    let newest = newest.items.first().map_or(0, |entry| entry.id.bits());
    let hash = Sha256::digest(newest.to_be_bytes());
    Ok(hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect())
}

/// Everything that the filters match, as CSV.
///
/// # Errors
/// Those of the API.
pub(super) async fn export(visit: &Visit) -> Result<Reply, Problem> {
    visit.csv("/v1/log", Filters::read(visit, &FILTERS).parameters()).await
}

/// One entry with request and response.
///
/// # Errors
/// 404 if the visitor may not see one.
pub(super) async fn entry(visit: &Visit, id: AttemptId) -> Result<Reply, Problem> {
    let entry = visit.ask(&format!("/v1/log/{id}"), []).await?;
    let of = |holder: &str, name: &str| entry.get_attr(holder).and_then(|held| held.get_attr(name)).unwrap_or_default();
    let sent =
        of("request", "body").as_str().map(|text| body::readable(text, header(&of("request", "headers")).as_deref()));
    let answered = entry.get_attr("response_body").unwrap_or_default();
    let kind = header(&entry.get_attr("response_headers").unwrap_or_default());
    let answered = answered.as_str().map(|text| body::readable(text, kind.as_deref()));
    let event = entry.get_attr("event").unwrap_or_default();
    let titles = titles(visit);
    let title = titles.get_item(&event).ok().filter(|title| !title.is_undefined()).unwrap_or(event);
    let named = named::webhooks(visit, &Value::from(vec![entry.clone()]), "subscription");
    visit.page("log_entry.html", SECTION, context! { entry, sent, answered, title, named })
}

/// The value of the header `Content-Type` among `headers`.
fn header(headers: &Value) -> Option<String> {
    let named = |name: &Value| name.as_str().is_some_and(|name| name.eq_ignore_ascii_case("content-type"));
    let name = headers.try_iter().ok()?.find(named)?;
    headers.get_item(&name).ok()?.as_str().map(str::to_owned)
}

/// The dead letters, newest first.
///
/// # Errors
/// Those of the API, except for invalid filters.
pub(super) async fn dead_letters(visit: &Visit) -> Result<Reply, Problem> {
    let filters = Filters::read(visit, &DEAD_FILTERS);
    let cursor = visit.parameter("cursor").map(|cursor| ("cursor", cursor));
    let parameters = filters.parameters().chain([("state", "failed")]).chain(cursor);
    let found = visit.ask("/v1/deliveries", parameters).await;
    let (found, fault) = or_fault(found, context! { items => Vec::<Value>::new(), next => Value::from(()) })?;
    let (choices, webhooks) = (choices(visit, &filters), webhooks(visit).await?);
    let items = found.get_attr("items").unwrap_or_default();
    let (named, leads) = (named::webhooks(visit, &items, "subscription"), named::leads(visit, &items).await?);
    visit.page("dead_letters.html", SECTION, context! { found, fault, named, leads, ..merge_maps([webhooks, choices]) })
}
