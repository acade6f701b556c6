//! `event`: accepted events, and one with its data and deliveries.

use std::io::Write;

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::client::{Client, read};
use super::connection::Connection;
use super::delivery::write_table;
use super::exit::Failure;
use super::format::Format;
use super::listing::{self, Newest};
use super::table::Column;
use super::text::{pretty, safe};
use super::time::plain;
use crate::core::path::segment;

/// List accepted events, or show one
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hookswitch event list --company acme --type call.missed --since 24h
  hookswitch event show evt_01…")]
pub(super) struct Event {
    #[command(subcommand)]
    command: Command,

    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(List),
    Show(Show),
}

/// List the newest events
#[derive(Debug, Args)]
struct List {
    /// Only those of this company
    #[arg(long)]
    company: Option<String>,
    /// Only those of this type
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,
    /// Only those of this call
    #[arg(long, value_name = "CALL_ID")]
    call: Option<String>,
    /// Only those of this lead's phone number
    #[arg(long)]
    phone: Option<String>,

    #[command(flatten)]
    newest: Newest,
}

/// Show an event with its data and its deliveries
#[derive(Debug, Args)]
struct Show {
    /// Its id
    id: String,

    /// Print the daemon's reply as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Deserialize)]
struct Brief {
    id: String,
    r#type: String,
    company: String,
    #[serde(default)]
    domain: Option<String>,
    source: String,
    accepted_at: String,
    occurred_at: String,
    #[serde(default)]
    producer_id: Option<String>,
    data: Box<RawValue>,
    #[serde(default)]
    deliveries: Vec<Box<RawValue>>,
}

/// What the list shows of an event's data.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Data {
    call_id: String,
}

impl Event {
    pub(super) fn run(self, out: &mut dyn Write) -> Result<(), Failure> {
        let client = Client::new(&self.connection)?;
        match self.command {
            Command::List(command) => command.run(&client, out),
            Command::Show(command) => command.run(&client, out),
        }
    }
}

impl List {
    fn run(self, client: &Client, out: &mut dyn Write) -> Result<(), Failure> {
        let parameters = [
            ("company", self.company.as_deref()),
            ("type", self.event_type.as_deref()),
            ("call", self.call.as_deref()),
            ("phone", self.phone.as_deref()),
        ];
        let columns = [
            Column::id("ID"),
            Column::text("ACCEPTED (UTC)"),
            Column::text("TYPE"),
            Column::elastic("COMPANY").further(),
            Column::elastic("CALL").further(),
        ];
        let row = |event: Brief| {
            let Data { call_id } = serde_json::from_str(event.data.get()).unwrap_or_default();
            [event.id, plain(&event.accepted_at), event.r#type, event.company, call_id]
        };
        let items = self.newest.fetch(client, "/v1/events", &parameters)?;
        listing::print(&items, self.newest.format, columns, row, "No events match.", out)
    }
}

impl Show {
    fn run(self, client: &Client, out: &mut dyn Write) -> Result<(), Failure> {
        let reply = client.get_one(&format!("/v1/events/{}", segment(&self.id)), "event", &self.id)?;
        if self.json {
            return Ok(writeln!(out, "{}", reply.trim_end())?);
        }
        let event: Brief = read(&reply)?;
        let lines = [
            ("id", Some(&event.id)),
            ("type", Some(&event.r#type)),
            ("company", Some(&event.company)),
            ("domain", event.domain.as_ref()),
            ("source", Some(&event.source)),
            ("occurred", Some(&event.occurred_at)),
            ("accepted", Some(&event.accepted_at)),
            ("posted as", event.producer_id.as_ref()),
        ];
        for (name, value) in lines {
            if let Some(value) = value {
                writeln!(out, "{name:<10}{}", safe(value))?;
            }
        }
        writeln!(out, "\n{}\n", pretty(&event.data))?;
        write_table(&event.deliveries, Format::default(), "No webhook wanted it.", out)
    }
}
