//! Unreadable derived values: `verify` reports them, they stop nothing, and they are rebuilt where possible.

use crate::core::report::By;
use crate::core::seal::Keyring;
use crate::engine::embedded::kv::stored_key::{Content, OPENED, POSITION, aside, content, key_of, stored};
use crate::engine::embedded::{offline, open as opening};
use crate::model::key::ValueKind;
use crate::model::keys;
use crate::model::value;
use crate::store::tests::conversations::{message, post};
use crate::store::tests::frozen_sessions::member;

use super::*;

/// A value that decodes as nothing: an unknown version.
const GARBAGE: &[u8] = &[250, 1, 2, 3];

/// A closed directory with a value of almost every kind; returns the reported calls and the health.
fn filled(dir: &Path) -> (u64, Health) {
    let Open { store, running, changes } = open(dir);
    let created = ask(|reply| store.by(anyone()).create_subscription(draft("acme"), reply)).unwrap();
    let accepted = accept(&store, vec![event("a", Some("one")), event("b", None), event("c", None)]);
    for (nth, status) in [Status::Delivered, Status::Failed].into_iter().enumerate() {
        let delivery = store.event_deliveries(accepted[nth].id).unwrap().remove(0);
        let mut finished = finish(&delivery, status);
        finished.entry.subscription = created.id;
        store.finish(finished);
        while !changes.iter().flatten().any(|change| matches!(change, StoreEvent::Finished(_))) {}
    }
    post(&store, message("t", Some("m1"), "outbound", 10, "Shall we?"));
    accept(&store, vec![unserved()]);
    let (_, text) = ask(|reply| store.by(anyone()).create_token(token(), reply)).unwrap();
    let lifetime = crate::core::session::Lifetime::default();
    ask(|reply| store.by(anyone()).open_session(text.hash(), None, lifetime, reply)).unwrap();
    ask(|reply| store.by(anyone()).open_member_session(member("Dana"), lifetime, reply)).unwrap().unwrap();
    let link = json::parse(r#"{"company":"acme"}"#).unwrap();
    let link = crate::core::portal_link::PortalLinkDraft::from_json(link).unwrap();
    ask(|reply| store.by(anyone()).create_portal_link(link, text.hash(), reply)).unwrap();
    store.by(anyone()).erase(&acme(), "+19", false, NOW).unwrap();
    let calls = report(&store);
    let health = store.health(created.id);
    assert_eq!((health.failures, health.last_success.is_some()), (1, true));
    drop(store);
    running.stop();
    (calls, health)
}

/// An event of a company without a webhook.
fn unserved() -> NewEvent {
    NewEvent { company: Company::parse("acmee").unwrap(), ..event("u", None) }
}

fn acme() -> Company {
    Company::parse("acme").unwrap()
}

fn token() -> crate::core::token::TokenDraft {
    let (role, description) = (crate::core::token::Role::Read, String::new());
    crate::core::token::TokenDraft { role, company: None, description, expires_at: None }
}

fn report(store: &Store) -> u64 {
    store.call_report(&ReportFilter::default(), By::Day, 100).unwrap().unwrap().totals.calls
}

/// The pairs of the view in a closed directory; those for whose keys `spoil` holds are replaced by garbage.
fn pairs(dir: &Path, spoil: &dyn Fn(&[u8]) -> bool) -> Vec<(Vec<u8>, Vec<u8>)> {
    let state = state(dir);
    let position = state.applied().unwrap().unwrap();
    let all = state.stored(None, usize::MAX).unwrap();
    all.iter().filter(|(key, _)| spoil(key)).for_each(|(key, _)| state.put(key.clone(), GARBAGE.to_vec()));
    state.checkpoint(&CheckpointMeta { position, ..CheckpointMeta::default() }).unwrap();
    all
}

/// Whether a stored key is of this kind.
fn is_of(kind: ValueKind) -> impl Fn(&[u8]) -> bool {
    move |key| key_of(key).is_some_and(|key| key.kind() == kind)
}

/// Kinds that exist only temporarily.
const COME_AND_GO: [ValueKind; 3] = [ValueKind::Discard, ValueKind::FanOut, ValueKind::Replay];

#[test]
fn every_written_value_has_a_kind_and_is_readable() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    let pairs = pairs(dir.path(), &|_| false);
    for (key, value) in &pairs {
        match content(key, value).unwrap_or_else(|| panic!("{key:?} is of no kind")) {
            Content::Value(key) => assert!(value::is_readable(&key, value), "{key:?}"),
            Content::Own(name, readable) => assert!(readable, "{name}"),
        }
    }
    let missing: Vec<_> =
        ValueKind::ALL.into_iter().filter(|kind| !pairs.iter().any(|(key, _)| is_of(*kind)(key))).collect();
    assert_eq!(missing, COME_AND_GO);
}

#[test]
fn verify_reports_every_unreadable_value_and_derived_ones_do_not_stop_a_start() {
    for kind in ValueKind::ALL.into_iter().filter(|kind| !COME_AND_GO.contains(kind)) {
        let dir = tempfile::tempdir().unwrap();
        let (calls, health) = filled(dir.path());
        pairs(dir.path(), &is_of(kind));
        let findings = offline::verify_directory(dir.path(), &|_| ()).unwrap();
        assert!(!findings.is_clean(), "{kind:?} passes verify");
        let fault = findings.faults.iter().find(|found| found.what.contains("cannot be read"));
        let fault = fault.unwrap_or_else(|| panic!("{kind:?}: {:?}", findings.faults));
        assert_eq!(fault.derived, kind.is_derived(), "{kind:?}: {fault:?}");
        if !kind.is_derived() {
            assert!(
                Store::open(dir.path(), settings(), Keyring::default(), NOW).is_err()
                    || kind == ValueKind::Owed
                    || kind == ValueKind::Dead
            );
            continue;
        }
        let Open { store, running, .. } = open(dir.path());
        assert_usable(&store, kind, calls, health);
        drop(store);
        running.stop();
        // Its thread has the id, too; a place and a used sign-in are found by their keys: so the value is not read.
        if [ValueKind::Message, ValueKind::AuditTerm, ValueKind::SignIn].contains(&kind) {
            continue;
        }
        let findings = offline::verify_directory(dir.path(), &|_| ()).unwrap();
        assert!(findings.is_clean(), "{kind:?} is left as it was: {:?}", findings.faults);
    }
}

/// Events and messages are accepted, and all data is readable; what can be rebuilt is as before.
fn assert_usable(store: &Store, kind: ValueKind, calls: u64, health: Health) {
    let thread = store.conversation(&acme(), &CallId::parse("t").unwrap()).unwrap().unwrap();
    assert_eq!(thread.thread.messages, 1, "{kind:?}");
    assert_eq!(store.conversations(&ConversationFilter::default(), None, 9).unwrap().items.len(), 1, "{kind:?}");
    assert_eq!(store.erasures(None).unwrap().len(), 1, "{kind:?}");
    assert_eq!(store.health(store.subscriptions()[0].id), health, "{kind:?}");
    assert_eq!(store.counts(), Counts { pending: 1, retrying: 0, failed: 1 }, "{kind:?}");
    let own = AuditFilter { company: Some(acme()), ..AuditFilter::default() };
    for filter in [AuditFilter::default(), own] {
        let entries = store.audit(&filter, None, 9).unwrap().items;
        assert_eq!(entries.is_empty(), kind == ValueKind::Audit, "{kind:?}: {entries:?}");
    }
    let counted = report(store);
    assert_eq!(counted, if kind == ValueKind::Group { 0 } else { calls }, "{kind:?}");
    let again = accept(store, vec![event("a", Some("one"))]);
    assert_eq!(again[0].duplicate, kind != ValueKind::Producer, "{kind:?}");
    accept(store, ["a", "b", "c", "d"].map(|call| event(call, None)).to_vec());
    accept(store, vec![unserved()]);
    let posted = post(store, message("t", None, "inbound", 20, "Yes"));
    assert_eq!((posted.messages, posted.event.is_some()), (2, true), "{kind:?}");
    assert!(report(store) > counted, "{kind:?}");
}

#[test]
fn a_backup_with_an_unreadable_derived_value_is_reported_and_restored() {
    let root = tempfile::tempdir().unwrap();
    let (dir, file) = (root.path().join("data"), root.path().join("backup"));
    std::fs::create_dir(&dir).unwrap();
    filled(&dir);
    pairs(&dir, &is_of(ValueKind::Thread));
    let Open { store, running, .. } = open(&dir);
    let mut backup = store.backup(NOW).unwrap().unwrap();
    std::fs::write(&file, std::iter::from_fn(|| backup.next()).flatten().collect::<Vec<u8>>()).unwrap();
    drop((store, backup));
    running.stop();
    let findings = offline::verify_backup(&file, &|_| ()).unwrap();
    assert_eq!((findings.faults_total, findings.faults[0].derived), (1, true), "{:?}", findings.faults);
    assert!(findings.faults[0].what.contains("an SMS thread that cannot be read"), "{:?}", findings.faults);
    let restored = root.path().join("restored");
    offline::restore(&file, &restored, &|_| ()).unwrap();
    let Open { store, running, .. } = open(&restored);
    assert_eq!(post(&store, message("t", None, "inbound", 20, "Yes")).messages, 2);
    drop(store);
    running.stop();
}

#[test]
fn verify_reports_unreadable_values_of_the_engine() {
    for (own, derived) in [(POSITION, false), (OPENED, true)] {
        let dir = tempfile::tempdir().unwrap();
        filled(dir.path());
        let database = opening::database(&dir.path().join("state"), 1 << 20).unwrap();
        assert!(database.insert(own, GARBAGE).unwrap().is_some());
        database.flush().unwrap();
        drop(database);
        let findings = offline::verify_directory(dir.path(), &|_| ()).unwrap();
        let fault = findings.faults.iter().find(|found| found.what.contains("cannot be read")).unwrap();
        assert_eq!(fault.derived, derived, "{fault:?}");
        assert_eq!(Store::open(dir.path(), settings(), Keyring::default(), NOW).is_ok(), derived, "{own:?}");
    }
}

#[test]
fn values_that_were_set_aside_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    pairs(dir.path(), &is_of(ValueKind::Thread));
    let key = keys::thread("acme", "t");
    let Open { store, running, .. } = open(dir.path());
    post(&store, message("t", None, "inbound", 20, "Yes"));
    let aside = store.embedded().kv.get(&aside(&stored(&key))).unwrap();
    assert_eq!(aside.as_deref(), Some(GARBAGE));
    drop(store);
    running.stop();
}
