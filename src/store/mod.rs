//! What is kept: the only room that knows sled and bincode.

mod backup;
mod checkpoint;
mod committer;
mod desk;
mod frame;
mod journal;
mod keys;
mod ledger;
pub mod offline;
mod open;
mod place;
mod query;
mod record;
mod state;
mod step;
mod sync;
mod verbs;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::core::attempt::{LogEntry, Status};
use crate::core::delivery::{Delivery, State};
use crate::core::event::{CallId, Company, Domain, EventType, Source};
use crate::core::id::{DeliveryId, EventId, SubscriptionId};
use crate::core::invalid::Invalid;
use crate::core::subscription::{DisabledReason, Subscription};
use crate::core::time::Timestamp;

pub use backup::Backup;
pub use open::OpenError;
pub use verbs::{Idle, Running, Store};

/// Called exactly once, from the committer's thread, when the write is on the disk or has failed. Must not block.
pub type Reply<T> = Box<dyn FnOnce(Result<T, WriteError>) + Send>;

/// The committer's inbox is full: answer 503 with `Retry-After` and let the client come again. The reply was dropped uncalled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Busy;

/// Why a write was not made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WriteError {
    /// What it speaks of does not exist.
    NotFound,
    /// It does not fit what is there, for example a retry of a delivery that is still owed and in flight; the sentence says why.
    Conflict(String),
    /// It is not valid together with what is there.
    Invalid(Invalid),
    /// The store has failed, or is closing: nothing is known to be on the disk. Answer 503.
    Unavailable,
}

/// The disk could not be read, or what was read is damaged. The sentence names the file and the remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadError(pub String);

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What the store is told at its opening.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// How much memory the state database may use for its cache.
    pub cache_bytes: u64,
    /// How long after acceptance a delivery is given up.
    pub give_up_after: Duration,
    /// How long a producer's id is remembered.
    pub idempotency_window: Duration,
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

/// One page of a list, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// The bits of the id to go on after, if there is more.
    pub next: Option<u128>,
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

/// How the attempts of a subscription have gone lately.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Health {
    /// The first failure since the last success.
    pub failing_since: Option<Timestamp>,
    /// Failures since the last success.
    pub failures: u32,
    /// The last success.
    pub last_success: Option<Timestamp>,
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
