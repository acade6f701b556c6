//! How keys are stored: a prefix for each kind of value, then the rest of the key. Beside the view's values the database
//! has a few of the engine's own. In sled, the keys of the view are in the [runs](super::run); as keys of sled only in a
//! database of a version without runs, and in one that was just restored.

use crate::engine::embedded::position::CheckpointPosition;
use crate::model::key::{Key, ValueKind};
use crate::model::{record, value};

/// The checkpoint position.
pub(crate) const POSITION: &[u8] = b"A";
/// How often the database was opened (u64): written to verify that a write is synced.
pub(crate) const OPENED: &[u8] = b"p";
/// What the runs consist of is stored under keys below this one; all others are above.
pub(crate) const OWN_KEYS_END: &[u8] = &[1];
/// The list of runs.
pub(crate) const MANIFEST: &[u8] = &[0, b'm'];
/// Prefix of the blocks of runs; then the number of the run (u64) and of the block (u32).
pub(crate) const BLOCKS: &[u8] = &[0, b'b'];
/// Prefix of the indexes of runs; then the number of the run (u64) and of the piece (u32).
pub(crate) const INDEXES: &[u8] = &[0, b'i'];
/// Prefix of unreadable values that were set aside, by their original keys.
const SET_ASIDE: u8 = b'x';

/// The prefix of a kind. [`ValueKind::InOrder`] sorts after [`ValueKind::LatestOf`], so that it reaches the disk last.
pub(crate) const fn prefix(kind: ValueKind) -> &'static [u8] {
    match kind {
        ValueKind::Group => b"a",
        ValueKind::FanOut => b"b",
        ValueKind::Counts => b"c",
        ValueKind::Discard => b"d",
        ValueKind::Erasure => b"e",
        ValueKind::Dead => b"f",
        ValueKind::Health => b"h",
        ValueKind::Producer => b"i",
        ValueKind::Counted => b"k",
        ValueKind::LatestOf => b"lc",
        ValueKind::Thread => b"lh",
        ValueKind::InOrder => b"lo",
        ValueKind::Latest => b"lt",
        ValueKind::Message => b"m",
        ValueKind::Sequence => b"n",
        ValueKind::Token => b"o",
        ValueKind::Session => b"g",
        ValueKind::SignIn => b"w",
        ValueKind::PortalLink => b"j",
        ValueKind::Owed => b"q",
        ValueKind::Replay => b"r",
        ValueKind::Subscription => b"s",
        ValueKind::Call => b"t",
        ValueKind::WithoutWebhook => b"u",
        ValueKind::Audit => b"ya",
        ValueKind::AuditTerm => b"yt",
    }
}

/// The key of a block of a run.
pub(crate) fn block_key(run: u64, number: u32) -> Vec<u8> {
    [BLOCKS, &run.to_be_bytes(), &number.to_be_bytes()].concat()
}

/// The key of a piece of the index of a run.
pub(crate) fn index_key(run: u64, number: u32) -> Vec<u8> {
    [INDEXES, &run.to_be_bytes(), &number.to_be_bytes()].concat()
}

/// The run that a key with this prefix belongs to.
pub(crate) fn run_of(prefix: &[u8], key: &[u8]) -> Option<u64> {
    key.strip_prefix(prefix)?.first_chunk().map(|run| u64::from_be_bytes(*run))
}

/// A key as stored.
pub(crate) fn stored(key: &Key) -> Vec<u8> {
    let (prefix, rest) = (prefix(key.kind()), key.rest());
    let mut out = Vec::with_capacity(prefix.len() + rest.len());
    out.extend_from_slice(prefix);
    out.extend_from_slice(rest);
    out
}

/// The key that is stored as this; `None` if it is none of the view's.
pub(crate) fn key_of(stored: &[u8]) -> Option<Key> {
    let rest_of = |kind: &ValueKind| stored.strip_prefix(prefix(*kind));
    ValueKind::ALL.iter().find_map(|kind| rest_of(kind).map(|rest| Key::new(*kind, rest.to_vec())))
}

/// The stored key under which an unreadable value is set aside.
pub(crate) fn aside(stored: &[u8]) -> Vec<u8> {
    [&[SET_ASIDE], stored].concat()
}

/// What is stored under a key.
pub(crate) enum Content {
    /// A value of the view.
    Value(Key),
    /// A value of the engine itself, with its name in messages, and whether it can be read.
    Own(&'static str, bool),
}

/// What is stored under a key; `None` if no version of this engine stores that.
pub(crate) fn content(key: &[u8], value: &[u8]) -> Option<Content> {
    Some(match key {
        POSITION => Content::Own("the checkpoint position", record::decode::<CheckpointPosition>(value).is_some()),
        OPENED => Content::Own("a count of openings", value.len() == 8),
        [SET_ASIDE, ..] => Content::Own("a value that was set aside", true),
        _ => Content::Value(key_of(key)?),
    })
}

/// The name in messages of what is stored under a key.
pub(crate) fn name(stored: &[u8]) -> &'static str {
    key_of(stored).map_or("a value", |key| key.kind().name())
}

/// Whether the store works without the value of a stored key, and it cannot be read.
pub(crate) fn is_unreadable_derived(stored: &[u8], value: &[u8]) -> bool {
    key_of(stored).is_some_and(|key| key.kind().is_derived() && !value::is_readable(&key, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_tell_the_kinds_apart() {
        for kind in ValueKind::ALL {
            let key = Key::new(kind, vec![0xFF, 1]);
            assert_eq!(key_of(&stored(&key)), Some(key));
            for other in ValueKind::ALL.into_iter().filter(|other| *other != kind) {
                assert!(!prefix(kind).starts_with(prefix(other)), "{kind:?} {other:?}");
            }
            assert!(!prefix(kind).starts_with(&[SET_ASIDE]) && ![POSITION, OPENED].contains(&prefix(kind)));
        }
        assert!(prefix(ValueKind::InOrder) > prefix(ValueKind::LatestOf), "what says that all are there comes last");
    }
}
