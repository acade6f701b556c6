//! JSON as posted: order of members, digits of numbers and spelling of strings are kept.
//!
//! serde_json's own value type sorts members and parses numbers into floats. Here a document stays text; an object is
//! a list of names with the raw text of their values. What passed [`check`] has no duplicate names and at most
//! [`MAX_DEPTH`] levels, so later code may recurse.
//!
//! An unpaired surrogate (`\ud83d` alone) is valid in JSON's grammar (RFC 8259 section 8.2), and JavaScript, Python
//! and Java produce it when text is cut inside an emoji. It stays in the text; a string decoded from it has U+FFFD.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// The deepest nesting of objects and lists that is accepted.
pub const MAX_DEPTH: usize = 64;

/// The kinds of JSON value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `null`
    Null,
    /// `true` or `false`
    Boolean,
    /// A number, in its original digits.
    Number,
    /// A string.
    String,
    /// A list.
    List,
    /// An object.
    Object,
}

impl Kind {
    /// The kind of a value, by the first character of its text.
    pub fn of(raw: &RawValue) -> Self {
        match raw.get().as_bytes().first() {
            Some(b'n') => Self::Null,
            Some(b't' | b'f') => Self::Boolean,
            Some(b'"') => Self::String,
            Some(b'[') => Self::List,
            Some(b'{') => Self::Object,
            _ => Self::Number,
        }
    }

    /// Its name with an article, for sentences.
    pub const fn with_article(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean => "a boolean",
            Self::Number => "a number",
            Self::String => "a string",
            Self::List => "a list",
            Self::Object => "an object",
        }
    }
}

/// A member of an object: its decoded name, and its raw value.
pub type Member<'a> = (Cow<'a, str>, &'a RawValue);

/// The members of an object in order.
pub struct Members<'a>(pub Vec<Member<'a>>);

/// How many members an object has at most, mostly: so many are read without growing the list.
const MOSTLY: usize = 16;

/// The raw values of a list.
pub struct Items<'a>(pub Vec<&'a RawValue>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;
        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Vec<Member<'de>>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::with_capacity(MOSTLY);
                while let Some((Text(name), value)) = map.next_entry()? {
                    members.push((name, value));
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(MembersVisitor).map(Members)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Items<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ItemsVisitor;
        impl<'de> Visitor<'de> for ItemsVisitor {
            type Value = Vec<&'de RawValue>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    items.push(item);
                }
                Ok(items)
            }
        }
        deserializer.deserialize_seq(ItemsVisitor).map(Items)
    }
}

/// A decoded string, borrowed if it is written without escapes.
struct Text<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_bytes<E: serde::de::Error>(self, bytes: &'de [u8]) -> Result<Text<'de>, E> {
                Ok(Text(std::str::from_utf8(bytes).map_or_else(|_| replaced(bytes).into(), Cow::Borrowed)))
            }
            fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Text<'de>, E> {
                let text = std::str::from_utf8(bytes).map_or_else(|_| replaced(bytes), str::to_owned);
                Ok(Text(text.into()))
            }
        }
        // As bytes, serde_json yields an unpaired surrogate as its three bytes in WTF-8; as text it fails.
        deserializer.deserialize_bytes(TextVisitor)
    }
}

/// Converts WTF-8 to text, with U+FFFD for each surrogate (which begins with 0xED).
fn replaced(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        if chunk.invalid().first() == Some(&0xed) {
            text.push(char::REPLACEMENT_CHARACTER);
        }
    }
    text
}

/// The members of `raw`, in order.
///
/// # Errors
/// It is not an object.
pub fn members(raw: &RawValue) -> Result<Vec<Member<'_>>, String> {
    if Kind::of(raw) != Kind::Object {
        return Err(format!("must be an object, not {}", Kind::of(raw).with_article()));
    }
    serde_json::from_str::<Members<'_>>(raw.get()).map(|m| m.0).map_err(|e| plain(&e))
}

/// The members of a document that is an object, in order, in one pass over `text`; `None` if it is anything else, which
/// [`parse`] tells apart.
pub fn document_members(text: &str) -> Option<Vec<Member<'_>>> {
    serde_json::from_str::<Members<'_>>(text).map(|members| members.0).ok()
}

/// The values of the list `raw`.
///
/// # Errors
/// It is not a list.
pub fn items(raw: &RawValue) -> Result<Vec<&RawValue>, String> {
    if Kind::of(raw) != Kind::List {
        return Err(format!("must be a list, not {}", Kind::of(raw).with_article()));
    }
    serde_json::from_str::<Items<'_>>(raw.get()).map(|m| m.0).map_err(|e| plain(&e))
}

/// `raw` as a string.
///
/// # Errors
/// It is not a string.
pub fn string(raw: &RawValue) -> Result<String, String> {
    if Kind::of(raw) != Kind::String {
        return Err(format!("must be a string, not {}", Kind::of(raw).with_article()));
    }
    serde_json::from_str::<Text<'_>>(raw.get()).map(|text| text.0.into_owned()).map_err(|e| plain(&e))
}

/// `raw` as a boolean.
///
/// # Errors
/// It is not a boolean.
pub fn boolean(raw: &RawValue) -> Result<bool, String> {
    serde_json::from_str(raw.get()).map_err(|_| format!("must be true or false, not {}", Kind::of(raw).with_article()))
}

/// `raw` as a whole number from `least` to `most`.
///
/// # Errors
/// It is something else.
pub fn integer(raw: &RawValue, least: u64, most: u64) -> Result<u64, String> {
    match serde_json::from_str::<u64>(raw.get()).ok().or_else(|| whole(raw)) {
        Some(number) if (least..=most).contains(&number) => Ok(number),
        _ => Err(format!("must be a whole number from {least} to {most}")),
    }
}

/// A whole number written with a point or an exponent, such as `84.0`: an integer in JSON Schema.
fn whole(raw: &RawValue) -> Option<u64> {
    const EXACT: f64 = 9_007_199_254_740_992.0; // 2^53: up to here no digit is lost
    let number: f64 = serde_json::from_str(raw.get()).ok()?;
    (number.fract() == 0.0 && (0.0..=EXACT).contains(&number)).then_some(number as u64)
}

/// Applies `parse` to the string `raw`.
pub(super) fn word<T>(raw: &RawValue, parse: impl FnOnce(&str) -> Result<T, String>) -> Result<T, String> {
    string(raw).and_then(|text| parse(&text))
}

/// Applies `read` to `raw`; `None` for `null`.
pub(super) fn nullable<T>(
    raw: &RawValue,
    read: impl FnOnce(&RawValue) -> Result<T, String>,
) -> Result<Option<T>, String> {
    if Kind::of(raw) == Kind::Null { Ok(None) } else { read(raw).map(Some) }
}

/// Whether `raw` is `null` or `""`, which templates, forms and many languages write for 'none'.
pub fn is_nothing(raw: &RawValue) -> bool {
    matches!(raw.get(), "null" | "\"\"")
}

/// A string of 1 to `most` characters on one line.
///
/// # Errors
/// A sentence on what would be right.
pub(super) fn line(value: &RawValue, most: usize) -> Result<String, String> {
    let text = string(value)?;
    let length = text.chars().count();
    if !(1..=most).contains(&length) {
        return Err(format!("must have 1 to {most} characters, not {length}"));
    }
    if text.chars().any(char::is_control) {
        return Err("must not have control characters".to_owned());
    }
    Ok(text)
}

/// Applies `read` to `raw`; `None` if it [is nothing](is_nothing). Not for members whose absence widens permissions.
pub(super) fn optional<T>(
    raw: &RawValue,
    read: impl FnOnce(&RawValue) -> Result<T, String>,
) -> Result<Option<T>, String> {
    if is_nothing(raw) { Ok(None) } else { read(raw).map(Some) }
}

/// Parses the syntax of one JSON document, without looking at its content.
///
/// # Errors
/// What is wrong and at which line and column.
pub fn parse(text: &str) -> Result<&RawValue, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

/// Checks every value inside `raw`, `depth` levels below the top: no duplicate names, at most
/// [`MAX_DEPTH`] levels.
///
/// # Errors
/// The pointer to the first fault, relative to `raw`, and the fault.
pub fn check(raw: &RawValue, depth: usize) -> Result<(), (String, String)> {
    let here = |detail: String| (String::new(), detail);
    match Kind::of(raw) {
        Kind::Null | Kind::Boolean | Kind::Number | Kind::String => Ok(()),
        Kind::Object | Kind::List if depth >= MAX_DEPTH => {
            Err(here(format!("is nested deeper than {MAX_DEPTH} levels")))
        }
        Kind::Object => check_members(&members(raw).map_err(here)?, depth),
        Kind::List => {
            for (index, value) in items(raw).map_err(here)?.into_iter().enumerate() {
                check(value, depth + 1).map_err(|(at, detail)| (format!("/{index}{at}"), detail))?;
            }
            Ok(())
        }
    }
}

/// The same for the members of an object `depth` levels below the top.
///
/// # Errors
/// As for [`check`], relative to the object.
pub fn check_members(members: &[Member<'_>], depth: usize) -> Result<(), (String, String)> {
    if let Some(name) = first_duplicate(members) {
        return Err((super::invalid::pointer(name), "is given twice in its object".to_owned()));
    }
    for (name, value) in members {
        check(value, depth + 1).map_err(|(at, detail)| (super::invalid::pointer(name) + &at, detail))?;
    }
    Ok(())
}

/// The first duplicate name.
pub fn first_duplicate<'m>(members: &'m [Member<'_>]) -> Option<&'m str> {
    if members.len() <= MOSTLY {
        let earlier = |index: usize, name: &str| members[..index].iter().any(|(other, _)| other == name);
        return members.iter().enumerate().find(|(i, (name, _))| earlier(*i, name)).map(|(_, (name, _))| name.as_ref());
    }
    let mut seen = std::collections::HashSet::with_capacity(members.len());
    members.iter().map(|(name, _)| name.as_ref()).find(|name| !seen.insert(*name))
}

/// `text` as a JSON string, quotes and escapes included.
pub fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Pretty-prints JSON text, keeping every token: digits, order and escapes included. Text that is not JSON is
/// returned unchanged.
pub fn pretty(text: &str) -> String {
    if serde_json::from_str::<serde::de::IgnoredAny>(text).is_err() {
        return text.to_owned();
    }
    let mut shown = String::with_capacity(text.len() * 2);
    let mut depth = 0_usize;
    let (mut in_string, mut escaped) = (false, false);
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        if in_string {
            shown.push(character);
            in_string = escaped || character != '"';
            escaped = !escaped && character == '\\';
            continue;
        }
        match character {
            '{' | '[' => {
                shown.push(character);
                while characters.next_if(|next| next.is_whitespace()).is_some() {}
                if let Some(end) = characters.next_if(|next| matches!(next, '}' | ']')) {
                    shown.push(end);
                } else {
                    depth += 1;
                    new_line(&mut shown, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                new_line(&mut shown, depth);
                shown.push(character);
            }
            ',' => {
                shown.push(',');
                new_line(&mut shown, depth);
            }
            ':' => shown.push_str(": "),
            blank if blank.is_whitespace() => {}
            other => {
                in_string = other == '"';
                shown.push(other);
            }
        }
    }
    shown
}

fn new_line(shown: &mut String, depth: usize) {
    shown.push('\n');
    shown.extend(std::iter::repeat_n("  ", depth));
}

/// serde_json's message without the position, which would be relative to a fragment.
fn plain(error: &serde_json::Error) -> String {
    let text = serde_json::Error::custom(error).to_string();
    let cut = text.find(" at line ").unwrap_or(text.len());
    format!("is not valid JSON: {}", &text[..cut])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_made_readable_and_changes_nothing_else() {
        let text = r#"{"a":1.50,"b":[],"c":[{"d":"x, \"y\": {z}\\"},null],"e":{ },"f":1e400}"#;
        let wanted = "{\n  \"a\": 1.50,\n  \"b\": [],\n  \"c\": [\n    {\n      \"d\": \"x, \\\"y\\\": {z}\\\\\"\n    },\n    null\n  ],\n  \"e\": {},\n  \"f\": 1e400\n}";
        assert_eq!(pretty(text), wanted);
        for text in ["", "not json", "{\"a\":", "<b>"] {
            assert_eq!(pretty(text), text);
        }
    }

    fn fault(text: &str) -> Option<(String, String)> {
        check(parse(text).unwrap(), 0).err()
    }

    #[test]
    fn members_keep_order_and_digits() {
        let raw = parse(r#"{"b":1.50,"a":123456789012345678901234567890, "ü\u00e4": "\ud83d\ude00"}"#).unwrap();
        let members = members(raw).unwrap();
        let seen: Vec<_> = members.iter().map(|(n, v)| (n.as_ref(), v.get())).collect();
        assert_eq!(seen, [("b", "1.50"), ("a", "123456789012345678901234567890"), ("üä", r#""\ud83d\ude00""#)]);
    }

    #[test]
    fn faults_are_found_where_they_stand() {
        let many = (0..20).map(|i| format!("\"k{i}\":0,")).collect::<String>();
        assert_eq!(fault(r#"{"a":[{"b":1,"b":2}]}"#).map(|f| f.0), Some("/a/0/b".to_owned()));
        assert_eq!(fault(&format!("{{{many}\"k7\":1}}")).map(|f| f.0), Some("/k7".to_owned()));
        assert_eq!(fault(r#"{"a/b":{"c":1,"c":2}}"#).map(|f| f.0), Some("/a~1b/c".to_owned()));
        assert_eq!(fault(r#"{"\ud800":1,"\ud801":2}"#).map(|f| f.0), Some("/\u{fffd}".to_owned()));
        assert_eq!(fault(r#"{"a":"\u0061","b":[],"c":{}}"#), None);
    }

    #[test]
    fn half_a_surrogate_pair_is_read_as_a_replacement_character() {
        let read = |text: &str| string(parse(text).unwrap()).unwrap();
        for (text, wanted) in [
            (r#""ok \ud83d""#, "ok \u{fffd}"),
            (r#""\ude00""#, "\u{fffd}"),
            (r#""\ude00\ud83d""#, "\u{fffd}\u{fffd}"),
            (r#""\ud83d\ud83d\ude00\ud83d\n\ud83dx""#, "\u{fffd}\u{1f600}\u{fffd}\n\u{fffd}x"),
            (r#""\ud83d\u00e9 é\uD83D""#, "\u{fffd}éé\u{fffd}".replace("éé", "é é").as_str()),
        ] {
            assert_eq!(read(text), wanted, "{text}");
        }
        let raw = parse(r#"{"a\ud83d":"\ud83d"}"#).unwrap();
        assert_eq!(check(raw, 0), Ok(()));
        let seen: Vec<_> = members(raw).unwrap().into_iter().map(|(name, value)| (name, value.get())).collect();
        assert_eq!(seen, [("a\u{fffd}".into(), r#""\ud83d""#)], "the text itself stays");
        // Invalid JSON stays invalid.
        for text in [r#""\ud83""#, r#""\u{d83d}""#, r#""\x""#, "\"\n\""] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn null_and_the_empty_text_say_nothing() {
        let says = |text: &str| optional(parse(text).unwrap(), string);
        assert_eq!((says("null"), says("\"\"")), (Ok(None), Ok(None)));
        assert_eq!(says("\" \""), Ok(Some(" ".to_owned())));
        assert!(says("0").is_err() && says("[]").is_err());
    }

    #[test]
    fn deep_nesting_is_an_error_and_not_an_overflow() {
        let nested = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
        assert_eq!(fault(&nested(MAX_DEPTH)), None);
        assert!(fault(&nested(MAX_DEPTH + 1)).unwrap().1.contains("64 levels"));
        assert!(fault(&nested(10_000)).is_some());
        assert!(fault(&nested(1_000_000)).is_some());
    }
}
