//! `session …`: the signed-in browsers of the page.

use std::io::Write;

use clap::{Args, Subcommand};
use serde::Deserialize;

use super::client::Client;
use super::connection::Connection;
use super::exit::Failure;
use super::listing::{self, OfCompany};
use super::table::Column;
use super::text::safe;
use crate::core::path::segment;

/// List and end the sessions of the page
#[derive(Debug, Args)]
#[command(after_help = "\
A session is a browser that signed in with a token, by a portal link, or at
the provider of [page.oidc]. It ends with the token, the link or the rule that
lets it in, and by `session_idle` and `session_longest` of [page].

Examples:
  hookswitch session list --company acme
  hookswitch session end ses_01…")]
pub(super) struct Session {
    #[command(subcommand)]
    command: Command,

    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the signed-in browsers
    List(OfCompany),
    End(End),
}

/// End a session: the browser is signed out
#[derive(Debug, Args)]
struct End {
    /// Its id
    id: String,
}

/// The members of a session used by the table.
#[derive(Debug, Deserialize)]
struct Brief {
    id: String,
    kind: String,
    #[serde(default)]
    role: Option<String>,
    #[serde(default)]
    company: Option<String>,
    #[serde(default)]
    domain: Option<String>,
    #[serde(default)]
    user: Option<String>,
    last_used_at: String,
}

impl Session {
    pub(super) fn run(self, out: &mut dyn Write) -> Result<(), Failure> {
        let client = Client::new(&self.connection)?;
        match self.command {
            Command::List(which) => list(&which, &client, out),
            Command::End(End { id }) => {
                client.delete(&format!("/v1/sessions/{}", segment(&id)))?;
                Ok(writeln!(out, "{} is ended", safe(&id))?)
            }
        }
    }
}

fn list(which: &OfCompany, client: &Client, out: &mut dyn Write) -> Result<(), Failure> {
    let columns = [
        Column::id("ID"),
        Column::text("BY"),
        Column::text("ROLE"),
        Column::elastic("COMPANY"),
        Column::elastic("USER"),
        Column::text("LAST USED"),
    ];
    let row = |brief: Brief| {
        let company = brief.company.unwrap_or_default();
        let company = brief.domain.map_or(company.clone(), |domain| format!("{company} ({domain})"));
        // To the minute: the table has no room for more.
        let used = brief.last_used_at.get(..16).unwrap_or_default().replace('T', " ");
        [brief.id, brief.kind, brief.role.unwrap_or_default(), company, brief.user.unwrap_or_default(), used]
    };
    listing::print(&which.fetch(client, "/v1/sessions")?, which.format, columns, row, "Nobody is signed in.", out)
}
