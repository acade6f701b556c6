//! Signals: SIGINT and SIGTERM stop, SIGHUP reloads.
//!
//! ctrlc takes all three alike as a stop. So that SIGHUP means something else it is blocked in every
//! thread, from before there is a second one, and waited for by a thread of its own: a blocked signal
//! never gets to ctrlc's handler.

use std::fs::File;
use std::io::{self, IsTerminal as _};
use std::process;

use nix::sys::signal::{SigSet, Signal};

/// Calls `stop` at the first SIGINT or SIGTERM, from a thread of its own; it should ask for an ordered
/// stop and return. A second signal ends the process at once, with exit status 1: what was answered 202
/// is on the disk anyway.
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

/// SIGHUP, kept from everybody else.
pub struct Hangups {
    signal: SigSet,
    /// Whether the process was started from a terminal.
    terminal: bool,
}

impl Hangups {
    /// Blocks SIGHUP in this thread and in those that it starts from now on: call it in the main thread,
    /// before any other is started. One that comes is kept until somebody [waits](Hangups::on_each).
    ///
    /// # Errors
    /// The system refused.
    pub fn keep() -> io::Result<Self> {
        let mut signal = SigSet::empty();
        signal.add(Signal::SIGHUP);
        signal.thread_block()?;
        Ok(Self { signal, terminal: io::stdin().is_terminal() })
    }

    /// Calls `reload` at each SIGHUP, or `stop` if it came because the terminal went away from which the
    /// process was started. From a thread of its own; neither may block for long.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub fn on_each(self, reload: impl Fn() + Send + 'static, stop: impl Fn() + Send + 'static) -> io::Result<()> {
        let thread = std::thread::Builder::new().name("hangups".to_owned());
        let waits = thread.spawn(move || {
            while self.signal.wait().is_ok() {
                if self.terminal && File::open("/dev/tty").is_err() {
                    stop();
                } else {
                    reload();
                }
            }
        });
        // It ends with the process.
        waits.map(drop)
    }
}
