//! A backlog of owed deliveries in PostgreSQL, whose receiver is gone, and its consequences for everybody else: the memory of
//! a daemon stays bounded, other webhooks get their events, and another daemon takes it over; also while somebody else
//! holds a transaction open, so that nothing that was deleted can be vacuumed.
//!
//! CI makes a small one. `HOOKSWITCH_OWED=200000` makes a large one, `HOOKSWITCH_OWED_HELD=120` holds the foreign transaction
//! open for so many seconds; both print a table with `--nocapture`. No time is asserted but that of taking over.

use std::collections::{HashMap, HashSet};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::client::Client;
use crate::daemon::Daemon;
use crate::platform::{numbered, with};
use crate::postgres::{cluster, home, sql};
use crate::receiver::{Answer, Received, Receiver};
use crate::wait;

/// The webhooks that share the backlog.
const DEAD: usize = 10;
/// Those of a company whose receiver is well.
const HEALTHY: usize = 6;
const BATCH: usize = 500;
/// The most memory of a daemon, in KiB.
const MEMORY_MOST: u64 = 150 << 10;
/// The longest time until another daemon sends what a killed one would have sent.
const TAKEN_OVER: Duration = Duration::from_secs(15);
/// The pause between two events of the steady stream.
const STEADY: Duration = Duration::from_millis(20);
/// For how many seconds a line of the table is measured while the foreign transaction is open.
const SLICE: usize = 20;
const PATIENCE: Duration = Duration::from_secs(120);

fn number(name: &str, otherwise: usize) -> usize {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// The most memory that a daemon has had, in KiB (proc(5)).
fn most_memory(daemon: &Daemon) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim_end_matches("kB").trim().parse().unwrap()
}

/// A port at which nobody listens.
fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Makes that many owed deliveries.
fn owe(api: &Client, owed: usize) {
    let events = owed / DEAD;
    let headers = [("content-type", "application/x-ndjson")];
    for first in (0..events).step_by(BATCH) {
        let one = |number: usize| with(numbered(&format!("d{}", number % 1_000), number), "company", "dead");
        let lines: String = (first..events.min(first + BATCH)).map(|number| format!("{}\n", one(number))).collect();
        api.request("POST", "/v1/events", &headers, lines.as_bytes()).expect(202);
    }
}

/// A steady stream of events to the healthy receiver.
struct Stream<'a> {
    receiver: &'a Receiver,
    posted: usize,
}

impl Stream<'_> {
    /// Posts events for this long and waits until all have arrived. Returns the time from each post to its last arrival,
    /// in order of size.
    fn run(&mut self, api: &Client, time: Duration) -> Vec<Duration> {
        let (begun, from, mut posts) = (Instant::now(), self.posted, Vec::new());
        while begun.elapsed() < time || posts.is_empty() {
            let (posted, event) = (Instant::now(), numbered(&format!("h{}", self.posted % 50), self.posted));
            let id = api.post("/v1/events", &event).expect(202).json()["id"].as_str().unwrap().to_owned();
            posts.push((id, posted));
            self.posted += 1;
            std::thread::sleep(STEADY.saturating_sub(posted.elapsed()));
        }
        let arrived = self.wait();
        let last: HashMap<&str, Instant> =
            arrived[from * HEALTHY..].iter().map(|request| (request.webhook_id(), request.at)).collect();
        let mut times: Vec<Duration> = posts.iter().map(|(id, posted)| last[id.as_str()] - *posted).collect();
        times.sort_unstable();
        times
    }

    /// Waits until all has arrived.
    fn wait(&self) -> Vec<Arc<Received>> {
        wait::within(PATIENCE, "all events of the healthy webhooks", || {
            let arrived = self.receiver.requests();
            // What was in flight at a daemon that is gone comes twice.
            let each: HashSet<(&str, &str)> = arrived.iter().map(|one| (one.path.as_str(), one.webhook_id())).collect();
            let (came, wanted) = (each.len(), self.posted * HEALTHY);
            drop(each);
            if came >= wanted { Ok(arrived) } else { Err(format!("{came} of {wanted} came")) }
        })
        .unwrap_or_else(|late| panic!("{late}"))
    }
}

fn row(what: &str, times: &[Duration], daemon: &Daemon) -> String {
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    let memory = most_memory(daemon) as f64 / 1024.0;
    format!("| {what} | {} | {:.1} | {:.1} | {memory:.1} |", times.len(), at(0.5), at(0.99))
}

#[test]
fn a_backlog_leaves_memory_others_and_taking_over_as_they_are() {
    let Some(cluster) = cluster() else { return };
    let (owed, held) = (number("HOOKSWITCH_OWED", 4_000), number("HOOKSWITCH_OWED_HELD", 1));
    let time = Duration::from_secs(if owed > 10_000 { 20 } else { 1 });
    let home = home(&cluster, "hooks");
    let (first, healthy, gone) = (home.clone().start(), Receiver::willing(), nobody());
    for number in 0..HEALTHY {
        first.subscribe(&healthy.url(&format!("/hook/{number}")), json!({}));
    }
    for number in 0..DEAD {
        first.subscribe(&format!("http://{gone}/{number}"), json!({"company": "dead"}));
    }
    let mut stream = Stream { receiver: &healthy, posted: 0 };
    // What is first does more.
    stream.run(first.api(), time / 4);
    let mut rows = vec![row("nothing owed", &stream.run(first.api(), time), &first)];
    let begun = Instant::now();
    owe(first.api(), owed);
    let made = begun.elapsed();
    rows.push(row(&format!("{owed} owed"), &stream.run(first.api(), time), &first));
    // What is deleted meanwhile stays in the tables and their indexes.
    let mut foreign = sql(&cluster);
    let mut transaction =
        foreign.build_transaction().isolation_level(postgres::IsolationLevel::RepeatableRead).start().unwrap();
    transaction.query_one("SELECT count(*) FROM hooks.store", &[]).unwrap();
    for open in (0..held).step_by(SLICE) {
        let until = held.min(open + SLICE);
        let times = stream.run(first.api(), Duration::from_secs((until - open) as u64));
        rows.push(row(&format!("and a foreign transaction, from {open} to {until} s"), &times, &first));
    }
    let second = home.start();
    wait::within(PATIENCE, "each has its share", || {
        let found = second.api().get("/v1/cluster").expect(200).json();
        let shards: Vec<u64> =
            found["daemons"].as_array().unwrap().iter().filter_map(|one| one["shards"].as_u64()).collect();
        if shards == [128, 128] { Ok(()) } else { Err(found.to_string()) }
    })
    .unwrap_or_else(|late| panic!("{late}"));
    rows.push(row("two daemons", &stream.run(first.api(), time), &first));
    assert!(most_memory(&first) <= MEMORY_MOST, "{} KiB", most_memory(&first));
    // As if its machine were lost: that its process has ended cannot be seen.
    first.signal("STOP");
    let lost = Instant::now();
    let times = stream.run(second.api(), Duration::ZERO);
    let taken_over = lost.elapsed();
    drop(first.kill());
    assert!(times.len() == 1 && taken_over < TAKEN_OVER, "{taken_over:?}");
    rows.push(row("the other one alone", &stream.run(second.api(), time), &second));
    transaction.commit().unwrap();
    rows.push(row("without the transaction", &stream.run(second.api(), time), &second));
    assert!(most_memory(&second) <= MEMORY_MOST, "{} KiB", most_memory(&second));
    let waiting = second.api().get("/v1/stats").expect(200).json()["queue"].clone();
    let waits = ["pending", "retrying"].map(|state| waiting[state].as_u64().unwrap()).iter().sum::<u64>();
    assert_eq!(waits, (owed / DEAD * DEAD) as u64, "all of it is owed still: {waiting}");
    println!("made in {:.0} s; taken over within {:.1} s", made.as_secs_f64(), taken_over.as_secs_f64());
    println!("| | events | p50 ms to the last of {HEALTHY} | p99 ms | most memory MiB |\n{}", rows.join("\n"));
    if owed <= 10_000 {
        all_arrives_in_order(gone, owed);
    }
}

/// The receiver is back.
fn all_arrives_in_order(at: SocketAddr, owed: usize) {
    let back = Receiver::start_at(at, |_| Answer::status(200));
    let arrived = wait::within(PATIENCE, "all that is owed", || {
        let arrived = back.requests();
        if arrived.len() >= owed { Ok(arrived) } else { Err(format!("{} of {owed} came", arrived.len())) }
    });
    let mut last = HashMap::new();
    for request in arrived.unwrap_or_else(|late| panic!("{late}")) {
        let of_call = (request.path.clone(), request.call());
        let before = last.insert(of_call, request.sequence()).unwrap_or(0);
        assert!(before < request.sequence(), "{before} before {request:?}");
    }
}
