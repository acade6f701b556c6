//! A message of a conversation, and the conversation as it is with it.

use bincode::{Decode, Encode};

use crate::core::conversation::{Conversation, Direction, Lead, Message, lead_number};
use crate::core::event::{CallId, Company, Domain, ProducerId, Source};
use crate::core::id::{ConversationId, EventId, MessageId};
use crate::core::time::Timestamp;

use super::{Word as _, at};

/// A message. Its id stands in the frame. All that is said of a person is here, and nothing of it in the thread.
#[derive(Debug, Clone, Encode, Decode)]
pub(in crate::store) struct MessageRecord {
    producer_id: Option<String>,
    outbound: bool,
    from: String,
    to: String,
    body: String,
    sent_at: u64,
    name: Option<String>,
    email: Option<String>,
    phone: Option<String>,
    widget_id: Option<String>,
    event: Option<u128>,
    erased_at: Option<u64>,
    /// The thread from this message on.
    pub(in crate::store) thread: ThreadRecord,
    /// Where the thread stood among the others before; `None` if it began with this message.
    pub(in crate::store) before: Option<u128>,
}

/// A thread, without anything personal.
#[derive(Debug, Clone, Encode, Decode)]
pub(in crate::store) struct ThreadRecord {
    id: u128,
    company: String,
    call: String,
    domain: Option<String>,
    source: String,
    messages: u64,
    inbound: u64,
    first_outbound: Option<u64>,
    first_at: u64,
    last_at: u64,
    first: u128,
    last: u128,
}

impl MessageRecord {
    pub(in crate::store) fn new(message: &Message, thread: &Conversation, before: Option<u128>) -> Self {
        let Lead { name, email, phone, widget_id } = message.lead.clone();
        Self {
            producer_id: message.producer_id.as_ref().map(|id| id.as_str().to_owned()),
            outbound: message.direction == Direction::Outbound,
            from: message.from.clone(),
            to: message.to.clone(),
            body: message.body.clone(),
            sent_at: message.sent_at.millis(),
            name,
            email,
            phone,
            widget_id,
            event: message.event.map(EventId::bits),
            erased_at: message.erased_at.map(Timestamp::millis),
            thread: thread.into(),
            before,
        }
    }

    pub(in crate::store) fn message(self, id: MessageId) -> Message {
        let Self { name, email, phone, widget_id, .. } = self;
        Message {
            id,
            producer_id: self.producer_id.and_then(|id| ProducerId::parse(&id).ok()),
            direction: if self.outbound { Direction::Outbound } else { Direction::Inbound },
            from: self.from,
            to: self.to,
            body: self.body,
            sent_at: at(self.sent_at),
            lead: Lead { name, email, phone, widget_id },
            event: self.event.map(EventId::from_bits),
            erased_at: self.erased_at.map(at),
        }
    }

    pub(in crate::store) const fn is_outbound(&self) -> bool {
        self.outbound
    }

    pub(in crate::store) fn sent_at(&self) -> Timestamp {
        at(self.sent_at)
    }

    pub(in crate::store) fn producer_id(&self) -> Option<&str> {
        self.producer_id.as_deref()
    }

    pub(in crate::store) const fn is_erased(&self) -> bool {
        self.erased_at.is_some()
    }

    /// The same without what it says of a person.
    pub(in crate::store) fn erased(self, millis: u64) -> Self {
        let (from, to, body) = (String::new(), String::new(), String::new());
        let (name, email, phone) = (None, None, None);
        Self { from, to, body, name, email, phone, erased_at: Some(millis), ..self }
    }

    pub(in crate::store) fn event(&self) -> Option<u128> {
        self.event
    }

    /// The lead's number, and the one that the platform named.
    pub(in crate::store) fn phones(&self) -> impl Iterator<Item = &str> {
        let direction = if self.outbound { Direction::Outbound } else { Direction::Inbound };
        let own = lead_number(direction, &self.from, &self.to);
        let named = self.phone.as_deref().filter(move |named| *named != own);
        Some(own).filter(|own| !own.is_empty()).into_iter().chain(named)
    }
}

impl ThreadRecord {
    /// The bits of the thread's id.
    pub(in crate::store) const fn id(&self) -> u128 {
        self.id
    }

    pub(in crate::store) fn company(&self) -> &str {
        &self.company
    }

    pub(in crate::store) fn call(&self) -> &str {
        &self.call
    }

    /// Where it stands among the others: by the time of its latest message.
    pub(in crate::store) const fn place(&self) -> u128 {
        place(self.id, self.last_at)
    }

    /// When its last message was stored.
    pub(in crate::store) fn last_stored(&self) -> Timestamp {
        MessageId::from_bits(self.last).timestamp()
    }

    pub(in crate::store) fn conversation(self) -> Option<Conversation> {
        Some(Conversation {
            id: ConversationId::from_bits(self.id),
            company: Company::parse(&self.company).ok()?,
            call: CallId::parse(&self.call).ok()?,
            domain: self.domain.and_then(|domain| Domain::parse(&domain).ok()),
            source: Source::read(&self.source)?,
            messages: self.messages,
            inbound: self.inbound,
            first_outbound: self.first_outbound.map(at),
            first_at: at(self.first_at),
            last_at: at(self.last_at),
            first: MessageId::from_bits(self.first),
            last: MessageId::from_bits(self.last),
        })
    }
}

/// Where a thread stands among the others whose latest message is of the time `last_at`: 48 bits of time, then
/// what tells threads apart.
pub(in crate::store) const fn place(thread: u128, last_at: u64) -> u128 {
    ((last_at as u128) << 80) | (thread & ((1 << 80) - 1))
}

impl From<&Conversation> for ThreadRecord {
    fn from(thread: &Conversation) -> Self {
        Self {
            id: thread.id.bits(),
            company: thread.company.as_str().to_owned(),
            call: thread.call.as_str().to_owned(),
            domain: thread.domain.as_ref().map(|domain| domain.as_str().to_owned()),
            source: thread.source.word(),
            messages: thread.messages,
            inbound: thread.inbound,
            first_outbound: thread.first_outbound.map(Timestamp::millis),
            first_at: thread.first_at.millis(),
            last_at: thread.last_at.millis(),
            first: thread.first.bits(),
            last: thread.last.bits(),
        }
    }
}
