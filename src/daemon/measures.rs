//! Turns notices of other modules, and the state of the store, into metrics.

use std::sync::Arc;

use super::clock::now;
use crate::core::id::EventId;
use crate::dispatch::{Gauge, Listener, Notice, Tally};
use crate::http::Budget;
use crate::metrics::{Metrics, Snapshot};
use crate::store::{Committed, DiskSpace, Store};

/// Counts attempts and ended deliveries.
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

/// Counts accepted events, and times commits.
pub(super) fn of_commits(metrics: Arc<Metrics>) -> impl Fn(Committed) + Send + 'static {
    move |Committed { accepted, repeated, took, synced }| metrics.committed(accepted, repeated, took, synced)
}

/// Renders all metrics with the current state. Blocks on the disk.
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
    let oldest = store.oldest_waiting(|_| true).ok();
    Snapshot {
        queue: [counts.pending, counts.retrying, counts.failed],
        oldest_waiting: oldest.map(|oldest| oldest.map(|(_, oldest)| now().since(oldest)).unwrap_or_default()),
        senders: gauge.senders(),
        senders_alive: gauge.threads_alive(),
        subscriptions: states(gauge),
        store_bytes: store.file_bytes(),
        disk: store.disk_space().map(|DiskSpace { free, least, .. }| (free, least)),
        memory: (budget.used(), budget.limit()),
    }
}

/// Number of subscriptions by state, named as in `/v1/stats`.
fn states(gauge: &Gauge) -> [(&'static str, u64); 4] {
    let Tally { ok, slow, down, disabled } = gauge.tally();
    [("ok", ok), ("slow", slow), ("down", down), ("disabled", disabled)]
}
