//! `GET /v1/stats`: how much is owed, to whom, and how it goes.

use hyper::StatusCode;
use serde::Serialize;

use super::bridge;
use super::fair_limit::Lane;
use super::problem::Problem;
use super::reply::{Reply, json};
use super::request::Permitted;
use super::shape::Text;
use crate::core::id::SubscriptionId;
use crate::core::subscription::DisabledReason;
use crate::core::time::Timestamp;
use crate::store::{Room, Store};

#[derive(Serialize)]
struct Stats<'s> {
    version: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    queue: Option<Queue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest_pending: Option<Option<Text<Timestamp>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    senders: Option<Senders>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disk: Option<Disk>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory: Option<Memory>,
    subscriptions: Vec<Standing<'s>>,
    /// The latest [`UNSERVED_MOST`] of them.
    companies_without_webhook: Vec<Unserved>,
}

/// A company that posts events which nobody gets: mostly its name is misspelt somewhere.
#[derive(Serialize)]
struct Unserved {
    company: String,
    last_event: Text<Timestamp>,
}

/// How many companies without a webhook are told.
const UNSERVED_MOST: usize = 100;

#[derive(Serialize)]
struct Queue {
    pending: u64,
    retrying: u64,
    failed: u64,
}

#[derive(Serialize)]
struct Senders {
    busy: usize,
    threads: usize,
}

#[derive(Serialize)]
struct Disk {
    free_bytes: u64,
    min_free_bytes: u64,
    /// Whether events are refused for want of room.
    low: bool,
}

/// `[limits] memory`: what clients have not read, or not sent whole.
#[derive(Serialize)]
struct Memory {
    used_bytes: u64,
    limit_bytes: u64,
}

#[derive(Serialize)]
struct Standing<'s> {
    id: Text<SubscriptionId>,
    company: &'s str,
    url: &'s str,
    enabled: bool,
    disabled_reason: Option<&'static str>,
    waiting: u64,
    state: &'static str,
    failing_since: Option<Text<Timestamp>>,
    failures: u32,
    last_success: Option<Text<Timestamp>>,
    /// When the receiver is asked next, if it is down.
    next_try: Option<Text<Timestamp>>,
    in_flight: u32,
    /// How many attempts may be under way at present.
    window: u32,
}

/// Shows it. What is counted over all companies is left out for a token that is bound to one.
pub(super) async fn show(request: Permitted) -> Result<Reply, Problem> {
    request.no_query()?;
    let edge = request.edge();
    let flows = edge.flows.clone();
    let ask = move |store: &Store| Ok((store.oldest_waiting()?, flows()));
    let (oldest, flows) = bridge::read_in(Lane::Control, &request, ask).await?;
    let counts = edge.store.counts();
    let senders = (edge.senders)();
    let whole_house = !request.access.is_bound();
    let subscriptions = edge.store.subscriptions();
    let seen = subscriptions.iter().filter(|subscription| request.access.sees(&subscription.company));
    let standings = seen.map(|subscription| {
        let health = edge.store.health(subscription.id);
        let flow = flows.get(&subscription.id);
        let state = if subscription.enabled() { flow.map_or("ok", |flow| flow.state) } else { "disabled" };
        Standing {
            id: Text(subscription.id),
            company: subscription.company.as_str(),
            url: &subscription.url,
            enabled: subscription.enabled(),
            disabled_reason: subscription.disabled.map(DisabledReason::as_str),
            waiting: edge.store.waiting(subscription.id),
            failing_since: health.failing_since.map(Text),
            failures: health.failures,
            last_success: health.last_success.map(Text),
            state,
            next_try: flow.filter(|_| subscription.enabled()).and_then(|flow| flow.next_try).map(Text),
            in_flight: flow.map_or(0, |flow| flow.in_flight),
            window: flow.map_or(0, |flow| flow.window),
        }
    });
    let unserved = edge.store.companies_without_webhook(|company| request.access.sees(company)).into_iter();
    let unserved = unserved.take(UNSERVED_MOST);
    let unserved = unserved.map(|(company, at)| Unserved { company: company.to_string(), last_event: Text(at) });
    let Room { free, least, low } = edge.store.room();
    let disk = Disk { free_bytes: free, min_free_bytes: least, low };
    let memory = Memory { used_bytes: edge.budget.used(), limit_bytes: edge.budget.limit() };
    let queue = Queue { pending: counts.pending, retrying: counts.retrying, failed: counts.failed };
    let stats = Stats {
        version: env!("CARGO_PKG_VERSION"),
        queue: whole_house.then_some(queue),
        oldest_pending: whole_house.then_some(oldest.map(Text)),
        senders: whole_house.then_some(Senders { busy: senders.busy, threads: senders.threads }),
        disk: whole_house.then_some(disk),
        memory: whole_house.then_some(memory),
        subscriptions: standings.collect(),
        companies_without_webhook: unserved.collect(),
    };
    json(StatusCode::OK, &stats)
}
