//! The delivery: one event owed to one subscription, and where it stands.

use super::event::{CallId, EventType};
use super::id::{DeliveryId, EventId, SubscriptionId};
use super::text::words;
use super::time::Timestamp;

words! {
    /// Where a delivery stands.
    State {
        /// Not tried yet.
        Pending = "pending",
        /// Tried, and to be tried again.
        Retrying = "retrying",
        /// Arrived.
        Delivered = "delivered",
        /// Given up: a dead letter.
        Failed = "failed",
        /// Not delivered in the time in which it was wanted.
        Expired = "expired",
        /// Cancelled by somebody.
        Cancelled = "cancelled",
    }
}

impl State {
    /// Whether it is still to be sent.
    pub const fn is_owed(self) -> bool {
        matches!(self, Self::Pending | Self::Retrying)
    }
}

/// A delivery that is owed, or a dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Its id, which holds the sequence number and the time of acceptance.
    pub id: DeliveryId,
    /// Whom it is owed to.
    pub subscription: SubscriptionId,
    /// The event.
    pub event: EventId,
    /// The event's type.
    pub event_type: EventType,
    /// The event's call.
    pub call: CallId,
    /// Where it stands.
    pub state: State,
    /// How many attempts there were.
    pub attempts: u32,
    /// When it is tried next; for a dead letter, when it was tried last.
    pub due: Timestamp,
    /// When it is given up.
    pub give_up_at: Timestamp,
    /// When it is no longer wanted.
    pub expire_at: Option<Timestamp>,
    /// When its first attempt failed, from which the hold of later events of its call counts.
    pub first_failed_at: Option<Timestamp>,
    /// The last status code that came back.
    pub last_response: Option<u16>,
    /// Whether a replay put it back into the queue.
    pub replay: bool,
}

impl Delivery {
    /// The same with all its times, apart from those in ids, moved by `millis` milliseconds, which
    /// may be negative.
    #[must_use]
    pub fn moved_in_time(self, millis: i64) -> Self {
        let moved = |time: Timestamp| time.moved(millis);
        Self {
            due: moved(self.due),
            give_up_at: moved(self.give_up_at),
            expire_at: self.expire_at.map(moved),
            first_failed_at: self.first_failed_at.map(moved),
            ..self
        }
    }
}

/// How a delivery stands once the store has recorded an attempt, or an expiry, that ended it as `after` says, at `now`.
/// `owed` is what the store has of it, if it is still owed there.
///
/// If it was cancelled meanwhile, it stays so, unless it arrived. If somebody asked for it meanwhile (then it has no time
/// any more at which it expires), the attempt under way counts as the one asked for, but does not end it as expired.
pub fn recorded(owed: Option<&Delivery>, after: Delivery, now: Timestamp) -> Delivery {
    let Some(owed) = owed else {
        let state = if after.state.is_owed() { State::Cancelled } else { after.state };
        return Delivery { state, ..after };
    };
    if owed.expire_at.is_some() || after.expire_at.is_none() {
        return after;
    }
    let expired = after.state == State::Expired;
    Delivery {
        state: match after.state {
            State::Expired if after.attempts == 0 => State::Pending,
            State::Expired => State::Retrying,
            state => state,
        },
        due: if expired { now } else { after.due },
        give_up_at: after.give_up_at.max(owed.give_up_at),
        expire_at: None,
        replay: owed.replay,
        ..after
    }
}
