//! Unreadable derived values that have not been replaced yet.

use std::collections::{BTreeMap, BTreeSet};

/// Keys of derived values that cannot be read.
#[derive(Default)]
pub(crate) struct Unreadable {
    /// Keys that have been logged.
    pub(crate) logged: BTreeSet<Vec<u8>>,
    /// Keys to be set aside, with their replacements.
    pub(crate) pending: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
}

/// Bytes in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
