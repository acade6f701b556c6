//! What a view's form has chosen: from its address to the parameters of the API, and back into the form.
//!
//! Knows nothing of what is filtered. What always holds: times are given on in UTC. One without a zone, as the
//! form sends it from a browser without scripts, is one in UTC, which is what the form says then.

use std::collections::BTreeMap;

use url::form_urlencoded;

use super::visit::Visit;
use crate::core::time::Timestamp;

/// The filters of one look at a view.
pub(super) struct Filters {
    names: &'static [&'static str],
    given: Vec<(&'static str, String)>,
}

impl Filters {
    /// Those of `names` that the visitor's address has.
    pub(super) fn read(visit: &Visit, names: &'static [&'static str]) -> Self {
        let given = names.iter().filter_map(|name| {
            let value = visit.parameter(name)?;
            Some((*name, if matches!(*name, "since" | "until") { in_utc(value) } else { value.to_owned() }))
        });
        Self { names, given: given.collect() }
    }

    /// As the API takes them.
    pub(super) fn parameters(&self) -> impl Iterator<Item = (&str, &str)> {
        self.given.iter().map(|(name, value)| (*name, value.as_str()))
    }

    /// The value of one that was given.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.parameters().find(|(given, _)| *given == name).map(|(_, value)| value)
    }

    /// How many were given.
    pub(super) fn len(&self) -> usize {
        self.given.len()
    }

    /// As they stand behind the question mark of an address.
    pub(super) fn query(&self) -> String {
        form_urlencoded::Serializer::new(String::new()).extend_pairs(self.parameters()).finish()
    }

    /// For the form: the value of each, empty if it was not given.
    pub(super) fn fields(&self) -> BTreeMap<&'static str, String> {
        self.names.iter().map(|name| (*name, self.get(name).unwrap_or_default().to_owned())).collect()
    }
}

/// A time of an address in UTC. What cannot be read stays as it is, for the API to say what is wrong with it.
fn in_utc(text: &str) -> String {
    // A `+` that was not encoded.
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
