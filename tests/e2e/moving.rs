//! `hookswitch move`: from a data directory into PostgreSQL, and back, with everything as it was.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::certificates::Authority;
use crate::cluster::Cluster;
use crate::daemon::{Daemon, Exit, Home, hookswitch, run};
use crate::platform::{event, with};
use crate::postgres::{cluster, sql};
use crate::receiver::{Answer, Received, Receiver};
use crate::targets::{check_with_all, subscribe_with_all};
use crate::upgrade::{check_these, facts_of, thawed_from};
use crate::wait::eventually;

/// A home with a data directory, whatever the tests run on. Its secrets are sealed, with the same key in each.
fn embedded() -> Home {
    let home = in_directory(Home::new());
    let key = home.beside("store.key");
    std::fs::write(&key, format!("{}AQE=\n", "AQEB".repeat(10))).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    home.set("retry.give_up_after", "\"1s\"").set("store.key_file", &format!("{key:?}"))
}

/// The same home with its data in a schema.
fn on_postgres(home: &Home, cluster: &Cluster, schema: &str) -> Home {
    let values = [("engine", "postgres"), ("url", &cluster.url()), ("schema", schema)];
    values.into_iter().fold(home.clone(), |home, (key, value)| home.set(&format!("store.{key}"), &format!("{value:?}")))
}

fn move_in(home: &Home, cluster: &Cluster, schema: &str) -> Exit {
    let mut command = hookswitch();
    command.args(["move", "--json", "--from"]).arg(home.data()).args(["--to", &cluster.url(), "--schema", schema]);
    run(command)
}

/// Everything that can be asked for, but for what changes by being asked.
fn everything(daemon: &Daemon) -> Vec<(String, Value)> {
    let mut paths: Vec<String> = [
        "/v1/events?limit=500",
        "/v1/deliveries?limit=500",
        "/v1/deliveries?state=failed",
        "/v1/subscriptions",
        "/v1/conversations",
        "/v1/erase",
        "/v1/calls?company=acme",
        "/v1/report/calls?company=acme&since=2020-01-01T00:00:00Z",
        "/v1/event-types",
    ]
    .map(str::to_owned)
    .into();
    let ids = |path: &str| -> Vec<String> {
        daemon.list(path).iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect()
    };
    paths.extend(ids("/v1/subscriptions").iter().map(|id| format!("/v1/subscriptions/{id}/secret")));
    paths.extend(ids("/v1/events").iter().take(40).map(|id| format!("/v1/events/{id}")));
    paths.extend(ids("/v1/log").iter().take(40).map(|id| format!("/v1/log/{id}")));
    paths.push("/v1/conversations/sms-1?company=acme".to_owned());
    let mut all: Vec<(String, Value)> = paths
        .into_iter()
        .map(|path| {
            let reply = daemon.api().get(&path);
            let json = if reply.status == 200 { reply.json() } else { json!(reply.status) };
            (path, json)
        })
        .collect();
    // With their cursors, which are part of the answer.
    for path in ["/v1/log?limit=7", "/v1/events?limit=7", "/v1/deliveries?limit=7"] {
        let (mut cursor, mut pages) = (String::new(), Vec::new());
        for _ in 0..40 {
            let page = daemon.api().get(&format!("{path}{cursor}")).expect(200).json();
            let next = page["next"].as_str().map(str::to_owned);
            pages.push(page);
            let Some(next) = next else { break };
            cursor = format!("&cursor={next}");
        }
        all.push((path.to_owned(), json!(pages)));
    }
    let tokens = daemon.list("/v1/tokens");
    let lasting = ["id", "role", "company", "description", "created_at", "expires_at"];
    let tokens: Vec<Value> = tokens.iter().map(|token| json!(lasting.map(|member| token[member].clone()))).collect();
    all.push(("/v1/tokens".to_owned(), json!(tokens)));
    all
}

#[track_caller]
fn assert_same(before: &[(String, Value)], after: &[(String, Value)]) {
    for ((path, one), (_, other)) in before.iter().zip(after) {
        assert_eq!(one, other, "{path}");
    }
    assert_eq!(before.len(), after.len());
}

/// What waits for the webhooks that are disabled: for two 40 events of 4 calls in order, and two others; one for the third.
const PENDING: u64 = 85;

/// A store with something of each kind.
fn filled(home: &Home, receiver: &Receiver) -> (Daemon, String, String) {
    let daemon = home.start();
    let api = daemon.api();
    daemon.subscribe(&receiver.url("/willing"), json!({"events": ["call.new", "call.smsfollowup"]}));
    daemon.subscribe(&receiver.url("/failing"), json!({"events": ["call.missed"]}));
    let paused = daemon.subscribe(&receiver.url("/paused"), json!({"events": ["*"]}));
    // Its record is longer than what the embedded engine keeps as one value.
    let client = Authority::new().issue(&["client"]);
    let settings = json!({"client_cert": client.cert.repeat(16), "client_key": client.key, "enabled": false});
    daemon.subscribe("https://127.0.0.1:9/long", settings);
    api.patch(&paused.path(), &json!({"enabled": false})).expect(200);
    api.post(&format!("{}/rotate-secret", paused.path()), &json!({})).expect(200);
    subscribe_with_all(&daemon, receiver);
    let gone = daemon.subscribe(&receiver.url("/gone"), json!({}));
    api.delete(&gone.path()).expect(204);
    for number in 0..40 {
        let posted = with(event("call.new", &format!("c{}", number % 4)), "id", format!("own-{number}"));
        daemon.accept(&posted);
    }
    let missed = daemon.accept(&event("call.missed", "c9"));
    for (direction, from, to) in
        [("outbound", "+12025550100", "+12025550142"), ("inbound", "+12025550142", "+12025550100")]
    {
        let message = json!({"company": "acme", "source": "widget", "call_id": "sms-1", "direction": direction,
            "from": from, "to": to, "body": "Hello", "lead": {"name": "Ada", "phone": "+12025550142"}});
        api.post("/v1/messages", &message).expect(202);
    }
    let mut other = event("call.finished", "erased");
    other["data"]["lead_phone"] = json!("+12025550177");
    daemon.accept(&other);
    api.post("/v1/erase", &json!({"company": "acme", "phone": "+12025550177"})).expect_success();
    let token = api.post("/v1/tokens", &json!({"role": "read", "company": "acme"})).expect(201).json();
    daemon.accept(&with(event("call.new", "nobody"), "company", "unserved"));
    eventually("everything to come to rest", || {
        let failed = daemon.list("/v1/deliveries?state=failed");
        let erased = daemon.list("/v1/erase");
        let at_rest = failed.len() == 1 && erased.iter().all(|erasure| !erasure["done_at"].is_null());
        let pending = daemon.api().get("/v1/stats").expect(200).json()["queue"]["pending"].clone();
        if at_rest && pending == PENDING { Ok(()) } else { Err(format!("{failed:?} {erased:?} {pending} pending")) }
    });
    assert!(missed["id"].is_string());
    (daemon, paused.path(), token["token"].as_str().unwrap().to_owned())
}

fn receiver() -> Receiver {
    Receiver::start(|request| Answer::status(if request.path == "/failing" { 500 } else { 200 }))
}

/// What goes on after a move: the backlog in order, ids of producers, numbers.
fn check_that_it_goes_on(daemon: &Daemon, receiver: &Receiver, paused: &str) {
    let again = daemon.accept(&with(event("call.new", "c3"), "id", "own-39"));
    assert_eq!(again["duplicate"], true, "{again}");
    let waiting = daemon.api().get(paused).expect(200).json()["waiting"].as_u64().unwrap();
    let before = receiver.requests_to("/paused").len();
    daemon.accept(&event("call.new", "c3"));
    daemon.api().patch(paused, &json!({"enabled": true})).expect(200);
    let all = usize::try_from(waiting).unwrap() + 1;
    let to = |path: &'static str| move |request: &&Arc<Received>| request.path == path;
    receiver.wait_until("the backlog", |requests| requests.iter().filter(to("/paused")).count() >= before + all);
    let arrived = receiver.requests_to("/paused");
    let mut sequences: Vec<u64> = arrived.iter().map(|request| request.sequence()).collect();
    for call in ["c0", "c1", "c2", "c3"] {
        let of_call: Vec<u64> =
            arrived.iter().filter(|request| request.call() == call).map(|request| request.sequence()).collect();
        assert!(of_call.is_sorted() && of_call.len() >= 10, "{call}: {of_call:?}");
    }
    sequences.sort_unstable();
    sequences.dedup();
    // One was cancelled by the erasure.
    assert_eq!(
        (sequences.len(), sequences.last()),
        (arrived.len(), Some(&(arrived.len() as u64 + 1))),
        "{sequences:?}"
    );
    let next = daemon.subscribe(&receiver.url("/new"), json!({}));
    daemon.accept(&event("call.new", "c0"));
    receiver
        .wait_until("a delivery to a new webhook", |requests| requests.iter().any(|request| request.path == "/new"));
    assert!(*next.path() > *paused, "ids go on");
    check_with_all(daemon, receiver);
}

#[test]
fn everything_in_a_directory_is_in_the_schema_afterwards_and_goes_on() {
    let Some(cluster) = cluster() else { return };
    let (home, receiver) = (embedded(), receiver());
    let (daemon, paused, token) = filled(&home, &receiver);
    let busy = move_in(&home, &cluster, "hooks").expect(1);
    assert!(busy.stderr.contains("is running on") && busy.stderr.contains("stop it first"), "{busy:?}");
    let before = everything(&daemon);
    let (home, exit) = daemon.stop();
    exit.expect(0);
    let moved = move_in(&home, &cluster, "hooks").expect(0).json();
    assert_eq!(
        (&moved["events"], &moved["pending"], &moved["failed"]),
        (&json!(44), &json!(PENDING), &json!(1)),
        "{moved}"
    );
    let there = on_postgres(&home, &cluster, "hooks");
    let daemon = there.start();
    assert_same(&before, &everything(&daemon));
    let bound = crate::client::Client::new(daemon.address, Some(token));
    assert_eq!(bound.get("/v1/events?limit=1").status, 200, "a token stays valid");
    let again = move_in(&home, &cluster, "hooks").expect(1);
    assert!(again.stderr.contains("holds data already"), "{again:?}");
    check_that_it_goes_on(&daemon, &receiver, &paused);
}

fn move_out(home: &Home, cluster: &Cluster, schema: &str) -> Exit {
    let mut command = hookswitch();
    command.args(["move", "--json", "--schema", schema, "--from", &cluster.url(), "--to"]).arg(home.data());
    run(command)
}

#[test]
fn everything_in_a_schema_is_in_a_directory_afterwards_and_goes_on() {
    let Some(cluster) = cluster() else { return };
    let (first, receiver) = (on_postgres(&embedded(), &cluster, "hooks"), receiver());
    let (daemon, paused, token) = filled(&first, &receiver);
    // Which has a record without an id: only the state tells that it is owed again.
    let failed = daemon.list("/v1/deliveries?state=failed")[0]["id"].as_str().unwrap().to_owned();
    daemon.api().post(&format!("/v1/deliveries/{failed}/retry"), &json!({})).expect_success();
    eventually("it has failed again", || {
        let delivery = daemon.api().get(&format!("/v1/deliveries/{failed}")).expect(200).json();
        if delivery["state"] == "failed" { Ok(()) } else { Err(delivery.to_string()) }
    });
    let (home, before) = (embedded(), everything(&daemon));
    let busy = move_out(&home, &cluster, "hooks").expect(1);
    assert!(busy.stderr.contains("daemons run on the schema hooks"), "{busy:?}");
    daemon.stop().1.expect(0);

    // Interrupted by a record that cannot be read.
    let mut sql = sql(&cluster);
    let last = "(SELECT max(id::text)::uuid FROM hooks.records WHERE class = 1)";
    let damage = format!("UPDATE hooks.records SET payload = '\\xff' || payload WHERE id = {last}");
    sql.batch_execute(&damage).unwrap();
    let stopped = move_out(&home, &cluster, "hooks").expect(74);
    assert!(stopped.stderr.contains("cannot be read"), "{stopped:?}");
    let refused = home.refused_start();
    assert!(refused.stderr.contains("was interrupted"), "{refused:?}");
    sql.batch_execute(&format!("UPDATE hooks.records SET payload = substr(payload, 2) WHERE id = {last}")).unwrap();

    let moved = move_out(&home, &cluster, "hooks").expect(0).json();
    assert_eq!(
        (&moved["events"], &moved["pending"], &moved["failed"]),
        (&json!(44), &json!(PENDING), &json!(1)),
        "{moved}"
    );
    let again = move_out(&home, &cluster, "hooks").expect(1);
    assert!(again.stderr.contains("is not empty"), "{again:?}");
    let daemon = home.start();
    assert_same(&before, &everything(&daemon));
    let bound = crate::client::Client::new(daemon.address, Some(token));
    assert_eq!(bound.get("/v1/events?limit=1").status, 200, "a token stays valid");
    check_that_it_goes_on(&daemon, &receiver, &paused);
    let (home, exit) = daemon.stop();
    exit.expect(0);
    let mut verify = hookswitch();
    verify.args(["verify", "--json", "--data-dir"]).arg(home.data());
    assert_eq!(run(verify).expect(0).json()["faults_total"], 0);
}

/// The same home with its data in its directory.
fn in_directory(home: Home) -> Home {
    ["engine", "url", "schema"].iter().fold(home, |home, key| home.without(&format!("store.{key}")))
}

#[test]
fn directories_of_older_versions_are_moved_there_and_back() {
    let Some(cluster) = cluster() else { return };
    for version in ["v1", "v2", "v3", "v4"] {
        let frozen = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/frozen").join(version);
        let home = in_directory(thawed_from(&frozen));
        move_in(&home, &cluster, version).expect(0);
        let daemon = on_postgres(&home, &cluster, version).start();
        check_these(&daemon, &facts_of(&frozen));
        daemon.stop().1.expect(0);
        let home =
            in_directory(Home::new()).set("retention.log_age", "\"87600h\"").set("retention.event_age", "\"87600h\"");
        move_out(&home, &cluster, version).expect(0);
        check_these(&home.start(), &facts_of(&frozen));
    }
}

/// Webhooks and events of a fan-out that takes many commits.
const FANNED: [u64; 2] = [300, 200];

fn pending(daemon: &Daemon) -> u64 {
    daemon.api().get("/v1/stats").expect(200).json()["queue"]["pending"].as_u64().unwrap()
}

/// Begins a fan-out, and kills the daemon in the middle of it.
fn killed_in_a_fan_out(home: &Home) {
    let daemon = home.start();
    for number in 0..FANNED[0] {
        let body = json!({"company": "acme", "url": format!("http://127.0.0.1:9/{number}"), "events": ["*"], "enabled": false});
        daemon.api().post("/v1/subscriptions", &body).expect(201);
    }
    let lines: String = (0..FANNED[1]).map(|number| format!("{}\n", event("call.new", &number.to_string()))).collect();
    let api = crate::client::Client::new(daemon.address, Some(home.token()));
    let ndjson = [("content-type", "application/x-ndjson")];
    std::thread::scope(|scope| {
        let posting = scope.spawn(|| api.try_request("POST", "/v1/events", &ndjson, lines.as_bytes()).is_ok());
        // What is counted first may not be on the disk yet.
        eventually("a part of it", || if pending(&daemon) > FANNED[0] * 20 { Ok(()) } else { Err(String::new()) });
        drop(daemon.kill());
        assert!(!posting.join().unwrap(), "it was answered before it was complete");
    });
}

#[track_caller]
fn check_that_it_is_completed(daemon: &Daemon) {
    eventually("the fan-out to be completed", || {
        let pending = pending(daemon);
        if pending == FANNED[0] * FANNED[1] { Ok(()) } else { Err(format!("{pending} pending")) }
    });
}

#[test]
fn a_fan_out_that_was_interrupted_is_completed_after_a_move_to_either_side() {
    let Some(cluster) = cluster() else { return };
    let home = embedded();
    killed_in_a_fan_out(&home);
    let moved = move_in(&home, &cluster, "to").expect(0).json();
    assert!((1..FANNED[0] * FANNED[1]).contains(&moved["pending"].as_u64().unwrap()), "{moved}");
    check_that_it_is_completed(&on_postgres(&home, &cluster, "to").start());

    killed_in_a_fan_out(&on_postgres(&embedded(), &cluster, "back"));
    let home = embedded();
    let moved = eventually("the killed daemon to count no more", || {
        let exit = move_out(&home, &cluster, "back");
        if exit.status.success() { Ok(exit.json()) } else { Err(exit.stderr) }
    });
    assert!((1..FANNED[0] * FANNED[1]).contains(&moved["pending"].as_u64().unwrap()), "{moved}");
    check_that_it_is_completed(&home.start());
}

#[test]
fn what_cannot_be_moved_is_refused_with_the_reason() {
    let refused = |from: &str, to: &str, status: i32, why: &str| {
        let mut command = hookswitch();
        command.args(["move", "--from", from, "--to", to]);
        let exit = run(command).expect(status);
        assert!(exit.stderr.contains(why), "{from} {to}: {exit:?}");
        assert!(!exit.stderr.contains("hunter2"), "{exit:?}");
    };
    let home = embedded();
    std::fs::create_dir(home.data()).unwrap();
    let dir = home.data().display().to_string();
    let url = "postgresql://u:hunter2@127.0.0.1:1/none";
    refused(&dir, "mysql://u:hunter2@h/db", 2, "begins with `postgresql://`");
    refused(&dir, &dir, 2, "--to is no data directory");
    refused(url, url, 2, "one of --from and --to must be a data directory");
    refused("/nonexistent", &dir, 2, "--from is no data directory");
    refused(url, &dir, 1, "check host and port");
    refused(&dir, url, 1, "check host and port");
}

#[test]
fn a_move_that_is_interrupted_goes_on_and_nothing_starts_on_half_of_it() {
    let Some(cluster) = cluster() else { return };
    let home = embedded();
    let daemon = home.start();
    let receiver = Receiver::willing();
    let paused = daemon.subscribe(&receiver.url("/paused"), json!({"enabled": false}));
    for batch in 0..3 {
        let lines: String =
            (0..900).map(|number| format!("{}\n", event("call.new", &format!("{batch}-{number}")))).collect();
        let ndjson = [("content-type", "application/x-ndjson")];
        daemon.api().request("POST", "/v1/events", &ndjson, lines.as_bytes()).expect(202);
    }
    let before = everything(&daemon);
    let (home, exit) = daemon.stop();
    exit.expect(0);
    let there = on_postgres(&home, &cluster, "hooks");
    let mut upgrade = hookswitch();
    upgrade.args(["store", "upgrade"]).env("HOOKSWITCH_STORE__ENGINE", "postgres");
    run({
        upgrade.env("HOOKSWITCH_STORE__URL", cluster.url()).env("HOOKSWITCH_STORE__SCHEMA", "hooks");
        upgrade
    })
    .expect(0);
    let mut sql = sql(&cluster);
    // First after a batch of records, then after one of values.
    for table in ["records", "state"] {
        let fault = format!(
            "SET search_path = hooks; CREATE FUNCTION stop() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             IF (SELECT count(*) FROM hooks.{table}) >= 1000 THEN RAISE EXCEPTION 'stopped here'; END IF; RETURN NULL; END $$; \
             CREATE TRIGGER stop BEFORE INSERT ON {table} FOR EACH STATEMENT EXECUTE FUNCTION stop()"
        );
        sql.batch_execute(&fault).unwrap();
        let stopped = move_in(&home, &cluster, "hooks").expect(1);
        assert!(
            stopped.stderr.contains("stopped here") && stopped.stderr.contains("repeat this to go on"),
            "{stopped:?}"
        );
        let refused = there.refused_start();
        assert!(refused.stderr.contains("a move into the schema hooks was interrupted"), "{refused:?}");
        sql.batch_execute(&format!("DROP TRIGGER stop ON {table}; DROP FUNCTION stop")).unwrap();
    }
    // What was there already is not written again: it would be refused as a duplicate.
    let moved = move_in(&home, &cluster, "hooks").expect(0).json();
    assert_eq!(moved["events"], 2700, "{moved}");
    let daemon = there.start();
    assert_same(&before, &everything(&daemon));
    let waiting = daemon.api().get(&paused.path()).expect(200).json()["waiting"].clone();
    assert_eq!(waiting, 2700);
}
