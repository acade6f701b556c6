//! Time limits for operations of sled that may never return.
//!
//! sled's own threads write its data, and one that meets an I/O error does not always wake the threads that wait for
//! it: `flush` then never returns (seen about once in fifty injected errors). A thread cannot be ended from outside, so
//! the work runs in a thread that can be abandoned; the process ends soon after.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

/// How long one small write may take, its sync included: far longer than any working disk needs.
pub(crate) const WRITE_LIMIT: Duration = Duration::from_secs(20);

/// How long sled's threads may hold the lock of a database after its last handle is dropped.
const RELEASE_LIMIT: Duration = Duration::from_secs(5);
/// How often the lock is polled.
const POLL_EVERY: Duration = Duration::from_millis(5);

/// Waits, for [`RELEASE_LIMIT`] at most, until sled's file lock is free: its threads release it slightly after the
/// handle of a database is dropped, and reopening at once would fail. Any other problem with the file is reported by
/// opening it.
pub(crate) fn until_released(file: &Path) {
    let begun = Instant::now();
    // Another daemon cannot hold it: that would hold the data directory's own lock.
    while let Ok(Err(TryLockError::WouldBlock)) = File::open(file).map(|file| file.try_lock()) {
        if begun.elapsed() >= RELEASE_LIMIT {
            return;
        }
        std::thread::sleep(POLL_EVERY);
    }
}

/// Runs `work` in a thread of its own and waits for it, for `limit` at most.
///
/// # Errors
/// It did not end in time, or panicked, or the thread cannot be started.
pub(crate) fn within<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, String> {
    let (done, end) = mpsc::channel();
    let thread = std::thread::Builder::new().name("state write".to_owned());
    // The caller may have given up.
    let spawned = thread.spawn(move || drop(done.send(work())));
    spawned.map_err(|error| format!("no thread could be started: {error}"))?;
    end.recv_timeout(limit).map_err(|why| match why {
        RecvTimeoutError::Timeout => format!("a write has not ended within {} s", limit.as_secs()),
        RecvTimeoutError::Disconnected => "it panicked".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn until_released_waits_for_the_lock() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let held = File::open(file.path()).unwrap();
        held.lock().unwrap();
        let (ready, go) = mpsc::channel();
        let holder = std::thread::spawn(move || {
            go.recv().unwrap();
            drop(held);
        });
        ready.send(()).unwrap();
        until_released(file.path());
        assert!(holder.join().is_ok() && File::open(file.path()).unwrap().try_lock().is_ok());
    }

    #[test]
    fn work_in_time_is_returned_and_other_work_is_abandoned() {
        assert_eq!(within(Duration::from_secs(20), || 7), Ok(7));
        let (hold, held) = mpsc::channel::<()>();
        let endless = within(Duration::from_millis(20), move || held.recv().is_ok());
        assert!(endless.unwrap_err().contains("has not ended"));
        drop(hold);
        let panicked: Result<(), String> = within(Duration::from_secs(20), || panic!("on purpose"));
        assert_eq!(panicked, Err("it panicked".to_owned()));
    }
}
