//! The data directory under the running daemon: deleted, moved, replaced, covered by a mount, or open to others.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::daemon::{Daemon, Exit, Home};
use crate::engine::left_out;
use crate::platform::numbered;
use crate::receiver::Receiver;
use crate::space::{Disk, skipped};

/// Ends by itself with 74, and says what to do.
fn ends(daemon: Daemon, what: &str) -> (Home, Exit) {
    let (home, exit) = daemon.wait();
    let exit = exit.expect(74);
    for words in [what, "nothing more is accepted, and the daemon ends", "hookswitch restore"] {
        assert!(exit.stderr.contains(words), "{words} in {}", exit.stderr);
    }
    (home, exit)
}

#[test]
fn nothing_is_accepted_once_the_data_directory_is_deleted() {
    if left_out() {
        return;
    }
    let daemon = Daemon::start();
    daemon.accept(&numbered("c", 0));
    fs::remove_dir_all(daemon.home().data()).unwrap();
    for n in 1..50 {
        // It may have ended meanwhile.
        let (body, json) = (numbered("c", n).to_string(), [("content-type", "application/json")]);
        let status = daemon.api().try_request("POST", "/v1/events", &json, body.as_bytes()).map(|reply| reply.status);
        assert!(!matches!(status, Ok(202)), "event {n} was accepted: it is on no disk");
    }
    ends(daemon, "was deleted while it was written to");
}

#[test]
fn an_idle_daemon_ends_when_its_directory_is_removed() {
    if left_out() {
        return;
    }
    let daemon = Daemon::start();
    let data = daemon.home().data();
    let aside = daemon.home().beside("aside");
    fs::rename(&data, &aside).unwrap();
    let (home, _) = ends(daemon, "is gone: it was deleted, moved away or unmounted");
    // Following its advice: put back, it continues.
    fs::rename(&aside, &data).unwrap();
    home.start().accept(&numbered("c", 1));
}

#[test]
fn a_copy_in_place_of_the_directory_is_detected() {
    if left_out() {
        return;
    }
    let daemon = Daemon::start();
    let (data, aside) = (daemon.home().data(), daemon.home().beside("aside"));
    daemon.signal("STOP");
    fs::rename(&data, &aside).unwrap();
    assert!(Command::new("cp").arg("-a").arg(&aside).arg(&data).status().unwrap().success());
    daemon.signal("CONT");
    ends(daemon, "is another file or directory than the one in use");
}

#[test]
fn a_mount_that_covers_it_is_noticed() {
    if left_out() {
        return;
    }
    let home = Home::new();
    let daemon = home.start();
    let Some(disk) = Disk::mount(&home.data(), 8) else {
        skipped("mounting a tmpfs needs root");
        return;
    };
    ends(daemon, "is on another file system than before");
    drop(disk);
    home.start().accept(&numbered("c", 1));
}

#[test]
fn an_older_journal_file_is_missed() {
    if left_out() {
        return;
    }
    let daemon = Home::new().set("retention.event_age", "\"2s\"").set("retention.idempotency_window", "\"2s\"").start();
    daemon.accept(&numbered("c", 0));
    let journal = daemon.home().data().join("journal");
    let second = journal.join("000002.log");
    // Erasing a person ends the current file.
    let erase = json!({"company": "acme", "phone": "+12025550100"});
    daemon.api().post("/v1/erase", &erase).expect_success();
    crate::wait::eventually("a second file", || if second.exists() { Ok(()) } else { Err("none".to_owned()) });
    let oldest = fs::read_dir(&journal).unwrap().flatten().map(|entry| entry.path());
    let oldest = oldest.filter(|path| path.extension().is_some_and(|extension| extension == "log")).min().unwrap();
    fs::remove_file(oldest).unwrap();
    ends(daemon, "was deleted while it was written to");
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// `dir` and every file and directory below it.
fn all_below(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut found = vec![dir.to_owned()];
    let mut next = 0;
    while let Some(path) = found.get(next).cloned() {
        next += 1;
        if path.is_dir() {
            found.extend(fs::read_dir(path).unwrap().flatten().map(|entry| entry.path()));
        }
    }
    found
}

fn assert_private(dir: &Path) {
    for path in all_below(dir) {
        let wanted = if path.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode(&path), wanted, "{}", path.display());
    }
}

/// Started by hand from a shell with a permissive umask.
fn careless(home: &Home) -> Daemon {
    let under = ["sh", "-c", "umask 000; exec \"$@\"", "sh"].map(str::to_owned);
    home.start_under(&under).unwrap_or_else(|exit| panic!("{}", exit.stderr))
}

#[test]
fn files_are_private_under_any_umask() {
    if left_out() {
        return;
    }
    let daemon = careless(&Home::new());
    let receiver = Receiver::willing();
    daemon.subscribe(&receiver.url("/"), json!({}));
    daemon.accept(&numbered("c", 0));
    receiver.wait_for(1);
    assert_private(&daemon.home().data());
    let (home, exit) = daemon.stop();
    exit.expect(0);
    assert_private(&home.data());
}

#[test]
fn loose_modes_are_fixed_and_reported() {
    if left_out() {
        return;
    }
    let home = Home::new();
    fs::create_dir(home.data()).unwrap();
    fs::set_permissions(home.data(), Permissions::from_mode(0o777)).unwrap();
    let daemon = careless(&home);
    daemon.accept(&numbered("c", 0));
    assert_private(&home.data());
    let (home, exit) = daemon.stop();
    assert!(exit.expect(0).stderr.contains("was readable by others"), "the empty directory was open");
    for path in all_below(&home.data()) {
        let open = if path.is_dir() { 0o755 } else { 0o644 };
        fs::set_permissions(&path, Permissions::from_mode(open)).unwrap();
    }
    let daemon = home.start();
    assert_private(&home.data());
    let (_, exit) = daemon.stop();
    let output = exit.expect(0).stderr;
    assert!(output.contains("was readable by others") && output.contains("now its owner's alone"), "{output}");
}
