//! Retention: how long events and entries of the log are kept, and giving their space back.
//!
//! **What is kept.** An event until it is `event_age` old. A message until it is `conversation_age` old; a thread goes with
//! its last message ([`tidy`](crate::model::tidy)). An entry of the log until it is `log_age` old, or
//! until the entries after it fill `log_bytes`, whatever comes first. A delivery that is still owed ends as
//! `expired`, in the log, when its event's time is over, and a dead letter goes with its event: the committer
//! does that in small steps ([`tidy`](crate::model::tidy)), and only then may the event go. Where an entry that ended
//! a delivery goes before its event does, a short frame stays that says how it ended, so that the delivery is
//! shown as what it is. Subscriptions and tokens are written again at the beginning of every journal file; the files
//! before it need not keep them.
//!
//! **How it goes.** Both kinds leave in the order in which they came, so nothing is gained by writing a file
//! again for a part of them. A file is written again once, when all its entries of the log are over while
//! events in it are not (or the other way round), and dropped when it is the oldest and nothing in it is
//! kept. What is over therefore stays at most as long as one file lasts: files are a small part of `log_bytes`
//! and of what there is ([`Rules::file_bytes`]), and one that has been written to for an eighth of the shorter age
//! is closed though it is not full ([`Rules::file_age`]). An empty file in the middle stays as a header until
//! it is the oldest, so that a missing one is noticed.
//!
//! **Always.** Only files that the state database has taken in, and behind which all subscriptions are
//! written again, are touched. A frame that cannot be read is kept, and a damaged file is left as it is. The
//! work is done by a thread of its own ([`keeper`]), slowly; the committer never waits for it.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::core::time::Timestamp;
use crate::model::query::lowest_id;
use crate::model::segment::{Due, SegmentStats};

/// How large a journal file becomes, in bytes. The least in tests, which have no millions of events.
const FILE_BYTES: RangeInclusive<u64> = if cfg!(test) { 8 << 10..=64 << 20 } else { 1 << 20..=64 << 20 };
/// Into about how many files the journal is divided: so many are open at once.
const FILES: u64 = 256;
/// The part of an age, or of `log_bytes`, that one file may hold.
const PART: u32 = 8;

/// How long things are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// How old an entry of the log becomes.
    pub log_age: Duration,
    /// How many bytes of entries of the log are kept.
    pub log_bytes: u64,
    /// How old an event becomes.
    pub event_age: Duration,
    /// How old a message of a conversation becomes.
    pub conversation_age: Duration,
}

impl Rules {
    /// For how long one journal file is written to, if it does not fill before.
    pub(crate) fn file_age(&self) -> Duration {
        self.log_age.min(self.event_age).min(self.conversation_age) / PART
    }

    /// At what size a journal file is full, if all files together have `total` bytes.
    pub(crate) fn file_bytes(&self, total: u64) -> u32 {
        let wanted = (self.log_bytes / u64::from(PART)).max(total / FILES);
        u32::try_from(wanted.clamp(*FILE_BYTES.start(), *FILE_BYTES.end())).unwrap_or(u32::MAX)
    }

    /// The time up to which messages are over.
    pub(crate) fn messages_over(&self, now: Timestamp) -> Timestamp {
        earlier(now, self.conversation_age)
    }

    /// The time up to which events are over.
    pub(crate) fn events_over(&self, now: Timestamp) -> Timestamp {
        earlier(now, self.event_age)
    }
}

fn earlier(now: Timestamp, by: Duration) -> Timestamp {
    Timestamp::from_millis(now.millis().saturating_sub(u64::try_from(by.as_millis()).unwrap_or(u64::MAX)))
}

/// The files out of which something is to go, the oldest first. `stats` are all files, the newest last;
/// only those below `before` may be touched.
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
