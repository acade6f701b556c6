//! Formats: which kinds of records a daemon may write, if daemons of an older version may work on the same data.
//!
//! Daemons of two versions work side by side while one is replaced by the other. What the newer one writes, the older one
//! must be able to read, or must not need to. So a kind of record that others must read belongs to a new format, and is
//! written only when all daemons know that: the engine says which it is ([`Handler::may_write`]). So it is with the values of
//! the view: of the derived ones a daemon sets aside what it cannot read. What always holds: of a record that a daemon does not
//! know, nothing is lost and nothing is guessed.
//!
//! [`Handler::may_write`]: crate::model::handler::Handler::may_write

use crate::model::error::StoreError;

/// A format of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Format(i32);

impl Format {
    /// The first one that several daemons have shared.
    const SHARED: Self = Self(2);
    /// Webhooks whose owners are mailed.
    const NOTIFYING: Self = Self(3);
    /// The one that this version knows. It is the version of the tables, too.
    pub(crate) const NEWEST: Self = Self::NOTIFYING;

    /// A format by its number.
    #[cfg(feature = "postgres")]
    pub(crate) const fn new(number: i32) -> Self {
        Self(number)
    }

    /// Its number.
    #[cfg(feature = "postgres")]
    pub(crate) const fn number(self) -> i32 {
        self.0
    }

    /// The format that a kind of record belongs to. A new kind goes to a new format, unless daemons that do not know it may
    /// overlook it: those of the audit (40) are read by whoever asks for them, and those of sessions, portal links and
    /// sign-ins (32 to 37) where somebody signs in: at worst that is to be done again.
    const fn of(kind: u8) -> Self {
        match kind {
            41 => Self::NOTIFYING,
            _ => Self::SHARED,
        }
    }

    /// Checks that this kind of record may be written if all daemons know this format; `setting` is what makes the record of
    /// that kind.
    ///
    /// # Errors
    /// Daemons that do not know it may be there.
    pub(crate) fn admit(self, kind: u8, setting: &str) -> Result<(), StoreError> {
        if Self::of(kind) <= self {
            return Ok(());
        }
        Err(StoreError::Conflict(format!(
            "{setting} cannot be set yet, because a daemon of an older version could not read it: replace all daemons by this \
             version, then run `hookswitch store upgrade --finish`"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::record::KINDS;

    #[test]
    fn what_an_older_daemon_must_read_waits_until_all_know_it() {
        let refused = Format::SHARED.admit(41, "`notify`").unwrap_err();
        assert!(
            matches!(&refused, StoreError::Conflict(why) if why.starts_with("`notify` cannot be set yet")),
            "{refused}"
        );
        Format::NEWEST.admit(41, "`notify`").unwrap();
        Format::SHARED.admit(27, "`template`").unwrap();
    }

    #[test]
    fn this_version_knows_the_formats_of_all_kinds() {
        assert!(KINDS.iter().flat_map(|kinds| kinds.iter()).all(|kind| Format::of(*kind) <= Format::NEWEST));
    }
}
