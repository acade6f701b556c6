//! Disk space: expired data is dropped, and a full disk loses nothing that was accepted.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::json;

use crate::cli::talk;
use crate::daemon::{Home, hookswitch, run};
use crate::engine::left_out;
use crate::platform::{event, numbered};
use crate::receiver::{Answer, Receiver};
use crate::wait::{Gate, eventually};

#[test]
fn expired_data_is_dropped_and_the_daemon_goes_on() {
    if left_out() {
        return;
    }
    let home = Home::new()
        .set("retention.log_age", "\"1s\"")
        .set("retention.event_age", "\"1s\"")
        .set("retention.idempotency_window", "\"1s\"");
    let daemon = home.start();
    let receiver = Receiver::willing();
    daemon.subscribe(&receiver.url("/"), json!({}));
    let old: Vec<String> =
        (0..30).map(|n| daemon.accept(&numbered("c", n))["id"].as_str().unwrap_or_default().to_owned()).collect();
    receiver.wait_for(30);
    let delivery = daemon.list("/v1/deliveries")[0]["id"].as_str().unwrap_or_default().to_owned();
    for path in [format!("/v1/events/{}", old[0]), format!("/v1/deliveries/{delivery}")] {
        eventually(&format!("{path} to be gone"), || {
            let reply = daemon.api().get(&path);
            if reply.status == 404 { Ok(()) } else { Err(format!("{reply:?}")) }
        });
    }
    daemon.wait_for_list("/v1/log", 0);
    daemon.wait_for_list("/v1/events", 0);
    let (home, exit) = daemon.stop();
    exit.expect(0);
    let daemon = home.start();
    daemon.accept(&numbered("c", 30));
    assert_eq!(receiver.wait_for(31)[30].sequence(), 31, "the subscription and its numbers outlast their records");
}

/// More than any disk of a test machine has.
const TEBIBYTE: &str = "1099511627776";

#[test]
fn with_little_disk_space_events_are_refused_and_deliveries_go_on() {
    if left_out() {
        return;
    }
    let gate = std::sync::Arc::new(Gate::closed());
    let door = gate.clone();
    let receiver = Receiver::start(move |_| Answer::status(if door.is_open() { 200 } else { 503 }));
    let daemon = Home::new().start();
    daemon.subscribe(&receiver.url("/"), json!({}));
    daemon.accept(&event("call.new", "c1"));
    let (home, exit) = daemon.stop();
    exit.expect(0);
    let daemon = home.set("store.min_free_bytes", TEBIBYTE).start();
    let stats = daemon.api().get("/v1/stats").expect(200).json();
    if stats["disk"]["low"] == false {
        skipped("this machine has more than a tebibyte free");
        return;
    }
    let body = json!({"company": "acme", "url": receiver.url("/2"), "events": ["*"]});
    for (path, body) in [("/v1/events", event("call.new", "c2")), ("/v1/subscriptions", body)] {
        let reply = daemon.api().post(path, &body);
        assert!(reply.header("retry-after").is_some(), "{reply:?}");
        let problem = reply.expect_problem(&[507]);
        let detail = problem["detail"].as_str().unwrap_or_default().to_owned();
        for wanted in [&*daemon.home().data().display().to_string(), "min_free_bytes", TEBIBYTE, "bytes free"] {
            assert!(detail.contains(wanted), "{wanted} in {detail}");
        }
    }
    let ready = daemon.api().get("/readyz").expect_problem(&[503]);
    assert!(ready["detail"].as_str().is_some_and(|detail| detail.contains("almost full")), "{ready}");
    daemon.api().get("/healthz").expect(200);
    let mut status = hookswitch();
    status.arg("status").arg("--url").arg(format!("http://{}", daemon.address));
    status.arg("--token").arg(daemon.home().token());
    let status = run(status).expect(1);
    assert!(status.stdout.contains("NOT READY") && status.stdout.contains("LOW"), "{}", status.stdout);
    let check = talk(&daemon, &["healthcheck"]).expect(1);
    assert!(check.stderr.contains("almost full"), "{check:?}");
    talk(&daemon, &["healthcheck", "--live"]).expect(0);
    gate.open();
    receiver.wait_until("the delivery", |requests| requests.iter().any(|request| request.answered() == Some(200)));
    eventually("the entry of the log", || {
        let log = daemon.list("/v1/log?status=delivered");
        if log.len() == 1 { Ok(()) } else { Err(format!("{log:?}")) }
    });
}

#[expect(clippy::print_stderr, reason = "whoever reads the test's output is to know")]
pub(crate) fn skipped(why: &str) {
    eprintln!("skipped: {why}");
}

/// A separate file system of some mebibytes; needs root.
pub(crate) struct Disk {
    dir: PathBuf,
}

impl Disk {
    pub(crate) fn mount(dir: &Path, mebibytes: u32) -> Option<Self> {
        std::fs::create_dir_all(dir).expect("a directory to mount on");
        let size = format!("size={mebibytes}m,mode=0700");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &size, "hookswitch-test"]).arg(dir).stderr(Stdio::null());
        let mounted = mount.status().is_ok_and(|status| status.success());
        mounted.then(|| Self { dir: dir.to_owned() })
    }

    fn filler(&self) -> PathBuf {
        // The filler is in a directory that sled and the store ignore.
        self.dir.join("lost+found")
    }

    /// Fills all but `left` bytes.
    fn fill(&self, left: u64) {
        let output = Command::new("df").args(["--output=avail", "-B1"]).arg(&self.dir).output().expect("df");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let free: u64 = text.lines().nth(1).and_then(|line| line.trim().parse().ok()).expect("a number of bytes");
        let mut file = std::fs::File::options().create(true).append(true).open(self.filler()).expect("the filler");
        let copied = std::io::copy(&mut std::io::Read::take(std::io::repeat(7), free.saturating_sub(left)), &mut file);
        assert!(left == 0 || copied.is_ok(), "{copied:?}");
    }

    fn make_room(&self) {
        std::fs::remove_file(self.filler()).expect("the filler");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.dir).status();
    }
}

#[test]
fn a_full_disk_loses_nothing_and_new_space_is_noticed() {
    if left_out() {
        return;
    }
    // A receiver that is down is probed often here: each probe writes something.
    let home = Home::new().set("store.min_free_bytes", "4194304").set("retry.max_delay", "\"200ms\"");
    let Some(disk) = Disk::mount(&home.data(), 48) else {
        skipped("mounting a tmpfs needs root");
        return;
    };
    let gate = std::sync::Arc::new(Gate::closed());
    let door = gate.clone();
    let receiver = Receiver::start(move |_| Answer::status(if door.is_open() { 200 } else { 503 }));
    let daemon = home.start();
    daemon.subscribe(&receiver.url("/"), json!({"ordering": "none"}));
    let mut accepted = Vec::new();
    let mut accept = |reply: crate::client::Reply| {
        accepted.push(reply.expect(202).json()["id"].as_str().unwrap_or_default().to_owned());
    };
    accept(daemon.api().post("/v1/events", &numbered("c", 0)));
    disk.fill(3 << 20);
    eventually("507", || {
        let reply = daemon.api().post("/v1/events", &numbered("c", 1));
        if reply.status == 507 {
            return Ok(());
        }
        accept(reply);
        Err("it was accepted".to_owned())
    });
    disk.make_room();
    eventually("room again", || {
        let reply = daemon.api().post("/v1/events", &numbered("c", 2));
        if reply.status == 507 {
            return Err(format!("{reply:?}"));
        }
        accept(reply);
        Ok(())
    });
    // The reserve is used up from outside: attempts can no longer be recorded.
    disk.fill(0);
    let (home, exit) = daemon.wait();
    let exit = exit.expect(74);
    assert!(exit.stderr.contains("No space left on device"), "{}", exit.stderr);
    for warning in ["the disk is almost full", "there is room again"] {
        assert!(exit.stderr.contains(warning), "{warning} in {}", exit.stderr);
    }
    home.refused_start().expect(74);
    disk.make_room();
    gate.open();
    let daemon = home.start();
    receiver.wait_until("every accepted event", |requests| {
        let taken = |id: &String| requests.iter().any(|r| r.answered() == Some(200) && r.webhook_id() == *id);
        accepted.iter().all(taken)
    });
    daemon.stop().1.expect(0);
}
