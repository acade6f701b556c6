//! How a command ends: the exit statuses, and a failure with its message.
//!
//! The statuses are part of the product: systemd and scripts act on them.

use std::io::{self, Write as _};
use std::process::ExitCode;

use crate::store::offline::Refused;

/// The exit statuses there are. Those from 70 on are the ones of BSD's `sysexits.h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// What was asked for is done.
    Done = 0,
    /// It could not be done; the message on standard error says why.
    Failed = 1,
    /// The command line is not one that Hookswitch understands.
    Usage = 2,
    /// A fault of Hookswitch's own.
    Bug = 70,
    /// The data directory cannot be used, or the disk failed.
    StoreFailed = 74,
    /// The configuration is not valid; starting again does not help before it is mended.
    BadConfiguration = 78,
}

impl Exit {
    /// All of them, in ascending order.
    pub const ALL: [Self; 6] =
        [Self::Done, Self::Failed, Self::Usage, Self::Bug, Self::StoreFailed, Self::BadConfiguration];

    /// The number that the shell sees.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The status with this number. A number that is none of them is a bug, and reads as one.
    pub fn from_code(code: u8) -> Self {
        Self::ALL.into_iter().find(|exit| exit.code() == code).unwrap_or(Self::Bug)
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Why a command ends before its work is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    /// The exit status.
    pub(super) exit: Exit,
    /// What is printed on standard error; nothing if it is empty.
    pub(super) message: String,
}

impl Failure {
    /// The work could not be done, for the reason in `message`.
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { exit: Exit::Failed, message: message.into() }
    }

    /// The command line cannot be meant like that.
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
    /// Of writing to standard output. A reader that has seen enough (`| head`) is no failure.
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self { exit: Exit::Done, message: String::new() };
        }
        Self::new(format!("cannot write to standard output: {error}"))
    }
}

/// A message on standard error.
pub(super) fn note(message: &str) {
    // Nobody is left to hear of it if that fails.
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
