//! Dispatch: which delivery is sent when.
//!
//! [`lanes`] decides, without I/O. One thread, the dispatcher (`dispatch_loop`), runs it: its `inbox` receives
//! durable changes from the writer and ended attempts from the senders; it gives each free sender the next
//! delivery, and sleeps until something is due. The senders run `attempts` and `work`: prepare, post, judge, record.
//!
//! A lane continues as soon as its attempt has ended, without waiting until the result is durable: if the result is
//! lost, the attempt is repeated, which receivers recognise by its `webhook-id`.
//!
//! Knows core, the store's API and the sender; nothing about HTTP and the command line.
//!
//! # Rationale
//!
//! **Windows.** For each subscription some hundred deliveries that can start are in memory (only a few while its
//! receiver is unknown), and those that wait for a retry or are held back behind one; the rest is in the store,
//! ordered by subscription and sequence, and is read onward from a cursor. A cursor never passes the same keys twice,
//! unless a delivery behind it becomes outstanding again and does not fit. Nothing above the cursor starts, which
//! keeps a call in order even if its events are partly in the store. The store may lag behind the lanes (an attempt
//! ended and is not recorded yet), so they remember what has ended until that is durable. A delivery outside the
//! window that is retried by hand starts when the window reaches it; one past its `expire_after` expires then.
//!
//! **Giving up.** Only a failed attempt gives a delivery up. Deliveries waiting for a receiver that is down use up no
//! attempts, and are tried once it recovers even if their time is over.
//!
//! **Health.** The circuit breaker of a receiver opens after consecutive failures of different calls. Counting
//! attempts instead would let one poisoned event open it; counting only missing responses would let a receiver that
//! answers 503 to everything use up the attempts of its whole backlog. While it is open, the probe is the oldest
//! delivery that is due: always probing with the same one would never reveal that only that one is poisoned. When it
//! closes, what failed meanwhile is due at once and so comes first again, except where the receiver sent
//! `Retry-After`.
//!
//! **Concurrency.** Real receivers take 100 to 1,000 ms, so the throughput of one is its concurrency, and its
//! capacity is unknown. Each has a concurrency limit by feedback, which doubles in each round of responses while it
//! is used, unless refusals or rising latency contradict. Neither is taken at face value: a few percent of refusals
//! may come from events or chance, and latency rises for a receiver's own reasons as well, so it is tested whether
//! less in flight lowers it. A refusal costs a delivery its delay, so a refused level is retried only after a while.
//! An overloaded receiver that refuses some is not down: its breaker weighs consecutive failures against the number
//! in flight.
//!
//! **Fair share.** Receivers are distinguished by subscription, not by origin: one host can serve receivers of
//! different quality, and what they hold together is bounded anyway by the parts of the pool for receivers not known
//! to be quick. Quick is about time, not success: an immediate refusal holds no thread. What is known about a
//! receiver is forgotten after some minutes; only the duration of its last success is kept over a restart, so that
//! quick ones are tried first.
//!
//! When nothing is known about any receiver (the very first minute of many subscriptions at once) a blocking attempt
//! is the only way to find out, and each hanging receiver keeps one of the threads for unproven receivers until its
//! timeout. The pool is large enough for a thread per stranger, as a rule: each gets its first attempt at once, and
//! none a second before that. With a smaller pool and plain round robin, healthy receivers beside hundreds of hanging
//! ones waited more than a minute. So strangers are then tried a moment apart, those with the largest backlog first:
//! this separates receivers that need threads from idle ones, and each that responds makes room for the next at once
//! (`lanes/fair_share`). After a start, deliveries to previously quick receivers are read first. Its limit: hanging
//! receivers whose backlogs are as large as those of healthy ones.
//!
//! Thousands of starts or ends at once are processed in portions, so that deliveries to a healthy receiver do not
//! wait for all of them (`dispatch_loop`).
//!
//! # Rejected
//!
//! - All outstanding deliveries in memory: 300 bytes each, 3 GB for ten million.
//! - A second index in the store, by due time: two more writes per attempt, to save reading a window again after a
//!   start.
//! - Windows without a cursor, filled by due time: finds the next fast and loses the order.
//! - A queue per receiver with its own thread: unbounded threads.
//! - Lending idle threads to slow receivers: a lent thread cannot be called back.
//! - Comparing latency with the lowest ever seen, as TCP Vegas does: throttles receivers whose latency is mixed or
//!   rises by day. By throughput, as BBR does: the same information, less exact, because responses come in clumps.
//! - Halving the limit at each refusal: one random 503 in a hundred responses would keep a receiver at fourteen at
//!   once.
//! - A shorter timeout for the first attempt to an unproven receiver, to find healthy ones sooner: its `timeout_ms`
//!   is a promise, and what is cut short arrives twice.
//! - One health state per origin: one bad path would pause all others.
//! - Recovery by releasing the whole backlog at once, spread by jitter only: jitter spreads the first second, not the
//!   load.

mod attempts;
mod dispatch_loop;
mod inbox;
pub mod lanes;
mod monotonic_clock;
mod notice;
mod owned;
mod rate;
mod settings;
mod work;

use std::collections::HashMap;
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::core::id::SubscriptionId;
use crate::sender::{Pool, TransportHandle};
use crate::store::Store;

use self::attempts::Shared;
use self::dispatch_loop::DispatchLoop;
pub use self::inbox::Inbox;
use self::inbox::Input;
pub use self::lanes::{Condition, Standing, Tally};
pub use self::monotonic_clock::Clock;
use self::monotonic_clock::MonotonicClock;
pub use self::notice::{Listener, Notice};
pub use self::settings::Settings;
use self::work::Job;

/// How long a query of the dispatcher may take.
const QUERY_TIMEOUT: Duration = Duration::from_secs(2);

/// The running dispatcher and its senders.
pub struct Dispatcher {
    inbox: Arc<Inbox>,
    pool: Arc<Pool<Arc<Job>>>,
    tally: Arc<Mutex<Tally>>,
    thread: JoinHandle<()>,
}

/// Load of the senders.
#[derive(Clone)]
pub struct Gauge {
    inbox: Arc<Inbox>,
    pool: Arc<Pool<Arc<Job>>>,
    tally: Arc<Mutex<Tally>>,
}

impl Gauge {
    /// Maximum number of senders, and number of busy ones.
    pub fn senders(&self) -> (usize, usize) {
        (self.pool.threads(), self.pool.busy())
    }

    /// Number of sender threads that exist now, idle ones included.
    pub fn threads_alive(&self) -> usize {
        self.pool.alive()
    }

    /// The state of those of these subscriptions that exist; empty if the dispatcher does not respond. Blocks until
    /// it does, at most 2 s, and blocks the dispatcher while it looks: ask for a page at a time.
    pub fn standings(&self, ids: Vec<SubscriptionId>) -> HashMap<SubscriptionId, Standing> {
        self.query(ids, QUERY_TIMEOUT).unwrap_or_default()
    }

    /// Whether the dispatcher completes an iteration within `limit`. Blocks until then.
    pub fn ping(&self, limit: Duration) -> bool {
        self.query(Vec::new(), limit).is_some()
    }

    /// Number of subscriptions by state. Does not block.
    pub fn tally(&self) -> Tally {
        *self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn query(&self, ids: Vec<SubscriptionId>, limit: Duration) -> Option<HashMap<SubscriptionId, Standing>> {
        let (answer, standings) = mpsc::channel();
        self.inbox.push(Input::Query(ids, answer));
        standings.recv_timeout(limit).ok()
    }
}

impl Dispatcher {
    /// Loads what is outstanding in the store, and starts.
    ///
    /// `inbox` must already receive the store's changes: events accepted meanwhile may then be seen twice, and are
    /// taken once. `listener` is notified of what happens. `ended` is called if the dispatcher ends without having
    /// been stopped.
    ///
    /// # Errors
    /// No thread could be started.
    pub fn start(
        store: Store,
        transport: Arc<TransportHandle>,
        settings: Settings,
        clock: Clock,
        inbox: Arc<Inbox>,
        listener: Listener,
        ended: impl FnOnce(Ended) + Send + 'static,
    ) -> std::io::Result<Self> {
        let threads = settings.threads;
        let clock = MonotonicClock::new(clock, settings.retry.longest_delay());
        let tally = Arc::new(Mutex::default());
        let shared = Arc::new(Shared {
            store,
            transport,
            settings: RwLock::new(Arc::new(settings)),
            clock,
            inbox: inbox.clone(),
            listener,
            tally: tally.clone(),
        });
        let (work_shared, done_shared, idle_shared) = (shared.clone(), shared.clone(), shared.clone());
        let pool = Arc::new(Pool::new(
            threads,
            "sender",
            Arc::clone,
            move |job: Arc<Job>| work_shared.attempt(&job),
            move |done| done_shared.record(done),
            move || idle_shared.transport.get().close_unused(),
        ));
        let mut dispatch_loop = DispatchLoop::new(shared, pool.clone());
        dispatch_loop.load();
        let spawned = std::thread::Builder::new().name("dispatcher".to_owned()).spawn(move || {
            let worked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| dispatch_loop.run()));
            match worked {
                Ok(Ok(())) => {}
                Ok(Err(error)) => ended(Ended::Unreadable(error.to_string())),
                Err(_) => ended(Ended::Panicked),
            }
        });
        Ok(Self { inbox, pool, tally, thread: spawned? })
    }

    /// Applies `settings`, except for the number of threads. Attempts in flight end by the previous ones.
    pub fn reconfigure(&self, settings: Settings) {
        self.inbox.push(Input::Settings(settings));
    }

    /// The load of the senders.
    pub fn gauge(&self) -> Gauge {
        Gauge { inbox: self.inbox.clone(), pool: self.pool.clone(), tally: self.tally.clone() }
    }

    /// Starts no further attempt, and waits at most `limit` for those in flight. Returns how many have not ended by
    /// then; they are repeated after the next start.
    pub fn stop(self, limit: Duration) -> usize {
        self.inbox.push(Input::Stop);
        // It catches its own panics and reports them.
        drop(self.thread.join());
        self.pool.stop(limit)
    }
}

/// Why the dispatcher ended without having been stopped.
#[derive(Debug)]
pub enum Ended {
    /// It panicked.
    Panicked,
    /// Outstanding deliveries cannot be read.
    Unreadable(String),
}
