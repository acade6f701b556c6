//! Locks that ignore poisoning: after a panic the daemon shuts down, and what is read until then is still consistent.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks, even after a panic of another holder.
pub(crate) fn lock<T: ?Sized>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
