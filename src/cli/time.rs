//! Times as options give them and as tables show them.

use std::time::Duration;

use super::exit::Failure;
use crate::core::time::{Timestamp, parse_duration};

/// As [`time`], if there is a `text`.
pub(super) fn optional_time(name: &str, text: &Option<String>, now: Timestamp) -> Result<Option<String>, Failure> {
    text.as_deref().map(|text| time(name, text, now)).transpose()
}

/// `text` as a point in time: itself, or a duration before `now`.
pub(super) fn time(name: &str, text: &str, now: Timestamp) -> Result<String, Failure> {
    if let Ok(at) = Timestamp::parse(text) {
        return Ok(at.to_string());
    }
    let ago = parse_duration(text).map_err(|_| {
        Failure::usage(format!(
            "--{name} must be a time such as 2026-11-23T09:30:00Z or a duration such as 24h, not `{text}`"
        ))
    })?;
    Ok(Timestamp::from_millis(now.millis().saturating_sub(millis(ago))).to_string())
}

/// A time without fractions of a second.
pub(super) fn plain(time: &str) -> String {
    time.get(..19).unwrap_or(time).replace('T', " ")
}

fn millis(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_given_as_such_or_as_so_long_ago() {
        let now = Timestamp::parse("2026-11-23T10:00:00Z").unwrap();
        assert_eq!(time("since", "24h", now).as_deref(), Ok("2026-11-22T10:00:00.000Z"));
        assert_eq!(time("since", "2026-11-23T09:30:00+01:00", now).as_deref(), Ok("2026-11-23T08:30:00.000Z"));
        assert!(time("until", "yesterday", now).unwrap_err().message.starts_with("--until must be"));
    }
}
