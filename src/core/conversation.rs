//! The SMS conversation of a call: its messages, and when a message raises `call.smsfollowup`.
//!
//! [`NewMessage::from_json`] is the only constructor from input, so every value is valid. Knows nothing about
//! storage. A conversation is ordered by `sent_at`, and by arrival among equal times.

mod history;
mod media;

use serde_json::value::RawValue;

use super::event::{CallId, Company, Domain, ProducerId, Source};
use super::fingerprint::Fingerprint;
use super::id::{ConversationId, EventId, MessageId};
use super::invalid::{Invalid, pointer};
use super::json::{self, Kind};
use super::text::excerpt;
use super::time::Timestamp;

pub use history::{FollowUp, History, Line};
pub use media::Media;

/// The event type raised by a lead's reply.
pub const RAISED: &str = "call.smsfollowup";
/// Maximum bytes of a body: more than the 255 parts of the longest SMS.
pub const BODY_MOST: usize = 64 * 1024;
/// Maximum characters of a telephone number, short code or sender name.
const NUMBER_MOST: usize = 64;
/// Maximum characters of a lead's name, and of an e-mail address (RFC 5321 section 4.5.3.1 allows 254).
const NAME_MOST: usize = 256;
/// Maximum bytes of a widget id, as JSON.
const WIDGET_MOST: usize = 256;
/// How far the platform's clock may be ahead of this machine's, in milliseconds.
const AHEAD_MOST: i64 = 10 * 60 * 1000;
/// The valid members of a message.
const MEMBERS: &str = "company, domain, source, call_id, id, direction, from, to, body, media, sent_at, lead, \
                       widget_id";

/// The direction of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the company to the lead.
    Outbound,
    /// From the lead to the company.
    Inbound,
}

impl Direction {
    /// As text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Outbound => "outbound",
            Self::Inbound => "inbound",
        }
    }

    /// Reads one.
    ///
    /// # Errors
    /// A sentence that lists the valid values.
    pub fn parse(text: &str) -> Result<Self, String> {
        let found = [Self::Outbound, Self::Inbound].into_iter().find(|direction| direction.as_str() == text);
        found.ok_or_else(|| {
            format!("must be `outbound` (to the lead) or `inbound` (from the lead), not `{}`", excerpt(text))
        })
    }
}

/// The lead's contact data, as far as known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lead {
    /// `lead.name`
    pub name: Option<String>,
    /// `lead.email`
    pub email: Option<String>,
    /// `lead.phone`
    pub phone: Option<String>,
    /// `widget_id`, as the JSON text posted.
    pub widget_id: Option<String>,
}

impl Lead {
    /// This, completed from `older`.
    #[must_use]
    pub fn or(self, older: Self) -> Self {
        Self {
            name: self.name.or(older.name),
            email: self.email.or(older.email),
            phone: self.phone.or(older.phone),
            widget_id: self.widget_id.or(older.widget_id),
        }
    }

    /// Whether every field is known.
    pub const fn is_complete(&self) -> bool {
        self.name.is_some() && self.email.is_some() && self.phone.is_some() && self.widget_id.is_some()
    }

    /// The lead's contact data in an event's data, as far as it has the form of a message's.
    pub fn of_data(data: &str) -> Self {
        let Ok(members) = json::parse(data).and_then(json::members) else { return Self::default() };
        let member = |wanted: &str| members.iter().find(|(name, _)| name == wanted).map(|(_, value)| *value);
        Self {
            name: member("lead_name").and_then(|value| json::line(value, NAME_MOST).ok()),
            email: member("lead_email").and_then(|value| json::line(value, NAME_MOST).ok()),
            phone: member("lead_phone").and_then(|value| json::line(value, NUMBER_MOST).ok()),
            widget_id: member("widget_id").and_then(|value| widget_id(value).ok()),
        }
    }
}

/// A valid message that has not been stored yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMessage {
    /// The company.
    pub company: Company,
    /// The domain, if given.
    pub domain: Option<Domain>,
    /// Where it came from.
    pub source: Source,
    /// The call it belongs to.
    pub call: CallId,
    /// The producer's own id, which makes reposting idempotent.
    pub producer_id: Option<ProducerId>,
    /// The direction.
    pub direction: Direction,
    /// The sender's number.
    pub from: String,
    /// The recipient's number.
    pub to: String,
    /// The text, at most [`BODY_MOST`] bytes; empty if there is only media.
    pub body: String,
    /// Pictures and other files.
    pub media: Vec<Media>,
    /// When it was sent; defaults to the time it is stored.
    pub sent_at: Option<Timestamp>,
    /// The lead's contact data given with it.
    pub lead: Lead,
}

/// A stored message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Assigned when stored; ascending in that order.
    pub id: MessageId,
    /// The producer's own id.
    pub producer_id: Option<ProducerId>,
    /// The direction.
    pub direction: Direction,
    /// The sender's number; empty if it was erased.
    pub from: String,
    /// The recipient's number; empty if it was erased.
    pub to: String,
    /// The text; empty if there is none or it was erased.
    pub body: String,
    /// Pictures and other files; none if erased.
    pub media: Vec<Media>,
    /// When it was sent.
    pub sent_at: Timestamp,
    /// The lead's contact data as known since this message.
    pub lead: Lead,
    /// The event it raised.
    pub event: Option<EventId>,
    /// When its personal data was erased.
    pub erased_at: Option<Timestamp>,
}

/// What must be equal when a message is posted again: direction, numbers, text and media.
fn content(direction: Direction, numbers: [&str; 2], body: &str, media: &[Media]) -> Fingerprint {
    let media = media.iter().flat_map(|one| [one.url.as_str(), one.content_type.as_deref().unwrap_or_default()]);
    Fingerprint::of_parts([direction.as_str()].into_iter().chain(numbers).chain([body]).chain(media))
}

impl Message {
    /// What must be equal when it is posted again; `None` if it was erased.
    pub fn content(&self) -> Option<Fingerprint> {
        let whole = self.erased_at.is_none();
        whole.then(|| content(self.direction, [&self.from, &self.to], &self.body, &self.media))
    }

    /// The id shown: the producer's own, or else the assigned one.
    pub fn shown_id(&self) -> String {
        self.producer_id.as_ref().map_or_else(|| self.id.to_string(), |id| id.as_str().to_owned())
    }

    /// The lead's number in this message.
    pub fn lead_number(&self) -> &str {
        lead_number(self.direction, &self.from, &self.to)
    }
}

/// The lead's number of the two.
pub fn lead_number<'n>(direction: Direction, from: &'n str, to: &'n str) -> &'n str {
    match direction {
        Direction::Outbound => to,
        Direction::Inbound => from,
    }
}

/// An SMS thread, without its messages and without personal data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversation {
    /// Assigned with its first message.
    pub id: ConversationId,
    /// The company.
    pub company: Company,
    /// The call it belongs to.
    pub call: CallId,
    /// The domain last given by a message or an event of the call.
    pub domain: Option<Domain>,
    /// The source of its latest message.
    pub source: Source,
    /// Number of messages stored in it.
    pub messages: u64,
    /// Number of inbound ones.
    pub inbound: u64,
    /// When the first outbound message was sent.
    pub first_outbound: Option<Timestamp>,
    /// When its earliest message was sent.
    pub first_at: Timestamp,
    /// When its latest message was sent.
    pub last_at: Timestamp,
    /// The message that was stored first.
    pub first: MessageId,
    /// The message that was stored last.
    pub last: MessageId,
}

impl Conversation {
    /// A thread that starts with `message`, stored as `id`.
    pub fn begun(conversation: ConversationId, message: &NewMessage, id: MessageId, sent_at: Timestamp) -> Self {
        let empty = Self {
            id: conversation,
            company: message.company.clone(),
            call: message.call.clone(),
            domain: None,
            source: message.source,
            messages: 0,
            inbound: 0,
            first_outbound: None,
            first_at: sent_at,
            last_at: sent_at,
            first: id,
            last: id,
        };
        empty.with(message, id, sent_at)
    }

    /// The thread with one more message, stored as `id`.
    #[must_use]
    pub fn with(self, message: &NewMessage, id: MessageId, sent_at: Timestamp) -> Self {
        let inbound = message.direction == Direction::Inbound;
        let outbound_at = (!inbound).then_some(sent_at);
        Self {
            domain: message.domain.clone().or(self.domain),
            source: message.source,
            messages: self.messages + 1,
            inbound: self.inbound + u64::from(inbound),
            first_outbound: self.first_outbound.into_iter().chain(outbound_at).min(),
            first_at: self.first_at.min(sent_at),
            last_at: self.last_at.max(sent_at),
            last: id,
            ..self
        }
    }

    /// Whether a message of this direction and time raises the event: it is inbound, and later than a known outbound
    /// one.
    pub fn is_answered_by(&self, direction: Direction, sent_at: Timestamp) -> bool {
        direction == Direction::Inbound && self.first_outbound.is_some_and(|outbound| outbound <= sent_at)
    }
}

/// A message's members, as far as read.
#[derive(Default)]
struct Draft {
    company: Option<Company>,
    domain: Option<Domain>,
    source: Option<Source>,
    call: Option<CallId>,
    producer_id: Option<ProducerId>,
    direction: Option<Direction>,
    from: Option<String>,
    to: Option<String>,
    body: Option<String>,
    media: Vec<Media>,
    sent_at: Option<Timestamp>,
    lead: Lead,
    widget_id: Option<String>,
}

impl NewMessage {
    /// What must be equal to a message posted earlier with the same id.
    pub fn content(&self) -> Fingerprint {
        content(self.direction, [&self.from, &self.to], &self.body, &self.media)
    }

    /// Approximate size of its text and media, in bytes.
    pub fn weight(&self) -> usize {
        let media = self.media.iter().map(|one| one.url.len() + one.content_type.as_ref().map_or(0, String::len));
        self.body.len() + media.sum::<usize>()
    }

    /// Parses the body of `POST /v1/messages`; `now` is this machine's time.
    ///
    /// # Errors
    /// Every fault with its pointer.
    pub fn from_json(raw: &RawValue, now: Timestamp) -> Result<Self, Invalid> {
        let members = json::members(raw).map_err(|fault| Invalid::one("", fault))?;
        let mut invalid = Invalid::default();
        if let Some(name) = json::first_duplicate(&members) {
            invalid.add(pointer(name), "is given twice");
        }
        let mut draft = Draft::default();
        for (name, value) in &members {
            draft.read(name, value, now, &mut invalid);
        }
        for (name, wanted) in [
            ("company", "whose message it is"),
            ("source", "`widget`, `lead_connect` or `api`"),
            ("call_id", "the id of the call that it follows"),
            ("direction", "`outbound` (to the lead) or `inbound` (from the lead)"),
            ("from", "the sender's number"),
            ("to", "the recipient's number"),
            ("body", "the text; \"\" for a picture alone"),
        ] {
            if name == "body" && !draft.media.is_empty() {
                draft.body.get_or_insert_default();
            } else if !members.iter().any(|(member, _)| member == name) {
                invalid.add(pointer(name), format!("is missing: {wanted}"));
            }
        }
        invalid.or(draft.message())
    }
}

impl Draft {
    fn read(&mut self, name: &str, value: &RawValue, now: Timestamp, invalid: &mut Invalid) {
        let at = pointer(name);
        let given = !json::is_nothing(value);
        match name {
            "company" => self.company = invalid.check(&at, json::string(value).and_then(|t| Company::parse(&t))),
            "source" => self.source = invalid.check(&at, json::string(value).and_then(|t| Source::parse(&t))),
            "call_id" => self.call = invalid.check(&at, json::string(value).and_then(|t| CallId::parse(&t))),
            "direction" => self.direction = invalid.check(&at, json::string(value).and_then(|t| Direction::parse(&t))),
            "from" => self.from = invalid.check(&at, json::line(value, NUMBER_MOST)),
            "to" => self.to = invalid.check(&at, json::line(value, NUMBER_MOST)),
            "body" => self.body = invalid.check(&at, json::optional(value, read_body)).map(Option::unwrap_or_default),
            "domain" | "id" | "sent_at" | "lead" | "media" | "widget_id" if !given => {}
            "media" => match media::read(value) {
                Ok(media) => self.media = media,
                Err(inner) => invalid.nest("/media", inner),
            },
            "domain" => self.domain = invalid.check(&at, json::string(value).and_then(|t| Domain::parse(&t))),
            "id" => self.producer_id = invalid.check(&at, json::string(value).and_then(|t| ProducerId::parse(&t))),
            "sent_at" => self.sent_at = invalid.check(&at, json::string(value).and_then(|text| sent_at(&text, now))),
            "lead" => match lead(value) {
                Ok(lead) => self.lead = lead,
                Err(inner) => invalid.nest("/lead", inner),
            },
            "widget_id" => self.widget_id = invalid.check(&at, widget_id(value)),
            _ => invalid.add(at, format!("is not a member of a message; there are: {MEMBERS}")),
        }
    }

    fn message(self) -> Option<NewMessage> {
        Some(NewMessage {
            company: self.company?,
            domain: self.domain,
            source: self.source?,
            call: self.call?,
            producer_id: self.producer_id,
            direction: self.direction?,
            from: self.from?,
            to: self.to?,
            body: self.body?,
            media: self.media,
            sent_at: self.sent_at,
            lead: Lead { widget_id: self.widget_id, ..self.lead },
        })
    }
}

fn read_body(value: &RawValue) -> Result<String, String> {
    let text = json::string(value)?;
    let length = text.len();
    if length > BODY_MOST {
        return Err(format!(
            "has {length} bytes; an SMS of 255 parts has less than {BODY_MOST}, which is the most here"
        ));
    }
    Ok(text)
}

fn sent_at(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    let time = Timestamp::parse(text)?;
    if time > now.moved(AHEAD_MOST) {
        let minutes = AHEAD_MOST / 60_000;
        return Err(format!(
            "is more than {minutes} minutes in the future: it is {now} here; check the clock and the zone"
        ));
    }
    Ok(time)
}

fn lead(value: &RawValue) -> Result<Lead, Invalid> {
    // PHP writes an empty array for an empty object.
    if json::items(value).is_ok_and(|items| items.is_empty()) {
        return Ok(Lead::default());
    }
    let members = json::members(value).map_err(|fault| Invalid::one("", fault))?;
    let mut invalid = Invalid::default();
    if let Some(name) = json::first_duplicate(&members) {
        invalid.add(pointer(name), "is given twice");
    }
    let mut lead = Lead::default();
    for (name, value) in members.iter().filter(|(_, value)| !json::is_nothing(value)) {
        let at = pointer(name);
        match name.as_ref() {
            "name" => lead.name = invalid.check(&at, json::line(value, NAME_MOST)),
            "email" => lead.email = invalid.check(&at, json::line(value, NAME_MOST)),
            "phone" => lead.phone = invalid.check(&at, json::line(value, NUMBER_MOST)),
            _ => invalid.add(at, "is not a member of a lead; there are: name, email, phone"),
        }
    }
    invalid.or(Some(lead))
}

/// A widget id, a string or a number, as JSON text.
fn widget_id(value: &RawValue) -> Result<String, String> {
    let mut json = value.get().to_owned();
    match Kind::of(value) {
        Kind::String => {
            let text = json::line(value, WIDGET_MOST)?;
            if text.contains(char::REPLACEMENT_CHARACTER) {
                // It may contain an unpaired surrogate.
                json = json::quote(&text);
            }
        }
        Kind::Number => {}
        other => return Err(format!("must be a string or a number, not {}", other.with_article())),
    }
    if json.len() > WIDGET_MOST {
        return Err(format!("must have at most {WIDGET_MOST} bytes"));
    }
    Ok(json)
}

#[cfg(test)]
mod tests;
