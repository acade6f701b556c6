//! Members of an event's `data` as read by the report and the call summary.

use serde_json::value::RawValue;

use super::super::json::{self, Kind};

/// Maximum characters of an agent's id; a longer one is ignored.
const AGENT_MOST: usize = 128;
/// Maximum bytes of an outcome; a longer one is cut.
const OUTCOME_MOST: usize = 64;

/// A string, number or boolean as text.
pub(super) fn word(raw: &RawValue) -> Option<String> {
    let text = match Kind::of(raw) {
        Kind::String => json::string(raw).ok()?,
        Kind::Number | Kind::Boolean => raw.get().to_owned(),
        Kind::Null | Kind::List | Kind::Object => return None,
    };
    let text = text.trim();
    (!text.is_empty() && !text.chars().any(char::is_control)).then(|| text.to_owned())
}

pub(super) fn agent(raw: &RawValue) -> Option<String> {
    word(raw).filter(|text| text.chars().count() <= AGENT_MOST)
}

pub(super) fn outcome(raw: &RawValue) -> Option<String> {
    let text = word(raw)?;
    let ends = text.char_indices().map(|(at, char)| at + char.len_utf8());
    let end = ends.take_while(|end| *end <= OUTCOME_MOST).last().unwrap_or(0);
    Some(text[..end].to_owned())
}
