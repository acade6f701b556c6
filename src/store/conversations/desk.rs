//! What the committer decides about messages: from a posted one to the step that stores it with its event.

use std::collections::HashMap;

use crate::core::conversation::{Conversation, FollowUp, Message, NewMessage, RAISED};
use crate::core::event::{Event, EventType};
use crate::core::id::{ConversationId, EventId, MessageId};
use crate::core::invalid::Invalid;
use crate::core::time::Timestamp;

use super::super::desk::{Desk, Done};
use super::super::receipts::{self, MessageReceipt};
use super::super::record::{Accepted, MessageRecord, ThreadRecord};
use super::super::state::StateError;
use super::super::step::{self, Step};
use super::super::{Change, StoreError, keys, sweep};
use super::threads::Kept;
use super::{PostedMessage, PreparedMessage, lock, read};

/// How many threads are looked at between two group commits.
const FORGOTTEN_AT_ONCE: usize = 64;

impl Desk {
    /// Stores a message, and raises its event if it is a reply.
    pub(in crate::store) fn post_message(&mut self, posted: PreparedMessage, now: Timestamp) -> Done<PostedMessage> {
        let PreparedMessage { message, thread: read_ahead, facts, searched, .. } = posted;
        let key = keys::thread(message.company.as_str(), message.call.as_str());
        let head = match read::thread(&self.state, &self.journal, &key) {
            Ok(head) => head,
            Err(error) => return Ok(Err(error)),
        };
        if let Err(error) = self.take_up(&key, head.as_ref(), read_ahead) {
            return Ok(Err(error));
        }
        match self.message_before(&message, &key, head.as_ref(), now)? {
            Ok(Some(before)) => return Ok(Ok(before)),
            Ok(None) => {}
            Err(error) => return Ok(Err(error)),
        }
        let sent_at = message.sent_at.unwrap_or(now);
        let raises = head.as_ref().is_some_and(|head| head.is_answered_by(message.direction, sent_at));
        let id = MessageId::from_bits(self.next_id(now));
        let before = head.as_ref().map(|head| ThreadRecord::from(head).place());
        let mut thread = match head {
            Some(head) => head.with(&message, id, sent_at),
            None => Conversation::begun(ConversationId::from_bits(self.next_id(now)), &message, id, sent_at),
        };
        thread.domain = thread.domain.or(facts.domain);
        let event = raises.then(|| EventId::from_bits(self.next_id(now)));
        let known = lock(&self.threads).get(&key).map(|kept| kept.lead.clone()).unwrap_or_default();
        self.messages.due += sweep::FOR_EACH * usize::from(message.producer_id.is_some());
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
        let most = self.settings.max_data_bytes;
        lock(&self.threads).change(&key, |kept| {
            kept.searched = kept.searched.max(searched);
            kept.add(&message, most);
        });
        let mut steps = vec![Step::Message(id, Box::new(MessageRecord::new(&message, &thread, before)))];
        steps.extend(event.map(|event| self.raise(event, &message, &thread, &key, now)));
        self.write(steps);
        Ok(Ok(PostedMessage { conversation: thread.id, messages: thread.messages, event, duplicate: false }))
    }

    /// The step of the event that `message` raises.
    fn raise(&mut self, id: EventId, message: &Message, thread: &Conversation, key: &[u8], now: Timestamp) -> Step {
        let data = {
            let threads = lock(&self.threads);
            let empty = Kept::default();
            let history = &threads.get(key).unwrap_or(&empty).history;
            let (call, conversation, count) = (&thread.call, thread.id, thread.messages);
            FollowUp { call, conversation, message, history, count, created: now }.data(self.settings.max_data_bytes)
        };
        let phone = message.lead.phone.as_deref().unwrap_or_else(|| message.lead_number());
        let event = Event {
            id,
            accepted_at: now,
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
        let owed = self.owed_of(&event, &mut HashMap::new());
        let step = Step::Accepted(id, Accepted::new(event, &owed));
        self.calls.due += 1;
        self.tally.accepted += 1;
        if !owed.is_empty() {
            self.changes.push(Change::Owed(owed));
        }
        step
    }

    /// Makes sure that the thread is in memory as it is.
    fn take_up(&self, key: &[u8], head: Option<&Conversation>, read_ahead: Option<Kept>) -> Result<(), StoreError> {
        let last = head.map(|head| head.last);
        let mut threads = lock(&self.threads);
        if threads.get(key).is_some_and(|kept| kept.last == last) {
            return Ok(());
        }
        let kept = match (head, read_ahead) {
            (None, _) => Kept::default(),
            (Some(_), Some(kept)) if kept.last == last => kept,
            // It was forgotten, or written to, after it was looked for.
            (Some(head), _) => read::kept(&self.journal, head, self.settings.max_data_bytes)?,
        };
        threads.put(key, kept);
        Ok(())
    }

    /// The message that was posted before with the same id, of this thread, or within the window of any; or why this
    /// one cannot be it.
    fn message_before(
        &self,
        message: &NewMessage,
        key: &[u8],
        head: Option<&Conversation>,
        now: Timestamp,
    ) -> Done<Option<PostedMessage>> {
        let Some(producer) = &message.producer_id else { return Ok(Ok(None)) };
        let again = |thread: &Conversation, event| PostedMessage {
            conversation: thread.id,
            messages: thread.messages,
            event,
            duplicate: true,
        };
        let content = message.content();
        let refused = |why: String| Ok(Err(StoreError::Invalid(Invalid::one("/id", why))));
        let line = |kept: &Kept| kept.history.find(producer).map(|line| (line.event(), line.content()));
        let here = lock(&self.threads).get(key).and_then(line);
        if let (Some(thread), Some((event, kept))) = (head, here) {
            let why = receipts::message_refusal(kept, content);
            return why.map_or_else(|| Ok(Ok(Some(again(thread, event)))), refused);
        }
        let posted = keys::message(message.company.as_str(), producer.as_str());
        let Some(value) = self.state.get(&posted)? else { return Ok(Ok(None)) };
        let Some(receipt) = MessageReceipt::decode(&value) else {
            self.state.note_unreadable(&posted, None);
            return Ok(Ok(None));
        };
        if now.since(receipt.at) >= self.settings.idempotency_window {
            return Ok(Ok(None));
        }
        let of_receipt = [&keys::THREAD[..], receipt.thread].concat();
        let thread = match read::thread(&self.state, &self.journal, &of_receipt) {
            Ok(Some(thread)) => thread,
            Ok(None) => return Ok(Ok(None)),
            Err(error) => return Ok(Err(error)),
        };
        let why = receipt.refusal(content, &key[keys::THREAD.len()..]);
        why.map_or_else(|| Ok(Ok(Some(again(&thread, receipt.event)))), refused)
    }

    /// All is on the disk: threads may be forgotten.
    pub(in crate::store) fn relieve_threads(&self) {
        lock(&self.threads).relieve();
    }

    /// Forgets some of the threads whose last message is over, behind the key `after`; gives the key to go on behind.
    pub(in crate::store) fn forget_threads(
        &mut self,
        after: &[u8],
        now: Timestamp,
    ) -> Result<Option<Vec<u8>>, StateError> {
        let over = self.settings.retention.messages_over(now);
        let some = self.state.scan(&keys::LATEST, Some(after), FORGOTTEN_AT_ONCE)?;
        for (key, hash) in &some {
            // A message is stored at the earliest when it is sent, so behind this none is over.
            let behind = keys::latest(u128::from(over.plus(super::AHEAD).millis()) << 80);
            if *key > behind {
                return Ok(None);
            }
            let thread_key = [&keys::THREAD[..], hash].concat();
            let Some(value) = self.state.get(&thread_key)? else { continue };
            let Some(record) = step::unversioned::<ThreadRecord>(&value) else { continue };
            if record.last_stored() < over {
                lock(&self.threads).forget(&thread_key);
                self.write(vec![Step::ThreadGone(Box::new(record))]);
            }
        }
        Ok(some.last().map(|(key, _)| key.clone()))
    }
}
