//! `/v1/calls`: the calls of a lead or the newest ones, and one call with its timeline.

use hyper::StatusCode;
use serde::Serialize;

use super::access::Access;
use super::bridge;
use super::cursor::List;
use super::deliveries;
use super::events;
use super::log_entry::LogEntryJson;
use super::messages;
use super::problem::Problem;
use super::query;
use super::reply::{Reply, json};
use super::request::Permitted;
use super::shape::{Items, Text};
use crate::core::call::Summary;
use crate::core::event::{CallId, Company, Domain, EventType};
use crate::core::id::SubscriptionId;
use crate::core::subscription::{DisabledReason, Subscription};
use crate::core::time::Timestamp;
use crate::store::{CallFilter, CallStory, ShownConversation, Store, StoreError};

/// A call in a list.
#[derive(Serialize)]
struct CallJson<'c> {
    call: &'c str,
    company: &'c str,
    domain: Option<&'c str>,
    source: &'static str,
    phone: Option<&'c str>,
    name: Option<&'c str>,
    agent: Option<&'c str>,
    agent_name: Option<&'c str>,
    state: &'c str,
    outcome: Option<&'c str>,
    began: Text<Timestamp>,
    last: Text<Timestamp>,
    events: Vec<&'c str>,
}

fn shown(summary: &Summary) -> CallJson<'_> {
    CallJson {
        call: summary.call.as_str(),
        company: summary.company.as_str(),
        domain: summary.domain.as_ref().map(Domain::as_str),
        source: summary.source.as_str(),
        phone: summary.phone.as_deref(),
        name: summary.name.as_deref(),
        agent: summary.agent.as_deref(),
        agent_name: summary.agent_name.as_deref(),
        state: &summary.state,
        outcome: summary.outcome.as_deref(),
        began: Text(summary.began),
        last: Text(summary.last),
        events: summary.events.iter().map(EventType::as_str).collect(),
    }
}

/// Calls, latest first.
pub(super) async fn list(request: Permitted) -> Result<Reply, Problem> {
    let mut query = request.query();
    let mut filter = CallFilter {
        company: query.take("company", Company::parse),
        domain: query.take("domain", Domain::parse),
        phone: query.take_with_plus("phone", query::text),
        since: query.take_with_plus("since", Timestamp::parse),
        until: query.take_with_plus("until", Timestamp::parse),
    };
    let page = query.page(List::Calls);
    query.finish()?;
    filter.company = request.access.narrow(filter.company)?;
    filter.domain = request.access.narrow_domain(filter.domain)?;
    let read = move |store: &Store| store.calls(&filter, page.after, page.limit);
    let found = bridge::read(&request, read).await?;
    let items = found.items.iter().map(shown).collect();
    json(StatusCode::OK, &Items::of(items, List::Calls, found.next, found.scanned_until))
}

#[derive(Serialize)]
struct Whole<'c> {
    #[serde(flatten)]
    call: CallJson<'c>,
    subscriptions: Vec<Receiver<'c>>,
    timeline: Vec<Moment<'c>>,
    /// Whether the oldest entries were omitted.
    truncated: bool,
}

/// A subscription with deliveries of the call's events.
#[derive(Serialize)]
struct Receiver<'c> {
    subscription: Text<SubscriptionId>,
    /// `None` if it was deleted.
    url: Option<&'c str>,
    enabled: bool,
    disabled_reason: Option<&'static str>,
    deliveries: Vec<deliveries::DeliveryJson<'c>>,
}

/// An entry of the timeline.
#[derive(Serialize)]
struct Moment<'c> {
    at: Text<Timestamp>,
    #[serde(flatten)]
    what: What<'c>,
}

#[derive(Serialize)]
#[serde(tag = "kind", content = "of", rename_all = "lowercase")]
enum What<'c> {
    /// An event of the call.
    Event(events::EventJson<'c>),
    /// An SMS of the call.
    Message(messages::MessageJson<'c>),
    /// An attempt to deliver an event of the call, or the end of a delivery.
    Attempt(LogEntryJson<'c>),
}

/// The data read for a call.
struct Found {
    summary: Summary,
    story: CallStory,
}

/// A call with everything that happened to it, on one timeline.
pub(super) async fn show(request: Permitted, call: CallId) -> Result<Reply, Problem> {
    let mut query = request.query();
    let company = query.take("company", Company::parse);
    query.finish()?;
    let company = match request.access.narrow(company) {
        Ok(company) => company,
        // Another company's call does not exist for this token.
        Err(_) => return Err(none()),
    };
    let services = request.services();
    let company = match company {
        Some(company) => company,
        None => only_company(&request, call.clone()).await?,
    };
    let access = request.access.clone();
    let found = bridge::read(&request, move |store| find(store, &access, &company, &call)).await?.ok_or_else(none)?;
    let mut owners: Vec<SubscriptionId> = found.story.deliveries.iter().map(|delivery| delivery.subscription).collect();
    owners.sort_unstable();
    owners.dedup();
    let owners: Vec<_> = owners.into_iter().map(|id| (id, services.store.subscription(id))).collect();
    let receivers = owners.iter().map(|(id, subscription)| receiver(*id, subscription.as_deref(), &found)).collect();
    json(
        StatusCode::OK,
        &Whole {
            call: shown(&found.summary),
            subscriptions: receivers,
            timeline: timeline(&found)?,
            truncated: found.story.truncated,
        },
    )
}

fn none() -> Problem {
    Problem::not_found(
        "there is no call with this id, or what happened to it is no longer kept; one that has only SMS is found with ?company",
    )
}

/// The only company that has a call with this id, by its events.
async fn only_company(request: &Permitted, call: CallId) -> Result<Company, Problem> {
    let mut companies = bridge::read(request, move |store| store.companies_of_call(&call)).await?;
    match companies.len() {
        0 => Err(none()),
        1 => Ok(companies.remove(0)),
        _ => Err(Problem::invalid("?company", "is needed: several companies have a call with this id")),
    }
}

fn find(store: &Store, access: &Access, company: &Company, call: &CallId) -> Result<Option<Found>, StoreError> {
    let mut story = store.call_story(company, call)?;
    if let Some(webhooks) = access.webhooks(store) {
        let own = |domain: Option<&Domain>| access.sees(company, domain);
        story.events.retain(|event| own(event.domain.as_ref()));
        story.deliveries.retain(|delivery| webhooks.contains(&delivery.subscription));
        story.attempts.retain(|attempt| webhooks.contains(&attempt.subscription));
        if !story.thread.as_ref().is_some_and(|shown| own(shown.thread.domain.as_ref())) {
            (story.thread, story.messages) = (None, Vec::new());
        }
    }
    let summary = Summary::of(&story.events).or_else(|| {
        let ShownConversation { thread, last } = story.thread.as_ref()?;
        Some(Summary::of_thread(thread, last.as_ref()))
    });
    Ok(summary.map(|summary| Found { summary, story }))
}

fn receiver<'c>(id: SubscriptionId, subscription: Option<&'c Subscription>, found: &'c Found) -> Receiver<'c> {
    let deliveries = found.story.deliveries.iter().filter(|delivery| delivery.subscription == id);
    Receiver {
        subscription: Text(id),
        url: subscription.map(|subscription| subscription.url.as_str()),
        enabled: subscription.is_some_and(Subscription::enabled),
        disabled_reason: subscription.and_then(|subscription| subscription.disabled).map(DisabledReason::as_str),
        deliveries: deliveries.map(|delivery| deliveries::shown(delivery, None)).collect(),
    }
}

/// Everything in order of time; ties in causal order.
fn timeline(found: &Found) -> Result<Vec<Moment<'_>>, Problem> {
    let mut moments = Vec::new();
    // A message before the event that it raises.
    for message in &found.story.messages {
        moments.push(Moment { at: Text(message.sent_at), what: What::Message(messages::shown(message)) });
    }
    for event in &found.story.events {
        moments.push(Moment { at: Text(event.occurred_at), what: What::Event(events::shown(event)?) });
    }
    for attempt in &found.story.attempts {
        moments.push(Moment { at: Text(attempt.created), what: What::Attempt(LogEntryJson::of(attempt)) });
    }
    moments.sort_by_key(|moment| moment.at.0);
    Ok(moments)
}
