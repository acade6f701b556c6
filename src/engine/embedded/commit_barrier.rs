//! The commit barrier: lets a reader wait until the WAL has caught up with the state.
//!
//! A commit changes the state when it is decided and becomes visible in the WAL once it is durable. A reader that looks
//! something up in both and finds it in neither may have looked in between.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

#[derive(Debug, Default)]
struct Commits {
    /// Commits that have begun to change the state.
    begun: u64,
    /// Commits that are visible in the WAL, or have failed.
    visible: u64,
    /// Readers that wait. Without any, no commit pays for the wake-up system call.
    waiting: usize,
}

/// Tracks the commits in flight.
#[derive(Debug, Default)]
pub(crate) struct CommitBarrier {
    commits: Mutex<Commits>,
    changed: Condvar,
}

/// A commit that has begun to change the state. Dropped once it is visible in the WAL or has failed. Commits end in the
/// order in which they begin.
#[derive(Debug)]
pub(crate) struct CommitGuard {
    barrier: Arc<CommitBarrier>,
    number: u64,
}

impl CommitBarrier {
    /// Begins a commit.
    pub(crate) fn begin(self: &Arc<Self>) -> CommitGuard {
        let mut commits = self.lock();
        commits.begun += 1;
        CommitGuard { barrier: self.clone(), number: commits.begun }
    }

    /// Waits until everything that was in the state at the time of the call is visible in the WAL.
    pub(crate) fn wait(&self) {
        let mut commits = self.lock();
        let begun = commits.begun;
        commits.waiting += 1;
        while commits.visible < begun {
            commits = self.changed.wait(commits).unwrap_or_else(PoisonError::into_inner);
        }
        commits.waiting -= 1;
    }

    fn lock(&self) -> MutexGuard<'_, Commits> {
        self.commits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for CommitGuard {
    fn drop(&mut self) {
        let mut commits = self.barrier.lock();
        commits.visible = commits.visible.max(self.number);
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
    fn a_reader_waits_for_the_commits_that_had_begun_and_for_no_later_ones() {
        let barrier = Arc::new(CommitBarrier::default());
        barrier.wait();
        let (first, second) = (barrier.begin(), barrier.begin());
        let (sender, waited) = channel();
        let waiting = barrier.clone();
        let thread = std::thread::spawn(move || {
            waiting.wait();
            sender.send(()).unwrap();
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
