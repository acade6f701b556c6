//! SMS conversations: storing a message, with the event that it may raise, and looking at threads.
//!
//! A message and its event are one step of the journal, so there is never one without the other. What the event
//! needs of the thread and of the call's earlier events is read ahead of that, by the thread that asks
//! ([`Store::prepare_message`]), and kept in memory while it is written to ([`threads`]): so the committer,
//! for which everybody waits, reads nothing, and a message of a long thread costs it no more than the
//! bytes of the event. The state has one record for each thread and nothing in it that is personal; all that
//! people wrote is in the journal, and goes with its files.

mod desk;
mod read;
mod threads;

use std::ops::ControlFlow;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::core::conversation::{Conversation, Direction, Message, NewMessage};
use crate::core::event::{CallId, Company, Domain};
use crate::core::id::{ConversationId, EventId};
use crate::core::time::Timestamp;

use super::bulk::Bulk;
use super::inbox::Command;
use super::query::lowest_id;
use super::verbs::Store;
use super::{Busy, Page, ReadError, Reply, WriteError, keys};
use read::Facts;
pub(super) use read::{put_in_order, threads_of};
use threads::Kept;
pub(super) use threads::Threads;

/// How many bytes of bodies one page of a thread may have.
const PAGE_BYTES: usize = 8 << 20;
/// How many messages it may have.
const PAGE_MESSAGES: usize = 10_000;
/// How long before it is sent, by the platform's clock, a message may be stored.
const AHEAD: Duration = Duration::from_secs(3600);
/// Events with ids that are so much younger may not be there to be seen yet.
const UNDER_WAY: Duration = Duration::from_secs(60);

/// A message with what was read for it ahead of its turn.
#[derive(Debug)]
pub struct PreparedMessage {
    message: NewMessage,
    /// The thread as it was read; `None` where it is in memory, or new.
    thread: Option<Kept>,
    /// What the call's events say.
    facts: Facts,
    /// Ids below this were looked through for that.
    searched: u128,
    /// About how many bytes it will be.
    bytes: usize,
}

impl PreparedMessage {
    /// Whose it is.
    pub(super) const fn company(&self) -> &Company {
        &self.message.company
    }

    pub(super) const fn weight(&self) -> usize {
        self.bytes
    }
}

/// What became of a message that was posted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PostedMessage {
    /// Its thread.
    pub conversation: ConversationId,
    /// How many messages the thread has.
    pub messages: u64,
    /// The event that it raised, or had raised.
    pub event: Option<EventId>,
    /// Whether it was there already.
    pub duplicate: bool,
}

/// Which conversations to list. `None` everywhere lists all.
#[derive(Debug, Clone, Default)]
pub struct ConversationFilter {
    /// Of this company.
    pub company: Option<Company>,
    /// Of this domain.
    pub domain: Option<Domain>,
    /// With this lead's number.
    pub phone: Option<String>,
    /// With a message that was sent at or after this time.
    pub since: Option<Timestamp>,
    /// With a message that was sent before this time.
    pub until: Option<Timestamp>,
}

/// A thread with the message that was stored last in it, if it is still kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// The thread.
    pub thread: Conversation,
    /// The message.
    pub last: Option<Message>,
}

impl Store {
    /// Reads what storing a message needs. Blocks; the message is not stored yet.
    ///
    /// # Errors
    /// What holds the thread, or the call's events, cannot be read or is damaged.
    pub fn prepare_message(&self, message: NewMessage, now: Timestamp) -> Result<PreparedMessage, ReadError> {
        let shared = &self.shared;
        let key = keys::thread(message.company.as_str(), message.call.as_str());
        let mut bytes = message.weight() * 2;
        let Some(head) = read::thread(&shared.state, &shared.journal, &key)? else {
            return Ok(PreparedMessage { message, thread: None, facts: Facts::default(), searched: 0, bytes });
        };
        let in_memory = |kept: &Kept| (kept.history.bytes(), kept.lead.clone(), kept.searched);
        let known = lock(&shared.threads).get(&key).map(in_memory);
        let (history, lead, searched, thread) = match known {
            Some((history, lead, searched)) => (history, lead, searched, None),
            None => {
                let kept = self.read_thread(&head)?;
                (kept.history.bytes(), kept.lead.clone(), 0, Some(kept))
            }
        };
        let mut facts = Facts::default();
        let mut searched_to = searched;
        let asks = head.is_answered_by(message.direction, message.sent_at.unwrap_or(now));
        let lead = message.lead.clone().or(lead);
        if asks && (!lead.is_complete() || (message.domain.is_none() && head.domain.is_none())) {
            facts = read::facts(&shared.journal, &head, searched)?;
            searched_to = lowest_id(Some(Timestamp::from_millis(
                now.millis().saturating_sub(u64::try_from(UNDER_WAY.as_millis()).unwrap_or(u64::MAX)),
            )));
        }
        bytes += if message.direction == Direction::Inbound { history } else { 0 };
        Ok(PreparedMessage { message, thread, facts, searched: searched_to, bytes })
    }

    fn read_thread(&self, head: &Conversation) -> Result<Kept, ReadError> {
        let kept = read::kept(&self.shared.journal, head, self.shared.max_data_bytes)?;
        if kept.last == Some(head.last) {
            return Ok(kept);
        }
        // The last message is on its way to the journal.
        self.shared.state.wait_until_settled();
        Ok(read::kept(&self.shared.journal, head, self.shared.max_data_bytes)?)
    }

    /// Stores a message, with the event that it raises if it does, in one step.
    ///
    /// # Errors
    /// There is no room in the committer's inbox; the reply is not called.
    pub fn post_message(&self, message: PreparedMessage, reply: Reply<PostedMessage>) -> Result<(), Busy> {
        match self.shared.space.admit(message.bytes as u64) {
            Ok(()) => self.push(Command::Message(Box::new(message), reply)),
            Err(refusal) => {
                reply(Err(WriteError::DiskFull(refusal)));
                Ok(())
            }
        }
    }

    /// A page of conversations, the one with the latest message first; `after` is [`Page::next`] of the page before.
    ///
    /// # Errors
    /// What holds them cannot be read, or is damaged.
    pub fn conversations(
        &self,
        filter: &ConversationFilter,
        after: Option<u128>,
        limit: usize,
    ) -> Result<Page<Shown>, ReadError> {
        read::page(&self.shared.state, &self.shared.journal, filter, after, limit)
    }

    /// The conversation of a call, with the message that was stored last.
    ///
    /// # Errors
    /// What holds it cannot be read, or is damaged.
    pub fn conversation(&self, company: &Company, call: &CallId) -> Result<Option<Shown>, ReadError> {
        let Some(thread) = read::of_call(&self.shared.state, &self.shared.journal, company, call)? else {
            return Ok(None);
        };
        read::shown(&self.shared.journal, thread).map(Some)
    }

    /// Messages of a conversation, oldest first: the 10,000 that were stored last, or as many of them as have 8 MiB of
    /// text and links; `after` is [`Page::next`] of the page before, which leads to those stored before.
    ///
    /// # Errors
    /// What holds them cannot be read, or is damaged.
    pub fn messages(&self, thread: &Conversation, after: Option<u128>) -> Result<Page<Message>, ReadError> {
        let mut items: Vec<Message> = Vec::new();
        let (mut bytes, mut next) = (0, None);
        read::messages(&self.shared.journal, thread, after.unwrap_or(u128::MAX), &mut |message| {
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

/// Forgets what is in memory of the thread of a call.
pub(super) fn forget(store: &Store, company: &str, call: &str) {
    lock(&store.shared.threads).forget(&keys::thread(company, call));
}

fn lock(threads: &Mutex<Threads>) -> MutexGuard<'_, Threads> {
    threads.lock().unwrap_or_else(PoisonError::into_inner)
}
