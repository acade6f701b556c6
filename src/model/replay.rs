//! Replays and discards: requeueing or cancelling many deliveries of a subscription.
//!
//! Both are recorded when requested and then carried out in small steps between group commits, so that they survive a
//! restart and block nobody. A replay has at most [`REPLAYED_AT_ONCE`] deliveries in the queue at a time: they are sent
//! in order of their sequence numbers, before newer ones, and the next are requeued only as these end. So the live
//! events of a subscription wait behind a few of them at most, and a failing receiver does not accumulate a whole
//! replay on top of its backlog.

use std::ops::ControlFlow;

use crate::core::actor::Actor;
use crate::core::audit::{Action, Deed};
use crate::core::delivery::{Delivery, State};
use crate::core::event::EventType;
use crate::core::id::{DeliveryId, SubscriptionId, SubscriptionNumber};
use crate::core::time::Timestamp;
use crate::model::accepted_delivery::AcceptedDelivery;
use crate::model::audit::{self, Audited};
use crate::model::command::Replay;
use crate::model::error::StoreError;
use crate::model::filter::ReplayFilter;
use crate::model::key::ValueKind;
use crate::model::keys;
use crate::model::lock::lock;
use crate::model::manual::{ENDED_AT_ONCE, cancel_all};
use crate::model::notice::StoreEvent;
use crate::model::progress::{DiscardRecord, ReplayRecord};
use crate::model::query::lowest_id;
use crate::model::record::{DeliveryRecord, Head, PriorState, Record, Requeued};
use crate::model::registry::Registry;
use crate::model::subscriptions::current;
use crate::model::term::Term;
use crate::model::turn::Turn;
use crate::model::view::{Log, View};

/// The maximum number of a replay's deliveries in the queue.
const REPLAYED_AT_ONCE: usize = 8;

/// Plans a replay: counts what it would requeue. Reads the whole range: not within a turn.
pub(crate) fn plan(
    view: &dyn View,
    log: &dyn Log,
    number: SubscriptionNumber,
    next_sequence: u64,
    filter: ReplayFilter,
) -> Result<Replay, StoreError> {
    let (from, until) = (lowest_id(Some(filter.since)), filter.until.map_or(u128::MAX, |until| lowest_id(Some(until))));
    let mut sequences: Option<(u64, u64)> = None;
    let mut queued = 0;
    let passed = |head: Head, payload: &[u8]| {
        AcceptedDelivery::read(number, head, payload).map(|accepted| accepted.event.bits() < from)
    };
    log.ascending(Term::Owed(number), &passed, &mut |head, payload| {
        let Some(accepted) = AcceptedDelivery::read(number, head, payload) else {
            return Ok(ControlFlow::Continue(()));
        };
        if accepted.event.bits() >= until || accepted.sequence() >= next_sequence {
            return Ok(ControlFlow::Break(()));
        }
        let first = sequences.map_or(accepted.sequence(), |(first, _)| first);
        sequences = Some((first, accepted.sequence()));
        if accepted.is_of(filter.events.iter().map(EventType::as_str))
            && prior_state(view, accepted.delivery(), filter.failed_only)?.is_some()
        {
            queued += 1;
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(Replay {
        sequences: sequences.unwrap_or((1, 0)),
        events: filter.events,
        failed_only: filter.failed_only,
        queued,
    })
}

/// The current state of a delivery that would be requeued; `None` if it is pending already, or is not a dead letter and
/// only those are wanted.
fn prior_state(view: &dyn View, id: DeliveryId, failed_only: bool) -> Result<Option<PriorState>, StoreError> {
    let has = |kind| view.get(&keys::delivery(kind, id)).map(|value| value.is_some());
    let dead = has(ValueKind::Dead)?;
    if has(ValueKind::Owed)? || (failed_only && !dead) {
        return Ok(None);
    }
    Ok(Some(PriorState::from(dead.then_some(State::Failed))))
}

/// Starts a replay.
pub(crate) fn replay(
    turn: &mut Turn<'_>,
    actor: &Actor,
    id: SubscriptionId,
    replay: &Replay,
) -> Result<Audited<()>, StoreError> {
    let Some(current) = current(turn, id) else { return Err(StoreError::NotFound) };
    let (next, last) = replay.sequences;
    let deed = Deed::to(Action::SubscriptionReplay, &current)
        .with("queued", replay.queued)
        .with("only", if replay.failed_only { "failed" } else { "all" });
    let mut records = Vec::new();
    if next <= last && replay.queued > 0 {
        let events = replay.events.iter().map(|event| event.as_str().to_owned()).collect();
        let (number, id, failed_only) = (current.number, turn.next_id(), replay.failed_only);
        let record = ReplayRecord { number, id, events, failed_only, next, last, outstanding: Vec::new() };
        records.push(Record::from(record));
        turn.carried.has_work = true;
    }
    Ok(audit::write(turn, records, actor, deed, ()))
}

/// Cancels all pending deliveries of a subscription, and ends its replays; returns the number of deliveries.
pub(crate) fn discard(turn: &mut Turn<'_>, actor: &Actor, id: SubscriptionId) -> Result<Audited<u64>, StoreError> {
    let (deed, number, waiting, last, replays) = {
        let registry = lock(turn.registry);
        let Some(state) = registry.get(id) else { return Err(StoreError::NotFound) };
        let number = state.subscription.number;
        let waiting = state.counts.waiting();
        let replays: Vec<ReplayRecord> = registry.replays_of(number).cloned().collect();
        let deed = Deed::to(Action::SubscriptionDiscard, &state.subscription).with("cancelled", waiting);
        (deed, number, waiting, state.next_sequence - 1, replays)
    };
    let ended = replays.into_iter().map(|replay| ReplayRecord { last: 0, outstanding: Vec::new(), ..replay });
    let mut records: Vec<Record> = ended.map(Record::from).collect();
    if waiting > 0 {
        records.push(Record::from(DiscardRecord { number, last }));
    }
    if !records.is_empty() {
        turn.carried.has_work = true;
    }
    Ok(audit::write(turn, records, actor, deed, waiting))
}

/// Cancels some deliveries of a discard; returns whether there are more.
pub(crate) fn discard_some(turn: &mut Turn<'_>) -> Result<bool, StoreError> {
    let discards = lock(turn.registry).discards();
    let Some(discard) = discards.first().copied() else { return Ok(false) };
    let mut left = turn.scan(&keys::numbered(ValueKind::Owed, discard.number), None, ENDED_AT_ONCE)?;
    let last = keys::sequence(ValueKind::Owed, discard.number, discard.last);
    left.retain(|(key, _)| *key <= last);
    if left.is_empty() {
        turn.write(vec![Record::from(DiscardRecord { last: 0, ..discard })]);
        return Ok(discards.len() > 1);
    }
    Ok(cancel_all(turn, discard.number, &left, "what waited for its subscription was discarded"))
}

/// Requeues the next few deliveries of each subscription's oldest replay; returns whether there are more to requeue at
/// once.
pub(crate) fn replay_some(turn: &mut Turn<'_>) -> Result<bool, StoreError> {
    let replays = lock(turn.registry).replays();
    turn.carried.ahead.retain_replays(&replays);
    let mut more = false;
    for replay in replays {
        more |= advance(turn, &replay)?;
    }
    Ok(more)
}

fn advance(turn: &mut Turn<'_>, before: &ReplayRecord) -> Result<bool, StoreError> {
    let mut outstanding = Vec::with_capacity(REPLAYED_AT_ONCE);
    for sequence in &before.outstanding {
        if turn.get(&keys::sequence(ValueKind::Owed, before.number, *sequence))?.is_some() {
            outstanding.push(*sequence);
        }
    }
    if outstanding.len() > REPLAYED_AT_ONCE / 2 {
        return Ok(false);
    }
    let mut replay = ReplayRecord { outstanding, ..before.clone() };
    let requeued = if replay.next <= replay.last { next_of(turn, &mut replay)? } else { Vec::new() };
    if replay == *before {
        return Ok(false);
    }
    // Continue at once if no requeued delivery is left whose end would trigger the next step.
    let more = replay.outstanding.is_empty();
    let record = |(delivery, before): &(Delivery, PriorState)| {
        Record::from(Box::new(Requeued { delivery: DeliveryRecord::from(delivery), before: *before }))
    };
    let mut records: Vec<Record> = requeued.iter().map(record).collect();
    records.push(Record::from(replay));
    turn.write(records);
    if !requeued.is_empty() {
        turn.outcome.events.push(StoreEvent::Owed(requeued.into_iter().map(|(delivery, _)| delivery).collect()));
    }
    Ok(more)
}

/// The next deliveries to requeue, of those read ahead; advances the replay past them.
fn next_of(turn: &mut Turn<'_>, replay: &mut ReplayRecord) -> Result<Vec<(Delivery, PriorState)>, StoreError> {
    let mut requeued = Vec::new();
    let candidates = match turn.carried.ahead.candidates(replay) {
        Ok(candidates) => candidates,
        Err(request) => {
            turn.outcome.requests.extend(request);
            return Ok(requeued);
        }
    };
    let give_up_at = turn.now.plus(turn.settings.give_up_after);
    while let Some(delivery) = candidates.deliveries.front() {
        replay.next = delivery.id.sequence();
        if replay.outstanding.len() == REPLAYED_AT_ONCE {
            return Ok(requeued);
        }
        let prior = prior_state(turn.view, delivery.id, replay.failed_only);
        let before = prior.inspect_err(|error| turn.view.note_failure(error.clone()))?;
        if let Some((delivery, before)) = candidates.deliveries.pop_front().zip(before) {
            replay.outstanding.push(delivery.id.sequence());
            requeued.push((for_replay(delivery, turn.now, give_up_at), before));
        }
    }
    replay.next = candidates.next;
    turn.carried.ahead.drop_candidates(replay);
    Ok(requeued)
}

fn for_replay(delivery: Delivery, now: Timestamp, give_up_at: Timestamp) -> Delivery {
    // It was requested now, however old it is.
    Delivery { state: State::Pending, due: now, give_up_at, expire_at: None, replay: true, ..delivery }
}

/// The subscription's number and next sequence number.
pub(crate) fn next_sequence(registry: &Registry, id: SubscriptionId) -> Option<(SubscriptionNumber, u64)> {
    registry.get(id).map(|state| (state.subscription.number, state.next_sequence))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::attempt::Status;
    use crate::model::command::AttemptResult;
    use crate::model::in_memory::{InMemory, NOW, anyone, draft, event, subscription};
    use crate::model::{accept, attempts, maintenance, record, subscriptions};

    fn finish(engine: &mut InMemory, delivery: &Delivery, status: Status) {
        let after = Delivery { state: status.into(), attempts: delivery.attempts + 1, ..delivery.clone() };
        let mut entry =
            crate::core::attempt::LogEntry::without_attempt(&after, status, "", &subscription(1), None, NOW);
        entry.attempt = after.attempts;
        engine.decide(|turn| attempts::finish(turn, AttemptResult { entry, after, disable: None })).0.unwrap();
    }

    #[test]
    fn a_replay_puts_back_a_few_at_a_time_in_order_and_ends() {
        let mut engine = InMemory::new();
        let id = engine.decide(|turn| subscriptions::create(turn, &anyone(), draft("acme"))).0.unwrap().answer().id;
        let posted = (0..20).map(|n| event(&format!("c{n}"), None)).collect();
        engine.decide(|turn| accept::accept(turn, posted)).0.unwrap();
        let owed = |engine: &InMemory| -> Vec<Delivery> {
            let found =
                engine.view.scan(&keys::numbered(ValueKind::Owed, SubscriptionNumber::FIRST), None, 100).unwrap();
            found.iter().map(|(_, value)| record::delivery_of(value).unwrap()).collect()
        };
        for delivery in owed(&engine) {
            finish(&mut engine, &delivery, Status::Delivered);
        }
        let filter = ReplayFilter { since: NOW, until: None, events: Vec::new(), failed_only: false };
        let planned = plan(&engine.view, &engine.log, SubscriptionNumber::FIRST, 21, filter).unwrap();
        assert_eq!(planned.queued, 20);
        engine.decide(|turn| replay(turn, &anyone(), id, &planned)).0.unwrap();
        let mut seen = Vec::new();
        while engine.carried.has_work {
            engine.decide(maintenance::run_some).0.unwrap();
            let back = owed(&engine);
            assert!(back.len() <= REPLAYED_AT_ONCE, "{}", back.len());
            for delivery in back {
                assert!(delivery.replay);
                seen.push(delivery.id.sequence());
                finish(&mut engine, &delivery, Status::Delivered);
            }
        }
        assert_eq!(seen, (1..=20).collect::<Vec<u64>>());
        assert!(lock(&engine.registry).replays().is_empty(), "it has ended");
    }
}
