//! Free space of the data directory's file system, and whether new data is accepted.
//!
//! Below the limit new data is refused, while deliveries and the log continue with the reserve. Data is accepted again
//! once the free space exceeds the limit by an eighth.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::statvfs::statvfs;

use crate::engine::DiskSpace;

/// How long a measurement is valid.
const VALID_FOR: Duration = Duration::from_secs(1);
/// How many bytes may be accepted on one measurement.
const BYTES_PER_SAMPLE: u64 = 8 << 20;
/// How many bytes of disk an accepted byte may need: the event, its deliveries and their log entries.
const COST: u64 = 4;

/// Monitors the free space.
pub(crate) struct Space {
    dir: PathBuf,
    least: AtomicU64,
    sample: Mutex<Sample>,
}

struct Sample {
    free: u64,
    low: bool,
    at: Option<Instant>,
    /// Bytes accepted since the measurement.
    bytes: u64,
    /// Whether a failed measurement has been reported.
    failed: bool,
}

impl Space {
    /// Monitors the file system of `dir`, of which `least` bytes must stay free.
    pub(crate) fn of(dir: &Path, least: u64) -> Self {
        let sample = Sample { free: u64::MAX, low: false, at: None, bytes: 0, failed: false };
        let space = Self { dir: dir.to_owned(), least: AtomicU64::new(least), sample: Mutex::new(sample) };
        space.current();
        space
    }

    /// Sets how many bytes must stay free.
    pub(crate) fn set_least(&self, least: u64) {
        self.least.store(least, Ordering::Relaxed);
        drop(self.measured(true));
    }

    fn least(&self) -> u64 {
        self.least.load(Ordering::Relaxed)
    }

    /// The free space, measured at most a second ago.
    pub(crate) fn current(&self) -> DiskSpace {
        self.disk_space(&self.measured(false))
    }

    /// Checks whether `bytes` of new data may be accepted.
    ///
    /// # Errors
    /// They may not. The message names the directory, the free bytes and the configuration key.
    pub(crate) fn admit(&self, bytes: u64) -> Result<(), String> {
        let cost = bytes.saturating_mul(COST);
        let exceeds = self.lock().bytes.saturating_add(cost) > BYTES_PER_SAMPLE;
        let mut sample = self.measured(exceeds);
        // A request that would use a large part of the reserve at once is refused as well.
        if !sample.low && sample.free.saturating_sub(cost) >= self.least() / 2 {
            sample.bytes += cost;
            return Ok(());
        }
        Err(refusal(&self.dir, self.disk_space(&sample)))
    }

    /// Why new data is refused; `None` if it is accepted.
    pub(crate) fn refusal(&self) -> Option<String> {
        let space = self.current();
        space.low.then(|| refusal(&self.dir, space))
    }

    /// Whether a file of `bytes` fits into half of the free space.
    pub(crate) fn has_space_for(&self, bytes: u64) -> bool {
        bytes <= self.measured(true).free / 2
    }

    fn disk_space(&self, sample: &Sample) -> DiskSpace {
        DiskSpace { free: sample.free, least: self.least(), low: sample.low }
    }

    fn measured(&self, now: bool) -> MutexGuard<'_, Sample> {
        let mut sample = self.lock();
        if !now && sample.at.is_some_and(|at| at.elapsed() < VALID_FOR) {
            return sample;
        }
        sample.at = Some(Instant::now());
        match statvfs(&self.dir) {
            Ok(system) => {
                // Their types differ between platforms.
                #[allow(clippy::useless_conversion, reason = "32 bits on some platforms")]
                let (blocks, size) = (u64::from(system.blocks_available()), u64::from(system.fragment_size()));
                sample.free = blocks.saturating_mul(size);
                (sample.bytes, sample.failed) = (0, false);
                self.update_low(&mut sample);
            }
            Err(error) if !sample.failed => {
                sample.failed = true;
                tracing::warn!("the free space of {} cannot be determined: {error}", self.dir.display());
            }
            Err(_) => {}
        }
        sample
    }

    /// Updates and logs the transition between enough space and too little.
    fn update_low(&self, sample: &mut Sample) {
        let low = is_low(sample.low, sample.free, self.least());
        if low == sample.low {
            return;
        }
        sample.low = low;
        if low {
            tracing::warn!("{}", refusal(&self.dir, self.disk_space(sample)));
        } else {
            let (dir, free) = (self.dir.display(), sample.free);
            tracing::warn!("there is room again in {dir}, {free} bytes: new events are accepted");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Sample> {
        self.sample.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether there is too little space, with hysteresis: `was` is the previous state.
const fn is_low(was: bool, free: u64, least: u64) -> bool {
    let limit = if was { least.saturating_add(least / 8) } else { least };
    free < limit
}

fn refusal(dir: &Path, DiskSpace { free, least, .. }: DiskSpace) -> String {
    format!(
        "the disk is almost full: the file system of {} has {free} bytes free, and {least} are to stay free \
         (`min_free_bytes` in [store]); new events and subscriptions are refused, deliveries go on",
        dir.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn low_space_ends_with_an_eighth_more_than_the_limit() {
        let steps = [(800, false), (799, true), (800, true), (899, true), (900, false), (850, false)];
        let mut low = false;
        for (free, wanted) in steps {
            low = is_low(low, free, 800);
            assert_eq!(low, wanted, "{free}");
        }
    }

    #[test]
    fn new_data_is_refused_while_space_is_low() {
        let dir = tempfile::tempdir().unwrap();
        let free = Space::of(dir.path(), 1).current().free;
        assert!(free > 1 << 20, "the disk of this machine is full");
        assert_eq!(Space::of(dir.path(), 1 << 20).admit(1), Ok(()));
        let full = Space::of(dir.path(), u64::MAX / 2);
        let refusal = full.admit(1).unwrap_err();
        assert!(refusal.contains(&dir.path().display().to_string()) && refusal.contains("`min_free_bytes`"));
        assert_eq!(full.refusal(), Some(full.admit(0).unwrap_err()));
        // A batch that would use up the reserve.
        let tight = Space::of(dir.path(), free / 2);
        assert!(tight.admit(free).is_err() && tight.admit(1).is_ok());
    }
}
