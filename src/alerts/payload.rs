//! An alert as JSON: `id`, `type`, `timestamp`, `message` (a sentence), and `data`, which depends on the type.
//!
//! Of a receiver's URL only scheme, host, port and path are shown: its query may contain a key.

use serde_json::{Value, json};
use url::Url;

use super::rules::{AlertContent, Kind, Subject};
use crate::core::alert_preset::AlertPreset;
use crate::core::id::AlertId;
use crate::core::time::format_duration;

/// The body of an alert; its `timestamp` is that of its id.
pub(super) fn body(id: AlertId, content: &AlertContent) -> Vec<u8> {
    let (message, data) = contents(content);
    let document = json!({
        "id": id.to_string(),
        "type": content.kind().as_str(),
        "timestamp": id.timestamp().to_string(),
        "message": message,
        "data": data,
    });
    document.to_string().into_bytes()
}

pub(super) fn contents(content: &AlertContent) -> (String, Value) {
    match content {
        AlertContent::Subscriptions(kind, named, count) => {
            let shown: Vec<Value> = named.iter().map(|(subject, reason)| shown(subject, *reason)).collect();
            (of_subscriptions(*kind, named, *count), json!({"count": count, "subscriptions": shown}))
        }
        AlertContent::DeadLetters(named, added, total) => {
            let named: Vec<Value> =
                named.iter().map(|(id, count)| json!({"id": id.to_string(), "count": count})).collect();
            let message = format!(
                "{} given up (dead letters); {total} are kept: `hookswitch log --status failed` shows why",
                counted(*added, "delivery was", "deliveries were")
            );
            (message, json!({"count": added, "total": total, "subscriptions": named}))
        }
        AlertContent::BacklogOld(subject, accepted, waited, limit) => {
            let (age, limit) = (waited.as_secs(), limit.as_secs());
            let message = format!(
                "a delivery to {} waits for {age} s already, more than {limit} s; {} wait for that receiver",
                place(&subject.url),
                subject.waiting
            );
            let oldest = accepted.to_string();
            let data = json!({"oldest": oldest, "age_seconds": age, "limit_seconds": limit, "subscription": shown(subject, None)});
            (message, data)
        }
        AlertContent::BacklogRecovered(limit) => {
            let message = format!("nothing waits for long any more (the limit is {})", format_duration(*limit));
            (message, json!({"limit_seconds": limit.as_secs()}))
        }
        AlertContent::DiskLow(free, least) => {
            let message = format!(
                "the disk is almost full: {free} bytes are free, and {least} must stay free; new events are refused \
                 (507), deliveries go on"
            );
            (message, json!({"free_bytes": free, "min_free_bytes": least}))
        }
        AlertContent::DiskRecovered(free, least) => {
            let message = format!("there is space on the disk again, {free} bytes: new events are accepted");
            (message, json!({"free_bytes": free, "min_free_bytes": least}))
        }
        AlertContent::Trouble(detail, count, ending) => {
            let message = if *ending { format!("hookswitch ends: {detail}") } else { detail.clone() };
            (message, json!({"detail": detail, "count": count, "ending": ending}))
        }
    }
}

fn of_subscriptions(kind: Kind, named: &[(Subject, Option<&'static str>)], count: usize) -> String {
    let first = named.first().map(|(subject, _)| place(&subject.url)).unwrap_or_default();
    let who = match count.saturating_sub(1) {
        0 => first,
        more => format!("{first} and {more} more"),
    };
    match kind {
        Kind::SubscriptionDisabled => format!("disabled: {who}; deliveries wait until it is enabled again"),
        Kind::SubscriptionRecovered => format!("delivered again: {who}"),
        _ => format!("failing: {who}; deliveries wait, and are retried"),
    }
}

fn shown(subject: &Subject, reason: Option<&'static str>) -> Value {
    let mut shown = json!({
        "id": subject.id.to_string(),
        "company": subject.company,
        "url": place(&subject.url),
        "waiting": subject.waiting,
        "failures": subject.failures,
        "failing_since": subject.since.map(|since| since.to_string()),
    });
    if let (Some(reason), Some(members)) = (reason, shown.as_object_mut()) {
        members.insert("reason".to_owned(), reason.into());
    }
    shown
}

/// A URL without parts that may be secret.
fn place(url: &str) -> String {
    let Ok(url) = Url::parse(url) else { return String::new() };
    format!("{}{}", url.origin().ascii_serialization(), url.path())
}

/// The body in a service's own format.
pub(super) fn for_service(preset: AlertPreset, id: AlertId, content: &AlertContent) -> Vec<u8> {
    let (message, _) = contents(content);
    let document = match preset {
        // Slack reads <, > and & as markup (https://docs.slack.dev/messaging/formatting-message-text).
        AlertPreset::Slack => {
            let text = message.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
            json!({"text": format!("*Hookswitch*: {text}")})
        }
        AlertPreset::Teams => json!({"type": "message", "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "content": {
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json", "type": "AdaptiveCard", "version": "1.4",
                "body": [
                    {"type": "TextBlock", "text": "Hookswitch", "weight": "bolder"},
                    {"type": "TextBlock", "text": message, "wrap": true},
                    {"type": "TextBlock", "text": format!("{} {}", content.kind(), id.timestamp()), "isSubtle": true, "wrap": true},
                ],
            },
        }]}),
    };
    document.to_string().into_bytes()
}

fn counted(count: u64, one: &str, more: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { more })
}
