//! A subscription with its secrets.
//!
//! Version 1 is [`Plain`]. One with a client certificate is version 2: the same, and then the
//! certificate; in the journal that is a frame of another kind. Without one, nothing has changed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bincode::{Decode, Encode};

use crate::core::client_certificate::ClientCertificate;
use crate::core::event::{Company, Domain, EventType, Source};
use crate::core::id::SubscriptionId;
use crate::core::subscription::{
    DisabledReason, Format, Header, Hidden, Layout, Ordering, PreviousSecret, Secret, Selection, Subscription,
};

use super::{VERSION, Word, at, millis};

/// The version of a value with a client certificate.
const CERTIFIED: u8 = 2;

/// A subscription.
pub(in crate::store) struct SubscriptionRecord {
    plain: Plain,
    certificate: Option<Certificate>,
}

/// A client certificate and its key.
#[derive(Encode, Decode)]
struct Certificate {
    cert: String,
    key: String,
}

/// Everything but the client certificate.
#[derive(Encode, Decode)]
struct Plain {
    id: u128,
    number: u32,
    company: String,
    domain: Option<String>,
    sources: Vec<String>,
    url: String,
    format: String,
    layout: String,
    /// `None` for all.
    events: Option<Vec<String>>,
    description: String,
    headers: Vec<(String, String)>,
    timeout_ms: Option<u64>,
    max_in_flight: Option<u32>,
    rate_per_second: Option<u32>,
    ordering: String,
    expire_after_ms: BTreeMap<String, u64>,
    disabled: Option<String>,
    created_at: u64,
    updated_at: u64,
    secret: Vec<u8>,
    previous_secret: Option<(Vec<u8>, u64)>,
    /// Deleted, and kept until what it was owed is cancelled.
    deleted: bool,
}

impl SubscriptionRecord {
    pub(in crate::store) fn new(subscription: &Subscription, deleted: bool) -> Self {
        let certificate = subscription.client_certificate.as_ref();
        let certificate = certificate.map(|it| Certificate { cert: it.cert.clone(), key: it.key.expose().to_owned() });
        Self { plain: Plain::new(subscription, deleted), certificate }
    }

    pub(in crate::store) const fn number(&self) -> u32 {
        self.plain.number
    }

    /// Whether it was deleted, and is kept until what it was owed is cancelled.
    pub(in crate::store) const fn is_deleted(&self) -> bool {
        self.plain.deleted
    }

    /// Whether there is a client certificate.
    pub(in crate::store) const fn is_certified(&self) -> bool {
        self.certificate.is_some()
    }

    /// Appends the payload of its frame.
    pub(in crate::store) fn encode_into(&self, out: &mut Vec<u8>) {
        super::encode_into(out, &self.plain);
        if let Some(certificate) = &self.certificate {
            super::encode_into(out, certificate);
        }
    }

    /// Reads the payload of a frame without a certificate.
    pub(in crate::store) fn decode(payload: &[u8]) -> Option<Self> {
        super::decode(payload).map(|plain| Self { plain, certificate: None })
    }

    /// Reads the payload of a frame with a certificate.
    pub(in crate::store) fn decode_certified(payload: &[u8]) -> Option<Self> {
        super::decode(payload).map(|(plain, certificate)| Self { plain, certificate: Some(certificate) })
    }

    /// The value in the state database: a version, then the payload.
    pub(in crate::store) fn to_value(&self) -> Vec<u8> {
        let mut value = vec![if self.is_certified() { CERTIFIED } else { VERSION }];
        self.encode_into(&mut value);
        value
    }

    /// Reads a value of the state database.
    pub(in crate::store) fn of_value(value: &[u8]) -> Option<Self> {
        match value.split_first()? {
            (&VERSION, payload) => Self::decode(payload),
            (&CERTIFIED, payload) => Self::decode_certified(payload),
            _ => None,
        }
    }

    /// The subscription; `None` if the record holds what cannot be one.
    pub(in crate::store) fn subscription(self) -> Option<Subscription> {
        let client_certificate =
            self.certificate.map(|it| Arc::new(ClientCertificate { cert: it.cert, key: Hidden::new(it.key) }));
        Some(Subscription { client_certificate, ..self.plain.subscription()? })
    }
}

impl Plain {
    fn new(subscription: &Subscription, deleted: bool) -> Self {
        let events = match &subscription.events {
            Selection::All => None,
            Selection::Some(types) => Some(types.iter().map(|name| name.as_str().to_owned()).collect()),
        };
        let expiry = subscription.expire_after.iter();
        Self {
            id: subscription.id.bits(),
            number: subscription.number,
            company: subscription.company.as_str().to_owned(),
            domain: subscription.domain.as_ref().map(|domain| domain.as_str().to_owned()),
            sources: subscription.sources.iter().map(|source| source.word()).collect(),
            url: subscription.url.clone(),
            format: subscription.format.word(),
            layout: subscription.layout.word(),
            events,
            description: subscription.description.clone(),
            headers: subscription.headers.iter().map(|h| (h.name.clone(), h.value.expose().to_owned())).collect(),
            timeout_ms: subscription.timeout.map(millis),
            max_in_flight: subscription.max_in_flight,
            rate_per_second: subscription.rate_per_second,
            ordering: subscription.ordering.word(),
            expire_after_ms: expiry.map(|(name, after)| (name.as_str().to_owned(), millis(*after))).collect(),
            disabled: subscription.disabled.map(Word::word),
            created_at: subscription.created_at.millis(),
            updated_at: subscription.updated_at.millis(),
            secret: subscription.secret.bytes().to_vec(),
            previous_secret: subscription
                .previous_secret
                .as_ref()
                .map(|p| (p.secret.bytes().to_vec(), p.until.millis())),
            deleted,
        }
    }

    fn subscription(self) -> Option<Subscription> {
        let types = |names: Vec<String>| names.iter().map(|name| EventType::parse(name).ok()).collect::<Option<_>>();
        let events = match self.events {
            None => Selection::All,
            Some(names) => Selection::Some(types(names)?),
        };
        let expiry = self.expire_after_ms.into_iter();
        let header = |(name, value): (String, String)| Header { name, value: Hidden::new(value) };
        let previous =
            |(bytes, until): (Vec<u8>, u64)| PreviousSecret { secret: Secret::from_bytes(bytes), until: at(until) };
        Some(Subscription {
            id: SubscriptionId::from_bits(self.id),
            number: self.number,
            company: Company::parse(&self.company).ok()?,
            domain: self.domain.and_then(|domain| Domain::parse(&domain).ok()),
            sources: self.sources.iter().map(|word| Source::read(word)).collect::<Option<_>>()?,
            url: self.url,
            format: Format::read(&self.format)?,
            layout: Layout::read(&self.layout)?,
            events,
            description: self.description,
            headers: self.headers.into_iter().map(header).collect(),
            client_certificate: None,
            timeout: self.timeout_ms.map(Duration::from_millis),
            max_in_flight: self.max_in_flight,
            rate_per_second: self.rate_per_second,
            ordering: Ordering::read(&self.ordering)?,
            expire_after: expiry
                .map(|(name, after)| Some((EventType::parse(&name).ok()?, Duration::from_millis(after))))
                .collect::<Option<_>>()?,
            disabled: match self.disabled {
                None => None,
                Some(word) => Some(DisabledReason::read(&word)?),
            },
            created_at: at(self.created_at),
            updated_at: at(self.updated_at),
            secret: Secret::from_bytes(self.secret),
            previous_secret: self.previous_secret.map(previous),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests;

    #[test]
    fn a_certificate_is_kept_and_without_one_nothing_has_changed() {
        let plain = tests::subscription(7);
        let value = SubscriptionRecord::new(&plain, false).to_value();
        assert_eq!(value, crate::store::step::versioned(&Plain::new(&plain, false)));
        let certificate = ClientCertificate { cert: "c".repeat(9000), key: Hidden::new("k") };
        let certified = Subscription { client_certificate: Some(Arc::new(certificate)), ..plain.clone() };
        for subscription in [plain, certified] {
            let record = SubscriptionRecord::new(&subscription, true);
            let read = SubscriptionRecord::of_value(&record.to_value()).unwrap();
            assert!(read.is_deleted() && read.number() == 7);
            assert_eq!(read.subscription(), Some(subscription));
        }
    }
}
