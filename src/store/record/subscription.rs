//! A subscription with its secrets.

use std::collections::BTreeMap;
use std::time::Duration;

use bincode::{Decode, Encode};

use crate::core::event::{Company, Domain, EventType, Source};
use crate::core::id::SubscriptionId;
use crate::core::subscription::{
    DisabledReason, Format, Header, Hidden, Layout, Ordering, PreviousSecret, Secret, Selection, Subscription,
};

use super::{Word, at, millis};

/// A subscription.
#[derive(Encode, Decode)]
pub(in crate::store) struct SubscriptionRecord {
    id: u128,
    pub(in crate::store) number: u32,
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
    pub(in crate::store) deleted: bool,
}

impl SubscriptionRecord {
    pub(in crate::store) fn new(subscription: &Subscription, deleted: bool) -> Self {
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

    pub(in crate::store) fn subscription(self) -> Option<Subscription> {
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
