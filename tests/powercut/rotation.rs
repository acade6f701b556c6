//! A recording in which the journal begins new files, for all three reasons: one is full, a person is erased, and one
//! has become too old.
//!
//! A file is full at 64 MiB, or at an eighth of `log_bytes`: at 1 MiB here, most of which is filled beforehand by an
//! event without subscribers, without recording. In both recorded lives several producers post events, also in
//! batches, another posts messages, whose replies raise events, and persons are erased, while one receiver accepts
//! everything and another fails now and then. The first life is killed, the second ends in order once nothing is
//! outstanding.
//!
//! Full files are compressed: files rewritten for an erasure, and compressed ones, use the same temporary name until
//! complete. A second recording is of those moments.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};

use crate::client::Client;
use crate::daemon::{Daemon, Home, contents};
use crate::past::{Past, Receipt};
use crate::platform::{numbered, with};
use crate::receiver::Receiver;
use crate::recording::{
    Cast, Life, Poster, Recording, Shift, Story, answer, drained, finished, home, traced, workshop,
};
use crate::wait::eventually;

const POSTERS: usize = 2;
const PACE: Duration = Duration::from_millis(60);
/// The size at which a journal file is full, less what is left for the recording.
const FILLED: usize = (1 << 20) - 60_000;
/// Number of files begun in each life: by size and for an erasure in any case, by age otherwise.
const FILES: usize = 3;
/// Number of message threads.
const THREADS: usize = 3;

/// The moments that most cuts should be near.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Near {
    /// The beginnings of new files.
    Beginnings,
    /// Files written to replace others.
    Replacements,
}

/// Makes the recording.
pub(crate) fn record(seed: u64, near: Near) -> Recording {
    // A file reaches its maximum age after an eighth of the retention: 5 s.
    let home = home().set("retention.log_bytes", "8388608").set("retention.conversation_age", "\"40s\"");
    let receiver = Receiver::start(answer);
    let daemon = home.start();
    let paths = ["/ok", "/failing"];
    let created = paths.map(|path| (daemon.subscribe(&receiver.url(path), json!({})).id, path.to_owned()));
    fill(&daemon);
    daemon.stop().1.expect(0);
    let base = tempfile::tempdir_in(workshop()).expect("a temporary directory");
    copy(&home, base.path());

    let mut posters: Vec<_> = (0..POSTERS).map(|number| Poster::new(number, seed, PACE)).collect();
    let lives = [true, false].map(|killed| {
        let file = home.beside("strace");
        let daemon = home.try_start(|command| traced(&command, &file)).unwrap_or_else(|why| panic!("{why}"));
        one_life(daemon, &mut posters, killed);
        Life { trace: finished(&file), seen: contents(&home.data()) }
    });
    let mut cast = Cast { always: paths.to_vec(), paths: BTreeMap::from(created.clone()), ..Cast::default() };
    cast.producers = posters.into_iter().flat_map(|poster| poster.producers).collect();
    let receipts = Receipt::all(&receiver.begin_anew());
    let root = home.data().parent().expect("a directory").to_owned();
    let past = Past { created: created.map(|(id, _)| id).into(), ..Past::default() };
    let (name, focus) = match near {
        Near::Beginnings => ("rotation", ".log"),
        Near::Replacements => ("compressing", ".rewrite"),
    };
    let story = Story { base, root, past, lives: lives.into(), receipts, focus: Some(focus) };
    let recording = Recording { name: name.to_owned(), story, receiver, cast };
    recording.check();
    recording
}

/// Posts one large event.
fn fill(daemon: &Daemon) {
    let mut event: Value = with(numbered("filler", 0), "company", "filler");
    // Several blocks when compressed, each different.
    let notes: String = (0..FILLED / 6).map(|n| format!("{:05x} ", n * 7_919 % 1_000_003)).collect();
    event["data"]["notes"] = json!(notes);
    daemon.accept(&event);
}

/// Copies the data directory after an ordered stop.
pub(crate) fn copy(home: &Home, to: &std::path::Path) {
    let root = home.data();
    let root = root.parent().expect("a directory");
    let copied = std::process::Command::new("cp").arg("-a").arg(home.data()).arg(to).status();
    assert!(copied.is_ok_and(|status| status.success()), "{} could not be copied", root.display());
}

/// Number of journal files, including removed ones.
fn files(home: &Home) -> usize {
    let journal = std::fs::read_dir(home.data().join("journal")).expect("the journal");
    let names = journal.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    names.filter_map(|name| name.strip_suffix(".log")?.parse().ok()).max().unwrap_or(0)
}

/// Number of compressed journal files. Others come and go meanwhile.
fn compressed(home: &Home) -> usize {
    let journal = std::fs::read_dir(home.data().join("journal")).expect("the journal").flatten();
    let logs = journal.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|end| end == "log"));
    logs.filter_map(|path| std::fs::read(path).ok()).filter(|bytes| bytes.get(8) == Some(&3)).count()
}

fn one_life(daemon: Daemon, posters: &mut [Poster], killed: bool) {
    let (shift, token, home) = (Shift::default(), daemon.home().token(), daemon.home().clone());
    let before = files(&home);
    std::thread::scope(|scope| {
        for poster in posters {
            let (shift, token, address) = (&shift, token.clone(), daemon.address);
            scope.spawn(move || poster.run(address, token, shift));
        }
        let (shift, address) = (&shift, daemon.address);
        for side in [message, erase] {
            let token = token.clone();
            scope.spawn(move || side(address, token, usize::from(killed), shift));
        }
        eventually("new journal files", || {
            let begun = files(&home) - before;
            let packed = compressed(&home);
            if begun >= FILES && packed > 0 { Ok(()) } else { Err(format!("{begun}, and {packed} are compressed")) }
        });
        shift.stop.store(true, Ordering::Relaxed);
    });
    // No more posts: a kill in the very moment of a write may leave no record of it. Cuts come at every moment
    // before, however the life ends.
    drained(daemon.api()).unwrap_or_else(|late| panic!("{late}"));
    if killed {
        daemon.kill();
    } else {
        daemon.stop().1.expect(0);
    }
}

/// Posts messages until told to stop: a question, and the reply that raises an event.
fn message(address: SocketAddr, token: String, life: usize, shift: &Shift) {
    let client = Client::new(address, Some(token));
    for n in 0.. {
        for direction in ["outbound", "inbound"] {
            if shift.stop.load(Ordering::Relaxed) {
                return;
            }
            let (from, to) = if direction == "inbound" {
                ("+12025550143", "+12025550100")
            } else {
                ("+12025550100", "+12025550143")
            };
            let message = json!({"company": "acme", "source": "widget", "call_id": format!("sms-{life}-{}", n % THREADS),
                "direction": direction, "from": from, "to": to, "id": format!("{life}-{n}-{direction}"),
                "body": "Thursday?".repeat(1 + n % 90)});
            client.post("/v1/messages", &message).expect(202);
            std::thread::sleep(PACE);
        }
    }
}

/// Erases persons until told to stop, each with an event just posted about them.
fn erase(address: SocketAddr, token: String, life: usize, shift: &Shift) {
    let client = Client::new(address, Some(token));
    for n in 0..20 {
        if shift.stop.load(Ordering::Relaxed) {
            return;
        }
        let phone = format!("+1202555{:04}", 1000 + 100 * life + n);
        let mut event = with(numbered(&format!("erased-{life}-{n}"), 0), "id", format!("erased-{life}-{n}"));
        event["data"]["lead_phone"] = json!(phone);
        let accepted = client.post("/v1/events", &event).expect(202).json();
        // An outstanding delivery of it would be cancelled.
        eventually("the event to be delivered", || {
            let seen = client.get(&format!("/v1/events/{}", accepted["id"].as_str().unwrap_or_default())).expect(200);
            let mut deliveries = seen.json()["deliveries"].as_array().cloned().unwrap_or_default().into_iter();
            deliveries.all(|one| one["state"] == "delivered").then_some(()).ok_or_else(|| seen.text())
        });
        client.post("/v1/erase", &json!({"company": "acme", "phone": phone})).expect(202);
        std::thread::sleep(20 * PACE);
    }
}
