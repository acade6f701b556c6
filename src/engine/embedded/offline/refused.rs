//! Why nothing could be done with a store or a backup.

use std::fmt;

/// Why nothing could be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// It cannot be done like that, or the machine said no: a directory that is not empty, no room.
    Failed(String),
    /// What was to be read is damaged, or of a version that is not known.
    Damaged(String),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(what) | Self::Damaged(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for Refused {}
