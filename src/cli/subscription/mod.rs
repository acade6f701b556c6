//! `subscription …`: the registered webhooks.

mod backlog;
mod copies;
mod handshake;
mod settings;

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::certificate::end_of_pem;
use super::client::{Client, SecretReply, read, subscription_path};
use super::connection::Connection;
use super::exit::Failure;
use super::listing::{self, OfCompany};
use super::secret_file;
use super::table::Column;
use super::text::{pretty, safe};
use crate::core::json as document;
use settings::Settings;

/// Register, list and change webhooks
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hookswitch subscription add https://www.acme.example/hook --company acme \\
      --events call.missed,call.finished --format form
  hookswitch subscription list --company acme
  hookswitch subscription edit sub_01… --events '*' --timeout-ms 5000
  hookswitch subscription copy sub_01… --to-domain shop.acme.example
  hookswitch subscription disable sub_01…
  hookswitch subscription replay sub_01… --since 2026-11-23T09:00:00Z
  hookswitch subscription secret sub_01…")]
pub(super) struct Subscription {
    #[command(subcommand)]
    command: Command,

    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Subcommand)]
enum Command {
    Add(Add),
    /// List the webhooks
    List(OfCompany),
    /// Show everything about one webhook
    Show(One),
    Edit(Edit),
    Copy(copies::Copy),
    Remove(Remove),
    /// Enable a webhook: waiting deliveries follow, in order
    Enable(Named),
    /// Disable a webhook: its deliveries wait
    Disable(Named),
    Replay(backlog::Replay),
    Discard(backlog::Discard),
    /// Print the secret that signatures are checked with
    Secret(One),
    RotateSecret(RotateSecret),
    Handshake(handshake::Handshake),
}

/// Register a webhook; prints its id and its secret
#[derive(Debug, Args)]
#[command(override_usage = "hookswitch subscription add <URL> --company <COMPANY> --events <TYPES>")]
#[command(after_help = "\
Examples:
  hookswitch subscription add https://www.acme.example/hook --company acme \\
      --events call.missed,call.finished
  hookswitch subscription add https://old.example/in.php --company acme \\
      --events '*' --format form --layout flat --header 'X-Api-Key: 1234'")]
struct Add {
    /// Where deliveries are posted
    #[arg(value_name = "URL")]
    target: String,

    /// The company whose events it receives
    #[arg(long)]
    company: String,

    /// With commas between, or '*' for all
    #[arg(long, value_name = "TYPES", value_delimiter = ',', required = true)]
    events: Vec<String>,

    /// Register it disabled
    #[arg(long)]
    disabled: bool,

    /// A file with a secret to sign with, or -
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,

    /// Print it and its secret as JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    settings: Settings,
}

/// A webhook, and how it is shown
#[derive(Debug, Args)]
struct One {
    /// Its id
    id: String,

    /// Print the daemon's reply as JSON
    #[arg(long)]
    json: bool,
}

/// Change a webhook; settings not given stay
#[derive(Debug, Args)]
#[command(after_help = "\
An empty value takes a setting away: --domain '' means every domain.

Examples:
  hookswitch subscription edit sub_01… --new-url https://www.acme.example/hook2
  hookswitch subscription edit sub_01… --events call.new,call.missed
  hookswitch subscription edit sub_01… --remove-header X-Api-Key")]
struct Edit {
    /// Its id
    id: String,

    /// Post to this URL from now on
    #[arg(long, value_name = "URL")]
    new_url: Option<String>,

    /// With commas between, or '*' for all
    #[arg(long, value_name = "TYPES", value_delimiter = ',')]
    events: Option<Vec<String>>,

    /// No longer send this header; repeatable
    #[arg(long, value_name = "NAME")]
    remove_header: Vec<String>,

    /// Print the daemon's reply as JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    settings: Settings,
}

/// Remove a webhook; its waiting deliveries are cancelled
#[derive(Debug, Args)]
struct Remove {
    /// Its id
    id: String,

    /// Do not ask (it asks on a terminal only)
    #[arg(long)]
    yes: bool,
}

/// A webhook
#[derive(Debug, Args)]
struct Named {
    /// Its id
    id: String,
}

/// Make a new secret; the old one also signs for a while
#[derive(Debug, Args)]
#[command(after_help = "\
A secret that is given comes from a file, or from standard input with -, never
from the command line, which every user of the machine can see.

Examples:
  hookswitch subscription rotate-secret sub_01… --overlap 1h
  hookswitch subscription rotate-secret sub_01… --secret-file - < secret")]
struct RotateSecret {
    /// Its id
    id: String,

    /// How long the old one also signs; 24h if left out
    #[arg(long, value_name = "DURATION")]
    overlap: Option<String>,

    /// A file with the new secret, or -
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,

    /// Print the daemon's reply as JSON
    #[arg(long)]
    json: bool,
}

/// The members of a subscription used by the table and the messages.
#[derive(Debug, Deserialize)]
struct Brief {
    id: String,
    url: String,
    #[serde(default)]
    events: Vec<String>,
    #[serde(default)]
    enabled: bool,
    #[serde(default)]
    disabled_reason: Option<String>,
    #[serde(default)]
    waiting: u64,
    #[serde(default)]
    company: String,
    #[serde(default)]
    description: String,
}

impl Subscription {
    pub(super) fn run(self, out: &mut dyn Write) -> Result<(), Failure> {
        let client = Client::new(&self.connection)?;
        match self.command {
            Command::Add(command) => command.run(&client, out),
            Command::List(which) => list(&which, &client, out),
            Command::Show(one) => show(&one, &client, out),
            Command::Edit(command) => command.run(&client, out),
            Command::Copy(command) => command.run(&client, out),
            Command::Remove(command) => command.run(&client, out),
            Command::Enable(Named { id }) => switch(&client, &id, true, out),
            Command::Disable(Named { id }) => switch(&client, &id, false, out),
            Command::Replay(command) => command.run(&client, out),
            Command::Discard(command) => command.run(&client, out),
            Command::Handshake(command) => command.run(&client, out),
            Command::Secret(One { id, json }) => {
                write_secret(&client.get(&format!("{}/secret", subscription_path(&id)))?, json, out)
            }
            Command::RotateSecret(RotateSecret { id, overlap, secret_file, json }) => {
                let mut body = Map::new();
                body.extend(overlap.map(|overlap| ("overlap".to_owned(), json!(overlap))));
                let secret = secret_file.as_deref().map(secret_file::read).transpose()?;
                body.extend(secret.map(|secret| ("secret".to_owned(), json!(secret.reveal()))));
                let body = Value::Object(body);
                let reply = client.post(&format!("{}/rotate-secret", subscription_path(&id)), &body.to_string())?;
                write_secret(&reply, json, out)
            }
        }
    }
}

impl Add {
    fn run(self, client: &Client, out: &mut dyn Write) -> Result<(), Failure> {
        let mut body = self.settings.members(false)?;
        body.insert("url".to_owned(), json!(self.target));
        body.insert("company".to_owned(), json!(self.company));
        body.insert("events".to_owned(), json!(self.events));
        if self.disabled {
            body.insert("enabled".to_owned(), json!(false));
        }
        if let Some(file) = &self.secret_file {
            body.insert("secret".to_owned(), json!(secret_file::read(file)?.reveal()));
        }
        let made: Box<RawValue> = read(&client.post("/v1/subscriptions", &Value::Object(body).to_string())?)?;
        let brief: Brief = read(made.get())?;
        let SecretReply { secret } = read(&client.get(&format!("{}/secret", subscription_path(&brief.id)))?)?;
        if self.json {
            let secret = document::quote(&secret);
            return Ok(writeln!(out, "{{\"subscription\":{},\"secret\":{secret}}}", made.get())?);
        }
        writeln!(out, "id      {}", safe(&brief.id))?;
        Ok(writeln!(out, "secret  {}", safe(&secret))?)
    }
}

fn list(which: &OfCompany, client: &Client, out: &mut dyn Write) -> Result<(), Failure> {
    let columns = [
        Column::id("ID"),
        Column::elastic("URL"),
        Column::elastic("EVENTS"),
        Column::state("STATE"),
        Column::number("WAITING"),
        Column::text("COMPANY").further(),
        Column::text("DESCRIPTION").further(),
    ];
    let row = |brief: Brief| {
        let state = if brief.enabled { "enabled" } else { "disabled" };
        let waiting = brief.waiting.to_string();
        [brief.id, brief.url, brief.events.join(","), state.to_owned(), waiting, brief.company, brief.description]
    };
    let none = "There are no subscriptions. Register one with `hookswitch subscription add`.";
    listing::print(&which.fetch(client, "/v1/subscriptions")?, which.format, columns, row, none, out)
}

fn show(One { id, json }: &One, client: &Client, out: &mut dyn Write) -> Result<(), Failure> {
    let reply = client.get(&subscription_path(id))?;
    if *json {
        return Ok(writeln!(out, "{}", reply.trim_end())?);
    }
    write_members(&reply, out)
}

/// One member per line, in the daemon's order, without those that are null.
fn write_members(reply: &str, out: &mut dyn Write) -> Result<(), Failure> {
    let raw: Box<RawValue> = read(reply)?;
    let members = document::members(&raw).map_err(|fault| Failure::new(format!("the daemon's reply {fault}")))?;
    for (name, value) in members {
        let text = match document::Kind::of(value) {
            document::Kind::Null => continue,
            document::Kind::String if name == "client_cert" => {
                let end = document::string(value).ok().and_then(|pem| end_of_pem(pem.as_bytes()));
                end.map_or("cannot be read".to_owned(), |end| format!("good until {end}"))
            }
            document::Kind::String => document::string(value).map_or_else(|_| pretty(value), |text| safe(&text)),
            _ => pretty(value).lines().map(str::trim_start).collect::<Vec<_>>().join(" "),
        };
        if !matches!(text.as_str(), "" | "{}" | "[]") {
            writeln!(out, "{:<16} {text}", safe(&name))?;
        }
    }
    Ok(())
}

impl Edit {
    fn run(self, client: &Client, out: &mut dyn Write) -> Result<(), Failure> {
        let mut body = self.settings.members(true)?;
        if let Some(url) = &self.new_url {
            body.insert("url".to_owned(), json!(url));
        }
        if let Some(events) = &self.events {
            body.insert("events".to_owned(), json!(events));
        }
        if self.settings.has_headers() || !self.remove_header.is_empty() {
            let current: Value = read(&client.get(&subscription_path(&self.id))?)?;
            body.insert("headers".to_owned(), Value::Object(self.headers(&current)?));
        }
        if body.is_empty() {
            return Err(Failure::usage("there is nothing to change; `subscription edit --help` lists what can be"));
        }
        let reply = client.patch(&subscription_path(&self.id), &Value::Object(body).to_string())?;
        if self.json {
            return Ok(writeln!(out, "{}", reply.trim_end())?);
        }
        Ok(writeln!(out, "{} is changed", safe(&self.id))?)
    }

    /// The headers after the change. `null` keeps the stored value, which is never returned: a change must name every
    /// header to be kept.
    fn headers(&self, current: &Value) -> Result<Map<String, Value>, Failure> {
        let named = current.get("headers").and_then(Value::as_object).cloned().unwrap_or_default();
        let mut headers: Map<String, Value> = named.into_iter().map(|(name, _)| (name, Value::Null)).collect();
        for name in &self.remove_header {
            let before = headers.len();
            headers.retain(|other, _| !other.eq_ignore_ascii_case(name));
            if headers.len() == before {
                return Err(Failure::new(format!("{} has no header `{}` of its own", self.id, safe(name))));
            }
        }
        for (name, value) in self.settings.header_members() {
            headers.retain(|other, _| !other.eq_ignore_ascii_case(&name));
            headers.insert(name, value);
        }
        Ok(headers)
    }
}

impl Remove {
    fn run(self, client: &Client, out: &mut dyn Write) -> Result<(), Failure> {
        if !self.yes && io::stdin().is_terminal() {
            let brief: Brief = read(&client.get(&subscription_path(&self.id))?)?;
            let question =
                format!("Remove {} ({}, {} waiting)? [y/N] ", safe(&brief.id), safe(&brief.url), brief.waiting);
            if !confirmed(&question, &mut io::stdin().lock(), &mut io::stderr())? {
                return Err(Failure::new("nothing was removed"));
            }
        }
        client.delete(&subscription_path(&self.id))?;
        Ok(writeln!(out, "{} is removed", safe(&self.id))?)
    }
}

/// Asks for confirmation; only a clear yes counts.
fn confirmed(question: &str, answers: &mut impl BufRead, to: &mut impl Write) -> io::Result<bool> {
    write!(to, "{question}")?;
    to.flush()?;
    let mut answer = String::new();
    answers.read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

fn switch(client: &Client, id: &str, enabled: bool, out: &mut dyn Write) -> Result<(), Failure> {
    let reply = client.patch(&subscription_path(id), &json!({"enabled": enabled}).to_string())?;
    let brief: Brief = read(&reply)?;
    let state = match (brief.enabled, brief.disabled_reason) {
        (true, _) => "enabled".to_owned(),
        (false, Some(reason)) => format!("disabled ({reason})"),
        (false, None) => "disabled".to_owned(),
    };
    Ok(writeln!(out, "{} is {}; {} waiting", safe(&brief.id), safe(&state), brief.waiting)?)
}

fn write_secret(reply: &str, json: bool, out: &mut dyn Write) -> Result<(), Failure> {
    if json {
        return Ok(writeln!(out, "{}", reply.trim_end())?);
    }
    let SecretReply { secret } = read(reply)?;
    Ok(writeln!(out, "{}", safe(&secret))?)
}

#[cfg(test)]
mod tests;
