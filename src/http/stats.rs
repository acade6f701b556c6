//! `GET /v1/stats`: queue sizes, subscriptions, senders, machine.

use std::collections::{BTreeMap, HashMap};

use hyper::StatusCode;
use serde::Serialize;

use super::bridge::{self, Asker};
use super::context::{Flow, Flows};
use super::cursor::{self, List};
use super::fair_limit::Lane;
use super::problem::Problem;
use super::query::MAX_LIMIT;
use super::reply::{Reply, json};
use super::request::Permitted;
use super::shape::Text;
use crate::core::event::Company;
use crate::core::id::SubscriptionId;
use crate::core::subscription::DisabledReason;
use crate::core::time::Timestamp;
use crate::store::{DOWN, DiskSpace, Health, Store, SubscriptionFilter, SubscriptionStatus};

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
    /// The cursor of the next page of subscriptions.
    next: Option<String>,
    /// The latest [`UNSERVED_MOST`] of them.
    companies_without_webhook: Vec<Unserved>,
}

/// A company whose events match no subscription: usually a misspelt name.
#[derive(Serialize)]
struct Unserved {
    company: String,
    last_event: Text<Timestamp>,
}

/// Maximum companies without a webhook listed.
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
    /// Whether events are refused for lack of disk space.
    low: bool,
}

/// `[limits] memory`: responses not yet read, and bodies not yet complete.
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
    /// The time of the next probe, if the receiver is down.
    next_try: Option<Text<Timestamp>>,
    in_flight: u32,
    /// The current concurrency limit.
    window: u32,
}

impl<'s> Standing<'s> {
    fn of(status: &'s SubscriptionStatus, flow: Option<&Flow>) -> Self {
        let SubscriptionStatus { subscription, waiting, health } = status;
        let enabled = subscription.enabled();
        Self {
            id: Text(subscription.id),
            company: subscription.company.as_str(),
            url: &subscription.url,
            enabled,
            disabled_reason: subscription.disabled.map(DisabledReason::as_str),
            waiting: *waiting,
            state: if enabled { flow.map_or_else(|| unwatched(*health), |flow| flow.state) } else { "disabled" },
            failing_since: health.failing_since.map(Text),
            failures: health.failures,
            last_success: health.last_success.map(Text),
            next_try: flow.filter(|_| enabled).and_then(|flow| flow.next_try).map(Text),
            in_flight: flow.map_or(0, |flow| flow.in_flight),
            window: flow.map_or(0, |flow| flow.window),
        }
    }
}

/// The state of a subscription that another daemon sends for, as far as its attempts tell.
const fn unwatched(health: Health) -> &'static str {
    if health.failures >= DOWN { "down" } else { "ok" }
}

/// The live state of these subscriptions.
fn flows_of(flows: &Flows, statuses: &[SubscriptionStatus]) -> HashMap<SubscriptionId, Flow> {
    flows(statuses.iter().map(|status| status.subscription.id).collect())
}

/// A page of the subscriptions, and totals over all companies, which are omitted for a token bound to one company.
pub(super) async fn show(request: Permitted) -> Result<Reply, Problem> {
    let mut query = request.query();
    let company = query.take("company", Company::parse);
    let page = query.page_of(List::Standings, MAX_LIMIT);
    query.finish()?;
    let company = request.access.narrow(company)?;
    let all_companies = !request.access.is_bound();
    let services = request.services();
    let (flows, filter) = (services.flows.clone(), SubscriptionFilter { company: company.clone(), domain: None });
    let read = move |store: &Store| {
        let found = store.statuses_of(&filter, page.after.map(SubscriptionId::from_bits), page.limit);
        let flows = flows_of(&flows, &found.items);
        let oldest = if all_companies { store.oldest_waiting(|_| true)? } else { None };
        Ok((oldest, found, flows))
    };
    let (oldest, found, flows) = bridge::read_in(Lane::Control, &request, read).await?;
    let counts = services.store.counts();
    let senders = (services.senders)();
    let standings = found.items.iter().map(|status| Standing::of(status, flows.get(&status.subscription.id)));
    let is_meant = |other: &Company| company.as_ref().is_none_or(|company| company == other);
    let unserved = services.store.companies_without_webhook(is_meant).into_iter().take(UNSERVED_MOST);
    let unserved = unserved.map(|(company, at)| Unserved { company: company.to_string(), last_event: Text(at) });
    let disk = services.store.disk_space().filter(|_| all_companies);
    let disk = disk.map(|DiskSpace { free, least, low }| Disk { free_bytes: free, min_free_bytes: least, low });
    let memory = Memory { used_bytes: services.budget.used(), limit_bytes: services.budget.limit() };
    let queue = Queue { pending: counts.pending, retrying: counts.retrying, failed: counts.failed };
    let stats = Stats {
        version: env!("CARGO_PKG_VERSION"),
        queue: all_companies.then_some(queue),
        oldest_pending: all_companies.then_some(oldest.map(|(_, accepted)| Text(accepted))),
        senders: all_companies.then_some(Senders { busy: senders.busy, threads: senders.threads }),
        disk,
        memory: all_companies.then_some(memory),
        subscriptions: standings.collect(),
        next: found.next.map(|bits| cursor::write(List::Standings, bits)),
        companies_without_webhook: unserved.collect(),
    };
    json(StatusCode::OK, &stats)
}

/// The state of these subscriptions, by id, as in [`show`]: for the page, which has listed them already.
///
/// # Errors
/// 429 and 503 as [`bridge::read_in`].
pub(super) async fn standings(
    asker: &impl Asker,
    ids: Vec<SubscriptionId>,
) -> Result<BTreeMap<String, serde_json::Value>, Problem> {
    let flows = asker.context().services.flows.clone();
    let read = move |store: &Store| {
        let statuses: Vec<_> = ids.into_iter().filter_map(|id| store.status(id)).collect();
        let flows = flows_of(&flows, &statuses);
        let shown = |status: &SubscriptionStatus| {
            let id = status.subscription.id;
            serde_json::to_value(Standing::of(status, flows.get(&id))).map(|standing| (id.to_string(), standing))
        };
        Ok(statuses.iter().map(shown).collect::<Result<_, _>>())
    };
    let shown = bridge::read_in(Lane::Control, asker, read).await?;
    shown.map_err(|error| {
        tracing::error!("the state of subscriptions cannot be shown: {error}");
        Problem::internal()
    })
}
