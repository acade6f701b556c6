//! Alerts: posts to `[alerts] url` what the operator must look at.
//!
//! [`rules`] decides which alerts there are, without I/O; [`payload`] writes them. Around them runs one thread: it
//! takes what happens ([`AlertSink::hear`]), reads the state at intervals ([`AlertSource`]), and posts one alert at a
//! time. It must not know the store or the sender.
//!
//! Invariants:
//! - Nothing waits for an alert: [`AlertSink::hear`] takes a short lock and does no I/O.
//! - Memory is bounded: the latest state replaces the one before, and one alert is in flight at a time.
//! - An alert is no delivery: it is in no queue and no log of receivers, and one that cannot be posted raises no
//!   further one. That is logged on standard error.
//! - Without a URL the thread sleeps and nothing is kept.

mod payload;
pub mod rules;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::core::attempt::{Outcome, Report};
use crate::core::id::{AlertId, IdSource};
use crate::core::request::Outgoing;
use crate::core::subscription::Secret;
use crate::core::time::Timestamp;

use self::rules::{AlertRules, Look, Said, Sighting};

/// The longest between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(15);
/// The longest until it is posted again.
const AGAIN_MOST: Duration = Duration::from_secs(300);
/// After so long it is given up: what it says is old.
const GIVEN_UP: Duration = Duration::from_secs(3600);
/// How many are posted on the way out.
const LAST_ONES: usize = 4;

/// Where alerts go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The URL that they are posted to.
    pub url: String,
    /// What they are signed with.
    pub secret: Secret,
    /// How long the oldest delivery may wait before that is said.
    pub backlog_age: Duration,
}

/// What the thread needs of the other modules. All of it may block.
pub struct AlertSource {
    /// How things stand.
    pub look: Box<dyn Fn() -> Look + Send>,
    /// Posts a request.
    pub post: Box<dyn Fn(&Outgoing) -> Report + Send>,
    /// Hears whether an alert was taken.
    pub posted: Box<dyn Fn(bool) + Send>,
    /// The wall clock.
    pub clock: Box<dyn Fn() -> Timestamp + Send>,
    /// After a first failure an alert is posted again after this long, and then after twice as long. 5 s is a good value.
    pub again_first: Duration,
}

/// The running thread.
pub struct Alerts {
    shared: Arc<Shared>,
    ended: Receiver<()>,
}

/// For whoever has something to tell; cheap to clone.
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
    /// Whether something came that the thread has not seen.
    news: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        change(&mut state);
        state.news = true;
        drop(state);
        self.changed.notify_one();
    }
}

impl AlertSink {
    /// Takes note of what happened. Does not block.
    pub fn hear(&self, sighting: Sighting) {
        self.0.tell(|state| {
            if state.target.is_some() {
                state.rules.hear(sighting);
            }
        });
    }
}

impl Default for AlertSink {
    /// One that nobody listens to yet; [`Alerts::start`] takes it.
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl Alerts {
    /// Starts the thread, which hears what `sink` is told.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub fn start(sink: &AlertSink, target: Option<Target>, source: AlertSource, random: u128) -> std::io::Result<Self> {
        let (done, ended) = mpsc::channel();
        sink.0.lock().target = target;
        let shared = sink.0.clone();
        let poster = Poster { shared: shared.clone(), source, ids: IdSource::after(0), random, begun: Instant::now() };
        std::thread::Builder::new().name("alerts".to_owned()).spawn(move || poster.run(&done))?;
        Ok(Self { shared, ended })
    }

    /// From now on alerts go here, or nowhere.
    pub fn aim(&self, target: Option<Target>) {
        self.shared.tell(|state| {
            if target.is_none() {
                state.rules = AlertRules::default();
            }
            state.target = target;
        });
    }

    /// Posts what is still to be said, once, and ends. Waits at most `limit`.
    pub fn stop(self, limit: Duration) {
        self.shared.tell(|state| state.stopping = true);
        // One that still waits for its receiver is left behind; it ends with the process.
        let _ = self.ended.recv_timeout(limit);
    }
}

/// An alert that is not taken yet.
struct UnderWay {
    id: AlertId,
    said: Said,
    made: Instant,
    next: Instant,
    failures: u32,
}

/// What the thread is.
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
            tracing::error!("alerts are no longer sent: a fault of hookswitch's own; deliveries go on");
        }
        // Whoever waited may have gone.
        let _ = done.send(());
    }

    fn work(&mut self) {
        let mut under_way: Option<UnderWay> = None;
        let mut look_at = Instant::now();
        loop {
            let Some(target) = self.wait(under_way.as_ref(), look_at) else {
                return self.last_words(under_way);
            };
            if Instant::now() >= look_at {
                let look = (self.source.look)();
                self.shared.lock().rules.look(look, target.backlog_age);
                look_at = Instant::now() + LOOK_EVERY.min(target.backlog_age);
            }
            under_way = under_way.or_else(|| self.next());
            if let Some(alert) = under_way.take_if(|alert| alert.next <= Instant::now()) {
                under_way = self.post(alert, &target);
            }
        }
    }

    /// Waits until there may be something to do; `None` if it is to end.
    fn wait(&self, under_way: Option<&UnderWay>, look_at: Instant) -> Option<Target> {
        let mut state = self.shared.lock();
        loop {
            if state.stopping {
                return None;
            }
            let now = Instant::now();
            let wake = match (&state.target, under_way) {
                (None, _) => None,
                (Some(_), Some(alert)) => Some(look_at.min(alert.next)),
                (Some(_), None) => {
                    let free = state.rules.wake(now.duration_since(self.begun)).map(|at| self.begun + at);
                    Some(free.map_or(look_at, |free| look_at.min(free)))
                }
            };
            if let (Some(target), true) = (&state.target, wake.is_some_and(|wake| wake <= now)) {
                let target = target.clone();
                state.news = false;
                return Some(target);
            }
            state.news = false;
            state = match wake {
                Some(wake) => {
                    let (state, _) = self
                        .shared
                        .changed
                        .wait_timeout_while(state, wake.saturating_duration_since(now), |state| !state.news)
                        .unwrap_or_else(PoisonError::into_inner);
                    state
                }
                None => {
                    self.shared.changed.wait_while(state, |state| !state.news).unwrap_or_else(PoisonError::into_inner)
                }
            };
        }
    }

    fn next(&mut self) -> Option<UnderWay> {
        let now = self.begun.elapsed();
        let said = self.shared.lock().rules.next(now)?;
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let id = AlertId::from_bits(self.ids.next((self.source.clock)(), || self.random));
        let now = Instant::now();
        Some(UnderWay { id, said, made: now, next: now, failures: 0 })
    }

    /// Posts an alert once; gives it back if it is to be posted again.
    fn post(&self, mut alert: UnderWay, target: &Target) -> Option<UnderWay> {
        let (id, kind) = (alert.id, alert.said.kind());
        let body = payload::body(id, &alert.said);
        let request = Outgoing::alert(&target.url, &target.secret, id, body, (self.source.clock)());
        let report = (self.source.post)(&request);
        let trouble = trouble(&report);
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
        tracing::warn!("alert {id} ({kind}) could not be posted to [alerts] url, next try in {seconds} s: {trouble}");
        alert.next = Instant::now() + pause;
        Some(alert)
    }

    /// What is still to be said when the daemon ends.
    fn last_words(&mut self, under_way: Option<UnderWay>) {
        let Some(target) = self.shared.lock().target.clone() else { return };
        let mut alert = under_way.or_else(|| self.next());
        for _ in 0..LAST_ONES {
            let Some(last) = alert else { return };
            if self.post(last, &target).is_some() {
                return;
            }
            alert = self.next();
        }
    }
}

/// Why an alert was not taken; `None` if it was.
fn trouble(report: &Report) -> Option<String> {
    match &report.outcome {
        Outcome::Answered(answer) if answer.is_success() => None,
        Outcome::Answered(answer) => Some(format!("it was answered {}", answer.status)),
        Outcome::Failed { fault, detail } if detail.is_empty() => Some(fault.to_string()),
        Outcome::Failed { detail, .. } => Some(detail.clone()),
    }
}

#[cfg(test)]
mod tests;
