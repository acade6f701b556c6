//! The systemd protocols: readiness, status, watchdog, and socket activation (sd_notify(3), sd_listen_fds(3)).
//!
//! Without systemd's environment variables all of it does nothing.

use std::io;
use std::net::TcpListener;
use std::path::PathBuf;
use std::time::Duration;

use listenfd::ListenFd;
use sd_notify::NotifyState;

/// Reports that the daemon is ready; `status` is shown by `systemctl status`.
pub fn notify_ready(status: &str) {
    notify(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// Reports that the configuration is being reloaded; [`notify_ready`] ends that.
pub fn notify_reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => notify(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!(%error, "systemd was not notified of the reload: there is no monotonic clock"),
    }
}

/// Reports that the daemon is stopping.
pub fn notify_stopping(status: &str) {
    notify(&[NotifyState::Stopping, NotifyState::Status(status)]);
}

/// Reports the daemon's status, for example the stage of its stop.
pub fn notify_status(status: &str) {
    notify(&[NotifyState::Status(status)]);
}

/// Notifies the watchdog, with the daemon's status.
pub fn notify_alive(status: &str) {
    notify(&[NotifyState::Watchdog, NotifyState::Status(status)]);
}

/// Whether notifications have a recipient.
pub fn is_notified() -> bool {
    std::env::var_os("NOTIFY_SOCKET").is_some()
}

/// Maximum interval of [`notify_alive`], if systemd's watchdog is enabled (`WatchdogSec`).
pub fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled().filter(|length| !length.is_zero())
}

/// The directory of the unit's `LoadCredential=` files, if any.
pub fn credentials() -> Option<PathBuf> {
    std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from)
}

/// The listening socket passed by systemd, if any.
///
/// # Errors
/// It is not a TCP socket, or there are several.
pub fn inherited_listener() -> io::Result<Option<TcpListener>> {
    let mut handed = ListenFd::from_env();
    if handed.len() > 1 {
        let many = format!("systemd passes {} sockets: have one `ListenStream=` in hookswitch.socket", handed.len());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, many));
    }
    handed.take_tcp_listener(0)
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "systemd could not be notified");
    }
}
