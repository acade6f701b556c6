//! `/v1/events`: posting events, singly or as a batch, and reading accepted ones.

use hyper::StatusCode;
use serde::Serialize;
use serde_json::value::RawValue;

use super::body::json_text;
use super::bridge;
use super::cloud_events;
use super::cursor::List;
use super::deliveries;
use super::idempotency_key;
use super::problem::Problem;
use super::query;
use super::reply::{Reply, json};
use super::request::{BYTE_ORDER_MARK, CLOUD_EVENT, CLOUD_EVENTS, Document, JSON, NDJSON, Permitted};
use super::shape::{Items, Text};
use crate::core::catalogue::Catalogue;
use crate::core::event::{CallId, Company, Domain, Event, EventType, NewEvent, ProducerId, Source};
use crate::core::id::EventId;
use crate::core::invalid::Invalid;
use crate::core::time::Timestamp;
use crate::store::{Accepted, EventFilter, StoreError};

/// Maximum events of a batch.
const MOST_IN_BATCH: usize = 1_000;

/// Accepts one event, or a whole batch, or nothing. Responds once they are durable.
pub(super) async fn post(mut request: Permitted) -> Result<Reply, Problem> {
    const KEY_OF_BATCH: &str = "is a batch: give each event its own `id` instead of the header Idempotency-Key";
    request.no_query()?;
    let key = idempotency_key::of(request.headers())?;
    let binary = cloud_events::is_binary(request.headers());
    let accepted: &[&'static str] =
        if binary { &[JSON, CLOUD_EVENT] } else { &[JSON, NDJSON, CLOUD_EVENT, CLOUD_EVENTS] };
    let (media, document) = request.body(accepted).await?;
    let catalogue = &request.services().catalogue;
    let mut lines = Vec::new();
    let events = match (media, key) {
        (CLOUD_EVENT, key) => vec![cloud_events::structured(&document, catalogue, key)?],
        (JSON, key) if binary => vec![cloud_events::binary(request.headers(), &document, catalogue, key)?],
        (JSON, key) => single(&document, catalogue, key)?,
        (CLOUD_EVENTS, None) => cloud_events::batched(&document, catalogue, MOST_IN_BATCH)?,
        (_, None) => batch(&document, catalogue, &mut lines)?,
        (_, Some(_)) => return Err(Problem::invalid("", KEY_OF_BATCH)),
    };
    for event in &events {
        request.access.own(&event.company)?;
    }
    let one = !matches!(media, NDJSON | CLOUD_EVENTS);
    let accepted = bridge::written(|reply| {
        let reply = move |result: Result<_, StoreError>| reply(result.map_err(|error| as_posted(error, one, &lines)));
        request.services().store.accept(events, Box::new(reply))
    });
    let accepted = accepted.await?;
    let text = match accepted.as_slice() {
        [first] if one => receipt(first),
        all => format!("{{\"events\":[{}]}}", all.iter().map(receipt).collect::<Vec<_>>().join(",")),
    };
    Ok(json_text(StatusCode::ACCEPTED, text))
}

/// The store identifies events by index; clients know lines, or nothing for a single event.
fn as_posted(error: StoreError, one: bool, lines: &[usize]) -> StoreError {
    let StoreError::Invalid(mut invalid) = error else { return error };
    for error in &mut invalid.errors {
        let number = error.pointer.split('/').nth(1).and_then(|number| number.parse::<usize>().ok());
        if one {
            error.pointer = error.pointer.trim_start_matches("/0").to_owned();
        } else if let Some(line) = number.and_then(|number| lines.get(number)) {
            error.detail = format!("(line {line}) {}", error.detail);
        }
    }
    StoreError::Invalid(invalid)
}

fn receipt(accepted: &Accepted) -> String {
    let Accepted { id, deliveries, duplicate } = accepted;
    format!(r#"{{"id":"{id}","deliveries":{deliveries},"duplicate":{duplicate}}}"#)
}

fn single(document: &Document, catalogue: &Catalogue, key: Option<ProducerId>) -> Result<Vec<NewEvent>, Problem> {
    let mut event =
        NewEvent::from_text(document.text(), catalogue).map_err(|fault| super::request::not_json(&fault))??;
    event.producer_id = idempotency_key::with(event.producer_id, key)?;
    Ok(vec![event])
}

/// The events of a batch; collects their line numbers in `of_line`.
fn batch(document: &Document, catalogue: &Catalogue, of_line: &mut Vec<usize>) -> Result<Vec<NewEvent>, Problem> {
    // Concatenated files have a byte order mark at the start of each.
    let whole = document.text().lines().map(|line| line.trim_start_matches(BYTE_ORDER_MARK));
    let lines = || whole.clone().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let count = lines().count();
    if count == 0 || count > MOST_IN_BATCH {
        let detail = format!("has {count} events; a batch has 1 to {MOST_IN_BATCH}, one a line");
        return Err(Problem::invalid("", detail));
    }
    let mut events = Vec::with_capacity(count);
    let mut invalid = Invalid::default();
    for (index, (line, text)) in lines().enumerate() {
        let line = line + 1;
        of_line.push(line);
        match NewEvent::from_text(text, catalogue).map_err(|fault| not_json(line, &fault))? {
            Ok(event) => events.push(event),
            Err(inner) => {
                for error in inner.errors {
                    invalid.add(format!("/{index}{}", error.pointer), format!("(line {line}) {}", error.detail));
                }
            }
        }
    }
    invalid.or(Some(events)).map_err(Problem::from)
}

/// serde_json counts lines from the start of its text, which is always one line here.
fn not_json(line: usize, fault: &str) -> Problem {
    let fault = fault.replace(" at line 1 column ", " at column ");
    Problem::bad_request(format!("line {line} of the body is not JSON: {fault}; nothing of the batch was stored"))
}

#[derive(Serialize)]
pub(super) struct EventJson<'e> {
    id: Text<EventId>,
    r#type: &'e str,
    company: &'e str,
    domain: Option<&'e str>,
    source: &'static str,
    occurred_at: Text<Timestamp>,
    accepted_at: Text<Timestamp>,
    producer_id: Option<&'e str>,
    data: &'e RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    deliveries: Option<Vec<deliveries::DeliveryJson<'e>>>,
}

pub(super) fn shown(event: &Event) -> Result<EventJson<'_>, StoreError> {
    let damaged =
        |_| StoreError::corrupt_log(format!("has the event {}, whose data is not JSON as it was accepted", event.id));
    Ok(EventJson {
        id: Text(event.id),
        r#type: event.event_type.as_str(),
        company: event.company.as_str(),
        domain: event.domain.as_ref().map(Domain::as_str),
        source: event.source.as_str(),
        occurred_at: Text(event.occurred_at),
        accepted_at: Text(event.accepted_at),
        producer_id: event.producer_id.as_ref().map(ProducerId::as_str),
        data: serde_json::from_str(&event.data).map_err(damaged)?,
        deliveries: None,
    })
}

/// Accepted events, newest first.
pub(super) async fn list(request: Permitted) -> Result<Reply, Problem> {
    let mut query = request.query();
    let filter = EventFilter {
        id: query.take("event_id", deliveries::parse_id),
        producer_id: query.take("producer_id", ProducerId::parse),
        company: query.take("company", Company::parse),
        domain: query.take("domain", Domain::parse),
        source: query.take("source", Source::parse),
        event_type: query.take("type", EventType::parse),
        call: query.take("call", CallId::parse),
        phone: query.take_with_plus("phone", query::text),
        since: query.take_with_plus("since", Timestamp::parse),
        until: query.take_with_plus("until", Timestamp::parse),
    };
    let page = query.page(List::Events);
    query.finish()?;
    let filter = EventFilter {
        company: request.access.narrow(filter.company.clone())?,
        domain: request.access.narrow_domain(filter.domain.clone())?,
        ..filter
    };
    let found = bridge::read(&request, move |store| store.events(&filter, page.after, page.limit)).await?;
    let items = found.items.iter().map(shown).collect::<Result<Vec<_>, _>>()?;
    json(StatusCode::OK, &Items::of(items, List::Events, found.next, found.scanned_until))
}

/// One event with its deliveries.
pub(super) async fn show(request: Permitted, id: EventId) -> Result<Reply, Problem> {
    request.no_query()?;
    let found = bridge::read(&request, move |store| {
        let Some(event) = store.event(id)? else { return Ok(None) };
        Ok(Some((event, store.event_deliveries(id)?)))
    });
    let found = found.await?.filter(|(event, _)| request.access.sees(&event.company, event.domain.as_ref()));
    let (event, mut deliveries) = found.ok_or_else(|| Problem::not_found("there is no event with this id"))?;
    if let Some(webhooks) = request.access.webhooks(&request.services().store) {
        deliveries.retain(|delivery| webhooks.contains(&delivery.subscription));
    }
    let mut shown = shown(&event)?;
    shown.deliveries =
        Some(deliveries.iter().map(|delivery| deliveries::shown(delivery, Some(&event.company))).collect());
    json(StatusCode::OK, &shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receipts_are_json() {
        let accepted = Accepted { id: EventId::from_bits(7), deliveries: 2, duplicate: true };
        let read: serde_json::Value = serde_json::from_str(&receipt(&accepted)).unwrap();
        let wanted = serde_json::json!({"id": EventId::from_bits(7).to_string(), "deliveries": 2, "duplicate": true});
        assert_eq!(read, wanted);
    }

    #[test]
    fn an_events_data_is_shown_as_it_was_posted() {
        let event = Event::for_test(r#"{"z":1.50,"call_id":"c","a":123456789012345678901234567890}"#);
        let text = serde_json::to_string(&shown(&event).unwrap()).unwrap();
        assert!(text.contains(&format!("\"data\":{}", event.data)), "{text}");
        assert!(text.contains(r#""domain":null,"source":"api","occurred_at":"1970-01-01T00:00:00.000Z""#), "{text}");
        assert!(shown(&Event { data: "{".to_owned(), ..event }).is_err());
    }
}
