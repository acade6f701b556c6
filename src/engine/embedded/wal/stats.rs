//! Statistics of a segment, by which retention tells what in it has expired without reading it.

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
