//! What is read of a delivery before it is retried or cancelled: on the caller's thread, so that the writer, which
//! everybody waits for, reads nothing from the log for it.
//!
//! The data may be stale by the time the command is decided. The writer looks up in the view what can change: whether
//! the delivery is pending or failed, and its state then. The rest never changes, except that an erasure may remove
//! parts of it.

use crate::core::delivery::Delivery;
use crate::core::event::{Company, Domain, Event};

/// A delivery as read, with data of its event.
#[derive(Debug, Clone)]
pub struct KnownDelivery {
    /// The delivery.
    pub delivery: Delivery,
    /// Its event, if that is retained.
    pub event: Option<KnownEvent>,
}

/// What a log entry says about an event.
#[derive(Debug, Clone)]
pub struct KnownEvent {
    /// The company.
    pub company: Company,
    pub(crate) domain: Option<Domain>,
    pub(crate) phone: Option<String>,
}

impl From<Event> for KnownEvent {
    fn from(event: Event) -> Self {
        Self { company: event.company, domain: event.domain, phone: event.phone }
    }
}
