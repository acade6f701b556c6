//! `send`: posts one event, for trying things and for scripts.

use std::fs::File;
use std::io::{self, Read, Write};

use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::client::{Client, read};
use super::connection::Connection;
use super::event_types::EventType;
use super::exit::Failure;
use crate::core::catalogue::Catalogue;

/// Maximum bytes read of `--data`; the daemon's own limit is lower.
const DATA_MOST: u64 = 64 * 1024 * 1024;

/// Post an event
#[derive(Debug, Args)]
#[command(after_help = "\
Without --data the event type's sample is sent.

Examples:
  hookswitch send call.missed --company acme
  hookswitch send call.new --company acme --domain www.acme.example \\
      --source widget --data '{\"call_id\":\"c-17\",\"lead_phone\":\"+12025550143\"}'
  hookswitch send call.finished --company acme --data event.json --id order-17")]
pub(super) struct Send {
    /// The event type
    #[arg(value_name = "TYPE")]
    event_type: String,

    /// The company it belongs to
    #[arg(long)]
    company: String,

    /// The site of the company
    #[arg(long)]
    domain: Option<String>,

    /// widget, lead_connect or api
    #[arg(long, default_value = "api")]
    source: String,

    /// Your own id of it: sent twice, it counts once
    #[arg(long)]
    id: Option<String>,

    /// When it happened (RFC 3339); now if left out
    #[arg(long, value_name = "TIME")]
    occurred_at: Option<String>,

    /// Its data: a file, - for standard input, or JSON
    #[arg(long, value_name = "FILE|-|JSON")]
    data: Option<String>,

    /// Print the daemon's reply as JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    connection: Connection,
}

/// The body of `POST /v1/events`.
#[derive(Serialize)]
pub(super) struct Event<'a> {
    #[serde(rename = "type")]
    pub(super) event_type: &'a str,
    pub(super) company: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) domain: Option<&'a str>,
    pub(super) source: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) occurred_at: Option<&'a str>,
    pub(super) data: &'a RawValue,
}

/// The daemon's reply to an accepted event.
#[derive(Debug, Deserialize)]
pub(super) struct Accepted {
    pub(super) id: String,
    pub(super) deliveries: u32,
    #[serde(default)]
    pub(super) duplicate: bool,
}

impl Event<'_> {
    /// The body as text, `data` byte for byte.
    pub(super) fn body(&self) -> Result<String, Failure> {
        serde_json::to_string(self).map_err(|error| Failure::new(format!("the event cannot be written: {error}")))
    }
}

impl Send {
    pub(super) fn run(self, out: &mut dyn Write) -> Result<(), Failure> {
        let client = Client::new(&self.connection)?;
        let data = match &self.data {
            Some(given) => data(given)?,
            None => self.sample(&client)?,
        };
        let event = Event {
            event_type: &self.event_type,
            company: &self.company,
            domain: self.domain.as_deref(),
            source: &self.source,
            id: self.id.as_deref(),
            occurred_at: self.occurred_at.as_deref(),
            data: &data,
        };
        let reply = client.post("/v1/events", &event.body()?)?;
        if self.json {
            return Ok(writeln!(out, "{}", reply.trim_end())?);
        }
        let accepted: Accepted = read(&reply)?;
        Ok(writeln!(out, "{}  {}", accepted.id, summary(&accepted))?)
    }

    /// The event type's sample. Built-in ones are known here: a token that may only post events cannot fetch them.
    fn sample(&self, client: &Client) -> Result<Box<RawValue>, Failure> {
        let built_in = Catalogue::new(Vec::new()).ok();
        match built_in.as_ref().and_then(|catalogue| catalogue.get(&self.event_type)) {
            Some(entry) => read(&entry.sample),
            None => Ok(EventType::fetch(client, &self.event_type)?.sample),
        }
    }
}

fn summary(accepted: &Accepted) -> String {
    match (accepted.duplicate, accepted.deliveries) {
        (true, _) => "was accepted before; nothing is sent again".to_owned(),
        (false, 0) => "accepted; no subscription wants it".to_owned(),
        (false, 1) => "accepted; 1 delivery".to_owned(),
        (false, count) => format!("accepted; {count} deliveries"),
    }
}

/// The JSON of `--data`: itself, a file's, or standard input's.
fn data(given: &str) -> Result<Box<RawValue>, Failure> {
    let (name, text) = match given {
        json if json.trim_start().starts_with('{') => ("--data", json.to_owned()),
        "-" => ("standard input", read_all(io::stdin().lock(), "standard input")?),
        path => {
            let file = File::open(path).map_err(|error| {
                Failure::usage(format!("{path}: {error}; --data takes a file, - for standard input, or a JSON object"))
            })?;
            (path, read_all(file, path)?)
        }
    };
    RawValue::from_string(text.trim_start_matches('\u{feff}').trim().to_owned())
        .map_err(|error| Failure::usage(format!("{name} is not a JSON document: {error}")))
}

fn read_all(from: impl Read, name: &str) -> Result<String, Failure> {
    let mut text = String::new();
    let read = from.take(DATA_MOST + 1).read_to_string(&mut text);
    let read = read.map_err(|error| Failure::new(format!("{name} cannot be read: {error}")))?;
    if u64::try_from(read).is_ok_and(|read| read > DATA_MOST) {
        return Err(Failure::new(format!("{name} is longer than 64 MiB")));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::exit::Exit;

    #[test]
    fn data_reaches_the_body_byte_for_byte() {
        let data = data(r#" {"b":1.50, "a":123456789012345678901234567890} "#).unwrap();
        let event = Event {
            event_type: "call.new",
            company: "ac\"me",
            domain: None,
            source: "api",
            id: None,
            occurred_at: None,
            data: &data,
        };
        let wanted = r#"{"type":"call.new","company":"ac\"me","source":"api","data":{"b":1.50, "a":123456789012345678901234567890}}"#;
        assert_eq!(event.body().unwrap(), wanted);
    }

    #[test]
    fn data_comes_from_a_file_and_faults_name_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("event.json");
        std::fs::write(&path, "{\"call_id\":\"c\"}\n").unwrap();
        assert_eq!(data(path.to_str().unwrap()).unwrap().get(), "{\"call_id\":\"c\"}");
        std::fs::write(&path, "{").unwrap();
        for wrong in ["{\"a\":}", "/nonexistent/file", path.to_str().unwrap()] {
            let failure = data(wrong).unwrap_err();
            assert_eq!(failure.exit, Exit::Usage, "{failure:?}");
        }
    }
}
