//! Operations on a single delivery: retrying and cancelling by hand, and ending it without an attempt.

use crate::core::attempt::{LogEntry, Status};
use crate::core::delivery::{Delivery, State};
use crate::core::id::AttemptId;
use crate::core::subscription::Subscription;
use crate::model::attempts::has_replay;
use crate::model::error::StoreError;
use crate::model::known::{KnownDelivery, KnownEvent};
use crate::model::lock::lock;
use crate::model::notice::StoreEvent;
use crate::model::query;
use crate::model::record::{self, DeliveryRecord, Logged, Record, Requeued};
use crate::model::subscriptions::current;
use crate::model::turn::Turn;

/// How many deliveries are ended between two group commits.
pub(crate) const ENDED_AT_ONCE: usize = 64;

/// The current delivery: from the view if it is pending or failed, otherwise as read. The log is read only if it ended
/// since then.
fn current_delivery(turn: &Turn<'_>, read: Delivery) -> Result<Delivery, StoreError> {
    if let Some(found) = record::find(read.id, turn.view)? {
        return Ok(found);
    }
    if !read.state.is_owed() && read.state != State::Failed {
        return Ok(read);
    }
    query::delivery_now(turn.view, turn.log, read.id)?.ok_or(StoreError::NotFound)
}

/// Makes a delivery due now, whatever its state.
pub(crate) fn retry(turn: &mut Turn<'_>, known: KnownDelivery) -> Result<Delivery, StoreError> {
    let mut delivery = current_delivery(turn, known.delivery)?;
    let over = delivery.event.timestamp() < turn.settings.retention.events_over(turn.now);
    if over || known.event.is_none() {
        let gone = "its event is no longer kept (`event_age` in [retention]), so there is nothing to deliver";
        return Err(StoreError::Conflict(gone.to_owned()));
    }
    if current(turn, delivery.subscription).is_none() {
        let gone = "its subscription has been deleted, so there is nowhere to deliver it to";
        return Err(StoreError::Conflict(gone.to_owned()));
    }
    let before = delivery.state;
    delivery.due = turn.now;
    delivery.replay = false;
    delivery.give_up_at = delivery.give_up_at.max(turn.now.plus(turn.settings.give_up_after));
    // It was requested now, however old it is.
    delivery.expire_at = None;
    if !delivery.state.is_owed() {
        delivery.state = if delivery.attempts == 0 { State::Pending } else { State::Retrying };
        delivery.first_failed_at = None;
    }
    let requeued = Requeued { delivery: DeliveryRecord::from(&delivery), before: Some(before).into() };
    turn.write(vec![Record::from(Box::new(requeued))]);
    turn.outcome.events.push(StoreEvent::Owed(vec![delivery.clone()]));
    Ok(delivery)
}

/// Cancels a pending delivery or a dead letter.
pub(crate) fn cancel(turn: &mut Turn<'_>, known: KnownDelivery, why: &str) -> Result<Delivery, StoreError> {
    let KnownDelivery { delivery, event } = known;
    let delivery = current_delivery(turn, delivery)?;
    if !delivery.state.is_owed() && delivery.state != State::Failed {
        return Err(StoreError::Conflict(format!("it is {} already", delivery.state)));
    }
    let Some(subscription) = current(turn, delivery.subscription) else { return Err(StoreError::NotFound) };
    Ok(end(turn, delivery, Status::Cancelled, why, &subscription, event))
}

/// Ends a delivery without an attempt. `event` is its event as read, if retained.
pub(crate) fn end(
    turn: &mut Turn<'_>,
    delivery: Delivery,
    status: Status,
    why: &str,
    subscription: &Subscription,
    event: Option<KnownEvent>,
) -> Delivery {
    let before = delivery.state;
    let after = Delivery { state: status.into(), due: turn.now, ..delivery };
    turn.carried.has_work |= has_replay(turn, after.id.subscription_number());
    let mut entry = LogEntry::without_attempt(&after, status, why, subscription, None, turn.now);
    (entry.domain, entry.phone) = event.map_or((None, None), |event| (event.domain, event.phone));
    // It may have been read before its erasure began.
    turn.carried.redactions.scrub(&mut entry);
    entry.id = AttemptId::from_bits(turn.next_id());
    turn.write(vec![Record::of(entry.id.bits(), Box::new(Logged::new(&entry, Some((before, &after, None)))))]);
    turn.outcome.events.push(StoreEvent::Cancelled(after.id));
    after
}

/// What a log entry says about a delivery's event. Reads the log: only for maintenance.
pub(crate) fn event_of(turn: &Turn<'_>, delivery: &Delivery) -> Option<KnownEvent> {
    query::event(turn.log, delivery.event).ok().flatten().map(KnownEvent::from)
}

/// Cancels the deliveries in these values of subscription `number`.
pub(crate) fn cancel_all(turn: &mut Turn<'_>, number: u32, values: &[(Vec<u8>, Vec<u8>)], why: &str) {
    let Some(subscription) = lock(turn.registry).state_mut(number).map(|state| state.subscription.clone()) else {
        return;
    };
    for delivery in values.iter().filter_map(|(_, value)| record::delivery_of(value)) {
        let event = event_of(turn, &delivery);
        end(turn, delivery, Status::Cancelled, why, &subscription, event);
    }
}
