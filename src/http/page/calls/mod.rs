//! Calls: those of a lead or the newest ones, and one call with its timeline and its SMS conversation.

use minijinja::value::Serde;
use minijinja::{Value, context};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::event_types::titles;
use super::filters::Filters;
use super::logs::or_fault;
use super::named;
use super::visit::Visit;
use crate::core::event::CallId;
use crate::core::json::pretty;
use crate::core::path::segment;
use crate::http::problem::Problem;
use crate::http::reply::{Reply, seen_other};
use crate::http::routes;

const SECTION: &str = "calls";
const FILTERS: [&str; 5] = ["company", "find", "domain", "since", "until"];

/// The newest calls, or those of the phone number searched for. If the search text is the id of a call, redirects to
/// it.
///
/// # Errors
/// Those of the API, except for invalid filters, which are shown in the form.
pub(super) async fn list(visit: &Visit) -> Result<Reply, Problem> {
    let filters = Filters::read(visit, &FILTERS);
    if let Some(id) = filters.get("find")
        && is_call(visit, id).await?
    {
        let company = visit.carried('?');
        return Ok(seen_other(&format!("/calls/{}{company}", segment(id))));
    }
    let found = match filters.get("find") {
        None => ask(visit, &filters, None).await,
        Some(phone) => {
            let found = ask(visit, &filters, Some(phone)).await;
            let bare = phone.replace([' ', '-', '(', ')', '.', '/'], "");
            let is_empty = found.as_ref().is_ok_and(|found| length(found, "items") == 0);
            if is_empty && bare != phone && !bare.is_empty() { ask(visit, &filters, Some(&bare)).await } else { found }
        }
    };
    let (found, fault) = or_fault(found, context! { items => Vec::<Value>::new(), next => Value::from(()) })?;
    let values = context! {
        found, fault, titles => titles(visit), filters => filters.fields(), query => filters.query(),
        chosen => filters.len(),
    };
    visit.page("calls.html", SECTION, values)
}

async fn ask(visit: &Visit, filters: &Filters, phone: Option<&str>) -> Result<Value, Problem> {
    let others = filters.parameters().filter(|(name, _)| *name != "find");
    let cursor = visit.parameter("cursor").map(|cursor| ("cursor", cursor));
    visit.ask("/v1/calls", others.chain(phone.map(|phone| ("phone", phone))).chain(cursor)).await
}

fn length(holder: &Value, name: &str) -> usize {
    holder.get_attr(name).ok().and_then(|items| items.len()).unwrap_or(0)
}

/// The company parameter, unless the token implies it.
fn company(visit: &Visit) -> Option<(&'static str, &str)> {
    visit.company().map(|company| ("company", company))
}

/// Whether there is a call with this id, possibly of several companies.
async fn is_call(visit: &Visit, id: &str) -> Result<bool, Problem> {
    let path = format!("/v1/calls/{}", segment(id));
    if routes::find(&path).is_none() {
        return Ok(false);
    }
    match visit.ask_for::<IgnoredAny>(&path, company(visit)).await {
        Ok(_) => Ok(true),
        // Several companies have one: its own view reports that.
        Err(problem) if problem.status() == 422 => Ok(true),
        Err(problem) if problem.status() == 404 => Ok(false),
        Err(problem) => Err(problem),
    }
}

/// The conversation of the call with this id, given as a path segment; `None` if there is none.
async fn thread(visit: &Visit, id: &str, company: &str) -> Result<Option<Value>, Problem> {
    let earlier = visit.parameter("messages").map(|cursor| ("cursor", cursor));
    let parameters = [("company", company)].into_iter().chain(earlier);
    match visit.ask(&format!("/v1/conversations/{id}"), parameters).await {
        Ok(thread) => Ok(Some(thread)),
        Err(problem) if problem.status() == 404 => Ok(None),
        Err(problem) => Err(problem),
    }
}

/// One call.
///
/// # Errors
/// 404 if the visitor may not see one; 422 if the company is missing.
pub(super) async fn one(visit: &Visit, id: &CallId) -> Result<Reply, Problem> {
    let path = segment(id.as_str());
    let call: Call = visit.ask_for(&format!("/v1/calls/{path}"), company(visit)).await?;
    let thread = thread(visit, &path, &call.company).await?;
    // Its SMS are shown separately, as a conversation.
    let entries = call.timeline.iter().filter(|moment| moment.kind != "message");
    let timeline = entries.map(moment).collect::<serde_json::Result<Vec<_>>>();
    let timeline = timeline.map_err(|_| Problem::internal())?;
    let attempts = timeline.iter().filter_map(|moment| moment.get_attr("of").ok()).collect::<Vec<_>>();
    let named: Vec<Value> = [Value::from(attempts), call.subscriptions.clone()]
        .iter()
        .flat_map(|items| items.try_iter().into_iter().flatten())
        .collect();
    let named = named::webhooks(visit, &Value::from(named), "subscription");
    let values = context! { call => Value::from(Serde(&call)), timeline, thread, titles => titles(visit), named };
    visit.page("call.html", SECTION, values)
}

/// A call as returned by the API.
#[derive(Deserialize, Serialize)]
struct Call {
    call: String,
    company: String,
    domain: Option<String>,
    source: String,
    phone: Option<String>,
    name: Option<String>,
    agent: Option<String>,
    agent_name: Option<String>,
    state: String,
    outcome: Option<String>,
    began: String,
    subscriptions: Value,
    truncated: bool,
    #[serde(skip_serializing)]
    timeline: Vec<Moment>,
}

#[derive(Deserialize)]
struct Moment {
    at: String,
    kind: String,
    of: Box<RawValue>,
}

#[derive(Deserialize)]
struct Event {
    id: String,
    r#type: String,
    /// As posted: numbers are not parsed.
    data: Box<RawValue>,
}

fn moment(moment: &Moment) -> serde_json::Result<Value> {
    let of = if moment.kind == "event" {
        let event: Event = serde_json::from_str(moment.of.get())?;
        context! { id => event.id, type => event.r#type, data => pretty(event.data.get()) }
    } else {
        serde_json::from_str(moment.of.get())?
    };
    Ok(context! { at => moment.at.as_str(), kind => moment.kind.as_str(), of })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_of_a_path_is_read_back_as_it_was() {
        assert_eq!(segment("c-1_é .."), "c-1_%C3%A9%20%2E%2E");
        for id in ["a b+c%2F?#\"<é>", "a/b\\", ".."] {
            assert_eq!(crate::http::path::segments(&format!("/calls/{}", segment(id))).unwrap()[1], id);
        }
    }
}
