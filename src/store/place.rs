//! Files and directories whose names and contents must be on the disk, and what is said when one
//! is damaged.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// Something on the disk that is not as it must be, or that could not be read or written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    path: PathBuf,
    detail: String,
    io: bool,
}

impl Damage {
    /// `detail` goes on after the path: 'is damaged at byte 7'.
    pub(super) fn new(path: &Path, detail: impl Into<String>) -> Self {
        Self { path: path.to_owned(), detail: detail.into(), io: false }
    }

    /// The operating system refused, which says nothing against what is there; but a file that ends too early is
    /// damaged. `doing` is what could not be done, as in 'cannot be read'.
    pub(super) fn io(path: &Path, doing: impl fmt::Display, error: &io::Error) -> Self {
        Self {
            path: path.to_owned(),
            detail: format!("{doing}: {error}"),
            io: error.kind() != io::ErrorKind::UnexpectedEof,
        }
    }

    /// As [`Damage::io`], where all that is known is a sentence.
    pub(super) fn failed(path: &Path, detail: impl Into<String>) -> Self {
        Self { path: path.to_owned(), detail: detail.into(), io: true }
    }
}

impl Damage {
    /// The file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the operating system refused, rather than what was read being wrong.
    pub(super) const fn is_io(&self) -> bool {
        self.io
    }

    /// What is said of the path.
    pub(super) fn detail(&self) -> &str {
        &self.detail
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.path.display(), self.detail)
    }
}

impl std::error::Error for Damage {}

/// Makes the names in a directory durable.
pub(super) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Writes a file so that after a power cut there is the old one or the new one, whole.
pub(super) fn replace_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace_file_by(path, &path.with_extension("new"), bytes)
}

/// As [`replace_file`], by way of the file `beside`: for files that two threads may replace at once.
pub(super) fn replace_file_by(path: &Path, beside: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(beside, path)?;
    path.parent().map_or(Ok(()), sync_dir)
}

/// How many bytes the files in `dir` have, as far as they can be seen.
pub(super) fn file_bytes(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.metadata().ok()).filter(fs::Metadata::is_file).map(|file| file.len()).sum()
}

/// A length inside a journal file, which never has more than `u32::MAX` bytes.
pub(super) fn u32_of(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
