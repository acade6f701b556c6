//! Retention: how long events, messages and log entries are kept. How their space is reclaimed is the engine's.
//!
//! **What is kept.** An event until it is `event_age` old. A message until it is `conversation_age` old; a thread is
//! removed with its last message ([`maintenance`](crate::model::maintenance)). A log entry until it is `log_age` old,
//! or until newer entries fill `log_bytes`, whichever comes first. A delivery still pending when its event expires ends
//! as `expired`, with a log entry, and a dead letter is removed with its event: the writer does that in small steps
//! ([`maintenance`](crate::model::maintenance)), and only then may the event be dropped. If the entry that ended a
//! delivery is dropped before its event, a short record of the end replaces it, so that the delivery keeps its state.
//! An entry of the audit until it is `audit_age` old; it is in the view, so that a few of them do not hold the segments
//! of a year. Subscriptions and tokens are repeated in snapshots, so older records of them need not be kept.
//!
//! **Invariants.** Only records are removed that are in the durable view and are followed by a complete snapshot. An
//! unreadable record is kept. The work is done slowly in the background; the writer never waits for it.

use std::time::Duration;

use crate::core::time::Timestamp;
use crate::model::query::lowest_id;
use crate::model::record::Expired;

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
    /// The age at which entries of the audit expire.
    pub audit_age: Duration,
    /// In what parts, and how often, their space is reclaimed.
    pub reclaim: Reclaim,
}

/// In what parts, and how often, space is reclaimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reclaim {
    /// The smallest amount of data that is reclaimed at once, in bytes (1 MiB; 64 MiB at most).
    pub least_bytes: u64,
    /// The longest interval between two retention runs (60 s).
    pub every: Duration,
}

impl Default for Reclaim {
    fn default() -> Self {
        Self { least_bytes: 1 << 20, every: Duration::from_secs(60) }
    }
}

#[cfg(test)]
impl Reclaim {
    /// For tests, which do not have millions of events and do not wait.
    pub(crate) const fn for_test() -> Self {
        Self { least_bytes: 8 << 10, every: Duration::from_millis(50) }
    }
}

impl Rules {
    /// The time before which messages have expired.
    pub(crate) fn messages_over(&self, now: Timestamp) -> Timestamp {
        earlier(now, self.conversation_age)
    }

    /// The time before which events have expired.
    pub(crate) fn events_over(&self, now: Timestamp) -> Timestamp {
        earlier(now, self.event_age)
    }

    /// The time before which entries of the audit have expired.
    pub(crate) fn audit_over(&self, now: Timestamp) -> Timestamp {
        earlier(now, self.audit_age)
    }

    /// What has expired by age.
    pub(crate) fn expired(&self, now: Timestamp) -> Expired {
        Expired {
            oldest: false,
            log_below: lowest_id(Some(earlier(now, self.log_age))),
            events_below: lowest_id(Some(self.events_over(now))),
            messages_below: lowest_id(Some(self.messages_over(now))),
        }
    }
}

fn earlier(now: Timestamp, by: Duration) -> Timestamp {
    Timestamp::from_millis(now.millis().saturating_sub(u64::try_from(by.as_millis()).unwrap_or(u64::MAX)))
}
