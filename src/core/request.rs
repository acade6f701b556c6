//! The request of an attempt, as a value.
//!
//! Everything a receiver sees of Hookswitch is rendered here, for deliveries and probes alike, so that a probe shows
//! what a delivery would be. Nothing here sends.

use std::sync::Arc;

use serde_json::value::RawValue;

use super::attempt::Sent;
use super::auth::Auth;
use super::catalogue::{Entry, data_keys};
use super::client_certificate::ClientCertificate;
use super::event::{Company, Domain, Event, Source};
use super::id::{AlertId, DeliveryId, EventId};
use super::json;
use super::payload::{self, Body};
use super::signature::{sign, sign_asymmetric};
use super::subscription::{Format, Header, Layout, Nested, Secret, Subscription};
use super::success::SuccessRule;
use super::target::{Signatures, Target};
use super::template::TemplateFault;
use super::time::Timestamp;

/// The name of the header by which a request signs in.
pub const AUTHORIZATION: &str = "Authorization";

/// The value of `User-Agent`.
pub const USER_AGENT: &str = concat!("Hookswitch/", env!("CARGO_PKG_VERSION"));

/// Maximum ids named in `hookswitch-gap`, so that a long failure does not produce headers larger than receivers
/// accept (8 KiB in common servers).
pub const GAP_MOST: usize = 64;

/// The request, apart from Host, Content-Length and connection headers.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// The target URL.
    pub url: String,
    /// Content-Type, User-Agent, Accept (unless among the subscription's own), webhook-*, hookswitch-*, in this
    /// order.
    pub headers: Vec<(String, String)>,
    /// The subscription's own headers.
    pub own_headers: Vec<Header>,
    /// The client certificate.
    pub client_certificate: Option<Arc<ClientCertificate>>,
    /// The body, as signed and sent.
    pub body: Vec<u8>,
    /// The body's format.
    pub format: Format,
    /// The body's layout.
    pub layout: Layout,
    /// How a form holds lists and objects.
    pub nested: Nested,
    /// Whether a template made the body, so that it cannot be rendered again once that has changed.
    pub is_templated: bool,
    /// How to sign in.
    pub auth: Option<Arc<Auth>>,
    /// Which answers count as delivered.
    pub success: SuccessRule,
}

/// Identifies one attempt of a delivery.
#[derive(Debug, Clone)]
pub struct Marks {
    /// The delivery.
    pub delivery: DeliveryId,
    /// The attempt's number, from 1.
    pub attempt: u32,
    /// The earlier deliveries of its call that it passes; the first [`GAP_MOST`] are named.
    pub gap: Vec<DeliveryId>,
}

/// The parts of a test POST.
#[derive(Debug, Clone)]
pub struct Probe<'a> {
    /// The target URL.
    pub url: &'a str,
    /// The body's format.
    pub format: Format,
    /// The body's layout.
    pub layout: Layout,
    /// How a form holds lists and objects.
    pub nested: Nested,
    /// The settings of the target.
    pub target: &'a Target,
    /// The subscription's own headers.
    pub own_headers: &'a [Header],
    /// The client certificate.
    pub client_certificate: Option<&'a Arc<ClientCertificate>>,
    /// The signing secrets; without any, the probe is unsigned.
    pub secrets: Vec<&'a Secret>,
    /// The event type whose sample is sent.
    pub entry: &'a Entry,
    /// A fresh id for the sample.
    pub event: EventId,
    /// The sample's company; `None` for `sample`.
    pub company: Option<&'a Company>,
    /// The sample's domain.
    pub domain: Option<&'a Domain>,
    /// The sample's source.
    pub source: Source,
}

impl<'a> Probe<'a> {
    /// The probe of a stored subscription, sent and signed at `now` like its deliveries.
    pub fn of(subscription: &'a Subscription, entry: &'a Entry, event: EventId, now: Timestamp) -> Self {
        Self {
            url: &subscription.url,
            format: subscription.format,
            layout: subscription.layout,
            nested: subscription.nested,
            target: &subscription.target,
            own_headers: &subscription.headers,
            client_certificate: subscription.client_certificate.as_ref(),
            secrets: subscription.secrets(now),
            entry,
            event,
            company: Some(&subscription.company),
            domain: subscription.domain.as_ref(),
            source: subscription.sources.first().copied().unwrap_or(Source::Widget),
        }
    }

    /// The probe's event: the sample, as if it had happened and been accepted at `now`.
    pub fn sample(&self, now: Timestamp) -> Event {
        const CHECKED: &str = "every sample was checked when the catalogue was made";
        let data: &RawValue = json::parse(&self.entry.sample).expect(CHECKED);
        let keys = data_keys(data).expect(CHECKED);
        let nobody = || Company::parse("sample").expect("six letters are a company's name");
        Event {
            id: self.event,
            accepted_at: now,
            occurred_at: now,
            event_type: self.entry.name.clone(),
            company: self.company.cloned().unwrap_or_else(nobody),
            domain: self.domain.cloned(),
            source: self.source,
            producer_id: None,
            call: keys.call,
            phone: keys.phone,
            data: self.entry.sample.clone(),
        }
    }
}

impl Outgoing {
    /// Renders and signs an attempt of a delivery; the sequence number is part of the delivery's id.
    ///
    /// # Errors
    /// The subscription's template does not render this event.
    pub fn delivery(
        subscription: &Subscription,
        event: &Event,
        marks: &Marks,
        now: Timestamp,
    ) -> Result<Self, TemplateFault> {
        let Subscription { format, layout, nested, target, .. } = subscription;
        let (format, layout, nested) = (*format, *layout, *nested);
        let rendered = Rendered::of(event, (format, layout, nested), target, &subscription.url)?;
        let mut headers = rendered.signed(&subscription.secrets(now), &event.id.to_string(), now);
        accept(&mut headers, &subscription.headers);
        headers.push(header("hookswitch-delivery", marks.delivery.to_string()));
        headers.push(header("hookswitch-attempt", marks.attempt.to_string()));
        headers.push(header("hookswitch-sequence", marks.delivery.sequence().to_string()));
        if !marks.gap.is_empty() {
            let passed: Vec<_> = marks.gap.iter().take(GAP_MOST).map(ToString::to_string).collect();
            headers.push(header("hookswitch-gap", passed.join(", ")));
        }
        Ok(Self {
            url: subscription.url.clone(),
            headers,
            own_headers: subscription.headers.clone(),
            client_certificate: subscription.client_certificate.clone(),
            body: rendered.body,
            format,
            layout,
            nested,
            is_templated: target.body().is_some(),
            auth: target.auth.clone(),
            success: target.success.clone(),
        })
    }

    /// Renders a probe, and signs it if there are secrets. It belongs to no delivery, and is marked by
    /// `hookswitch-test: true`.
    ///
    /// # Errors
    /// The template does not render the sample.
    pub fn probe(probe: &Probe<'_>, now: Timestamp) -> Result<Self, TemplateFault> {
        let Probe { format, layout, nested, target, .. } = *probe;
        let rendered = Rendered::of(&probe.sample(now), (format, layout, nested), target, probe.url)?;
        let mut headers = rendered.signed(&probe.secrets, &probe.event.to_string(), now);
        accept(&mut headers, probe.own_headers);
        headers.push(header("hookswitch-attempt", "1"));
        headers.push(header("hookswitch-test", "true"));
        Ok(Self {
            url: probe.url.to_owned(),
            headers,
            own_headers: probe.own_headers.to_vec(),
            client_certificate: probe.client_certificate.cloned(),
            body: rendered.body,
            format,
            layout,
            nested,
            is_templated: target.body().is_some(),
            auth: target.auth.clone(),
            success: target.success.clone(),
        })
    }

    /// Renders an alert for the operator, signed like deliveries if there is a secret; `body` is its JSON.
    pub fn alert(url: &str, secret: Option<&Secret>, id: AlertId, body: Vec<u8>, now: Timestamp) -> Self {
        let kinds = (payload::content_type(Format::Json, Layout::Envelope), Signatures::Symmetric);
        let mut headers = signed(kinds, secret.as_slice(), &id.to_string(), &body, now);
        accept(&mut headers, &[]);
        let (url, own_headers) = (url.to_owned(), Vec::new());
        Self {
            url,
            headers,
            own_headers,
            client_certificate: None,
            body,
            format: Format::Json,
            layout: Layout::Envelope,
            nested: Nested::Brackets,
            is_templated: false,
            auth: None,
            success: SuccessRule::default(),
        }
    }

    /// The names of the headers whose values are not shown: the subscription's own, and the one by which it signs in.
    pub fn secret_headers(&self) -> impl Iterator<Item = &str> {
        let own = self.own_headers.iter().map(|header| header.name.as_str());
        own.chain(self.auth.is_some().then_some(AUTHORIZATION))
    }

    /// The request for permission to deliver to a subscription (CloudEvents 1.0.2, 'HTTP 1.1 Web Hooks for Event
    /// Delivery', section 4.1.1), to be sent with OPTIONS: `origin` is the DNS name that events come from.
    pub fn permission(subscription: &Subscription, origin: &str) -> Self {
        let mut headers = vec![header("User-Agent", USER_AGENT), header("WebHook-Request-Origin", origin)];
        // A minute's worth: the standard counts so.
        let rate = subscription.rate_per_second.map(|rate| u64::from(rate) * 60);
        headers.extend(rate.map(|rate| header("WebHook-Request-Rate", rate.to_string())));
        Self {
            url: subscription.url.clone(),
            headers,
            own_headers: Vec::new(),
            client_certificate: subscription.client_certificate.clone(),
            body: Vec::new(),
            format: subscription.format,
            layout: subscription.layout,
            nested: subscription.nested,
            is_templated: false,
            auth: None,
            success: SuccessRule::default(),
        }
    }

    /// For the log: values of secret headers are omitted.
    pub fn sent(&self) -> Sent {
        let standard = self.headers.iter().map(|(name, value)| (name.clone(), Some(value.clone())));
        let own = self.secret_headers().map(|name| (name.to_owned(), None));
        Sent { format: self.format, layout: self.layout, nested: self.nested, headers: standard.chain(own).collect() }
    }
}

/// A rendered body.
struct Rendered<'t> {
    signatures: Signatures,
    body: Vec<u8>,
    content_type: &'t str,
    json_members: Option<String>,
}

impl<'t> Rendered<'t> {
    /// By the target's template, or else by format and layout.
    fn of(
        event: &Event,
        (format, layout, nested): (Format, Layout, Nested),
        target: &'t Target,
        url: &str,
    ) -> Result<Self, TemplateFault> {
        if let Some(template) = target.body() {
            let body = template.render(event, url)?;
            let (signatures, content_type) = (target.signatures, template.content_type());
            return Ok(Self { signatures, body, content_type, json_members: None });
        }
        let Body { bytes: body, json_members } = payload::body(event, format, layout, nested);
        let (signatures, content_type) = (target.signatures, payload::content_type(format, layout));
        Ok(Self { signatures, body, content_type, json_members })
    }

    /// The headers that describe and sign it.
    fn signed(&self, secrets: &[&Secret], id: &str, now: Timestamp) -> Vec<(String, String)> {
        let mut headers = signed((self.content_type, self.signatures), secrets, id, &self.body, now);
        headers.extend(self.json_members.as_deref().map(of_form));
        headers
    }
}

/// The header that names the form fields with JSON text although brackets are configured.
fn of_form(json_members: &str) -> (String, String) {
    header("hookswitch-form", format!("json-members={json_members}"))
}

/// The headers of every request: content type, user agent, and the signatures over `body`.
fn signed(
    (content_type, signatures): (&str, Signatures),
    secrets: &[&Secret],
    id: &str,
    body: &[u8],
    now: Timestamp,
) -> Vec<(String, String)> {
    let seconds = now.seconds();
    let signature = (!secrets.is_empty()).then(|| match signatures {
        Signatures::Symmetric => sign(secrets, id, seconds, body),
        Signatures::Asymmetric => sign_asymmetric(secrets, id, seconds, body),
        Signatures::Both => {
            format!("{} {}", sign(secrets, id, seconds, body), sign_asymmetric(secrets, id, seconds, body))
        }
    });
    let mut headers = vec![
        header("Content-Type", content_type),
        header("User-Agent", USER_AGENT),
        header("webhook-id", id),
        header("webhook-timestamp", now.seconds().to_string()),
    ];
    headers.extend(signature.map(|signature| header("webhook-signature", signature)));
    headers
}

/// Adds `Accept: */*`, which some firewalls require, unless the subscription's own headers have an Accept.
fn accept(headers: &mut Vec<(String, String)>, own: &[Header]) {
    if !own.iter().any(|header| header.name.eq_ignore_ascii_case("accept")) {
        headers.insert(2, header("Accept", "*/*"));
    }
}

fn header(name: &str, value: impl Into<String>) -> (String, String) {
    (name.to_owned(), value.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::catalogue::Catalogue;
    use crate::core::id::{SubscriptionId, SubscriptionNumber};
    use crate::core::signature::verify;
    use crate::core::subscription::{Ordering, PreviousSecret};
    use crate::core::subscription_input::Change;
    use std::time::Duration;

    const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_123);
    const EVENT: EventId = EventId::from_bits(7 << 80);

    fn catalogue() -> Catalogue {
        Catalogue::new(Vec::new()).unwrap()
    }

    fn subscription(format: &str) -> Subscription {
        let text = format!(
            r#"{{"company":"acme","domain":"www.acme.example","sources":["api"],"url":"https://acme.example/hook",
                "format":"{format}","events":["*"],"headers":{{"Authorization":"Bearer hunter2"}}}}"#
        );
        let change = Change::from_json(json::parse(&text).unwrap(), &catalogue()).unwrap();
        let draft = change.into_draft(Ordering::Call).unwrap();
        draft.into_subscription(
            SubscriptionId::from_bits(1),
            SubscriptionNumber::new(3),
            Secret::from_bytes([7; 32]),
            NOW,
        )
    }

    fn event(subscription: &Subscription) -> Event {
        Probe::of(subscription, catalogue().get("call.missed").unwrap(), EVENT, NOW).sample(NOW)
    }

    fn value<'o>(outgoing: &'o Outgoing, name: &str) -> Option<&'o str> {
        outgoing.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    fn names(outgoing: &Outgoing) -> Vec<&str> {
        outgoing.headers.iter().map(|(name, _)| name.as_str()).collect()
    }

    fn believed(outgoing: &Outgoing, secret: &Secret) -> bool {
        let of = |name| value(outgoing, name).unwrap_or_default();
        let (id, timestamp) = (of("webhook-id"), of("webhook-timestamp"));
        verify(secret, id, timestamp, of("webhook-signature"), &outgoing.body, NOW.seconds(), 0).is_ok()
    }

    #[test]
    fn a_delivery_has_the_documented_headers_and_a_good_signature() {
        for format in ["json", "form"] {
            let subscription = subscription(format);
            let marks =
                Marks { delivery: DeliveryId::new(NOW, SubscriptionNumber::new(3), 42), attempt: 2, gap: Vec::new() };
            let sent = Outgoing::delivery(&subscription, &event(&subscription), &marks, NOW).unwrap();
            let wanted = [
                "Content-Type",
                "User-Agent",
                "Accept",
                "webhook-id",
                "webhook-timestamp",
                "webhook-signature",
                "hookswitch-delivery",
                "hookswitch-attempt",
                "hookswitch-sequence",
            ];
            assert_eq!(names(&sent), wanted);
            assert!(value(&sent, "Content-Type").unwrap().contains(format));
            assert_eq!(value(&sent, "User-Agent"), Some(concat!("Hookswitch/", env!("CARGO_PKG_VERSION"))));
            assert_eq!(value(&sent, "webhook-id"), Some(EVENT.to_string().as_str()));
            assert_eq!(value(&sent, "webhook-timestamp"), Some("1790000000"));
            assert_eq!(value(&sent, "hookswitch-delivery"), Some(marks.delivery.to_string().as_str()));
            assert_eq!(value(&sent, "hookswitch-attempt"), Some("2"));
            assert_eq!(value(&sent, "hookswitch-sequence"), Some("42"));
            assert!(believed(&sent, &subscription.secret));
            assert!(!believed(&sent, &Secret::from_bytes([8; 32])));
        }
    }

    #[test]
    fn overtaken_deliveries_are_named_and_bounded() {
        let subscription = subscription("json");
        let gap =
            |count: u64| (1..=count).map(|n| DeliveryId::new(NOW, SubscriptionNumber::new(3), n)).collect::<Vec<_>>();
        let sent = |gap| {
            let marks = Marks { delivery: DeliveryId::new(NOW, SubscriptionNumber::new(3), 99), attempt: 1, gap };
            Outgoing::delivery(&subscription, &event(&subscription), &marks, NOW).unwrap()
        };
        let two = gap(2);
        assert_eq!(value(&sent(two.clone()), "hookswitch-gap"), Some(format!("{}, {}", two[0], two[1]).as_str()));
        let many = sent(gap(1000));
        assert_eq!(value(&many, "hookswitch-gap").unwrap().split(", ").count(), GAP_MOST);
    }

    #[test]
    fn both_secrets_sign_until_the_rotation_ends() {
        let mut subscription = subscription("json");
        let old = Secret::from_bytes([1; 32]);
        subscription.previous_secret = Some(PreviousSecret { secret: old.clone(), until: NOW });
        let marks =
            Marks { delivery: DeliveryId::new(NOW, SubscriptionNumber::new(3), 1), attempt: 1, gap: Vec::new() };
        assert!(!believed(&Outgoing::delivery(&subscription, &event(&subscription), &marks, NOW).unwrap(), &old));
        subscription.previous_secret =
            Some(PreviousSecret { secret: old.clone(), until: NOW.plus(Duration::from_millis(1)) });
        let sent = Outgoing::delivery(&subscription, &event(&subscription), &marks, NOW).unwrap();
        assert!(believed(&sent, &old) && believed(&sent, &subscription.secret));
    }

    #[test]
    fn a_probe_is_a_marked_sample() {
        let subscription = subscription("json");
        let catalogue = catalogue();
        let entry = catalogue.get("call.smsfollowup").unwrap();
        let probe = Probe::of(&subscription, entry, EVENT, NOW);
        let sent = Outgoing::probe(&probe, NOW).unwrap();
        assert_eq!(names(&sent)[6..], ["hookswitch-attempt", "hookswitch-test"]);
        assert!(believed(&sent, &subscription.secret));
        let body = String::from_utf8(sent.body.clone()).unwrap();
        let head = format!(
            r#"{{"id":"{EVENT}","type":"call.smsfollowup","timestamp":"{NOW}","company":"acme","domain":"www.acme.example","source":"api","data":{{"#
        );
        assert!(body.starts_with(&head), "{body}");
        let unsaved = Probe { secrets: Vec::new(), company: None, domain: None, ..probe };
        let sent = Outgoing::probe(&unsaved, NOW).unwrap();
        assert_eq!(value(&sent, "webhook-signature"), None);
        assert!(String::from_utf8(sent.body).unwrap().contains(r#""company":"sample","domain":null"#));
    }

    #[test]
    fn an_own_accept_header_replaces_the_default() {
        let mut subscription = subscription("json");
        let marks =
            Marks { delivery: DeliveryId::new(NOW, SubscriptionNumber::new(3), 1), attempt: 1, gap: Vec::new() };
        let sent =
            |subscription: &Subscription| Outgoing::delivery(subscription, &event(subscription), &marks, NOW).unwrap();
        assert_eq!(value(&sent(&subscription), "Accept"), Some("*/*"));
        subscription.headers[0].name = "aCCept".to_owned();
        assert_eq!(value(&sent(&subscription), "Accept"), None);
    }

    #[test]
    fn own_header_values_are_sent_and_never_shown() {
        let subscription = subscription("json");
        let marks =
            Marks { delivery: DeliveryId::new(NOW, SubscriptionNumber::new(3), 1), attempt: 1, gap: Vec::new() };
        let sent = Outgoing::delivery(&subscription, &event(&subscription), &marks, NOW).unwrap();
        assert_eq!(sent.own_headers[0].value.expose(), "Bearer hunter2");
        assert!(!format!("{sent:?} {:?}", sent.sent()).contains("hunter2"));
        assert_eq!(sent.sent().headers.last(), Some(&("Authorization".to_owned(), None)));
    }
}
