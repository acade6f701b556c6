//! The delivery to a given subscription in the record of an accepted event.

use crate::core::delivery::Delivery;
use crate::core::id::{DeliveryId, EventId, SubscriptionNumber};
use crate::model::record::{self, Accepted, Head, Kind as _};

/// An accepted event with its delivery to the subscription in question.
pub(crate) struct AcceptedDelivery {
    /// The event.
    pub(crate) event: EventId,
    /// Its record.
    pub(crate) record: Accepted,
    delivery: DeliveryId,
}

impl AcceptedDelivery {
    /// Reads a record; `None` if it has no delivery to subscription `number`.
    pub(crate) fn read(number: SubscriptionNumber, head: Head, payload: &[u8]) -> Option<Self> {
        let accepted = Accepted::KINDS.contains(&head.kind).then(|| record::decode::<Accepted>(payload))??;
        let owed = accepted.owed.iter().find(|owed| owed.id().subscription_number() == number)?;
        Some(Self { event: EventId::from_bits(head.id), delivery: owed.id(), record: accepted })
    }

    /// The id of the delivery.
    pub(crate) const fn delivery(&self) -> DeliveryId {
        self.delivery
    }

    /// The sequence number of the delivery.
    pub(crate) const fn sequence(&self) -> u64 {
        self.delivery.sequence()
    }

    /// Whether the event has one of these types; true if there are none.
    pub(crate) fn is_of<'e>(&self, types: impl ExactSizeIterator<Item = &'e str>) -> bool {
        let mut types = types;
        types.len() == 0 || types.any(|event_type| event_type == self.record.event_type())
    }

    /// The delivery as it was at acceptance.
    pub(crate) fn initial(&self) -> Option<Delivery> {
        let all = self.record.deliveries(self.event).unwrap_or_default();
        all.into_iter().find(|delivery| delivery.id == self.delivery)
    }
}
