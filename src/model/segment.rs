//! The interface about segments of the log: their statistics, and what to do with the records in them.

use crate::model::record::Head;
use crate::model::term::Terms;

/// Statistics of a segment.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentStats {
    /// The end of its last record; 0 if it has none.
    pub(crate) end: u32,
    /// The size of its log entries, in bytes.
    pub(crate) logged: u32,
    /// The id of the last log entry; 0 if there is none.
    pub(crate) last_logged: u128,
    /// The id of the last record that is an event, or expires with its event; 0 if there is none.
    pub(crate) last_event: u128,
    /// The id of the last message; 0 if there is none.
    pub(crate) last_message: u128,
    /// The maximum by which an id is later than its record's time, in milliseconds: for a log entry the duration of its
    /// attempt; otherwise nonzero only if the clock was set back.
    pub(crate) late: u64,
}

impl Disposition {
    /// Keeps the record if `kept`.
    pub(crate) const fn keep_if(kept: bool) -> Self {
        if kept { Self::Keep } else { Self::Drop }
    }
}

/// What to do with a record.
pub(crate) enum Disposition {
    /// Keep it.
    Keep,
    /// Drop it.
    Drop,
    /// Replace it, under the same id, by this kind with this payload.
    Replace(u8, Vec<u8>),
}

/// The class of a record in segment statistics and lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// An event.
    Event,
    /// Expires with its event.
    WithEvent,
    /// A log entry.
    LogEntry,
    /// A message.
    Message,
    /// Anything else.
    Other,
}

/// What an engine needs to know about records, since it does not know their meaning.
#[derive(Clone, Copy)]
pub(crate) struct Schema {
    /// The class of a kind.
    pub(crate) class: fn(u8) -> Class,
    /// The index terms of a record.
    pub(crate) terms: fn(Head, &[u8]) -> Terms,
    /// Whether records of a kind may lack an owner.
    pub(crate) may_be_unowned: fn(u8) -> bool,
}

impl std::fmt::Debug for Schema {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Schema")
    }
}

/// What has expired in a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Due {
    /// The segment's number.
    pub(crate) number: u32,
    /// Whether it is the oldest.
    pub(crate) oldest: bool,
    /// Log entries with ids below have expired.
    pub(crate) log_below: u128,
    /// Events with ids below have expired.
    pub(crate) events_below: u128,
    /// Messages with ids below have expired.
    pub(crate) messages_below: u128,
}
