//! Makes untrusted text safe for a terminal: no control sequences, known width.
//!
//! Invariant: the result of [`safe`] contains nothing that a terminal interprets ([`visible`]), so a receiver's
//! response cannot forge lines of a table.

use serde_json::value::RawValue;

use unicode_width::UnicodeWidthStr as _;

use crate::core::json;
use crate::core::visible::{self, Style};
use crate::texts::Language;

/// `text` on one line, with everything a terminal would interpret escaped.
pub(super) fn safe(text: &str) -> String {
    visible::escaped(text, Style::Text)
}

/// Equivalent JSON with nothing a terminal would interpret; line breaks between tokens stay.
pub(super) fn safe_json(json: &str) -> String {
    json.split('\n').map(|line| visible::escaped(line, Style::Json)).collect::<Vec<_>>().join("\n")
}

/// The number of terminal columns of `text` (UAX #11; emoji sequences count as one).
pub(super) fn width(text: &str) -> usize {
    text.width()
}

/// `text` in at most `most` columns; ends in `…` if cut.
pub(super) fn cut(text: &str, most: usize) -> String {
    if width(text) <= most {
        return text.to_owned();
    }
    let mut out = String::new();
    for c in text.chars() {
        let before = out.len();
        out.push(c);
        // One column is for the ellipsis.
        if width(&out) + 1 > most {
            out.truncate(before);
            break;
        }
    }
    if most > 0 {
        out.push('…');
    }
    out
}

/// `text`, made safe, wrapped at blanks to at most `most` columns if possible.
pub(super) fn wrap(text: &str, most: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in safe(text).split_whitespace() {
        let line = lines.last().map_or(0, |line| width(line));
        if line > 0 && line + 1 + width(word) > most {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            line.push_str(if line.is_empty() { "" } else { " " });
            line.push_str(word);
        }
    }
    lines
}

/// A number for people: `1,234`.
pub(super) fn count(number: u64) -> String {
    Language::English.count(number)
}

/// A number and its unit: `1 call`, `2 calls`, `3 deliveries`.
pub(super) fn number_of(number: u64, word: &str) -> String {
    let shown = count(number);
    match word.strip_suffix('y') {
        _ if number == 1 => format!("{shown} {word}"),
        Some(stem) => format!("{shown} {stem}ies"),
        None => format!("{shown} {word}s"),
    }
}

/// A number of bytes for people: `1.2 MiB`.
pub(super) fn size(bytes: u64) -> String {
    Language::English.bytes(bytes)
}

/// A list as printed by `--json`: one JSON array, one item per line, verbatim.
pub(super) fn json_list(items: &[Box<RawValue>]) -> String {
    let items: Vec<&str> = items.iter().map(|item| item.get()).collect();
    safe_json(&format!("[{}]", items.join(",\n")))
}

/// A JSON document, indented; the order of members and the digits of numbers are kept.
///
/// A document nested too deeply is printed on one line, unchanged.
pub(super) fn pretty(raw: &RawValue) -> String {
    let text = raw.get();
    if json::check(raw, 0).is_ok() { safe_json(&json::pretty(text)) } else { safe_json(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_reaches_the_terminal_that_it_would_obey() {
        let cases = [
            ("call.missed", "call.missed"),
            ("a\nb\tc", "a\\nb\\tc"),
            ("\u{1b}[2J", "\\u{1b}[2J"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("abc\u{202e}def", "abc\\u{202e}def"),
            ("\u{feff}a\u{200f}\u{2066}", "\\u{feff}a\\u{200f}\\u{2066}"),
            ("Zoë 電話", "Zoë 電話"),
        ];
        for (text, wanted) in cases {
            assert_eq!(safe(text), wanted);
        }
    }

    #[test]
    fn cutting_counts_columns_and_not_characters() {
        assert_eq!(cut("abcdef", 6), "abcdef");
        assert_eq!(cut("abcdef", 5), "abcd…");
        assert_eq!(cut("電話番号", 8), "電話番号");
        assert_eq!(cut("電話番号", 7), "電話番…");
        assert_eq!(cut("電話番号", 6), "電話…");
        assert_eq!(cut("e\u{301}e\u{301}e\u{301}", 2), "e\u{301}…");
        assert_eq!(cut("abc", 1), "…");
        assert_eq!(
            cut("\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467} family", 4),
            "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467} …"
        );
        assert_eq!(cut("abc", 0), "");
    }

    /// Widths that a table of blocks had wrong: Hangul's joining letters, Devanagari's and Thai's marks, newer emoji,
    /// presentation selectors.
    #[test]
    fn widths_are_those_of_unicode() {
        let cases = [
            ("abc", 3),
            ("電話", 4),
            ("e\u{301}", 1),
            ("ก\u{e33}\u{e49}", 2),
            ("\u{928}\u{940}", 2),
            ("\u{1100}\u{1161}\u{11a8}", 2),
            ("\u{1f7e2}", 2),
            ("\u{2764}\u{fe0f}", 2),
            ("\u{231a}", 2),
            ("\u{1f1e9}\u{1f1ea}", 2),
        ];
        for (text, wanted) in cases {
            assert_eq!(width(text), wanted, "{text:?}");
        }
    }

    #[test]
    fn wrapping_breaks_at_blanks_only() {
        assert_eq!(wrap("Friday at 10 is perfect.", 12), ["Friday at 10", "is perfect."]);
        assert_eq!(wrap("a\u{1b} unbreakable b", 5), ["a\\u{1b}", "unbreakable", "b"]);
        assert_eq!(wrap("電話 番号", 5), ["電話", "番号"]);
        assert_eq!(wrap("", 5), [""]);
    }

    #[test]
    fn one_of_a_kind_is_no_plural() {
        let cases = [
            (0, "call", "0 calls"),
            (1, "call", "1 call"),
            (2, "call", "2 calls"),
            (1, "delivery", "1 delivery"),
            (12_345, "delivery", "12,345 deliveries"),
        ];
        for (number, word, wanted) in cases {
            assert_eq!(number_of(number, word), wanted);
        }
    }

    #[test]
    fn pretty_keeps_order_and_digits() {
        let raw = json::parse(r#"{"b":1.50,"a":[],"c":[{"d":12345678901234567890123}],"e":"x\u001b"}"#).unwrap();
        let wanted = "{\n  \"b\": 1.50,\n  \"a\": [],\n  \"c\": [\n    {\n      \"d\": 12345678901234567890123\n    }\n  ],\n  \"e\": \"x\\u001b\"\n}";
        assert_eq!(pretty(raw), wanted);
    }

    #[test]
    fn pretty_printing_bounds_recursion_and_escapes() {
        let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
        assert_eq!(pretty(json::parse(&deep).unwrap()), deep);
        assert_eq!(pretty(json::parse("\"\u{9b}\u{202e}\"").unwrap()), "\"\\u009b\\u202e\"");
    }
}
