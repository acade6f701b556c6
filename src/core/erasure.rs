//! What remains of an event's data when personal data is erased.

use serde_json::value::RawValue;

use super::conversation::RAISED;
use super::json::{self, Kind};
use super::time::Timestamp;

/// Members that describe the call and not the lead. They stay if their values are scalar.
const KEPT: [&str; 13] = [
    "call_id",
    "type",
    "widget_id",
    "department",
    "agent_id",
    "callstatus",
    "retry_attempts",
    "duration",
    "scheduled_for",
    "conversation_id",
    "message_id",
    "message_count",
    "created",
];

/// The data of an event of this type with everything about the person with this number removed, erased at `at`.
pub fn erased(event_type: &str, data: &str, phone: &str, at: Timestamp) -> String {
    let members = json::parse(data).and_then(json::members).unwrap_or_default();
    let single = |value: &RawValue| !matches!(Kind::of(value), Kind::Object | Kind::List);
    let mut text = String::from("{");
    for (name, value) in &members {
        if KEPT.contains(&name.as_ref()) && single(value) && !mentions(value, phone) {
            text.push_str(&format!("{}:{},", json::quote(name), value.get()));
        }
    }
    if event_type == RAISED {
        // Receivers rely on their presence.
        text.push_str(r#""message":"","conversation":[],"#);
    }
    text.push_str(&format!(r#""erased_at":"{at}"}}"#));
    text
}

/// Whether `data` is a result of [`erased`]: recognised by its end, so a producer's own final `erased_at` looks the
/// same.
pub fn is_erased(data: &str) -> bool {
    let end = data.strip_suffix("\"}").and_then(|data| data.rsplit_once("\"erased_at\":\""));
    end.is_some_and(|(_, at)| Timestamp::parse(at).is_ok())
}

/// Whether any string in `value`, at any depth, equals `text`.
pub fn mentions(value: &RawValue, text: &str) -> bool {
    match Kind::of(value) {
        Kind::String => json::string(value).is_ok_and(|string| string == text),
        Kind::List => json::items(value).is_ok_and(|items| items.into_iter().any(|item| mentions(item, text))),
        Kind::Object => {
            json::members(value).is_ok_and(|members| members.iter().any(|(_, member)| mentions(member, text)))
        }
        Kind::Null | Kind::Boolean | Kind::Number => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn erasure_keeps_data_unrelated_to_the_lead() {
        let at = Timestamp::from_millis(0);
        let data = r#"{"call_id":"c","lead_phone":"\u002b143","lead_name":"Dana","duration":402,"agent_id":77,"department":"+143","type":{"x":1}}"#;
        let left = erased("call.finished", data, "+143", at);
        assert_eq!(left, r#"{"call_id":"c","duration":402,"agent_id":77,"erased_at":"1970-01-01T00:00:00.000Z"}"#);
        let left = erased(RAISED, r#"{"call_id":"c","message":"hi","conversation":[{"body":"hi"}]}"#, "+143", at);
        assert_eq!(left, r#"{"call_id":"c","message":"","conversation":[],"erased_at":"1970-01-01T00:00:00.000Z"}"#);
        assert!(is_erased(&left) && is_erased(&erased("call.new", "{}", "+143", at)));
        assert!(!is_erased(data) && !is_erased(r#"{"call_id":"c","erased_at":"never"}"#));
        assert!(mentions(json::parse(r#"{"a":[{"b":"\u002b143"}]}"#).unwrap(), "+143"));
        assert!(!mentions(json::parse(r#"{"+143":["+1433", 143]}"#).unwrap(), "+143"));
    }
}
