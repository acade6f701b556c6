//! Retention: how long events and entries of the log are kept, and giving their space back.
//!
//! **What is kept.** An event until it is `event_age` old. A message until it is `conversation_age` old; a thread goes with
//! its last message ([`tidy`](super::tidy)). An entry of the log until it is `log_age` old, or
//! until the entries after it fill `log_bytes`, whatever comes first. A delivery that is still owed ends as
//! `expired`, in the log, when its event's time is over, and a dead letter goes with its event: the committer
//! does that in small steps ([`tidy`](super::tidy)), and only then may the event go. Where an entry that ended
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

pub(super) mod keeper;

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::core::id::DeliveryId;
use crate::core::time::Timestamp;

use super::frame::Head;
use super::journal::{Fate, Outline, kind};
use super::place::Damage;
use super::query::{ended_record, lowest_id};
use super::record::{self, Accepted, Before, DeliveryRecord, EndedRecord, Logged};

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
    pub(super) fn file_age(&self) -> Duration {
        self.log_age.min(self.event_age).min(self.conversation_age) / PART
    }

    /// At what size a journal file is full, if all files together have `total` bytes.
    pub(super) fn file_bytes(&self, total: u64) -> u32 {
        let wanted = (self.log_bytes / u64::from(PART)).max(total / FILES);
        u32::try_from(wanted.clamp(*FILE_BYTES.start(), *FILE_BYTES.end())).unwrap_or(u32::MAX)
    }

    /// The time up to which messages are over.
    pub(super) fn messages_over(&self, now: Timestamp) -> Timestamp {
        earlier(now, self.conversation_age)
    }

    /// The time up to which events are over.
    pub(super) fn events_over(&self, now: Timestamp) -> Timestamp {
        earlier(now, self.event_age)
    }
}

fn earlier(now: Timestamp, by: Duration) -> Timestamp {
    Timestamp::from_millis(now.millis().saturating_sub(u64::try_from(by.as_millis()).unwrap_or(u64::MAX)))
}

/// What is over in one journal file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Due {
    /// The file's number.
    pub(super) number: u32,
    /// Whether it is the oldest.
    oldest: bool,
    /// Entries of the log with ids below are over.
    log_below: u128,
    /// Events with ids below are over.
    events_below: u128,
    /// Messages with ids below are over.
    messages_below: u128,
}

/// The files out of which something is to go, the oldest first. `outlines` are all files, the newest last;
/// only those below `before` may be touched.
pub(super) fn due(rules: &Rules, outlines: &[(u32, Outline)], before: u32, now: Timestamp) -> Vec<Due> {
    let log_below = lowest_id(Some(earlier(now, rules.log_age)));
    let events_below = lowest_id(Some(rules.events_over(now)));
    let messages_below = lowest_id(Some(rules.messages_over(now)));
    let mut newer = outlines.iter().map(|(_, outline)| u64::from(outline.logged)).sum::<u64>();
    let mut due = Vec::new();
    for (age, (number, outline)) in outlines.iter().enumerate() {
        newer -= u64::from(outline.logged);
        let log_below = if newer >= rules.log_bytes { u128::MAX } else { log_below };
        let log_over = outline.logged > 0 && outline.last_logged < log_below;
        let events_over = outline.last_event != 0 && outline.last_event < events_below;
        let messages_over = outline.last_message != 0 && outline.last_message < messages_below;
        let empty = outline.logged == 0 && outline.last_event == 0 && outline.last_message == 0;
        if *number < before && (log_over || events_over || messages_over || empty) {
            due.push(Due { number: *number, oldest: age == 0, log_below, events_below, messages_below });
        }
    }
    due
}

/// What becomes of a frame of a file that is due. `waits` says whether a delivery is owed or a dead letter.
pub(super) fn fate(
    due: &Due,
    head: Head,
    payload: &[u8],
    waits: &mut dyn FnMut(DeliveryId) -> Result<bool, Damage>,
) -> Result<Fate, Damage> {
    if head.version != record::VERSION {
        return Ok(Fate::Keep);
    }
    let keep_if = |kept: bool| if kept { Fate::Keep } else { Fate::Drop };
    Ok(match head.kind {
        kind::ACCEPTED if head.id >= due.events_below => Fate::Keep,
        kind::ACCEPTED => {
            let Some(accepted) = record::decode::<Accepted>(payload) else { return Ok(Fate::Keep) };
            for owed in &accepted.owed {
                if waits(owed.id())? {
                    return Ok(Fate::Keep);
                }
            }
            Fate::Drop
        }
        kind::LOGGED if head.id >= due.log_below => Fate::Keep,
        kind::LOGGED => record::decode::<Logged>(payload).map_or(Fate::Keep, |logged| shortened(due, logged)),
        kind::ENDED | kind::ENDED_OF_COMPANY => {
            let ended = ended_record(head.kind, payload);
            keep_if(ended.is_none_or(|ended| ended.event().bits() >= due.events_below))
        }
        kind::REQUEUED => match record::decode::<(DeliveryRecord, Before)>(payload) {
            Some((requeued, _)) => keep_if(waits(requeued.id())?),
            None => Fate::Keep,
        },
        // They are written again in a later file, or the state has them.
        kind::SUBSCRIPTION
        | kind::CERTIFIED_SUBSCRIPTION
        | kind::SEALED_SUBSCRIPTION
        | kind::EXTENDED_SUBSCRIPTION
        | kind::ACCOUNT
        | kind::TOKEN
        | kind::REPLAY
        | kind::DISCARD
        | kind::FORGOTTEN
        | kind::FAN_OUT_STEP
        | kind::ERASURE => Fate::Drop,
        // It was carried out long ago: its events have ids of their own.
        kind::FAN_OUT => keep_if(head.id >= due.events_below),
        kind::MESSAGE | kind::MEDIA_MESSAGE => keep_if(head.id >= due.messages_below),
        // An older file may still have the subscription, the token, or a message of the thread.
        kind::SUBSCRIPTION_REMOVED | kind::TOKEN_REVOKED | kind::THREAD_GONE => keep_if(!due.oldest),
        _ => Fate::Keep,
    })
}

/// What is left of an entry of the log: how the delivery ended, as long as its event is kept.
fn shortened(due: &Due, logged: Logged) -> Fate {
    let company = logged.company().to_owned();
    match logged.ended() {
        Some(delivery) if delivery.event().bits() >= due.events_below => {
            Fate::Become(kind::ENDED_OF_COMPANY, record::encode(&EndedRecord { delivery, company }))
        }
        _ => Fate::Drop,
    }
}

#[cfg(test)]
mod tests;
