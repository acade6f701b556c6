//! Recording finished attempts: the log entry, the delivery's next state, and the subscription's health.

use std::sync::Arc;

use crate::core::actor::Actor;
use crate::core::attempt::{LogEntry, Status};
use crate::core::audit::{Action, Deed, shown_url};
use crate::core::delivery;
use crate::core::id::{AttemptId, SubscriptionId, SubscriptionNumber};
use crate::core::subscription::{DisabledReason, Subscription};
use crate::model::audit::{self, Audited};
use crate::model::command::AttemptResult;
use crate::model::error::StoreError;
use crate::model::health::Health;
use crate::model::lock::lock;
use crate::model::notice::StoreEvent;
use crate::model::record::{self, Logged, Record};
use crate::model::subscriptions;
use crate::model::turn::Turn;

/// Records a finished attempt, or a delivery that ended without one.
pub(crate) fn finish(turn: &mut Turn<'_>, finish: AttemptResult) -> Result<(), StoreError> {
    let AttemptResult { mut entry, mut after, disable } = finish;
    turn.carried.redactions.scrub(&mut entry);
    entry.id = AttemptId::from_bits(turn.next_id());
    let pending = record::find(after.id, turn.view)?.filter(|delivery| delivery.state.is_owed());
    let judged = after.state;
    after = delivery::recorded(pending.as_ref(), after, turn.now);
    turn.carried.has_work |= has_replay(turn, after.id.subscription_number());
    if after.state != judged {
        // It was cancelled or retried by hand while the attempt was in flight.
        if entry.attempt == 0 {
            turn.outcome.events.push(StoreEvent::Finished(after));
            return Ok(());
        }
        let (status, next) =
            if pending.is_some() { (Status::Retrying, Some(turn.now)) } else { (Status::Cancelled, None) };
        (entry.status, entry.next_attempt) = (status, next);
    }
    let health = match entry.attempt {
        0 => None,
        _ => lock(turn.registry)
            .state_mut(after.id.subscription_number())
            .map(|state| health_after(state.health, &entry)),
    };
    let mut records = Vec::new();
    // If the delivery was no longer pending, the attempt is logged but changes nothing.
    let effect = pending.map(|pending| (pending.state, &after, health));
    records.push(Record::of(entry.id.bits(), Box::new(Logged::new(&entry, effect))));
    let disabled = disable.and_then(|reason| disabled(turn, after.subscription, reason));
    if let Some(subscription) = &disabled {
        records.push(subscriptions::record_of(turn, subscription));
        let reason = subscription.disabled.map(DisabledReason::as_str);
        let deed = Deed::to(Action::SubscriptionDisable, subscription).with("reason", reason);
        records.push(audit::record_of(turn, &Actor::daemon(), deed));
    }
    turn.write(records);
    turn.outcome.events.push(StoreEvent::Finished(after));
    turn.outcome.events.extend(disabled.map(|subscription| StoreEvent::Subscription(Arc::new(subscription))));
    Ok(())
}

/// Whether a subscription has a replay that may continue now that one of its deliveries has ended. Any delivery counts:
/// a requeued one may have been retried by hand since, or ended by an attempt that started earlier.
pub(crate) fn has_replay(turn: &Turn<'_>, number: SubscriptionNumber) -> bool {
    lock(turn.registry).replays_of(number).next().is_some()
}

/// The health of a subscription after an attempt.
fn health_after(health: Health, entry: &LogEntry) -> Health {
    let (failed, at) = (entry.status != Status::Delivered, entry.created);
    if failed {
        let (failing_since, failures) = (health.failing_since.or(Some(at)), health.failures.saturating_add(1));
        return Health { failing_since, failures, ..health };
    }
    Health { failing_since: None, failures: 0, last_success: Some(at), answer: Some(entry.duration) }
}

fn disabled(turn: &Turn<'_>, id: SubscriptionId, reason: DisabledReason) -> Option<Subscription> {
    let current = lock(turn.registry).get(id)?.subscription.clone();
    current.enabled().then(|| Subscription { disabled: Some(reason), updated_at: turn.now, ..(*current).clone() })
}

/// Writes a log entry that belongs to no delivery.
pub(crate) fn record_probe(turn: &mut Turn<'_>, actor: &Actor, mut entry: LogEntry) -> Audited<AttemptId> {
    entry.id = AttemptId::from_bits(turn.next_id());
    let record = Record::of(entry.id.bits(), Box::new(Logged::new(&entry, None)));
    let deed = Deed {
        domain: entry.domain.clone(),
        subscription: Some(entry.subscription),
        ..Deed::new(Action::SubscriptionTest, Some(entry.company.clone()), Some(entry.id.to_string()))
    };
    let deed = deed.with("url", shown_url(&entry.url)).with("response", entry.response);
    audit::write(turn, vec![record], actor, deed, entry.id)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::core::delivery::{Delivery, State};
    use crate::core::time::Timestamp;
    use crate::model::health::Counts;
    use crate::model::in_memory::{InMemory, NOW, anyone, draft, event, subscription};
    use crate::model::known::KnownDelivery;
    use crate::model::{accept, manual};

    fn entry(status: Status, at: Timestamp) -> LogEntry {
        let delivery = delivery_of(&mut with_a_delivery());
        let mut entry = LogEntry::without_attempt(&delivery, status, "", &subscription(1), None, at);
        (entry.attempt, entry.duration) = (1, Duration::from_millis(70));
        entry
    }

    fn with_a_delivery() -> InMemory {
        let mut engine = InMemory::new();
        engine.decide(|turn| subscriptions::create(turn, &anyone(), draft("acme"))).0.unwrap();
        engine.decide(|turn| accept::accept(turn, vec![event("a", None)])).0.unwrap();
        engine
    }

    fn delivery_of(engine: &mut InMemory) -> Delivery {
        let first = crate::core::id::DeliveryId::new(NOW, SubscriptionNumber::FIRST, 1);
        record::find(first, &engine.view).unwrap().unwrap()
    }

    fn result(delivery: &Delivery, status: Status) -> AttemptResult {
        let after = Delivery { state: status.into(), attempts: delivery.attempts + 1, ..delivery.clone() };
        let mut entry = LogEntry::without_attempt(&after, status, "", &subscription(1), None, NOW);
        entry.attempt = after.attempts;
        AttemptResult { entry, after, disable: None }
    }

    fn counts(engine: &InMemory) -> Counts {
        lock(&engine.registry).counts()
    }

    #[test]
    fn health_counts_failures_since_the_last_success() {
        let at = |second: u64| NOW.plus(Duration::from_secs(second));
        let failing =
            [1, 2].iter().fold(Health::default(), |it, second| health_after(it, &entry(Status::Retrying, at(*second))));
        assert_eq!((failing.failing_since, failing.failures, failing.last_success), (Some(at(1)), 2, None));
        let well = health_after(failing, &entry(Status::Delivered, at(3)));
        assert_eq!((well.failing_since, well.failures, well.last_success), (None, 0, Some(at(3))));
        assert_eq!(well.answer, Some(Duration::from_millis(70)));
        let again = health_after(well, &entry(Status::Failed, at(4)));
        assert_eq!((again.failing_since, again.failures, again.last_success), (Some(at(4)), 1, Some(at(3))));
    }

    #[test]
    fn an_attempt_moves_its_delivery_and_is_written_with_it() {
        for (status, wanted) in [
            (Status::Delivered, Counts::default()),
            (Status::Retrying, Counts { retrying: 1, ..Counts::default() }),
            (Status::Failed, Counts { failed: 1, ..Counts::default() }),
        ] {
            let mut engine = with_a_delivery();
            let delivery = delivery_of(&mut engine);
            let (finished, outcome) = engine.decide(|turn| finish(turn, result(&delivery, status)));
            finished.unwrap();
            assert_eq!((counts(&engine), engine.written().last()), (wanted, Some(&"log entries")));
            assert!(matches!(&outcome.events[..], [StoreEvent::Finished(after)] if after.state == status.into()));
        }
    }

    #[test]
    fn what_was_done_by_hand_while_it_was_attempted_holds() {
        let mut engine = with_a_delivery();
        let delivery = delivery_of(&mut engine);
        let known = KnownDelivery { delivery: delivery.clone(), event: None };
        engine.decide(|turn| manual::cancel_by(turn, &anyone(), known, "by hand")).0.unwrap();
        let (finished, outcome) = engine.decide(|turn| finish(turn, result(&delivery, Status::Retrying)));
        finished.unwrap();
        assert!(matches!(&outcome.events[..], [StoreEvent::Finished(after)] if after.state == State::Cancelled));
        assert_eq!(counts(&engine), Counts::default());
    }
}
