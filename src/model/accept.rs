//! Accepting events: idempotency, matching against subscriptions, and sequence numbers.

use std::collections::HashMap;

use crate::core::delivery::{Delivery, State};
use crate::core::event::{Event, NewEvent};
use crate::core::filter::Facts;
use crate::core::id::{DeliveryId, EventId, MAX_SEQUENCE, SubscriptionNumber};
use crate::core::invalid::Invalid;
use crate::core::long_members::LongMembers;
use crate::core::subscription::Subscription;
use crate::model::command::Accepted;
use crate::model::error::{StoreError, u32_of};
use crate::model::key::Key;
use crate::model::lock::lock;
use crate::model::notice::StoreEvent;
use crate::model::receipts::{self, EventContent, EventReceipt};
use crate::model::record::{Accepted as AcceptedRecord, Record};
use crate::model::registry::Registry;
use crate::model::turn::Turn;
use crate::model::{expiry, keys, query};

/// The outcome for a set of events: answers, records, deliveries and validation errors.
#[derive(Default)]
pub(crate) struct Decided {
    pub(crate) answers: Vec<Accepted>,
    pub(crate) records: Vec<Record>,
    pub(crate) deliveries: Vec<Delivery>,
    invalid: Invalid,
}

/// Accepts all events as one atomic unit, or none of them if one reuses a producer's id with different content.
pub(crate) fn accept(turn: &mut Turn<'_>, events: Vec<NewEvent>) -> Result<Vec<Accepted>, StoreError> {
    let decided = decide_on(turn, events, false)?;
    if !decided.invalid.errors.is_empty() {
        return Err(StoreError::Invalid(decided.invalid));
    }
    turn.write(decided.records);
    if !decided.deliveries.is_empty() {
        turn.outcome.events.push(StoreEvent::Owed(decided.deliveries));
    }
    Ok(decided.answers)
}

/// Decides the answers, records and deliveries for these events, and which of them reuse a producer's id with different
/// content. The latter is skipped if it was `checked` before, by [`fan_out::plan`](crate::model::fan_out::plan).
pub(crate) fn decide_on(turn: &mut Turn<'_>, events: Vec<NewEvent>, checked: bool) -> Result<Decided, StoreError> {
    let (mut answers, mut records) = (Vec::with_capacity(events.len()), Vec::with_capacity(events.len()));
    let mut owed = Vec::new();
    let mut sequences = HashMap::new();
    let mut first_seen = HashMap::new();
    let mut invalid = Invalid::default();
    for (index, mut event) in events.into_iter().enumerate() {
        let producer = event.producer_id.as_ref().map(|id| keys::producer(event.company.as_str(), id.as_str()));
        let producer = producer.map(|key| (key, EventContent::of(&event)));
        if let Some((key, content)) = &producer {
            let in_this_batch = first_seen.get(key).copied();
            let in_batch = in_this_batch.is_some();
            if let Some(first) = in_this_batch.map_or_else(|| posted_before(turn, key), |first| Ok(Some(first)))? {
                if !checked {
                    receipts::note_conflict(index, &first, *content, in_batch, &mut invalid);
                }
                let deliveries = match first.deliveries {
                    Some(deliveries) => deliveries,
                    None => deliveries_of(turn, first.id)?,
                };
                answers.push(Accepted { id: first.id, deliveries, duplicate: true });
                continue;
            }
        }
        let long = std::mem::take(&mut event.long);
        let event = event.accepted(EventId::from_bits(turn.next_id()), turn.now);
        let deliveries = owed_of(turn, &event, &long, &mut sequences);
        let count = u32_of(deliveries.len());
        let id = event.id;
        if let Some((key, content)) = producer {
            first_seen.insert(key, EventReceipt::new(id, turn.now, count, content));
        }
        answers.push(Accepted { id, deliveries: count, duplicate: false });
        records.push(Record::of(id.bits(), AcceptedRecord::new(event, &deliveries)));
        owed.extend(deliveries);
    }
    if !invalid.errors.is_empty() {
        return Ok(Decided { invalid, ..Decided::default() });
    }
    turn.outcome.tally.repeated += (answers.len() - records.len()) as u64;
    turn.carried.expiry.events.due += expiry::DUE_PER_NEW * first_seen.len();
    turn.carried.expiry.calls.due += records.len();
    turn.outcome.tally.accepted += records.len() as u64;
    Ok(Decided { answers, records, deliveries: owed, invalid })
}

/// The receipt of the event posted with the same producer's id within the idempotency window.
pub(crate) fn posted_before(turn: &Turn<'_>, key: &Key) -> Result<Option<EventReceipt>, StoreError> {
    let Some(value) = turn.get(key)? else { return Ok(None) };
    let Some(receipt) = EventReceipt::decode(&value) else {
        turn.view.note_unreadable(key, None);
        return Ok(None);
    };
    Ok((turn.now.since(receipt.at) < turn.settings.idempotency_window).then_some(receipt))
}

/// The number of deliveries of an event whose receipt is of version 1, which does not hold it. 0 if the event has
/// expired.
fn deliveries_of(turn: &Turn<'_>, event: EventId) -> Result<u32, StoreError> {
    Ok(query::accepted_record(turn.log, event)?.map_or(0, |record| u32_of(record.owed.len())))
}

/// Creates the deliveries of a new event, whose data has these `long` members.
pub(crate) fn owed_of(
    turn: &mut Turn<'_>,
    event: &Event,
    long: &LongMembers,
    sequences: &mut HashMap<SubscriptionNumber, u64>,
) -> Vec<Delivery> {
    let deliveries = deliveries_for(event, long, &lock(turn.registry), sequences);
    let give_up_at = event.accepted_at.plus(turn.settings.give_up_after);
    turn.outcome.deliveries += deliveries.len();
    deliveries.into_iter().map(|delivery| Delivery { give_up_at, ..delivery }).collect()
}

/// Whether a subscription matches an event, apart from its filter.
pub(crate) fn matches(subscription: &Subscription, event: &NewEvent) -> bool {
    subscription.matches(&event.company, event.domain.as_ref(), event.source, &event.event_type)
}

/// One delivery per matching subscription whose filter lets the event through, in order of creation, each with its
/// subscription's next sequence number. `sequences` has the numbers already used by earlier events of the same unit, by
/// subscription number.
fn deliveries_for(
    event: &Event,
    long: &LongMembers,
    registry: &Registry,
    sequences: &mut HashMap<SubscriptionNumber, u64>,
) -> Vec<Delivery> {
    let facts = Facts::with_long(event, long);
    let matches = |subscription: &Subscription| {
        subscription.matches(&event.company, event.domain.as_ref(), event.source, &event.event_type)
            && subscription.target.filter.as_ref().is_none_or(|filter| filter.lets_through(&facts))
    };
    let states = registry.of_company(&event.company).filter(|state| matches(&state.subscription));
    let deliveries = states.map(|state| {
        let subscription = &state.subscription;
        let sequence = sequences.entry(subscription.number).or_insert(state.next_sequence);
        let number = (*sequence).min(MAX_SEQUENCE);
        *sequence += 1;
        let expire_after = subscription.expire_after.get(&event.event_type);
        Delivery {
            id: DeliveryId::new(event.id.timestamp(), subscription.number, number),
            subscription: subscription.id,
            event: event.id,
            event_type: event.event_type.clone(),
            call: event.call.clone(),
            state: State::Pending,
            attempts: 0,
            due: event.accepted_at,
            give_up_at: event.accepted_at,
            expire_at: expire_after.map(|after| event.accepted_at.plus(*after)),
            first_failed_at: None,
            last_response: None,
            replay: false,
        }
    });
    deliveries.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::subscription_input;
    use crate::model::in_memory::{InMemory, anyone, draft, event, filtered};
    use crate::model::subscriptions;

    fn with_subscriptions(count: usize) -> InMemory {
        let mut engine = InMemory::new();
        for _ in 0..count {
            engine.decide(|turn| subscriptions::create(turn, &anyone(), draft("acme"))).0.unwrap();
        }
        engine
    }

    fn sequences(outcome: &crate::model::turn::Outcome) -> Vec<(u32, u64)> {
        let owed = outcome.events.iter().flat_map(|event| match event {
            StoreEvent::Owed(deliveries) => deliveries.clone(),
            _ => Vec::new(),
        });
        owed.map(|delivery| (delivery.id.subscription_number().get(), delivery.id.sequence())).collect()
    }

    #[test]
    fn each_matching_subscription_gets_a_delivery_with_its_next_sequence_number() {
        let mut engine = with_subscriptions(2);
        let (accepted, outcome) = engine.decide(|turn| accept(turn, vec![event("a", None), event("b", None)]));
        assert_eq!(accepted.unwrap().iter().map(|it| it.deliveries).collect::<Vec<_>>(), [2, 2]);
        assert_eq!(sequences(&outcome), [(1, 1), (2, 1), (1, 2), (2, 2)]);
        let (_, outcome) = engine.decide(|turn| accept(turn, vec![event("c", None)]));
        assert_eq!(sequences(&outcome), [(1, 3), (2, 3)], "they go on in the next turn");
        assert_eq!((outcome.tally.accepted, outcome.deliveries), (1, 2));
        assert_eq!(engine.written()[4..], ["events"; 3]);
    }

    #[test]
    fn filters_decide_and_failing_ones_let_through() {
        let mut engine = InMemory::new();
        for filter in ["data.call_id == 'a'", "data.n > 2", "data.call_id > 2", "data.none"] {
            engine.decide(|turn| subscriptions::create(turn, &anyone(), filtered(filter))).0.unwrap();
        }
        let (accepted, outcome) = engine.decide(|turn| accept(turn, vec![event("a", None), event("b", None)]));
        assert_eq!(accepted.unwrap().iter().map(|it| it.deliveries).collect::<Vec<_>>(), [2, 1]);
        assert_eq!(sequences(&outcome), [(1, 1), (3, 1), (3, 2)], "sequence numbers are those of what is owed");
        let failures = |engine: &InMemory, number: u32| {
            let registry = lock(&engine.registry);
            let state = registry.all().find(|state| state.subscription.number.get() == number).unwrap();
            state.subscription.target.filter.as_ref().unwrap().failures().0
        };
        assert_eq!([1, 2, 3].map(|number| failures(&engine, number)), [0, 0, 2]);
        let id = lock(&engine.registry).all().nth(2).unwrap().subscription.id;
        let patch = |text: &str| {
            let catalogue = crate::core::catalogue::Catalogue::new(Vec::new()).unwrap();
            subscription_input::Change::from_json(crate::core::json::parse(text).unwrap(), &catalogue).unwrap()
        };
        engine.decide(|turn| subscriptions::change(turn, &anyone(), id, &patch(r#"{"description":"x"}"#))).0.unwrap();
        assert_eq!(failures(&engine, 3), 2, "another setting changed");
        engine.decide(|turn| subscriptions::change(turn, &anyone(), id, &patch(r#"{"filter":"data.n"}"#))).0.unwrap();
        assert_eq!(failures(&engine, 3), 0, "it is another filter");
    }

    #[test]
    fn a_repeated_id_is_answered_as_the_first_and_writes_nothing_until_its_window_is_over() {
        let mut engine = with_subscriptions(1);
        let post = |engine: &mut InMemory| engine.decide(|turn| accept(turn, vec![event("a", Some("one"))]));
        let first = post(&mut engine).0.unwrap()[0];
        let written = engine.written().len();
        let (again, outcome) = post(&mut engine);
        assert_eq!(again.unwrap(), [Accepted { duplicate: true, ..first }]);
        assert_eq!((outcome.tally.repeated, engine.written().len()), (1, written));
        engine.now = engine.now.plus(engine.settings.idempotency_window);
        let later = post(&mut engine).0.unwrap()[0];
        assert!(!later.duplicate && later.id > first.id);
    }

    #[test]
    fn a_batch_that_gives_an_id_to_other_content_is_refused_as_a_whole() {
        let mut engine = with_subscriptions(1);
        engine.decide(|turn| accept(turn, vec![event("a", Some("one"))])).0.unwrap();
        let written = engine.written().len();
        for (batch, pointer) in [
            (vec![event("x", None), event("b", Some("one"))], "/1/id"),
            (vec![event("x", Some("two")), event("y", Some("two"))], "/1/id"),
        ] {
            let (refused, outcome) = engine.decide(|turn| accept(turn, batch));
            let Err(StoreError::Invalid(invalid)) = refused else { panic!("{refused:?}") };
            assert_eq!(invalid.errors[0].pointer, pointer);
            assert!(outcome.events.is_empty() && engine.written().len() == written);
        }
        let (accepted, _) = engine.decide(|turn| accept(turn, vec![event("x", Some("two"))]));
        assert!(!accepted.unwrap()[0].duplicate, "nothing of a refused batch is remembered");
    }

    #[test]
    fn a_view_that_cannot_be_read_stops_the_engine_before_anything_is_acknowledged() {
        let mut engine = with_subscriptions(1);
        let fault = StoreError::corrupt_state("is damaged");
        *lock(&engine.view.fault) = Some(fault.clone());
        let (refused, _) = engine.decide(|turn| accept(turn, vec![event("a", Some("one"))]));
        assert_eq!(refused, Err(fault.clone()));
        assert_eq!(engine.view.failure(), Some(fault));
    }
}
