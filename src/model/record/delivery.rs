//! Values of the view: a pending delivery or dead letter, a subscription's health, and its counts.

use std::time::Duration;

use bincode::{Decode, Encode};

use crate::core::delivery::{Delivery, State};
use crate::core::event::{CallId, EventType};
use crate::core::id::{DeliveryId, EventId, SubscriptionId};
use crate::core::time::Timestamp;
use crate::model::error::StoreError;
use crate::model::health::{Counts, Health};
use crate::model::key::ValueKind;
use crate::model::keys;
use crate::model::record::codec::{self, Word as _, at, millis};
use crate::model::view::View;

/// A pending delivery, or a dead letter.
#[derive(Debug, Encode, Decode)]
pub(crate) struct DeliveryRecord {
    id: u128,
    subscription: u128,
    event: u128,
    event_type: String,
    call: String,
    state: String,
    attempts: u32,
    due: u64,
    give_up_at: u64,
    expire_at: Option<u64>,
    first_failed_at: Option<u64>,
    last_response: Option<u16>,
    replay: bool,
}

impl From<&Delivery> for DeliveryRecord {
    fn from(delivery: &Delivery) -> Self {
        Self {
            id: delivery.id.bits(),
            subscription: delivery.subscription.bits(),
            event: delivery.event.bits(),
            event_type: delivery.event_type.as_str().to_owned(),
            call: delivery.call.as_str().to_owned(),
            state: delivery.state.word(),
            attempts: delivery.attempts,
            due: delivery.due.millis(),
            give_up_at: delivery.give_up_at.millis(),
            expire_at: delivery.expire_at.map(Timestamp::millis),
            first_failed_at: delivery.first_failed_at.map(Timestamp::millis),
            last_response: delivery.last_response,
            replay: delivery.replay,
        }
    }
}

impl DeliveryRecord {
    pub(crate) fn id(&self) -> DeliveryId {
        DeliveryId::from_bits(self.id)
    }

    pub(crate) fn event(&self) -> EventId {
        EventId::from_bits(self.event)
    }

    /// The bits of its subscription's id.
    pub(crate) const fn subscription(&self) -> u128 {
        self.subscription
    }

    /// Its event's type, its call, and the name of its state.
    pub(crate) fn names(&self) -> (&str, &str, &str) {
        (&self.event_type, &self.call, &self.state)
    }

    /// Whether the delivery is pending.
    pub(crate) fn is_owed(&self) -> bool {
        State::read(&self.state).is_some_and(State::is_owed)
    }

    /// The delivery, ended at this time.
    pub(crate) fn ended_at(self, millis: u64) -> Self {
        Self { due: millis, ..self }
    }

    pub(crate) fn delivery(self) -> Option<Delivery> {
        Some(Delivery {
            id: DeliveryId::from_bits(self.id),
            subscription: SubscriptionId::from_bits(self.subscription),
            event: EventId::from_bits(self.event),
            event_type: EventType::parse(&self.event_type).ok()?,
            call: CallId::parse(&self.call).ok()?,
            state: State::read(&self.state)?,
            attempts: self.attempts,
            due: at(self.due),
            give_up_at: at(self.give_up_at),
            expire_at: self.expire_at.map(at),
            first_failed_at: self.first_failed_at.map(at),
            last_response: self.last_response,
            replay: self.replay,
        })
    }
}

/// A subscription's health.
#[derive(Debug, Clone, Copy, Encode, Decode)]
pub(crate) struct HealthRecord {
    failing_since: Option<u64>,
    failures: u32,
    last_success: Option<u64>,
    answer_ms: Option<u64>,
}

impl From<Health> for HealthRecord {
    fn from(health: Health) -> Self {
        Self {
            failing_since: health.failing_since.map(Timestamp::millis),
            failures: health.failures,
            last_success: health.last_success.map(Timestamp::millis),
            answer_ms: health.answer.map(millis),
        }
    }
}

impl From<HealthRecord> for Health {
    fn from(record: HealthRecord) -> Self {
        Self {
            failing_since: record.failing_since.map(at),
            failures: record.failures,
            last_success: record.last_success.map(at),
            answer: record.answer_ms.map(Duration::from_millis),
        }
    }
}

/// The previous state of a delivery, as far as states are counted.
#[derive(Debug, Clone, Copy, Encode, Decode)]
pub(crate) struct PriorState(u8);

impl From<Option<State>> for PriorState {
    fn from(state: Option<State>) -> Self {
        Self(match state {
            Some(State::Pending) => 1,
            Some(State::Retrying) => 2,
            Some(State::Failed) => 3,
            Some(State::Delivered | State::Expired | State::Cancelled) | None => 0,
        })
    }
}

impl From<PriorState> for Option<State> {
    fn from(before: PriorState) -> Self {
        [None, Some(State::Pending), Some(State::Retrying), Some(State::Failed)]
            .get(usize::from(before.0))
            .copied()
            .flatten()
    }
}

/// A subscription's deliveries by state.
#[derive(Debug, Clone, Copy, Encode, Decode)]
pub(crate) struct CountsRecord {
    pending: u64,
    retrying: u64,
    failed: u64,
}

impl From<Counts> for CountsRecord {
    fn from(Counts { pending, retrying, failed }: Counts) -> Self {
        Self { pending, retrying, failed }
    }
}

impl From<CountsRecord> for Counts {
    fn from(CountsRecord { pending, retrying, failed }: CountsRecord) -> Self {
        Self { pending, retrying, failed }
    }
}

/// Decodes a pending delivery or dead letter.
pub(crate) fn delivery_of(value: &[u8]) -> Option<Delivery> {
    codec::unversioned::<DeliveryRecord>(value).and_then(DeliveryRecord::delivery)
}

/// The delivery, if it is pending or a dead letter.
pub(crate) fn find(id: DeliveryId, view: &dyn View) -> Result<Option<Delivery>, StoreError> {
    for kind in [ValueKind::Owed, ValueKind::Dead] {
        if let Some(value) = view.get(&keys::delivery(kind, id))? {
            // The time in the id is not part of the key: a forged id with another time must not match.
            return Ok(delivery_of(&value).filter(|delivery| delivery.id == id));
        }
    }
    Ok(None)
}
