//! Why the store does not do what was requested, by who must act: the client, now or later, or the operator.
//!
//! Callers decide by the variant; the sentences are for people. Must not know HTTP: `http::problem` maps each variant
//! to a status.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::core::invalid::Invalid;

/// Why a read or a write failed. Sentences begin in lower case and have no full stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreError {
    /// Overloaded: the client retries a little later.
    Busy,
    /// The requested item does not exist.
    NotFound,
    /// The request conflicts with the current state, for example retrying a delivery that is in flight. The sentence
    /// says why.
    Conflict(String),
    /// The request is invalid given the current state: the client corrects it.
    Invalid(Invalid),
    /// A limit would be exceeded: the client makes room or asks for less. The sentence names the limit.
    Limit(String),
    /// Too little disk space for new data: the operator frees some. The sentence says where, and how much there is.
    DiskFull(String),
    /// Data read differs from what was written: the operator restores a backup or salvages what is readable.
    Corrupt {
        /// The file, or `state` for the state database.
        path: PathBuf,
        /// Continues after the path: 'is damaged at byte 7'.
        detail: String,
    },
    /// The operating system failed to read or write: the operator checks the disk and the process's limits.
    Io {
        /// The file, or `state` for the state database.
        path: PathBuf,
        /// Continues after the path: 'cannot be read: Input/output error'.
        detail: String,
    },
    /// Nothing can be read or written at present: the client retries, a write with the same id.
    Unavailable(Outage),
}

/// Why nothing can be read or written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outage {
    /// The store has failed or is closing, and durability is unknown.
    Ended,
    /// The database server is away: nothing was read or written.
    Away,
    /// The database server has too few standbys: nothing was written.
    Standbys,
    /// The connection was lost during a commit, which the database server may have made.
    Unknown,
}

impl fmt::Display for Outage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ended => "the store has failed or is closing; nothing is known to have been stored",
            Self::Away => {
                "the database server cannot be used at present, and nothing was stored; ask again a little later, \
                 and what is to be stored post again with the same id"
            }
            Self::Standbys => {
                "the database server has too few synchronous standbys at present, and nothing was stored; post it \
                 again with the same id a little later"
            }
            Self::Unknown => {
                "the database server did not say whether this was stored; post it again with the same id a little \
                 later, and it is stored once"
            }
        })
    }
}

impl StoreError {
    /// Corruption of the state database; `detail` continues after 'the state database'.
    pub(crate) fn corrupt_state(detail: impl Into<String>) -> Self {
        Self::Corrupt { path: PathBuf::from("state"), detail: detail.into() }
    }

    /// Corruption of the write-ahead log; `detail` continues after 'the journal'.
    pub(crate) fn corrupt_log(detail: impl Into<String>) -> Self {
        Self::Corrupt { path: PathBuf::from("journal"), detail: detail.into() }
    }

    /// `doing` is the failed action, as in 'cannot be written'.
    pub(crate) fn io(path: &Path, doing: &str, error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::DiskFull(format!("{} {doing}: {error}; make room on that disk", path.display()))
            }
            _ => Self::Io { path: path.to_owned(), detail: format!("{doing}: {error}") },
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy => f.write_str("the store is overloaded; ask again"),
            Self::NotFound => f.write_str("there is nothing with this id"),
            Self::Conflict(detail) | Self::Limit(detail) | Self::DiskFull(detail) => f.write_str(detail),
            Self::Invalid(invalid) => {
                let faults = invalid.errors.iter().map(|error| format!("`{}` {}", error.pointer, error.detail));
                f.write_str(&faults.collect::<Vec<_>>().join("; "))
            }
            Self::Corrupt { path, detail } => {
                write!(f, "{} {detail}: its data is not served; {REMEDY}", path.display())
            }
            Self::Io { path, detail } => write!(f, "{} {detail}", path.display()),
            Self::Unavailable(outage) => outage.fmt(f),
        }
    }
}

impl std::error::Error for StoreError {}

impl From<Damage> for StoreError {
    fn from(damage: Damage) -> Self {
        let (path, detail) = (damage.path().to_owned(), damage.detail().to_owned());
        if damage.is_io() { Self::Io { path, detail } } else { Self::Corrupt { path, detail } }
    }
}

impl From<StoreError> for Damage {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Corrupt { path, detail } => Self::new(&path, detail),
            StoreError::Io { path, detail } => Self::failed(&path, detail),
            other => Self::failed(Path::new("state"), other.to_string()),
        }
    }
}

impl From<StateError> for StoreError {
    fn from(error: StateError) -> Self {
        Damage::from(error).into()
    }
}

/// What to do about a damaged directory.
pub(crate) const REMEDY: &str = "either restore a backup (`hookswitch restore FILE --data-dir DIR`), \
                      or salvage what is readable (`hookswitch verify --salvage --data-dir DIR --into NEWDIR`)";

/// Damaged, unreadable or unwritable data on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    path: PathBuf,
    detail: String,
    io: bool,
}

impl Damage {
    /// `detail` continues after the path: 'is damaged at byte 7'.
    pub(crate) fn new(path: &Path, detail: impl Into<String>) -> Self {
        Self { path: path.to_owned(), detail: detail.into(), io: false }
    }

    /// An operating system error, which does not mean that the data is bad; but a file that ends too early is damaged.
    /// `doing` is the failed action, as in 'cannot be read'.
    pub(crate) fn io(path: &Path, doing: impl fmt::Display, error: &io::Error) -> Self {
        Self {
            path: path.to_owned(),
            detail: format!("{doing}: {error}"),
            io: error.kind() != io::ErrorKind::UnexpectedEof,
        }
    }

    /// As [`Damage::io`], if only a sentence is known.
    pub(crate) fn failed(path: &Path, detail: impl Into<String>) -> Self {
        Self { path: path.to_owned(), detail: detail.into(), io: true }
    }
}

impl Damage {
    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is an operating system error rather than bad data.
    pub(crate) const fn is_io(&self) -> bool {
        self.io
    }

    /// The sentence after the path.
    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.path.display(), self.detail)
    }
}

impl std::error::Error for Damage {}

/// Why an operation on the state database failed.
#[derive(Debug, Clone)]
pub(crate) enum StateError {
    /// sled or the disk failed.
    Failed(String),
    /// Data read differs from what was written; continues after 'the state database'.
    Corrupt(String),
}

impl StateError {
    /// `what` is unreadable.
    pub(crate) fn unreadable(what: &str) -> Self {
        Self::Corrupt(format!("has {what} that cannot be read"))
    }
}

impl fmt::Display for StateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(why) => write!(f, "the state database failed: {why}"),
            Self::Corrupt(detail) => write!(f, "the state database {detail}"),
        }
    }
}

impl From<StateError> for Damage {
    fn from(error: StateError) -> Self {
        let path = Path::new("state");
        match error {
            StateError::Failed(why) => Self::failed(path, format!("failed: {why}")),
            StateError::Corrupt(detail) => Self::new(path, detail),
        }
    }
}

/// A length within a segment, which never has more than `u32::MAX` bytes.
pub(crate) fn u32_of(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_an_io_error_and_damage_are_distinct() {
        let io = |kind: io::ErrorKind| StoreError::io(Path::new("erasing/1"), "cannot be written", &kind.into());
        assert!(matches!(io(io::ErrorKind::StorageFull), StoreError::DiskFull(_)));
        assert!(matches!(io(io::ErrorKind::QuotaExceeded), StoreError::DiskFull(_)));
        assert!(matches!(io(io::ErrorKind::PermissionDenied), StoreError::Io { .. }));
        let path = Path::new("journal/000001.log");
        assert!(matches!(Damage::new(path, "is damaged at byte 7").into(), StoreError::Corrupt { .. }));
        let failed = Damage::io(path, "cannot be read at byte 7", &io::ErrorKind::Other.into());
        assert!(matches!(failed.into(), StoreError::Io { .. }));
        assert!(matches!(StateError::unreadable("a part").into(), StoreError::Corrupt { .. }));
    }

    #[test]
    fn messages_name_the_file_and_the_remedy() {
        let damaged = StoreError::from(Damage::new(Path::new("journal/000001.log"), "is damaged at byte 7"));
        let said = damaged.to_string();
        assert!(said.starts_with("journal/000001.log is damaged at byte 7: "), "{said}");
        assert!(said.contains("hookswitch restore"), "{said}");
        let failed =
            StoreError::io(Path::new("erasing/1"), "cannot be written", &io::ErrorKind::PermissionDenied.into());
        assert_eq!(failed.to_string(), "erasing/1 cannot be written: permission denied");
    }
}
