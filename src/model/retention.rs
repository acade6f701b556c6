//! Retention: how long events and log entries are kept, and how their space is reclaimed.
//!
//! **What is kept.** An event until it is `event_age` old. A message until it is `conversation_age` old; a thread is
//! removed with its last message ([`maintenance`](crate::model::maintenance)). A log entry until it is `log_age` old,
//! or until newer entries fill `log_bytes`, whichever comes first. A delivery still pending when its event expires ends
//! as `expired`, with a log entry, and a dead letter is removed with its event: the writer does that in small steps
//! ([`maintenance`](crate::model::maintenance)), and only then may the event be dropped. If the entry that ended a
//! delivery is dropped before its event, a short record of the end replaces it, so that the delivery keeps its state.
//! Subscriptions and tokens are repeated in the snapshot at the beginning of every segment, so older segments need not
//! keep them.
//!
//! **How it is reclaimed.** Events and log entries expire in the order in which they were written, so rewriting a
//! segment to remove a part of them gains nothing. A segment is rewritten once, when all its log entries have expired
//! while events in it have not (or the other way round), and dropped when it is the oldest and nothing in it is
//! retained. Expired data therefore stays for at most the span of one segment: segments are a small part of `log_bytes`
//! and of the total ([`Rules::file_bytes`]), and one that has been written to for an eighth of the shortest age is
//! closed though it is not full ([`Rules::file_age`]). An empty segment in the middle stays as a header until it is the
//! oldest, so that a missing one is noticed.
//!
//! **Invariants.** Only segments are touched that a checkpoint covers and that are followed by a complete snapshot. An
//! unreadable record is kept, and a damaged segment is left unchanged. The work is done slowly by a thread of its own;
//! the writer never waits for it.

use std::time::Duration;

use crate::core::time::Timestamp;
use crate::model::query::lowest_id;
use crate::model::segment::{Due, SegmentStats};

/// The largest size at which a segment is full, in bytes.
const MOST_FILE_BYTES: u64 = 64 << 20;
/// The approximate number of segments of the log, each of which is an open file.
const FILES: u64 = 256;
/// The fraction of an age, or of `log_bytes`, that one segment may span.
const PART: u32 = 8;

/// How long data is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// The age at which log entries expire.
    pub log_age: Duration,
    /// The maximum total size of log entries, in bytes.
    pub log_bytes: u64,
    /// The age at which events expire.
    pub event_age: Duration,
    /// The age at which messages expire.
    pub conversation_age: Duration,
    /// In what parts, and how often, their space is reclaimed.
    pub reclaim: Reclaim,
}

/// In what parts, and how often, space is reclaimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reclaim {
    /// The smallest size at which a segment is full, in bytes (1 MiB; 64 MiB at most).
    pub least_file_bytes: u64,
    /// The longest interval between two retention runs while no segment fills (60 s).
    pub every: Duration,
}

impl Default for Reclaim {
    fn default() -> Self {
        Self { least_file_bytes: 1 << 20, every: Duration::from_secs(60) }
    }
}

#[cfg(test)]
impl Reclaim {
    /// For tests, which do not have millions of events and do not wait.
    pub(crate) const fn for_test() -> Self {
        Self { least_file_bytes: 8 << 10, every: Duration::from_millis(50) }
    }
}

impl Rules {
    /// How long a segment is written to, unless it is full earlier.
    pub(crate) fn file_age(&self) -> Duration {
        self.log_age.min(self.event_age).min(self.conversation_age) / PART
    }

    /// The longest interval between two retention runs: a quarter of [`file_age`](Self::file_age), within 50 ms and
    /// [`Reclaim::every`].
    pub(crate) fn run_every(&self) -> Duration {
        (self.file_age() / 4).min(self.reclaim.every).max(Duration::from_millis(50))
    }

    /// The size at which a segment is full, if all segments together have `total` bytes.
    pub(crate) fn file_bytes(&self, total: u64) -> u32 {
        let wanted = (self.log_bytes / u64::from(PART)).max(total / FILES);
        u32::try_from(wanted.max(self.reclaim.least_file_bytes).min(MOST_FILE_BYTES)).unwrap_or(u32::MAX)
    }

    /// The time before which messages have expired.
    pub(crate) fn messages_over(&self, now: Timestamp) -> Timestamp {
        earlier(now, self.conversation_age)
    }

    /// The time before which events have expired.
    pub(crate) fn events_over(&self, now: Timestamp) -> Timestamp {
        earlier(now, self.event_age)
    }
}

fn earlier(now: Timestamp, by: Duration) -> Timestamp {
    Timestamp::from_millis(now.millis().saturating_sub(u64::try_from(by.as_millis()).unwrap_or(u64::MAX)))
}

/// The segments with something to remove, oldest first. `stats` has all segments, newest last; only those below
/// `before` may be touched.
pub(crate) fn due(rules: &Rules, stats: &[(u32, SegmentStats)], before: u32, now: Timestamp) -> Vec<Due> {
    let log_below = lowest_id(Some(earlier(now, rules.log_age)));
    let events_below = lowest_id(Some(rules.events_over(now)));
    let messages_below = lowest_id(Some(rules.messages_over(now)));
    let mut newer = stats.iter().map(|(_, stats)| u64::from(stats.logged)).sum::<u64>();
    let mut due = Vec::new();
    for (age, (number, stats)) in stats.iter().enumerate() {
        newer -= u64::from(stats.logged);
        let log_below = if newer >= rules.log_bytes { u128::MAX } else { log_below };
        let log_over = stats.logged > 0 && stats.last_logged < log_below;
        let events_over = stats.last_event != 0 && stats.last_event < events_below;
        let messages_over = stats.last_message != 0 && stats.last_message < messages_below;
        let empty = stats.logged == 0 && stats.last_event == 0 && stats.last_message == 0;
        if *number < before && (log_over || events_over || messages_over || empty) {
            due.push(Due { number: *number, oldest: age == 0, log_below, events_below, messages_below });
        }
    }
    due
}
