//! What is kept: the only room that knows sled and bincode.
//!
//! The other rooms use the verbs of [`Store`] (`accept`, `finish`, `log`, …), which speak of events,
//! deliveries and subscriptions; another engine could stand behind them. This room must not know
//! who sends what to whom, or why.
//!
//! # The data directory
//!
//! ```text
//! FORMAT             'hookswitch data, format 3': written last, synced; where it is there must be data
//! lock, admin.token  of the service room
//! journal/NNNNNN.log what happened, in order, append-only, about 64 MiB a file: events with their data,
//!                    entries of the log, changes of subscriptions and tokens ([`journal`], [`frame`]);
//!                    compressed once it is full
//! journal/NNNNNN.idx where things are in a full file; made again if it is missing
//! state/             one sled database: what is true now ([`keys`], [`state`])
//! state/length       the least length of the database file: sled opens a shortened one as an empty one
//! sealed             which key secrets are sealed with, if they are ([`sealing`])
//! erasing/           what is to be erased of a person until it is off the disk ([`erasures`])
//! unfinished         stands while the directory is made for the first time
//! state-before-open  a copy of `state`, while it is opened: a directory that is refused is put back
//! ```
//!
//! The journal is the truth. `state` is a view of it that may lag behind, and says by how much
//! ([`record::Applied`]); opening takes in the rest. Ids ascend through the whole journal, so one is
//! found by its id without a key of its own.
//!
//! # The way of a write
//!
//! A command goes into the [`inbox`]. The one committer thread takes what has gathered,
//! lets the [`desk`] decide each in turn, which yields [`step`]s, appends their frames to the
//! journal in one write, calls `fdatasync` once, and only then answers everybody and tells the
//! dispatcher. The steps' changes wait in memory, in layers over sled, until the [`checkpoint`]er
//! writes them there; readers see both as one.
//!
//! What always holds: nothing is answered that is not on the disk; a frame is read only if its
//! checksum fits; a step is whole or not there; applying a step twice changes nothing more; after a
//! write or a sync that failed nothing more is written and the process ends (exit 74).
//!
//! # Why not two sled databases
//!
//! That was the first design: journals that are sled databases too. Both were built and measured on
//! a 2-core machine with 1 KiB events and a log entry for each, one run, the same disk (a bare
//! append with fdatasync did 5,450 a second):
//!
//! | | two sleds | journal files and one sled |
//! |---|---|---|
//! | one event for each commit | 1,503 events/s | 5,494 events/s |
//! | commits of 64 events and 64 log entries | 23,771/s | 133,725/s |
//! | 200,000 events in and out, bytes written | 1,667 MB | 337 MB |
//! | opening again after that | 175 ms | 11 ms |
//!
//! sled's `apply_batch` syncs twice by itself, so that two databases cost four syncs or more for a
//! commit where a file that is only appended to costs one. What sled is good at stays its own: keys
//! in order that come and go, in a database that stays small.

mod backup;
mod bulk;
mod calls;
mod checkpoint;
mod committer;
mod condition;
mod conversations;
mod counts;
mod deadline;
mod deliveries;
mod desk;
mod erasures;
mod error;
mod fan_out;
mod frame;
mod inbox;
mod journal;
mod keys;
mod kinds;
mod known;
mod ledger;
mod location;
pub mod offline;
mod oldest;
mod open;
mod place;
mod query;
mod recall;
mod receipts;
mod record;
mod report;
mod requeue;
mod retention;
mod running;
mod sealing;
mod settling;
mod space;
mod state;
mod statuses;
mod step;
mod sweep;
mod sync;
mod tidy;
mod tokens;
mod unserved;
mod verbs;

use std::sync::Arc;
use std::time::Duration;

use crate::core::attempt::{LogEntry, Status};
use crate::core::delivery::{Delivery, State};
use crate::core::event::{CallId, Company, Domain, EventType, Source};
use crate::core::id::{DeliveryId, EventId, SubscriptionId};
use crate::core::subscription::{DisabledReason, Subscription};
use crate::core::time::Timestamp;

pub use backup::Backup;
pub use calls::{CallFilter, CallStory};
pub use committer::Answers;
pub use conversations::{ConversationFilter, PostedMessage, PreparedMessage, Shown as ShownConversation};
pub use erasures::Erasure;
pub use error::{ReadError, StoreError, WriteError};
pub use known::{KnownDelivery, KnownEvent};
pub use open::OpenError;
pub use retention::Rules as Retention;
pub use running::{Idle, Running};
pub use space::Room;
pub use statuses::{SubscriptionFilter, SubscriptionStatus};
pub use verbs::Store;

/// Called exactly once: when the write is on the disk or has failed, from the committer's thread or from wherever
/// [`Answers`] are given, or at once from the caller's where there is no room for it. Must not block.
pub type Reply<T> = Box<dyn FnOnce(Result<T, WriteError>) + Send>;

/// The committer's inbox is full: answer 503 with `Retry-After` and let the client come again. The reply was dropped uncalled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Busy;

/// What the store is told at its opening.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// How much memory the state database may use for its cache.
    pub cache_bytes: u64,
    /// How long after acceptance a delivery is given up.
    pub give_up_after: Duration,
    /// How long a producer's id is remembered.
    pub idempotency_window: Duration,
    /// How long events and entries of the log are kept.
    pub retention: Retention,
    /// How many bytes of the file system are to stay free.
    pub min_free_bytes: u64,
    /// The most bytes of the data of an event that is raised here: no more than may be posted.
    pub max_data_bytes: usize,
    /// How many subscriptions one company may have.
    pub subscriptions_per_company: u32,
    /// How many deliveries one request may cause.
    pub deliveries_per_request: u32,
}

/// What became of an event that was posted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    /// Its id, or that of the event that was posted first.
    pub id: EventId,
    /// How many deliveries are owed.
    pub deliveries: u32,
    /// Whether the same producer's id was posted before, within the window.
    pub duplicate: bool,
}

/// One page of a list, newest first. A page is never gathered from more than a bounded number of records: where that is
/// used up it ends early, and says how far it has looked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T, P = u128> {
    /// What is on it.
    pub items: Vec<T>,
    /// Where to go on, if there may be more: the bits of the id after which that is.
    pub next: Option<P>,
    /// If the page has ended early: everything from this time on was looked at.
    pub scanned_until: Option<Timestamp>,
}

/// A place in a list of deliveries, behind which it goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The bits of an event's id, or of an entry's of the log; 0 where neither orders the list.
    pub major: u128,
    /// The bits of a delivery's id; 0 where all of the event's were looked at.
    pub minor: u128,
}

/// How much was read to answer questions, since the store was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reads {
    /// Frames of the journal.
    pub frames: u64,
    /// Blocks of its indexes, of about 2 KiB.
    pub blocks: u64,
    /// Records of the state database.
    pub records: u64,
    /// Bytes of frames.
    pub bytes: u64,
}

impl Reads {
    /// Everything but the bytes.
    pub const fn count(&self) -> u64 {
        self.frames + self.blocks + self.records
    }
}

/// Which events to list. `None` everywhere lists all.
#[derive(Debug, Clone, Default)]
pub struct EventFilter {
    /// Of this company.
    pub company: Option<Company>,
    /// Of this domain.
    pub domain: Option<Domain>,
    /// From this source.
    pub source: Option<Source>,
    /// Of this type.
    pub event_type: Option<EventType>,
    /// Of this call.
    pub call: Option<CallId>,
    /// Of this lead's phone number.
    pub phone: Option<String>,
    /// Accepted at or after this time.
    pub since: Option<Timestamp>,
    /// Accepted before this time.
    pub until: Option<Timestamp>,
}

/// Which deliveries to list.
#[derive(Debug, Clone, Default)]
pub struct DeliveryFilter {
    /// Of this company.
    pub company: Option<Company>,
    /// Owed to this subscription.
    pub subscription: Option<SubscriptionId>,
    /// Of this event.
    pub event: Option<EventId>,
    /// Of events of this type.
    pub event_type: Option<EventType>,
    /// Of events of this call.
    pub call: Option<CallId>,
    /// In this state.
    pub state: Option<State>,
    /// Accepted at or after this time.
    pub since: Option<Timestamp>,
    /// Accepted before this time.
    pub until: Option<Timestamp>,
}

/// Which entries of the log to list.
#[derive(Debug, Clone, Default)]
pub struct LogFilter {
    /// Of this company.
    pub company: Option<Company>,
    /// Of this domain.
    pub domain: Option<Domain>,
    /// Of this subscription.
    pub subscription: Option<SubscriptionId>,
    /// Of this delivery.
    pub delivery: Option<DeliveryId>,
    /// Of events of this type.
    pub event_type: Option<EventType>,
    /// With this status.
    pub status: Option<Status>,
    /// With this status code; `Some(None)` without any.
    pub response: Option<Option<u16>>,
    /// Of events of this call.
    pub call: Option<CallId>,
    /// Of this lead's phone number.
    pub phone: Option<String>,
    /// Created at or after this time.
    pub since: Option<Timestamp>,
    /// Created before this time.
    pub until: Option<Timestamp>,
    /// Only probes, or none of them.
    pub test: Option<bool>,
}

/// Which calls to report on. `None` everywhere: all.
#[derive(Debug, Clone, Default)]
pub struct ReportFilter {
    /// Of this company.
    pub company: Option<Company>,
    /// Of this domain.
    pub domain: Option<Domain>,
    /// From this source.
    pub source: Option<Source>,
    /// Taken by this agent.
    pub agent: Option<String>,
    /// Begun in the hour of this time, or later.
    pub since: Option<Timestamp>,
    /// Begun before this time, or in the same hour.
    pub until: Option<Timestamp>,
}

/// An attempt that ended, to be recorded in one step with what it changes.
#[derive(Debug, Clone)]
pub struct Finish {
    /// The entry of the log; its id is given by the store.
    pub entry: LogEntry,
    /// The delivery as it is from now on.
    pub after: Delivery,
    /// Whether the attempt also ends the subscription's enabled state.
    pub disable: Option<DisabledReason>,
}

/// What a replay puts back into a subscription's queue.
#[derive(Debug, Clone)]
pub struct ReplayFilter {
    /// What was accepted at or after this time.
    pub since: Timestamp,
    /// What was accepted before this time; all so far if `None`.
    pub until: Option<Timestamp>,
    /// Of these event types; of all if there are none.
    pub events: Vec<EventType>,
    /// Dead letters only; otherwise everything that is not owed already.
    pub failed_only: bool,
}

/// A replay that was looked through and can begin.
#[derive(Debug, Clone)]
pub struct Replay {
    /// The sequence numbers to look at, the first and the last.
    sequences: (u64, u64),
    events: Vec<EventType>,
    failed_only: bool,
    /// How many deliveries it puts back, as things stand.
    pub queued: u64,
}

/// How the attempts of a subscription have gone lately.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Health {
    /// The first failure since the last success.
    pub failing_since: Option<Timestamp>,
    /// Failures since the last success.
    pub failures: u32,
    /// The last success.
    pub last_success: Option<Timestamp>,
    /// How long that attempt took.
    pub answer: Option<Duration>,
}

/// How many deliveries stand where.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Not tried yet.
    pub pending: u64,
    /// To be tried again.
    pub retrying: u64,
    /// Dead letters.
    pub failed: u64,
}

/// One group commit that is on the disk, for whoever measures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Committed {
    /// Events that were accepted.
    pub accepted: u64,
    /// Events that had been posted before, and were not stored again.
    pub repeated: u64,
    /// How long it took: deciding, writing, syncing.
    pub took: Duration,
    /// How long the sync alone took; `None` if there was nothing to write.
    pub synced: Option<Duration>,
}

/// What the committer tells the dispatcher, in the order in which it was made durable.
#[derive(Debug, Clone)]
pub enum Change {
    /// Newly owed, or owed again by hand.
    Owed(Vec<Delivery>),
    /// Created or changed; enabled and disabled included.
    Subscription(Arc<Subscription>),
    /// Deleted: what it was owed is no longer to be sent.
    Deleted(SubscriptionId),
    /// No longer to be sent.
    Cancelled(DeliveryId),
    /// A [`Finish`] is on the disk.
    Finished(Delivery),
}

#[cfg(test)]
mod tests;
