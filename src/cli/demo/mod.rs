//! `demo`: the main job in one go, on this machine, without preparation.
//!
//! A daemon on a temporary directory, receivers that work, fail and are gone, one event of each type, the last raised
//! by an SMS, and a check that everything was delivered as promised. Everything goes through the public API, as for a
//! customer: [`stage`] starts the daemon, [`cast`] the receivers with their subscriptions, [`thread`] posts the SMS,
//! [`verdict`] checks what arrived, [`programme`] prints.

mod cast;
mod programme;
mod stage;
mod thread;
mod verdict;

use std::io::Write;
use std::sync::mpsc::{self, Receiver as Inlet, RecvTimeoutError};
use std::time::{Duration, Instant};

use clap::Args;

use super::client::{Client, read};
use super::event_types::EventType;
use super::exit::{Exit, Failure};
use super::log::Entry;
use super::send::{Accepted, Event};
use crate::service;
use cast::{Actor, COMPANY, DOMAIN, SOURCE};
use stage::Stage;
use thread::Thread;
use verdict::{Posted, Verdict};

/// Time limit for everything to arrive.
const DEADLINE: Duration = Duration::from_secs(30);
/// Polling interval.
const PERIOD: Duration = Duration::from_millis(50);

/// Show the main job in one go, and check it
#[derive(Debug, Args)]
#[command(after_help = "\
Starts a daemon on a temporary directory and receivers on this machine, posts
one event of each type (the last is raised by the answer to an SMS), lets one
receiver fail twice and one be gone, checks every signature and prints the log.
Exit status 0 only if everything arrived as it should.

Examples:
  hookswitch demo
  hookswitch demo --json
  hookswitch demo --keep         # leaves it running to look around")]
pub(super) struct Demo {
    /// Print one JSON document for a machine
    #[arg(long)]
    json: bool,

    /// Leave it running until ctrl-c, and keep the directory
    #[arg(long)]
    keep: bool,
}

/// Ctrl-c.
struct Interruption(Inlet<()>);

impl Interruption {
    fn expected() -> Result<Self, Failure> {
        let (sender, interrupted) = mpsc::channel();
        // If the receiving end is gone, the demo is ending anyway.
        let stop = move || sender.send(()).unwrap_or_default();
        service::on_stop_signal(stop).map_err(|error| Failure::new(format!("cannot handle ctrl-c: {error}")))?;
        Ok(Self(interrupted))
    }

    /// Waits for `length`.
    fn pause(&self, length: Duration) -> Result<(), Failure> {
        match self.0.recv_timeout(length) {
            Err(RecvTimeoutError::Timeout) => Ok(()),
            _ => Err(Failure::new("interrupted")),
        }
    }

    fn wait(&self) {
        // An error means that it cannot come any more, which counts as an interruption.
        self.0.recv().unwrap_or_default();
    }
}

impl Demo {
    pub(super) fn run(self, out: &mut dyn Write) -> Result<Exit, Failure> {
        let interruption = Interruption::expected()?;
        let stage = Stage::set(self.keep)?;
        let client = stage.client();
        let mut event_types = EventType::all(client)?;
        let actors = cast::PARTS.iter().map(|part| Actor::enter(part, client)).collect::<Result<Vec<_>, _>>()?;
        let raised = event_types.iter().position(|event_type| event_type.name == thread::RAISED);
        let raised = raised.ok_or_else(|| Failure::new(format!("there is no event type {}", thread::RAISED)))?;
        let raised = event_types.remove(raised);
        let mut posted: Vec<Posted> =
            event_types.into_iter().map(|event_type| post(client, event_type)).collect::<Result<_, _>>()?;
        let (thread, event) = Thread::post(client, raised)?;
        posted.push(event);
        let names: Vec<&str> = posted.iter().map(|event| event.event_type.name.as_str()).collect();
        let expected = actors.iter().map(|actor| actor.part.wanted(&names).len()).sum();
        let log = settled_log(client, expected, &interruption)?;
        let mut verdict = Verdict::of(client, &actors, &posted, &log, expected)?;
        verdict.faults.extend(thread.fault(&posted));
        let report = client.get(&format!("/v1/report/calls?company={COMPANY}"))?;
        if self.json {
            writeln!(out, "{}", programme::document(&stage, &actors, &posted, &thread, &verdict, &report))?;
        } else {
            programme::print(out, &stage, &actors, &posted, &log, &verdict, &read(&report)?)?;
        }
        out.flush()?;
        if self.keep {
            interruption.wait();
        }
        Ok(if verdict.is_good() { Exit::Done } else { Exit::Failed })
    }
}

/// Posts the sample of `event_type`.
fn post(client: &Client, event_type: EventType) -> Result<Posted, Failure> {
    let event = Event {
        event_type: &event_type.name,
        company: COMPANY,
        domain: Some(DOMAIN),
        source: SOURCE,
        id: None,
        occurred_at: None,
        data: &event_type.sample,
    };
    let accepted: Accepted = read(&client.post("/v1/events", &event.body()?)?)?;
    Ok(Posted { event_type, id: accepted.id, deliveries: accepted.deliveries })
}

/// The log, newest first, once `expected` deliveries have ended in it, or when the time is up: the verdict reports what
/// is missing then.
fn settled_log(client: &Client, expected: usize, interruption: &Interruption) -> Result<Vec<Entry>, Failure> {
    let end = Instant::now() + DEADLINE;
    loop {
        let items = client.list("/v1/log?limit=500")?;
        let log = items.iter().map(|item| read::<Entry>(item.get())).collect::<Result<Vec<_>, _>>()?;
        let ended = log.iter().filter(|entry| entry.status != "retrying").count();
        if ended >= expected || Instant::now() >= end {
            return Ok(log);
        }
        interruption.pause(PERIOD)?;
    }
}
