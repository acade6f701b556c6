//! How the space of expired records is reclaimed: the size and age of segments, and which of them are due.
//!
//! Events and log entries expire in the order in which they were written, so rewriting a segment to remove a part of
//! them gains nothing. A segment is rewritten once, when all its log entries have expired while events in it have not
//! (or the other way round), and dropped when it is the oldest and nothing in it is retained. Expired data therefore
//! stays for at most the span of one segment: segments are a small part of `log_bytes` and of the total
//! ([`segment_bytes`]), and one that has been written to for an eighth of the shortest age is closed though it is not
//! full ([`segment_age`]). An empty segment in the middle stays as a header until it is the oldest, so that a missing
//! one is noticed.
//!
//! Pure functions; the [retention worker](super::retention_worker) does the work. Knows ages and classes of records,
//! not their meaning.

use std::time::Duration;

use crate::core::time::Timestamp;
use crate::engine::embedded::wal::stats::SegmentStats;
use crate::model::record::Expired;
use crate::model::retention::Rules;

/// The largest size at which a segment is full, in bytes.
const MOST_SEGMENT_BYTES: u64 = 64 << 20;
/// The approximate number of segments of the log, each of which is an open file.
const SEGMENTS: u64 = 256;
/// The fraction of an age, or of `log_bytes`, that one segment may span.
const PART: u32 = 8;

/// A segment with something to remove.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Due {
    /// The segment's number.
    pub(crate) number: u32,
    /// What has expired in it.
    pub(crate) expired: Expired,
}

/// How long a segment is written to, unless it is full earlier.
pub(crate) fn segment_age(rules: &Rules) -> Duration {
    rules.log_age.min(rules.event_age).min(rules.conversation_age) / PART
}

/// The longest interval between two retention runs: a quarter of [`segment_age`], within 50 ms and
/// [`Reclaim::every`](crate::model::retention::Reclaim::every).
pub(crate) fn run_every(rules: &Rules) -> Duration {
    (segment_age(rules) / 4).min(rules.reclaim.every).max(Duration::from_millis(50))
}

/// The size at which a segment is full, if all segments together have `total` bytes.
pub(crate) fn segment_bytes(rules: &Rules, total: u64) -> u32 {
    let wanted = (rules.log_bytes / u64::from(PART)).max(total / SEGMENTS);
    u32::try_from(wanted.max(rules.reclaim.least_bytes).min(MOST_SEGMENT_BYTES)).unwrap_or(u32::MAX)
}

/// The segments with something to remove, oldest first. `stats` has all segments, newest last; only those below
/// `before` may be touched.
pub(crate) fn due(rules: &Rules, stats: &[(u32, SegmentStats)], before: u32, now: Timestamp) -> Vec<Due> {
    let by_age = rules.expired(now);
    let mut newer = stats.iter().map(|(_, stats)| u64::from(stats.logged)).sum::<u64>();
    let mut due = Vec::new();
    for (age, (number, stats)) in stats.iter().enumerate() {
        newer -= u64::from(stats.logged);
        let log_below = if newer >= rules.log_bytes { u128::MAX } else { by_age.log_below };
        let expired = Expired { oldest: age == 0, log_below, ..by_age };
        let log_over = stats.logged > 0 && stats.last_logged < log_below;
        let events_over = stats.last_event != 0 && stats.last_event < expired.events_below;
        let messages_over = stats.last_message != 0 && stats.last_message < expired.messages_below;
        let empty = stats.logged == 0 && stats.last_event == 0 && stats.last_message == 0;
        if *number < before && (log_over || events_over || messages_over || empty) {
            due.push(Due { number: *number, expired });
        }
    }
    due
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::retention::Reclaim;

    #[test]
    fn only_expired_data_in_mutable_segments_is_due() {
        let hour = 3_600_000;
        let rules = Rules {
            log_age: Duration::from_millis(2 * hour),
            log_bytes: 1000,
            event_age: Duration::from_millis(4 * hour),
            conversation_age: Duration::from_millis(4 * hour),
            audit_age: Duration::from_millis(4 * hour),
            reclaim: Reclaim::for_test(),
        };
        let now = Timestamp::from_millis(10 * hour);
        let at = |hour_of: u64| u128::from(hour_of * hour) << 80;
        let file = |logged: u32, log: u64, event: u64| SegmentStats {
            end: 32,
            logged,
            last_logged: at(log),
            last_event: at(event),
            last_message: 0,
            late: 0,
        };
        let due_of = |files: &[SegmentStats], before: u32| -> Vec<u32> {
            let numbered: Vec<_> = (3..).zip(files.iter().copied()).collect();
            due(&rules, &numbered, before, now).iter().map(|due| due.number).collect()
        };
        let young = file(10, 9, 9);
        assert!(due_of(&[young, young, young], 9).is_empty());
        assert_eq!(due_of(&[file(10, 7, 7), file(10, 9, 5), young], 9), [3, 4], "by the age of each kind");
        assert_eq!(due_of(&[file(10, 7, 7), file(10, 9, 5), young], 4), [3], "only below what may be touched");
        assert_eq!(due_of(&[file(0, 0, 7), file(0, 0, 0), young], 9), [4], "nothing is in it");
        assert_eq!(due_of(&[file(600, 9, 9), file(600, 9, 9), file(600, 9, 9)], 9), [3], "by size, the oldest");
    }
}
