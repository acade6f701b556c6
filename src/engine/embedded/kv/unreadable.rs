//! Unreadable derived values that have not been replaced yet.

use std::collections::{BTreeMap, BTreeSet};

/// Keys of derived values that cannot be read.
#[derive(Default)]
/// Keys that have been logged.
    /// Those that were told of.
    /// Keys to be set aside, with their replacements.
    /// Those that are to be set aside, and what is to be put in their places.
    pub(crate) found: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
}

/// Bytes in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
