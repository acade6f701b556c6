//! `/v1/subscriptions/{id}/events`, `…/replay` and `…/discard`: a subscription's queue, past and present.

use hyper::StatusCode;
use serde::Serialize;

use super::body::json_text;
use super::bridge;
use super::cursor::List;
use super::problem::Problem;
use super::reply::{Reply, json};
use super::request::{Document, Permitted};
use super::shape::{Items, Object, Text};
use super::subscriptions::find;
use crate::core::catalogue::Catalogue;
use crate::core::delivery::Delivery;
use crate::core::event::{Event, EventType};
use crate::core::id::{DeliveryId, EventId, MAX_SEQUENCE, SubscriptionId};
use crate::core::invalid::{Invalid, pointer};
use crate::core::json as text;
use crate::core::request::{Marks, Outgoing};
use crate::core::subscription::Subscription;
use crate::core::time::Timestamp;
use crate::store::ReplayFilter;

/// The delivery with one sequence number, as it would be sent now.
#[derive(Serialize)]
struct Sequenced {
    sequence: u64,
    delivery: Text<DeliveryId>,
    state: &'static str,
    event_id: Text<EventId>,
    event: String,
    created: Text<Timestamp>,
    headers: Object<String, String>,
    body: String,
    /// Why there is no body: the template fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Signs it again, so that the receiver's check of the signature's age passes. The subscription's own headers belong
/// to the receiver and are omitted.
fn sequenced(subscription: &Subscription, delivery: &Delivery, event: &Event, now: Timestamp) -> Sequenced {
    let marks = Marks { delivery: delivery.id, attempt: delivery.attempts.max(1), gap: Vec::new() };
    let (headers, body, error) = match Outgoing::delivery(subscription, event, &marks, now) {
        Ok(outgoing) => (outgoing.headers, String::from_utf8_lossy(&outgoing.body).into_owned(), None),
        Err(fault) => (Vec::new(), String::new(), Some(format!("the template of this webhook fails: {fault}"))),
    };
    Sequenced {
        sequence: delivery.id.sequence(),
        delivery: Text(delivery.id),
        state: delivery.state.as_str(),
        event_id: Text(event.id),
        event: event.event_type.as_str().to_owned(),
        created: Text(event.accepted_at),
        headers: Object(headers),
        body,
        error,
    }
}

fn sequence(text: &str) -> Result<u64, String> {
    let number = text.parse().ok().filter(|number| (1..=MAX_SEQUENCE).contains(number));
    number.ok_or_else(|| format!("must be a sequence number: a whole number from 1 to {MAX_SEQUENCE}"))
}

/// The deliveries with sequence numbers from `from` to `to`, inclusive, in order. Those no longer stored are omitted.
pub(super) async fn events_between(request: Permitted, id: SubscriptionId) -> Result<Reply, Problem> {
    let mut query = request.query();
    let from = query.take("from", sequence).unwrap_or(1);
    let to = query.take("to", sequence).unwrap_or(MAX_SEQUENCE);
    let page = query.page(List::Sequenced);
    query.finish()?;
    if from > to {
        return Err(Problem::invalid("?from", "must not be above `to`"));
    }
    let subscription = find(&request, id)?;
    let after = page.after.and_then(|last| u64::try_from(last).ok()).map_or(from, |last| from.max(last + 1));
    let read = move |store: &crate::store::Store| store.owed_between(id, after, to, page.limit);
    let found = bridge::read(&request, read).await?;
    let now = (request.services().clock)();
    let items = found.items.iter().map(|(delivery, event)| sequenced(&subscription, delivery, event, now)).collect();
    json(StatusCode::OK, &Items::of(items, List::Sequenced, found.next, None))
}

/// Puts deliveries of a time range back into the queue, or only counts them.
pub(super) async fn replay(mut request: Permitted, id: SubscriptionId) -> Result<Reply, Problem> {
    request.no_query()?;
    find(&request, id)?;
    let (filter, dry_run) = filter(&request.json().await?, &request.services().catalogue)?;
    let plan = bridge::read(&request, move |store| store.plan_replay(id, filter)).await?;
    let plan = plan.ok_or_else(|| Problem::not_found("there is no subscription with this id"))?;
    let queued = plan.queued;
    if dry_run {
        return Ok(json_text(StatusCode::OK, format!(r#"{{"queued":{queued}}}"#)));
    }
    bridge::written(|reply| request.acting().replay(id, plan, reply)).await?;
    Ok(json_text(StatusCode::ACCEPTED, format!(r#"{{"queued":{queued}}}"#)))
}

/// Cancels all waiting deliveries.
pub(super) async fn discard(request: Permitted, id: SubscriptionId) -> Result<Reply, Problem> {
    request.no_query()?;
    find(&request, id)?;
    let cancelled = bridge::written(|reply| request.acting().discard(id, reply)).await?;
    Ok(json_text(StatusCode::ACCEPTED, format!(r#"{{"cancelled":{cancelled}}}"#)))
}

/// Which deliveries are to be replayed, and whether they are only to be counted.
fn filter(document: &Document, catalogue: &Catalogue) -> Result<(ReplayFilter, bool), Problem> {
    let members = text::members(document.parse()?).map_err(|fault| Problem::invalid("", fault))?;
    let mut invalid = Invalid::default();
    if let Some(name) = text::first_duplicate(&members) {
        invalid.add(pointer(name), "is given twice");
    }
    let (mut since, mut until, mut events, mut failed_only, mut dry_run) = (None, None, Vec::new(), false, false);
    for (name, value) in &members {
        let is_null = text::Kind::of(value) == text::Kind::Null;
        match name.as_ref() {
            "since" => since = invalid.check("/since", text::string(value).and_then(|text| Timestamp::parse(&text))),
            "until" if is_null => {}
            "until" => until = invalid.check("/until", text::string(value).and_then(|text| Timestamp::parse(&text))),
            "events" if is_null => {}
            "events" => events = invalid.check("/events", event_types(value, catalogue)).unwrap_or_default(),
            "only" if is_null => {}
            "only" => failed_only = invalid.check("/only", only(value)).unwrap_or(false),
            "dry_run" if is_null => {}
            "dry_run" => dry_run = invalid.check("/dry_run", text::boolean(value)).unwrap_or(false),
            _ => invalid.add(pointer(name), "is not a member here; there are: since, until, events, only, dry_run"),
        }
    }
    if !members.iter().any(|(name, _)| name == "since") {
        invalid.add("/since", "is missing: from when on to replay, an RFC 3339 time such as 2026-11-23T09:30:00Z");
    }
    if let (Some(since), Some(until)) = (since, until)
        && since >= until
    {
        invalid.add("/until", "must be later than `since`");
    }
    let filter = since.map(|since| ReplayFilter { since, until, events, failed_only });
    invalid.or(filter).map(|filter| (filter, dry_run)).map_err(Problem::from)
}

/// `failed` or `all`; whether only failed deliveries are meant.
fn only(value: &serde_json::value::RawValue) -> Result<bool, String> {
    match text::string(value)?.as_str() {
        "failed" => Ok(true),
        "all" => Ok(false),
        _ => Err("must be \"failed\" or \"all\"".to_owned()),
    }
}

/// A list of known event types; `["*"]` and an empty list mean all, represented by an empty list.
fn event_types(value: &serde_json::value::RawValue, catalogue: &Catalogue) -> Result<Vec<EventType>, String> {
    let items = text::items(value)?;
    let mut types = Vec::with_capacity(items.len());
    for item in &items {
        let name = text::string(item)?;
        if name == "*" && items.len() == 1 {
            return Ok(Vec::new());
        }
        if name == "*" {
            return Err("has \"*\", which must stand alone: [\"*\"] is every event type".to_owned());
        }
        let known = EventType::parse(&name).ok().filter(|name| catalogue.get(name.as_str()).is_some());
        types.push(known.ok_or_else(|| format!("has {}, which is not an event type here", text::quote(&name)))?);
    }
    Ok(types)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Result<ReplayFilter, String> {
        let document = Document::of(body);
        filter(&document, &Catalogue::new(Vec::new()).unwrap())
            .map(|(filter, _)| filter)
            .map_err(|problem| format!("{problem:?}"))
    }

    #[test]
    fn a_replay_is_read() {
        let all = read(r#"{"since":"2026-11-23T09:30:00Z"}"#).unwrap();
        assert_eq!((all.since.to_string().as_str(), all.until), ("2026-11-23T09:30:00.000Z", None));
        assert!(all.events.is_empty() && !all.failed_only);
        let body = r#"{"since":"2026-11-23T09:30:00Z","until":"2026-11-23T10:30:00+00:00","events":["call.new"],"only":"failed"}"#;
        let some = read(body).unwrap();
        assert_eq!((some.events[0].as_str(), some.failed_only, some.until.is_some()), ("call.new", true, true));
        let star = read(r#"{"since":"2026-11-23T09:30:00Z","until":null,"events":["*"],"only":"all"}"#).unwrap();
        assert!(star.events.is_empty() && !star.failed_only);
    }

    #[test]
    fn faults_of_a_replay_are_named() {
        let since = r#""since":"2026-11-23T09:30:00Z""#;
        let cases = [
            ("{}".to_owned(), "/since"),
            (r#"{"since":null}"#.to_owned(), "/since"),
            (r#"{"since":"yesterday"}"#.to_owned(), "/since"),
            (format!("{{{since},{since}}}"), "/since"),
            (format!(r#"{{{since},"until":"2026-11-23T09:30:00Z"}}"#), "/until"),
            (format!(r#"{{{since},"events":["call.mew"]}}"#), "/events"),
            (format!(r#"{{{since},"events":"call.new"}}"#), "/events"),
            (format!(r#"{{{since},"events":["*","call.mew"]}}"#), "/events"),
            (format!(r#"{{{since},"events":["call.new","*"]}}"#), "/events"),
            (format!(r#"{{{since},"only":"some"}}"#), "/only"),
            (format!(r#"{{{since},"limit":1}}"#), "/limit"),
            ("[]".to_owned(), "\"\""),
        ];
        for (body, named) in cases {
            let refusal = read(&body).unwrap_err();
            assert!(refusal.contains(named), "{body}: {refusal}");
        }
    }

    #[test]
    fn sequence_numbers_are_whole_and_begin_with_one() {
        assert_eq!(sequence("1"), Ok(1));
        for wrong in ["0", "-1", "1.5", "", "x", "99999999999999999999"] {
            assert!(sequence(wrong).is_err(), "{wrong}");
        }
    }
}
