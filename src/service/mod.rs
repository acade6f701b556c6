//! Being a service: signals, systemd's readiness protocol, the data directory's lock, the admin token.
//!
//! Knows nothing of what the daemon does: it is handed what to call. Nothing here ends the process,
//! except a second signal.

mod admin_token;
mod data_dir;

use std::process;

use sd_notify::NotifyState;

pub use self::admin_token::{AdminToken, TokenError};
pub use self::data_dir::{DataDirError, DataDirHold, DataDirLock};

/// Calls `stop` at the first SIGINT, SIGTERM or SIGHUP, from a thread of its own; it should ask for an
/// ordered stop and return. A second signal ends the process at once, with exit status 1: what was
/// answered 202 is on the disk anyway.
///
/// # Errors
/// A handler is already there, or the system refused; once per process.
pub fn on_stop_signal(stop: impl FnOnce() + Send + 'static) -> Result<(), ctrlc::Error> {
    let mut stop = Some(stop);
    ctrlc::set_handler(move || match stop.take() {
        Some(stop) => stop(),
        None => {
            tracing::warn!("second signal: ending at once, without an ordered stop");
            process::exit(1);
        }
    })
}

/// Tells systemd that the daemon serves; `status` is shown by `systemctl status`.
pub fn notify_ready(status: &str) {
    notify(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// Tells systemd that the daemon stops in order.
pub fn notify_stopping(status: &str) {
    notify(&[NotifyState::Stopping, NotifyState::Status(status)]);
}

/// Tells systemd what the daemon does, for example which stage of its stop it is in.
pub fn notify_status(status: &str) {
    notify(&[NotifyState::Status(status)]);
}

/// Without `NOTIFY_SOCKET`, that is not under systemd, this does nothing.
fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "systemd could not be notified");
    }
}
