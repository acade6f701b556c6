//! The header `Idempotency-Key`: a producer's own id of an event or message, outside the body.
//!
//! The IETF draft (draft-ietf-httpapi-idempotency-key-header-07, section 2.1) defines it as a string of RFC 9651:
//! `"8e03978e"`, where the quotes are not part of the key. Many clients send the key bare: a value that does not
//! begin with a quote is the key itself. An empty value is refused: a client that sends the header relies on
//! deduplication, and would not get it.

use hyper::header::HeaderMap;

use super::problem::Problem;
use crate::core::event::ProducerId;

const NAME: &str = "idempotency-key";

/// The key in `headers`.
///
/// # Errors
/// 422 if it is given twice, not UTF-8, not a valid string of RFC 9651, or not a valid id.
pub(super) fn of(headers: &HeaderMap) -> Result<Option<ProducerId>, Problem> {
    let refused = |detail: &str| Problem::invalid("/id", format!("(header Idempotency-Key) {detail}"));
    let mut values = headers.get_all(NAME).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(refused("is given twice"));
    }
    let text = std::str::from_utf8(value.as_bytes()).map_err(|_| refused("is not UTF-8"))?;
    let key = match text.trim_matches([' ', '\t']) {
        text if text.starts_with('"') => quoted(text).map_err(refused)?,
        text => text.to_owned(),
    };
    ProducerId::parse(&key).map(Some).map_err(|fault| refused(&fault))
}

/// The id of what was posted: its own, or the key.
///
/// # Errors
/// 422 if they differ.
pub(super) fn with(id: Option<ProducerId>, key: Option<ProducerId>) -> Result<Option<ProducerId>, Problem> {
    match (&id, &key) {
        (Some(own), Some(key)) if own != key => {
            Err(Problem::invalid("/id", "is not the same as in the header Idempotency-Key: give one of them"))
        }
        _ => Ok(id.or(key)),
    }
}

/// The content of a string of RFC 9651 (section 4.2.5). Parameters after it are ignored; non-ASCII characters are
/// accepted, as in an `id`.
fn quoted(text: &str) -> Result<String, &'static str> {
    const UNENDED: &str = "begins with a quote, and has no quote at its end";
    let mut key = String::with_capacity(text.len());
    let mut rest = text.strip_prefix('"').unwrap_or(text).chars();
    loop {
        match rest.next().ok_or(UNENDED)? {
            '"' => break,
            '\\' => match rest.next().ok_or(UNENDED)? {
                escaped @ ('"' | '\\') => key.push(escaped),
                _ => return Err("has a backslash ahead of something that is neither a quote nor a backslash"),
            },
            other => key.push(other),
        }
    }
    let behind = rest.as_str().trim_start_matches(' ');
    if !(behind.is_empty() || behind.starts_with(';')) {
        return Err("has something behind its closing quote: it is one string");
    }
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[&str]) -> Result<Option<String>, String> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(NAME, hyper::header::HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        of(&headers).map(|key| key.map(|key| key.to_string())).map_err(|problem| format!("{problem:?}"))
    }

    #[test]
    fn a_quoted_key_is_its_content_and_a_bare_one_itself() {
        let long = "x".repeat(128);
        let quoted_long = format!("\"{long}\"");
        for (value, wanted) in [
            ("8e03978e-40d5-43e8-bc93-6894a57f9324", "8e03978e-40d5-43e8-bc93-6894a57f9324"),
            (r#""8e03978e-40d5-43e8-bc93-6894a57f9324""#, "8e03978e-40d5-43e8-bc93-6894a57f9324"),
            (r#"  "a b"  "#, "a b"),
            (r#""a\"b\\c""#, r#"a"b\c"#),
            (r#""a";p=1; q="x""#, "a"),
            (r#"a"b""#, r#"a"b""#),
            ("\"Zoë\"", "Zoë"),
            (&quoted_long, &long),
        ] {
            assert_eq!(read(&[value]), Ok(Some(wanted.to_owned())), "{value}");
        }
        assert_eq!(read(&[]), Ok(None));
    }

    #[test]
    fn invalid_keys_are_refused() {
        let long = format!("\"{}\"", "x".repeat(129));
        for (values, wanted) in [
            (&[r#""a"#][..], "no quote at its end"),
            (&[r#""a\"#], "no quote at its end"),
            (&[r#""a\n""#], "backslash"),
            (&[r#""a" b"#], "behind its closing quote"),
            (&[r#""a", "b""#], "behind its closing quote"),
            (&[&long], "1 to 128"),
            (&["a", "a"], "twice"),
            (&[""], "1 to 128"),
            (&[r#""""#], "1 to 128"),
        ] {
            let refusal = read(values).unwrap_err();
            assert!(refusal.contains(wanted) && refusal.contains("header Idempotency-Key"), "{values:?}: {refusal}");
        }
    }
}
