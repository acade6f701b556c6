//! CloudEvents on `POST /v1/events`: where a request carries their attributes (the specification's HTTP binding).

use std::borrow::Cow;

use hyper::header::HeaderMap;

use super::problem::Problem;
use super::request::Document;
use crate::core::catalogue::Catalogue;
use crate::core::cloud_event::CloudEvent;
use crate::core::event::{NewEvent, ProducerId};
use crate::core::invalid::Invalid;
use crate::core::json;

/// The header that marks binary mode: attributes in headers, data in the body.
const MARK: &str = "ce-specversion";
/// The prefix of such headers.
const PREFIX: &str = "ce-";

/// Whether the request is a CloudEvent in binary mode.
pub(super) fn is_binary(headers: &HeaderMap) -> bool {
    headers.contains_key(MARK)
}

/// Parses one in structured mode.
///
/// # Errors
/// 400 not JSON, 422 with every fault.
pub(super) fn structured(
    document: &Document,
    catalogue: &Catalogue,
    key: Option<ProducerId>,
) -> Result<NewEvent, Problem> {
    Ok(CloudEvent::structured(document.parse()?)?.event(catalogue, key)?)
}

/// Parses a list of at most `most`, in batched mode. An empty list is valid (JSON format, section 4).
///
/// # Errors
/// 400 not JSON, 422 too many, or every fault with the index of its event.
pub(super) fn batched(document: &Document, catalogue: &Catalogue, most: usize) -> Result<Vec<NewEvent>, Problem> {
    let items = json::items(document.parse()?).map_err(|fault| Problem::invalid("", fault))?;
    if items.len() > most {
        return Err(Problem::invalid("", format!("has {} events; a batch has at most {most}", items.len())));
    }
    let mut invalid = Invalid::default();
    let mut events = Vec::with_capacity(items.len());
    for (index, item) in items.into_iter().enumerate() {
        match CloudEvent::structured(item).and_then(|event| event.event(catalogue, None)) {
            Ok(event) => events.push(event),
            Err(inner) => invalid.nest(&format!("/{index}"), inner),
        }
    }
    Ok(invalid.or(Some(events))?)
}

/// Parses one in binary mode.
///
/// # Errors
/// 400 not JSON, 422 with every fault.
pub(super) fn binary(
    headers: &HeaderMap,
    document: &Document,
    catalogue: &Catalogue,
    key: Option<ProducerId>,
) -> Result<NewEvent, Problem> {
    let mut invalid = Invalid::default();
    let mut attributes = Vec::new();
    for name in headers.keys().filter_map(|name| name.as_str().strip_prefix(PREFIX)) {
        let mut values = headers.get_all(format!("{PREFIX}{name}")).iter();
        let value = match (values.next(), values.next()) {
            (Some(value), None) => decoded(value.as_bytes()),
            _ => Err("is given twice"),
        };
        let place = format!("/{name}");
        attributes.extend(invalid.check(&place, value).map(|value| (name.to_owned(), value)));
    }
    let read = invalid.or(Some(attributes)).and_then(|attributes| {
        let data = document.parse().map_err(|_| Invalid::default());
        CloudEvent::binary(attributes, data?)?.event(catalogue, key)
    });
    // A body that is not JSON is reported as such.
    document.parse()?;
    read.map_err(|invalid| in_headers(invalid).into())
}

/// A header's value, unquoted and then percent-decoded once (HTTP binding 1.0.2, section 3.1.3.2).
fn decoded(value: &[u8]) -> Result<String, &'static str> {
    let unquoted = unquoted(value);
    let value = unquoted.as_deref().unwrap_or(value);
    let text = percent_encoding::percent_decode(value).decode_utf8();
    text.map(Cow::into_owned).map_err(|_| "is not UTF-8, percent-encoded")
}

/// The content of a quoted string (RFC 9110 section 5.6.4), if `value` is exactly one.
fn unquoted(value: &[u8]) -> Option<Vec<u8>> {
    let inner = value.trim_ascii().strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    let mut content = Vec::with_capacity(inner.len());
    let mut rest = inner.iter();
    while let Some(byte) = rest.next() {
        match byte {
            b'"' => return None,
            b'\\' => content.push(*rest.next()?),
            other => content.push(*other),
        }
    }
    Some(content)
}

/// Adds the header's name to the faults.
fn in_headers(mut invalid: Invalid) -> Invalid {
    for error in &mut invalid.errors {
        let name = error.pointer.strip_prefix('/').unwrap_or_default();
        if !name.is_empty() && !name.starts_with("data/") && name != "data" {
            error.detail = format!("(header {PREFIX}{name}) {}", error.detail);
        }
    }
    invalid
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(headers: &[(&str, &str)], body: &str) -> Result<NewEvent, String> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(hyper::header::HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        assert!(is_binary(&map));
        let catalogue = Catalogue::new(Vec::new()).unwrap();
        binary(&map, &Document::of(body), &catalogue, None).map_err(|problem| format!("{problem:?}"))
    }

    const WHOLE: [(&str, &str); 5] = [
        ("ce-specversion", "1.0"),
        ("ce-id", "7"),
        ("ce-source", "/acme/widget"),
        ("ce-type", "call.new"),
        ("ce-company", "Caf%C3%A9%20100%"),
    ];

    #[test]
    fn attributes_stand_in_headers_and_are_decoded() {
        let event = read(&WHOLE, r#"{"call_id":"c"}"#).unwrap();
        assert_eq!((event.company.as_str(), event.data.as_str()), ("Café 100%", r#"{"call_id":"c"}"#));
    }

    #[test]
    fn quoted_values_are_their_content() {
        for (value, wanted) in [
            (r#""acme""#, "acme"),
            (r#""acme \"&\" sons \\ %22x%22""#, r#"acme "&" sons \ "x""#),
            (r#""Caf%C3%A9%2520""#, "Café%20"),
            ("\"Zoë\"", "Zoë"),
            (r#""half"#, r#""half"#),
            (r#"5" wide"#, r#"5" wide"#),
            (r#""a" and "b""#, r#""a" and "b""#),
            (r#""a\""#, r#""a\""#),
            ("100%", "100%"),
            ("%+1%zz", "%+1%zz"),
        ] {
            assert_eq!(decoded(value.as_bytes()).as_deref(), Ok(wanted), "{value}");
        }
        assert!(decoded(b"\"%ff\"").is_err());
        let quoted = WHOLE.map(|(name, value)| (name, format!("\"{value}\"")));
        let quoted: Vec<_> = quoted.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let event = read(&quoted, r#"{"call_id":"c"}"#).unwrap();
        assert_eq!((event.company.as_str(), event.event_type.as_str()), ("Café 100%", "call.new"));
    }

    #[test]
    fn a_batch_is_a_list_and_its_faults_have_their_places() {
        let catalogue = Catalogue::new(Vec::new()).unwrap();
        let batch = |text: &str| batched(&Document::of(text), &catalogue, 2).map_err(|problem| format!("{problem:?}"));
        let one = |id: &str, company: &str| {
            format!(
                r#"{{"specversion":"1.0","id":"{id}","source":"/widget","type":"call.new"{company},"data":{{"call_id":"c"}}}}"#
            )
        };
        let (good, bad) = (one("1", r#","company":"acme""#), one("2", ""));
        let events = batch(&format!("[{good}, {good}]")).unwrap();
        assert_eq!((events.len(), events[1].data.as_str()), (2, r#"{"call_id":"c"}"#));
        assert_eq!(batch(" [ ] ").unwrap(), []);
        assert!(batch(&format!("[{good},{bad}]")).unwrap_err().contains("\"/1/company\""));
        assert!(batch(&format!("[{good},{good},{good}]")).unwrap_err().contains("at most 2"));
        assert!(batch(&good).unwrap_err().contains("must be a list"));
        assert!(batch("[1]").unwrap_err().contains("\"/0\""));
        assert!(batch("[").unwrap_err().contains("not JSON"));
    }

    #[test]
    fn faults_name_the_header() {
        assert!(read(&WHOLE[..4], r#"{"call_id":"c"}"#).unwrap_err().contains("(header ce-company) is missing"));
        let twice = [&WHOLE[..], &[("ce-id", "8")]].concat();
        assert!(read(&twice, r#"{"call_id":"c"}"#).unwrap_err().contains("(header ce-id) is given twice"));
        assert!(read(&WHOLE, "{}").unwrap_err().contains("\"/data/call_id\", detail: \"is missing"));
        assert!(read(&WHOLE, "{").unwrap_err().contains("the body is not JSON"));
    }
}
