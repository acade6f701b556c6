//! Queries: single events, deliveries and log entries, and pages of events and of log entries.
//!
//! All values of a filter are looked up together in the indexes of the log, and the records found are compared with
//! them. A query reads a bounded number of records, and its page says how far the search got.

use std::ops::ControlFlow;
use std::path::Path;

use crate::core::attempt::LogEntry;
use crate::core::delivery::{Delivery, State};
use crate::core::event::{Company, Event};
use crate::core::id::{AttemptId, DeliveryId, EventId, SubscriptionNumber};
use crate::core::time::Timestamp;
use crate::model::accepted_delivery::AcceptedDelivery;
use crate::model::error::{Damage, StoreError};
use crate::model::filter::{EventFilter, LogFilter};
use crate::model::page::Page;
use crate::model::page_size::{ByteSize, PageSize};
use crate::model::record::{self, Accepted, DeliveryRecord, EndedRecord, Head, Kind as _, Logged};
use crate::model::term::Term;
use crate::model::view::{Log, Reached, View, Wanted};

/// The record of an accepted event.
pub(crate) fn accepted_record(log: &dyn Log, id: EventId) -> Result<Option<Accepted>, StoreError> {
    let mut found: Result<_, Damage> = Ok(None);
    log.record(id.bits(), &mut |head, payload| {
        if Accepted::KINDS.contains(&head.kind) {
            found = record::decode::<Accepted>(payload).map(Some).ok_or_else(|| unreadable("event", id));
        }
    })?;
    Ok(found?)
}

/// The error for a record with a valid checksum that does not decode.
fn unreadable(what: &str, id: impl std::fmt::Display) -> Damage {
    Damage::new(Path::new("journal"), format!("has a record of the {what} {id} that cannot be read"))
}

/// An accepted event.
pub(crate) fn event(log: &dyn Log, id: EventId) -> Result<Option<Event>, StoreError> {
    let Some(record) = accepted_record(log, id)? else { return Ok(None) };
    Ok(record.event(id).map(Some).ok_or_else(|| unreadable("event", id))?)
}

/// A log entry.
pub(crate) fn log_entry(log: &dyn Log, id: AttemptId) -> Result<Option<LogEntry>, StoreError> {
    let mut found: Result<_, Damage> = Ok(None);
    log.record(id.bits(), &mut |head, payload| {
        if Logged::KINDS.contains(&head.kind) {
            let entry = record::decode::<Logged>(payload).and_then(|logged| logged.entry(id));
            found = entry.map(Some).ok_or_else(|| unreadable("log entry", id));
        }
    })?;
    Ok(found?)
}

/// A delivery in any state. Not for the writer, which would wait for itself.
pub(crate) fn delivery(view: &dyn View, log: &dyn Log, id: DeliveryId) -> Result<Option<Delivery>, StoreError> {
    if let Some(found) = delivery_now(view, log, id)? {
        return Ok(Some(found));
    }
    // It may be moving from the view to the log.
    view.wait_until_logged();
    delivery_now(view, log, id)
}

/// A delivery, unless it is moving from the view to the log at this moment.
pub(crate) fn delivery_now(view: &dyn View, log: &dyn Log, id: DeliveryId) -> Result<Option<Delivery>, StoreError> {
    now(view, log, id, None)
}

/// As [`delivery_now`], with the delivery as accepted if that is known.
fn now(
    view: &dyn View,
    log: &dyn Log,
    id: DeliveryId,
    initial: Option<&Delivery>,
) -> Result<Option<Delivery>, StoreError> {
    if let Some(found) = record::find(id, view)? {
        return Ok(Some(found));
    }
    match last_record(log, id, |_| true)? {
        Some(LastRecord::Entry(entry)) => ended(view, log, id, &entry, initial),
        // It may have been requeued in the meantime.
        Some(LastRecord::Ended(ended)) => Ok(record::find(id, view)?.or_else(|| ended.delivery())),
        None => Ok(None),
    }
}

/// The last log record about a delivery.
enum LastRecord {
    /// A log entry.
    Entry(Box<LogEntry>),
    /// How it ended, if retention has dropped the log entry.
    Ended(Box<DeliveryRecord>),
}

/// The kinds of records about an attempted or ended delivery.
pub(crate) const DELIVERY_KINDS: &[u8] = &[Logged::KINDS[0], EndedRecord::KINDS[0], EndedRecord::KINDS[1]];

/// The delivery that a record of these kinds is about.
pub(crate) fn delivery_in(head: Head, payload: &[u8]) -> Option<DeliveryId> {
    if Logged::KINDS.contains(&head.kind) {
        return record::decode::<Logged>(payload)?.delivery();
    }
    EndedRecord::decode(head.kind, payload).map(|ended| ended.delivery.id())
}

/// The last log record about a delivery; of log entries only those for which `wanted` holds.
fn last_record(
    log: &dyn Log,
    id: DeliveryId,
    wanted: impl Fn(&LogEntry) -> bool,
) -> Result<Option<LastRecord>, StoreError> {
    let mut last = None;
    // No record about it is older than the delivery itself.
    let from = lowest_id(Some(id.timestamp()));
    let frames = Wanted { kinds: DELIVERY_KINDS, keys: &[Term::Delivery(id.bits())], from, ..Wanted::ANY };
    log.newest_first(&frames, &log.unbounded(), &mut |head, payload| {
        last = if Logged::KINDS.contains(&head.kind) {
            let logged = record::decode::<Logged>(payload).filter(|logged| logged.delivery() == Some(id));
            let entry = logged.and_then(|logged| logged.entry(AttemptId::from_bits(head.id)));
            entry.filter(|entry| wanted(entry)).map(|entry| LastRecord::Entry(Box::new(entry)))
        } else {
            let ended = EndedRecord::decode(head.kind, payload).filter(|ended| ended.delivery.id() == id);
            ended.map(|ended| LastRecord::Ended(Box::new(ended.delivery)))
        };
        Ok(if last.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    Ok(last)
}

/// The delivery ended by this log entry.
pub(crate) fn ended(
    view: &dyn View,
    log: &dyn Log,
    id: DeliveryId,
    entry: &LogEntry,
    initial: Option<&Delivery>,
) -> Result<Option<Delivery>, StoreError> {
    let Some(event) = entry.event else { return Ok(None) };
    let initial = match initial {
        Some(initial) => Some(initial.clone()),
        None => {
            let all = accepted_record(log, event)?.and_then(|record| record.deliveries(event)).unwrap_or_default();
            all.into_iter().find(|delivery| delivery.id == id)
        }
    };
    // A delivery that ended without an attempt keeps the result of its last one.
    let tried = if entry.attempt > 0 { None } else { last_record(log, id, |entry| entry.attempt > 0)? };
    let (attempts, last_response) = match tried {
        Some(LastRecord::Entry(tried)) => (tried.attempt, tried.response),
        Some(LastRecord::Ended(ended)) => {
            ended.delivery().map_or((0, None), |ended| (ended.attempts, ended.last_response))
        }
        None => (entry.attempt, entry.response),
    };
    let initial = initial.or_else(|| from_entry(id, entry));
    let ended = initial.map(|delivery| Delivery {
        state: entry.status.into(),
        attempts,
        due: entry.created,
        last_response,
        ..delivery
    });
    // It may have been requeued in the meantime.
    Ok(record::find(id, view)?.or(ended))
}

/// The delivery as far as the entry tells, if its event is no longer retained.
fn from_entry(id: DeliveryId, entry: &LogEntry) -> Option<Delivery> {
    Some(Delivery {
        id,
        subscription: entry.subscription,
        event: entry.event?,
        event_type: entry.event_type.clone(),
        call: entry.call.clone()?,
        state: entry.status.into(),
        attempts: entry.attempt,
        due: entry.created,
        give_up_at: entry.created,
        expire_at: None,
        first_failed_at: None,
        last_response: entry.response,
        replay: entry.replay,
    })
}

/// The current deliveries of an event.
pub(crate) fn event_deliveries(view: &dyn View, log: &dyn Log, id: EventId) -> Result<Vec<Delivery>, StoreError> {
    let initial = accepted_record(log, id)?.and_then(|record| record.deliveries(id)).unwrap_or_default();
    initial.into_iter().map(|delivery| current(view, log, delivery)).collect()
}

/// The current state of a delivery, given how it was accepted.
pub(crate) fn current(view: &dyn View, log: &dyn Log, initial: Delivery) -> Result<Delivery, StoreError> {
    let mut found = now(view, log, initial.id, Some(&initial))?;
    if found.is_none() {
        // It may be moving from the view to the log.
        view.wait_until_logged();
        found = now(view, log, initial.id, Some(&initial))?;
    }
    // Neither pending nor ended: its subscription is being deleted.
    Ok(found.unwrap_or(Delivery { state: State::Cancelled, ..initial }))
}

/// The current deliveries of a subscription with their events, by sequence number from the first to the second of
/// `between`; at most `most`.
pub(crate) fn owed_between(
    view: &dyn View,
    log: &dyn Log,
    number: SubscriptionNumber,
    between: (u64, u64),
    most: usize,
) -> Result<Page<(Delivery, Event)>, StoreError> {
    let (from, to) = between;
    let (mut found, mut size, mut more) = (Vec::new(), PageSize::default(), false);
    let passed = |head: Head, payload: &[u8]| {
        AcceptedDelivery::read(number, head, payload).map(|accepted| accepted.sequence() < from)
    };
    log.ascending(Term::Owed(number), &passed, &mut |head, payload| {
        let Some(accepted) = AcceptedDelivery::read(number, head, payload) else {
            return Ok(ControlFlow::Continue(()));
        };
        if accepted.sequence() > to {
            return Ok(ControlFlow::Break(()));
        }
        if let Some(item) = accepted.initial().zip(accepted.record.event(accepted.event)) {
            if !size.admits(&item, most) {
                more = true;
                return Ok(ControlFlow::Break(()));
            }
            found.push(item);
        }
        Ok(ControlFlow::Continue(()))
    })?;
    let next = found.last().filter(|_| more).map(|(delivery, _)| u128::from(delivery.id.sequence()));
    let now = found.into_iter().map(|(initial, event)| Ok((current(view, log, initial)?, event)));
    Ok(Page { items: now.collect::<Result<_, StoreError>>()?, next, scanned_until: None })
}

/// The lowest id possible at the time `since`.
pub(crate) fn lowest_id(since: Option<Timestamp>) -> u128 {
    since.map_or(0, |since| u128::from(since.millis()) << 80)
}

/// The time at which an id was generated.
pub(crate) fn time_of(id: u128) -> Timestamp {
    Timestamp::from_millis(u64::try_from(id >> 80).unwrap_or(u64::MAX))
}

/// Collects a page from a search that runs newest first.
pub(crate) struct PageBuilder<T> {
    items: Vec<T>,
    size: PageSize,
    limit: usize,
    last: u128,
}

impl<T: ByteSize> PageBuilder<T> {
    pub(crate) fn new(limit: usize) -> Self {
        Self { items: Vec::new(), size: PageSize::default(), limit, last: 0 }
    }

    /// Adds an item; breaks, without adding it, if the page is full.
    pub(crate) fn add(&mut self, id: u128, item: T) -> ControlFlow<()> {
        if !self.size.admits(&item, self.limit) {
            return ControlFlow::Break(());
        }
        self.items.push(item);
        self.last = id;
        ControlFlow::Continue(())
    }

    /// The page, given how far the search got.
    pub(crate) fn finish(self, reached: Reached) -> Page<T> {
        let full = self.items.len() == self.limit;
        let (next, scanned_until) = match reached {
            Reached::End => (None, None),
            Reached::Enough => (Some(self.last), None),
            Reached::Spent(id) => (Some(id), (!full).then(|| time_of(id))),
        };
        Page { items: self.items, next, scanned_until }
    }
}

/// A page of events.
pub(crate) fn events(
    log: &dyn Log,
    filter: &EventFilter,
    after: Option<u128>,
    limit: usize,
) -> Result<Page<Event>, StoreError> {
    let keys: Vec<Term<'_>> = [
        filter.call.as_ref().map(|call| Term::Call(call.as_str())),
        filter.phone.as_ref().map(|phone| Term::Phone(phone)),
        filter.domain.as_ref().map(|domain| Term::Domain(domain.as_str())),
        filter.event_type.as_ref().map(|event_type| Term::Type(event_type.as_str())),
        filter.source.map(|source| Term::Source(source.as_str())),
    ]
    .into_iter()
    .flatten()
    .collect();
    let wanted = Wanted {
        kinds: Accepted::KINDS,
        company: filter.company.as_ref().map(Company::as_str),
        keys: &keys,
        below: after.unwrap_or(u128::MAX).min(filter.id.map_or(u128::MAX, |id| id.bits().saturating_add(1))),
        from: lowest_id(filter.since).max(filter.id.map_or(0, EventId::bits)),
        until: filter.until,
    };
    newest_page(log, &wanted, limit, |id, payload| {
        let event = record::decode::<Accepted>(payload)?.event(EventId::from_bits(id))?;
        event_matches(filter, &event).then_some(event)
    })
}

/// The newest `limit` of the records that `read` accepts, given the id and the payload of each.
fn newest_page<T: ByteSize>(
    log: &dyn Log,
    wanted: &Wanted<'_>,
    limit: usize,
    read: impl Fn(u128, &[u8]) -> Option<T>,
) -> Result<Page<T>, StoreError> {
    let mut page = PageBuilder::new(limit);
    let reached = log.newest_first(wanted, &log.bounded(), &mut |head, payload| {
        Ok(read(head.id, payload).map_or(ControlFlow::Continue(()), |item| page.add(head.id, item)))
    })?;
    Ok(page.finish(reached))
}

/// Whether `actual` is the `wanted` value, or none is wanted.
pub(crate) fn matches_if_set<T: PartialEq + ?Sized>(wanted: Option<&T>, actual: Option<&T>) -> bool {
    wanted.is_none() || wanted == actual
}

fn event_matches(filter: &EventFilter, event: &Event) -> bool {
    matches_if_set(filter.company.as_ref(), Some(&event.company))
        && matches_if_set(filter.id.as_ref(), Some(&event.id))
        && matches_if_set(filter.producer_id.as_ref(), event.producer_id.as_ref())
        && matches_if_set(filter.domain.as_ref(), event.domain.as_ref())
        && matches_if_set(filter.source.as_ref(), Some(&event.source))
        && matches_if_set(filter.event_type.as_ref(), Some(&event.event_type))
        && matches_if_set(filter.call.as_ref(), Some(&event.call))
        && matches_if_set(filter.phone.as_ref(), event.phone.as_ref())
        && filter.since.is_none_or(|since| event.accepted_at >= since)
        && filter.until.is_none_or(|until| event.accepted_at < until)
}

/// A page of log entries. Those of one event are found by its call, or, if the event is no longer kept, among all since then.
pub(crate) fn log(
    log: &dyn Log,
    filter: &LogFilter,
    after: Option<u128>,
    limit: usize,
) -> Result<Page<LogEntry>, StoreError> {
    let of_event = filter.event.map(|id| event(log, id)).transpose()?.flatten();
    let of_event = of_event.as_ref().filter(|event| matches_if_set(filter.company.as_ref(), Some(&event.company)));
    let company = filter.company.as_ref().or(of_event.map(|event| &event.company));
    let keys: Vec<Term<'_>> = [
        filter.delivery.map(|id| Term::Delivery(id.bits())),
        filter.call.as_ref().or(of_event.map(|event| &event.call)).map(|call| Term::Call(call.as_str())),
        filter.phone.as_ref().map(|phone| Term::Phone(phone)),
        filter.subscription.map(|id| Term::Subscription(id.bits())),
        filter.domain.as_ref().map(|domain| Term::Domain(domain.as_str())),
        filter.response.map(Term::Response),
        filter.status.map(|status| Term::Status(status.as_str())),
        filter.event_type.as_ref().map(|event_type| Term::Type(event_type.as_str())),
        filter.test.filter(|test| *test).map(|_| Term::Test),
    ]
    .into_iter()
    .flatten()
    .collect();
    let wanted = Wanted {
        kinds: Logged::KINDS,
        company: company.map(Company::as_str),
        keys: &keys,
        below: after.unwrap_or(u128::MAX),
        from: lowest_id(filter.since).max(lowest_id(filter.event.map(|id| time_of(id.bits())))),
        until: filter.until,
    };
    newest_page(log, &wanted, limit, |id, payload| {
        let entry = record::decode::<Logged>(payload)?.entry(AttemptId::from_bits(id))?;
        log_matches(filter, &entry).then_some(entry)
    })
}

fn log_matches(filter: &LogFilter, entry: &LogEntry) -> bool {
    matches_if_set(filter.company.as_ref(), Some(&entry.company))
        && matches_if_set(filter.domain.as_ref(), entry.domain.as_ref())
        && matches_if_set(filter.subscription.as_ref(), Some(&entry.subscription))
        && filter.webhooks.as_ref().is_none_or(|webhooks| webhooks.contains(&entry.subscription))
        && matches_if_set(filter.event.as_ref(), entry.event.as_ref())
        && matches_if_set(filter.delivery.as_ref(), entry.delivery.as_ref())
        && matches_if_set(filter.event_type.as_ref(), Some(&entry.event_type))
        && matches_if_set(filter.status.as_ref(), Some(&entry.status))
        && filter.response.is_none_or(|response| entry.response == response)
        && matches_if_set(filter.call.as_ref(), entry.call.as_ref())
        && matches_if_set(filter.phone.as_ref(), entry.phone.as_ref())
        && filter.test.is_none_or(|test| entry.test == test)
        && filter.since.is_none_or(|since| entry.created >= since)
        && filter.until.is_none_or(|until| entry.created < until)
}
