//! The keys of the view. Numbers are big-endian, so that keys sort numerically.
//!
//! | key | value |
//! |---|---|
//! | `A` | [`CheckpointPosition`](crate::model::record::CheckpointPosition): the checkpoint position |
//! | `a` company 0 hour domain 0 source agent 0 part | [`GroupCounts`](crate::model::record::GroupCounts), [`GroupOutcomes`](crate::model::record::GroupOutcomes) or [`GroupTimes`](crate::model::record::GroupTimes): a part of the call report; hour u32, source and part one byte each |
//! | `c` number | [`CountsRecord`](crate::model::record::CountsRecord): the number of its deliveries by state |
//! | `d` number | [`DiscardRecord`](crate::model::progress::DiscardRecord): a discard in progress |
//! | `e` id | [`ErasureRecord`](crate::model::record::ErasureRecord): the progress of an erasure; id u128 |
//! | `b` id | u32: how many events of a fan-out are accepted; id u128, of its intent in the log |
//! | `f` number sequence | [`DeliveryRecord`](crate::model::record::DeliveryRecord): a dead letter |
//! | `h` number | [`HealthRecord`](crate::model::record::HealthRecord): its health |
//! | `i` hash (16 bytes) | a producer's id of an accepted event: [`EventReceipt`](crate::model::receipts::EventReceipt) |
//! | `k` | one byte: whether the values under `c` are as of `A` (1) or must be recounted (0) |
//! | `lc` company position (8 and 16 bytes) | as `lt`, for each company, by the first bytes of a hash of its name |
//! | `lh` hash (16 bytes) | [`ThreadRecord`](crate::model::record::ThreadRecord): the SMS thread of a company's call |
//! | `lo` | empty: what is under `lc` is complete |
//! | `lt` position (16 bytes) | the hash of the thread there; positions are ordered by the time of the latest message |
//! | `m` hash (16 bytes) | a producer's id of a message: [`MessageReceipt`](crate::model::receipts::MessageReceipt) |
//! | `n` number | u64: the sequence number that its next delivery gets |
//! | `o` id | [`TokenRecord`](crate::model::record::TokenRecord): a token of the API; id u128 |
//! | `p` | u64: how often the database was opened; written to verify that a write is synced |
//! | `q` number sequence | [`DeliveryRecord`](crate::model::record::DeliveryRecord): a pending delivery |
//! | `r` number id | [`ReplayRecord`](crate::model::progress::ReplayRecord): a replay in progress; id u128 |
//! | `s` number piece | a piece of a [`SubscriptionRecord`](crate::model::record::SubscriptionRecord), pieces from 0; version 2 with a client certificate, 3 with its secrets sealed, 4 with later settings |
//! | `t` hash (16 bytes) | [`CallRecord`](crate::model::record::CallRecord): the milestones of a call, for the report |
//! | `u` company | ms u64: the latest event of a company without a webhook, see [`without_webhook`](crate::model::without_webhook) |
//! | `x` key | an unreadable value that was set aside, by its original key ([`ValueKind`](crate::model::value::ValueKind)) |
//!
//! `number` is the subscription's (u32), `sequence` the delivery's (u64). A record starts with one byte for its
//! version.

use sha2::{Digest as _, Sha256};

use crate::core::call::Place;
use crate::core::event::{Domain, Source};
use crate::core::id::{DeliveryId, ErasureId, SubscriptionNumber, TokenId};

/// The checkpoint position.
pub(crate) const APPLIED: &[u8] = b"A";
/// Prefix of dead letters.
pub(crate) const DEAD: u8 = b'f';
/// Prefix of pending deliveries.
pub(crate) const OWED: u8 = b'q';
/// Prefix of producers' ids.
pub(crate) const PRODUCER: u8 = b'i';
/// Prefix of producers' ids of messages.
pub(crate) const MESSAGE: u8 = b'm';
/// Prefix of SMS threads.
pub(crate) const THREAD: [u8; 2] = *b"lh";
/// Prefix of the order of SMS threads.
pub(crate) const LATEST: [u8; 2] = *b"lt";
/// Prefix of the order of SMS threads of each company.
pub(crate) const LATEST_OF: [u8; 2] = *b"lc";
/// The key that marks the per-company thread order as complete.
pub(crate) const IN_ORDER: &[u8] = b"lo";
/// Prefix of the call report.
pub(crate) const GROUP: u8 = b'a';
/// Prefix of call records.
pub(crate) const CALL: u8 = b't';
/// Prefix of erasures.
pub(crate) const ERASURE: u8 = b'e';
/// Prefix of fan-outs.
pub(crate) const FAN_OUT: u8 = b'b';
/// Prefix of replays.
pub(crate) const REPLAY: u8 = b'r';
/// Prefix of discards.
pub(crate) const DISCARD: u8 = b'd';
/// Prefix of subscriptions' counts.
pub(crate) const COUNTS: u8 = b'c';
/// Prefix of unreadable values that were set aside.
pub(crate) const SET_ASIDE: u8 = b'x';
/// Prefix of subscriptions' health.
pub(crate) const HEALTH: u8 = b'h';
/// Prefix of subscriptions' next sequence numbers.
pub(crate) const SEQUENCE: u8 = b'n';
/// Prefix of tokens.
pub(crate) const TOKEN: u8 = b'o';
/// Prefix of companies without a webhook that post events.
pub(crate) const WITHOUT_WEBHOOK: u8 = b'u';
/// Prefix of subscriptions.
pub(crate) const SUBSCRIPTION: u8 = b's';
/// The key that says whether the counts are valid.
pub(crate) const COUNTED: &[u8] = b"k";
/// The counter of openings.
pub(crate) const OPENED: &[u8] = b"p";
/// The maximum number of pieces of a subscription's record.
pub(crate) const SUBSCRIPTION_PIECES: u8 = 8;

/// `prefix` and a subscription's number.
pub(crate) fn numbered(prefix: u8, number: SubscriptionNumber) -> Vec<u8> {
    let mut key = vec![prefix];
    key.extend_from_slice(&number.get().to_be_bytes());
    key
}

/// The key of a pending delivery or dead letter (`prefix`).
pub(crate) fn delivery(prefix: u8, id: DeliveryId) -> Vec<u8> {
    sequence(prefix, id.subscription_number(), id.sequence())
}

/// The key of a subscription's counts.
pub(crate) fn counts(number: SubscriptionNumber) -> Vec<u8> {
    numbered(COUNTS, number)
}

/// The key of a subscription's health.
pub(crate) fn health(number: SubscriptionNumber) -> Vec<u8> {
    numbered(HEALTH, number)
}

/// The key of a subscription's next sequence number.
pub(crate) fn next_sequence(number: SubscriptionNumber) -> Vec<u8> {
    numbered(SEQUENCE, number)
}

/// The key of a replay.
pub(crate) fn replay(number: SubscriptionNumber, id: u128) -> Vec<u8> {
    let mut key = numbered(REPLAY, number);
    key.extend_from_slice(&id.to_be_bytes());
    key
}

/// The key of a pending delivery or dead letter (`prefix`) by its sequence number.
pub(crate) fn sequence(prefix: u8, number: SubscriptionNumber, sequence: u64) -> Vec<u8> {
    let mut key = numbered(prefix, number);
    key.extend_from_slice(&sequence.to_be_bytes());
    key
}

/// The key of a token.
pub(crate) fn token(id: TokenId) -> Vec<u8> {
    let mut key = vec![TOKEN];
    key.extend_from_slice(&id.bits().to_be_bytes());
    key
}

/// The key of a producer's id of an event.
pub(crate) fn producer(company: &str, id: &str) -> Vec<u8> {
    of_company(&[PRODUCER], company, id)
}

/// The key of a producer's id of a message.
pub(crate) fn message(company: &str, id: &str) -> Vec<u8> {
    of_company(&[MESSAGE], company, id)
}

/// The key of a company without a webhook.
pub(crate) fn without_webhook(company: &str) -> Vec<u8> {
    [&[WITHOUT_WEBHOOK], company.as_bytes()].concat()
}

/// The key of the SMS thread of a call.
pub(crate) fn thread(company: &str, call: &str) -> Vec<u8> {
    of_company(&THREAD, company, call)
}

/// The key of an erasure.
pub(crate) fn erasure(id: ErasureId) -> Vec<u8> {
    [&[ERASURE], &id.bits().to_be_bytes()[..]].concat()
}

/// The key of a fan-out.
pub(crate) fn fan_out(id: u128) -> Vec<u8> {
    [&[FAN_OUT], &id.to_be_bytes()[..]].concat()
}

/// The key of a position in the thread order.
pub(crate) fn latest(place: u128) -> Vec<u8> {
    [&LATEST[..], &place.to_be_bytes()].concat()
}

/// The key prefix of a company's thread order.
pub(crate) fn latest_of(company: &str) -> Vec<u8> {
    let hash = Sha256::digest(company.as_bytes());
    [&LATEST_OF[..], &hash[..8]].concat()
}

/// The key of a position in a company's thread order.
pub(crate) fn latest_in(company: &str, place: u128) -> Vec<u8> {
    [&latest_of(company)[..], &place.to_be_bytes()].concat()
}

/// The position at the end of a key of a thread order.
pub(crate) fn place_in(key: &[u8]) -> Option<u128> {
    key.last_chunk().map(|place| u128::from_be_bytes(*place))
}

/// The key of a call record.
pub(crate) fn call(company: &str, call: &str) -> Vec<u8> {
    of_company(&[CALL], company, call)
}

/// `prefix` and a hash of an id that is unique within a company.
fn of_company(prefix: &[u8], company: &str, id: &str) -> Vec<u8> {
    let mut hash = Sha256::new();
    hash.update((company.len() as u64).to_be_bytes());
    hash.update(company.as_bytes());
    hash.update(id.as_bytes());
    [prefix, &hash.finalize()[..16]].concat()
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

/// The key prefix of all groups, or of a company's.
pub(crate) fn groups(company: Option<&str>) -> Vec<u8> {
    let mut key = vec![GROUP];
    if let Some(company) = company {
        key.extend_from_slice(company.as_bytes());
        key.push(0);
    }
    key
}

/// A key just before those of a company's groups from this hour on.
pub(crate) fn groups_from(company: &str, hour: u32) -> Vec<u8> {
    [&groups(Some(company))[..], &hour.to_be_bytes()].concat()
}

/// A key just after those of all of a company's groups.
pub(crate) fn groups_behind(company: &str) -> Vec<u8> {
    [&[GROUP], company.as_bytes(), &[1]].concat()
}

/// The key of a part of a group. Names have no control characters, so each ends at a zero byte.
pub(crate) fn group(company: &str, place: &Place, part: GroupPart) -> Vec<u8> {
    let domain = place.domain.as_ref().map_or("", |domain| domain.as_str()).as_bytes();
    let source = SOURCES.iter().find(|(source, _)| *source == place.source).map_or(0, |(_, byte)| *byte);
    let agent = place.agent.as_deref().unwrap_or("").as_bytes();
    [&groups_from(company, place.hour), domain, &[0, source], agent, &[0, part as u8]].concat()
}

/// The company, place and part in the key of a group.
pub(crate) fn group_in(key: &[u8]) -> Option<(String, Place, GroupPart)> {
    fn name<'k>(key: &mut &'k [u8]) -> Option<&'k str> {
        let end = key.iter().position(|byte| *byte == 0)?;
        let (name, rest) = (&key[..end], &key[end + 1..]);
        *key = rest;
        std::str::from_utf8(name).ok()
    }
    let mut rest = key.strip_prefix(&[GROUP])?;
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
pub(crate) fn number_in(key: &[u8]) -> Option<SubscriptionNumber> {
    key.get(1..5)?.try_into().ok().map(u32::from_be_bytes).map(SubscriptionNumber::new)
}
