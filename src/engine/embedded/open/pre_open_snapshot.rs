//! The state database as it was before it was opened.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::engine::embedded::durable::{self, sync_names};

/// A copy of the state database, kept while it is opened: sled writes over what it cannot read, and
/// a directory that is refused must stay as it was.
///
/// At every moment one of the two is whole: what is refused stands aside (`state-refused`) until the
/// copy, synced, has taken its place.
pub(crate) struct PreOpenSnapshot {
    copy: PathBuf,
    refused: PathBuf,
}

/// The largest database of which a copy is kept: copying must not make a start slow. Beyond it a
/// damaged database may be changed when it is refused.
const COPIED_MOST: u64 = 256 << 20;

impl PreOpenSnapshot {
    pub(crate) fn keep(dir: &Path) -> io::Result<Self> {
        let state = dir.join("state");
        let kept = Self { copy: dir.join("state-before-open"), refused: dir.join("state-refused") };
        if kept.refused.exists() {
            // Putting back was interrupted: the copy was whole before anything was moved.
            if !state.exists() {
                fs::rename(&kept.copy, &state)?;
                durable::sync_dir(dir)?;
            }
            fs::remove_dir_all(&kept.refused)?;
        }
        if kept.copy.exists() {
            // An opening was interrupted, which sled itself recovers from.
            fs::remove_dir_all(&kept.copy)?;
        }
        if fs::metadata(state.join("db")).is_ok_and(|db| db.len() <= COPIED_MOST) {
            copy_dir(&state, &kept.copy)?;
        }
        Ok(kept)
    }

    pub(crate) fn discard(&self) -> io::Result<()> {
        if self.copy.exists() { fs::remove_dir_all(&self.copy) } else { Ok(()) }
    }

    pub(crate) fn put_back(&self, dir: &Path) -> io::Result<()> {
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
    fn a_putting_back_that_was_interrupted_is_ended_by_the_next_start() {
        let dir = tempfile::tempdir().unwrap();
        for (name, bytes) in [("state-before-open", "as it was"), ("state-refused", "written over")] {
            fs::create_dir(dir.path().join(name)).unwrap();
            fs::write(dir.path().join(name).join("db"), bytes).unwrap();
        }
        let before = PreOpenSnapshot::keep(dir.path()).unwrap();
        assert_eq!(fs::read(dir.path().join("state/db")).unwrap(), b"as it was");
        fs::write(dir.path().join("state/db"), "written over").unwrap();
        before.put_back(dir.path()).unwrap();
        assert_eq!(fs::read(dir.path().join("state/db")).unwrap(), b"as it was");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
