//! Who is sent what, when.
//!
//! [`lanes`] decides, without I/O. Around it stands one thread, the dispatcher: it hears of what the
//! committer has made durable and of senders that are free again, hands each free sender the
//! delivery whose turn it is, and sleeps until the next time that something comes due. The senders
//! run [`work`]: prepare, post, judge, record.
//!
//! A lane moves on as soon as its attempt has ended, without waiting until that is on the disk: if
//! it is lost, the attempt is made once more, which receivers recognise by its `webhook-id`.
//!
//! Knows core, the store's verbs and the sender; nothing of HTTP and the command line.

pub mod lanes;
mod rate;
mod work;

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::core::attempt::{Fault, LogEntry, Report, Status};
use crate::core::backoff::RetryPolicy;
use crate::core::delivery::{Delivery, State};
use crate::core::id::SubscriptionId;
use crate::core::request::Outgoing;
use crate::core::subscription::Subscription;
use crate::core::time::Timestamp;
use crate::sender::{Done, Pool, Transport};
use crate::store::{Change, Finish, ReadError, Store};

use self::lanes::{Lanes, Terms};
use self::work::{Job, Tried, not_made, prepare};

/// How many ended attempts may wait for the committer, for each sender thread, before no more are
/// begun: so a disk that stalls stops the sending and not the memory.
const UNRECORDED_PER_THREAD: usize = 64;

/// How deliveries are sent.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How many sender threads there are.
    pub threads: usize,
    /// How many attempts may be under way for a subscription that does not say.
    pub max_in_flight: u32,
    /// How long a failed delivery holds back the later ones of its call.
    pub hold: Duration,
    /// When failed deliveries are tried again.
    pub retry: RetryPolicy,
}

enum Input {
    Changes(Vec<Change>),
    /// An attempt has ended; this is how its delivery stands.
    Ended(Delivery),
    Stop,
}

/// What the dispatcher hears.
#[derive(Default)]
pub struct Inbox {
    waiting: Mutex<Vec<Input>>,
    arrived: Condvar,
}

impl Inbox {
    /// Tells of changes that are on the disk. Does not block.
    pub fn changes(&self, changes: Vec<Change>) {
        self.push(Input::Changes(changes));
    }

    fn push(&self, input: Input) {
        self.lock().push(input);
        self.arrived.notify_one();
    }

    /// Waits for something, at most for `limit`; takes all there is.
    fn take(&self, limit: Option<Duration>) -> Vec<Input> {
        let until = limit.map(|limit| Instant::now() + limit);
        let mut waiting = self.lock();
        while waiting.is_empty() {
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            waiting = match left {
                Some(Duration::ZERO) => break,
                Some(left) => self.arrived.wait_timeout(waiting, left).unwrap_or_else(PoisonError::into_inner).0,
                None => self.arrived.wait(waiting).unwrap_or_else(PoisonError::into_inner),
            };
        }
        std::mem::take(&mut *waiting)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Input>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells the time of day.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// What dispatcher and senders share.
struct Shop {
    store: Store,
    transport: Arc<Transport>,
    settings: Settings,
    clock: Clock,
    inbox: Arc<Inbox>,
}

/// The running dispatcher with its senders.
pub struct Dispatcher {
    inbox: Arc<Inbox>,
    pool: Arc<Pool<Arc<Job>>>,
    thread: JoinHandle<()>,
}

/// How busy the senders are, for whoever shows it.
#[derive(Clone)]
pub struct Gauge {
    pool: Arc<Pool<Arc<Job>>>,
}

impl Gauge {
    /// How many senders there are, and how many of them are at work.
    pub fn senders(&self) -> (usize, usize) {
        (self.pool.threads(), self.pool.busy())
    }
}

impl Dispatcher {
    /// Takes up all that the store says is owed, and starts.
    ///
    /// `inbox` must be the one that the store's changes go to, from before this is called: what is
    /// accepted meanwhile may then be heard of twice, and is taken once. `ended` is called if the
    /// dispatcher ends without having been stopped.
    ///
    /// # Errors
    /// The store cannot be read, or no thread could be started.
    pub fn start(
        store: Store,
        transport: Arc<Transport>,
        settings: Settings,
        clock: Clock,
        inbox: Arc<Inbox>,
        ended: impl FnOnce(String) + Send + 'static,
    ) -> Result<Self, StartError> {
        let threads = settings.threads;
        let shop = Arc::new(Shop { store, transport, settings, clock, inbox: inbox.clone() });
        let (work_shop, done_shop) = (shop.clone(), shop.clone());
        let pool = Pool::start(
            threads,
            "sender",
            Arc::clone,
            move |job: Arc<Job>| work_shop.attempt(&job),
            move |done| done_shop.record(done),
        );
        let pool = Arc::new(pool.map_err(StartError::Thread)?);
        let mut desk = Desk::new(shop, pool.clone());
        desk.take_up().map_err(StartError::Store)?;
        let spawned = std::thread::Builder::new().name("dispatcher".to_owned()).spawn(move || {
            let worked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| desk.run()));
            if worked.is_err() {
                ended("the dispatcher panicked".to_owned());
            }
        });
        Ok(Self { inbox, pool, thread: spawned.map_err(StartError::Thread)? })
    }

    /// How busy the senders are.
    pub fn gauge(&self) -> Gauge {
        Gauge { pool: self.pool.clone() }
    }

    /// Begins no further attempt, and waits at most `limit` for those under way. Says how many
    /// have not ended by then; they are made again after the next start.
    pub fn stop(self, limit: Duration) -> usize {
        self.inbox.push(Input::Stop);
        // It catches its own panics, and has told of them.
        drop(self.thread.join());
        self.pool.stop(limit)
    }
}

/// Why the dispatcher did not start.
#[derive(Debug)]
pub enum StartError {
    /// What is owed cannot be read.
    Store(ReadError),
    /// A thread could not be started.
    Thread(std::io::Error),
}

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Store(error) => write!(f, "what is owed cannot be read: {error}"),
            Self::Thread(error) => write!(f, "a sender thread cannot be started: {error}"),
        }
    }
}

impl Shop {
    /// Makes one attempt and judges it.
    fn attempt(&self, job: &Job) -> Finish {
        let event = match self.store.event(job.start.delivery.event) {
            Ok(Some(event)) => event,
            Ok(None) => return self.judge(job, None, None, not_made(Fault::EventUnavailable, GONE.to_owned())),
            Err(error) => {
                // It is tried again by its schedule, for somebody may put the file back; then it is a dead letter.
                tracing::error!("{} cannot be sent: {error}", job.start.delivery.id);
                return self.judge(job, None, None, not_made(Fault::EventUnavailable, UNREADABLE.to_owned()));
            }
        };
        let request = prepare(job, &event, (self.clock)());
        let subscription = &job.subscription;
        let report = self.transport.post(Some(subscription.id), &request, subscription.timeout);
        self.judge(job, Some(&event), Some(&request), report)
    }

    /// Tells the store and the dispatcher how an attempt ended.
    fn record(&self, done: Done<Arc<Job>, Finish>) {
        let finish = match done {
            Done::Finished(_, finish) => finish,
            Done::Panicked(job) => {
                let why = "this attempt ended in a fault of hookswitch's own; its message is in the daemon's log";
                self.judge(&job, None, None, not_made(Fault::Internal, why.to_owned()))
            }
        };
        let after = finish.after.clone();
        self.store.finish(finish);
        self.inbox.push(Input::Ended(after));
    }

    fn judge(
        &self,
        job: &Job,
        event: Option<&crate::core::event::Event>,
        request: Option<&Outgoing>,
        report: Report,
    ) -> Finish {
        let health = self.store.health(job.subscription.id);
        let tried = Tried { job, event, request, report, health };
        tried.judge(&self.settings.retry, (self.clock)(), chance())
    }
}

const GONE: &str = "its event is no longer kept";
const UNREADABLE: &str = "its event cannot be read from the disk; the daemon's log names the file and what to do";

/// A number from 0 up to 1.
fn chance() -> f64 {
    // Without the kernel's randomness every delay is the nominal one.
    let random = getrandom::u32().unwrap_or(u32::MAX / 2);
    f64::from(random) / f64::from(u32::MAX)
}

/// The dispatcher's own: the lanes, and whom they belong to.
struct Desk {
    shop: Arc<Shop>,
    pool: Arc<Pool<Arc<Job>>>,
    lanes: Lanes,
    subscriptions: HashMap<u32, Arc<Subscription>>,
    numbers: HashMap<SubscriptionId, u32>,
    /// Attempts that have begun and not ended.
    under_way: usize,
    /// Attempts and expiries that ended and are not on the disk yet.
    unrecorded: usize,
}

impl Desk {
    fn new(shop: Arc<Shop>, pool: Arc<Pool<Arc<Job>>>) -> Self {
        let lanes = Lanes::new(shop.settings.hold);
        Self { shop, pool, lanes, subscriptions: HashMap::new(), numbers: HashMap::new(), under_way: 0, unrecorded: 0 }
    }

    /// Begins with what the store has.
    fn take_up(&mut self) -> Result<(), ReadError> {
        let now = (self.shop.clock)();
        for subscription in self.shop.store.subscriptions() {
            self.put_subscription(subscription, now);
        }
        let store = self.shop.store.clone();
        store.for_each_owed(|delivery| self.lanes.put(delivery, now))
    }

    fn run(&mut self) {
        loop {
            let now = (self.shop.clock)();
            self.expire(now);
            self.begin(now);
            let limit = self.lanes.next_wake().map(|at| at.since(now));
            // What is due already waits for a sender or for the committer, who will be heard of.
            let limit = limit.filter(|limit| !limit.is_zero());
            for input in self.shop.inbox.take(limit) {
                let now = (self.shop.clock)();
                match input {
                    Input::Stop => return,
                    Input::Ended(after) => {
                        self.under_way -= 1;
                        self.unrecorded += 1;
                        self.lanes.done(after, now);
                    }
                    Input::Changes(changes) => changes.into_iter().for_each(|change| self.hear(change, now)),
                }
            }
        }
    }

    fn hear(&mut self, change: Change, now: Timestamp) {
        match change {
            Change::Owed(deliveries) => deliveries.into_iter().for_each(|delivery| self.lanes.put(delivery, now)),
            Change::Subscription(subscription) => self.put_subscription(subscription, now),
            Change::Deleted(id) => {
                if let Some(number) = self.numbers.remove(&id) {
                    self.subscriptions.remove(&number);
                    self.lanes.remove_subscription(number);
                }
            }
            Change::Cancelled(id) => self.lanes.cancel(id, now),
            Change::Finished(_) => self.unrecorded = self.unrecorded.saturating_sub(1),
        }
    }

    fn put_subscription(&mut self, subscription: Arc<Subscription>, now: Timestamp) {
        let terms = Terms {
            enabled: subscription.enabled(),
            ordering: subscription.ordering,
            max_in_flight: subscription.max_in_flight.unwrap_or(self.shop.settings.max_in_flight),
            rate_per_second: subscription.rate_per_second,
        };
        self.lanes.put_subscription(subscription.number, terms, now);
        self.numbers.insert(subscription.id, subscription.number);
        self.subscriptions.insert(subscription.number, subscription);
    }

    /// Hands free senders what has its turn.
    fn begin(&mut self, now: Timestamp) {
        let threads = self.shop.settings.threads;
        while self.under_way < threads && self.unrecorded < threads * UNRECORDED_PER_THREAD {
            let Some(start) = self.lanes.start(now) else { return };
            let Some(subscription) = self.subscriptions.get(&start.delivery.id.subscription_number()) else { continue };
            let job = Arc::new(Job { start, subscription: subscription.clone() });
            if self.pool.submit(job).is_err() {
                // Only a pool that is stopping has no room for as many jobs as it has threads.
                return;
            }
            self.under_way += 1;
        }
    }

    /// Ends what is no longer wanted.
    fn expire(&mut self, now: Timestamp) {
        while self.unrecorded < self.shop.settings.threads * UNRECORDED_PER_THREAD {
            let Some(delivery) = self.lanes.expired(now) else { return };
            let Some(subscription) = self.subscriptions.get(&delivery.id.subscription_number()) else { continue };
            let event = self.shop.store.event(delivery.event).ok().flatten();
            let after = Delivery { state: State::Expired, due: now, ..delivery };
            let why = "it was not delivered in the time in which it was wanted (`expire_after`)";
            let entry = LogEntry::without_attempt(&after, Status::Expired, why, subscription, event.as_ref(), now);
            self.unrecorded += 1;
            self.shop.store.finish(Finish { entry, after, disable: None });
        }
    }
}
