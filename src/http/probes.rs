//! `POST /v1/test` and `POST …/{id}/test`: posts a sample event at once, and returns the result.
//!
//! A probe blocks for as long as the receiver takes, so few run at once, shared fairly among companies; the probe of
//! a stored subscription is recorded in the log, even if the client does not wait for it.

use std::sync::Arc;

use hyper::StatusCode;
use serde::Serialize;
use serde_json::value::RawValue;
use url::Url;

use super::bridge::{Asker as _, Share};
use super::fair_limit::Lane;
use super::log::{phases, text};
use super::problem::Problem;
use super::reply::{Reply, json};
use super::request::{Document, Permitted};
use super::shape::{Object, headers};
use super::subscriptions;
use crate::core::address;
use crate::core::attempt::{Fault, LogEntry, Phase, Status};
use crate::core::audit::{Action, Deed, shown_url};
use crate::core::catalogue::{Catalogue, Entry};
use crate::core::client_certificate::{self, CertificateChange, ClientCertificate};
use crate::core::event::Source;
use crate::core::id::{AttemptId, EventId, SubscriptionId};
use crate::core::invalid::{Invalid, pointer};
use crate::core::json as raw;
use crate::core::own_headers;
use crate::core::payload::fault_of_layout;
use crate::core::request::{Outgoing, Probe};
use crate::core::subscription::{Format, Header, Layout, Nested, Secret, Selection, Subscription};
use crate::core::subscription_input::Change;
use crate::core::target::Target;
use crate::core::target_input::TargetChange;
use crate::core::template::TemplateFault;
use crate::core::time::Timestamp;
use crate::sender::probe::{self, Findings};
use crate::store::Acting;

/// The sample's event type if neither the request nor a subscription names one.
const DEFAULT_EVENT: &str = "call.new";
/// Added when a test with a throw-away secret is refused by the receiver.
const THROWN_AWAY: &str = " This test was signed with a secret that is thrown away: to test a receiver that checks the \
                           signature, give the `secret` that it has.";

#[derive(Serialize)]
struct FindingsJson<'f> {
    response: Option<u16>,
    working: bool,
    message: &'f str,
    note: Option<&'f str>,
    error: Option<&'static str>,
    phase: Option<&'static str>,
    duration_ms: u128,
    phases: Object<&'static str, u128>,
    address: Option<&'f str>,
    request: Request<'f>,
    response_body: Option<String>,
    curl: &'f str,
}

#[derive(Serialize)]
struct Request<'f> {
    headers: Object<&'f str, Option<String>>,
    body: String,
}

fn shown(findings: &Findings) -> FindingsJson<'_> {
    let (report, request) = (&findings.report, &findings.request);
    let standard = request.headers.iter().map(|(name, value)| (name.as_str(), Some(value.as_str())));
    let own = request.secret_headers().map(|name| (name, None));
    FindingsJson {
        response: findings.response,
        working: findings.working,
        message: &findings.message,
        note: report.note.as_deref(),
        error: findings.error().map(Fault::as_str),
        phase: findings.phase().map(Phase::as_str),
        duration_ms: report.duration.as_millis(),
        phases: phases(&report.phases),
        address: report.address.as_deref(),
        request: Request { headers: headers(standard.chain(own)), body: text(&request.body) },
        response_body: findings.response_body(),
        curl: &findings.curl,
    }
}

/// The parameters of a probe of an unsaved URL.
struct ProbeRequest {
    event: Entry,
    url: String,
    format: Format,
    layout: Layout,
    nested: Nested,
    headers: Vec<Header>,
    certificate: Option<Arc<ClientCertificate>>,
    secret: Option<Secret>,
    target: Target,
}

impl ProbeRequest {
    fn read(document: &Document, catalogue: &Catalogue) -> Result<Self, Problem> {
        let mut invalid = Invalid::default();
        let (mut event, mut url, mut secret) = (catalogue.get(DEFAULT_EVENT).cloned(), None, None);
        let (mut format, mut layout, mut headers) = (Format::Json, Layout::Envelope, Vec::new());
        let (mut nested, mut certificate) = (Nested::Brackets, CertificateChange::default());
        let mut target = TargetChange::default();
        let members = raw::members(document.parse()?).map_err(|fault| Problem::invalid("", fault))?;
        if let Some(name) = raw::first_duplicate(&members) {
            invalid.add(pointer(name), "is given twice");
        }
        for (name, value) in &members {
            let at = pointer(name);
            match name.as_ref() {
                "event" => event = invalid.check(&at, named_event(value, catalogue)).or(event),
                "url" => {
                    let read = raw::string(value).and_then(|text| address::read_url(&text));
                    url = invalid.check(&at, read).map(String::from);
                }
                "format" => {
                    let read = raw::string(value).and_then(|text| Format::parse(&text));
                    format = invalid.check(&at, read).unwrap_or(format);
                }
                "layout" => {
                    let read = raw::string(value).and_then(|text| Layout::parse(&text));
                    layout = invalid.check(&at, read).unwrap_or(layout);
                }
                "nested" => {
                    let read = raw::string(value).and_then(|text| Nested::parse(&text));
                    nested = invalid.check(&at, read).unwrap_or(nested);
                }
                "headers" => match own_headers::read_complete(value) {
                    Ok(read) => headers = read,
                    Err(inner) => invalid.nest(&at, inner),
                },
                "client_cert" => {
                    certificate.cert = invalid.check(&at, client_certificate::read_cert(value)).map(Some);
                }
                "client_key" => {
                    certificate.key = invalid.check(&at, client_certificate::read_key(value)).map(Some);
                }
                "secret" if raw::is_nothing(value) => {}
                "secret" => {
                    secret = invalid.check(&at, raw::string(value).and_then(|text| Secret::parse(&text)));
                }
                "filter" => invalid.add(at, format!("is not a member here; there are: {MEMBERS}")),
                name if target.read(name, &at, value, &mut invalid) => {}
                _ => invalid.add(at, format!("is not a member here; there are: {MEMBERS}")),
            }
        }
        let target = target.applied(&Target::default()).map_err(|inner| invalid.nest("", inner)).ok();
        if url.is_none() && !members.iter().any(|(name, _)| name == "url") {
            invalid.add("/url", "is missing");
        }
        if let Some(why) = fault_of_layout(format, layout) {
            invalid.add("/layout", why);
        }
        let certificate = certificate.resolve(None).map_err(|inner| invalid.nest("", inner)).ok().flatten();
        let probe_request = event.zip(url).zip(target).map(|((event, url), target)| Self {
            event,
            url,
            format,
            layout,
            nested,
            headers,
            certificate,
            secret,
            target,
        });
        invalid.or(probe_request).map_err(Problem::from)
    }
}

/// The valid members for a probe of an unsaved URL.
const MEMBERS: &str = "url, format, layout, nested, event, headers, client_cert, client_key, secret, template, \
                       content_type, preset, success, success_body, auth, signature";

/// The parameters of a probe of a stored subscription: the event type of the sample, and the stored subscription with
/// `settings` applied as a change would.
fn stored_request(
    document: Option<&Document>,
    catalogue: &Catalogue,
    stored: &Subscription,
    now: Timestamp,
) -> Result<(Entry, Subscription), Problem> {
    let body = document.map(Document::parse).transpose()?;
    let members = body.map(raw::members).transpose().map_err(|fault| Problem::invalid("", fault))?.unwrap_or_default();
    let mut invalid = Invalid::default();
    if let Some(name) = raw::first_duplicate(&members) {
        invalid.add(pointer(name), "is given twice");
    }
    let (mut event, mut tested) = (None, Some(stored.clone()));
    for (name, value) in &members {
        match name.as_ref() {
            "event" => event = invalid.check("/event", named_event(value, catalogue)),
            "settings" if raw::Kind::of(value) == raw::Kind::Null => {}
            "settings" => {
                let change = Change::from_json(value, catalogue).and_then(|change| change.apply(stored, now));
                tested = change.map_err(|inner| invalid.nest("/settings", inner)).ok();
            }
            _ => invalid.add(pointer(name), "is not a member here; there are: event, settings"),
        }
    }
    let event = event.or_else(|| tested.as_ref().and_then(|tested| selected(&tested.events, catalogue)));
    invalid.or(event.zip(tested)).map_err(Problem::from)
}

/// The first selected event type, in display order.
fn selected(selection: &Selection, catalogue: &Catalogue) -> Option<Entry> {
    let of_selection = match selection {
        Selection::All => None,
        Selection::Some(types) => catalogue.entries().iter().find(|entry| types.contains(&entry.name)),
    };
    of_selection.or_else(|| catalogue.get(DEFAULT_EVENT)).cloned()
}

fn named_event(value: &RawValue, catalogue: &Catalogue) -> Result<Entry, String> {
    let name = raw::string(value)?;
    catalogue.event_type(&name)?;
    catalogue.get(&name).cloned().ok_or_else(|| "is not an event type".to_owned())
}

/// Random bytes: for an id, and for the secret of a probe without one.
pub(super) fn random<const N: usize>() -> Result<[u8; N], Problem> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| Problem::internal())?;
    Ok(bytes)
}

fn fresh_id(now: Timestamp) -> Result<EventId, Problem> {
    let random = u128::from_be_bytes(random()?) >> 48;
    Ok(EventId::from_bits((u128::from(now.millis()) << 80) | random))
}

/// Probes an unsaved URL, signed with the given secret, or else with a throw-away one, so that the request is
/// complete.
pub(super) async fn unsaved(mut request: Permitted) -> Result<Reply, Problem> {
    request.no_query()?;
    let document = request.json().await?;
    let probe_request = ProbeRequest::read(&document, &request.services().catalogue)?;
    let now = (request.services().clock)();
    let (event, fresh) = (fresh_id(now)?, Secret::from_bytes(random::<32>()?));
    let thrown_away = probe_request.secret.is_none();
    let tested = Deed::new(Action::UrlTest, request.access.company().cloned(), None);
    request.note(tested.with("url", shown_url(&probe_request.url))).await?;
    let context = Arc::clone(&request.context);
    let url = Url::parse(&probe_request.url).ok();
    let host = url.as_ref().and_then(Url::host_str).unwrap_or_default();
    let share = Share::of(&request.context, Lane::Probe, request.principal().towards(host));
    let findings = share.run(move || {
        let probe = Probe {
            url: &probe_request.url,
            format: probe_request.format,
            layout: probe_request.layout,
            nested: probe_request.nested,
            target: &probe_request.target,
            own_headers: &probe_request.headers,
            client_certificate: probe_request.certificate.as_ref(),
            secrets: vec![probe_request.secret.as_ref().unwrap_or(&fresh)],
            entry: &probe_request.event,
            event,
            company: None,
            domain: None,
            source: Source::Widget,
        };
        let outgoing = Outgoing::probe(&probe, now)?;
        Ok(probe::run(&context.services.transport.get(), outgoing, None))
    });
    let findings: Result<Findings, TemplateFault> = findings.await?;
    let mut findings = findings.map_err(|fault| unrendered("/template", &fault))?;
    if thrown_away && matches!(findings.response, Some(401 | 403)) {
        findings.message.push_str(THROWN_AWAY);
    }
    json(StatusCode::OK, &shown(&findings))
}

/// Probes a stored subscription, with its own secrets and with the changes in the body applied, and records it.
pub(super) async fn stored(mut request: Permitted, id: SubscriptionId) -> Result<Reply, Problem> {
    request.no_query()?;
    let subscription = subscriptions::find(&request, id)?;
    subscriptions::check_unlocked(&subscription)?;
    let document = request.optional_json().await?;
    let now = (request.services().clock)();
    let (sample, tested) = stored_request(document.as_ref(), &request.services().catalogue, &subscription, now)?;
    let event = fresh_id(now)?;
    let context = Arc::clone(&request.context);
    let url = Url::parse(&tested.url).ok();
    let concerned = match url.as_ref().and_then(Url::host_str) {
        Some(host) if tested.url != subscription.url => request.principal().towards(host),
        _ => request.principal().concerning(&subscription.company),
    };
    let share = Share::of(&request.context, Lane::Probe, concerned);
    let acting = request.acting();
    let findings = share.run(move || {
        let probe = Probe::of(&tested, &sample, event, now);
        let outgoing = Outgoing::probe(&probe, now)?;
        let findings = probe::run(&context.services.transport.get(), outgoing, tested.timeout);
        let entry = entry(&tested, &sample, &findings, (context.services.clock)());
        record(&acting, entry);
        Ok(findings)
    });
    let findings: Result<Findings, TemplateFault> = findings.await?;
    let findings = findings.map_err(|fault| unrendered("/settings/template", &fault))?;
    json(StatusCode::OK, &shown(&findings))
}

/// The template does not render the sample: nothing was sent.
fn unrendered(at: &str, fault: &TemplateFault) -> Problem {
    Problem::invalid(at, format!("cannot be rendered: {fault}"))
}

/// Adds the probe to the log. The client gets the result either way.
fn record(acting: &Acting, entry: LogEntry) {
    let warn_if = |failed: bool| {
        if failed {
            tracing::warn!("a probe could not be recorded in the log");
        }
    };
    let busy = acting.record_probe(entry, Box::new(move |result| warn_if(result.is_err()))).is_err();
    warn_if(busy);
}

fn entry(subscription: &Subscription, event: &Entry, findings: &Findings, now: Timestamp) -> LogEntry {
    let report = &findings.report;
    let (answer, error, error_detail) = report.for_log(&findings.request.success);
    LogEntry {
        id: AttemptId::from_bits(0), // given by the store
        created: now,
        event_type: event.name.clone(),
        status: if findings.working { Status::Delivered } else { Status::Failed },
        response: findings.response,
        error,
        error_detail,
        duration: report.duration,
        phases: report.phases.clone(),
        address: report.address.clone(),
        attempt: 1,
        next_attempt: None,
        test: true,
        replay: false,
        event: None,
        delivery: None,
        subscription: subscription.id,
        company: subscription.company.clone(),
        domain: subscription.domain.clone(),
        call: None,
        phone: None,
        url: subscription.url.clone(),
        sent: Some(findings.request.sent()),
        sent_body: Some(findings.request.body.clone()),
        answer,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::core::attempt::{Outcome, Report};
    use crate::core::hidden::Hidden;
    use crate::core::id::SubscriptionNumber;
    use crate::core::success::SuccessRule;

    fn findings(outcome: Outcome) -> Findings {
        let phases = vec![(Phase::Resolve, Duration::from_millis(2)), (Phase::Connect, Duration::from_millis(5))];
        let own_headers = vec![Header { name: "X-Key".to_owned(), value: Hidden::new("hunter2") }];
        let headers = vec![("Content-Type".to_owned(), "application/json".to_owned())];
        let body = b"{}".to_vec();
        let url = "https://hooks.example/in".to_owned();
        Findings {
            report: Report { outcome, note: None, duration: Duration::from_millis(7), phases, address: None },
            response: None,
            working: false,
            message: "Not working.".to_owned(),
            curl: "curl https://hooks.example/in".to_owned(),
            request: Outgoing {
                url,
                headers,
                own_headers,
                client_certificate: None,
                body,
                format: Format::Json,
                layout: Layout::Flat,
                nested: Nested::Brackets,
                is_templated: false,
                auth: None,
                success: SuccessRule::default(),
            },
        }
    }

    #[test]
    fn a_probe_shows_its_request_and_phase_and_no_secret() {
        let refused = findings(Outcome::Failed { fault: Fault::Refused, detail: String::new() });
        let wanted = serde_json::json!({
            "response": null, "working": false, "message": "Not working.", "note": null, "error": "connection_refused",
            "phase": "connect", "duration_ms": 7, "phases": {"resolve": 2, "connect": 5}, "address": null,
            "request": {"headers": {"Content-Type": "application/json", "X-Key": null}, "body": "{}"},
            "response_body": null, "curl": "curl https://hooks.example/in",
        });
        assert_eq!(serde_json::to_value(shown(&refused)).unwrap(), wanted);
    }

    fn probe_request(text: &str) -> Result<ProbeRequest, u16> {
        let catalogue = Catalogue::new(Vec::new()).unwrap();
        ProbeRequest::read(&Document::of(text), &catalogue).map_err(|problem| problem.status())
    }

    #[test]
    fn missing_members_have_defaults() {
        let probe_request = |text| probe_request(text).unwrap();
        let plain = probe_request(r#"{"url":"https://hooks.example","secret":null}"#);
        assert_eq!(
            (plain.event.name.as_str(), plain.format, plain.layout),
            ("call.new", Format::Json, Layout::Envelope)
        );
        assert_eq!((plain.url.as_str(), plain.headers.len()), ("https://hooks.example/", 0));
        assert!(plain.secret.is_none() && !plain.target.is_asymmetric());
        let secret = Secret::from_bytes([7; 24]);
        let full = probe_request(&format!(
            r#"{{"url":"http://a.example/x","format":"form","layout":"flat","nested":"json","event":"call.missed","headers":{{"A":"b"}},"signature":"both","secret":"{}"}}"#,
            secret.reveal()
        ));
        assert_eq!((full.event.name.as_str(), full.format, full.layout), ("call.missed", Format::Form, Layout::Flat));
        assert_eq!((full.headers.len(), full.nested, full.secret), (1, Nested::Json, Some(secret)));
        assert_eq!(full.target.signatures, crate::core::target::Signatures::Both);
    }

    #[test]
    fn a_secret_that_is_none_is_refused_and_not_repeated() {
        for text in ["whsec_c2hvcnQ=", "whsec_%%%not-base64%%%", "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"] {
            let catalogue = Catalogue::new(Vec::new()).unwrap();
            let document = Document::of(&format!(r#"{{"url":"http://a.example/","secret":"{text}"}}"#));
            let Err(problem) = ProbeRequest::read(&document, &catalogue) else { panic!("{text} is taken") };
            let refusal = format!("{problem:?}");
            assert_eq!(problem.status(), 422, "{refusal}");
            assert!(refusal.contains("/secret") && refusal.contains("24 to 64 bytes"), "{refusal}");
            assert!(!refusal.contains(&text[6..]), "{refusal}");
        }
    }

    fn tested(text: &str, events: &str) -> Result<(Entry, Subscription), u16> {
        let catalogue = Catalogue::new(Vec::new()).unwrap();
        let now = Timestamp::from_millis(1_790_000_000_000);
        let made =
            format!(r#"{{"company":"acme","url":"http://a.example/","events":{events},"headers":{{"X-Key":"k"}}}}"#);
        let change = Change::from_json(raw::parse(&made).unwrap(), &catalogue).unwrap();
        let draft = change.into_draft(crate::core::subscription::Ordering::Call).unwrap();
        let stored = draft.into_subscription(
            SubscriptionId::from_bits(7),
            SubscriptionNumber::FIRST,
            Secret::from_bytes([7; 32]),
            now,
        );
        let document = Document::of(text);
        stored_request(Some(&document), &catalogue, &stored, now).map_err(|problem| problem.status())
    }

    #[test]
    fn a_probe_of_a_stored_subscription_overrides_given_settings_only() {
        let (event, as_stored) = tested("{}", r#"["call.finished","call.missed"]"#).unwrap();
        assert_eq!(event.name.as_str(), "call.missed", "the first selected in the order of the list");
        assert_eq!((as_stored.url.as_str(), as_stored.format), ("http://a.example/", Format::Json));
        assert_eq!(tested("{}", r#"["*"]"#).unwrap().0.name.as_str(), "call.new");
        let changed = r#"{"event":"call.claimed","settings":{"url":"http://b.example/","format":"form","headers":{"X-Key":null,"Y":"z"}}}"#;
        let (event, changed) = tested(changed, r#"["*"]"#).unwrap();
        assert_eq!(
            (event.name.as_str(), changed.url.as_str(), changed.format),
            ("call.claimed", "http://b.example/", Format::Form)
        );
        assert_eq!((changed.headers[0].value.expose(), changed.headers.len()), ("k", 2));
        assert_eq!(changed.secret, as_stored.secret, "signed as its deliveries are");
        let given = Secret::from_bytes([8; 32]).reveal();
        for wrong in [
            r#"{"settings":{"url":7}}"#,
            r#"{"url":"http://b.example/"}"#,
            r#"{"event":"no"}"#,
            r#"{"event":null}"#,
            r#"{"settings":{"company":"globex"}}"#,
            "[]",
            &format!(r#"{{"settings":{{"secret":"{given}"}}}}"#),
        ] {
            assert_eq!(tested(wrong, r#"["*"]"#).err(), Some(422), "{wrong}");
        }
        assert_eq!(tested("{", r#"["*"]"#).err(), Some(400));
    }
}
