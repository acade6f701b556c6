//! The only place where the command line knows how a daemon is made.

use std::fmt::Display;
use std::time::Duration;

use super::exit::{Exit, Failure};
use crate::config::Config;
pub(super) use crate::config::Overrides;
use crate::daemon::{self, Fatal};
pub(super) use crate::daemon::{Daemon, Handshake, Trouble};

/// Reads the configuration in all its layers and the files that it names, without starting anything.
///
/// # Errors
/// It is invalid; the message names every fault.
pub(super) fn check(overrides: &Overrides) -> Result<(), Failure> {
    configuration(overrides).map(drop)
}

/// The configuration, after [`check`].
///
/// # Errors
/// Those of [`check`].
pub(super) fn configuration(overrides: &Overrides) -> Result<Config, Failure> {
    let config = load(overrides)?;
    daemon::check(&config).map_err(|faults| Failure {
        exit: Exit::BadConfiguration,
        message: faults.iter().map(lines).collect::<Vec<_>>().join("\n"),
    })?;
    Ok(config)
}

fn load(overrides: &Overrides) -> Result<Config, Failure> {
    Config::load(overrides).map_err(|error| Failure { exit: Exit::BadConfiguration, message: lines(&error) })
}

/// Runs a daemon until it is told to stop.
///
/// # Errors
/// The configuration is invalid, or the daemon could not start or continue.
pub(super) fn run(overrides: &Overrides) -> Result<(), Failure> {
    daemon::run(&load(overrides)?, || Config::load(overrides)).map_err(|fatal| failure(&fatal))
}

/// Starts a daemon inside this process.
///
/// # Errors
/// Those of [`run`].
pub(super) fn start(overrides: &Overrides) -> Result<Daemon, Failure> {
    Daemon::start(&load(overrides)?).map_err(|fatal| failure(&fatal))
}

/// Upgrades the tables of the PostgreSQL engine. Returns what was done, in a sentence.
///
/// # Errors
/// Those of [`run`]; or another engine is configured.
pub(super) fn upgrade_store(overrides: &Overrides, finish: bool) -> Result<String, Failure> {
    daemon::upgrade_store(&load(overrides)?, finish).map_err(|fatal| failure(&fatal))
}

/// A function that performs a handshake with a receiver's URL within a time limit.
///
/// # Errors
/// A file named in the configuration cannot be used.
pub(super) fn handshakes(
    config: &Config,
) -> Result<impl Fn(&str, Duration) -> Result<Handshake, Trouble> + Sync, Failure> {
    daemon::handshakes(config).map_err(|fatal| failure(&fatal))
}

fn failure(fatal: &Fatal) -> Failure {
    Failure { exit: Exit::from_code(fatal.exit_code()), message: lines(fatal) }
}

fn lines(error: &impl Display) -> String {
    error.to_string().trim_end().to_owned()
}
