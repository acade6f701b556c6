//! The store through its API: on a real directory, closed and opened again.

use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use crate::core::attempt::{LogEntry, Status};
use crate::core::catalogue::Catalogue;
use crate::core::delivery::{Delivery, State};
use crate::core::event::{CallId, Company, Domain, EventType, NewEvent, Source};
use crate::core::id::{DeliveryId, EventId, SubscriptionId, SubscriptionNumber};
use crate::core::json;
use crate::core::seal::Keyring;
use crate::core::subscription::{DisabledReason, Subscription};
use crate::core::subscription_input::{Change as Patch, Draft};
use crate::core::time::Timestamp;
use crate::engine::embedded::kv::stored_key::stored;
use crate::engine::embedded::kv::{CheckpointMeta, Kv};
use crate::model::key::{Key, ValueKind};
use crate::model::keys;

use super::*;

pub(crate) use crate::model::in_memory::{NOW, anyone, draft, event, keyring, settings, subscription};

mod bounds;
mod compressed;
mod conversations;
mod derived;
mod erasures;
mod fan_out;
mod frozen;
mod frozen_sessions;
mod lists;
mod offline;
mod oldest;
mod repeats;
mod replay;
mod report;
mod retention;
mod sealing;
mod statuses;

struct Open {
    store: Store,
    running: Running,
    changes: mpsc::Receiver<Vec<StoreEvent>>,
}

fn open(dir: &Path) -> Open {
    let unstarted = Store::open(dir, settings(), Keyring::default(), NOW).unwrap_or_else(|error| panic!("{error}"));
    let store = unstarted.store().clone();
    let (sender, changes) = mpsc::channel();
    let running = unstarted.start(|| NOW, move |_, change| drop(sender.send(change)), |why| panic!("{why}")).unwrap();
    Open { store, running, changes }
}

/// Calls a method and waits for its reply.
pub(crate) fn ask<T: Send + 'static>(verb: impl FnOnce(Reply<T>) -> Result<(), Busy>) -> Result<T, StoreError> {
    let (sender, answer) = mpsc::channel();
    verb(Box::new(move |reply| drop(sender.send(reply)))).unwrap();
    answer.recv().unwrap()
}

/// Reads a delivery before it is retried or cancelled.
pub(crate) fn known(store: &Store, id: DeliveryId) -> KnownDelivery {
    store.known_delivery(id).unwrap().unwrap()
}

pub(crate) fn accept(store: &Store, events: Vec<NewEvent>) -> Vec<Accepted> {
    ask(|reply| store.accept(events, reply)).unwrap()
}

pub(crate) fn finish(delivery: &Delivery, status: Status) -> AttemptResult {
    let after = Delivery { state: status.into(), attempts: delivery.attempts + 1, ..delivery.clone() };
    let mut entry = LogEntry::without_attempt(&after, status, "", &subscription(1), None, NOW);
    entry.attempt = after.attempts;
    AttemptResult { entry, after, disable: None }
}

pub(crate) fn owed(store: &Store) -> Vec<u64> {
    owed_deliveries(store).iter().map(|delivery| delivery.id.sequence()).collect()
}

/// The pending deliveries of subscription 1, in order.
pub(crate) fn owed_deliveries(store: &Store) -> Vec<Delivery> {
    let owed = store.owed_after(SubscriptionNumber::FIRST, 0, 10_000).unwrap();
    // The view may be ahead of the log.
    store.view().wait_until_logged();
    owed
}

#[test]
fn accepted_events_survive_a_crash_and_a_stop() {
    let dir = tempfile::tempdir().unwrap();
    let Open { store, running, changes } = open(dir.path());
    let created = ask(|reply| store.by(anyone()).create_subscription(draft("acme"), reply)).unwrap();
    let accepted = accept(&store, vec![event("a", Some("one")), event("b", None)]);
    assert_eq!(accepted.iter().map(|a| (a.deliveries, a.duplicate)).collect::<Vec<_>>(), [(1, false), (1, false)]);
    let delivery = store.event_deliveries(accepted[0].id).unwrap().remove(0);
    store.finish(finish(&delivery, Status::Delivered));
    while !changes.iter().flatten().any(|change| matches!(change, StoreEvent::Finished(_))) {}

    // A copy of the directory now is what a kill leaves behind: nothing was closed.
    let copy = tempfile::tempdir().unwrap();
    copy_dir(dir.path(), copy.path());
    drop(store);
    running.stop();
    for dir in [copy.path(), dir.path()] {
        let Open { store, running, .. } = open(dir);
        let again = store.subscription(created.id).unwrap();
        assert_eq!(again.secret, created.secret);
        assert_eq!(again.headers[0].value.expose(), "k");
        assert_eq!(owed(&store), [2]);
        assert_eq!(store.counts(), Counts { pending: 1, ..Counts::default() });
        let stored = store.event(accepted[0].id).unwrap().unwrap();
        assert_eq!(stored.data, r#"{"call_id":"a","n":1.50}"#);
        let delivery = store.delivery(delivery.id).unwrap().unwrap();
        assert_eq!((delivery.state, delivery.attempts), (State::Delivered, 1));
        let repeated = accept(&store, vec![event("a", Some("one"))]);
        assert_eq!(repeated, [Accepted { id: accepted[0].id, deliveries: 1, duplicate: true }]);
        let next = accept(&store, vec![event("c", None)]);
        assert!(next[0].id > accepted[1].id, "ids ascend across restarts");
        assert_eq!(owed(&store), [2, 3], "sequence numbers continue");
        drop(store);
        running.stop();
    }
}

#[test]
fn deliveries_of_a_deleted_subscription_are_cancelled_across_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let Open { store, running, .. } = open(dir.path());
    let created = ask(|reply| store.by(anyone()).create_subscription(draft("acme"), reply)).unwrap();
    let events: Vec<NewEvent> = (0..200).map(|n| event(&format!("c{n}"), None)).collect();
    accept(&store, events);
    ask(|reply| store.by(anyone()).delete_subscription(created.id, reply)).unwrap();
    assert!(store.subscription(created.id).is_none());
    drop(store);
    running.stop();
    let Open { store, running, changes } = open(dir.path());
    // Each pass cancels some; what is left after the stop is cancelled after the restart.
    while !owed(&store).is_empty() {
        changes.recv().unwrap();
    }
    assert!(matches!(
        ask(|reply| store.by(anyone()).delete_subscription(created.id, reply)),
        Err(StoreError::NotFound)
    ));
    let cancelled = DeliveryFilter { state: Some(State::Cancelled), ..DeliveryFilter::default() };
    assert_eq!(store.deliveries(&cancelled, None, 500).unwrap().items.len(), 200);
    running.stop();
}

#[test]
fn lists_are_paged_without_gaps_or_repeats() {
    let dir = tempfile::tempdir().unwrap();
    let Open { store, running, .. } = open(dir.path());
    ask(|reply| store.by(anyone()).create_subscription(draft("acme"), reply)).unwrap();
    ask(|reply| store.by(anyone()).create_subscription(draft("acme"), reply)).unwrap();
    let events: Vec<NewEvent> = (0..50).map(|n| event(&format!("c{}", n % 5), None)).collect();
    let accepted = accept(&store, events);
    let newest_first: Vec<EventId> = accepted.iter().rev().map(|a| a.id).collect();
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let page = store.events(&EventFilter::default(), after, 7).unwrap();
        seen.extend(page.items.iter().map(|event| event.id));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seen, newest_first);
    for state in [None, Some(State::Pending)] {
        let filter = DeliveryFilter { state, ..DeliveryFilter::default() };
        let (mut ids, mut after) = (Vec::new(), None);
        loop {
            let page = store.deliveries(&filter, after, 9).unwrap();
            ids.extend(page.items.iter().map(|delivery| delivery.id));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(ids.len(), 100, "{state:?}");
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 100, "{state:?}");
    }
    let of_call = EventFilter { call: Some(CallId::parse("c3").unwrap()), ..EventFilter::default() };
    assert_eq!(store.events(&of_call, None, 500).unwrap().items.len(), 10);
    running.stop();
}

#[test]
fn an_inconsistent_directory_is_refused_and_unchanged() {
    let dir = tempfile::tempdir().unwrap();
    let Open { store, running, .. } = open(dir.path());
    ask(|reply| store.by(anyone()).create_subscription(draft("acme"), reply)).unwrap();
    accept(&store, (0..40).map(|n| event(&format!("c{n}"), None)).collect());
    drop(store);
    running.stop();
    type Spoil = fn(&Path);
    let cases: [(&str, Spoil, &str); 10] = [
        (
            "a newer format",
            |dir| std::fs::write(dir.join("FORMAT"), "hookswitch data, format 5\n").unwrap(),
            "newer hookswitch",
        ),
        ("a foreign FORMAT", |dir| std::fs::write(dir.join("FORMAT"), "something\n").unwrap(), "FORMAT"),
        ("no FORMAT", |dir| std::fs::remove_file(dir.join("FORMAT")).unwrap(), "no file FORMAT"),
        ("no state", |dir| std::fs::remove_dir_all(dir.join("state")).unwrap(), "state/db"),
        ("state cut short", |dir| cut_in_half(&dir.join("state/db")), "must have at least"),
        ("state older", |dir| std::fs::write(dir.join("state/reached"), "999999\n").unwrap(), "and was further"),
        (
            "journal begun later",
            |dir| std::fs::write(dir.join("journal/first"), "2\n").unwrap(),
            "000001.log is missing: the state database",
        ),
        ("state overwritten", |dir| fill(&dir.join("state/db")), "state/"),
        (
            "no journal file",
            |dir| std::fs::remove_file(dir.join("journal/000001.log")).unwrap(),
            "000001.log is missing",
        ),
        ("journal cut short", |dir| cut_in_half(&dir.join("journal/000001.log")), "written and acknowledged"),
    ];
    for (name, spoil, wanted) in cases {
        let copy = tempfile::tempdir().unwrap();
        copy_dir(dir.path(), copy.path());
        spoil(copy.path());
        let before = contents(copy.path());
        match Store::open(copy.path(), settings(), Keyring::default(), NOW) {
            Ok(_) => panic!("{name}: it was opened"),
            Err(error) => assert!(error.to_string().contains(wanted), "{name}: {error}"),
        }
        assert_eq!(contents(copy.path()), before, "{name}: it was changed");
    }
}

#[test]
fn an_interrupted_first_start_is_repeated_and_leftovers_are_set_aside() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("unfinished"), "").unwrap();
    std::fs::create_dir_all(dir.path().join("state")).unwrap();
    std::fs::write(dir.path().join("state/db"), "half").unwrap();
    open(dir.path()).running.stop();
    std::fs::write(dir.path().join("state/snap.0000000000000000.generating"), "half").unwrap();
    open(dir.path()).running.stop();
    assert!(dir.path().join("state/aside/snap.0000000000000000.generating").exists());
}

#[test]
fn a_flipped_bit_that_makes_sled_panic_is_refused_and_leaves_the_directory_unchanged() {
    const PLACES: usize = 24;
    let dir = tempfile::tempdir().unwrap();
    let Open { store, running, .. } = open(dir.path());
    ask(|reply| store.by(anyone()).create_subscription(draft("acme"), reply)).unwrap();
    // Enough for several segments: in a small database sled mistakes damage for its torn end.
    for batch in 0..40 {
        let named = |n: i32| event(&format!("c{n}"), Some(&format!("{batch}-{n}")));
        accept(&store, (0..400).map(named).collect());
    }
    drop(store);
    running.stop();
    let mut panics = 0;
    for place in 1..PLACES {
        let copy = tempfile::tempdir().unwrap();
        copy_dir(dir.path(), copy.path());
        let db = copy.path().join("state/db");
        let mut bytes = std::fs::read(&db).unwrap();
        let at = bytes.len() / PLACES * place;
        bytes[at] ^= 0x10;
        std::fs::write(&db, bytes).unwrap();
        let before = contents(copy.path());
        let Err(error) = Store::open(copy.path(), settings(), Keyring::default(), NOW) else { continue };
        panics += i32::from(error.to_string().contains("state/ is damaged"));
        assert_eq!(contents(copy.path()), before, "{place}: {error}");
    }
    assert!(panics > 0, "sled 0.34.7 panicked at a third of such bits");
}

#[test]
fn a_start_interrupted_while_restoring_the_state_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let Open { store, running, .. } = open(dir.path());
    let created = ask(|reply| store.by(anyone()).create_subscription(draft("acme"), reply)).unwrap();
    drop(store);
    running.stop();
    let at = |name| dir.path().join(name);
    let moves: [fn(&Path, &Path, &Path); 2] = [
        |state, _, refused| std::fs::rename(state, refused).unwrap(),
        |state, copy, refused| {
            std::fs::rename(state, refused).unwrap();
            std::fs::rename(copy, state).unwrap();
        },
    ];
    for interrupted_after in moves {
        std::fs::create_dir(at("state-before-open")).unwrap();
        copy_dir(&at("state"), &at("state-before-open"));
        // The refused state may be in any condition.
        fill(&at("state/db"));
        interrupted_after(&at("state"), &at("state-before-open"), &at("state-refused"));
        let Open { store, running, .. } = open(dir.path());
        assert!(store.subscription(created.id).is_some());
        assert!(!at("state-refused").exists() && !at("state-before-open").exists());
        drop(store);
        running.stop();
    }
}

fn cut_in_half(path: &Path) {
    let file = std::fs::File::options().write(true).open(path).unwrap();
    let length = file.metadata().unwrap().len();
    file.set_len(length / 2).unwrap();
}

fn fill(path: &Path) {
    let length = std::fs::metadata(path).unwrap().len() as usize;
    std::fs::write(path, vec![0xa5; length]).unwrap();
}

fn copy_dir(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir_all(&target).unwrap();
            copy_dir(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Every file below `dir` with its length and checksum.
fn contents(dir: &Path) -> std::collections::BTreeMap<std::path::PathBuf, (usize, u32)> {
    let mut all = std::collections::BTreeMap::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(contents(&path));
        } else {
            let bytes = std::fs::read(&path).unwrap();
            all.insert(path.clone(), (bytes.len(), crc32fast::hash(&bytes)));
        }
    }
    all
}

/// What a kill during a checkpoint leaves: the view of `late`, but with the checkpoint position of `early`.
fn cut_short(early: &Path, late: &Path) {
    // It is written only once a checkpoint is complete.
    std::fs::copy(early.join("state/reached"), late.join("state/reached")).unwrap();
    let (early, late) = (state(early), state(late));
    let position = early.applied().unwrap().unwrap();
    let counts = [1, 2, 3].map(|number| stored(&keys::counts(SubscriptionNumber::new(number))));
    for key in [stored(&Key::all(ValueKind::Counted))].into_iter().chain(counts) {
        match early.get(&key).unwrap() {
            Some(value) => late.put(key, value),
            None => late.remove(key),
        }
    }
    late.checkpoint(&CheckpointMeta { position, ..CheckpointMeta::default() }).unwrap();
}

/// The state database of a data directory that no store has open.
fn state(dir: &Path) -> Kv {
    Kv::open(sled::Config::new().path(dir.join("state")).flush_every_ms(None).open().unwrap()).unwrap()
}

#[test]
fn counts_are_correct_after_a_stop_a_kill_and_an_interrupted_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let Open { store, running, .. } = open(dir.path());
    for _ in 0..3 {
        ask(|reply| store.by(anyone()).create_subscription(draft("acme"), reply)).unwrap();
    }
    let change = |store: &Store, changes: &mpsc::Receiver<Vec<StoreEvent>>, round: usize| {
        let accepted = accept(store, (0..9).map(|n| event(&format!("{round}-{n}"), None)).collect());
        let of_all: Vec<Delivery> = accepted.iter().flat_map(|a| store.event_deliveries(a.id).unwrap()).collect();
        let ends = [Status::Delivered, Status::Retrying, Status::Failed, Status::Failed];
        let mut recorded = 0;
        for (index, delivery) in of_all.iter().enumerate().filter(|(index, _)| index % 5 != 0) {
            store.finish(finish(delivery, ends[(index + round) % ends.len()]));
            recorded += 1;
        }
        while recorded > 0 {
            let events = changes.recv().unwrap();
            recorded -= events.iter().filter(|change| matches!(change, StoreEvent::Finished(_))).count();
        }
        let dead = DeliveryFilter { state: Some(State::Failed), ..DeliveryFilter::default() };
        for (index, letter) in store.deliveries(&dead, None, 6).unwrap().items.iter().enumerate() {
            if index % 2 == 0 {
                ask(|reply| store.by(anyone()).retry(known(store, letter.id), reply)).unwrap();
            } else {
                ask(|reply| store.by(anyone()).cancel(known(store, letter.id), reply)).unwrap();
            }
        }
    };
    running.stop();
    drop(store);
    let mut early = tempfile::tempdir().unwrap();
    for round in 0..4 {
        let Open { store, running, changes } = open(dir.path());
        copy_dir(dir.path(), early.path());
        change(&store, &changes, round);
        let killed = tempfile::tempdir().unwrap();
        copy_dir(dir.path(), killed.path());
        let wanted = (store.counts(), [1, 2, 3].map(|number| owed_by(&store, number)));
        assert_eq!(wanted.0, counted(&store), "while running");
        drop(store);
        running.stop();
        let cut = tempfile::tempdir().unwrap();
        copy_dir(dir.path(), cut.path());
        cut_short(early.path(), cut.path());
        for (name, dir) in [("killed", killed.path()), ("cut short", cut.path()), ("stopped", dir.path())] {
            let Open { store, running, .. } = open(dir);
            let waiting: Vec<u64> = store.subscriptions().iter().map(|it| store.waiting(it.id)).collect();
            assert_eq!((store.counts(), [1, 2, 3].map(|number| owed_by(&store, number))), wanted, "{name}, {round}");
            assert_eq!(waiting, wanted.1, "{name}, {round}");
            assert_eq!(store.counts(), counted(&store), "{name}, {round}");
            drop(store);
            running.stop();
        }
        early = tempfile::tempdir().unwrap();
    }
}

fn owed_by(store: &Store, number: u32) -> u64 {
    store.owed_after(SubscriptionNumber::new(number), 0, 10_000).unwrap().len() as u64
}

/// The counts by listing the deliveries.
fn counted(store: &Store) -> Counts {
    let of = |state| {
        let filter = DeliveryFilter { state: Some(state), ..DeliveryFilter::default() };
        store.deliveries(&filter, None, 10_000).unwrap().items.len() as u64
    };
    Counts { pending: of(State::Pending), retrying: of(State::Retrying), failed: of(State::Failed) }
}
