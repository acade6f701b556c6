//! Erasing a person's data.

use std::collections::{BTreeSet, VecDeque};
use std::ops::ControlFlow;
use std::sync::mpsc;

use crate::core::delivery::{Delivery, State};
use crate::core::event::Company;
use crate::core::id::{ErasureId, EventId};
use crate::core::time::Timestamp;
use crate::engine::{hand_in, wait_for};
use crate::model::command::{Command, Operation};
use crate::model::conversations::read;
use crate::model::erase::noted_last;
use crate::model::erasure::Erasure;
use crate::model::error::{Outage, StoreError};
use crate::model::key::{Key, ValueKind};
use crate::model::known::{KnownDelivery, KnownEvent};
use crate::model::query::{self, lowest_id};
use crate::model::record::{self, Accepted, ErasureRecord, Kind as _};
use crate::model::redaction::Rule;
use crate::model::term::Term;
use crate::model::turn::fresh_bits;
use crate::model::value;
use crate::model::view::Wanted;
use crate::store::acting::Acting;
use crate::store::api::Store;
use crate::store::conversations::evict_thread;

/// The maximum number of calls of one person in an erasure.
const CALLS_MOST: usize = 10_000;
/// The maximum number of unanswered cancellations.
const CANCELLED_AT_ONCE: usize = 256;
/// Why a delivery is cancelled.
const WHY: &str = "what its event said was erased at the request of the person it was about";

impl Acting {
    /// Erases the data of the person with this number, as in `lead_phone`: from now on it is neither shown nor sent,
    /// and soon it is gone from disk. With `cancel`, pending deliveries of it are cancelled; otherwise they are sent
    /// without it. Blocks until that is so.
    ///
    /// # Errors
    /// It could not be recorded, or the data could not be read; it can be requested again.
    pub fn erase(&self, company: &Company, phone: &str, cancel: bool, now: Timestamp) -> Result<Erasure, StoreError> {
        let (store, shared) = (&self.store, &self.store.shared);
        let mut calls: BTreeSet<String> = BTreeSet::new();
        let threads = read::threads_of(store.view(), store.history(), Some(company), phone)?;
        calls.extend(threads.iter().map(|thread| thread.call.as_str().to_owned()));
        store.events_of(company, Term::Phone(phone), &mut |event| {
            calls.extend(event.phone().filter(|own| *own == phone).map(|_| event.call().to_owned()));
        })?;
        if calls.len() > CALLS_MOST {
            return Err(StoreError::Limit(format!("there are more than {CALLS_MOST} calls with this number")));
        }
        let last = shared.engine.durable_id();
        let below = lowest_id(Some(Timestamp::from_millis(now.millis() + 1))).max(last + 1);
        let id = ErasureId::from_bits(fresh_bits(now));
        let calls = calls.into_iter().collect();
        let mut events = Vec::new();
        let rule = Rule { id, company: company.as_str().to_owned(), phone: phone.to_owned(), calls, below, at: now };
        for call in &rule.calls {
            store.raw_events_of_call(company, call, &rule, &mut events)?;
        }
        if rule.calls.is_empty() && !store.history().has_any(&rule.hashes())? {
            // No record is about this number, so there is nothing to redact on reading or to rewrite.
            let record = ErasureRecord::begun(company.as_str(), now, 0, 0).done(now, 0, 0, 0);
            return self.noted_erasure(id, record);
        }
        let calls = rule.calls.clone();
        shared.engine.erase(rule)?;
        for call in &calls {
            evict_thread(store, company.as_str(), call);
        }
        let cancelled = if cancel { store.cancel_all_of(&events)? } else { 0 };
        let record = ErasureRecord::begun(company.as_str(), now, events.len() as u64, cancelled);
        self.noted_erasure(id, record)
    }

    fn noted_erasure(&self, id: ErasureId, record: ErasureRecord) -> Result<Erasure, StoreError> {
        wait_for(&*self.store.shared.engine, |reply| {
            let operation = Operation::Erasure(id, Box::new(record.clone()), reply);
            Command::By(Box::new(self.actor.clone()), operation)
        })?;
        let unreadable = || StoreError::corrupt_state("has a record of an erasure that cannot be read");
        record.erasure(id).ok_or_else(unreadable)
    }
}

impl Store {
    /// The erasures, newest first.
    ///
    /// # Errors
    /// The view cannot be read.
    pub fn erasures(&self, company: Option<&Company>) -> Result<Vec<Erasure>, StoreError> {
        let all = self.view().scan(&Key::all(ValueKind::Erasure), None, usize::MAX)?;
        let mut found: Vec<Erasure> = Vec::new();
        for (key, value) in &all {
            let Some(id) = value::erasure_in(key) else { continue };
            let read = record::unversioned::<ErasureRecord>(value).and_then(|record| record.erasure(id));
            found.extend(match read {
                Some(erasure) => Some(erasure),
                None => {
                    let record = noted_last(self.history(), id)?;
                    self.view().note_unreadable(key, record.as_ref().map(record::versioned));
                    record.and_then(|record| record.erasure(id))
                }
            });
        }
        found.retain(|erasure| company.is_none_or(|company| *company == erasure.company));
        found.reverse();
        Ok(found)
    }

    fn events_of(&self, company: &Company, key: Term<'_>, visit: &mut dyn FnMut(&Accepted)) -> Result<(), StoreError> {
        let (log, keys) = (self.history(), [key]);
        let (kinds, company) = (Accepted::KINDS, company.as_str());
        let wanted = Wanted { kinds, company: Some(company), keys: &keys, ..Wanted::ANY };
        log.newest_first(&wanted, &log.unbounded(), &mut |_, payload| {
            let event = record::decode::<Accepted>(payload).filter(|event| event.company() == company);
            event.iter().for_each(&mut *visit);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(())
    }

    /// Adds the ids of the events of a call that the rule changes.
    fn raw_events_of_call(
        &self,
        company: &Company,
        call: &str,
        rule: &Rule,
        events: &mut Vec<EventId>,
    ) -> Result<(), StoreError> {
        let (log, keys) = (self.history(), [Term::Call(call)]);
        let (kinds, company) = (Accepted::KINDS, company.as_str());
        let wanted = Wanted { kinds, company: Some(company), keys: &keys, below: rule.below, ..Wanted::ANY };
        log.newest_first(&wanted, &log.unbounded(), &mut |head, payload| {
            let of_call = record::decode::<Accepted>(payload)
                .is_some_and(|event| event.company() == company && event.call() == call);
            if of_call && record::redacted(head, payload, rule).is_some() {
                events.push(EventId::from_bits(head.id));
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(())
    }

    /// Cancels the pending deliveries and dead letters of these events; returns how many.
    fn cancel_all_of(&self, events: &[EventId]) -> Result<u64, StoreError> {
        // A call may have thousands of them: they share group commits instead of waiting for one each.
        let mut waiting = VecDeque::new();
        let mut cancelled = 0;
        for id in events {
            let event = query::event(self.history(), *id)?.map(KnownEvent::from);
            for delivery in self.event_deliveries(*id)? {
                if !delivery.state.is_owed() && delivery.state != State::Failed {
                    continue;
                }
                let known = KnownDelivery { delivery, event: event.clone() };
                waiting.push_back(hand_in(&*self.shared.engine, |reply| {
                    Command::CancelErased(Box::new(known.clone()), WHY, reply)
                })?);
                if waiting.len() > CANCELLED_AT_ONCE {
                    cancelled += waiting.pop_front().map_or(Ok(0), |answer| was_cancelled(&answer))?;
                }
            }
        }
        waiting.iter().try_fold(cancelled, |all, answer| Ok(all + was_cancelled(answer)?))
    }
}

/// 1 if the delivery was cancelled; 0 if it had ended in the meantime or its subscription is gone.
fn was_cancelled(answer: &mpsc::Receiver<Result<Delivery, StoreError>>) -> Result<u64, StoreError> {
    match answer.recv().map_err(|_| StoreError::Unavailable(Outage::Ended))? {
        Ok(_) => Ok(1),
        Err(StoreError::NotFound | StoreError::Conflict(_)) => Ok(0),
        Err(error) => Err(error),
    }
}
