//! A view's filter form: from the page's address to the API's parameters, and back into the form.
//!
//! Knows nothing about what is filtered. Invariant: times are passed on in UTC. A time without a zone, as sent by the
//! form from a browser without scripts, is taken as UTC, as the form says.

use std::collections::BTreeMap;

use url::form_urlencoded;

use super::visit::Visit;
use crate::core::time::Timestamp;

/// The filters of one request.
pub(super) struct Filters {
    names: &'static [&'static str],
    given: Vec<(&'static str, String)>,
}

impl Filters {
    /// Those of `names` in the visitor's address.
    pub(super) fn read(visit: &Visit, names: &'static [&'static str]) -> Self {
        let given = names.iter().filter_map(|name| {
            let value = visit.parameter(name)?;
            Some((*name, if matches!(*name, "since" | "until") { in_utc(value) } else { value.to_owned() }))
        });
        Self { names, given: given.collect() }
    }

    /// As parameters of the API.
    pub(super) fn parameters(&self) -> impl Iterator<Item = (&str, &str)> {
        self.given.iter().map(|(name, value)| (*name, value.as_str()))
    }

    /// The value of a given filter.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.parameters().find(|(given, _)| *given == name).map(|(_, value)| value)
    }

    /// The number of given filters.
    pub(super) fn len(&self) -> usize {
        self.given.len()
    }

    /// As a query string.
    pub(super) fn query(&self) -> String {
        form_urlencoded::Serializer::new(String::new()).extend_pairs(self.parameters()).finish()
    }

    /// For the form: every value, empty if not given.
    pub(super) fn fields(&self) -> BTreeMap<&'static str, String> {
        self.names.iter().map(|name| (*name, self.get(name).unwrap_or_default().to_owned())).collect()
    }
}

/// A time in UTC. An unreadable one is unchanged, so that the API reports it.
fn in_utc(text: &str) -> String {
    // An unencoded `+`.
    let text = text.replace(' ', "+");
    let parsed = Timestamp::parse(&text).or_else(|_| Timestamp::parse(&format!("{text}Z")));
    let parsed = parsed.or_else(|_| Timestamp::parse(&format!("{text}:00Z")));
    let parsed = parsed.or_else(|_| Timestamp::parse(&format!("{text}T00:00:00Z")));
    parsed.map_or(text, |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_an_address_are_read_with_a_zone_and_without() {
        for text in [
            "2026-11-23T09:30",
            "2026-11-23T09:30:00",
            "2026-11-23T09:30:00Z",
            "2026-11-23T11:30:00+02:00",
            "2026-11-23T11:30:00 02:00",
        ] {
            assert_eq!(in_utc(text), "2026-11-23T09:30:00.000Z", "{text}");
        }
        assert_eq!(in_utc("2026-11-23"), "2026-11-23T00:00:00.000Z");
        assert_eq!(in_utc("yesterday"), "yesterday");
    }
}
