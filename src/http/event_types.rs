//! `/v1/event-types`: the event types, with sample and schema.

use hyper::StatusCode;
use serde::Serialize;
use serde_json::value::RawValue;

use super::cursor::{self, List};
use super::problem::Problem;
use super::reply::{Reply, json};
use super::request::Permitted;
use super::shape::Items;
use crate::core::catalogue::{Catalogue, Entry};
use crate::core::text::excerpt;

#[derive(Serialize)]
struct EventTypeJson<'e> {
    name: &'e str,
    title: &'e str,
    description: &'e str,
    sample: &'e RawValue,
    schema: serde_json::Value,
}

fn shown<'e>(catalogue: &Catalogue, entry: &'e Entry) -> Result<EventTypeJson<'e>, Problem> {
    // The catalogue only accepts samples that are JSON.
    let sample = serde_json::from_str(&entry.sample).map_err(|_| Problem::internal())?;
    let (title, description) = (entry.title.as_str(), entry.description.as_str());
    Ok(EventTypeJson { name: entry.name.as_str(), title, description, sample, schema: catalogue.schema(entry) })
}

/// The message for an unknown `name`, with the valid ones.
fn no_such(catalogue: &Catalogue, name: &str) -> String {
    let names: Vec<&str> = catalogue.entries().iter().map(|entry| entry.name.as_str()).collect();
    format!("there is no event type `{}`; there are: {}", excerpt(name), names.join(", "))
}

/// All of them, in the order of a call. A cursor is the number of types on the previous pages.
pub(super) fn list(request: &Permitted) -> Result<Reply, Problem> {
    let mut query = request.query();
    let page = query.page(List::EventTypes);
    query.finish()?;
    let catalogue = &request.services().catalogue;
    let before = page.after.map_or(0, |after| usize::try_from(after).unwrap_or(usize::MAX));
    let rest = catalogue.entries().get(before..).unwrap_or_default();
    let items = rest.iter().take(page.limit).map(|entry| shown(catalogue, entry)).collect::<Result<Vec<_>, _>>()?;
    let next = (rest.len() > items.len()).then(|| cursor::write(List::EventTypes, (before + items.len()) as u128));
    json(StatusCode::OK, &Items { items, next, scanned_until: None })
}

pub(super) fn show(request: &Permitted, name: &str) -> Result<Reply, Problem> {
    request.no_query()?;
    let catalogue = &request.services().catalogue;
    let entry = catalogue.get(name).ok_or_else(|| Problem::not_found(no_such(catalogue, name)))?;
    json(StatusCode::OK, &shown(catalogue, entry)?)
}
