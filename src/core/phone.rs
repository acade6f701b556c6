//! Phone numbers as people of their country write them.
//!
//! Only for display: a number that is not known here is shown as it came. The groups are those of ITU-T E.123 and the
//! national numbering plans.

/// How a country writes its numbers.
struct Country {
    /// Its region (ISO 3166-1).
    region: &'static str,
    /// Its calling code.
    code: &'static str,
    /// The trunk prefix within the country.
    trunk: &'static str,
    /// Area codes (or their beginnings) with the lengths of the groups of the whole number without the prefix; the
    /// first that fits. The last group takes what is left.
    plans: &'static [(&'static str, &'static [usize])],
}

const fn country(
    region: &'static str,
    code: &'static str,
    trunk: &'static str,
    plans: &'static [(&'static str, &'static [usize])],
) -> Country {
    Country { region, code, trunk, plans }
}

/// Longer codes first, where one begins like another.
const COUNTRIES: [Country; 14] = [
    country("IE", "353", "0", &[("1", &[1, 3, 4]), ("8", &[2, 3, 4]), ("", &[2, 3, 4])]),
    country("PT", "351", "", &[("", &[3, 3, 3])]),
    country("NL", "31", "0", &[("6", &[1, 8]), ("", &[2, 3, 4])]),
    country("BE", "32", "0", &[("4", &[3, 2, 2, 2]), ("2", &[1, 3, 2, 2]), ("", &[2, 2, 2, 2])]),
    country("FR", "33", "0", &[("", &[1, 2, 2, 2, 2])]),
    country("ES", "34", "", &[("", &[3, 3, 3])]),
    country("IT", "39", "", &[("3", &[3, 3, 4]), ("", &[2, 4, 4])]),
    country("CH", "41", "0", &[("", &[2, 3, 2, 2])]),
    country("AT", "43", "0", &[("1", &[1, 4, 9]), ("", &[3, 4, 9])]),
    country("GB", "44", "0", &[("2", &[2, 4, 4]), ("7", &[4, 6]), ("11", &[3, 3, 4]), ("", &[4, 6])]),
    country("DK", "45", "", &[("", &[2, 2, 2, 2])]),
    country(
        "DE",
        "49",
        "0",
        &[("1", &[3, 9]), ("30", &[2, 9]), ("40", &[2, 9]), ("69", &[2, 9]), ("89", &[2, 9]), ("", &[3, 9])],
    ),
    country("AU", "61", "0", &[("4", &[3, 3, 3]), ("", &[1, 4, 4])]),
    country("NZ", "64", "0", &[("2", &[2, 3, 9]), ("", &[1, 3, 4])]),
];

/// The regions of North America that most numbers with the code 1 belong to.
const NORTH_AMERICA: [&str; 2] = ["US", "CA"];

/// A known number, without its calling code.
enum Parts<'n> {
    /// Area, exchange and line of the North American plan.
    NorthAmerican([&'n str; 3]),
    /// The groups of a number of another country.
    Of(&'static Country, Vec<&'n str>),
}

/// A number with its country's code, `+` in front, as it is written within that country; anything else unchanged.
pub(super) fn national(number: &str) -> String {
    let digits = digits(number);
    match parts(number, &digits) {
        Some(Parts::NorthAmerican([area, exchange, line])) => format!("({area}) {exchange}-{line}"),
        Some(Parts::Of(country, groups)) => format!("{}{}", country.trunk, groups.join(" ")),
        None => number.to_owned(),
    }
}

/// The same as somebody in `region` (ISO 3166-1, such as `DE`) writes it: numbers of that region as within it, others with
/// their calling code (ITU-T E.123). Anything else unchanged.
pub fn shown(number: &str, region: Option<&str>) -> String {
    let digits = digits(number);
    let is_here = |own: &str| region.is_some_and(|region| region.eq_ignore_ascii_case(own));
    match parts(number, &digits) {
        Some(Parts::NorthAmerican(groups)) if !NORTH_AMERICA.iter().any(|own| is_here(own)) => {
            format!("+1 {}", groups.join(" "))
        }
        Some(Parts::Of(country, groups)) if !is_here(country.region) => {
            format!("+{} {}", country.code, groups.join(" "))
        }
        Some(_) => national(number),
        None => number.to_owned(),
    }
}

/// What a number that somebody in `region` typed may be posted as: as typed, without punctuation, and with the calling code
/// of the region and of North America. Empty if it cannot be a number.
pub fn candidates(typed: &str, region: Option<&str>) -> Vec<String> {
    let typed = typed.trim();
    let digits = digits(typed);
    if !is_plain(typed) || !(5..=15).contains(&digits.len()) {
        return Vec::new();
    }
    let mut found = vec![typed.to_owned()];
    if typed.starts_with('+') {
        found.push(format!("+{digits}"));
    } else if let Some(international) = digits.strip_prefix("00") {
        found.push(format!("+{international}"));
    } else {
        let here = region.and_then(|region| COUNTRIES.iter().find(|one| one.region.eq_ignore_ascii_case(region)));
        if let Some(country) = here {
            found.push(format!("+{}{}", country.code, digits.strip_prefix(country.trunk).unwrap_or(&digits)));
        }
        match digits.len() {
            10 => found.push(format!("+1{digits}")),
            11 if digits.starts_with('1') => found.push(format!("+{digits}")),
            _ => {}
        }
    }
    found.extend([digits.clone(), format!("+{digits}")]);
    let mut seen = std::collections::BTreeSet::new();
    found.retain(|number| seen.insert(number.clone()));
    found
}

/// Whether it has digits and what people write between them, and nothing else.
fn is_plain(typed: &str) -> bool {
    typed.chars().all(|c| c.is_ascii_digit() || " +-()./\u{a0}".contains(c))
}

/// Whether `number` ends with the digits of `typed`, of which there must be at least four.
pub fn ends_with(number: &str, typed: &str) -> bool {
    let wanted = digits(typed);
    is_plain(typed) && wanted.len() >= 4 && digits(number).ends_with(&wanted)
}

fn digits(number: &str) -> String {
    number.chars().filter(char::is_ascii_digit).collect()
}

/// The parts of `number`, whose digits are given, if it is one that is known here.
fn parts<'n>(number: &str, digits: &'n str) -> Option<Parts<'n>> {
    let plain = number.starts_with('+') && number.chars().all(|c| c.is_ascii_digit() || " +-().".contains(c));
    if !plain || !(8..=15).contains(&digits.len()) {
        return None;
    }
    if let Some(rest) = digits.strip_prefix('1') {
        return (rest.len() == 10).then(|| Parts::NorthAmerican([&rest[..3], &rest[3..6], &rest[6..]]));
    }
    let country = COUNTRIES.iter().find(|country| digits.starts_with(country.code))?;
    let rest = &digits[country.code.len()..];
    let (_, groups) = country.plans.iter().find(|(area, _)| rest.starts_with(area))?;
    let (mut parts, mut left) = (Vec::with_capacity(groups.len()), rest);
    for (index, length) in groups.iter().enumerate() {
        let end = if index + 1 == groups.len() { left.len() } else { (*length).min(left.len()) };
        let (part, behind) = left.split_at(end);
        if !part.is_empty() {
            parts.push(part);
        }
        left = behind;
    }
    Some(Parts::Of(country, parts))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_in_their_country() {
        for (number, wanted) in [
            ("+15550100123", "(555) 010-0123"),
            ("+1 (555) 010-0123", "(555) 010-0123"),
            ("+442079460018", "020 7946 0018"),
            ("+441134960123", "0113 496 0123"),
            ("+447700900123", "07700 900123"),
            ("+441632960123", "01632 960123"),
            ("+493023125000", "030 23125000"),
            ("+4915112345678", "0151 12345678"),
            ("+33123456789", "01 23 45 67 89"),
            ("+34912345678", "912 345 678"),
            ("+41441234567", "044 123 45 67"),
            ("+61255501234", "02 5550 1234"),
            ("+35312345678", "01 234 5678"),
        ] {
            assert_eq!(national(number), wanted);
        }
    }

    #[test]
    fn numbers_of_elsewhere_have_their_calling_code() {
        for (number, region, wanted) in [
            ("+15550100123", Some("us"), "(555) 010-0123"),
            ("+15550100123", Some("CA"), "(555) 010-0123"),
            ("+15550100123", Some("DE"), "+1 555 010 0123"),
            ("+15550100123", None, "+1 555 010 0123"),
            ("+493023125000", Some("DE"), "030 23125000"),
            ("+493023125000", Some("AT"), "+49 30 23125000"),
            ("+34912345678", Some("ES"), "912 345 678"),
            ("+34912345678", Some("MX"), "+34 912 345 678"),
            ("anonymous", Some("DE"), "anonymous"),
        ] {
            assert_eq!(shown(number, region), wanted);
        }
    }

    #[test]
    fn a_number_is_found_however_it_is_typed() {
        for (typed, region, posted) in [
            ("(202) 555-0119", Some("US"), "+12025550119"),
            ("(202) 555-0119", Some("DE"), "+12025550119"),
            ("+1 202 555 0119", None, "+12025550119"),
            ("1-202-555-0119", None, "+12025550119"),
            ("0049 30 23125000", None, "+493023125000"),
            ("030 / 23125000", Some("DE"), "+493023125000"),
            ("020 7946 0018", Some("GB"), "+442079460018"),
            ("912 345 678", Some("ES"), "+34912345678"),
            ("2025550119", None, "2025550119"),
        ] {
            let all = candidates(typed, region);
            assert!(all.contains(&posted.to_owned()) && all.len() <= 6, "{typed}: {all:?}");
        }
        for typed in ["", "12", "c-0-1", "Dana 5550119", "12345678901234567"] {
            assert_eq!(candidates(typed, Some("US")), Vec::<String>::new(), "{typed}");
        }
        assert!(ends_with("+12025550119", "555-0119") && !ends_with("+12025550119", "119"));
        assert!(!ends_with("+12025550119", "Dana 0119"));
    }

    #[test]
    fn what_is_no_known_number_stays_as_it_came() {
        for text in [
            "",
            "5550100",
            "anonymous",
            "+1555",
            "+999123456789",
            "+15550100123 ext. 4",
            "+",
            "+é1234567890",
            "00442079460018",
        ] {
            assert_eq!(national(text), text);
        }
    }
}
