//! The keys of the state database. Numbers are big-endian, so that keys sort as numbers do.
//!
//! | key | value |
//! |---|---|
//! | `A` | [`Applied`](super::record::Applied): how far the journal has been taken in |
//! | `c` number | [`CountsRecord`](super::record::CountsRecord): how many of its deliveries stand where |
//! | `d` number | [`DiscardRecord`](super::record::DiscardRecord): what is being discarded |
//! | `f` number sequence | [`DeliveryRecord`](super::record::DeliveryRecord): a dead letter |
//! | `h` number | [`HealthRecord`](super::record::HealthRecord): how its attempts have gone |
//! | `i` hash (16 bytes) | a producer's id of an event that was accepted: event id u128, accepted ms u64 |
//! | `k` | one byte: whether all that is under `c` is as of `A` (1) or must be counted anew (0) |
//! | `n` number | u64: the sequence number that its next delivery gets |
//! | `o` id | [`TokenRecord`](super::record::TokenRecord): a token of the API; id u128 |
//! | `p` | u64: how often the database was opened; written to prove that a write is synced |
//! | `q` number sequence | [`DeliveryRecord`](super::record::DeliveryRecord): a delivery that is owed |
//! | `r` number id | [`ReplayRecord`](super::record::ReplayRecord): a replay that goes on; id u128 |
//! | `s` number piece | a piece of a [`SubscriptionRecord`](super::record::SubscriptionRecord), pieces from 0 |
//!
//! `number` is the subscription's (u32), `sequence` the delivery's (u64). A record is led by its
//! version, one byte.

use sha2::{Digest as _, Sha256};

use crate::core::id::{DeliveryId, TokenId};

/// Prefix of dead letters.
pub(super) const DEAD: u8 = b'f';
/// Prefix of owed deliveries.
pub(super) const OWED: u8 = b'q';
/// Prefix of producers' ids.
pub(super) const PRODUCER: u8 = b'i';
/// Prefix of replays.
pub(super) const REPLAY: u8 = b'r';
/// Prefix of discards.
pub(super) const DISCARD: u8 = b'd';
/// Prefix of subscriptions' health.
pub(super) const HEALTH: u8 = b'h';
/// Prefix of subscriptions' next sequence numbers.
pub(super) const SEQUENCE: u8 = b'n';
/// Prefix of tokens.
pub(super) const TOKEN: u8 = b'o';
/// Prefix of subscriptions.
pub(super) const SUBSCRIPTION: u8 = b's';
/// The key that says whether the counts are good.
pub(super) const COUNTED: &[u8] = b"k";
/// The key of the count of openings.
pub(super) const OPENED: &[u8] = b"p";
/// How many pieces a subscription's record may have.
pub(super) const SUBSCRIPTION_PIECES: u8 = 8;

/// `prefix` and a subscription's number.
pub(super) fn numbered(prefix: u8, number: u32) -> Vec<u8> {
    let mut key = vec![prefix];
    key.extend_from_slice(&number.to_be_bytes());
    key
}

/// `prefix` and what identifies a delivery.
pub(super) fn delivery(prefix: u8, id: DeliveryId) -> Vec<u8> {
    sequence(prefix, id.subscription_number(), id.sequence())
}

/// The key of a subscription's counts.
pub(super) fn counts(number: u32) -> Vec<u8> {
    numbered(b'c', number)
}

/// The key of a subscription's health.
pub(super) fn health(number: u32) -> Vec<u8> {
    numbered(HEALTH, number)
}

/// The key of a subscription's next sequence number.
pub(super) fn next_sequence(number: u32) -> Vec<u8> {
    numbered(SEQUENCE, number)
}

/// The key of a replay.
pub(super) fn replay(number: u32, id: u128) -> Vec<u8> {
    let mut key = numbered(REPLAY, number);
    key.extend_from_slice(&id.to_be_bytes());
    key
}

/// The key of an owed delivery or dead letter (`prefix`) by its sequence number.
pub(super) fn sequence(prefix: u8, number: u32, sequence: u64) -> Vec<u8> {
    let mut key = numbered(prefix, number);
    key.extend_from_slice(&sequence.to_be_bytes());
    key
}

/// The key of a token.
pub(super) fn token(id: TokenId) -> Vec<u8> {
    let mut key = vec![TOKEN];
    key.extend_from_slice(&id.bits().to_be_bytes());
    key
}

/// The key of a producer's id of an event.
pub(super) fn producer(company: &str, id: &str) -> Vec<u8> {
    let mut hash = Sha256::new();
    hash.update((company.len() as u64).to_be_bytes());
    hash.update(company.as_bytes());
    hash.update(id.as_bytes());
    let mut key = vec![PRODUCER];
    key.extend_from_slice(&hash.finalize()[..16]);
    key
}

/// The subscription's number in a key of the kinds that begin with one.
pub(super) fn number_in(key: &[u8]) -> Option<u32> {
    key.get(1..5)?.try_into().ok().map(u32::from_be_bytes)
}
