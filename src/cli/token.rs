//! `token …`: who may call the daemon.

use std::io::Write;

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::client::{Client, read};
use super::connection::Connection;
use super::exit::{Failure, note};
use super::listing::{self, OfCompany};
use super::table::Column;
use super::text::safe;
use crate::core::path::segment;
use crate::core::time::parse_duration;

/// Create, list and revoke the tokens that the API is called with
#[derive(Debug, Args)]
#[command(after_help = "\
Roles: ingest posts events and messages; read looks at everything but
secrets; admin may do everything. Bound to a company, a token sees and
touches that company alone.

Examples:
  hookswitch token create --role ingest --description 'phone platform'
  hookswitch token create --role admin --company acme --expires 90d
  hookswitch token list
  hookswitch token revoke tok_01…")]
pub(super) struct Token {
    #[command(subcommand)]
    command: Command,

    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Subcommand)]
enum Command {
    Create(Create),
    /// List the tokens, without their texts
    List(OfCompany),
    Revoke(Revoke),
}

/// Create a token; prints it, this once
#[derive(Debug, Args)]
struct Create {
    /// ingest, read or admin
    #[arg(long)]
    role: String,

    /// Bind it to this company
    #[arg(long)]
    company: Option<String>,

    /// What it is for, in words of your own
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,

    /// For how long (90d), or until when (RFC 3339)
    #[arg(long, value_name = "WHEN")]
    expires: Option<String>,

    /// Print the daemon's reply as JSON
    #[arg(long)]
    json: bool,
}

/// Revoke a token: it is refused from then on
#[derive(Debug, Args)]
struct Revoke {
    /// Its id
    id: String,
}

/// The members of a token used by the table and the messages.
#[derive(Debug, Deserialize)]
struct Brief {
    id: String,
    role: String,
    #[serde(default)]
    company: Option<String>,
    #[serde(default)]
    description: String,
    #[serde(default)]
    expires_at: Option<String>,
    #[serde(default)]
    expired: bool,
    #[serde(default)]
    last_used_at: Option<String>,
    #[serde(default)]
    kept_in: Option<String>,
    #[serde(default)]
    token: Option<String>,
}

impl Token {
    pub(super) fn run(self, out: &mut dyn Write) -> Result<(), Failure> {
        let client = Client::new(&self.connection)?;
        match self.command {
            Command::Create(command) => command.run(&client, out),
            Command::List(which) => list(&which, &client, out),
            Command::Revoke(Revoke { id }) => {
                client.delete(&format!("/v1/tokens/{}", segment(&id)))?;
                Ok(writeln!(out, "{} is revoked", safe(&id))?)
            }
        }
    }
}

impl Create {
    fn run(self, client: &Client, out: &mut dyn Write) -> Result<(), Failure> {
        let mut body = Map::new();
        body.insert("role".to_owned(), json!(self.role));
        body.extend(self.company.map(|company| ("company".to_owned(), json!(company))));
        body.extend(self.description.map(|text| ("description".to_owned(), json!(text))));
        body.extend(self.expires.map(|when| {
            let name = if parse_duration(&when).is_ok() { "expires_in" } else { "expires_at" };
            (name.to_owned(), json!(when))
        }));
        let reply = client.post("/v1/tokens", &Value::Object(body).to_string())?;
        if self.json {
            return Ok(writeln!(out, "{}", reply.trim_end())?);
        }
        let made: Brief = read(&reply)?;
        writeln!(out, "id     {}", safe(&made.id))?;
        writeln!(out, "token  {}", safe(&made.token.unwrap_or_default()))?;
        note("keep the token where it is used: it is not shown again");
        Ok(())
    }
}

fn list(which: &OfCompany, client: &Client, out: &mut dyn Write) -> Result<(), Failure> {
    let columns = [
        Column::id("ID"),
        Column::text("ROLE"),
        Column::elastic("COMPANY"),
        Column::elastic("DESCRIPTION"),
        Column::text("LAST USED"),
        Column::text("EXPIRES"),
    ];
    let row = |brief: Brief| {
        let id = if brief.kept_in.is_some() { "(in admin.token)".to_owned() } else { brief.id };
        let expires = if brief.expired { "expired".to_owned() } else { day(brief.expires_at) };
        let company = brief.company.unwrap_or_default();
        [id, brief.role, company, brief.description, day(brief.last_used_at), expires]
    };
    let none = "There are no tokens. Make one with `hookswitch token create`.";
    listing::print(&which.fetch(client, "/v1/tokens")?, which.format, columns, row, none, out)
}

/// The date of a time: the table has no room for more.
fn day(time: Option<String>) -> String {
    time.map_or_else(String::new, |time| time.split('T').next().unwrap_or_default().to_owned())
}
