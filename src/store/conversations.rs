//! SMS conversations: storing messages and reading threads.

use std::ops::ControlFlow;
use std::time::Duration;

use crate::core::conversation::{Conversation, Direction, Message, NewMessage};
use crate::core::event::{CallId, Company};
use crate::core::time::Timestamp;
use crate::model::command::{Busy, Command, Reply};
use crate::model::conversations::{
    CachedThread, ConversationFilter, Facts, PostedMessage, PreparedMessage, Shown, read,
};
use crate::model::error::StoreError;
use crate::model::keys;
use crate::model::lock::lock;
use crate::model::page::Page;
use crate::model::page_size::ByteSize as _;
use crate::model::query::lowest_id;
use crate::store::api::Store;

/// The maximum size of the messages on one page of a thread, in bytes.
const PAGE_BYTES: usize = 8 << 20;
/// The maximum number of messages on it.
const PAGE_MESSAGES: usize = 10_000;
/// Events with ids younger than this may not be visible yet.
const UNDER_WAY: Duration = Duration::from_secs(60);

impl Store {
    /// Reads what storing a message needs. Blocks; does not store the message.
    ///
    /// # Errors
    /// The thread or the call's events cannot be read or are damaged.
    pub fn prepare_message(&self, message: NewMessage, now: Timestamp) -> Result<PreparedMessage, StoreError> {
        let shared = &self.shared;
        let key = keys::thread(message.company.as_str(), message.call.as_str());
        let mut bytes = message.weight() * 2;
        let Some(head) = read::thread(self.view(), self.history(), &key)? else {
            return Ok(PreparedMessage { message, thread: None, facts: Facts::default(), searched: 0, bytes });
        };
        let summary = |thread: &CachedThread| (thread.history.bytes(), thread.lead.clone(), thread.searched);
        let known = lock(&shared.threads).get(&key).map(summary);
        let (history, lead, searched, thread) = match known {
            Some((history, lead, searched)) => (history, lead, searched, None),
            None => {
                let read = self.read_thread(&head)?;
                (read.history.bytes(), read.lead.clone(), 0, Some(read))
            }
        };
        let mut facts = Facts::default();
        let mut searched_to = searched;
        let asks = head.is_answered_by(message.direction, message.sent_at.unwrap_or(now));
        let lead = message.lead.clone().or(lead);
        if asks && (!lead.is_complete() || (message.domain.is_none() && head.domain.is_none())) {
            facts = read::facts(self.history(), &head, searched)?;
            searched_to = lowest_id(Some(Timestamp::from_millis(
                now.millis().saturating_sub(u64::try_from(UNDER_WAY.as_millis()).unwrap_or(u64::MAX)),
            )));
        }
        bytes += if message.direction == Direction::Inbound { history } else { 0 };
        Ok(PreparedMessage { message, thread, facts, searched: searched_to, bytes })
    }

    fn read_thread(&self, head: &Conversation) -> Result<CachedThread, StoreError> {
        let thread = read::load_thread(self.history(), head, self.shared.max_data_bytes)?;
        if thread.last == Some(head.last) {
            return Ok(thread);
        }
        // The last message is not in the log yet.
        self.view().wait_until_logged();
        read::load_thread(self.history(), head, self.shared.max_data_bytes)
    }

    /// Stores a message, atomically with the event it raises, if any.
    ///
    /// # Errors
    /// The write queue is full; the reply is not called.
    pub fn post_message(&self, message: PreparedMessage, reply: Reply<PostedMessage>) -> Result<(), Busy> {
        match self.shared.engine.admit(message.bytes as u64) {
            Ok(()) => self.push(Command::Message(Box::new(message), reply)),
            Err(refusal) => {
                reply(Err(StoreError::DiskFull(refusal)));
                Ok(())
            }
        }
    }

    /// A page of conversations, the one with the latest message first; `after` is [`Page::next`] of the previous page.
    ///
    /// # Errors
    /// The data cannot be read or is damaged.
    pub fn conversations(
        &self,
        filter: &ConversationFilter,
        after: Option<u128>,
        limit: usize,
    ) -> Result<Page<Shown>, StoreError> {
        read::page(self.view(), self.history(), filter, after, limit)
    }

    /// The conversation of a call, with its last stored message.
    ///
    /// # Errors
    /// The data cannot be read or is damaged.
    pub fn conversation(&self, company: &Company, call: &CallId) -> Result<Option<Shown>, StoreError> {
        let Some(thread) = read::of_call(self.view(), self.history(), company, call)? else {
            return Ok(None);
        };
        read::shown(self.history(), thread).map(Some)
    }

    /// Messages of a conversation, oldest first: the 10,000 stored last, or as many of these as have 8 MiB of text and
    /// links; `after` is [`Page::next`] of the previous page, for those stored earlier.
    ///
    /// # Errors
    /// The data cannot be read or is damaged.
    pub fn messages(&self, thread: &Conversation, after: Option<u128>) -> Result<Page<Message>, StoreError> {
        let mut items: Vec<Message> = Vec::new();
        let (mut bytes, mut next) = (0, None);
        read::messages(self.history(), thread, after.unwrap_or(u128::MAX), &mut |message| {
            if items.len() == PAGE_MESSAGES || bytes >= PAGE_BYTES {
                next = items.last().map(|last| last.id.bits());
                return ControlFlow::Break(());
            }
            bytes += message.bytes();
            items.push(message);
            ControlFlow::Continue(())
        })?;
        items.sort_unstable_by_key(|message| (message.sent_at, message.id));
        Ok(Page { items, next, scanned_until: None })
    }
}

/// Evicts the thread of a call from the cache.
pub(crate) fn evict_thread(store: &Store, company: &str, call: &str) {
    lock(&store.shared.threads).remove(&keys::thread(company, call));
}
