//! Turns notices of other modules, and the state of the store, into inputs of the alert rules.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::clock::now;
use crate::alerts::rules::{Look, Sighting, Subject};
use crate::alerts::{AlertSink, AlertSource, Alerts, Destination, Target};
use crate::config::{AlertUrl, Config};
use crate::core::attempt::Status;
use crate::core::shards::Shard;
use crate::core::subscription::Subscription;
use crate::dispatch::{Listener, Notice};
use crate::mail::{Mailer, MailerHandle};
use crate::metrics::Metrics;
use crate::sender::TransportHandle;
use crate::store::{Health, Store, SubscriptionStatus};

/// Time limit of the operator's receiver.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Delay before an alert that could not be posted is posted again for the first time.
const ALERT_AGAIN: Duration = Duration::from_secs(5);

/// The two ways of alerts, each with rules of its own.
#[derive(Clone, Default)]
pub(super) struct Sinks {
    url: AlertSink,
    mail: AlertSink,
}

impl Sinks {
    pub(super) fn record(&self, sighting: Sighting) {
        self.url.record(sighting.clone());
        self.mail.record(sighting);
    }
}

/// The threads that send alerts.
pub(super) struct Alarms {
    url: Alerts,
    mail: Alerts,
    /// The mail server in force.
    mailer: MailerHandle,
}

impl Alarms {
    /// Starts them.
    ///
    /// # Errors
    /// A file cannot be used, or no thread can be started.
    pub(super) fn start(
        config: &Config,
        sinks: &Sinks,
        (store, transport, metrics): (Store, Arc<TransportHandle>, Arc<Metrics>),
    ) -> Result<Self, String> {
        let handle = MailerHandle::default();
        handle.exchange(mailer(config)?);
        let source = || source(store.clone(), transport.clone(), metrics.clone(), handle.clone());
        let no_thread = |error: std::io::Error| format!("no thread for alerts: {error}");
        let url = Alerts::start("alerts", &sinks.url, url_target(config), source(), seed()).map_err(no_thread)?;
        let mail =
            Alerts::start("alert-mails", &sinks.mail, mail_target(config), source(), seed()).map_err(no_thread)?;
        Ok(Self { url, mail, mailer: handle })
    }

    /// The mail server in force.
    pub(super) const fn mailer(&self) -> &MailerHandle {
        &self.mailer
    }

    /// Applies a configuration, with the mailer that was made of it.
    pub(super) fn aim(&self, config: &Config, mailer: Option<Mailer>) {
        self.mailer.exchange(mailer);
        self.url.aim(url_target(config));
        self.mail.aim(mail_target(config));
    }

    /// Sends what is due, and ends. Waits at most `limit`.
    pub(super) fn stop(self, limit: Duration) {
        let begun = Instant::now();
        self.url.stop(limit);
        self.mail.stop(limit.saturating_sub(begun.elapsed()));
    }
}

/// The configured mail server.
///
/// # Errors
/// A file with certificates cannot be used.
pub(super) fn mailer(config: &Config) -> Result<Option<Mailer>, String> {
    let mail = config.alerts.mail.as_ref();
    mail.map(|mail| Mailer::new(&mail.server, &mail.from, &config.network.extra_ca)).transpose()
}

fn url_target(config: &Config) -> Option<Target> {
    let AlertUrl { url, secret, preset } = config.alerts.url.clone()?;
    Some(Target { destination: Destination::Url { url, secret, preset }, backlog_age: config.alerts.backlog_age })
}

fn mail_target(config: &Config) -> Option<Target> {
    let to = config.alerts.mail.as_ref().map(|mail| mail.to.clone()).filter(|to| !to.is_empty())?;
    Some(Target { destination: Destination::Mail(to), backlog_age: config.alerts.backlog_age })
}

/// A value that differs between starts.
fn seed() -> u128 {
    let mut bytes = [0; 16];
    // Without kernel randomness an alert's id is still its time.
    let _ = getrandom::fill(&mut bytes);
    u128::from_le_bytes(bytes)
}

/// Forwards notices to `first`, and those that may raise an alert to `sinks`.
pub(super) fn listener(first: Listener, sinks: Sinks) -> Listener {
    Arc::new(move |notice| {
        first(notice);
        if let Some(sighting) = sighting(notice) {
            sinks.record(sighting);
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
fn source(store: Store, transport: Arc<TransportHandle>, metrics: Arc<Metrics>, mailer: MailerHandle) -> AlertSource {
    AlertSource {
        look: Box::new(move || look(&store)),
        post: Box::new(move |request| transport.get().post(None, request, Some(TIMEOUT))),
        mail: Box::new(move |letter| mailer.send(letter)),
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
