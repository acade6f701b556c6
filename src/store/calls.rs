//! Queries on calls: the newest, those of a lead, and the history of one.

use std::ops::ControlFlow;

use crate::core::call::Summary;
use crate::core::delivery::Delivery;
use crate::core::event::{CallId, Company};
use crate::core::id::AttemptId;
use crate::model::calls::{self, CallFilter, CallStory};
use crate::model::error::StoreError;
use crate::model::page::Page;
use crate::model::query::time_of;
use crate::model::record::{self, Accepted, Head, Kind as _, Logged};
use crate::model::term::Term;
use crate::model::view::Wanted;
use crate::store::api::Store;

/// How many events of a call are read for its summary in a list.
const SUMMED_MOST: usize = 100;
/// The maximum size of their data, in bytes.
const SUMMED_BYTES: usize = 4 << 20;
/// The maximum number of events in a call's history.
const SHOWN_EVENTS: usize = 500;
/// The maximum size of their data, in bytes.
const SHOWN_BYTES: usize = 8 << 20;
/// The maximum number of attempts in it.
const SHOWN_ATTEMPTS: usize = 2_000;
/// The maximum number of deliveries in it.
const SHOWN_DELIVERIES: usize = 2_000;
/// The maximum number of companies returned for a call id.
const COMPANIES_MOST: usize = 2;

impl Store {
    /// A page of calls by their first event, newest first; `after` is [`Page::next`] of the previous page.
    ///
    /// # Errors
    /// The data cannot be read or is damaged.
    pub fn calls(&self, filter: &CallFilter, after: Option<u128>, limit: usize) -> Result<Page<Summary>, StoreError> {
        let (view, log) = (self.view(), self.history());
        let work = log.bounded();
        let newest = calls::newest(view, log, filter, after, limit, &work)?;
        let mut page = Page { items: Vec::with_capacity(newest.items.len()), ..newest.page };
        for (place, company, call) in &newest.items {
            let (events, _) = calls::of_call(log, company, call, (SUMMED_MOST, SUMMED_BYTES), &work)?;
            page.items.extend(Summary::of(&events));
            let left = newest.items.len() > page.items.len();
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
    /// The data cannot be read or is damaged.
    pub fn companies_of_call(&self, call: &CallId) -> Result<Vec<Company>, StoreError> {
        let mut found = Vec::new();
        let log = self.history();
        let mut company = |_: Head, payload: &[u8]| {
            let accepted = record::decode::<Accepted>(payload).filter(|accepted| accepted.call() == call.as_str());
            let company = accepted.and_then(|accepted| Company::parse(accepted.company()).ok());
            let of_it = company.is_some();
            found.extend(company.filter(|company| !found.contains(company)));
            (of_it, found.len() < COMPANIES_MOST)
        };
        log.one_of_each_company(Term::Call(call.as_str()), Accepted::KINDS[0], &log.unbounded(), &mut company)?;
        found.sort_unstable();
        Ok(found)
    }

    /// The history of a call; without events and thread if there is none with this id.
    ///
    /// # Errors
    /// The data cannot be read or is damaged.
    pub fn call_story(&self, company: &Company, call: &CallId) -> Result<CallStory, StoreError> {
        let log = self.history();
        let work = log.unbounded();
        let (events, mut truncated) = calls::of_call(log, company, call, (SHOWN_EVENTS, SHOWN_BYTES), &work)?;
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
        let (company_name, keys) = (Some(company.as_str()), [Term::Call(call.as_str())]);
        let wanted = Wanted { kinds: Logged::KINDS, company: company_name, keys: &keys, ..Wanted::ANY };
        log.newest_first(&wanted, &work, &mut |head, payload| {
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
