//! Small pieces of the JSON that more than one resource shows.

use std::fmt::Display;

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::cursor::{self, List};
use crate::core::time::Timestamp;

/// A value shown as its text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Text<T>(pub(super) T);

impl<T: Display> Serialize for Text<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// A list's page.
#[derive(serde::Serialize)]
pub(super) struct Items<T> {
    /// What is on it.
    pub(super) items: Vec<T>,
    /// The cursor of the next page, if there is one.
    pub(super) next: Option<String>,
    /// How far was looked, if the page has ended early because enough was read for one request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) scanned_until: Option<Text<Timestamp>>,
}

impl<T> Items<T> {
    /// A page of `list` that goes on behind the id with the bits `next`.
    pub(super) fn of(items: Vec<T>, list: List, next: Option<u128>, scanned_until: Option<Timestamp>) -> Self {
        let next = next.map(|bits| cursor::write(list, bits));
        Self { items, next, scanned_until: scanned_until.map(Text) }
    }
}

/// Names with values, shown as an object in their order.
pub(super) struct Object<K, V>(pub(super) Vec<(K, V)>);

impl<K: Serialize, V: Serialize> Serialize for Object<K, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// Headers as an object; those that stand more than once in one value, separated by commas
/// (RFC 9110 section 5.3). A value that is not known is `null`.
pub(super) fn headers<'h>(
    headers: impl IntoIterator<Item = (&'h str, Option<&'h str>)>,
) -> Object<&'h str, Option<String>> {
    let mut shown: Vec<(&str, Option<String>)> = Vec::new();
    for (name, value) in headers {
        match shown.iter_mut().find(|(earlier, _)| earlier.eq_ignore_ascii_case(name)) {
            Some((_, Some(earlier))) => {
                earlier.push_str(", ");
                earlier.push_str(value.unwrap_or_default());
            }
            Some((_, None)) => {}
            None => shown.push((name, value.map(str::to_owned))),
        }
    }
    Object(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_an_object_in_their_order() {
        let shown = headers([("B", Some("1")), ("a", None), ("b", Some("2")), ("A", Some("never shown"))]);
        assert_eq!(serde_json::to_string(&shown).unwrap(), r#"{"B":"1, 2","a":null}"#);
    }
}
