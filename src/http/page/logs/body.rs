//! Formats the body of a request or a response. Nothing is omitted or decoded twice: the exact text remains
//! available.

use minijinja::Value;
use minijinja::value::Serde;
use serde::Serialize;
use url::form_urlencoded;

use crate::core::json::pretty;

/// A body for display.
#[derive(Serialize)]
pub(super) struct Readable {
    /// Its kind: `json`, `form`, `text` or `empty`.
    kind: &'static str,
    /// The formatted text.
    text: String,
    /// The original text, if different.
    raw: Option<String>,
}

/// Formats `text` of type `content_type`.
pub(super) fn readable(text: &str, content_type: Option<&str>) -> Value {
    Value::from(Serde(shown(text, content_type.unwrap_or_default())))
}

fn shown(text: &str, content_type: &str) -> Readable {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    let (kind, readable) = if text.is_empty() {
        ("empty", String::new())
    } else if essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        ("form", form(text))
    } else {
        let is_json = text.trim_start().starts_with(['{', '[']);
        let pretty = pretty(text);
        if is_json && pretty != text { ("json", pretty) } else { ("text", text.to_owned()) }
    };
    let raw = (readable != text).then(|| text.to_owned());
    Readable { kind, text: readable, raw }
}

/// The fields of a form, one per line, decoded.
fn form(text: &str) -> String {
    let fields = form_urlencoded::parse(text.as_bytes());
    fields.map(|(name, value)| format!("{name} = {value}")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_shown_by_their_type() {
        let read = |text: &str, kind: &str| {
            let shown = shown(text, kind);
            (shown.kind, shown.text, shown.raw.is_some())
        };
        assert_eq!(read(r#"{"a":1.50}"#, "application/json"), ("json", "{\n  \"a\": 1.50\n}".to_owned(), true));
        assert_eq!(read(r#"{"a":1"#, "application/json"), ("text", r#"{"a":1"#.to_owned(), false));
        assert_eq!(read("<b>no</b>", "text/html"), ("text", "<b>no</b>".to_owned(), false));
        assert_eq!(read("", ""), ("empty", String::new(), false));
        let form = "event=call.new&data%5Bcall_id%5D=c+1%26&e=";
        let wanted = "event = call.new\ndata[call_id] = c 1&\ne = ".to_owned();
        assert_eq!(read(form, "application/x-www-form-urlencoded; charset=utf-8"), ("form", wanted, true));
    }
}
