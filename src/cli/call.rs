//! `call`: one call with its timeline, or the newest calls, or those of a lead.

use std::io::Write;

use clap::Args;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::client::{Client, read, with_query};
use super::connection::Connection;
use super::exit::Failure;
use super::format::{Format, Output};
use super::listing::{self, Listing};
use super::log::Entry;
use super::screen::fit;
use super::table::{Column, WIDTH};
use super::text::{safe, wrap};
use super::time::plain;
use crate::core::path::segment;

/// Width of the time column, and indentation of what follows.
const INDENT: usize = 21;

/// Show a call on its time line, or find calls
#[derive(Debug, Args)]
#[command(after_help = "\
With a call's id: what happened to it, in order: its events, each attempt to
deliver them, its SMS. Without: the newest calls, or those of a lead.

Examples:
  hookswitch call call_5f2c9a71
  hookswitch call --phone +12025550143
  hookswitch call --company acme --since 24h --json | jq '.[].call'")]
pub(super) struct Call {
    /// The call's id (`data.call_id`); without one, calls are listed
    call_id: Option<String>,

    /// Of this company; needed if several have such a call
    #[arg(long)]
    company: Option<String>,

    #[command(flatten)]
    format: Format,

    #[command(flatten)]
    listing: Listing,

    #[command(flatten)]
    connection: Connection,
}

/// The displayed members of a call.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Brief {
    call: String,
    company: String,
    domain: Option<String>,
    source: String,
    phone: Option<String>,
    name: Option<String>,
    agent: Option<String>,
    agent_name: Option<String>,
    state: String,
    outcome: Option<String>,
    began: String,
    last: String,
}

#[derive(Debug, Deserialize)]
struct Whole {
    #[serde(flatten)]
    call: Brief,
    #[serde(default)]
    subscriptions: Vec<Receiver>,
    #[serde(default)]
    timeline: Vec<Moment>,
    #[serde(default)]
    truncated: bool,
}

#[derive(Debug, Deserialize)]
struct Receiver {
    subscription: String,
    #[serde(default)]
    url: Option<String>,
    #[serde(default)]
    deliveries: Vec<Delivery>,
}

#[derive(Debug, Deserialize)]
struct Delivery {
    state: String,
}

#[derive(Debug, Deserialize)]
struct Moment {
    at: String,
    kind: String,
    of: Box<RawValue>,
}

#[derive(Debug, Deserialize)]
struct Event {
    r#type: String,
    id: String,
}

#[derive(Debug, Deserialize)]
struct Attempt {
    #[serde(flatten)]
    entry: Entry,
    #[serde(default)]
    url: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Sms {
    direction: String,
    from: String,
    body: String,
    erased_at: Option<String>,
}

impl Call {
    pub(super) fn run(self, out: &mut dyn Write) -> Result<(), Failure> {
        let client = Client::new(&self.connection)?;
        match &self.call_id {
            Some(call) => self.show(call, &client, out),
            None => self.list(&client, out),
        }
    }

    fn show(&self, call: &str, client: &Client, out: &mut dyn Write) -> Result<(), Failure> {
        let company = ("company", self.company.as_deref());
        let reply = client.get(&with_query(&format!("/v1/calls/{}", segment(call)), &[company]))?;
        if self.format.output() == Output::Json {
            return Ok(writeln!(out, "{}", reply.trim_end())?);
        }
        let whole: Whole = read(&reply)?;
        write_head(&whole.call, out)?;
        for receiver in &whole.subscriptions {
            let states: Vec<&str> = receiver.deliveries.iter().map(|delivery| delivery.state.as_str()).collect();
            let url = receiver.url.as_deref().unwrap_or("(deleted)");
            let line = format!("owed to   {} {}: {}", receiver.subscription, url, counted(&states));
            writeln!(out, "{}", fit(&safe(&line), 0))?;
        }
        writeln!(out)?;
        if whole.truncated {
            writeln!(out, "(the oldest entries are omitted)")?;
        }
        whole.timeline.iter().try_for_each(|moment| write_moment(moment, out))
    }

    fn list(&self, client: &Client, out: &mut dyn Write) -> Result<(), Failure> {
        let items = self.listing.fetch(client, "/v1/calls", self.company.as_deref())?;
        let columns = [
            Column::text("BEGAN (UTC)"),
            Column::elastic("CALL"),
            Column::elastic("COMPANY"),
            Column::text("STATE"),
            Column::text("PHONE"),
            Column::elastic("LEAD"),
        ];
        let row = |call: Brief| {
            let lead = call.name.unwrap_or_default();
            [plain(&call.began), call.call, call.company, call.state, call.phone.unwrap_or_default(), lead]
        };
        listing::print(&items, self.format, columns, row, "No calls match.", out)
    }
}

/// Words with their frequencies, in order of first appearance: `3 delivered, 1 failed`.
fn counted(words: &[&str]) -> String {
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for word in words {
        match counts.iter_mut().find(|(known, _)| known == word) {
            Some((_, count)) => *count += 1,
            None => counts.push((word, 1)),
        }
    }
    counts.iter().map(|(word, count)| format!("{count} {word}")).collect::<Vec<_>>().join(", ")
}

fn write_head(call: &Brief, out: &mut dyn Write) -> Result<(), Failure> {
    let outcome = call.outcome.as_ref().filter(|outcome| **outcome != call.state);
    let outcome = outcome.map(|outcome| format!(" ({outcome})")).unwrap_or_default();
    writeln!(out, "{}", safe(&format!("Call {} of {}: {}{outcome}", call.call, call.company, call.state)))?;
    let both = |one: &Option<String>, other: &Option<String>| {
        let words: Vec<&str> = [one, other].into_iter().filter_map(Option::as_deref).collect();
        words.join(", ")
    };
    let site = both(&call.domain, &Some(format!("by {}", call.source)));
    let lines = [
        ("lead", both(&call.name, &call.phone)),
        ("agent", both(&call.agent_name, &call.agent)),
        ("site", site),
        ("began", format!("{} UTC, last heard of at {} UTC", plain(&call.began), plain(&call.last))),
    ];
    for (name, value) in lines.iter().filter(|(_, value)| !value.is_empty()) {
        writeln!(out, "{name:<10}{}", fit(&safe(value), 10))?;
    }
    Ok(())
}

fn write_moment(moment: &Moment, out: &mut dyn Write) -> Result<(), Failure> {
    let at = plain(&moment.at);
    let raw = moment.of.get();
    let line = match moment.kind.as_str() {
        "event" => {
            let event: Event = read(raw)?;
            format!("{}  {}", event.r#type, event.id)
        }
        "attempt" => {
            let Attempt { entry, url } = read(raw)?;
            let [response, _, event, status, attempt, millis, ..] = entry.cells();
            let tried = if attempt == "-" { String::new() } else { format!(" (try {attempt}, {millis} ms)") };
            format!("  > {event} {response} {status}{tried} {url}")
        }
        "message" => {
            let sms: Sms = read(raw)?;
            let arrow = if sms.direction == "inbound" { "<-" } else { "->" };
            if sms.erased_at.is_some() {
                return Ok(writeln!(out, "{at}  {arrow} SMS (erased)")?);
            }
            writeln!(out, "{at}  {arrow} SMS from {}", safe(&sms.from))?;
            for line in wrap(&sms.body, WIDTH - INDENT - 3) {
                writeln!(out, "{}{line}", " ".repeat(INDENT + 3))?;
            }
            return Ok(());
        }
        other => other.to_owned(),
    };
    writeln!(out, "{at}  {}", fit(&safe(&line), INDENT))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_a_screen_that_fits() {
        let text = serde_json::json!({
            "call": "c-1", "company": "acme", "domain": "www.acme.example", "source": "widget", "phone": "+12025550143",
            "name": "Dana\u{1b}[2J", "agent": "77", "agent_name": null, "state": "finished", "outcome": "finished",
            "began": "2026-11-25T09:00:00.000Z", "last": "2026-11-25T09:10:00.000Z",
            "subscriptions": [{"subscription": "sub_1", "url": "http://x.example/", "deliveries": [
                {"state": "delivered"}, {"state": "failed"}, {"state": "delivered"}]}],
            "timeline": [
                {"at": "2026-11-25T09:00:00.000Z", "kind": "event", "of": {"type": "call.new", "id": "evt_1"}},
                {"at": "2026-11-25T09:00:00.100Z", "kind": "attempt", "of": {"id": "att_1", "created": "x",
                    "event": "call.new", "status": "delivered", "response": 200, "attempt": 1, "duration_ms": 12,
                    "url": format!("http://x.example/{}", "y".repeat(100))}},
                {"at": "2026-11-25T09:12:00.000Z", "kind": "message", "of": {"direction": "inbound", "from": "+1",
                    "body": "word ".repeat(40)}},
            ],
        })
        .to_string();
        let whole: Whole = read(&text).unwrap();
        let mut out = Vec::new();
        write_head(&whole.call, &mut out).unwrap();
        whole.timeline.iter().for_each(|moment| write_moment(moment, &mut out).unwrap());
        let out = String::from_utf8(out).unwrap();
        assert!(out.lines().all(|line| line.chars().count() <= WIDTH), "{out}");
        assert!(!out.contains('\u{1b}') && out.contains("Call c-1 of acme: finished\n"), "{out}");
        assert!(out.contains("  > call.new 200 delivered (try 1, 12 ms) http://x.example…"), "{out}");
        assert!(out.contains("<- SMS from +1\n"), "{out}");
        assert_eq!(counted(&["delivered", "failed", "delivered"]), "2 delivered, 1 failed");
    }
}
