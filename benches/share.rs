//! Whether failing receivers slow down healthy ones. The daemon has its default configuration.
//!
//! 20 healthy receivers, each of which gets all of 50 events a second. Beside them, in turn:
//! - 20 that accept a connection and never answer, which get the same events;
//! - 1,000 of that kind, which get one event a second;
//! - 200 of that kind, 50 that answer after 10 s and 50 that refuse, which all get one event a second.
//!
//! Measured is the time from the 202 to the arrival at each healthy receiver:
//! - alone: the healthy receivers only;
//! - with the others, from the first event on, when all receivers are unknown;
//! - with the others, once they are known;
//! - alone, from the first event after a kill and a restart, with a backlog of 200 events for each: new events wait
//!   for those posted before;
//! - with the others, the same, with a backlog for all.
//!
//! `cargo bench --bench share`; `HOOKSWITCH_BENCH_SECONDS` (60) is the duration of each, `HOOKSWITCH_BENCH_HANGING`
//! (e.g. 1000) selects one of them.

mod load;

use std::thread;
use std::time::{Duration, Instant};

use load::bad::{Bad, nobody};
use load::client::Connection;
use load::daemon::Daemon;
use load::figures::{Sample, millis, print_table};
use load::receiver::{Manner, Receiver};
use load::{COMPANY, Outcome, event_of};

/// The company whose events the others get.
const OTHERS: &str = "others";
const HEALTHY: usize = 20;
/// Events per second for the healthy ones.
const STEADY: u32 = 50;
/// Events waiting for all when the daemon is killed.
const BACKLOG: usize = 200;
/// Time without arrivals after which the bench gives up.
const PATIENCE: Duration = Duration::from_secs(120);

/// The receivers beside the healthy ones.
#[derive(Clone, Copy)]
struct Others {
    hanging: usize,
    slow: usize,
    refusing: usize,
    /// Whether they get the same events as the healthy ones; one event a second otherwise.
    same: bool,
}

const OTHERS_IN_TURN: [Others; 3] = [
    Others { hanging: 20, slow: 0, refusing: 0, same: true },
    Others { hanging: 1_000, slow: 0, refusing: 0, same: false },
    Others { hanging: 200, slow: 50, refusing: 50, same: false },
];

/// A measured period.
struct Stretch {
    sample: Sample,
    /// The maximum time from a 202 to the arrival.
    worst: Duration,
    /// How many of those latencies exceed 100 ms.
    late: usize,
    /// The same figures per ten seconds.
    parts: Vec<Sample>,
}

fn main() -> Outcome<()> {
    let short = !std::env::args().any(|argument| argument == "--bench");
    let seconds = std::env::var("HOOKSWITCH_BENCH_SECONDS").ok().and_then(|text| text.parse().ok());
    let seconds: u64 = seconds.unwrap_or(if short { 1 } else { 60 });
    let count = seconds as usize * STEADY as usize;

    let chosen = std::env::var("HOOKSWITCH_BENCH_HANGING").ok().and_then(|text| text.parse().ok());
    let alone = alone(count)?;
    for others in OTHERS_IN_TURN.iter().filter(|others| chosen.is_none_or(|chosen: usize| chosen == others.hanging)) {
        beside(*others, seconds, &alone)?;
    }
    Ok(())
}

/// The healthy ones alone: from the first event on, and after a restart.
struct Alone {
    first: Stretch,
    again: Stretch,
}

fn alone(count: usize) -> Outcome<Alone> {
    let healthy = receivers(2 * count + BACKLOG)?;
    let daemon = Daemon::start(&[])?;
    daemon.subscribe_all(&healthy, "http", true)?;
    let first = stretch(&daemon, &healthy, 0..count, false)?;
    backlog(&daemon, count, false)?;
    let (daemon, _) = daemon.restart(&[])?;
    let again = stretch(&daemon, &healthy, count + BACKLOG..2 * count + BACKLOG, false)?;
    Ok(Alone { first, again })
}

fn beside(others: Others, seconds: u64, alone: &Alone) -> Outcome<()> {
    let count = seconds as usize * STEADY as usize;
    let healthy = receivers(3 * count + BACKLOG)?;
    let (hanging, slow) = (Bad::start(None)?, Bad::start(Some(Duration::from_secs(10)))?);
    let addresses = [(hanging.address, others.hanging), (slow.address, others.slow), (nobody()?, others.refusing)];
    let daemon = Daemon::start(&[])?;
    let company = if others.same { COMPANY } else { OTHERS };
    for (address, count) in addresses {
        for number in 0..count {
            daemon.subscribe_for(company, &format!("http://{address}/{number}"), true)?;
        }
    }
    daemon.subscribe_all(&healthy, "http", true)?;
    let apart = !others.same;
    let first = stretch(&daemon, &healthy, 0..count, apart)?;
    let known = stretch(&daemon, &healthy, count..2 * count, apart)?;
    backlog(&daemon, 2 * count, apart)?;
    let killed = Instant::now();
    let (daemon, _) = daemon.restart(&[])?;
    println!("killed with a backlog for all, and listening again after {:.2} s\n", killed.elapsed().as_secs_f64());
    let again = stretch(&daemon, &healthy, 2 * count + BACKLOG..3 * count + BACKLOG, apart)?;
    let stretches = [
        ("alone", &alone.first, &alone.first),
        ("with the others, from the first event", &first, &alone.first),
        ("with the others, known", &known, &alone.first),
        ("alone, after a restart", &alone.again, &alone.again),
        ("with the others, after a restart", &again, &alone.again),
    ];
    print(seconds, others, &stretches);
    Ok(())
}

fn receivers(events: usize) -> Outcome<Vec<Receiver>> {
    Receiver::start_many(HEALTHY, events, &Manner::default())
}

/// Posts `numbers` at fixed intervals, and, in between, one event a second for the others, if they are `apart`.
fn stretch(daemon: &Daemon, healthy: &[Receiver], numbers: std::ops::Range<usize>, apart: bool) -> Outcome<Stretch> {
    let mut connection = Connection::open(daemon.target.address)?;
    let mut post = |company: &str, number: usize| -> Outcome<Instant> {
        let body = event_of(company, number as u64);
        connection.exchange(&daemon.target.request("POST", "/v1/events", "application/json", &body))?.expect(202)?;
        Ok(Instant::now())
    };
    let (start, mut accepted) = (Instant::now(), Vec::new());
    let pause = Duration::from_secs(1) / STEADY;
    let wait_until = |due: Instant| thread::sleep(due.saturating_duration_since(Instant::now()));
    for (index, number) in numbers.clone().enumerate() {
        let due = start + pause * index as u32;
        if apart && index % STEADY as usize == 0 {
            wait_until(due);
            post(OTHERS, number)?;
        }
        wait_until(due + pause / 2);
        accepted.push(post(COMPANY, number)?);
    }
    let elapsed = start.elapsed();
    let mut latencies = Vec::new();
    let deadline = Instant::now() + PATIENCE;
    for receiver in healthy {
        for (number, answered) in numbers.clone().zip(&accepted) {
            let at = loop {
                match receiver.arrivals.at(number) {
                    Some(at) => break at,
                    None if Instant::now() > deadline => return Err(format!("event {number} did not arrive").into()),
                    None => thread::sleep(Duration::from_millis(5)),
                }
            };
            latencies.push((*answered - start, at.saturating_duration_since(*answered)));
        }
    }
    let all: Vec<Duration> = latencies.iter().map(|(_, latency)| *latency).collect();
    let part = |ten: u64| {
        let within = latencies.iter().filter(|(at, _)| at.as_secs() / 10 == ten).map(|(_, latency)| *latency);
        Sample::new(1, elapsed, within.collect())
    };
    Ok(Stretch {
        worst: all.iter().max().copied().unwrap_or_default(),
        late: all.iter().filter(|latency| **latency > Duration::from_millis(100)).count(),
        parts: (0..elapsed.as_secs().div_ceil(10)).map(part).collect(),
        sample: Sample::new(all.len(), elapsed, all),
    })
}

/// Leaves a backlog for all: posted just before the daemon is killed.
fn backlog(daemon: &Daemon, first: usize, apart: bool) -> Outcome<()> {
    let mut connection = Connection::open(daemon.target.address)?;
    for company in [OTHERS, COMPANY].into_iter().skip(usize::from(!apart)) {
        let lines: Vec<String> = (first..first + BACKLOG).map(|number| event_of(company, number as u64)).collect();
        // A request may cause at most 100,000 deliveries.
        for some in lines.chunks(50) {
            let request = daemon.target.request("POST", "/v1/events", "application/x-ndjson", &some.join("\n"));
            connection.exchange(&request)?.expect(202)?;
        }
    }
    Ok(())
}

/// Prints periods, each with its name and the one it is compared to.
fn print(seconds: u64, who: Others, stretches: &[(&str, &Stretch, &Stretch)]) {
    let Others { hanging, slow, refusing, same } = who;
    let owed = if same { "the same events" } else { "one event a second" };
    println!(
        "{HEALTHY} healthy receivers at {STEADY} events/s for {seconds} s, beside {hanging} that never answer, {slow} \
         that take 10 s, {refusing} that refuse, owed {owed}:\n"
    );
    let ratio = |of: Duration, to: Duration| format!("{:.2}", of.as_secs_f64() / to.as_secs_f64().max(1e-9));
    let row = |(name, stretch, alone): &(&str, &Stretch, &Stretch)| {
        let Sample { p50, p99, .. } = stretch.sample;
        vec![
            (*name).to_owned(),
            millis(p50),
            millis(p99),
            millis(stretch.worst),
            stretch.late.to_string(),
            ratio(p50, alone.sample.p50),
            ratio(p99, alone.sample.p99),
        ]
    };
    let rows: Vec<_> = stretches.iter().map(row).collect();
    print_table(
        &["202 to arrival", "p50 ms", "p99 ms", "worst ms", "over 100 ms", "p50 / alone", "p99 / alone"],
        &rows,
    );
    println!("\np99 in ms by ten seconds:\n");
    for (name, stretch, _) in stretches {
        let parts: Vec<String> = stretch.parts.iter().map(|part| millis(part.p99)).collect();
        println!("{name}: {}", parts.join(", "));
    }
    println!();
}
