//! `subscription replay` and `subscription discard`: a webhook's queue as a whole.

use std::io::Write;

use clap::Args;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::client::{Client, read, subscription_path};
use super::super::exit::Failure;
use super::super::text::{number_of, safe};
use super::super::time::Here;

/// Deliver a webhook's events of a time range once more
#[derive(Debug, Args)]
#[command(after_help = "\
What is still owed is left as it is. The deliveries keep their ids, so that
receivers recognise what they have had; a few at a time, so that new events
do not wait behind them.

Examples:
  hookswitch subscription replay sub_01… --since 24h --dry-run
  hookswitch subscription replay sub_01… --since 24h
  hookswitch subscription replay sub_01… --since 2026-11-23T09:00:00Z \\
      --until 2026-11-23T12:00:00Z --failed --events call.missed")]
pub(super) struct Replay {
    /// Its id
    id: String,

    /// Accepted from this time on: a date, RFC 3339, or 24h ago
    #[arg(long, value_name = "TIME")]
    since: String,

    /// And before this time; until now if left out
    #[arg(long, value_name = "TIME")]
    until: Option<String>,

    /// Of these event types, with commas between
    #[arg(long, value_name = "TYPES", value_delimiter = ',')]
    events: Vec<String>,

    /// Only what was given up (dead letters)
    #[arg(long)]
    failed: bool,

    /// Only say how many there would be
    #[arg(long)]
    dry_run: bool,

    /// Print the daemon's reply as JSON
    #[arg(long)]
    json: bool,
}

/// Cancel all deliveries waiting for a webhook
#[derive(Debug, Args)]
#[command(after_help = "\
Each cancelled delivery is in the log. Dead letters stay; replays end.

Example:
  hookswitch subscription discard sub_01…")]
pub(super) struct Discard {
    /// Its id
    id: String,

    /// Print the daemon's reply as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Deserialize)]
struct Queued {
    queued: u64,
}

#[derive(Deserialize)]
struct Cancelled {
    cancelled: u64,
}

impl Replay {
    pub(super) fn run(self, client: &Client, out: &mut dyn Write) -> Result<(), Failure> {
        let here = Here::of_machine();
        let since = here.time("since", &self.since)?;
        let mut body = json!({"since": since, "only": if self.failed { "failed" } else { "all" }});
        if let Some(until) = self.until {
            body["until"] = Value::String(here.time("until", &until)?);
        }
        if !self.events.is_empty() {
            body["events"] = json!(self.events);
        }
        if self.dry_run {
            body["dry_run"] = json!(true);
        }
        let reply = client.post(&format!("{}/replay", subscription_path(&self.id)), &body.to_string())?;
        if self.json {
            return Ok(writeln!(out, "{}", reply.trim_end())?);
        }
        let Queued { queued } = read(&reply)?;
        let message = match queued {
            _ if self.dry_run => format!("{} would be delivered once more", number_of(queued, "event")),
            1 => "1 delivery is put back into the queue".to_owned(),
            _ => format!("{} are put back into the queue, a few at a time", number_of(queued, "delivery")),
        };
        writeln!(out, "{message}")?;
        if self.dry_run || queued == 0 {
            return Ok(());
        }
        let id = safe(&self.id);
        Ok(writeln!(
            out,
            "Follow them with `hookswitch log --follow --subscription {id}`; `hookswitch status` says how many wait."
        )?)
    }
}

impl Discard {
    pub(super) fn run(self, client: &Client, out: &mut dyn Write) -> Result<(), Failure> {
        let reply = client.post(&format!("{}/discard", subscription_path(&self.id)), "")?;
        if self.json {
            return Ok(writeln!(out, "{}", reply.trim_end())?);
        }
        let Cancelled { cancelled } = read(&reply)?;
        let verb = if cancelled == 1 { "is" } else { "are" };
        Ok(writeln!(out, "{} {verb} cancelled", number_of(cancelled, "delivery"))?)
    }
}
