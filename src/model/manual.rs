//! Operations on a single delivery: retrying and cancelling by hand, and ending it without an attempt.

use std::sync::Arc;

use crate::core::actor::Actor;
use crate::core::attempt::{LogEntry, Status};
use crate::core::audit::{Action, Deed};
use crate::core::delivery::{Delivery, State};
use crate::core::id::{AttemptId, SubscriptionNumber};
use crate::core::subscription::Subscription;
use crate::model::attempts::has_replay;
use crate::model::audit::{self, Audited};
use crate::model::error::StoreError;
use crate::model::key::Key;
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
pub(crate) fn retry(turn: &mut Turn<'_>, actor: &Actor, known: KnownDelivery) -> Result<Audited<Delivery>, StoreError> {
    let mut delivery = current_delivery(turn, known.delivery)?;
    let over = delivery.event.timestamp() < turn.settings.retention.events_over(turn.now);
    if over || known.event.is_none() {
        let gone = "its event is no longer kept (`event_age` in [retention]), so there is nothing to deliver";
        return Err(StoreError::Conflict(gone.to_owned()));
    }
    let Some(subscription) = current(turn, delivery.subscription) else {
        let gone = "its subscription has been deleted, so there is nowhere to deliver it to";
        return Err(StoreError::Conflict(gone.to_owned()));
    };
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
    turn.outcome.events.push(StoreEvent::Owed(vec![delivery.clone()]));
    let deed = of_delivery(Action::DeliveryRetry, &subscription, &delivery, before);
    Ok(audit::write(turn, vec![Record::from(Box::new(requeued))], actor, deed, delivery))
}

/// What is recorded of something done to a delivery by hand.
fn of_delivery(action: Action, subscription: &Subscription, delivery: &Delivery, before: State) -> Deed {
    let mut deed = Deed { subject: Some(delivery.id.to_string()), ..Deed::to(action, subscription) };
    deed.before.insert("state".to_owned(), before.as_str().into());
    deed.with("state", delivery.state.as_str())
}

/// Cancels a pending delivery or a dead letter by hand.
pub(crate) fn cancel_by(
    turn: &mut Turn<'_>,
    actor: &Actor,
    known: KnownDelivery,
    why: &str,
) -> Result<Audited<Delivery>, StoreError> {
    let Cancelling { delivery, subscription, event } = cancelling(turn, known)?;
    let before = delivery.state;
    let (after, record) = ended(turn, delivery, Status::Cancelled, why, &subscription, event);
    let deed = of_delivery(Action::DeliveryCancel, &subscription, &after, before);
    Ok(audit::write(turn, vec![record], actor, deed, after))
}

/// A delivery that may be cancelled.
struct Cancelling {
    delivery: Delivery,
    subscription: Arc<Subscription>,
    event: Option<KnownEvent>,
}

fn cancelling(turn: &Turn<'_>, known: KnownDelivery) -> Result<Cancelling, StoreError> {
    let KnownDelivery { delivery, event } = known;
    let delivery = current_delivery(turn, delivery)?;
    if !delivery.state.is_owed() && delivery.state != State::Failed {
        return Err(StoreError::Conflict(format!("it is {} already", delivery.state)));
    }
    let subscription = current(turn, delivery.subscription).ok_or(StoreError::NotFound)?;
    Ok(Cancelling { delivery, subscription, event })
}

/// Cancels a pending delivery or a dead letter as a part of something larger.
pub(crate) fn cancel(turn: &mut Turn<'_>, known: KnownDelivery, why: &str) -> Result<Delivery, StoreError> {
    let Cancelling { delivery, subscription, event } = cancelling(turn, known)?;
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
    let (after, record) = ended(turn, delivery, status, why, subscription, event);
    turn.write(vec![record]);
    after
}

/// The delivery as it ends, and the record of that, which is yet to be written.
fn ended(
    turn: &mut Turn<'_>,
    delivery: Delivery,
    status: Status,
    why: &str,
    subscription: &Subscription,
    event: Option<KnownEvent>,
) -> (Delivery, Record) {
    let before = delivery.state;
    let after = Delivery { state: status.into(), due: turn.now, ..delivery };
    turn.carried.has_work |= has_replay(turn, after.id.subscription_number());
    let mut entry = LogEntry::without_attempt(&after, status, why, subscription, None, turn.now);
    (entry.domain, entry.phone) = event.map_or((None, None), |event| (event.domain, event.phone));
    // It may have been read before its erasure began.
    turn.carried.redactions.scrub(&mut entry);
    entry.id = AttemptId::from_bits(turn.next_id());
    turn.outcome.events.push(StoreEvent::Cancelled(after.id));
    let record = Record::of(entry.id.bits(), Box::new(Logged::new(&entry, Some((before, &after, None)))));
    (after, record)
}

/// Whether the events of these deliveries were read ahead; if not, requests that.
pub(crate) fn has_events(turn: &mut Turn<'_>, deliveries: &[Delivery]) -> bool {
    match turn.carried.ahead.require_events(deliveries.iter().map(|delivery| delivery.event)) {
        Ok(()) => true,
        Err(request) => {
            turn.outcome.requests.extend(request);
            false
        }
    }
}

/// Cancels the deliveries in these values of subscription `number`; returns false if their events have to be read
/// first.
pub(crate) fn cancel_all(
    turn: &mut Turn<'_>,
    number: SubscriptionNumber,
    values: &[(Key, Vec<u8>)],
    why: &str,
) -> bool {
    let Some(subscription) = lock(turn.registry).state_mut(number).map(|state| state.subscription.clone()) else {
        return true;
    };
    let deliveries: Vec<Delivery> = values.iter().filter_map(|(_, value)| record::delivery_of(value)).collect();
    if !has_events(turn, &deliveries) {
        return false;
    }
    for delivery in deliveries {
        let event = turn.carried.ahead.take_event(delivery.event);
        end(turn, delivery, Status::Cancelled, why, &subscription, event);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::event::Company;
    use crate::core::id::DeliveryId;
    use crate::model::in_memory::{InMemory, NOW, anyone, draft, event};
    use crate::model::{accept, subscriptions};

    fn known(engine: &InMemory) -> KnownDelivery {
        let delivery = record::find(DeliveryId::new(NOW, SubscriptionNumber::FIRST, 1), &engine.view).unwrap().unwrap();
        let company = Company::parse("acme").unwrap();
        KnownDelivery { delivery, event: Some(KnownEvent { company, domain: None, phone: None }) }
    }

    fn with_a_delivery() -> InMemory {
        let mut engine = InMemory::new();
        engine.decide(|turn| subscriptions::create(turn, &anyone(), draft("acme"))).0.unwrap();
        engine.decide(|turn| accept::accept(turn, vec![event("a", None)])).0.unwrap();
        engine
    }

    #[test]
    fn a_retry_is_refused_where_nothing_is_left_to_deliver_or_nowhere_to_deliver_it_to() {
        let mut engine = with_a_delivery();
        let known = known(&engine);
        let later = engine.now.plus(engine.settings.retention.event_age * 2);
        let cases: [(&str, KnownDelivery, _); 2] = [
            ("its event is no longer kept", KnownDelivery { event: None, ..known.clone() }, engine.now),
            ("its event is no longer kept", known.clone(), later),
        ];
        for (why, known, now) in cases {
            engine.now = now;
            let (refused, outcome) = engine.decide(|turn| retry(turn, &anyone(), known));
            assert!(matches!(&refused, Err(StoreError::Conflict(said)) if said.starts_with(why)), "{refused:?}");
            assert!(outcome.events.is_empty());
        }
        engine.now = NOW;
        let id = known.delivery.subscription;
        engine.decide(|turn| subscriptions::delete(turn, &anyone(), id)).0.unwrap();
        let (refused, _) = engine.decide(|turn| retry(turn, &anyone(), known));
        assert!(
            matches!(&refused, Err(StoreError::Conflict(said)) if said.contains("has been deleted")),
            "{refused:?}"
        );
    }

    #[test]
    fn a_cancelled_delivery_is_retried_and_cannot_be_cancelled_twice() {
        let mut engine = with_a_delivery();
        let known = known(&engine);
        let cancelled = engine.decide(|turn| cancel_by(turn, &anyone(), known.clone(), "by hand")).0.unwrap().answer();
        assert_eq!(cancelled.state, State::Cancelled);
        let known = KnownDelivery { delivery: cancelled, ..known };
        let (refused, _) = engine.decide(|turn| cancel_by(turn, &anyone(), known.clone(), "by hand"));
        assert_eq!(refused.err(), Some(StoreError::Conflict("it is cancelled already".to_owned())));
        let (again, outcome) = engine.decide(|turn| retry(turn, &anyone(), known));
        let again = again.unwrap().answer();
        assert_eq!((again.state, again.due, again.expire_at), (State::Pending, NOW, None));
        assert!(matches!(&outcome.events[..], [StoreEvent::Owed(owed)] if *owed == [again]));
    }
}
