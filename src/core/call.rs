//! One call as the report counts it: what its events and messages say, each thing once.
//!
//! A call is known by its [`Mark`]s: one for the first accepted event of each type, one for the first SMS
//! that was sent to the lead, one for the lead's first answer. What comes again makes no mark, so that
//! nothing is counted twice; what comes late makes its mark like any other. [`share`] says from the
//! marks, in whatever order they came, where and how the call counts.

mod members;
mod summary;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::event::{Domain, EventType, Source};
use super::json;
use super::time::Timestamp;
use members::{agent, outcome, word};

pub use summary::Summary;

/// How many marks a call has at most: those of the seven built-in event types, of messages, and of as many
/// declared event types as fit.
pub const MOST_MARKS: usize = 32;
/// What a mark is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// The first accepted event of this type.
    Event(EventType),
    /// The first SMS that was sent to the lead.
    Texted,
    /// The lead's first answer to one.
    Replied,
}

/// One thing that is known of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// What it is of.
    pub what: What,
    /// When that happened.
    pub at: Timestamp,
    /// The call's site, on the first mark that knows it.
    pub domain: Option<Domain>,
    /// Where it came from.
    pub source: Source,
    /// `agent_id`, of events that have one.
    pub agent: Option<String>,
    /// `callstatus`, of `call.finished` and `call.missed`.
    pub outcome: Option<String>,
    /// Milliseconds: how long they talked (`duration` of `call.finished`), or how long the answer took
    /// ([`What::Replied`]).
    pub length: Option<u32>,
}

/// What came of a call.
#[derive(Debug, Clone, Copy)]
pub enum Heard<'h> {
    /// An event was accepted.
    Event {
        /// Its type.
        event_type: &'h EventType,
        /// When it happened.
        at: Timestamp,
        /// The site it belongs to.
        domain: Option<&'h Domain>,
        /// Where it came from.
        source: Source,
        /// Its data, as posted.
        data: &'h str,
    },
    /// An SMS was stored.
    Message {
        /// To the lead; otherwise from the lead.
        outbound: bool,
        /// When it was sent.
        sent_at: Timestamp,
        /// The site it belongs to.
        domain: Option<&'h Domain>,
        /// Where it came from.
        source: Source,
    },
}

/// The marks that `heard` adds to those that are `known`, in their order of coming.
pub fn news(known: &[Mark], heard: Heard<'_>) -> Vec<Mark> {
    let mut new = match heard {
        Heard::Event { event_type, at, source, data, .. } => of_event(known, event_type, at, source, data),
        Heard::Message { outbound, sent_at, source, .. } => of_message(known, outbound, sent_at, source),
    };
    new.truncate(MOST_MARKS.saturating_sub(known.len()));
    let (Heard::Event { domain, .. } | Heard::Message { domain, .. }) = heard;
    if let Some(first) = new.first_mut()
        && known.iter().all(|mark| mark.domain.is_none())
    {
        first.domain = domain.cloned();
    }
    new
}

fn plain(what: What, at: Timestamp, source: Source) -> Mark {
    Mark { what, at, domain: None, source, agent: None, outcome: None, length: None }
}

fn has(known: &[Mark], what: &What) -> bool {
    known.iter().any(|mark| mark.what == *what)
}

/// The members of `data` that the report is made of.
#[derive(Default, Deserialize)]
struct Told<'d> {
    #[serde(borrow, default)]
    agent_id: Option<&'d RawValue>,
    #[serde(borrow, default)]
    callstatus: Option<&'d RawValue>,
    #[serde(borrow, default)]
    duration: Option<&'d RawValue>,
    #[serde(borrow, default)]
    received_at: Option<&'d RawValue>,
    #[serde(borrow, default)]
    conversation: Option<&'d RawValue>,
}

fn of_event(known: &[Mark], event_type: &EventType, at: Timestamp, source: Source, data: &str) -> Vec<Mark> {
    let what = What::Event(event_type.clone());
    if has(known, &what) {
        return Vec::new();
    }
    let mut mark = plain(what, at, source);
    let name = event_type.as_str();
    if !matches!(name, "call.claimed" | "call.connected" | "call.finished" | "call.missed" | "call.smsfollowup") {
        return vec![mark];
    }
    let told: Told<'_> = serde_json::from_str(data).unwrap_or_default();
    match name {
        "call.smsfollowup" => {
            let mut all = vec![mark];
            all.extend(of_thread(known, &told, at, source));
            return all;
        }
        "call.missed" => mark.outcome = told.callstatus.and_then(outcome),
        "call.finished" => {
            mark.agent = told.agent_id.and_then(agent);
            mark.outcome = told.callstatus.and_then(outcome);
            mark.length = told.duration.and_then(seconds);
        }
        _ => mark.agent = told.agent_id.and_then(agent),
    }
    vec![mark]
}

/// What a finished thread says: that the lead was written to and answered, and when as far as it can be read.
fn of_thread(known: &[Mark], told: &Told<'_>, at: Timestamp, source: Source) -> Vec<Mark> {
    #[derive(Default, Deserialize)]
    struct Message<'m> {
        #[serde(borrow, default)]
        direction: Option<&'m RawValue>,
        #[serde(borrow, default)]
        sent_at: Option<&'m RawValue>,
    }
    let time = |raw: &RawValue| json::string(raw).ok().and_then(|text| Timestamp::parse(&text).ok());
    let (mut texted, mut replied) = (None, None);
    let thread = told.conversation.and_then(|raw| json::items(raw).ok()).unwrap_or_default();
    for item in thread {
        let message: Message<'_> = serde_json::from_str(item.get()).unwrap_or_default();
        let sent_at = message.sent_at.and_then(time);
        match message.direction.and_then(|raw| json::string(raw).ok()).as_deref() {
            Some("outbound") if texted.is_none() => texted = sent_at,
            Some("inbound") if texted.is_some() => replied = sent_at,
            _ => {}
        }
        if replied.is_some() {
            break;
        }
    }
    let replied = replied.or_else(|| told.received_at.and_then(time));
    let waited = texted.zip(replied).map(|(texted, replied)| between(texted, replied));
    let mut new = Vec::new();
    if !has(known, &What::Texted) {
        new.push(plain(What::Texted, texted.unwrap_or(at), source));
    }
    if !has(known, &What::Replied) {
        new.push(Mark { length: waited, ..plain(What::Replied, replied.unwrap_or(at), source) });
    }
    new
}

fn of_message(known: &[Mark], outbound: bool, sent_at: Timestamp, source: Source) -> Vec<Mark> {
    let texted = known.iter().find(|mark| mark.what == What::Texted).map(|mark| mark.at);
    match (outbound, texted) {
        (true, None) => vec![plain(What::Texted, sent_at, source)],
        // An SMS of the lead's own accord is no answer.
        (false, Some(texted)) if sent_at >= texted && !has(known, &What::Replied) => {
            vec![Mark { length: Some(between(texted, sent_at)), ..plain(What::Replied, sent_at, source) }]
        }
        _ => Vec::new(),
    }
}

/// Milliseconds from one to the other, 0 if it is not later, at most 49 days.
fn between(from: Timestamp, to: Timestamp) -> u32 {
    u32::try_from(to.since(from).as_millis()).unwrap_or(u32::MAX)
}

/// Seconds, as a number or as its digits in a string; in milliseconds.
fn seconds(raw: &RawValue) -> Option<u32> {
    let seconds: f64 = word(raw)?.parse().ok()?;
    // A float that is cast stays within the bounds.
    (seconds.is_finite() && seconds >= 0.0).then(|| (seconds * 1000.0).round() as u32)
}

/// Where a call counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The hour in which it began, in hours since the epoch.
    pub hour: u32,
    /// Its site.
    pub domain: Option<Domain>,
    /// Where it came from.
    pub source: Source,
    /// The agent who took it.
    pub agent: Option<String>,
}

/// What one call adds to the report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// Where.
    pub place: Place,
    /// The types of its events, each once.
    pub events: Vec<EventType>,
    /// How it ended: `callstatus` of `call.finished`, else of `call.missed`.
    pub outcome: Option<String>,
    /// Milliseconds from `call.new` to `call.claimed`.
    pub claim: Option<u32>,
    /// Milliseconds from `call.new` to `call.connected`.
    pub connect: Option<u32>,
    /// Milliseconds that they talked.
    pub talk: Option<u32>,
    /// Whether the lead was written to.
    pub texted: bool,
    /// Whether the lead answered.
    pub replied: bool,
    /// Milliseconds from the first SMS to the lead to the lead's first answer.
    pub reply: Option<u32>,
}

/// What the call with these marks adds to the report; `None` if nothing is known of it.
///
/// It counts in the hour of its `call.new`; without one, of its earliest event; without any, of its
/// earliest message. Domain and source are those that were known first; the agent is the one of `call.claimed`, else of
/// `call.connected`, else of `call.finished`.
pub fn share(marks: &[Mark]) -> Option<Share> {
    let first = marks.first()?;
    let event = |name: &str| {
        marks.iter().find(|mark| matches!(&mark.what, What::Event(event_type) if event_type.as_str() == name))
    };
    let is_event = |mark: &&Mark| matches!(mark.what, What::Event(_));
    let earliest = || marks.iter().filter(is_event).map(|mark| mark.at).min();
    let new = event("call.new").map(|mark| mark.at);
    let began = new.or_else(earliest).or_else(|| marks.iter().map(|mark| mark.at).min())?;
    let since_new = |name: &str| new.zip(event(name)).map(|(new, mark)| between(new, mark.at));
    let agents = ["call.claimed", "call.connected", "call.finished"].map(|name| event(name)?.agent.clone());
    let outcomes = ["call.finished", "call.missed"].map(|name| event(name)?.outcome.clone());
    let replied = marks.iter().find(|mark| mark.what == What::Replied);
    let events = marks.iter().filter_map(|mark| match &mark.what {
        What::Event(event_type) => Some(event_type.clone()),
        What::Texted | What::Replied => None,
    });
    Some(Share {
        place: Place {
            hour: u32::try_from(began.millis() / 3_600_000).unwrap_or(u32::MAX),
            domain: marks.iter().find_map(|mark| mark.domain.clone()),
            source: first.source,
            agent: agents.into_iter().flatten().next(),
        },
        events: events.collect(),
        outcome: outcomes.into_iter().flatten().next(),
        claim: since_new("call.claimed"),
        connect: since_new("call.connected"),
        talk: event("call.finished").and_then(|mark| mark.length),
        texted: has(marks, &What::Texted),
        replied: replied.is_some(),
        reply: replied.and_then(|mark| mark.length),
    })
}

#[cfg(test)]
mod tests;
