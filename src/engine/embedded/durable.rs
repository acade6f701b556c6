//! Durable files and directory entries.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

/// Makes the entries of a directory durable.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Replaces a file atomically and durably: after a crash it has the old content or the new one.
pub(crate) fn replace_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace_file_by(path, &path.with_extension("new"), bytes)
}

/// As [`replace_file`], by way of the temporary file `beside`: for files that two threads may replace at once.
pub(crate) fn replace_file_by(path: &Path, beside: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(beside, path)?;
    path.parent().map_or(Ok(()), sync_dir)
}

/// The total size of the files in `dir`, as far as it can be determined.
pub(crate) fn file_bytes(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.metadata().ok()).filter(fs::Metadata::is_file).map(|file| file.len()).sum()
}

/// Syncs the files that sled creates and their directory entries, which it does not.
pub(crate) fn sync_names(state: &Path) -> io::Result<()> {
    for entry in fs::read_dir(state)? {
        let path = entry?.path();
        if path.is_dir() {
            sync_dir(&path)?;
        } else {
            File::open(&path)?.sync_all()?;
        }
    }
    sync_dir(state)?;
    state.parent().map_or(Ok(()), sync_dir)
}
