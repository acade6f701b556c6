//! What the committer decides: from a command to the steps that carry it out.
//!
//! Nothing here waits for the disk. Steps are written into a buffer and applied in memory; the
//! committer makes the buffer durable before anybody hears of it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::core::attempt::{LogEntry, Status};
use crate::core::delivery::{self, Delivery, State as Standing};
use crate::core::event::{Event, NewEvent};
use crate::core::id::{AttemptId, DeliveryId, EventId, IdSource, MAX_SEQUENCE, SubscriptionId};
use crate::core::invalid::Invalid;
use crate::core::subscription::{DisabledReason, PreviousSecret, Secret, Subscription};
use crate::core::subscription_input::{Change as Patch, Draft};
use crate::core::time::Timestamp;

use super::conversations::Threads;
use super::erasures::Erasures;
use super::journal::{Journal, Note};
use super::known::{KnownDelivery, KnownEvent};
use super::ledger::Ledger;
use super::place;
use super::receipts::{self, EventContent, EventReceipt};
use super::record::{Accepted as AcceptedRecord, AccountRecord, DeliveryRecord, Logged};
use super::report::{self, News};
use super::sealing;
use super::state::{State, StateError};
use super::step::{self, Step, lock};
use super::sweep::{self, Age, Sweep};
use super::tidy::Errands;
use super::{Accepted, Change, Committed, Finish, Health, Settings, WriteError, keys, query};

/// Turns commands into steps.
pub(super) struct Desk {
    pub(super) state: Arc<State>,
    pub(super) ledger: Arc<Mutex<Ledger>>,
    pub(super) journal: Arc<Journal>,
    pub(super) settings: Settings,
    pub(super) ids: IdSource,
    /// The number of the group commit that is being written.
    pub(super) batch: u64,
    /// Frames that are not on the disk yet.
    pub(super) bytes: Vec<u8>,
    /// The same, as the index takes note of them.
    pub(super) notes: Vec<Note>,
    /// What the dispatcher is told once they are.
    pub(super) changes: Vec<Change>,
    /// What the call report takes in once they are, in the order of the journal.
    pub(super) heard: Vec<News>,
    /// What is being erased.
    pub(super) erasures: Arc<Erasures>,
    /// The SMS threads that were written to lately.
    pub(super) threads: Arc<Mutex<Threads>>,
    /// The sweep through the producers' ids of events.
    pub(super) producers: Sweep,
    /// The sweep through those of messages.
    pub(super) messages: Sweep,
    /// The sweep through what is known of calls.
    pub(super) calls: Sweep,
    /// Whether there may be something for [`Desk::tidy`] to do.
    pub(super) untidy: bool,
    /// What else is done little by little.
    pub(super) errands: Errands,
    /// What is counted of the group commit that is being written.
    pub(super) tally: Committed,
    /// How many deliveries were made since the start.
    pub(super) owed: usize,
}

/// A command's end: its answer, or that the store has failed.
pub(super) type Done<T> = Result<Result<T, WriteError>, StateError>;

/// What comes of events: the answers, the steps that accept them, what is owed, and what is wrong with them.
type Decided = (Vec<Accepted>, Vec<Step>, Vec<Delivery>, Invalid);

impl Desk {
    /// Writes the steps as one: after a crash there are all of them or none.
    pub(super) fn write(&mut self, steps: Vec<Step>) {
        let last = steps.len().saturating_sub(1);
        for (index, step) in steps.into_iter().enumerate() {
            self.notes.push(step.encode(&mut self.bytes, self.batch, index < last));
            self.heard.extend(step.apply(&self.state, &self.ledger));
        }
    }

    pub(super) fn next_id(&mut self, now: Timestamp) -> u128 {
        self.ids.next(now, random_bits)
    }

    /// Accepts all events, in one step; or none, if one has the producer's id of another with other content.
    pub(super) fn accept(&mut self, events: Vec<NewEvent>, now: Timestamp) -> Done<Vec<Accepted>> {
        let (answers, steps, owed, invalid) = self.decide_on(events, now, false)?;
        if !invalid.errors.is_empty() {
            return Ok(Err(WriteError::Invalid(invalid)));
        }
        self.write(steps);
        if !owed.is_empty() {
            self.changes.push(Change::Owed(owed));
        }
        Ok(Ok(answers))
    }

    /// What is to be answered, written and sent for these events; and which of them have an id of another's, unless that
    /// was `checked` before, by [`Desk::conflicts`].
    pub(super) fn decide_on(
        &mut self,
        events: Vec<NewEvent>,
        now: Timestamp,
        checked: bool,
    ) -> Result<Decided, StateError> {
        let mut answers = Vec::with_capacity(events.len());
        let mut steps = Vec::with_capacity(events.len());
        let mut owed = Vec::new();
        let mut sequences = HashMap::new();
        let mut first_seen = HashMap::new();
        let mut invalid = Invalid::default();
        for (index, event) in events.into_iter().enumerate() {
            let producer = event.producer_id.as_ref().map(|id| keys::producer(event.company.as_str(), id.as_str()));
            let producer = producer.map(|key| (key, EventContent::of(&event)));
            if let Some((key, content)) = &producer {
                let here = first_seen.get(key).copied();
                let in_batch = here.is_some();
                if let Some(first) = here.map_or_else(|| self.posted_before(key, now), |first| Ok(Some(first)))? {
                    if !checked {
                        receipts::note_conflict(index, &first, *content, in_batch, &mut invalid);
                    }
                    let deliveries = first.deliveries.unwrap_or_else(|| self.deliveries_of(first.id));
                    answers.push(Accepted { id: first.id, deliveries, duplicate: true });
                    continue;
                }
            }
            let event = event.accepted(EventId::from_bits(self.next_id(now)), now);
            let deliveries = self.owed_of(&event, &mut sequences);
            let count = place::u32_of(deliveries.len());
            let id = event.id;
            if let Some((key, content)) = producer {
                first_seen.insert(key, EventReceipt::new(id, now, count, content));
            }
            answers.push(Accepted { id, deliveries: count, duplicate: false });
            steps.push(Step::Accepted(id, AcceptedRecord::new(event, &deliveries)));
            owed.extend(deliveries);
        }
        if !invalid.errors.is_empty() {
            return Ok((Vec::new(), Vec::new(), Vec::new(), invalid));
        }
        self.tally.repeated += (answers.len() - steps.len()) as u64;
        self.producers.due += sweep::FOR_EACH * first_seen.len();
        self.calls.due += steps.len();
        self.tally.accepted += steps.len() as u64;
        Ok((answers, steps, owed, invalid))
    }

    /// The event that was posted with the same producer's id within the window.
    pub(super) fn posted_before(&self, key: &[u8], now: Timestamp) -> Result<Option<EventReceipt>, StateError> {
        let Some(value) = self.state.get(key)? else { return Ok(None) };
        let Some(receipt) = EventReceipt::decode(&value) else {
            self.state.note_unreadable(key, None);
            return Ok(None);
        };
        Ok((now.since(receipt.at) < self.settings.idempotency_window).then_some(receipt))
    }

    /// How many deliveries an event has whose receipt was written before receipts said so.
    fn deliveries_of(&self, event: EventId) -> u32 {
        let stored = query::accepted_record(&self.journal, event);
        stored.ok().flatten().map_or(0, |record| place::u32_of(record.owed.len()))
    }

    /// The deliveries that a new event is owed in.
    pub(super) fn owed_of(&mut self, event: &Event, sequences: &mut HashMap<u32, u64>) -> Vec<Delivery> {
        let ledger = lock(&self.ledger);
        let wanted = |subscription: &Subscription| {
            subscription.matches(&event.company, event.domain.as_ref(), event.source, &event.event_type)
        };
        let accounts = ledger.of_company(&event.company).filter(|account| wanted(&account.subscription));
        let mut deliveries = Vec::new();
        for account in accounts {
            let subscription = &account.subscription;
            let sequence = sequences.entry(subscription.number).or_insert(account.next_sequence);
            let expire_after = subscription.expire_after.get(&event.event_type);
            deliveries.push(Delivery {
                id: DeliveryId::new(event.id.timestamp(), subscription.number, (*sequence).min(MAX_SEQUENCE)),
                subscription: subscription.id,
                event: event.id,
                event_type: event.event_type.clone(),
                call: event.call.clone(),
                state: Standing::Pending,
                attempts: 0,
                due: event.accepted_at,
                give_up_at: event.accepted_at.plus(self.settings.give_up_after),
                expire_at: expire_after.map(|after| event.accepted_at.plus(*after)),
                first_failed_at: None,
                last_response: None,
                replay: false,
            });
            *sequence += 1;
        }
        drop(ledger);
        self.owed += deliveries.len();
        deliveries
    }

    /// Records an attempt that ended, or a delivery that did without one.
    pub(super) fn finish(&mut self, finish: Finish, now: Timestamp) -> Result<(), StateError> {
        let Finish { mut entry, mut after, disable } = finish;
        self.erasures.scrub(&mut entry);
        entry.id = AttemptId::from_bits(self.next_id(now));
        let owed = step::find(after.id, &self.state)?.filter(|delivery| delivery.state.is_owed());
        let wanted = after.state;
        after = delivery::recorded(owed.as_ref(), after, now);
        self.untidy |= self.is_replayed(after.id.subscription_number());
        if after.state != wanted {
            // It was cancelled, or asked for again, while the attempt was under way.
            if entry.attempt == 0 {
                self.changes.push(Change::Finished(after));
                return Ok(());
            }
            let (status, next) = if owed.is_some() { (Status::Retrying, Some(now)) } else { (Status::Cancelled, None) };
            (entry.status, entry.next_attempt) = (status, next);
        }
        let health = if entry.attempt == 0 { None } else { self.health_after(after.id, &entry) };
        let mut steps = Vec::new();
        // Where it was not owed any more, the attempt is told and changes nothing.
        let effect = owed.map(|owed| (owed.state, &after, health));
        steps.push(Step::Logged(entry.id, Box::new(Logged::new(&entry, effect))));
        let disabled = disable.and_then(|reason| self.disabled(after.subscription, reason, now));
        steps.extend(disabled.as_ref().map(|subscription| self.as_it_is_now(subscription)));
        self.write(steps);
        self.changes.push(Change::Finished(after));
        self.changes.extend(disabled.map(|subscription| Change::Subscription(Arc::new(subscription))));
        Ok(())
    }

    /// Whether a replay of a subscription may go on once one of its deliveries has ended: whichever it is, for one that
    /// was put back may have been asked for by hand since, or be ended by an attempt that began before.
    fn is_replayed(&self, number: u32) -> bool {
        lock(&self.ledger).replays_of(number).next().is_some()
    }

    fn health_after(&self, delivery: DeliveryId, entry: &LogEntry) -> Option<Health> {
        let (failed, at) = (entry.status != Status::Delivered, entry.created);
        let mut ledger = lock(&self.ledger);
        let health = ledger.account(delivery.subscription_number())?.health;
        Some(if failed {
            Health {
                failing_since: health.failing_since.or(Some(at)),
                failures: health.failures.saturating_add(1),
                ..health
            }
        } else {
            Health { failing_since: None, failures: 0, last_success: Some(at), answer: Some(entry.duration) }
        })
    }

    fn disabled(&self, id: SubscriptionId, reason: DisabledReason, now: Timestamp) -> Option<Subscription> {
        let current = lock(&self.ledger).get(id)?.subscription.clone();
        current.enabled().then(|| Subscription { disabled: Some(reason), updated_at: now, ..(*current).clone() })
    }

    /// Creates a subscription.
    pub(super) fn create(&mut self, draft: Draft, now: Timestamp) -> Done<Arc<Subscription>> {
        let (number, others) = {
            let ledger = lock(&self.ledger);
            (ledger.next_number, ledger.of_company(draft.company()).count())
        };
        let most = self.settings.subscriptions_per_company;
        if others >= most as usize {
            let detail = format!(
                "has {others} webhooks, and one company may have {most} (`subscriptions_per_company` in [limits]): \
                 delete one, or have the limit raised"
            );
            return Ok(Err(WriteError::Invalid(Invalid::one("/company", detail))));
        }
        let id = SubscriptionId::from_bits(self.next_id(now));
        let secret = draft.secret().cloned().unwrap_or_else(|| Secret::from_bytes(random_secret()));
        self.keep(draft.into_subscription(id, number, secret, now))
    }

    /// Changes a subscription as it is now.
    pub(super) fn change(&mut self, id: SubscriptionId, patch: &Patch, now: Timestamp) -> Done<Arc<Subscription>> {
        let current = match self.current(id) {
            Some(current) if current.is_locked() => {
                return Ok(Err(WriteError::Conflict(Subscription::LOCKED.to_owned())));
            }
            Some(current) => current,
            None => return Ok(Err(WriteError::NotFound)),
        };
        match patch.apply(&current, now) {
            Ok(changed) if changed.enabled() && !current.enabled() => {
                let healthy = self.as_if_it_had_not_failed(changed.number);
                self.keep_with(changed, healthy)
            }
            Ok(changed) => self.keep(changed),
            Err(invalid) => Ok(Err(WriteError::Invalid(invalid))),
        }
    }

    /// The step that begins a subscription's health anew. Whoever enables it again has seen to the receiver: with
    /// what was held against it before, its next failure alone would disable it.
    fn as_if_it_had_not_failed(&self, number: u32) -> Option<Step> {
        let mut ledger = lock(&self.ledger);
        let account = ledger.account(number)?;
        let health = Health { last_success: account.health.last_success, ..Health::default() };
        let (next_sequence, health) = (account.next_sequence, health.into());
        Some(Step::Account(AccountRecord { number, next_sequence, health }))
    }

    /// Gives a subscription a new secret, `given` or a fresh one; the old one signs too for `overlap`. One whose secrets could not be opened
    /// has lost its headers and its client certificate, and stays disabled.
    pub(super) fn rotate(
        &mut self,
        id: SubscriptionId,
        given: Option<Secret>,
        overlap: Duration,
        now: Timestamp,
    ) -> Done<Secret> {
        let Some(current) = self.current(id) else { return Ok(Err(WriteError::NotFound)) };
        if given.as_ref() == Some(&current.secret) && !current.is_locked() {
            // The one before would go, and with it the overlap that may be running.
            let invalid = Invalid::one("/secret", "is the one that it has already");
            return Ok(Err(WriteError::Invalid(invalid)));
        }
        let secret = given.unwrap_or_else(|| Secret::from_bytes(random_secret()));
        let previous = PreviousSecret { secret: current.secret.clone(), until: now.plus(overlap) };
        let previous_secret = (!overlap.is_zero() && !current.is_locked()).then_some(previous);
        let disabled = if current.is_locked() { Some(DisabledReason::ByHand) } else { current.disabled };
        let secrets = Subscription { secret: secret.clone(), previous_secret, ..(*current).clone() };
        let changed = Subscription { disabled, updated_at: now, ..secrets };
        Ok(self.keep(changed)?.map(|_| secret))
    }

    pub(super) fn current(&self, id: SubscriptionId) -> Option<Arc<Subscription>> {
        lock(&self.ledger).get(id).map(|account| account.subscription.clone())
    }

    /// The step that writes a subscription.
    fn as_it_is_now(&self, subscription: &Subscription) -> Step {
        Step::Subscription(Box::new(sealing::record(subscription, false, lock(&self.ledger).keys())))
    }

    fn keep(&mut self, subscription: Subscription) -> Done<Arc<Subscription>> {
        self.keep_with(subscription, None)
    }

    fn keep_with(&mut self, subscription: Subscription, more: Option<Step>) -> Done<Arc<Subscription>> {
        let steps = std::iter::once(self.as_it_is_now(&subscription)).chain(more);
        self.write(steps.collect());
        let subscription = Arc::new(subscription);
        self.changes.push(Change::Subscription(subscription.clone()));
        Ok(Ok(subscription))
    }

    /// Deletes a subscription; what it is owed is cancelled by [`Desk::tidy`].
    pub(super) fn delete(&mut self, id: SubscriptionId) -> Done<()> {
        let record = {
            let ledger = lock(&self.ledger);
            ledger.get(id).map(|account| account.record(ledger.keys()).deleted())
        };
        let Some(record) = record else { return Ok(Err(WriteError::NotFound)) };
        self.write(vec![Step::Subscription(Box::new(record))]);
        self.untidy = true;
        self.changes.push(Change::Deleted(id));
        Ok(Ok(()))
    }

    /// A delivery as it stands now: from the state if it waits or has failed, otherwise as it was read. Only where it ended
    /// since then is the journal asked.
    fn as_it_stands(&self, read: Delivery) -> Done<Delivery> {
        if let Some(found) = step::find(read.id, &self.state)? {
            return Ok(Ok(found));
        }
        if !read.state.is_owed() && read.state != Standing::Failed {
            return Ok(Ok(read));
        }
        let found = query::delivery_now(&self.state, &self.journal, read.id);
        Ok(found.and_then(|found| found.ok_or(WriteError::NotFound)))
    }

    /// Makes a delivery owed now, whatever it was before.
    pub(super) fn retry(&mut self, known: KnownDelivery, now: Timestamp) -> Done<Delivery> {
        let mut delivery = match self.as_it_stands(known.delivery)? {
            Ok(delivery) => delivery,
            Err(error) => return Ok(Err(error)),
        };
        let over = delivery.event.timestamp() < self.settings.retention.events_over(now);
        if over || known.event.is_none() {
            let gone = "its event is no longer kept (`event_age` in [retention]), so there is nothing to deliver";
            return Ok(Err(WriteError::Conflict(gone.to_owned())));
        }
        if self.current(delivery.subscription).is_none() {
            let gone = "its subscription has been deleted, so there is nowhere to deliver it to";
            return Ok(Err(WriteError::Conflict(gone.to_owned())));
        }
        let before = delivery.state;
        delivery.due = now;
        delivery.replay = false;
        delivery.give_up_at = delivery.give_up_at.max(now.plus(self.settings.give_up_after));
        // Somebody wants it now, however old it is.
        delivery.expire_at = None;
        if !delivery.state.is_owed() {
            delivery.state = if delivery.attempts == 0 { Standing::Pending } else { Standing::Retrying };
            delivery.first_failed_at = None;
        }
        self.write(vec![Step::Requeued(DeliveryRecord::from(&delivery), Some(before).into())]);
        self.changes.push(Change::Owed(vec![delivery.clone()]));
        Ok(Ok(delivery))
    }

    /// Cancels a delivery that is owed, or a dead letter.
    pub(super) fn cancel(&mut self, known: KnownDelivery, why: &str, now: Timestamp) -> Done<Delivery> {
        let KnownDelivery { delivery, event } = known;
        let delivery = match self.as_it_stands(delivery)? {
            Ok(delivery) => delivery,
            Err(error) => return Ok(Err(error)),
        };
        if !delivery.state.is_owed() && delivery.state != Standing::Failed {
            return Ok(Err(WriteError::Conflict(format!("it is {} already", delivery.state))));
        }
        let Some(subscription) = self.current(delivery.subscription) else { return Ok(Err(WriteError::NotFound)) };
        Ok(Ok(self.end(delivery, Status::Cancelled, why, &subscription, event, now)))
    }

    /// Ends a delivery without an attempt. `event` is its event as it was read, if it is kept.
    pub(super) fn end(
        &mut self,
        delivery: Delivery,
        status: Status,
        why: &str,
        subscription: &Subscription,
        event: Option<KnownEvent>,
        now: Timestamp,
    ) -> Delivery {
        let before = delivery.state;
        let after = Delivery { state: status.into(), due: now, ..delivery };
        self.untidy |= self.is_replayed(after.id.subscription_number());
        let mut entry = LogEntry::without_attempt(&after, status, why, subscription, None, now);
        (entry.domain, entry.phone) = event.map_or((None, None), |event| (event.domain, event.phone));
        // It may have been read before an erasure of it began.
        self.erasures.scrub(&mut entry);
        entry.id = AttemptId::from_bits(self.next_id(now));
        self.write(vec![Step::Logged(entry.id, Box::new(Logged::new(&entry, Some((before, &after, None)))))]);
        self.changes.push(Change::Cancelled(after.id));
        after
    }

    /// Writes an entry that belongs to no delivery.
    pub(super) fn record_probe(&mut self, mut entry: LogEntry, now: Timestamp) -> Done<AttemptId> {
        entry.id = AttemptId::from_bits(self.next_id(now));
        self.write(vec![Step::Logged(entry.id, Box::new(Logged::new(&entry, None)))]);
        Ok(Ok(entry.id))
    }

    /// Forgets some of the producers' ids whose window is over, and of the calls of which no event is kept, if it is
    /// time: between two checkpoints, or when many are new. They are not worth a step: what is forgotten twice, or
    /// not at all for now, changes nothing that anybody sees.
    pub(super) fn sweep(&mut self, now: Timestamp, checkpoint: bool) -> Result<(), StateError> {
        let window = self.settings.idempotency_window;
        let begun = now.millis().saturating_sub(u64::try_from(window.as_millis()).unwrap_or(u64::MAX));
        let posted = |value: &[u8]| receipts::given_at(value).map(|at| at.millis().into());
        let window = Age { kept: u128::from(begun) + 1, now: now.millis().into() };
        self.producers.go_on(&self.state, keys::PRODUCER, checkpoint, window, posted)?;
        self.messages.go_on(&self.state, keys::MESSAGE, checkpoint, window, posted)?;
        // An event that a start would take in again must find its call as it was.
        let last = self.state.durable().last_id;
        let kept = query::lowest_id(Some(self.settings.retention.events_over(now))).min(last);
        let heard = report::last_heard;
        let age = Age { kept, now: query::lowest_id(Some(now)) };
        self.calls.go_on(&self.state, keys::CALL, checkpoint, age, heard)
    }
}

/// The bits of a new id that is given out of turn, of something that does not stand in the order of the journal.
pub(super) fn fresh_bits(now: Timestamp) -> u128 {
    IdSource::after(0).next(now, random_bits)
}

/// 128 bits from the kernel.
fn random_bits() -> u128 {
    let mut bytes = [0; 16];
    // Ids ascend and stay unique without it; only that they cannot be guessed would be lost.
    let _ = getrandom::fill(&mut bytes);
    u128::from_le_bytes(bytes)
}

/// 32 bytes from the kernel for a secret or a token. Without them there must be none.
pub(super) fn random_secret() -> [u8; 32] {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).expect("the kernel gives random bytes once it has booted");
    bytes
}
