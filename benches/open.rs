//! Duration of a start after a kill, with a long log and many outstanding deliveries.
//!
//! Events are delivered and leave a log entry each; then events are accepted for a disabled subscription; then the
//! daemon is killed and started on the same data. Measured from the start of the process to the line with its
//! address, which is printed when everything is ready.
//!
//! `cargo bench --bench open`; `HOOKSWITCH_BENCH_BACKLOG` is the number of outstanding deliveries (20,000; the record
//! is made with 100,000); there are ten times as many log entries.

mod load;

use std::time::Duration;

use load::Outcome;
use load::daemon::Daemon;
use load::figures::{Plan, millis};
use load::receiver::Receiver;

/// Log entries per outstanding delivery.
const ENTRIES: usize = 10;
/// Events in flight at a time.
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
