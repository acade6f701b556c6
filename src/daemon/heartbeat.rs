//! The heartbeat: tells systemd how the daemon is, and notifies its watchdog only while dispatcher and committer answer
//! a ping.
//!
//! Each answers from its own loop; a timer alone would go on notifying for a daemon that is stuck. The status is a line for
//! `systemctl status`. Some wake-ups a minute, and none where nobody listens.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::dispatch::Gauge;
use crate::service;
use crate::store::Store;

/// How often at least the status is told.
const BEAT: Duration = Duration::from_secs(20);

/// The running thread. It ends when this is stopped.
pub(super) struct Heartbeat {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Heartbeat {
    /// Starts it, if somebody listens. `place` is where the daemon listens.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub(super) fn start(place: String, store: Store, gauge: Gauge) -> std::io::Result<Option<Self>> {
        if !service::is_notified() {
            return Ok(None);
        }
        // Fed three times in the time that is allowed, each with a third of it to answer in.
        let beat = service::watchdog().map_or(BEAT, |limit| (limit / 3).min(BEAT));
        let (stop, stopped) = mpsc::channel();
        let thread = std::thread::Builder::new().name("heartbeat".to_owned()).spawn(move || {
            while stopped.recv_timeout(beat) == Err(RecvTimeoutError::Timeout) {
                match ping(&place, &store, &gauge, beat) {
                    Ok(status) => service::notify_alive(&status),
                    Err(stuck) => {
                        tracing::error!("{stuck} has not answered for {beat:?}: the watchdog is not fed");
                        service::notify_status(&format!("{stuck} does not answer"));
                    }
                }
            }
        })?;
        Ok(Some(Self { stop, thread }))
    }

    /// Ends it.
    pub(super) fn stop(self) {
        drop(self.stop);
        if self.thread.join().is_err() {
            tracing::error!("the heartbeat ended in a panic");
        }
    }
}

/// How the daemon is, if both loops answer; otherwise which does not.
fn ping(place: &str, store: &Store, gauge: &Gauge, limit: Duration) -> Result<String, &'static str> {
    if !store.ping(limit) {
        return Err("the committer");
    }
    if !gauge.ping(limit) {
        return Err("the dispatcher");
    }
    let down = gauge.tally().down;
    let counts = store.counts();
    let (threads, busy) = gauge.senders();
    let waiting = counts.pending + counts.retrying;
    Ok(format!("listening on {place}; {waiting} waiting, {busy} of {threads} senders busy, {down} receivers down"))
}
