//! A message of a conversation, with the thread's state after it.
//!
//! Version 1 is [`Plain`]. A message with media is version 2: the same, followed by the media. Each version is a record
//! kind of its own. Messages without media are still written as version 1.

use bincode::{Decode, Encode};

use crate::core::conversation::{Conversation, Direction, Lead, Media, Message, lead_number};
use crate::core::event::{CallId, Company, Domain, ProducerId, Source};
use crate::core::id::{ConversationId, EventId, MessageId};
use crate::core::time::Timestamp;
use crate::model::error::StoreError;
use crate::model::keys;
use crate::model::receipts::MessageReceipt;
use crate::model::record::codec::{self, Word as _, at, versioned};
use crate::model::record::kind::{
    Class, Disposition, Expired, Frame, Kind, Target, Waits, begins_no_delivery, kept_until_oldest, not_indexed,
    nothing_personal,
};
use crate::model::redaction::{Rule, Subject};
use crate::model::term::{Owner, Term, Terms};

/// A message. Its id is in the record head. All personal data is here, and none in the thread.
#[derive(Debug, Clone)]
pub(crate) struct MessageRecord {
    plain: Plain,
    media: Vec<MediaRecord>,
}

/// Everything but the media.
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
    /// The thread including this message.
    thread: ThreadRecord,
    /// The previous position of the thread in the order; `None` if it starts with this message.
    before: Option<u128>,
}

/// A media attachment.
#[derive(Debug, Clone, Encode, Decode)]
struct MediaRecord {
    url: String,
    content_type: Option<String>,
}

/// A thread, without personal data.
#[derive(Debug, Clone, Encode, Decode)]
pub(crate) struct ThreadRecord {
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
    pub(crate) fn new(message: &Message, thread: &Conversation, before: Option<u128>) -> Self {
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

    /// Whether it is encoded as version 2.
    pub(crate) fn has_media(&self) -> bool {
        !self.media.is_empty()
    }

    /// Appends the payload.
    pub(crate) fn encode_into(&self, out: &mut Vec<u8>) {
        codec::encode_into(out, &self.plain);
        if self.has_media() {
            codec::encode_into(out, &self.media);
        }
    }

    /// Decodes a payload of either version: no bytes are valid as both.
    pub(crate) fn decode(payload: &[u8]) -> Option<Self> {
        let plain = codec::decode(payload).map(|plain| Self { plain, media: Vec::new() });
        plain.or_else(|| codec::decode(payload).map(|(plain, media)| Self { plain, media }).filter(Self::has_media))
    }

    /// The thread including this message.
    pub(crate) const fn thread(&self) -> &ThreadRecord {
        &self.plain.thread
    }

    /// The previous position of the thread in the order; `None` if it starts with this message.
    pub(crate) const fn before(&self) -> Option<u128> {
        self.plain.before
    }

    pub(crate) fn message(self, id: MessageId) -> Message {
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

    pub(crate) const fn is_outbound(&self) -> bool {
        self.plain.outbound
    }

    pub(crate) fn sent_at(&self) -> Timestamp {
        at(self.plain.sent_at)
    }

    pub(crate) fn producer_id(&self) -> Option<&str> {
        self.plain.producer_id.as_deref()
    }

    pub(crate) const fn is_erased(&self) -> bool {
        self.plain.erased_at.is_some()
    }

    /// The message without personal data.
    pub(crate) fn erased(self, millis: u64) -> Self {
        let (from, to, body) = (String::new(), String::new(), String::new());
        let (name, email, phone) = (None, None, None);
        let plain = Plain { from, to, body, name, email, phone, erased_at: Some(millis), ..self.plain };
        Self { plain, media: Vec::new() }
    }

    pub(crate) const fn event(&self) -> Option<u128> {
        self.plain.event
    }

    /// The lead's number, and the one named by the platform.
    pub(crate) fn phones(&self) -> impl Iterator<Item = &str> {
        let plain = &self.plain;
        let direction = if plain.outbound { Direction::Outbound } else { Direction::Inbound };
        let own = lead_number(direction, &plain.from, &plain.to);
        let named = plain.phone.as_deref().filter(move |named| *named != own);
        Some(own).filter(|own| !own.is_empty()).into_iter().chain(named)
    }
}

impl ThreadRecord {
    /// The bits of the thread's id.
    pub(crate) const fn id(&self) -> u128 {
        self.id
    }

    pub(crate) fn company(&self) -> &str {
        &self.company
    }

    pub(crate) fn call(&self) -> &str {
        &self.call
    }

    /// Its position in the order, by the time of its latest message.
    pub(crate) const fn place(&self) -> u128 {
        place(self.id, self.last_at)
    }

    /// When its last message was stored.
    pub(crate) fn last_stored(&self) -> Timestamp {
        MessageId::from_bits(self.last).timestamp()
    }

    pub(crate) fn conversation(self) -> Option<Conversation> {
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

/// The position of a thread whose latest message is of the time `last_at`: 48 bits of time, then bits that distinguish
/// threads.
pub(crate) const fn place(thread: u128, last_at: u64) -> u128 {
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

impl Kind for MessageRecord {
    const KINDS: &'static [u8] = &[11, 25];
    const NAME: &'static str = "messages";
    const CLASS: Class = Class::Message;
    const GRANTS_RIGHTS: bool = false;

    fn kind(&self) -> u8 {
        Self::KINDS[usize::from(self.has_media())]
    }

    fn encode(&self, out: &mut Vec<u8>) {
        self.encode_into(out);
    }

    fn decode(_: u8, payload: &[u8]) -> Option<Self> {
        Self::decode(payload)
    }

    fn terms(&self) -> Terms {
        let thread = self.thread();
        let own = [Term::All, Term::Thread(thread.id()), Term::Call(thread.call())];
        let phones = self.phones().map(Term::Phone);
        Terms { keys: Owner::company(thread.company()).keys(own.into_iter().chain(phones)), at: None }
    }

    begins_no_delivery!();

    fn decodes_fully(self, _: u128) -> bool {
        self.thread().clone().conversation().is_some()
    }

    fn apply(self, id: u128, target: Target<'_>) -> Option<Self> {
        let view = target.view;
        let thread = self.thread();
        let key = keys::thread(thread.company(), thread.call());
        let hash = key.rest().to_vec();
        if let Some(producer) = self.producer_id() {
            let receipt = {
                let id = MessageId::from_bits(id);
                MessageReceipt::value_of(id, self.event(), self.clone().message(id).content(), &hash)
            };
            view.put(keys::message(thread.company(), producer), receipt);
        }
        if let Some(before) = self.before().filter(|before| *before != thread.place()) {
            view.remove(keys::latest(before));
            view.remove(keys::latest_in(thread.company(), before));
        }
        view.put(keys::latest(thread.place()), hash.clone());
        view.put(keys::latest_in(thread.company(), thread.place()), hash);
        view.put(key, versioned(thread));
        Some(self)
    }

    fn retain(frame: Frame<'_>, expired: &Expired, _: Waits<'_>) -> Result<Disposition, StoreError> {
        Ok(Disposition::keep_if(frame.id >= expired.messages_below))
    }

    fn redact(frame: Frame<'_>, rule: &Rule) -> Option<Vec<u8>> {
        if frame.id >= rule.below {
            return None;
        }
        let message = Self::decode(frame.payload)?;
        let own = message.thread().company() == rule.company && rule.has_call(message.thread().call());
        (own && !message.is_erased()).then(|| {
            let mut erased = Vec::new();
            message.erased(rule.at.millis()).encode_into(&mut erased);
            erased
        })
    }

    fn subjects(frame: Frame<'_>, visit: &mut dyn FnMut(&Subject<'_>)) {
        if let Some(message) = Self::decode(frame.payload) {
            let thread = message.thread();
            visit(&Subject { company: thread.company(), phone: None, call: Some(thread.call()) });
        }
    }
}

/// A thread was removed.
#[derive(Debug)]
pub(crate) struct ThreadGone(pub(crate) ThreadRecord);

impl Kind for ThreadGone {
    const KINDS: &'static [u8] = &[12];
    const NAME: &'static str = "ends of conversations";
    const CLASS: Class = Class::Other;
    const GRANTS_RIGHTS: bool = false;

    fn kind(&self) -> u8 {
        12
    }

    fn encode(&self, out: &mut Vec<u8>) {
        codec::encode_into(out, &self.0);
    }

    fn decode(_: u8, payload: &[u8]) -> Option<Self> {
        codec::decode(payload).map(Self)
    }

    not_indexed!();
    begins_no_delivery!();

    fn decodes_fully(self, _: u128) -> bool {
        self.0.conversation().is_some()
    }

    fn apply(self, _: u128, target: Target<'_>) -> Option<Self> {
        let thread = self.0;
        target.view.remove(keys::thread(thread.company(), thread.call()));
        target.view.remove(keys::latest(thread.place()));
        target.view.remove(keys::latest_in(thread.company(), thread.place()));
        None
    }

    kept_until_oldest!();
    nothing_personal!();
}
