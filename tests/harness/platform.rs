//! Events as posted by a phone platform.

use serde_json::{Value, json};

/// The seven built-in event types.
pub(crate) const EVENT_TYPES: [&str; 7] = [
    "call.new",
    "call.scheduled",
    "call.missed",
    "call.claimed",
    "call.connected",
    "call.finished",
    "call.smsfollowup",
];

/// The company of most tests.
pub(crate) const COMPANY: &str = "acme";

/// A small valid event of company `acme`, for site `www.acme.example`, from the widget.
pub(crate) fn event(event_type: &str, call: &str) -> Value {
    let mut data = json!({"call_id": call, "lead_phone": "+12025550142", "lead_name": "Ada Example"});
    match event_type {
        "call.scheduled" => data["scheduled_for"] = json!("2026-11-24T09:30:00Z"),
        "call.smsfollowup" => {
            data["message"] = json!("Yes please, call me after five.");
            data["conversation"] = json!([{"id": "m1", "direction": "outbound", "body": "Shall we call back?"}]);
        }
        _ => {}
    }
    json!({"type": event_type, "company": COMPANY, "domain": "www.acme.example", "source": "widget", "data": data})
}

/// The `n`th event of a call, numbered by `data.n`.
pub(crate) fn numbered(call: &str, n: usize) -> Value {
    let mut event = event("call.claimed", call);
    event["data"]["n"] = json!(n);
    event
}

/// `event` with the member `name` set.
pub(crate) fn with(mut event: Value, name: &str, value: impl Into<Value>) -> Value {
    event[name] = value.into();
    event
}
