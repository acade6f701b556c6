//! `log`: the attempts, oldest first, newest last; `log show`: one of them.

mod show;

use std::io::Write;

use clap::{Args, Subcommand};
use serde::Deserialize;

use super::choice::one_of;
use super::client::Client;
use super::connection::Connection;
use super::exit::Failure;
use super::following::{Listed, Printing};
use super::table::Column;
use super::time::{Here, plain};
use crate::core::attempt::Status;

/// Print the log of attempts
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true,
    after_help = "\
The newest entry is the last. RESPONSE is the status code, or why there was no
answer; '!' marks one of which the rest was not in order (`error_detail` with
--json says what). TRY is the number of the attempt; 'test' marks a test.

Examples:
  hookswitch log
  hookswitch log --follow --company acme
  hookswitch log --status failed --since 24h
  hookswitch log --call c-17 --json | jq .url
  hookswitch log show att_01…

With --json each entry is one line, with everything the daemon tells of it."
)]
pub(super) struct Log {
    #[command(subcommand)]
    command: Option<Command>,

    #[command(flatten)]
    printing: Printing,

    #[command(flatten)]
    filter: Filter,

    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Subcommand)]
enum Command {
    Show(show::Show),
}

#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Only entries")]
struct Filter {
    /// … of this company
    #[arg(long)]
    company: Option<String>,
    /// … of this site
    #[arg(long)]
    domain: Option<String>,
    /// … of this subscription
    #[arg(long, value_name = "ID")]
    subscription: Option<String>,
    /// … of this event type
    #[arg(long, value_name = "TYPE")]
    event: Option<String>,
    /// … delivered, retrying, failed, expired or cancelled
    #[arg(long, value_parser = one_of!(Status), hide_possible_values = true)]
    status: Option<String>,
    /// … with this status code
    #[arg(long, value_name = "CODE", value_parser = response)]
    response: Option<String>,
    /// … of this call
    #[arg(long, value_name = "CALL_ID")]
    call: Option<String>,
    /// … of this lead's phone number
    #[arg(long)]
    phone: Option<String>,
    /// … from this time on: a date, RFC 3339, or 24h ago
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// … before this time
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// … that are tests (true), or are not (false)
    #[arg(long, value_name = "BOOL", hide_possible_values = true)]
    test: Option<bool>,
}

/// The displayed members of an entry.
#[derive(Debug, Deserialize)]
pub(super) struct Entry {
    created: String,
    event: String,
    pub(super) status: String,
    #[serde(default)]
    pub(super) response: Option<u16>,
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    error_detail: String,
    #[serde(default)]
    duration_ms: Option<f64>,
    #[serde(default)]
    pub(super) attempt: u32,
    #[serde(default)]
    test: bool,
    #[serde(default)]
    pub(super) subscription: String,
    #[serde(default)]
    company: Option<String>,
    #[serde(default)]
    call: Option<String>,
}

/// The columns, wide enough for all our words; without the further ones 80 in total.
const COLUMNS: [(Column, usize); 9] = [
    (Column::text("RESPONSE"), 18),
    (Column::text("CREATED (UTC)"), 19),
    (Column::elastic("EVENT"), 16),
    (Column::state("STATUS"), 9),
    (Column::number("TRY"), 4),
    (Column::number("MS"), 4),
    (Column::elastic("COMPANY").further(), 16),
    (Column::elastic("CALL").further(), 20),
    (Column::id("SUBSCRIPTION").further(), 30),
];

impl Entry {
    /// The cells of [`COLUMNS`].
    pub(super) fn cells(&self) -> [String; 9] {
        let response = match (self.response, &self.error) {
            (Some(status), _) if self.error_detail.is_empty() => status.to_string(),
            (Some(status), _) => format!("{status} !"),
            (None, Some(error)) => error.clone(),
            (None, None) => "-".to_owned(),
        };
        let created = plain(&self.created);
        let attempt = match (self.test, self.attempt) {
            (true, _) => "test".to_owned(),
            (false, 0) => "-".to_owned(),
            (false, attempt) => attempt.to_string(),
        };
        let length = self.duration_ms.filter(|_| self.attempt > 0 || self.test);
        let length = match length {
            None => "-".to_owned(),
            Some(millis) if millis < 9_999.5 => format!("{millis:.0}"),
            Some(millis) => format!("{:.0}s", millis / 1000.0),
        };
        let [company, call] = [&self.company, &self.call].map(|text| text.clone().unwrap_or_default());
        let (event, status, subscription) = (self.event.clone(), self.status.clone(), self.subscription.clone());
        [response, created, event, status, attempt, length, company, call, subscription]
    }
}

impl Log {
    pub(super) fn run(self, out: &mut dyn Write) -> Result<(), Failure> {
        if let Some(Command::Show(command)) = self.command {
            return command.run(out);
        }
        let client = Client::new(&self.connection)?;
        let here = Here::of_machine();
        let filter = self.filter.parameters(&here)?;
        let listed = Listed { path: "/v1/log", filter, columns: &COLUMNS, printing: self.printing, client: &client };
        listed.run(here.now, Entry::cells, out)
    }
}

impl Filter {
    /// The query parameters of the given options.
    fn parameters(self, here: &Here) -> Result<Vec<(&'static str, String)>, Failure> {
        let (since, until) = here.period(&self.since, &self.until)?;
        let given = [
            ("company", self.company),
            ("domain", self.domain),
            ("subscription", self.subscription),
            ("event", self.event),
            ("status", self.status),
            ("response", self.response),
            ("call", self.call),
            ("phone", self.phone),
            ("since", since),
            ("until", until),
            ("test", self.test.map(|test| test.to_string())),
        ];
        Ok(given.into_iter().filter_map(|(name, value)| Some((name, value?))).collect())
    }
}

/// A status code, or `none`.
fn response(text: &str) -> Result<String, String> {
    let is_code = text.parse::<u16>().is_ok_and(|code| (100..=599).contains(&code));
    if is_code || text == "none" {
        Ok(text.to_owned())
    } else {
        Err("must be a status code such as 404, or `none`".to_owned())
    }
}

#[cfg(test)]
mod tests;
