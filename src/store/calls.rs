//! Looking at calls: the newest, those of a lead, and all that happened to one.

use std::ops::ControlFlow;

use crate::core::attempt::LogEntry;
use crate::core::call::Summary;
use crate::core::conversation::Message;
use crate::core::delivery::Delivery;
use crate::core::event::{CallId, Company, Domain, Event};
use crate::core::id::{AttemptId, EventId};
use crate::core::time::Timestamp;

use super::frame::Head;
use super::journal::{Journal, Key, Reached, Wanted, Work, kind};
use super::place::Damage;
use super::query::{lowest_id, time_of};
use super::record::{self, Accepted, CallRecord, Logged};
use super::state::State;
use super::step::unversioned;
use super::verbs::{Shared, Store};
use super::{Page, ReadError, ShownConversation, keys};

/// How many events of a call are looked at for what is said of it in a list.
const SUMMED_MOST: usize = 100;
/// How many bytes of data they may have.
const SUMMED_BYTES: usize = 4 << 20;
/// How many events of a call are shown.
const SHOWN_EVENTS: usize = 500;
/// How many bytes of data they may have.
const SHOWN_BYTES: usize = 8 << 20;
/// How many attempts are.
const SHOWN_ATTEMPTS: usize = 2_000;
/// How many deliveries are.
const SHOWN_DELIVERIES: usize = 2_000;
/// Of how many companies it is told that they have a call.
const COMPANIES_MOST: usize = 2;

/// Which calls to list. `None` everywhere lists all.
#[derive(Debug, Clone, Default)]
pub struct CallFilter {
    /// Of this company.
    pub company: Option<Company>,
    /// Of this domain.
    pub domain: Option<Domain>,
    /// With an event that names this lead's phone number.
    pub phone: Option<String>,
    /// Whose first event was accepted at or after this time.
    pub since: Option<Timestamp>,
    /// Whose first event was accepted before this time.
    pub until: Option<Timestamp>,
}

/// All that happened to one call, each oldest first.
#[derive(Debug, Clone)]
pub struct CallStory {
    /// Its events.
    pub events: Vec<Event>,
    /// What is or was owed of them.
    pub deliveries: Vec<Delivery>,
    /// The attempts of that.
    pub attempts: Vec<LogEntry>,
    /// Its SMS thread, with the message that was stored last.
    pub thread: Option<ShownConversation>,
    /// The messages of that, in the order in which they were sent.
    pub messages: Vec<Message>,
    /// Whether there is more of any of these: then the oldest are left out.
    pub truncated: bool,
}

impl Store {
    /// A page of calls, the one whose first event was accepted last first; `after` is [`Page::next`] of the page before.
    ///
    /// # Errors
    /// What holds them cannot be read, or is damaged.
    pub fn calls(&self, filter: &CallFilter, after: Option<u128>, limit: usize) -> Result<Page<Summary>, ReadError> {
        let Shared { state, journal, .. } = &*self.shared;
        let work = journal.bounded();
        let begun = newest(state, journal, filter, after, limit, &work)?;
        let mut page = Page { items: Vec::with_capacity(begun.items.len()), ..begun.page };
        for (place, company, call) in &begun.items {
            let (events, _) = of_call(journal, company, call, (SUMMED_MOST, SUMMED_BYTES), &work)?;
            page.items.extend(Summary::of(&events));
            let left = begun.items.len() > page.items.len();
            if left && work.is_spent() {
                (page.next, page.scanned_until) = (Some(*place), Some(time_of(*place)));
                break;
            }
        }
        Ok(page)
    }

    /// The companies that have a call with this id, in alphabetical order; two of them if there are more.
    ///
    /// # Errors
    /// What holds its events cannot be read, or is damaged.
    pub fn companies_of_call(&self, call: &CallId) -> Result<Vec<Company>, ReadError> {
        let mut found = Vec::new();
        let journal = &self.shared.journal;
        let mut company = |_: Head, payload: &[u8]| {
            let accepted = record::decode::<Accepted>(payload).filter(|accepted| accepted.call() == call.as_str());
            let company = accepted.and_then(|accepted| Company::parse(accepted.company()).ok());
            let of_it = company.is_some();
            found.extend(company.filter(|company| !found.contains(company)));
            (of_it, found.len() < COMPANIES_MOST)
        };
        journal.one_of_each_company(Key::Call(call.as_str()), kind::ACCEPTED, &journal.unbounded(), &mut company)?;
        found.sort_unstable();
        Ok(found)
    }

    /// All that happened to a call; without events and thread if there is none of this id.
    ///
    /// # Errors
    /// What holds it cannot be read, or is damaged.
    pub fn call_story(&self, company: &Company, call: &CallId) -> Result<CallStory, ReadError> {
        let journal = &self.shared.journal;
        let work = journal.unbounded();
        let (events, mut truncated) = of_call(journal, company, call, (SHOWN_EVENTS, SHOWN_BYTES), &work)?;
        let mut deliveries: Vec<Delivery> = Vec::new();
        for event in events.iter().rev() {
            if deliveries.len() >= SHOWN_DELIVERIES {
                truncated = true;
                break;
            }
            let mut of_event = self.event_deliveries(event.id)?;
            of_event.extend(std::mem::take(&mut deliveries));
            deliveries = of_event;
        }
        let mut attempts = Vec::new();
        let (company_name, keys) = (Some(company.as_str()), [Key::Call(call.as_str())]);
        let wanted = Wanted { kinds: &[kind::LOGGED], company: company_name, keys: &keys, ..Wanted::ANY };
        journal.newest_first(&wanted, &work, &mut |head, payload| {
            let logged = record::decode::<Logged>(payload).filter(|logged| logged.call() == Some(call.as_str()));
            let entry = logged.and_then(|logged| logged.entry(AttemptId::from_bits(head.id)));
            let Some(entry) = entry.filter(|entry| entry.company == *company) else {
                return Ok(ControlFlow::Continue(()));
            };
            if attempts.len() == SHOWN_ATTEMPTS {
                truncated = true;
                return Ok(ControlFlow::Break(()));
            }
            attempts.push(entry);
            Ok(ControlFlow::Continue(()))
        })?;
        attempts.reverse();
        let thread = self.conversation(company, call)?;
        let messages = thread.as_ref().map(|shown| self.messages(&shown.thread, None)).transpose()?;
        truncated |= messages.as_ref().is_some_and(|page| page.next.is_some());
        let messages = messages.map_or_else(Vec::new, |page| page.items);
        Ok(CallStory { events, deliveries, attempts, thread, messages, truncated })
    }
}

/// The events of a call, oldest first, and whether there are more than `most`, or than have so many bytes of data.
fn of_call(
    journal: &Journal,
    company: &Company,
    call: &CallId,
    (most, bytes): (usize, usize),
    work: &Work<'_>,
) -> Result<(Vec<Event>, bool), Damage> {
    let (mut events, mut left, mut more) = (Vec::new(), bytes, false);
    let (company_name, keys) = (Some(company.as_str()), [Key::Call(call.as_str())]);
    let wanted = Wanted { kinds: &[kind::ACCEPTED], company: company_name, keys: &keys, ..Wanted::ANY };
    journal.to_the_end(&wanted, work, &mut |head, payload| {
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

/// Calls with the ids at which they stand in the list, and the page that they are on.
struct Begun {
    items: Vec<(u128, Company, CallId)>,
    page: Page<Summary>,
}

/// The calls that began last; those with a phone number by the first event of theirs that names it.
fn newest(
    state: &State,
    journal: &Journal,
    filter: &CallFilter,
    after: Option<u128>,
    limit: usize,
    work: &Work<'_>,
) -> Result<Begun, ReadError> {
    let keys: Vec<Key<'_>> = [
        filter.phone.as_ref().map(|phone| Key::Phone(phone)),
        filter.domain.as_ref().map(|domain| Key::Domain(domain.as_str())),
    ]
    .into_iter()
    .flatten()
    .collect();
    let wanted = Wanted {
        kinds: &[kind::ACCEPTED],
        company: filter.company.as_ref().map(Company::as_str),
        keys: &keys,
        below: after.unwrap_or(u128::MAX).min(filter.until.map_or(u128::MAX, |until| lowest_id(Some(until)))),
        from: lowest_id(filter.since),
        until: None,
    };
    let mut items: Vec<(u128, Company, CallId)> = Vec::new();
    let mut failed = None;
    let reached = journal.newest_first(&wanted, work, &mut |head, payload| {
        let accepted = record::decode::<Accepted>(payload).filter(|accepted| is_wanted(filter, accepted));
        let Some(accepted) = accepted else { return Ok(ControlFlow::Continue(())) };
        match is_first(state, journal, filter, head.id, &accepted, work) {
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
    Ok(Begun { items, page: Page { items: Vec::new(), next, scanned_until } })
}

fn is_wanted(filter: &CallFilter, accepted: &Accepted) -> bool {
    filter.company.as_ref().is_none_or(|company| company.as_str() == accepted.company())
        && filter.phone.as_ref().is_none_or(|phone| accepted.phone() == Some(phone))
        && filter.domain.as_ref().is_none_or(|domain| accepted.domain().as_ref() == Some(domain))
}

/// Whether an event is the first of its call; with a phone number, the first of those that are wanted.
fn is_first(
    state: &State,
    journal: &Journal,
    filter: &CallFilter,
    id: u128,
    accepted: &Accepted,
    work: &Work<'_>,
) -> Result<bool, ReadError> {
    work.record();
    let known = state.get(&keys::call(accepted.company(), accepted.call()))?;
    let first = known.and_then(|value| unversioned::<CallRecord>(&value)).and_then(|call| call.first_event());
    if first == Some(id as u64) {
        return Ok(true);
    }
    if first.is_some() && filter.phone.is_none() {
        return Ok(false);
    }
    // Of a time when nothing was kept of calls, or not the one that names the number first.
    let call = Some(Key::Call(accepted.call()));
    let phone = filter.phone.as_ref().map(|phone| Key::Phone(phone));
    let domain = filter.domain.as_ref().filter(|_| phone.is_some()).map(|domain| Key::Domain(domain.as_str()));
    let keys: Vec<Key<'_>> = [call, phone, domain].into_iter().flatten().collect();
    let company = Some(accepted.company());
    let earlier = Wanted { kinds: &[kind::ACCEPTED], company, keys: &keys, below: id, ..Wanted::ANY };
    let earlier = journal.newest_of(&earlier, work, &mut |_, payload| {
        record::decode::<Accepted>(payload).is_some_and(|found| {
            let of_call = found.call() == accepted.call() && found.company() == accepted.company();
            of_call && (filter.phone.is_none() || is_wanted(filter, &found))
        })
    })?;
    Ok(earlier.is_none())
}
