//! Parses subscriptions: the bodies of `POST` and `PATCH /v1/subscriptions`.
//!
//! Every member of a parsed [`Change`] is valid; whether its URL's host may be called depends on the network and is
//! checked elsewhere. A secret can be given at creation only; later it is rotated.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::value::RawValue;

use super::address;
use super::catalogue::Catalogue;
use super::client_certificate::{self, CertificateChange, ClientCertificate};
use super::event::{Company, Domain, EventType, Source};
use super::id::{SubscriptionId, SubscriptionNumber};
use super::invalid::{Invalid, pointer};
use super::json::{self, Kind, optional, word};
use super::mail_address::MailAddress;
use super::own_headers::{self, HeaderChange};
use super::payload::fault_of_layout;
use super::preset::Preset;
use super::subscription::{DisabledReason, Format, Header, Layout, Nested, Ordering, Secret, Selection, Subscription};
use super::target::Target;
use super::target_input::{TargetChange, twice_authorized};
use super::time::{Timestamp, format_duration, parse_duration};

/// Maximum characters of a description.
pub const DESCRIPTION_MOST: usize = 500;
/// Maximum addresses of owners.
pub const NOTIFY_MOST: usize = 10;
const EXPIRE_LEAST: Duration = Duration::from_secs(1);
const EXPIRE_MOST: Duration = Duration::from_secs(365 * 86_400);

/// The valid members of a body.
const MEMBERS: &str = "company, domain, sources, url, format, layout, nested, events, description, headers, \
                       client_cert, client_key, secret, timeout_ms, \
                       max_in_flight, rate_per_second, ordering, expire_after, notify, enabled, template, content_type, preset, filter, \
                       success, success_body, auth, signature";

/// The members of a body; `None` if absent. If a member can be reset, the inner `None` (or empty set) means `null`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Change {
    /// The company; immutable after creation.
    pub company: Option<Company>,
    /// The domain; `Some(None)` for every domain.
    pub domain: Option<Option<Domain>>,
    /// The sources; empty for all.
    pub sources: Option<BTreeSet<Source>>,
    /// The URL, normalised as by the WHATWG URL standard.
    pub url: Option<String>,
    /// The body's format.
    pub format: Option<Format>,
    /// The body's layout.
    pub layout: Option<Layout>,
    /// How a form holds lists and objects.
    pub nested: Option<Nested>,
    /// The event types.
    pub events: Option<Selection>,
    /// Free text.
    pub description: Option<String>,
    /// Its own headers, all of them.
    pub headers: Option<Vec<HeaderChange>>,
    /// The client certificate.
    pub certificate: CertificateChange,
    /// The timeout of an attempt.
    pub timeout: Option<Option<Duration>>,
    /// Maximum attempts in flight.
    pub max_in_flight: Option<Option<u32>>,
    /// Maximum attempts started per second.
    pub rate_per_second: Option<Option<u32>>,
    /// The order kept.
    pub ordering: Option<Ordering>,
    /// How long deliveries stay valid, by event type.
    pub expire_after: Option<BTreeMap<EventType, Duration>>,
    /// The target's settings.
    pub target: TargetChange,
    /// Who is told by mail.
    pub notify: Option<Vec<MailAddress>>,
    /// Whether it is enabled.
    pub enabled: Option<bool>,
    /// The signing secret, for receivers that have one already; at creation only.
    pub secret: Option<Secret>,
}

/// A complete, valid subscription without an id.
#[derive(Debug, Clone)]
pub struct Draft {
    company: Company,
    url: String,
    events: Selection,
    headers: Vec<Header>,
    client_certificate: Option<Arc<ClientCertificate>>,
    target: Target,
    ordering: Ordering,
    rest: Change,
}

impl Change {
    /// Parses the members. `null` or `""` resets a member whose default is 'none'. Of the URL only the syntax is
    /// checked; the caller applies [`address::AddressPolicy::check_url`].
    ///
    /// # Errors
    /// Every fault with its pointer, including unknown and read-only members.
    pub fn from_json(raw: &RawValue, catalogue: &Catalogue) -> Result<Self, Invalid> {
        let members = json::members(raw).map_err(|fault| Invalid::one("", fault))?;
        let mut invalid = Invalid::default();
        if let Some(name) = json::first_duplicate(&members) {
            invalid.add(pointer(name), "is given twice");
        }
        let mut change = Self::default();
        for (name, value) in &members {
            change.read(name, value, catalogue, &mut invalid);
        }
        invalid.or(Some(change))
    }

    fn read(&mut self, name: &str, value: &RawValue, catalogue: &Catalogue, invalid: &mut Invalid) {
        let at = &pointer(name);
        let small = |value: &RawValue, most| json::integer(value, 1, most).map(|number| number as u32);
        match name {
            "company" => self.company = invalid.check(at, word(value, Company::parse)),
            "domain" => self.domain = invalid.check(at, optional(value, |value| word(value, Domain::parse))),
            "sources" => self.sources = part(at, read_sources(value), invalid),
            "url" => self.url = invalid.check(at, word(value, |text| address::read_url(text).map(String::from))),
            "format" => self.format = invalid.check(at, word(value, Format::parse)),
            "layout" => self.layout = invalid.check(at, word(value, Layout::parse)),
            "nested" => self.nested = invalid.check(at, word(value, Nested::parse)),
            "events" => self.events = part(at, read_selection(value, catalogue), invalid),
            "description" => {
                let read = optional(value, |value| word(value, read_description));
                self.description = invalid.check(at, read).map(Option::unwrap_or_default);
            }
            "client_cert" => {
                self.certificate.cert = invalid.check(at, optional(value, client_certificate::read_cert));
            }
            "client_key" => {
                self.certificate.key = invalid.check(at, optional(value, client_certificate::read_key));
            }
            "headers" => self.headers = part(at, own_headers::read(value), invalid),
            "timeout_ms" => {
                let read = |value: &RawValue| json::integer(value, 100, 60_000).map(Duration::from_millis);
                self.timeout = invalid.check(at, optional(value, read));
            }
            "max_in_flight" => self.max_in_flight = invalid.check(at, optional(value, |value| small(value, 8_192))),
            "rate_per_second" => {
                self.rate_per_second = invalid.check(at, optional(value, |value| small(value, 10_000)));
            }
            "ordering" => self.ordering = invalid.check(at, word(value, Ordering::parse)),
            "expire_after" => self.expire_after = part(at, read_expiry(value, catalogue), invalid),
            "notify" => self.notify = part(at, read_notify(value), invalid),
            "enabled" => self.enabled = invalid.check(at, json::boolean(value)),
            "secret" => self.secret = invalid.check(at, optional(value, |value| word(value, Secret::parse))).flatten(),
            _ if self.target.read(name, at, value, invalid) => {}
            _ => invalid.add(at, refusal(name)),
        }
    }

    /// For `POST`: `company`, `url` and `events` are required, the others have defaults (`default_ordering` is the
    /// configured one).
    ///
    /// # Errors
    /// Every missing required member, headers that keep a stored value, and half a certificate.
    pub fn into_draft(self, default_ordering: Ordering) -> Result<Draft, Invalid> {
        let mut invalid = Invalid::default();
        let missing =
            [("/company", self.company.is_none()), ("/url", self.url.is_none()), ("/events", self.events.is_none())];
        for (at, _) in missing.into_iter().filter(|(_, missing)| *missing) {
            invalid.add(at, "is missing");
        }
        let headers = own_headers::applied(self.headers.as_deref().unwrap_or_default(), &[]);
        let headers = part("/headers", headers, &mut invalid);
        let client_certificate = part("", self.certificate.resolve(None), &mut invalid);
        let target = part("", self.target.applied(&Target::default()), &mut invalid);
        check_authorization(target.as_ref(), headers.as_deref().unwrap_or_default(), &mut invalid);
        let (format, layout) = (self.format.unwrap_or(Format::Json), self.layout.unwrap_or(Layout::Envelope));
        if let Some(why) = fault_of_layout(format, layout) {
            invalid.add("/layout", why);
        }
        let draft = (|| {
            Some(Draft {
                company: self.company.clone()?,
                url: self.url.clone()?,
                events: self.events.clone()?,
                headers: headers?,
                client_certificate: client_certificate?,
                target: target?,
                ordering: self.ordering.unwrap_or(default_ordering),
                rest: self,
            })
        })();
        invalid.or(draft)
    }

    /// For `PATCH`: `current` with the given members changed. `enabled: true` clears the disabled reason; `false`
    /// sets 'by hand', unless it is disabled already for another reason.
    ///
    /// # Errors
    /// Another company, or headers or a certificate that do not fit those stored.
    pub fn apply(&self, current: &Subscription, now: Timestamp) -> Result<Subscription, Invalid> {
        let mut invalid = Invalid::default();
        if self.company.as_ref().is_some_and(|company| *company != current.company) {
            invalid.add("/company", "cannot be changed: create a subscription of the other company");
        }
        if self.secret.is_some() {
            const ROTATE: &str =
                "cannot be set here: `POST …/rotate-secret` takes it, and the old one signs too for a while";
            invalid.add("/secret", ROTATE);
        }
        let mut changed = current.clone();
        if let Some(headers) = &self.headers {
            let headers = own_headers::applied(headers, &current.headers);
            changed.headers = part("/headers", headers, &mut invalid).unwrap_or_default();
        }
        let certificate = self.certificate.resolve(current.client_certificate.as_ref());
        changed.client_certificate = part("", certificate, &mut invalid).flatten();
        if let Some(target) = part("", self.target.applied(&current.target), &mut invalid) {
            changed.target = target;
        }
        check_authorization(Some(&changed.target), &changed.headers, &mut invalid);
        if let Some(preset) = self.target.new_preset(&current.target) {
            changed.rate_per_second = preset.rate();
        }
        self.apply_to(&mut changed);
        if let Some(why) = fault_of_layout(changed.format, changed.layout) {
            invalid.add("/layout", why);
        }
        changed.updated_at = now;
        invalid.or(Some(changed))
    }

    /// Sets independent members: all but company, headers, certificate and target.
    fn apply_to(&self, target: &mut Subscription) {
        set(&mut target.domain, self.domain.as_ref());
        set(&mut target.sources, self.sources.as_ref());
        set(&mut target.url, self.url.as_ref());
        set(&mut target.format, self.format.as_ref());
        set(&mut target.layout, self.layout.as_ref());
        set(&mut target.nested, self.nested.as_ref());
        set(&mut target.events, self.events.as_ref());
        set(&mut target.description, self.description.as_ref());
        set(&mut target.timeout, self.timeout.as_ref());
        set(&mut target.max_in_flight, self.max_in_flight.as_ref());
        set(&mut target.rate_per_second, self.rate_per_second.as_ref());
        set(&mut target.ordering, self.ordering.as_ref());
        set(&mut target.expire_after, self.expire_after.as_ref());
        set(&mut target.notify, self.notify.as_ref());
        match self.enabled {
            Some(true) => target.disabled = None,
            Some(false) => target.disabled = target.disabled.or(Some(DisabledReason::ByHand)),
            None => {}
        }
    }
}

impl Draft {
    /// The company.
    pub const fn company(&self) -> &Company {
        &self.company
    }

    /// The URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The target's settings.
    pub const fn target(&self) -> &Target {
        &self.target
    }

    /// The client certificate.
    pub const fn client_certificate(&self) -> Option<&Arc<ClientCertificate>> {
        self.client_certificate.as_ref()
    }

    /// The signing secret, if given.
    pub const fn secret(&self) -> Option<&Secret> {
        self.rest.secret.as_ref()
    }

    /// The subscription, with the values assigned by the store.
    pub fn into_subscription(
        self,
        id: SubscriptionId,
        number: SubscriptionNumber,
        secret: Secret,
        now: Timestamp,
    ) -> Subscription {
        let mut created = Subscription {
            id,
            number,
            company: self.company,
            domain: None,
            sources: BTreeSet::new(),
            url: self.url,
            format: Format::Json,
            layout: Layout::Envelope,
            nested: Nested::Brackets,
            target: self.target,
            events: self.events,
            description: String::new(),
            headers: self.headers,
            client_certificate: self.client_certificate,
            timeout: None,
            max_in_flight: None,
            rate_per_second: self.rest.target.preset.flatten().and_then(Preset::rate),
            ordering: self.ordering,
            expire_after: BTreeMap::new(),
            notify: Vec::new(),
            disabled: None,
            created_at: now,
            updated_at: now,
            secret,
            previous_secret: None,
        };
        self.rest.apply_to(&mut created);
        created
    }
}

fn check_authorization(target: Option<&Target>, headers: &[Header], invalid: &mut Invalid) {
    let auth = target.and_then(|target| target.auth.as_ref());
    if let Some(why) = twice_authorized(auth, headers.iter().map(|header| &header.name)) {
        invalid.add("/auth", why);
    }
}

fn set<T: Clone>(target: &mut T, given: Option<&T>) {
    if let Some(given) = given {
        target.clone_from(given);
    }
}

/// Adds the faults of a part at `at`, or returns its value.
fn part<T>(at: &str, read: Result<T, Invalid>, invalid: &mut Invalid) -> Option<T> {
    read.map_err(|inner| invalid.nest(at, inner)).ok()
}

/// Why a member that is not one of [`MEMBERS`] is refused.
fn refusal(name: &str) -> String {
    match name {
        "id" | "created_at" | "updated_at" | "waiting" => "is read-only: leave it out".to_owned(),
        "disabled_reason" => "is read-only: leave it out, and set `enabled`".to_owned(),
        _ => format!("is not a member of a subscription; there are: {MEMBERS}"),
    }
}

/// Parses a description: at most [`DESCRIPTION_MOST`] characters.
pub(super) fn read_description(text: &str) -> Result<String, String> {
    let length = text.chars().count();
    if length > DESCRIPTION_MOST {
        return Err(format!("must have at most {DESCRIPTION_MOST} characters, not {length}"));
    }
    if text.chars().any(|c| c.is_control() && c != '\n') {
        return Err("must not have control characters other than line feeds".to_owned());
    }
    Ok(text.to_owned())
}

fn read_sources(raw: &RawValue) -> Result<BTreeSet<Source>, Invalid> {
    if Kind::of(raw) == Kind::Null {
        return Ok(BTreeSet::new());
    }
    let mut invalid = Invalid::default();
    let items = json::items(raw).map_err(|fault| Invalid::one("", fault))?;
    let sources = items
        .into_iter()
        .enumerate()
        .filter_map(|(index, item)| invalid.check(&format!("/{index}"), word(item, Source::parse)))
        .collect();
    invalid.or(Some(sources))
}

fn read_notify(raw: &RawValue) -> Result<Vec<MailAddress>, Invalid> {
    if Kind::of(raw) == Kind::Null {
        return Ok(Vec::new());
    }
    let items = json::items(raw).map_err(|fault| Invalid::one("", fault))?;
    if items.len() > NOTIFY_MOST {
        return Err(Invalid::one("", format!("must have at most {NOTIFY_MOST} addresses")));
    }
    let mut invalid = Invalid::default();
    let mut addresses = Vec::new();
    for (index, item) in items.into_iter().enumerate() {
        let address = invalid.check(&format!("/{index}"), word(item, MailAddress::parse));
        addresses.extend(address.filter(|address| !addresses.contains(address)));
    }
    invalid.or(Some(addresses))
}

fn read_selection(raw: &RawValue, catalogue: &Catalogue) -> Result<Selection, Invalid> {
    let items = json::items(raw).map_err(|fault| Invalid::one("", fault))?;
    if items.is_empty() {
        return Err(Invalid::one("", "must name at least one event type, or be [\"*\"] for all"));
    }
    let is_star = |item: &RawValue| json::string(item).is_ok_and(|text| text == "*");
    if let [only] = items.as_slice()
        && is_star(only)
    {
        return Ok(Selection::All);
    }
    let mut invalid = Invalid::default();
    let mut types = BTreeSet::new();
    for (index, item) in items.into_iter().enumerate() {
        let at = format!("/{index}");
        if is_star(item) {
            invalid.add(at, "must stand alone: [\"*\"] selects every event type");
        } else {
            types.extend(invalid.check(&at, word(item, |text| catalogue.event_type(text))));
        }
    }
    invalid.or(Some(Selection::Some(types)))
}

fn read_expiry(raw: &RawValue, catalogue: &Catalogue) -> Result<BTreeMap<EventType, Duration>, Invalid> {
    if Kind::of(raw) == Kind::Null {
        return Ok(BTreeMap::new());
    }
    let members = json::members(raw).map_err(|fault| Invalid::one("", fault))?;
    let mut invalid = Invalid::default();
    if let Some(name) = json::first_duplicate(&members) {
        invalid.add(pointer(name), "is given twice");
    }
    let mut expiry = BTreeMap::new();
    for (name, value) in members {
        let at = pointer(&name);
        let event_type = catalogue.event_type(&name).map_err(|fault| format!("has a name that {fault}"));
        let event_type = invalid.check(&at, event_type);
        let length = invalid.check(&at, word(value, read_expiry_length));
        expiry.extend(event_type.zip(length));
    }
    invalid.or(Some(expiry))
}

fn read_expiry_length(text: &str) -> Result<Duration, String> {
    let length = parse_duration(text)?;
    if (EXPIRE_LEAST..=EXPIRE_MOST).contains(&length) {
        return Ok(length);
    }
    Err(format!("must be from {} to {}", format_duration(EXPIRE_LEAST), format_duration(EXPIRE_MOST)))
}

#[cfg(test)]
mod tests;
