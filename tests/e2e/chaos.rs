//! Several daemons under load while faults hit them one after the other: daemons that are killed, frozen beyond their lease
//! or cut off, and a server that crashes. Afterwards nothing acknowledged is lost, within a call nothing first arrived
//! out of order, no number is missing, and each producer's id is one event.
//!
//! A seed determines the faults. CI runs a short one; `HOOKSWITCH_CHAOS_EVENTS=100000` makes a long one of it, and
//! `HOOKSWITCH_CHAOS_SEED` repeats one.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::Duration;

use serde_json::{Value, json};

use crate::client::Client;
use crate::cluster::Cluster;
use crate::daemon::{Daemon, Home, items};
use crate::platform::{numbered, with};
use crate::postgres::{cluster, crash, home, until};
use crate::random::Random;
use crate::receiver::{Answer, Receiver};
use crate::wait;

const DAEMONS: usize = 3;
const PRODUCERS: usize = 6;
const WEBHOOKS: usize = 6;
/// How long a daemon is frozen: longer than its lease.
const FROZEN: Duration = Duration::from_secs(8);
/// The time between two faults.
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy)]
enum Fault {
    Kill,
    Freeze,
    CutOff,
    CrashServer,
    Restart,
}

const FAULTS: [Fault; 5] = [Fault::Kill, Fault::Freeze, Fault::CutOff, Fault::CrashServer, Fault::Restart];

fn from_environment(name: &str, otherwise: usize) -> usize {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// The daemons; each may be down for a while.
struct Daemons {
    home: Home,
    running: [Mutex<Option<Daemon>>; DAEMONS],
    addresses: RwLock<Vec<SocketAddr>>,
    token: String,
}

impl Daemons {
    fn start(home: Home) -> Self {
        let running: Vec<Daemon> = (0..DAEMONS).map(|_| home.clone().start()).collect();
        let addresses = RwLock::new(running.iter().map(|daemon| daemon.address).collect());
        let running = running.into_iter().map(|daemon| Mutex::new(Some(daemon))).collect::<Vec<_>>();
        let running = running.try_into().unwrap_or_else(|_| panic!("{DAEMONS} daemons"));
        Self { token: home.token(), home, running, addresses }
    }

    fn client(&self, index: usize) -> Client {
        let address = self.addresses.read().unwrap_or_else(PoisonError::into_inner)[index];
        Client::new(address, Some(self.token.clone()))
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

/// What a producer knows of the events that were acknowledged, by their ids.
type Acknowledged = BTreeMap<String, String>;

/// Posts events of calls of its own, each to any of the daemons, until it is accepted.
fn produce(daemons: &Daemons, producer: usize, left: &AtomicUsize, seed: u64) -> (Acknowledged, usize) {
    let (mut random, mut acknowledged, mut refused) = (Random::new(seed + producer as u64), Acknowledged::new(), 0);
    for number in 0.. {
        if left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_err() {
            return (acknowledged, refused);
        }
        let call = format!("{producer}-{}", random.below(40));
        let id = format!("{producer}-{number}");
        let posted = with(numbered(&call, number), "id", id.as_str()).to_string();
        let headers = [("content-type", "application/json")];
        loop {
            let client = daemons.client(random.below(DAEMONS));
            match client.try_request("POST", "/v1/events", &headers, posted.as_bytes()) {
                Ok(reply) if reply.status == 202 => {
                    acknowledged.insert(id, reply.json()["id"].as_str().expect("an id").to_owned());
                    break;
                }
                Ok(reply) => assert!(matches!(reply.status, 429 | 503), "{reply:?}"),
                Err(_) => {}
            }
            refused += 1;
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    unreachable!("it returns once nothing is left")
}

/// Lets faults happen until all is posted.
fn disturb(daemons: &Daemons, cluster: &Cluster, seed: u64, done: &AtomicBool) -> Vec<String> {
    let (mut random, mut happened) = (Random::new(seed), Vec::new());
    let connect = || postgres::Client::connect(&cluster.url(), postgres::NoTls).ok();
    // Each kind at least once.
    while !done.load(Ordering::Relaxed) || happened.len() < FAULTS.len() {
        let kind = FAULTS.get(happened.len()).copied().unwrap_or_else(|| FAULTS[random.below(FAULTS.len())]);
        let victim = random.below(DAEMONS);
        happened.push(format!("{kind:?} {victim}"));
        match kind {
            Fault::Kill => daemons.replace(victim, |daemon| drop(daemon.kill())),
            Fault::Restart => daemons.replace(victim, |daemon| drop(daemon.stop().1.expect(0))),
            Fault::Freeze => {
                daemons.signal(victim, "STOP");
                std::thread::sleep(FROZEN);
                daemons.signal(victim, "CONT");
            }
            Fault::CutOff => {
                // Whichever it hits: connections of several daemons, of writers, readers and leases.
                let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'hookswitch' \
                           AND pid % 2 = 0";
                until("connections are cut", || connect()?.execute(cut, &[]).ok());
            }
            Fault::CrashServer => {
                crash(cluster);
                until("the server is back", connect);
            }
        }
        std::thread::sleep(PAUSE);
    }
    happened
}

/// Waits until nothing is waiting any more, as long as it becomes less.
fn wait_until_delivered(daemons: &Daemons, receiver: &Receiver) {
    let waiting = || {
        let queue = daemons.client(0).get("/v1/stats").expect(200).json()["queue"].clone();
        ["pending", "retrying"].map(|state| queue[state].as_u64().expect("a count")).iter().sum::<u64>()
    };
    let mut left = waiting();
    while left > 0 {
        left = wait::eventually("less is waiting", || {
            let now = waiting();
            if now < left { Ok(now) } else { Err(format!("{now} of {left}: {:#?}", stuck(daemons, receiver))) }
        });
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

#[test]
fn faults_of_daemons_and_server_lose_nothing_and_keep_the_order() {
    let Some(cluster) = cluster() else { return };
    let events = from_environment("HOOKSWITCH_CHAOS_EVENTS", 1_500);
    let seed = from_environment("HOOKSWITCH_CHAOS_SEED", 7) as u64;
    let daemons = Daemons::start(home(&cluster, "hooks").set("ordering.hold", "\"1h\""));
    // One in twenty fails.
    let receiver = Receiver::start(move |request| {
        let fails = Random::new(seed ^ request.nth as u64).once_in(20);
        Answer::status(if fails { 503 } else { 200 })
    });
    let subscribe = |number: usize| {
        let body = json!({"company": "acme", "url": receiver.url(&format!("/hook/{number}")), "events": ["*"]});
        daemons.client(number % DAEMONS).post("/v1/subscriptions", &body).expect(201);
    };
    (0..WEBHOOKS).for_each(subscribe);
    let (left, done) = (AtomicUsize::new(events), AtomicBool::new(false));
    let (posted, happened) = std::thread::scope(|scope| {
        let (daemons, left) = (&daemons, &left);
        let producers: Vec<_> =
            (0..PRODUCERS).map(|producer| scope.spawn(move || produce(daemons, producer, left, seed))).collect();
        let disturbing = scope.spawn(|| disturb(daemons, &cluster, seed, &done));
        let posted: Vec<_> = producers.into_iter().map(|producer| producer.join().expect("a producer")).collect();
        done.store(true, Ordering::Relaxed);
        (posted, disturbing.join().expect("the faults"))
    });
    let acknowledged: BTreeSet<&String> = posted.iter().flat_map(|(acknowledged, _)| acknowledged.values()).collect();
    assert_eq!(acknowledged.len(), events, "an id is one event; {happened:?}");
    wait_until_delivered(&daemons, &receiver);
    let arrived = receiver.requests();
    let mut repeated = 0;
    for number in 0..WEBHOOKS {
        let path = format!("/hook/{number}");
        let (mut first, mut last): (BTreeMap<&str, u64>, BTreeMap<String, u64>) = (BTreeMap::new(), BTreeMap::new());
        for request in arrived.iter().filter(|request| request.path == path) {
            if let Some(sequence) = first.insert(request.webhook_id(), request.sequence()) {
                assert_eq!(sequence, request.sequence(), "an event has one number");
                repeated += usize::from(request.attempt() == 1);
                continue;
            }
            let before = last.insert(request.call(), request.sequence()).unwrap_or(0);
            let (call, sequence) = (request.call(), request.sequence());
            assert!(before < sequence, "{path} {call}: {sequence} first arrived after {before}; {happened:?}");
        }
        let ids: BTreeSet<String> = first.keys().map(|id| (*id).to_owned()).collect();
        assert!(ids.iter().eq(acknowledged.iter().copied()), "what was acknowledged, and no other; {happened:?}");
        let sequences: BTreeSet<u64> = first.into_values().collect();
        assert!(sequences.into_iter().eq(1..=events as u64), "numbers without a gap; {happened:?}");
    }
    let calls: BTreeSet<String> = arrived.iter().map(|request| request.call()).collect();
    let report = daemons.client(1).get("/v1/report/calls?company=acme").expect(200).json();
    let totals = &report["totals"];
    assert_eq!((&totals["calls"], &totals["events"]["call.claimed"]), (&json!(calls.len()), &json!(calls.len())));
    let refused: usize = posted.iter().map(|(_, refused)| refused).sum();
    assert!(refused > 0, "no fault was noticed");
    // Shown with --nocapture, for the long run.
    println!(
        "{} faults ({}); {refused} posts refused; {repeated} deliveries repeated",
        happened.len(),
        happened.join(", ")
    );
}
