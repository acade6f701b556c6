//! Looking at calls: the newest, those of a lead, and all that happened to one.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use crate::core::attempt::LogEntry;
use crate::core::call::Summary;
use crate::core::conversation::Message;
use crate::core::delivery::Delivery;
use crate::core::event::{CallId, Company, Domain, Event};
use crate::core::id::{AttemptId, EventId};
use crate::core::time::Timestamp;

use super::journal::{Journal, Key, Wanted, kind};
use super::place::Damage;
use super::query::lowest_id;
use super::record::{self, Accepted, CallRecord, Logged};
use super::state::State;
use super::step::unversioned;
use super::verbs::Store;
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
/// How many events of a phone number are looked through for its calls, the newest first.
const OF_PHONE_MOST: usize = 5_000;

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
        let shared = &self.shared;
        let begun = match &filter.phone {
            Some(phone) => of_phone(&shared.journal, filter, phone, after, limit)?,
            None => newest(&shared.state, &shared.journal, filter, after, limit)?,
        };
        let mut items = Vec::with_capacity(begun.items.len());
        for (company, call) in &begun.items {
            let (events, _) = of_call(&shared.journal, company, call, SUMMED_MOST, SUMMED_BYTES)?;
            items.extend(Summary::of(&events));
        }
        Ok(Page { items, next: begun.next })
    }

    /// The companies that have a call with this id, in alphabetical order.
    ///
    /// # Errors
    /// What holds its events cannot be read, or is damaged.
    pub fn companies_of_call(&self, call: &CallId) -> Result<Vec<Company>, ReadError> {
        let mut found = BTreeSet::new();
        each_accepted(&self.shared.journal, Key::Call(call.as_str()), &mut |_, accepted| {
            if accepted.call() == call.as_str() {
                found.extend(Company::parse(accepted.company()).ok());
            }
            ControlFlow::Continue(())
        })?;
        Ok(found.into_iter().collect())
    }

    /// All that happened to a call; without events and thread if there is none of this id.
    ///
    /// # Errors
    /// What holds it cannot be read, or is damaged.
    pub fn call_story(&self, company: &Company, call: &CallId) -> Result<CallStory, ReadError> {
        let journal = &self.shared.journal;
        let (events, mut truncated) = of_call(journal, company, call, SHOWN_EVENTS, SHOWN_BYTES)?;
        let mut deliveries = Vec::new();
        for event in &events {
            deliveries.extend(self.event_deliveries(event.id)?);
        }
        let mut attempts = Vec::new();
        let wanted = Wanted { kinds: &[kind::LOGGED], key: Some(Key::Call(call.as_str())), below: u128::MAX, from: 0 };
        journal.newest_first(wanted, &mut |head, payload| {
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

/// Hands every accepted event under a key to `visit`, the newest first, until it breaks.
fn each_accepted(
    journal: &Journal,
    key: Key<'_>,
    visit: &mut dyn FnMut(u128, Accepted) -> ControlFlow<()>,
) -> Result<(), Damage> {
    let wanted = Wanted { kinds: &[kind::ACCEPTED], key: Some(key), below: u128::MAX, from: 0 };
    journal.newest_first(wanted, &mut |head, payload| {
        Ok(record::decode::<Accepted>(payload).map_or(ControlFlow::Continue(()), |accepted| visit(head.id, accepted)))
    })
}

/// The events of a call, oldest first, and whether there are more than `most`, or than have `bytes` of data.
fn of_call(
    journal: &Journal,
    company: &Company,
    call: &CallId,
    most: usize,
    bytes: usize,
) -> Result<(Vec<Event>, bool), Damage> {
    let (mut events, mut left, mut more) = (Vec::new(), bytes, false);
    each_accepted(journal, Key::Call(call.as_str()), &mut |id, accepted| {
        let event = accepted.event(EventId::from_bits(id));
        let Some(event) = event.filter(|event| event.call == *call && event.company == *company) else {
            return ControlFlow::Continue(());
        };
        more = !events.is_empty() && (events.len() == most || left < event.data.len());
        if more {
            return ControlFlow::Break(());
        }
        left = left.saturating_sub(event.data.len());
        events.push(event);
        ControlFlow::Continue(())
    })?;
    events.reverse();
    Ok((events, more))
}

/// Calls, with the id after which the list goes on.
type Begun = Page<(Company, CallId)>;

/// The calls that began last.
fn newest(
    state: &State,
    journal: &Journal,
    filter: &CallFilter,
    after: Option<u128>,
    limit: usize,
) -> Result<Begun, ReadError> {
    let below = after.unwrap_or(u128::MAX).min(filter.until.map_or(u128::MAX, |until| lowest_id(Some(until))));
    let wanted = Wanted { kinds: &[kind::ACCEPTED], key: None, below, from: lowest_id(filter.since) };
    let mut page = Page { items: Vec::new(), next: None };
    let (mut last, mut failed) = (0, None);
    journal.newest_first(wanted, &mut |head, payload| {
        let accepted = record::decode::<Accepted>(payload).filter(|accepted| is_wanted(filter, accepted));
        let Some(accepted) = accepted else { return Ok(ControlFlow::Continue(())) };
        match is_first(state, journal, head.id, &accepted) {
            Ok(false) => return Ok(ControlFlow::Continue(())),
            Ok(true) => {}
            Err(error) => {
                failed = Some(error);
                return Ok(ControlFlow::Break(()));
            }
        }
        if page.items.len() == limit {
            page.next = Some(last);
            return Ok(ControlFlow::Break(()));
        }
        last = head.id;
        page.items.extend(Company::parse(accepted.company()).ok().zip(CallId::parse(accepted.call()).ok()));
        Ok(ControlFlow::Continue(()))
    })?;
    failed.map_or(Ok(page), Err)
}

fn is_wanted(filter: &CallFilter, accepted: &Accepted) -> bool {
    filter.company.as_ref().is_none_or(|company| company.as_str() == accepted.company())
        && filter.domain.as_ref().is_none_or(|domain| accepted.domain().as_ref() == Some(domain))
}

/// Whether an event is the first of its call.
fn is_first(state: &State, journal: &Journal, id: u128, accepted: &Accepted) -> Result<bool, ReadError> {
    let known = state.get(&keys::call(accepted.company(), accepted.call()))?;
    if let Some(first) = known.and_then(|value| unversioned::<CallRecord>(&value)).and_then(|call| call.first_event()) {
        return Ok(first == id as u64);
    }
    // Of a time when nothing was kept of calls.
    let mut earlier = false;
    each_accepted(journal, Key::Call(accepted.call()), &mut |other, found| {
        earlier = other < id && found.call() == accepted.call() && found.company() == accepted.company();
        if earlier { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    Ok(!earlier)
}

/// The calls of a phone number: those of its newest events.
fn of_phone(
    journal: &Journal,
    filter: &CallFilter,
    phone: &str,
    after: Option<u128>,
    limit: usize,
) -> Result<Begun, ReadError> {
    let mut firsts: BTreeMap<(Company, CallId), u128> = BTreeMap::new();
    let mut looked_at = 0;
    each_accepted(journal, Key::Phone(phone), &mut |id, accepted| {
        if accepted.phone() == Some(phone) && is_wanted(filter, &accepted) {
            let call = Company::parse(accepted.company()).ok().zip(CallId::parse(accepted.call()).ok());
            firsts.extend(call.map(|call| (call, id)));
        }
        looked_at += 1;
        if looked_at == OF_PHONE_MOST { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    let (from, until) = (lowest_id(filter.since), filter.until.map_or(u128::MAX, |until| lowest_id(Some(until))));
    let below = until.min(after.unwrap_or(u128::MAX));
    let inside = firsts.into_iter().filter(|(_, first)| *first >= from && *first < below);
    let mut begun: Vec<_> = inside.collect();
    begun.sort_unstable_by_key(|(_, first)| std::cmp::Reverse(*first));
    let next = begun.get(limit).and_then(|_| begun.get(limit - 1)).map(|(_, first)| *first);
    let items = begun.into_iter().take(limit).map(|(call, _)| call).collect();
    Ok(Page { items, next })
}
