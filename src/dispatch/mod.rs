//! Dispatch: which delivery is sent when.
//!
//! [`lanes`] decides, without I/O. Around it runs one thread, the dispatcher (`dispatch_loop`): its `inbox` has what the
//! committer has made durable and which senders are free again; it hands each free sender the next delivery, and sleeps
//! until something comes due. The senders run `attempts` and `work`: prepare, post, judge, record.
//!
//! A lane moves on as soon as its attempt has ended, without waiting until that is on the disk: if
//! it is lost, the attempt is made once more, which receivers recognise by its `webhook-id`.
//!
//! Knows core, the store's API and the sender; nothing of HTTP and the command line.
//!
//! # Why it is as it is
//!
//! **Windows.** Of each subscription some hundred deliveries that can flow are in memory (a few only, as long as
//! nothing is known of its receiver), and those that wait for a retry or are held back behind one; the rest is in
//! the store, which keeps what is owed in order of subscription and sequence, and is read onward from a cursor. A
//! cursor never passes over the same keys twice, unless something behind it is owed again and does not fit. Nothing
//! above the cursor begins, which is what keeps a call in order whose events are partly elsewhere. The store may
//! lag behind what the lanes know (an attempt that ended and is not recorded), so they remember what has ended
//! until they hear that it is on the disk. A delivery outside the window that is to be sent by hand is sent when
//! the window reaches it; one whose `expire_after` is over expires then.
//!
//! **Given up.** Only an attempt that fails gives a delivery up. What waits behind a receiver that is
//! down uses up no attempts, and is tried once it is back even if its time is over.
//!
//! **Health.** The circuit breaker of a receiver opens after failures in a row of different calls. Counting
//! attempts instead would let one poisoned event open it; counting only what gets no answer would let
//! a receiver that answers 503 to all burn the attempts of its whole backlog. While it is open, the
//! delivery that asks is the oldest that is due: always the same one would never find out that only
//! that one is poisoned. When it closes, what failed meanwhile is due at once and so comes first again,
//! except where the receiver had said when to come back.
//!
//! **Concurrency.** Real receivers take 100 to 1,000 ms, so what one of them is sent in a second is how much it has at
//! once, and nobody knows beforehand how much it takes. Each has a concurrency limit by feedback, which doubles in
//! each round of answers while it is used and nothing speaks against it. What speaks against it is refusals and rising
//! latency, and neither is taken at its word: a few refusals of a hundred are events' or chance's, and latency rises
//! for a receiver's own reasons as well, so it is tried whether less under way makes it lower. A refusal costs a
//! delivery its delay, so what was refused is tried again only after a while. A receiver that refuses some because
//! it has too much is not down: its breaker counts failures in a row against what is under way.
//!
//! **Fair share.** Receivers are told apart by subscription, not by origin: behind one host stand receivers
//! of different quality, and what they hold together is bounded all the same, by the parts of the pool
//! that those not known to be quick may have. Being quick is about time and not about success: one that
//! refuses at once costs nobody a thread. What is known of a receiver is forgotten after some minutes;
//! only how long its last success took is kept over a restart, to try first those that were quick.
//!
//! Where nothing is known of anybody (the very first minute of many subscriptions at once) a blocking attempt
//! is the only way to find out, and each receiver that hangs keeps one of the threads for the unproven until its
//! timeout. The pool is large so that there is a thread for every stranger, as a rule: each has its first attempt at
//! once, and none a second before that. Where the pool is too small for it, healthy ones beside hundreds that hang
//! waited for more than a minute when they were tried in turn. So strangers are then tried a moment apart, and those
//! first that have most to be sent: within that moment those that are in need are told from those that are only there,
//! and who answers makes room for the next at once (`lanes/fair_share`). After a start what is owed is read for those first
//! that were quick before. Its limit: where all that hang are owed as much as those that are healthy.
//!
//! A thousand that begin or end together are handed over some at a time, so that what a healthy receiver is owed in
//! between does not wait for all of them (`dispatch_loop`).
//!
//! # Rejected
//!
//! - All that is owed in memory: 300 bytes for each delivery, 3 GB for ten million.
//! - A second index in the store, by due time: two more writes for each attempt, to save reading a
//!   window again after a start.
//! - Windows without a cursor, filled by what is due: finds the next fast and loses the order.
//! - A queue for each receiver in front of a thread of its own: unbounded threads.
//! - Letting slow receivers borrow idle threads: a thread that is lent cannot be called back.
//! - Comparing latency with the lowest ever seen, as TCP Vegas does: receivers whose latency is mixed, or rises by day,
//!   would be throttled for it. And by throughput, as BBR does: it says the same, less exactly, for answers come in
//!   clumps.
//! - Halving the limit for each refusal: one answer of a hundred that says 503 whatever it is sent would keep a receiver
//!   at fourteen at once.
//! - Cutting the first attempt to an unproven receiver short, to find the healthy ones sooner: its
//!   `timeout_ms` is a promise, and what is cut short arrives twice.
//! - One health for a whole origin: one bad path would pause all others.
//! - Recovery by letting the whole backlog go at once, spread by jitter only: what is spread is the
//!   first second, not the load.

mod attempts;
mod dispatch_loop;
mod inbox;
pub mod lanes;
mod monotonic_clock;
mod notice;
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

/// How long the dispatcher may take to say how it is.
const ASK_PATIENCE: Duration = Duration::from_secs(2);

/// The running dispatcher with its senders.
pub struct Dispatcher {
    inbox: Arc<Inbox>,
    pool: Arc<Pool<Arc<Job>>>,
    tally: Arc<Mutex<Tally>>,
    thread: JoinHandle<()>,
}

/// How busy the senders are, for whoever shows it.
#[derive(Clone)]
pub struct Gauge {
    inbox: Arc<Inbox>,
    pool: Arc<Pool<Arc<Job>>>,
    tally: Arc<Mutex<Tally>>,
}

impl Gauge {
    /// How many senders there may be, and how many of them are at work.
    pub fn senders(&self) -> (usize, usize) {
        (self.pool.threads(), self.pool.busy())
    }

    /// How many threads of senders there are just now, those that are idle among them.
    pub fn threads_alive(&self) -> usize {
        self.pool.alive()
    }

    /// How these subscriptions stand, of those that there are; empty if the dispatcher does not answer. Blocks until it
    /// does, at most for 2 s, and stops it while it looks: a page of them at a time.
    pub fn standings(&self, ids: Vec<SubscriptionId>) -> HashMap<SubscriptionId, Standing> {
        self.ask(ids, ASK_PATIENCE).unwrap_or_default()
    }

    /// Whether the dispatcher makes a turn within `limit`. Blocks until it has.
    pub fn ping(&self, limit: Duration) -> bool {
        self.ask(Vec::new(), limit).is_some()
    }

    /// How many subscriptions are in which state. Asks nobody.
    pub fn tally(&self) -> Tally {
        *self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask(&self, ids: Vec<SubscriptionId>, limit: Duration) -> Option<HashMap<SubscriptionId, Standing>> {
        let (answer, standings) = mpsc::channel();
        self.inbox.push(Input::Ask(ids, answer));
        standings.recv_timeout(limit).ok()
    }
}

impl Dispatcher {
    /// Takes up all that the store says is owed, and starts.
    ///
    /// `inbox` must be the one that the store's changes go to, from before this is called: what is
    /// accepted meanwhile may then be heard of twice, and is taken once. `listener` hears what happens.
    /// `ended` is called if the dispatcher ends without having been stopped.
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
        dispatch_loop.take_up();
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

    /// Goes by `settings` from now on, but for the number of threads. What is under way ends by those before.
    pub fn reconfigure(&self, settings: Settings) {
        self.inbox.push(Input::Settings(settings));
    }

    /// How busy the senders are.
    pub fn gauge(&self) -> Gauge {
        Gauge { inbox: self.inbox.clone(), pool: self.pool.clone(), tally: self.tally.clone() }
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

/// Why the dispatcher ended without having been stopped.
#[derive(Debug)]
pub enum Ended {
    /// It panicked.
    Panicked,
    /// What is owed cannot be read.
    Unreadable(String),
}
