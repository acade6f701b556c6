//! What the committer does little by little between group commits: cancelling what deleted subscriptions
//! were owed and what is discarded, putting back what is replayed ([`crate::model::replay`]), ending what retention
//! no longer keeps, and writing the subscriptions and tokens again at the beginning of a journal file.
//!
//! Each call does a bounded part, so that nobody who waits for a commit notices.

use crate::core::attempt::Status;
use crate::core::delivery::Delivery;
use crate::core::seal::Keyring;
use crate::core::subscription::Subscription;
use crate::model::error::StoreError;
use crate::model::lock::lock;
use crate::model::manual::{ENDED_AT_ONCE, cancel_all, end, has_events};
use crate::model::notice::StoreEvent;
use crate::model::record::{self, Forgotten, Record, SubscriptionRemoved, SubscriptionStateRecord};
use crate::model::registry::Registry;
use crate::model::turn::{Carried, Turn};
use crate::model::{conversations, keys, replay, subscriptions, tokens};

/// How many subscriptions are looked at, or written again, between two group commits.
const ACCOUNTS_AT_ONCE: usize = 64;

/// A new segment has been begun: all subscriptions and tokens are to be written at its beginning.
pub(crate) const fn begin_snapshot(carried: &mut Carried) {
    carried.progress.subscriptions = Some(0);
    carried.progress.tokens = Some(0);
    carried.has_work = true;
}

/// Deliveries whose event has become too old are to be ended, and threads forgotten.
pub(crate) fn begin_ending(carried: &mut Carried) {
    carried.progress.ending.get_or_insert(0);
    carried.progress.threads.get_or_insert_with(|| keys::LATEST.to_vec());
    carried.has_work = true;
}

/// Does a little of what can wait. Notes whether there is more.
pub(crate) fn do_some(turn: &mut Turn<'_>) -> Result<(), StoreError> {
    if let Some(number) = turn.carried.progress.subscriptions {
        turn.carried.progress.subscriptions = write_some(turn, number);
        return Ok(());
    }
    if let Some(from) = turn.carried.progress.tokens {
        turn.carried.progress.tokens = tokens::write_some(turn, from);
        return Ok(());
    }
    let emptying = empty_deleted(turn)?;
    let discarding = replay::discard_some(turn)?;
    let replaying = replay::replay_some(turn)?;
    let mut ending = false;
    if let Some(number) = turn.carried.progress.ending {
        (turn.carried.progress.ending, ending) = end_old(turn, number)?;
    }
    if let Some(after) = turn.carried.progress.threads.take() {
        turn.carried.progress.threads = conversations::forget_some(turn, &after)?;
    }
    turn.carried.has_work = emptying || discarding || replaying || ending || turn.carried.progress.threads.is_some();
    Ok(())
}

/// Writes some subscriptions as they are, from `number` on; gives the next number, if there is one.
///
/// Nothing changes by it, so it is not applied, but for secrets that are not sealed with the current key.
fn write_some(turn: &mut Turn<'_>, number: u32) -> Option<u32> {
    let registry = lock(turn.registry);
    let (mut last, mut written, mut sealed_anew) = (None, Vec::new(), Vec::new());
    for (number, account) in registry.states_from(number, ACCOUNTS_AT_ONCE) {
        let record = subscriptions::as_record(account, registry.keys());
        sealed_anew.extend(account.stale.then(|| record.clone()));
        let (next_sequence, health) = (account.next_sequence, account.health.into());
        let account = SubscriptionStateRecord { number, next_sequence, health };
        written.push([Record::from(Box::new(record)), Record::from(account)]);
        last = Some(number);
    }
    drop(registry);
    written.iter().for_each(|both| turn.append(both));
    turn.carried.progress.sealed_anew += sealed_anew.len();
    for record in sealed_anew {
        turn.outcome.heard.extend(Record::from(Box::new(record)).apply(turn.target()));
    }
    if last.is_none() {
        tell_of_sealing(turn);
    }
    last.map(|last| last + 1)
}

/// Says that secrets were sealed anew: whoever calls this has seen the last of them written.
fn tell_of_sealing(turn: &mut Turn<'_>) {
    let (count, keys) = (std::mem::take(&mut turn.carried.progress.sealed_anew), lock(turn.registry).keys().clone());
    if count > 0 {
        tell_of_all_sealed(&keys, count);
    }
}

/// Cancels some of what a deleted subscription was owed. Tells whether there is more.
fn empty_deleted(turn: &mut Turn<'_>) -> Result<bool, StoreError> {
    let Some(number) = lock(turn.registry).deleted().first().copied() else { return Ok(false) };
    let mut left = Vec::new();
    for prefix in [keys::OWED, keys::DEAD] {
        left.extend(turn.scan(&keys::numbered(prefix, number), None, ENDED_AT_ONCE)?);
    }
    if left.is_empty() {
        turn.write(vec![Record::from(SubscriptionRemoved(number))]);
        return Ok(!lock(turn.registry).deleted().is_empty());
    }
    Ok(cancel_all(turn, number, &left, "its subscription was deleted"))
}

/// Ends what some subscriptions, from `number` on, are owed of events whose time is over; gives the
/// number to go on with, if there is one, and whether that can be done at once.
fn end_old(turn: &mut Turn<'_>, number: u32) -> Result<(Option<u32>, bool), StoreError> {
    let looked_at: Vec<_> = {
        let registry = lock(turn.registry);
        let some = registry.states_from(number, ACCOUNTS_AT_ONCE);
        some.map(|(number, account)| (number, account.subscription.clone(), account.counts)).collect()
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
    let next = looked_at.last().map(|(number, ..)| number + 1);
    Ok((next, next.is_some()))
}

/// Ends at most `most` of them of one subscription; says how many, or `None` if their events are to be read first.
fn end_old_of(
    turn: &mut Turn<'_>,
    number: u32,
    subscription: &Subscription,
    most: usize,
) -> Result<Option<usize>, StoreError> {
    const WHY: &str = "it was not delivered while its event was kept (`event_age` in [retention])";
    let over = turn.settings.retention.events_over(turn.now);
    let mut ended = 0;
    for prefix in [keys::OWED, keys::DEAD] {
        // In the order of acceptance: behind the first that is not over there is none.
        let oldest = turn.scan(&keys::numbered(prefix, number), None, most - ended)?;
        let old = oldest.into_iter().map_while(|(_, value)| {
            let delivery = record::delivery_of(&value)?;
            (delivery.event.timestamp() < over).then_some(delivery)
        });
        let old: Vec<Delivery> = old.collect();
        // Of a dead letter no entry is written.
        if prefix == keys::OWED && !has_events(turn, &old) {
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

/// Says so if all secrets are sealed with the current key, and how many subscriptions that is.
pub(crate) fn tell_if_all_is_sealed(registry: &Registry) {
    let (mut count, mut stale) = (0, false);
    for (_, account) in registry.states_from(0, usize::MAX) {
        (count, stale) = (count + 1, stale || account.stale);
    }
    if count > 0 && !stale {
        tell_of_all_sealed(registry.keys(), count);
    }
}

fn tell_of_all_sealed(keys: &Keyring, count: usize) {
    if let Some(key) = keys.sealing() {
        tracing::info!(
            "all secrets are sealed with key {key} (subscriptions sealed anew: {count}); no other key is needed"
        );
    }
}
