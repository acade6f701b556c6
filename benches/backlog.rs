//! The cost of a large backlog: a dead receiver with half a million outstanding deliveries, then one million, then
//! two.
//!
//! At each size: the daemon's resident memory while it runs, the time from a kill until it listens again, its memory
//! after that, and the latency of a healthy receiver's deliveries meanwhile (from the 202 to the arrival, at 50
//! events a second).
//!
//! Nothing listens at the address of the backlog's receiver, so it gets one probe at a time. Its deliveries are those
//! of few events: each event goes to `SUBSCRIPTIONS` subscriptions.
//!
//! `cargo bench --bench backlog`; `HOOKSWITCH_BENCH_BACKLOG` is the largest size.

mod load;

use std::thread;
use std::time::{Duration, Instant};

use load::bad::nobody;
use load::client::Connection;
use load::daemon::Daemon;
use load::figures::{Sample, millis, print_table};
use load::receiver::Receiver;
use load::{Outcome, event, event_of};

const OTHERS: &str = "dead";
/// Number of subscriptions that share the backlog.
const SUBSCRIPTIONS: usize = 10;
/// Events per batch.
const BATCH: usize = 1_000;
const STEADY: u32 = 50;
/// Number of events measured at the healthy receiver.
const MEASURED: usize = 500;
const PATIENCE: Duration = Duration::from_secs(60);

fn main() -> Outcome<()> {
    let short = !std::env::args().any(|argument| argument == "--bench");
    let largest = std::env::var("HOOKSWITCH_BENCH_BACKLOG").ok().and_then(|text| text.parse().ok());
    let largest: usize = largest.unwrap_or(if short { 4_000 } else { 2_000_000 });
    let sizes = [0, largest / 4, largest / 2, largest];
    let healthy = Receiver::start(sizes.len() * 2 * MEASURED)?;
    let mut daemon = Daemon::start(&[])?;
    let dead = nobody()?;
    for number in 0..SUBSCRIPTIONS {
        daemon.subscribe_for(OTHERS, &format!("http://{dead}/{number}"), true)?;
    }
    daemon.subscribe(&format!("http://{}/hook", healthy.address), true)?;
    let (mut posted, mut first, mut rows) = (0, 0, Vec::new());
    for size in sizes {
        let begun = Instant::now();
        post(&daemon, posted..size / SUBSCRIPTIONS)?;
        let rate = (size / SUBSCRIPTIONS - posted) as f64 * SUBSCRIPTIONS as f64 / begun.elapsed().as_secs_f64();
        posted = size / SUBSCRIPTIONS;
        let before = steady(&daemon, &healthy, first)?;
        let memory = daemon.resident()?;
        let killed = Instant::now();
        (daemon, _) = daemon.restart(&[])?;
        let start = killed.elapsed();
        let after = steady(&daemon, &healthy, first + MEASURED)?;
        first += 2 * MEASURED;
        const MIB: f64 = 1_048_576.0;
        rows.push(vec![
            size.to_string(),
            format!("{rate:.0}"),
            format!("{:.1}", memory as f64 / MIB),
            format!("{:.2}", start.as_secs_f64()),
            format!("{:.1}", daemon.resident()? as f64 / MIB),
            format!("{} / {}", millis(before.p50), millis(before.p99)),
            format!("{} / {}", millis(after.p50), millis(after.p99)),
            format!("{:.0}", daemon.on_disk()? as f64 / MIB),
        ]);
    }
    println!("A backlog of {SUBSCRIPTIONS} subscriptions whose receiver is dead:\n");
    let head =
        ["owed", "made, /s", "MiB", "start s", "MiB then", "healthy p50 / p99 ms", "after the start", "disk MiB"];
    print_table(&head, &rows);
    Ok(())
}

fn post(daemon: &Daemon, numbers: std::ops::Range<usize>) -> Outcome<()> {
    let mut connection = Connection::open(daemon.target.address)?;
    for first in numbers.clone().step_by(BATCH) {
        let batch = first..numbers.end.min(first + BATCH);
        let lines: Vec<String> = batch.map(|number| event_of(OTHERS, number as u64)).collect();
        let request = daemon.target.request("POST", "/v1/events", "application/x-ndjson", &lines.join("\n"));
        connection.exchange(&request)?.expect(202)?;
    }
    Ok(())
}

/// A steady stream to the healthy receiver.
fn steady(daemon: &Daemon, healthy: &Receiver, first: usize) -> Outcome<Sample> {
    let mut connection = Connection::open(daemon.target.address)?;
    let (start, mut accepted) = (Instant::now(), Vec::new());
    for index in 0..MEASURED {
        let due = start + Duration::from_secs(1) / STEADY * index as u32;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let body = event((first + index) as u64);
        let request = daemon.target.request("POST", "/v1/events", "application/json", &body);
        connection.exchange(&request)?.expect(202)?;
        accepted.push(Instant::now());
    }
    let elapsed = start.elapsed();
    healthy.arrivals.wait_for(first + MEASURED, PATIENCE)?;
    let arrived = |(index, answered): (usize, &Instant)| {
        healthy.arrivals.at(first + index).map(|at| at.saturating_duration_since(*answered))
    };
    Ok(Sample::new(MEASURED, elapsed, accepted.iter().enumerate().filter_map(arrived).collect()))
}
