//! `POST /v1/subscriptions/{id}/copy`: the same webhook for further domains of its company.

use std::collections::BTreeSet;

use hyper::StatusCode;
use serde::Serialize;

use super::bridge;
use super::problem::Problem;
use super::reply::{Reply, json};
use super::request::{Document, Permitted};
use super::subscriptions;
use crate::core::event::Domain;
use crate::core::id::SubscriptionId;
use crate::core::invalid::{Invalid, pointer};
use crate::core::json as text;
use crate::core::report::{By, Part};
use crate::core::subscription_json::SubscriptionJson;
use crate::store::{ReportFilter, Store, StoreError};

/// The most domains at once.
const MOST: usize = 100;
/// The most domains of a company that are compared with.
const KNOWN: usize = 10_000;

#[derive(Serialize)]
struct Copied<'c> {
    items: Vec<SubscriptionJson<'c>>,
    /// The domains of which no event was posted yet, which may be misspelt.
    unseen: Vec<&'c str>,
}

/// Copies a webhook to the domains in the body: all its settings, and its secret.
pub(super) async fn copy(mut request: Permitted, id: SubscriptionId) -> Result<Reply, Problem> {
    request.no_query()?;
    let original = subscriptions::find(&request, id)?;
    let domains = domains(&request.json().await?)?;
    for domain in &domains {
        request.access.narrow_domain(Some(domain.clone()))?;
    }
    let filter = ReportFilter { company: Some(original.company.clone()), ..ReportFilter::default() };
    let known = bridge::read(&request, move |store| posted(store, &filter)).await?;
    let copied = domains.iter().cloned().collect();
    let made = bridge::written(|reply| request.acting().copy_subscription(id, copied, reply)).await?;
    let now = (request.services().clock)();
    let items = made.iter().map(|one| SubscriptionJson::of(one, 0, now)).collect();
    let unseen = |domain: &&Domain| known.as_ref().is_some_and(|known| !known.contains(*domain));
    let unseen = domains.iter().filter(unseen).map(Domain::as_str).collect();
    json(StatusCode::CREATED, &Copied { items, unseen })
}

/// The domains that events were posted for; `None` if there are too many to tell.
fn posted(store: &Store, filter: &ReportFilter) -> Result<Option<BTreeSet<Domain>>, StoreError> {
    let Some(report) = store.call_report(filter, By::Domain, KNOWN)? else { return Ok(None) };
    let named = report.parts.into_keys().filter_map(|part| match part {
        Part::Name(name) => name.and_then(|name| Domain::parse(&name).ok()),
        Part::Hour(_) | Part::Day(_) => None,
    });
    Ok(Some(named.collect()))
}

fn domains(document: &Document) -> Result<BTreeSet<Domain>, Problem> {
    let members = text::members(document.parse()?).map_err(|fault| Problem::invalid("", fault))?;
    let mut invalid = Invalid::default();
    if let Some(name) = text::first_duplicate(&members) {
        invalid.add(pointer(name), "is given twice");
    }
    let mut found = None;
    for (name, value) in &members {
        if name != "domains" {
            invalid.add(pointer(name), "is not a member here; there is: domains");
            continue;
        }
        let Some(items) = invalid.check("/domains", text::items(value)) else { continue };
        if items.is_empty() || items.len() > MOST {
            invalid.add("/domains", format!("must have 1 to {MOST} domains, not {}", items.len()));
        }
        let read = |(at, item)| {
            let read = text::string(item).and_then(|text| Domain::parse(&text));
            invalid.check(&format!("/domains/{at}"), read)
        };
        found = Some(items.into_iter().enumerate().filter_map(read).collect());
    }
    if !members.iter().any(|(name, _)| name == "domains") {
        invalid.add("/domains", "is missing: the domains to copy it to");
    }
    Ok(invalid.or(found)?)
}
