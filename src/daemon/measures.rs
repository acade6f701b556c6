//! What the rooms tell of themselves, carried to what counts it.

use std::sync::Arc;

use super::now;
use crate::core::id::EventId;
use crate::dispatch::{Gauge, Listener, Notice};
use crate::http::Budget;
use crate::metrics::{Metrics, Snapshot};
use crate::store::{Committed, Room, Store};

/// Counts attempts and what becomes of deliveries.
pub(super) fn of_deliveries(metrics: Arc<Metrics>) -> Listener {
    Arc::new(move |notice| {
        let Notice::Ended(entry) = notice else { return };
        if entry.attempt > 0 {
            metrics.attempted(entry.response, entry.error, entry.duration);
        }
        let accepted = entry.event.filter(|_| !entry.replay).map(EventId::timestamp);
        metrics.ended(entry.status, accepted.map(|accepted| entry.created.since(accepted)));
    })
}

/// Counts what is accepted, and times the commits.
pub(super) fn of_commits(metrics: Arc<Metrics>) -> impl Fn(Committed) + Send + 'static {
    move |Committed { accepted, repeated, took, synced }| metrics.committed(accepted, repeated, took, synced)
}

/// Says all of it, with how things stand. Blocks on the disk and the dispatcher.
pub(super) fn text(
    metrics: Arc<Metrics>,
    store: Store,
    gauge: Gauge,
    budget: Budget,
) -> impl Fn() -> Result<String, String> + Send + Sync + 'static {
    move || metrics.text(&snapshot(&store, &gauge, &budget))
}

fn snapshot(store: &Store, gauge: &Gauge, budget: &Budget) -> Snapshot {
    let counts = store.counts();
    let Room { free, least, .. } = store.room();
    let oldest = store.oldest_waiting().ok();
    Snapshot {
        queue: [counts.pending, counts.retrying, counts.failed],
        oldest_waiting: oldest.map(|oldest| oldest.map(|oldest| now().since(oldest)).unwrap_or_default()),
        senders: gauge.senders(),
        subscriptions: states(store, gauge),
        store_bytes: store.file_bytes(),
        disk: (free, least),
        memory: (budget.used(), budget.limit()),
    }
}

/// How many subscriptions are in each state, as `/v1/stats` names them.
fn states(store: &Store, gauge: &Gauge) -> [(&'static str, u64); 4] {
    let mut states = [("ok", 0), ("slow", 0), ("down", 0), ("disabled", 0)];
    let standings = gauge.standings();
    for subscription in store.subscriptions() {
        let condition = standings.get(&subscription.id).map_or("ok", |standing| standing.condition.as_str());
        let state = if subscription.enabled() { condition } else { "disabled" };
        if let Some((_, count)) = states.iter_mut().find(|(name, _)| *name == state) {
            *count += 1;
        }
    }
    states
}
