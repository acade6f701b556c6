//! A recording in which sealing of secrets begins, and then changes its key.
//!
//! A directory is filled without a key and stopped in order, without recording. The first recorded life has a key,
//! and is killed while it delivers; the second has a new key before it, and delivers everything. Every image is
//! opened with both keys: each subscription must have its secrets, whichever were sealed by then, and with which key.

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;

use crate::daemon::{Daemon, contents};
use crate::past::{Past, Receipt};
use crate::receiver::Receiver;
use crate::recording::{Cast, Life, Poster, Recording, Story, answer, finished, home, post_until, traced, workshop};
use crate::rotation::copy;

const POSTERS: usize = 2;
/// Subscriptions of another company, each with a record in two pieces: more than fit into one commit or batch.
const MANY: usize = 80;

/// Makes the recording.
pub(crate) fn record(seed: u64) -> Recording {
    let home = home();
    let receiver = Receiver::start(answer);
    let daemon = home.start();
    let mut secrets = BTreeMap::new();
    let created = daemon.subscribe(&receiver.url("/ok"), json!({"headers": {"X-Key": "header"}}));
    for number in 0..MANY {
        let settings = json!({
            "company": "filler", "enabled": false, "description": "📞".repeat(500),
            "headers": {"X-Key": format!("{number}-{}", "h".repeat(4080))},
        });
        let one = daemon.subscribe(&receiver.url(&format!("/{}", "u".repeat(2000))), settings);
        secrets.insert(one.id, one.secret);
    }
    secrets.insert(created.id.clone(), created.secret.clone());
    daemon.stop().1.expect(0);
    let base = tempfile::tempdir_in(workshop()).expect("a temporary directory");
    copy(&home, base.path());

    let (first, both) = (key_file(&[1]), key_file(&[2, 1]));
    let mut posters: Vec<_> = (0..POSTERS).map(|number| Poster::new(number, seed, Duration::from_millis(20))).collect();
    let lives = [(&first, true), (&both, false)].map(|(keys, killed)| {
        let file = home.beside("strace");
        let keyed = home.clone().set("store.key_file", &format!("{keys:?}"));
        let daemon = keyed.try_start(|command| traced(&command, &file)).unwrap_or_else(|why| panic!("{why}"));
        one_life(daemon, &mut posters, killed);
        Life { trace: finished(&file), seen: contents(&home.data()) }
    });
    let cast = Cast {
        always: vec!["/ok"],
        paths: BTreeMap::from([(created.id.clone(), "/ok".to_owned())]),
        producers: posters.into_iter().flat_map(|poster| poster.producers).collect(),
        secrets,
        key_file: Some(both),
        ..Cast::default()
    };
    let receipts = Receipt::all(&receiver.begin_anew());
    let root = home.data().parent().expect("a directory").to_owned();
    let past = Past { created: vec![created.id], ..Past::default() };
    let story = Story { base, root, past, lives: lives.into(), receipts, focus: Some("sealed.new") };
    let recording = Recording { name: "sealing".to_owned(), story, receiver, cast };
    recording.check();
    recording
}

/// A key file, outside all directories that are cut.
fn key_file(numbers: &[u8]) -> PathBuf {
    use base64::Engine as _;
    let line = |number: &u8| base64::engine::general_purpose::STANDARD.encode([*number; 32]) + "\n";
    let lines: String = numbers.iter().map(line).collect();
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("sealing-{}.key", numbers.len()));
    std::fs::write(&file, lines).expect("the key file written");
    std::fs::set_permissions(&file, Permissions::from_mode(0o600)).expect("its mode set");
    file
}

/// Posts until some are answered and a checkpoint has sealed the state, and ends the daemon.
fn one_life(daemon: Daemon, posters: &mut [Poster], killed: bool) {
    daemon.wait_for_saying("subscriptions sealed anew");
    post_until(daemon, posters, killed, "posts to be answered", |answered| answered > 20);
}
