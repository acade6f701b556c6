//! What an engine tells of one file of its log, and what it is told to do with the records in it.

use crate::model::record::Head;
use crate::model::term::Terms;

/// What there is in a journal file, in short.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentStats {
    /// The first byte behind its last frame; 0 if it has none.
    pub(crate) end: u32,
    /// How many bytes of it are entries of the log.
    pub(crate) logged: u32,
    /// The id of the last of them; 0 if there is none.
    pub(crate) last_logged: u128,
    /// The id of the last frame that is an event, or goes when its event goes; 0 if there is none.
    pub(crate) last_event: u128,
    /// The id of the last message; 0 if there is none.
    pub(crate) last_message: u128,
    /// By how many milliseconds an id in it is younger, at most, than the time that its frame tells: of an entry of the
    /// log, as long as its attempt took; otherwise only where the clock was set back.
    pub(crate) late: u64,
}

impl Disposition {
    /// It stays if `kept`.
    pub(crate) const fn keep_if(kept: bool) -> Self {
        if kept { Self::Keep } else { Self::Drop }
    }
}

/// What becomes of a frame.
pub(crate) enum Disposition {
    /// It stays.
    Keep,
    /// It goes.
    Drop,
    /// It stays under the same id, as this kind with this payload.
    Replace(u8, Vec<u8>),
}

/// What becomes of a record in the statistics and lists of its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// An event.
    Event,
    /// It goes when its event goes.
    WithEvent,
    /// An entry of the log of attempts.
    LogEntry,
    /// A message.
    Message,
    /// Anything else.
    Other,
}

/// What an engine must be told about records, whose meaning it does not know.
#[derive(Clone, Copy)]
pub(crate) struct Schema {
    /// The class of a kind.
    pub(crate) class: fn(u8) -> Class,
    /// The terms under which a record is found.
    pub(crate) terms: fn(Head, &[u8]) -> Terms,
    /// Whether records of a kind may not say whose they are.
    pub(crate) may_be_unowned: fn(u8) -> bool,
}

impl std::fmt::Debug for Schema {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Schema")
    }
}

/// What is over in one journal file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Due {
    /// The file's number.
    pub(crate) number: u32,
    /// Whether it is the oldest.
    pub(crate) oldest: bool,
    /// Entries of the log with ids below are over.
    pub(crate) log_below: u128,
    /// Events with ids below are over.
    pub(crate) events_below: u128,
    /// Messages with ids below are over.
    pub(crate) messages_below: u128,
}
