//! Recording finished attempts: the log entry, the delivery's next state, and the subscription's health.

use std::sync::Arc;

use crate::core::attempt::{LogEntry, Status};
use crate::core::delivery;
use crate::core::id::{AttemptId, SubscriptionId};
use crate::core::subscription::{DisabledReason, Subscription};
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
    records.extend(disabled.as_ref().map(|subscription| subscriptions::record_of(turn, subscription)));
    turn.write(records);
    turn.outcome.events.push(StoreEvent::Finished(after));
    turn.outcome.events.extend(disabled.map(|subscription| StoreEvent::Subscription(Arc::new(subscription))));
    Ok(())
}

/// Whether a subscription has a replay that may continue now that one of its deliveries has ended. Any delivery counts:
/// a requeued one may have been retried by hand since, or ended by an attempt that started earlier.
pub(crate) fn has_replay(turn: &Turn<'_>, number: u32) -> bool {
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
pub(crate) fn record_probe(turn: &mut Turn<'_>, mut entry: LogEntry) -> AttemptId {
    entry.id = AttemptId::from_bits(turn.next_id());
    turn.write(vec![Record::of(entry.id.bits(), Box::new(Logged::new(&entry, None)))]);
    entry.id
}
