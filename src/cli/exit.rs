//! How a command ends: exit statuses, and failures with their messages.
//!
//! The statuses are part of the product: systemd and scripts depend on them.

use std::io::{self, Write as _};
use std::process::ExitCode;

use crate::store::offline::Refused;

/// The exit statuses. Those from 70 on are from BSD's `sysexits.h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Success.
    Done = 0,
    /// Failure; the message on standard error says why.
    Failed = 1,
    /// The command line is invalid.
    Usage = 2,
    /// Internal error.
    Bug = 70,
    /// The data directory cannot be used, or the disk failed.
    StoreFailed = 74,
    /// The configuration is invalid; restarting does not help before it is corrected.
    BadConfiguration = 78,
}

impl Exit {
    /// All of them, ascending.
    pub const ALL: [Self; 6] =
        [Self::Done, Self::Failed, Self::Usage, Self::Bug, Self::StoreFailed, Self::BadConfiguration];

    /// The number that the shell sees.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The status with this number. An unknown number is a bug and yields that.
    pub fn from_code(code: u8) -> Self {
        Self::ALL.into_iter().find(|exit| exit.code() == code).unwrap_or(Self::Bug)
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Why a command ends early.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    /// The exit status.
    pub(super) exit: Exit,
    /// Printed on standard error, unless empty.
    pub(super) message: String,
}

impl Failure {
    /// A failure for the reason in `message`.
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { exit: Exit::Failed, message: message.into() }
    }

    /// An invalid command line.
    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, message: message.into() }
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        let exit = match refused {
            Refused::Failed(_) => Exit::Failed,
            Refused::Damaged(_) => Exit::StoreFailed,
        };
        Self { exit, message: refused.to_string() }
    }
}

impl From<io::Error> for Failure {
    /// A write error on standard output. A reader that has closed the pipe (`| head`) is no failure.
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self { exit: Exit::Done, message: String::new() };
        }
        Self::new(format!("cannot write to standard output: {error}"))
    }
}

/// A message on standard error.
pub(super) fn note(message: &str) {
    // If that fails, nothing can be reported.
    drop(writeln!(io::stderr(), "hookswitch: {message}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_the_documented_numbers() {
        assert_eq!(Exit::ALL.map(Exit::code), [0, 1, 2, 70, 74, 78]);
        for exit in Exit::ALL {
            assert_eq!(Exit::from_code(exit.code()), exit);
        }
        assert_eq!(Exit::from_code(3), Exit::Bug);
    }

    #[test]
    fn a_reader_that_went_away_is_no_failure() {
        assert_eq!(Failure::from(io::Error::from(io::ErrorKind::BrokenPipe)).exit, Exit::Done);
        assert_eq!(Failure::from(io::Error::from(io::ErrorKind::StorageFull)).exit, Exit::Failed);
    }
}
