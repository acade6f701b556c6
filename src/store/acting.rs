//! What somebody answers for: changes, and looks at secrets. Each is recorded in the audit along with its effects, so
//! these verbs exist only on a store that knows who [acts](Store::by).

use std::sync::Arc;
use std::time::Duration;

use crate::core::actor::Actor;
use crate::core::attempt::LogEntry;
use crate::core::audit::{AuditEntry, Deed};
use crate::core::delivery::Delivery;
use crate::core::event::Domain;
use crate::core::id::{AttemptId, SubscriptionId, TokenId};
use crate::core::subscription::{Secret, Subscription};
use crate::core::subscription_input::{Change as Patch, Draft};
use crate::core::token::{Token, TokenDraft, TokenText};
use crate::model::audit;
use crate::model::command::{Busy, Command, Operation, Replay, Reply};
use crate::model::error::StoreError;
use crate::model::filter::AuditFilter;
use crate::model::known::KnownDelivery;
use crate::model::page::Page;
use crate::store::api::Store;

/// A store on which somebody acts.
#[derive(Clone)]
pub struct Acting {
    pub(crate) store: Store,
    pub(crate) actor: Actor,
}

impl Store {
    /// The store for what `actor` does.
    #[must_use]
    pub fn by(&self, actor: Actor) -> Acting {
        Acting { store: self.clone(), actor }
    }

    /// A page of the audit, newest first; `after` is [`Page::next`] of the previous page.
    ///
    /// # Errors
    /// The data cannot be read. Call it off the async threads.
    pub fn audit(
        &self,
        filter: &AuditFilter,
        after: Option<u128>,
        limit: usize,
    ) -> Result<Page<AuditEntry>, StoreError> {
        audit::page(self.view(), filter, after, limit)
    }
}

impl Acting {
    pub(crate) fn push(&self, operation: Operation) -> Result<(), Busy> {
        self.store.push(Command::By(Box::new(self.actor.clone()), operation))
    }

    /// As [`Acting::push`], unless the disk is full.
    pub(crate) fn push_addition<T>(
        &self,
        operation: impl FnOnce(Reply<T>) -> Operation,
        reply: Reply<T>,
    ) -> Result<(), Busy> {
        match self.store.admit_small() {
            Ok(()) => self.push(operation(reply)),
            Err(refusal) => {
                reply(Err(StoreError::DiskFull(refusal)));
                Ok(())
            }
        }
    }

    /// Creates a subscription with a new id, and with a generated secret unless the draft has one.
    ///
    /// # Errors
    /// As [`Store::accept`].
    pub fn create_subscription(&self, draft: Draft, reply: Reply<Arc<Subscription>>) -> Result<(), Busy> {
        self.push_addition(|reply| Operation::Create(Box::new(draft), reply), reply)
    }

    /// Copies a subscription, with its secret, to these domains of its company.
    ///
    /// # Errors
    /// As [`Store::accept`].
    pub fn copy_subscription(
        &self,
        id: SubscriptionId,
        domains: Vec<Domain>,
        reply: Reply<Vec<Arc<Subscription>>>,
    ) -> Result<(), Busy> {
        self.push_addition(|reply| Operation::Copy(id, domains, reply), reply)
    }

    /// Applies `patch` to the subscription as it is when the command is decided.
    ///
    /// # Errors
    /// As [`Store::accept`].
    pub fn change_subscription(
        &self,
        id: SubscriptionId,
        patch: Patch,
        reply: Reply<Arc<Subscription>>,
    ) -> Result<(), Busy> {
        self.push(Operation::Change(id, Box::new(patch), reply))
    }

    /// Gives the subscription a new secret, `given` or generated, which the reply returns; the previous one also signs
    /// for `overlap`.
    ///
    /// # Errors
    /// As [`Store::accept`].
    pub fn rotate_secret(
        &self,
        id: SubscriptionId,
        given: Option<Secret>,
        overlap: Duration,
        reply: Reply<Secret>,
    ) -> Result<(), Busy> {
        self.push(Operation::Rotate(id, given, overlap, reply))
    }

    /// Deletes the subscription. Its deliveries are cancelled in the background.
    ///
    /// # Errors
    /// As [`Store::accept`].
    pub fn delete_subscription(&self, id: SubscriptionId, reply: Reply<()>) -> Result<(), Busy> {
        self.push(Operation::Delete(id, reply))
    }

    /// Makes a delivery due at once, by hand, whatever its state.
    ///
    /// # Errors
    /// As [`Store::accept`].
    pub fn retry(&self, known: KnownDelivery, reply: Reply<Delivery>) -> Result<(), Busy> {
        self.push(Operation::Retry(Box::new(known), reply))
    }

    /// Cancels a pending delivery, or a dead letter.
    ///
    /// # Errors
    /// As [`Store::accept`].
    pub fn cancel(&self, known: KnownDelivery, reply: Reply<Delivery>) -> Result<(), Busy> {
        self.push(Operation::Cancel(Box::new(known), "cancelled by hand", reply))
    }

    /// Writes a log entry that belongs to no delivery: a probe.
    ///
    /// # Errors
    /// As [`Store::accept`].
    pub fn record_probe(&self, entry: LogEntry, reply: Reply<AttemptId>) -> Result<(), Busy> {
        self.push(Operation::Probe(Box::new(entry), reply))
    }

    /// Requeues what [`Store::plan_replay`] found, a few at a time.
    ///
    /// # Errors
    /// As [`Store::accept`].
    pub fn replay(&self, id: SubscriptionId, replay: Replay, reply: Reply<()>) -> Result<(), Busy> {
        self.push(Operation::Replay(id, replay, reply))
    }

    /// Cancels all pending deliveries of a subscription in the background; the reply has their number.
    ///
    /// # Errors
    /// As [`Store::accept`].
    pub fn discard(&self, id: SubscriptionId, reply: Reply<u64>) -> Result<(), Busy> {
        self.push(Operation::Discard(id, reply))
    }

    /// Creates a token; the reply has its text, which is stored nowhere.
    ///
    /// # Errors
    /// As [`Store::accept`].
    pub fn create_token(&self, draft: TokenDraft, reply: Reply<(Token, TokenText)>) -> Result<(), Busy> {
        self.push_addition(|reply| Operation::CreateToken(draft, reply), reply)
    }

    /// Revokes a token.
    ///
    /// # Errors
    /// As [`Store::accept`].
    pub fn revoke_token(&self, id: TokenId, reply: Reply<()>) -> Result<(), Busy> {
        self.push(Operation::RevokeToken(id, reply))
    }

    /// Records something that changes nothing in the store: a look at a secret, which may be shown once the reply says
    /// that it is recorded, or what was done elsewhere.
    ///
    /// # Errors
    /// As [`Store::accept`].
    pub fn note(&self, deed: Deed, reply: Reply<()>) -> Result<(), Busy> {
        self.push(Operation::Note(Box::new(deed), reply))
    }
}
