//! Filters of lists. `None` in a field matches everything.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::core::attempt::Status;
use crate::core::audit::Action;
use crate::core::delivery::State;
use crate::core::event::{CallId, Company, Domain, EventType, ProducerId, Source};
use crate::core::id::{DeliveryId, EventId, SubscriptionId};
use crate::core::time::Timestamp;

/// Some webhooks.
pub type Webhooks = Arc<BTreeSet<SubscriptionId>>;

/// Which events to list.
#[derive(Debug, Clone, Default)]
pub struct EventFilter {
    /// This one alone.
    pub id: Option<EventId>,
    /// With this id of its producer's own.
    pub producer_id: Option<ProducerId>,
    /// Of this company.
    pub company: Option<Company>,
    /// Of this domain.
    pub domain: Option<Domain>,
    /// From this source.
    pub source: Option<Source>,
    /// Of this type.
    pub event_type: Option<EventType>,
    /// Of this call.
    pub call: Option<CallId>,
    /// Of this lead's phone number.
    pub phone: Option<String>,
    /// Accepted at or after this time.
    pub since: Option<Timestamp>,
    /// Accepted before this time.
    pub until: Option<Timestamp>,
}

/// Which deliveries to list.
#[derive(Debug, Clone, Default)]
pub struct DeliveryFilter {
    /// Of this company.
    pub company: Option<Company>,
    /// To this subscription.
    pub subscription: Option<SubscriptionId>,
    /// To one of these.
    pub webhooks: Option<Webhooks>,
    /// Of this event.
    pub event: Option<EventId>,
    /// Of events of this type.
    pub event_type: Option<EventType>,
    /// Of events of this call.
    pub call: Option<CallId>,
    /// In this state.
    pub state: Option<State>,
    /// Accepted at or after this time.
    pub since: Option<Timestamp>,
    /// Accepted before this time.
    pub until: Option<Timestamp>,
}

/// Which log entries to list.
#[derive(Debug, Clone, Default)]
pub struct LogFilter {
    /// Of this event.
    pub event: Option<EventId>,
    /// Of this company.
    pub company: Option<Company>,
    /// Of this domain.
    pub domain: Option<Domain>,
    /// Of this subscription.
    pub subscription: Option<SubscriptionId>,
    /// Of one of these.
    pub webhooks: Option<Webhooks>,
    /// Of this delivery.
    pub delivery: Option<DeliveryId>,
    /// Of events of this type.
    pub event_type: Option<EventType>,
    /// With this status.
    pub status: Option<Status>,
    /// With this status code; `Some(None)`: without one.
    pub response: Option<Option<u16>>,
    /// Of events of this call.
    pub call: Option<CallId>,
    /// Of this lead's phone number.
    pub phone: Option<String>,
    /// Created at or after this time.
    pub since: Option<Timestamp>,
    /// Created before this time.
    pub until: Option<Timestamp>,
    /// Only probes, or no probes.
    pub test: Option<bool>,
}

/// Which entries of the audit to list.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// Of this company.
    pub company: Option<Company>,
    /// By an actor of this kind, id or name.
    pub actor: Option<String>,
    /// Of this action.
    pub action: Option<Action>,
    /// Of this subscription.
    pub subscription: Option<SubscriptionId>,
    /// Made at or after this time.
    pub since: Option<Timestamp>,
    /// Made before this time.
    pub until: Option<Timestamp>,
}

/// Which calls to report on.
#[derive(Debug, Clone, Default)]
pub struct ReportFilter {
    /// Of this company.
    pub company: Option<Company>,
    /// Of this domain.
    pub domain: Option<Domain>,
    /// From this source.
    pub source: Option<Source>,
    /// Handled by this agent.
    pub agent: Option<String>,
    /// Started in the hour of this time, or later.
    pub since: Option<Timestamp>,
    /// Started before this time, or in the same hour.
    pub until: Option<Timestamp>,
}

/// Which deliveries a replay requeues.
#[derive(Debug, Clone)]
pub struct ReplayFilter {
    /// Accepted at or after this time.
    pub since: Timestamp,
    /// Accepted before this time; no bound if `None`.
    pub until: Option<Timestamp>,
    /// Of these event types; of all if empty.
    pub events: Vec<EventType>,
    /// Dead letters only; otherwise everything that is not pending already.
    pub failed_only: bool,
}
