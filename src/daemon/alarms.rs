//! Turns notices of other modules, and the state of the store, into inputs of the alert rules.

use std::sync::Arc;
use std::time::Duration;

use super::clock::now;
use crate::alerts::rules::{Look, Sighting, Subject};
use crate::alerts::{AlertSink, AlertSource, Target};
use crate::config::Config;
use crate::core::attempt::Status;
use crate::core::shards::Shard;
use crate::core::subscription::Subscription;
use crate::dispatch::{Listener, Notice};
use crate::metrics::Metrics;
use crate::sender::TransportHandle;
use crate::store::{Health, Store, SubscriptionStatus};

/// Time limit of the operator's receiver.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Delay before an alert that could not be posted is posted again for the first time.
const ALERT_AGAIN: Duration = Duration::from_secs(5);

/// The configured target of alerts.
pub(super) fn target(config: &Config) -> Option<Target> {
    let alerts = config.alerts.clone()?;
    Some(Target { url: alerts.url, secret: alerts.secret, backlog_age: alerts.backlog_age })
}

/// A value that differs between starts.
pub(super) fn seed() -> u128 {
    let mut bytes = [0; 16];
    // Without kernel randomness an alert's id is still its time.
    let _ = getrandom::fill(&mut bytes);
    u128::from_le_bytes(bytes)
}

/// Forwards notices to `first`, and those that may raise an alert to `sink`.
pub(super) fn listener(first: Listener, sink: AlertSink) -> Listener {
    Arc::new(move |notice| {
        first(notice);
        if let Some(sighting) = sighting(notice) {
            sink.record(sighting);
        }
    })
}

fn sighting(notice: Notice<'_>) -> Option<Sighting> {
    Some(match notice {
        Notice::Ended(entry) if entry.status == Status::Failed => Sighting::DeadLetter(entry.subscription),
        Notice::Ended(_) => return None,
        Notice::Down { subscription, failures, since, waiting } => {
            let health = Health { failures, failing_since: since, ..Health::default() };
            Sighting::Down(subject(subscription, health, waiting))
        }
        Notice::Back { subscription, waiting } => Sighting::Back(subject(subscription, Health::default(), waiting)),
        Notice::Disabled { subscription, reason, waiting } => {
            Sighting::Disabled(subject(subscription, Health::default(), waiting), reason.as_str())
        }
        Notice::Settled(id) => Sighting::Settled(id),
        Notice::Unreadable(detail) => Sighting::Trouble(detail.to_owned(), false),
    })
}

fn subject(subscription: &Subscription, health: Health, waiting: u64) -> Subject {
    Subject {
        id: subscription.id,
        company: subscription.company.as_str().to_owned(),
        url: subscription.url.clone(),
        waiting,
        failures: health.failures,
        since: health.failing_since,
    }
}

/// How the alert thread reads the state and posts.
pub(super) fn source(store: Store, transport: Arc<TransportHandle>, metrics: Arc<Metrics>) -> AlertSource {
    AlertSource {
        look: Box::new(move || look(&store)),
        post: Box::new(move |request| transport.get().post(None, request, Some(TIMEOUT))),
        posted: Box::new(move |taken| metrics.alerted(taken)),
        clock: Box::new(now),
        again_first: ALERT_AGAIN,
    }
}

fn look(store: &Store) -> Look {
    let (now, room) = (now(), store.disk_space());
    let failing = |SubscriptionStatus { subscription, waiting, health }| {
        let length = health.failing_since.map(|since| now.since(since))?;
        Some((subject(&subscription, health, waiting), length))
    };
    // Of several daemons each speaks of the subscriptions that it sends for, and one of what concerns all.
    let own = store.ownership().shards;
    let all_failing = store.statuses(|subscription, health| {
        subscription.enabled() && health.failing_since.is_some() && own.has(subscription.number)
    });
    // An unreadable store is reported when something is to be sent.
    let oldest = own.contains(Shard::LEADING).then(|| store.oldest_waiting(Subscription::enabled));
    let oldest = oldest.transpose().unwrap_or_default().flatten();
    Look {
        disk: room.map(|room| (room.free, room.least)).unwrap_or_default(),
        disk_low: room.is_some_and(|room| room.low),
        dead_letters: store.counts().failed,
        failing: all_failing.into_iter().filter_map(failing).collect(),
        oldest: oldest.map(|(subscription, accepted)| {
            let (health, waiting) = (store.health(subscription.id), store.waiting(subscription.id));
            (subject(&subscription, health, waiting), accepted, now.since(accepted))
        }),
    }
}
