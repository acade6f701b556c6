//! An accepted event with its deliveries.

use bincode::{Decode, Encode};

use crate::core::delivery::{Delivery, State};
use crate::core::event::{CallId, Company, Domain, Event, EventType, ProducerId, Source};
use crate::core::id::{DeliveryId, EventId, SubscriptionId};
use crate::core::time::Timestamp;
use crate::model::error::StoreError;
use crate::model::key::ValueKind;
use crate::model::keys;
use crate::model::receipts::EventReceipt;
use crate::model::record::codec::{self, Word as _, at, versioned};
use crate::model::record::delivery::DeliveryRecord;
use crate::model::record::kind::{Class, Disposition, Expired, Frame, Kind, Target, Waits, encoded_as_itself};
use crate::model::redaction::{Rule, Subject};
use crate::model::term::{Owner, Term, Terms};

/// An accepted event with its deliveries. The event's id is in the record head.
#[derive(Debug, Encode, Decode)]
pub(crate) struct Accepted {
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
    /// The deliveries, ordered by subscription number.
    pub(crate) owed: Vec<Owed>,
}

/// The initial data of a delivery that does not follow from its event.
#[derive(Debug, Clone, Encode, Decode)]
pub(crate) struct Owed {
    delivery: u128,
    subscription: u128,
    give_up_at: u64,
    expire_at: Option<u64>,
}

impl Owed {
    pub(crate) fn id(&self) -> DeliveryId {
        DeliveryId::from_bits(self.delivery)
    }
}

impl Accepted {
    pub(crate) fn new(event: Event, deliveries: &[Delivery]) -> Self {
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

    pub(crate) fn event(self, id: EventId) -> Option<Event> {
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

    /// The deliveries as they were at acceptance.
    pub(crate) fn deliveries(&self, event: EventId) -> Option<Vec<Delivery>> {
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

    pub(crate) fn event_type(&self) -> &str {
        &self.event_type
    }

    pub(crate) fn company(&self) -> &str {
        &self.company
    }

    pub(crate) fn occurred_at(&self) -> Timestamp {
        at(self.occurred_at)
    }

    pub(crate) fn domain(&self) -> Option<Domain> {
        self.domain.as_ref().and_then(|domain| Domain::parse(domain).ok())
    }

    pub(crate) fn domain_name(&self) -> Option<&str> {
        self.domain.as_deref()
    }

    pub(crate) fn source(&self) -> Option<Source> {
        Source::read(&self.source)
    }

    pub(crate) fn data(&self) -> &str {
        &self.data
    }

    /// The event with redacted data, and without the phone number.
    pub(crate) fn erased(self, data: String) -> Self {
        Self { data, phone: None, ..self }
    }

    pub(crate) fn producer_id(&self) -> Option<&str> {
        self.producer_id.as_deref()
    }

    pub(crate) fn call(&self) -> &str {
        &self.call
    }

    pub(crate) fn phone(&self) -> Option<&str> {
        self.phone.as_deref()
    }
}

impl Accepted {
    /// The data redacted by `rule`; `None` if the rule removes nothing.
    pub(crate) fn left_by(&self, rule: &Rule) -> Option<String> {
        if self.company != rule.company || !rule.concerns_event(self.phone(), &self.call, &self.data) {
            return None;
        }
        let left = rule.left_of(&self.event_type, &self.data);
        (self.phone.is_some() || self.data != left).then_some(left)
    }

    /// The terms under which an erasure finds it.
    pub(crate) fn personal_terms(&self) -> Vec<u64> {
        let about = [Some(Term::Call(&self.call)), self.phone().map(Term::Phone)];
        Owner::company(&self.company).keys(about.into_iter().flatten())
    }

    /// The person it is about.
    pub(crate) fn subject(&self) -> Subject<'_> {
        Subject { company: &self.company, phone: self.phone(), call: Some(&self.call) }
    }
}

impl Kind for Accepted {
    const NAME: &'static str = "events";
    const CLASS: Class = Class::Event;
    const GRANTS_RIGHTS: bool = false;

    encoded_as_itself!(1);

    fn terms(&self) -> Terms {
        let (event_type, source) = (Term::Type(&self.event_type), Term::Source(&self.source));
        let own = [Term::All, event_type, source, Term::Call(&self.call)].into_iter();
        let own = own.chain(self.domain_name().map(Term::Domain)).chain(self.phone().map(Term::Phone));
        let owed = self.owed.iter().map(|owed| Term::Owed(owed.id().subscription_number()));
        Terms { keys: Owner::company(&self.company).keys(own.chain(owed)), at: Some(self.accepted_at) }
    }

    fn begins(&self) -> Vec<DeliveryId> {
        self.owed.iter().map(Owed::id).collect()
    }

    fn decodes_fully(self, id: u128) -> bool {
        let id = EventId::from_bits(id);
        self.deliveries(id).is_some() && self.event(id).is_some()
    }

    fn apply(self, id: u128, target: Target<'_>) -> Option<Self> {
        let Target { view, memory } = target;
        let id = EventId::from_bits(id);
        if let Some(producer) = self.producer_id() {
            view.put(
                keys::producer(&self.company, producer),
                EventReceipt::value_of(
                    id,
                    at(self.accepted_at),
                    crate::model::error::u32_of(self.owed.len()),
                    &self.event_type,
                    &self.data,
                ),
            );
        }
        if self.owed.is_empty()
            && let Ok(company) = Company::parse(&self.company)
        {
            memory.note_without_webhook(&company, at(self.accepted_at), view);
        }
        for delivery in self.deliveries(id).unwrap_or_default() {
            let number = delivery.id.subscription_number();
            let next = delivery.id.sequence() + 1;
            view.put(keys::next_sequence(number), next.to_be_bytes().to_vec());
            memory.set_next_sequence(number, next);
            view.put_new(keys::delivery(ValueKind::Owed, delivery.id), versioned(&DeliveryRecord::from(&delivery)));
            memory.moved(number, None, Some(State::Pending));
        }
        Some(self)
    }

    /// It is kept while one of its deliveries is pending or a dead letter.
    fn retain(frame: Frame<'_>, expired: &Expired, waits: Waits<'_>) -> Result<Disposition, StoreError> {
        if frame.id >= expired.events_below {
            return Ok(Disposition::Keep);
        }
        let Some(accepted) = codec::decode::<Self>(frame.payload) else { return Ok(Disposition::Keep) };
        for owed in &accepted.owed {
            if waits(owed.id())? {
                return Ok(Disposition::Keep);
            }
        }
        Ok(Disposition::Drop)
    }

    fn redact(frame: Frame<'_>, rule: &Rule) -> Option<Vec<u8>> {
        if frame.id >= rule.below {
            return None;
        }
        let event = codec::decode::<Self>(frame.payload)?;
        let left = event.left_by(rule)?;
        Some(codec::encode(&event.erased(left)))
    }

    fn subjects(frame: Frame<'_>, visit: &mut dyn FnMut(&Subject<'_>)) {
        if let Some(accepted) = codec::decode::<Self>(frame.payload) {
            visit(&accepted.subject());
        }
    }
}
