//! The intent to accept all events of a batch that makes many deliveries.

use bincode::{Decode, Encode};

use crate::core::event::NewEvent;
use crate::core::id::EventId;
use crate::core::time::Timestamp;

use super::Accepted;

/// The events of a batch as they were posted; they have no ids yet, and nothing is owed of them.
#[derive(Debug, Encode, Decode)]
pub(in crate::store) struct FanOutRecord {
    pub(in crate::store) posted: Vec<Accepted>,
}

impl FanOutRecord {
    pub(in crate::store) fn new(events: &[NewEvent], now: Timestamp) -> Self {
        let posted = |event: &NewEvent| Accepted::new(event.clone().accepted(EventId::from_bits(0), now), &[]);
        Self { posted: events.iter().map(posted).collect() }
    }

    /// The events, to be accepted.
    pub(in crate::store) fn events(self) -> impl Iterator<Item = NewEvent> {
        let events = self.posted.into_iter().filter_map(|posted| posted.event(EventId::from_bits(0)));
        events.map(|event| NewEvent {
            event_type: event.event_type,
            company: event.company,
            domain: event.domain,
            source: event.source,
            occurred_at: Some(event.occurred_at),
            producer_id: event.producer_id,
            call: event.call,
            phone: event.phone,
            data: event.data,
        })
    }
}
