//! How the record of a subscription has grown: its encodings, and the settings that came later.

use bincode::{Decode, Encode};

use crate::core::subscription::Nested;
use crate::model::record::codec::Word as _;

/// The encoding of a record; the number is the version of its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// In plaintext.
    Plain = 1,
    /// In plaintext, with a client certificate.
    Certified = 2,
    /// With sealed secrets.
    Sealed = 3,
    /// With later settings, followed by any rest.
    Extended = 4,
    /// With the settings of the target as well.
    Targeted = 5,
    /// With further settings after it.
    Further = 6,
}

impl Form {
    /// All forms, by number.
    pub(super) const ALL: [Self; 6] =
        [Self::Plain, Self::Certified, Self::Sealed, Self::Extended, Self::Targeted, Self::Further];
}

/// Settings added later.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub(super) struct Extension {
    pub(super) nested: String,
}

/// Settings added after those of the target.
#[derive(Clone, Default, PartialEq, Eq, Encode, Decode)]
pub(super) struct More {
    pub(super) notify: Vec<String>,
}

impl Default for Extension {
    fn default() -> Self {
        Self { nested: Nested::Brackets.word() }
    }
}
