//! systemd's side of being a service: readiness, status, watchdog, and the socket that it keeps
//! (sd_notify(3), sd_listen_fds(3)).
//!
//! Outside systemd, that is without its variables in the environment, all of it does nothing.

use std::io;
use std::net::TcpListener;
use std::path::PathBuf;
use std::time::Duration;

use listenfd::ListenFd;
use sd_notify::NotifyState;

/// Tells systemd that the daemon serves; `status` is shown by `systemctl status`.
pub fn notify_ready(status: &str) {
    notify(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// Tells systemd that the configuration is being read again; [`notify_ready`] ends that.
pub fn notify_reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => notify(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!(%error, "systemd is not told of the reload: there is no monotonic clock"),
    }
}

/// Tells systemd that the daemon stops in order.
pub fn notify_stopping(status: &str) {
    notify(&[NotifyState::Stopping, NotifyState::Status(status)]);
}

/// Tells systemd what the daemon does, for example which stage of its stop it is in.
pub fn notify_status(status: &str) {
    notify(&[NotifyState::Status(status)]);
}

/// Tells systemd that the daemon is alive, and how it is.
pub fn notify_alive(status: &str) {
    notify(&[NotifyState::Watchdog, NotifyState::Status(status)]);
}

/// Whether somebody hears what is notified.
pub fn is_notified() -> bool {
    std::env::var_os("NOTIFY_SOCKET").is_some()
}

/// How often at least [`notify_alive`] must be called, if systemd watches over that (`WatchdogSec`).
pub fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled().filter(|length| !length.is_zero())
}

/// Where systemd has put what the unit's `LoadCredential=` names, if it does.
pub fn credentials() -> Option<PathBuf> {
    std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from)
}

/// The listening socket that systemd keeps for this process and has handed over, if it has.
///
/// # Errors
/// What was handed over is no TCP socket, or more than one.
pub fn inherited_listener() -> io::Result<Option<TcpListener>> {
    let mut handed = ListenFd::from_env();
    if handed.len() > 1 {
        let many =
            format!("systemd hands over {} sockets: have one `ListenStream=` in hookswitch.socket", handed.len());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, many));
    }
    handed.take_tcp_listener(0)
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "systemd could not be notified");
    }
}
