//! Accepting and delivering at the same time, long enough to see whether a backlog grows.
//!
//! - Steady: events are posted at a fixed rate over 64 connections while one subscription gets all; the remaining
//!   backlog at the end, and the time to clear it, tell whether it keeps up.
//! - Fan-out: one event goes to 50 subscriptions of one receiver; deliveries per second, and bytes written per event.
//! - Idle: processor time of an idle daemon.
//!
//! With `--engine postgres` what is written is the WAL, and the statements, the WAL and the server's processor time for
//! each event are printed, accepted and delivered.
//!
//! `cargo bench --bench sustained`, or with `-- --engine postgres`; [`Plan`] lists the parameters: the record is made with
//! `HOOKSWITCH_BENCH_SECONDS=60 HOOKSWITCH_BENCH_ROUNDS=1`. `HOOKSWITCH_BENCH_RATE` measures a single steady rate.

mod load;

use std::thread;
use std::time::{Duration, Instant};

use load::Outcome;
use load::daemon::Daemon;
use load::figures::{Plan, millis, print_table};
use load::receiver::Receiver;

/// Events posted per second.
const RATES: [f64; 3] = [2_000.0, 5_000.0, 7_500.0];
/// Number of connections.
const CONNECTIONS: usize = 64;
/// Subscriptions that get each event of the fan-out.
const FAN: usize = 50;
/// Time limit for clearing the backlog.
const PATIENCE: Duration = Duration::from_secs(120);
const MIB: f64 = 1_048_576.0;

fn main() -> Outcome<()> {
    let plan = Plan::from_environment()?;
    let mut rows = Vec::new();
    let only = std::env::var("HOOKSWITCH_BENCH_RATE").ok().map(|text| text.parse()).transpose()?;
    for rate in only.map_or(RATES.to_vec(), |rate| vec![rate]) {
        rows.push(steady(rate, plan.time)?);
    }
    println!("Accepted and delivered at once, {:?} each, {CONNECTIONS} connections, one subscription:\n", plan.time);
    let head = [
        "posted/s",
        "accepted/s",
        "p50 ms",
        "p99 ms",
        "waiting at the end",
        "gone after ms",
        "repeats",
        "resident MiB",
        "written/event",
    ];
    print_table(&head, &rows);
    if only.is_some() {
        return Ok(());
    }
    fan_out(plan)?;
    idle(plan.time)
}

fn steady(rate: f64, time: Duration) -> Outcome<Vec<String>> {
    let receiver = Receiver::start((rate * time.as_secs_f64()) as usize + 10_000)?;
    let daemon = Daemon::start(&[])?;
    let subscription = daemon.subscribe(&format!("http://{}/hook", receiver.address), true)?;
    let (before, work) = (daemon.written()?, daemon.servers_work()?);
    let used = daemon.processor_seconds()?;
    let sample = daemon.target.steady(CONNECTIONS, rate, time)?;
    let posted = Instant::now();
    let waiting = daemon.waiting(&subscription)?;
    let resident = daemon.resident()? as f64 / MIB;
    daemon.wait_for_waiting(&subscription, 0, PATIENCE)?;
    let gone = posted.elapsed();
    let accepted = sample.per_second * time.as_secs_f64();
    if let (Some(before), Some(after)) = (work, daemon.servers_work()?) {
        let own = (daemon.processor_seconds()? - used) * 1e6 / accepted;
        println!("for each event, {rate:.0}/s: {}, {own:.0} µs in the daemon", (after - before).of_each(accepted));
    }
    Ok(vec![
        format!("{rate:.0}"),
        format!("{:.0}", sample.per_second),
        millis(sample.p50),
        millis(sample.p99),
        waiting.to_string(),
        millis(gone),
        receiver.arrivals.repeats().to_string(),
        format!("{resident:.1}"),
        format!("{:.0}", (daemon.written()? - before) as f64 / accepted),
    ])
}

fn fan_out(plan: Plan) -> Outcome<()> {
    let events = (plan.backlog / FAN).max(10);
    let receiver = Receiver::start(events)?;
    let daemon = Daemon::start(&[("HOOKSWITCH_SENDERS__THREADS", "64")])?;
    let subscribe = |n: usize| daemon.subscribe(&format!("http://{}/hook/{n}", receiver.address), false);
    let subscriptions = (0..FAN).map(subscribe).collect::<Outcome<Vec<_>>>()?;
    let before = (daemon.written()?, daemon.on_disk()?);
    let took = daemon.target.post_batches(0, events)?;
    let (written, on_disk) = (daemon.written()? - before.0, daemon.on_disk()? - before.1);
    let start = Instant::now();
    subscriptions.iter().try_for_each(|one| daemon.enable(one))?;
    let enabled = start.elapsed();
    for one in &subscriptions {
        daemon.wait_for_waiting(one, 0, PATIENCE)?;
    }
    let deliveries = (events * FAN) as f64;
    println!(
        "\nOne event to {FAN} subscriptions, {events} events: accepted {:.0}/s, {:.0} bytes written and {:.0} on disk for \
         each; {:.0} deliveries/s ({:.0} ms of it to enable them)",
        events as f64 / took.as_secs_f64(),
        written as f64 / events as f64,
        on_disk as f64 / events as f64,
        deliveries / start.elapsed().as_secs_f64(),
        enabled.as_secs_f64() * 1_000.0,
    );
    Ok(())
}

fn idle(time: Duration) -> Outcome<()> {
    let receiver = Receiver::start(10)?;
    let daemon = Daemon::start(&[])?;
    daemon.subscribe(&format!("http://{}/hook", receiver.address), true)?;
    daemon.target.post_batches(0, 10)?;
    thread::sleep(Duration::from_secs(1));
    let before = daemon.processor_seconds()?;
    let start = Instant::now();
    thread::sleep(time.max(Duration::from_secs(3)));
    let share = (daemon.processor_seconds()? - before) / start.elapsed().as_secs_f64();
    println!("\nIdle: {:.2} % of a core, {:.1} MiB resident", share * 100.0, daemon.resident()? as f64 / MIB);
    Ok(())
}
