//! A subscription's own headers: which names and values may be sent besides Hookswitch's.
//!
//! What passes here can neither break a request (CR, LF, framing headers) nor impersonate Hookswitch's headers.
//! Values are write-only: no fault contains one.

use serde_json::value::RawValue;

use super::hidden::Hidden;
use super::invalid::{Invalid, pointer};
use super::json::{self, Kind};
use super::subscription::Header;
use super::text::excerpt;

/// Maximum number of own headers of a subscription.
pub const MOST: usize = 20;
/// Maximum total bytes of their names and values.
pub const MOST_BYTES: usize = 4 * 1024;

/// Names reserved for the connection or Hookswitch, in lower case.
const RESERVED: [&str; 12] = [
    "connection",
    "content-encoding", // the body is never encoded, so any value would be untrue
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
];
/// Reserved prefixes.
const RESERVED_PREFIXES: [&str; 3] = ["proxy-", "webhook-", "hookswitch-"];

/// A header in a request body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderChange {
    /// Its name: an RFC 9110 token that is not reserved.
    pub name: String,
    /// Its value; `None` keeps the stored value of this name.
    pub value: Option<Hidden>,
}

/// Parses an object of names and values, or `null` for none. A value `null` keeps the stored one.
///
/// # Errors
/// Every fault with its pointer, relative to the object.
pub fn read(raw: &RawValue) -> Result<Vec<HeaderChange>, Invalid> {
    if Kind::of(raw) == Kind::Null {
        return Ok(Vec::new());
    }
    let members = json::members(raw).map_err(|fault| Invalid::one("", fault))?;
    if members.len() > MOST {
        return Err(Invalid::one("", format!("must have at most {MOST} headers, not {}", members.len())));
    }
    let mut invalid = Invalid::default();
    let mut changes: Vec<HeaderChange> = Vec::with_capacity(members.len());
    for (name, value) in &members {
        let at = pointer(name);
        if changes.iter().any(|earlier| earlier.name.eq_ignore_ascii_case(name)) {
            invalid.add(&at, "is given twice; upper and lower case are the same in a header's name");
            continue;
        }
        let named = invalid.check(&at, check_name(name));
        let value = invalid.check(&at, read_value(value));
        if let (Some(()), Some(value)) = (named, value) {
            changes.push(HeaderChange { name: name.to_string(), value });
        }
    }
    invalid.or(Some(changes))
}

/// Parses an object of names and values when nothing is stored, as for the probe of an unsaved URL.
///
/// # Errors
/// Every fault with its pointer, relative to the object.
pub fn read_complete(raw: &RawValue) -> Result<Vec<Header>, Invalid> {
    applied(&read(raw)?, &[])
}

/// Applies `changes` to the `stored` headers: kept values come from there.
///
/// # Errors
/// A value to be kept is not stored, or they are too long in total; pointers as for [`read`].
pub fn applied(changes: &[HeaderChange], stored: &[Header]) -> Result<Vec<Header>, Invalid> {
    let mut invalid = Invalid::default();
    let mut applied = Vec::with_capacity(changes.len());
    for change in changes {
        let kept = || stored.iter().find(|header| header.name.eq_ignore_ascii_case(&change.name));
        match change.value.clone().or_else(|| kept().map(|header| header.value.clone())) {
            Some(value) => applied.push(Header { name: change.name.clone(), value }),
            None => invalid.add(
                pointer(&change.name),
                "is null, which keeps the value that is stored under this name, and there is none: give a value",
            ),
        }
    }
    let bytes: usize = applied.iter().map(|header| header.name.len() + header.value.expose().len()).sum();
    if bytes > MOST_BYTES {
        invalid.add("", format!("must have at most {MOST_BYTES} bytes of names and values in all, not {bytes}"));
    }
    invalid.or(Some(applied))
}

/// A token (RFC 9110 section 5.6.2) that is not reserved.
fn check_name(name: &str) -> Result<(), String> {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(token) {
        return Err("is not a header's name: use letters, digits and `-`".to_owned());
    }
    let lower = name.to_ascii_lowercase();
    if RESERVED.contains(&lower.as_str()) || RESERVED_PREFIXES.iter().any(|prefix| lower.starts_with(prefix)) {
        return Err(format!("cannot be set: Hookswitch or HTTP itself decides on `{}`", excerpt(name)));
    }
    Ok(())
}

/// Visible ASCII with inner blanks (RFC 9110 section 5.5, without the obsolete bytes above 127).
fn read_value(raw: &RawValue) -> Result<Option<Hidden>, String> {
    if Kind::of(raw) == Kind::Null {
        return Ok(None);
    }
    let text = json::string(raw)?;
    if !text.bytes().all(|byte| matches!(byte, b' ' | b'\t' | b'!'..=b'~')) {
        return Err("has a value with characters other than visible ASCII and blanks".to_owned());
    }
    if text.trim_ascii() != text {
        return Err("has a value that begins or ends with a blank".to_owned());
    }
    Ok(Some(Hidden::new(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(text: &str) -> Result<Vec<Header>, Invalid> {
        read_complete(json::parse(text).unwrap())
    }

    fn faults(text: &str) -> Vec<(String, String)> {
        let invalid = reading(text).expect_err(text);
        invalid.errors.into_iter().map(|error| (error.pointer, error.detail)).collect()
    }

    #[test]
    fn names_and_values_are_read_in_their_order() {
        let headers = reading(r#"{"X-Second":"","Authorization":"Bearer a b","accept":"*/*"}"#).unwrap();
        let seen: Vec<_> = headers.iter().map(|h| (h.name.as_str(), h.value.expose())).collect();
        assert_eq!(seen, [("X-Second", ""), ("Authorization", "Bearer a b"), ("accept", "*/*")]);
        assert_eq!(reading("null").unwrap(), []);
    }

    #[test]
    fn reserved_headers_are_refused_in_any_case() {
        for name in [
            "Host",
            "CONTENT-LENGTH",
            "Transfer-Encoding",
            "Connection",
            "content-type",
            "Expect",
            "Upgrade",
            "TE",
            "Trailer",
            "Keep-Alive",
            "User-Agent",
            "Proxy-Authorization",
            "Webhook-Id",
            "webhook-anything",
            "Hookswitch-Test",
        ] {
            let found = faults(&format!(r#"{{"{name}":"x"}}"#));
            assert_eq!((found.len(), found[0].0.as_str()), (1, format!("/{name}").as_str()));
            assert!(found[0].1.contains("cannot be set"), "{found:?}");
        }
    }

    #[test]
    fn headers_that_would_break_a_request_are_refused() {
        for text in [
            r#"{"":"x"}"#,
            r#"{"a b":"x"}"#,
            r#"{"a:":"x"}"#,
            r#"{"ä":"x"}"#,
            r#"{"a\r\nb":"x"}"#,
            r#"{"a":"x\r\ny: z"}"#,
            r#"{"a":"\u0000"}"#,
            r#"{"a":"ü"}"#,
            r#"{"a":" x"}"#,
            r#"{"a":1}"#,
            r#"{"a":null}"#,
            r#"{"Aa":"x","aA":"y"}"#,
            r#"{"a":"x","a":"y"}"#,
            "[]",
        ] {
            assert_eq!(faults(text).len(), 1, "{text}");
        }
    }

    #[test]
    fn there_are_bounds_and_no_fault_shows_a_value() {
        let many = (0..=MOST).map(|i| format!(r#""h{i}":"x""#)).collect::<Vec<_>>().join(",");
        assert!(faults(&format!("{{{many}}}"))[0].1.contains("20"));
        let long = faults(&format!(r#"{{"a":"{}"}}"#, "s".repeat(MOST_BYTES)));
        assert!(long[0].1.contains("4096") && !long[0].1.contains("ss"), "{long:?}");
        assert!(reading(&format!(r#"{{"a":"{}"}}"#, "s".repeat(MOST_BYTES - 1))).is_ok());
        assert!(!faults(r#"{"a":"geheim\n"}"#)[0].1.contains("geheim"));
    }

    #[test]
    fn null_keeps_the_stored_value() {
        let stored = [Header { name: "X-Key".into(), value: Hidden::new("old") }];
        let changes = read(json::parse(r#"{"x-key":null,"X-New":"new"}"#).unwrap()).unwrap();
        let applied = applied(&changes, &stored).unwrap();
        let seen: Vec<_> = applied.iter().map(|h| (h.name.as_str(), h.value.expose())).collect();
        assert_eq!(seen, [("x-key", "old"), ("X-New", "new")]);
    }
}
