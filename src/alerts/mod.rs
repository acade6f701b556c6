//! Alerts: posts to `[alerts] url`, and mails to `mail_to`, what needs the operator's attention.
//!
//! [`rules`] decides which alerts are due, without I/O; [`payload`] and [`letter`] format them. Each of the two ways has
//! rules and a thread of its own, so neither waits for the other. The thread receives
//! events ([`AlertSink::record`]), reads the state at intervals ([`AlertSource`]), and posts one alert at a time. It
//! must not know the store or the sender.
//!
//! Invariants:
//! - Nothing waits for an alert: [`AlertSink::record`] takes a short lock and does no I/O.
//! - Memory is bounded: the latest state replaces the previous one, and one alert is in flight at a time.
//! - An alert is not a delivery: it is in no queue and no receiver's log, and one that cannot be posted raises no
//!   further alert. That is logged on standard error.
//! - Mails to the owners of webhooks are [`owners`]' alone.
//! - Without a target the thread sleeps and nothing is kept.

mod letter;
pub mod owners;
mod payload;
pub mod rules;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::core::alert_preset::AlertPreset;
use crate::core::attempt::{Outcome, Report};
use crate::core::id::{AlertId, IdSource};
use crate::core::mail_address::MailAddress;
use crate::core::request::Outgoing;
use crate::core::subscription::Secret;
use crate::core::success::SuccessRule;
use crate::core::time::Timestamp;

use crate::mail::Post;

use self::rules::{AlertContent, AlertRules, Look, Sighting};

/// Maximum interval of reading the state.
const LOOK_EVERY: Duration = Duration::from_secs(15);
/// Maximum delay before posting again.
const AGAIN_MOST: Duration = Duration::from_secs(300);
/// An alert that cannot be posted is given up after this time: it is outdated.
const GIVEN_UP: Duration = Duration::from_secs(3600);
/// Maximum alerts posted when stopping.
const LAST_ONES: usize = 4;

/// The target of alerts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Where they go.
    pub destination: Destination,
    /// Waiting time of the oldest delivery that raises an alert.
    pub backlog_age: Duration,
}

/// Where alerts go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// To a URL.
    Url {
        /// The URL that they are posted to.
        url: String,
        /// The signing secret; services with a preset check none.
        secret: Option<Secret>,
        /// The service, if it wants a format of its own.
        preset: Option<AlertPreset>,
    },
    /// To these addresses.
    Mail(Vec<MailAddress>),
}

impl Destination {
    /// The key of the configuration to look at when it fails.
    const fn key(&self) -> &'static str {
        match self {
            Self::Url { .. } => "url",
            Self::Mail(_) => "smtp_url",
        }
    }
}

/// Callbacks into other modules. All of them may block.
pub struct AlertSource {
    /// Reads the state.
    pub look: Box<dyn Fn() -> Look + Send>,
    /// Posts a request.
    pub post: Box<dyn Fn(&Outgoing) -> Report + Send>,
    /// Sends a mail.
    pub mail: Post,
    /// Notified whether an alert was accepted.
    pub posted: Box<dyn Fn(bool) + Send>,
    /// The wall clock.
    pub clock: Box<dyn Fn() -> Timestamp + Send>,
    /// The delay after a first failure; it doubles with each further one. 5 s is a good value.
    pub again_first: Duration,
}

/// The running thread.
pub struct Alerts {
    shared: Arc<Shared>,
    ended: Receiver<()>,
}

/// Receives events that may raise alerts; cheap to clone.
#[derive(Clone)]
pub struct AlertSink(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    target: Option<Target>,
    rules: AlertRules,
    stopping: bool,
    /// Whether there are events that the thread has not seen.
    pending: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        change(&mut state);
        state.pending = true;
        drop(state);
        self.changed.notify_one();
    }
}

impl AlertSink {
    /// Adds an event. Does not block.
    pub fn record(&self, sighting: Sighting) {
        self.0.tell(|state| {
            if state.target.is_some() {
                state.rules.record(sighting);
            }
        });
    }
}

impl Default for AlertSink {
    /// A sink without a thread; [`Alerts::start`] connects it.
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl Alerts {
    /// Starts the thread, which processes the events of `sink`.
    ///
    /// # Errors
    /// No thread can be created.
    pub fn start(
        name: &str,
        sink: &AlertSink,
        target: Option<Target>,
        source: AlertSource,
        random: u128,
    ) -> std::io::Result<Self> {
        let (done, ended) = mpsc::channel();
        sink.0.lock().target = target;
        let shared = sink.0.clone();
        let poster = Poster { shared: shared.clone(), source, ids: IdSource::after(0), random, begun: Instant::now() };
        std::thread::Builder::new().name(name.to_owned()).spawn(move || poster.run(&done))?;
        Ok(Self { shared, ended })
    }

    /// Sets the target of alerts, or none.
    pub fn aim(&self, target: Option<Target>) {
        self.shared.tell(|state| {
            if target.is_none() {
                state.rules = AlertRules::default();
            }
            state.target = target;
        });
    }

    /// Posts due alerts once, and ends. Waits at most `limit`.
    pub fn stop(self, limit: Duration) {
        self.shared.tell(|state| state.stopping = true);
        // A thread that still waits for its receiver ends with the process.
        let _ = self.ended.recv_timeout(limit);
    }
}

/// An alert not yet accepted.
struct Posting {
    id: AlertId,
    content: AlertContent,
    made: Instant,
    next: Instant,
    failures: u32,
}

/// The state of the thread.
struct Poster {
    shared: Arc<Shared>,
    source: AlertSource,
    ids: IdSource,
    random: u128,
    begun: Instant,
}

impl Poster {
    fn run(mut self, done: &Sender<()>) {
        let worked = catch_unwind(AssertUnwindSafe(|| self.work()));
        if worked.is_err() {
            tracing::error!("bug: the alerts thread panicked; no more alerts are sent, deliveries continue");
        }
        // The waiting thread may be gone.
        let _ = done.send(());
    }

    fn work(&mut self) {
        let mut posting: Option<Posting> = None;
        let mut look_at = Instant::now();
        loop {
            let Some(target) = self.wait(posting.as_ref(), look_at) else {
                return self.last_words(posting);
            };
            if Instant::now() >= look_at {
                let look = (self.source.look)();
                self.shared.lock().rules.look(look, target.backlog_age);
                look_at = Instant::now() + LOOK_EVERY.min(target.backlog_age);
            }
            posting = posting.or_else(|| self.next());
            if let Some(alert) = posting.take_if(|alert| alert.next <= Instant::now()) {
                posting = self.post(alert, &target);
            }
        }
    }

    /// Waits until there may be something to do; `None` to end.
    fn wait(&self, posting: Option<&Posting>, look_at: Instant) -> Option<Target> {
        let mut state = self.shared.lock();
        loop {
            if state.stopping {
                return None;
            }
            let now = Instant::now();
            let wake = match (&state.target, posting) {
                (None, _) => None,
                (Some(_), Some(alert)) => Some(look_at.min(alert.next)),
                (Some(_), None) => {
                    let free = state.rules.wake(now.duration_since(self.begun)).map(|at| self.begun + at);
                    Some(free.map_or(look_at, |free| look_at.min(free)))
                }
            };
            if let (Some(target), true) = (&state.target, wake.is_some_and(|wake| wake <= now)) {
                let target = target.clone();
                state.pending = false;
                return Some(target);
            }
            state.pending = false;
            state = match wake {
                Some(wake) => {
                    let (state, _) = self
                        .shared
                        .changed
                        .wait_timeout_while(state, wake.saturating_duration_since(now), |state| !state.pending)
                        .unwrap_or_else(PoisonError::into_inner);
                    state
                }
                None => self
                    .shared
                    .changed
                    .wait_while(state, |state| !state.pending)
                    .unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    fn next(&mut self) -> Option<Posting> {
        let now = self.begun.elapsed();
        let content = self.shared.lock().rules.next(now)?;
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let id = AlertId::from_bits(self.ids.next((self.source.clock)(), || self.random));
        let now = Instant::now();
        Some(Posting { id, content, made: now, next: now, failures: 0 })
    }

    /// Posts an alert once; returns it if it must be posted again.
    fn post(&self, mut alert: Posting, target: &Target) -> Option<Posting> {
        let (id, kind) = (alert.id, alert.content.kind());
        let trouble = match &target.destination {
            Destination::Url { url, secret, preset } => {
                let body = match preset {
                    None => payload::body(id, &alert.content),
                    Some(preset) => payload::for_service(*preset, id, &alert.content),
                };
                let request = Outgoing::alert(url, secret.as_ref(), id, body, (self.source.clock)());
                trouble(&(self.source.post)(&request))
            }
            Destination::Mail(to) => (self.source.mail)(&letter::of_alert(id, &alert.content, to)).err(),
        };
        (self.source.posted)(trouble.is_none());
        let Some(trouble) = trouble else {
            tracing::info!("alert {id} was sent: {kind}");
            return None;
        };
        alert.failures += 1;
        let pause =
            self.source.again_first.saturating_mul(1 << alert.failures.min(16).saturating_sub(1)).min(AGAIN_MOST);
        if alert.made.elapsed() + pause > GIVEN_UP {
            tracing::error!("alert {id} ({kind}) is given up: {trouble}");
            return None;
        }
        let seconds = pause.as_secs();
        let key = target.destination.key();
        tracing::warn!("alert {id} ({kind}) could not be sent by [alerts] {key}, next try in {seconds} s: {trouble}");
        alert.next = Instant::now() + pause;
        Some(alert)
    }

    /// Posts what is due when the daemon ends.
    fn last_words(&mut self, posting: Option<Posting>) {
        let Some(target) = self.shared.lock().target.clone() else { return };
        let mut alert = posting.or_else(|| self.next());
        for _ in 0..LAST_ONES {
            let Some(last) = alert else { return };
            if self.post(last, &target).is_some() {
                return;
            }
            alert = self.next();
        }
    }
}

/// Why an alert was not accepted; `None` if it was.
fn trouble(report: &Report) -> Option<String> {
    match &report.outcome {
        Outcome::Answered(answer) if SuccessRule::default().accepts(answer) => None,
        Outcome::Answered(answer) => Some(format!("it was answered {}", answer.status)),
        Outcome::Failed { fault, detail } if detail.is_empty() => Some(fault.to_string()),
        Outcome::Failed { detail, .. } => Some(detail.clone()),
    }
}

#[cfg(test)]
mod tests;
