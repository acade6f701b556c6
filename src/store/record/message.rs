//! A message of a conversation, and the conversation as it is with it.
//!
//! Version 1 is [`Plain`]. One with pictures or other files is version 2: the same, and then these. In the journal each
//! version is a frame of its own kind. Without files nothing has changed since version 1.

use bincode::{Decode, Encode};

use crate::core::conversation::{Conversation, Direction, Lead, Media, Message, lead_number};
use crate::core::event::{CallId, Company, Domain, ProducerId, Source};
use crate::core::id::{ConversationId, EventId, MessageId};
use crate::core::time::Timestamp;

use super::{Word as _, at};

/// A message. Its id stands in the frame. All that is said of a person is here, and nothing of it in the thread.
#[derive(Debug, Clone)]
pub(in crate::store) struct MessageRecord {
    plain: Plain,
    media: Vec<MediaRecord>,
}

/// Everything but the files.
#[derive(Debug, Clone, Encode, Decode)]
struct Plain {
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
    thread: ThreadRecord,
    /// Where the thread stood among the others before; `None` if it began with this message.
    before: Option<u128>,
}

/// A file.
#[derive(Debug, Clone, Encode, Decode)]
struct MediaRecord {
    url: String,
    content_type: Option<String>,
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
        let plain = Plain {
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
        };
        let media = message.media.iter().cloned();
        let media = media.map(|Media { url, content_type }| MediaRecord { url, content_type }).collect();
        Self { plain, media }
    }

    /// Whether it stands on the disk as version 2.
    pub(in crate::store) fn has_media(&self) -> bool {
        !self.media.is_empty()
    }

    /// Appends the payload of its frame.
    pub(in crate::store) fn encode_into(&self, out: &mut Vec<u8>) {
        super::encode_into(out, &self.plain);
        if self.has_media() {
            super::encode_into(out, &self.media);
        }
    }

    /// Reads the payload of a frame, of either version: bytes that are one are not the other.
    pub(in crate::store) fn decode(payload: &[u8]) -> Option<Self> {
        let plain = super::decode(payload).map(|plain| Self { plain, media: Vec::new() });
        plain.or_else(|| super::decode(payload).map(|(plain, media)| Self { plain, media }).filter(Self::has_media))
    }

    /// The thread from this message on.
    pub(in crate::store) const fn thread(&self) -> &ThreadRecord {
        &self.plain.thread
    }

    /// Where the thread stood among the others before; `None` if it began with this message.
    pub(in crate::store) const fn before(&self) -> Option<u128> {
        self.plain.before
    }

    pub(in crate::store) fn message(self, id: MessageId) -> Message {
        let Self { plain, media } = self;
        let Plain { name, email, phone, widget_id, .. } = plain;
        Message {
            id,
            media: media.into_iter().map(|MediaRecord { url, content_type }| Media { url, content_type }).collect(),
            producer_id: plain.producer_id.and_then(|id| ProducerId::parse(&id).ok()),
            direction: if plain.outbound { Direction::Outbound } else { Direction::Inbound },
            from: plain.from,
            to: plain.to,
            body: plain.body,
            sent_at: at(plain.sent_at),
            lead: Lead { name, email, phone, widget_id },
            event: plain.event.map(EventId::from_bits),
            erased_at: plain.erased_at.map(at),
        }
    }

    pub(in crate::store) const fn is_outbound(&self) -> bool {
        self.plain.outbound
    }

    pub(in crate::store) fn sent_at(&self) -> Timestamp {
        at(self.plain.sent_at)
    }

    pub(in crate::store) fn producer_id(&self) -> Option<&str> {
        self.plain.producer_id.as_deref()
    }

    pub(in crate::store) const fn is_erased(&self) -> bool {
        self.plain.erased_at.is_some()
    }

    /// The same without what it says of a person.
    pub(in crate::store) fn erased(self, millis: u64) -> Self {
        let (from, to, body) = (String::new(), String::new(), String::new());
        let (name, email, phone) = (None, None, None);
        let plain = Plain { from, to, body, name, email, phone, erased_at: Some(millis), ..self.plain };
        Self { plain, media: Vec::new() }
    }

    pub(in crate::store) const fn event(&self) -> Option<u128> {
        self.plain.event
    }

    /// The lead's number, and the one that the platform named.
    pub(in crate::store) fn phones(&self) -> impl Iterator<Item = &str> {
        let plain = &self.plain;
        let direction = if plain.outbound { Direction::Outbound } else { Direction::Inbound };
        let own = lead_number(direction, &plain.from, &plain.to);
        let named = plain.phone.as_deref().filter(move |named| *named != own);
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
