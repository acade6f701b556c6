//! Queries on calls: the newest, those of a lead, and the history of one.

use std::ops::ControlFlow;

use crate::core::attempt::LogEntry;
use crate::core::call::Summary;
use crate::core::conversation::Message;
use crate::core::delivery::Delivery;
use crate::core::event::{CallId, Company, Domain, Event};
use crate::core::id::EventId;
use crate::core::time::Timestamp;
use crate::model::conversations::Shown as ShownConversation;
use crate::model::error::StoreError;
use crate::model::keys;
use crate::model::page::Page;
use crate::model::query::{lowest_id, time_of};
use crate::model::record::{self, Accepted, CallRecord, Kind as _, unversioned};
use crate::model::term::Term;
use crate::model::view::{Log, Reached, View, Wanted, Work};

/// Which calls to list. `None` everywhere lists all.
#[derive(Debug, Clone, Default)]
pub struct CallFilter {
    /// Of this company.
    pub company: Option<Company>,
    /// Of this domain.
    pub domain: Option<Domain>,
    /// With an event that names this lead's phone number.
    pub phone: Option<String>,
    /// With a first event accepted at or after this time.
    pub since: Option<Timestamp>,
    /// With a first event accepted before this time.
    pub until: Option<Timestamp>,
}

/// The history of one call, each list oldest first.
#[derive(Debug, Clone)]
pub struct CallStory {
    /// Its events.
    pub events: Vec<Event>,
    /// Their deliveries.
    pub deliveries: Vec<Delivery>,
    /// The attempts of these deliveries.
    pub attempts: Vec<LogEntry>,
    /// Its SMS thread, with the message that was stored last.
    pub thread: Option<ShownConversation>,
    /// The messages of the thread, by the time they were sent.
    pub messages: Vec<Message>,
    /// Whether any list is incomplete; the oldest items are left out then.
    pub truncated: bool,
}

/// The events of a call, oldest first, and whether there are more than `most` of them or more than `bytes` of data.
pub(crate) fn of_call(
    log: &dyn Log,
    company: &Company,
    call: &CallId,
    (most, bytes): (usize, usize),
    work: &Work<'_>,
) -> Result<(Vec<Event>, bool), StoreError> {
    let (mut events, mut left, mut more) = (Vec::new(), bytes, false);
    let (company_name, keys) = (Some(company.as_str()), [Term::Call(call.as_str())]);
    let wanted = Wanted { kinds: Accepted::KINDS, company: company_name, keys: &keys, ..Wanted::ANY };
    log.to_the_end(&wanted, work, &mut |head, payload| {
        let accepted = record::decode::<Accepted>(payload);
        let event = accepted.and_then(|accepted| accepted.event(EventId::from_bits(head.id)));
        let Some(event) = event.filter(|event| event.call == *call && event.company == *company) else {
            return Ok(ControlFlow::Continue(()));
        };
        more = !events.is_empty() && (events.len() == most || left < event.data.len());
        if more {
            return Ok(ControlFlow::Break(()));
        }
        left = left.saturating_sub(event.data.len());
        events.push(event);
        Ok(ControlFlow::Continue(()))
    })?;
    events.reverse();
    Ok((events, more))
}

/// Calls with their positions in the list, and the page they are on.
pub(crate) struct NewestCalls {
    pub(crate) items: Vec<(u128, Company, CallId)>,
    pub(crate) page: Page<Summary>,
}

/// The calls with the newest first events; with a phone filter, by the first event that has the number.
pub(crate) fn newest(
    view: &dyn View,
    log: &dyn Log,
    filter: &CallFilter,
    after: Option<u128>,
    limit: usize,
    work: &Work<'_>,
) -> Result<NewestCalls, StoreError> {
    let keys: Vec<Term<'_>> = [
        filter.phone.as_ref().map(|phone| Term::Phone(phone)),
        filter.domain.as_ref().map(|domain| Term::Domain(domain.as_str())),
    ]
    .into_iter()
    .flatten()
    .collect();
    let wanted = Wanted {
        kinds: Accepted::KINDS,
        company: filter.company.as_ref().map(Company::as_str),
        keys: &keys,
        below: after.unwrap_or(u128::MAX).min(filter.until.map_or(u128::MAX, |until| lowest_id(Some(until)))),
        from: lowest_id(filter.since),
        until: None,
    };
    let mut items: Vec<(u128, Company, CallId)> = Vec::new();
    let mut failed = None;
    let reached = log.newest_first(&wanted, work, &mut |head, payload| {
        let accepted = record::decode::<Accepted>(payload).filter(|accepted| is_wanted(filter, accepted));
        let Some(accepted) = accepted else { return Ok(ControlFlow::Continue(())) };
        match is_first(view, log, filter, head.id, &accepted, work) {
            Ok(false) => return Ok(ControlFlow::Continue(())),
            Ok(true) => {}
            Err(error) => {
                failed = Some(error);
                return Ok(ControlFlow::Break(()));
            }
        }
        if items.len() == limit {
            return Ok(ControlFlow::Break(()));
        }
        let call = Company::parse(accepted.company()).ok().zip(CallId::parse(accepted.call()).ok());
        items.extend(call.map(|(company, call)| (head.id, company, call)));
        Ok(ControlFlow::Continue(()))
    })?;
    if let Some(failed) = failed {
        return Err(failed);
    }
    let (next, scanned_until) = match reached {
        Reached::End => (None, None),
        Reached::Enough => (items.last().map(|(id, ..)| *id), None),
        Reached::Spent(id) => (Some(id), (items.len() < limit).then(|| time_of(id))),
    };
    Ok(NewestCalls { items, page: Page { items: Vec::new(), next, scanned_until } })
}

fn is_wanted(filter: &CallFilter, accepted: &Accepted) -> bool {
    filter.company.as_ref().is_none_or(|company| company.as_str() == accepted.company())
        && filter.phone.as_ref().is_none_or(|phone| accepted.phone() == Some(phone))
        && filter.domain.as_ref().is_none_or(|domain| accepted.domain().as_ref() == Some(domain))
}

/// Whether an event is the first of its call; with a phone filter, the first of the matching ones.
fn is_first(
    view: &dyn View,
    log: &dyn Log,
    filter: &CallFilter,
    id: u128,
    accepted: &Accepted,
    work: &Work<'_>,
) -> Result<bool, StoreError> {
    work.record();
    let known = view.get(&keys::call(accepted.company(), accepted.call()))?;
    let first = known.and_then(|value| unversioned::<CallRecord>(&value)).and_then(|call| call.first_event());
    if first == Some(id as u64) {
        return Ok(true);
    }
    if first.is_some() && filter.phone.is_none() {
        return Ok(false);
    }
    // The call predates call records, or this may not be the first event with the number.
    let call = Some(Term::Call(accepted.call()));
    let phone = filter.phone.as_ref().map(|phone| Term::Phone(phone));
    let domain = filter.domain.as_ref().filter(|_| phone.is_some()).map(|domain| Term::Domain(domain.as_str()));
    let keys: Vec<Term<'_>> = [call, phone, domain].into_iter().flatten().collect();
    let company = Some(accepted.company());
    let earlier = Wanted { kinds: Accepted::KINDS, company, keys: &keys, below: id, ..Wanted::ANY };
    let earlier = log.newest_of(&earlier, work, &mut |_, payload| {
        record::decode::<Accepted>(payload).is_some_and(|found| {
            let of_call = found.call() == accepted.call() && found.company() == accepted.company();
            of_call && (filter.phone.is_none() || is_wanted(filter, &found))
        })
    })?;
    Ok(earlier.is_none())
}
