//! A real load on the real daemon, with every relevant system call recorded.
//!
//! Three lives on one directory: the first start, ended by kill -9 under load; a second start, ended in order under
//! load; and a third, in which all outstanding deliveries are sent.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::Client;
use crate::daemon::{Daemon, Home, contents};
use crate::disk::{Discount, Disk};
use crate::past::{Past, Receipt, Witness};
use crate::platform::{numbered, with};
use crate::random::Random;
use crate::receiver::{Answer, Received, Receiver};
use crate::trace::{TRACED, Trace};
use crate::wait::{PATIENCE, eventually, in_time};

/// Number of posting threads.
const POSTERS: usize = 3;
/// Number of calls whose events each thread posts.
const CALLS: usize = 6;
/// Pause of each poster after each post, so that the load stays small and lasts for several checkpoints.
const PACE: Duration = Duration::from_millis(80);

/// The life of one process.
pub(crate) struct Life {
    pub(crate) trace: Trace,
    /// The content of the data directory afterwards.
    pub(crate) seen: BTreeMap<PathBuf, Vec<u8>>,
}

/// The operations on a directory, and what was observed from outside meanwhile.
pub(crate) struct Story {
    /// The initial content, all of it durable.
    pub(crate) base: TempDir,
    /// Where it was recorded.
    pub(crate) root: PathBuf,
    /// What had been observed before.
    pub(crate) past: Past,
    pub(crate) lives: Vec<Life>,
    /// Requests received by the receivers.
    pub(crate) receipts: Vec<Arc<Receipt>>,
    /// The suffix of file names whose creation most cuts should be near.
    pub(crate) focus: Option<&'static str>,
}

impl Story {
    /// The initial disk.
    pub(crate) fn disk(&self, discount: Discount) -> Disk {
        Disk::found(self.base.path(), &self.root, discount)
    }
}

/// A story with its participants, who take part in the replays too: the receiver keeps its port.
pub(crate) struct Recording {
    pub(crate) name: String,
    pub(crate) story: Story,
    pub(crate) receiver: Receiver,
    pub(crate) cast: Cast,
}

/// Which deliveries are expected where.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cast {
    /// Paths at the receiver, by subscription id.
    pub(crate) paths: BTreeMap<String, String>,
    /// Those that receive every event.
    pub(crate) always: Vec<&'static str>,
    /// The one that is deleted during the recording.
    pub(crate) doomed: Option<String>,
    /// Producer ids of the events that were answered.
    pub(crate) producers: HashMap<String, String>,
    /// Signing secrets by subscription id, if they must not change.
    pub(crate) secrets: BTreeMap<String, String>,
    /// The key file with which images are opened.
    pub(crate) key_file: Option<PathBuf>,
}

/// Where images and recordings are kept: in memory if possible.
pub(crate) fn workshop() -> PathBuf {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() && tempfile::tempdir_in(memory).is_ok() { memory.to_owned() } else { std::env::temp_dir() }
}

/// A home with quick retries, so that a replay is quick.
pub(crate) fn home() -> Home {
    Home::within(&workshop()).set("senders.threads", "8").set("retry.initial_delay", "\"20ms\"")
}

/// The command that runs `command` under strace. Its process is the daemon; strace is detached.
pub(crate) fn traced(command: &Command, file: &Path) -> Command {
    let mut strace = Command::new("strace");
    strace.args(["-D", "-f", "-q", "--seccomp-bpf", "-xx", "-s", "67108864", "-o"]).arg(file);
    // In memory a sync takes no time: delay it as on a disk, so that kills and other threads come in between.
    strace.arg("-einject=fsync,fdatasync:delay_enter=2000");
    strace.arg(format!("-etrace={TRACED}")).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => strace.env(name, value),
            None => strace.env_remove(name),
        };
    }
    strace
}

/// Reads a trace once strace has written all of it, which is after the process ends.
pub(crate) fn finished(file: &Path) -> Trace {
    let whole = |text: &str| {
        let process = text.split(' ').next().unwrap_or_default().to_owned();
        let last = text.lines().next_back().unwrap_or_default();
        last.starts_with(&format!("{process} ")) && last.contains("+++ ")
    };
    let text = eventually("strace to end", || {
        let text = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
        if whole(&text) { Ok(text) } else { Err(format!("{} bytes", text.len())) }
    });
    std::fs::remove_file(file).expect("the trace's file");
    Trace::parse(&text).unwrap_or_else(|error| panic!("{error}"))
}

/// Every seventh event fails once at `/failing`.
pub(crate) fn answer(request: &Received) -> Answer {
    let n = request.json()["data"]["n"].as_u64().unwrap_or_default();
    let fails = request.path == "/failing" && n % 7 == 3 && request.attempt() == 1;
    Answer::status(if fails { 503 } else { 200 })
}

/// State shared by posters for one life of the daemon.
#[derive(Default)]
pub(crate) struct Shift {
    pub(crate) stop: AtomicBool,
    /// Number of events answered.
    pub(crate) answered: AtomicUsize,
}

/// Posts the events of some calls, each call's in order.
pub(crate) struct Poster {
    number: usize,
    random: Random,
    /// Pause after each post.
    pace: Duration,
    /// Number of events of each call that were answered.
    answered: [usize; CALLS],
    /// Producer ids by the ids of the answered events.
    pub(crate) producers: HashMap<String, String>,
}

/// The event of this id, `NAME/N`: mostly small, sometimes of several pages. Identical at every post, because
/// different content would be refused.
pub(crate) fn posted_as(producer: &str) -> Value {
    let (name, n) = producer.split_once('/').expect("NAME/N");
    let n: usize = n.parse().expect("a number");
    let mut random = Random::new(producer.bytes().fold(n as u64, |seed, byte| seed.wrapping_mul(31) ^ u64::from(byte)));
    let length = match random.below(40) {
        0 => 20_000 + random.below(20_000),
        1..=5 => 2_000 + random.below(6_000),
        _ => random.below(300),
    };
    let mut event = with(numbered(name, n), "id", producer);
    event["data"]["notes"] = json!("x".repeat(length));
    event
}

impl Poster {
    pub(crate) fn new(number: usize, seed: u64, pace: Duration) -> Self {
        let random = Random::new(seed.wrapping_mul(31).wrapping_add(number as u64));
        Self { number, random, pace, answered: [0; CALLS], producers: HashMap::new() }
    }

    /// Posts until told to stop, or the daemon is gone. What was not answered is posted again in the next life.
    pub(crate) fn run(&mut self, address: SocketAddr, token: String, shift: &Shift) {
        let client = Client::new(address, Some(token));
        while !shift.stop.load(Ordering::Relaxed) {
            let call = self.random.below(CALLS);
            let count = if self.random.once_in(12) { 5 + self.random.below(25) } else { 1 };
            let first = self.answered[call];
            let name = format!("call-{}-{call}", self.number);
            let events: Vec<Value> = (first..first + count).map(|n| posted_as(&format!("{name}/{n}"))).collect();
            let body: Vec<String> = events.iter().map(Value::to_string).collect();
            let kind = if count > 1 { "application/x-ndjson" } else { "application/json" };
            let posted =
                client.try_request("POST", "/v1/events", &[("content-type", kind)], body.join("\n").as_bytes());
            let Ok(reply) = posted else { return };
            if reply.status != 202 {
                return;
            }
            let reply = reply.json();
            let ids = reply["events"].as_array().cloned().unwrap_or_else(|| vec![reply.clone()]);
            assert_eq!(ids.len(), count, "{reply}");
            for (event, answered) in events.iter().zip(&ids) {
                let (id, producer) =
                    (answered["id"].as_str().unwrap_or_default(), event["id"].as_str().unwrap_or_default());
                self.producers.insert(id.to_owned(), producer.to_owned());
            }
            self.answered[call] += count;
            shift.answered.fetch_add(count, Ordering::Relaxed);
            std::thread::sleep(self.pace);
        }
    }
}

/// How a life ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Killed,
    Stopped,
    Drained,
}

/// Makes a recording. The posts depend on the seed only; their interleaving does not.
pub(crate) fn record(name: &str, seed: u64) -> Recording {
    let workshop = workshop();
    let base = tempfile::tempdir_in(&workshop).expect("a temporary directory");
    let home = home();
    let receiver = Receiver::start(answer);
    let mut cast = Cast { always: vec!["/ok", "/failing", "/free"], ..Cast::default() };
    let mut posters: Vec<Poster> = (0..POSTERS).map(|number| Poster::new(number, seed, PACE)).collect();
    let mut lives = Vec::new();
    for (number, end) in [End::Killed, End::Stopped, End::Drained].into_iter().enumerate() {
        let file = home.beside("strace");
        let daemon = home.try_start(|command| traced(&command, &file)).unwrap_or_else(|why| panic!("{why}"));
        if number == 0 {
            for (path, settings) in [
                ("/ok", json!({})),
                ("/failing", json!({})),
                ("/free", json!({"ordering": "none"})),
                ("/doomed", json!({"description": "is deleted"})),
            ] {
                let created = daemon.subscribe(&receiver.url(path), settings);
                cast.paths.insert(created.id, path.to_owned());
            }
        }
        load(daemon, &mut posters, end, |daemon| {
            if number == 0 {
                change_subscriptions(daemon, &receiver, &mut cast);
            }
        });
        lives.push(Life { trace: finished(&file), seen: contents(&home.data()) });
    }
    cast.producers = posters.into_iter().flat_map(|poster| poster.producers).collect();
    let receipts = Receipt::all(&receiver.begin_anew());
    let root = home.data().parent().expect("a directory").to_owned();
    let story = Story { base, root, past: Past::default(), lives, receipts, focus: None };
    let recording = Recording { name: name.to_owned(), story, receiver, cast };
    recording.check();
    recording
}

/// Half-way: one subscription is deleted, another created, a third changed.
fn change_subscriptions(daemon: &Daemon, receiver: &Receiver, cast: &mut Cast) {
    let doomed = cast.paths.iter().find(|(_, path)| *path == "/doomed").map(|(id, _)| id.clone());
    let doomed = doomed.expect("it was created");
    daemon.api().delete(&format!("/v1/subscriptions/{doomed}")).expect(204);
    cast.doomed = Some(doomed);
    let late = daemon.subscribe(&receiver.url("/late"), json!({"description": "y".repeat(400)}));
    daemon.api().post(&format!("{}/rotate-secret", late.path()), &json!({})).expect_success();
    cast.paths.insert(late.id, "/late".to_owned());
}

/// Posts through several checkpoints, with `halfway` in between, and ends the daemon.
fn load(daemon: Daemon, posters: &mut [Poster], end: End, halfway: impl FnOnce(&Daemon)) {
    let shift = Shift::default();
    let token = daemon.home().token();
    std::thread::scope(|scope| {
        let threads: Vec<_> = posters
            .iter_mut()
            .map(|poster| {
                let (shift, token, address) = (&shift, token.clone(), daemon.address);
                scope.spawn(move || poster.run(address, token, shift))
            })
            .collect();
        wait_for_checkpoints(&daemon.home().data());
        halfway(&daemon);
        wait_for_checkpoints(&daemon.home().data());
        match end {
            End::Killed => {
                wait_for_a_write(&daemon.home().data());
                daemon.kill();
            }
            End::Stopped => drop(daemon.stop().1.expect(0)),
            End::Drained => {
                shift.stop.store(true, Ordering::Relaxed);
                threads.into_iter().for_each(|thread| thread.join().expect("a poster that did not fail"));
                drained(daemon.api()).unwrap_or_else(|late| panic!("{late}"));
                drop(daemon.stop().1.expect(0));
            }
        }
        shift.stop.store(true, Ordering::Relaxed);
    });
}

/// Posts until `come` holds for the number of answered posts, and ends the daemon: by a kill, or in order once
/// nothing is outstanding.
pub(crate) fn post_until(
    daemon: Daemon,
    posters: &mut [Poster],
    killed: bool,
    what: &str,
    come: impl Fn(usize) -> bool,
) {
    let (shift, token) = (Shift::default(), daemon.home().token());
    std::thread::scope(|scope| {
        for poster in posters {
            let (shift, token, address) = (&shift, token.clone(), daemon.address);
            scope.spawn(move || poster.run(address, token, shift));
        }
        at_once(what, || come(shift.answered.load(Ordering::Relaxed)));
        if killed {
            daemon.kill();
            shift.stop.store(true, Ordering::Relaxed);
        } else {
            shift.stop.store(true, Ordering::Relaxed);
            drained(daemon.api()).unwrap_or_else(|late| panic!("{late}"));
            daemon.stop().1.expect(0);
        }
    });
}

/// Waits until the state's database has been written twice.
fn wait_for_checkpoints(data: &Path) {
    let changed = || -> Option<SystemTime> { std::fs::metadata(data.join("state/db")).ok()?.modified().ok() };
    let mut before = changed();
    for _ in 0..2 {
        before = eventually("a checkpoint", || {
            let now = changed();
            if now == before { Err("none".to_owned()) } else { Ok(now) }
        });
    }
}

/// Waits for a write to the journal, usually just before its sync.
fn wait_for_a_write(data: &Path) {
    // Not by its length: space is preallocated.
    let written = || std::fs::metadata(data.join("journal/000001.log")).and_then(|file| file.modified()).ok();
    let before = written();
    at_once("a write to the journal", || written() != before);
}

/// Busy-waits, to react at once.
fn at_once(what: &str, come: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !come() {
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} for {what}");
        std::hint::spin_loop();
    }
}

/// Waits until nothing is outstanding.
pub(crate) fn drained(api: &Client) -> Result<(), String> {
    in_time("nothing to be owed", || {
        let reply = api.try_request("GET", "/v1/stats", &[], b"").map_err(|error| error.to_string())?;
        let queue = reply.json()["queue"].clone();
        let owed = ["pending", "retrying", "failed"].iter().any(|state| queue[state] != 0);
        if owed { Err(reply.text()) } else { Ok(()) }
    })
}

impl Recording {
    /// Verifies the recording: every answer and every request is in the trace, everything arrived, and the model ends
    /// with the actual content.
    pub(crate) fn check(&self) {
        let story = &self.story;
        let mut disk = story.disk(Discount::Nothing);
        let mut witness = Witness::new(story.past.clone(), &story.receipts);
        for life in &story.lives {
            for moment in &life.trace.moments {
                disk.step(&life.trace, *moment);
                witness.step(&life.trace, *moment);
            }
            disk.process_ended(&life.trace, &life.seen).unwrap_or_else(|error| panic!("{error}"));
        }
        assert_eq!(witness.unexplained(), 0, "requests came to the receiver that the trace does not show");
        let past = witness.seen();
        let accepted: BTreeSet<&str> = past.accepted.iter().map(|(id, _)| id.as_str()).collect();
        let missing = self.cast.producers.keys().filter(|id| !accepted.contains(id.as_str())).count();
        assert_eq!(missing, 0, "answers came that the trace does not show");
        assert!(accepted.len() > 20, "only {} events were posted", accepted.len());
        assert!(past.deletions <= 1 && past.created.len() == self.cast.paths.len(), "{:?}", past.created);
        let taken: BTreeSet<(&str, &str)> =
            past.receipts.iter().filter(|r| r.is_taken()).map(|r| (r.event.as_str(), r.path.as_str())).collect();
        for event in accepted {
            for path in &self.cast.always {
                assert!(taken.contains(&(event, path)), "{event} did not come to {path}");
            }
        }
    }
}
