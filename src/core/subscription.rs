//! The subscription: a registered webhook, and which events it wants.
//!
//! Reading one from JSON is [`super::subscription_input`]'s; a value here is valid. Signing secrets
//! and header values are kept in types that print as `[secret]`.

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
use super::id::SubscriptionId;
use super::text::words;
use super::time::Timestamp;

/// A signing secret: the key of the HMAC, 24 to 64 bytes (Standard Webhooks, 'Signature scheme').
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// What the text of a secret begins with.
    pub const PREFIX: &'static str = "whsec_";

    /// The secret with these bytes.
    pub fn from_bytes(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// Reads `whsec_` and base64 (RFC 4648 section 4, with its padding).
    ///
    /// # Errors
    /// A sentence on what would be right and what is not; never the text itself.
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

    /// The text a receiver is given: `whsec_` and base64.
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
    /// How the body is written.
    Format {
        /// `application/json`
        Json = "json",
        /// `application/x-www-form-urlencoded`, with bracket keys
        Form = "form",
    }
}

words! {
    /// How a form holds lists and objects.
    Nested {
        /// Each value inside is a field of its own, its place in brackets.
        Brackets = "brackets",
        /// Each member of the document that is one is a field with its JSON text.
        Json = "json",
    }
}

words! {
    /// What the body holds.
    Layout {
        /// `{"id","type","timestamp","company","domain","source","data"}`
        Envelope = "envelope",
        /// `{"event": type, …the members of data}`
        Flat = "flat",
    }
}

words! {
    /// Which order a subscription's deliveries keep.
    Ordering {
        /// The events of one call arrive in the order in which they were accepted.
        Call = "call",
        /// None: nothing is held back.
        None = "none",
    }
}

/// Which event types are selected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// `["*"]`: every one, also those declared later.
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
        /// Somebody disabled it.
        ByHand = "disabled by hand",
        /// The receiver answered 410.
        Gone = "the receiver answered 410 Gone",
        /// Every attempt failed for `[retry] disable_after`.
        Failing = "every attempt failed for too long",
        /// What is stored of its secrets cannot be opened: they must be made anew first. Never stored.
        Unreadable = "its secrets on the disk cannot be opened",
    }
}

/// The secret before the last rotation, with which deliveries are signed too until it ends.
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
    /// A small number given at creation and never given again; part of its deliveries' ids.
    pub number: u32,
    /// Whose it is.
    pub company: Company,
    /// The one site whose events it wants; `None` for every site.
    pub domain: Option<Domain>,
    /// The sources whose events it wants; empty for all.
    pub sources: BTreeSet<Source>,
    /// Where deliveries are posted: an absolute http or https URL.
    pub url: String,
    /// How the body is written.
    pub format: Format,
    /// What the body holds.
    pub layout: Layout,
    /// How a form holds lists and objects.
    pub nested: Nested,
    /// The event types it wants.
    pub events: Selection,
    /// A word of its owner's.
    pub description: String,
    /// Its own headers.
    pub headers: Vec<Header>,
    /// The certificate that is shown to the receiver.
    pub client_certificate: Option<Arc<ClientCertificate>>,
    /// How long an attempt may take; `None` for `[senders] timeout`.
    pub timeout: Option<Duration>,
    /// How many attempts may be under way at once; `None` for `[senders] max_in_flight`.
    pub max_in_flight: Option<u32>,
    /// How many attempts may begin each second; `None` for any number.
    pub rate_per_second: Option<u32>,
    /// Which order is kept.
    pub ordering: Ordering,
    /// By event type, how long after acceptance a delivery is still wanted.
    pub expire_after: BTreeMap<EventType, Duration>,
    /// Why it is disabled; `None` while it is enabled.
    pub disabled: Option<DisabledReason>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// What deliveries are signed with.
    pub secret: Secret,
    /// What they are signed with too, for a while after a rotation.
    pub previous_secret: Option<PreviousSecret>,
}

impl Subscription {
    /// What is said where the secrets of one that [is locked](Self::is_locked) are wanted.
    pub const LOCKED: &str = "its secrets cannot be opened: rotate its secret first";

    /// Whether its secrets could not be opened. Then it has none, no headers of its own and no client certificate.
    pub fn is_locked(&self) -> bool {
        self.disabled == Some(DisabledReason::Unreadable)
    }

    /// Whether deliveries flow.
    pub const fn enabled(&self) -> bool {
        self.disabled.is_none()
    }

    /// Whether an event of these properties is owed to it. Disabled ones match too: what comes
    /// while a subscription is paused is owed, and flows when it is enabled again.
    pub fn matches(&self, company: &Company, domain: Option<&Domain>, source: Source, event_type: &EventType) -> bool {
        self.company == *company
            && (self.domain.is_none() || self.domain.as_ref() == domain)
            && (self.sources.is_empty() || self.sources.contains(&source))
            && self.events.contains(event_type)
    }

    /// The secrets to sign with at `now`, the newest first; none if it [is locked](Self::is_locked).
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
