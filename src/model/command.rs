//! Commands: the changes that the store accepts, and their answers.

use std::sync::Arc;
use std::time::Duration;

use crate::core::actor::Actor;
use crate::core::attempt::LogEntry;
use crate::core::audit::Deed;
use crate::core::delivery::Delivery;
use crate::core::event::{Company, Domain, EventType, NewEvent};
use crate::core::hidden::Hidden;
use crate::core::id::{AttemptId, ErasureId, EventId, PortalLinkId, SessionId, SubscriptionId, TokenId};
use crate::core::portal_link::{PortalLink, PortalLinkDraft, PortalLinkText};
use crate::core::session::Lifetime;
use crate::core::subscription::{DisabledReason, Secret, Subscription};
use crate::core::subscription_input::{Change as Patch, Draft};
use crate::core::token::{Token, TokenDraft, TokenHash, TokenText};
use crate::model::conversations::{PostedMessage, PreparedMessage};
use crate::model::error::{Outage, StoreError};
use crate::model::known::KnownDelivery;
use crate::model::record::ErasureRecord;
use crate::model::sessions::{MemberEntry, PortalLinkUse};

/// Called exactly once, when the write is durable or has failed: from the writer thread, from wherever
/// [`Answers`](crate::engine::Answers) are delivered, or immediately from the caller's thread if the request is
/// rejected. Must not block.
pub type Reply<T> = Box<dyn FnOnce(Result<T, StoreError>) + Send>;

/// The write queue is full: answer 503 with `Retry-After` so that the client retries. The reply was dropped without
/// being called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Busy;

/// The answer for a posted event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    /// Its id, or that of the event first posted with the same producer's id.
    pub id: EventId,
    /// The number of its deliveries.
    pub deliveries: u32,
    /// Whether the producer's id was already used within the idempotency window.
    pub duplicate: bool,
}

/// A finished attempt, recorded atomically with its effects.
#[derive(Debug, Clone)]
pub struct AttemptResult {
    /// The log entry; the store assigns its id.
    pub entry: LogEntry,
    /// The delivery after the attempt.
    pub after: Delivery,
    /// If the attempt also disables the subscription: why.
    pub disable: Option<DisabledReason>,
}

/// A planned replay.
#[derive(Debug, Clone)]
pub struct Replay {
    /// The first and last sequence number to examine.
    pub(crate) sequences: (u64, u64),
    pub(crate) events: Vec<EventType>,
    pub(crate) failed_only: bool,
    /// The number of deliveries that it requeues, as of now.
    pub queued: u64,
}

/// A write with a caller waiting for its reply.
pub(crate) enum Command {
    Accept(Vec<NewEvent>, Reply<Vec<Accepted>>),
    Message(Box<PreparedMessage>, Reply<PostedMessage>),
    /// What somebody answers for: it is recorded in the audit, together with its effects.
    By(Box<Actor>, Operation),
    /// The last request of a session: nobody changes anything by it.
    TouchSession(SessionId, Reply<()>),
    /// Cancels a delivery of an erasure, which is recorded as a whole. With the reason, as a sentence.
    CancelErased(Box<KnownDelivery>, &'static str, Reply<Delivery>),
    /// The progress of an erasure, which the daemon carries out.
    ErasureProgress(ErasureId, Box<ErasureRecord>, Reply<()>),
}

/// What somebody answers for. Each is decided with an [`Audited`](crate::model::audit::Audited) answer.
pub(crate) enum Operation {
    Create(Box<Draft>, Reply<Arc<Subscription>>),
    Change(SubscriptionId, Box<Patch>, Reply<Arc<Subscription>>),
    Copy(SubscriptionId, Vec<Domain>, Reply<Vec<Arc<Subscription>>>),
    /// The new secret; a generated one if `None`.
    Rotate(SubscriptionId, Option<Secret>, Duration, Reply<Secret>),
    Delete(SubscriptionId, Reply<()>),
    Retry(Box<KnownDelivery>, Reply<Delivery>),
    /// The reason, as a sentence.
    Cancel(Box<KnownDelivery>, &'static str, Reply<Delivery>),
    Probe(Box<LogEntry>, Reply<AttemptId>),
    Replay(SubscriptionId, Replay, Reply<()>),
    Discard(SubscriptionId, Reply<u64>),
    Erasure(ErasureId, Box<ErasureRecord>, Reply<()>),
    CreateToken(TokenDraft, Reply<(Token, TokenText)>),
    RevokeToken(TokenId, Reply<()>),
    /// Something that changes nothing in the store: a look at a secret, or what was done elsewhere.
    Note(Box<Deed>, Reply<()>),
    /// For the token that was signed in with, and its company.
    OpenSession(TokenHash, Option<Company>, Lifetime, Reply<Hidden>),
    /// For somebody who came back from the provider.
    OpenMemberSession(Box<MemberEntry>, Lifetime, Reply<Option<Hidden>>),
    EndSession(SessionId, Reply<()>),
    /// With the token that makes it.
    CreatePortalLink(Box<PortalLinkDraft>, TokenHash, Reply<(PortalLink, PortalLinkText)>),
    UsePortalLink(PortalLinkText, Lifetime, Reply<PortalLinkUse>),
    RevokePortalLink(PortalLinkId, Reply<()>),
}

impl Command {
    /// The size of its event data, in bytes.
    pub(crate) fn weight(&self) -> usize {
        match self {
            Self::Accept(events, _) => events.iter().map(|event| event.data.len()).sum(),
            Self::Message(message, _) => message.weight(),
            Self::By(..) | Self::TouchSession(..) | Self::CancelErased(..) | Self::ErasureProgress(..) => 0,
        }
    }

    /// Replies that the store has failed.
    pub(crate) fn refuse(self) {
        self.refuse_with(&StoreError::Unavailable(Outage::Ended));
    }

    /// Replies with the error `why`.
    pub(crate) fn refuse_with(self, why: &StoreError) {
        let unavailable = why.clone();
        match self {
            Self::Accept(_, reply) => reply(Err(unavailable)),
            Self::Message(_, reply) => reply(Err(unavailable)),
            Self::By(_, operation) => operation.refuse_with(unavailable),
            Self::TouchSession(_, reply) => reply(Err(unavailable)),
            Self::CancelErased(_, _, reply) => reply(Err(unavailable)),
            Self::ErasureProgress(_, _, reply) => reply(Err(unavailable)),
        }
    }
}

impl Operation {
    fn refuse_with(self, why: StoreError) {
        match self {
            Self::Create(_, reply) | Self::Change(_, _, reply) => reply(Err(why)),
            Self::Copy(_, _, reply) => reply(Err(why)),
            Self::Rotate(_, _, _, reply) => reply(Err(why)),
            Self::Delete(_, reply) | Self::Replay(_, _, reply) => reply(Err(why)),
            Self::CreateToken(_, reply) => reply(Err(why)),
            Self::RevokeToken(_, reply) | Self::Note(_, reply) => reply(Err(why)),
            Self::OpenSession(_, _, _, reply) => reply(Err(why)),
            Self::OpenMemberSession(_, _, reply) => reply(Err(why)),
            Self::EndSession(_, reply) | Self::RevokePortalLink(_, reply) => reply(Err(why)),
            Self::CreatePortalLink(_, _, reply) => reply(Err(why)),
            Self::UsePortalLink(_, _, reply) => reply(Err(why)),
            Self::Discard(_, reply) => reply(Err(why)),
            Self::Retry(_, reply) | Self::Cancel(_, _, reply) => reply(Err(why)),
            Self::Erasure(_, _, reply) => reply(Err(why)),
            Self::Probe(_, reply) => reply(Err(why)),
        }
    }
}
