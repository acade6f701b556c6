//! Several daemons under load while faults hit them one after the other: daemons that are killed, frozen beyond their lease
//! or cut off, a server that crashes or is restarted, and one that is lost, whose synchronous standby takes its place.
//! Afterwards nothing acknowledged is lost, within a call nothing first arrived out of order, no number is missing, each
//! producer's id is one event, the report is what a recount says, and what was attempted twice was in flight, or not
//! recorded yet, at a fault.
//!
//! A seed determines the faults. CI runs a short one, with each kind of fault at least once, all of them under load;
//! `HOOKSWITCH_CHAOS_EVENTS=100000` makes a long one of it, of as many calls as `HOOKSWITCH_CHAOS_CALLS` says (2,000), with
//! `HOOKSWITCH_CHAOS_WEBHOOKS` (6), and `HOOKSWITCH_CHAOS_SEED` repeats one.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::Client;
use crate::daemon::{Daemon, Home, items};
use crate::pair::Pair;
use crate::platform::{numbered, with};
use crate::postgres::{cluster, crash, until};
use crate::random::Random;
use crate::receiver::{Answer, Received, Receiver};
use crate::wait;

const DAEMONS: usize = 3;
const PRODUCERS: usize = 6;
/// How long a daemon is frozen: longer than its lease.
const FROZEN: Duration = Duration::from_secs(15);
/// The time between two faults.
const PAUSE: Duration = Duration::from_secs(1);
/// The time between two posts of a producer of the short run, which lasts as long as its faults.
const PACE: Duration = Duration::from_millis(40);
/// How long before the end of a fault an attempt may have been made that is not recorded: attempts that ended while the
/// server was away wait for it, and those of a frozen daemon are made again by another one. The margin is for what is in flight.
const UNRECORDED: Duration = Duration::from_secs(10);
/// How long a post may be refused: longer than any fault lasts.
const REFUSED: Duration = Duration::from_secs(180);
/// How long nothing may be delivered at all, once the faults are over.
const STANDSTILL: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    Kill,
    Freeze,
    CutOff,
    CrashServer,
    Promote,
    RestartServer,
    Restart,
}

const FAULTS: [Fault; 7] = [
    Fault::Kill,
    Fault::Promote,
    Fault::Freeze,
    Fault::CutOff,
    Fault::CrashServer,
    Fault::RestartServer,
    Fault::Restart,
];

/// What is to happen.
#[derive(Debug, Clone, Copy)]
struct Plan {
    /// The least number of events.
    events: usize,
    calls: usize,
    webhooks: usize,
    seed: u64,
    /// How many of them are posted at once.
    batch: usize,
    /// The pause of a producer after each post.
    pace: Duration,
}

impl Plan {
    fn from_environment() -> Self {
        let number = |name: &str| {
            let text = std::env::var(name).ok()?;
            Some(text.parse::<usize>().unwrap_or_else(|_| panic!("{name} is a number")))
        };
        let events = number("HOOKSWITCH_CHAOS_EVENTS");
        Self {
            events: events.unwrap_or(1_500),
            calls: number("HOOKSWITCH_CHAOS_CALLS").unwrap_or(if events.is_some() { 2_000 } else { 240 }),
            webhooks: number("HOOKSWITCH_CHAOS_WEBHOOKS").unwrap_or(6),
            seed: number("HOOKSWITCH_CHAOS_SEED").unwrap_or(7) as u64,
            batch: if events.is_some() { 10 } else { 1 },
            pace: if events.is_some() { Duration::ZERO } else { PACE },
        }
    }
}

/// One fault that happened.
#[derive(Debug)]
struct Happened {
    kind: Fault,
    victim: usize,
    begun: Instant,
    ended: Instant,
}

/// The daemons; each may be down for a while.
struct Daemons {
    home: Home,
    running: [Mutex<Option<Daemon>>; DAEMONS],
    addresses: RwLock<Vec<SocketAddr>>,
    /// The one that is frozen, which a load balancer would leave out; another number if none is.
    frozen: AtomicUsize,
    token: String,
}

impl Daemons {
    fn start(home: Home) -> Self {
        let running: Vec<Daemon> = (0..DAEMONS).map(|_| home.clone().start()).collect();
        let addresses = RwLock::new(running.iter().map(|daemon| daemon.address).collect());
        let running = running.into_iter().map(|daemon| Mutex::new(Some(daemon))).collect::<Vec<_>>();
        let running = running.try_into().unwrap_or_else(|_| panic!("{DAEMONS} daemons"));
        Self { token: home.token(), home, running, addresses, frozen: AtomicUsize::new(DAEMONS) }
    }

    fn client(&self, index: usize) -> Client {
        let address = self.addresses.read().unwrap_or_else(PoisonError::into_inner)[index];
        Client::new(address, Some(self.token.clone()))
    }

    /// Any of them; one that is frozen seldom, as whoever posts there waits.
    fn any(&self, random: &mut Random) -> Client {
        let first = random.below(DAEMONS);
        let passes_over = first == self.frozen.load(Ordering::Relaxed) && !random.once_in(20);
        self.client(if passes_over { (first + 1) % DAEMONS } else { first })
    }

    fn replace(&self, index: usize, end: impl FnOnce(Daemon)) {
        let mut running = self.running[index].lock().unwrap_or_else(PoisonError::into_inner);
        end(running.take().expect("it runs"));
        let daemon = self.home.clone().start();
        self.addresses.write().unwrap_or_else(PoisonError::into_inner)[index] = daemon.address;
        *running = Some(daemon);
    }

    fn signal(&self, index: usize, name: &str) {
        let running = self.running[index].lock().unwrap_or_else(PoisonError::into_inner);
        running.as_ref().expect("it runs").signal(name);
    }
}

/// What a producer knows of the events that were acknowledged: for each of its own ids the event's.
type Acknowledged = BTreeMap<String, String>;

/// What a producer posts.
fn posted(plan: Plan, producer: usize, number: usize) -> Value {
    let mut random = Random::new(plan.seed ^ ((producer as u64) << 32) ^ number as u64);
    let call = format!("{producer}-{}", random.below(plan.calls / PRODUCERS));
    with(numbered(&call, number), "id", format!("{producer}-{number}"))
}

/// Posts events of calls of its own, each to any of the daemons, until it is accepted. Ends when `left` is used up and all
/// kinds of faults have happened.
fn produce(
    daemons: &Daemons,
    producer: usize,
    left: &AtomicUsize,
    all: &AtomicBool,
    plan: Plan,
) -> (Acknowledged, usize) {
    let (mut random, mut acknowledged, mut refused) =
        (Random::new(plan.seed + producer as u64), Acknowledged::new(), 0);
    for first in (0..).step_by(plan.batch) {
        let take = |left: usize| left.checked_sub(plan.batch);
        let used_up = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_err();
        if used_up && all.load(Ordering::Relaxed) {
            return (acknowledged, refused);
        }
        let events: Vec<Value> = (first..first + plan.batch).map(|number| posted(plan, producer, number)).collect();
        let body = events.iter().map(|event| format!("{event}\n")).collect::<String>();
        let (headers, begun) = ([("content-type", "application/x-ndjson")], Instant::now());
        loop {
            match daemons.any(&mut random).try_request("POST", "/v1/events", &headers, body.as_bytes()) {
                Ok(reply) if reply.status == 202 => {
                    let answers = reply.json();
                    let answers = answers["events"].as_array().expect("an answer for each").iter();
                    let ids = events.iter().map(|event| &event["id"]).zip(answers.map(|answer| &answer["id"]));
                    let text = |id: &Value| id.as_str().expect("an id").to_owned();
                    acknowledged.extend(ids.map(|(own, id)| (text(own), text(id))));
                    break;
                }
                Ok(reply) => assert!(matches!(reply.status, 429 | 503), "{reply:?}"),
                Err(_) => {}
            }
            refused += 1;
            assert!(begun.elapsed() < REFUSED, "nothing is accepted any more");
            std::thread::sleep(Duration::from_millis(20));
        }
        std::thread::sleep(plan.pace);
    }
    unreachable!("it returns once nothing is left")
}

/// Lets faults happen until all is posted; `all` says when each kind has happened. Returns them, and the servers.
fn disturb(daemons: &Daemons, pair: Pair, plan: Plan, done: &AtomicBool, all: &AtomicBool) -> (Vec<Happened>, Pair) {
    let (mut random, mut happened, mut pair) = (Random::new(plan.seed), Vec::new(), pair);
    while !done.load(Ordering::Relaxed) {
        std::thread::sleep(PAUSE);
        let kind = FAULTS.get(happened.len()).copied().unwrap_or_else(|| FAULTS[random.below(FAULTS.len())]);
        let (victim, begun) = (random.below(DAEMONS), Instant::now());
        pair = strike(daemons, pair, kind, victim);
        happened.push(Happened { kind, victim, begun, ended: Instant::now() });
        all.store(happened.len() >= FAULTS.len(), Ordering::Relaxed);
    }
    (happened, pair)
}

fn strike(daemons: &Daemons, mut pair: Pair, kind: Fault, victim: usize) -> Pair {
    let is_back = |pair: &Pair| {
        until("the server is back", || postgres::Client::connect(&pair.primary.url(), postgres::NoTls).ok())
    };
    match kind {
        Fault::Kill => daemons.replace(victim, |daemon| drop(daemon.kill())),
        Fault::Restart => daemons.replace(victim, |daemon| drop(daemon.stop().1.expect(0))),
        Fault::Freeze => {
            daemons.signal(victim, "STOP");
            daemons.frozen.store(victim, Ordering::Relaxed);
            std::thread::sleep(FROZEN);
            daemons.signal(victim, "CONT");
            daemons.frozen.store(DAEMONS, Ordering::Relaxed);
        }
        Fault::CutOff => {
            // Whichever it hits: connections of several daemons, of writers, readers and leases.
            let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'hookswitch' \
                       AND pid % 2 = 0";
            until("connections are cut", || is_back(&pair).execute(cut, &[]).ok());
        }
        Fault::CrashServer => {
            crash(&pair.primary);
            is_back(&pair);
        }
        Fault::RestartServer => pair.primary.restart().unwrap_or_else(|why| panic!("{why}")),
        Fault::Promote => {
            pair.promote();
            pair = pair.with_new_standby();
        }
    }
    pair
}

/// Waits until nothing is waiting any more, as long as it becomes less.
fn wait_until_delivered(daemons: &Daemons, receiver: &Receiver) {
    // A daemon that has just been away may say so.
    let waiting = || {
        let reply = daemons.client(0).get("/v1/stats");
        let count = |state: &str| reply.json()["queue"][state].as_u64().ok_or_else(|| reply.text());
        Ok::<u64, String>(count("pending")? + count("retrying")?)
    };
    let mut left = u64::MAX;
    while left > 0 {
        let less = || match waiting()? {
            now if now < left => Ok(now),
            now => Err(format!("{now} of {left}")),
        };
        left = wait::within(STANDSTILL, "less is waiting", less)
            .unwrap_or_else(|late| panic!("{late}: {:#?}", stuck(daemons, receiver)));
    }
}

/// What waits, and what the receiver has seen of it.
fn stuck(daemons: &Daemons, receiver: &Receiver) -> Vec<String> {
    let arrived = receiver.requests();
    let of_state = |state| items(&daemons.client(0).get(&format!("/v1/deliveries?state={state}&limit=10")).expect(200));
    let waiting = ["pending", "retrying"].into_iter().flat_map(of_state);
    let seen = |one: &Value| {
        let its = arrived.iter().filter(|request| one["id"] == request.delivery());
        its.map(|request| (request.attempt(), request.answered())).collect::<Vec<_>>()
    };
    let logged = |one: &Value| {
        let path = format!("/v1/log?call={}&limit=500", one["call"].as_str().expect("a call"));
        let entries = items(&daemons.client(0).get(&path).expect(200));
        let its = entries.iter().filter(|entry| entry["delivery"] == one["id"]);
        its.map(|entry| format!("{} {}", entry["attempt"], entry["status"])).collect::<Vec<_>>()
    };
    waiting.map(|one| format!("{one}: arrived {:?}, logged {:?}", seen(&one), logged(&one))).collect()
}

/// Checks what arrived at one webhook.
fn check_arrivals(arrived: &[Arc<Received>], path: &str, acknowledged: &BTreeSet<&String>) {
    let (mut first, mut last): (BTreeMap<&str, u64>, HashMap<String, u64>) = (BTreeMap::new(), HashMap::new());
    for request in arrived.iter().filter(|request| request.path == path) {
        if let Some(sequence) = first.insert(request.webhook_id(), request.sequence()) {
            assert_eq!(sequence, request.sequence(), "an event has one number");
            continue;
        }
        let (call, sequence) = (request.call(), request.sequence());
        let before = last.insert(call.clone(), sequence).unwrap_or(0);
        assert!(before < sequence, "{path} {call}: {sequence} first arrived after {before}");
    }
    let ids: BTreeSet<String> = first.keys().map(|id| (*id).to_owned()).collect();
    assert!(ids.iter().eq(acknowledged.iter().copied()), "{path}: what was acknowledged, and no other");
    let sequences: BTreeSet<u64> = first.into_values().collect();
    assert!(sequences.into_iter().eq(1..=acknowledged.len() as u64), "{path}: numbers without a gap");
}

/// The attempts that were made more than once. Each must have been in flight, or not recorded, at a fault.
fn repeats(arrived: &[Arc<Received>], happened: &[Happened]) -> usize {
    let (mut before, mut repeated): (HashMap<(&str, u32), Instant>, usize) = (HashMap::new(), 0);
    for request in arrived {
        let Some(first) = before.insert((request.delivery(), request.attempt()), request.at) else { continue };
        repeated += 1;
        let at_a_fault = |fault: &Happened| first <= fault.ended && first + UNRECORDED >= fault.begun;
        assert!(happened.iter().any(at_a_fault), "attempted twice without a fault: {request:?}, first at {first:?}");
    }
    repeated
}

/// What is posted again is known to each daemon.
fn check_ids(daemons: &Daemons, plan: Plan, producer: usize, acknowledged: &Acknowledged) {
    for (id, event) in acknowledged.iter().step_by(97) {
        let number = id.split_once('-').and_then(|(_, number)| number.parse().ok()).expect("a number");
        // A daemon may learn only now that the server has ended its session.
        let reply = until("it is answered", || {
            let reply = daemons.client(number % DAEMONS).post("/v1/events", &posted(plan, producer, number));
            (reply.status != 503).then_some(reply)
        });
        let reply = reply.expect(202);
        assert_eq!((&reply.json()["id"], &reply.json()["duplicate"]), (&json!(event), &json!(true)), "{id}");
    }
}

fn table(plan: Plan, happened: &[Happened], rows: &[(&str, String)]) -> String {
    let kinds: BTreeSet<Fault> = happened.iter().map(|fault| fault.kind).collect();
    let count = |kind: &Fault| format!("{kind:?} {}", happened.iter().filter(|fault| fault.kind == *kind).count());
    let faults = kinds.iter().map(count).collect::<Vec<_>>().join(", ");
    let order =
        happened.iter().map(|fault| format!("{:?} {}", fault.kind, fault.victim)).collect::<Vec<_>>().join(", ");
    let rows: String = rows.iter().map(|(name, value)| format!("| {name} | {value} |\n")).collect();
    format!(
        "| seed | {} |\n| calls, webhooks | {}, {} |\n| faults | {}: {faults} |\n| in this order | {order} |\n{rows}",
        plan.seed,
        plan.calls,
        plan.webhooks,
        happened.len()
    )
}

#[test]
fn faults_of_daemons_and_server_lose_nothing_and_keep_the_order() {
    if cluster().is_none() {
        return;
    }
    let (plan, pair, begun) = (Plan::from_environment(), Pair::start(), Instant::now());
    let daemons = Daemons::start(pair.home("hooks").set("ordering.hold", "\"1h\""));
    // One in twenty fails.
    let receiver = Receiver::start(move |request| {
        let fails = Random::new(plan.seed ^ request.nth as u64).once_in(20);
        Answer::status(if fails { 503 } else { 200 })
    });
    let subscribe = |number: usize| {
        let body = json!({"company": "acme", "url": receiver.url(&format!("/hook/{number}")), "events": ["*"]});
        daemons.client(number % DAEMONS).post("/v1/subscriptions", &body).expect(201);
    };
    (0..plan.webhooks).for_each(subscribe);
    let (left, done, all) = (AtomicUsize::new(plan.events), AtomicBool::new(false), AtomicBool::new(false));
    let (posted, (happened, _pair)) = std::thread::scope(|scope| {
        let (daemons, left, done, all) = (&daemons, &left, &done, &all);
        let producers: Vec<_> =
            (0..PRODUCERS).map(|producer| scope.spawn(move || produce(daemons, producer, left, all, plan))).collect();
        let disturbing = scope.spawn(move || {
            // The producers end with the faults, however these end.
            let _ended = Ended(all);
            disturb(daemons, pair, plan, done, all)
        });
        let posted: Vec<_> = producers.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        done.store(true, Ordering::Relaxed);
        let posted: Vec<_> = posted.into_iter().map(|posted| posted.expect("a producer")).collect();
        (posted, disturbing.join().expect("the faults"))
    });
    let accepted = begun.elapsed();
    let acknowledged: BTreeSet<&String> = posted.iter().flat_map(|(acknowledged, _)| acknowledged.values()).collect();
    let events = posted.iter().map(|(acknowledged, _)| acknowledged.len()).sum::<usize>();
    assert!(acknowledged.len() == events && events >= plan.events, "an id is one event");
    wait_until_delivered(&daemons, &receiver);
    let delivered = begun.elapsed();
    let arrived = receiver.requests();
    (0..plan.webhooks).for_each(|number| check_arrivals(&arrived, &format!("/hook/{number}"), &acknowledged));
    let repeated = repeats(&arrived, &happened);
    for (producer, (acknowledged, _)) in posted.iter().enumerate() {
        check_ids(&daemons, plan, producer, acknowledged);
    }
    let calls: BTreeSet<String> = arrived.iter().map(|request| request.call()).collect();
    let report = daemons.client(1).get("/v1/report/calls?company=acme").expect(200).json();
    let totals = &report["totals"];
    assert_eq!((&totals["calls"], &totals["events"]["call.claimed"]), (&json!(calls.len()), &json!(calls.len())));
    let refused: usize = posted.iter().map(|(_, refused)| refused).sum();
    assert!(refused > 0, "no fault was noticed");
    let rows = [
        ("events acknowledged", events.to_string()),
        ("calls with events", calls.len().to_string()),
        ("deliveries", (events * plan.webhooks).to_string()),
        ("attempts that arrived", arrived.len().to_string()),
        ("posts refused or cut off, and posted again", refused.to_string()),
        ("attempts made twice, each at a fault", repeated.to_string()),
        ("until all was accepted", format!("{} s", accepted.as_secs())),
        ("until all was delivered", format!("{} s", delivered.as_secs())),
    ];
    // Shown with --nocapture, for the long run.
    println!("{}", table(plan, &happened, &rows));
}

/// Says so when what has it ends.
struct Ended<'a>(&'a AtomicBool);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
