//! A recording in which the journal begins a new file.
//!
//! A file is full at 64 MiB, of which there is no configuration. So it is filled beforehand, by two large events that nobody
//! subscribed to, with the daemon not recorded; the recording begins shortly before the end of the file. The first life is
//! killed as soon as the second file is seen; in the next one all is delivered.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::daemon::{Daemon, Home, contents};
use crate::past::{Past, Receipt};
use crate::platform::{numbered, with};
use crate::receiver::Receiver;
use crate::recording::{Cast, Life, Poster, Recording, Story, answer, finished, home, post_until, traced, workshop};

const POSTERS: usize = 2;
/// The size at which a journal file is full, less what is left for the recording.
const FILLED: usize = (64 << 20) - 120_000;
/// The larger of the two events that fill it; a body is at most 64 MiB.
const LARGE: usize = 60 << 20;

/// Makes the recording.
pub(crate) fn record(seed: u64) -> Recording {
    let home = home().set("http.max_body_bytes", "67108864");
    let receiver = Receiver::start(answer);
    let daemon = home.start();
    let created = daemon.subscribe(&receiver.url("/ok"), json!({}));
    fill(&daemon, LARGE);
    // In order, so that the file ends where what was written does.
    daemon.stop().1.expect(0);
    let length = std::fs::metadata(home.data().join("journal/000001.log")).expect("the journal").len();
    let daemon = home.start();
    fill(&daemon, FILLED - usize::try_from(length).unwrap_or(FILLED));
    daemon.stop().1.expect(0);
    let base = tempfile::tempdir_in(workshop()).expect("a temporary directory");
    copy(&home, base.path());

    let mut posters: Vec<_> = (0..POSTERS).map(|number| Poster::new(number, seed, Duration::from_millis(20))).collect();
    let lives = [true, false].map(|killed| {
        let file = home.beside("strace");
        let daemon = home.try_start(|command| traced(&command, &file)).unwrap_or_else(|said| panic!("{said}"));
        one_life(daemon, &mut posters, killed);
        Life { trace: finished(&file), seen: contents(&home.data()) }
    });
    let mut cast = Cast {
        always: vec!["/ok"],
        paths: BTreeMap::from([(created.id.clone(), "/ok".to_owned())]),
        ..Cast::default()
    };
    cast.producers = posters.into_iter().flat_map(|poster| poster.producers).collect();
    let receipts = Receipt::all(&receiver.begin_anew());
    let root = home.data().parent().expect("a directory").to_owned();
    let past = Past { created: vec![created.id], ..Past::default() };
    let story = Story { base, root, past, lives: lives.into(), receipts, focus: Some("journal/000002.log") };
    let recording = Recording { name: "rotation".to_owned(), story, receiver, cast };
    recording.check();
    recording
}

/// Posts one event of about so many bytes.
fn fill(daemon: &Daemon, bytes: usize) {
    let mut event: Value = with(numbered("filler", 0), "company", "filler");
    event["data"]["notes"] = json!("z".repeat(bytes));
    daemon.accept(&event);
}

/// Copies the data directory, as it stands after an ordered stop.
pub(crate) fn copy(home: &Home, to: &std::path::Path) {
    let root = home.data();
    let root = root.parent().expect("a directory");
    let copied = std::process::Command::new("cp").arg("-a").arg(home.data()).arg(to).status();
    assert!(copied.is_ok_and(|status| status.success()), "{} could not be copied", root.display());
}

fn one_life(daemon: Daemon, posters: &mut [Poster], killed: bool) {
    let second = daemon.home().data().join("journal/000002.log");
    // Killed once more is answered than when it was seen: in the very moment of a write, its record may be missing. Cuts
    // come at every moment before, whenever the life ends.
    let seen = std::cell::Cell::new(None);
    post_until(daemon, posters, killed, "the journal's second file", |answered| {
        if seen.get().is_none() && second.metadata().is_ok_and(|file| file.len() > 32) {
            seen.set(Some(answered));
        }
        seen.get().is_some_and(|before| if killed { answered > before } else { answered > 30 })
    });
}
