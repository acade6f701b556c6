//! Storing a message, with the event it raises if it is a reply.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use crate::core::conversation::{Conversation, FollowUp, Message, NewMessage, RAISED};
use crate::core::event::{Event, EventType};
use crate::core::id::{ConversationId, EventId, MessageId};
use crate::core::invalid::Invalid;
use crate::model::conversations::read;
use crate::model::conversations::shapes::{PostedMessage, PreparedMessage};
use crate::model::conversations::threads::{CachedThread, Threads};
use crate::model::error::StoreError;
use crate::model::key::{Key, ValueKind};
use crate::model::lock::lock;
use crate::model::notice::StoreEvent;
use crate::model::receipts::{self, MessageReceipt};
use crate::model::record::{self, Accepted, MessageRecord, Record, ThreadGone, ThreadRecord};
use crate::model::turn::Turn;
use crate::model::{accept, expiry, keys};

/// How far the platform's clock may be ahead: how long before its `sent_at` a message may be stored.
const AHEAD: Duration = Duration::from_secs(3600);
/// How many threads are examined between two group commits.
const REMOVED_AT_ONCE: usize = 64;

/// Stores a message, and raises its event if it is a reply.
pub(crate) fn post(turn: &mut Turn<'_>, posted: PreparedMessage) -> Result<PostedMessage, StoreError> {
    let PreparedMessage { message, thread: read_ahead, facts, searched, .. } = posted;
    let key = keys::thread(message.company.as_str(), message.call.as_str());
    let head = read::thread(turn.view, turn.log, &key)?;
    ensure_cached(turn, &key, head.as_ref(), read_ahead)?;
    if let Some(before) = message_before(turn, &message, &key, head.as_ref())? {
        return Ok(before);
    }
    let sent_at = message.sent_at.unwrap_or(turn.now);
    let raises = head.as_ref().is_some_and(|head| head.is_answered_by(message.direction, sent_at));
    let id = MessageId::from_bits(turn.next_id());
    let before = head.as_ref().map(|head| ThreadRecord::from(head).place());
    let mut thread = match head {
        Some(head) => head.with(&message, id, sent_at),
        None => Conversation::begun(ConversationId::from_bits(turn.next_id()), &message, id, sent_at),
    };
    thread.domain = thread.domain.or(facts.domain);
    let event = raises.then(|| EventId::from_bits(turn.next_id()));
    let known = lock(&turn.carried.threads).get(&key).map(|cached| cached.lead.clone()).unwrap_or_default();
    turn.carried.expiry.messages.due += expiry::DUE_PER_NEW * usize::from(message.producer_id.is_some());
    let message = Message {
        id,
        producer_id: message.producer_id,
        direction: message.direction,
        from: message.from,
        to: message.to,
        body: message.body,
        media: message.media,
        sent_at,
        lead: message.lead.or(known).or(facts.lead),
        event,
        erased_at: None,
    };
    let most = turn.settings.max_data_bytes;
    lock(&turn.carried.threads).change(&key, |cached| {
        cached.searched = cached.searched.max(searched);
        cached.add(&message, most);
    });
    let mut records = vec![Record::of(id.bits(), Box::new(MessageRecord::new(&message, &thread, before)))];
    records.extend(event.map(|event| raise(turn, event, &message, &thread, &key)));
    turn.write(records);
    Ok(PostedMessage { conversation: thread.id, messages: thread.messages, event, duplicate: false })
}

/// The record of the event that `message` raises.
fn raise(turn: &mut Turn<'_>, id: EventId, message: &Message, thread: &Conversation, key: &Key) -> Record {
    let (data, long) = {
        let threads = lock(&turn.carried.threads);
        let empty = CachedThread::default();
        let history = &threads.get(key).unwrap_or(&empty).history;
        let (call, conversation, count) = (&thread.call, thread.id, thread.messages);
        FollowUp { call, conversation, message, history, count, created: turn.now }.data(turn.settings.max_data_bytes)
    };
    let phone = message.lead.phone.as_deref().unwrap_or_else(|| message.lead_number());
    let event = Event {
        id,
        accepted_at: turn.now,
        occurred_at: message.sent_at,
        event_type: EventType::parse(RAISED).expect("a name of 16 characters is one"),
        company: thread.company.clone(),
        domain: thread.domain.clone(),
        source: thread.source,
        producer_id: None,
        call: thread.call.clone(),
        phone: Some(phone.to_owned()),
        data,
    };
    let owed = accept::owed_of(turn, &event, &long, &mut HashMap::new());
    let record = Record::of(id.bits(), Accepted::new(event, &owed));
    turn.carried.expiry.calls.due += 1;
    turn.outcome.tally.accepted += 1;
    if !owed.is_empty() {
        turn.outcome.events.push(StoreEvent::Owed(owed));
    }
    record
}

/// Ensures that the cache has the current thread.
fn ensure_cached(
    turn: &Turn<'_>,
    key: &Key,
    head: Option<&Conversation>,
    read_ahead: Option<CachedThread>,
) -> Result<(), StoreError> {
    let last = head.map(|head| head.last);
    let mut threads = lock(&turn.carried.threads);
    if threads.get(key).is_some_and(|cached| cached.last == last) {
        return Ok(());
    }
    let cached = match (head, read_ahead) {
        (None, _) => CachedThread::default(),
        (Some(_), Some(read)) if read.last == last => read,
        // It was evicted, or written to, after it was looked up.
        (Some(head), _) => read::load_thread(turn.log, head, turn.settings.max_data_bytes)?,
    };
    threads.put(key, cached);
    Ok(())
}

/// The message previously posted with the same id: in this thread, or within the idempotency window in any. Fails if
/// the new one differs from it.
fn message_before(
    turn: &Turn<'_>,
    message: &NewMessage,
    key: &Key,
    head: Option<&Conversation>,
) -> Result<Option<PostedMessage>, StoreError> {
    let Some(producer) = &message.producer_id else { return Ok(None) };
    let repeated = |thread: &Conversation, event| PostedMessage {
        conversation: thread.id,
        messages: thread.messages,
        event,
        duplicate: true,
    };
    let content = message.content();
    let refused = |why: String| Err(StoreError::Invalid(Invalid::one("/id", why)));
    let line = |cached: &CachedThread| cached.history.find(producer).map(|line| (line.event(), line.content()));
    let cached = lock(&turn.carried.threads).get(key).and_then(line);
    if let (Some(thread), Some((event, kept))) = (head, cached) {
        let why = receipts::message_refusal(kept, content);
        return why.map_or_else(|| Ok(Some(repeated(thread, event))), refused);
    }
    let posted = keys::message(message.company.as_str(), producer.as_str());
    let Some(value) = turn.get(&posted)? else { return Ok(None) };
    let Some(receipt) = MessageReceipt::decode(&value) else {
        turn.view.note_unreadable(&posted, None);
        return Ok(None);
    };
    if turn.now.since(receipt.at) >= turn.settings.idempotency_window {
        return Ok(None);
    }
    let of_receipt = keys::thread_of(receipt.thread);
    let Some(thread) = read::thread(turn.view, turn.log, &of_receipt)? else { return Ok(None) };
    let why = receipt.refusal(content, key.rest());
    why.map_or_else(|| Ok(Some(repeated(&thread, receipt.event))), refused)
}

/// Evicts threads from the cache. Only while everything is durable.
pub(crate) fn evict(threads: &Mutex<Threads>) {
    lock(threads).evict();
}

/// Removes some of the threads whose last message has expired, after the key `after`; returns the key to continue
/// after.
pub(crate) fn remove_expired(turn: &mut Turn<'_>, after: &Key) -> Result<Option<Key>, StoreError> {
    let expired_before = turn.settings.retention.messages_over(turn.now);
    let some = turn.scan(&Key::all(ValueKind::Latest), Some(after), REMOVED_AT_ONCE)?;
    for (key, hash) in &some {
        // A message is stored at most [`AHEAD`] before its `sent_at`, so no thread after this key has expired.
        let last_expired = keys::latest(u128::from(expired_before.plus(AHEAD).millis()) << 80);
        if *key > last_expired {
            return Ok(None);
        }
        let thread_key = keys::thread_of(hash);
        let Some(value) = turn.get(&thread_key)? else { continue };
        let Some(record) = record::unversioned::<ThreadRecord>(&value) else { continue };
        if record.last_stored() < expired_before {
            lock(&turn.carried.threads).remove(&thread_key);
            turn.write(vec![Record::from(Box::new(ThreadGone(record)))]);
        }
    }
    Ok(some.last().map(|(key, _)| key.clone()))
}
