//! CloudEvents 1.0, converted to events.
//!
//! | attribute | becomes |
//! |---|---|
//! | `type` | `type`, one of the event types |
//! | `company`, `domain` (extensions) | `company` (required), `domain` |
//! | `source` | `source`: its last part, if that is `widget`, `lead_connect`, `ilr` or `api`; otherwise `api` |
//! | `source` and `id` | the producer's own id, for the specification makes only the two together unique |
//! | `time` | `occurred_at` |
//! | `data`, or `data_base64` of JSON text | `data`, to the byte |
//!
//! `datacontenttype` must be JSON. Other attributes are ignored, as the specification requires. Knows nothing about
//! HTTP: the caller extracts attributes from headers or members.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use super::catalogue::Catalogue;
use super::event::{NewEvent, ProducerId, Source};
use super::invalid::{Invalid, pointer};
use super::json::{self, Kind, quote};
use super::text::excerpt;

/// The required attributes of every CloudEvent.
const REQUIRED: [&str; 4] = ["specversion", "id", "source", "type"];

/// The optional attributes that are used.
const OPTIONAL: [&str; 3] = ["time", "domain", "datacontenttype"];

/// Attributes that must be strings, not numbers or booleans, where JSON distinguishes them.
const STRINGS: [&str; 10] =
    ["specversion", "id", "source", "type", "time", "datacontenttype", "dataschema", "subject", "company", "domain"];

/// A parsed CloudEvent: its attributes are well-formed, but not interpreted yet.
#[derive(Debug)]
pub struct CloudEvent<'a> {
    attributes: Vec<(String, String)>,
    data: Cow<'a, str>,
}

impl<'a> CloudEvent<'a> {
    /// Parses a JSON document (the specification's JSON format, structured mode).
    ///
    /// # Errors
    /// Every fault with its pointer.
    pub fn structured(raw: &'a RawValue) -> Result<Self, Invalid> {
        let members = json::members(raw).map_err(|fault| Invalid::one("", fault))?;
        let mut invalid = Invalid::default();
        if let Some(name) = json::first_duplicate(&members) {
            invalid.add(pointer(name), "is given twice");
        }
        let (mut attributes, mut data) = (Vec::new(), None);
        for (name, value) in members.into_iter().filter(|(_, value)| Kind::of(value) != Kind::Null) {
            let at = pointer(&name);
            match name.as_ref() {
                "data" | "data_base64" if data.is_some() => invalid.add(at, "cannot be combined with the other data"),
                "data" => data = Some(Cow::Borrowed(value.get())),
                "data_base64" => data = invalid.check(&at, decoded(value)).map(Cow::Owned),
                _ => attributes
                    .extend(invalid.check(&at, attribute(&name, value)).map(|value| (name.into_owned(), value))),
            }
        }
        if data.is_none() && invalid.errors.is_empty() {
            invalid.add("/data", "is missing");
        }
        let event = data.map(|data| Self { attributes, data });
        let event = invalid.or(event)?;
        event.check()
    }

    /// Assembles an event from attributes and data (binary mode).
    ///
    /// # Errors
    /// Every fault with the pointer that the attribute would have in a document.
    pub fn binary(attributes: Vec<(String, String)>, data: &'a RawValue) -> Result<Self, Invalid> {
        Self { attributes, data: Cow::Borrowed(data.get()) }.check()
    }

    fn check(mut self) -> Result<Self, Invalid> {
        let mut invalid = Invalid::default();
        for (name, value) in &self.attributes {
            if !name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()) || name.is_empty() {
                invalid.add(pointer(name), "is not the name of an attribute: lower case letters and digits");
            } else if value.chars().any(char::is_control) {
                invalid.add(pointer(name), "must not have control characters");
            }
        }
        // An empty attribute counts as absent.
        self.attributes.retain(|(name, value)| !(value.is_empty() && OPTIONAL.contains(&name.as_str())));
        for name in REQUIRED.into_iter().filter(|name| self.get(name).is_none_or(str::is_empty)) {
            invalid.add(pointer(name), "is missing: every CloudEvent has it");
        }
        if let Some(other) = self.get("specversion").filter(|version| !matches!(*version, "1.0" | "")) {
            invalid.add("/specversion", format!("must be 1.0, not {}", quote(&excerpt(other))));
        }
        if let Some(other) = self.get("datacontenttype").filter(|media| !is_json(media)) {
            invalid.add("/datacontenttype", format!("must be application/json, not {}", quote(&excerpt(other))));
        }
        if self.get("company").is_none() {
            invalid.add("/company", "is missing: give it as an extension attribute");
        }
        invalid.or(Some(self))
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The event. `key` is the producer's own id, if given outside the event.
    ///
    /// # Errors
    /// Every fault with its pointer.
    pub fn event(&self, catalogue: &Catalogue, key: Option<ProducerId>) -> Result<NewEvent, Invalid> {
        let source = self.get("source").unwrap_or_default();
        let own = key.map_or_else(|| producer_id(source, self.get("id").unwrap_or_default()), |key| key.to_string());
        let members = [
            ("type", self.get("type")),
            ("company", self.get("company")),
            ("domain", self.get("domain")),
            ("source", Some(source_of(source))),
            ("occurred_at", self.get("time")),
            ("id", Some(own.as_str())),
        ];
        let mut text = String::with_capacity(self.data.len() + 256);
        for (name, value) in members.iter().filter_map(|(name, value)| Some((name, value.as_ref()?))) {
            text += &format!("\"{name}\":{},", quote(value));
        }
        let text = format!("{{{text}\"data\":{}}}", self.data);
        let raw = json::parse(&text).map_err(|fault| Invalid::one("/data", format!("is not JSON: {fault}")))?;
        NewEvent::from_json(raw, catalogue).map_err(renamed)
    }
}

/// Renames faults of event members to the attributes they came from.
fn renamed(mut invalid: Invalid) -> Invalid {
    for error in &mut invalid.errors {
        if error.pointer == "/occurred_at" {
            error.pointer = "/time".to_owned();
        }
    }
    invalid
}

/// An attribute's value as text: the JSON format has strings, whole numbers and booleans.
fn attribute(name: &str, value: &RawValue) -> Result<String, String> {
    match Kind::of(value) {
        Kind::String => json::string(value),
        _ if STRINGS.contains(&name) => json::string(value),
        Kind::Boolean => Ok(value.get().to_owned()),
        Kind::Number if !value.get().contains(['.', 'e', 'E']) => Ok(value.get().to_owned()),
        other => Err(format!("must be a string, a whole number or a boolean, not {}", other.with_article())),
    }
}

fn decoded(value: &RawValue) -> Result<String, String> {
    let text = json::string(value)?;
    let bytes = STANDARD.decode(text).map_err(|_| "must be base64".to_owned())?;
    let text = String::from_utf8(bytes).map_err(|_| "must be the base64 of JSON text in UTF-8".to_owned())?;
    let text = text.trim_start_matches('\u{feff}').to_owned();
    json::parse(&text).map_err(|fault| format!("must be the base64 of JSON text: {fault}"))?;
    Ok(text)
}

fn is_json(media: &str) -> bool {
    let name = media.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    name == "application/json" || name.ends_with("+json")
}

/// The last segment of a URI reference, if it is a known source.
fn source_of(uri: &str) -> &'static str {
    let last = uri.trim_end_matches('/').rsplit(['/', ':']).next().unwrap_or_default();
    Source::parse(last).unwrap_or(Source::Api).as_str()
}

/// The unique pair of source and id; hashed if too long.
fn producer_id(source: &str, id: &str) -> String {
    let both = format!("{source} {id}");
    if ProducerId::parse(&both).is_ok() {
        return both;
    }
    format!("sha256 {}", URL_SAFE_NO_PAD.encode(Sha256::digest(both.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalogue() -> Catalogue {
        Catalogue::new(Vec::new()).unwrap()
    }

    fn structured(text: &str) -> Result<NewEvent, String> {
        let read = CloudEvent::structured(json::parse(text).unwrap());
        read.and_then(|event| event.event(&catalogue(), None)).map_err(|invalid| invalid.to_string())
    }

    #[test]
    fn a_document_is_read_and_its_data_stays_as_it_was() {
        let event = structured(
            r#"{"specversion":"1.0","id":"7","source":"https://platform.example/acme/widget","type":"call.new",
            "time":"2026-11-23T10:30:00+01:00","company":"acme","domain":"www.acme.example","subject":"x","sampled":true,
            "datacontenttype":"application/json; charset=utf-8","traceparent":null,"data":{"z":1.50,"call_id":"c"}}"#,
        )
        .unwrap();
        assert_eq!((event.event_type.as_str(), event.company.as_str()), ("call.new", "acme"));
        assert_eq!((event.source, event.domain.unwrap().as_str()), (Source::Widget, "www.acme.example"));
        assert_eq!(event.occurred_at.unwrap().to_string(), "2026-11-23T09:30:00.000Z");
        assert_eq!(event.producer_id.unwrap().as_str(), "https://platform.example/acme/widget 7");
        assert_eq!(event.data, r#"{"z":1.50,"call_id":"c"}"#);
    }

    #[test]
    fn data_may_come_as_base64_and_a_key_beside_the_event() {
        let encoded = STANDARD.encode(r#"{"call_id":"c"}"#);
        let text = format!(
            r#"{{"specversion":"1.0","id":"7","source":"/x","type":"call.new","company":"acme","data_base64":"{encoded}"}}"#
        );
        let event = structured(&text).unwrap();
        assert_eq!((event.data.as_str(), event.source), (r#"{"call_id":"c"}"#, Source::Api));
        let key = ProducerId::parse("mine").unwrap();
        let keyed = CloudEvent::structured(json::parse(&text).unwrap()).unwrap().event(&catalogue(), Some(key));
        assert_eq!(keyed.unwrap().producer_id.unwrap().as_str(), "mine");
    }

    #[test]
    fn an_attribute_that_says_nothing_is_as_good_as_none() {
        let event = structured(
            r#"{"specversion":"1.0","id":"7","source":"/x","type":"call.new","company":"acme","domain":"","time":"",
            "datacontenttype":"","subject":"","dataschema":null,"data_base64":"77u/eyJjYWxsX2lkIjoiYyJ9"}"#,
        );
        let event = event.unwrap();
        assert_eq!((event.domain, event.occurred_at), (None, None));
        assert_eq!(event.data, r#"{"call_id":"c"}"#, "without the byte order mark in the base64");
    }

    #[test]
    fn sources_are_recognised_by_their_last_part() {
        for (uri, wanted) in [
            ("widget", "widget"),
            ("/acme/lead_connect/", "lead_connect"),
            ("urn:platform:ilr", "lead_connect"),
            ("https://platform.example/widgets", "api"),
            ("/", "api"),
        ] {
            assert_eq!(source_of(uri), wanted, "{uri}");
        }
        let long = producer_id(&"s".repeat(200), "1");
        assert!(long.len() < 64 && long != producer_id(&"s".repeat(200), "2"), "{long}");
    }

    #[test]
    fn faults_are_named_by_the_attribute() {
        let with = |more: &str| {
            format!(r#"{{"specversion":"1.0","id":"7","source":"/x","type":"call.new","company":"acme"{more}}}"#)
        };
        let data = r#","data":{"call_id":"c"}"#;
        let cases = [
            ("{}".to_owned(), "/data is missing"),
            (r#"{"data":{}}"#.to_owned(), "/specversion is missing: every CloudEvent has it; /id is missing"),
            (with(r#","data":{}"#), "/data/call_id is missing"),
            (with(&format!(r#","time":"yesterday"{data}"#)), "/time must be an RFC 3339 time"),
            (with(&format!(r#","datacontenttype":"text/xml"{data}"#)), "/datacontenttype must be"),
            (with(&format!(r#","Trace":"x"{data}"#)), "/Trace is not the name of an attribute"),
            (with(&format!(r#","trace":[]{data}"#)), "/trace must be a string"),
            (with(&format!(r#","trace":1.5{data}"#)), "/trace must be a string, a whole number"),
            (with(data).replace("\"7\"", "7"), "/id must be a string"),
            (with(&format!(r#","data_base64":"e30="{data}"#)), "cannot be combined"),
            (with(r#","data_base64":"!""#), "/data_base64 must be base64"),
            (with(r#","data_base64":"e3t7""#), "/data_base64 must be the base64 of JSON"),
            (with(data).replace("1.0", "0.3"), "/specversion must be 1.0"),
            (with(data).replace("call.new", "call.nothing"), "/type must be one of"),
            (with(data).replace(r#","company":"acme""#, ""), "/company is missing: give it as an extension"),
            (with(&format!("{data},\"id\":\"8\"")), "/id is given twice"),
        ];
        for (text, wanted) in cases {
            let refusal = structured(&text).unwrap_err();
            assert!(refusal.contains(wanted), "{text}: {refusal}");
        }
    }
}
