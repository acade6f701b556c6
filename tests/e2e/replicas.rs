//! What is answered 202 is on the synchronous standby, however the wait for it ended: a server whose time limits cancel it,
//! and a commit that another daemon sees before the standby has it. Each test has a primary and a standby of its own.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::client::{Client, Reply};
use crate::cluster::Cluster;
use crate::pair::Pair;
use crate::platform::{event, with};
use crate::postgres::{cluster, sql, until};
use crate::receiver::Receiver;

/// How many commits of transactions wait for the standby.
fn waiting(primary: &Cluster) -> i64 {
    let asked = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND query LIKE '%COMMIT%'";
    sql(primary).query_one(asked, &[]).unwrap().get(0)
}

/// Posts, and waits for the answer, if one comes.
fn post(api: &Client, event: &Value) -> io::Result<Reply> {
    api.try_request("POST", "/v1/events", &[("content-type", "application/json")], event.to_string().as_bytes())
}

/// Posts until it is accepted, as a producer does; then `answered`.
fn post_until_accepted(api: &Client, event: &Value, answered: &AtomicBool) -> Value {
    let accepted =
        until("it is accepted", || post(api, event).ok().filter(|reply| reply.status == 202).map(|reply| reply.json()));
    answered.store(true, Ordering::SeqCst);
    accepted
}

#[test]
fn a_wait_for_the_standby_that_the_server_cancels_is_no_answer() {
    if cluster().is_none() {
        return;
    }
    let pair = Pair::start();
    let daemon = pair.home("hooks").start();
    daemon.accept(&event("call.new", "c1"));
    pair.freeze_standby();
    let (answered, posted) = (AtomicBool::new(false), with(event("call.new", "c2"), "id", "two"));
    std::thread::scope(|scope| {
        let posting = scope.spawn(|| post_until_accepted(daemon.api(), &posted, &answered));
        // As an operator would who ends what hangs: the event is committed, and on one machine alone.
        let cancel = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND query LIKE '%COMMIT%'";
        for cancelled in 1..=3 {
            until("the commit waits for the standby, or is answered", || {
                (waiting(&pair.primary) > 0 || answered.load(Ordering::SeqCst)).then_some(())
            });
            sql(&pair.primary).execute(cancel, &[]).unwrap();
            let log = || pair.primary.log().matches("canceling wait for synchronous replication").count();
            until("the wait is cancelled", || (log() >= cancelled || answered.load(Ordering::SeqCst)).then_some(()));
        }
        assert!(!answered.load(Ordering::SeqCst), "accepted, and the standby does not have it");
        pair.thaw_standby();
        posting.join().unwrap();
    });
    assert_eq!(daemon.list("/v1/events").len(), 2);
}

#[test]
fn what_another_daemon_committed_is_answered_as_known_once_the_standby_has_it() {
    if cluster().is_none() {
        return;
    }
    let mut pair = Pair::start();
    let home = pair.home("hooks");
    let (one, other) = (home.clone().start(), home.start());
    let receiver = Receiver::willing();
    one.subscribe(&receiver.url("/hook"), json!({}));
    one.accept(&event("call.new", "c1"));
    receiver.wait_for(1);
    let (answered, posted) = (AtomicBool::new(false), with(event("call.new", "c2"), "id", "two"));
    // The server has just answered it.
    other.accept(&event("call.new", "c3"));
    other.wait_for_list("/v1/log", 2);
    pair.freeze_standby();
    let accepted = std::thread::scope(|scope| {
        let first = scope.spawn(|| post(one.api(), &posted));
        until("the commit waits for the standby", || (waiting(&pair.primary) > 0).then_some(()));
        // As an operator would who ends what hangs. The event is committed, and on one machine alone.
        one.signal("STOP");
        let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND query LIKE '%COMMIT%'";
        sql(&pair.primary).execute(cut, &[]).unwrap();
        until("it is gone", || (waiting(&pair.primary) == 0).then_some(()));
        let again = scope.spawn(|| post_until_accepted(other.api(), &posted, &answered));
        let waits = || (waiting(&pair.primary) > 0 || answered.load(Ordering::SeqCst)).then_some(());
        until("the answer waits for the standby, or is given", waits);
        assert!(!answered.load(Ordering::SeqCst), "accepted, and the standby does not have it");
        pair.thaw_standby();
        let accepted = again.join().unwrap();
        one.signal("CONT");
        // Whatever came of it.
        let _ = first.join().unwrap();
        accepted
    });
    assert_eq!(accepted["duplicate"], true, "{accepted}");
    pair.promote();
    let path = format!("/v1/events/{}", accepted["id"].as_str().unwrap());
    until("the event is there", || (other.api().get(&path).status == 200).then_some(()));
}

#[test]
fn a_daemon_that_is_stopped_does_not_wait_for_the_standby_for_ever() {
    if cluster().is_none() {
        return;
    }
    let pair = Pair::start();
    let daemon = pair.home("hooks").start();
    daemon.accept(&event("call.new", "c1"));
    pair.freeze_standby();
    let posted = with(event("call.new", "c2"), "id", "two");
    let reply = std::thread::scope(|scope| {
        let posting = scope.spawn(|| post(daemon.api(), &posted));
        until("the commit waits for the standby", || (waiting(&pair.primary) > 0).then_some(()));
        daemon.terminate();
        posting.join().unwrap()
    });
    assert!(!reply.is_ok_and(|reply| reply.status == 202), "accepted, and the standby does not have it");
    let (home, exit) = daemon.wait();
    let exit = exit.expect(0);
    assert!(exit.stderr.contains("the last COMMIT has not ended within 10 s"), "{exit:?}");
    pair.thaw_standby();
    let daemon = home.start();
    daemon.accept(&posted);
    assert_eq!(daemon.list("/v1/events").len(), 2);
}
