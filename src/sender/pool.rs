//! The pool of threads on which attempts block.
//!
//! Knows nothing of what a job is. Whoever submits is told of the end of every job that was taken,
//! also of one that panicked, so that nothing owed is ever lost in here.
//!
//! A thread is started when there is a job and none is idle, and ends when it was idle for a while. The one that fell
//! asleep last is woken first: under a small load the same few threads work, with warm caches, and all others end. A
//! thread that only tells of its last job takes the next one without having slept.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

#[cfg(test)]
mod tests;

/// For how long a thread is idle before it ends.
const QUIET: Duration = Duration::from_secs(30);
/// How soon after the system gave no thread it is asked for one again.
const SHORT: Duration = Duration::from_secs(1);
/// How soon after it was said that the system gives no thread it is said again.
const SAID: Duration = Duration::from_secs(600);
/// The stack of a thread, of which only what is used becomes resident. The most that an attempt uses (an event of as many
/// levels as may be, as a form; a TLS handshake with a chain that is refused; a panic with its backtrace) is 92 KiB without
/// optimisation, as `tests::cost` measures it; an https attempt of a release build, 52. An overflow would end the process,
/// so there is a wide margin.
pub(super) const STACK: usize = 512 * 1024;

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Done<K, R> {
    /// With a result.
    Finished(K, R),
    /// In a panic, which ended this job only.
    Panicked(K),
}

/// Starts a thread of a name.
type Spawn = dyn Fn(String, Box<dyn FnOnce() + Send>) -> io::Result<()> + Send + Sync;
/// Does a job, and calls what it is given as soon as there is room for another.
type Perform<J> = dyn Fn(J, &dyn Fn()) + Send + Sync;

/// At most so many threads that take jobs of the type `J`.
pub struct Pool<J> {
    shared: Arc<Shared<J>>,
    given: Arc<Given<J>>,
    most: usize,
    name: String,
    spawn: Box<Spawn>,
}

struct Shared<J> {
    state: Mutex<State<J>>,
    /// The last thread ended.
    ended: Condvar,
    quiet: Duration,
}

/// What the submitter gave.
struct Given<J> {
    perform: Box<Perform<J>>,
    /// Called by a thread that ends because it was idle for a while.
    retire: Box<dyn Fn() + Send + Sync>,
}

struct State<J> {
    /// Jobs for the threads that are `telling`; never more than there are of those.
    queue: VecDeque<J>,
    /// The threads that sleep, the last that fell asleep at the end.
    asleep: Vec<Arc<Seat<J>>>,
    /// Threads whose job has ended, and that only tell of it.
    telling: usize,
    /// Jobs that were taken and have not ended.
    busy: usize,
    /// Threads in all.
    alive: usize,
    started: usize,
    /// When the system last gave no thread, and when that was last said.
    short: Option<Instant>,
    said: Option<Instant>,
    stopping: bool,
}

/// Where a thread is told what to do next.
struct Seat<J> {
    told: Mutex<Option<Told<J>>>,
    woken: Condvar,
}

enum Told<J> {
    Job(J),
    End,
}

impl<J: Send + 'static> Pool<J> {
    /// A pool of up to `threads` threads named `name` and a number, none of which is started before it is needed. Each
    /// job goes through `work`, and its end to `done`, on the same thread; `key` is what tells `done` which job it was.
    /// By the time that `done` is called, the pool has room for another job. A thread that ends because there was nothing
    /// to do for it calls `retire` before.
    pub fn new<K, R>(
        threads: usize,
        name: &str,
        key: impl Fn(&J) -> K + Send + Sync + 'static,
        work: impl Fn(J) -> R + Send + Sync + 'static,
        done: impl Fn(Done<K, R>) + Send + Sync + 'static,
        retire: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        let perform = move |job: J, free: &dyn Fn()| {
            let key = key(&job);
            let result = catch_unwind(AssertUnwindSafe(|| work(job)));
            free();
            done(match result {
                Ok(result) => Done::Finished(key, result),
                Err(_) => Done::Panicked(key),
            });
        };
        let given = Given { perform: Box::new(perform), retire: Box::new(retire) };
        Self::with(threads, name, given, QUIET, Box::new(spawn))
    }

    fn with(most: usize, name: &str, given: Given<J>, quiet: Duration, spawn: Box<Spawn>) -> Self {
        let state = State {
            queue: VecDeque::new(),
            asleep: Vec::new(),
            telling: 0,
            busy: 0,
            alive: 0,
            started: 0,
            short: None,
            said: None,
            stopping: false,
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), ended: Condvar::new(), quiet });
        Self { shared, given: Arc::new(given), most, name: name.to_owned(), spawn }
    }

    /// Hands a job to an idle thread, or to a new one. Does not wait for any.
    ///
    /// # Errors
    /// Gives the job back if as many as may be are at work, if the system gives no further thread just now, or if the
    /// pool is stopping.
    pub fn submit(&self, job: J) -> Result<(), J> {
        let mut state = self.shared.lock();
        if state.stopping || state.busy >= self.most {
            return Err(job);
        }
        if state.queue.len() < state.telling {
            state.busy += 1;
            state.queue.push_back(job);
            return Ok(());
        }
        if let Some(seat) = state.asleep.pop() {
            state.busy += 1;
            drop(state);
            seat.tell(Told::Job(job));
            return Ok(());
        }
        if state.short.is_some_and(|at| at.elapsed() < SHORT) {
            return Err(job);
        }
        state.busy += 1;
        state.alive += 1;
        let number = state.started % self.most;
        state.started += 1;
        drop(state);
        self.launch(number, job)
    }

    /// Starts a thread with `job`, which already counts.
    fn launch(&self, number: usize, job: J) -> Result<(), J> {
        let seat = Arc::new(Seat { told: Mutex::new(Some(Told::Job(job))), woken: Condvar::new() });
        let (shared, given, own) = (Arc::clone(&self.shared), Arc::clone(&self.given), Arc::clone(&seat));
        let body = move || {
            // A panic in the submitter's code must not keep the thread from being counted out.
            if shared.serve(&own, given.perform.as_ref())
                && catch_unwind(AssertUnwindSafe(|| (given.retire)())).is_err()
            {
                tracing::error!("a bug: what an idle thread does before it ends failed");
            }
            // Who waits for the end of all threads may count on it that they hold nothing of the submitter's any more.
            drop(given);
            shared.left();
        };
        let Err(error) = (self.spawn)(format!("{}-{number}", self.name), Box::new(body)) else { return Ok(()) };
        self.refused(&error);
        // Nobody else knows the seat of a thread that was not started.
        let Some(Told::Job(job)) = seat.lock().take() else { return Ok(()) };
        Err(job)
    }

    /// The system gave no thread.
    fn refused(&self, error: &io::Error) {
        let now = Instant::now();
        let mut state = self.shared.lock();
        state.busy -= 1;
        state.alive -= 1;
        state.short = Some(now);
        let (name, most, alive) = (&self.name, self.most, state.alive);
        if state.said.is_some_and(|at| now.duration_since(at) < SAID) {
            return;
        }
        state.said = Some(now);
        drop(state);
        tracing::error!(
            "the system gives no further thread ({error}): {alive} of up to {most} {name} threads go on, and what has its \
             turn waits for one of them; raise `TasksMax=` of the unit (or `ulimit -u`) and the machine's memory, or lower \
             `threads` in [senders]"
        );
    }

    /// How many jobs were taken and have not ended.
    pub fn busy(&self) -> usize {
        self.shared.lock().busy
    }

    /// How many threads there may be.
    pub const fn threads(&self) -> usize {
        self.most
    }

    /// How many threads there are.
    pub fn alive(&self) -> usize {
        self.shared.lock().alive
    }

    /// Takes no more jobs, lets those that were taken end, and waits for the threads, no longer than
    /// `deadline` from now. How many did not end in time; they are left behind.
    pub fn stop(&self, deadline: Duration) -> usize {
        let until = Instant::now() + deadline;
        self.shared.end();
        let mut state = self.shared.lock();
        while state.alive > 0 {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return state.alive;
            }
            state = self.shared.ended.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        0
    }
}

impl<J> Drop for Pool<J> {
    /// Lets the threads end by themselves.
    fn drop(&mut self) {
        self.shared.end();
    }
}

fn spawn(name: String, body: Box<dyn FnOnce() + Send>) -> io::Result<()> {
    std::thread::Builder::new().name(name).stack_size(STACK).spawn(body).map(drop)
}

impl<J> Shared<J> {
    fn lock(&self) -> MutexGuard<'_, State<J>> {
        // Jobs never run under this lock, so a panic leaves nothing half-done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What each thread does. Tells whether it ends because it was idle for a while.
    fn serve(&self, seat: &Arc<Seat<J>>, perform: &Perform<J>) -> bool {
        let mut next = seat.wait(None);
        while let Some(Told::Job(job)) = next {
            let freed = std::cell::Cell::new(false);
            let free = || {
                if !freed.replace(true) {
                    let mut state = self.lock();
                    state.busy -= 1;
                    state.telling += 1;
                }
            };
            // `work` is caught within; this is for `key` and `done`, the submitter's own code.
            if catch_unwind(AssertUnwindSafe(|| perform(job, &free))).is_err() {
                tracing::error!("a bug: the end of a job could not be told");
            }
            free();
            next = self.next(seat);
        }
        next.is_none()
    }

    /// What a thread that has told of its job does next; nothing if there was nothing for a while.
    fn next(&self, seat: &Arc<Seat<J>>) -> Option<Told<J>> {
        let mut state = self.lock();
        state.telling -= 1;
        if let Some(job) = state.queue.pop_front() {
            return Some(Told::Job(job));
        }
        if state.stopping {
            return Some(Told::End);
        }
        state.asleep.push(Arc::clone(seat));
        drop(state);
        if let Some(told) = seat.wait(Some(self.quiet)) {
            return Some(told);
        }
        let mut state = self.lock();
        let Some(at) = state.asleep.iter().position(|other| Arc::ptr_eq(other, seat)) else {
            // Somebody has just chosen it, and is about to say what for.
            drop(state);
            return seat.wait(None);
        };
        state.asleep.remove(at);
        None
    }

    /// A thread has ended but for its own remains.
    fn left(&self) {
        let mut state = self.lock();
        state.alive -= 1;
        if state.alive == 0 {
            self.ended.notify_all();
        }
    }

    /// Has every thread end that has nothing to do, and the others after their job.
    fn end(&self) {
        let mut state = self.lock();
        state.stopping = true;
        let asleep = std::mem::take(&mut state.asleep);
        drop(state);
        asleep.iter().for_each(|seat| seat.tell(Told::End));
    }
}

impl<J> Seat<J> {
    fn lock(&self) -> MutexGuard<'_, Option<Told<J>>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, what: Told<J>) {
        *self.lock() = Some(what);
        self.woken.notify_one();
    }

    /// Waits until it is told something, no longer than `limit`.
    fn wait(&self, limit: Option<Duration>) -> Option<Told<J>> {
        let until = limit.map(|limit| Instant::now() + limit);
        let mut told = self.lock();
        while told.is_none() {
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            told = match left {
                Some(Duration::ZERO) => break,
                Some(left) => self.woken.wait_timeout(told, left).unwrap_or_else(PoisonError::into_inner).0,
                None => self.woken.wait(told).unwrap_or_else(PoisonError::into_inner),
            };
        }
        told.take()
    }
}
