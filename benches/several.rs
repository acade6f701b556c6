//! Several daemons on one PostgreSQL: what three accept and deliver, compared with one in the same run, what each event
//! costs them and the server, and how soon an event that is posted to one of them arrives if another one sends it. All of
//! it runs on the same cores, so three cannot do more than one here; what is measured is what it costs to be several.
//!
//! Also what idle ones ask the server.
//!
//! `cargo bench --bench several -- --engine postgres`; [`Plan`] lists the parameters.

mod load;

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use load::Outcome;
use load::client::Connection;
use load::daemon::Daemon;
use load::engine::server;
use load::event;
use load::figures::{Plan, Sample, median, millis, print_table};
use load::receiver::{Manner, Receiver};

/// How many daemons are compared.
const COUNTS: [usize; 2] = [1, 3];
/// Number of connections of all together.
const CONNECTIONS: usize = 48;
/// Number of receivers, each of which gets all.
const RECEIVERS: usize = 3;
/// Events that receivers can tell apart.
const EVENTS: usize = 2_000_000;
/// Events per second while latency is measured.
const STEADY: u32 = 100;
/// Time limit for what is waiting.
const PATIENCE: Duration = Duration::from_secs(120);

/// The measurements with one number of daemons, one value per round.
#[derive(Default)]
struct Measured {
    accepted: Vec<Sample>,
    delivered: Vec<f64>,
    /// Microseconds for each event, in the daemons and in the server.
    daemons: Vec<f64>,
    server: Vec<f64>,
    wal: Vec<f64>,
    arrival: Vec<Sample>,
    idle: Vec<f64>,
}

fn main() -> Outcome<()> {
    let plan = Plan::from_environment()?;
    if server()?.is_none() {
        println!("Only on PostgreSQL: --engine postgres");
        return Ok(());
    }
    let mut measured = COUNTS.map(|_| Measured::default());
    for _ in 0..plan.rounds {
        for (count, measured) in COUNTS.into_iter().zip(&mut measured) {
            round(plan, count, measured)?;
        }
    }
    print(plan, &measured);
    Ok(())
}

fn round(plan: Plan, count: usize, measured: &mut Measured) -> Outcome<()> {
    let receivers = Receiver::start_many(RECEIVERS, EVENTS, &Manner::default())?;
    let first = Daemon::start(&[])?;
    let subscriptions = first.subscribe_all(&receivers, "http", true)?;
    let mut daemons = vec![first];
    for _ in 1..count {
        daemons.push(daemons[0].beside()?);
    }
    wait_for_shares(&daemons)?;
    measured.idle.push(idle(&daemons)?);
    let next = AtomicU64::new(0);
    load(plan, &daemons, &receivers, &subscriptions, &next, measured)?;
    measured.arrival.push(latency(plan, &daemons, &receivers, next.load(Ordering::Relaxed))?);
    Ok(())
}

/// Posts as fast as possible to all, and waits until all has arrived.
fn load(
    plan: Plan,
    daemons: &[Daemon],
    receivers: &[Receiver],
    subscriptions: &[String],
    next: &AtomicU64,
    measured: &mut Measured,
) -> Outcome<()> {
    let used = || daemons.iter().map(Daemon::processor_seconds).sum::<Outcome<f64>>();
    let (before, work, start) = (used()?, daemons[0].servers_work()?, Instant::now());
    let samples = thread::scope(|scope| {
        let each = CONNECTIONS / daemons.len();
        let threads: Vec<_> = (daemons.iter())
            .map(|daemon| scope.spawn(move || daemon.target.closed_loop(each, plan.time, next)))
            .collect();
        let join = |thread: thread::ScopedJoinHandle<'_, _>| thread.join().map_err(|_| "a load thread panicked")?;
        threads.into_iter().map(join).collect::<Outcome<Vec<Sample>>>()
    })?;
    for subscription in subscriptions {
        daemons[0].wait_for_waiting(subscription, 0, PATIENCE)?;
    }
    let posted = next.load(Ordering::Relaxed);
    receivers.iter().try_for_each(|receiver| receiver.arrivals.wait_for(posted as usize, PATIENCE))?;
    let last = receivers.iter().filter_map(|receiver| receiver.arrivals.last()).max().ok_or("nothing arrived")?;
    let events = posted as f64;
    measured.delivered.push(events * RECEIVERS as f64 / (last - start).as_secs_f64());
    measured.daemons.push((used()? - before) * 1e6 / events);
    if let (Some(before), Some(after)) = (work, daemons[0].servers_work()?) {
        let own = after - before;
        measured.server.push(own.processor * 1e6 / events);
        measured.wal.push(own.wal / events);
    }
    let of = |figure: fn(&Sample) -> Duration| samples.iter().map(figure).max().unwrap_or_default();
    measured.accepted.push(Sample {
        per_second: samples.iter().map(|sample| sample.per_second).sum(),
        p50: of(|sample| sample.p50),
        p99: of(|sample| sample.p99),
    });
    Ok(())
}

/// From a post to the first daemon to the arrival, at receivers for which another one sends, if there is one.
fn latency(plan: Plan, daemons: &[Daemon], receivers: &[Receiver], from: u64) -> Outcome<Sample> {
    let stats = daemons[0].target.ask("GET", "/v1/stats", "", 200)?;
    let own = |at: &usize| stats["subscriptions"][*at]["window"].as_u64().is_some_and(|window| window > 0);
    let others: Vec<usize> = (0..receivers.len()).filter(|at| daemons.len() == 1 || !own(at)).collect();
    let mut connection = Connection::open(daemons[0].target.address)?;
    let (start, mut sent) = (Instant::now(), Vec::new());
    let count = (plan.time.as_secs_f64() * f64::from(STEADY)) as u32;
    for number in 0..count {
        thread::sleep((start + Duration::from_secs(1) / STEADY * number).saturating_duration_since(Instant::now()));
        let body = event(from + u64::from(number));
        let request = daemons[0].target.request("POST", "/v1/events", "application/json", &body);
        sent.push(Instant::now());
        connection.exchange(&request)?.expect(202)?;
    }
    let mut latencies = Vec::new();
    for receiver in others.into_iter().map(|at| &receivers[at]) {
        receiver.arrivals.wait_for(from as usize + sent.len(), PATIENCE)?;
        let arrived = |(number, at): (usize, &Instant)| Some(receiver.arrivals.at(from as usize + number)? - *at);
        latencies.extend(sent.iter().enumerate().filter_map(arrived));
    }
    Ok(Sample::new(latencies.len(), start.elapsed(), latencies))
}

/// Statements per second of each daemon while nothing happens.
fn idle(daemons: &[Daemon]) -> Outcome<f64> {
    let time = Duration::from_secs(10);
    let before = daemons[0].servers_work()?;
    thread::sleep(time);
    let work = before.zip(daemons[0].servers_work()?).map_or(0.0, |(before, after)| (after - before).statements);
    Ok(work / time.as_secs_f64() / daemons.len() as f64)
}

/// Waits until each daemon owns its share.
fn wait_for_shares(daemons: &[Daemon]) -> Outcome<()> {
    let (start, least) = (Instant::now(), 256 / daemons.len() as u64);
    loop {
        let cluster = daemons[0].target.ask("GET", "/v1/cluster", "", 200)?;
        let its = cluster["daemons"].as_array().ok_or("no daemons")?;
        let fair = its.iter().filter(|one| one["shards"].as_u64().is_some_and(|shards| shards >= least)).count();
        if fair == daemons.len() && cluster["unowned_shards"] == 0 {
            return Ok(());
        }
        if start.elapsed() > PATIENCE {
            return Err(format!("the daemons do not have their shares: {cluster}").into());
        }
        thread::sleep(Duration::from_millis(50));
    }
}

fn print(plan: Plan, measured: &[Measured]) {
    println!(
        "{CONNECTIONS} connections in all, {RECEIVERS} receivers that get all, {} rounds of {:?}, medians:\n",
        plan.rounds, plan.time
    );
    let row = |(count, its): (&usize, &Measured)| {
        let (accepted, arrival) = (Sample::median(&its.accepted), Sample::median(&its.arrival));
        let of = |values: &Vec<f64>, digits: usize| format!("{:.digits$}", median(values.clone()));
        vec![
            count.to_string(),
            format!("{:.0}", accepted.per_second),
            millis(accepted.p50),
            millis(accepted.p99),
            of(&its.delivered, 0),
            of(&its.daemons, 0),
            of(&its.server, 0),
            of(&its.wal, 0),
            millis(arrival.p50),
            millis(arrival.p99),
            of(&its.idle, 2),
        ]
    };
    let head = [
        "daemons",
        "accepted/s",
        "p50 ms",
        "p99 ms",
        "delivered/s",
        "µs/event there",
        "µs/event in PostgreSQL",
        "WAL/event",
        "to arrival p50 ms",
        "p99 ms",
        "idle statements/s each",
    ];
    print_table(&head, &COUNTS.iter().zip(measured).map(row).collect::<Vec<_>>());
}
