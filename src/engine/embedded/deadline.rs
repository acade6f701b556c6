//! A limit on what may never end.
//!
//! sled's own threads write what it is given, and one that meets an I/O error does not always wake who waits
//! for it: `flush` then never returns (seen about once in fifty injected errors). No thread can be ended from
//! outside, so the work is done by one that can be left behind; the process ends soon after.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

/// How long one small write may take, the sync included: far longer than any disk that works needs.
pub(crate) const OF_A_WRITE: Duration = Duration::from_secs(20);

/// How long sled's threads may hold on to a database after its last handle is gone.
const OF_A_RELEASE: Duration = Duration::from_secs(5);
/// How often is looked whether they have let go.
const LOOK: Duration = Duration::from_millis(5);

/// Waits until nobody holds sled's lock on its file, at most [`OF_A_RELEASE`]: its threads let go a moment
/// after the handle of a database is dropped, and one that is opened again at once would be refused. Whether
/// anything is wrong with the file is for the opening to say.
pub(crate) fn until_released(file: &Path) {
    let begun = Instant::now();
    // Another daemon cannot be the one: it would hold the data directory's own lock.
    while let Ok(Err(TryLockError::WouldBlock)) = File::open(file).map(|file| file.try_lock()) {
        if begun.elapsed() >= OF_A_RELEASE {
            return;
        }
        std::thread::sleep(LOOK);
    }
}

/// Runs `work` in a thread of its own and waits for it, at most for `limit`.
///
/// # Errors
/// It did not end in time, or panicked, or there is no thread to be had.
pub(crate) fn within<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, String> {
    let (done, end) = mpsc::channel();
    let thread = std::thread::Builder::new().name("state write".to_owned());
    // Nobody may be waiting any more.
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
    fn a_lock_that_is_let_go_is_waited_for() {
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
    fn what_ends_in_time_is_heard_and_what_does_not_is_left_behind() {
        assert_eq!(within(Duration::from_secs(20), || 7), Ok(7));
        let (hold, held) = mpsc::channel::<()>();
        let endless = within(Duration::from_millis(20), move || held.recv().is_ok());
        assert!(endless.unwrap_err().contains("has not ended"));
        drop(hold);
        let panicked: Result<(), String> = within(Duration::from_secs(20), || panic!("on purpose"));
        assert_eq!(panicked, Err("it panicked".to_owned()));
    }
}
