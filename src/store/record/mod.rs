//! On-disk records: what a frame's payload and a value of the state database hold.
//!
//! They stand apart from core's types, so that a change there cannot change what is read from the
//! disk. Each is encoded by bincode 2.0.1 in its standard configuration (little-endian, variable
//! length integers). A record that must change gets a new struct and a new version number; the old
//! one stays and is converted.

use std::time::Duration;

use bincode::{Decode, Encode};

use crate::core::attempt::{Fault, Phase, Status};
use crate::core::delivery::State;
use crate::core::event::Source;
use crate::core::subscription::{DisabledReason, Format, Layout, Nested, Ordering};
use crate::core::time::Timestamp;
use crate::core::token::Role;

mod account;
mod call;
mod delivery;
mod entry;
mod erasure;
mod event;
mod fan_out;
mod message;
mod replay;
mod subscription;
mod token;

pub(super) use account::AccountRecord;
pub(super) use call::{CallRecord, GroupCounts, GroupOutcomes, GroupTimes};
pub(super) use delivery::{Before, CountsRecord, DeliveryRecord, EndedRecord, HealthRecord};
pub(super) use entry::{Effect, Logged};
pub(super) use erasure::ErasureRecord;
pub(super) use event::{Accepted, Owed};
pub(super) use fan_out::FanOutRecord;
pub(super) use message::{MessageRecord, ThreadRecord};
pub(super) use replay::{DiscardRecord, ReplayRecord};
pub(super) use subscription::{Form, SubscriptionRecord, Unsealed};
pub(super) use token::TokenRecord;

/// The version that is written today.
pub(super) const VERSION: u8 = 1;
/// The largest record that is decoded; a length read from a damaged file allocates no more.
const LIMIT: usize = 80 << 20;

fn configuration()
-> bincode::config::Configuration<bincode::config::LittleEndian, bincode::config::Varint, bincode::config::Limit<LIMIT>>
{
    bincode::config::standard().with_limit::<LIMIT>()
}

/// Appends `record` to `out`.
pub(super) fn encode_into(out: &mut Vec<u8>, record: &impl Encode) {
    let written = bincode::encode_into_std_write(record, out, configuration());
    debug_assert!(written.is_ok(), "writing into memory and records of known shape cannot fail");
}

/// `record` as bytes.
pub(super) fn encode(record: &impl Encode) -> Vec<u8> {
    let mut out = Vec::new();
    encode_into(&mut out, record);
    out
}

/// Reads a record; `None` if the bytes are not one, or are more than one.
pub(super) fn decode<T: Decode<()>>(bytes: &[u8]) -> Option<T> {
    let (record, length) = bincode::decode_from_slice(bytes, configuration()).ok()?;
    (length == bytes.len()).then_some(record)
}

/// A closed list as it stands on the disk: by its word, so that the order in the code is free.
macro_rules! by_word {
    ($($name:ident),+) => { $(
        impl Word for $name {
            fn word(self) -> String { self.as_str().to_owned() }
            fn read(word: &str) -> Option<Self> { Self::parse(word).ok() }
        }
    )+ };
}
trait Word: Sized {
    fn word(self) -> String;
    fn read(word: &str) -> Option<Self>;
}
by_word!(Status, State, Fault, Phase, Format, Layout, Nested, Ordering, DisabledReason, Source, Role);

fn millis(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}

fn micros(length: Duration) -> u64 {
    u64::try_from(length.as_micros()).unwrap_or(u64::MAX)
}

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

/// How far the journal has been taken into the state database.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode)]
pub(super) struct Applied {
    /// The journal file.
    pub(super) segment: u32,
    /// The first byte behind what was taken in.
    pub(super) offset: u32,
    /// The number of the last group commit.
    pub(super) batch: u64,
    /// The id given last.
    pub(super) last_id: u128,
    /// The number that the next subscription gets.
    pub(super) next_number: u32,
}
