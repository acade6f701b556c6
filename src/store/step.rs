//! A step: one thing that happened, as it stands in the journal, and what it changes in the state.
//!
//! The committer makes steps and applies them; recovery reads them and applies them by the same
//! function. Applying a step twice changes nothing more: every change it makes is an absolute one, and
//! during recovery none depends on what it finds (a backup's state may have what later steps left).

use std::sync::{Mutex, PoisonError};

use crate::core::delivery::{Delivery, State as Standing};
use crate::core::event::Company;
use crate::core::id::{AttemptId, DeliveryId, ErasureId, EventId, MessageId, TokenId};
use crate::core::time::Timestamp;

use super::fan_out;
use super::frame::{self, Head};
use super::journal::{self, Marks, Note, kind};
use super::keys;
use super::ledger::Ledger;
use super::place;
use super::receipts::{EventReceipt, MessageReceipt};
use super::record::{
    self, Accepted, AccountRecord, Before, DeliveryRecord, DiscardRecord, Effect, EndedRecord, ErasureRecord,
    FanOutRecord, Form, Logged, MessageRecord, ReplayRecord, SubscriptionRecord, ThreadRecord, TokenRecord,
};
use super::report::News;
use super::sealing;
use super::state::{State, StateError};

/// One thing that happened.
pub(super) enum Step {
    /// An event was accepted, and its deliveries are owed.
    Accepted(EventId, Accepted),
    /// All of these are to be accepted, in steps; the id is its own.
    FanOut(EventId, Box<FanOutRecord>),
    /// So many of them are; `None`: all.
    FanOutProgress(u128, Option<u32>),
    /// An attempt ended, or a delivery did without one.
    Logged(AttemptId, Box<Logged>),
    /// A subscription is as it says from now on.
    Subscription(Box<SubscriptionRecord>),
    /// Nothing is left of the deleted subscription with this number.
    SubscriptionRemoved(u32),
    /// A delivery is owed again; where it stood before.
    Requeued(DeliveryRecord, Before),
    /// A replay stands so from now on.
    Replay(ReplayRecord),
    /// A discard stands so from now on.
    Discard(DiscardRecord),
    /// A delivery ended: what retention leaves of the entry of the log, while the event is kept.
    Ended(AttemptId, DeliveryRecord),
    /// The same, and whose it was.
    EndedOfCompany(AttemptId, Box<EndedRecord>),
    /// A dead letter goes with its event.
    Forgotten(DeliveryId),
    /// How far a subscription is, said once more.
    Account(AccountRecord),
    /// A message was stored, and its thread is as it says from now on.
    Message(MessageId, Box<MessageRecord>),
    /// Nothing is left of a thread.
    ThreadGone(Box<ThreadRecord>),
    /// An erasure is so far from now on.
    Erasure(ErasureId, Box<ErasureRecord>),
    /// A token is as it says from now on.
    Token(Box<TokenRecord>),
    /// A token is no longer good.
    TokenRevoked(TokenId),
}

impl Step {
    /// Appends the step's frame to `out`; gives what the index takes note of, by its offset there.
    pub(super) fn encode(&self, out: &mut Vec<u8>, batch: u64, continues: bool) -> Note {
        let offset = place::u32_of(out.len());
        let (kind, id, marks) = match self {
            Self::Accepted(id, accepted) => (kind::ACCEPTED, id.bits(), journal::accepted_marks(accepted)),
            Self::FanOut(id, it) => (kind::FAN_OUT, id.bits(), journal::fan_out_marks(it)),
            Self::FanOutProgress(..) => (kind::FAN_OUT_STEP, 0, Marks::default()),
            Self::Logged(id, logged) => (kind::LOGGED, id.bits(), journal::logged_marks(logged)),
            Self::Subscription(it) => (kind_of(it.form()), 0, Marks::default()),
            Self::SubscriptionRemoved(_) => (kind::SUBSCRIPTION_REMOVED, 0, Marks::default()),
            Self::Requeued(..) => (kind::REQUEUED, 0, Marks::default()),
            Self::Replay(_) => (kind::REPLAY, 0, Marks::default()),
            Self::Discard(_) => (kind::DISCARD, 0, Marks::default()),
            Self::Ended(id, ended) => (kind::ENDED, id.bits(), journal::ended_marks(ended, None)),
            Self::EndedOfCompany(id, ended) => {
                let EndedRecord { delivery, company } = &**ended;
                (kind::ENDED_OF_COMPANY, id.bits(), journal::ended_marks(delivery, Some(company)))
            }
            Self::Forgotten(_) => (kind::FORGOTTEN, 0, Marks::default()),
            Self::Account(_) => (kind::ACCOUNT, 0, Marks::default()),
            Self::Message(id, message) if message.has_media() => {
                (kind::MEDIA_MESSAGE, id.bits(), journal::message_marks(message))
            }
            Self::Message(id, message) => (kind::MESSAGE, id.bits(), journal::message_marks(message)),
            Self::ThreadGone(_) => (kind::THREAD_GONE, 0, Marks::default()),
            Self::Erasure(..) => (kind::ERASURE, 0, journal::erasure_marks()),
            Self::Token(_) => (kind::TOKEN, 0, Marks::default()),
            Self::TokenRevoked(_) => (kind::TOKEN_REVOKED, 0, Marks::default()),
        };
        let head = Head { version: record::VERSION, kind, continues, batch, id };
        frame::encode(out, head, |out| match self {
            Self::Accepted(_, accepted) => record::encode_into(out, accepted),
            Self::FanOut(_, fan_out) => record::encode_into(out, &**fan_out),
            Self::FanOutProgress(id, done) => record::encode_into(out, &(id, done)),
            Self::Logged(_, logged) => record::encode_into(out, &**logged),
            Self::Subscription(subscription) => subscription.encode_into(out),
            Self::SubscriptionRemoved(number) => record::encode_into(out, number),
            Self::Requeued(delivery, before) => record::encode_into(out, &(delivery, before)),
            Self::Replay(replay) => record::encode_into(out, replay),
            Self::Discard(discard) => record::encode_into(out, discard),
            Self::Ended(_, delivery) => record::encode_into(out, delivery),
            Self::EndedOfCompany(_, ended) => record::encode_into(out, &**ended),
            Self::Forgotten(delivery) => record::encode_into(out, &delivery.bits()),
            Self::Account(account) => record::encode_into(out, account),
            Self::Message(_, message) => message.encode_into(out),
            Self::ThreadGone(thread) => record::encode_into(out, &**thread),
            Self::Erasure(id, erasure) => record::encode_into(out, &(id.bits(), &**erasure)),
            Self::Token(token) => record::encode_into(out, &**token),
            Self::TokenRevoked(id) => record::encode_into(out, &id.bits()),
        });
        Note { offset, length: place::u32_of(out.len()) - offset, kind, id, marks }
    }

    /// Reads a step from its frame.
    pub(super) fn decode(head: Head, payload: &[u8]) -> Option<Self> {
        if head.version != record::VERSION {
            return None;
        }
        let subscription = |form| SubscriptionRecord::decode(form, payload).map(|it| Self::Subscription(Box::new(it)));
        match head.kind {
            kind::ACCEPTED => record::decode(payload).map(|it| Self::Accepted(EventId::from_bits(head.id), it)),
            kind::FAN_OUT => record::decode(payload).map(|it| Self::FanOut(EventId::from_bits(head.id), Box::new(it))),
            kind::FAN_OUT_STEP => record::decode(payload).map(|(id, done)| Self::FanOutProgress(id, done)),
            kind::LOGGED => record::decode(payload).map(|it| Self::Logged(AttemptId::from_bits(head.id), Box::new(it))),
            kind::SUBSCRIPTION => subscription(Form::Plain),
            kind::CERTIFIED_SUBSCRIPTION => subscription(Form::Certified),
            kind::SEALED_SUBSCRIPTION => subscription(Form::Sealed),
            kind::EXTENDED_SUBSCRIPTION => subscription(Form::Extended),
            kind::SUBSCRIPTION_REMOVED => record::decode(payload).map(Self::SubscriptionRemoved),
            kind::REQUEUED => record::decode(payload).map(|(delivery, before)| Self::Requeued(delivery, before)),
            kind::REPLAY => record::decode(payload).map(Self::Replay),
            kind::DISCARD => record::decode(payload).map(Self::Discard),
            kind::ENDED => record::decode(payload).map(|it| Self::Ended(AttemptId::from_bits(head.id), it)),
            kind::ENDED_OF_COMPANY => {
                record::decode(payload).map(|it| Self::EndedOfCompany(AttemptId::from_bits(head.id), Box::new(it)))
            }
            kind::FORGOTTEN => record::decode(payload).map(|bits| Self::Forgotten(DeliveryId::from_bits(bits))),
            kind::ACCOUNT => record::decode(payload).map(Self::Account),
            kind::MESSAGE | kind::MEDIA_MESSAGE => {
                MessageRecord::decode(payload).map(|it| Self::Message(MessageId::from_bits(head.id), Box::new(it)))
            }
            kind::ERASURE => record::decode::<(u128, ErasureRecord)>(payload)
                .map(|(bits, it)| Self::Erasure(ErasureId::from_bits(bits), Box::new(it))),
            kind::THREAD_GONE => record::decode(payload).map(|it| Self::ThreadGone(Box::new(it))),
            kind::TOKEN => record::decode(payload).map(|it| Self::Token(Box::new(it))),
            kind::TOKEN_REVOKED => record::decode(payload).map(|bits| Self::TokenRevoked(TokenId::from_bits(bits))),
            _ => None,
        }
    }

    /// Makes the step's changes in the state and in the ledger. Gives what the call report is to take in: those changes
    /// belong to the step too, and are made before the state says that it has it.
    #[must_use]
    pub(super) fn apply(self, state: &State, ledger: &Mutex<Ledger>) -> Option<News> {
        match self {
            Self::Accepted(id, accepted) => {
                apply_accepted(id, &accepted, state, ledger);
                return Some(News::Event(id, accepted));
            }
            Self::FanOut(id, _) => fan_out::note(id.bits(), Some(0), state),
            Self::FanOutProgress(id, done) => fan_out::note(id, done, state),
            Self::Logged(_, logged) => {
                if let Some(effect) = logged.effect {
                    apply_effect(effect, state, ledger);
                }
            }
            Self::Subscription(subscription) => put_subscription(*subscription, state, ledger),
            Self::SubscriptionRemoved(number) => {
                state.put_pieces(&keys::numbered(keys::SUBSCRIPTION, number), &[], keys::SUBSCRIPTION_PIECES);
                state.remove(keys::health(number));
                state.remove(keys::next_sequence(number));
                state.remove(keys::counts(number));
                state.remove(keys::numbered(keys::DISCARD, number));
                for replay in lock(ledger).remove(number) {
                    state.remove(keys::replay(number, replay));
                }
            }
            Self::Requeued(record, before) => {
                if let Some(delivery) = record.delivery() {
                    stand(&delivery, before.into(), state, ledger);
                    lock(ledger).requeued(delivery.id.subscription_number());
                }
            }
            Self::Ended(_, record) => apply_ended(record, state, ledger),
            Self::EndedOfCompany(_, ended) => apply_ended(ended.delivery, state, ledger),
            Self::Forgotten(id) => {
                state.remove(keys::delivery(keys::DEAD, id));
                lock(ledger).moved(id.subscription_number(), Some(Standing::Failed), None);
            }
            Self::Replay(replay) => {
                let key = keys::replay(replay.number, replay.id);
                match replay.is_over() {
                    true => state.remove(key),
                    false => state.put(key, versioned(&replay)),
                }
                lock(ledger).put_replay(replay);
            }
            Self::Discard(discard) => {
                let key = keys::numbered(keys::DISCARD, discard.number);
                match discard.last {
                    0 => state.remove(key),
                    _ => state.put(key, versioned(&discard)),
                }
                lock(ledger).put_discard(discard);
            }
            Self::Account(account) => put_account(&account, state, ledger),
            Self::Message(id, message) => {
                put_message(id, &message, state);
                return Some(News::Message(id, message));
            }
            Self::Erasure(id, erasure) => state.put(keys::erasure(id), versioned(&*erasure)),
            Self::ThreadGone(thread) => {
                state.remove(keys::thread(thread.company(), thread.call()));
                state.remove(keys::latest(thread.place()));
                state.remove(keys::latest_in(thread.company(), thread.place()));
            }
            Self::Token(token) => put_token(*token, state, ledger),
            Self::TokenRevoked(id) => {
                state.remove(keys::token(id));
                lock(ledger).tokens.remove(id);
            }
        }
        None
    }
}

fn apply_accepted(id: EventId, accepted: &Accepted, state: &State, ledger: &Mutex<Ledger>) {
    if let Some(producer) = accepted.producer_id() {
        state.put(keys::producer(accepted.company(), producer), EventReceipt::value_of(id, accepted));
    }
    if accepted.owed.is_empty()
        && let Ok(company) = Company::parse(accepted.company())
    {
        let mut ledger = lock(ledger);
        if ledger.of_company(&company).next().is_none() {
            ledger.unserved.note(&company, Timestamp::from_millis(accepted.accepted_at()), state);
        }
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
}

/// Only where all is taken in anew from the oldest file on: there it is owed until here.
fn apply_ended(record: DeliveryRecord, state: &State, ledger: &Mutex<Ledger>) {
    if let Some(delivery) = record.delivery() {
        stand(&delivery, Some(Standing::Pending), state, ledger);
    }
}

fn apply_effect(effect: Effect, state: &State, ledger: &Mutex<Ledger>) {
    let Some(delivery) = effect.after.delivery() else { return };
    stand(&delivery, effect.before.into(), state, ledger);
    if let Some(health) = effect.health {
        let number = delivery.id.subscription_number();
        state.put(keys::health(number), versioned(&health));
        if let Some(account) = lock(ledger).account(number) {
            account.health = health.into();
        }
    }
}

fn put_message(id: MessageId, message: &MessageRecord, state: &State) {
    let thread = message.thread();
    let key = keys::thread(thread.company(), thread.call());
    let hash = key[keys::THREAD.len()..].to_vec();
    if let Some(producer) = message.producer_id() {
        state.put(keys::message(thread.company(), producer), MessageReceipt::value_of(id, message, &hash));
    }
    if let Some(before) = message.before().filter(|before| *before != thread.place()) {
        state.remove(keys::latest(before));
        state.remove(keys::latest_in(thread.company(), before));
    }
    state.put(keys::latest(thread.place()), hash.clone());
    state.put(keys::latest_in(thread.company(), thread.place()), hash);
    state.put(key, versioned(thread));
}

fn put_account(record: &AccountRecord, state: &State, ledger: &Mutex<Ledger>) {
    state.put(keys::next_sequence(record.number), record.next_sequence.to_be_bytes().to_vec());
    state.put(keys::health(record.number), versioned(&record.health));
    if let Some(account) = lock(ledger).account(record.number) {
        account.next_sequence = record.next_sequence;
        account.health = record.health.into();
    }
}

/// From now on the delivery is where its state says: owed, a dead letter, or over. `before` is where
/// the journal says it stood: what the state says may be of later already.
fn stand(delivery: &Delivery, before: Option<Standing>, state: &State, ledger: &Mutex<Ledger>) {
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
}

/// The delivery, if it is owed or a dead letter.
pub(super) fn find(id: DeliveryId, state: &State) -> Result<Option<Delivery>, StateError> {
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

/// The kind of the frame of a subscription that stands in this form.
const fn kind_of(form: Form) -> u8 {
    match form {
        Form::Plain => kind::SUBSCRIPTION,
        Form::Certified => kind::CERTIFIED_SUBSCRIPTION,
        Form::Sealed => kind::SEALED_SUBSCRIPTION,
        Form::Extended => kind::EXTENDED_SUBSCRIPTION,
    }
}

/// What the journal has in the clear, or sealed with an older key, goes into the state sealed with the one of now.
fn put_subscription(record: SubscriptionRecord, state: &State, ledger: &Mutex<Ledger>) {
    let key = keys::numbered(keys::SUBSCRIPTION, record.number());
    let mut ledger = lock(ledger);
    let record = sealing::with_the_key_of_now(record, ledger.keys());
    state.put_pieces(&key, &record.to_value(), keys::SUBSCRIPTION_PIECES);
    let unsealed = record.unsealed(ledger.keys());
    if let Some(unsealed) = unsealed {
        ledger.put(unsealed);
    }
}

fn put_token(record: TokenRecord, state: &State, ledger: &Mutex<Ledger>) {
    state.put(keys::token(TokenId::from_bits(record.id)), versioned(&record));
    if let Some(token) = record.token() {
        lock(ledger).tokens.put(token);
    }
}

/// A record as a value of the state database: its version, then itself.
pub(super) fn versioned(record: &impl bincode::Encode) -> Vec<u8> {
    let mut value = Vec::with_capacity(FEW);
    value.push(record::VERSION);
    record::encode_into(&mut value, record);
    value
}

/// How many bytes most records have at most.
const FEW: usize = 64;

/// Reads a value of the state database.
pub(super) fn unversioned<T: bincode::Decode<()>>(value: &[u8]) -> Option<T> {
    match value.split_first() {
        Some((&record::VERSION, body)) => record::decode(body),
        _ => None,
    }
}

pub(super) fn lock<T>(shared: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
