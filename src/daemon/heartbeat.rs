//! The heartbeat: reports the daemon's status to systemd, and notifies its watchdog only while dispatcher and
//! writer answer a ping.
//!
//! Each answers from its own loop; a timer alone would keep notifying for a daemon that is stuck. The status is a
//! line for `systemctl status`. A few wake-ups a minute, none without systemd.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::dispatch::Gauge;
use crate::service;
use crate::store::Store;

/// Maximum interval of status reports.
const BEAT: Duration = Duration::from_secs(20);

/// The running thread, which ends when this is stopped.
pub(super) struct Heartbeat {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Heartbeat {
    /// Starts it, if systemd is notified. `place` is the listen address.
    ///
    /// # Errors
    /// No thread can be created.
    pub(super) fn start(place: String, store: Store, gauge: Gauge) -> std::io::Result<Option<Self>> {
        if !service::is_notified() {
            return Ok(None);
        }
        // Notified three times per watchdog interval, with a third of it for each ping.
        let beat = service::watchdog().map_or(BEAT, |limit| (limit / 3).min(BEAT));
        let (stop, stopped) = mpsc::channel();
        let thread = std::thread::Builder::new().name("heartbeat".to_owned()).spawn(move || {
            while stopped.recv_timeout(beat) == Err(RecvTimeoutError::Timeout) {
                match ping(&place, &store, &gauge, beat) {
                    Ok(status) => service::notify_alive(&status),
                    Err(stuck) => {
                        tracing::error!("{stuck} has not answered for {beat:?}: the watchdog is not notified");
                        service::notify_status(&format!("{stuck} does not answer"));
                    }
                }
            }
        })?;
        Ok(Some(Self { stop, thread }))
    }

    pub(super) fn stop(self) {
        drop(self.stop);
        if self.thread.join().is_err() {
            tracing::error!("the heartbeat ended in a panic");
        }
    }
}

/// The status, if both loops answer; otherwise which does not.
fn ping(place: &str, store: &Store, gauge: &Gauge, limit: Duration) -> Result<String, &'static str> {
    if !store.ping(limit) {
        return Err("the writer");
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
