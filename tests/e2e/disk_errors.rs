//! A failing disk: the results of single system calls of the daemon are replaced by errors (`strace -e inject`).
//!
//! Whichever call fails, in whichever thread: nothing is answered 202 that is not there after a restart, and a daemon
//! whose store has failed exits with 74. Without strace these tests are skipped with a message; with
//! `HOOKSWITCH_NEED_STRACE=1` they fail then. `HOOKSWITCH_INJECT_STEP=1` tries every call instead of some.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::json;

use crate::daemon::{Daemon, Home};
use crate::engine::left_out;
use crate::platform::numbered;
use crate::receiver::Receiver;
use crate::space::skipped;
use crate::wait::eventually;

/// Number of events posted in sequence.
const EVENTS: usize = 40;

pub(crate) fn has_strace() -> bool {
    let found = Command::new("strace").arg("-V").stdout(Stdio::null()).status().is_ok_and(|status| status.success());
    if !found {
        assert!(std::env::var_os("HOOKSWITCH_NEED_STRACE").is_none(), "strace is not installed");
        skipped("strace is not installed");
    }
    found
}

/// The prefix of a command that makes calls fail: `inject` as in `strace -e inject=`, on `path` only if given.
fn failing(home: &Home, inject: &str, path: Option<&Path>) -> Vec<String> {
    let trace = home.beside("trace").display().to_string();
    let mut words: Vec<String> = ["strace", "-f", "-o", &trace, "-e"].map(str::to_owned).into();
    words.push(format!("inject={inject}"));
    if let Some(path) = path {
        words.extend(["-P".to_owned(), path.display().to_string()]);
    }
    words
}

/// The same with a detached strace: the daemon execs in the command's place.
fn in_its_place(mut failing: Vec<String>) -> Vec<String> {
    failing.splice(1..1, ["-D".to_owned(), "-q".to_owned()]);
    failing
}

/// A strace attached to a running daemon. Ends with it, or when dropped.
pub(crate) struct Attached(Child);

impl Attached {
    pub(crate) fn to(daemon: &Daemon, inject: &str, path: &Path) -> Self {
        let words = failing(daemon.home(), inject, Some(path));
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).args(["-p", &daemon.pid().to_string()]).stderr(Stdio::piped());
        let mut strace = command.spawn().expect("strace");
        let mut output = BufReader::new(strace.stderr.take().expect("standard error is piped"));
        let mut line = String::new();
        output.read_line(&mut line).expect("what strace says");
        assert!(line.contains("attached"), "{line}");
        // Keep reading, so that its pipe never closes.
        std::thread::spawn(move || std::io::copy(&mut output, &mut std::io::sink()));
        Self(strace)
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The result of a run with failing calls.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    /// It did not come to listen.
    Refused,
    /// It ended by itself.
    Failed,
    /// It was not affected, or the call was never made.
    Unharmed,
}

/// Posts until the daemon refuses; returns the ids answered 202.
fn post(daemon: &Daemon, count: usize) -> Vec<String> {
    let mut accepted = Vec::new();
    for n in 0..count {
        let body = numbered(&format!("c{}", n % 4), n).to_string();
        let json = [("content-type", "application/json")];
        match daemon.api().try_request("POST", "/v1/events", &json, body.as_bytes()) {
            Ok(reply) if reply.status == 202 => {
                accepted.push(reply.json()["id"].as_str().unwrap_or_default().to_owned());
            }
            Ok(reply) => {
                assert_eq!(reply.status, 503, "{reply:?}");
                break;
            }
            // It has ended.
            Err(_) => break,
        }
    }
    accepted
}

/// Runs a daemon with failing calls, then one without: everything accepted must be there. With a `path` the calls on
/// that file fail, once the daemon listens.
fn run(inject: &str, path: Option<&str>) -> Outcome {
    let home = Home::new().set("retention.log_bytes", "8388608").set("senders.threads", "4");
    let receiver = Receiver::willing();
    let daemon = home.start();
    daemon.subscribe(&receiver.url("/"), json!({"ordering": "none"}));
    daemon.stop().1.expect(0);
    let path = path.map(|path| home.data().join(path));
    let mut attached = None;
    let started = match &path {
        None => home.start_under(&in_its_place(failing(&home, inject, None))),
        Some(path) => {
            let daemon = home.start();
            attached = Some(Attached::to(&daemon, inject, path));
            Ok(daemon)
        }
    };
    let (accepted, outcome) = match started {
        Err(exit) => {
            exit.expect(74);
            (Vec::new(), Outcome::Refused)
        }
        Ok(daemon) => {
            let accepted = post(&daemon, EVENTS);
            let failed = accepted.len() < EVENTS;
            if !failed {
                // A checkpoint, or the entry of an attempt, may still fail.
                daemon.terminate();
            }
            let (_, exit) = daemon.wait();
            let code = exit.status.code();
            assert!(code == Some(74) || (code == Some(0) && !failed), "{inject}: {exit:?}");
            let outcome = if code == Some(74) { Outcome::Failed } else { Outcome::Unharmed };
            if outcome == Outcome::Failed {
                assert!(exit.stderr.contains("os error") || exit.stderr.contains("state database"), "{}", exit.stderr);
            }
            (accepted, outcome)
        }
    };
    drop(attached);
    let daemon = home.start();
    for id in &accepted {
        daemon.api().get(&format!("/v1/events/{id}")).expect(200);
    }
    receiver.wait_until("every accepted event", |requests| {
        accepted.iter().all(|id| requests.iter().any(|request| request.webhook_id() == *id))
    });
    daemon.stop().1.expect(0);
    outcome
}

/// The writes that preallocate the first segment, after the first group commit.
const OF_ROOM: std::ops::RangeInclusive<usize> = 2..=17;

/// Makes the `n`th call of each thread fail, for some `n`, or for all.
fn sweep(call: &str, error: &str, most: usize, quick: &[usize]) {
    if !has_strace() {
        return;
    }
    let every = std::env::var_os("HOOKSWITCH_INJECT_STEP").is_some();
    let all: Vec<usize> = if every { (1..=most).collect() } else { quick.to_vec() };
    let mut outcomes = Vec::new();
    for n in all {
        outcomes.push((n, run(&format!("{call}:error={error}:when={n}"), None)));
    }
    // The writer makes each of them once per event. Failing to preallocate is not an error.
    let harmless = |n: &usize| error == "ENOSPC" && OF_ROOM.contains(n);
    let unharmed = outcomes.iter().find(|(n, it)| *n < EVENTS && *it == Outcome::Unharmed && !harmless(n));
    assert_eq!(unharmed, None, "an error was not minded: {outcomes:?}");
    assert!(outcomes.iter().any(|(_, outcome)| *outcome == Outcome::Failed), "it was to run before: {outcomes:?}");
}

#[test]
fn a_failed_sync_ends_the_daemon_and_loses_nothing() {
    if left_out() {
        return;
    }
    sweep("fdatasync", "EIO", 48, &[1, 2, 3, 7, 20, 35]);
}

#[test]
fn a_write_to_a_full_disk_ends_the_daemon_and_loses_nothing() {
    if left_out() {
        return;
    }
    sweep("pwrite64", "ENOSPC", 48, &[1, 2, 7, 18, 20, 35]);
}

#[test]
fn a_write_that_fails_ends_the_daemon_and_loses_nothing() {
    if left_out() {
        return;
    }
    sweep("pwrite64", "EIO", 48, &[2, 5, 11]);
}

#[test]
fn an_error_under_the_state_database_is_noticed() {
    if left_out() {
        return;
    }
    if !has_strace() {
        return;
    }
    for call in ["fdatasync:error=EIO", "pwrite64:error=EIO", "pwrite64:error=ENOSPC"] {
        assert_eq!(run(&format!("{call}:when=1"), Some("state/db")), Outcome::Failed, "{call}");
        // The number of further ones depends on sled.
        for n in 2..=4 {
            run(&format!("{call}:when={n}"), Some("state/db"));
        }
    }
}

#[test]
fn a_journal_file_that_cannot_be_made_ends_the_daemon_and_an_index_does_not() {
    if left_out() {
        return;
    }
    if !has_strace() {
        return;
    }
    for (file, ends) in [("journal/000002.log", true), ("journal/000001.new", false)] {
        let home = Home::new().set("retention.log_bytes", "8388608");
        drop(home.start().stop());
        let path = home.data().join(file);
        let wrapper = failing(&home, "openat:error=ENOSPC", Some(&path));
        let daemon = home.start_under(&in_its_place(wrapper)).unwrap_or_else(|exit| panic!("{exit:?}"));
        let mut large = numbered("c", 0);
        large["data"]["text"] = json!("x".repeat(300_000));
        let mut accepted = Vec::new();
        let mut refused = false;
        for _ in 0..5 {
            let body = large.to_string();
            let json = [("content-type", "application/json")];
            match daemon.api().try_request("POST", "/v1/events", &json, body.as_bytes()) {
                Ok(reply) if reply.status == 202 => {
                    accepted.push(reply.json()["id"].as_str().unwrap_or_default().to_owned());
                }
                _ => refused = true,
            }
        }
        assert_eq!(refused, ends, "{file}");
        if !ends {
            eventually("the second file", || {
                let there = home.data().join("journal/000002.log").exists();
                if there { Ok(()) } else { Err("not there".to_owned()) }
            });
            daemon.terminate();
        }
        let (_, exit) = daemon.wait();
        exit.expect(if ends { 74 } else { 0 });
        assert!(accepted.len() >= 3, "{file}: {accepted:?}");
        let daemon = home.start();
        for id in &accepted {
            daemon.api().get(&format!("/v1/events/{id}")).expect(200);
        }
    }
}
