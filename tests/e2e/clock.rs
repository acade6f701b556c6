//! The wall clock jumps by hours under a running daemon (libfaketime): nothing is lost, nothing waits longer or comes
//! earlier because of it, and ids stay in order.
//!
//! Without libfaketime the tests are skipped with a message, unless `HOOKSWITCH_NEED_FAKETIME=1`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::daemon::{Daemon, Home};
use crate::platform::event;
use crate::receiver::{Answer, Received, Receiver};
use crate::space::skipped;
use crate::wait::eventually;

/// A wall clock set by the test.
pub(crate) struct FakeClock {
    library: PathBuf,
    file: PathBuf,
}

impl FakeClock {
    /// `None`, with a message, if there is no libfaketime.
    pub(crate) fn new(home: &Home) -> Option<Self> {
        let places = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten().map(|entry| entry.path());
        let library = places.map(|place| place.join("faketime/libfaketime.so.1")).find(|path| path.exists());
        if library.is_none() {
            assert!(std::env::var_os("HOOKSWITCH_NEED_FAKETIME").is_none(), "libfaketime is not installed");
            skipped("libfaketime is not installed (apt install faketime)");
        }
        let clock = Self { library: library?, file: home.beside("clock") };
        clock.set("+0");
        Some(clock)
    }

    /// Sets its offset from the machine's clock: `-5h`.
    pub(crate) fn set(&self, offset: &str) {
        let beside = self.file.with_extension("new");
        std::fs::write(&beside, offset).unwrap();
        std::fs::rename(&beside, &self.file).unwrap();
    }

    pub(crate) fn start(&self, home: &Home) -> Daemon {
        let file: &Path = &self.file;
        let started = home.try_start(|mut command| {
            command.env("LD_PRELOAD", &self.library).env("FAKETIME_TIMESTAMP_FILE", file);
            // A machine's monotonic clock does not jump.
            command.env("FAKETIME_NO_CACHE", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
            command.env("DONT_FAKE_MONOTONIC", "1");
            command
        });
        started.unwrap_or_else(|why| panic!("{why}"))
    }
}

fn hour_of(daemon: &Daemon, event: &Value) -> String {
    let path = format!("/v1/events/{}", event["id"].as_str().unwrap());
    let accepted = daemon.api().get(&path).expect(200).json()["accepted_at"].clone();
    accepted.as_str().unwrap()[..13].to_owned()
}

/// Fails the first attempt of each delivery; the jump comes during the wait for the second.
fn jump(offsets: [&str; 2]) {
    let home = Home::new().set("retry.initial_delay", "\"2s\"").set("retry.jitter", "0.0");
    let Some(clock) = FakeClock::new(&home) else { return };
    let daemon = clock.start(&home);
    let receiver = Receiver::start(|request| Answer::status(if request.attempt() == 1 { 503 } else { 200 }));
    let expire = json!({"expire_after": {"call.new": "10m"}, "ordering": "none"});
    daemon.subscribe(&receiver.url("/"), expire);
    let mut ids = Vec::new();
    let mut hours = Vec::new();
    for (round, offset) in offsets.into_iter().enumerate() {
        let accepted = daemon.accept(&event("call.new", &format!("c{round}")));
        hours.push(hour_of(&daemon, &accepted));
        receiver.wait_until("the first attempt", |requests| requests.len() > 2 * round);
        clock.set(offset);
        // Another event after the jump, so that the daemon is awake.
        let other = json!({"type": "call.new", "company": "other", "source": "api", "data": {"call_id": "x"}});
        let after = daemon.accept(&other);
        assert_ne!(hour_of(&daemon, &after), hours[round], "the clock of the daemon did not jump");
        let requests = receiver.wait_until("the second attempt", |requests| requests.len() > 2 * round + 1);
        let pause = requests[2 * round + 1].at.duration_since(requests[2 * round].at);
        assert!(pause >= Duration::from_millis(1900), "{offset}: tried again after {pause:?}");
        ids.extend([accepted["id"].clone(), after["id"].clone()].map(|id| id.as_str().unwrap().to_owned()));
    }
    assert!(ids.windows(2).all(|pair| pair[0] < pair[1]), "{ids:?}");
    eventually("all to be delivered", || {
        let log = daemon.list("/v1/log");
        let statuses: Vec<&str> = log.iter().rev().map(|entry| entry["status"].as_str().unwrap_or_default()).collect();
        if statuses == ["retrying", "delivered", "retrying", "delivered"] { Ok(()) } else { Err(format!("{log:?}")) }
    });

    // And after a restart, with a clock behind the recorded times.
    daemon.accept(&event("call.new", "c9"));
    receiver.wait_until("its first attempt", |requests| requests.len() >= 5);
    let _home = daemon.kill();
    clock.set("-20h");
    let daemon = clock.start(&home);
    daemon.accept(&event("call.new", "c10"));
    receiver.wait_until("a new event behind the jump", |requests| {
        requests.iter().filter(|request| request.json()["data"]["call_id"] == "c10").count() >= 2
    });
}

#[test]
fn a_clock_that_jumps_back_and_forth_delays_nothing_and_hurries_nothing() {
    jump(["-5h", "+7h"]);
}

#[test]
fn a_clock_that_jumps_forth_and_back_delays_nothing_and_hurries_nothing() {
    jump(["+7h", "-5h"]);
}

/// The jumps come at any stage of an event: while it is accepted, dispatched, sent, judged, rescheduled.
#[test]
fn a_clock_that_jumps_all_the_time_delays_nothing_and_hurries_nothing() {
    const EVENTS: usize = 300;
    const FAILING: usize = EVENTS / 5;
    let home = Home::new().set("retry.initial_delay", "\"1s\"").set("retry.jitter", "0.0");
    let Some(clock) = FakeClock::new(&home) else { return };
    let daemon = clock.start(&home);
    // Too few for the receiver to count as down.
    let fails = |request: &Received| request.sequence().is_multiple_of(5) && request.attempt() == 1;
    let receiver = Receiver::start(move |request| Answer::status(if fails(request) { 500 } else { 200 }));
    // A forward jump taken for elapsed time would expire an event, or give it up.
    let wanted = json!({"expire_after": {"call.new": "1h"}, "ordering": "none", "max_in_flight": 8});
    daemon.subscribe(&receiver.url("/"), wanted);
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                for offset in ["+7h", "-5h", "+0"] {
                    clock.set(offset);
                    std::thread::sleep(Duration::from_micros(300));
                }
            }
        });
        // Dropped last, even if the test fails: it ends the thread above.
        let _guard = Raised(&over);
        for event_number in 0..EVENTS {
            daemon.accept(&event("call.new", &format!("c{event_number}")));
        }
        receiver.wait_for(EVENTS + FAILING);
    });
    let requests = receiver.requests();
    for first in requests.iter().filter(|request| fails(request)) {
        let again = |request: &&Arc<Received>| request.attempt() == 2 && request.delivery() == first.delivery();
        let second = requests.iter().find(again).unwrap_or_else(|| panic!("not tried again: {first:?}"));
        let pause = second.at.duration_since(first.at);
        assert!(pause >= Duration::from_millis(950), "tried again after {pause:?}: {first:?}");
    }
}

/// Sets its flag when dropped.
struct Raised<'a>(&'a AtomicBool);

impl Drop for Raised<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
