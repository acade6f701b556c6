//! Sealing of secrets: enabling, rotating the key, a wrong key, damage, loss of the key.

use std::sync::Mutex;

use crate::engine::embedded::format::OpenError;
use crate::engine::embedded::kv::stored_key::{key_of, prefix, stored};
use crate::engine::embedded::{marker as sealing, offline};
use crate::model::key::ValueKind;
use crate::model::keys;
use crate::model::lock::lock;
use crate::model::record::SubscriptionRecord;
use crate::model::registry::Registry;
use crate::model::view::View;
use crate::store::tests::keyring as ring;

use super::*;
use crate::model::record::{Record, Target};

/// Signing secret, previous secret, header values and client key of a subscription.
type Secrets = (Vec<u8>, Option<Vec<u8>>, Vec<String>, Option<String>);

fn secrets(subscription: &Subscription) -> Secrets {
    (
        subscription.secret.bytes().to_vec(),
        subscription.previous_secret.as_ref().map(|previous| previous.secret.bytes().to_vec()),
        subscription.headers.iter().map(|header| header.value.expose().to_owned()).collect(),
        subscription.client_certificate.as_ref().map(|certificate| certificate.key.expose().to_owned()),
    )
}

fn all_secrets(store: &Store) -> Vec<Secrets> {
    store.subscriptions().iter().map(|subscription| secrets(subscription)).collect()
}

fn start(unstarted: OpenedStore) -> Open {
    let store = unstarted.store().clone();
    let (sender, changes) = mpsc::channel();
    let running = unstarted.start(|| NOW, move |_, change| drop(sender.send(change)), |why| panic!("{why}")).unwrap();
    Open { store, running, changes }
}

fn open_with(dir: &Path, keys: Keyring) -> Result<OpenedStore, OpenError> {
    Store::open(dir, settings(), keys, NOW)
}

#[track_caller]
fn opened(dir: &Path, keys: Keyring) -> OpenedStore {
    open_with(dir, keys).unwrap_or_else(|error| panic!("{error}"))
}

/// Asserts that opening is refused naming the wanted key, and changes nothing.
#[track_caller]
fn refused(dir: &Path, keys: Keyring, wanted: &Keyring) {
    let before = contents(dir);
    match open_with(dir, keys) {
        Err(OpenError::Key(why)) => assert!(why.contains(&wanted.sealing().unwrap().to_string()), "{why}"),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was opened"),
    }
    assert_eq!(contents(dir), before, "it was changed");
}

/// A copy of what a kill would leave now.
fn killed(dir: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    copy_dir(dir, copy.path());
    copy
}

/// The keys of the records in the view, as of the last checkpoint; `None` for plaintext.
fn keys_in_state(dir: &Path) -> Vec<Option<String>> {
    let copy = killed(dir);
    let state = state(copy.path());
    let mut values: std::collections::BTreeMap<SubscriptionNumber, Vec<u8>> = std::collections::BTreeMap::new();
    for (key, piece) in state.scan(prefix(ValueKind::Subscription), None, usize::MAX).unwrap() {
        values.entry(keys::number_in(&key_of(&key).unwrap()).unwrap()).or_default().extend_from_slice(&piece);
    }
    let key = |value: &Vec<u8>| SubscriptionRecord::of_value(value).unwrap().key().map(|key| key.to_string());
    values.values().map(key).collect()
}

fn name(keys: &Keyring) -> Option<String> {
    keys.sealing().map(|key| key.to_string())
}

/// Three subscriptions, one with a previous secret, one deleted with a pending delivery; stopped.
fn filled(dir: &Path, keys: Keyring) -> Vec<Secrets> {
    let Open { store, running, .. } = start(opened(dir, keys));
    for _ in 0..3 {
        ask(|reply| store.by(anyone()).create_subscription(draft("acme"), reply)).unwrap();
    }
    let all = store.subscriptions();
    ask(|reply| store.by(anyone()).rotate_secret(all[1].id, None, Duration::from_secs(60), reply)).unwrap();
    accept(&store, vec![event("a", None)]);
    ask(|reply| store.by(anyone()).delete_subscription(all[2].id, reply)).unwrap();
    let wanted = all_secrets(&store);
    drop(store);
    running.stop();
    wanted
}

#[test]
fn enabling_sealing_seals_everything_and_no_kill_loses_a_secret() {
    let dir = tempfile::tempdir().unwrap();
    let wanted = filled(dir.path(), Keyring::default());
    assert!(keys_in_state(dir.path()).iter().all(Option::is_none));
    let unstarted = opened(dir.path(), ring(&[1]));
    assert!(dir.path().join("sealed").exists(), "before anything is sealed");
    let opened_only = killed(dir.path());
    let Open { store, running, .. } = start(unstarted);
    // Commands are decided after the initial snapshot.
    accept(&store, vec![event("b", None)]);
    let introduced = killed(dir.path());
    drop(store);
    running.stop();
    assert!(keys_in_state(dir.path()).iter().all(|key| *key == name(&ring(&[1]))));
    for (what, copy) in [("opened", opened_only.path()), ("introduced", introduced.path()), ("stopped", dir.path())] {
        refused(copy, Keyring::default(), &ring(&[1]));
        refused(copy, ring(&[2]), &ring(&[1]));
        let Open { store, running, .. } = start(opened(copy, ring(&[1])));
        assert_eq!(all_secrets(&store), wanted, "{what}");
        drop(store);
        running.stop();
        let sealed = keys_in_state(copy);
        assert!(sealed.len() >= 2 && sealed.iter().all(|key| *key == name(&ring(&[1]))), "{what}: {sealed:?}");
    }
}

#[test]
fn a_new_key_reseals_everything_and_the_old_one_is_needed_until_then() {
    let dir = tempfile::tempdir().unwrap();
    let wanted = filled(dir.path(), ring(&[1]));
    let unstarted = opened(dir.path(), ring(&[2, 1]));
    let opened_only = killed(dir.path());
    // The marker names the new key; the view needs the old one.
    refused(opened_only.path(), ring(&[2]), &ring(&[1]));
    refused(opened_only.path(), ring(&[1]), &ring(&[2]));
    let Open { store, running, .. } = start(unstarted);
    accept(&store, vec![event("b", None)]);
    let introduced = killed(dir.path());
    drop(store);
    running.stop();
    for (what, copy, keys) in [
        ("opened", opened_only.path(), ring(&[2, 1])),
        ("introduced", introduced.path(), ring(&[2])),
        ("stopped", dir.path(), ring(&[2])),
    ] {
        let Open { store, running, .. } = start(opened(copy, keys));
        assert_eq!(all_secrets(&store), wanted, "{what}");
        drop(store);
        running.stop();
        assert!(keys_in_state(copy).iter().all(|key| *key == name(&ring(&[2]))), "{what}");
        refused(copy, ring(&[1]), &ring(&[2]));
    }
}

#[test]
fn replayed_plaintext_and_old_seals_are_resealed_in_the_view() {
    let dir = tempfile::tempdir().unwrap();
    let state = state(dir.path());
    let registry = Mutex::new(Registry::numbering_from(SubscriptionNumber::FIRST, Arc::new(ring(&[2, 1]))));
    let clear = |number| SubscriptionRecord::new(&subscription(number), false);
    let old = clear(8).sealed(&ring(&[1]), [5; 24]);
    let unknown = clear(9).sealed(&ring(&[3]), [5; 24]);
    for (number, record, wanted) in [(7, clear(7), 2), (8, old, 2), (9, unknown, 3)] {
        assert!(Record::from(Box::new(record)).apply(Target { view: &state, memory: &registry }).is_none());
        let at = SubscriptionNumber::new(number);
        let (_, value) = View::scan(&state, &keys::numbered(ValueKind::Subscription, at), None, 1).unwrap().remove(0);
        let key = SubscriptionRecord::of_value(&value).unwrap().key();
        assert_eq!(key, ring(&[wanted]).sealing(), "{number}");
        let registry = lock(&registry);
        let registered = registry.states_from(at, 1).next().unwrap().1;
        assert_eq!((registered.stale, registered.locked.is_some()), (false, number == 9), "{number}");
    }
}

/// Flips a bit in the last byte of the sealed secrets of subscription `number`; nothing in the log repairs it.
fn bend(dir: &Path, number: SubscriptionNumber) {
    let state = state(dir);
    let key = stored(&keys::numbered(ValueKind::Subscription, number).with(&[0]));
    let mut value = state.get(&key).unwrap().unwrap();
    *value.last_mut().unwrap() ^= 1;
    state.put(key, value);
    let position = state.applied().unwrap().unwrap();
    state.checkpoint(&CheckpointMeta { position, ..CheckpointMeta::default() }).unwrap();
}

fn patch(text: &str) -> Patch {
    Patch::from_json(json::parse(text).unwrap(), &Catalogue::new(Vec::new()).unwrap()).unwrap()
}

#[test]
fn secrets_that_do_not_open_disable_only_their_subscription_until_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let wanted = filled(dir.path(), ring(&[1]));
    bend(dir.path(), SubscriptionNumber::FIRST);
    let lost = killed(dir.path());
    for restarted in [false, true] {
        let Open { store, running, .. } = start(opened(dir.path(), ring(&[1])));
        let all = store.subscriptions();
        assert_eq!(all[0].disabled, Some(DisabledReason::Unreadable), "{restarted}");
        assert!(all[0].secrets(NOW).is_empty() && all[0].headers.is_empty());
        assert_eq!(secrets(&all[1]), wanted[1]);
        let accepted = accept(&store, vec![event(&format!("b-{restarted}"), None)]);
        assert_eq!(accepted[0].deliveries, 2, "its deliveries wait");
        let enabled =
            ask(|reply| store.by(anyone()).change_subscription(all[0].id, patch(r#"{"enabled":true}"#), reply));
        assert_eq!(enabled.err(), Some(StoreError::Conflict(Subscription::LOCKED.to_owned())));
        drop(store);
        running.stop();
    }
    let Open { store, running, .. } = start(opened(dir.path(), ring(&[1])));
    let id = store.subscriptions()[0].id;
    let secret = ask(|reply| store.by(anyone()).rotate_secret(id, None, Duration::from_secs(60), reply)).unwrap();
    let again = store.subscription(id).unwrap();
    assert_eq!((again.disabled, &again.previous_secret), (Some(DisabledReason::ByHand), &None));
    ask(|reply| {
        store.by(anyone()).change_subscription(id, patch(r#"{"enabled":true,"headers":{"X-Key":"new"}}"#), reply)
    })
    .unwrap();
    drop(store);
    running.stop();
    let unstarted = opened(dir.path(), ring(&[1]));
    let again = unstarted.store().subscription(id).unwrap();
    assert!(again.enabled() && again.secret == secret && again.headers[0].value.expose() == "new");
    // With a lost key all of them are disabled, and can be deleted.
    let first = ring(&[1]).sealing().unwrap();
    let line = "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";
    let without = Keyring::parse("test keys", &format!("{line}\nlost {first}")).unwrap();
    let Open { store, running, .. } = start(opened(lost.path(), without));
    let all = store.subscriptions();
    assert!(all.iter().all(|subscription| subscription.is_locked()) && all.len() == 2);
    assert_eq!(owed(&store), [1]);
    ask(|reply| store.by(anyone()).delete_subscription(all[0].id, reply)).unwrap();
    ask(|reply| store.by(anyone()).rotate_secret(all[1].id, None, Duration::ZERO, reply)).unwrap();
    drop(store);
    running.stop();
    let unstarted = opened(lost.path(), ring(&[2]));
    assert!(!unstarted.store().subscriptions()[0].is_locked(), "the old key is no longer needed");
}

#[test]
fn a_deleted_subscription_needs_no_key() {
    let dir = tempfile::tempdir().unwrap();
    let state = state(dir.path());
    for deleted in [false, true] {
        let registry = Mutex::new(Registry::numbering_from(SubscriptionNumber::FIRST, Arc::new(ring(&[2]))));
        let record = SubscriptionRecord::new(&subscription(7), deleted).sealed(&ring(&[1]), [5; 24]);
        assert!(Record::from(Box::new(record)).apply(Target { view: &state, memory: &registry }).is_none());
        assert_eq!(sealing::check_opened(dir.path(), &lock(&registry)).is_ok(), deleted);
    }
}

#[test]
fn a_backup_stays_sealed_and_is_verified_and_restored_without_the_key() {
    let dir = tempfile::tempdir().unwrap();
    let wanted = filled(dir.path(), ring(&[1]));
    let root = tempfile::tempdir().unwrap();
    let (file, restored, saved) = (root.path().join("backup"), root.path().join("dir"), root.path().join("saved"));
    let Open { store, running, .. } = start(opened(dir.path(), ring(&[1])));
    let mut backup = store.backup(NOW).unwrap().unwrap();
    let bytes: Vec<u8> = std::iter::from_fn(|| backup.next()).flatten().collect();
    for secret in [&wanted[0].0, &wanted[1].0] {
        assert!(!bytes.windows(secret.len()).any(|window| window == secret), "it is in plaintext");
    }
    std::fs::write(&file, bytes).unwrap();
    drop((store, backup));
    running.stop();
    assert_eq!(offline::check_backup(&file, &|_| ()).unwrap().sealed, name(&ring(&[1])));
    let findings = offline::restore(&file, &restored, &|_| ()).unwrap();
    let salvaged = offline::salvage(&restored, &saved, &|_| ()).unwrap();
    for findings in [&findings, &offline::verify_directory(&restored, &|_| ()).unwrap(), &salvaged.kept] {
        assert!(findings.is_clean() && findings.subscriptions.iter().all(|one| one.enabled), "{findings:?}");
        assert_eq!(findings.sealed_with.iter().next(), name(&ring(&[1])).as_ref());
        assert!(findings.sealed >= 2, "{findings:?}");
    }
    for dir in [&restored, &saved] {
        assert_eq!(offline::sealed_with(dir), Ok(ring(&[1]).sealing()), "also where there is no subscription yet");
        refused(dir, Keyring::default(), &ring(&[1]));
        assert_eq!(all_secrets(opened(dir, ring(&[1])).store()), wanted);
    }
}
