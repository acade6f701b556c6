//! The bare disk: what an append and a true fdatasync cost, without anything around them.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use super::figures::Sample;
use super::{Outcome, event};

/// Appends events to a new file in `directory` for `time`, `group` of them in one write and one
/// fdatasync. A latency is that of a group.
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
