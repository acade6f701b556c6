//! The call report across restarts, crashes, retention and backups, through the API.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::*;
use crate::core::event::Source;
use crate::core::report::{By, Part, Report};
use crate::core::seal::Keyring;
use crate::engine::embedded::offline;
use crate::model::keys;

/// An event of a call that started at `NOW`, this many seconds later.
fn of_call(call: &str, name: &str, seconds: u64, more: &str) -> NewEvent {
    let at = NOW.plus(Duration::from_secs(seconds));
    let text = format!(
        r#"{{"type":"{name}","company":"acme","source":"widget","domain":"a.example","occurred_at":"{at}","data":{{"call_id":"{call}"{more}}}}}"#
    );
    NewEvent::from_json(json::parse(&text).unwrap(), &Catalogue::new(Vec::new()).unwrap()).unwrap()
}

/// A call that is claimed after `wait` seconds and lasts twice as long.
fn whole_call(call: &str, wait: u64) -> Vec<NewEvent> {
    vec![
        of_call(call, "call.new", 0, ""),
        of_call(call, "call.claimed", wait, r#","agent_id":"ag-7""#),
        of_call(call, "call.connected", wait + 2, ""),
        of_call(call, "call.finished", 3 * wait, &format!(r#","duration":{},"callstatus":"done""#, 2 * wait)),
    ]
}

fn report(store: &Store) -> Report {
    store.call_report(&ReportFilter::default(), By::Hour, 100).unwrap().unwrap()
}

/// Three complete calls, claimed after 10, 20 and 30 seconds, and a new one.
fn check(report: &Report) {
    let totals = &report.totals;
    assert_eq!((totals.calls, totals.of_type("call.new"), totals.of_type("call.claimed")), (4, 4, 3));
    assert_eq!((totals.connection_rate(), totals.missed_rate(), totals.reply_rate()), (Some(0.75), Some(0.0), None));
    assert_eq!((totals.claim.median(), totals.claim.ninetieth()), (Some(20_000.0), Some(30_000.0)));
    assert_eq!(totals.talk.median(), Some(40_000.0));
    assert_eq!(totals.outcomes.iter().map(|(name, count)| (name.as_str(), *count)).collect::<Vec<_>>(), [("done", 3)]);
    let hour = u32::try_from(NOW.millis() / 3_600_000).unwrap();
    assert_eq!(report.parts.keys().collect::<Vec<_>>(), [&Part::Hour(hour)]);
}

#[test]
fn the_report_survives_a_crash_a_stop_and_a_backup() {
    let dir = tempfile::tempdir().unwrap();
    let Open { store, running, .. } = open(dir.path());
    for wait in [10, 20, 30] {
        accept(&store, whole_call(&format!("c{wait}"), wait));
    }
    accept(&store, vec![of_call("late", "call.new", 0, "")]);
    // Repeated events, in one batch and alone.
    let again: Vec<_> = whole_call("c20", 20).into_iter().chain(whole_call("c20", 999)).collect();
    accept(&store, again);
    check(&report(&store));
    let by_agent =
        ReportFilter { agent: Some("ag-7".to_owned()), source: Some(Source::Widget), ..ReportFilter::default() };
    assert_eq!(store.call_report(&by_agent, By::Day, 9).unwrap().unwrap().totals.calls, 3);

    let copy = tempfile::tempdir().unwrap();
    copy_dir(dir.path(), copy.path());
    let root = tempfile::tempdir().unwrap();
    let (file, restored) = (root.path().join("backup"), root.path().join("restored"));
    let mut backup = store.backup(NOW).unwrap().unwrap();
    let bytes: Vec<u8> = std::iter::from_fn(|| backup.next()).flatten().collect();
    std::fs::write(&file, bytes).unwrap();
    offline::restore(&file, &restored, &|_| ()).unwrap();
    drop((store, backup));
    running.stop();
    for dir in [copy.path(), dir.path(), &restored] {
        let Open { store, running, .. } = open(dir);
        check(&report(&store));
        accept(&store, whole_call("c30", 5));
        check(&report(&store));
        drop(store);
        running.stop();
    }
    // A salvage rebuilds it from the retained events.
    std::fs::remove_dir_all(dir.path().join("state")).unwrap();
    let salvaged = root.path().join("salvaged");
    assert!(offline::salvage(dir.path(), &salvaged, &|_| ()).unwrap().state_rebuilt);
    let Open { store, running, .. } = open(&salvaged);
    check(&report(&store));
    drop(store);
    running.stop();
}

#[test]
fn the_report_outlives_events_and_calls() {
    let dir = tempfile::tempdir().unwrap();
    let age = Duration::from_millis(200);
    let retention = Retention {
        log_age: age,
        log_bytes: 1 << 30,
        event_age: age,
        conversation_age: age,
        audit_age: age,
        reclaim: Reclaim::for_test(),
    };
    let settings = Settings { idempotency_window: Duration::from_millis(1), retention, ..settings() };
    let unstarted =
        Store::open(dir.path(), settings, Keyring::default(), NOW).unwrap_or_else(|error| panic!("{error}"));
    let store = unstarted.store().clone();
    let now = Arc::new(AtomicU64::new(NOW.millis()));
    let clock = now.clone();
    let clock = move || Timestamp::from_millis(clock.load(Ordering::Relaxed));
    let running = unstarted.start(clock, |_, _| {}, |why| panic!("{why}")).unwrap();
    for wait in [10, 20, 30] {
        accept(&store, whole_call(&format!("c{wait}"), wait));
    }
    let first = accept(&store, vec![of_call("late", "call.new", 0, "")])[0].id;
    now.fetch_add(1_000, Ordering::Relaxed);
    let other = |number: usize| of_call(&format!("other{number}"), "call.new", 24 * 3600, "");
    let deadline = Instant::now() + Duration::from_secs(60);
    let is_kept = || {
        store.view().wait_until_logged();
        store.view().get(&keys::call("acme", "late")).unwrap().is_some()
    };
    assert!(is_kept());
    let mut others = 0;
    while store.event(first).unwrap().is_some() || is_kept() {
        assert!(Instant::now() < deadline, "the event is kept: {:?}", store.event(first));
        accept(&store, vec![other(others)]);
        others += 1;
        now.fetch_add(100, Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(20));
    }
    let until = Some(NOW.plus(Duration::from_secs(3600)));
    let filter = ReportFilter { until, ..ReportFilter::default() };
    check(&store.call_report(&filter, By::Hour, 9).unwrap().unwrap());
    assert_eq!(report(&store).totals.calls, 4 + others as u64);
    drop(store);
    running.stop();
}
