//! Several daemons on one schema: what one is told all know, one sends for each webhook, and another takes over when one is
//! gone. Each test has a cluster of its own, on a local socket.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::daemon::{Daemon, Home};
use crate::mail_server::{MailServer, Manner, Secured};
use crate::platform::{event, numbered, with};
use crate::postgres::{cluster, home, sql, until};
use crate::receiver::{Answer, Received, Receiver};

/// The longest time until another daemon sends for the webhooks of one that was killed or is frozen.
const TAKEN_OVER: Duration = Duration::from_secs(12);

/// Daemons on one schema.
fn start(home: &Home, count: usize) -> Vec<Daemon> {
    (0..count).map(|_| home.clone().start()).collect()
}

/// How many shards each daemon owns, by its id, as the tables say.
fn shards(sql: &mut postgres::Client) -> BTreeMap<String, i64> {
    let rows = sql.query("SELECT coalesce(node::text, 'nobody'), count(*) FROM hooks.shards GROUP BY 1", &[]).unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

/// Waits until each of `count` daemons has its share.
#[track_caller]
fn wait_for_shares(sql: &mut postgres::Client, count: usize) {
    until("each daemon has its share", || {
        let shares = shards(sql);
        let fair = shares.len() == count && shares.values().all(|share| share.abs_diff(256 / count as i64) <= 1);
        (fair && !shares.contains_key("nobody")).then_some(())
    });
}

/// The first arrival of each event, in the order of arrival, as (subscription's path, call, sequence).
fn first_arrivals(requests: &[std::sync::Arc<Received>]) -> Vec<(String, String, u64)> {
    let mut seen = BTreeSet::new();
    let first = requests.iter().filter(|request| seen.insert((request.path.clone(), request.webhook_id().to_owned())));
    first.map(|request| (request.path.clone(), request.call(), request.sequence())).collect()
}

/// Fails if events of a call arrived in another order than they were accepted.
#[track_caller]
fn check_order(arrivals: &[(String, String, u64)]) {
    let mut last: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for (path, call, sequence) in arrivals {
        let before = last.insert((path, call), *sequence).unwrap_or(0);
        assert!(before < *sequence, "{path} {call}: {sequence} first arrived after {before}");
    }
}

#[test]
fn what_one_daemon_is_told_all_know() {
    let Some(cluster) = cluster() else { return };
    let daemons = start(&home(&cluster, "hooks"), 3);
    let receiver = Receiver::willing();
    wait_for_shares(&mut sql(&cluster), 3);
    // A webhook that one has made matches what another is posted at once, whoever sends for it.
    for (number, daemon) in daemons.iter().enumerate() {
        let path = format!("/hook/{number}");
        daemon.subscribe(&receiver.url(&path), json!({}));
        let posted = with(event("call.new", "c1"), "id", number.to_string());
        let first = daemons[(number + 1) % 3].accept(&posted);
        assert_eq!(first["deliveries"], number + 1, "{first}");
        let again = daemons[(number + 2) % 3].accept(&posted);
        assert_eq!((&again["id"], &again["duplicate"]), (&first["id"], &json!(true)), "an id is one event");
    }
    let arrived = receiver.wait_for(6);
    let sequences = |path: &str| {
        let of_path = arrived.iter().filter(|request| request.path == path);
        of_path.map(|request| request.sequence()).collect::<Vec<_>>()
    };
    assert_eq!((sequences("/hook/0"), sequences("/hook/2")), (vec![1, 2, 3], vec![1]));
    for daemon in &daemons {
        assert_eq!((daemon.list("/v1/subscriptions").len(), daemon.list("/v1/events").len()), (3, 3));
        daemon.wait_for_list("/v1/log", 6);
    }
    // A token that one has revoked is soon refused by all.
    let made = daemons[0].api().post("/v1/tokens", &json!({"role": "read"})).expect(201).json();
    let by_token = |daemon: &Daemon| {
        let client = crate::client::Client::new(daemon.address, Some(made["token"].as_str().unwrap().to_owned()));
        client.get("/v1/subscriptions").status
    };
    until("all know the token", || daemons.iter().all(|daemon| by_token(daemon) == 200).then_some(()));
    daemons[1].api().delete(&format!("/v1/tokens/{}", made["id"].as_str().unwrap())).expect(204);
    let revoked = Instant::now();
    until("all refuse the token", || daemons.iter().all(|daemon| by_token(daemon) == 401).then_some(()));
    assert!(revoked.elapsed() < Duration::from_secs(2), "{:?}", revoked.elapsed());
    // So it is with what is changed and deleted, and with a call's conversation.
    let id = daemons[0].list("/v1/subscriptions")[0]["id"].as_str().unwrap().to_owned();
    daemons[2].api().patch(&format!("/v1/subscriptions/{id}"), &json!({"enabled": false})).expect(200);
    let counted = daemons[1].accept(&event("call.missed", "c2"));
    assert_eq!(counted["deliveries"], 3, "a disabled one's deliveries wait");
    receiver.wait_for(8);
    daemons[1].api().delete(&format!("/v1/subscriptions/{id}")).expect(204);
    assert_eq!(daemons[0].accept(&event("call.missed", "c2"))["deliveries"], 2);
    receiver.wait_for(10);
    check_order(&first_arrivals(&receiver.requests()));
    // Each shows all, and which one it is.
    for (number, daemon) in daemons.iter().enumerate() {
        let cluster = daemon.api().get("/v1/cluster").expect(200).json();
        let its = cluster["daemons"].as_array().unwrap();
        assert_eq!((&cluster["engine"], &cluster["unowned_shards"], its.len()), (&json!("postgres"), &json!(0), 3));
        assert!(its.iter().all(|one| one["alive"] == true && one["shards"].as_u64() >= Some(85)), "{cluster}");
        let this = its.iter().position(|one| one["this"] == true);
        assert_eq!(this, Some(number), "in the order in which they joined: {cluster}");
    }
}

#[test]
fn when_an_owner_is_killed_another_sends_and_one_that_stops_hands_over_at_once() {
    let Some(cluster) = cluster() else { return };
    let mut daemons = start(&home(&cluster, "hooks"), 3);
    let (receiver, mut sql) = (Receiver::willing(), sql(&cluster));
    for number in 0..9 {
        daemons[0].subscribe(&receiver.url(&format!("/hook/{number}")), json!({}));
    }
    wait_for_shares(&mut sql, 3);
    daemons[0].accept(&event("call.new", "c1"));
    receiver.wait_for(9);
    // What is not recorded yet is repeated.
    daemons[0].wait_for_list("/v1/deliveries?state=delivered", 9);
    daemons.remove(0).kill();
    let killed = Instant::now();
    daemons[0].accept(&event("call.claimed", "c1"));
    receiver.wait_for(18);
    assert!(killed.elapsed() < TAKEN_OVER, "{:?}", killed.elapsed());
    wait_for_shares(&mut sql, 2);
    let (_, exit) = daemons.remove(0).stop();
    exit.expect(0);
    let stopped = Instant::now();
    daemons[0].accept(&event("call.finished", "c1"));
    let arrived = receiver.wait_for(27);
    assert!(stopped.elapsed() < Duration::from_secs(1), "{:?}", stopped.elapsed());
    check_order(&first_arrivals(&arrived));
    assert_eq!(arrived.len(), 27, "nothing was repeated");
    assert_eq!(shards(&mut sql).values().copied().collect::<Vec<_>>(), [256]);
}

#[test]
fn one_that_joins_gets_its_share_and_nothing_is_repeated() {
    let Some(cluster) = cluster() else { return };
    let home = home(&cluster, "hooks");
    let first = home.clone().start();
    // A receiver that takes its time: attempts are in flight while their shards change hands.
    let takes = Duration::from_millis(150);
    let slow = move || Answer::status(200).after(takes);
    let receiver = Receiver::start(move |_| slow());
    for number in 0..8 {
        first.subscribe(&receiver.url(&format!("/hook/{number}")), json!({"max_in_flight": 2}));
    }
    let (done, mut posted) = (AtomicBool::new(false), 0);
    std::thread::scope(|scope| {
        let api = first.api();
        let posting = scope.spawn(|| {
            let mut count = 0;
            while !done.load(Ordering::Relaxed) {
                api.post("/v1/events", &numbered(&format!("c{}", count % 5), count)).expect(202);
                count += 1;
                std::thread::sleep(Duration::from_millis(30));
            }
            count
        });
        receiver.wait_for(40);
        let joined = Instant::now();
        let second = home.clone().start();
        wait_for_shares(&mut sql(&cluster), 2);
        assert!(joined.elapsed() < Duration::from_secs(30), "{:?}", joined.elapsed());
        let before = receiver.requests().len();
        receiver.wait_for(before + 80);
        done.store(true, Ordering::Relaxed);
        posted = posting.join().unwrap();
        receiver.wait_for(posted * 8);
        drop(second);
    });
    let arrived = receiver.requests();
    assert_eq!(arrived.len(), posted * 8, "nothing was repeated");
    check_order(&first_arrivals(&arrived));
    for number in 0..8 {
        let path = format!("/hook/{number}");
        let at: Vec<Instant> = arrived.iter().filter(|one| one.path == path).map(|one| one.at).collect();
        // The third of any three begins after the first has been answered.
        let closest = at.windows(3).map(|three| three[2] - three[0]).min().expect("many arrivals");
        assert!(closest >= takes, "{path}: three within {closest:?}, and `max_in_flight` is 2");
    }
}

#[test]
fn one_that_was_frozen_begins_nothing_and_joins_again() {
    let Some(cluster) = cluster() else { return };
    let daemons = start(&home(&cluster, "hooks"), 2);
    let (receiver, mut sql) = (Receiver::willing(), sql(&cluster));
    for number in 0..6 {
        daemons[0].subscribe(&receiver.url(&format!("/hook/{number}")), json!({}));
    }
    wait_for_shares(&mut sql, 2);
    daemons[0].accept(&event("call.new", "c1"));
    receiver.wait_for(6);
    daemons[0].signal("STOP");
    let frozen = Instant::now();
    daemons[1].accept(&event("call.claimed", "c1"));
    receiver.wait_for(12);
    assert!(frozen.elapsed() < TAKEN_OVER, "{:?}", frozen.elapsed());
    daemons[0].signal("CONT");
    daemons[0].wait_for_saying("it joins again");
    wait_for_shares(&mut sql, 2);
    daemons[0].accept(&event("call.finished", "c1"));
    let arrived = receiver.wait_for(18);
    check_order(&first_arrivals(&arrived));
    assert_eq!(arrived.len(), 18, "nothing was in flight, and nothing is repeated");
}

#[test]
fn owners_are_told_by_one_daemon_and_by_no_other_that_takes_over() {
    let Some(cluster) = cluster() else { return };
    let server = MailServer::start(Manner::Willing, Secured::No);
    let home = home(&cluster, "hooks")
        .set("alerts.smtp_url", &format!("\"smtp://{}?tls=none\"", server.address))
        .set("alerts.mail_from", "\"hooks@platform.example\"");
    let mut daemons = start(&home, 2);
    wait_for_shares(&mut sql(&cluster), 2);
    let gone = Receiver::start(|_| Answer::status(410));
    let subjects = || server.mails().into_iter().map(|mail| mail.to.join(" ")).collect::<BTreeSet<_>>();
    let disable = |daemon: &Daemon, number: usize| {
        let owner = format!("it{number}@acme.example");
        daemon.subscribe(&gone.url(&format!("/{number}")), json!({"notify": [owner]}));
    };
    (0..6).for_each(|number| disable(&daemons[number % 2], number));
    daemons[0].accept(&event("call.new", "c1"));
    until("all owners are told", || (subjects().len() == 6).then_some(()));
    daemons[1].wait_for_list("/v1/audit?action=subscription.notify", 6);
    drop(daemons.remove(0).kill());
    wait_for_shares(&mut sql(&cluster), 1);
    // Who looks at this one has looked at those that it has taken over.
    disable(&daemons[0], 6);
    daemons[0].accept(&event("call.new", "c2"));
    until("the last owner is told", || (subjects().len() == 7).then_some(()));
    assert_eq!(server.mails().len(), 7, "nobody is told twice: {:#?}", server.mails());
}
