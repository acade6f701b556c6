//! Why the daemon ends unexpectedly, and with which exit status.

use std::fmt;

/// Why the daemon did not start, or ended by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fatal {
    cause: Cause,
    message: String,
}

/// The category of a cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// An external cause: the port is in use, no thread can be created.
    Failed,
    /// A file named in the configuration cannot be used.
    Configuration,
    /// The data directory or its disk.
    Store,
    /// An internal error.
    Bug,
}

impl Fatal {
    pub(super) fn new(cause: Cause, message: impl fmt::Display) -> Self {
        Self { cause, message: message.to_string() }
    }

    /// The exit status: 1 failed, 78 the configuration, 74 the store, 70 a bug (`sysexits.h`).
    pub const fn exit_code(&self) -> u8 {
        match self.cause {
            Cause::Failed => 1,
            Cause::Store => 74,
            Cause::Bug => 70,
            Cause::Configuration => 78,
        }
    }
}

impl fmt::Display for Fatal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fatal {}
