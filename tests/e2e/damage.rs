//! Damage to the data directory: reported at start, when it is read, or by `verify`; never served as data.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::daemon::{Daemon, Home, contents, hookswitch, run};
use crate::engine::left_out;
use crate::platform::event;
use crate::receiver::Receiver;
use crate::upgrade::{check_facts, thawed};
use crate::wait::eventually;

pub(crate) fn flip(path: &Path, at: impl Fn(usize) -> usize) {
    let mut bytes = fs::read(path).expect("a file to be damaged");
    let at = at(bytes.len());
    bytes[at] ^= 0x04;
    fs::write(path, bytes).expect("written");
}

fn cut(path: &Path, to: usize) {
    let bytes = fs::read(path).expect("a file to be cut");
    fs::write(path, &bytes[..to.min(bytes.len())]).expect("written");
}

/// The journal files, oldest first.
fn journal(home: &Home) -> Vec<PathBuf> {
    let mut files: Vec<_> = contents(&home.data().join("journal")).into_keys().collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "log"));
    assert!(files.len() >= 3, "{files:?}");
    files
}

fn verify(home: &Home, status: i32) -> String {
    let mut command = hookswitch();
    command.arg("verify").arg("--data-dir").arg(home.data());
    run(command).expect(status).stdout
}

type Spoil = fn(&Home);

#[test]
fn faults_at_the_start_are_reported_with_file_and_remedy() {
    if left_out() {
        return;
    }
    let cases: [(&str, Spoil, &str); 11] = [
        ("the newest file's middle", |home| flip(&journal(home).pop().unwrap(), |length| length / 2), ".log"),
        ("the newest file's header", |home| flip(&journal(home).pop().unwrap(), |_| 10), "header"),
        ("an old file's header", |home| flip(&journal(home)[0], |_| 17), "000001.log"),
        ("an old file is gone", |home| fs::remove_file(&journal(home)[1]).unwrap(), "000002.log is missing"),
        ("two files are swapped", swap, "another file's number"),
        ("the state is cut", |home| cut(&home.data().join("state/db"), 9), "must have at least"),
        ("the state is gone", |home| fs::remove_file(home.data().join("state/db")).unwrap(), "state/db"),
        ("the state's conf", |home| flip(&home.data().join("state/conf"), |length| length / 2), "state"),
        ("the state's length", |home| fs::write(home.data().join("state/length"), "x").unwrap(), "state/length"),
        ("FORMAT", |home| flip(&home.data().join("FORMAT"), |_| 3), "FORMAT"),
        ("no FORMAT", |home| fs::remove_file(home.data().join("FORMAT")).unwrap(), "no file FORMAT"),
    ];
    for (name, spoil, wanted) in cases {
        let home = thawed();
        spoil(&home);
        let before = contents(&home.data());
        let refused = home.try_refused_start().unwrap_or_else(|why| panic!("{name}: it started; {why}")).expect(74);
        assert!(refused.stderr.contains(wanted), "{name}: {refused:?}");
        if name != "no FORMAT" {
            for remedy in ["hookswitch restore", "hookswitch verify --salvage"] {
                assert!(refused.stderr.contains(remedy), "{name}: {refused:?}");
            }
        }
        assert_eq!(contents(&home.data()), before, "{name}: it was changed");
        assert!(verify(&home, 74).contains("fault"), "{name}");
        assert_eq!(contents(&home.data()), before, "{name}: verify has changed it");
    }
}

fn swap(home: &Home) {
    let files = journal(home);
    let aside = home.beside("aside");
    fs::rename(&files[0], &aside).unwrap();
    fs::rename(&files[1], &files[0]).unwrap();
    fs::rename(&aside, &files[1]).unwrap();
}

#[test]
fn a_torn_end_in_which_nothing_was_acknowledged_is_cut_away_with_one_line() {
    if left_out() {
        return;
    }
    let home = thawed();
    let newest = journal(&home).pop().expect("a journal file");
    let whole = fs::read(&newest).expect("a journal file");
    let torn = [whole.as_slice(), &whole[32..60]].concat();
    fs::write(&newest, torn).expect("written");
    assert!(verify(&home, 0).contains("28 bytes at the end"));
    let daemon = home.start();
    check_facts(&daemon);
    let (_, exit) = daemon.stop();
    assert_eq!(exit.stderr.matches("not completely written").count(), 1, "{exit:?}");
}

#[test]
fn a_damaged_index_is_rebuilt_without_visible_change() {
    if left_out() {
        return;
    }
    let home = thawed();
    let index = journal(&home)[0].with_extension("idx");
    // As written by this version; the frozen one is older and is read as it is.
    fs::remove_file(&index).expect("the index of a full journal file");
    let daemon = home.start();
    check_facts(&daemon);
    drop(daemon.stop());
    let sound = fs::read(&index).expect("the index, made again");
    for spoil in [|path: &Path| flip(path, |length| length / 2), |path: &Path| fs::remove_file(path).unwrap()] {
        spoil(&index);
        let daemon = home.start();
        check_facts(&daemon);
        assert_eq!(fs::read(&index).expect("the index"), sound, "made again");
        drop(daemon.stop());
        verify(&home, 0);
    }
}

/// The position of an event's data in the journal: file and first byte.
pub(crate) fn place_of(home: &Home, data: &str) -> (PathBuf, usize) {
    for file in journal(home) {
        let bytes = fs::read(&file).expect("a journal file");
        if let Some(at) = bytes.windows(data.len()).position(|window| window == data.as_bytes()) {
            return (file, at);
        }
    }
    panic!("{data} is in no journal file");
}

#[test]
fn a_damaged_event_is_not_served_and_does_not_hold_up_others() {
    if left_out() {
        return;
    }
    let facts = crate::upgrade::facts();
    let owed = |wanted: &&serde_json::Value| wanted["state"] == "pending" && wanted["company"] == "acme";
    let wanted = facts["events"].as_array().and_then(|events| events.iter().find(owed)).expect("a pending event");
    let home = thawed();
    let (file, at) = place_of(&home, wanted["data"].as_str().unwrap_or_default());
    assert_ne!(Some(&file), journal(&home).last(), "the event must be in a file that is full");
    flip(&file, |_| at + 20);
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let daemon = home.start();
    let id = wanted["id"].as_str().unwrap_or_default();
    let problem = daemon.api().get(&format!("/v1/events/{id}")).expect_problem(&[500]);
    assert!(!problem.to_string().contains(&name), "no path in a reply: {problem}");
    daemon.api().get("/v1/events?limit=500").expect_problem(&[500]);

    // Its delivery fails visibly, is kept, and is not retried in a loop; others are delivered.
    let receiver = Receiver::willing();
    let acme = facts["subscriptions"][0]["id"].as_str().unwrap_or_default();
    let change = json!({"url": receiver.url("/"), "enabled": true});
    daemon.api().patch(&format!("/v1/subscriptions/{acme}"), &change).expect(200);
    let sent = daemon.accept(&event("call.new", "sound"))["id"].as_str().unwrap_or_default().to_owned();
    receiver.wait_until("a sound event", |requests| requests.iter().any(|request| request.webhook_id() == sent));
    // Older entries are in the damaged file.
    eventually("the entry of the log", || {
        let entries = daemon.list("/v1/log?since=2026-09-21T14:13:21Z");
        let found = entries.iter().find(|entry| entry["event_id"] == id).cloned();
        found.filter(|entry| entry["error"] == "event_unavailable").ok_or_else(|| json!(entries).to_string())
    });
    assert!(receiver.requests().iter().all(|request| request.webhook_id() != id), "damaged data was sent");
    let (home, exit) = daemon.stop();
    assert!(exit.stderr.contains(&name) && exit.stderr.contains("verify --salvage"), "{}", exit.stderr);
    let output = verify(&home, 74);
    assert!(output.contains(&format!("journal/{name} at byte")), "{output}");
}

#[test]
fn the_log_of_a_daemon_on_a_sound_directory_is_quiet() {
    if left_out() {
        return;
    }
    let daemon: Daemon = thawed().start();
    check_facts(&daemon);
    let (_, exit) = daemon.stop();
    assert!(!exit.stderr.contains("ERROR"), "{exit:?}");
}
