//! The data directory of an earlier build, opened by this one: everything in it is there. And a newer one is refused.
//!
//! `tests/frozen/v1/` is written by `cargo test --lib store::tests::frozen -- --ignored`.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::daemon::{Daemon, Home, contents, hookswitch, run};

pub(crate) fn frozen() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/frozen/v1")
}

/// A home whose data directory is a copy of the frozen one. Nothing of it is too old to be kept.
pub(crate) fn thawed() -> Home {
    // What is in it is of the autumn of 2026.
    let home = Home::new().set("retention.log_age", "\"87600h\"").set("retention.event_age", "\"87600h\"");
    copy(&frozen().join("data"), &home.data());
    // As every daemon leaves it.
    std::fs::write(home.data().join("lock"), "").expect("written");
    home
}

pub(crate) fn facts() -> Value {
    let text = std::fs::read_to_string(frozen().join("facts.json")).expect("the facts of the frozen directory");
    serde_json::from_str(&text).expect("facts in JSON")
}

pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a new directory");
    for entry in std::fs::read_dir(from).expect("a directory").flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("a copy");
        }
    }
}

/// Checks that `daemon` shows every fact. What is owed waits, for the subscriptions are disabled.
#[track_caller]
pub(crate) fn check_facts(daemon: &Daemon) {
    let facts = facts();
    let get = |path: &str| daemon.api().get(path).expect(200).json();
    for wanted in facts["subscriptions"].as_array().into_iter().flatten() {
        let id = wanted["id"].as_str().unwrap_or_default();
        let seen = get(&format!("/v1/subscriptions/{id}"));
        for member in ["company", "url", "description"] {
            assert_eq!(seen[member], wanted[member], "{member} of {seen}");
        }
        assert_eq!(get(&format!("/v1/subscriptions/{id}/secret"))["secret"], wanted["secret"], "the secret of {id}");
    }
    let subscriptions = daemon.list("/v1/subscriptions?limit=500").len();
    assert_eq!(Some(subscriptions), facts["subscriptions"].as_array().map(Vec::len));
    for wanted in facts["events"].as_array().into_iter().flatten() {
        let id = wanted["id"].as_str().unwrap_or_default();
        let reply = daemon.api().get(&format!("/v1/events/{id}")).expect(200);
        let data = wanted["data"].as_str().unwrap_or_default();
        assert!(reply.text().contains(data), "the data of {id}, byte for byte: {reply:?}");
        let seen = reply.json();
        let deliveries = seen["deliveries"].as_array().cloned().unwrap_or_default();
        assert_eq!(deliveries.len(), 1, "{seen}");
        assert_eq!(deliveries[0]["state"], wanted["state"], "{seen}");
    }
    assert_eq!(get("/v1/stats")["queue"], facts["queue"]);
    assert_eq!(json!(daemon.list("/v1/log?limit=500").len()), facts["log_entries"]);
}

#[test]
fn a_directory_of_the_first_format_is_opened_with_everything_in_it() {
    let daemon = thawed().start();
    check_facts(&daemon);
    let (home, exit) = daemon.stop();
    exit.expect(0);
    let mut verify = hookswitch();
    verify.arg("verify").arg("--data-dir").arg(home.data());
    run(verify).expect(0);
    // It goes on as a directory of this build.
    check_facts(&home.start());
}

#[test]
fn a_newer_directory_is_refused_and_left_as_it_is() {
    let home = thawed();
    std::fs::write(home.data().join("FORMAT"), "hookswitch data, format 2\n").expect("written");
    let before = contents(&home.data());
    let refused = home.refused_start().expect(74);
    assert!(refused.stderr.contains("newer hookswitch"), "{refused:?}");
    let mut verify = hookswitch();
    verify.arg("verify").arg("--data-dir").arg(home.data());
    let refused = run(verify).expect(74);
    assert!(refused.stderr.contains("newer hookswitch"), "{refused:?}");
    assert_eq!(contents(&home.data()), before);
}
