//! How long a start takes after a kill, with much behind it and much owed.
//!
//! Events go through and leave an entry of the log each; then as many again as are to be owed are
//! accepted for a subscription that is disabled; then the daemon is killed and started on the same
//! data. What is measured is the time from the start of the process to the line that says where it
//! listens, which comes when everything is ready.
//!
//! `cargo bench --bench open`; `HOOKSWITCH_BENCH_BACKLOG` is how many are owed (20,000; the record is
//! made with 100,000), ten times as many entries of the log are made.

mod load;

use std::time::Duration;

use load::Outcome;
use load::daemon::Daemon;
use load::figures::{Plan, millis};
use load::receiver::Receiver;

/// How many entries of the log are made for each delivery that is owed.
const ENTRIES: usize = 10;
/// How many events are on their way at a time.
const PORTION: usize = 50_000;
const PATIENCE: Duration = Duration::from_secs(120);
const SETTINGS: [(&str, &str); 1] = [("HOOKSWITCH_SENDERS__MAX_IN_FLIGHT", "64")];

fn main() -> Outcome<()> {
    let plan = Plan::from_environment()?;
    let (entries, owed) = (plan.backlog * ENTRIES, plan.backlog);
    let receiver = Receiver::start(entries + owed)?;
    let daemon = Daemon::start(&SETTINGS)?;
    let subscription = daemon.subscribe(&format!("http://{}/hook", receiver.address), true)?;
    for first in (0..entries).step_by(PORTION) {
        daemon.target.post_batches(first, PORTION.min(entries - first))?;
        daemon.wait_for_waiting(&subscription, 0, PATIENCE)?;
    }
    daemon.change(&subscription, r#"{"enabled":false}"#)?;
    daemon.target.post_batches(entries, owed)?;
    let mut daemon = daemon;
    let mut times = Vec::new();
    for _ in 0..plan.rounds {
        let (next, took) = daemon.restart(&SETTINGS)?;
        daemon = next;
        let waiting = daemon.waiting(&subscription)?;
        if waiting != owed as u64 {
            return Err(format!("{waiting} of {owed} are owed after the kill").into());
        }
        times.push(millis(took));
    }
    println!("{entries} entries of the log and {owed} owed; ready after a kill in {} ms", times.join(", "));
    const MIB: f64 = 1_048_576.0;
    println!("{:.0} MiB on disk, {:.1} MiB resident", daemon.on_disk()? as f64 / MIB, daemon.resident()? as f64 / MIB);
    Ok(())
}
