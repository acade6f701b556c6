//! The wall clock. Everything below the daemon is handed the time.

use std::time::SystemTime;

use crate::core::time::Timestamp;

/// The wall clock, read here and nowhere else in the modules below.
pub(super) fn now() -> Timestamp {
    SystemTime::now().into()
}
