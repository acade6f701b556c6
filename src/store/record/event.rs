//! An accepted event with what is owed of it.

use bincode::{Decode, Encode};

use crate::core::delivery::{Delivery, State};
use crate::core::event::{CallId, Company, Domain, Event, EventType, ProducerId, Source};
use crate::core::id::{DeliveryId, EventId, SubscriptionId};
use crate::core::time::Timestamp;

use super::{Word as _, at};

/// An accepted event with what is owed of it. The event's id stands in the frame.
#[derive(Debug, Encode, Decode)]
pub(in crate::store) struct Accepted {
    accepted_at: u64,
    occurred_at: u64,
    event_type: String,
    company: String,
    domain: Option<String>,
    source: String,
    producer_id: Option<String>,
    call: String,
    phone: Option<String>,
    data: String,
    /// The deliveries, in the order of their subscriptions' numbers.
    pub(in crate::store) owed: Vec<Owed>,
}

/// What a delivery begins with, apart from what its event says.
#[derive(Debug, Clone, Encode, Decode)]
pub(in crate::store) struct Owed {
    delivery: u128,
    subscription: u128,
    give_up_at: u64,
    expire_at: Option<u64>,
}

impl Owed {
    pub(in crate::store) fn id(&self) -> DeliveryId {
        DeliveryId::from_bits(self.delivery)
    }
}

impl Accepted {
    pub(in crate::store) fn new(event: Event, deliveries: &[Delivery]) -> Self {
        let owed = |delivery: &Delivery| Owed {
            delivery: delivery.id.bits(),
            subscription: delivery.subscription.bits(),
            give_up_at: delivery.give_up_at.millis(),
            expire_at: delivery.expire_at.map(Timestamp::millis),
        };
        Self {
            accepted_at: event.accepted_at.millis(),
            occurred_at: event.occurred_at.millis(),
            event_type: event.event_type.into_string(),
            company: event.company.into_string(),
            domain: event.domain.map(Domain::into_string),
            source: event.source.word(),
            producer_id: event.producer_id.map(ProducerId::into_string),
            call: event.call.into_string(),
            phone: event.phone,
            data: event.data,
            owed: deliveries.iter().map(owed).collect(),
        }
    }

    pub(in crate::store) fn event(self, id: EventId) -> Option<Event> {
        Some(Event {
            id,
            accepted_at: at(self.accepted_at),
            occurred_at: at(self.occurred_at),
            event_type: EventType::parse(&self.event_type).ok()?,
            company: Company::parse(&self.company).ok()?,
            domain: self.domain.and_then(|domain| Domain::parse(&domain).ok()),
            source: Source::read(&self.source)?,
            producer_id: self.producer_id.and_then(|id| ProducerId::parse(&id).ok()),
            call: CallId::parse(&self.call).ok()?,
            phone: self.phone,
            data: self.data,
        })
    }

    /// The deliveries as they were when the event was accepted.
    pub(in crate::store) fn deliveries(&self, event: EventId) -> Option<Vec<Delivery>> {
        let event_type = EventType::parse(&self.event_type).ok()?;
        let call = CallId::parse(&self.call).ok()?;
        let delivery = |owed: &Owed| Delivery {
            id: owed.id(),
            subscription: SubscriptionId::from_bits(owed.subscription),
            event,
            event_type: event_type.clone(),
            call: call.clone(),
            state: State::Pending,
            attempts: 0,
            due: at(self.accepted_at),
            give_up_at: at(owed.give_up_at),
            expire_at: owed.expire_at.map(at),
            first_failed_at: None,
            last_response: None,
            replay: false,
        };
        Some(self.owed.iter().map(delivery).collect())
    }

    pub(in crate::store) fn event_type(&self) -> &str {
        &self.event_type
    }

    pub(in crate::store) fn company(&self) -> &str {
        &self.company
    }

    pub(in crate::store) fn occurred_at(&self) -> Timestamp {
        at(self.occurred_at)
    }

    pub(in crate::store) fn domain(&self) -> Option<Domain> {
        self.domain.as_ref().and_then(|domain| Domain::parse(domain).ok())
    }

    pub(in crate::store) fn domain_name(&self) -> Option<&str> {
        self.domain.as_deref()
    }

    /// The word of its source.
    pub(in crate::store) fn source_word(&self) -> &str {
        &self.source
    }

    pub(in crate::store) fn source(&self) -> Option<Source> {
        Source::read(&self.source)
    }

    pub(in crate::store) fn data(&self) -> &str {
        &self.data
    }

    /// The same with other data, and no phone number.
    pub(in crate::store) fn erased(self, data: String) -> Self {
        Self { data, phone: None, ..self }
    }

    pub(in crate::store) fn producer_id(&self) -> Option<&str> {
        self.producer_id.as_deref()
    }

    pub(in crate::store) fn call(&self) -> &str {
        &self.call
    }

    pub(in crate::store) fn phone(&self) -> Option<&str> {
        self.phone.as_deref()
    }

    pub(in crate::store) const fn accepted_at(&self) -> u64 {
        self.accepted_at
    }
}
