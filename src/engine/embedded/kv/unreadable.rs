//! Derived values that were found to be unreadable, until they are replaced.

use std::collections::{BTreeMap, BTreeSet};

/// Keys of derived values that cannot be read.
#[derive(Default)]
pub(crate) struct Unreadable {
    /// Those that were told of.
    pub(crate) told: BTreeSet<Vec<u8>>,
    /// Those that are to be set aside, and what is to be put in their places.
    pub(crate) found: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
}

/// Bytes as people write them down.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
