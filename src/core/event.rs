//! The event: one thing that happened. Immutable once accepted.
//!
//! Parsing is [`super::event_input`]'s; a value here is valid. The platform's `data` is kept as posted.

use std::fmt;

use super::id::EventId;
use super::long_members::LongMembers;
use super::text::excerpt;
use super::time::Timestamp;

macro_rules! text {
    ($(#[$doc:meta])* $name:ident, 1..=$most:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Box<str>);

        impl $name {
            /// Parses one.
            ///
            /// # Errors
            /// Empty, too long, or with control characters; a sentence on what would be valid.
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
    /// A producer's own id of an event, for idempotent reposts. 1 to 128 characters.
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

    /// Parses one, including the alias `ilr`.
    ///
    /// # Errors
    /// A sentence that lists the valid values.
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

/// A valid event that has not been accepted yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// Its event type, one of the catalogue's.
    pub event_type: EventType,
    /// The company.
    pub company: Company,
    /// The domain, if given.
    pub domain: Option<Domain>,
    /// Where it came from.
    pub source: Source,
    /// When it happened; defaults to the time of acceptance.
    pub occurred_at: Option<Timestamp>,
    /// The producer's own id, which makes reposting idempotent.
    pub producer_id: Option<ProducerId>,
    /// `data.call_id`.
    pub call: CallId,
    /// The lead's phone number, `data.lead_phone`, if any; indexed for the log.
    pub phone: Option<String>,
    /// The platform's object, as posted.
    pub data: String,
    /// Where in it the long members are.
    pub long: LongMembers,
}

/// An accepted event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Assigned at acceptance; the `webhook-id` of its deliveries.
    pub id: EventId,
    /// When it was accepted.
    pub accepted_at: Timestamp,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// Its event type.
    pub event_type: EventType,
    /// The company.
    pub company: Company,
    /// The domain.
    pub domain: Option<Domain>,
    /// Where it came from.
    pub source: Source,
    /// The producer's own id.
    pub producer_id: Option<ProducerId>,
    /// `data.call_id`.
    pub call: CallId,
    /// `data.lead_phone`.
    pub phone: Option<String>,
    /// The platform's object, as posted.
    pub data: String,
}

#[cfg(test)]
impl Event {
    /// A `call.new` of the company "acme" and the call "c" with these data, at time zero.
    pub fn for_test(data: &str) -> Self {
        Self {
            id: EventId::from_bits(1),
            accepted_at: Timestamp::ZERO,
            occurred_at: Timestamp::ZERO,
            event_type: EventType::parse("call.new").unwrap(),
            company: Company::parse("acme").unwrap(),
            domain: None,
            source: Source::Api,
            producer_id: None,
            call: CallId::parse("c").unwrap(),
            phone: None,
            data: data.to_owned(),
        }
    }
}

impl NewEvent {
    /// The event, accepted as `id` at `now`; `occurred_at` defaults to `now`.
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
}
