//! What sender threads run: an attempt from its event to the results for the store and the dispatcher.

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use super::inbox::Inbox;
use super::lanes::{Seen, Tally};
use super::monotonic_clock::MonotonicClock;
use super::notice::{Listener, Notice};
use super::settings::Settings;
use super::work::{EndedAttempt, EventSummary, Job, not_made, prepare, seen, unrendered};
use crate::core::attempt::{Fault, Report};
use crate::core::delivery::Delivery;
use crate::core::event::Event;
use crate::core::id::EventId;
use crate::core::request::Outgoing;
use crate::sender::{Done, TransportHandle};
use crate::store::{AttemptResult, Store, StoreError};

/// How long an attempt waits for a store that cannot be read at present, and how often it tries.
const AWAY_MOST: Duration = Duration::from_secs(600);
const AWAY_RETRY: Duration = Duration::from_millis(250);

/// State shared by dispatcher and senders.
pub(super) struct Shared {
    pub(super) store: Store,
    pub(super) transport: Arc<TransportHandle>,
    /// As of the last reload.
    pub(super) settings: RwLock<Arc<Settings>>,
    /// The lanes' only clock.
    pub(super) clock: MonotonicClock,
    pub(super) inbox: Arc<Inbox>,
    pub(super) listener: Listener,
    /// Number of subscriptions by state, as of the dispatcher's last iteration.
    pub(super) tally: Arc<Mutex<Tally>>,
}

impl Shared {
    pub(super) fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.settings.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Applies `settings`, except for the number of threads.
    pub(super) fn set(&self, settings: Settings) -> Arc<Settings> {
        self.clock.set_longest_delay(settings.retry.longest_delay());
        let mut current = self.settings.write().unwrap_or_else(PoisonError::into_inner);
        *current = Arc::new(Settings { threads: current.threads, ..settings });
        Arc::clone(&current)
    }

    /// Publishes the number of subscriptions by state.
    pub(super) fn publish(&self, tally: Tally) {
        *self.tally.lock().unwrap_or_else(PoisonError::into_inner) = tally;
    }

    /// The event, as soon as the store can be read: a database server may be away for a while, which is not the
    /// receiver's fault.
    fn event(&self, id: EventId) -> Result<Option<Event>, StoreError> {
        let until = Instant::now() + AWAY_MOST;
        loop {
            match self.store.event(id) {
                Err(StoreError::Unavailable(_)) if Instant::now() < until => thread::sleep(AWAY_RETRY),
                read => return read,
            }
        }
    }

    pub(super) fn attempt(&self, job: &Job) -> Judged {
        let event = match self.event(job.start.delivery.event) {
            Ok(Some(event)) => event,
            Ok(None) => {
                return self.judge(
                    job,
                    EventSummary::default(),
                    None,
                    not_made(Fault::EventUnavailable, GONE.to_owned()),
                );
            }
            Err(error) => {
                // Retried by its schedule, because the file may be restored; then a dead letter.
                tracing::error!("{} cannot be sent: {error}", job.start.delivery.id);
                (self.listener)(Notice::Unreadable(&error.to_string()));
                return self.judge(
                    job,
                    EventSummary::default(),
                    None,
                    not_made(Fault::EventUnavailable, UNREADABLE.to_owned()),
                );
            }
        };
        let request = prepare(job, &event, self.clock.wall());
        let (summary, subscription) = (EventSummary::from(event), &job.subscription);
        let request = match request {
            Ok(request) => request,
            Err(fault) => return self.judge(job, summary, None, unrendered(&fault)),
        };
        let report = self.transport.get().post(Some(subscription.id), &request, subscription.timeout);
        self.judge(job, summary, Some(&request), report)
    }

    /// Sends the result of an attempt to the store and the dispatcher.
    pub(super) fn record(&self, done: Done<Arc<Job>, Judged>) {
        let Judged { finish, after, seen } = match done {
            Done::Finished(_, judged) => judged,
            Done::Panicked(job) => {
                let why = "this attempt failed because of an internal error; the daemon's log has the message";
                self.judge(&job, EventSummary::default(), None, not_made(Fault::Internal, why.to_owned()))
            }
        };
        (self.listener)(Notice::Ended(&finish.entry));
        self.inbox.ended(after, seen, || self.store.finish(finish));
    }

    fn judge(&self, job: &Job, summary: EventSummary, request: Option<&Outgoing>, report: Report) -> Judged {
        // The clock may have jumped since the start, and may jump again before the dispatcher sees the result.
        let reading = self.clock.reading();
        let (now, health) = (reading.wall, self.store.health(job.subscription.id));
        let delivery = reading.outward(job.start.delivery.clone());
        let seen = seen(&report, &job.subscription.target.success, now);
        let tried = EndedAttempt { job, delivery, summary, request, report, health };
        let finish = tried.judge(&self.settings().retry, now, chance());
        Judged { after: reading.inward(finish.after.clone()), finish, seen }
    }
}

/// The result of an attempt.
pub(super) struct Judged {
    finish: AttemptResult,
    /// Its delivery, in monotonic time.
    after: Delivery,
    seen: Seen,
}

const GONE: &str = "its event is no longer kept";
const UNREADABLE: &str = "its event cannot be read from the disk; the daemon's log names the file and what to do";

/// A random number in [0, 1).
pub(super) fn chance() -> f64 {
    // Without kernel randomness every delay is the nominal one.
    let random = getrandom::u32().unwrap_or(u32::MAX / 2);
    f64::from(random) / f64::from(u32::MAX)
}
