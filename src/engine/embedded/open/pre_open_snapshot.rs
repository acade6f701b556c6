//! A copy of the state database from before it is opened.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::engine::embedded::durable::{self, sync_names};

/// A copy of the state database, held while it is being opened: sled overwrites what it cannot read, and a directory
/// that is refused must stay unchanged.
///
/// One of the two is always complete: the refused database is renamed to `state-refused` until the synced copy has
/// taken its place.
pub(crate) struct PreOpenSnapshot {
    copy: PathBuf,
    refused: PathBuf,
}

/// The largest database that is copied: copying must not make a start slow. A larger damaged database may be changed
/// when it is refused.
const MAX_COPIED: u64 = 256 << 20;

impl PreOpenSnapshot {
    pub(crate) fn take(dir: &Path) -> io::Result<Self> {
        let state = dir.join("state");
        let snapshot = Self { copy: dir.join("state-before-open"), refused: dir.join("state-refused") };
        if snapshot.refused.exists() {
            // A restore was interrupted. The copy was complete before anything was moved.
            if !state.exists() {
                fs::rename(&snapshot.copy, &state)?;
                durable::sync_dir(dir)?;
            }
            fs::remove_dir_all(&snapshot.refused)?;
        }
        if snapshot.copy.exists() {
            // An opening was interrupted, which sled recovers from by itself.
            fs::remove_dir_all(&snapshot.copy)?;
        }
        if fs::metadata(state.join("db")).is_ok_and(|db| db.len() <= MAX_COPIED) {
            copy_dir(&state, &snapshot.copy)?;
        }
        Ok(snapshot)
    }

    pub(crate) fn discard(&self) -> io::Result<()> {
        if self.copy.exists() { fs::remove_dir_all(&self.copy) } else { Ok(()) }
    }

    pub(crate) fn restore(&self, dir: &Path) -> io::Result<()> {
        if !self.copy.exists() {
            return Ok(());
        }
        sync_names(&self.copy)?;
        let state = dir.join("state");
        fs::rename(&state, &self.refused)?;
        fs::rename(&self.copy, &state)?;
        durable::sync_dir(dir)?;
        fs::remove_dir_all(&self.refused)
    }
}

pub(crate) fn copy_dir(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_dir(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interrupted_restore_is_completed_by_the_next_start() {
        let dir = tempfile::tempdir().unwrap();
        for (name, bytes) in [("state-before-open", "original"), ("state-refused", "overwritten")] {
            fs::create_dir(dir.path().join(name)).unwrap();
            fs::write(dir.path().join(name).join("db"), bytes).unwrap();
        }
        let before = PreOpenSnapshot::take(dir.path()).unwrap();
        assert_eq!(fs::read(dir.path().join("state/db")).unwrap(), b"original");
        fs::write(dir.path().join("state/db"), "overwritten").unwrap();
        before.restore(dir.path()).unwrap();
        assert_eq!(fs::read(dir.path().join("state/db")).unwrap(), b"original");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
