//! The fixed pool of threads on which attempts block.
//!
//! Knows nothing of what a job is. Whoever submits is told of the end of every job that was taken,
//! also of one that panicked, so that nothing owed is ever lost in here. Idle threads sleep.

use std::any::Any;
use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Done<K, R> {
    /// With a result.
    Finished(K, R),
    /// In a panic, which ended this job only.
    Panicked(K),
}

/// A fixed number of threads that take jobs of the type `J`.
pub struct Pool<J> {
    shared: Arc<Shared<J>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

struct Shared<J> {
    state: Mutex<State<J>>,
    /// A job came, or the end.
    work: Condvar,
    /// A thread ended.
    ended: Condvar,
}

struct State<J> {
    queue: VecDeque<J>,
    /// Threads that do not work on a job. One for which a job is queued still counts.
    idle: usize,
    alive: usize,
    stopping: bool,
}

impl<J> Shared<J> {
    fn lock(&self) -> MutexGuard<'_, State<J>> {
        // Jobs never run under this lock, so a panic leaves nothing half-done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<J: Send + 'static> Pool<J> {
    /// Starts `threads` threads named `name` and a number. Each job goes through `work`, and its end
    /// to `done`, on the same thread; `key` is what tells `done` which job it was. By the time that
    /// `done` is called, the pool has room for another job.
    ///
    /// # Errors
    /// If the system gives no more threads; those that were started end again.
    pub fn start<K, R>(
        threads: usize,
        name: &str,
        key: impl Fn(&J) -> K + Send + Sync + 'static,
        work: impl Fn(J) -> R + Send + Sync + 'static,
        done: impl Fn(Done<K, R>) + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let state = State { queue: VecDeque::with_capacity(threads), idle: 0, alive: 0, stopping: false };
        let shared = Arc::new(Shared { state: Mutex::new(state), work: Condvar::new(), ended: Condvar::new() });
        let pool = Self { shared, threads: Mutex::default() };
        let perform = Arc::new(move |job: J, free: &dyn Fn()| {
            let key = key(&job);
            let result = catch_unwind(AssertUnwindSafe(|| work(job)));
            free();
            done(match result {
                Ok(result) => Done::Finished(key, result),
                Err(_) => Done::Panicked(key),
            });
        });
        for number in 0..threads {
            let (shared, perform) = (Arc::clone(&pool.shared), Arc::clone(&perform));
            let mut state = pool.shared.lock();
            let thread = std::thread::Builder::new()
                .name(format!("{name}-{number}"))
                .spawn(move || serve(&shared, perform.as_ref()))?;
            state.alive += 1;
            state.idle += 1;
            drop(state);
            pool.handles().push(thread);
        }
        Ok(pool)
    }

    /// Hands a job to an idle thread. Never blocks.
    ///
    /// # Errors
    /// Gives the job back if no thread is idle, or the pool is stopping.
    pub fn submit(&self, job: J) -> Result<(), J> {
        let mut state = self.shared.lock();
        if state.stopping || state.queue.len() >= state.idle {
            return Err(job);
        }
        state.queue.push_back(job);
        drop(state);
        self.shared.work.notify_one();
        Ok(())
    }

    /// How many jobs were taken and have not ended.
    pub fn busy(&self) -> usize {
        let state = self.shared.lock();
        state.alive.saturating_sub(state.idle) + state.queue.len()
    }

    /// How many threads there are.
    pub fn threads(&self) -> usize {
        self.handles().len()
    }

    /// Takes no more jobs, lets those that were taken end, and waits for the threads, no longer than
    /// `deadline` from now. How many did not end in time; they are left behind.
    pub fn stop(&self, deadline: Duration) -> usize {
        let until = Instant::now() + deadline;
        let mut state = self.shared.lock();
        state.stopping = true;
        self.shared.work.notify_all();
        while state.alive > 0 {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return state.alive;
            }
            state = self.shared.ended.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        drop(state);
        for thread in std::mem::take(&mut *self.handles()) {
            // A thread catches every panic, so there is nothing to learn from how it ended.
            let _: Result<(), Box<dyn Any + Send>> = thread.join();
        }
        0
    }

    fn handles(&self) -> MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<J> Drop for Pool<J> {
    /// Lets the threads end by themselves.
    fn drop(&mut self) {
        self.shared.lock().stopping = true;
        self.shared.work.notify_all();
    }
}

/// What each thread does.
fn serve<J>(shared: &Shared<J>, perform: &(dyn Fn(J, &dyn Fn()) + Send + Sync)) {
    let mut state = shared.lock();
    loop {
        if let Some(job) = state.queue.pop_front() {
            state.idle -= 1;
            drop(state);
            let freed = std::cell::Cell::new(false);
            let free = || {
                if !freed.replace(true) {
                    shared.lock().idle += 1;
                }
            };
            // `work` is caught within; this is for `key` and `done`, the submitter's own code.
            if catch_unwind(AssertUnwindSafe(|| perform(job, &free))).is_err() {
                tracing::error!("a bug: the end of a job could not be told");
            }
            free();
            state = shared.lock();
        } else if state.stopping {
            state.alive -= 1;
            state.idle -= 1;
            shared.ended.notify_all();
            return;
        } else {
            state = shared.work.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    /// A pool whose jobs wait for a permit, and panic on the number 13.
    fn gated(threads: usize) -> (Pool<u32>, mpsc::Sender<()>, mpsc::Receiver<Done<u32, u32>>) {
        let (permit, gate) = mpsc::channel();
        let gate = Mutex::new(gate);
        let (ended, ends) = mpsc::channel();
        let work = move |number: u32| {
            gate.lock().unwrap_or_else(PoisonError::into_inner).recv().ok();
            assert_ne!(number, 13, "the unlucky job");
            number * 2
        };
        let done = move |end| ended.send(end).unwrap();
        (Pool::start(threads, "test", |number| *number, work, done).unwrap(), permit, ends)
    }

    #[test]
    fn takes_as_many_jobs_as_threads_are_idle() {
        let (pool, permit, ends) = gated(2);
        assert_eq!((pool.submit(1), pool.submit(2)), (Ok(()), Ok(())));
        assert_eq!(pool.submit(3), Err(3));
        assert_eq!(pool.busy(), 2);
        permit.send(()).unwrap();
        let Done::Finished(key, result) = ends.recv_timeout(LONG).unwrap() else { panic!("no result") };
        assert_eq!(result, key * 2);
        assert_eq!(pool.submit(3), Ok(()), "who hears of an end may submit at once");
        drop(permit);
        ends.recv_timeout(LONG).unwrap();
        ends.recv_timeout(LONG).unwrap();
        assert_eq!(pool.busy(), 0);
        assert_eq!(pool.stop(LONG), 0);
        assert_eq!(pool.submit(4), Err(4));
    }

    #[test]
    fn a_panic_ends_one_job_and_no_thread() {
        let (pool, permit, ends) = gated(1);
        drop(permit);
        pool.submit(13).unwrap();
        assert_eq!(ends.recv_timeout(LONG), Ok(Done::Panicked(13)));
        pool.submit(4).unwrap();
        assert_eq!(ends.recv_timeout(LONG), Ok(Done::Finished(4, 8)));
        assert_eq!(pool.stop(LONG), 0);
    }

    #[test]
    fn a_panic_of_the_submitters_code_costs_no_thread() {
        let (ended, ends) = mpsc::channel();
        let done = move |end| {
            ended.send(()).unwrap();
            assert_ne!(end, Done::Finished(1, ()), "told");
        };
        let pool = Pool::start(1, "test", |number: &u32| *number, |_| (), done).unwrap();
        pool.submit(1).unwrap();
        ends.recv_timeout(LONG).unwrap();
        pool.submit(2).unwrap();
        ends.recv_timeout(LONG).unwrap();
        assert_eq!(pool.stop(LONG), 0);
    }

    #[test]
    fn stopping_finishes_what_was_taken_and_counts_who_hangs() {
        let (pool, permit, ends) = gated(3);
        for number in 1..=3 {
            pool.submit(number).unwrap();
        }
        assert_eq!(pool.stop(Duration::from_millis(20)), 3);
        drop(permit);
        assert_eq!(ends.iter().take(3).count(), 3);
        assert_eq!(pool.stop(LONG), 0);
    }
}
