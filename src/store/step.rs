//! A step: one thing that happened, as it stands in the journal, and what it changes in the state.
//!
//! The committer makes steps and applies them; recovery reads them and applies them by the same
//! function. Applying a step twice changes nothing more: every change it makes is an absolute one, and
//! during recovery none depends on what it finds (a backup's state may have what later steps left).

use std::sync::{Mutex, PoisonError};

use crate::core::delivery::{Delivery, State as Standing};
use crate::core::id::{AttemptId, EventId};

use super::frame::{self, Head};
use super::journal::{self, kind};
use super::keys;
use super::ledger::Ledger;
use super::record::{self, Accepted, DeliveryRecord, Effect, Logged, SubscriptionRecord};
use super::state::{State, StateError};

/// One thing that happened.
pub(super) enum Step {
    /// An event was accepted, and its deliveries are owed.
    Accepted(EventId, Accepted),
    /// An attempt ended, or a delivery did without one.
    Logged(AttemptId, Box<Logged>),
    /// A subscription is as it says from now on.
    Subscription(Box<SubscriptionRecord>),
    /// Nothing is left of the deleted subscription with this number.
    SubscriptionRemoved(u32),
    /// A delivery is owed again.
    Requeued(DeliveryRecord),
}

impl Step {
    /// Appends the step's frame to `out` and gives its id and the hashes of its keys.
    pub(super) fn encode(&self, out: &mut Vec<u8>, batch: u64, continues: bool) -> (u128, Vec<u64>) {
        let (kind, id, keys) = match self {
            Self::Accepted(id, accepted) => (kind::ACCEPTED, id.bits(), journal::accepted_keys(accepted)),
            Self::Logged(id, logged) => (kind::LOGGED, id.bits(), journal::logged_keys(logged)),
            Self::Subscription(_) => (kind::SUBSCRIPTION, 0, Vec::new()),
            Self::SubscriptionRemoved(_) => (kind::SUBSCRIPTION_REMOVED, 0, Vec::new()),
            Self::Requeued(_) => (kind::REQUEUED, 0, Vec::new()),
        };
        let head = Head { version: record::VERSION, kind, continues, batch, id };
        frame::encode(out, head, |out| match self {
            Self::Accepted(_, accepted) => record::encode_into(out, accepted),
            Self::Logged(_, logged) => record::encode_into(out, &**logged),
            Self::Subscription(subscription) => record::encode_into(out, &**subscription),
            Self::SubscriptionRemoved(number) => record::encode_into(out, number),
            Self::Requeued(delivery) => record::encode_into(out, delivery),
        });
        (id, keys)
    }

    /// Reads a step from its frame.
    pub(super) fn decode(head: Head, payload: &[u8]) -> Option<Self> {
        if head.version != record::VERSION {
            return None;
        }
        match head.kind {
            kind::ACCEPTED => record::decode(payload).map(|it| Self::Accepted(EventId::from_bits(head.id), it)),
            kind::LOGGED => record::decode(payload).map(|it| Self::Logged(AttemptId::from_bits(head.id), Box::new(it))),
            kind::SUBSCRIPTION => record::decode(payload).map(|it| Self::Subscription(Box::new(it))),
            kind::SUBSCRIPTION_REMOVED => record::decode(payload).map(Self::SubscriptionRemoved),
            kind::REQUEUED => record::decode(payload).map(Self::Requeued),
            _ => None,
        }
    }

    /// Makes the step's changes in the state and in the ledger.
    pub(super) fn apply(self, state: &State, ledger: &Mutex<Ledger>) -> Result<(), StateError> {
        match self {
            Self::Accepted(id, accepted) => apply_accepted(id, &accepted, state, ledger),
            Self::Logged(_, logged) => logged.effect.map_or(Ok(()), |effect| apply_effect(effect, state, ledger)),
            Self::Subscription(subscription) => {
                put_subscription(*subscription, state, ledger);
                Ok(())
            }
            Self::SubscriptionRemoved(number) => {
                state.put_pieces(&keys::numbered(keys::SUBSCRIPTION, number), &[], keys::SUBSCRIPTION_PIECES);
                state.remove(keys::health(number));
                state.remove(keys::next_sequence(number));
                lock(ledger).remove(number);
                Ok(())
            }
            Self::Requeued(record) => {
                let Some(delivery) = record.delivery() else { return Ok(()) };
                stand(&delivery, state, ledger)
            }
        }
    }
}

fn apply_accepted(id: EventId, accepted: &Accepted, state: &State, ledger: &Mutex<Ledger>) -> Result<(), StateError> {
    if let Some(producer) = accepted.producer_id() {
        let mut value = id.bits().to_be_bytes().to_vec();
        value.extend_from_slice(&accepted.accepted_at().to_be_bytes());
        state.put(keys::producer(accepted.company(), producer), value);
    }
    for delivery in accepted.deliveries(id).unwrap_or_default() {
        let number = delivery.id.subscription_number();
        let next = delivery.id.sequence() + 1;
        state.put(keys::next_sequence(number), next.to_be_bytes().to_vec());
        if let Some(account) = lock(ledger).account(number) {
            account.next_sequence = next;
        }
        state.put_new(keys::delivery(keys::OWED, delivery.id), versioned(&DeliveryRecord::from(&delivery)));
        lock(ledger).moved(number, None, Some(Standing::Pending));
    }
    Ok(())
}

fn apply_effect(effect: Effect, state: &State, ledger: &Mutex<Ledger>) -> Result<(), StateError> {
    let Some(delivery) = effect.after.delivery() else { return Ok(()) };
    stand(&delivery, state, ledger)?;
    if let Some(health) = effect.health {
        let number = delivery.id.subscription_number();
        state.put(keys::health(number), versioned(&health));
        if let Some(account) = lock(ledger).account(number) {
            account.health = health.into();
        }
    }
    Ok(())
}

/// From now on the delivery is where its state says: owed, a dead letter, or over.
fn stand(delivery: &Delivery, state: &State, ledger: &Mutex<Ledger>) -> Result<(), StateError> {
    let before = find(delivery.id, state)?.map(|found| found.state);
    let may_be_dead = before == Some(Standing::Failed) || !state.is_live();
    let (owed, dead) = (keys::delivery(keys::OWED, delivery.id), keys::delivery(keys::DEAD, delivery.id));
    let record = || versioned(&DeliveryRecord::from(delivery));
    match delivery.state {
        Standing::Pending | Standing::Retrying => {
            state.put(owed, record());
            if may_be_dead {
                state.remove(dead);
            }
        }
        Standing::Failed => {
            state.put(dead, record());
            state.remove(owed);
        }
        Standing::Delivered | Standing::Expired | Standing::Cancelled => {
            state.remove(owed);
            if may_be_dead {
                state.remove(dead);
            }
        }
    }
    lock(ledger).moved(delivery.id.subscription_number(), before, Some(delivery.state));
    Ok(())
}

/// The delivery, if it is owed or a dead letter.
pub(super) fn find(id: crate::core::id::DeliveryId, state: &State) -> Result<Option<Delivery>, StateError> {
    for prefix in [keys::OWED, keys::DEAD] {
        if let Some(value) = state.get(&keys::delivery(prefix, id))? {
            // The time in the id is not part of the key: a made-up id with another time is nobody's.
            return Ok(delivery_of(&value).filter(|delivery| delivery.id == id));
        }
    }
    Ok(None)
}

/// Reads the value of an owed delivery or a dead letter.
pub(super) fn delivery_of(value: &[u8]) -> Option<Delivery> {
    unversioned::<DeliveryRecord>(value).and_then(DeliveryRecord::delivery)
}

fn put_subscription(record: SubscriptionRecord, state: &State, ledger: &Mutex<Ledger>) {
    let key = keys::numbered(keys::SUBSCRIPTION, record.number);
    state.put_pieces(&key, &versioned(&record), keys::SUBSCRIPTION_PIECES);
    let deleted = record.deleted;
    if let Some(subscription) = record.subscription() {
        lock(ledger).put(subscription, deleted);
    }
}

/// A record as a value of the state database: its version, then itself.
pub(super) fn versioned(record: &impl bincode::Encode) -> Vec<u8> {
    let mut value = vec![record::VERSION];
    record::encode_into(&mut value, record);
    value
}

/// Reads a value of the state database.
pub(super) fn unversioned<T: bincode::Decode<()>>(value: &[u8]) -> Option<T> {
    match value.split_first() {
        Some((&record::VERSION, body)) => record::decode(body),
        _ => None,
    }
}

pub(super) fn lock(ledger: &Mutex<Ledger>) -> std::sync::MutexGuard<'_, Ledger> {
    ledger.lock().unwrap_or_else(PoisonError::into_inner)
}
