//! A terminal on which a command of the binary shows its messages: a pseudo terminal as its standard error.

use std::fs::File;
use std::io::Read as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread;

use nix::pty::{Winsize, openpty};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::wait::{PATIENCE, Watched};

/// What clears the line on which the cursor is.
const CLEARED: &str = "\r\u{1b}[2K";

#[derive(Default)]
struct Screen {
    text: String,
    ended: bool,
}

/// A command at a terminal of 80 columns. Its standard output goes nowhere.
pub(crate) struct AtTerminal {
    child: Child,
    screen: Arc<Watched<Screen>>,
}

/// What was shown until the end.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) text: String,
    pub(crate) status: ExitStatus,
}

impl Shown {
    /// Fails unless the last that was shown was taken away again.
    #[track_caller]
    pub(crate) fn expect_cleared(&self) {
        assert!(self.text.ends_with(CLEARED), "{self:?}");
    }
}

impl AtTerminal {
    #[track_caller]
    pub(crate) fn start(mut command: Command) -> Self {
        let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        let terminal = openpty(&size, None).expect("a pseudo terminal");
        command.env("TERM", "xterm").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::from(terminal.slave));
        let child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        // It has the other end, and keeps the terminal open.
        drop(command);
        let screen = Arc::new(Watched::new(Screen::default()));
        let (filled, mut from) = (Arc::clone(&screen), File::from(terminal.master));
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            // An error is the end, too: nobody has the other end any more.
            while let Ok(count @ 1..) = from.read(&mut buffer) {
                filled.change(|screen| screen.text += &String::from_utf8_lossy(&buffer[..count]));
            }
            filled.change(|screen| screen.ended = true);
        });
        Self { child, screen }
    }

    /// Waits until it shows `what`.
    #[track_caller]
    pub(crate) fn wait_for(&self, what: &str) {
        let seen = self.screen.wait(PATIENCE, |screen| screen.text.contains(what).then_some(()));
        seen.unwrap_or_else(|| {
            panic!("it did not show {what:?}: {:?}", self.screen.look(|screen| screen.text.clone()))
        });
    }

    /// What Ctrl-C does.
    pub(crate) fn interrupt(&self) {
        let process = Pid::from_raw(i32::try_from(self.child.id()).expect("a process id"));
        kill(process, Signal::SIGINT).expect("a signal sent");
    }

    /// Waits for the end.
    #[track_caller]
    pub(crate) fn wait(mut self) -> Shown {
        let text = self.screen.wait(PATIENCE, |screen| screen.ended.then(|| screen.text.clone()));
        let text = text.expect("an end");
        Shown { text, status: self.child.wait().expect("a child of ours") }
    }
}

impl Drop for AtTerminal {
    fn drop(&mut self) {
        // Harmless if it was waited for already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
