//! The delivery: one event owed to one subscription, and its state.

use super::event::{CallId, EventType};
use super::id::{DeliveryId, EventId, SubscriptionId};
use super::text::words;
use super::time::Timestamp;

words! {
    /// The state of a delivery.
    State {
        /// Not attempted yet.
        Pending = "pending",
        /// Attempted, and to be retried.
        Retrying = "retrying",
        /// Delivered.
        Delivered = "delivered",
        /// Given up: a dead letter.
        Failed = "failed",
        /// Not delivered before it expired.
        Expired = "expired",
        /// Cancelled by hand.
        Cancelled = "cancelled",
    }
}

impl State {
    /// Whether it is still to be sent.
    pub const fn is_owed(self) -> bool {
        matches!(self, Self::Pending | Self::Retrying)
    }
}

/// A delivery that is still to be sent, or a dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Its id, which contains the sequence number and the time of acceptance.
    pub id: DeliveryId,
    /// The subscription.
    pub subscription: SubscriptionId,
    /// The event.
    pub event: EventId,
    /// The event's type.
    pub event_type: EventType,
    /// The event's call.
    pub call: CallId,
    /// Its state.
    pub state: State,
    /// Number of attempts.
    pub attempts: u32,
    /// Time of the next attempt; for a dead letter, of the last one.
    pub due: Timestamp,
    /// When it is given up.
    pub give_up_at: Timestamp,
    /// When it expires.
    pub expire_at: Option<Timestamp>,
    /// When its first attempt failed; the hold of later events of its call starts then.
    pub first_failed_at: Option<Timestamp>,
    /// The last status code received.
    pub last_response: Option<u16>,
    /// Whether a replay put it back into the queue.
    pub replay: bool,
}

impl Delivery {
    /// The delivery with all its times, except those in ids, moved by `millis` milliseconds, which may be negative.
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

    /// A pending `call.new` of the call "c", due when it was created. The ids of its subscription and event are its
    /// subscription number and sequence number.
    #[cfg(test)]
    pub fn for_test(id: DeliveryId) -> Self {
        Self {
            id,
            subscription: SubscriptionId::from_bits(u128::from(id.subscription_number().get())),
            event: EventId::from_bits(u128::from(id.sequence())),
            event_type: EventType::parse("call.new").unwrap(),
            call: CallId::parse("c").unwrap(),
            state: State::Pending,
            attempts: 0,
            due: id.timestamp(),
            give_up_at: Timestamp::MAX,
            expire_at: None,
            first_failed_at: None,
            last_response: None,
            replay: false,
        }
    }
}

/// The delivery's state once the store has recorded an attempt or expiry whose result is `after`, at `now`. `owed` is
/// the stored delivery, if still outstanding.
///
/// If it was cancelled meanwhile, it stays so, unless it was delivered. If it was requested again meanwhile (then it
/// no longer expires), the attempt in flight serves the request, but does not end it as expired.
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
