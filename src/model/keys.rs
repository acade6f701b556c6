//! What the keys of each kind of value consist of. Numbers are big-endian, so that keys sort numerically.
//!
//! | kind | key | value |
//! |---|---|---|
//! | `Group` | company 0 hour domain 0 source agent 0 part | [`GroupCounts`](crate::model::record::GroupCounts), [`GroupOutcomes`](crate::model::record::GroupOutcomes) or [`GroupTimes`](crate::model::record::GroupTimes); hour u32, source and part one byte each |
//! | `Counts` | number | [`CountsRecord`](crate::model::record::CountsRecord) |
//! | `Discard` | number | [`DiscardRecord`](crate::model::progress::DiscardRecord) |
//! | `Erasure` | id (u128) | [`ErasureRecord`](crate::model::record::ErasureRecord) |
//! | `FanOut` | id (u128) of its intent in the log | u32: how many of its events are accepted |
//! | `Dead`, `Owed` | number sequence | [`DeliveryRecord`](crate::model::record::DeliveryRecord) |
//! | `Health` | number | [`HealthRecord`](crate::model::record::HealthRecord) |
//! | `Producer` | hash (16 bytes) | [`EventReceipt`](crate::model::receipts::EventReceipt) |
//! | `Counted` | | one byte, 0 or 1 |
//! | `LatestOf` | company position (8 and 16 bytes) | as `Latest`, by the first bytes of a hash of the company's name |
//! | `Thread` | hash (16 bytes) | [`ThreadRecord`](crate::model::record::ThreadRecord) |
//! | `InOrder` | | empty: what is under `LatestOf` is complete |
//! | `Latest` | position (16 bytes) | the hash of the thread there; positions are ordered by the time of the latest message |
//! | `Message` | hash (16 bytes) | [`MessageReceipt`](crate::model::receipts::MessageReceipt) |
//! | `Sequence` | number | u64 |
//! | `Token` | id (u128) | [`TokenRecord`](crate::model::record::TokenRecord) |
//! | `Audit` | id (u128) | [`AuditRecord`](crate::model::record::AuditRecord) |
//! | `AuditTerm` | term id (u64, u128) | empty: the entry with this id has the [term](crate::model::term) |
//! | `Session` | id (u128) | [`SessionRecord`](crate::model::record::SessionRecord) |
//! | `SignIn` | until when (u64, ms), hash (32 bytes) | empty |
//! | `PortalLink` | id (u128) | [`PortalLinkRecord`](crate::model::record::PortalLinkRecord) |
//! | `Replay` | number id (u128) | [`ReplayRecord`](crate::model::progress::ReplayRecord) |
//! | `Subscription` | number piece | a piece of a [`SubscriptionRecord`](crate::model::record::SubscriptionRecord), pieces from 0; version 2 with a client certificate, 3 with its secrets sealed, 4 with later settings |
//! | `Call` | hash (16 bytes) | [`CallRecord`](crate::model::record::CallRecord) |
//! | `WithoutWebhook` | company | ms u64, see [`without_webhook`](crate::model::without_webhook) |
//!
//! `number` is the subscription's (u32), `sequence` the delivery's (u64). A record starts with one byte for its
//! version.

use sha2::{Digest as _, Sha256};

use crate::core::call::Place;
use crate::core::event::{Domain, Source};
use crate::core::id::{AuditId, DeliveryId, ErasureId, PortalLinkId, SessionId, SubscriptionNumber, TokenId};
use crate::core::time::Timestamp;
use crate::core::token::TokenHash;
use crate::model::key::{Key, ValueKind};

/// The maximum number of pieces of a subscription's record.
pub(crate) const SUBSCRIPTION_PIECES: u8 = 12;

/// A key of a kind that begins with a subscription's number.
pub(crate) fn numbered(kind: ValueKind, number: SubscriptionNumber) -> Key {
    Key::new(kind, number.get().to_be_bytes().to_vec())
}

/// The key of a pending delivery or dead letter.
pub(crate) fn delivery(kind: ValueKind, id: DeliveryId) -> Key {
    sequence(kind, id.subscription_number(), id.sequence())
}

/// The key of a subscription's counts.
pub(crate) fn counts(number: SubscriptionNumber) -> Key {
    numbered(ValueKind::Counts, number)
}

/// The key of a subscription's health.
pub(crate) fn health(number: SubscriptionNumber) -> Key {
    numbered(ValueKind::Health, number)
}

/// The key of a subscription's next sequence number.
pub(crate) fn next_sequence(number: SubscriptionNumber) -> Key {
    numbered(ValueKind::Sequence, number)
}

/// The key of a replay.
pub(crate) fn replay(number: SubscriptionNumber, id: u128) -> Key {
    numbered(ValueKind::Replay, number).with(&id.to_be_bytes())
}

/// The key of a pending delivery or dead letter by its sequence number.
pub(crate) fn sequence(kind: ValueKind, number: SubscriptionNumber, sequence: u64) -> Key {
    numbered(kind, number).with(&sequence.to_be_bytes())
}

/// The key of a token.
pub(crate) fn token(id: TokenId) -> Key {
    Key::new(ValueKind::Token, id.bits().to_be_bytes().to_vec())
}

/// The key of an entry of the audit.
pub(crate) fn audit(id: AuditId) -> Key {
    Key::new(ValueKind::Audit, id.bits().to_be_bytes().to_vec())
}

/// The beginning of the keys of the entries of the audit under a term's key.
pub(crate) fn audit_term(term: u64) -> Key {
    Key::new(ValueKind::AuditTerm, term.to_be_bytes().to_vec())
}

/// The id at the end of a key of an entry of the audit, or of its place under a term.
pub(crate) fn audit_in(key: &Key) -> Option<u128> {
    key.rest().last_chunk().map(|id| u128::from_be_bytes(*id))
}

/// The key of a session of the page.
pub(crate) fn session(id: SessionId) -> Key {
    Key::new(ValueKind::Session, id.bits().to_be_bytes().to_vec())
}

/// The key of a used sign-in at a provider, which matters until then.
pub(crate) fn sign_in(until: Timestamp, hash: &TokenHash) -> Key {
    Key::new(ValueKind::SignIn, [&until.millis().to_be_bytes()[..], hash.bytes()].concat())
}

/// Until when a used sign-in matters.
pub(crate) fn sign_in_until(key: &Key) -> Option<Timestamp> {
    key.rest().first_chunk().map(|millis| Timestamp::from_millis(u64::from_be_bytes(*millis)))
}

/// The key of a portal link.
pub(crate) fn portal_link(id: PortalLinkId) -> Key {
    Key::new(ValueKind::PortalLink, id.bits().to_be_bytes().to_vec())
}

/// The key of a producer's id of an event.
pub(crate) fn producer(company: &str, id: &str) -> Key {
    of_company(ValueKind::Producer, company, id)
}

/// The key of a producer's id of a message.
pub(crate) fn message(company: &str, id: &str) -> Key {
    of_company(ValueKind::Message, company, id)
}

/// The key of a company without a webhook.
pub(crate) fn without_webhook(company: &str) -> Key {
    Key::new(ValueKind::WithoutWebhook, company.as_bytes().to_vec())
}

/// The key of the SMS thread of a call.
pub(crate) fn thread(company: &str, call: &str) -> Key {
    of_company(ValueKind::Thread, company, call)
}

/// The key of the SMS thread with this hash.
pub(crate) fn thread_of(hash: &[u8]) -> Key {
    Key::new(ValueKind::Thread, hash.to_vec())
}

/// The key of an erasure.
pub(crate) fn erasure(id: ErasureId) -> Key {
    Key::new(ValueKind::Erasure, id.bits().to_be_bytes().to_vec())
}

/// The key of a fan-out.
pub(crate) fn fan_out(id: u128) -> Key {
    Key::new(ValueKind::FanOut, id.to_be_bytes().to_vec())
}

/// The key of a position in the thread order.
pub(crate) fn latest(place: u128) -> Key {
    Key::new(ValueKind::Latest, place.to_be_bytes().to_vec())
}

/// The beginning of the keys of a company's thread order.
pub(crate) fn latest_of(company: &str) -> Key {
    Key::new(ValueKind::LatestOf, Sha256::digest(company.as_bytes())[..8].to_vec())
}

/// The key of a position in a company's thread order.
pub(crate) fn latest_in(company: &str, place: u128) -> Key {
    latest_of(company).with(&place.to_be_bytes())
}

/// The position at the end of a key of a thread order.
pub(crate) fn place_in(key: &Key) -> Option<u128> {
    key.rest().last_chunk().map(|place| u128::from_be_bytes(*place))
}

/// The key of a call record.
pub(crate) fn call(company: &str, call: &str) -> Key {
    of_company(ValueKind::Call, company, call)
}

/// A key that is a hash of an id that is unique within a company.
fn of_company(kind: ValueKind, company: &str, id: &str) -> Key {
    let mut hash = Sha256::new();
    hash.update((company.len() as u64).to_be_bytes());
    hash.update(company.as_bytes());
    hash.update(id.as_bytes());
    Key::new(kind, hash.finalize()[..16].to_vec())
}

/// What a key holds of a group of calls; the number is part of the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GroupPart {
    /// The number of calls and events.
    Counts = 1,
    /// The outcomes.
    Outcomes = 2,
    /// The time until calls were claimed.
    Claim = 3,
    /// The time until calls were connected.
    Connect = 4,
    /// The talk time.
    Talk = 5,
    /// The time until the lead answered an SMS.
    Reply = 6,
}

impl GroupPart {
    pub(crate) const ALL: [Self; 6] =
        [Self::Counts, Self::Outcomes, Self::Claim, Self::Connect, Self::Talk, Self::Reply];
}

/// Sources as bytes of group keys.
const SOURCES: [(Source, u8); 3] = [(Source::Widget, 1), (Source::LeadConnect, 2), (Source::Api, 3)];

/// The beginning of the keys of all groups, or of a company's.
pub(crate) fn groups(company: Option<&str>) -> Key {
    let all = Key::all(ValueKind::Group);
    match company {
        Some(company) => all.with(company.as_bytes()).with(&[0]),
        None => all,
    }
}

/// A key just before those of a company's groups from this hour on.
pub(crate) fn groups_from(company: &str, hour: u32) -> Key {
    groups(Some(company)).with(&hour.to_be_bytes())
}

/// A key just after those of all of a company's groups.
pub(crate) fn groups_behind(company: &str) -> Key {
    Key::all(ValueKind::Group).with(company.as_bytes()).with(&[1])
}

/// The key of a part of a group. Names have no control characters, so each ends at a zero byte.
pub(crate) fn group(company: &str, place: &Place, part: GroupPart) -> Key {
    let domain = place.domain.as_ref().map_or("", |domain| domain.as_str()).as_bytes();
    let source = SOURCES.iter().find(|(source, _)| *source == place.source).map_or(0, |(_, byte)| *byte);
    let agent = place.agent.as_deref().unwrap_or("").as_bytes();
    let hour = place.hour.to_be_bytes();
    Key::new(
        ValueKind::Group,
        [company.as_bytes(), &[0], &hour, domain, &[0, source], agent, &[0, part as u8]].concat(),
    )
}

/// The company, place and part in the key of a group.
pub(crate) fn group_in(key: &Key) -> Option<(String, Place, GroupPart)> {
    fn name<'k>(key: &mut &'k [u8]) -> Option<&'k str> {
        let end = key.iter().position(|byte| *byte == 0)?;
        let (name, rest) = (&key[..end], &key[end + 1..]);
        *key = rest;
        std::str::from_utf8(name).ok()
    }
    let mut rest = Some(key.rest()).filter(|_| key.kind() == ValueKind::Group)?;
    let company = name(&mut rest)?.to_owned();
    let (hour, behind) = rest.split_first_chunk::<4>()?;
    rest = behind;
    let domain = Some(name(&mut rest)?).filter(|name| !name.is_empty());
    let domain = domain.map(Domain::parse).transpose().ok()?;
    let (source, behind) = rest.split_first()?;
    rest = behind;
    let source = SOURCES.iter().find(|(_, byte)| byte == source)?.0;
    let agent = Some(name(&mut rest)?).filter(|name| !name.is_empty()).map(str::to_owned);
    let part = GroupPart::ALL.into_iter().find(|part| rest == [*part as u8])?;
    Some((company, Place { hour: u32::from_be_bytes(*hour), domain, source, agent }, part))
}

/// The subscription number in a key of a kind that begins with one.
pub(crate) fn number_in(key: &Key) -> Option<SubscriptionNumber> {
    key.rest().get(..4)?.try_into().ok().map(u32::from_be_bytes).map(SubscriptionNumber::new)
}
