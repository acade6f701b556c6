//! Backup, restore and verify, by the real binary.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::daemon::{Daemon, Exit, Home, contents, hookswitch, run};
use crate::damage::{flip, place_of};
use crate::engine::left_out;
use crate::platform::{event, numbered};
use crate::receiver::{Answer, Received, Receiver};
use crate::targets::{check_with_all, subscribe_with_all};
use crate::upgrade::{check_facts, facts, thawed};
use crate::wait::eventually;

/// A command of the binary with paths among its arguments.
fn command(arguments: &[&dyn AsRef<OsStr>]) -> Command {
    let mut command = hookswitch();
    command.args(arguments.iter().map(AsRef::as_ref));
    command
}

fn backup(daemon: &Daemon, file: &Path, more: &[&str]) -> Exit {
    let url = format!("http://{}", daemon.address);
    let mut command = command(&[&"backup", &file, &"--url", &url, &"--data-dir", &daemon.home().data()]);
    command.args(more);
    run(command)
}

#[test]
fn a_backup_is_restored_with_everything_in_it() {
    if left_out() {
        return;
    }
    let daemon = thawed().start();
    let file = daemon.home().beside("backup");
    let taken = backup(&daemon, &file, &["--json"]).expect(0).json();
    let bytes = std::fs::metadata(&file).expect("the backup");
    assert_eq!((&taken["bytes"], &taken["events"]), (&json!(bytes.len()), &json!(13)), "{taken}");
    assert_eq!(bytes.permissions().mode() & 0o7777, 0o600);
    assert!(!daemon.home().beside("backup.partial").exists());

    let refused = backup(&daemon, &file, &[]).expect(1);
    assert!(refused.stderr.contains("--force"), "{refused:?}");
    let output = backup(&daemon, &file, &["--force"]).expect(0).stdout;
    assert!(output.contains("13 events") && output.contains("secrets") && output.contains("0600"), "{output}");

    let verified = run(command(&[&"verify", &file, &"--json"])).expect(0).json();
    assert_eq!((&verified["events"], &verified["faults_total"]), (&json!(13), &json!(0)), "{verified}");
    let dry = run(command(&[&"restore", &file, &"--dry-run"])).expect(0).stdout;
    assert!(dry.contains("sends 0 deliveries; 7 wait"), "{dry}");

    let other = Home::new();
    run(command(&[&"restore", &file, &"--data-dir", &other.data()])).expect(0);
    assert_eq!(other.token(), daemon.home().token(), "the same clients can go on");
    let again = run(command(&[&"restore", &file, &"--data-dir", &other.data()])).expect(1);
    assert!(again.stderr.contains(&other.data().display().to_string()), "{again:?}");
    let busy = run(command(&[&"verify", &"--data-dir", &daemon.home().data()])).expect(1);
    assert!(busy.stderr.contains("is running on"), "{busy:?}");
    drop(daemon.stop());
    run(command(&[&"verify", &"--data-dir", &other.data()])).expect(0);
    check_facts(&other.start());
}

#[test]
fn a_restored_webhook_delivers_by_its_template_filter_and_sign_in() {
    if left_out() {
        return;
    }
    let (daemon, receiver) = (Daemon::start(), Receiver::willing());
    subscribe_with_all(&daemon, &receiver);
    daemon.accept(&event("call.missed", "c1"));
    let file = daemon.home().beside("backup");
    backup(&daemon, &file, &[]).expect(0);
    let (_home, exit) = daemon.stop();
    exit.expect(0);
    let other = Home::new();
    run(command(&[&"restore", &file, &"--data-dir", &other.data()])).expect(0);
    check_with_all(&other.start(), &receiver);
}

#[test]
fn a_backup_under_load_contains_everything_accepted_before_it() {
    if left_out() {
        return;
    }
    let daemon = Daemon::start();
    let fails = |request: &Received| request.sequence().is_multiple_of(3) && request.attempt() == 1;
    let receiver = Receiver::start(move |request| Answer::status(if fails(request) { 503 } else { 200 }));
    daemon.subscribe(&receiver.url("/"), json!({}));
    let file = daemon.home().beside("backup");
    let over = std::sync::atomic::AtomicBool::new(false);
    let ids = std::thread::scope(|scope| {
        let poster = scope.spawn(|| {
            let mut ids = Vec::new();
            while !over.load(std::sync::atomic::Ordering::Relaxed) {
                ids.push(daemon.accept(&numbered(&format!("call-{}", ids.len() % 7), ids.len()))["id"].clone());
            }
            ids
        });
        // Counting requests would not do: some of them may be second attempts.
        let firsts = |requests: &[Arc<Received>]| requests.iter().filter(|request| request.attempt() == 1).count();
        receiver.wait_until("a hundred events", |requests| firsts(requests) >= 100);
        let before = daemon.list("/v1/events?limit=500");
        backup(&daemon, &file, &[]).expect(0);
        over.store(true, std::sync::atomic::Ordering::Relaxed);
        (before, poster.join().expect("the posting thread"))
    });
    let (before, all) = ids;
    assert!(before.len() >= 100 && all.len() > before.len());
    let _kept = daemon.kill();
    let other = Home::new();
    run(command(&[&"restore", &file, &"--data-dir", &other.data()])).expect(0);
    run(command(&[&"verify", &"--data-dir", &other.data()])).expect(0);
    let restored = other.start();
    for event in before {
        let id = event["id"].as_str().unwrap_or_default();
        restored.api().get(&format!("/v1/events/{id}")).expect(200);
    }
    // Deliveries outstanding in the backup are sent by the restored daemon; a new event is too.
    let sent = restored.accept(&event("call.new", "after"))["id"].as_str().unwrap_or_default().to_owned();
    receiver.wait_until("the event after the restore", |requests| {
        requests.iter().any(|request| request.webhook_id() == sent)
    });
}

#[test]
fn damaged_and_unfinished_backups_are_reported_by_verify_and_restore() {
    if left_out() {
        return;
    }
    let daemon = thawed().start();
    let file = daemon.home().beside("backup");
    backup(&daemon, &file, &[]).expect(0);
    let whole = std::fs::read(&file).expect("the backup");
    let mut bent = whole.clone();
    bent[whole.len() / 2] ^= 1;
    for (what, bytes, words) in [("bent", bent.as_slice(), "damaged"), ("cut", &whole[..whole.len() - 9], "cut short")]
    {
        std::fs::write(&file, bytes).expect("written");
        let verified = run(command(&[&"verify", &file])).expect(74);
        assert!(verified.stdout.contains(words), "{what}: {verified:?}");
        assert!(verified.stdout.contains("1 fault:\n  byte "), "{what}: {verified:?}");
        let into = daemon.home().beside("into");
        let refused = run(command(&[&"restore", &file, &"--data-dir", &into])).expect(74);
        assert!(refused.stderr.contains(words), "{what}: {refused:?}");
        assert!(!into.join("FORMAT").exists() && !into.join("journal").exists());
    }
    std::fs::write(&file, "something else").expect("written");
    run(command(&[&"verify", &file])).expect(74);
    run(command(&[&"verify", &daemon.home().beside("nothing")])).expect(1);
    let directory = run(command(&[&"verify", &daemon.home().data()])).expect(1);
    assert!(directory.stderr.contains("--data-dir") && directory.stdout.is_empty(), "{directory:?}");
    run(command(&[&"restore", &file])).expect(2);
}

#[test]
fn a_backup_needs_the_admin_and_comes_one_at_a_time() {
    if left_out() {
        return;
    }
    let daemon = Daemon::start();
    let stranger = crate::client::Client::new(daemon.address, Some("hsk_wrong".to_owned()));
    stranger.get("/v1/backup").expect_problem(&[401]);
    daemon.api().get("/v1/backup?x=1").expect_problem(&[422]);
    daemon.api().post("/v1/backup", &json!({})).expect_problem(&[405]);
    // The failed one has released the slot.
    let reply = eventually("a backup", || match daemon.api().get("/v1/backup") {
        reply if reply.status == 200 => Ok(reply),
        other => Err(format!("{other:?}")),
    });
    assert_eq!(reply.header("content-type"), Some("application/vnd.hookswitch.backup"));
}

#[test]
fn events_salvaged_from_a_damaged_store_are_delivered() {
    if left_out() {
        return;
    }
    let home = thawed();
    let facts = facts();
    let owed = |event: &&Value| event["state"] == "pending";
    let lost = facts["events"].as_array().and_then(|events| events.iter().find(owed)).expect("a pending event");
    let (journal, at) = place_of(&home, lost["data"].as_str().unwrap_or_default());
    flip(&journal, |_| at + 9);
    let before = contents(&home.data());
    let into = home.beside("saved");
    let saved = run(command(&[&"verify", &"--salvage", &"--data-dir", &home.data(), &"--into", &into, &"--json"]));
    let saved: Value = saved.expect(0).json();
    assert_eq!(contents(&home.data()), before, "the damaged directory was changed");
    assert_eq!((&saved["gaps"], &saved["state_rebuilt"]), (&json!(1), &json!(false)), "{saved}");
    run(command(&[&"verify", &"--data-dir", &into])).expect(0);
    let other = Home::new();
    std::fs::rename(&into, other.data()).expect("moved");
    let daemon = other.start();
    assert_eq!(daemon.list("/v1/events?limit=500").len(), 12, "{saved}");
    assert_eq!(saved["lost_deliveries"].as_array().map(Vec::len), Some(1), "{saved}");
    let id = lost["id"].as_str().unwrap_or_default();
    daemon.api().get(&format!("/v1/events/{id}")).expect_problem(&[404]);
    assert_eq!(daemon.api().get("/v1/stats").expect(200).json()["queue"]["pending"], 3, "{saved}");
}
