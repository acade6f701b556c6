//! Escapes characters of untrusted text that a terminal or log viewer would interpret.
//!
//! The only definition of these characters, for the process's messages and for the command line. Escaped text cannot
//! end a line, move the cursor, change the writing direction, or be invisible ("Trojan Source", CVE-2021-42574).
//! Everything else is unchanged.

use std::fmt::{self, Write};

/// The notation of an escape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// For people: `\n`, `\u{1b}`.
    Text,
    /// In a JSON string, whose value stays the same: `\u001b`, two of them beyond U+FFFF (RFC 8259 section 7).
    Json,
}

/// Whether a character is escaped: controls (C0, C1, DEL), Unicode line and paragraph separators, bidirectional
/// controls (UAX #9) and the deprecated format characters next to them, the byte order mark, annotation marks, and
/// tags.
#[must_use]
pub fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{206f}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Writes `text` to `out`, escaped.
///
/// # Errors
/// Those of `out`.
pub fn write(out: &mut impl Write, text: &str, style: Style) -> fmt::Result {
    let mut rest = text;
    while let Some(at) = rest.find(is_unsafe) {
        let (plain, from) = rest.split_at(at);
        out.write_str(plain)?;
        let mut characters = from.chars();
        if let Some(c) = characters.next() {
            escape(out, c, style)?;
        }
        rest = characters.as_str();
    }
    out.write_str(rest)
}

fn escape(out: &mut impl Write, c: char, style: Style) -> fmt::Result {
    match style {
        Style::Text => write!(out, "{}", c.escape_default()),
        Style::Json => c.encode_utf16(&mut [0; 2]).iter().try_for_each(|unit| write!(out, "\\u{unit:04x}")),
    }
}

/// `text`, escaped.
#[must_use]
pub fn escaped(text: &str, style: Style) -> String {
    let mut out = String::with_capacity(text.len());
    // Writing into a string cannot fail.
    let _ = write(&mut out, text, style);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_character_that_is_obeyed_or_unseen_is_escaped_and_no_other() {
        let ranges = [
            ('\0', '\u{1f}'),
            ('\u{7f}', '\u{9f}'),
            ('\u{61c}', '\u{61c}'),
            ('\u{200e}', '\u{200f}'),
            ('\u{2028}', '\u{202e}'),
            ('\u{2066}', '\u{206f}'),
            ('\u{feff}', '\u{feff}'),
            ('\u{fff9}', '\u{fffb}'),
            ('\u{e0000}', '\u{e007f}'),
        ];
        for c in '\0'..=char::MAX {
            let wanted = ranges.iter().any(|(first, last)| (*first..=*last).contains(&c));
            assert_eq!(is_unsafe(c), wanted, "{c:?}");
            let text = escaped(&c.to_string(), Style::Text);
            assert_eq!(text != c.to_string(), wanted, "{c:?}");
            assert!(!text.contains(is_unsafe), "{c:?}");
        }
    }

    #[test]
    fn json_stays_the_same_value() {
        let value = "a\u{9b}31m\u{202e}x\u{feff}\u{200e}\u{e0041}Zoë 電話";
        let json = format!("\"{value}\"");
        let shown = escaped(&json, Style::Json);
        assert_eq!(shown, "\"a\\u009b31m\\u202ex\\ufeff\\u200e\\udb40\\udc41Zoë 電話\"");
        assert_eq!(serde_json::from_str::<String>(&shown).unwrap(), value);
        assert_eq!(escaped("a\nb\u{1b}", Style::Text), "a\\nb\\u{1b}");
    }
}
