//! `log show`: one attempt, with its request and response.

use std::io::Write;

use clap::Args;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::cli::client::{Client, read};
use crate::cli::connection::Connection;
use crate::cli::exit::Failure;
use crate::cli::text::{pretty, safe, wrap};
use crate::core::json;
use crate::core::path::segment;

/// Show an attempt with its request and response
#[derive(Debug, Args)]
#[command(after_help = "\
Headers with secrets are redacted.

Example:
  hookswitch log show att_01…")]
pub(super) struct Show {
    /// Its id, as `hookswitch log --json` prints it
    id: String,

    /// Print the daemon's reply as JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    connection: Connection,
}

/// The displayed members of an attempt.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Whole {
    id: String,
    created: String,
    event: Option<String>,
    event_id: Option<String>,
    delivery: Option<String>,
    subscription: Option<String>,
    company: Option<String>,
    call: Option<String>,
    url: Option<String>,
    status: String,
    attempt: u32,
    test: bool,
    response: Option<u16>,
    error: Option<String>,
    message: Option<String>,
    duration_ms: Option<f64>,
    next_attempt: Option<String>,
    request: Option<Request>,
    response_headers: Option<Box<RawValue>>,
    response_body: Option<String>,
    response_truncated: bool,
}

#[derive(Debug, Deserialize)]
struct Request {
    headers: Box<RawValue>,
    body: String,
}

impl Show {
    pub(super) fn run(self, out: &mut dyn Write) -> Result<(), Failure> {
        let client = Client::new(&self.connection)?;
        let reply = client.get_one(&format!("/v1/log/{}", segment(&self.id)), "log entry", &self.id)?;
        if self.json {
            return Ok(writeln!(out, "{}", reply.trim_end())?);
        }
        write(&read(&reply)?, out)
    }
}

fn write(whole: &Whole, out: &mut dyn Write) -> Result<(), Failure> {
    let attempt = if whole.test { "test".to_owned() } else { format!("attempt {}", whole.attempt) };
    let answer = whole.response.map(|code| code.to_string()).or_else(|| whole.error.clone());
    let answer = answer.map(|answer| match whole.duration_ms {
        Some(millis) => format!("{answer} after {millis:.0} ms"),
        None => answer,
    });
    let lines = [
        ("id", Some(whole.id.clone())),
        ("status", Some(format!("{}, {attempt}", whole.status))),
        ("answer", answer),
        ("created", Some(whole.created.clone())),
        ("next", whole.next_attempt.clone()),
        ("event", Some([&whole.event, &whole.event_id].map(|text| text.as_deref().unwrap_or_default()).join(" "))),
        ("delivery", whole.delivery.clone()),
        ("webhook", whole.subscription.clone()),
        ("company", whole.company.clone()),
        ("call", whole.call.clone()),
    ];
    for (name, value) in lines {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            writeln!(out, "{name:<10}{}", safe(&value))?;
        }
    }
    for line in whole.message.iter().flat_map(|message| wrap(message, 70)) {
        writeln!(out, "{:<10}{line}", "")?;
    }
    if let Some(request) = &whole.request {
        writeln!(out, "\nPOST {}", safe(whole.url.as_deref().unwrap_or_default()))?;
        write_part(Some(&request.headers), &request.body, out)?;
    }
    if let Some(code) = whole.response {
        writeln!(out, "\nHTTP {code}")?;
        write_part(whole.response_headers.as_deref(), whole.response_body.as_deref().unwrap_or_default(), out)?;
        if whole.response_truncated {
            writeln!(out, "(the rest was not kept)")?;
        }
    }
    Ok(())
}

/// Headers and a body; JSON is indented.
fn write_part(headers: Option<&RawValue>, body: &str, out: &mut dyn Write) -> Result<(), Failure> {
    for (name, value) in headers.and_then(|headers| json::members(headers).ok()).unwrap_or_default() {
        let value = json::string(value).unwrap_or_else(|_| value.get().to_owned());
        writeln!(out, "{}: {}", safe(&name), safe(&value))?;
    }
    if body.is_empty() {
        return Ok(());
    }
    let shown = match json::parse(body) {
        Ok(raw) => pretty(raw),
        Err(_) => body.lines().map(safe).collect::<Vec<_>>().join("\n"),
    };
    Ok(writeln!(out, "\n{shown}")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_and_response_are_shown_and_nothing_a_terminal_would_obey() {
        let text = serde_json::json!({
            "id": "att_1", "created": "2026-11-23T09:30:00.000Z", "event": "call.missed", "event_id": "evt_1",
            "delivery": "dlv_1", "subscription": "sub_1", "company": "acme", "call": "c1", "url": "http://a/\u{1b}[2J",
            "status": "retrying", "attempt": 2, "response": 500, "duration_ms": 12.4,
            "message": "The receiver failed. Look there.", "next_attempt": "2026-11-23T09:31:00.000Z",
            "request": {"headers": {"webhook-id": "evt_1"}, "body": "{\"id\":\"evt_1\"}"},
            "response_headers": {"server": "x\u{1b}[31m"}, "response_body": "oops\u{7}\nagain", "response_truncated": true,
        });
        let mut out = Vec::new();
        write(&read(&text.to_string()).unwrap(), &mut out).unwrap();
        let out = String::from_utf8(out).unwrap();
        for wanted in [
            "status    retrying, attempt 2\nanswer    500 after 12 ms\n",
            "event     call.missed evt_1\n",
            "webhook-id: evt_1\n\n{\n  \"id\": \"evt_1\"\n}\n\nHTTP 500\n",
            "again\n(the rest was not kept)\n",
            "          The receiver failed. Look there.\n",
        ] {
            assert!(out.contains(wanted), "{wanted} in\n{out}");
        }
        assert!(!out.chars().any(|c| c.is_control() && c != '\n'), "{out}");
    }
}
