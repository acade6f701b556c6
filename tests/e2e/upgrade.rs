//! A data directory of an earlier build, opened by this one with everything in it; a newer one is refused.
//!
//! `tests/frozen/v4/` is written by `cargo test --lib store::tests::frozen -- --ignored`, as the others were by earlier
//! builds.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::daemon::{Daemon, Home, contents, hookswitch, run};
use crate::engine::left_out;

pub(crate) fn frozen() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/frozen/v1")
}

/// A home whose data directory is a copy of the frozen one, with retention long enough for it.
pub(crate) fn thawed() -> Home {
    thawed_from(&frozen())
}

pub(crate) fn thawed_from(frozen: &Path) -> Home {
    // Its content is from the autumn of 2026.
    let home = Home::new()
        .set("retention.log_age", "\"87600h\"")
        .set("retention.event_age", "\"87600h\"")
        .set("retention.audit_age", "\"87600h\"");
    copy(&frozen.join("data"), &home.data());
    // Every daemon leaves it.
    std::fs::write(home.data().join("lock"), "").expect("written");
    home
}

pub(crate) fn facts() -> Value {
    facts_of(&frozen())
}

pub(crate) fn facts_of(frozen: &Path) -> Value {
    let text = std::fs::read_to_string(frozen.join("facts.json")).expect("the facts of the frozen directory");
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

/// Checks that `daemon` shows every fact. Outstanding deliveries wait, because the subscriptions are disabled.
#[track_caller]
pub(crate) fn check_facts(daemon: &Daemon) {
    check_these(daemon, &facts());
}

#[track_caller]
pub(crate) fn check_these(daemon: &Daemon, facts: &Value) {
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

/// Opens the frozen directory `version`; returns it after an ordered stop.
fn open_frozen(version: &str) -> Home {
    let frozen = frozen().with_file_name(version);
    let (daemon, facts) = (thawed_from(&frozen).start(), facts_of(&frozen));
    check_these(&daemon, &facts);
    let (home, exit) = daemon.stop();
    exit.expect(0);
    let mut verify = hookswitch();
    verify.arg("verify").arg("--data-dir").arg(home.data());
    run(verify).expect(0);
    // It continues as a directory of this build.
    let daemon = home.start();
    check_these(&daemon, &facts);
    daemon.accept(&crate::platform::event("call.new", "new"));
    daemon.stop().0
}

#[test]
fn a_directory_of_the_first_format_is_opened_with_everything_in_it() {
    if left_out() {
        return;
    }
    let home = open_frozen("v1");
    // New records are in a file of the new format, which an older hookswitch refuses.
    let marker = std::fs::read_to_string(home.data().join("FORMAT")).expect("FORMAT");
    assert_eq!(marker, "hookswitch data, format 4\n");
    let versions: Vec<u8> = (1..=4)
        .map(|number| std::fs::read(home.data().join(format!("journal/{number:06}.log"))).expect("a journal file")[8])
        .collect();
    assert_eq!(versions, [1, 1, 1, 2], "files are not written to that an older hookswitch made");
}

#[test]
fn a_directory_of_the_second_format_is_opened_with_everything_in_it() {
    if left_out() {
        return;
    }
    let home = open_frozen("v2");
    let journal = contents(&home.data().join("journal"));
    let logs = journal.iter().filter(|(path, _)| path.extension().is_some_and(|extension| extension == "log"));
    assert!(logs.count() == 3, "it goes on in the file that was written last");
    let marker = std::fs::read_to_string(home.data().join("FORMAT")).expect("FORMAT");
    assert_eq!(marker, "hookswitch data, format 4\n", "an older hookswitch is told that it cannot read this");
}

#[test]
fn a_directory_of_the_third_format_is_opened_with_everything_in_it() {
    if left_out() {
        return;
    }
    let home = open_frozen("v3");
    let journal = contents(&home.data().join("journal"));
    let logs = journal.iter().filter(|(path, _)| path.extension().is_some_and(|extension| extension == "log"));
    let versions: Vec<u8> = logs.map(|(_, bytes)| bytes[8]).collect();
    assert!(versions.len() > 2, "{versions:?}");
    assert_eq!(versions[..2], [3, 3], "they are compressed");
    assert_eq!(versions.last(), Some(&2), "the one that is written to is not");
}

#[test]
fn a_directory_with_owners_and_an_audit_is_opened_with_both() {
    if left_out() {
        return;
    }
    // `open_frozen` looks at secrets: those entries are newer.
    let daemon = open_frozen("v3-audit").start();
    let facts = facts_of(&frozen().with_file_name("v3-audit"));
    let entries = daemon.list("/v1/audit?actor=Zo%C3%AB&limit=500");
    let actions: Vec<&Value> = entries.iter().map(|entry| &entry["action"]).collect();
    assert_eq!(json!(actions), facts["audit"]);
    let actor = json!({"kind": "token", "id": "tok_00000000000000000000000007", "name": "Zoë", "via": "cli", "address": "192.0.2.7"});
    assert!(entries.iter().all(|entry| entry["actor"] == actor), "{entries:#?}");
    assert_eq!(entries[1]["before"], json!({"notify": ["it@acme.example"]}));
    let webhook = daemon.list("/v1/subscriptions").remove(0);
    assert_eq!(webhook["notify"], json!(["it@acme.example", "boss@acme.example"]));
}

#[test]
fn a_directory_of_the_fourth_format_is_opened_with_everything_in_it() {
    if left_out() {
        return;
    }
    let home = open_frozen("v4");
    let marker = std::fs::read_to_string(home.data().join("FORMAT")).expect("FORMAT");
    assert_eq!(marker, "hookswitch data, format 4\n");
}

#[test]
fn a_newer_directory_is_refused_and_left_as_it_is() {
    if left_out() {
        return;
    }
    let home = thawed();
    std::fs::write(home.data().join("FORMAT"), "hookswitch data, format 5\n").expect("written");
    let before = contents(&home.data());
    let refused = home.refused_start().expect(74);
    assert!(refused.stderr.contains("newer hookswitch"), "{refused:?}");
    let mut verify = hookswitch();
    verify.arg("verify").arg("--data-dir").arg(home.data());
    let refused = run(verify).expect(74);
    assert!(refused.stderr.contains("newer hookswitch"), "{refused:?}");
    assert_eq!(contents(&home.data()), before);
}
