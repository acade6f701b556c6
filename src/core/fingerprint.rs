//! Compares contents by a 64-bit fingerprint.
//!
//! Events posted again under the same id are mostly byte-identical; some have been parsed and serialised again on the
//! way. So the fingerprint of JSON ignores insignificant differences: blanks, the order of members, escapes in
//! strings, and the notation of numbers (`1.50`, `15e-1`). Everything else counts, including the order of lists.
//!
//! It is stored, so the algorithm is our own and never changes. It is not cryptographic: a producer can construct
//! collisions, but would only suppress its own event. Random collisions have probability 2^-64.

use std::num::NonZeroU64;

use super::json;

/// The fingerprint of a content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint(NonZeroU64);

impl Fingerprint {
    /// Of JSON text that has passed [`json::check`].
    pub fn of_json(text: &str) -> Self {
        Self::new(Scanner { text, at: 0 }.value())
    }

    /// Of parts, with their lengths: `["ab", "c"]` differs from `["a", "bc"]`.
    pub fn of_parts<'p>(parts: impl IntoIterator<Item = &'p str>) -> Self {
        Self::new(parts.into_iter().fold(LIST, |print, part| then(print, bytes(TEXT, part.as_bytes()))))
    }

    /// The stored number.
    pub fn bits(self) -> u64 {
        self.0.get()
    }

    /// The inverse of [`Fingerprint::bits`]; `None` for 0, which means 'unknown'.
    pub fn from_bits(bits: u64) -> Option<Self> {
        NonZeroU64::new(bits).map(Self)
    }

    fn new(bits: u64) -> Self {
        Self(NonZeroU64::new(bits).unwrap_or(NonZeroU64::MIN))
    }
}

/// Initial values by kind of content.
const WORD: u64 = 0x9ae1_6a3b_2f90_404f;
const TEXT: u64 = 0xc3a5_c85c_97cb_3127;
const NUMBER: u64 = 0xb492_b66f_be98_f273;
const LIST: u64 = 0xd6e8_feb8_6659_fd93;
const OBJECT: u64 = 0xa076_1d64_78bd_642f;

/// The finaliser of SplitMix64: every bit of the result depends on every bit of `x`.
const fn mixed(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

const fn then(print: u64, next: u64) -> u64 {
    mixed(print.rotate_left(23) ^ next)
}

fn bytes(kind: u64, bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let print = words.iter().fold(kind, |print, word| then(print, u64::from_le_bytes(*word)));
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    then(then(print, u64::from_le_bytes(last)), bytes.len() as u64)
}

/// A position in JSON text.
struct Scanner<'t> {
    text: &'t str,
    at: usize,
}

impl Scanner<'_> {
    fn peek(&self) -> u8 {
        self.text.as_bytes().get(self.at).copied().unwrap_or_default()
    }

    fn skip(&mut self, skipped: &[u8]) {
        while self.at < self.text.len() && skipped.contains(&self.peek()) {
            self.at += 1;
        }
    }

    /// The next value. Nested no deeper than [`json::MAX_DEPTH`], so this may recurse.
    fn value(&mut self) -> u64 {
        self.skip(b" \t\r\n");
        match self.peek() {
            b'"' => self.string(),
            b'{' => self.all(b'}', OBJECT, |scanner| {
                let name = scanner.string();
                scanner.skip(b" \t\r\n:");
                then(name, scanner.value())
            }),
            b'[' => self.all(b']', LIST, Self::value),
            b'a'..=b'z' => {
                let word = self.run(|byte| byte.is_ascii_lowercase());
                bytes(WORD, word.as_bytes())
            }
            _ => number(self.run(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte))),
        }
    }

    fn run(&mut self, inside: impl Fn(u8) -> bool) -> &str {
        let rest = &self.text[self.at..];
        let length = rest.bytes().position(|byte| !inside(byte)).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }

    /// The parts of a list or object up to its `end`; those of an object in any order.
    fn all(&mut self, end: u8, kind: u64, part: impl Fn(&mut Self) -> u64) -> u64 {
        self.at += 1;
        let (mut ordered, mut unordered, mut count) = (LIST, 0u64, 0);
        loop {
            self.skip(b" \t\r\n,");
            if self.peek() == end || self.at >= self.text.len() {
                self.at += 1;
                break;
            }
            let (before, print) = (self.at, part(self));
            if self.at == before {
                break; // Unreachable for valid JSON; guarantees termination.
            }
            ordered = then(ordered, print);
            unordered = unordered.wrapping_add(print);
            count += 1;
        }
        then(then(kind, if kind == OBJECT { unordered } else { ordered }), count)
    }

    fn string(&mut self) -> u64 {
        let start = self.at;
        let rest = self.text.as_bytes().get(start + 1..).unwrap_or_default();
        let (mut escaped, mut escapes) = (false, false);
        let length = rest.iter().position(|byte| {
            let ends = *byte == b'"' && !escaped;
            escaped = *byte == b'\\' && !escaped;
            escapes |= escaped;
            ends
        });
        let length = length.unwrap_or(rest.len());
        self.at = (start + 1 + length + 1).min(self.text.len());
        if escapes && let Ok(text) = json::parse(&self.text[start..self.at]).and_then(json::string) {
            return bytes(TEXT, text.as_bytes());
        }
        bytes(TEXT, &rest[..length])
    }
}

/// The fingerprint of a number: its sign, its significant digits without leading and trailing zeros, and their power
/// of ten.
fn number(text: &str) -> u64 {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (Ok(exponent), Some(first)) =
        (exponent.parse::<i64>(), mantissa.find(|digit: char| digit.is_ascii_digit() && digit != '0'))
    else {
        // A zero in any notation, or an exponent of more than 19 digits, which is compared as text.
        let zero = !mantissa.bytes().any(|byte| matches!(byte, b'1'..=b'9'));
        return bytes(NUMBER, if zero { b"0" } else { text.as_bytes() });
    };
    let last = mantissa.rfind(|digit: char| digit.is_ascii_digit() && digit != '0').unwrap_or(first);
    let point = mantissa.find('.').unwrap_or(mantissa.len());
    let power = if last < point { point - last - 1 } else { 0 } as i64 - last.saturating_sub(point) as i64;
    let digits: Vec<u8> = mantissa[first..=last].bytes().filter(u8::is_ascii_digit).collect();
    let signed = then(NUMBER, u64::from(mantissa.starts_with('-')));
    bytes(then(signed, exponent.saturating_add(power) as u64), &digits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn same(one: &str, other: &str) -> bool {
        for text in [one, other] {
            json::check(json::parse(text).unwrap(), 0).unwrap();
        }
        Fingerprint::of_json(one) == Fingerprint::of_json(other)
    }

    #[test]
    fn how_it_is_written_does_not_matter() {
        for (one, other) in [
            (r#"{"a":1,"b":[true,null]}"#, " {\n\"b\" : [ true ,\tnull ] , \"a\":1 }\r\n"),
            (r#"{"a":"é😀/\n"}"#, r#"{"\u0061":"\u00e9\ud83d\ude00\/\u000a"}"#),
            (r#"[1.50,100,0.001,-0.0,12e3]"#, "[1.5,1e2,1E-3,0,12000.0]"),
            (r#"{"a":{"x":{},"y":[]},"b":2}"#, r#"{"b":2,"a":{"y":[],"x":{}}}"#),
            ("[0e5,0.00,-0]", "[0,0,0]"),
            ("1230e-1", "123"),
            (r#""\ud83d""#, r#""\uD83D""#),
        ] {
            assert!(same(one, other), "{one} {other}");
        }
    }

    #[test]
    fn what_it_says_does() {
        let all = [
            "null",
            "true",
            "false",
            "0",
            "1",
            "-1",
            "10",
            "0.1",
            "1e400",
            "1e401",
            "11",
            "101",
            r#""""#,
            r#""0""#,
            r#""null""#,
            "[]",
            "{}",
            "[[]]",
            "[{}]",
            "[0]",
            "[1,2]",
            "[2,1]",
            "[[1],2]",
            "[[1,2]]",
            "[1,[2]]",
            r#"{"a":1}"#,
            r#"{"a":"1"}"#,
            r#"{"b":1}"#,
            r#"{"a":1,"b":2}"#,
            r#"{"a":2,"b":1}"#,
            r#"{"a":{"b":1}}"#,
            r#"{"a":["b",1]}"#,
            r#"["a",1]"#,
            r#""a""#,
            r#""a\u0000""#,
            r#""\u0000a""#,
            r#""12345678""#,
            r#""12345678\u0000""#,
            r#""\"""#,
            r#""\\""#,
            r#""\\\"""#,
            "123456789012345678901234567890",
            "123456789012345678901234567891",
            "1e9999999999999999999999",
        ];
        for (index, one) in all.iter().enumerate() {
            for other in &all[..index] {
                assert!(!same(one, other), "{one} {other}");
            }
        }
        assert_ne!(Fingerprint::of_parts(["ab", "c"]), Fingerprint::of_parts(["a", "bc"]));
        assert_ne!(Fingerprint::of_parts(["a", ""]), Fingerprint::of_parts(["a"]));
    }

    #[test]
    fn the_stored_form_is_stable() {
        // These are stored: they must not change with the code.
        let of = |text: &str| Fingerprint::of_json(text).bits();
        assert_eq!(of(r#"{"call_id":"c1","n":1.50,"list":[null,true]}"#), KNOWN_JSON);
        assert_eq!(Fingerprint::of_parts(["call.new"]).bits(), KNOWN_PARTS);
        assert_eq!(Fingerprint::from_bits(0), None);
    }

    const KNOWN_JSON: u64 = 9_057_858_705_632_954_127;
    const KNOWN_PARTS: u64 = 6_891_992_279_844_886_182;

    fn document() -> impl Strategy<Value = serde_json::Value> {
        use serde_json::Value;
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            any::<f64>()
                .prop_filter("an integer would be equal to another value", |n| n.is_finite() && n.fract() != 0.0)
                .prop_map(Value::from),
            ".{0,12}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::hash_map(".{0,4}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn two_documents_have_one_print_only_if_they_are_one(one in document(), other in document()) {
            let (pretty, other_text) = (serde_json::to_string_pretty(&one).unwrap(), other.to_string());
            prop_assert!(same(&one.to_string(), &pretty));
            prop_assert_eq!(same(&pretty, &other_text), one == other);
        }

        #[test]
        fn nothing_that_is_no_json_hangs_it(text in "\\PC{0,40}") {
            Fingerprint::of_json(&text);
        }
    }
}
