//! The error of offline operations.

use std::fmt;

use crate::model::error::Damage;

/// Why an operation was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// It is not possible, or the system reported an error: a directory that is not empty, no space.
    Failed(String),
    /// The input is damaged or of an unknown version.
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

impl From<Damage> for Refused {
    fn from(damage: Damage) -> Self {
        Self::Failed(damage.to_string())
    }
}
