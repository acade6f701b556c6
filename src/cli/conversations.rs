//! `conversations`: SMS threads, or one with its messages.

use std::io::Write;

use clap::Args;
use serde::Deserialize;

use super::client::{Client, read, with_query};
use super::connection::Connection;
use super::exit::Failure;
use super::format::{Format, Output};
use super::listing::{self, Listing};
use super::screen::fit;
use super::table::{Column, WIDTH};
use super::text::{number_of, safe, wrap};
use super::time::plain;
use crate::core::path::segment;

/// Indentation of a message's text.
const INDENT: usize = 4;

/// List SMS threads, or show one
#[derive(Debug, Args)]
#[command(after_help = "\
With a call's id: its messages, oldest first. Without: the threads, the one
with the latest message first. --since and --until mean that message.

Examples:
  hookswitch conversations
  hookswitch conversations --phone +12025550143
  hookswitch conversations --domain www.acme.example --since 24h
  hookswitch conversations call_5f2c9a71 --company acme --json | jq .messages")]
pub(super) struct Conversations {
    /// The call's id; without one, threads are listed
    call_id: Option<String>,

    /// Of this company; needed with a call's id
    #[arg(long)]
    company: Option<String>,

    #[command(flatten)]
    format: Format,

    #[command(flatten)]
    listing: Listing,

    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Deserialize)]
struct Thread {
    company: String,
    call_id: String,
    #[serde(default)]
    lead: Lead,
    message_count: u64,
    inbound_count: u64,
    last_at: String,
    #[serde(default)]
    messages: Vec<Sms>,
    #[serde(default)]
    next: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Lead {
    name: Option<String>,
    phone: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Sms {
    direction: String,
    from: String,
    body: String,
    #[serde(default)]
    media: Vec<Media>,
    sent_at: String,
    #[serde(default)]
    event: Option<String>,
    #[serde(default)]
    erased_at: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Media {
    url: String,
    #[serde(default)]
    content_type: Option<String>,
}

impl Conversations {
    pub(super) fn run(self, out: &mut dyn Write) -> Result<(), Failure> {
        let client = Client::new(&self.connection)?;
        let company = self.company.as_deref();
        if let Some(call) = &self.call_id {
            let path = format!("/v1/conversations/{}", segment(call));
            let reply = client.get(&with_query(&path, &[("company", company)]))?;
            if self.format.output() == Output::Json {
                return Ok(writeln!(out, "{}", reply.trim_end())?);
            }
            return write_thread(&read(&reply)?, out);
        }
        let items = self.listing.fetch(&client, "/v1/conversations", company)?;
        let columns = [
            Column::text("LATEST (UTC)"),
            Column::elastic("CALL"),
            Column::elastic("COMPANY"),
            Column::text("PHONE"),
            Column::elastic("LEAD"),
            Column::number("SMS"),
            Column::number("IN"),
        ];
        let row = |thread: Thread| {
            let [phone, name] = [thread.lead.phone, thread.lead.name].map(Option::unwrap_or_default);
            let [count, inbound] = [thread.message_count, thread.inbound_count].map(|count| count.to_string());
            [plain(&thread.last_at), thread.call_id, thread.company, phone, name, count, inbound]
        };
        listing::print(&items, self.format, columns, row, "No conversations match.", out)
    }
}

fn write_thread(thread: &Thread, out: &mut dyn Write) -> Result<(), Failure> {
    let lead = [&thread.lead.name, &thread.lead.phone].into_iter().filter_map(Option::as_deref);
    let lead = lead.collect::<Vec<_>>().join(", ");
    let with = if lead.is_empty() { "" } else { " with " };
    let head = format!("SMS of call {} of {}{with}{lead}", thread.call_id, thread.company);
    writeln!(out, "{}", fit(&safe(&head), 0))?;
    writeln!(out, "{}, {} from the lead\n", number_of(thread.message_count, "message"), thread.inbound_count)?;
    if thread.next.is_some() {
        writeln!(out, "(earlier messages are omitted)")?;
    }
    for sms in &thread.messages {
        let arrow = if sms.direction == "inbound" { "<-" } else { "->" };
        let raised = sms.event.as_ref().map(|event| format!("  raised {event}")).unwrap_or_default();
        let line = format!("{arrow} {}  {}{raised}", plain(&sms.sent_at), sms.from);
        writeln!(out, "{}", fit(&safe(&line), 0))?;
        let body = if sms.erased_at.is_some() { "(erased)" } else { &sms.body };
        let files = sms.media.iter().map(|file| {
            let kind = file.content_type.as_deref().unwrap_or("file");
            format!("[{kind}] {}", file.url)
        });
        // A picture without text has no line for text.
        let body = (!body.is_empty() || sms.media.is_empty()).then(|| body.to_owned());
        for line in body.into_iter().chain(files).flat_map(|text| wrap(&text, WIDTH - INDENT)) {
            writeln!(out, "{}{line}", " ".repeat(INDENT))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_a_screen_that_fits() {
        let text = serde_json::json!({
            "company": "acme", "call_id": "c-1", "lead": {"name": "Dana\u{1b}[2J", "email": null, "phone": "+12025550143"},
            "message_count": 2, "inbound_count": 1, "last_at": "2026-11-25T09:10:00.000Z", "next": null,
            "messages": [
                {"direction": "outbound", "from": "+12025550100", "body": "word ".repeat(40),
                    "sent_at": "2026-11-25T09:00:00.000Z", "event": null},
                {"direction": "inbound", "from": "+12025550143", "body": "", "sent_at": "2026-11-25T09:05:00.000Z",
                    "media": [{"url": "https://media.example/1.jpg", "content_type": "image/jpeg"}]},
                {"direction": "inbound", "from": "+12025550143", "body": "Yes\u{1b}[2J", "sent_at": "2026-11-25T09:10:00.000Z",
                    "event": "evt_1"},
            ],
        });
        let mut out = Vec::new();
        write_thread(&read(&text.to_string()).unwrap(), &mut out).unwrap();
        let out = String::from_utf8(out).unwrap();
        assert!(out.lines().all(|line| line.chars().count() <= WIDTH) && !out.contains('\u{1b}'), "{out}");
        assert!(out.contains("2 messages, 1 from the lead\n"), "{out}");
        assert!(out.contains("+12025550143\n    [image/jpeg] https://media.example/1.jpg\n<- "), "{out}");
        assert!(out.contains("<- 2026-11-25 09:10:00  +12025550143  raised evt_1\n"), "{out}");

        let erased = serde_json::json!({
            "company": "acme", "call_id": "c-1", "lead": {"name": null, "phone": null}, "message_count": 1,
            "inbound_count": 0, "last_at": "2026-11-25T09:00:00.000Z", "messages": [{"direction": "outbound", "from": "",
                "body": "", "sent_at": "2026-11-25T09:00:00.000Z", "erased_at": "2026-11-25T10:00:00.000Z"}],
        });
        let mut out = Vec::new();
        write_thread(&read(&erased.to_string()).unwrap(), &mut out).unwrap();
        let out = String::from_utf8(out).unwrap();
        assert!(out.starts_with("SMS of call c-1 of acme\n1 message, 0 from the lead\n"), "{out}");
        assert!(out.ends_with("\n    (erased)\n"), "{out}");
    }
}
