//! What the services of the presets refuse, as far as their documentation or their answers say so. A stand-in answers
//! as the service does.
//!
//! Used by the tests of the presets (`src/core/preset/tests.rs`) and by those of the daemon.

use serde_json::Value;

/// An answer: status, a header, body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answered {
    pub(crate) status: u16,
    pub(crate) location: Option<&'static str>,
    pub(crate) body: String,
}

fn answer(status: u16, body: impl Into<String>) -> Answered {
    Answered { status, location: None, body: body.into() }
}

/// What the service of this preset answers to a body.
pub(crate) fn service(preset: &str, content_type: &str, body: &[u8]) -> Answered {
    let Ok(text) = std::str::from_utf8(body) else { return answer(400, "not UTF-8") };
    if preset == "ntfy" {
        return ntfy(text);
    }
    if preset == "salesforce_web_to_lead" {
        return salesforce(content_type, text);
    }
    if content_type != "application/json" {
        return answer(415, "unsupported media type");
    }
    let Ok(document) = serde_json::from_str::<Value>(text) else { return answer(400, "invalid_payload") };
    match preset {
        "slack" => slack(&document),
        "teams" => teams(&document, text),
        "google_chat" => google_chat(&document),
        "discord" => discord(&document),
        "hubspot_form" => hubspot(&document),
        "google_sheets" => Answered {
            location: Some("https://script.googleusercontent.com/macros/echo?user_content_key=k"),
            ..answer(302, "Moved Temporarily")
        },
        "flat_strings" => flat_strings(&document),
        other => panic!("no service stands in for {other}"),
    }
}

/// docs.slack.dev: 'Sending messages using incoming webhooks' (`invalid_payload`, `no_text`), 'Section block' (a text
/// of 1 to 3,000 characters), 'Formatting message text' (`<!channel>` and `<@U…>` mention people).
fn slack(document: &Value) -> Answered {
    let text = document["text"].as_str().unwrap_or_default();
    if text.trim().is_empty() {
        return answer(400, "no_text");
    }
    for block in document["blocks"].as_array().into_iter().flatten() {
        let length = block["text"]["text"].as_str().map_or(0, |text| text.chars().count());
        let good = block["type"] == "section" && block["text"]["type"] == "mrkdwn" && (1..=3000).contains(&length);
        if !good {
            return answer(400, "invalid_blocks");
        }
    }
    if document.to_string().contains("<!") || document.to_string().contains("<@") {
        return answer(599, "someone was mentioned by a value");
    }
    answer(200, "ok")
}

/// learn.microsoft.com: 'Create incoming webhooks with Workflows' (a message with `attachments`, each an Adaptive Card),
/// 28 KB at most; the workflow answers 202.
fn teams(document: &Value, text: &str) -> Answered {
    let attachments = document["attachments"].as_array();
    let Some(attachments) = attachments.filter(|_| document["type"] == "message") else {
        return answer(400, "Property 'type' must be 'message', with 'attachments'");
    };
    let card = |one: &Value| {
        one["contentType"] == "application/vnd.microsoft.card.adaptive"
            && one["content"]["type"] == "AdaptiveCard"
            && one["content"]["version"].is_string()
            && one["content"]["body"].as_array().is_some_and(|body| {
                !body.is_empty() && body.iter().all(|block| block["text"].as_str().is_some_and(|text| !text.is_empty()))
            })
    };
    if attachments.is_empty() || !attachments.iter().all(card) {
        return answer(400, "Summary or Text is required.");
    }
    if text.len() > 28_000 { answer(413, "too large") } else { answer(202, "") }
}

/// developers.google.com/workspace/chat: 'Build a Google Chat app as a webhook': unknown names and an empty text are
/// refused with 400.
fn google_chat(document: &Value) -> Answered {
    let known = ["text", "cardsV2", "thread"];
    if let Some(name) =
        document.as_object().into_iter().flatten().map(|(name, _)| name).find(|name| !known.contains(&name.as_str()))
    {
        return answer(400, format!("Invalid JSON payload received. Unknown name \"{name}\": Cannot find field."));
    }
    let text = document["text"].as_str().unwrap_or_default();
    if text.trim().is_empty() {
        return answer(400, "Message cannot be empty. Discarding empty create message request in spaces/A.");
    }
    match text.len() > 32_000 || text.contains("<users/") {
        true => answer(400, "Message is too long, or mentions somebody"),
        false => answer(200, r#"{"name":"spaces/A/messages/B"}"#),
    }
}

/// discord.com/developers: 'Execute Webhook': `content` of at most 2,000 characters, not empty (code 50006); 204.
fn discord(document: &Value) -> Answered {
    let content = document["content"].as_str().unwrap_or_default();
    if content.trim().is_empty() {
        return answer(400, r#"{"message": "Cannot send an empty message", "code": 50006}"#);
    }
    if content.encode_utf16().count() > 2000 && content.chars().count() > 2000 {
        return answer(400, r#"{"content": ["Must be 2000 or fewer in length."]}"#);
    }
    if document["allowed_mentions"]["parse"] != serde_json::json!([]) {
        return answer(599, "@everyone could be mentioned by a value");
    }
    answer(204, "")
}

/// docs.ntfy.sh: 'Limitations': a message of more than 4,096 bytes becomes an attachment.
fn ntfy(text: &str) -> Answered {
    match text.trim().is_empty() || text.len() > 4096 {
        true => answer(400, r#"{"code":40001,"http":400,"error":"not a message"}"#),
        false => answer(200, r#"{"id":"x","event":"message"}"#),
    }
}

/// developers.hubspot.com: 'Submit data to a form': `fields` with name and value, each a string; an `email` must be one.
fn hubspot(document: &Value) -> Answered {
    let invalid = |why: &str| {
        answer(
            400,
            format!(r#"{{"status":"error","message":"The request is not valid","errors":[{{"message":"{why}"}}]}}"#),
        )
    };
    let Some(fields) = document["fields"].as_array().filter(|fields| !fields.is_empty()) else {
        return invalid("Required field 'fields' is missing");
    };
    for field in fields {
        let (Some(name), Some(value)) = (field["name"].as_str(), field["value"].as_str()) else {
            return invalid("a field has no name or no value");
        };
        if name == "email" && !value.contains('@') {
            return invalid("INVALID_EMAIL");
        }
    }
    let page = &document["context"]["pageUri"];
    if !page.is_null() && !page.is_string() { invalid("pageUri") } else { answer(200, r#"{"inlineMessage":"Thanks"}"#) }
}

/// help.salesforce.com: 'Web-to-Lead': a form with `oid`, `last_name` (80 characters) and `company`. It answers 200
/// whatever comes; here what it would drop is refused.
fn salesforce(content_type: &str, text: &str) -> Answered {
    let fields: Vec<(String, String)> = url::form_urlencoded::parse(text.as_bytes()).into_owned().collect();
    let field = |wanted: &str| fields.iter().find(|(name, _)| name == wanted).map_or("", |(_, value)| value);
    let good = content_type == "application/x-www-form-urlencoded"
        && field("oid").starts_with("00D")
        && (1..=80).contains(&field("last_name").chars().count())
        && !field("company").is_empty()
        && field("phone").chars().count() <= 40
        && !text.ends_with('\n');
    if good { answer(200, "") } else { answer(599, format!("it would drop {fields:?}")) }
}

/// The platform's older style: one object of strings.
fn flat_strings(document: &Value) -> Answered {
    let members =
        document.as_object().filter(|members| members.contains_key("event") && members.contains_key("created"));
    match members.is_some_and(|members| members.values().all(Value::is_string)) {
        true => answer(200, "ok"),
        false => answer(400, "a value is no string"),
    }
}
