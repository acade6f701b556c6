//! A rolling upgrade: daemons of an older version and of this one side by side on one schema, under load, until the last old
//! one is replaced. Each test has a cluster of its own.
//!
//! `HOOKSWITCH_OLD_BINARY` names the binary of an older version. Without it this version stands in for it, on tables that
//! say that an older one may be there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, RwLock};

use serde_json::{Value, json};

use crate::client::Client;
use crate::daemon::{Daemon, Exit, Home, hookswitch, run};
use crate::platform::{numbered, with};
use crate::postgres::{cluster, home, sql, until};
use crate::receiver::{Received, Receiver};

const DAEMONS: usize = 3;
const WEBHOOKS: usize = 6;
const PRODUCERS: usize = 4;
/// How many events are accepted between two steps.
const STEP: usize = 60;

fn old_binary() -> Option<PathBuf> {
    std::env::var_os("HOOKSWITCH_OLD_BINARY").map(PathBuf::from)
}

/// `serve`, by the old binary if there is one.
fn of_old(serve: Command) -> Command {
    let Some(old) = old_binary() else { return serve };
    let mut command = Command::new(old);
    command.args(serve.get_args());
    for (name, _) in serve.get_envs() {
        command.env_remove(name);
    }
    command
}

fn start_old(home: &Home) -> Daemon {
    home.try_start(of_old).unwrap_or_else(|why| panic!("{why}"))
}

/// Without an old binary: the tables as version 2 has them, which the first new daemon upgrades under load.
const AS_OF_OLD: &str = "UPDATE hooks.store SET version = 2, needs = 2; ALTER TABLE hooks.nodes DROP COLUMN knows";

fn finish(home: &Home) -> Exit {
    home.write_config();
    let mut command = hookswitch();
    command.args(["store", "upgrade", "--finish", "--config"]).arg(home.beside("hookswitch.toml"));
    run(command)
}

/// A load balancer: those to which requests go.
type Balancer = RwLock<Vec<Arc<Client>>>;

/// Takes a daemon out: it gets no request any more, and the last one has been answered.
fn take_out(balancer: &Balancer, index: usize) {
    let client = balancer.write().unwrap().remove(index);
    until("its last request is answered", || (Arc::strong_count(&client) == 1).then_some(()));
}

fn put_in(balancer: &Balancer, daemon: &Daemon) {
    let client = Client::new(daemon.address, Some(daemon.home().token()));
    balancer.write().unwrap().push(Arc::new(client));
}

/// Posts until `done`. Whatever is answered but 202 is a failure.
fn produce(balancer: &Balancer, producer: usize, accepted: &AtomicUsize, done: &AtomicBool) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    for number in 0.. {
        if done.load(Ordering::Relaxed) {
            break;
        }
        let client = {
            let all = balancer.read().unwrap();
            all[number % all.len()].clone()
        };
        let event = with(numbered(&format!("{producer}-{}", number % 7), number), "id", format!("{producer}-{number}"));
        ids.insert(client.post("/v1/events", &event).expect(202).json()["id"].as_str().unwrap().to_owned());
        accepted.fetch_add(1, Ordering::Relaxed);
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    ids
}

fn check(arrived: &[Arc<Received>], ids: &BTreeSet<String>) {
    for webhook in 0..WEBHOOKS {
        let path = format!("/hook/{webhook}");
        let mut last: BTreeMap<String, u64> = BTreeMap::new();
        let its: Vec<_> = arrived.iter().filter(|request| request.path == path).collect();
        for request in &its {
            let before = last.insert(request.call(), request.sequence()).unwrap_or(0);
            assert!(before < request.sequence(), "{before} before {request:?}");
        }
        let events: BTreeSet<String> = its.iter().map(|request| request.webhook_id().to_owned()).collect();
        assert_eq!((&events, its.len()), (ids, ids.len()), "{path}: all, each once");
        let sequences: BTreeSet<u64> = its.iter().map(|request| request.sequence()).collect();
        assert!(sequences.into_iter().eq(1..=ids.len() as u64), "{path}: numbers without a gap");
    }
}

#[test]
fn old_daemons_are_replaced_one_by_one_under_load_without_a_failure() {
    let Some(cluster) = cluster() else { return };
    let home = home(&cluster, "hooks");
    let (receiver, balancer) = (Receiver::willing(), Balancer::default());
    let mut old: Vec<Daemon> = (0..DAEMONS).map(|_| start_old(&home)).collect();
    if old_binary().is_none() {
        sql(&cluster).batch_execute(AS_OF_OLD).unwrap();
    }
    // Those do not know mails.
    let home = home.set("alerts.smtp_url", "\"smtp://127.0.0.1:9?tls=none\"");
    let home = home.set("alerts.mail_from", "\"hooks@platform.example\"");
    old.iter().for_each(|daemon| put_in(&balancer, daemon));
    let webhooks: Vec<_> = (0..WEBHOOKS)
        .map(|number| old[number % DAEMONS].subscribe(&receiver.url(&format!("/hook/{number}")), json!({})))
        .collect();
    let (accepted, done) = (AtomicUsize::new(0), AtomicBool::new(false));
    let mut new: Vec<Daemon> = Vec::new();
    let ids: BTreeSet<String> = std::thread::scope(|scope| {
        let (balancer, accepted, done) = (&balancer, &accepted, &done);
        let ended = Ended(done);
        let producers: Vec<_> =
            (0..PRODUCERS).map(|producer| scope.spawn(move || produce(balancer, producer, accepted, done))).collect();
        let more = || {
            let before = accepted.load(Ordering::Relaxed);
            until("more is accepted", || (accepted.load(Ordering::Relaxed) >= before + STEP).then_some(()));
        };
        more();
        for _ in 0..DAEMONS {
            new.push(home.start());
            put_in(balancer, new.last().unwrap());
            more();
            let path = webhooks[0].path();
            let notify = new[0].api().patch(&path, &json!({"notify": ["ops@acme.example"]})).expect(409).json();
            let why = notify["detail"].as_str().unwrap();
            assert!(why.contains("`notify` cannot be set yet") && why.contains("store upgrade --finish"), "{why}");
            let exit = finish(&home);
            assert!(!exit.status.success() && exit.stderr.contains("still works on the schema hooks"), "{exit:?}");
            // What both know can be changed on either, and is known to both.
            let described = |daemon: &Daemon, text: &str| daemon.api().get(&path).json()["description"] == text;
            for (one, other, text) in [(&old[0], &new[0], "by the old one"), (&new[0], &old[0], "by the new one")] {
                one.api().patch(&path, &json!({"description": text})).expect(200);
                until("both know it", || described(other, text).then_some(()));
            }
            take_out(balancer, 0);
            old.remove(0).stop().1.expect(0);
            more();
        }
        finish(&home).expect(0);
        new[0].api().patch(&webhooks[0].path(), &json!({"notify": ["ops@acme.example"]})).expect(200);
        more();
        drop(ended);
        producers.into_iter().flat_map(|producer| producer.join().unwrap()).collect()
    });
    let all = ids.len() * WEBHOOKS;
    let arrived = receiver.wait_until("all arrives", |requests| requests.len() >= all);
    check(&arrived, &ids);
    if old_binary().is_some() {
        let refused = home.try_start(of_old).map(|daemon| daemon.stdout());
        assert!(refused.as_ref().is_err_and(|why| why.contains("is of a newer hookswitch")), "{refused:?}");
    }
    println!("{} events accepted and delivered to {WEBHOOKS} webhooks", ids.len());
}

/// Ends the producers however the test ends.
struct Ended<'a>(&'a AtomicBool);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_daemon_that_finds_the_tables_beyond_what_it_knows_ends_and_does_not_start_again() {
    let Some(cluster) = cluster() else { return };
    let (daemon, receiver) = (home(&cluster, "hooks").start(), Receiver::willing());
    daemon.subscribe(&receiver.url("/hook"), json!({}));
    daemon.accept(&numbered("c1", 1));
    receiver.wait_for(1);
    // As a newer version does while this one is frozen.
    sql(&cluster).batch_execute("UPDATE hooks.store SET needs = 99, version = 99").unwrap();
    let refused: Value = daemon.api().post("/v1/events", &numbered("c1", 2)).expect(503).json();
    assert!(refused["detail"].as_str().is_some(), "{refused}");
    let (home, exit) = daemon.wait();
    assert!(!exit.status.success() && exit.stderr.contains("is of a newer hookswitch"), "{exit:?}");
    let exit = home.refused_start().expect(78);
    assert!(exit.stderr.contains("is of a newer hookswitch"), "{exit:?}");
    assert_eq!(receiver.requests().len(), 1);
}
