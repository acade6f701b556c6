//! The body of a delivery: envelope, flat or CloudEvent, JSON or form.
//!
//! Rendering is deterministic: retries, the log and a receiver that fetches missed events all get the bytes sent
//! first. `data` is never parsed into values and serialised again.

use serde_json::value::RawValue;

use super::event::Event;
use super::form::{self, Written};
use super::json;
use super::path::segment;
use super::subscription::{Format, Layout, Nested};

/// A body, exactly as sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// The keys of form fields that are JSON text although `nested` says brackets, for `hookswitch-form`: joined by
    /// commas, or `*` for all lists and objects.
    pub json_members: Option<String>,
}

/// Renders the body of an event's delivery.
pub fn body(event: &Event, format: Format, layout: Layout, nested: Nested) -> Body {
    let plain = |text| Written { text, json_members: None };
    let written = match (format, layout) {
        (Format::Json, Layout::Envelope) => plain(envelope_json(event)),
        (Format::Json, Layout::Flat) => plain(flat_json(event)),
        // As a form it is refused when it is set.
        (_, Layout::CloudEvents) => plain(cloud_event(event)),
        (Format::Form, Layout::Envelope) => envelope_form(event, nested),
        (Format::Form, Layout::Flat) => flat_form(event, nested),
    };
    Body { bytes: written.text.into_bytes(), json_members: written.json_members }
}

/// The value of `Content-Type`.
pub const fn content_type(format: Format, layout: Layout) -> &'static str {
    match (format, layout) {
        (_, Layout::CloudEvents) => "application/cloudevents+json",
        (Format::Json, _) => "application/json",
        (Format::Form, _) => "application/x-www-form-urlencoded",
    }
}

/// Why these two do not go together, as a part of a sentence.
pub fn fault_of_layout(format: Format, layout: Layout) -> Option<&'static str> {
    let is_none = format == Format::Form && layout == Layout::CloudEvents;
    is_none.then_some("is JSON, and cannot be sent as a form: set `format` to `json`")
}

/// A CloudEvent (CloudEvents 1.0.2, 'JSON Event Format'): its source is a path of company and source, so that posting it
/// to another Hookswitch makes the same event. `company` and `domain` are extensions.
fn cloud_event(event: &Event) -> String {
    let source = format!("/{}/{}", segment(event.company.as_str()), event.source);
    let attributes = [
        ("specversion", Some("1.0".to_owned())),
        ("id", Some(event.id.to_string())),
        ("source", Some(source)),
        ("type", Some(event.event_type.to_string())),
        ("time", Some(event.occurred_at.to_string())),
        ("subject", Some(event.call.as_str().to_owned())),
        ("company", Some(event.company.to_string())),
        ("domain", event.domain.as_ref().map(ToString::to_string)),
        ("datacontenttype", Some("application/json".to_owned())),
    ];
    let mut out = String::with_capacity(event.data.len() + 320);
    out.push('{');
    for (name, value) in attributes {
        if let Some(value) = value {
            out.push_str(&format!("\"{name}\":{},", json::quote(&value)));
        }
    }
    out.push_str("\"data\":");
    out.push_str(&event.data);
    out.push('}');
    out
}

/// The envelope's members before `data`, in order; `None` is null.
fn heading(event: &Event) -> [(&'static str, Option<String>); 6] {
    [
        ("id", Some(event.id.to_string())),
        ("type", Some(event.event_type.to_string())),
        ("timestamp", Some(event.occurred_at.to_string())),
        ("company", Some(event.company.to_string())),
        ("domain", event.domain.as_ref().map(ToString::to_string)),
        ("source", Some(event.source.to_string())),
    ]
}

fn envelope_json(event: &Event) -> String {
    let mut out = String::with_capacity(event.data.len() + 256);
    out.push('{');
    for (name, value) in heading(event) {
        let value = value.map_or_else(|| "null".to_owned(), |value| json::quote(&value));
        out.push_str(&format!("\"{name}\":{value},"));
    }
    out.push_str("\"data\":");
    out.push_str(&event.data);
    out.push('}');
    out
}

/// `{"event": type, …the members of data}`. A member of data that is itself called `event` is omitted: parsers
/// disagree on duplicate names.
fn flat_json(event: &Event) -> String {
    let mut out = format!("{{\"event\":{}", json::quote(event.event_type.as_str()));
    for member in members_as_written(data(event)) {
        out.push(',');
        out.push_str(member);
    }
    out.push('}');
    out
}

fn envelope_form(event: &Event, nested: Nested) -> Written {
    let heading = heading(event);
    let heading: Vec<_> = heading.iter().map(|(name, value)| (*name, value.as_deref().unwrap_or_default())).collect();
    form::write(&heading, data(event), Some("data"), nested)
}

/// The same document as [`flat_json`], short members first.
fn flat_form(event: &Event, nested: Nested) -> Written {
    form::write(&[("event", event.event_type.as_str())], data(event), None, nested)
}

fn data(event: &Event) -> &RawValue {
    json::parse(&event.data).expect("data was parsed when the event was accepted")
}

fn members(data: &RawValue) -> Vec<json::Member<'_>> {
    json::members(data).expect("data was seen to be an object when the event was accepted")
}

/// The text of each member of `data` except `event`, name and value as posted.
fn members_as_written(data: &RawValue) -> Vec<&str> {
    let text = data.get();
    let mut from = 1; // behind the brace
    let mut written = Vec::new();
    for (name, value) in members(data) {
        // Values are slices of the same text, so their ends are known without a parser of our own.
        let end = value.get().as_ptr() as usize - text.as_ptr() as usize + value.get().len();
        let member = text[from..end].trim_start();
        let member = member.strip_prefix(',').unwrap_or(member).trim_start();
        if name != "event" {
            written.push(member);
        }
        from = end;
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::event::{CallId, Company, Domain, Source};
    use crate::core::id::EventId;
    use crate::core::time::Timestamp;

    fn event(data: &str) -> Event {
        Event {
            id: EventId::from_bits(0x0199_0000_0000_1234_5678_9abc_def0_1122),
            accepted_at: Timestamp::from_millis(1_790_000_001_000),
            occurred_at: Timestamp::from_millis(1_790_000_000_123),
            company: Company::parse("acme \"&\" sons").unwrap(),
            domain: Some(Domain::parse("www.acme.example").unwrap()),
            source: Source::LeadConnect,
            call: CallId::parse("c1").unwrap(),
            ..Event::for_test(data)
        }
    }

    fn rendered(event: &Event, format: Format, layout: Layout) -> String {
        let body = body(event, format, layout, Nested::Brackets);
        assert_eq!(body.json_members, None);
        String::from_utf8(body.bytes).unwrap()
    }

    const DATA: &str = "{ \"call_id\" :\"c1\",\n \"n\":1.50e+2, \"\\u0062ig\":123456789012345678901234567890,\"a\":[\"\\u00e9\" , {}] }";

    #[test]
    fn the_json_envelope_has_the_documented_members_and_data_as_posted() {
        let mut event = event(DATA);
        let head = "{\"id\":\"evt_01K400000028T5CY4TQKFF0492\",\"type\":\"call.new\",\
                    \"timestamp\":\"2026-09-21T14:13:20.123Z\",\"company\":\"acme \\\"&\\\" sons\",";
        let wanted = |domain: &str| format!("{head}\"domain\":{domain},\"source\":\"lead_connect\",\"data\":{DATA}}}");
        assert_eq!(rendered(&event, Format::Json, Layout::Envelope), wanted("\"www.acme.example\""));
        event.domain = None;
        assert_eq!(rendered(&event, Format::Json, Layout::Envelope), wanted("null"));
    }

    #[test]
    fn flat_json_splices_the_members_as_they_were_written() {
        let flat = |data: &str| rendered(&event(data), Format::Json, Layout::Flat);
        assert_eq!(
            flat(DATA),
            "{\"event\":\"call.new\",\"call_id\" :\"c1\",\"n\":1.50e+2,\
             \"\\u0062ig\":123456789012345678901234567890,\"a\":[\"\\u00e9\" , {}]}"
        );
        let cases = [
            ("{}", "{\"event\":\"call.new\"}"),
            ("{ }", "{\"event\":\"call.new\"}"),
            (r#"{"event":"mine"}"#, "{\"event\":\"call.new\"}"),
            (r#"{"event":"mine","b":1}"#, "{\"event\":\"call.new\",\"b\":1}"),
            (r#"{"a":0 , "\u0065vent":{"event":1} ,"b":1}"#, "{\"event\":\"call.new\",\"a\":0,\"b\":1}"),
            (r#"{"a":",","b":{"event":1}}"#, "{\"event\":\"call.new\",\"a\":\",\",\"b\":{\"event\":1}}"),
        ];
        for (data, wanted) in cases {
            assert_eq!(flat(data), wanted);
        }
    }

    #[test]
    fn a_cloud_event_is_read_back_as_the_same_event() {
        use crate::core::catalogue::Catalogue;
        use crate::core::cloud_event::CloudEvent;
        let mut event = event(DATA);
        let text = rendered(&event, Format::Json, Layout::CloudEvents);
        let head = "{\"specversion\":\"1.0\",\"id\":\"evt_01K400000028T5CY4TQKFF0492\",\
                    \"source\":\"/acme%20%22%26%22%20sons/lead_connect\",\"type\":\"call.new\",\
                    \"time\":\"2026-09-21T14:13:20.123Z\",\"subject\":\"c1\",\"company\":\"acme \\\"&\\\" sons\",\
                    \"domain\":\"www.acme.example\",\"datacontenttype\":\"application/json\",\"data\":";
        assert_eq!(text, format!("{head}{DATA}}}"));
        let read = CloudEvent::structured(json::parse(&text).unwrap()).unwrap();
        let read = read.event(&Catalogue::new(Vec::new()).unwrap(), None).unwrap();
        assert_eq!(
            (read.company, read.domain, read.source),
            (event.company.clone(), event.domain.clone(), event.source)
        );
        assert_eq!((read.data.as_str(), read.occurred_at), (DATA, Some(event.occurred_at)));
        event.domain = None;
        assert!(!rendered(&event, Format::Json, Layout::CloudEvents).contains("domain"), "no attribute is null");
        assert!(fault_of_layout(Format::Form, Layout::CloudEvents).is_some());
        assert_eq!(content_type(Format::Json, Layout::CloudEvents), "application/cloudevents+json");
    }

    #[test]
    fn the_form_has_the_same_members_with_bracket_keys() {
        let mut event = event(r#"{"call_id":"c1","n":1.50,"event":"mine","list":[{"body":"Hi & bye"}],"none":null}"#);
        event.domain = None;
        assert_eq!(
            rendered(&event, Format::Form, Layout::Envelope),
            "id=evt_01K400000028T5CY4TQKFF0492&type=call.new&timestamp=2026-09-21T14%3A13%3A20.123Z\
             &company=acme+%22%26%22+sons&domain=&source=lead_connect&data%5Bcall_id%5D=c1&data%5Bn%5D=1.50\
             &data%5Bevent%5D=mine&data%5Bnone%5D=&data%5Blist%5D%5B0%5D%5Bbody%5D=Hi+%26+bye"
        );
        assert_eq!(
            rendered(&event, Format::Form, Layout::Flat),
            "event=call.new&call_id=c1&n=1.50&none=&list%5B0%5D%5Bbody%5D=Hi+%26+bye"
        );
        let json = |layout| String::from_utf8(body(&event, Format::Form, layout, Nested::Json).bytes).unwrap();
        assert_eq!(
            json(Layout::Flat),
            "event=call.new&call_id=c1&n=1.50&none=&list=%5B%7B%22body%22%3A%22Hi+%26+bye%22%7D%5D"
        );
        let data =
            url::form_urlencoded::parse(json(Layout::Envelope).as_bytes()).last().map(|pair| pair.1.into_owned());
        assert_eq!(data.as_deref(), Some(event.data.as_str()));
    }
}
