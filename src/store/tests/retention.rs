//! What retention keeps and drops, on a running store with the clock under the test's control.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Instant;

use crate::core::conversation::NewMessage;
use crate::core::id::EventId;
use crate::core::seal::Keyring;
use crate::core::subscription_input::Change as Patch;
use crate::core::token::{Role, Token, TokenDraft};
use crate::engine::embedded::reclaim::segment_age;
use crate::model::error::StoreError;
use crate::model::retention::{Reclaim, Rules};
use crate::store::tests::{accept, ask, draft, event, finish, known, owed, settings};

use super::*;

/// Ages in test time: the retention worker runs every 50 ms of real time.
const AGE: u64 = 1_000_000;
const RULES: Rules = Rules {
    log_age: Duration::from_millis(200),
    log_bytes: 1 << 30,
    event_age: Duration::from_millis(200),
    conversation_age: Duration::from_millis(200),
    audit_age: Duration::from_millis(200),
    reclaim: Reclaim::for_test(),
};

/// A store with the clock under the test's control.
struct TestStore {
    store: Store,
    running: Running,
    changes: mpsc::Receiver<Vec<StoreEvent>>,
    now: Arc<AtomicU64>,
    rules: Rules,
}

impl TestStore {
    fn open(dir: &Path, rules: Rules, now: u64) -> Self {
        let settings = Settings { idempotency_window: Duration::from_millis(1), retention: rules, ..settings() };
        let opened = Store::open(dir, settings, Keyring::default(), Timestamp::from_millis(now))
            .unwrap_or_else(|error| panic!("{error}"));
        let store = opened.store().clone();
        let (sender, changes) = mpsc::channel();
        let now = Arc::new(AtomicU64::new(now));
        let clock = now.clone();
        let clock = move || Timestamp::from_millis(clock.load(Ordering::Relaxed));
        let running = opened.start(clock, move |_, change| drop(sender.send(change)), |why| panic!("{why}")).unwrap();
        Self { store, running, changes, now, rules }
    }

    fn pass(&self, millis: u64) {
        self.now.fetch_add(millis, Ordering::Relaxed);
    }

    fn subscribe(&self) -> Arc<Subscription> {
        ask(|reply| self.store.by(anyone()).create_subscription(draft("acme"), reply)).unwrap()
    }

    fn token(&self, description: &str) -> Token {
        let draft =
            TokenDraft { role: Role::Read, company: None, description: description.to_owned(), expires_at: None };
        ask(|reply| self.store.by(anyone()).create_token(draft, reply)).unwrap().0
    }

    /// Accepts `count` events one after the other, a millisecond apart, and finishes their deliveries with `status`.
    fn post(&self, count: usize, status: Option<Status>) -> Vec<EventId> {
        let mut ids = Vec::new();
        for n in 0..count {
            let id = accept(&self.store, vec![event(&format!("c{n}"), None)])[0].id;
            for delivery in self.store.event_deliveries(id).unwrap() {
                let Some(status) = status else { continue };
                self.store.finish(finish(&delivery, status));
                while !self.changes.recv().unwrap().iter().any(|change| matches!(change, StoreEvent::Finished(_))) {}
            }
            ids.push(id);
            self.pass(1);
            self.until_the_file_is_young();
        }
        ids
    }

    /// Test time advances arbitrarily fast; a segment is closed only when the retention worker runs.
    fn until_the_file_is_young(&self) {
        let journal = &self.store.embedded().wal;
        let now = || Timestamp::from_millis(self.now.load(Ordering::Relaxed));
        self.until("a new file", || !journal.newest_is_older_than(now(), segment_age(&self.rules)).unwrap());
    }

    /// Waits for a background task.
    fn until(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !holds() {
            assert!(Instant::now() < deadline, "{what} did not come to pass");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn log(&self) -> Vec<LogEntry> {
        self.store.log(&LogFilter::default(), None, 1000).unwrap().items
    }

    fn close(self) {
        drop(self.store);
        self.running.stop();
    }
}

/// The tokens of a copy rebuilt without the view.
fn tokens_by_the_journal_alone(dir: &Path) -> Vec<Token> {
    std::fs::remove_dir_all(dir.join("state")).unwrap();
    let copy = tempfile::tempdir().unwrap();
    crate::engine::embedded::offline::salvage(dir, copy.path(), &|_| ()).unwrap();
    let test = TestStore::open(copy.path(), RULES, AGE);
    let tokens = test.store.tokens();
    test.close();
    tokens
}

fn bytes_in(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).unwrap().flatten();
    // A file may be removed concurrently.
    entries.filter_map(|entry| entry.metadata().ok()).map(|file| file.len()).sum()
}

#[test]
fn expired_space_is_reclaimed_and_the_rest_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let journal = dir.path().join("journal");
    let mut now = AGE;
    let mut kept = Vec::new();
    let mut last = Vec::new();
    let mut sequences = 0;
    let mut tokens = Vec::new();
    for cycle in 0..5 {
        let test = TestStore::open(dir.path(), RULES, now);
        if cycle == 0 {
            test.subscribe();
            tokens = ["good", "revoked"].map(|name| test.token(name)).to_vec();
            ask(|reply| test.store.by(anyone()).revoke_token(tokens[1].id, reply)).unwrap();
        }
        let first = test.post(1, Some(Status::Delivered))[0];
        let after = test.store.events(&EventFilter::default(), None, 1).unwrap().next;
        last = test.post(199, Some(Status::Delivered));
        sequences += 200;
        test.pass(100);
        // The first hundred have expired by now, and more segments are full than may be kept.
        test.until("pruning", || test.store.event(first).unwrap().is_none() && bytes_in(&journal) < 150_000);
        let files = &test.store.embedded().wal;
        test.until("compressing", || files.compressible(u32::MAX).is_empty());
        // Without preallocated space.
        kept.push(files.bytes());
        assert!(test.store.event(last[198]).unwrap().is_some());
        assert!(test.store.event_deliveries(first).unwrap().is_empty());
        assert!(after.is_none() || test.store.events(&EventFilter::default(), after, 9).unwrap().items.is_empty());
        let ids: Vec<EventId> =
            test.store.events(&EventFilter::default(), None, 500).unwrap().items.iter().map(|e| e.id).collect();
        assert!(ids.len() >= 99 && ids.len() < 180, "{} of 200 events are left", ids.len());
        assert!(ids.windows(2).all(|pair| pair[0] > pair[1]));
        now = test.now.load(Ordering::Relaxed);
        test.close();
    }
    // A cursor to a dropped record, and a subscription whose first record was dropped.
    let test = TestStore::open(dir.path(), RULES, now);
    let gone = Some(1_u128 << 80);
    assert!(test.store.log(&LogFilter::default(), gone, 9).unwrap().items.is_empty());
    let gone = gone.map(|major| DeliveryCursor { major, minor: 0 });
    assert!(test.store.deliveries(&DeliveryFilter::default(), gone, 9).unwrap().items.is_empty());
    assert!(!journal.join("000001.log").exists());
    let next = test.post(1, None)[0];
    assert_eq!(test.store.event_deliveries(next).unwrap()[0].id.sequence(), sequences + 1);
    assert!(test.store.event(last[198]).unwrap().is_some());
    test.close();
    assert_eq!(tokens_by_the_journal_alone(dir.path()), tokens[..1]);
    let (least, most) = (kept.iter().min().unwrap(), kept.iter().max().unwrap());
    assert!(*most < 2 * least, "bytes kept by cycle: {kept:?}");
}

#[test]
fn the_end_of_a_delivery_outlives_its_log_entry() {
    let dir = tempfile::tempdir().unwrap();
    let rules = Rules { log_age: Duration::from_millis(50), event_age: Duration::from_secs(3600), ..RULES };
    let test = TestStore::open(dir.path(), rules, AGE);
    test.subscribe();
    let delivered = test.post(20, Some(Status::Delivered));
    let failed = test.post(20, Some(Status::Failed));
    let entry = test.log().last().unwrap().id;
    test.pass(1000);
    test.until("the log's end", || test.log().is_empty());
    assert_eq!(test.store.log_entry(entry).unwrap(), None);
    for (ids, state) in [(&delivered, State::Delivered), (&failed, State::Failed)] {
        for id in ids {
            let delivery = test.store.event_deliveries(*id).unwrap().remove(0);
            assert_eq!((delivery.state, delivery.attempts), (state, 1));
            assert_eq!(test.store.delivery(delivery.id).unwrap().map(|it| it.state), Some(state));
        }
    }
    // It can be retried, and the newer end counts.
    let again = test.store.event_deliveries(delivered[0]).unwrap().remove(0);
    ask(|reply| test.store.by(anyone()).retry(known(&test.store, again.id), reply)).unwrap();
    ask(|reply| test.store.by(anyone()).cancel(known(&test.store, again.id), reply)).unwrap();
    assert_eq!(test.store.delivery(again.id).unwrap().map(|it| it.state), Some(State::Cancelled));
    test.close();
}

#[test]
fn the_log_is_limited_by_size() {
    let dir = tempfile::tempdir().unwrap();
    let rules = Rules {
        log_age: Duration::from_secs(3600),
        log_bytes: 80_000,
        event_age: Duration::from_secs(3600),
        conversation_age: Duration::from_secs(3600),
        audit_age: Duration::from_secs(3600),
        reclaim: RULES.reclaim,
    };
    let test = TestStore::open(dir.path(), rules, AGE);
    test.subscribe();
    let ids = test.post(600, Some(Status::Delivered));
    let logged =
        |test: &TestStore| test.store.embedded().wal.stats().iter().map(|(_, o)| u64::from(o.logged)).sum::<u64>();
    test.until("pruning by size", || logged(&test) <= 80_000 + 10_000);
    assert!(logged(&test) >= 80_000, "{}", logged(&test));
    assert!((200..600).contains(&test.log().len()), "{} of 600 are left", test.log().len());
    assert!(test.store.event(ids[0]).unwrap().is_some(), "events are not counted");
    test.close();
}

#[test]
fn a_conversation_is_removed_with_its_last_message() {
    let dir = tempfile::tempdir().unwrap();
    let hour = Duration::from_secs(3600);
    let rules = Rules { log_age: hour, event_age: hour, ..RULES };
    let test = TestStore::open(dir.path(), rules, AGE);
    let talk = |call: &str, direction: &str| {
        let text = format!(
            r#"{{"company":"acme","source":"api","call_id":"{call}","direction":"{direction}","from":"+1","to":"+2","body":"{call}"}}"#
        );
        let now = Timestamp::from_millis(test.now.load(Ordering::Relaxed));
        let message = NewMessage::from_json(json::parse(&text).unwrap(), now).unwrap();
        let prepared = test.store.prepare_message(message, now).unwrap();
        let posted = ask(|reply| test.store.post_message(prepared, reply)).unwrap();
        test.pass(1);
        test.until_the_file_is_young();
        posted
    };
    let find = |call: &str| {
        let found =
            test.store.conversation(&Company::parse("acme").unwrap(), &CallId::parse(call).unwrap()).unwrap()?;
        Some((found.thread.messages, test.store.messages(&found.thread, None).unwrap().items.len()))
    };
    for n in 0..100 {
        talk(&format!("c{n}"), "outbound");
    }
    let reply = talk("c0", "inbound");
    test.post(80, None);
    test.pass(85);
    test.until("the end of the first", || find("c1").is_none() && find("c0") == Some((2, 1)));
    assert!(find("c99").is_some(), "a young one stays");
    let later = talk("c0", "inbound");
    assert_eq!((later.conversation, later.messages, later.event.is_some()), (reply.conversation, 3, true));
    test.pass(1000);
    test.post(1, None);
    test.until("the end of all", || find("c0").is_none() && find("c99").is_none());
    let left = || test.store.embedded().wal.stats().iter().filter(|(_, it)| it.last_message != 0).count();
    test.until("no message in the files", || left() == 0);
    assert!(test.store.event(reply.event.unwrap()).unwrap().is_some(), "the event expires on its own");
    let anew = talk("c0", "outbound");
    assert_eq!((anew.messages, anew.conversation == reply.conversation), (1, false));
    test.close();
}

#[test]
fn pending_deliveries_end_with_their_event() {
    let dir = tempfile::tempdir().unwrap();
    let rules = Rules { log_age: Duration::from_secs(3600), ..RULES };
    let test = TestStore::open(dir.path(), rules, AGE);
    let subscription = test.subscribe();
    let catalogue = Catalogue::new(Vec::new()).unwrap();
    let disabled = json::parse(r#"{"enabled":false}"#).unwrap();
    let patch = Patch::from_json(disabled, &catalogue).unwrap();
    ask(|reply| test.store.by(anyone()).change_subscription(subscription.id, patch, reply)).unwrap();
    let dead = test.post(70, Some(Status::Failed));
    let old = test.post(100, None);
    test.pass(150);
    test.until_the_file_is_young();
    let young = test.post(60, None);
    // `old` has expired, `young` has not.
    test.until("the end of what is over", || owed(&test.store).len() == 60 && test.store.counts().failed == 0);
    assert_eq!(test.store.counts(), Counts { pending: 60, ..Counts::default() });
    let filter = LogFilter { status: Some(Status::Expired), ..LogFilter::default() };
    let expired = || test.store.log(&filter, None, 500).unwrap().items;
    // The counts are ahead of the log until the commit is durable.
    test.until("their entries", || expired().len() == 100);
    let expired = expired();
    assert!(expired[0].error_detail.contains("`event_age`"), "{}", expired[0].error_detail);
    test.until("the end of their events", || {
        [old[20], dead[0]].iter().all(|id| test.store.event(*id).unwrap().is_none())
    });
    let again = expired[0].delivery.unwrap();
    assert!(
        matches!(ask(|reply| test.store.by(anyone()).retry(known(&test.store, again), reply)), Err(StoreError::Conflict(why)) if why.contains("event_age"))
    );
    for id in &young {
        assert!(test.store.event(*id).unwrap().is_some());
    }
    test.close();
}
