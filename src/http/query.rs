//! Query strings: known parameters are parsed, all others are refused.
//!
//! A misspelt filter that is silently ignored would return too much, so it is a 422.

use super::cursor::{self, List};
use super::problem::Problem;
use crate::core::invalid::Invalid;
use crate::store::DeliveryCursor;

/// Default items per page.
const DEFAULT_LIMIT: usize = 50;
/// Maximum items per page.
pub(super) const MAX_LIMIT: usize = 500;

/// A query string being read.
pub(super) struct Query {
    given: Vec<(String, String)>,
    known: Vec<&'static str>,
    invalid: Invalid,
}

/// A page of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PageOf {
    /// Number of items, 1 to [`MAX_LIMIT`].
    pub limit: usize,
    /// The id after which it starts.
    pub after: Option<u128>,
}

/// The pointer of a parameter in `errors`.
fn named(name: &str) -> String {
    format!("?{name}")
}

impl Query {
    /// Parses `text`, the part after the question mark.
    pub(super) fn new(text: Option<&str>) -> Self {
        let text = text.unwrap_or("");
        let given: Vec<_> = url::form_urlencoded::parse(text.as_bytes()).into_owned().collect();
        let broken = |piece: &str| percent_encoding::percent_decode_str(piece).decode_utf8().is_err();
        let broken = text.split('&').filter(|piece| !piece.is_empty()).map(broken);
        let mut invalid = Invalid::default();
        for (index, ((name, _), broken)) in given.iter().zip(broken).enumerate() {
            if given[..index].iter().any(|(earlier, _)| earlier == name) {
                invalid.add(named(name), "is given twice");
            } else if broken {
                invalid.add(named(name), "is not UTF-8");
            }
        }
        Self { given, known: Vec::new(), invalid }
    }

    /// The value of `name`, parsed by `parse`, if given.
    pub(super) fn take<T>(&mut self, name: &'static str, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        self.known.push(name);
        let index = self.given.iter().position(|(given, _)| given == name)?;
        let (_, value) = self.given.swap_remove(index);
        self.invalid.check(&named(name), parse(&value))
    }

    /// As [`Query::take`], for values in which a blank can only be an unencoded `+`: telephone numbers, and times
    /// with an offset.
    pub(super) fn take_with_plus<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        self.take(name, |value| parse(&value.replace(' ', "+")))
    }

    /// `limit` and `cursor`.
    pub(super) fn page(&mut self, list: List) -> PageOf {
        self.page_of(list, DEFAULT_LIMIT)
    }

    /// The same with `default` items per page.
    pub(super) fn page_of(&mut self, list: List, default: usize) -> PageOf {
        let limit = self.limit().unwrap_or(default);
        let after = self.take("cursor", |text| cursor::read(list, text));
        PageOf { limit, after }
    }

    /// `limit` and `cursor` of a list of deliveries.
    pub(super) fn page_of_deliveries(&mut self) -> (usize, Option<DeliveryCursor>) {
        let limit = self.limit().unwrap_or(DEFAULT_LIMIT);
        (limit, self.take("cursor", cursor::read_place))
    }

    fn limit(&mut self) -> Option<usize> {
        self.take("limit", |text| {
            let number = text.parse().ok().filter(|number| (1..=MAX_LIMIT).contains(number));
            number.ok_or_else(|| format!("must be a whole number from 1 to {MAX_LIMIT}"))
        })
    }

    /// Finishes.
    ///
    /// # Errors
    /// 422 with every parameter that is unknown, given twice or invalid.
    pub(super) fn finish(mut self) -> Result<(), Problem> {
        let known = if self.known.is_empty() { "none".to_owned() } else { self.known.join(", ") };
        for (name, _) in &self.given {
            if !self.known.contains(&name.as_str()) {
                self.invalid.add(named(name), format!("is not a parameter here; there are: {known}"));
            }
        }
        self.invalid.or(Some(())).map_err(Problem::from)
    }
}

/// Accepts any text of 1 to 128 characters, such as a telephone number.
///
/// # Errors
/// Its length is out of range.
pub(super) fn text(value: &str) -> Result<String, String> {
    if !(1..=128).contains(&value.chars().count()) {
        return Err("must have 1 to 128 characters".to_owned());
    }
    if value.chars().any(char::is_control) {
        return Err("must not have control characters".to_owned());
    }
    Ok(value.to_owned())
}

/// Parses `true` or `false`.
///
/// # Errors
/// Any other value.
pub(super) fn boolean(value: &str) -> Result<bool, String> {
    value.parse().map_err(|_| "must be true or false".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::event::Source;
    use crate::core::time::Timestamp;

    type Seen = (Option<Source>, Option<String>, Option<String>, PageOf);

    /// Parses a query of `source`, `since`, `phone` and a page; returns the error's text if refused.
    fn read(text: &str) -> Result<Seen, String> {
        let mut query = Query::new(Some(text));
        let source = query.take("source", Source::parse);
        let since = query.take_with_plus("since", Timestamp::parse).map(|time| time.to_string());
        let phone = query.take_with_plus("phone", super::text);
        let page = query.page(List::Events);
        query.finish().map_err(|problem| format!("{problem:?}"))?;
        Ok((source, since, phone, page))
    }

    #[test]
    fn known_parameters_are_read() {
        let page = PageOf { limit: 50, after: None };
        assert_eq!(read(""), Ok((None, None, None, page)));
        assert_eq!(read("source=ilr&"), Ok((Some(Source::LeadConnect), None, None, page)));
        let cursor = cursor::write(List::Events, 7);
        let read_page = read(&format!("limit=500&cursor={cursor}")).unwrap().3;
        assert_eq!(read_page, PageOf { limit: 500, after: Some(7) });
    }

    #[test]
    fn a_plus_may_stand_as_it_is_where_no_blank_can() {
        let wanted = Some("+12025550123".to_owned());
        assert_eq!(read("phone=+12025550123").unwrap().2, wanted);
        assert_eq!(read("phone=%2B12025550123").unwrap().2, wanted);
        let since = read("since=2026-11-23T09:30:00+02:00").unwrap().1;
        assert_eq!(since.as_deref(), Some("2026-11-23T07:30:00.000Z"));
    }

    #[test]
    fn faults_are_named() {
        let cases = [
            ("sauce=api", "?sauce"),
            ("source=fax", "?source"),
            ("source=api&source=api", "?source"),
            ("limit=0", "?limit"),
            ("limit=501", "?limit"),
            ("limit=-1", "?limit"),
            ("limit=", "?limit"),
            ("cursor=xyz", "?cursor"),
            ("phone=", "?phone"),
            ("phone=%01", "?phone"),
            ("phone=%FF", "?phone"),
            ("since=yesterday", "?since"),
        ];
        for (text, name) in cases {
            let refusal = read(text).unwrap_err();
            assert!(refusal.contains(&format!("pointer: \"{name}\"")), "{text}: {refusal}");
        }
        assert!(read("sauce=api").unwrap_err().contains("there are: source, since, phone, limit, cursor"));
    }
}
