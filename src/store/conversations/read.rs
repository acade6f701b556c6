//! Reading conversations: threads from the state, their messages from the journal.

use std::ops::ControlFlow;
use std::time::Duration;

use crate::core::conversation::{Conversation, Lead, Message};
use crate::core::event::{CallId, Company, Domain};
use crate::core::id::MessageId;
use crate::core::time::Timestamp;

use super::super::journal::{Journal, Key, Wanted, kind};
use super::super::kinds::Kind;
use super::super::place::Damage;
use super::super::query::lowest_id;
use super::super::record::{self, Accepted, MessageRecord, ThreadRecord};
use super::super::state::State;
use super::super::{Page, ReadError, keys, step};
use super::threads::Kept;
use super::{ConversationFilter, Shown};

/// How many events of a call are looked at for what they say of the lead.
const EVENTS_LOOKED_AT: usize = 500;
/// How long before its first SMS a call's events may have been accepted.
const CALL_BEFORE: Duration = Duration::from_secs(30 * 86_400);
/// How many threads are looked at in one go.
const LOOKED_AT_ONCE: usize = 256;

/// The thread under `key`. Where that cannot be read, as its last message has it: the whole journal is searched then.
pub(super) fn thread(state: &State, journal: &Journal, key: &[u8]) -> Result<Option<Conversation>, ReadError> {
    let Some(value) = state.get(key)? else { return Ok(None) };
    if Kind::Thread.is_readable(key, &value) {
        return Ok(step::unversioned::<ThreadRecord>(&value).and_then(ThreadRecord::conversation));
    }
    let mut last = None;
    let wanted = Wanted { kinds: &kind::MESSAGES, key: None, below: u128::MAX, from: 0 };
    journal.newest_first(wanted, &mut |_, payload| {
        let record = MessageRecord::decode(payload).map(|record| record.thread().clone());
        last = record.filter(|thread| keys::thread(thread.company(), thread.call()) == key);
        Ok(if last.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    state.note_unreadable(key, last.as_ref().map(step::versioned));
    Ok(last.and_then(ThreadRecord::conversation))
}

/// The hash of the thread that stands at a place in their order. Where that cannot be read all threads are asked.
fn hash_at(state: &State, place_key: &[u8], value: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
    if Kind::Latest.is_readable(place_key, value) {
        return Ok(Some(value.to_vec()));
    }
    let mut after: Option<Vec<u8>> = None;
    let found = loop {
        let some = state.scan(&keys::THREAD, after.as_deref(), LOOKED_AT_ONCE)?;
        let Some((last, _)) = some.last() else { break None };
        after = Some(last.clone());
        let stands_there = |value: &[u8]| {
            step::unversioned::<ThreadRecord>(value).is_some_and(|thread| keys::latest(thread.place()) == place_key)
        };
        if let Some((key, _)) = some.iter().find(|(_, value)| stands_there(value)) {
            break Some(key[keys::THREAD.len()..].to_vec());
        }
    };
    state.note_unreadable(place_key, found.clone());
    Ok(found)
}

/// Hands the messages of a thread to `visit`, the one that was stored last first, from below the id `below` on.
pub(super) fn messages(
    journal: &Journal,
    thread: &Conversation,
    below: u128,
    visit: &mut dyn FnMut(Message) -> ControlFlow<()>,
) -> Result<(), Damage> {
    let bits = thread.id.bits();
    let key = Some(Key::Thread(bits));
    let wanted = Wanted { kinds: &kind::MESSAGES, key, below, from: thread.first.bits() };
    journal.newest_first(wanted, &mut |head, payload| {
        let record = MessageRecord::decode(payload).filter(|record| record.thread().id() == bits);
        let message = record.map(|record| record.message(MessageId::from_bits(head.id)));
        Ok(message.map_or(ControlFlow::Continue(()), &mut *visit))
    })
}

/// The thread as an event would show it, in at most `most` bytes of lines: what can be read of it now.
pub(super) fn kept(journal: &Journal, thread: &Conversation, most: usize) -> Result<Kept, Damage> {
    let mut newest = Vec::new();
    let mut bytes = 0;
    messages(journal, thread, u128::MAX, &mut |message| {
        bytes += message.body.len();
        newest.push(message);
        // What came later may have been sent earlier, so a little more than what fits is read.
        if bytes > most.saturating_mul(2) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    let mut kept = Kept::default();
    newest.iter().rev().for_each(|message| kept.add(message, most));
    Ok(kept)
}

/// What the events of a call say of the lead, and of the site.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) lead: Lead,
    pub(super) domain: Option<Domain>,
}

/// Looks through the events of a thread's call that have ids from `from` on.
pub(super) fn facts(journal: &Journal, thread: &Conversation, from: u128) -> Result<Facts, Damage> {
    let earliest = lowest_id(Some(Timestamp::from_millis(
        thread.first.timestamp().millis().saturating_sub(u64::try_from(CALL_BEFORE.as_millis()).unwrap_or(u64::MAX)),
    )));
    let (company, call) = (thread.company.as_str(), thread.call.as_str());
    let wanted =
        Wanted { kinds: &[kind::ACCEPTED], key: Some(Key::Call(call)), below: u128::MAX, from: from.max(earliest) };
    let mut facts = Facts::default();
    let mut looked_at = 0;
    journal.newest_first(wanted, &mut |_, payload| {
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

/// A page of threads, the one with the latest message first.
pub(super) fn page(
    state: &State,
    journal: &Journal,
    filter: &ConversationFilter,
    after: Option<u128>,
    limit: usize,
) -> Result<Page<Shown>, ReadError> {
    let mut found = match &filter.phone {
        Some(phone) => of_phone(state, journal, filter, phone, after)?,
        None => by_time(state, journal, filter, after, limit + 1)?,
    };
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(place);
    let items = found.into_iter().map(|thread| shown(journal, thread)).collect::<Result<_, _>>()?;
    Ok(Page { items, next })
}

fn place(thread: &Conversation) -> u128 {
    ThreadRecord::from(thread).place()
}

/// A thread with the message that was stored last in it.
pub(super) fn shown(journal: &Journal, thread: Conversation) -> Result<Shown, ReadError> {
    let mut last = None;
    journal.get(thread.last.bits(), &mut |head, payload| {
        if kind::MESSAGES.contains(&head.kind) {
            last = MessageRecord::decode(payload).map(|record| record.message(MessageId::from_bits(head.id)));
        }
    })?;
    Ok(Shown { thread, last })
}

fn matches(filter: &ConversationFilter, thread: &Conversation) -> bool {
    let fits = |wish: &Option<Company>, has: &Company| wish.as_ref().is_none_or(|wish| wish == has);
    fits(&filter.company, &thread.company)
        && filter.domain.as_ref().is_none_or(|domain| thread.domain.as_ref() == Some(domain))
        && filter.since.is_none_or(|since| thread.last_at >= since)
        && filter.until.is_none_or(|until| thread.first_at < until)
}

/// Threads in their order, behind the place `after`.
fn by_time(
    state: &State,
    journal: &Journal,
    filter: &ConversationFilter,
    after: Option<u128>,
    most: usize,
) -> Result<Vec<Conversation>, ReadError> {
    let mut below = keys::latest(after.unwrap_or(u128::MAX));
    let mut found = Vec::new();
    loop {
        let some = state.scan_down(&keys::LATEST, &below, LOOKED_AT_ONCE)?;
        let Some((last, _)) = some.last() else { return Ok(found) };
        below.clone_from(last);
        for (key, value) in &some {
            let Some(hash) = hash_at(state, key, value)? else { continue };
            let Some(thread) = thread(state, journal, &[&keys::THREAD[..], &hash].concat())? else { continue };
            // It may have moved on since.
            if keys::latest(place(&thread)) != *key || !matches(filter, &thread) {
                let over = filter.since.is_some_and(|since| thread.last_at < since);
                if over && keys::latest(place(&thread)) == *key {
                    return Ok(found);
                }
                continue;
            }
            found.push(thread);
            if found.len() == most {
                return Ok(found);
            }
        }
    }
}

/// All threads behind the place `after` with messages from or to this number, in their order.
fn of_phone(
    state: &State,
    journal: &Journal,
    filter: &ConversationFilter,
    phone: &str,
    after: Option<u128>,
) -> Result<Vec<Conversation>, ReadError> {
    let mut threads = threads_of(state, journal, filter.company.as_ref(), phone)?;
    threads.retain(|thread| matches(filter, thread) && after.is_none_or(|after| place(thread) < after));
    threads.sort_unstable_by_key(|thread| std::cmp::Reverse(place(thread)));
    Ok(threads)
}

/// The threads, of one company if it is said, in which this is or was the lead's number.
pub(in crate::store) fn threads_of(
    state: &State,
    journal: &Journal,
    company: Option<&Company>,
    phone: &str,
) -> Result<Vec<Conversation>, ReadError> {
    let mut keys_seen = std::collections::BTreeSet::new();
    let wanted = Wanted { kinds: &kind::MESSAGES, key: Some(Key::Phone(phone)), below: u128::MAX, from: 0 };
    journal.newest_first(wanted, &mut |_, payload| {
        let record = MessageRecord::decode(payload);
        let of_company = |record: &MessageRecord| company.is_none_or(|wish| wish.as_str() == record.thread().company());
        let record = record.filter(|record| of_company(record) && record.phones().any(|number| number == phone));
        keys_seen.extend(record.map(|record| keys::thread(record.thread().company(), record.thread().call())));
        Ok(ControlFlow::Continue(()))
    })?;
    keys_seen.iter().filter_map(|key| thread(state, journal, key).transpose()).collect()
}

/// The thread of a call.
pub(super) fn of_call(
    state: &State,
    journal: &Journal,
    company: &Company,
    call: &CallId,
) -> Result<Option<Conversation>, ReadError> {
    thread(state, journal, &keys::thread(company.as_str(), call.as_str()))
}
