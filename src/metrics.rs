//! Metrics in Prometheus' format (text format 0.0.4).
//!
//! Hot paths only touch atomics here: every series is created at the start, so no label is looked up later and each
//! exists from 0. State that can be queried (queue, disk, senders) is passed in as a [`Snapshot`].
//!
//! Must not know who counts. Invariants: no label contains a company, a URL or an id, so the number of series is
//! fixed; names follow Prometheus' conventions (base units, `_total` on counters only).

use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

use crate::core::attempt::{Fault, Status};
use crate::core::time::Timestamp;

/// Upper bounds in seconds for disk operations.
const DISK: &[f64] =
    &[0.0001, 0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];
/// Upper bounds in seconds for attempts, which take at most 5 minutes.
const ATTEMPT: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 30.0, 60.0, 300.0];
/// Upper bounds in seconds from acceptance to delivery: from a local receiver to one that was down for days.
const DELIVERY: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3_600.0,
    14_400.0, 86_400.0, 259_200.0,
];
/// Outcomes of answered attempts, by class of status; the first is for invalid ones.
const CLASSES: [&str; 6] = ["http_other", "http_1xx", "http_2xx", "http_3xx", "http_4xx", "http_5xx"];
/// States of a delivery in the store's queue.
const QUEUE: [&str; 3] = ["pending", "retrying", "failed"];

/// The state at the time of a scrape.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// Deliveries that are pending, retrying and failed (dead letters).
    pub queue: [u64; 3],
    /// Waiting time of the oldest waiting delivery; `None` if it cannot be read.
    pub oldest_waiting: Option<Duration>,
    /// Maximum number of sender threads, and number of busy ones.
    pub senders: (usize, usize),
    /// Number of sender threads, idle ones included.
    pub senders_alive: usize,
    /// Number of subscriptions by state (`ok`, `slow`, `down`, `disabled`).
    pub subscriptions: [(&'static str, u64); 4],
    /// Size of the store's files, in bytes.
    pub store_bytes: u64,
    /// Free bytes on the data directory's file system, and the required minimum; `None` if there is no directory.
    pub disk: Option<(u64, u64)>,
    /// Bytes of unread responses and incomplete bodies, and their limit.
    pub memory: (u64, u64),
}

/// All metrics.
pub struct Metrics {
    registry: Registry,
    accepted: IntCounter,
    repeated: IntCounter,
    classes: Vec<IntCounter>,
    faults: Vec<IntCounter>,
    ended: Vec<IntCounter>,
    delivery: Histogram,
    attempt: Histogram,
    commit: Histogram,
    sync: Histogram,
    queue: IntGaugeVec,
    oldest: Gauge,
    threads: IntGauge,
    alive: IntGauge,
    busy: IntGauge,
    subscriptions: IntGaugeVec,
    store: IntGauge,
    free: IntGauge,
    least: IntGauge,
    memory: IntGauge,
    memory_limit: IntGauge,
    alerts: [IntCounter; 2],
}

impl Metrics {
    /// Creates all series, at 0. `started` is the process's start.
    ///
    /// # Errors
    /// An invalid series, which is a bug; the text names it.
    pub fn new(version: &str, started: Timestamp) -> Result<Self, String> {
        Self::made(version, started).map_err(|error| error.to_string())
    }

    fn made(version: &str, started: Timestamp) -> prometheus::Result<Self> {
        let registry = Registry::new();
        let make = Maker(&registry);
        make.labelled_gauge("hookswitch_build_info", "Always 1; the version is in the label.", "version")?
            .with_label_values(&[version])
            .set(1.0);
        make.gauge("process_start_time_seconds", "When the process started, in seconds since 1970.")?
            .set(millis(started.millis()));
        let attempts = make.counters("hookswitch_attempts_total", "Attempts that ended, by outcome.", "outcome")?;
        let ended = "Deliveries that ended, by state; cancelled ones are not counted.";
        let ended = make.counters("hookswitch_deliveries_ended_total", ended, "state")?;
        let repeats = "Events posted again with the same id, and not stored again.";
        let held = "Bytes of unread responses and incomplete bodies.";
        let untaken = "Attempts to post an alert that failed.";
        let oldest = "How long the oldest waiting delivery has waited; 0 if there is none.";
        let least = "Required free bytes on the data directory's file system ([store] min_free_bytes).";
        Ok(Self {
            accepted: make.counter("hookswitch_events_accepted_total", "Events that were accepted: on the disk.")?,
            repeated: make.counter("hookswitch_events_repeated_total", repeats)?,
            classes: CLASSES.iter().map(|class| attempts.with_label_values(&[class])).collect(),
            faults: Fault::ALL.iter().map(|fault| attempts.with_label_values(&[fault.as_str()])).collect(),
            ended: ENDS.iter().map(|status| ended.with_label_values(&[status.as_str()])).collect(),
            delivery: make.histogram(
                "hookswitch_delivery_latency_seconds",
                "From an event's acceptance to its delivery, of what was delivered; replays are left out.",
                DELIVERY,
            )?,
            attempt: make.histogram("hookswitch_attempt_duration_seconds", "How long attempts took.", ATTEMPT)?,
            commit: make.histogram(
                "hookswitch_commit_duration_seconds",
                "How long group commits took: deciding, writing, syncing.",
                DISK,
            )?,
            sync: make.histogram("hookswitch_fsync_duration_seconds", "How long the journal's syncs took.", DISK)?,
            queue: make.labelled(
                "hookswitch_queue_deliveries",
                "Deliveries in the queue of all daemons, by state.",
                "state",
            )?,
            oldest: make.gauge("hookswitch_oldest_waiting_seconds", oldest)?,
            threads: make
                .whole("hookswitch_sender_threads", "Maximum number of sender threads ([senders] threads).")?,
            alive: make.whole("hookswitch_sender_threads_alive", "Sender threads, idle ones included.")?,
            busy: make.whole("hookswitch_sender_threads_busy", "Sender threads in an attempt.")?,
            subscriptions: make.labelled(
                "hookswitch_subscriptions",
                "Subscriptions that this daemon sends for, by state.",
                "state",
            )?,
            store: make.whole("hookswitch_store_bytes", "Size of what is stored, of all daemons, in bytes.")?,
            free: make.whole("hookswitch_disk_free_bytes", "Free bytes on the data directory's file system.")?,
            least: make.whole("hookswitch_disk_min_free_bytes", least)?,
            memory: make.whole("hookswitch_client_memory_bytes", held)?,
            memory_limit: make
                .whole("hookswitch_client_memory_limit_bytes", "Limit of that memory ([limits] memory).")?,
            alerts: [
                make.counter("hookswitch_alerts_sent_total", "Alerts posted to [alerts] url and accepted.")?,
                make.counter("hookswitch_alert_failures_total", untaken)?,
            ],
            registry,
        })
    }

    /// A group commit is durable, with this many new and this many reposted events.
    pub fn committed(&self, accepted: u64, repeated: u64, took: Duration, synced: Option<Duration>) {
        self.accepted.inc_by(accepted);
        self.repeated.inc_by(repeated);
        if let Some(synced) = synced {
            self.commit.observe(took.as_secs_f64());
            self.sync.observe(synced.as_secs_f64());
        }
    }

    /// An attempt has ended, with a status code or a fault.
    pub fn attempted(&self, response: Option<u16>, error: Option<Fault>, took: Duration) {
        let by_class = |status: u16| self.classes.get(usize::from(status / 100)).or(self.classes.first());
        let by_fault = error.and_then(|fault| self.faults.get(fault as usize));
        if let Some(counter) = response.and_then(by_class).or(by_fault) {
            counter.inc();
        }
        self.attempt.observe(took.as_secs_f64());
    }

    /// A delivery has ended, `since` its event was accepted, unless meaningless (a replay).
    pub fn ended(&self, status: Status, since: Option<Duration>) {
        let place = ENDS.iter().position(|end| *end == status);
        if let Some(counter) = place.and_then(|place| self.ended.get(place)) {
            counter.inc();
        }
        if let Some(since) = since.filter(|_| status == Status::Delivered) {
            self.delivery.observe(since.as_secs_f64());
        }
    }

    /// An alert was posted, and `taken` or not.
    pub fn alerted(&self, taken: bool) {
        let [sent, failed] = &self.alerts;
        if taken { sent.inc() } else { failed.inc() }
    }

    /// Renders all metrics with the current state.
    ///
    /// # Errors
    /// They cannot be rendered, which is a bug.
    pub fn text(&self, now: &Snapshot) -> Result<String, String> {
        for (state, count) in QUEUE.iter().zip(now.queue) {
            self.queue.with_label_values(&[state]).set(whole(count));
        }
        for (state, count) in now.subscriptions {
            self.subscriptions.with_label_values(&[state]).set(whole(count));
        }
        self.oldest.set(now.oldest_waiting.map_or(f64::NAN, |waited| waited.as_secs_f64()));
        let (threads, busy) = now.senders;
        self.threads.set(whole(threads as u64));
        self.alive.set(whole(now.senders_alive as u64));
        self.busy.set(whole(busy as u64));
        self.store.set(whole(now.store_bytes));
        if let Some((free, least)) = now.disk {
            self.free.set(whole(free));
            self.least.set(whole(least));
        }
        self.memory.set(whole(now.memory.0));
        self.memory_limit.set(whole(now.memory.1));
        let mut families = self.registry.gather();
        families.retain(|family| now.disk.is_some() || !family.name().starts_with("hookswitch_disk_"));
        TextEncoder::new().encode_to_string(&families).map_err(|error| error.to_string())
    }
}

/// The states counted. Cancelling is done by hand, possibly for a million deliveries at once.
const ENDS: [Status; 3] = [Status::Delivered, Status::Failed, Status::Expired];

/// Prometheus' numbers are floats and signed; no value here comes near the limits.
fn whole(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn millis(millis: u64) -> f64 {
    Duration::from_millis(millis).as_secs_f64()
}

/// Creates and registers series.
struct Maker<'r>(&'r Registry);

impl Maker<'_> {
    fn registered<C: Collector + Clone + 'static>(&self, made: prometheus::Result<C>) -> prometheus::Result<C> {
        let made = made?;
        self.0.register(Box::new(made.clone()))?;
        Ok(made)
    }

    fn counter(&self, name: &str, help: &str) -> prometheus::Result<IntCounter> {
        self.registered(IntCounter::new(name, help))
    }

    fn counters(&self, name: &str, help: &str, label: &str) -> prometheus::Result<IntCounterVec> {
        self.registered(IntCounterVec::new(Opts::new(name, help), &[label]))
    }

    fn histogram(&self, name: &str, help: &str, bounds: &[f64]) -> prometheus::Result<Histogram> {
        self.registered(Histogram::with_opts(HistogramOpts::new(name, help).buckets(bounds.to_vec())))
    }

    fn gauge(&self, name: &str, help: &str) -> prometheus::Result<Gauge> {
        self.registered(Gauge::new(name, help))
    }

    fn whole(&self, name: &str, help: &str) -> prometheus::Result<IntGauge> {
        self.registered(IntGauge::new(name, help))
    }

    fn labelled(&self, name: &str, help: &str, label: &str) -> prometheus::Result<IntGaugeVec> {
        self.registered(IntGaugeVec::new(Opts::new(name, help), &[label]))
    }

    fn labelled_gauge(&self, name: &str, help: &str, label: &str) -> prometheus::Result<GaugeVec> {
        self.registered(GaugeVec::new(Opts::new(name, help), &[label]))
    }
}

#[cfg(test)]
mod tests;
