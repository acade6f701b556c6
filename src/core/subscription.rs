//! The subscription: a registered webhook, and which events it receives.
//!
//! Parsing is [`super::subscription_input`]'s; a value here is valid. Signing secrets and header values are kept in
//! types that print as `[secret]`.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::client_certificate::ClientCertificate;
use super::event::{Company, Domain, EventType, Source};
use super::hidden::Hidden;
use super::id::{SubscriptionId, SubscriptionNumber};
use super::mail_address::MailAddress;
use super::target::Target;
use super::text::words;
use super::time::Timestamp;

/// A signing secret: the key of the HMAC, 24 to 64 bytes (Standard Webhooks, 'Signature scheme').
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// The prefix of a secret's text.
    pub const PREFIX: &'static str = "whsec_";

    /// The secret with these bytes.
    pub fn from_bytes(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// Parses `whsec_` and base64 (RFC 4648 section 4, with padding).
    ///
    /// # Errors
    /// A sentence on what would be valid and what is not; never the text itself.
    pub fn parse(text: &str) -> Result<Self, String> {
        const WANTED: &str = "must be `whsec_` and the base64 of 24 to 64 bytes";
        let encoded = text.strip_prefix(Self::PREFIX).ok_or_else(|| format!("{WANTED}; it does not begin so"))?;
        let bytes = STANDARD.decode(encoded);
        let bytes = bytes.map_err(|_| format!("{WANTED}; what follows `whsec_` is not base64 with its padding"))?;
        if !(24..=64).contains(&bytes.len()) {
            return Err(format!("{WANTED}, not of {}", bytes.len()));
        }
        Ok(Self(bytes))
    }

    /// The key.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The text given to a receiver: `whsec_` and base64.
    pub fn reveal(&self) -> String {
        format!("{}{}", Self::PREFIX, STANDARD.encode(&self.0))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

words! {
    /// The body's format.
    Format {
        /// `application/json`
        Json = "json",
        /// `application/x-www-form-urlencoded`, with bracket keys
        Form = "form",
    }
}

words! {
    /// How a form represents lists and objects.
    Nested {
        /// Each value inside is a field of its own, with its path in brackets.
        Brackets = "brackets",
        /// Each member of the document that is one becomes a field with its JSON text.
        Json = "json",
    }
}

words! {
    /// The body's layout.
    Layout {
        /// `{"id","type","timestamp","company","domain","source","data"}`
        Envelope = "envelope",
        /// `{"event": type, …the members of data}`
        Flat = "flat",
        /// A CloudEvent 1.0 in its JSON format, with the data inside; not as a form.
        CloudEvents = "cloudevents",
    }
}

words! {
    /// The order of a subscription's deliveries.
    Ordering {
        /// The events of one call are delivered in the order in which they were accepted.
        Call = "call",
        /// None: nothing is held back.
        None = "none",
    }
}

/// The selected event types.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// `["*"]`: all, including those declared later.
    All,
    /// These; at least one.
    Some(BTreeSet<EventType>),
}

impl Selection {
    /// Whether `event_type` is selected.
    pub fn contains(&self, event_type: &EventType) -> bool {
        match self {
            Self::All => true,
            Self::Some(types) => types.contains(event_type),
        }
    }
}

/// A header of the subscription's own, sent with each delivery. The value is write-only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Its name, as it was written.
    pub name: String,
    /// Its value.
    pub value: Hidden,
}

words! {
    /// Why a subscription was disabled.
    DisabledReason {
        /// Disabled by hand.
        ByHand = "disabled by hand",
        /// The receiver answered 410.
        Gone = "the receiver answered 410 Gone",
        /// Every attempt failed for `[retry] disable_after`.
        Failing = "every attempt failed for too long",
        /// Its stored secrets cannot be decrypted and must be replaced first. Never stored.
        Unreadable = "its secrets on the disk cannot be opened",
    }
}

/// The secret before the last rotation, with which deliveries are also signed until it ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreviousSecret {
    /// The secret.
    pub secret: Secret,
    /// When it stops being used.
    pub until: Timestamp,
}

/// A registered webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// Its id.
    pub id: SubscriptionId,
    /// A small number assigned at creation and never reused; part of its deliveries' ids.
    pub number: SubscriptionNumber,
    /// The company.
    pub company: Company,
    /// The domain whose events it receives; `None` for every domain.
    pub domain: Option<Domain>,
    /// The sources whose events it receives; empty for all.
    pub sources: BTreeSet<Source>,
    /// Where deliveries are posted: an absolute http or https URL.
    pub url: String,
    /// The body's format.
    pub format: Format,
    /// The body's layout.
    pub layout: Layout,
    /// How a form holds lists and objects.
    pub nested: Nested,
    /// What is sent instead, what of it is owed, what counts as delivered, and how to sign in.
    pub target: Target,
    /// The selected event types.
    pub events: Selection,
    /// Free text.
    pub description: String,
    /// Its own headers.
    pub headers: Vec<Header>,
    /// The client certificate.
    pub client_certificate: Option<Arc<ClientCertificate>>,
    /// The timeout of an attempt; `None` for `[senders] timeout`.
    pub timeout: Option<Duration>,
    /// Maximum attempts in flight; `None` for `[senders] max_in_flight`.
    pub max_in_flight: Option<u32>,
    /// Maximum attempts started per second; `None` for no limit.
    pub rate_per_second: Option<u32>,
    /// The order kept.
    pub ordering: Ordering,
    /// How long after acceptance a delivery stays valid, by event type.
    pub expire_after: BTreeMap<EventType, Duration>,
    /// Who is told by mail when it fails, recovers or is disabled.
    pub notify: Vec<MailAddress>,
    /// Why it is disabled; `None` while it is enabled.
    pub disabled: Option<DisabledReason>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// The signing secret.
    pub secret: Secret,
    /// The previous secret, which also signs for a while after a rotation.
    pub previous_secret: Option<PreviousSecret>,
}

impl Subscription {
    /// The message when the secrets of a [locked](Self::is_locked) subscription are needed.
    pub const LOCKED: &str = "its secrets cannot be opened: rotate its secret first";

    /// Whether its secrets could not be decrypted. Then it has no secrets, no headers of its own, no client certificate,
    /// and does not sign in.
    pub fn is_locked(&self) -> bool {
        self.disabled == Some(DisabledReason::Unreadable)
    }

    /// Whether it is enabled.
    pub const fn enabled(&self) -> bool {
        self.disabled.is_none()
    }

    /// Whether an event with these properties is to be delivered to it. Disabled subscriptions match too: their
    /// deliveries wait until they are enabled again.
    pub fn matches(&self, company: &Company, domain: Option<&Domain>, source: Source, event_type: &EventType) -> bool {
        self.company == *company
            && (self.domain.is_none() || self.domain.as_ref() == domain)
            && (self.sources.is_empty() || self.sources.contains(&source))
            && self.events.contains(event_type)
    }

    /// The secrets to sign with at `now`, newest first; none if it [is locked](Self::is_locked).
    pub fn secrets(&self, now: Timestamp) -> Vec<&Secret> {
        if self.is_locked() {
            return Vec::new();
        }
        let previous = self.previous_secret.as_ref().filter(|previous| now < previous.until);
        std::iter::once(&self.secret).chain(previous.map(|previous| &previous.secret)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_read_and_never_printed() {
        let secret = Secret::from_bytes(vec![7; 32]);
        assert_eq!(Secret::parse(&secret.reveal()), Ok(secret.clone()));
        assert_eq!(format!("{secret:?} {:?}", Hidden::new("hunter2")), "[secret] [secret]");
        for wrong in ["", "whsec_", "whsec_AAAA", "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=", "whsec_!!!"] {
            assert!(Secret::parse(wrong).is_err(), "{wrong}");
        }
    }
}
