//! What is particular to the PostgreSQL engine: a server that crashes or is not there, a schema that is somebody else's.
//! Each test has a cluster of its own, on a local socket.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use postgres::{Client as Sql, NoTls};
use serde_json::{Value, json};

use crate::cluster::{Cluster, programs};
use crate::daemon::{Home, hookswitch, run};
use crate::platform::{event, with};
use crate::receiver::{Answer, Receiver};
use crate::space::skipped;
use crate::wait;

/// A cluster; `None` if PostgreSQL is not on this machine and need not be.
pub(crate) fn cluster() -> Option<Cluster> {
    match programs() {
        Ok(_) => Some(Cluster::start().unwrap_or_else(|why| panic!("{why}"))),
        Err(missing) => {
            assert!(std::env::var_os("HOOKSWITCH_NEED_POSTGRES").is_none(), "{missing}");
            skipped(&missing);
            None
        }
    }
}

/// A home whose data is in `schema` of the cluster.
pub(crate) fn home(cluster: &Cluster, schema: &str) -> Home {
    let url = format!("{:?}", cluster.url());
    Home::new().set("store.engine", "\"postgres\"").set("store.url", &url).set("store.schema", &format!("{schema:?}"))
}

/// Waits until `ask` finds something.
#[track_caller]
pub(crate) fn until<R>(what: &str, mut ask: impl FnMut() -> Option<R>) -> R {
    wait::eventually(what, || ask().ok_or_else(|| "not yet".to_owned()))
}

pub(crate) fn sql(cluster: &Cluster) -> Sql {
    Sql::connect(&cluster.url(), NoTls).expect("a connection to the cluster")
}

/// Kills a process of the server, which then ends all its connections, recovers and goes on.
pub(crate) fn crash(cluster: &Cluster) {
    let one = *processes(cluster).first().expect("a process of the server");
    kill(one, Signal::SIGKILL).expect("the process killed");
}

/// The processes of the server, without the one that watches them.
pub(crate) fn processes(cluster: &Cluster) -> Vec<Pid> {
    let postmaster = cluster.postmaster();
    let children = fs::read_to_string(format!("/proc/{postmaster}/task/{postmaster}/children")).unwrap();
    children.split_whitespace().map(|pid| Pid::from_raw(pid.parse().unwrap())).collect()
}

#[test]
fn crashes_of_the_server_lose_nothing_repeat_nothing_and_leave_no_gap() {
    let Some(cluster) = cluster() else { return };
    let (daemon, receiver) = (home(&cluster, "hooks").start(), Receiver::willing());
    daemon.subscribe(&receiver.url("/hook"), json!({}));
    let (done, api) = (AtomicBool::new(false), daemon.api());
    let post = |producer: usize| {
        let (mut accepted, mut refused) = (BTreeMap::new(), 0);
        for number in 0.. {
            let id = format!("{producer}-{number}");
            let posted = with(event("call.new", &format!("{producer}-{}", number / 5)), "id", id.as_str());
            // As a producer does: until it is accepted, with the same id.
            loop {
                let reply = api.post("/v1/events", &posted);
                if reply.status == 202 {
                    accepted.insert(id.clone(), reply.json()["id"].as_str().unwrap().to_owned());
                    break;
                }
                assert_eq!(reply.status, 503, "{}", reply.text());
                assert!(reply.text().contains("again with the same id"), "{}", reply.text());
                assert!(reply.header("retry-after").is_some(), "{}", reply.text());
                refused += 1;
                std::thread::sleep(Duration::from_millis(20));
            }
            if done.load(Ordering::Relaxed) {
                break;
            }
        }
        (accepted, refused)
    };
    let all: Vec<_> = std::thread::scope(|scope| {
        let producers: Vec<_> = (0..4).map(|producer| scope.spawn(move || post(producer))).collect();
        for crashed in 0..3 {
            let before = receiver.requests().len();
            receiver.wait_for(before + 20);
            crash(&cluster);
            let starts = || cluster.log().matches("ready to accept connections").count();
            until("the server is back", || (starts() > crashed + 1).then_some(()));
        }
        let before = receiver.requests().len();
        receiver.wait_for(before + 20);
        done.store(true, Ordering::Relaxed);
        producers.into_iter().map(|producer| producer.join().unwrap()).collect()
    });
    let accepted: BTreeSet<&String> = all.iter().flat_map(|(accepted, _)| accepted.values()).collect();
    assert_eq!(accepted.len(), all.iter().map(|(accepted, _)| accepted.len()).sum::<usize>(), "an id is one event");
    let arrived = receiver.wait_for(accepted.len());
    let events: BTreeSet<String> = arrived.iter().map(|request| request.webhook_id().to_owned()).collect();
    assert_eq!(events.iter().collect::<BTreeSet<_>>(), accepted, "every accepted event arrives, and no other");
    let sequences: BTreeSet<u64> = arrived.iter().map(|request| request.sequence()).collect();
    assert!(sequences.into_iter().eq(1..=accepted.len() as u64), "numbers without a gap");
    let refused: usize = all.iter().map(|(_, refused)| refused).sum();
    assert!(refused > 0, "the crashes were not noticed");
}

#[test]
fn reads_are_answered_although_the_server_has_ended_idle_connections() {
    let Some(cluster) = cluster() else { return };
    let daemon = home(&cluster, "hooks").start();
    daemon.accept(&event("call.new", "c1"));
    for _ in 0..3 {
        assert_eq!(daemon.list("/v1/events").len(), 1);
        let ended =
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'hookswitch'";
        assert!(!sql(&cluster).query(ended, &[]).unwrap().is_empty());
    }
    assert_eq!(daemon.list("/v1/events").len(), 1);
}

#[test]
fn a_restart_of_the_server_between_two_posts_refuses_neither() {
    let Some(cluster) = cluster() else { return };
    let (daemon, receiver) = (home(&cluster, "hooks").start(), Receiver::willing());
    daemon.subscribe(&receiver.url("/hook"), json!({}));
    let starts = || cluster.log().matches("ready to accept").count();
    for number in 1..=3 {
        daemon.accept(&event("call.new", &format!("c{number}")));
        receiver.wait_for(number);
        daemon.wait_for_list("/v1/log", number);
        let before = starts();
        crash(&cluster);
        until("the server is back", || (starts() > before).then_some(()));
    }
    daemon.accept(&event("call.new", "c4"));
    receiver.wait_for(4);
    assert_eq!(daemon.list("/v1/events").len(), 4);
}

#[test]
fn without_its_server_the_daemon_lives_says_so_and_goes_on_with_what_it_has() {
    let Some(cluster) = cluster() else { return };
    let (daemon, receiver) = (home(&cluster, "hooks").start(), Receiver::willing());
    daemon.subscribe(&receiver.url("/hook"), json!({}));
    daemon.accept(&event("call.new", "c1"));
    receiver.wait_for(1);
    let postmaster = Pid::from_raw(cluster.postmaster());
    // All connections are lost, and new ones get no answer.
    kill(postmaster, Signal::SIGSTOP).unwrap();
    for one in processes(&cluster) {
        // It may have ended with another.
        let _ = kill(one, Signal::SIGKILL);
    }
    let problem = until("posts are refused", || {
        let reply = daemon.api().post("/v1/events", &event("call.new", "c2"));
        (reply.status == 503).then(|| reply.json())
    });
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("database server") && detail.contains("again with the same id"), "{problem}");
    let ready = until("it is not ready", || {
        let reply = daemon.api().get("/readyz");
        (reply.status == 503).then(|| reply.text())
    });
    assert!(ready.contains("PostgreSQL"), "{ready}");
    kill(postmaster, Signal::SIGCONT).unwrap();
    until("it is ready again", || (daemon.api().get("/readyz").status == 200).then_some(()));
    daemon.accept(&event("call.new", "c3"));
    receiver.wait_for(2);
}

#[test]
fn a_schema_that_cannot_be_used_is_refused_with_the_remedy_and_left_as_it_is() {
    let Some(cluster) = cluster() else { return };
    let mut sql = sql(&cluster);
    sql.batch_execute("CREATE SCHEMA foreign_one; CREATE TABLE foreign_one.invoices (id int)").unwrap();
    let (_, exit) = home(&cluster, "newer").start().stop();
    exit.expect(0);
    sql.batch_execute("UPDATE newer.store SET version = 99, needs = 99").unwrap();
    for (schema, wanted) in [("foreign_one", "holds something else"), ("newer", "is of a newer hookswitch")] {
        let exit = home(&cluster, schema).refused_start().expect(78);
        assert!(exit.stderr.contains(wanted) && exit.stderr.contains(schema), "{exit:?}");
    }
    let tables = sql.query_one("SELECT count(*) FROM pg_class WHERE relnamespace = 'foreign_one'::regnamespace", &[]);
    assert_eq!(tables.unwrap().get::<_, i64>(0), 1, "nothing was added");
    let absent = home(&cluster, "x").set("store.url", "\"postgresql://u:hunter2@127.0.0.1:1/none\"");
    let exit = absent.refused_start();
    assert!(exit.stderr.contains("cannot be reached") && exit.stderr.contains("`url` in [store]"), "{exit:?}");
    assert!(!exit.stderr.contains("hunter2") && !exit.stdout.contains("hunter2"), "{exit:?}");
    let database = cluster.url().replace("/postgres?", "/nowhere?");
    let exit = home(&cluster, "x").set("store.url", &format!("{database:?}")).refused_start();
    assert!(exit.stderr.contains("create the database"), "{exit:?}");
}

#[test]
fn a_full_disk_of_the_server_is_a_507_and_nothing_is_lost() {
    let Some(cluster) = cluster() else { return };
    let (daemon, receiver) = (home(&cluster, "hooks").start(), Receiver::willing());
    daemon.subscribe(&receiver.url("/hook"), json!({}));
    let mut sql = sql(&cluster);
    let full = "SET search_path = hooks; CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS \
                $$ BEGIN RAISE EXCEPTION 'no space left on device' USING ERRCODE = '53100'; END $$; \
                CREATE TRIGGER full_disk BEFORE INSERT ON records FOR EACH STATEMENT EXECUTE FUNCTION full_disk()";
    sql.batch_execute(full).unwrap();
    let posted = with(event("call.new", "c1"), "id", "one");
    let problem = daemon.api().post("/v1/events", &posted).expect(507).json();
    assert!(problem["detail"].as_str().unwrap().contains("make room on the server's disk"), "{problem}");
    sql.batch_execute("DROP TRIGGER full_disk ON hooks.records").unwrap();
    until("it is accepted", || (daemon.api().post("/v1/events", &posted).status == 202).then_some(()));
    receiver.wait_for(1);
    assert_eq!(daemon.list("/v1/events").len(), 1);
}

#[test]
fn without_the_standbys_that_it_wants_nothing_is_accepted() {
    let Some(cluster) = cluster() else { return };
    let daemon = home(&cluster, "hooks").set("store.replicas", "1").start();
    let ready = until("it is not ready", || {
        let reply = daemon.api().get("/readyz");
        (reply.status == 503).then(|| reply.text())
    });
    assert!(ready.contains("`replicas` in [store]"), "{ready}");
    let problem = daemon.api().post("/v1/events", &event("call.new", "c1")).expect(503).json();
    assert!(problem["detail"].as_str().unwrap().contains("too few synchronous standbys"), "{problem}");
    // So it is when the server was away meanwhile.
    crash(&cluster);
    daemon.wait_for_saying("nothing is accepted until PostgreSQL answers again");
    daemon.wait_for_saying("PostgreSQL answers again");
    until("it is not ready for the same reason", || {
        let reply = daemon.api().get("/readyz");
        (reply.status == 503 && reply.text().contains("`replicas` in [store]")).then_some(())
    });
    daemon.api().post("/v1/events", &event("call.new", "c1")).expect(503);
}

#[test]
fn expired_days_are_dropped_and_the_rest_stays() {
    let Some(cluster) = cluster() else { return };
    let daemon = home(&cluster, "hooks").set("retention.log_age", "\"1h\"").start();
    let receiver = Receiver::willing();
    daemon.subscribe(&receiver.url("/hook"), json!({}));
    daemon.accept(&event("call.new", "c1"));
    daemon.wait_for_list("/v1/log", 1);
    let mut sql = sql(&cluster);
    // A day of long ago, with nothing in it.
    sql.batch_execute(
        "SET search_path = hooks; CREATE TABLE log_entries_20200101 PARTITION OF log_entries FOR VALUES FROM \
         ('016f5e66-e800-0000-0000-000000000000') TO ('016f638d-4400-0000-0000-000000000000')",
    )
    .unwrap();
    let (home, exit) = daemon.stop();
    exit.expect(0);
    let daemon = home.start();
    let there = "SELECT to_regclass('hooks.log_entries_20200101') IS NOT NULL";
    until("the day is dropped", || (!sql.query_one(there, &[]).unwrap().get::<_, bool>(0)).then_some(()));
    let entries: Vec<Value> = daemon.list("/v1/log");
    assert_eq!(entries.len(), 1, "what has not expired stays");
}

#[test]
fn tables_of_the_version_before_are_upgraded_with_what_is_in_them() {
    let Some(cluster) = cluster() else { return };
    let (daemon, receiver) = (home(&cluster, "hooks").start(), Receiver::start(|_| Answer::status(500)));
    daemon.subscribe(&receiver.url("/hook"), json!({}));
    daemon.accept(&event("call.new", "c1"));
    receiver.wait_for(1);
    let (home, exit) = daemon.stop();
    exit.expect(0);
    let mut sql = sql(&cluster);
    // As version 1 made them.
    let older = "SET search_path = hooks; DROP TABLE nodes, shards, positions, commits; ALTER TABLE store DROP COLUMN needs; \
                 UPDATE store SET version = 1, node = gen_random_uuid()";
    sql.batch_execute(older).unwrap();
    let upgrade = |finish: bool| {
        home.write_config();
        let mut command = hookswitch();
        command.args(["store", "upgrade", "--config"]).arg(home.beside("hookswitch.toml"));
        command.args(finish.then_some("--finish"));
        run(command)
    };
    let exit = upgrade(false).expect(0);
    assert!(exit.stdout.contains("upgraded from version 1 to 3"), "{exit:?}");
    let daemon = home.start();
    let before = receiver.requests().len();
    receiver.wait_for(before + 1);
    assert_eq!((daemon.list("/v1/subscriptions").len(), daemon.list("/v1/events").len()), (1, 1));
    // Another version still runs somewhere.
    let other =
        "INSERT INTO hooks.nodes VALUES (gen_random_uuid(), 'db2/1', '0.0.1', '', now(), now() + interval '1 hour', 2)";
    sql.batch_execute(other).unwrap();
    let exit = upgrade(true);
    assert!(!exit.status.success() && exit.stderr.contains("the daemon db2/1 of version 0.0.1"), "{exit:?}");
    sql.batch_execute("DELETE FROM hooks.nodes WHERE name = 'db2/1'").unwrap();
    let exit = upgrade(true).expect(0);
    assert!(exit.stdout.contains("nothing to upgrade; what only older versions need is removed"), "{exit:?}");
}
