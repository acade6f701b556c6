//! What comes back into a subscription's queue, or leaves it, as a whole: replays and discards.
//!
//! Both are noted as a step when they are asked for and then done little by little, between group
//! commits, so that they survive a restart half-way and hold up nobody. A replay has at most
//! [`REPLAYED_AT_ONCE`] deliveries in the queue at a time: they go to the receiver in the order of
//! their sequence numbers, ahead of what is newer, and the next ones follow only as they end. So
//! the live events of a subscription wait behind a few of them at most, and never behind them all;
//! and a receiver that is down is not owed a whole replay on top of its backlog.

use std::ops::ControlFlow;

use crate::core::delivery::{Delivery, State as Standing};
use crate::core::id::{EventId, SubscriptionId};
use crate::core::time::Timestamp;

use super::desk::{Desk, Done};
use super::journal::{Journal, Owing};
use super::ledger::Ledger;
use super::query::lowest_id;
use super::record::{Before, DeliveryRecord, DiscardRecord, ReplayRecord};
use super::state::{State, StateError};
use super::step::{Step, lock};
use super::tidy::ENDED_AT_ONCE;
use super::{Change, ReadError, Replay, ReplayFilter, WriteError, keys};

/// How many deliveries of a replay are in the queue at most.
const REPLAYED_AT_ONCE: usize = 8;
/// How many events a replay looks at between two group commits.
const LOOKED_AT_ONCE: usize = 64;

/// Looks through what a replay would put back. Reads the whole range: not for the committer.
pub(super) fn plan(
    state: &State,
    journal: &Journal,
    number: u32,
    next_sequence: u64,
    filter: ReplayFilter,
) -> Result<Replay, ReadError> {
    let (from, until) = (lowest_id(Some(filter.since)), filter.until.map_or(u128::MAX, |until| lowest_id(Some(until))));
    let mut sequences: Option<(u64, u64)> = None;
    let mut queued = 0;
    journal.owed_to(number, &|owing| owing.event < from, &mut |owing| {
        if owing.event >= until || owing.sequence >= next_sequence {
            return Ok(ControlFlow::Break(()));
        }
        let first = sequences.map_or(owing.sequence, |(first, _)| first);
        sequences = Some((first, owing.sequence));
        let wanted =
            filter.events.is_empty() || filter.events.iter().any(|event| event.as_str() == owing.accepted.event_type());
        if wanted && again(state, number, &owing, filter.failed_only)?.is_some() {
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

/// The delivery as it would go out again, and where it stands; `None` if it is owed anyway, or not
/// a dead letter where only those are wanted.
fn again(
    state: &State,
    number: u32,
    owing: &Owing,
    failed_only: bool,
) -> Result<Option<(Delivery, Before)>, StateError> {
    let has = |prefix| state.get(&keys::sequence(prefix, number, owing.sequence)).map(|value| value.is_some());
    let dead = has(keys::DEAD)?;
    if has(keys::OWED)? || (failed_only && !dead) {
        return Ok(None);
    }
    let before = Before::from(dead.then_some(Standing::Failed));
    let begun = owing.accepted.deliveries(EventId::from_bits(owing.event)).unwrap_or_default();
    let delivery = begun.into_iter().find(|delivery| delivery.id.subscription_number() == number);
    Ok(delivery.map(|delivery| (delivery, before)))
}

impl Desk {
    /// Begins a replay.
    pub(super) fn replay(&mut self, id: SubscriptionId, replay: &Replay, now: Timestamp) -> Done<()> {
        let Some(current) = self.current(id) else { return Ok(Err(WriteError::NotFound)) };
        let (next, last) = replay.sequences;
        if next <= last && replay.queued > 0 {
            let events = replay.events.iter().map(|event| event.as_str().to_owned()).collect();
            let (number, id, failed_only) = (current.number, self.next_id(now), replay.failed_only);
            let record = ReplayRecord { number, id, events, failed_only, next, last, outstanding: Vec::new() };
            self.write(vec![Step::Replay(record)]);
            self.untidy = true;
        }
        Ok(Ok(()))
    }

    /// Cancels all that waits for a subscription, and ends its replays. Says how much that is.
    pub(super) fn discard(&mut self, id: SubscriptionId) -> Done<u64> {
        let (number, waiting, last, replays) = {
            let ledger = lock(&self.ledger);
            let Some(account) = ledger.get(id) else { return Ok(Err(WriteError::NotFound)) };
            let number = account.subscription.number;
            let waiting = account.counts.waiting();
            let replays: Vec<ReplayRecord> = ledger.replays_of(number).cloned().collect();
            (number, waiting, account.next_sequence - 1, replays)
        };
        let ended = replays.into_iter().map(|replay| ReplayRecord { last: 0, outstanding: Vec::new(), ..replay });
        let mut steps: Vec<Step> = ended.map(Step::Replay).collect();
        if waiting > 0 {
            steps.push(Step::Discard(DiscardRecord { number, last }));
        }
        if !steps.is_empty() {
            self.write(steps);
            self.untidy = true;
        }
        Ok(Ok(waiting))
    }

    /// Cancels some of what is being discarded; tells whether there is more.
    pub(super) fn discard_some(&mut self, now: Timestamp) -> Result<bool, StateError> {
        let discards = lock(&self.ledger).discards();
        let Some(discard) = discards.first().copied() else { return Ok(false) };
        let mut left = self.state.scan(&keys::numbered(keys::OWED, discard.number), None, ENDED_AT_ONCE)?;
        let behind = keys::sequence(keys::OWED, discard.number, discard.last);
        left.retain(|(key, _)| *key <= behind);
        if left.is_empty() {
            self.write(vec![Step::Discard(DiscardRecord { last: 0, ..discard })]);
            return Ok(discards.len() > 1);
        }
        self.cancel_all(discard.number, &left, "what waited for its subscription was discarded", now);
        Ok(true)
    }

    /// Puts the next few deliveries of each subscription's oldest replay back; tells whether there
    /// is more to be done at once.
    pub(super) fn replay_some(&mut self, now: Timestamp) -> Result<bool, StateError> {
        let replays = lock(&self.ledger).replays();
        let mut more = false;
        for replay in replays {
            more |= self.go_on_with(&replay, now)?;
        }
        Ok(more)
    }

    fn go_on_with(&mut self, before: &ReplayRecord, now: Timestamp) -> Result<bool, StateError> {
        let mut outstanding = Vec::with_capacity(REPLAYED_AT_ONCE);
        for sequence in &before.outstanding {
            if self.state.get(&keys::sequence(keys::OWED, before.number, *sequence))?.is_some() {
                outstanding.push(*sequence);
            }
        }
        if outstanding.len() > REPLAYED_AT_ONCE / 2 {
            return Ok(false);
        }
        let mut replay = ReplayRecord { outstanding, ..before.clone() };
        let back = if replay.next <= replay.last { self.next_of(&mut replay, now)? } else { Vec::new() };
        if replay == *before {
            return Ok(false);
        }
        // It goes on at once if nothing that it has put back will end and wake it.
        let more = replay.outstanding.is_empty();
        let mut steps: Vec<Step> =
            back.iter().map(|(delivery, before)| Step::Requeued(DeliveryRecord::from(delivery), *before)).collect();
        steps.push(Step::Replay(replay));
        self.write(steps);
        if !back.is_empty() {
            self.changes.push(Change::Owed(back.into_iter().map(|(delivery, _)| delivery).collect()));
        }
        Ok(more)
    }

    /// The deliveries that a replay puts back next; the replay is moved on past them.
    fn next_of(&self, replay: &mut ReplayRecord, now: Timestamp) -> Result<Vec<(Delivery, Before)>, StateError> {
        let (mut looked_at, mut back) = (0, Vec::new());
        let (number, first, last) = (replay.number, replay.next, replay.last);
        let mut failed = None;
        replay.next = last + 1;
        let walked = self.journal.owed_to(number, &|owing| owing.sequence < first, &mut |owing| {
            let sequence = owing.sequence;
            let full = looked_at == LOOKED_AT_ONCE || replay.outstanding.len() == REPLAYED_AT_ONCE;
            if full && sequence <= last {
                replay.next = sequence;
            }
            if full || sequence > last {
                return Ok(ControlFlow::Break(()));
            }
            looked_at += 1;
            let wanted =
                replay.events.is_empty() || replay.events.iter().any(|event| event == owing.accepted.event_type());
            if !wanted {
                return Ok(ControlFlow::Continue(()));
            }
            match again(&self.state, number, &owing, replay.failed_only) {
                Ok(None) => {}
                Ok(Some((delivery, before))) => {
                    replay.outstanding.push(sequence);
                    back.push((self.as_replayed(delivery, now), before));
                }
                Err(error) => {
                    failed = Some(error);
                    return Ok(ControlFlow::Break(()));
                }
            }
            Ok(ControlFlow::Continue(()))
        });
        if let Some(error) = failed {
            return Err(error);
        }
        if let Err(damage) = walked {
            // What cannot be read is not sent; the rest of the queue goes on.
            tracing::error!("a replay ends early: {damage}");
        }
        Ok(back)
    }

    fn as_replayed(&self, delivery: Delivery, now: Timestamp) -> Delivery {
        let give_up_at = now.plus(self.settings.give_up_after);
        // Somebody wants it now, however old it is.
        Delivery { state: Standing::Pending, due: now, give_up_at, expire_at: None, replay: true, ..delivery }
    }
}

/// The sequence number that a subscription's next delivery gets.
pub(super) fn next_sequence(ledger: &Ledger, id: SubscriptionId) -> Option<(u32, u64)> {
    ledger.get(id).map(|account| (account.subscription.number, account.next_sequence))
}
