//! `/v1/log`: attempts, as pages, as a stream, and singly.

use std::sync::Arc;

use hyper::StatusCode;
use hyper::header::ACCEPT;
use serde::Serialize;

use super::bridge::{self, Asker};
use super::cursor::{self, List};
use super::deliveries::parse_id;
use super::export::{self, Kind};
use super::fair_limit::Lane;
use super::log_entry::LogEntryJson;
use super::problem::Problem;
use super::query::{self, Query};
use super::reply::{Reply, json};
use super::request::Permitted;
use super::shape::{Object, Text, headers};
use crate::core::attempt::{Answer, LogEntry, Phase, Sent, Status};
use crate::core::event::{CallId, Company, Domain, Event, EventType, ProducerId};
use crate::core::id::AttemptId;
use crate::core::payload;
use crate::core::time::Timestamp;
use crate::sender::probe;
use crate::store::{EventFilter, LogFilter, Page};

#[derive(Serialize)]
struct Entries<'l> {
    entries: Vec<LogEntryJson<'l>>,
    next: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scanned_until: Option<Text<Timestamp>>,
}

fn filter(query: &mut Query) -> LogFilter {
    LogFilter {
        event: query.take("event_id", parse_id),
        company: query.take("company", Company::parse),
        domain: query.take("domain", Domain::parse),
        subscription: query.take("subscription", parse_id),
        webhooks: None,
        delivery: query.take("delivery", parse_id),
        event_type: query.take("event", EventType::parse),
        status: query.take("status", Status::parse),
        response: query.take("response", response),
        call: query.take("call", CallId::parse),
        phone: query.take_with_plus("phone", query::text),
        since: query.take_with_plus("since", Timestamp::parse),
        until: query.take_with_plus("until", Timestamp::parse),
        test: query.take("test", query::boolean),
    }
}

/// A status code, or `none` for entries without a response.
fn response(text: &str) -> Result<Option<u16>, String> {
    if text == "none" {
        return Ok(None);
    }
    let code = text.parse().ok().filter(|code| (100..=999).contains(code));
    code.map(Some).ok_or_else(|| "must be a status code such as 404, or `none`".to_owned())
}

/// The log, newest first: a page as JSON, or all that match as CSV or NDJSON.
pub(super) async fn list(request: Permitted) -> Result<Reply, Problem> {
    let kind = request.headers().get(ACCEPT).and_then(|accept| Kind::wanted(accept.to_str().ok()?));
    let mut query = request.query();
    let mut filter = filter(&mut query);
    let produced = query.take("producer_id", ProducerId::parse);
    let page = if kind.is_none() { Some(query.page(List::Log)) } else { None };
    query.finish()?;
    filter.company = request.access.narrow(filter.company)?;
    filter.domain = request.access.narrow_domain(filter.domain)?;
    filter.webhooks = request.access.webhooks(&request.services().store);
    if let Some(own) = produced {
        let (company, domain) = (filter.company.clone(), filter.domain.clone());
        let wanted = EventFilter { producer_id: Some(own), company, domain, ..EventFilter::default() };
        let found = bridge::read(&request, move |store| store.events(&wanted, None, 1)).await?;
        let named = found.items.first().map(|event| event.id);
        if named.is_none() || filter.event.is_some_and(|other| Some(other) != named) {
            // Of no event: nothing is asked of the log.
            filter.until = Some(Timestamp::from_millis(0));
        }
        filter.event = named.or(filter.event);
    }
    let store = &request.services().store;
    let page = match (kind, page) {
        (Some(kind), _) => {
            let store = store.clone();
            let share = request.share(Lane::Read);
            let account = request.account.clone();
            return export::stream(
                share,
                account,
                Arc::new(move |after| store.log(&filter, after, export::PAGE)),
                kind,
            )
            .await;
        }
        (None, Some(page)) => page,
        (None, None) => return Err(Problem::internal()),
    };
    let found = self::page(&request, filter, page.after, page.limit).await?;
    let entries = found.items.iter().map(LogEntryJson::of).collect();
    let next = found.next.map(|bits| cursor::write(List::Log, bits));
    json(StatusCode::OK, &Entries { entries, next, scanned_until: found.scanned_until.map(Text) })
}

/// Reads one page of entries, newest first, for the API and for the page's views.
///
/// # Errors
/// As [`bridge::read`].
pub(super) async fn page(
    asker: &impl Asker,
    filter: LogFilter,
    after: Option<u128>,
    limit: usize,
) -> Result<Page<LogEntry>, Problem> {
    bridge::read(asker, move |store| store.log(&filter, after, limit)).await
}

#[derive(Serialize)]
struct Whole<'l> {
    #[serde(flatten)]
    entry: LogEntryJson<'l>,
    /// The result in plain language, with what to do if it was not delivered.
    message: Option<String>,
    phases: Object<&'static str, u128>,
    address: Option<&'l str>,
    request: Option<Request<'l>>,
    response_headers: Option<Object<&'l str, Option<String>>>,
    response_body: Option<String>,
    response_truncated: bool,
}

#[derive(Serialize)]
struct Request<'l> {
    headers: Object<&'l str, Option<String>>,
    body: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'static str>,
}

/// The request: its body as stored, or rendered again from its event.
fn sent_request<'l>(entry: &'l LogEntry, sent: &'l Sent, event: Option<&Event>) -> Request<'l> {
    const GONE: &str = "the event is no longer kept, so its body cannot be shown";
    let body = match (&entry.sent_body, event) {
        (Some(body), _) => Some(text(body)),
        (None, Some(event)) => Some(text(&payload::body(event, sent.format, sent.layout, sent.nested).bytes)),
        (None, None) => None,
    };
    let note = body.is_none().then_some(GONE);
    Request { headers: headers(sent.headers.iter().map(|(name, value)| (name.as_str(), value.as_deref()))), body, note }
}

fn answered(answer: &Answer) -> Object<&str, Option<String>> {
    headers(answer.headers.iter().map(|(name, value)| (name.as_str(), Some(value.as_str()))))
}

/// Untrusted bytes as text, with replacement characters for invalid UTF-8.
pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub(super) fn phases(phases: &[(Phase, std::time::Duration)]) -> Object<&'static str, u128> {
    Object(phases.iter().map(|(phase, length)| (phase.as_str(), length.as_millis())).collect())
}

/// One entry with its request and its response.
pub(super) async fn show(request: Permitted, id: AttemptId) -> Result<Reply, Problem> {
    request.no_query()?;
    let found = bridge::read(&request, move |store| {
        let Some(entry) = store.log_entry(id)? else { return Ok(None) };
        let event = match (entry.event, &entry.sent, &entry.sent_body) {
            (Some(event), Some(_), None) => store.event(event)?,
            _ => None,
        };
        Ok(Some((entry, event)))
    });
    let webhooks = request.access.webhooks(&request.services().store);
    let found = found.await?.filter(|(entry, _)| {
        request.access.sees(&entry.company, entry.domain.as_ref())
            && webhooks.as_ref().is_none_or(|webhooks| webhooks.contains(&entry.subscription))
    });
    let (entry, event) = found.ok_or_else(|| Problem::not_found("there is no entry of the log with this id"))?;
    json(StatusCode::OK, &whole(&entry, event.as_ref()))
}

fn whole<'l>(entry: &'l LogEntry, event: Option<&Event>) -> Whole<'l> {
    Whole {
        entry: LogEntryJson::of(entry),
        message: probe::of_entry(entry),
        phases: phases(&entry.phases),
        address: entry.address.as_deref(),
        request: entry.sent.as_ref().map(|sent| sent_request(entry, sent, event)),
        response_headers: entry.answer.as_ref().map(answered),
        response_body: entry.answer.as_ref().map(|answer| text(&answer.body)),
        response_truncated: entry.answer.as_ref().is_some_and(|answer| answer.truncated),
    }
}

#[cfg(test)]
mod tests {
    use super::super::export::tests::entry;
    use super::*;
    use crate::core::subscription::{Format, Layout, Nested};

    #[test]
    fn response_filters_are_a_code_or_none() {
        assert_eq!(response("404"), Ok(Some(404)));
        assert_eq!(response("none"), Ok(None));
        for wrong in ["", "99", "1000", "4xx", "-1"] {
            assert!(response(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_entry_shows_request_and_response() {
        let headers = vec![("webhook-id".to_owned(), Some("evt_1".to_owned())), ("X-Key".to_owned(), None)];
        let mut attempt = entry("acme", "c");
        attempt.sent = Some(Sent { format: Format::Json, layout: Layout::Flat, nested: Nested::Brackets, headers });
        attempt.answer = Some(Answer {
            status: 404,
            headers: vec![("server".to_owned(), "x".to_owned())],
            body: b"not \xff here".to_vec(),
            truncated: true,
        });
        let shown =
            serde_json::to_value(whole(&attempt, Some(&Event::for_test(r#"{"call_id":"c","n":1.50}"#)))).unwrap();
        assert_eq!(shown["response"], 404);
        let body = r#"{"event":"call.new","call_id":"c","n":1.50}"#;
        let wanted = serde_json::json!({"headers": {"webhook-id": "evt_1", "X-Key": null}, "body": body});
        assert_eq!(shown["request"], wanted);
        assert_eq!(shown["response_headers"], serde_json::json!({"server": "x"}));
        assert_eq!(
            (&shown["response_body"], &shown["response_truncated"]),
            (&"not \u{fffd} here".into(), &true.into())
        );
    }

    #[test]
    fn dropped_bodies_are_marked_and_kept_ones_are_shown() {
        let mut attempt = entry("acme", "c");
        let sent =
            Sent { format: Format::Form, layout: Layout::Envelope, nested: Nested::Brackets, headers: Vec::new() };
        attempt.sent = Some(sent);
        let gone = serde_json::to_value(whole(&attempt, None)).unwrap();
        assert!(gone["request"]["body"].is_null() && gone["request"]["note"].is_string(), "{gone}");
        attempt.sent_body = Some(b"a=b".to_vec());
        let kept = serde_json::to_value(whole(&attempt, None)).unwrap();
        assert_eq!(kept["request"], serde_json::json!({"headers": {}, "body": "a=b"}));
        attempt.sent = None;
        assert!(serde_json::to_value(whole(&attempt, None)).unwrap()["request"].is_null());
    }
}
