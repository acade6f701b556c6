//! The output of one rendering: bounded, and escaped as its content type needs it.
//!
//! In JSON a value is written as JSON; inside a string of the template's own it is written as a part of that string.
//! So a template can be neither broken nor taken over by what an event holds.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use minijinja::value::{Object, ObjectRepr, ValueKind};
use minijinja::{Error, ErrorKind, Output, State, Value};

use super::values::{DIGITS, Digits, Document, Exact, RENDERING};
use crate::core::json;

/// Maximum bytes of what a template renders.
pub const OUTPUT_MOST: usize = 256 * 1024;

/// How values are escaped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Escaping {
    /// As JSON.
    Json,
    /// As values of a form (application/x-www-form-urlencoded).
    Form,
    /// As text of HTML and XML.
    Markup,
    /// Not at all.
    Nothing,
}

impl Escaping {
    /// What a content type needs.
    pub(super) fn of(content_type: &str) -> Self {
        let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match essence.as_str() {
            "application/x-www-form-urlencoded" => Self::Form,
            "text/html" | "text/xml" | "application/xml" => Self::Markup,
            json if json == "application/json" || json.ends_with("+json") => Self::Json,
            xml if xml.ends_with("+xml") => Self::Markup,
            _ => Self::Nothing,
        }
    }
}

/// What belongs to one rendering.
#[derive(Debug)]
pub(super) struct Rendering {
    escaping: Escaping,
    /// Whether the output ends within a string of JSON.
    in_string: AtomicBool,
    /// Whether it ends behind a backslash in one.
    escaped: AtomicBool,
    /// Whether the last write reached the output, rather than a `set` block or a macro.
    reached: AtomicBool,
}

impl Object for Rendering {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }
}

impl Rendering {
    pub(super) fn new(escaping: Escaping) -> Self {
        let no = || AtomicBool::new(false);
        Self { escaping, in_string: no(), escaped: no(), reached: no() }
    }

    fn follow(&self, bytes: &[u8]) {
        let (mut inside, mut escaped) = (get(&self.in_string), get(&self.escaped));
        for byte in bytes {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if inside => escaped = true,
                b'"' => inside = !inside,
                _ => {}
            }
        }
        self.in_string.store(inside, Ordering::Relaxed);
        self.escaped.store(escaped, Ordering::Relaxed);
    }
}

/// Only one thread renders.
fn get(flag: &AtomicBool) -> bool {
    flag.load(Ordering::Relaxed)
}

/// The bytes written so far.
pub(super) struct Writer<'r> {
    pub(super) bytes: Vec<u8>,
    pub(super) rendering: &'r Rendering,
}

impl io::Write for Writer<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes).map(|()| bytes.len())
    }

    /// The engine hands on empty writes, too, by which [`format()`] knows where its output goes.
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.rendering.reached.store(true, Ordering::Relaxed);
        if self.bytes.len() + bytes.len() > OUTPUT_MOST {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        if self.rendering.escaping == Escaping::Json {
            self.rendering.follow(bytes);
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes a value: the environment's formatter.
pub(super) fn format(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    let found = state.lookup(RENDERING);
    let rendering = found.as_ref().and_then(|found| found.downcast_object_ref::<Rendering>());
    if let Some(rendering) = rendering {
        rendering.reached.store(false, Ordering::Relaxed);
        out.write_str("")?;
    }
    // What is gathered by a `set` block, a macro or a filter block is text, and is escaped where that is written.
    let rendering = rendering.filter(|rendering| get(&rendering.reached));
    let escaping = rendering.map_or(Escaping::Nothing, |rendering| rendering.escaping);
    let in_string = rendering.is_some_and(|rendering| get(&rendering.in_string));
    let written = match escaping {
        Escaping::Json if in_string => {
            let quoted = json::quote(&text(state, value)?);
            quoted[1..quoted.len() - 1].to_owned()
        }
        _ if value.is_safe() => value.to_string(),
        Escaping::Json => json_text(state, value)?,
        Escaping::Form => url::form_urlencoded::byte_serialize(text(state, value)?.as_bytes()).collect(),
        Escaping::Markup => markup(&text(state, value)?),
        Escaping::Nothing => text(state, value)?,
    };
    out.write_str(&written).map_err(Error::from)
}

/// HTML and XML: the five characters that mean something there.
fn markup(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// A value as plain text: nothing for what is missing, JSON for lists and objects.
pub(super) fn text(state: &State<'_, '_>, value: &Value) -> Result<String, Error> {
    match value.kind() {
        ValueKind::Undefined | ValueKind::None => Ok(String::new()),
        ValueKind::Seq | ValueKind::Map | ValueKind::Iterable | ValueKind::Number | ValueKind::Bool => {
            json_text(state, value)
        }
        _ => Ok(value.to_string()),
    }
}

/// A value as JSON.
pub(super) fn json_text(state: &State<'_, '_>, value: &Value) -> Result<String, Error> {
    let found = state.lookup(DIGITS);
    let digits = found.as_ref().and_then(|found| found.downcast_object_ref::<Digits>());
    let mut out = String::new();
    write_json(&mut out, value, digits, 0)?;
    Ok(out)
}

fn write_json(out: &mut String, value: &Value, digits: Option<&Digits>, depth: usize) -> Result<(), Error> {
    let fault = |what: &'static str| Err(Error::new(ErrorKind::BadSerialization, what));
    if depth > json::MAX_DEPTH {
        return fault("lists and objects are nested too deeply for JSON");
    }
    if out.len() > OUTPUT_MOST {
        return fault("a value is too long");
    }
    if let Some(document) = value.downcast_object_ref::<Document>() {
        out.push_str(document.text());
        return Ok(());
    }
    if let Some(exact) = value.downcast_object_ref::<Exact>() {
        out.push_str(&exact.0);
        return Ok(());
    }
    match value.kind() {
        ValueKind::Undefined | ValueKind::None => out.push_str("null"),
        ValueKind::Bool => out.push_str(if value.is_true() { "true" } else { "false" }),
        ValueKind::Number => {
            let float = (!value.is_integer()).then(|| f64::try_from(value.clone()).ok()).flatten();
            match float {
                Some(number) if !number.is_finite() => return fault("a number is infinite, or none"),
                Some(number) => match digits.and_then(|digits| digits.of(number)) {
                    Some(digits) => out.push_str(&digits),
                    None => out.push_str(&value.to_string()),
                },
                None => out.push_str(&value.to_string()),
            }
        }
        ValueKind::Seq | ValueKind::Iterable => {
            out.push('[');
            for (index, item) in value.try_iter()?.checked().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_json(out, &item?, digits, depth + 1)?;
            }
            out.push(']');
        }
        ValueKind::Map => {
            out.push('{');
            for (index, key) in value.try_iter()?.checked().enumerate() {
                let key = key?;
                if index > 0 {
                    out.push(',');
                }
                out.push_str(&json::quote(&key.to_string()));
                out.push(':');
                write_json(out, &value.get_item(&key)?, digits, depth + 1)?;
            }
            out.push('}');
        }
        ValueKind::Invalid => return fault("a value cannot be read"),
        _ => out.push_str(&json::quote(&value.to_string())),
    }
    Ok(())
}
