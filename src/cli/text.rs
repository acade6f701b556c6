//! Other people's text, made fit for a terminal: nothing in it moves the cursor, and its width is known.
//!
//! Always holds: what [`safe`] returns has no control characters and none that change the
//! direction of writing, so a receiver's answer cannot forge lines of a table.

use serde_json::value::RawValue;

use crate::core::json::{self, Kind};

/// `text` on one line, with everything that a terminal would obey shown as an escape.
pub(super) fn safe(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || is_directive(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

/// Characters that are not controls and still change how their neighbours are shown.
const fn is_directive(c: char) -> bool {
    matches!(c,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}'
        | '\u{e0000}'..='\u{e007f}')
}

/// How many columns of a terminal `text` takes, by the common blocks of Unicode's East Asian Width.
pub(super) fn width(text: &str) -> usize {
    text.chars().map(char_width).sum()
}

const fn char_width(c: char) -> usize {
    match c {
        '\u{300}'..='\u{36f}'
        | '\u{483}'..='\u{489}'
        | '\u{591}'..='\u{5bd}'
        | '\u{610}'..='\u{61a}'
        | '\u{64b}'..='\u{65f}'
        | '\u{1ab0}'..='\u{1aff}'
        | '\u{1dc0}'..='\u{1dff}'
        | '\u{200b}'..='\u{200d}'
        | '\u{20d0}'..='\u{20ff}'
        | '\u{fe00}'..='\u{fe0f}'
        | '\u{fe20}'..='\u{fe2f}'
        | '\u{e0100}'..='\u{e01ef}' => 0,
        '\u{1100}'..='\u{115f}'
        | '\u{2e80}'..='\u{303e}'
        | '\u{3041}'..='\u{a4cf}'
        | '\u{a960}'..='\u{a97f}'
        | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}'
        | '\u{fe30}'..='\u{fe6f}'
        | '\u{ff00}'..='\u{ff60}'
        | '\u{ffe0}'..='\u{ffe6}'
        | '\u{1f300}'..='\u{1f64f}'
        | '\u{1f680}'..='\u{1f6ff}'
        | '\u{1f900}'..='\u{1f9ff}'
        | '\u{1fa70}'..='\u{1faff}'
        | '\u{20000}'..='\u{3fffd}' => 2,
        _ => 1,
    }
}

/// `text` in at most `most` columns; where something was left out, it ends in `…`.
pub(super) fn cut(text: &str, most: usize) -> String {
    if width(text) <= most {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut used = 1; // the mark's own column
    for c in text.chars() {
        used += char_width(c);
        if used > most {
            break;
        }
        out.push(c);
    }
    if most > 0 {
        out.push('…');
    }
    out
}

/// `text`, made safe, in lines of at most `most` columns where its blanks allow it.
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

/// A number and what it counts: `1 call`, `2 calls`.
pub(super) fn number_of(number: u64, word: &str) -> String {
    format!("{number} {word}{}", if number == 1 { "" } else { "s" })
}

/// A list as `--json` prints it: one JSON array, an item a line, as the daemon wrote them.
pub(super) fn json_list(items: &[Box<RawValue>]) -> String {
    let items: Vec<&str> = items.iter().map(|item| item.get()).collect();
    format!("[{}]", items.join(",\n"))
}

/// A JSON document on indented lines, members in their order and numbers in their digits.
///
/// A document nested too deeply to be walked stands on one line, as it is.
pub(super) fn pretty(raw: &RawValue) -> String {
    let mut out = String::new();
    if json::check(raw, 0).is_ok() {
        write_pretty(raw, 0, &mut out);
    } else {
        out.push_str(raw.get());
    }
    out.lines().map(safe).collect::<Vec<_>>().join("\n")
}

fn write_pretty(raw: &RawValue, depth: usize, out: &mut String) {
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.push_str(&"  ".repeat(depth));
    };
    match Kind::of(raw) {
        Kind::Object => {
            let members = json::members(raw).unwrap_or_default();
            out.push('{');
            for (index, (name, value)) in members.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { "," });
                line(out, depth + 1);
                out.push_str(&json::quote(name));
                out.push_str(": ");
                write_pretty(value, depth + 1, out);
            }
            if !members.is_empty() {
                line(out, depth);
            }
            out.push('}');
        }
        Kind::List => {
            let items = json::items(raw).unwrap_or_default();
            out.push('[');
            for (index, value) in items.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { "," });
                line(out, depth + 1);
                write_pretty(value, depth + 1, out);
            }
            if !items.is_empty() {
                line(out, depth);
            }
            out.push(']');
        }
        _ => out.push_str(raw.get()),
    }
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
        assert_eq!(cut("abc", 0), "");
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
        assert_eq!([0, 1, 2].map(|number| number_of(number, "call")), ["0 calls", "1 call", "2 calls"]);
    }

    #[test]
    fn pretty_keeps_order_and_digits() {
        let raw = json::parse(r#"{"b":1.50,"a":[],"c":[{"d":12345678901234567890123}],"e":"x\u001b"}"#).unwrap();
        let wanted = "{\n  \"b\": 1.50,\n  \"a\": [],\n  \"c\": [\n    {\n      \"d\": 12345678901234567890123\n    }\n  ],\n  \"e\": \"x\\u001b\"\n}";
        assert_eq!(pretty(raw), wanted);
    }

    #[test]
    fn pretty_does_not_recurse_without_end_and_escapes_what_json_allows() {
        let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
        assert_eq!(pretty(json::parse(&deep).unwrap()), deep);
        assert_eq!(pretty(json::parse("\"\u{9b}\u{202e}\"").unwrap()), "\"\\u{9b}\\u{202e}\"");
    }
}
