//! Points in time and durations in the product's notation.
//!
//! Nothing here reads a clock. [`Timestamp`] is wall time, for what is stored and shown; waits use a monotonic clock
//! elsewhere.

use std::fmt;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::text::excerpt;

/// A point in time: milliseconds since the Unix epoch, in UTC.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(u64);

/// One moment by two clocks: the wall clock, which may be set, and the monotonic one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The wall-clock time.
    pub wall: Timestamp,
    /// The same moment on the monotonic clock.
    pub at: Instant,
}

/// The last time that is before the year 10000, the limit of RFC 3339, in every zone.
const LATEST: u64 = 253_402_207_199_999;

impl Timestamp {
    /// The Unix epoch.
    pub const ZERO: Self = Self(0);
    /// The latest representable time, at the end of the year 9999.
    pub const MAX: Self = Self(LATEST);

    /// The time `millis` milliseconds after the epoch, at most [`Timestamp::MAX`].
    pub const fn from_millis(millis: u64) -> Self {
        Self(if millis > LATEST { LATEST } else { millis })
    }

    /// Milliseconds since the epoch.
    pub const fn millis(self) -> u64 {
        self.0
    }

    /// Whole seconds since the epoch, as in Standard Webhooks' `webhook-timestamp`.
    pub const fn seconds(self) -> u64 {
        self.0 / 1000
    }

    /// This time plus `length`, at most [`Timestamp::MAX`].
    pub fn plus(self, length: Duration) -> Self {
        Self::from_millis(self.0.saturating_add(millis_of(length)))
    }

    /// This time plus `millis` milliseconds, which may be negative, saturating.
    pub fn moved(self, millis: i64) -> Self {
        Self::from_millis(self.0.saturating_add_signed(millis))
    }

    /// The time elapsed since `earlier`; zero if that is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// Parses an RFC 3339 time with `Z` or an offset. Digits beyond the millisecond are dropped.
    ///
    /// # Errors
    /// A sentence on what would be valid.
    pub fn parse(text: &str) -> Result<Self, String> {
        const WANTED: &str = "must be an RFC 3339 time such as 2026-11-23T09:30:00Z";
        // jiff also accepts forms outside RFC 3339, such as a time without seconds or with a zone's name.
        if !has_the_form(text.as_bytes()) {
            return Err(WANTED.to_owned());
        }
        let parsed: jiff::Timestamp = text.parse().map_err(|_| WANTED.to_owned())?;
        let millis = u64::try_from(parsed.as_millisecond());
        millis.map(Self::from_millis).map_err(|_| "must not be before 1970".to_owned())
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        Self::from_millis(time.duration_since(UNIX_EPOCH).map_or(0, millis_of))
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC, always with milliseconds: fixed width, so texts sort like times.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = jiff::Timestamp::from_millisecond(i64::try_from(self.0).unwrap_or(i64::MAX));
        write!(f, "{:.3}", time.unwrap_or_default())
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn millis_of(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}

/// Whether `text` has the form of RFC 3339's `date-time` (section 5.6); the numbers are not checked.
fn has_the_form(text: &[u8]) -> bool {
    /// Whether each byte is as in `form`, where a 0 stands for any digit.
    fn is(text: &[u8], form: &[u8]) -> bool {
        let same = |(byte, wanted): (&u8, &u8)| match wanted {
            b'0' => byte.is_ascii_digit(),
            _ => byte.eq_ignore_ascii_case(wanted),
        };
        text.len() == form.len() && text.iter().zip(form).all(same)
    }
    const SECONDS: &[u8] = b"0000-00-00T00:00:00";
    let Some((head, tail)) = text.split_at_checked(SECONDS.len()) else { return false };
    let zone = match tail.strip_prefix(b".") {
        Some(fraction) => {
            let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
            if digits == 0 {
                return false;
            }
            &fraction[digits..]
        }
        None => tail,
    };
    is(head, SECONDS) && [&b"Z"[..], b"+00:00", b"-00:00"].iter().any(|form| is(zone, form))
}

/// Parses a duration: numbers with units, such as `90s`, `10m`, `72h`, `30d`, `1h 30m`, `250ms`.
///
/// # Errors
/// A sentence on what would be valid.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let wanted = || {
        format!("`{}` is not a duration: write a number and a unit, such as \"90s\", \"10m\" or \"72h\"", excerpt(text))
    };
    let length = humantime::parse_duration(text).map_err(|_| wanted())?;
    if length.subsec_nanos() % 1_000_000 != 0 {
        return Err(format!("`{}` is finer than a millisecond, which is the shortest step here", excerpt(text)));
    }
    Ok(length)
}

/// Formats a duration for [`parse_duration`], in the largest unit up to hours that leaves no remainder: `90s`, `10m`,
/// `72h`. Parts below a millisecond are dropped.
pub fn format_duration(length: Duration) -> String {
    let millis = millis_of(length);
    for (unit, size) in [("h", 3_600_000), ("m", 60_000), ("s", 1_000)] {
        if millis >= size && millis.is_multiple_of(size) {
            return format!("{}{unit}", millis / size);
        }
    }
    if millis == 0 { "0s".to_owned() } else { format!("{millis}ms") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_in_utc_with_milliseconds() {
        let cases = [
            ("2026-11-23T09:30:00Z", "2026-11-23T09:30:00.000Z"),
            ("2026-11-23T09:30:00.1239+02:00", "2026-11-23T07:30:00.123Z"),
            ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000Z"),
            ("2026-11-23t09:30:00z", "2026-11-23T09:30:00.000Z"),
            ("2026-11-23T09:30:00.123456789-00:00", "2026-11-23T09:30:00.123Z"),
            ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59.000Z"),
        ];
        for (text, wanted) in cases {
            assert_eq!(Timestamp::parse(text).map(|t| t.to_string()), Ok(wanted.to_owned()));
        }
        assert_eq!(Timestamp::MAX.to_string(), "9999-12-30T21:59:59.999Z");
    }

    #[test]
    fn invalid_rfc_3339_is_refused() {
        for text in [
            "",
            "yesterday",
            "2026-11-23",
            "2026-11-23T09:30:00",
            "1969-12-31T23:59:59Z",
            "2026-13-01T00:00:00Z",
            "2026-11-23 09:30:00Z",
            "2026-11-23T09:30+00:00",
            "2026-11-23T09:30:00+02",
            "2026-11-23T09:30:00+0200",
            "2026-11-23T09:30:00+02:00:00",
            "2026-11-23T09:30:00,5Z",
            "2026-11-23T09:30:00.Z",
            "2026-11-23T093000.000Z",
            "2026-11-23T09:30:00Z[Europe/Paris]",
            "+002026-11-23T09:30:00Z",
        ] {
            assert!(Timestamp::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_read_back_as_they_were_written() {
        for text in ["90s", "10m", "72h", "250ms", "0s", "1500ms", "1h"] {
            assert_eq!(format_duration(parse_duration(text).unwrap()), text);
        }
        assert_eq!(format_duration(parse_duration("3d").unwrap()), "72h");
        for wrong in ["", "5", "-5s", "5 parsecs", "10us"] {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
    }
}
