//! `portal-link …`: letting a user of a company into the page.

use std::io::Write;

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::choice::one_of;
use super::client::{Client, read};
use super::connection::Connection;
use super::exit::{Failure, note};
use super::text::safe;
use crate::core::path::segment;
use crate::core::portal_link::PortalView;

/// Make and revoke links that let somebody into the page, once
#[derive(Debug, Args)]
#[command(after_help = "\
A platform makes such links by POST /v1/portal-links and shows them in
its own settings; see 'In your own settings' in the handbook.

Examples:
  hookswitch portal-link create --company acme --user 'Dana Whitfield'
  hookswitch portal-link create --company acme --role read --view logs
  hookswitch portal-link revoke lnk_01…")]
pub(super) struct PortalLink {
    #[command(subcommand)]
    command: Command,

    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Subcommand)]
enum Command {
    Create(Create),
    Revoke(Revoke),
}

/// Make a link; prints its address, this once
#[derive(Debug, Args)]
struct Create {
    /// The company that it signs in for
    #[arg(long)]
    company: String,

    /// read or admin
    #[arg(long, value_parser = ["read", "admin"], hide_possible_values = true)]
    role: Option<String>,

    /// Bind it to this site of the company
    #[arg(long)]
    domain: Option<String>,

    /// webhooks, new_webhook, logs, calls or report
    #[arg(long, value_parser = one_of!(PortalView), hide_possible_values = true)]
    view: Option<String>,

    /// The language that the page is to speak (de)
    #[arg(long, value_name = "TAG")]
    language: Option<String>,

    /// Who it is for
    #[arg(long, value_name = "NAME")]
    user: Option<String>,

    /// For how long it works, 10s to 15m
    #[arg(long, value_name = "TIME")]
    expires: Option<String>,

    /// Print the daemon's reply as JSON
    #[arg(long)]
    json: bool,
}

/// Revoke a link, and end the session that it opened
#[derive(Debug, Args)]
struct Revoke {
    /// Its id
    id: String,
}

#[derive(Debug, Deserialize)]
struct Made {
    id: String,
    url: String,
    expires_at: String,
}

impl PortalLink {
    pub(super) fn run(self, out: &mut dyn Write) -> Result<(), Failure> {
        let client = Client::new(&self.connection)?;
        match self.command {
            Command::Create(command) => command.run(&client, out),
            Command::Revoke(Revoke { id }) => {
                client.delete(&format!("/v1/portal-links/{}", segment(&id)))?;
                Ok(writeln!(out, "{} is revoked", safe(&id))?)
            }
        }
    }
}

impl Create {
    fn run(self, client: &Client, out: &mut dyn Write) -> Result<(), Failure> {
        let mut body = Map::new();
        body.insert("company".to_owned(), json!(self.company));
        let others = [
            ("role", self.role),
            ("domain", self.domain),
            ("view", self.view),
            ("language", self.language),
            ("user", self.user),
            ("expires_in", self.expires),
        ];
        body.extend(others.into_iter().filter_map(|(name, value)| Some((name.to_owned(), json!(value?)))));
        let reply = client.post("/v1/portal-links", &Value::Object(body).to_string())?;
        if self.json {
            return Ok(writeln!(out, "{}", reply.trim_end())?);
        }
        let made: Made = read(&reply)?;
        writeln!(out, "id    {}", safe(&made.id))?;
        writeln!(out, "link  {}", safe(&made.url))?;
        note(&format!("it opens the page once, until {}", safe(&made.expires_at)));
        Ok(())
    }
}
