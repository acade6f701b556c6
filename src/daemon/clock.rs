//! The wall clock. Modules below the daemon take the time as an argument.

use std::time::SystemTime;

use crate::core::time::Timestamp;

/// The wall clock; the modules below do not read it themselves.
pub(super) fn now() -> Timestamp {
    SystemTime::now().into()
}
