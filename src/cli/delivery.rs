//! `delivery`: deliveries with their states; one is sent again, or given up.

use std::io::Write;

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::choice::one_of;
use super::client::{Client, read};
use super::connection::Connection;
use super::exit::Failure;
use super::format::Format;
use super::listing::{self, Newest};
use super::table::Column;
use super::text::safe;
use super::time::plain;
use crate::core::delivery::State;
use crate::core::path::segment;

/// List deliveries, send one again, or cancel one
#[derive(Debug, Args)]
#[command(after_help = "\
A dead letter is a delivery that was given up: its state is failed.

Examples:
  hookswitch delivery list --state failed --company acme
  hookswitch delivery retry dlv_01…
  hookswitch delivery cancel dlv_01…")]
pub(super) struct Delivery {
    #[command(subcommand)]
    command: Command,

    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(Box<List>),
    /// Attempt a delivery at once, whatever its state
    Retry(One),
    /// Cancel a delivery that waits, or a dead letter
    Cancel(One),
}

/// List the newest deliveries
#[derive(Debug, Args)]
struct List {
    /// Only in this state: pending, retrying, failed …
    #[arg(long, value_parser = one_of!(State), hide_possible_values = true)]
    state: Option<String>,
    /// Only those of this company
    #[arg(long)]
    company: Option<String>,
    /// Only those of this subscription
    #[arg(long, value_name = "ID")]
    subscription: Option<String>,
    /// Only those of this event
    #[arg(long, value_name = "ID")]
    event_id: Option<String>,
    /// Only those of this event type
    #[arg(long, value_name = "TYPE")]
    event: Option<String>,
    /// Only those of this call
    #[arg(long, value_name = "CALL_ID")]
    call: Option<String>,

    #[command(flatten)]
    newest: Newest,
}

#[derive(Debug, Args)]
struct One {
    /// Its id
    id: String,

    /// Print the daemon's reply as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Deserialize)]
struct Brief {
    id: String,
    event: String,
    state: String,
    #[serde(default)]
    attempts: u32,
    created: String,
    #[serde(default)]
    next_attempt: Option<String>,
    #[serde(default)]
    company: String,
    call: String,
    subscription: String,
    event_id: String,
}

impl Delivery {
    pub(super) fn run(self, out: &mut dyn Write) -> Result<(), Failure> {
        let client = Client::new(&self.connection)?;
        match self.command {
            Command::List(command) => command.run(&client, out),
            Command::Retry(one) => one.post("retry", &client, out),
            Command::Cancel(one) => one.post("cancel", &client, out),
        }
    }
}

impl List {
    fn run(self, client: &Client, out: &mut dyn Write) -> Result<(), Failure> {
        let parameters = [
            ("state", self.state.as_deref()),
            ("company", self.company.as_deref()),
            ("subscription", self.subscription.as_deref()),
            ("event_id", self.event_id.as_deref()),
            ("event", self.event.as_deref()),
            ("call", self.call.as_deref()),
        ];
        let items = self.newest.fetch(client, "/v1/deliveries", &parameters)?;
        write_table(&items, self.newest.format, "No deliveries match.", out)
    }
}

/// Prints deliveries, or `none`.
///
/// # Errors
/// Those of [`listing::print`].
pub(super) fn write_table(
    items: &[Box<RawValue>],
    format: Format,
    none: &str,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let columns = [
        Column::id("ID"),
        Column::state("STATE"),
        Column::number("TRIES"),
        Column::text("EVENT"),
        Column::text("NEXT (UTC)"),
        Column::id("SUBSCRIPTION").further(),
        Column::text("CREATED (UTC)").further(),
        Column::elastic("COMPANY").further(),
        Column::elastic("CALL").further(),
        Column::id("EVENT ID").further(),
    ];
    let row = |one: Brief| {
        let next = one.next_attempt.as_deref().map(plain).unwrap_or_default();
        let (tries, created) = (one.attempts.to_string(), plain(&one.created));
        let Brief { id, state, event, subscription, company, call, event_id, .. } = one;
        [id, state, tries, event, next, subscription, created, company, call, event_id]
    };
    listing::print(items, format, columns, row, none, out)
}

impl One {
    fn post(self, verb: &str, client: &Client, out: &mut dyn Write) -> Result<(), Failure> {
        let path = format!("/v1/deliveries/{}", segment(&self.id));
        let reply = client.post_one(&format!("{path}/{verb}"), "delivery", &self.id)?;
        if self.json {
            return Ok(writeln!(out, "{}", reply.trim_end())?);
        }
        let Brief { id, state, .. } = read(&reply)?;
        Ok(writeln!(out, "{} is {}", safe(&id), safe(&state))?)
    }
}
