//! `POST /v1/test` and `POST …/{id}/test`: a sample event, posted at once, and what came back.
//!
//! A probe blocks for as long as the receiver takes, so there are few at once, shared fairly among companies; the probe
//! of a stored subscription is recorded in the log, also if the client does not wait for it.

use std::sync::Arc;

use hyper::StatusCode;
use serde::Serialize;
use serde_json::value::RawValue;
use url::Url;

use super::bridge::{Asker as _, Share};
use super::edge::Edge;
use super::fair_limit::Lane;
use super::log::{phases, text};
use super::problem::Problem;
use super::reply::{Reply, json};
use super::request::{Document, Permitted};
use super::shape::{Object, headers};
use super::subscriptions;
use crate::core::address;
use crate::core::attempt::{Fault, LogEntry, Outcome, Phase, Status};
use crate::core::catalogue::{Catalogue, Entry};
use crate::core::client_certificate::{self, CertificateChange, ClientCertificate};
use crate::core::event::Source;
use crate::core::id::{AttemptId, EventId, SubscriptionId};
use crate::core::invalid::{Invalid, pointer};
use crate::core::json as raw;
use crate::core::own_headers;
use crate::core::request::{Outgoing, Probe};
use crate::core::subscription::{Format, Header, Layout, Secret, Subscription};
use crate::core::time::Timestamp;
use crate::sender::probe::{self, Findings};

/// The event type whose sample is sent unless another is asked for.
const DEFAULT_EVENT: &str = "call.new";

#[derive(Serialize)]
struct Shown<'f> {
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

fn shown(findings: &Findings) -> Shown<'_> {
    let (report, request) = (&findings.report, &findings.request);
    let ours = request.headers.iter().map(|(name, value)| (name.as_str(), Some(value.as_str())));
    let own = request.own_headers.iter().map(|header| (header.name.as_str(), None));
    Shown {
        response: findings.response,
        working: findings.working,
        message: &findings.message,
        note: report.note.as_deref(),
        error: findings.error().map(Fault::as_str),
        phase: findings.phase().map(Phase::as_str),
        duration_ms: report.duration.as_millis(),
        phases: phases(&report.phases),
        address: report.address.as_deref(),
        request: Request { headers: headers(ours.chain(own)), body: text(&request.body) },
        response_body: findings.response_body(),
        curl: &findings.curl,
    }
}

/// What is asked of a probe; of a stored subscription only the event type.
struct Asked {
    event: Entry,
    url: String,
    format: Format,
    layout: Layout,
    headers: Vec<Header>,
    certificate: Option<Arc<ClientCertificate>>,
}

impl Asked {
    /// Reads the members of `document`, of which `event` alone is known if `stored`.
    fn read(document: Option<&Document>, catalogue: &Catalogue, stored: bool) -> Result<Self, Problem> {
        let mut invalid = Invalid::default();
        let (mut event, mut url) = (catalogue.get(DEFAULT_EVENT).cloned(), None);
        let (mut format, mut layout, mut headers) = (Format::Json, Layout::Envelope, Vec::new());
        let mut certificate = CertificateChange::default();
        let body = document.map(Document::parse).transpose()?;
        let members = body.map(raw::members).transpose().map_err(|fault| Problem::invalid("", fault))?;
        let members = members.unwrap_or_default();
        if let Some(name) = raw::first_duplicate(&members) {
            invalid.add(pointer(name), "stands twice");
        }
        let known = if stored { "event" } else { "url, format, layout, event, headers, client_cert, client_key" };
        for (name, value) in &members {
            let at = pointer(name);
            match name.as_str() {
                "event" => event = invalid.check(&at, named_event(value, catalogue)).or(event),
                "url" if !stored => {
                    let read = raw::string(value).and_then(|text| address::read_url(&text));
                    url = invalid.check(&at, read).map(String::from);
                }
                "format" if !stored => {
                    let read = raw::string(value).and_then(|text| Format::parse(&text));
                    format = invalid.check(&at, read).unwrap_or(format);
                }
                "layout" if !stored => {
                    let read = raw::string(value).and_then(|text| Layout::parse(&text));
                    layout = invalid.check(&at, read).unwrap_or(layout);
                }
                "headers" if !stored => match own_headers::read_complete(value) {
                    Ok(read) => headers = read,
                    Err(inner) => invalid.nest(&at, inner),
                },
                "client_cert" if !stored => {
                    certificate.cert = invalid.check(&at, client_certificate::read_cert(value)).map(Some);
                }
                "client_key" if !stored => {
                    certificate.key = invalid.check(&at, client_certificate::read_key(value)).map(Some);
                }
                _ => invalid.add(at, format!("is not a member here; there are: {known}")),
            }
        }
        if url.is_none() && !stored && !members.iter().any(|(name, _)| name == "url") {
            invalid.add("/url", "is missing");
        }
        let url = if stored { Some(String::new()) } else { url };
        let certificate = certificate.settle(None).map_err(|inner| invalid.nest("", inner)).ok().flatten();
        let asked = event.zip(url).map(|(event, url)| Self { event, url, format, layout, headers, certificate });
        invalid.or(asked).map_err(Problem::from)
    }
}

fn named_event(value: &RawValue, catalogue: &Catalogue) -> Result<Entry, String> {
    let name = raw::string(value)?;
    catalogue.event_type(&name)?;
    catalogue.get(&name).cloned().ok_or_else(|| "is not an event type".to_owned())
}

/// Bytes that nobody can guess: for an id, and for the secret of a probe that has none of its own.
fn random<const N: usize>() -> Result<[u8; N], Problem> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| Problem::internal())?;
    Ok(bytes)
}

fn fresh_id(now: Timestamp) -> Result<EventId, Problem> {
    let random = u128::from_be_bytes(random()?) >> 48;
    Ok(EventId::from_bits((u128::from(now.millis()) << 80) | random))
}

/// Probes a URL that is not saved yet. There is no secret that its receiver could know, so the
/// signature is made with one that is thrown away: the request has all that a delivery has.
pub(super) async fn unsaved(mut request: Permitted) -> Result<Reply, Problem> {
    request.no_query()?;
    let document = request.json().await?;
    let asked = Asked::read(Some(&document), &request.edge().catalogue, false)?;
    let now = (request.edge().clock)();
    let (event, secret) = (fresh_id(now)?, Secret::from_bytes(random::<32>()?));
    let front = Arc::clone(&request.front);
    let url = Url::parse(&asked.url).ok();
    let host = url.as_ref().and_then(Url::host_str).unwrap_or_default();
    let share = Share::of(&request.front, Lane::Probe, request.principal().towards(host));
    let findings = share.run(move || {
        let probe = Probe {
            url: &asked.url,
            format: asked.format,
            layout: asked.layout,
            own_headers: &asked.headers,
            client_certificate: asked.certificate.as_ref(),
            secrets: vec![&secret],
            entry: &asked.event,
            event,
            company: None,
            domain: None,
            source: Source::Widget,
        };
        let outgoing = Outgoing::probe(&probe, now);
        probe::run(&front.edge.outlet.get(), outgoing, None)
    });
    json(StatusCode::OK, &shown(&findings.await?))
}

/// Probes a stored subscription as it is stored, and records it.
pub(super) async fn stored(mut request: Permitted, id: SubscriptionId) -> Result<Reply, Problem> {
    request.no_query()?;
    let subscription = subscriptions::find(&request, id)?;
    subscriptions::check_unlocked(&subscription)?;
    let document = request.optional_json().await?;
    let asked = Asked::read(document.as_ref(), &request.edge().catalogue, true)?;
    let now = (request.edge().clock)();
    let event = fresh_id(now)?;
    let front = Arc::clone(&request.front);
    let concerned = request.principal().concerning(&subscription.company);
    let share = Share::of(&request.front, Lane::Probe, concerned);
    let findings = share.run(move || {
        let probe = Probe::of(&subscription, &asked.event, event, now);
        let outgoing = Outgoing::probe(&probe, now);
        let findings = probe::run(&front.edge.outlet.get(), outgoing, subscription.timeout);
        let entry = entry(&subscription, &asked.event, &findings, (front.edge.clock)());
        record(&front.edge, entry);
        findings
    });
    json(StatusCode::OK, &shown(&findings.await?))
}

/// Puts the probe into the log. The client is told what came back either way.
fn record(edge: &Edge, entry: LogEntry) {
    let told = |failed: bool| {
        if failed {
            tracing::warn!("a probe could not be recorded in the log");
        }
    };
    let busy = edge.store.record_probe(entry, Box::new(move |result| told(result.is_err()))).is_err();
    told(busy);
}

fn entry(subscription: &Subscription, event: &Entry, findings: &Findings, now: Timestamp) -> LogEntry {
    let report = &findings.report;
    let (error, error_detail, answer) = match &report.outcome {
        Outcome::Answered(answer) => (None, report.note.clone().unwrap_or_default(), Some(answer.clone())),
        Outcome::Failed { fault, detail } => (Some(*fault), detail.clone(), None),
    };
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
    use crate::core::attempt::Report;
    use crate::core::subscription::Hidden;

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
            },
        }
    }

    #[test]
    fn a_probe_shows_what_was_sent_where_it_ended_and_no_secret() {
        let refused = findings(Outcome::Failed { fault: Fault::Refused, detail: String::new() });
        let wanted = serde_json::json!({
            "response": null, "working": false, "message": "Not working.", "note": null, "error": "connection_refused",
            "phase": "connect", "duration_ms": 7, "phases": {"resolve": 2, "connect": 5}, "address": null,
            "request": {"headers": {"Content-Type": "application/json", "X-Key": null}, "body": "{}"},
            "response_body": null, "curl": "curl https://hooks.example/in",
        });
        assert_eq!(serde_json::to_value(shown(&refused)).unwrap(), wanted);
    }

    fn asked(text: &str, stored: bool) -> Result<Asked, u16> {
        let catalogue = Catalogue::new(Vec::new()).unwrap();
        let document = Document::of(text);
        Asked::read(Some(&document), &catalogue, stored).map_err(|problem| problem.status())
    }

    #[test]
    fn what_is_not_said_has_its_default() {
        let asked = |text| asked(text, false).unwrap();
        let plain = asked(r#"{"url":"https://hooks.example"}"#);
        assert_eq!(
            (plain.event.name.as_str(), plain.format, plain.layout),
            ("call.new", Format::Json, Layout::Envelope)
        );
        assert_eq!((plain.url.as_str(), plain.headers.len()), ("https://hooks.example/", 0));
        let full = asked(
            r#"{"url":"http://a.example/x","format":"form","layout":"flat","event":"call.missed","headers":{"A":"b"}}"#,
        );
        assert_eq!((full.event.name.as_str(), full.format, full.layout), ("call.missed", Format::Form, Layout::Flat));
        assert_eq!(full.headers.len(), 1);
    }

    #[test]
    fn a_stored_subscription_is_probed_as_it_is_stored() {
        assert!(
            asked(r#"{"event":"call.missed"}"#, true).is_ok_and(|asked| asked.event.name.as_str() == "call.missed")
        );
        for wrong in [r#"{"url":"http://a.example"}"#, r#"{"event":"no"}"#, r#"{"event":null}"#, "[]"] {
            assert_eq!(asked(wrong, true).err(), Some(422), "{wrong}");
        }
        assert_eq!(asked("{", true).err(), Some(400));
    }
}
