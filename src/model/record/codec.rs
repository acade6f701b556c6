//! Encoding of records: bincode 2.0.1 in its standard configuration (little-endian, integers of variable length).
//!
//! Records are separate from core's types, so that a change there cannot change what is read from disk. To change a
//! record, add a new struct with a new version; the old one stays and is converted.

use std::time::Duration;

use bincode::de::Decoder;
use bincode::enc::Encoder;
use bincode::error::{DecodeError, EncodeError};
use bincode::{Decode, Encode, impl_borrow_decode};

use crate::core::actor::{ActorKind, Via};
use crate::core::attempt::{Fault, Phase, Status};
use crate::core::audit::Action;
use crate::core::auth::{AuthType, CredentialsIn};
use crate::core::delivery::State;
use crate::core::event::Source;
use crate::core::id::SubscriptionNumber;
use crate::core::preset::Preset;
use crate::core::subscription::{DisabledReason, Format, Layout, Nested, Ordering};
use crate::core::success::Success;
use crate::core::target::Signatures;
use crate::core::time::Timestamp;
use crate::core::token::Role;

/// The current version.
pub(crate) const VERSION: u8 = 1;
/// The largest record that is decoded, so that a length read from a damaged file allocates no more.
const LIMIT: usize = 80 << 20;

fn configuration()
-> bincode::config::Configuration<bincode::config::LittleEndian, bincode::config::Varint, bincode::config::Limit<LIMIT>>
{
    bincode::config::standard().with_limit::<LIMIT>()
}

/// Appends `record` to `out`.
pub(crate) fn encode_into(out: &mut Vec<u8>, record: &impl Encode) {
    let written = bincode::encode_into_std_write(record, out, configuration());
    debug_assert!(written.is_ok(), "writing into memory and records of known shape cannot fail");
}

/// Encodes `record`.
pub(crate) fn encode(record: &impl Encode) -> Vec<u8> {
    let mut out = Vec::new();
    encode_into(&mut out, record);
    out
}

/// A decodable record.
pub(crate) trait Readable: Decode<()> {}

impl<T: Decode<()>> Readable for T {}

/// Decodes a record; `None` if the bytes are not exactly one.
pub(crate) fn decode<T: Decode<()>>(bytes: &[u8]) -> Option<T> {
    let (record, length) = bincode::decode_from_slice(bytes, configuration()).ok()?;
    (length == bytes.len()).then_some(record)
}

/// Encodes an enum by name, so that the order of its variants is free.
macro_rules! by_word {
    ($($name:ident),+) => { $(
        impl Word for $name {
            fn word(self) -> String { self.as_str().to_owned() }
            fn read(word: &str) -> Option<Self> { Self::parse(word).ok() }
        }
    )+ };
}
pub(crate) trait Word: Sized {
    fn word(self) -> String;
    fn read(word: &str) -> Option<Self>;
}
by_word!(Status, State, Fault, Phase, Format, Layout, Nested, Ordering, DisabledReason, Source, Role);
by_word!(ActorKind, Via, Action);
by_word!(Preset, Success, Signatures, AuthType, CredentialsIn);

/// A subscription's number stands as its integer.
impl Encode for SubscriptionNumber {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        self.get().encode(encoder)
    }
}

impl<C> Decode<C> for SubscriptionNumber {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        u32::decode(decoder).map(Self::new)
    }
}

impl_borrow_decode!(SubscriptionNumber);

/// Reads a word that may be missing; `None` if it is there and cannot be read. For what narrows a right: taken for a
/// missing one, an unreadable company or domain would give access to all.
pub(crate) fn optional<T>(word: Option<String>, read: impl FnOnce(&str) -> Option<T>) -> Option<Option<T>> {
    match word {
        None => Some(None),
        Some(word) => read(&word).map(Some),
    }
}

pub(crate) fn millis(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}

pub(crate) fn micros(length: Duration) -> u64 {
    u64::try_from(length.as_micros()).unwrap_or(u64::MAX)
}

pub(crate) fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

/// Encodes a record as a value of the view: its version, then the record.
pub(crate) fn versioned(record: &impl Encode) -> Vec<u8> {
    versioned_as(VERSION, record)
}

/// The same for a record of another version.
pub(crate) fn versioned_as(version: u8, record: &impl Encode) -> Vec<u8> {
    let mut value = Vec::with_capacity(FEW);
    value.push(version);
    encode_into(&mut value, record);
    value
}

/// The size that most records do not exceed.
const FEW: usize = 64;

/// Decodes a value of the view.
pub(crate) fn unversioned<T: Decode<()>>(value: &[u8]) -> Option<T> {
    match value.split_first() {
        Some((&VERSION, body)) => decode(body),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_a_subscription_stands_as_its_integer() {
        for number in [0, 1, 250, 251, 70_000, u32::MAX] {
            let bytes = encode(&number);
            assert_eq!(encode(&SubscriptionNumber::new(number)), bytes);
            assert_eq!(decode(&bytes), Some(SubscriptionNumber::new(number)));
        }
    }
}
