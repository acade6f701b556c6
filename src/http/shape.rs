//! Parts of JSON responses common to several resources.

use super::cursor::{self, List};
pub(super) use crate::core::shape::{Object, Text};
use crate::core::time::Timestamp;

/// A page of a list.
#[derive(serde::Serialize)]
pub(super) struct Items<T> {
    /// The items.
    pub(super) items: Vec<T>,
    /// The cursor of the next page, if there is one.
    pub(super) next: Option<String>,
    /// How far the scan went, if the page ended early because enough was read for one request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) scanned_until: Option<Text<Timestamp>>,
}

impl<T> Items<T> {
    /// A page of `list` that continues after the id with the bits `next`.
    pub(super) fn of(items: Vec<T>, list: List, next: Option<u128>, scanned_until: Option<Timestamp>) -> Self {
        let next = next.map(|bits| cursor::write(list, bits));
        Self { items, next, scanned_until: scanned_until.map(Text) }
    }
}

/// Headers as an object; repeated ones are joined with commas (RFC 9110 section 5.3). An unknown value is `null`.
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
