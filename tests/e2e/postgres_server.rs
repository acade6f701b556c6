//! The PostgreSQL engine and the server it is given: what it refuses and how, a pooler in between, and a standby that is
//! promoted. Each test has a cluster of its own, on a local socket.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::cluster::{Cluster, owner};
use crate::daemon::{Home, hookswitch, run};
use crate::pair::{Pair, destroy};
use crate::platform::{event, with};
use crate::postgres::{cluster, sql, until};
use crate::receiver::Receiver;
use crate::space::skipped;

/// A home whose data is at `url`.
fn home_at(url: &str) -> Home {
    let home = Home::new().set("store.engine", "\"postgres\"").set("store.schema", "\"hookswitch\"");
    home.set("store.url", &format!("{url:?}"))
}

#[test]
fn a_server_that_cannot_be_used_is_refused_by_its_cause_with_the_remedy() {
    let Some(cluster) = cluster() else { return };
    let mut sql = sql(&cluster);
    let roles = "CREATE ROLE known LOGIN PASSWORD 'right-one'; CREATE ROLE poor LOGIN; CREATE ROLE reader LOGIN; \
                 ALTER ROLE reader SET default_transaction_read_only = on; CREATE ROLE mute NOLOGIN; \
                 CREATE SCHEMA others; CREATE DATABASE closed; REVOKE CONNECT ON DATABASE closed FROM PUBLIC";
    roles.split("; ").for_each(|one| sql.batch_execute(one).unwrap());
    let rules = cluster.directory().join("data/pg_hba.conf");
    let before = fs::read_to_string(&rules).unwrap();
    fs::write(&rules, format!("local all known scram-sha-256\nlocal all refused reject\n{before}")).unwrap();
    sql.batch_execute("SELECT pg_reload_conf()").unwrap();
    let asked = |user: &str, database: &str| {
        cluster.url().replace("hookswitch@", &format!("{user}@")).replace("/postgres?", &format!("/{database}?"))
    };
    for (user, database, cause, remedy) in [
        ("known:hunter2", "postgres", "password authentication failed", "check user and password of `url`"),
        ("known", "postgres", "password missing", "complete `url` in [store]"),
        ("nobody:hunter2", "postgres", "role \"nobody\" does not exist", "check user and password of `url`"),
        ("mute:hunter2", "postgres", "is not permitted to log in", "check user and password of `url`"),
        ("refused:hunter2", "postgres", "pg_hba.conf rejects", "and pg_hba.conf"),
        ("poor:hunter2", "none", "database \"none\" does not exist", "create the database"),
        ("poor:hunter2", "closed", "permission denied for database", "CONNECT and CREATE on the database"),
        ("poor:hunter2", "postgres", "permission denied for database", "CONNECT and CREATE on the database"),
        ("reader:hunter2", "postgres", "lets this user only read", "set it to off"),
    ] {
        let exit = home_at(&asked(user, database)).refused_start();
        assert!(exit.stderr.contains(cause) && exit.stderr.contains(remedy), "{user} {database}: {exit:?}");
        assert!(!exit.stderr.contains("hunter2") && !exit.stdout.contains("hunter2"), "{exit:?}");
    }
    let exit = home_at(&asked("poor", "postgres")).set("store.schema", "\"others\"").refused_start();
    assert!(exit.stderr.contains("the owner of the schema"), "{exit:?}");
    let mut daemon = home_at(&asked("known:right-one", "postgres")).refused_start();
    assert!(daemon.stderr.contains("CREATE on the database"), "the password is right: {daemon:?}");
    sql.batch_execute("GRANT CREATE ON DATABASE postgres TO known").unwrap();
    (_, daemon) = home_at(&asked("known:right-one", "postgres")).start().stop();
    daemon.expect(0);
}

#[test]
fn the_doctor_looks_at_the_server_and_the_daemon_on_it() {
    let Some(cluster) = cluster() else { return };
    sql(&cluster).batch_execute("CREATE ROLE poor LOGIN").unwrap();
    let url = cluster.url();
    let doctor = |url: &str, listen: &str, env: &[(&str, &str)]| {
        let mut command = hookswitch();
        command.args(["doctor", "--json"]).env("HOOKSWITCH_STORE__ENGINE", "postgres").envs(env.iter().copied());
        command.env("HOOKSWITCH_STORE__URL", url).env("HOOKSWITCH_HTTP__LISTEN", listen);
        run(command)
    };
    let check = |found: &Value, name: &str, state: &str, part: &str| {
        let all = found["checks"].as_array().unwrap();
        let one = all.iter().find(|check| check["check"] == name).unwrap_or_else(|| panic!("no {name}: {found}"));
        assert_eq!(one["state"], state, "{one}");
        assert!(one.to_string().contains(part), "{part}: {one}");
    };
    // The tests' clusters sync nothing.
    let found = doctor(&url, "127.0.0.1:0", &[]).expect(1).json();
    check(&found, "durability", "fail", "set fsync = on in postgresql.conf");
    check(&found, "database", "ok", "the user hookswitch");
    check(&found, "schema", "ok", "the first start makes its tables");
    check(&found, "sessions", "ok", "no transaction pooler");
    check(&found, "its clock", "ok", "this machine's");
    check(&found, "vacuum", "ok", "");
    check(&found, "transactions", "ok", "none is open");
    check(&found, "standbys", "ok", "none is required");
    let made = sql(&cluster).query_one("SELECT to_regnamespace('hookswitch') IS NULL", &[]);
    assert!(made.unwrap().get::<_, bool>(0), "it made something");
    let found = doctor(&url, "127.0.0.1:0", &[("HOOKSWITCH_STORE__REPLICAS", "1")]).expect(1).json();
    check(&found, "standbys", "fail", "a COMMIT waits for 0");

    let mut other = sql(&cluster);
    let mut open = other.transaction().unwrap();
    open.query("SELECT txid_current()", &[]).unwrap();
    let found = doctor(&url, "127.0.0.1:0", &[]).expect(1).json();
    check(&found, "transactions", "ok", "of the user hookswitch (no application_name, idle in transaction)");
    drop(open);

    let daemon = home_at(&url).start();
    let listen = daemon.address.to_string();
    let found = doctor(&url, &listen, &[]).expect(1).json();
    check(&found, "schema", "ok", "has tables of version");
    check(&found, "port", "ok", "a daemon answers");
    check(&found, "version", "warn", "printed once, at its first start");
    let found = doctor(&url, &listen, &[("HOOKSWITCH_TOKEN", daemon.home().token().as_str())]).expect(1).json();
    check(&found, "version", "ok", "and so is the daemon");

    let poor = url.replace("hookswitch@", "poor:hunter2@");
    let found = doctor(&poor, "127.0.0.1:0", &[]).expect(1).json();
    check(&found, "schema", "fail", "another `schema` in [store], or give the user the tables");
    let found = doctor(&poor, "127.0.0.1:0", &[("HOOKSWITCH_STORE__SCHEMA", "other")]).expect(1).json();
    check(&found, "schema", "fail", "GRANT CREATE ON DATABASE postgres TO poor");
    let found = doctor("postgresql://u:hunter2@127.0.0.1:1/none", "127.0.0.1:0", &[]).expect(1).json();
    check(&found, "database", "fail", "check host and port of `url` in [store]");
    assert!(!found.to_string().contains("hunter2"), "{found}");
}

/// PgBouncer in front of a cluster.
struct Pooler {
    process: Child,
    directory: tempfile::TempDir,
}

impl Pooler {
    /// `None` if it is not on this machine and need not be.
    fn start(cluster: &Cluster, settings: &str) -> Option<Self> {
        let program = Path::new("/usr/sbin/pgbouncer");
        if !program.exists() {
            let missing = "PgBouncer is not installed: `apt-get install pgbouncer`";
            assert!(std::env::var_os("HOOKSWITCH_NEED_POSTGRES").is_none(), "{missing}");
            skipped(missing);
            return None;
        }
        let directory = tempfile::Builder::new().prefix("hookswitch-pgb-").tempdir().unwrap();
        let (place, server) = (directory.path().display(), cluster.directory().display());
        let text = format!(
            "[databases]\n* = host={server} user=hookswitch\n[pgbouncer]\nunix_socket_dir = {place}\nlisten_port = 6432\n\
             auth_type = any\nignore_startup_parameters = extra_float_digits\n{settings}\n"
        );
        let file = directory.path().join("pgbouncer.ini");
        fs::write(&file, text).unwrap();
        let mut command = Command::new(program);
        command.arg(&file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if let Some((uid, gid)) = owner().unwrap() {
            std::os::unix::fs::chown(directory.path(), Some(uid), Some(gid)).unwrap();
            command.uid(uid).gid(gid);
        }
        let process = command.spawn().unwrap();
        let socket = directory.path().join(".s.PGSQL.6432");
        until("PgBouncer listens", || socket.exists().then_some(()));
        Some(Self { process, directory })
    }

    fn url(&self) -> String {
        format!("postgresql://hookswitch@/postgres?host={}&port=6432", self.directory.path().display())
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_pooler_that_shares_sessions_is_refused_and_one_that_does_not_is_fine() {
    let Some(cluster) = cluster() else { return };
    for settings in [
        "pool_mode = transaction",
        "pool_mode = transaction\ndefault_pool_size = 1",
        "pool_mode = transaction\nserver_round_robin = 1\nmin_pool_size = 5",
        "pool_mode = statement",
    ] {
        let Some(pooler) = Pooler::start(&cluster, settings) else { return };
        let exit = home_at(&pooler.url()).refused_start();
        assert!(exit.stderr.contains("`pool_mode = session`"), "{settings}: {exit:?}");
        assert!(exit.stderr.contains("name the server itself in `url` of [store]"), "{settings}: {exit:?}");
        let made = sql(&cluster).query_one("SELECT to_regnamespace('hookswitch') IS NULL", &[]);
        assert!(made.unwrap().get::<_, bool>(0), "nothing was made");
    }
    let Some(pooler) = Pooler::start(&cluster, "pool_mode = session\nserver_reset_query = DISCARD ALL") else { return };
    let (daemon, receiver) = (home_at(&pooler.url()).start(), Receiver::willing());
    daemon.subscribe(&receiver.url("/hook"), json!({}));
    daemon.accept(&event("call.new", "c1"));
    receiver.wait_for(1);
}

#[test]
fn a_host_that_does_not_answer_is_passed_over() {
    let Some(cluster) = cluster() else { return };
    // The kernel accepts connections to it, and nobody reads them.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let there = cluster.directory().display();
    let url = format!("postgresql://hookswitch@/postgres?host=127.0.0.1,{there}&port={port},5432");
    let daemon = home_at(&url).start();
    daemon.accept(&event("call.new", "c1"));
    let silent_alone = format!("postgresql://hookswitch@127.0.0.1:{port}/postgres");
    let exit = home_at(&silent_alone).refused_start();
    assert!(exit.stderr.contains("does not answer within 10 s: see whether the server hangs"), "{exit:?}");
}

#[test]
fn a_promoted_standby_is_followed_and_nothing_accepted_is_lost() {
    if cluster().is_none() {
        return;
    }
    let mut pair = Pair::start();
    let exit = home_at(&pair.standby.url()).refused_start();
    assert!(exit.stderr.contains("read-only standby: name the primary"), "{exit:?}");

    let (daemon, receiver) = (home_at(pair.url()).start(), Receiver::willing());
    daemon.subscribe(&receiver.url("/hook"), json!({}));
    let (done, api) = (AtomicBool::new(false), daemon.api());
    let post = |producer: usize| {
        let mut accepted = BTreeSet::new();
        for number in 0.. {
            let call = format!("{producer}-{}", number / 5);
            let posted = with(event("call.new", &call), "id", format!("{producer}-{number}"));
            loop {
                let reply = api.post("/v1/events", &posted);
                if reply.status == 202 {
                    accepted.insert(reply.json()["id"].as_str().unwrap().to_owned());
                    break;
                }
                assert_eq!(reply.status, 503, "{}", reply.text());
                std::thread::sleep(Duration::from_millis(20));
            }
            if done.load(Ordering::Relaxed) {
                break;
            }
        }
        accepted
    };
    let accepted: BTreeSet<String> = std::thread::scope(|scope| {
        let producers: Vec<_> = (0..4).map(|producer| scope.spawn(move || post(producer))).collect();
        receiver.wait_for(40);
        destroy(&pair.primary);
        let away = until("it is not ready", || {
            let reply = daemon.api().get("/readyz");
            (reply.status == 503).then(|| reply.text())
        });
        assert!(away.contains("PostgreSQL"), "{away}");
        pair.promote_standby();
        // As whoever has no other standby does: commits would wait for one.
        for statement in ["ALTER SYSTEM RESET synchronous_standby_names", "SELECT pg_reload_conf()"] {
            sql(&pair.primary).batch_execute(statement).unwrap();
        }
        until("it is ready again", || (daemon.api().get("/readyz").status == 200).then_some(()));
        let before = receiver.requests().len();
        receiver.wait_for(before + 40);
        done.store(true, Ordering::Relaxed);
        producers.into_iter().flat_map(|producer| producer.join().unwrap()).collect()
    });
    let arrived = receiver.wait_until("every accepted event arrives", |requests| {
        let events: BTreeSet<_> = requests.iter().map(|request| request.webhook_id().to_owned()).collect();
        accepted.is_subset(&events)
    });
    let events: BTreeSet<_> = arrived.iter().map(|request| request.webhook_id().to_owned()).collect();
    assert_eq!(events, accepted, "and no other, as each was posted until it was accepted");
    let sequences: BTreeSet<u64> = arrived.iter().map(|request| request.sequence()).collect();
    assert!(sequences.into_iter().eq(1..=accepted.len() as u64), "numbers without a gap");
}
