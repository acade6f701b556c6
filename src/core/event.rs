//! The event: one thing that happened. Immutable once accepted.
//!
//! [`NewEvent::from_json`] is the one way in: what it returns is valid, so nothing behind it checks
//! again. The platform's `data` stays the bytes that were posted.

use std::fmt;

use serde_json::value::RawValue;

use super::catalogue::Catalogue;
use super::id::EventId;
use super::invalid::{Invalid, pointer};
use super::json;
use super::time::Timestamp;

macro_rules! text {
    ($(#[$doc:meta])* $name:ident, 1..=$most:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Box<str>);

        impl $name {
            /// Reads one.
            ///
            /// # Errors
            /// Empty, too long, or with control characters; a sentence on what would be right.
            pub fn parse(text: &str) -> Result<Self, String> {
                let length = text.chars().count();
                if length == 0 || length > $most {
                    return Err(format!("must have 1 to {} characters, not {length}", $most));
                }
                if text.chars().any(char::is_control) {
                    return Err("must not have control characters".to_owned());
                }
                Ok(Self(text.into()))
            }

            /// As text.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// Its text.
            pub fn into_string(self) -> String {
                self.0.into_string()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text!(
    /// A tenant: the account whose events and subscriptions these are. 1 to 128 characters.
    Company, 1..=128
);
text!(
    /// One site or sub-widget of a company. 1 to 253 characters (the longest DNS name).
    Domain, 1..=253
);
text!(
    /// What the events of one phone call share (`data.call_id`). 1 to 128 characters.
    CallId, 1..=128
);
text!(
    /// A producer's own id of an event, by which it may be posted again. 1 to 128 characters.
    ProducerId, 1..=128
);
text!(
    /// The name of an event type, such as `call.missed`. 1 to 64 characters.
    EventType, 1..=64
);

/// Where an event came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// The widget on a customer's site.
    Widget,
    /// Lead Connect; `ilr`, its older name, is read too.
    LeadConnect,
    /// The platform's own API.
    Api,
}

impl Source {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 3] = [Self::Widget, Self::LeadConnect, Self::Api];

    /// As text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Widget => "widget",
            Self::LeadConnect => "lead_connect",
            Self::Api => "api",
        }
    }

    /// Reads one, the alias `ilr` included.
    ///
    /// # Errors
    /// A sentence that lists what there is.
    pub fn parse(text: &str) -> Result<Self, String> {
        let name = if text == "ilr" { "lead_connect" } else { text };
        let found = Self::ALL.into_iter().find(|source| source.as_str() == name);
        found.ok_or_else(|| format!("must be `widget`, `lead_connect` (or `ilr`) or `api`, not `{}`", excerpt(text)))
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The beginning of somebody else's text, short enough for a sentence.
pub fn excerpt(text: &str) -> String {
    const MOST: usize = 60;
    let mut short: String = text.chars().take(MOST).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(MOST).is_some() {
        short.push('…');
    }
    short
}

/// A valid event that has not been accepted yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// Its event type, one of the catalogue's.
    pub event_type: EventType,
    /// Whose it is.
    pub company: Company,
    /// The site it belongs to, if the platform said.
    pub domain: Option<Domain>,
    /// Where it came from.
    pub source: Source,
    /// When it happened; the time of acceptance if the platform did not say.
    pub occurred_at: Option<Timestamp>,
    /// The producer's own id, for posting again without effect.
    pub producer_id: Option<ProducerId>,
    /// `data.call_id`.
    pub call: CallId,
    /// The lead's phone number, `data.lead_phone`, if there is one: the log is searched by it.
    pub phone: Option<String>,
    /// The platform's own object, the bytes that were posted.
    pub data: String,
}

/// An accepted event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Given at acceptance; the `webhook-id` of its deliveries.
    pub id: EventId,
    /// When it was accepted.
    pub accepted_at: Timestamp,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// Its event type.
    pub event_type: EventType,
    /// Whose it is.
    pub company: Company,
    /// The site it belongs to.
    pub domain: Option<Domain>,
    /// Where it came from.
    pub source: Source,
    /// The producer's own id.
    pub producer_id: Option<ProducerId>,
    /// `data.call_id`.
    pub call: CallId,
    /// `data.lead_phone`.
    pub phone: Option<String>,
    /// The platform's own object, the bytes that were posted.
    pub data: String,
}

/// The members that an event may have at its top level.
const MEMBERS: &str = "type, company, domain, source, occurred_at, id, data";

/// The strings of an event's top level, each as it was read so far.
#[derive(Default)]
struct Draft<'a> {
    event_type: Option<EventType>,
    company: Option<Company>,
    domain: Option<Domain>,
    source: Option<Source>,
    occurred_at: Option<Timestamp>,
    producer_id: Option<ProducerId>,
    data: Option<&'a RawValue>,
}

impl NewEvent {
    /// The event that this becomes, accepted as `id` at `now`; it occurred then, too, if it does not say when.
    pub fn accepted(self, id: EventId, now: Timestamp) -> Event {
        Event {
            id,
            accepted_at: now,
            occurred_at: self.occurred_at.unwrap_or(now),
            event_type: self.event_type,
            company: self.company,
            domain: self.domain,
            source: self.source,
            producer_id: self.producer_id,
            call: self.call,
            phone: self.phone,
            data: self.data,
        }
    }

    /// Reads an event from the body of `POST /v1/events`.
    ///
    /// # Errors
    /// Every fault with its pointer; pointers are relative to the event.
    pub fn from_json(raw: &RawValue, catalogue: &Catalogue) -> Result<Self, Invalid> {
        let members = json::members(raw).map_err(|fault| Invalid::one("", fault))?;
        let mut invalid = Invalid::default();
        if let Some(name) = json::first_duplicate(&members) {
            invalid.add(pointer(name), "stands twice");
        }
        let mut draft = Draft::default();
        for (name, value) in &members {
            draft.read(name, value, catalogue, &mut invalid);
        }
        draft.finish(&members, catalogue, invalid)
    }
}

impl<'a> Draft<'a> {
    fn read(&mut self, name: &str, value: &'a RawValue, catalogue: &Catalogue, invalid: &mut Invalid) {
        let at = pointer(name);
        let optional = |value: &RawValue| !json::is_nothing(value);
        match name {
            "type" => {
                let parsed = json::string(value).and_then(|text| catalogue.event_type(&text));
                self.event_type = invalid.check(&at, parsed);
            }
            "company" => self.company = invalid.check(&at, json::string(value).and_then(|t| Company::parse(&t))),
            "source" => self.source = invalid.check(&at, json::string(value).and_then(|t| Source::parse(&t))),
            "domain" if optional(value) => {
                self.domain = invalid.check(&at, json::string(value).and_then(|t| Domain::parse(&t)));
            }
            "occurred_at" if optional(value) => {
                self.occurred_at = invalid.check(&at, json::string(value).and_then(|t| Timestamp::parse(&t)));
            }
            "id" if optional(value) => {
                self.producer_id = invalid.check(&at, json::string(value).and_then(|t| ProducerId::parse(&t)));
            }
            "domain" | "occurred_at" | "id" => {}
            "data" => self.data = Some(value),
            _ => invalid.add(at, format!("is not a member of an event; there are: {MEMBERS}")),
        }
    }

    fn finish(
        self,
        members: &[(String, &RawValue)],
        catalogue: &Catalogue,
        mut invalid: Invalid,
    ) -> Result<NewEvent, Invalid> {
        for name in ["type", "company", "source", "data"] {
            if !members.iter().any(|(member, _)| member == name) {
                invalid.add(pointer(name), "is missing");
            }
        }
        let mut call = None;
        let mut phone = None;
        if let Some(data) = self.data {
            if let Err((at, detail)) = json::check(data, 1) {
                invalid.add(format!("/data{at}"), detail);
            } else {
                match catalogue.check_data(self.event_type.as_ref(), data) {
                    Ok(keys) => (call, phone) = (Some(keys.call), keys.phone),
                    Err(inner) => invalid.nest("/data", inner),
                }
            }
        }
        let event = (|| {
            Some(NewEvent {
                event_type: self.event_type?,
                company: self.company?,
                domain: self.domain,
                source: self.source?,
                occurred_at: self.occurred_at,
                producer_id: self.producer_id,
                call: call?,
                phone,
                data: self.data?.get().to_owned(),
            })
        })();
        invalid.or(event)
    }
}
