//! What a receiver answers to a request for permission to deliver (CloudEvents 1.0.2, 'HTTP 1.1 Web Hooks for Event
//! Delivery', section 4.2: 'Abuse protection').

use super::answer::Answer;
use super::text::excerpt;

/// Maximum characters of a DNS name (RFC 1035 section 2.3.4).
const NAME_MOST: usize = 253;

/// The answer, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permission {
    /// Whether events may be delivered.
    pub is_granted: bool,
    /// How many requests a minute may be sent, if the receiver says so.
    pub rate: Option<u64>,
    /// In plain language, with what to do.
    pub message: String,
}

impl Permission {
    /// Reads the answer to a request for `origin`.
    pub fn of(answer: &Answer, origin: &str) -> Self {
        let status = answer.status;
        let refused = |why: String| Self { is_granted: false, rate: None, message: format!("Not allowed: {why}.") };
        match status {
            200..=299 => {}
            405 | 501 => {
                return refused(format!("the receiver answered {status} to OPTIONS: it does not take part in this"));
            }
            _ => return refused(format!("the receiver answered {status} to OPTIONS")),
        }
        let Some(allowed) = answer.header("webhook-allowed-origin").map(str::trim) else {
            return refused(format!(
                "the receiver answered {status} without `WebHook-Allowed-Origin`, so it does not take part in this, or allows it \
                 later and elsewhere"
            ));
        };
        if allowed != "*" && !allowed.eq_ignore_ascii_case(origin) {
            return refused(format!("the receiver allows `{}`, not `{origin}`", excerpt(allowed)));
        }
        let rate = answer.header("webhook-allowed-rate").map(str::trim);
        let number = rate.and_then(|rate| rate.parse().ok());
        let words = match (number, rate) {
            (Some(rate), _) => format!(", {rate} requests a minute: set `rate_per_second` accordingly"),
            (None, Some("*")) => ", at any rate".to_owned(),
            (None, _) => String::new(),
        };
        Self {
            is_granted: true,
            rate: number,
            message: format!("Allowed: events from `{origin}` may be delivered{words}."),
        }
    }
}

/// Reads an origin: a DNS name.
///
/// # Errors
/// What would be right.
pub fn read_origin(text: &str) -> Result<String, String> {
    let label = |label: &str| {
        let good = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        good && (1..=63).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-')
    };
    if text.len() > NAME_MOST || !text.split('.').all(label) {
        return Err(format!(
            "must be a DNS name that events come from, such as events.acme.example, not `{}`",
            excerpt(text)
        ));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(status: u16, headers: &[(&str, &str)]) -> Permission {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Permission::of(&Answer { status, headers, body: Vec::new(), truncated: false }, "events.acme.example")
    }

    #[test]
    fn only_the_header_grants() {
        for (status, headers, granted, rate) in [
            (
                200,
                &[("WebHook-Allowed-Origin", "events.acme.example"), ("WebHook-Allowed-Rate", "120")][..],
                true,
                Some(120),
            ),
            (204, &[("webhook-allowed-origin", " * "), ("webhook-allowed-rate", "*")], true, None),
            (200, &[("WebHook-Allowed-Origin", "EVENTS.acme.example")], true, None),
            (200, &[("WebHook-Allowed-Origin", "other.example")], false, None),
            (200, &[("Allow", "POST")], false, None),
            (405, &[("WebHook-Allowed-Origin", "*")], false, None),
            (500, &[], false, None),
        ] {
            let permission = read(status, headers);
            assert_eq!(
                (permission.is_granted, permission.rate),
                (granted, rate),
                "{status} {headers:?} {permission:?}"
            );
        }
    }

    #[test]
    fn origins_are_names() {
        assert!(read_origin("events.acme.example").is_ok() && read_origin("localhost").is_ok());
        for wrong in ["", "https://a.example", "a b", "-a.example", "a..b", "a.example\r\nX: y", &"a.".repeat(200)] {
            assert!(read_origin(wrong).is_err(), "{wrong}");
        }
    }
}
