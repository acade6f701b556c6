//! Accepted means on disk: the daemon is killed with SIGKILL while it accepts and delivers, and restarted on the same
//! directory.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::client::Client;
use crate::daemon::{Daemon, Home};
use crate::platform::{numbered, with};
use crate::receiver::{Answer, Received, Receiver};
use crate::wait::{PATIENCE, Watched};

const CALLS: usize = 50;
const EVENTS: usize = 1_000;
const POSTERS: usize = 4;
/// The daemon is killed when this many events have been answered 202.
const KILLED_AT: [usize; 2] = [300, 650];

/// The daemon's address; `None` while it is down. The number counts its lives.
type Whereabouts = Watched<(usize, Option<SocketAddr>)>;

/// State shared by the posting threads, and their results.
struct Platform {
    daemon: Whereabouts,
    token: String,
    accepted: Watched<BTreeMap<String, String>>,
    lost_answers: AtomicUsize,
}

/// The producer id of the `n`th event of a call.
fn producer_id(call: usize, n: usize) -> String {
    format!("call-{call}/{n}")
}

fn numbered_with_id(call: usize, n: usize) -> Value {
    with(numbered(&format!("call-{call}"), n), "id", producer_id(call, n))
}

impl Platform {
    /// Posts the events of some calls, each call's in order. Continues with the daemon's next life if an answer was
    /// lost.
    fn post(&self, poster: usize) {
        let mut life = 0;
        let mut client = None;
        for n in 0..EVENTS / CALLS {
            for call in (poster..CALLS).step_by(POSTERS) {
                let event = numbered_with_id(call, n).to_string();
                loop {
                    let connected = client.get_or_insert_with(|| self.next_life(&mut life));
                    let headers = [("content-type", "application/json")];
                    match connected.try_request("POST", "/v1/events", &headers, event.as_bytes()) {
                        Ok(reply) => {
                            let id = reply.expect(202).json()["id"].as_str().unwrap_or_default().to_owned();
                            self.accepted.change(|accepted| accepted.insert(producer_id(call, n), id));
                            break;
                        }
                        Err(_) => {
                            self.lost_answers.fetch_add(1, Ordering::Relaxed);
                            client = None;
                        }
                    }
                }
            }
        }
    }

    /// A client of a life of the daemon later than `life`.
    fn next_life(&self, life: &mut usize) -> Client {
        let found = self.daemon.wait(PATIENCE, |(now, address)| address.filter(|_| now > life).map(|a| (*now, a)));
        let (now, address) = found.expect("the daemon was to be started again");
        *life = now;
        Client::new(address, Some(self.token.clone()))
    }

    /// Kills the daemon each time enough is accepted, and restarts it.
    fn kill_and_restart(&self, mut daemon: Daemon) -> Daemon {
        for enough in KILLED_AT {
            let reached = self.accepted.wait(PATIENCE * 2, |accepted| (accepted.len() >= enough).then_some(()));
            assert!(reached.is_some(), "{enough} events were to be accepted by now");
            self.daemon.change(|daemon| daemon.1 = None);
            daemon = daemon.kill().start();
            self.daemon.change(|whereabouts| *whereabouts = (whereabouts.0 + 1, Some(daemon.address)));
        }
        daemon
    }
}

/// Fails the first attempt of every seventh event, so that there is always something to hold back and retry.
fn now_and_then_failing(request: &Received) -> Answer {
    let n = request.json()["data"]["n"].as_u64().unwrap_or_default();
    let fails = n % 7 == 3 && request.attempt() == 1;
    Answer::status(if fails { 503 } else { 200 })
}

#[test]
fn nothing_answered_202_is_lost_by_kill_9_and_the_order_of_each_call_holds() {
    let daemon = Home::new().start();
    let receiver = Receiver::start(now_and_then_failing);
    let subscription = daemon.subscribe(&receiver.url("/"), json!({"max_in_flight": 16}));
    let platform = Platform {
        daemon: Watched::new((1, Some(daemon.address))),
        token: daemon.home().token(),
        accepted: Watched::new(BTreeMap::new()),
        lost_answers: AtomicUsize::new(0),
    };
    let daemon = std::thread::scope(|scope| {
        let posters: Vec<_> = (0..POSTERS)
            .map(|poster| {
                scope.spawn({
                    let platform = &platform;
                    move || platform.post(poster)
                })
            })
            .collect();
        let daemon = platform.kill_and_restart(daemon);
        for poster in posters {
            poster.join().expect("a posting thread that did not fail");
        }
        daemon
    });
    assert!(platform.lost_answers.load(Ordering::Relaxed) > 0, "the kills were to hit threads that post");
    let accepted = platform.accepted.look(Clone::clone);
    assert_eq!(accepted.len(), EVENTS);
    let wanted: BTreeSet<&str> = accepted.values().map(String::as_str).collect();
    assert_eq!(wanted.len(), EVENTS, "two events were answered with one id");
    let requests = receiver.wait_until("every accepted event", |requests| all_arrived(requests, wanted.len()));
    check_what_arrived(&requests, &wanted, &subscription.secret);
    check_idempotency(&daemon, &accepted, &receiver);
}

/// Whether `count` distinct events have been accepted.
fn all_arrived(requests: &[Arc<Received>], count: usize) -> bool {
    let taken = requests.iter().filter(|request| request.answered() == Some(200));
    requests.len() >= count && taken.map(|request| request.webhook_id()).collect::<BTreeSet<_>>().len() >= count
}

fn check_what_arrived(requests: &[Arc<Received>], wanted: &BTreeSet<&str>, secret: &str) {
    let mut seen = BTreeSet::new();
    let mut sequences = BTreeSet::new();
    let mut next: BTreeMap<String, u64> = BTreeMap::new();
    for request in requests.iter().filter(|request| request.answered() == Some(200)) {
        assert!(request.is_signed_with(secret), "signature of {request:?}");
        if !seen.insert(request.webhook_id()) {
            continue;
        }
        sequences.insert(request.sequence());
        let next = next.entry(request.call()).or_default();
        assert_eq!(request.json()["data"]["n"], *next, "out of order in its call: {request:?}");
        *next += 1;
    }
    assert_eq!(&seen, wanted, "what arrived differs from what was answered 202");
    let contiguous: BTreeSet<u64> = (1..=EVENTS as u64).collect();
    assert_eq!(sequences, contiguous, "the sequence numbers are not contiguous");
}

/// Reposting accepted events, also from before the kills, stores nothing.
fn check_idempotency(daemon: &Daemon, accepted: &BTreeMap<String, String>, receiver: &Receiver) {
    for (call, n) in [(0, 0), (1, 1), (2, 5), (49, 19)] {
        let again = daemon.accept(&numbered_with_id(call, n));
        let id = &accepted[&producer_id(call, n)];
        assert_eq!((&again["id"], &again["duplicate"]), (&json!(id), &json!(true)), "{again}");
    }
    // If one of them became outstanding again, it would arrive before a new event of its call.
    let mark = daemon.accept(&numbered("call-0", EVENTS))["id"].as_str().unwrap_or_default().to_owned();
    let arrived = |requests: &[Arc<Received>]| requests.iter().any(|request| request.webhook_id() == mark);
    let requests = receiver.wait_until("the event after the repeats", arrived);
    let sequence = requests.iter().find(|request| request.webhook_id() == mark).map(|request| request.sequence());
    assert_eq!(sequence, Some(EVENTS as u64 + 1), "a repeat was given a sequence number");
}

#[test]
fn the_idempotency_key_header_and_the_member_id_are_one_thing() {
    let daemon = Daemon::start();
    let event = crate::platform::event("call.new", "c1").to_string();
    let post = |key: &str| {
        let headers = [("content-type", "application/json"), ("idempotency-key", key)];
        daemon.api().request("POST", "/v1/events", &headers, event.as_bytes()).expect(202).json()
    };
    let first = post("order-1");
    assert_eq!(first["duplicate"], false, "{first}");
    let other = post("order-2");
    assert_eq!(other["duplicate"], false, "{other}");
    let again = daemon.accept(&with(crate::platform::event("call.new", "c1"), "id", "order-1"));
    assert_eq!((&again["id"], &again["duplicate"]), (&first["id"], &json!(true)), "{again}");
    // Producer ids are per company.
    let elsewhere = with(with(crate::platform::event("call.new", "c1"), "id", "order-1"), "company", "globex");
    assert_eq!(daemon.accept(&elsewhere)["duplicate"], false);
    assert_eq!(daemon.list("/v1/events").len(), 3);
}
