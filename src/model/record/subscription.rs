//! A subscription with its secrets.
//!
//! Version 1 is [`Plain`]. With a client certificate it is version 2: the same, followed by the certificate. With a key
//! ([`Keyring`]) it is version 3: [`Plain`] without secrets, followed by all of them sealed as one, so that none can be
//! exchanged for that of another subscription or for an older one. Version 4 has settings added later ([`Extension`])
//! between [`Plain`] and the rest, which is tagged; it is written if one of them differs from its default. Version 5 is
//! the same with the settings of the target ([`TargetRecord`]), and with the secret by which it signs in, sealed
//! together with the others. Version 6 is that with further settings after it ([`More`]). Each version is a record kind of its own. A subscription without any of this is still
//! written as version 1.

mod later;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bincode::{Decode, Encode};

use crate::core::client_certificate::ClientCertificate;
use crate::core::event::{Company, Domain, EventType, Source};
use crate::core::hidden::Hidden;
use crate::core::id::{SubscriptionId, SubscriptionNumber};
use crate::core::mail_address::MailAddress;
use crate::core::seal::{self, Fingerprint, Keyring, Sealed, Unopened};
use crate::core::subscription::{
    DisabledReason, Format, Header, Layout, Nested, Ordering, PreviousSecret, Secret, Selection, Subscription,
};
use crate::core::target::Target;
use crate::model::key::ValueKind;
use crate::model::keys;
use crate::model::record::codec::{self, Word, at, millis};
use crate::model::record::kind::{
    Class, Kind, Locked, Registered, Target as Applied, begins_no_delivery, kept_by_the_view, not_indexed,
    nothing_personal,
};
use crate::model::record::target::TargetRecord;

pub(crate) use later::Form;
use later::{Extension, More};

/// Associated data of the sealed secrets, followed by the subscription's id, so that they are valid for it alone.
const ABOUT: &[u8] = b"hookswitch subscription secrets v1\0";
/// The same for version 5, whose secrets are [`TargetSecrets`].
const ABOUT_TARGET: &[u8] = b"hookswitch subscription secrets v2\0";

/// A subscription.
#[derive(Clone)]
pub(crate) struct SubscriptionRecord {
    plain: Plain,
    extension: Extension,
    target: Option<TargetRecord>,
    more: More,
    /// The secret by which it signs in, unless it is sealed.
    auth_secret: Option<String>,
    rest: Rest,
}

/// The secrets of a record with a target.
#[derive(Encode, Decode)]
struct TargetSecrets {
    secrets: Secrets,
    auth: Option<String>,
}

/// What follows the plain record.
#[derive(Clone, Encode, Decode)]
enum Rest {
    Nothing,
    Certificate(Certificate),
    Sealed(SealedSecrets),
}

/// A client certificate and its key.
#[derive(Clone, Encode, Decode)]
struct Certificate {
    cert: String,
    key: String,
}

/// Sealed [`Secrets`].
#[derive(Clone, Encode, Decode)]
struct SealedSecrets {
    /// The fingerprint of the key.
    key: [u8; 8],
    nonce: [u8; seal::NONCE],
    text: Vec<u8>,
}

/// The secrets of a plain record.
#[derive(Encode, Decode)]
struct Secrets {
    secret: Vec<u8>,
    previous_secret: Option<(Vec<u8>, u64)>,
    headers: Vec<(String, String)>,
    certificate: Option<Certificate>,
}

impl std::fmt::Debug for SubscriptionRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[record of subscription {}]", self.plain.number)
    }
}

/// Everything but the client certificate.
#[derive(Clone, Encode, Decode)]
struct Plain {
    id: u128,
    number: SubscriptionNumber,
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
    /// Deleted, and kept until its deliveries are cancelled.
    deleted: bool,
}

impl SubscriptionRecord {
    /// A record in plaintext.
    pub(crate) fn new(subscription: &Subscription, deleted: bool) -> Self {
        let certificate = subscription.client_certificate.as_ref();
        let certificate = certificate.map(|it| Certificate { cert: it.cert.clone(), key: it.key.expose().to_owned() });
        let rest = certificate.map_or(Rest::Nothing, Rest::Certificate);
        let extension = Extension { nested: subscription.nested.word() };
        let target = TargetRecord::of(&subscription.target);
        let auth_secret = subscription.target.auth.as_ref().map(|auth| auth.secret().expose().to_owned());
        let more = More { notify: subscription.notify.iter().map(ToString::to_string).collect() };
        Self { plain: Plain::new(subscription, deleted), extension, target, more, auth_secret, rest }
    }

    /// Seals the secrets, if there is a sealing key. Secrets that are sealed already stay as they are, with any key.
    /// `nonce` is random.
    pub(crate) fn sealed(mut self, keys: &Keyring, nonce: [u8; seal::NONCE]) -> Self {
        let certificate = match (&self.rest, keys.sealing()) {
            (Rest::Sealed(_), _) | (_, None) => return self,
            (Rest::Nothing, _) => None,
            (Rest::Certificate(certificate), _) => Some(certificate.clone()),
        };
        let secrets = self.plain.take_secrets(certificate);
        let secrets = match self.target {
            None => codec::encode(&secrets),
            Some(_) => codec::encode(&TargetSecrets { secrets, auth: self.auth_secret.take() }),
        };
        let secrets = zeroize::Zeroizing::new(secrets);
        if let Some(Sealed { key, nonce, text }) = keys.seal(nonce, &self.about(), &secrets) {
            self.rest = Rest::Sealed(SealedSecrets { key: key.bytes(), nonce, text });
        }
        self
    }

    /// The record of a subscription, sealed if there is a sealing key.
    pub(crate) fn sealed_by(subscription: &Subscription, deleted: bool, keys: &Keyring) -> Self {
        Self::new(subscription, deleted).sealed_with_new_nonce(keys)
    }

    fn sealed_with_new_nonce(self, keys: &Keyring) -> Self {
        if keys.sealing().is_none() {
            return self;
        }
        let mut nonce = [0; seal::NONCE];
        getrandom::fill(&mut nonce).expect("the kernel gives random bytes once it has booted");
        self.sealed(keys, nonce)
    }

    /// Reseals the record with the current key, if there is one and the record can be opened; otherwise returns it
    /// unchanged.
    pub(crate) fn sealed_with_current_key(self, keys: &Keyring) -> Self {
        if keys.sealing().is_none() || self.key() == keys.sealing() {
            return self;
        }
        self.clone().opened(keys).map_or(self, |open| open.sealed_with_new_nonce(keys))
    }

    pub(crate) const fn number(&self) -> SubscriptionNumber {
        self.plain.number
    }

    /// Marks it as deleted.
    pub(crate) fn deleted(mut self) -> Self {
        self.plain.deleted = true;
        self
    }

    /// Its encoding.
    pub(crate) fn form(&self) -> Form {
        match self.rest {
            _ if self.more != More::default() => Form::Further,
            _ if self.target.is_some() => Form::Targeted,
            _ if self.extension != Extension::default() => Form::Extended,
            Rest::Nothing => Form::Plain,
            Rest::Certificate(_) => Form::Certified,
            Rest::Sealed(_) => Form::Sealed,
        }
    }

    /// The key that sealed its secrets; `None` if they are in plaintext.
    pub(crate) const fn key(&self) -> Option<Fingerprint> {
        match &self.rest {
            Rest::Sealed(sealed) => Some(Fingerprint::from_bytes(sealed.key)),
            Rest::Nothing | Rest::Certificate(_) => None,
        }
    }

    /// Appends the payload.
    pub(crate) fn encode_into(&self, out: &mut Vec<u8>) {
        codec::encode_into(out, &self.plain);
        if self.form() == Form::Further {
            codec::encode_into(out, &(&self.extension, &self.target, &self.more, &self.auth_secret, &self.rest));
            return;
        }
        if let Some(target) = &self.target {
            codec::encode_into(out, &(&self.extension, target, &self.auth_secret, &self.rest));
            return;
        }
        match &self.rest {
            _ if self.form() == Form::Extended => codec::encode_into(out, &(&self.extension, &self.rest)),
            Rest::Nothing => {}
            Rest::Certificate(certificate) => codec::encode_into(out, certificate),
            Rest::Sealed(sealed) => codec::encode_into(out, sealed),
        }
    }

    /// Decodes a payload.
    pub(crate) fn decode(form: Form, payload: &[u8]) -> Option<Self> {
        let older = |plain, extension, rest| Self {
            plain,
            extension,
            target: None,
            more: More::default(),
            auth_secret: None,
            rest,
        };
        let unextended = |plain, rest| older(plain, Extension::default(), rest);
        match form {
            Form::Plain => codec::decode(payload).map(|plain| unextended(plain, Rest::Nothing)),
            Form::Certified => codec::decode(payload).map(|(plain, rest)| unextended(plain, Rest::Certificate(rest))),
            Form::Sealed => codec::decode(payload).map(|(plain, rest)| unextended(plain, Rest::Sealed(rest))),
            Form::Extended => codec::decode(payload).map(|(plain, (extension, rest))| older(plain, extension, rest)),
            Form::Targeted => codec::decode(payload).map(|(plain, (extension, target, auth_secret, rest))| Self {
                plain,
                extension,
                target: Some(target),
                more: More::default(),
                auth_secret,
                rest,
            }),
            Form::Further => codec::decode(payload).map(|(plain, (extension, target, more, auth_secret, rest))| Self {
                plain,
                extension,
                target,
                more,
                auth_secret,
                rest,
            }),
        }
    }

    /// Encodes it as a value of the view: the version, then the payload.
    pub(crate) fn to_value(&self) -> Vec<u8> {
        let mut value = vec![self.form() as u8];
        self.encode_into(&mut value);
        value
    }

    /// Decodes a value of the view.
    pub(crate) fn of_value(value: &[u8]) -> Option<Self> {
        let (version, payload) = value.split_first()?;
        let form = Form::ALL.into_iter().find(|form| *form as u8 == *version)?;
        Self::decode(form, payload)
    }

    /// The subscription with opened secrets; `None` if the record is invalid.
    pub(crate) fn unsealed(self, keys: &Keyring) -> Option<Registered> {
        let (key, deleted) = (self.key(), self.plain.deleted);
        match self.clone().opened(keys) {
            Ok(open) => {
                let stale = keys.sealing().is_some_and(|sealing| key != Some(sealing));
                Some(Registered { subscription: open.subscription()?, deleted, locked: None, stale })
            }
            Err(_) => {
                let disabled = Some(DisabledReason::Unreadable);
                let locked = Self { rest: Rest::Nothing, auth_secret: None, ..self.clone() };
                let subscription = Subscription { disabled, ..locked.subscription()? };
                let locked = Locked { value: self.to_value(), key, enabled: self.plain.disabled.is_none() };
                Some(Registered { subscription, deleted, locked: Some(locked), stale: false })
            }
        }
    }

    /// Opens the secrets.
    ///
    /// # Errors
    /// They cannot be opened.
    pub(crate) fn opened(mut self, keys: &Keyring) -> Result<Self, Unopened> {
        let about = self.about();
        let Rest::Sealed(SealedSecrets { key, nonce, text }) = self.rest else { return Ok(self) };
        let sealed = Sealed { key: Fingerprint::from_bytes(key), nonce, text };
        let opened = keys.open(&about, &sealed)?;
        let secrets: Secrets = match self.target {
            None => codec::decode(&opened).ok_or(Unopened::Damaged)?,
            Some(_) => {
                let opened: TargetSecrets = codec::decode(&opened).ok_or(Unopened::Damaged)?;
                self.auth_secret = opened.auth;
                opened.secrets
            }
        };
        self.rest = self.plain.put_secrets(secrets).map_or(Rest::Nothing, Rest::Certificate);
        Ok(self)
    }

    /// The subscription of a record in plaintext.
    fn subscription(self) -> Option<Subscription> {
        let client_certificate = match self.rest {
            Rest::Certificate(it) => Some(Arc::new(ClientCertificate { cert: it.cert, key: Hidden::new(it.key) })),
            Rest::Nothing | Rest::Sealed(_) => None,
        };
        let nested = Nested::read(&self.extension.nested)?;
        let target = match self.target {
            Some(target) => target.target(self.auth_secret)?,
            None => Target::default(),
        };
        let notify = self.more.notify.iter().map(|address| MailAddress::parse(address).ok()).collect::<Option<_>>()?;
        Some(Subscription { client_certificate, nested, target, notify, ..self.plain.subscription()? })
    }

    /// The associated data of its sealed secrets.
    fn about(&self) -> Vec<u8> {
        let about = if self.target.is_some() { ABOUT_TARGET } else { ABOUT };
        [about, &self.plain.id.to_be_bytes()].concat()
    }
}

impl Plain {
    /// Takes the secrets out.
    fn take_secrets(&mut self, certificate: Option<Certificate>) -> Secrets {
        Secrets {
            secret: std::mem::take(&mut self.secret),
            previous_secret: self.previous_secret.take(),
            headers: std::mem::take(&mut self.headers),
            certificate,
        }
    }

    /// Puts the secrets back, except the certificate, which is returned.
    fn put_secrets(&mut self, secrets: Secrets) -> Option<Certificate> {
        (self.secret, self.previous_secret) = (secrets.secret, secrets.previous_secret);
        self.headers = secrets.headers;
        secrets.certificate
    }

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
            nested: Nested::Brackets,
            target: Target::default(),
            notify: Vec::new(),
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

impl Kind for SubscriptionRecord {
    const KINDS: &'static [u8] = &[3, 20, 21, 24, 27, 41];
    const NAME: &'static str = "subscriptions";
    const CLASS: Class = Class::Other;
    const GRANTS_RIGHTS: bool = true;

    fn kind(&self) -> u8 {
        Self::KINDS[self.form() as usize - 1]
    }

    fn encode(&self, out: &mut Vec<u8>) {
        self.encode_into(out);
    }

    fn decode(kind: u8, payload: &[u8]) -> Option<Self> {
        let form = Self::KINDS.iter().position(|own| *own == kind)?;
        Self::decode(Form::ALL[form], payload)
    }

    not_indexed!();
    begins_no_delivery!();

    fn decodes_fully(self, _: u128) -> bool {
        self.unsealed(&Keyring::default()).is_some()
    }

    fn apply(self, _: u128, target: Applied<'_>) -> Option<Self> {
        let Applied { view, memory } = target;
        let keyring = memory.keys();
        let record = self.sealed_with_current_key(&keyring);
        let key = keys::numbered(ValueKind::Subscription, record.number());
        view.put_pieces(&key, &record.to_value(), keys::SUBSCRIPTION_PIECES);
        if let Some(registered) = record.unsealed(&keyring) {
            memory.put_subscription(registered);
        }
        None
    }

    kept_by_the_view!();
    nothing_personal!();
}

#[cfg(test)]
mod tests;
