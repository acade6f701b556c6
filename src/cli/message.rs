//! `message`: posts one SMS of a call, for trying things and for scripts.

use std::io::Write;

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use super::client::{Client, read};
use super::connection::Connection;
use super::exit::Failure;

/// Post an SMS of a call
#[derive(Debug, Args)]
#[command(override_usage = "\
hookswitch message [OPTIONS] --company <COMPANY> --call <CALL_ID>
           --direction <DIRECTION> --from <NUMBER> --to <NUMBER> <BODY>")]
#[command(after_help = "\
An inbound message after an outbound one of the same call raises
call.smsfollowup with the whole conversation.

Examples:
  hookswitch message 'Shall we call back?' --company acme --call c-17 \\
      --direction outbound --from +12025550100 --to +12025550143
  hookswitch message 'Yes, at 3 pm' --company acme --call c-17 \\
      --direction inbound --from +12025550143 --to +12025550100")]
pub(super) struct Message {
    /// The text; may be left out with --media
    #[arg(required_unless_present = "media")]
    body: Option<String>,

    /// The URL of a picture in it; repeatable
    #[arg(long, value_name = "URL")]
    media: Vec<String>,

    /// The company the call belongs to
    #[arg(long)]
    company: String,

    /// The call's id (`data.call_id` of its events)
    #[arg(long, value_name = "CALL_ID")]
    call: String,

    /// outbound (to the lead) or inbound (the lead's)
    #[arg(long, hide_possible_values = true)]
    direction: Direction,

    /// The sender's number
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true)]
    from: String,

    /// The receiver's number
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true)]
    to: String,

    /// The site of the company
    #[arg(long)]
    domain: Option<String>,

    /// widget, lead_connect or api
    #[arg(long, default_value = "api")]
    source: String,

    /// Your own id of it: posted twice, it counts once
    #[arg(long)]
    id: Option<String>,

    /// When it was sent (RFC 3339); now if left out
    #[arg(long, value_name = "TIME")]
    sent_at: Option<String>,

    /// Print the daemon's reply as JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Clone, Copy, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
enum Direction {
    Outbound,
    Inbound,
}

/// The body of `POST /v1/messages`.
#[derive(Serialize)]
struct Body<'a> {
    company: &'a str,
    domain: Option<&'a str>,
    source: &'a str,
    call_id: &'a str,
    id: Option<&'a str>,
    direction: Direction,
    from: &'a str,
    to: &'a str,
    body: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    media: Vec<Media<'a>>,
    sent_at: Option<&'a str>,
}

#[derive(Serialize)]
struct Media<'a> {
    url: &'a str,
}

/// The daemon's reply to a stored message.
#[derive(Debug, Deserialize)]
struct Stored {
    conversation: String,
    messages: u64,
    event: Option<String>,
    #[serde(default)]
    duplicate: bool,
}

impl Message {
    pub(super) fn run(self, out: &mut dyn Write) -> Result<(), Failure> {
        let client = Client::new(&self.connection)?;
        let body = Body {
            company: &self.company,
            domain: self.domain.as_deref(),
            source: &self.source,
            call_id: &self.call,
            id: self.id.as_deref(),
            direction: self.direction,
            from: &self.from,
            to: &self.to,
            body: self.body.as_deref().unwrap_or_default(),
            media: self.media.iter().map(|url| Media { url }).collect(),
            sent_at: self.sent_at.as_deref(),
        };
        let body = serde_json::to_string(&body);
        let body = body.map_err(|error| Failure::new(format!("the message cannot be written: {error}")))?;
        let reply = client.post("/v1/messages", &body)?;
        if self.json {
            return Ok(writeln!(out, "{}", reply.trim_end())?);
        }
        Ok(writeln!(out, "{}", summary(&read(&reply)?))?)
    }
}

fn summary(stored: &Stored) -> String {
    let Stored { conversation, messages, event, duplicate } = stored;
    let what = match (duplicate, event) {
        (true, _) => "was posted before; nothing is stored again".to_owned(),
        (false, Some(event)) => format!("stored; it raised {event}"),
        (false, None) => "stored; it raises no event".to_owned(),
    };
    format!("{conversation}  message {messages}: {what}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_messages_outcome_is_printed() {
        let stored = |event: Option<&str>, duplicate| Stored {
            conversation: "conv_1".to_owned(),
            messages: 2,
            event: event.map(str::to_owned),
            duplicate,
        };
        for (stored, wanted) in [
            (stored(None, false), "conv_1  message 2: stored; it raises no event"),
            (stored(Some("evt_1"), false), "conv_1  message 2: stored; it raised evt_1"),
            (stored(Some("evt_1"), true), "conv_1  message 2: was posted before; nothing is stored again"),
        ] {
            assert_eq!(summary(&stored), wanted);
        }
    }
}
