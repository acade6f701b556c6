//! Maintenance between group commits: cancelling the deliveries of deleted subscriptions and of discards, continuing
//! replays ([`crate::model::replay`]), ending what retention no longer keeps, and writing the snapshot of subscriptions
//! and tokens at the beginning of a segment.
//!
//! Each call does a bounded amount, so that nobody waiting for a commit notices.

use crate::core::attempt::Status;
use crate::core::delivery::Delivery;
use crate::core::id::SubscriptionNumber;
use crate::core::seal::Keyring;
use crate::core::subscription::Subscription;
use crate::model::error::StoreError;
use crate::model::key::{Key, ValueKind};
use crate::model::lock::lock;
use crate::model::manual::{ENDED_AT_ONCE, cancel_all, end, has_events};
use crate::model::notice::StoreEvent;
use crate::model::record::{self, Forgotten, Record, SubscriptionRecord, SubscriptionRemoved, SubscriptionStateRecord};
use crate::model::registry::{Registry, SubscriptionState};
use crate::model::turn::{Carried, Turn};
use crate::model::{conversations, keys, replay, subscriptions, tokens};

/// How many subscriptions are examined, or written to a snapshot, between two group commits.
const SUBSCRIPTIONS_AT_ONCE: usize = 64;

/// Schedules a snapshot: a new segment has begun, and all subscriptions and tokens are to be written at its beginning.
pub(crate) const fn begin_snapshot(carried: &mut Carried) {
    carried.progress.subscriptions = Some(SubscriptionNumber::ZERO);
    carried.progress.tokens = Some(0);
    carried.has_work = true;
}

/// Schedules the ending of deliveries whose event has expired, and the removal of expired threads.
pub(crate) fn begin_expiring(carried: &mut Carried) {
    carried.progress.ending.get_or_insert(SubscriptionNumber::ZERO);
    carried.progress.threads.get_or_insert_with(|| Key::all(ValueKind::Latest));
    carried.has_work = true;
}

/// Does some of the pending work, and records whether there is more.
pub(crate) fn run_some(turn: &mut Turn<'_>) -> Result<(), StoreError> {
    if let Some(number) = turn.carried.progress.subscriptions {
        turn.carried.progress.subscriptions = write_snapshot(turn, number);
        return Ok(());
    }
    if let Some(from) = turn.carried.progress.tokens {
        turn.carried.progress.tokens = tokens::write_snapshot(turn, from);
        return Ok(());
    }
    let cancelling = cancel_deleted(turn)?;
    let discarding = replay::discard_some(turn)?;
    let replaying = replay::replay_some(turn)?;
    let mut ending = false;
    if let Some(number) = turn.carried.progress.ending {
        (turn.carried.progress.ending, ending) = end_old(turn, number)?;
    }
    if let Some(after) = turn.carried.progress.threads.take() {
        turn.carried.progress.threads = conversations::remove_expired(turn, &after)?;
    }
    turn.carried.has_work = cancelling || discarding || replaying || ending || turn.carried.progress.threads.is_some();
    if !turn.carried.has_work {
        turn.carried.ahead.drop_events();
    }
    Ok(())
}

/// Writes some subscriptions to the snapshot, from `number` on; returns the next number, if any.
///
/// The records change nothing, so they are not applied, except for secrets that are not sealed with the current key.
fn write_snapshot(turn: &mut Turn<'_>, number: SubscriptionNumber) -> Option<SubscriptionNumber> {
    let registry = lock(turn.registry);
    let (mut last, mut written, mut sealed_anew) = (None, Vec::new(), Vec::new());
    for (number, state) in registry.states_from(number, SUBSCRIPTIONS_AT_ONCE) {
        let record = subscriptions::current_record(state, registry.keys());
        sealed_anew.extend(state.stale.then(|| record.clone()));
        written.push(both_records(number, state, record));
        last = Some(number);
    }
    drop(registry);
    written.iter().for_each(|both| turn.append(both));
    turn.carried.progress.sealed_anew += sealed_anew.len();
    for record in sealed_anew {
        turn.outcome.for_report.extend(Record::from(Box::new(record)).apply(turn.target()));
    }
    if last.is_none() {
        log_resealing(turn);
    }
    last.and_then(SubscriptionNumber::next)
}

/// The records of a subscription and of its state.
fn both_records(number: SubscriptionNumber, state: &SubscriptionState, record: SubscriptionRecord) -> [Record; 2] {
    let (next_sequence, health) = (state.next_sequence, state.health.into());
    [Record::from(Box::new(record)), Record::from(SubscriptionStateRecord { number, next_sequence, health })]
}

/// A whole snapshot, for a log that begins.
#[cfg(feature = "postgres")]
pub(crate) fn snapshot(registry: &Registry) -> Vec<Record> {
    let states = registry.states_from(SubscriptionNumber::ZERO, usize::MAX);
    let of_subscription = |(number, state): (SubscriptionNumber, &SubscriptionState)| {
        both_records(number, state, subscriptions::current_record(state, registry.keys()))
    };
    states.flat_map(of_subscription).chain(tokens::snapshot(&registry.tokens)).collect()
}

/// Logs that secrets were resealed, after the last of them was written.
fn log_resealing(turn: &mut Turn<'_>) {
    let (count, keys) = (std::mem::take(&mut turn.carried.progress.sealed_anew), lock(turn.registry).keys().clone());
    if count > 0 {
        log_all_sealed(&keys, count);
    }
}

/// Cancels some deliveries of a deleted subscription; returns whether there are more.
fn cancel_deleted(turn: &mut Turn<'_>) -> Result<bool, StoreError> {
    let Some(number) = lock(turn.registry).deleted().first().copied() else { return Ok(false) };
    let mut left = Vec::new();
    for kind in [ValueKind::Owed, ValueKind::Dead] {
        left.extend(turn.scan(&keys::numbered(kind, number), None, ENDED_AT_ONCE)?);
    }
    if left.is_empty() {
        turn.write(vec![Record::from(SubscriptionRemoved(number))]);
        return Ok(!lock(turn.registry).deleted().is_empty());
    }
    Ok(cancel_all(turn, number, &left, "its subscription was deleted"))
}

/// Ends deliveries, of some subscriptions from `number` on, whose events have expired; returns the number to continue
/// with, if any, and whether that is possible at once.
fn end_old(turn: &mut Turn<'_>, number: SubscriptionNumber) -> Result<(Option<SubscriptionNumber>, bool), StoreError> {
    let looked_at: Vec<_> = {
        let registry = lock(turn.registry);
        let some = registry.states_from(number, SUBSCRIPTIONS_AT_ONCE);
        some.map(|(number, state)| (number, state.subscription.clone(), state.counts)).collect()
    };
    let mut left = ENDED_AT_ONCE;
    for (number, subscription, counts) in &looked_at {
        if counts.pending + counts.retrying + counts.failed == 0 {
            continue;
        }
        let Some(ended) = end_old_of(turn, *number, subscription, left)? else { return Ok((Some(*number), false)) };
        left -= ended;
        if left == 0 {
            return Ok((Some(*number), true));
        }
    }
    let next = looked_at.last().and_then(|(number, ..)| number.next());
    Ok((next, next.is_some()))
}

/// Ends at most `most` such deliveries of one subscription; returns how many, or `None` if their events have to be read
/// first.
fn end_old_of(
    turn: &mut Turn<'_>,
    number: SubscriptionNumber,
    subscription: &Subscription,
    most: usize,
) -> Result<Option<usize>, StoreError> {
    const WHY: &str = "it was not delivered while its event was kept (`event_age` in [retention])";
    let expired_before = turn.settings.retention.events_over(turn.now);
    let mut ended = 0;
    for kind in [ValueKind::Owed, ValueKind::Dead] {
        // They are in order of acceptance: none follows the first that has not expired.
        let oldest = turn.scan(&keys::numbered(kind, number), None, most - ended)?;
        let expired = oldest.into_iter().map_while(|(_, value)| {
            let delivery = record::delivery_of(&value)?;
            (delivery.event.timestamp() < expired_before).then_some(delivery)
        });
        let old: Vec<Delivery> = expired.collect();
        // A dead letter needs no log entry.
        if kind == ValueKind::Owed && !has_events(turn, &old) {
            return Ok(None);
        }
        for delivery in old {
            ended += 1;
            if delivery.state.is_owed() {
                let event = turn.carried.ahead.take_event(delivery.event);
                end(turn, delivery, Status::Expired, WHY, subscription, event);
            } else {
                turn.write(vec![Record::from(Forgotten(delivery.id))]);
                turn.outcome.events.push(StoreEvent::Cancelled(delivery.id));
            }
        }
    }
    Ok(Some(ended))
}

/// Logs whether all secrets are sealed with the current key, with the number of subscriptions.
pub(crate) fn log_if_all_sealed(registry: &Registry) {
    let (mut count, mut stale) = (0, false);
    for (_, state) in registry.states_from(SubscriptionNumber::ZERO, usize::MAX) {
        (count, stale) = (count + 1, stale || state.stale);
    }
    if count > 0 && !stale {
        log_all_sealed(registry.keys(), count);
    }
}

fn log_all_sealed(keys: &Keyring, count: usize) {
    if let Some(key) = keys.sealing() {
        tracing::info!(
            "all secrets are sealed with key {key} (subscriptions sealed anew: {count}); no other key is needed"
        );
    }
}
