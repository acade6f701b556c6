//! Signals: SIGINT and SIGTERM stop, SIGHUP reloads.
//!
//! ctrlc treats all three as a stop. To give SIGHUP its own meaning it is blocked in every thread, from before a
//! second one exists, and awaited by a dedicated thread: a blocked signal never reaches ctrlc's handler.

use std::fs::File;
use std::io::{self, IsTerminal as _};
use std::process;

use nix::sys::signal::{SigSet, Signal};

/// Calls `stop` at the first SIGINT or SIGTERM, from its own thread; it should request an ordered stop and return. A
/// second signal ends the process at once, with exit status 1: what was answered 202 is durable anyway.
///
/// # Errors
/// A handler is already set, or the system refused; once per process.
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

/// SIGHUP, blocked in all other threads.
pub struct Hangups {
    signal: SigSet,
    /// Whether the process was started from a terminal.
    terminal: bool,
}

impl Hangups {
    /// Blocks SIGHUP in this thread and in those started by it: call it in the main thread, before any other is
    /// started. A pending signal is kept until [`on_each`](Hangups::on_each).
    ///
    /// # Errors
    /// The system refused.
    pub fn keep() -> io::Result<Self> {
        let mut signal = SigSet::empty();
        signal.add(Signal::SIGHUP);
        signal.thread_block()?;
        Ok(Self { signal, terminal: io::stdin().is_terminal() })
    }

    /// Calls `reload` at each SIGHUP, or `stop` if it came because the controlling terminal closed. Called from a
    /// dedicated thread; neither may block for long.
    ///
    /// # Errors
    /// No thread can be created.
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
