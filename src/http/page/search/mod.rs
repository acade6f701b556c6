//! One search for everything: an id leads to what it names; a number, a name or the beginning of a call's id to calls; a
//! name or URL to webhooks.
//!
//! Invariant: besides what is found by an index, one search looks through the newest [`CALLS`] calls and says how far it got.

use minijinja::{Value, context};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::problems;
use super::visit::Visit;
use crate::core::id::{AttemptId, DeliveryId, EventId, SubscriptionId};
use crate::core::path::segment;
use crate::core::phone;
use crate::http::problem::Problem;
use crate::http::reply::{Reply, seen_other};
use crate::http::routes;
use crate::store::SubscriptionStatus;

/// Calls that are looked through for a part of a name or the end of a number.
const CALLS: usize = 500;
const PAGE: &str = "100";
/// Results of a kind that are shown.
const SHOWN: usize = 50;
/// The most characters searched for.
const MOST: usize = 200;

#[derive(Deserialize)]
struct Delivery {
    event_id: String,
}

#[derive(Deserialize)]
struct Calls {
    items: Vec<Value>,
    next: Option<String>,
}

/// What is found, or, for an id, the way to what it names.
///
/// # Errors
/// Those of the API.
pub(super) async fn show(visit: &Visit) -> Result<Reply, Problem> {
    let text: String = visit.parameter("q").unwrap_or_default().trim().chars().take(MOST).collect();
    if text.is_empty() {
        let nothing = Vec::<Value>::new();
        return visit.page(
            "search.html",
            "",
            context! { q => text, calls => nothing.clone(), webhooks => nothing, until => () },
        );
    }
    if let Some(path) = named(visit, &text).await? {
        return Ok(seen_other(&format!("{path}{}", visit.carried('?'))));
    }
    let mut calls = by_number(visit, &text).await?;
    let until = look_through(visit, &text, &mut calls).await?;
    calls.truncate(SHOWN);
    let webhooks = problems::statuses(visit).into_iter().filter(|one| one.matches(&text)).take(SHOWN);
    let webhooks: Vec<Value> = webhooks.map(|one| shown(&one)).collect();
    visit.page("search.html", "", context! { q => text, calls, webhooks, until })
}

fn shown(status: &SubscriptionStatus) -> Value {
    let one = &status.subscription;
    context! {
        id => one.id.to_string(), name => one.description.as_str(), url => one.url.as_str(),
        company => one.company.as_str(),
    }
}

/// The path of what `text` names exactly, if the visitor may see it.
async fn named(visit: &Visit, text: &str) -> Result<Option<String>, Problem> {
    let exists = async |path: String| match visit.ask_for::<IgnoredAny>(&path, []).await {
        Ok(_) => Ok(true),
        Err(problem) if problem.status() == 404 => Ok(false),
        Err(problem) => Err(problem),
    };
    if let Ok(id) = text.parse::<SubscriptionId>() {
        return Ok(exists(format!("/v1/subscriptions/{id}")).await?.then(|| format!("/webhooks/{id}")));
    }
    if let Ok(id) = text.parse::<EventId>() {
        return Ok(exists(format!("/v1/events/{id}")).await?.then(|| format!("/events/{id}")));
    }
    if let Ok(id) = text.parse::<AttemptId>() {
        return Ok(exists(format!("/v1/log/{id}")).await?.then(|| format!("/logs/{id}")));
    }
    if let Ok(id) = text.parse::<DeliveryId>() {
        return match visit.ask_for::<Delivery>(&format!("/v1/deliveries/{id}"), []).await {
            Ok(found) => Ok(Some(format!("/events/{}", found.event_id))),
            Err(problem) if problem.status() == 404 => Ok(None),
            Err(problem) => Err(problem),
        };
    }
    let path = format!("/v1/calls/{}", segment(text));
    if routes::find(&path).is_none() {
        return Ok(None);
    }
    let company = visit.company().map(|company| ("company", company));
    match visit.ask_for::<IgnoredAny>(&path, company).await {
        Ok(_) => Ok(Some(format!("/calls/{}", segment(text)))),
        // Several companies have one: they are listed.
        Err(problem) if matches!(problem.status(), 404 | 422) => Ok(None),
        Err(problem) => Err(problem),
    }
}

/// The calls of a whole phone number, however it is written.
async fn by_number(visit: &Visit, text: &str) -> Result<Vec<Value>, Problem> {
    let mut found = Vec::new();
    for number in phone::candidates(text, visit.region()) {
        let company = visit.company().map(|company| ("company", company));
        let more = company.into_iter().chain([("phone", number.as_str())]);
        let page: Calls = visit.ask_for("/v1/calls", more).await?;
        add(&mut found, page.items);
    }
    Ok(found)
}

/// Adds the newest calls that match; until when it has looked, if not through all.
async fn look_through(visit: &Visit, text: &str, found: &mut Vec<Value>) -> Result<Option<String>, Problem> {
    let (mut cursor, mut seen): (Option<String>, usize) = (None, 0);
    loop {
        let company = visit.company().map(|company| ("company", company));
        let cursor_now = cursor.as_deref().map(|cursor| ("cursor", cursor));
        let page: Calls =
            visit.ask_for("/v1/calls", company.into_iter().chain([("limit", PAGE)]).chain(cursor_now)).await?;
        let last = page.items.last().and_then(|call| member(call, "began"));
        seen += page.items.len().max(1);
        add(found, page.items.into_iter().filter(|call| is_meant(call, text)).collect());
        if page.next.is_none() {
            return Ok(None);
        }
        if seen >= CALLS || found.len() >= SHOWN {
            return Ok(last);
        }
        cursor = page.next;
    }
}

fn add(found: &mut Vec<Value>, more: Vec<Value>) {
    let key = |call: &Value| (member(call, "company"), member(call, "call"));
    for call in more {
        if !found.iter().any(|known| key(known) == key(&call)) {
            found.push(call);
        }
    }
}

fn member(call: &Value, name: &str) -> Option<String> {
    call.get_attr(name).ok()?.as_str().map(str::to_owned)
}

/// Whether `text` begins the call's id, is a part of the lead's or the agent's name, or ends the lead's number.
fn is_meant(call: &Value, text: &str) -> bool {
    let wanted = text.to_lowercase();
    let has = |name: &str| member(call, name).is_some_and(|value| value.to_lowercase().contains(&wanted));
    member(call, "call").is_some_and(|id| id.to_lowercase().starts_with(&wanted))
        || has("name")
        || has("agent_name")
        || member(call, "phone").is_some_and(|number| phone::ends_with(&number, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_meant_by_parts_of_names_and_by_beginnings_and_ends() {
        let call = context! { call => "Call-17", name => "Dana Whitfield", agent_name => (), phone => "+12025550119" };
        for text in ["call-1", "WHIT", "555-0119", "(202) 555-0119", "0119"] {
            assert!(is_meant(&call, text), "{text}");
        }
        for text in ["17", "Whitt", "119", "0118", "Dana 0119"] {
            assert!(!is_meant(&call, text), "{text}");
        }
    }
}
