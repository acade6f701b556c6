//! What webhooks and leads are called, for views of what has only their ids.
//!
//! Knows nothing about who may see what: a view asks only about what the API has shown its visitor. Invariant: one view
//! reads at most [`EVENTS`] events.

use std::collections::{BTreeMap, BTreeSet};

use minijinja::value::Serde;
use minijinja::{Value, context};
use serde::Serialize;

use super::visit::Visit;
use crate::core::call::Summary;
use crate::core::id::{EventId, SubscriptionId};
use crate::core::subscription::DisabledReason;
use crate::http::bridge;
use crate::http::problem::Problem;
use crate::store::Store;

/// The most events read for the leads of one view; the other rows show their call alone.
const EVENTS: usize = 100;

/// The webhooks that these items name in their attribute `name`, by id. Deleted ones are not among them.
pub(super) fn webhooks(visit: &Visit, items: &Value, name: &str) -> Value {
    let store = &visit.services().store;
    let ids: BTreeSet<String> = attributes(items, name).collect();
    let found = ids.into_iter().filter_map(|text| {
        let webhook = store.subscription(text.parse::<SubscriptionId>().ok()?)?;
        let shown = context! {
            name => webhook.description.as_str(), url => webhook.url.as_str(), enabled => webhook.enabled(),
            disabled_reason => webhook.disabled.map(DisabledReason::as_str),
        };
        Some((text, shown))
    });
    Value::from_pairs(found)
}

/// The text attributes `name` of `items`.
pub(super) fn attributes<'i>(items: &'i Value, name: &'i str) -> impl Iterator<Item = String> + 'i {
    let items = items.try_iter().into_iter().flatten();
    items.filter_map(move |item| item.get_attr(name).ok()?.as_str().map(str::to_owned))
}

/// The lead of an event's call, as far as the event says.
#[derive(Serialize)]
struct Lead {
    name: Option<String>,
    phone: Option<String>,
}

/// The leads of the events that these items name in `event_id`, by the event's id.
///
/// # Errors
/// The store cannot be read.
pub(super) async fn leads(visit: &Visit, items: &Value) -> Result<Value, Problem> {
    let ids: BTreeSet<EventId> = attributes(items, "event_id").filter_map(|text| text.parse().ok()).collect();
    if ids.is_empty() {
        return Ok(Value::from_pairs(std::iter::empty::<(String, Value)>()));
    }
    let read = move |store: &Store| {
        let mut found = BTreeMap::new();
        for id in ids.into_iter().rev().take(EVENTS) {
            let Some(event) = store.event(id)? else { continue };
            if let Some(Summary { name, phone, .. }) = Summary::of(&[event]) {
                found.insert(id.to_string(), Lead { name, phone });
            }
        }
        Ok(found)
    };
    Ok(Value::from(Serde(bridge::read(visit, read).await?)))
}
