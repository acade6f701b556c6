//! Times as options give them and as tables show them.

use std::time::{Duration, SystemTime};

use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::exit::{Failure, note};
use crate::core::time::{Timestamp, parse_duration};

/// When and where a command runs.
#[derive(Debug, Clone)]
pub(super) struct Here {
    pub(super) now: Timestamp,
    zone: TimeZone,
}

impl Here {
    /// By this machine's clock and time zone.
    pub(super) fn of_machine() -> Self {
        Self { now: Timestamp::from(SystemTime::now()), zone: TimeZone::system() }
    }

    #[cfg(test)]
    pub(super) fn utc(now: Timestamp) -> Self {
        Self { now, zone: TimeZone::UTC }
    }

    /// The times of `--since` and `--until`, as far as given, each as [`Here::time`].
    ///
    /// # Errors
    /// One of them is none.
    pub(super) fn period(
        &self,
        since: &Option<String>,
        until: &Option<String>,
    ) -> Result<(Option<String>, Option<String>), Failure> {
        let read = |name, text: &Option<String>| text.as_deref().map(|text| self.time(name, text)).transpose();
        Ok((read("since", since)?, read("until", until)?))
    }

    /// `text` as a point in time: itself, the midnight with which a date begins here, or a duration before now. What a
    /// date was taken for is said on standard error.
    ///
    /// # Errors
    /// It is none of these; `name` is the option's.
    pub(super) fn time(&self, name: &str, text: &str) -> Result<String, Failure> {
        if let Ok(at) = Timestamp::parse(text) {
            return Ok(at.to_string());
        }
        if let Some((at, shown)) = self.midnight(text) {
            note(&format!("--{name} {text} is {shown}"));
            return Ok(at.to_string());
        }
        let ago = parse_duration(text).map_err(|_| {
            Failure::usage(format!(
                "--{name} must be a time such as 2026-11-23T09:30:00Z, a date such as 2026-11-23 or a duration such as \
                 24h, not `{text}`"
            ))
        })?;
        Ok(Timestamp::from_millis(self.now.millis().saturating_sub(millis(ago))).to_string())
    }

    /// When the date `text` begins here, and how that is shown.
    fn midnight(&self, text: &str) -> Option<(Timestamp, String)> {
        let date = if text.len() == "2026-11-23".len() { text.parse::<Date>().ok()? } else { return None };
        let begins = date.to_zoned_datetime(self.zone.clone()).ok()?.start_of_day().ok()?;
        let at = Timestamp::from_millis(u64::try_from(begins.timestamp().as_millisecond()).ok()?);
        let zone = self.zone.iana_name().map(|name| format!(" ({name})")).unwrap_or_default();
        Some((at, format!("{}{zone}", begins.strftime("%Y-%m-%dT%H:%M:%S%:z"))))
    }
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
    fn times_are_given_as_such_as_dates_or_as_so_long_ago() {
        let now = Timestamp::parse("2026-11-23T10:00:00Z").unwrap();
        let here = Here { now, zone: TimeZone::get("America/Santiago").unwrap() };
        let cases = [
            ("24h", "2026-11-22T10:00:00.000Z"),
            ("2026-11-23T09:30:00+01:00", "2026-11-23T08:30:00.000Z"),
            ("2026-11-23", "2026-11-23T03:00:00.000Z"),
            // Its clocks went from 24:00 to 1:00 that night.
            ("2026-09-06", "2026-09-06T04:00:00.000Z"),
        ];
        for (text, wanted) in cases {
            assert_eq!(here.time("since", text).as_deref(), Ok(wanted));
        }
        assert_eq!(here.midnight("2026-11-23").unwrap().1, "2026-11-23T00:00:00-03:00 (America/Santiago)");
        for wrong in ["yesterday", "2026-13-01", "20261123", "1960-01-01", "2026-11-23T9:30", ""] {
            let failure = here.time("until", wrong).unwrap_err();
            assert!(failure.message.starts_with("--until must be"), "{failure:?}");
        }
    }
}
