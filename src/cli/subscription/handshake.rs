//! `subscription handshake`: asks a receiver for permission to deliver.

use std::io::Write;

use clap::Args;
use serde::Deserialize;
use serde_json::json;

use super::super::client::{Client, read, subscription_path};
use super::super::exit::Failure;
use super::super::text::safe;

/// Ask a webhook's receiver whether events may be sent to it
#[derive(Debug, Args)]
#[command(after_help = "\
For receivers of CloudEvents that protect themselves from abuse: it sends
OPTIONS with WebHook-Request-Origin. Nothing is stored, and deliveries do not
depend on it. Exit status 0 if they are allowed, 1 if they are not.

Example:
  hookswitch subscription handshake sub_01… --origin events.acme.example")]
pub(super) struct Handshake {
    /// Its id
    id: String,

    /// The DNS name that events come from
    #[arg(long, value_name = "NAME")]
    origin: String,

    /// Print the daemon's reply as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Deserialize)]
struct Answered {
    allowed: bool,
    message: String,
}

impl Handshake {
    pub(super) fn run(self, client: &Client, out: &mut dyn Write) -> Result<(), Failure> {
        let body = json!({"origin": self.origin}).to_string();
        let reply = client.post(&format!("{}/handshake", subscription_path(&self.id)), &body)?;
        let Answered { allowed, message } = read(&reply)?;
        if self.json {
            writeln!(out, "{}", reply.trim_end())?;
        } else if allowed {
            writeln!(out, "{}", safe(&message))?;
        }
        if allowed { Ok(()) } else { Err(Failure::new(safe(&message))) }
    }
}
