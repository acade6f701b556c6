//! How much room the data directory's file system has, and whether new events may take some of it.
//!
//! Below the mark nothing new is accepted; deliveries and the log go on, with what is kept free for them.
//! It ends by itself once there is an eighth more than the mark.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::statvfs::statvfs;

use crate::engine::DiskSpace;

/// How long a look at the file system holds good.
const GOOD_FOR: Duration = Duration::from_secs(1);
/// How many bytes may be accepted on one look.
const BYTES_PER_LOOK: u64 = 8 << 20;
/// How many bytes of disk an accepted byte may need: the event, its deliveries and their entries of the log.
const COST: u64 = 4;

/// Watches over it.
pub(crate) struct Space {
    dir: PathBuf,
    least: AtomicU64,
    seen: Mutex<Seen>,
}

struct Seen {
    free: u64,
    low: bool,
    at: Option<Instant>,
    /// Bytes accepted since.
    bytes: u64,
    /// Whether it was said that nothing can be seen.
    blind: bool,
}

impl Space {
    /// Watches over the file system of `dir`, of which `least` bytes are to stay free.
    pub(crate) fn of(dir: &Path, least: u64) -> Self {
        let seen = Seen { free: u64::MAX, low: false, at: None, bytes: 0, blind: false };
        let space = Self { dir: dir.to_owned(), least: AtomicU64::new(least), seen: Mutex::new(seen) };
        space.look();
        space
    }

    /// From now on `least` bytes are to stay free.
    pub(crate) fn set_least(&self, least: u64) {
        self.least.store(least, Ordering::Relaxed);
        drop(self.looked(true));
    }

    fn least(&self) -> u64 {
        self.least.load(Ordering::Relaxed)
    }

    /// How much room there is, at most a second ago.
    pub(crate) fn look(&self) -> DiskSpace {
        self.room(&self.looked(false))
    }

    /// Whether `bytes` of something new may be accepted.
    ///
    /// # Errors
    /// They may not; the sentence names directory, free bytes and key.
    pub(crate) fn admit(&self, bytes: u64) -> Result<(), String> {
        let cost = bytes.saturating_mul(COST);
        let much = self.lock().bytes.saturating_add(cost) > BYTES_PER_LOOK;
        let mut seen = self.looked(much);
        // What would take a large part of the reserve at once waits for more room, too.
        if !seen.low && seen.free.saturating_sub(cost) >= self.least() / 2 {
            seen.bytes += cost;
            return Ok(());
        }
        Err(refusal(&self.dir, self.room(&seen)))
    }

    /// Why nothing new is accepted; `None` if it is.
    pub(crate) fn refusal(&self) -> Option<String> {
        let room = self.look();
        room.low.then(|| refusal(&self.dir, room))
    }

    /// Whether a file of `bytes` can be written without taking more than half of what is left.
    pub(crate) fn has_room_for(&self, bytes: u64) -> bool {
        bytes <= self.looked(true).free / 2
    }

    fn room(&self, seen: &Seen) -> DiskSpace {
        DiskSpace { free: seen.free, least: self.least(), low: seen.low }
    }

    fn looked(&self, now: bool) -> MutexGuard<'_, Seen> {
        let mut seen = self.lock();
        if !now && seen.at.is_some_and(|at| at.elapsed() < GOOD_FOR) {
            return seen;
        }
        seen.at = Some(Instant::now());
        match statvfs(&self.dir) {
            Ok(system) => {
                // Their types differ from machine to machine.
                #[allow(clippy::useless_conversion, reason = "32 bits on some machines")]
                let (blocks, size) = (u64::from(system.blocks_available()), u64::from(system.fragment_size()));
                seen.free = blocks.saturating_mul(size);
                (seen.bytes, seen.blind) = (0, false);
                self.judge(&mut seen);
            }
            Err(error) if !seen.blind => {
                seen.blind = true;
                tracing::warn!("how much room there is in {} cannot be seen: {error}", self.dir.display());
            }
            Err(_) => {}
        }
        seen
    }

    /// Takes note of the change from enough room to too little and back. Alerts belong here.
    fn judge(&self, seen: &mut Seen) {
        let low = is_low(seen.low, seen.free, self.least());
        if low == seen.low {
            return;
        }
        seen.low = low;
        if low {
            tracing::warn!("{}", refusal(&self.dir, self.room(seen)));
        } else {
            let (dir, free) = (self.dir.display(), seen.free);
            tracing::warn!("there is room again in {dir}, {free} bytes: new events are accepted");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether there is too little room, if there `was` before.
const fn is_low(was: bool, free: u64, least: u64) -> bool {
    let mark = if was { least.saturating_add(least / 8) } else { least };
    free < mark
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
    fn little_room_is_left_only_with_an_eighth_more() {
        let steps = [(800, false), (799, true), (800, true), (899, true), (900, false), (850, false)];
        let mut low = false;
        for (free, wanted) in steps {
            low = is_low(low, free, 800);
            assert_eq!(low, wanted, "{free}");
        }
    }

    #[test]
    fn what_is_new_is_refused_while_there_is_little_room() {
        let dir = tempfile::tempdir().unwrap();
        let free = Space::of(dir.path(), 1).look().free;
        assert!(free > 1 << 20, "the disk of this machine is full");
        assert_eq!(Space::of(dir.path(), 1 << 20).admit(1), Ok(()));
        let full = Space::of(dir.path(), u64::MAX / 2);
        let refusal = full.admit(1).unwrap_err();
        assert!(refusal.contains(&dir.path().display().to_string()) && refusal.contains("`min_free_bytes`"));
        assert_eq!(full.refusal(), Some(full.admit(0).unwrap_err()));
        // A batch that would take the reserve away.
        let tight = Space::of(dir.path(), free / 2);
        assert!(tight.admit(free).is_err() && tight.admit(1).is_ok());
    }
}
