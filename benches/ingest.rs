//! Events accepted per second, at 1, 16 and 64 connections, with bodies of 1 KiB and one matching subscription. It is
//! disabled: its deliveries are recorded and not sent, so the figures are those of acceptance alone.
//!
//! For comparison, alternating in the same run: the same endpoint with the store replaced by nothing (the cost of
//! HTTP and validation) and by a minimal writer (the cost of the promise), and bare appends of the same bodies
//! with one fdatasync for each 1, 16 and 64 of them (the limit of the disk). Each round starts a new data directory.
//!
//! Then the same in batches: NDJSON of 1,000 lines, over one connection and over four.
//!
//! With `--engine postgres` the bare loop is that of the same statements in groups of 1, 16 and 64 events, and for each
//! event the statements, the bytes of WAL and the server's processor time are printed.
//!
//! `cargo bench --bench ingest`, or with `-- --engine postgres`; [`Plan`] lists the parameters.

mod load;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicU64;

use load::Outcome;
use load::daemon::Daemon;
use load::disk;
use load::engine::{Work, server};
use load::figures::{Plan, Sample, median, millis, print_table};
use load::nothing::Nothing;
use load::statements::Bare;

/// Number of connections, and events per fdatasync of the bare appends.
const SIZES: [usize; 3] = [1, 16, 64];
/// Number of connections for batches.
const BATCHES: [usize; 2] = [1, 4];
/// Nothing needs to listen: the subscription is disabled.
const RECEIVER: &str = "http://127.0.0.1:9/";

/// The measurements at one size, one sample per round.
#[derive(Default)]
struct Measured {
    daemon: Vec<Sample>,
    nothing: Vec<Sample>,
    writer: Vec<Sample>,
    bare: Vec<Sample>,
    /// What PostgreSQL did for how many events of the daemon, and of the bare loop.
    work: Option<[(Work, f64); 2]>,
}

/// One round's figures of the daemon's process.
#[derive(Default)]
struct Process {
    idle: Vec<f64>,
    after: Vec<f64>,
    written: Vec<f64>,
    on_disk: Vec<f64>,
    /// Processor time in seconds by thread, and the number of events accepted meanwhile.
    threads: BTreeMap<String, f64>,
    accepted: f64,
    /// Events per second in batches, by number of connections.
    batches: [Vec<Sample>; 2],
}

fn main() -> Outcome<()> {
    let plan = Plan::from_environment()?;
    let (mut measured, mut process) = (SIZES.map(|_| Measured::default()), Process::default());
    for _ in 0..plan.rounds {
        round(plan, &mut measured, &mut process)?;
    }
    println!("Accepted events, {} rounds of {:?} for each figure, medians:\n", plan.rounds, plan.time);
    print_rates(&measured);
    print_process(&process);
    Ok(())
}

fn round(plan: Plan, measured: &mut [Measured; 3], process: &mut Process) -> Outcome<()> {
    let daemon = Daemon::start(&[])?;
    daemon.subscribe(RECEIVER, false)?;
    let nothing = Nothing::start()?;
    let disk = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let mut statements = server()?.map(|server| Bare::new(server, RECEIVER)).transpose()?;
    let writer = Nothing::with_writer(disk)?;
    process.idle.push(daemon.resident()? as f64);
    let before = daemon.written()?;
    let used = daemon.processor_by_thread()?;
    let (mut accepted, mut wal, next) = (0.0, 0.0, AtomicU64::new(0));
    for (size, measured) in SIZES.into_iter().zip(measured) {
        let work = daemon.servers_work()?;
        let sample = daemon.target.closed_loop(size, plan.time, &next)?;
        let events = sample.per_second * plan.time.as_secs_f64();
        accepted += events;
        let own = work.zip(daemon.servers_work()?).map(|(before, after)| (after - before, events));
        wal += own.map_or(0.0, |(work, _)| work.wal);
        measured.daemon.push(sample);
        measured.nothing.push(nothing.target.closed_loop(size, plan.time, &next)?);
        measured.writer.push(writer.target.closed_loop(size, plan.time, &next)?);
        let before = daemon.servers_work()?;
        let bare = match &mut statements {
            Some(statements) => statements.run(size, plan.time)?,
            None => disk::appends(disk, size, plan.time)?,
        };
        let events = bare.per_second * plan.time.as_secs_f64();
        let theirs = before.zip(daemon.servers_work()?).map(|(before, after)| (after - before, events));
        measured.work = own.zip(theirs).map(|(own, theirs)| [own, theirs]);
        measured.bare.push(bare);
    }
    for (name, seconds) in daemon.processor_by_thread()? {
        let before = used.get(&name).copied().unwrap_or_default();
        *process.threads.entry(name).or_default() += seconds - before;
    }
    process.accepted += accepted;
    process.after.push(daemon.resident()? as f64);
    // The WAL has the bare loop's, too.
    let written = if statements.is_some() { wal } else { (daemon.written()? - before) as f64 };
    process.written.push(written / accepted);
    process.on_disk.push(daemon.on_disk()? as f64 / accepted);
    for (size, batches) in BATCHES.into_iter().zip(&mut process.batches) {
        batches.push(daemon.target.batches(size, plan.time, &next)?);
    }
    Ok(())
}

fn print_rates(measured: &[Measured; 3]) {
    let row = |(size, measured): (usize, &Measured)| {
        let all = [&measured.daemon, &measured.nothing, &measured.writer, &measured.bare];
        let [daemon, nothing, writer, bare] = all.map(|samples| Sample::median(samples));
        let cells =
            |sample: &Sample| [format!("{:.0}", sample.per_second), millis(sample.p50), millis(sample.p99)].into_iter();
        let ratio = |other: &Sample| format!("{:.2}", daemon.per_second / other.per_second);
        let mut row = vec![size.to_string()];
        row.extend(cells(&daemon));
        row.extend(cells(&nothing));
        row.push(ratio(&nothing));
        row.extend(cells(&writer));
        row.push(ratio(&writer));
        row.extend(cells(&bare));
        row.push(ratio(&bare));
        row
    };
    let rows: Vec<Vec<String>> = SIZES.into_iter().zip(measured).map(row).collect();
    let is_postgres = measured.iter().any(|measured| measured.work.is_some());
    let head = [
        "connections",
        "daemon/s",
        "p50 ms",
        "p99 ms",
        "no store/s",
        "p50 ms",
        "p99 ms",
        "ratio",
        "bare writer/s",
        "p50 ms",
        "p99 ms",
        "ratio",
        if is_postgres { "bare statements/s" } else { "bare disk/s" },
        "p50 ms",
        "p99 ms",
        "ratio",
    ];
    print_table(&head, &rows);
    if !is_postgres {
        println!("\n(bare disk: as many 1 KiB bodies as connections in one write and one fdatasync)\n");
        return;
    }
    println!("\n(bare statements: one connection, groups of as many events as connections)\n");
    for (size, measured) in SIZES.into_iter().zip(measured) {
        if let Some([(own, events), (bare, others)]) = measured.work {
            println!("for each event, {size} connections: {}", own.of_each(events));
            println!("for each event of the bare loop, {size}: {}", bare.of_each(others));
        }
    }
}

fn print_process(process: &Process) {
    const MIB: f64 = 1_048_576.0;
    let of = |values: &[f64]| median(values.to_vec());
    let memory = |values: &[f64]| format!("{:.1} MiB", of(values) / MIB);
    println!("resident: {} idle, {} afterwards", memory(&process.idle), memory(&process.after));
    println!("for each event of 1 KiB: {:.0} bytes written, {:.0} on disk", of(&process.written), of(&process.on_disk));
    let micros = |seconds: f64| seconds * 1e6 / process.accepted;
    let threads = process.threads.iter().filter(|(_, seconds)| micros(**seconds) >= 0.1);
    let threads: Vec<_> = threads.map(|(name, seconds)| format!("{name} {:.1}", micros(*seconds))).collect();
    for (size, samples) in BATCHES.into_iter().zip(&process.batches) {
        let Sample { per_second, p50, p99 } = Sample::median(samples);
        let (p50, p99) = (millis(p50), millis(p99));
        println!(
            "batches of 1,000 lines, {size} connections: {per_second:.0} events/s; a batch takes {p50} ms, p99 {p99} ms"
        );
    }
    println!("processor microseconds for each event, by thread: {}", threads.join(", "));
}
