//! What is asked of conversations, and what is answered.

use crate::core::conversation::{Conversation, Lead, Message, NewMessage};
use crate::core::event::{Company, Domain};
use crate::core::id::{ConversationId, EventId};
use crate::core::time::Timestamp;
use crate::model::conversations::threads::Kept;

/// What the events of a call say of the lead, and of the site.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) lead: Lead,
    pub(crate) domain: Option<Domain>,
}

/// A message with what was read for it ahead of its turn.
#[derive(Debug)]
pub struct PreparedMessage {
    pub(crate) message: NewMessage,
    /// The thread as it was read; `None` where it is in memory, or new.
    pub(crate) thread: Option<Kept>,
    /// What the call's events say.
    pub(crate) facts: Facts,
    /// Ids below this were looked through for that.
    pub(crate) searched: u128,
    /// About how many bytes it will be.
    pub(crate) bytes: usize,
}

impl PreparedMessage {
    /// Owner it is.
    pub(crate) const fn company(&self) -> &Company {
        &self.message.company
    }

    pub(crate) const fn weight(&self) -> usize {
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
