//! The demo's result, for the terminal and as one JSON document.

use std::io::{self, Write};

use serde::Deserialize;
use serde_json::{Value, json};

use super::cast::Actor;
use super::stage::Stage;
use super::thread::{self, Thread};
use super::verdict::{Posted, Verdict};
use crate::cli::exit::Failure;
use crate::cli::log::Entry;
use crate::cli::receiver::delivery;
use crate::cli::report;
use crate::cli::table::{Column, Table, WIDTH};
use crate::cli::text::{safe, wrap};

/// Maximum lines of the log printed; there are more only if something went wrong.
const LOG_LINES_MOST: usize = 60;

/// Prints everything, part by part.
pub(super) fn print(
    out: &mut dyn Write,
    stage: &Stage,
    actors: &[Actor],
    posted: &[Posted],
    log: &[Entry],
    verdict: &Verdict,
    calls: &report::CallReport,
) -> Result<(), Failure> {
    writeln!(out, "A daemon at {}, with its data in {}\n", stage.client().base(), stage.directory().display())?;
    print_receivers(out, actors)?;
    print_events(out, posted)?;
    print_conversation(out, posted)?;
    print_log(out, actors, log)?;
    report::write(calls, "day", out)?;
    writeln!(out)?;
    print_verdict(out, verdict)?;
    if let Some(token_file) = stage.kept_token_file() {
        writeln!(out, "\nIt keeps running at {} until ctrl-c.", stage.client().base())?;
        writeln!(out, "The admin token is in {}", token_file.display())?;
    } else if verdict.is_good() {
        print_next(out)?;
    }
    Ok(())
}

fn print_receivers(out: &mut dyn Write, actors: &[Actor]) -> io::Result<()> {
    writeln!(out, "Receivers and what they subscribed to")?;
    let mut table = Table::new(&[
        Column::text("RECEIVER"),
        Column::text("FORMAT"),
        Column::text("LAYOUT"),
        Column::text("EVENTS"),
        Column::text("BEHAVIOUR"),
        Column::text("ANSWERS"),
    ]);
    for actor in actors {
        let part = actor.part;
        let cells = [part.name, part.format, part.layout, part.events, part.behaviour.as_str()];
        table.row(cells.map(str::to_owned).into_iter().chain([answers(actor)]));
    }
    table.write(out, "")?;
    writeln!(out)
}

/// The responses in order, with repetitions counted: `7 × 200`, `503, 503, 200`.
fn answers(actor: &Actor) -> String {
    let codes: Vec<u16> = actor.arrivals().iter().map(|arrival| arrival.status).collect();
    match codes.as_slice() {
        [first, rest @ ..] if rest.len() > 1 && rest.iter().all(|code| code == first) => {
            format!("{} × {first}", codes.len())
        }
        _ => codes.iter().map(u16::to_string).collect::<Vec<_>>().join(", "),
    }
}

fn print_events(out: &mut dyn Write, posted: &[Posted]) -> io::Result<()> {
    writeln!(out, "Events posted, and the one that the lead's SMS raised")?;
    let mut table = Table::new(&[Column::text("EVENT"), Column::text("ID"), Column::number("DELIVERIES")]);
    for event in posted {
        table.row([event.event_type.name.clone(), event.id.clone(), event.deliveries.to_string()]);
    }
    table.write(out, "none")?;
    writeln!(out)
}

/// A message of the thread in `call.smsfollowup`.
#[derive(Deserialize)]
struct Sms {
    #[serde(default)]
    direction: String,
    #[serde(default)]
    from: String,
    #[serde(default)]
    body: String,
    #[serde(default)]
    sent_at: String,
}

#[derive(Deserialize)]
struct ThreadData {
    conversation: Vec<Sms>,
}

fn print_conversation(out: &mut dyn Write, posted: &[Posted]) -> io::Result<()> {
    let thread_data =
        posted.iter().find_map(|event| serde_json::from_str::<ThreadData>(event.event_type.sample.get()).ok());
    let Some(ThreadData { conversation }) = thread_data else { return Ok(()) };
    writeln!(out, "The SMS that were posted, as call.smsfollowup carried them")?;
    for sms in conversation {
        let arrow = if sms.direction == "inbound" { "<-" } else { "->" };
        writeln!(out, "{arrow} {}  {} ({})", safe(&sms.sent_at), safe(&sms.from), safe(&sms.direction))?;
        wrap(&sms.body, WIDTH - 5).iter().try_for_each(|line| writeln!(out, "     {line}"))?;
    }
    writeln!(out)
}

/// The log with the receivers' names, oldest entry first.
fn print_log(out: &mut dyn Write, actors: &[Actor], log: &[Entry]) -> io::Result<()> {
    writeln!(out, "The log")?;
    let mut table = Table::new(&[
        Column::text("RECEIVER"),
        Column::elastic("RESPONSE"),
        Column::text("CREATED (UTC)"),
        Column::text("EVENT"),
        Column::text("STATUS"),
        Column::number("TRY"),
    ]);
    for entry in log[..log.len().min(LOG_LINES_MOST)].iter().rev() {
        let actor = actors.iter().find(|actor| actor.subscription == entry.subscription);
        let [response, created, event, status, attempt, ..] = entry.cells();
        let name = actor.map_or("?", |actor| actor.part.name).to_owned();
        table.row([name, response, created, event, status, attempt]);
    }
    table.write(out, "nothing was sent")?;
    writeln!(out)
}

fn print_verdict(out: &mut dyn Write, verdict: &Verdict) -> io::Result<()> {
    let Verdict { expected, delivered, failed, requests, verified, .. } = verdict;
    writeln!(out, "{delivered} of {expected} deliveries delivered, {failed} given up because its receiver is gone")?;
    writeln!(out, "{verified} of {requests} signatures verified")?;
    if let Some(reason) = &verdict.disabled_reason {
        writeln!(out, "the webhook that is gone is disabled: {}", safe(reason))?;
    }
    for fault in &verdict.faults {
        writeln!(out, "WRONG  {}", safe(fault))?;
    }
    writeln!(out, "{}", if verdict.is_good() { "ok: everything arrived as it should" } else { "NOT ok" })
}

/// What to try after a demo that has ended.
fn print_next(out: &mut dyn Write) -> io::Result<()> {
    // As it was called: it may not be installed yet.
    let program = std::env::args().next().unwrap_or_else(|| "hookswitch".to_owned());
    let program = safe(&program);
    writeln!(out, "\nNext: a webhook of your own, in three terminals")?;
    writeln!(out, "  {program} serve --data-dir ./data --allow 127.0.0.0/8")?;
    writeln!(out, "  {program} listen")?;
    writeln!(
        out,
        "  {program} subscription add http://127.0.0.1:8080/hook --company acme --events '*' --data-dir ./data"
    )?;
    writeln!(out, "  {program} send call.missed --company acme --data-dir ./data")?;
    writeln!(
        out,
        "In a browser: http://127.0.0.1:4665/ (with the token in ./data/admin.token), and the handbook at /docs"
    )
}

/// Everything as one JSON document.
pub(super) fn document(
    stage: &Stage,
    actors: &[Actor],
    posted: &[Posted],
    thread: &Thread,
    verdict: &Verdict,
    report: &str,
) -> Value {
    let raised = posted.iter().find(|event| event.event_type.name == thread::RAISED);
    let events = posted
        .iter()
        .map(|event| json!({"type": event.event_type.name, "id": event.id, "deliveries": event.deliveries}));
    json!({
        "ok": verdict.is_good(),
        "url": stage.client().base(),
        "token_file": stage.kept_token_file().map(|path| path.display().to_string()),
        "events": events.collect::<Vec<_>>(),
        "conversation": {"call": thread.call, "messages": thread.messages, "event": raised.map(|event| &event.id)},
        "deliveries": {"owed": verdict.expected, "delivered": verdict.delivered, "failed": verdict.failed},
        "requests": verdict.requests,
        "signatures_verified": verdict.verified,
        "receivers": actors.iter().map(receiver).collect::<Vec<_>>(),
        "disabled_reason": verdict.disabled_reason,
        "faults": verdict.faults,
        "report": serde_json::from_str::<Value>(report).unwrap_or_default(),
    })
}

fn receiver(actor: &Actor) -> Value {
    let arrivals = actor.arrivals();
    let part = actor.part;
    json!({
        "name": part.name,
        "url": actor.url,
        "subscription": actor.subscription,
        "format": part.format,
        "layout": part.layout,
        "events": [part.events],
        "received": arrivals.iter().map(|arrival| json!({
            "event": delivery::event_type(&arrival.message),
            "attempt": delivery::attempt(&arrival.message),
            "answered": arrival.status,
        })).collect::<Vec<_>>(),
    })
}
