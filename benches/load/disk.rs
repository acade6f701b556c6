//! The bare disk: the cost of an append and a real fdatasync.

use std::fs::OpenOptions;
use std::io::{Seek, Write};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::figures::Sample;
use super::{Outcome, event};

/// Appends events to a new file in `directory` for `time`, `group` of them per write and fdatasync. A latency is that
/// of a group.
pub(crate) fn appends(directory: &Path, group: usize, time: Duration) -> Outcome<Sample> {
    let file = tempfile::Builder::new().prefix("bare").tempfile_in(directory)?;
    let mut append = OpenOptions::new().append(true).open(file.path())?;
    let bytes: String = (0..group as u64).map(event).collect();
    let (start, mut latencies) = (Instant::now(), Vec::new());
    while start.elapsed() < time {
        let before = Instant::now();
        append.write_all(bytes.as_bytes())?;
        append.sync_data()?;
        latencies.push(before.elapsed());
    }
    Ok(Sample::new(latencies.len() * group, start.elapsed(), latencies))
}

/// Writes `count` events at intervals of `pause`, beginning at `start`, each with an fdatasync, to a new preallocated
/// file in `directory`, as in the journal: the minimum cost of an fdatasync.
pub(crate) fn steady(directory: &Path, count: usize, start: Instant, pause: Duration) -> Outcome<Sample> {
    let mut file = tempfile::tempfile_in(directory)?;
    file.write_all(&vec![0; count * event(0).len()])?;
    file.sync_all()?;
    file.rewind()?;
    let mut latencies = Vec::with_capacity(count);
    for number in 0..count {
        let bytes = event(number as u64);
        thread::sleep((start + pause * number as u32).saturating_duration_since(Instant::now()));
        let before = Instant::now();
        file.write_all(bytes.as_bytes())?;
        file.sync_data()?;
        latencies.push(before.elapsed());
    }
    Ok(Sample::new(count, start.elapsed(), latencies))
}
