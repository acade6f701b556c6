//! Commands: what the store may be asked to change, and what is answered.

use std::sync::Arc;
use std::time::Duration;

use crate::core::attempt::LogEntry;
use crate::core::delivery::Delivery;
use crate::core::event::{EventType, NewEvent};
use crate::core::id::{AttemptId, ErasureId, EventId, SubscriptionId, TokenId};
use crate::core::subscription::{DisabledReason, Secret, Subscription};
use crate::core::subscription_input::{Change as Patch, Draft};
use crate::core::token::{Token, TokenDraft, TokenText};
use crate::model::conversations::{PostedMessage, PreparedMessage};
use crate::model::error::WriteError;
use crate::model::known::KnownDelivery;
use crate::model::record::ErasureRecord;

/// Called exactly once: when the write is on the disk or has failed, from the committer's thread or from wherever
/// [`Answers`] are given, or at once from the caller's where there is no room for it. Must not block.
pub type Reply<T> = Box<dyn FnOnce(Result<T, WriteError>) + Send>;

/// The committer's inbox is full: answer 503 with `Retry-After` and let the client come again. The reply was dropped uncalled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Busy;

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

/// An attempt that ended, to be recorded in one step with what it changes.
#[derive(Debug, Clone)]
pub struct AttemptResult {
    /// The entry of the log; its id is given by the store.
    pub entry: LogEntry,
    /// The delivery as it is from now on.
    pub after: Delivery,
    /// Whether the attempt also ends the subscription's enabled state.
    pub disable: Option<DisabledReason>,
}

/// A replay that was looked through and can begin.
#[derive(Debug, Clone)]
pub struct Replay {
    /// The sequence numbers to look at, the first and the last.
    pub(crate) sequences: (u64, u64),
    pub(crate) events: Vec<EventType>,
    pub(crate) failed_only: bool,
    /// How many deliveries it puts back, as things stand.
    pub queued: u64,
}

/// A write that somebody waits for.
pub(crate) enum Command {
    Accept(Vec<NewEvent>, Reply<Vec<Accepted>>),
    Create(Box<Draft>, Reply<Arc<Subscription>>),
    Change(SubscriptionId, Box<Patch>, Reply<Arc<Subscription>>),
    /// The secret that it is to have; a fresh one if `None`.
    Rotate(SubscriptionId, Option<Secret>, Duration, Reply<Secret>),
    Delete(SubscriptionId, Reply<()>),
    Retry(Box<KnownDelivery>, Reply<Delivery>),
    /// Why, as a sentence.
    Cancel(Box<KnownDelivery>, &'static str, Reply<Delivery>),
    Probe(Box<LogEntry>, Reply<AttemptId>),
    Replay(SubscriptionId, Replay, Reply<()>),
    Discard(SubscriptionId, Reply<u64>),
    Erasure(ErasureId, Box<ErasureRecord>, Reply<()>),
    Message(Box<PreparedMessage>, Reply<PostedMessage>),
    CreateToken(TokenDraft, Reply<(Token, TokenText)>),
    RevokeToken(TokenId, Reply<()>),
}

impl Command {
    /// How many bytes of event data it holds.
    pub(crate) fn weight(&self) -> usize {
        match self {
            Self::Accept(events, _) => events.iter().map(|event| event.data.len()).sum(),
            Self::Message(message, _) => message.weight(),
            _ => 0,
        }
    }

    /// Tells whoever waits that the store has failed.
    pub(crate) fn refuse(self) {
        self.refuse_with(&WriteError::Unavailable);
    }

    /// Tells whoever waits that it is not done, and why.
    pub(crate) fn refuse_with(self, why: &WriteError) {
        let unavailable = why.clone();
        match self {
            Self::Accept(_, reply) => reply(Err(unavailable)),
            Self::Create(_, reply) | Self::Change(_, _, reply) => reply(Err(unavailable)),
            Self::Rotate(_, _, _, reply) => reply(Err(unavailable)),
            Self::Delete(_, reply) | Self::Replay(_, _, reply) => reply(Err(unavailable)),
            Self::CreateToken(_, reply) => reply(Err(unavailable)),
            Self::RevokeToken(_, reply) => reply(Err(unavailable)),
            Self::Discard(_, reply) => reply(Err(unavailable)),
            Self::Retry(_, reply) | Self::Cancel(_, _, reply) => reply(Err(unavailable)),
            Self::Erasure(_, _, reply) => reply(Err(unavailable)),
            Self::Probe(_, reply) => reply(Err(unavailable)),
            Self::Message(_, reply) => reply(Err(unavailable)),
        }
    }
}
