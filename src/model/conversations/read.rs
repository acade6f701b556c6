//! Reading conversations: threads from the view, their messages from the log.

use std::ops::ControlFlow;
use std::time::Duration;

use crate::core::conversation::{Conversation, Lead, Message};
use crate::core::event::{CallId, Company};
use crate::core::id::MessageId;
use crate::core::time::Timestamp;
use crate::model::conversations::threads::CachedThread;
use crate::model::conversations::{ConversationFilter, Facts, Shown};
use crate::model::error::StoreError;
use crate::model::key::{Key, ValueKind};
use crate::model::keys;
use crate::model::page::Page;
use crate::model::query::{PageBuilder, lowest_id};
use crate::model::record::{self, Accepted, Kind as _, MessageRecord, ThreadRecord};
use crate::model::term::Term;
use crate::model::value;
use crate::model::view::{Log, Reached, View, ViewMut, Wanted, Work};

/// How many events of a call are examined for the lead's data.
const EVENTS_LOOKED_AT: usize = 500;
/// How long before its first SMS a call's events may have been accepted.
const CALL_BEFORE: Duration = Duration::from_secs(30 * 86_400);
/// How many threads are read per scan.
const LOOKED_AT_ONCE: usize = 256;

/// The thread under `key`. If its value is unreadable, it is restored from the thread's last message, by a search of
/// the whole log.
pub(crate) fn thread(view: &dyn View, log: &dyn Log, key: &Key) -> Result<Option<Conversation>, StoreError> {
    let Some(value) = view.get(key)? else { return Ok(None) };
    if value::is_readable(key, &value) {
        return Ok(record::unversioned::<ThreadRecord>(&value).and_then(ThreadRecord::conversation));
    }
    let mut last = None;
    let wanted = Wanted { kinds: MessageRecord::KINDS, ..Wanted::ANY };
    log.to_the_end(&wanted, &log.unbounded(), &mut |_, payload| {
        let record = MessageRecord::decode(payload).map(|record| record.thread().clone());
        last = record.filter(|thread| keys::thread(thread.company(), thread.call()) == *key);
        Ok(if last.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    view.note_unreadable(key, last.as_ref().map(record::versioned));
    Ok(last.and_then(ThreadRecord::conversation))
}

/// The hash of the thread at a position of the thread order. If the value is unreadable, all threads are scanned for
/// it.
fn hash_at(view: &dyn View, place_key: &Key, value: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
    if value::is_readable(place_key, value) {
        return Ok(Some(value.to_vec()));
    }
    let mut after: Option<Key> = None;
    let found = loop {
        let some = view.scan(&Key::all(ValueKind::Thread), after.as_ref(), LOOKED_AT_ONCE)?;
        let Some((last, _)) = some.last() else { break None };
        after = Some(last.clone());
        let has_position = |value: &[u8]| {
            record::unversioned::<ThreadRecord>(value).is_some_and(|thread| {
                let of_company = keys::latest_in(thread.company(), thread.place());
                keys::latest(thread.place()) == *place_key || of_company == *place_key
            })
        };
        if let Some((key, _)) = some.iter().find(|(_, value)| has_position(value)) {
            break Some(key.rest().to_vec());
        }
    };
    view.note_unreadable(place_key, found.clone());
    Ok(found)
}

/// Calls `visit` with the messages of a thread, the most recently stored first, starting below the id `below`.
pub(crate) fn messages(
    log: &dyn Log,
    thread: &Conversation,
    below: u128,
    visit: &mut dyn FnMut(Message) -> ControlFlow<()>,
) -> Result<(), StoreError> {
    let bits = thread.id.bits();
    let (kinds, keys, from) = (MessageRecord::KINDS, [Term::Thread(bits)], thread.first.bits());
    let wanted = Wanted { kinds, keys: &keys, below, from, ..Wanted::ANY };
    // `visit` decides when to stop.
    log.to_the_end(&wanted, &log.unbounded(), &mut |head, payload| {
        let record = MessageRecord::decode(payload).filter(|record| record.thread().id() == bits);
        let message = record.map(|record| record.message(MessageId::from_bits(head.id)));
        Ok(message.map_or(ControlFlow::Continue(()), &mut *visit))
    })
}

/// Loads a thread as an event would show it, with at most `most` bytes of lines, from what is readable now.
pub(crate) fn load_thread(log: &dyn Log, thread: &Conversation, most: usize) -> Result<CachedThread, StoreError> {
    let mut newest = Vec::new();
    let mut bytes = 0;
    messages(log, thread, u128::MAX, &mut |message| {
        bytes += message.body.len();
        newest.push(message);
        // Messages stored later may have been sent earlier, so somewhat more than fits is read.
        if bytes > most.saturating_mul(2) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    let mut thread = CachedThread::default();
    newest.iter().rev().for_each(|message| thread.add(message, most));
    Ok(thread)
}

/// Collects facts from the events of a thread's call with ids from `from` on.
pub(crate) fn facts(log: &dyn Log, thread: &Conversation, from: u128) -> Result<Facts, StoreError> {
    let earliest = lowest_id(Some(Timestamp::from_millis(
        thread.first.timestamp().millis().saturating_sub(u64::try_from(CALL_BEFORE.as_millis()).unwrap_or(u64::MAX)),
    )));
    let (company, call) = (thread.company.as_str(), thread.call.as_str());
    let (kinds, keys, from) = (Accepted::KINDS, [Term::Call(call)], from.max(earliest));
    let wanted = Wanted { kinds, company: Some(company), keys: &keys, from, ..Wanted::ANY };
    let mut facts = Facts::default();
    let mut looked_at = 0;
    log.to_the_end(&wanted, &log.unbounded(), &mut |_, payload| {
        let accepted = record::decode::<Accepted>(payload);
        let Some(event) = accepted.filter(|event| event.company() == company && event.call() == call) else {
            return Ok(ControlFlow::Continue(()));
        };
        let lead = std::mem::take(&mut facts.lead);
        facts.lead = lead.or(Lead::of_data(event.data()));
        facts.domain = facts.domain.take().or_else(|| event.domain());
        looked_at += 1;
        let enough = facts.lead.is_complete() && facts.domain.is_some();
        Ok(if enough || looked_at == EVENTS_LOOKED_AT { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    Ok(facts)
}

/// A page of threads, the one with the latest message first; with a phone filter, by the last stored message with that
/// number.
pub(crate) fn page(
    view: &dyn View,
    log: &dyn Log,
    filter: &ConversationFilter,
    after: Option<u128>,
    limit: usize,
) -> Result<Page<Shown>, StoreError> {
    match &filter.phone {
        Some(phone) => of_phone(view, log, filter, phone, after, limit),
        None => by_time(view, log, filter, after, limit),
    }
}

fn position(thread: &Conversation) -> u128 {
    ThreadRecord::from(thread).place()
}

/// A thread with its last stored message.
pub(crate) fn shown(log: &dyn Log, thread: Conversation) -> Result<Shown, StoreError> {
    let mut last = None;
    log.record(thread.last.bits(), &mut |head, payload| {
        if MessageRecord::KINDS.contains(&head.kind) {
            last = MessageRecord::decode(payload).map(|record| record.message(MessageId::from_bits(head.id)));
        }
    })?;
    Ok(Shown { thread, last })
}

fn matches(filter: &ConversationFilter, thread: &Conversation) -> bool {
    filter.company.as_ref().is_none_or(|company| thread.company == *company)
        && filter.domain.as_ref().is_none_or(|domain| thread.domain.as_ref() == Some(domain))
        && filter.since.is_none_or(|since| thread.last_at >= since)
        && filter.until.is_none_or(|until| thread.first_at < until)
}

/// Threads by their latest message, after the position `after`.
fn by_time(
    view: &dyn View,
    log: &dyn Log,
    filter: &ConversationFilter,
    after: Option<u128>,
    limit: usize,
) -> Result<Page<Shown>, StoreError> {
    let order = filter.company.as_ref().map_or_else(|| Key::all(ValueKind::Latest), |of| keys::latest_of(of.as_str()));
    let mut below = order.clone().with(&after.unwrap_or(u128::MAX).to_be_bytes());
    let work = log.bounded();
    let mut page = PageBuilder::new(limit);
    loop {
        let some = view.scan_down(&order, &below, LOOKED_AT_ONCE)?;
        let Some((last, _)) = some.last() else { return Ok(page.finish(Reached::End)) };
        below.clone_from(last);
        for (key, value) in &some {
            work.record();
            let own = keys::place_in(key).unwrap_or(0);
            let Some(hash) = hash_at(view, key, value)? else { continue };
            let thread = thread(view, log, &keys::thread_of(&hash))?;
            // It may have moved since.
            if let Some(thread) = thread.filter(|thread| position(thread) == own) {
                if filter.since.is_some_and(|since| thread.last_at < since) {
                    return Ok(page.finish(Reached::End));
                }
                if matches(filter, &thread) && page.add(own, shown(log, thread)?).is_break() {
                    return Ok(page.finish(Reached::Enough));
                }
            }
            if work.is_spent() {
                return Ok(page.finish(Reached::Spent(own)));
            }
        }
    }
}

/// Threads with messages from or to this number, by the last of these, after the message `after`.
fn of_phone(
    view: &dyn View,
    log: &dyn Log,
    filter: &ConversationFilter,
    phone: &str,
    after: Option<u128>,
    limit: usize,
) -> Result<Page<Shown>, StoreError> {
    let work = log.bounded();
    let (kinds, keys, below) = (MessageRecord::KINDS, [Term::Phone(phone)], after.unwrap_or(u128::MAX));
    let company = filter.company.as_ref().map(Company::as_str);
    let wanted = Wanted { kinds, company, keys: &keys, below, from: 0, until: None };
    let mut page = PageBuilder::new(limit);
    let mut seen = std::collections::HashSet::new();
    let mut failed = None;
    let reached = log.newest_first(&wanted, &work, &mut |head, payload| {
        let record = MessageRecord::decode(payload);
        let record = record.filter(|record| record.phones().any(|number| number == phone));
        let Some(record) = record.filter(|record| company.is_none_or(|own| own == record.thread().company())) else {
            return Ok(ControlFlow::Continue(()));
        };
        if !seen.insert(record.thread().id()) {
            return Ok(ControlFlow::Continue(()));
        }
        work.record();
        let thread = thread_if_newest(view, log, record.thread(), phone, head.id, &work);
        let thread = thread.map(|thread| thread.filter(|thread| matches(filter, thread)));
        match thread.and_then(|thread| thread.map(|thread| shown(log, thread)).transpose()) {
            Ok(Some(found)) => Ok(page.add(head.id, found)),
            Ok(None) => Ok(ControlFlow::Continue(())),
            Err(error) => {
                failed = Some(error);
                Ok(ControlFlow::Break(()))
            }
        }
    })?;
    failed.map_or_else(|| Ok(page.finish(reached)), Err)
}

/// The current thread; `None` if it was removed, or if a message after `id` has the number too.
fn thread_if_newest(
    view: &dyn View,
    log: &dyn Log,
    record: &ThreadRecord,
    phone: &str,
    id: u128,
    work: &Work<'_>,
) -> Result<Option<Conversation>, StoreError> {
    let Some(thread) = thread(view, log, &keys::thread(record.company(), record.call()))? else { return Ok(None) };
    if thread.last.bits() == id {
        return Ok(Some(thread));
    }
    let (kinds, keys) = (MessageRecord::KINDS, [Term::Thread(record.id()), Term::Phone(phone)]);
    let later = Wanted { kinds, company: Some(record.company()), keys: &keys, from: id + 1, ..Wanted::ANY };
    let later = log.newest_of(&later, work, &mut |_, payload| {
        let message = MessageRecord::decode(payload).filter(|message| message.thread().id() == record.id());
        message.is_some_and(|message| message.phones().any(|number| number == phone))
    })?;
    Ok(later.is_none().then_some(thread))
}

/// The threads, of one company if given, in which this is or was the lead's number.
pub(crate) fn threads_of(
    view: &dyn View,
    log: &dyn Log,
    company: Option<&Company>,
    phone: &str,
) -> Result<Vec<Conversation>, StoreError> {
    let mut keys_seen = std::collections::BTreeSet::new();
    let (kinds, keys) = (MessageRecord::KINDS, [Term::Phone(phone)]);
    let wanted = Wanted { kinds, company: company.map(Company::as_str), keys: &keys, ..Wanted::ANY };
    log.to_the_end(&wanted, &log.unbounded(), &mut |_, payload| {
        let record = MessageRecord::decode(payload);
        let of_company =
            |record: &MessageRecord| company.is_none_or(|wanted| wanted.as_str() == record.thread().company());
        let record = record.filter(|record| of_company(record) && record.phones().any(|number| number == phone));
        keys_seen.extend(record.map(|record| keys::thread(record.thread().company(), record.thread().call())));
        Ok(ControlFlow::Continue(()))
    })?;
    keys_seen.iter().filter_map(|key| thread(view, log, key).transpose()).collect()
}

/// Builds the per-company thread order if an older version has not. The key that says so sorts after all of it, so it
/// reaches the disk last.
pub(crate) fn build_company_order(view: &dyn ViewMut) -> Result<(), StoreError> {
    let flag = Key::all(ValueKind::InOrder);
    match view.get(&flag)? {
        Some(value) if value::is_readable(&flag, &value) => return Ok(()),
        Some(_) => view.note_unreadable(&flag, Some(Vec::new())),
        None => {}
    }
    let mut after: Option<Key> = None;
    loop {
        let some = view.scan(&Key::all(ValueKind::Latest), after.as_ref(), LOOKED_AT_ONCE)?;
        let Some((last, _)) = some.last() else { break };
        after = Some(last.clone());
        for (key, hash) in some {
            let value = view.get(&keys::thread_of(&hash))?;
            let thread = value.as_deref().and_then(record::unversioned::<ThreadRecord>);
            // An unreadable one is reported when it is read.
            if let (Some(thread), Some(place)) = (thread, keys::place_in(&key)) {
                view.put(keys::latest_in(thread.company(), place), hash);
            }
        }
    }
    view.put(flag, Vec::new());
    Ok(())
}

/// The thread of a call.
pub(crate) fn of_call(
    view: &dyn View,
    log: &dyn Log,
    company: &Company,
    call: &CallId,
) -> Result<Option<Conversation>, StoreError> {
    thread(view, log, &keys::thread(company.as_str(), call.as_str()))
}
