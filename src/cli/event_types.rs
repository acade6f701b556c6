//! `event-types`: the event types with samples.

use std::io::Write;

use clap::Args;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::client::{Client, read};
use super::connection::Connection;
use super::exit::Failure;
use super::format::{Format, Output};
use super::listing;
use super::table::{Column, WIDTH};
use super::text::{pretty, safe, wrap};
use crate::core::path::segment;

/// List the event types, or show one with its sample
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hookswitch event-types
  hookswitch event-types call.smsfollowup
  hookswitch event-types call.missed --json | jq .sample")]
pub(super) struct EventTypes {
    /// Show this one
    #[arg(value_name = "TYPE")]
    name: Option<String>,

    #[command(flatten)]
    format: Format,

    #[command(flatten)]
    connection: Connection,
}

/// An event type as described by the daemon.
#[derive(Debug, Deserialize)]
pub(super) struct EventType {
    pub(super) name: String,
    #[serde(default)]
    pub(super) title: String,
    #[serde(default)]
    pub(super) description: String,
    /// The sample of `data`, verbatim.
    pub(super) sample: Box<RawValue>,
}

impl EventType {
    /// Fetches the event type `name`.
    ///
    /// # Errors
    /// It does not exist, or the daemon does not answer.
    pub(super) fn fetch(client: &Client, name: &str) -> Result<Self, Failure> {
        read(&client.get(&path(name))?)
    }

    /// Fetches all event types.
    ///
    /// # Errors
    /// The daemon does not answer.
    /// The daemon cannot be asked.
    pub(super) fn all(client: &Client) -> Result<Vec<Self>, Failure> {
        client.list("/v1/event-types")?.iter().map(|item| read(item.get())).collect()
    }
}

fn path(name: &str) -> String {
    format!("/v1/event-types/{}", segment(name))
}

impl EventTypes {
    pub(super) fn run(self, out: &mut dyn Write) -> Result<(), Failure> {
        let client = Client::new(&self.connection)?;
        match &self.name {
            Some(name) if self.format.output() == Output::Json => {
                Ok(writeln!(out, "{}", client.get(&path(name))?.trim_end())?)
            }
            Some(name) => show(&EventType::fetch(&client, name)?, out),
            None => {
                let columns = [Column::text("EVENT TYPE"), Column::text("TITLE"), Column::elastic("WHEN")];
                let row = |one: EventType| [one.name, one.title, one.description];
                let items = client.list("/v1/event-types")?;
                listing::print(&items, self.format, columns, row, "There are no event types.", out)
            }
        }
    }
}

fn show(event_type: &EventType, out: &mut dyn Write) -> Result<(), Failure> {
    writeln!(out, "{}  {}", safe(&event_type.name), safe(&event_type.title))?;
    writeln!(out, "{}\n", wrap(&event_type.description, WIDTH).join("\n"))?;
    Ok(writeln!(out, "{}", pretty(&event_type.sample))?)
}
