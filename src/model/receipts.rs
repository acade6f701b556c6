//! Idempotency receipts, stored under producers' ids in the view: what was posted, when, and what was answered. A
//! repeated post is answered, or refused for different content, without reading the log.
//!
//! | value | version 1 | version 2: the same, then |
//! |---|---|---|
//! | of an event | event id u128, accepted ms u64 | deliveries u32, fingerprint of the type u64, of the data u64 |
//! | of a message | message id u128, stored ms u64, raised event u128 or 0, thread's hash (16 bytes) | fingerprint of the content u64 |
//!
//! Numbers are big-endian; the length determines the version. A fingerprint of 0 is unknown: version 1, or erased
//! since. It then compares equal to anything.

use crate::core::erasure;
use crate::core::event::NewEvent;
use crate::core::fingerprint::Fingerprint;
use crate::core::id::{EventId, MessageId};
use crate::core::invalid::Invalid;
use crate::core::time::Timestamp;

/// The content of an event that must be equal when it is posted again. Its company is part of the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EventContent {
    event_type: Option<Fingerprint>,
    data: Option<Fingerprint>,
}

impl EventContent {
    /// The content of a posted event.
    pub(crate) fn of(event: &NewEvent) -> Self {
        Self::new(event.event_type.as_str(), Some(event.data.as_str()).filter(|data| !erasure::is_erased(data)))
    }

    fn new(event_type: &str, data: Option<&str>) -> Self {
        Self { event_type: Some(Fingerprint::of_parts([event_type])), data: data.map(Fingerprint::of_json) }
    }

    /// The members known to differ.
    fn differing(self, other: Self) -> Vec<&'static str> {
        let pairs = [("`type`", self.event_type, other.event_type), ("`data`", self.data, other.data)];
        let differ =
            |(_, one, other): &(_, Option<Fingerprint>, Option<_>)| one.zip(*other).is_some_and(|(a, b)| a != b);
        pairs.into_iter().filter(differ).map(|(name, ..)| name).collect()
    }
}

/// The receipt for a producer's id of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EventReceipt {
    pub(crate) id: EventId,
    pub(crate) at: Timestamp,
    /// The number of its deliveries; `None` in version 1.
    pub(crate) deliveries: Option<u32>,
    content: EventContent,
}

impl EventReceipt {
    /// For an event accepted now.
    pub(crate) const fn new(id: EventId, at: Timestamp, deliveries: u32, content: EventContent) -> Self {
        Self { id, at, deliveries: Some(deliveries), content }
    }

    /// The encoded receipt for an event in the log. An erased event has different data from what was posted, so its
    /// data is unknown.
    pub(crate) fn value_of(id: EventId, at: Timestamp, deliveries: u32, event_type: &str, data: &str) -> Vec<u8> {
        let content = EventContent::new(event_type, Some(data).filter(|data| !erasure::is_erased(data)));
        Self::new(id, at, deliveries, content).encode()
    }

    fn encode(self) -> Vec<u8> {
        let mut value = Vec::with_capacity(Self::LENGTHS[1]);
        value.extend_from_slice(&self.id.bits().to_be_bytes());
        value.extend_from_slice(&self.at.millis().to_be_bytes());
        value.extend_from_slice(&self.deliveries.unwrap_or_default().to_be_bytes());
        for print in [self.content.event_type, self.content.data] {
            value.extend_from_slice(&print.map_or(0, Fingerprint::bits).to_be_bytes());
        }
        value
    }

    /// The lengths of the versions.
    pub(crate) const LENGTHS: [usize; 2] = [24, 44];

    /// Reads a value.
    pub(crate) fn decode(value: &[u8]) -> Option<Self> {
        if !Self::LENGTHS.contains(&value.len()) {
            return None;
        }
        let deliveries = value.get(24..28).and_then(|bytes| bytes.try_into().ok()).map(u32::from_be_bytes);
        Some(Self {
            id: EventId::from_bits(u128::from_be_bytes(*value.first_chunk()?)),
            at: given_at(value)?,
            deliveries,
            content: EventContent { event_type: print_at(value, 28), data: print_at(value, 36) },
        })
    }

    /// Why `content` cannot be what was first posted with the id, by an earlier event of the same batch if `in_batch`;
    /// `None` if it can.
    pub(crate) fn refusal(&self, content: EventContent, in_batch: bool) -> Option<String> {
        let differing = self.content.differing(content);
        let first = || if in_batch { "an event of this batch".to_owned() } else { self.id.to_string() };
        (!differing.is_empty()).then(|| refusal(&first(), &differing))
    }
}

/// The receipt for a producer's id of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MessageReceipt<'v> {
    pub(crate) at: Timestamp,
    /// The event that it raised.
    pub(crate) event: Option<EventId>,
    /// The key of its thread without the prefix.
    pub(crate) thread: &'v [u8],
    content: Option<Fingerprint>,
}

impl<'v> MessageReceipt<'v> {
    /// The encoded receipt for a message in the log.
    pub(crate) fn value_of(id: MessageId, event: Option<u128>, content: Option<Fingerprint>, thread: &[u8]) -> Vec<u8> {
        let mut value = Vec::with_capacity(Self::LENGTHS[1]);
        value.extend_from_slice(&id.bits().to_be_bytes());
        value.extend_from_slice(&id.timestamp().millis().to_be_bytes());
        value.extend_from_slice(&event.unwrap_or(0).to_be_bytes());
        value.extend_from_slice(thread);
        value.extend_from_slice(&content.map_or(0, Fingerprint::bits).to_be_bytes());
        value
    }

    /// The lengths of the versions.
    pub(crate) const LENGTHS: [usize; 2] = [56, 64];

    /// Reads a value.
    pub(crate) fn decode(value: &'v [u8]) -> Option<Self> {
        if !Self::LENGTHS.contains(&value.len()) {
            return None;
        }
        let event = u128::from_be_bytes(value.get(24..40)?.try_into().ok()?);
        Some(Self {
            at: given_at(value)?,
            event: (event != 0).then(|| EventId::from_bits(event)),
            thread: value.get(40..56)?,
            content: print_at(value, 56),
        })
    }

    /// Why a message with this `content` in `thread` cannot be what was first posted with the id; `None` if it can.
    pub(crate) fn refusal(&self, content: Fingerprint, thread: &[u8]) -> Option<String> {
        if self.thread != thread {
            return Some(refusal("a message", &["`call_id`"]));
        }
        message_refusal(self.content, content)
    }
}

/// Adds an error if the event at `index` of a request cannot be the one first posted with its id.
pub(crate) fn note_conflict(
    index: usize,
    first: &EventReceipt,
    content: EventContent,
    in_batch: bool,
    invalid: &mut Invalid,
) {
    if let Some(refusal) = first.refusal(content, in_batch) {
        invalid.add(format!("/{index}/id"), refusal);
    }
}

/// Why a message with the content `posted` cannot be the one stored with the content `kept`; `None` if it can.
pub(crate) fn message_refusal(kept: Option<Fingerprint>, posted: Fingerprint) -> Option<String> {
    kept.is_some_and(|kept| kept != posted)
        .then(|| refusal("a message", &["`direction`, `from`, `to`, `body` or `media`"]))
}

fn refusal(what: &str, differing: &[&str]) -> String {
    format!(
        "was given to {what} before, with another {}: nothing is stored; post what was posted then, or give this an id \
         of its own",
        differing.join(" and another ")
    )
}

/// When a producer's id, of an event or a message, was first used.
pub(crate) fn given_at(value: &[u8]) -> Option<Timestamp> {
    let at = u64::from_be_bytes(value.get(16..24)?.try_into().ok()?);
    Some(Timestamp::from_millis(at))
}

fn print_at(value: &[u8], at: usize) -> Option<Fingerprint> {
    let bits = value.get(at..at + 8)?.try_into().ok().map(u64::from_be_bytes)?;
    Fingerprint::from_bits(bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(event_type: &str, data: &str) -> EventContent {
        EventContent::new(event_type, Some(data))
    }

    #[test]
    fn receipts_round_trip_and_version_1_has_no_content() {
        let first = content("call.new", r#"{"call_id":"c","n":1.50}"#);
        let receipt = EventReceipt::new(EventId::from_bits(7), Timestamp::from_millis(9), 3, first);
        let value = receipt.encode();
        assert_eq!(EventReceipt::decode(&value), Some(receipt));
        assert_eq!(given_at(&value), Some(Timestamp::from_millis(9)));
        let old = EventReceipt::decode(&value[..24]).unwrap();
        assert_eq!((old.id, old.at, old.deliveries), (receipt.id, receipt.at, None));
        let other = content("call.missed", "{}");
        assert_eq!(old.refusal(other, false), None, "unknown content compares equal");
        for length in (0..50).filter(|length| !EventReceipt::LENGTHS.contains(length)) {
            assert_eq!(EventReceipt::decode(&vec![0; length]), None, "{length}");
        }
        // Byte for byte: these values are on disks.
        let wanted = [7u128.to_be_bytes().to_vec(), 9u64.to_be_bytes().to_vec(), 3u32.to_be_bytes().to_vec()].concat();
        assert_eq!((&value[..28], value.len()), (wanted.as_slice(), 44));
    }

    #[test]
    fn refusals_name_what_differs() {
        let first = content("call.new", r#"{"call_id":"c","n":1.50}"#);
        let receipt = EventReceipt::new(EventId::from_bits(7), Timestamp::ZERO, 0, first);
        assert_eq!(receipt.refusal(content("call.new", r#"{ "n": 1.5, "call_id": "c" }"#), false), None);
        for (event_type, data, wanted) in [
            ("call.missed", r#"{"call_id":"c","n":1.50}"#, "with another `type`:"),
            ("call.new", r#"{"call_id":"c","n":1.51}"#, "with another `data`:"),
            ("call.missed", "{}", "with another `type` and another `data`:"),
        ] {
            let refusal = receipt.refusal(content(event_type, data), false).unwrap();
            assert!(refusal.contains(wanted) && refusal.contains("evt_"), "{refusal}");
        }
    }
}
