//! Numbers, durations and times as each language writes them (Unicode CLDR 45, `numbers` and `dates` of en, de, es).

use super::Language;

impl Language {
    const fn decimal_sign(self) -> char {
        match self {
            Self::English => '.',
            Self::German | Self::Spanish => ',',
        }
    }

    /// The sign between groups of three digits, and the least number of digits before one. Spanish groups from five
    /// digits on.
    const fn grouping(self) -> (char, usize) {
        match self {
            Self::English => (',', 4),
            Self::German => ('.', 4),
            Self::Spanish => ('.', 5),
        }
    }

    /// A whole number.
    pub fn count(self, number: u64) -> String {
        grouped(&number.to_string(), self.grouping())
    }

    /// A number with so many digits after the decimal sign.
    pub fn decimal(self, number: f64, digits: usize) -> String {
        let text = format!("{:.digits$}", number.abs());
        let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
        let mut shown = grouped(whole, self.grouping());
        if !fraction.is_empty() {
            shown.push(self.decimal_sign());
            shown.push_str(fraction);
        }
        if number < 0.0 { format!("-{shown}") } else { shown }
    }

    /// A share of one, in percent without a fraction.
    pub fn percent(self, share: f64) -> String {
        format!("{}\u{a0}%", self.decimal((share * 100.0).round(), 0))
    }

    /// A number of bytes, in powers of 1,024.
    pub fn bytes(self, bytes: u64) -> String {
        const UNITS: [&str; 5] = ["", "KiB", "MiB", "GiB", "TiB"];
        let mut unit = 0;
        let mut shown = bytes as f64;
        // What would be rounded to 1,024 as well.
        while shown >= if unit == 0 { 1024.0 } else { 1023.95 } && unit + 1 < UNITS.len() {
            shown /= 1024.0;
            unit += 1;
        }
        match (unit, self) {
            (0, Self::German) => format!("{} Byte", self.count(bytes)),
            (0, Self::English | Self::Spanish) if bytes == 1 => "1 byte".to_owned(),
            (0, Self::English | Self::Spanish) => format!("{} bytes", self.count(bytes)),
            _ => format!("{} {}", self.decimal(shown, 1), UNITS[unit]),
        }
    }

    /// A duration in milliseconds.
    pub fn millis(self, length: u64) -> String {
        match length {
            0..1_000 => format!("{length} ms"),
            1_000..60_000 => format!("{} s", self.decimal(length as f64 / 1_000.0, 1)),
            _ => format!("{} min {} s", self.count(length / 60_000), length % 60_000 / 1_000),
        }
    }

    /// A duration in seconds.
    pub fn seconds(self, length: f64) -> String {
        if length < 10.0 && length.fract() != 0.0 {
            format!("{} s", self.decimal(length, 1))
        } else if length < 120.0 {
            format!("{} s", self.decimal(length, 0))
        } else if length < 7_200.0 {
            format!("{} min", self.decimal(length / 60.0, 0))
        } else {
            format!("{} h", self.decimal(length / 3_600.0, 1))
        }
    }

    /// A time of the API, in UTC: `25.11.2026, 10:02:07 UTC`. Scripts convert it to the viewer's zone. What is no time
    /// stays as it is.
    pub fn time(self, text: &str) -> String {
        match (self.date(text), text.get(11..19)) {
            (Some(date), Some(time)) if self == Self::English => format!("{date} {time} UTC"),
            (Some(date), Some(time)) => format!("{date}, {time} UTC"),
            _ => text.to_owned(),
        }
    }

    /// The date of a time of the API, or of a date.
    pub fn date(self, text: &str) -> Option<String> {
        let (year, month, day) = parts(text)?;
        Some(match self {
            Self::English => format!("{year}-{month}-{day}"),
            Self::German => format!("{day}.{month}.{year}"),
            Self::Spanish => format!("{day}/{month}/{year}"),
        })
    }

    /// The name of a day (a date) or of an hour (a time of the API) in the report; any other stays as it is.
    pub fn bucket(self, name: &str) -> String {
        match (self.date(name), name.get(11..16)) {
            (Some(date), Some(time)) if name.ends_with('Z') => format!("{date} {time}"),
            (Some(date), None) if name.len() == 10 => date,
            _ => name.to_owned(),
        }
    }

    /// Its day and month alone.
    pub fn day(self, text: &str) -> Option<String> {
        let (_, month, day) = parts(text)?;
        Some(match self {
            Self::English => format!("{month}-{day}"),
            Self::German => format!("{day}.{month}."),
            Self::Spanish => format!("{day}/{month}"),
        })
    }
}

/// Year, month and day of a text that begins with a date (RFC 3339).
fn parts(text: &str) -> Option<(&str, &str, &str)> {
    let date = text.get(..10)?;
    let mut parts = date.split('-');
    let parts = (parts.next()?, parts.next()?, parts.next()?);
    let digits = |part: &str, length: usize| part.len() == length && part.bytes().all(|byte| byte.is_ascii_digit());
    (digits(parts.0, 4) && digits(parts.1, 2) && digits(parts.2, 2)).then_some(parts)
}

fn grouped(digits: &str, (sign, least): (char, usize)) -> String {
    let mut shown = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && digits.len() >= least && (digits.len() - index).is_multiple_of(3) {
            shown.push(sign);
        }
        shown.push(digit);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::Language::{English, German, Spanish};

    #[test]
    fn numbers_are_written_as_the_language_writes_them() {
        assert_eq!((English.count(0), English.count(999)), ("0".into(), "999".into()));
        let long = 1_234_567;
        assert_eq!([English, German, Spanish].map(|one| one.count(long)), ["1,234,567", "1.234.567", "1.234.567"]);
        assert_eq!([English, German, Spanish].map(|one| one.count(1_234)), ["1,234", "1.234", "1234"]);
        assert_eq!(
            [English, German, Spanish].map(|one| one.decimal(12_345.67, 1)),
            ["12,345.7", "12.345,7", "12.345,7"]
        );
        assert_eq!(German.decimal(-0.5, 1), "-0,5");
        assert_eq!((English.percent(0.694), German.percent(1.0)), ("69\u{a0}%".into(), "100\u{a0}%".into()));
    }

    #[test]
    fn sizes_durations_and_times_are_written_as_the_language_writes_them() {
        assert_eq!((English.bytes(12), German.bytes(12)), ("12 bytes".into(), "12 Byte".into()));
        assert_eq!([English, German, Spanish].map(|one| one.bytes(1)), ["1 byte", "1 Byte", "1 byte"]);
        assert_eq!([1023, 1024, (1 << 20) - 1].map(|size| English.bytes(size)), ["1,023 bytes", "1.0 KiB", "1.0 MiB"]);
        assert_eq!((English.bytes(1536), Spanish.bytes(3 << 30)), ("1.5 KiB".into(), "3,0 GiB".into()));
        assert_eq!(
            (English.millis(999), German.millis(1_250), English.millis(61_000)),
            ("999 ms".into(), "1,2 s".into(), "1 min 1 s".into())
        );
        assert_eq!(
            (German.seconds(1.5), English.seconds(30.0), Spanish.seconds(9_000.0)),
            ("1,5 s".into(), "30 s".into(), "2,5 h".into())
        );
        let time = "2026-11-25T10:02:07.123Z";
        assert_eq!(English.time(time), "2026-11-25 10:02:07 UTC");
        assert_eq!(German.time(time), "25.11.2026, 10:02:07 UTC");
        assert_eq!(Spanish.time(time), "25/11/2026, 10:02:07 UTC");
        assert_eq!([English, German, Spanish].map(|one| one.day(time).unwrap()), ["11-25", "25.11.", "25/11"]);
        let buckets = ["2026-11-25", "2026-11-25T09:00:00.000Z", "www.acme.example", "2026-11-25x"];
        assert_eq!(
            buckets.map(|name| German.bucket(name)),
            ["25.11.2026", "25.11.2026 09:00", "www.acme.example", "2026-11-25x"]
        );
        for text in ["never", "", "2026-11-2x", "größer-als-alles"] {
            assert_eq!((German.time(text), German.day(text)), (text.to_owned(), None));
        }
    }
}
