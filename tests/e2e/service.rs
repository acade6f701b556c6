//! The process: one daemon per directory, stopped in order, robust against garbage in its directory or configuration,
//! and silent about secrets.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;

use crate::daemon::{Daemon, Exit, Home, contents, hookswitch, run};
use crate::engine::{has_directory, left_out};
use crate::platform::{event, numbered};
use crate::receiver::{Answer, Receiver};
use crate::wait::Gate;

#[test]
fn a_second_daemon_on_the_same_directory_says_so_and_ends() {
    if left_out() {
        return;
    }
    let daemon = Daemon::start();
    let second = daemon.home().refused_start().expect(74);
    let directory = daemon.home().data().display().to_string();
    let named = if has_directory() { &*directory } else { "writes to the schema test_" };
    assert!(second.stderr.contains(named), "which directory: {second:?}");
    assert!(!second.stdout.contains("listening"), "{second:?}");
    daemon.accept(&event("call.new", "c1"));
    // A kill leaves the lock file, which must not block the next daemon.
    let daemon = daemon.kill().start();
    assert_eq!(daemon.list("/v1/events").len(), 1);
}

#[test]
fn sigterm_stops_in_order_and_finishes_requests() {
    let daemon = Daemon::start();
    let gate = Arc::new(Gate::closed());
    let held = Arc::clone(&gate);
    let receiver = Receiver::start(move |_| {
        held.pass();
        Answer::status(200)
    });
    daemon.subscribe(&receiver.url("/"), json!({}));
    daemon.accept(&numbered("c1", 0));
    daemon.accept(&numbered("c1", 1));
    let delivery = receiver.wait_for(1)[0].delivery().to_owned();
    daemon.terminate();
    gate.open();
    let (home, exit) = daemon.wait();
    exit.expect(0);
    let before = receiver.requests().len();
    let daemon = home.start();
    assert_eq!(daemon.wait_for_state(&delivery, "delivered")["attempts"], 1, "it was recorded before the end");
    let requests = receiver.wait_until("the second event", |requests| requests.iter().any(|r| r.sequence() == 2));
    assert_eq!(requests.iter().filter(|request| request.sequence() == 1).count(), 1, "{before} before the restart");
}

#[test]
fn an_idle_daemon_stops_and_starts_with_all_it_knew() {
    let mut daemon = Daemon::start();
    let subscription = daemon.subscribe("http://127.0.0.1:9/", json!({"enabled": false}));
    daemon.accept(&event("call.new", "c1"));
    let before = daemon.api().get(&subscription.path()).expect(200).json();
    for _ in 0..2 {
        let (home, exit) = daemon.stop();
        let exit = exit.expect(0);
        assert!(!exit.stderr.to_lowercase().contains("panic"), "{exit:?}");
        daemon = home.start();
        assert_eq!(daemon.api().get(&subscription.path()).expect(200).json(), before);
        assert_eq!(daemon.list("/v1/events").len(), 1);
    }
}

/// A home with some content, stopped in order.
fn used() -> Home {
    let daemon = Daemon::start();
    let receiver = Receiver::willing();
    let subscription = daemon.subscribe(&receiver.url("/"), json!({}));
    for n in 0..50 {
        daemon.accept(&numbered("c1", n));
    }
    receiver.wait_for(50);
    daemon.api().patch(&subscription.path(), &json!({"enabled": false})).expect(200);
    for n in 50..100 {
        daemon.accept(&numbered("c1", n));
    }
    let (home, exit) = daemon.stop();
    exit.expect(0);
    home
}

/// The largest file below `directory`.
fn largest(directory: &Path) -> PathBuf {
    let found = contents(directory).into_iter().max_by_key(|(_, bytes)| bytes.len());
    found.unwrap_or_else(|| panic!("no file in {}", directory.display())).0
}

/// Truncates a file to a part of its length.
fn cut(file: &Path, part: u64, of: u64) {
    let length = fs::metadata(file).expect("a file").len();
    fs::OpenOptions::new()
        .write(true)
        .open(file)
        .and_then(|file| file.set_len(length * part / of))
        .expect("the file cut");
}

/// A name, and the damage done to a data directory.
type Damage = (&'static str, fn(&Path));

const DAMAGE: [Damage; 7] = [
    ("FORMAT is rubbish", |data| fs::write(data.join("FORMAT"), b"\x00\xffrubbish").unwrap()),
    ("FORMAT is empty", |data| fs::write(data.join("FORMAT"), b"").unwrap()),
    ("FORMAT is of a later version", |data| fs::write(data.join("FORMAT"), b"999999\n").unwrap()),
    ("the state is gone", |data| fs::remove_dir_all(data.join("state")).unwrap()),
    ("the state is cut", |data| cut(&largest(&data.join("state")), 1, 3)),
    ("the journal is cut in half", |data| cut(&largest(&data.join("journal")), 1, 2)),
    ("the journal is gone", |data| fs::remove_dir_all(data.join("journal")).unwrap()),
];

#[test]
fn a_damaged_directory_is_refused_and_left_as_it_is() {
    if left_out() {
        return;
    }
    // One directory is filled, then copied for each damage.
    let whole = used();
    let wrong: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = DAMAGE.iter().map(|damage| scope.spawn(|| refusal(&whole, damage))).collect();
        threads.into_iter().filter_map(|thread| thread.join().expect("a thread that does not fail")).collect()
    });
    assert!(wrong.is_empty(), "{} of the damages:\n{}", wrong.len(), wrong.join("\n\n"));
}

/// How the daemon's reaction to a damage is wrong; `None` if it is right.
fn refusal(whole: &Home, (damage, make): &Damage) -> Option<String> {
    let home = used_copy(whole);
    make(&home.data());
    let before = contents(&home.data());
    let wrong = match home.try_refused_start() {
        Ok(exit) => wrong_refusal(&home, &before, &exit),
        Err(why) => Some(format!("expected a refusal, but {why}")),
    };
    wrong.map(|wrong| format!("{damage}: {wrong}"))
}

/// How a refusal of a directory that contained `before` is wrong; `None` if it is right.
fn wrong_refusal(home: &Home, before: &BTreeMap<PathBuf, Vec<u8>>, exit: &Exit) -> Option<String> {
    let after = contents(&home.data());
    let changed: BTreeSet<_> =
        before.keys().chain(after.keys()).filter(|path| before.get(*path) != after.get(*path)).collect();
    let faults = [
        (exit.status.code() != Some(74), "expected exit status 74"),
        (!exit.stderr.contains(&home.data().display().to_string()), "the message does not name the directory"),
        (exit.stderr.contains("RUST_BACKTRACE") || exit.stderr.contains("panicked"), "a panic is no message"),
        (!changed.is_empty(), "it touched the directory"),
    ];
    let fault = faults.into_iter().find(|(wrong, _)| *wrong)?.1;
    Some(format!("{fault} (changed: {changed:?}): {exit:?}"))
}

/// Flips a bit of the state database at one of `of` positions, spread over non-zero bytes.
fn flip(data: &Path, place: usize, of: usize) {
    let file = largest(&data.join("state"));
    let mut bytes = fs::read(&file).expect("a readable file");
    let end = bytes.iter().rposition(|byte| *byte != 0).expect("a file that is not empty");
    bytes[end * place / of] ^= 0x10;
    fs::write(file, bytes).expect("the file written");
}

/// Flipping bits of overwritten data is harmless; so each is either refused or without effect.
#[test]
fn a_flipped_bit_of_the_state_is_refused_or_does_no_harm() {
    if left_out() {
        return;
    }
    const PLACES: usize = 8;
    let whole = used();
    let wanted = (100, vec![json!(50)]);
    assert_eq!(standing(&used_copy(&whole).start()), wanted, "an undamaged copy");
    let mut wrong = Vec::new();
    let mut refused = 0;
    for place in 0..PLACES {
        let home = used_copy(&whole);
        flip(&home.data(), place, PLACES);
        let before = contents(&home.data());
        let at = format!("a bit flipped at {place}/{PLACES}");
        if let Ok(exit) = home.try_refused_start() {
            refused += 1;
            wrong.extend(wrong_refusal(&home, &before, &exit).map(|wrong| format!("{at}: {wrong}")));
            continue;
        }
        let seen = standing(&home.start());
        if seen != wanted {
            wrong.push(format!("{at}: started with {seen:?} instead of {wanted:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of the flipped bits:\n{}", wrong.len(), wrong.join("\n\n"));
    assert!(refused > 0, "none of the bits mattered: the test flips where nothing is");
}

/// The number of events, and of waiting deliveries per subscription.
fn standing(daemon: &Daemon) -> (usize, Vec<serde_json::Value>) {
    let waiting = daemon.list("/v1/subscriptions").iter().map(|subscription| subscription["waiting"].clone()).collect();
    (daemon.list("/v1/events?limit=500").len(), waiting)
}

fn used_copy(from: &Home) -> Home {
    let home = Home::new();
    copy(&from.data(), &home.data());
    home
}

/// Copies a data directory with its modes, as `cp -a` does, except the lock.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("the directory made");
    fs::set_permissions(to, fs::metadata(from).expect("a directory").permissions()).expect("its mode set");
    for entry in fs::read_dir(from).expect("a directory").flatten() {
        let place = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &place);
        } else if entry.file_name() != "lock" {
            fs::copy(entry.path(), place).expect("the file copied");
        }
    }
}

#[test]
fn a_foreign_directory_is_refused_and_left_unchanged() {
    if left_out() {
        return;
    }
    let home = Home::new();
    fs::create_dir_all(home.data().join("state")).expect("a directory");
    fs::write(home.data().join("state/holiday.jpg"), b"not ours").expect("a file");
    let before = contents(&home.data());
    let exit = home.refused_start().expect(74);
    assert!(exit.stderr.contains(&home.data().display().to_string()), "{exit:?}");
    assert_eq!(contents(&home.data()), before);
}

#[test]
fn a_data_directory_that_cannot_be_made_is_named() {
    if left_out() {
        return;
    }
    let home = Home::new();
    fs::write(home.data(), b"a file stands there").expect("a file");
    let exit = home.refused_start().expect(74);
    assert!(exit.stderr.contains(&home.data().display().to_string()), "{exit:?}");
}

#[test]
fn a_bad_configuration_is_refused_by_key_before_anything_starts() {
    let cases = [
        ("http.max_body_bytes", "\"large\""),
        ("http.max_connections", "0"),
        ("http.colour", "\"red\""),
        ("senders.threads", "0"),
        ("senders.timeout", "\"soon\""),
        ("retry.initial_delay", "\"-5s\""),
        ("retry.jitter", "7.0"),
        ("retry.multiplier", "\"4\""),
        ("ordering.default", "\"alphabetical\""),
        ("network.allow", "[\"10.0.0.0/99\"]"),
        ("diagnostics.format", "\"xml\""),
        ("nonsense.key", "1"),
    ];
    for (key, value) in cases {
        let home = Home::new().set(key, value);
        let exit = home.refused_start().expect(78);
        let name =
            if key.starts_with("nonsense") { "nonsense" } else { key.split_once('.').map_or(key, |(_, name)| name) };
        assert!(exit.stderr.contains(name), "{key} is not named: {exit:?}");
        assert!(exit.stderr.contains("hookswitch.toml"), "where {key} came from: {exit:?}");
        assert!(!home.data().exists(), "{key}: the data directory was made");
    }
}

#[test]
fn a_file_of_the_configuration_that_cannot_be_used_is_refused_before_anything_starts() {
    let home = Home::new();
    let data = home.data().display().to_string();
    let serve = ["serve", "--listen", "127.0.0.1:0", "--data-dir", &data];
    for arguments in [&serve[..], &["check-config"]] {
        let mut command = hookswitch();
        command.args(arguments);
        command.env("HOOKSWITCH_NETWORK__EXTRA_CA", "[\"/nonexistent/ca.pem\"]");
        let exit = run(command).expect(78);
        assert!(exit.stderr.contains("extra_ca") && exit.stderr.contains("/nonexistent/ca.pem"), "{exit:?}");
    }
    assert!(!home.data().exists(), "the data directory was made");
}

#[test]
fn a_bad_configuration_from_the_environment_names_the_variable() {
    let mut command = hookswitch();
    let home = Home::new();
    command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(home.data());
    command.env("HOOKSWITCH_RETRY__JITTER", "lots");
    let exit = run(command).expect(78);
    assert!(exit.stderr.contains("HOOKSWITCH_RETRY__JITTER") || exit.stderr.contains("retry.jitter"), "{exit:?}");
    let mut command = hookswitch();
    command.args(["serve", "--config", "/nonexistent/hookswitch.toml", "--data-dir"]).arg(home.data());
    let exit = run(command).expect(78);
    assert!(exit.stderr.contains("/nonexistent/hookswitch.toml"), "{exit:?}");
}

#[test]
fn no_secret_is_in_the_output() {
    for format in ["text", "json"] {
        let home = Home::new().set("diagnostics.level", "\"debug\"").set("diagnostics.format", &format!("{format:?}"));
        let daemon = home.start();
        let receiver = Receiver::start(|request| match request.header("hookswitch-attempt") {
            Some("1") => Answer::status(500),
            Some("2") => Answer::Close,
            _ => Answer::status(200),
        });
        let headers = json!({"headers": {"Authorization": "Basic c3VwZXItc2VjcmV0"}});
        let subscription = daemon.subscribe(&receiver.url("/?key=in-the-query"), headers);
        let rotated = daemon.api().post(&format!("{}/rotate-secret", subscription.path()), &json!({})).expect_success();
        let second = rotated.json()["secret"].as_str().unwrap_or_default().to_owned();
        daemon.accept(&event("call.new", "c1"));
        daemon.api().post("/v1/events", &json!({"company": 1})).expect_problem(&[422]);
        daemon.api().post(&format!("{}/test", subscription.path()), &json!({})).expect(200);
        let delivered = receiver.wait_until("the delivery", |requests| {
            requests.iter().any(|r| r.answered() == Some(200) && r.header("hookswitch-sequence") == Some("1"))
        });
        assert!(delivered.iter().all(|request| request.header("authorization") == Some("Basic c3VwZXItc2VjcmV0")));
        let (home, exit) = daemon.stop();
        let exit = exit.expect(0);
        assert!(!exit.stderr.is_empty(), "nothing was said at level debug");
        let token = home.token();
        for secret in [token.as_str(), "whsec_", &subscription.secret[6..], &second[6..], "c3VwZXItc2VjcmV0"] {
            assert!(!exit.stderr.contains(secret), "{secret} is in what it said: {}", exit.stderr);
        }
        for personal in ["+12025550142", "Ada Example"] {
            assert!(!exit.stderr.contains(personal), "{personal} is in what it said: {}", exit.stderr);
        }
        let lines = exit.stderr.lines().filter(|line| !line.is_empty());
        let json_lines = lines.clone().filter(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()).count();
        assert_eq!(json_lines, if format == "json" { lines.count() } else { 0 }, "{}", exit.stderr);
    }
}
