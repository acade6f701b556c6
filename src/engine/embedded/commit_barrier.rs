//! How far what the state says is ahead of what the journal shows, and waiting for the journal.
//!
//! A commit changes the state as it is decided, and is shown by the journal once it is on the disk. Whoever looks for
//! something in both, and finds it in neither, has looked in between.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

#[derive(Debug, Default)]
struct Commits {
    /// How many have begun to change the state.
    begun: u64,
    /// How many of them the journal shows, or never will.
    shown: u64,
    /// How many wait: without any, no commit pays for a system call that wakes nobody.
    waiting: usize,
}

/// The commits that are on their way.
#[derive(Debug, Default)]
pub(crate) struct CommitBarrier {
    commits: Mutex<Commits>,
    changed: Condvar,
}

/// A commit that has begun to change the state; dropped once the journal shows it, or never will. Commits end in the
/// order in which they begin.
#[derive(Debug)]
pub(crate) struct Ahead {
    barrier: Arc<CommitBarrier>,
    number: u64,
}

impl CommitBarrier {
    /// Begins a commit.
    pub(crate) fn begin(self: &Arc<Self>) -> Ahead {
        let mut commits = self.lock();
        commits.begun += 1;
        Ahead { barrier: self.clone(), number: commits.begun }
    }

    /// Waits until the journal shows what the state had at the time of the call.
    pub(crate) fn wait(&self) {
        let mut commits = self.lock();
        let begun = commits.begun;
        commits.waiting += 1;
        while commits.shown < begun {
            commits = self.changed.wait(commits).unwrap_or_else(PoisonError::into_inner);
        }
        commits.waiting -= 1;
    }

    fn lock(&self) -> MutexGuard<'_, Commits> {
        self.commits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        let mut commits = self.barrier.lock();
        commits.shown = commits.shown.max(self.number);
        let is_awaited = commits.waiting > 0;
        drop(commits);
        if is_awaited {
            self.barrier.changed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{RecvTimeoutError, channel};
    use std::time::Duration;

    #[test]
    fn who_waits_goes_on_once_all_is_shown_that_had_begun() {
        let barrier = Arc::new(CommitBarrier::default());
        barrier.wait();
        let (first, second) = (barrier.begin(), barrier.begin());
        let (told, waited) = channel();
        let waiting = barrier.clone();
        let thread = std::thread::spawn(move || {
            waiting.wait();
            told.send(()).unwrap();
        });
        assert_eq!(waited.recv_timeout(Duration::from_millis(20)), Err(RecvTimeoutError::Timeout));
        drop(first);
        assert_eq!(waited.recv_timeout(Duration::from_millis(20)), Err(RecvTimeoutError::Timeout));
        let _later = barrier.begin();
        drop(second);
        assert_eq!(waited.recv_timeout(Duration::from_secs(20)), Ok(()), "what began later is not waited for");
        thread.join().unwrap();
    }
}
