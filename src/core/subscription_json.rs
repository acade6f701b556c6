//! A subscription as JSON, without its secrets: in answers of the API, and in the audit.

use serde::Serialize;
use serde_json::{Value, json};

use super::auth::Auth;
use super::event::{Domain, EventType, Source};
use super::filter::Filter;
use super::id::SubscriptionId;
use super::mail_address::MailAddress;
use super::preset::Preset;
use super::shape::{Object, Text};
use super::signature::public_key;
use super::subscription::{DisabledReason, Selection, Subscription};
use super::success::SuccessBody;
use super::template::Template;
use super::time::{Timestamp, format_duration};

/// A subscription without its secrets; of its own headers only the names.
#[derive(Serialize)]
pub(crate) struct SubscriptionJson<'s> {
    id: Text<SubscriptionId>,
    company: &'s str,
    domain: Option<&'s str>,
    sources: Vec<&'static str>,
    url: &'s str,
    format: &'static str,
    layout: &'static str,
    nested: &'static str,
    events: Vec<&'s str>,
    description: &'s str,
    headers: Object<&'s str, Option<()>>,
    client_cert: Option<&'s str>,
    timeout_ms: Option<u128>,
    max_in_flight: Option<u32>,
    rate_per_second: Option<u32>,
    ordering: &'static str,
    expire_after: Object<&'s str, String>,
    #[serde(flatten)]
    target: TargetJson<'s>,
    notify: Vec<&'s str>,
    enabled: bool,
    disabled_reason: Option<&'static str>,
    created_at: Text<Timestamp>,
    updated_at: Text<Timestamp>,
    waiting: u64,
}

impl<'s> SubscriptionJson<'s> {
    /// `subscription` without its secrets; of its own headers only the names.
    pub(crate) fn of(subscription: &'s Subscription, waiting: u64, now: Timestamp) -> Self {
        let events = match &subscription.events {
            Selection::All => vec!["*"],
            Selection::Some(types) => types.iter().map(EventType::as_str).collect(),
        };
        let expire_after = subscription.expire_after.iter();
        Self {
            id: Text(subscription.id),
            company: subscription.company.as_str(),
            domain: subscription.domain.as_ref().map(Domain::as_str),
            sources: subscription.sources.iter().copied().map(Source::as_str).collect(),
            url: &subscription.url,
            format: subscription.format.as_str(),
            layout: subscription.layout.as_str(),
            nested: subscription.nested.as_str(),
            events,
            description: &subscription.description,
            headers: Object(subscription.headers.iter().map(|header| (header.name.as_str(), None)).collect()),
            client_cert: subscription.client_certificate.as_ref().map(|certificate| certificate.cert.as_str()),
            timeout_ms: subscription.timeout.map(|timeout| timeout.as_millis()),
            max_in_flight: subscription.max_in_flight,
            rate_per_second: subscription.rate_per_second,
            ordering: subscription.ordering.as_str(),
            expire_after: Object(expire_after.map(|(name, after)| (name.as_str(), format_duration(*after))).collect()),
            target: TargetJson::of(subscription, now),
            notify: subscription.notify.iter().map(MailAddress::as_str).collect(),
            enabled: subscription.enabled(),
            disabled_reason: subscription.disabled.map(DisabledReason::as_str),
            created_at: Text(subscription.created_at),
            updated_at: Text(subscription.updated_at),
            waiting,
        }
    }
}

/// The settings of its target.
#[derive(Serialize)]
struct TargetJson<'t> {
    template: Option<&'t str>,
    content_type: Option<&'t str>,
    preset: Option<&'static str>,
    filter: Option<&'t str>,
    filter_failures: Option<FailuresJson>,
    success: &'static str,
    success_body: Option<Value>,
    auth: Option<Value>,
    signature: &'static str,
    public_keys: Vec<String>,
}

/// For how many events a filter failed in this process, and why last.
#[derive(Serialize)]
struct FailuresJson {
    count: u64,
    last: Option<String>,
}

impl<'t> TargetJson<'t> {
    /// The settings, without secrets, and the public keys in use at `now`.
    fn of(subscription: &'t Subscription, now: Timestamp) -> Self {
        let target = &subscription.target;
        let secrets = if target.is_asymmetric() { subscription.secrets(now) } else { Vec::new() };
        let failures = target.filter.as_ref().map(Filter::failures).filter(|(count, _)| *count > 0);
        let body = |body: &SuccessBody| match body {
            SuccessBody::Contains(text) => json!({"contains": text}),
            SuccessBody::Equals { json_pointer, equals } => json!({"json_pointer": json_pointer, "equals": equals}),
        };
        Self {
            template: target.template.as_ref().map(Template::source),
            content_type: target.template.as_ref().map(Template::content_type),
            preset: target.preset.map(Preset::as_str),
            filter: target.filter.as_ref().map(Filter::source),
            filter_failures: failures.map(|(count, last)| FailuresJson { count, last }),
            success: target.success.status.as_str(),
            success_body: target.success.body.as_ref().map(body),
            auth: target.auth.as_deref().map(shown),
            signature: target.signatures.as_str(),
            public_keys: secrets.into_iter().map(public_key).collect(),
        }
    }
}

/// How it signs in; the secret is null.
fn shown(auth: &Auth) -> Value {
    let kind = auth.kind().as_str();
    match auth {
        Auth::Basic { username, .. } => json!({"type": kind, "username": username, "password": null}),
        Auth::Bearer { .. } => json!({"type": kind, "token": null}),
        Auth::ClientCredentials(credentials) => json!({
            "type": kind, "token_url": credentials.token_url, "client_id": credentials.client_id,
            "client_secret": null, "scope": credentials.scope, "audience": credentials.audience,
            "credentials_in": credentials.credentials_in.as_str(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::time::Duration;

    use crate::core::client_certificate::ClientCertificate;
    use crate::core::event::Company;
    use crate::core::hidden::Hidden;
    use crate::core::id::SubscriptionNumber;
    use crate::core::subscription::{Format, Header, Layout, Nested, Ordering, Secret};
    use crate::core::target::Target;

    #[test]
    fn a_subscription_is_shown_without_its_secrets() {
        let at = Timestamp::from_millis(1_790_000_000_000);
        let secret = Secret::from_bytes([7; 32]);
        let subscription = Subscription {
            id: SubscriptionId::from_bits(7),
            number: SubscriptionNumber::FIRST,
            company: Company::parse("acme").unwrap(),
            domain: None,
            sources: [Source::Widget].into(),
            url: "https://hooks.example/in".to_owned(),
            format: Format::Form,
            layout: Layout::Flat,
            nested: Nested::Json,
            target: Target::default(),
            events: Selection::All,
            description: String::new(),
            headers: vec![Header { name: "X-Key".to_owned(), value: Hidden::new("hunter2") }],
            client_certificate: Some(Arc::new(ClientCertificate { cert: "PEM".to_owned(), key: Hidden::new("k3y") })),
            timeout: Some(Duration::from_secs(5)),
            max_in_flight: None,
            rate_per_second: Some(10),
            ordering: Ordering::Call,
            expire_after: [(EventType::parse("call.new").unwrap(), Duration::from_secs(600))].into(),
            notify: vec![MailAddress::parse("it@acme.example").unwrap()],
            disabled: Some(DisabledReason::Gone),
            created_at: at,
            updated_at: at,
            secret: secret.clone(),
            previous_secret: None,
        };
        let text = serde_json::to_string(&SubscriptionJson::of(&subscription, 3, at)).unwrap();
        assert!(!text.contains("k3y") && !text.contains("hunter2") && !text.contains(&secret.reveal()), "{text}");
        let wanted = format!(
            concat!(
                r#"{{"id":"{}","company":"acme","domain":null,"sources":["widget"],"url":"https://hooks.example/in","#,
                r#""format":"form","layout":"flat","nested":"json","events":["*"],"description":"","headers":{{"X-Key":null}},"client_cert":"PEM","#,
                r#""timeout_ms":5000,"max_in_flight":null,"rate_per_second":10,"ordering":"call","#,
                r#""expire_after":{{"call.new":"10m"}},"template":null,"content_type":null,"preset":null,"filter":null,"filter_failures":null,"#,
                r#""success":"2xx","success_body":null,"auth":null,"signature":"v1","public_keys":[],"notify":["it@acme.example"],"enabled":false,"#,
                r#""disabled_reason":"the receiver answered 410 Gone","created_at":"{}","updated_at":"{}","waiting":3}}"#
            ),
            subscription.id, at, at
        );
        assert_eq!(text, wanted);
    }
}
