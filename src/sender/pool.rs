//! The pool of threads on which attempts block.
//!
//! Knows nothing about jobs. `done` is called for every submitted job, including one that panicked, so that no job is
//! lost here.
//!
//! A thread is started when there is a job and none is idle, and ends after being idle for a while. The thread that
//! went idle last is woken first: under a small load the same few threads work, with warm caches, and the others end.
//! A thread that is only reporting its last job takes the next one without sleeping.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

#[cfg(test)]
mod tests;

/// Idle time after which a thread ends.
const QUIET: Duration = Duration::from_secs(30);
/// Pause after the system refused to create a thread.
const SHORT: Duration = Duration::from_secs(1);
/// Interval between warnings about that.
const WARNING_PAUSE: Duration = Duration::from_secs(600);
/// Stack size of a thread; only touched pages become resident. The maximum used by an attempt (a deeply nested event
/// as a form; a TLS handshake with a refused chain; a panic with its backtrace) is 92 KiB without optimisation, as
/// measured by `tests::cost`; an https attempt of a release build takes 52. An overflow would end the process, hence
/// the wide margin.
pub(super) const STACK: usize = 512 * 1024;

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Done<K, R> {
    /// With a result.
    Finished(K, R),
    /// With a panic, which ended this job only.
    Panicked(K),
}

/// Starts a named thread.
type Spawn = dyn Fn(String, Box<dyn FnOnce() + Send>) -> io::Result<()> + Send + Sync;
/// Runs a job, and calls its argument as soon as there is room for another.
type Perform<J> = dyn Fn(J, &dyn Fn()) + Send + Sync;

/// A pool of at most this many threads for jobs of type `J`.
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

/// The submitter's callbacks.
struct Given<J> {
    perform: Box<Perform<J>>,
    /// Called by a thread that ends because it was idle for a while.
    retire: Box<dyn Fn() + Send + Sync>,
}

struct State<J> {
    /// Jobs for the threads counted in `reporting`; never more than those.
    queue: VecDeque<J>,
    /// Sleeping threads, most recent last.
    sleeping: Vec<Arc<Seat<J>>>,
    /// Threads that are only reporting an ended job.
    reporting: usize,
    /// Submitted jobs that have not ended.
    busy: usize,
    /// Total threads.
    alive: usize,
    started: usize,
    /// When the system last refused a thread, and when that was last logged.
    short: Option<Instant>,
    warned: Option<Instant>,
    stopping: bool,
}

/// Where a thread waits for its next instruction.
struct Seat<J> {
    instruction: Mutex<Option<Instruction<J>>>,
    woken: Condvar,
}

enum Instruction<J> {
    Job(J),
    End,
}

impl<J: Send + 'static> Pool<J> {
    /// A pool of up to `threads` threads named `name` and a number, started on demand. Each job is passed to `work`,
    /// and its result to `done`, on the same thread; `key` identifies the job to `done`. When `done` is called, the
    /// pool has room for another job. A thread that ends because it was idle calls `retire` first.
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
            sleeping: Vec::new(),
            reporting: 0,
            busy: 0,
            alive: 0,
            started: 0,
            short: None,
            warned: None,
            stopping: false,
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), ended: Condvar::new(), quiet });
        Self { shared, given: Arc::new(given), most, name: name.to_owned(), spawn }
    }

    /// Hands a job to an idle thread or a new one. Does not block.
    ///
    /// # Errors
    /// Returns the job if all threads are busy, if the system refuses to create a thread, or if the pool is stopping.
    pub fn submit(&self, job: J) -> Result<(), J> {
        let mut state = self.shared.lock();
        if state.stopping || state.busy >= self.most {
            return Err(job);
        }
        if state.queue.len() < state.reporting {
            state.busy += 1;
            state.queue.push_back(job);
            return Ok(());
        }
        if let Some(seat) = state.sleeping.pop() {
            state.busy += 1;
            drop(state);
            seat.instruct(Instruction::Job(job));
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

    /// Starts a thread with `job`, which is already counted.
    fn launch(&self, number: usize, job: J) -> Result<(), J> {
        let seat = Arc::new(Seat { instruction: Mutex::new(Some(Instruction::Job(job))), woken: Condvar::new() });
        let (shared, given, own) = (Arc::clone(&self.shared), Arc::clone(&self.given), Arc::clone(&seat));
        let body = move || {
            // A panic in the submitter's code must not keep the thread from being counted out.
            if shared.serve(&own, given.perform.as_ref())
                && catch_unwind(AssertUnwindSafe(|| (given.retire)())).is_err()
            {
                tracing::error!("bug: the cleanup of an idle thread panicked");
            }
            // Whoever waits for all threads to end may rely on their holding nothing of the submitter's.
            drop(given);
            shared.left();
        };
        let Err(error) = (self.spawn)(format!("{}-{number}", self.name), Box::new(body)) else { return Ok(()) };
        self.refused(&error);
        // No other thread knows the seat of a thread that was not started.
        let Some(Instruction::Job(job)) = seat.lock().take() else { return Ok(()) };
        Err(job)
    }

    fn refused(&self, error: &io::Error) {
        let now = Instant::now();
        let mut state = self.shared.lock();
        state.busy -= 1;
        state.alive -= 1;
        state.short = Some(now);
        let (name, most, alive) = (&self.name, self.most, state.alive);
        if state.warned.is_some_and(|at| now.duration_since(at) < WARNING_PAUSE) {
            return;
        }
        state.warned = Some(now);
        drop(state);
        tracing::error!(
            "the system refuses to create a thread ({error}): {alive} of up to {most} {name} threads are running, and deliveries \
             wait for one of them; raise `TasksMax=` of the unit (or `ulimit -u`) and the machine's memory, or lower \
             `threads` in [senders]"
        );
    }

    /// The number of submitted jobs that have not ended.
    pub fn busy(&self) -> usize {
        self.shared.lock().busy
    }

    /// The maximum number of threads.
    pub const fn threads(&self) -> usize {
        self.most
    }

    /// The current number of threads.
    pub fn alive(&self) -> usize {
        self.shared.lock().alive
    }

    /// Accepts no more jobs, lets running ones finish, and waits for the threads, at most until `deadline` from now.
    /// Returns how many did not end in time; they are abandoned.
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
    /// Tells the threads to end, without waiting.
    fn drop(&mut self) {
        self.shared.end();
    }
}

fn spawn(name: String, body: Box<dyn FnOnce() + Send>) -> io::Result<()> {
    std::thread::Builder::new().name(name).stack_size(STACK).spawn(body).map(drop)
}

impl<J> Shared<J> {
    fn lock(&self) -> MutexGuard<'_, State<J>> {
        // Jobs never run under this lock, so a panic leaves nothing inconsistent.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The main loop of a thread. Returns whether it ends because it was idle.
    fn serve(&self, seat: &Arc<Seat<J>>, perform: &Perform<J>) -> bool {
        let mut next = seat.wait(None);
        while let Some(Instruction::Job(job)) = next {
            let freed = std::cell::Cell::new(false);
            let free = || {
                if !freed.replace(true) {
                    let mut state = self.lock();
                    state.busy -= 1;
                    state.reporting += 1;
                }
            };
            // `work` is caught within; this is for `key` and `done`, the submitter's code.
            if catch_unwind(AssertUnwindSafe(|| perform(job, &free))).is_err() {
                tracing::error!("bug: reporting the end of a job panicked");
            }
            free();
            next = self.next(seat);
        }
        next.is_none()
    }

    /// The thread's next instruction; `None` after the idle time.
    fn next(&self, seat: &Arc<Seat<J>>) -> Option<Instruction<J>> {
        let mut state = self.lock();
        state.reporting -= 1;
        if let Some(job) = state.queue.pop_front() {
            return Some(Instruction::Job(job));
        }
        if state.stopping {
            return Some(Instruction::End);
        }
        state.sleeping.push(Arc::clone(seat));
        drop(state);
        if let Some(instruction) = seat.wait(Some(self.quiet)) {
            return Some(instruction);
        }
        let mut state = self.lock();
        let Some(at) = state.sleeping.iter().position(|other| Arc::ptr_eq(other, seat)) else {
            // It has just been chosen, and its instruction follows.
            drop(state);
            return seat.wait(None);
        };
        state.sleeping.remove(at);
        None
    }

    /// Counts out a thread that is about to end.
    fn left(&self) {
        let mut state = self.lock();
        state.alive -= 1;
        if state.alive == 0 {
            self.ended.notify_all();
        }
    }

    /// Tells idle threads to end now, and the others after their job.
    fn end(&self) {
        let mut state = self.lock();
        state.stopping = true;
        let sleeping = std::mem::take(&mut state.sleeping);
        drop(state);
        sleeping.iter().for_each(|seat| seat.instruct(Instruction::End));
    }
}

impl<J> Seat<J> {
    fn lock(&self) -> MutexGuard<'_, Option<Instruction<J>>> {
        self.instruction.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn instruct(&self, what: Instruction<J>) {
        *self.lock() = Some(what);
        self.woken.notify_one();
    }

    /// Waits for an instruction, at most for `limit`.
    fn wait(&self, limit: Option<Duration>) -> Option<Instruction<J>> {
        let until = limit.map(|limit| Instant::now() + limit);
        let mut instruction = self.lock();
        while instruction.is_none() {
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            instruction = match left {
                Some(Duration::ZERO) => break,
                Some(left) => self.woken.wait_timeout(instruction, left).unwrap_or_else(PoisonError::into_inner).0,
                None => self.woken.wait(instruction).unwrap_or_else(PoisonError::into_inner),
            };
        }
        instruction.take()
    }
}
