//! CloudEvents on `POST /v1/events`: where their attributes stand in a request (the specification's HTTP binding).

use hyper::header::HeaderMap;

use super::problem::Problem;
use super::request::Document;
use crate::core::catalogue::Catalogue;
use crate::core::cloud_event::CloudEvent;
use crate::core::event::{NewEvent, ProducerId};
use crate::core::invalid::Invalid;

/// The header that says that the attributes stand in headers, and the data alone in the body.
const MARK: &str = "ce-specversion";
/// What the names of such headers begin with.
const PREFIX: &str = "ce-";

/// Whether the request is a CloudEvent in binary mode.
pub(super) fn is_binary(headers: &HeaderMap) -> bool {
    headers.contains_key(MARK)
}

/// Reads one in structured mode.
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

/// Reads one in binary mode.
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
            _ => Err("stands twice"),
        };
        let place = format!("/{name}");
        attributes.extend(invalid.check(&place, value).map(|value| (name.to_owned(), value)));
    }
    let read = invalid.or(Some(attributes)).and_then(|attributes| {
        let data = document.parse().map_err(|_| Invalid::default());
        CloudEvent::binary(attributes, data?)?.event(catalogue, key)
    });
    // A body that is not JSON is told as what it is.
    document.parse()?;
    read.map_err(|invalid| in_headers(invalid).into())
}

/// A header's value, percent-decoded.
fn decoded(value: &[u8]) -> Result<String, &'static str> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value;
    while let [byte, after @ ..] = rest {
        rest = after;
        let digits = rest.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let escaped = digits.filter(|digits| *byte == b'%' && !digits.starts_with('+'));
        match escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(decoded) => {
                bytes.push(decoded);
                rest = &rest[2..];
            }
            None => bytes.push(*byte),
        }
    }
    String::from_utf8(bytes).map_err(|_| "is not UTF-8, percent-encoded")
}

/// The faults, each with the header that it stands in.
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
    fn faults_name_the_header() {
        assert!(read(&WHOLE[..4], r#"{"call_id":"c"}"#).unwrap_err().contains("(header ce-company) is missing"));
        let twice = [&WHOLE[..], &[("ce-id", "8")]].concat();
        assert!(read(&twice, r#"{"call_id":"c"}"#).unwrap_err().contains("(header ce-id) stands twice"));
        assert!(read(&WHOLE, "{}").unwrap_err().contains("\"/data/call_id\", detail: \"is missing"));
        assert!(read(&WHOLE, "{").unwrap_err().contains("the body is not JSON"));
    }
}
