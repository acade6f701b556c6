//! Requests and answers of conversations.

use crate::core::conversation::{Conversation, Lead, Message, NewMessage};
use crate::core::event::{Company, Domain};
use crate::core::id::{ConversationId, EventId};
use crate::core::time::Timestamp;
use crate::model::conversations::threads::CachedThread;

/// What the events of a call say about the lead and the site.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) lead: Lead,
    pub(crate) domain: Option<Domain>,
}

/// A message with what was read ahead for storing it.
#[derive(Debug)]
pub struct PreparedMessage {
    pub(crate) message: NewMessage,
    /// The thread as read; `None` if it is cached or new.
    pub(crate) thread: Option<CachedThread>,
    /// What the call's events say.
    pub(crate) facts: Facts,
    /// Events with ids below this were searched for it.
    pub(crate) searched: u128,
    /// Its approximate size in bytes.
    pub(crate) bytes: usize,
}

impl PreparedMessage {
    /// The company that it belongs to.
    pub(crate) const fn company(&self) -> &Company {
        &self.message.company
    }

    pub(crate) const fn weight(&self) -> usize {
        self.bytes
    }
}

/// The answer for a posted message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PostedMessage {
    /// Its thread.
    pub conversation: ConversationId,
    /// The number of messages in the thread.
    pub messages: u64,
    /// The event that it raises, or raised when it was first posted.
    pub event: Option<EventId>,
    /// Whether it was stored before.
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

/// A thread with its last stored message, if that is still retained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// The thread.
    pub thread: Conversation,
    /// The message.
    pub last: Option<Message>,
}
