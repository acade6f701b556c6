//! What is read of a delivery before somebody retries or cancels it: by the thread that asks, so that the committer, for which
//! everybody waits, reads nothing of the journal for it.
//!
//! What was read may be of the past by the time of the command's turn. What can change (whether the delivery is owed, and how
//! it stands then) the committer looks up in the state; the rest never changes, but for what an erasure takes out of it.

use crate::core::delivery::Delivery;
use crate::core::event::{Company, Domain, Event};

/// A delivery as it stood when it was read, with what its event says.
#[derive(Debug, Clone)]
pub struct KnownDelivery {
    /// The delivery.
    pub delivery: Delivery,
    /// Its event, if that is kept.
    pub event: Option<KnownEvent>,
}

/// What an entry of the log says of an event.
#[derive(Debug, Clone)]
pub struct KnownEvent {
    /// Owner it is.
    pub company: Company,
    pub(crate) domain: Option<Domain>,
    pub(crate) phone: Option<String>,
}

impl From<Event> for KnownEvent {
    fn from(event: Event) -> Self {
        Self { company: event.company, domain: event.domain, phone: event.phone }
    }
}
