//! kill -9, repeatedly on one directory, under load: while working, and while starting.
//!
//! Only deliveries that a receiver accepted and that are not in the log may be repeated: attempts in flight, and
//! those waiting for the writer. The log itself is a witness: no delivery has two entries 'delivered'.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::json;

use crate::daemon::{Daemon, Home};
use crate::past::Receipt;
use crate::random::Random;
use crate::receiver::{Answer, Received, Receiver};
use crate::recording::{Poster, Shift, drained, home};
use crate::replay::{check_log, check_order, check_sequences};
use crate::wait::in_time;
use crate::{say, setting};

const POSTERS: usize = 4;
/// The number of sender threads set by [`home`].
const THREADS: usize = 8;
/// The daemon starts no more while this many attempts per thread wait for the writer.
const UNRECORDED_PER_THREAD: usize = 64;

/// Every seventh event fails once.
fn answer(request: &Received) -> Answer {
    let n = request.json()["data"]["n"].as_u64().unwrap_or_default();
    Answer::status(if n % 7 == 3 && request.attempt() == 1 { 503 } else { 200 })
}

/// One life under load, killed once `enough` events have been answered.
fn one_life(daemon: Daemon, posters: &mut [Poster], enough: usize) {
    let (shift, token) = (Shift::default(), daemon.home().token());
    std::thread::scope(|scope| {
        for poster in posters {
            let (shift, token, address) = (&shift, token.clone(), daemon.address);
            scope.spawn(move || poster.run(address, token, shift));
        }
        let reached = in_time("posts to be answered", || {
            let answered = shift.answered.load(Ordering::Relaxed);
            if answered >= enough { Ok(()) } else { Err(format!("{answered} of {enough}")) }
        });
        daemon.kill();
        shift.stop.store(true, Ordering::Relaxed);
        reached.unwrap_or_else(|late| panic!("{late}"));
    });
}

/// Repeated deliveries after each kill.
#[derive(Default)]
struct Repeats {
    /// Accepted deliveries.
    taken: HashSet<String>,
    /// Number of requests examined.
    seen: usize,
    all: usize,
    most: usize,
}

impl Repeats {
    /// Examines new requests.
    fn look(&mut self, receiver: &Receiver) {
        let requests = receiver.requests();
        let mut now = 0;
        for request in requests[self.seen..].iter().filter(|request| request.answered() == Some(200)) {
            now += usize::from(!self.taken.insert(request.delivery().to_owned()));
        }
        self.seen = requests.len();
        self.all += now;
        self.most = self.most.max(now);
    }
}

#[test]
fn nothing_answered_202_is_lost_by_kills_and_the_log_tells_the_truth() {
    let kills = setting("HOOKSWITCH_KILLS", 5);
    let seed = setting("HOOKSWITCH_POWERCUT_SEED", 1);
    let mut random = Random::new(seed);
    let home: Home = home();
    let receiver = Receiver::start(answer);
    let mut posters: Vec<_> = (0..POSTERS).map(|number| Poster::new(number, seed, Duration::ZERO)).collect();
    let mut repeats = Repeats::default();
    let first = home.start();
    first.subscribe(&receiver.url("/ok"), json!({}));
    first.subscribe(&receiver.url("/free"), json!({"ordering": "none"}));
    first.kill();
    let mut while_starting = 0;
    for _ in 0..kills {
        if random.once_in(5) {
            while_starting += 1;
            home.start_and_kill(Duration::from_micros(random.below(120_000) as u64));
        } else {
            one_life(home.start(), &mut posters, 1 + random.below(60));
        }
        repeats.look(&receiver);
    }
    let daemon = home.start();
    drained(daemon.api()).unwrap_or_else(|late| panic!("{late}"));
    repeats.look(&receiver);
    let receipts = Receipt::all(&receiver.requests());
    let mut taken: BTreeMap<&str, HashSet<&str>> = BTreeMap::new();
    for receipt in receipts.iter().filter(|receipt| receipt.is_taken()) {
        taken.entry(&receipt.event).or_default().insert(&receipt.path);
    }
    let accepted: Vec<&String> = posters.iter().flat_map(|poster| poster.producers.keys()).collect();
    let figures = format!(
        "kills: {kills} ({while_starting} of them while starting); {} events answered 202; repeats: {} in all, at most {} \
         after one kill",
        accepted.len(),
        repeats.all,
        repeats.most
    );
    say(&figures);
    for event in accepted {
        let paths = taken.get(event.as_str()).map_or(0, HashSet::len);
        assert_eq!(paths, 2, "{event} was answered 202 and came to {paths} of 2 receivers; {figures}");
    }
    let checked = check_order(&receipts).and_then(|()| check_sequences(&receipts));
    let checked = checked.and_then(|()| check_log(&daemon, &receipts, receipts.len()));
    checked.unwrap_or_else(|fault| panic!("{fault}; {figures}"));
    assert!(repeats.most <= THREADS * (1 + UNRECORDED_PER_THREAD), "{figures}");
}
