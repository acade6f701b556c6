//! Waiting for a condition, with a deadline; never for a fixed time.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a test waits for something that must come. Long, because it costs only when a test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A value that threads can wait on.
pub(crate) struct Watched<T> {
    value: Mutex<T>,
    changed: Condvar,
}

impl<T> Watched<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self { value: Mutex::new(value), changed: Condvar::new() }
    }

    /// A thread that failed while holding the lock must not hide its message behind a second panic.
    fn lock(&self) -> MutexGuard<'_, T> {
        self.value.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn look<R>(&self, read: impl FnOnce(&T) -> R) -> R {
        read(&self.lock())
    }

    /// Changes the value and wakes waiting threads.
    pub(crate) fn change<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let result = change(&mut self.lock());
        self.changed.notify_all();
        result
    }

    /// The result of `read` once it is `Some`; `None` when `patience` ends first.
    pub(crate) fn wait<R>(&self, patience: Duration, mut read: impl FnMut(&T) -> Option<R>) -> Option<R> {
        let deadline = Instant::now() + patience;
        let mut guard = self.lock();
        loop {
            if let Some(found) = read(&guard) {
                return Some(found);
            }
            let left = deadline.checked_duration_since(Instant::now())?;
            guard = self.changed.wait_timeout(guard, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// A gate at which scripted receivers wait until the test opens it.
pub(crate) struct Gate(Watched<bool>);

impl Gate {
    pub(crate) const fn closed() -> Self {
        Self(Watched::new(false))
    }

    pub(crate) fn open(&self) {
        self.0.change(|open| *open = true);
    }

    pub(crate) fn is_open(&self) -> bool {
        self.0.look(|open| *open)
    }

    /// Waits until it is open; gives up silently after [`PATIENCE`], because the test has failed by then.
    pub(crate) fn pass(&self) {
        self.0.wait(PATIENCE, |open| open.then_some(()));
    }
}

/// Polls until the result is `Ok`, for things that can only be queried (the API, a file).
///
/// # Panics
/// After [`PATIENCE`], with the last `Err`, which says what was seen instead.
#[track_caller]
pub(crate) fn eventually<R>(what: &str, ask: impl FnMut() -> Result<R, String>) -> R {
    in_time(what, ask).unwrap_or_else(|late| panic!("{late}"))
}

/// As [`eventually`], returning `Err` instead of panicking.
pub(crate) fn in_time<R>(what: &str, ask: impl FnMut() -> Result<R, String>) -> Result<R, String> {
    within(PATIENCE, what, ask)
}

/// As [`in_time`], for what may take longer.
pub(crate) fn within<R>(
    patience: Duration,
    what: &str,
    mut ask: impl FnMut() -> Result<R, String>,
) -> Result<R, String> {
    let deadline = Instant::now() + patience;
    let mut pause = Duration::from_millis(2);
    loop {
        let seen = match ask() {
            Ok(found) => return Ok(found),
            Err(seen) => seen,
        };
        if Instant::now() >= deadline {
            return Err(format!("waited {patience:?} for {what}\n  last seen: {seen}"));
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

#[test]
fn a_watched_value_wakes_its_waiter_and_ends_at_its_deadline() {
    let watched = Watched::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| watched.change(|value| *value = 7));
        assert_eq!(watched.wait(PATIENCE, |value| (*value == 7).then_some(*value)), Some(7));
    });
    assert_eq!(watched.wait(Duration::from_millis(1), |value| (*value == 8).then_some(())), None);
}
