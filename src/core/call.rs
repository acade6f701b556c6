//! A call as counted by the report.
//!
//! A call is represented by its [`Milestone`]s: one for the first accepted event of each type, one for the first SMS
//! sent to the lead, one for the lead's first reply. Repetitions add no milestone, so nothing is counted twice; late
//! events add theirs like any other. [`contribution`] derives from the milestones, independently of their order, where
//! and how the call counts.

mod members;
mod summary;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::event::{Domain, EventType, Source};
use super::json;
use super::time::Timestamp;
use members::{agent, outcome, word};

pub use summary::Summary;

/// Maximum milestones of a call: those of the seven built-in event types, of messages, and of as many declared event
/// types as fit.
pub const MAX_MILESTONES: usize = 32;
/// The subject of a milestone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MilestoneKind {
    /// The first accepted event of this type.
    Event(EventType),
    /// The first SMS that was sent to the lead.
    Texted,
    /// The lead's first reply to one.
    Replied,
}

/// One fact about a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Milestone {
    /// Its subject.
    pub what: MilestoneKind,
    /// When it happened.
    pub at: Timestamp,
    /// The call's domain, on the first milestone that has it.
    pub domain: Option<Domain>,
    /// Where it came from.
    pub source: Source,
    /// `agent_id`, of events that have one.
    pub agent: Option<String>,
    /// `callstatus`, of `call.finished` and `call.missed`.
    pub outcome: Option<String>,
    /// Milliseconds: the talk time (`duration` of `call.finished`), or the time until the reply
    /// ([`MilestoneKind::Replied`]).
    pub length: Option<u32>,
}

/// Something that happened to a call.
#[derive(Debug, Clone, Copy)]
pub enum Occurrence<'h> {
    /// An event was accepted.
    Event {
        /// Its type.
        event_type: &'h EventType,
        /// When it happened.
        at: Timestamp,
        /// The domain.
        domain: Option<&'h Domain>,
        /// Where it came from.
        source: Source,
        /// The data, as posted.
        data: &'h str,
    },
    /// An SMS was stored.
    Message {
        /// To the lead; otherwise from the lead.
        outbound: bool,
        /// When it was sent.
        sent_at: Timestamp,
        /// The domain.
        domain: Option<&'h Domain>,
        /// Where it came from.
        source: Source,
    },
}

/// The milestones that `occurred` adds to those `known`, in order of arrival.
pub fn new_milestones(known: &[Milestone], occurred: Occurrence<'_>) -> Vec<Milestone> {
    let mut new = match occurred {
        Occurrence::Event { event_type, at, source, data, .. } => of_event(known, event_type, at, source, data),
        Occurrence::Message { outbound, sent_at, source, .. } => of_message(known, outbound, sent_at, source),
    };
    new.truncate(MAX_MILESTONES.saturating_sub(known.len()));
    let (Occurrence::Event { domain, .. } | Occurrence::Message { domain, .. }) = occurred;
    if let Some(first) = new.first_mut()
        && known.iter().all(|milestone| milestone.domain.is_none())
    {
        first.domain = domain.cloned();
    }
    new
}

fn plain(what: MilestoneKind, at: Timestamp, source: Source) -> Milestone {
    Milestone { what, at, domain: None, source, agent: None, outcome: None, length: None }
}

fn has(known: &[Milestone], what: &MilestoneKind) -> bool {
    known.iter().any(|milestone| milestone.what == *what)
}

/// The members of `data` used by the report.
#[derive(Default, Deserialize)]
struct Fields<'d> {
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

fn of_event(known: &[Milestone], event_type: &EventType, at: Timestamp, source: Source, data: &str) -> Vec<Milestone> {
    let what = MilestoneKind::Event(event_type.clone());
    if has(known, &what) {
        return Vec::new();
    }
    let mut milestone = plain(what, at, source);
    let name = event_type.as_str();
    if !matches!(name, "call.claimed" | "call.connected" | "call.finished" | "call.missed" | "call.smsfollowup") {
        return vec![milestone];
    }
    let fields: Fields<'_> = serde_json::from_str(data).unwrap_or_default();
    match name {
        "call.smsfollowup" => {
            let mut all = vec![milestone];
            all.extend(of_thread(known, &fields, at, source));
            return all;
        }
        "call.missed" => milestone.outcome = fields.callstatus.and_then(outcome),
        "call.finished" => {
            milestone.agent = fields.agent_id.and_then(agent);
            milestone.outcome = fields.callstatus.and_then(outcome);
            milestone.length = fields.duration.and_then(seconds);
        }
        _ => milestone.agent = fields.agent_id.and_then(agent),
    }
    vec![milestone]
}

/// The facts of a complete thread: that the lead was written to and replied, and when, if that can be parsed.
fn of_thread(known: &[Milestone], fields: &Fields<'_>, at: Timestamp, source: Source) -> Vec<Milestone> {
    #[derive(Default, Deserialize)]
    struct Message<'m> {
        #[serde(borrow, default)]
        direction: Option<&'m RawValue>,
        #[serde(borrow, default)]
        sent_at: Option<&'m RawValue>,
    }
    let time = |raw: &RawValue| json::string(raw).ok().and_then(|text| Timestamp::parse(&text).ok());
    let (mut texted, mut replied) = (None, None);
    let thread = fields.conversation.and_then(|raw| json::items(raw).ok()).unwrap_or_default();
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
    let replied = replied.or_else(|| fields.received_at.and_then(time));
    let waited = texted.zip(replied).map(|(texted, replied)| between(texted, replied));
    let mut new = Vec::new();
    if !has(known, &MilestoneKind::Texted) {
        new.push(plain(MilestoneKind::Texted, texted.unwrap_or(at), source));
    }
    if !has(known, &MilestoneKind::Replied) {
        new.push(Milestone { length: waited, ..plain(MilestoneKind::Replied, replied.unwrap_or(at), source) });
    }
    new
}

fn of_message(known: &[Milestone], outbound: bool, sent_at: Timestamp, source: Source) -> Vec<Milestone> {
    let texted = known.iter().find(|milestone| milestone.what == MilestoneKind::Texted).map(|milestone| milestone.at);
    match (outbound, texted) {
        (true, None) => vec![plain(MilestoneKind::Texted, sent_at, source)],
        // An unsolicited SMS from the lead is not a reply.
        (false, Some(texted)) if sent_at >= texted && !has(known, &MilestoneKind::Replied) => {
            vec![Milestone { length: Some(between(texted, sent_at)), ..plain(MilestoneKind::Replied, sent_at, source) }]
        }
        _ => Vec::new(),
    }
}

/// Milliseconds between two times, 0 if negative, at most 49 days.
fn between(from: Timestamp, to: Timestamp) -> u32 {
    u32::try_from(to.since(from).as_millis()).unwrap_or(u32::MAX)
}

/// Milliseconds from seconds, given as a number or as digits in a string.
fn seconds(raw: &RawValue) -> Option<u32> {
    let seconds: f64 = word(raw)?.parse().ok()?;
    // Casting a float saturates.
    (seconds.is_finite() && seconds >= 0.0).then(|| (seconds * 1000.0).round() as u32)
}

/// The report bucket of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The hour in which it began, in hours since the epoch.
    pub hour: u32,
    /// The domain.
    pub domain: Option<Domain>,
    /// Where it came from.
    pub source: Source,
    /// The agent who took it.
    pub agent: Option<String>,
}

/// A call's contribution to the report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contribution {
    /// The bucket.
    pub place: Place,
    /// The types of its events, each once.
    pub events: Vec<EventType>,
    /// The outcome: `callstatus` of `call.finished`, else of `call.missed`.
    pub outcome: Option<String>,
    /// Milliseconds from `call.new` to `call.claimed`.
    pub claim: Option<u32>,
    /// Milliseconds from `call.new` to `call.connected`.
    pub connect: Option<u32>,
    /// Talk time in milliseconds.
    pub talk: Option<u32>,
    /// Whether an SMS was sent to the lead.
    pub texted: bool,
    /// Whether the lead replied.
    pub replied: bool,
    /// Milliseconds from the first SMS to the lead to the lead's first reply.
    pub reply: Option<u32>,
}

/// The contribution of the call with these milestones to the report; `None` if there are none.
///
/// It counts in the hour of its `call.new`; without one, of its earliest event; without any, of its earliest message.
/// Domain and source are those known first; the agent is that of `call.claimed`, else of `call.connected`, else of
/// `call.finished`.
pub fn contribution(milestones: &[Milestone]) -> Option<Contribution> {
    let first = milestones.first()?;
    let event = |name: &str| {
        milestones.iter().find(
            |milestone| matches!(&milestone.what, MilestoneKind::Event(event_type) if event_type.as_str() == name),
        )
    };
    let is_event = |milestone: &&Milestone| matches!(milestone.what, MilestoneKind::Event(_));
    let earliest = || milestones.iter().filter(is_event).map(|milestone| milestone.at).min();
    let new = event("call.new").map(|milestone| milestone.at);
    let began = new.or_else(earliest).or_else(|| milestones.iter().map(|milestone| milestone.at).min())?;
    let since_new = |name: &str| new.zip(event(name)).map(|(new, milestone)| between(new, milestone.at));
    let agents = ["call.claimed", "call.connected", "call.finished"].map(|name| event(name)?.agent.clone());
    let outcomes = ["call.finished", "call.missed"].map(|name| event(name)?.outcome.clone());
    let replied = milestones.iter().find(|milestone| milestone.what == MilestoneKind::Replied);
    let events = milestones.iter().filter_map(|milestone| match &milestone.what {
        MilestoneKind::Event(event_type) => Some(event_type.clone()),
        MilestoneKind::Texted | MilestoneKind::Replied => None,
    });
    Some(Contribution {
        place: Place {
            hour: u32::try_from(began.millis() / 3_600_000).unwrap_or(u32::MAX),
            domain: milestones.iter().find_map(|milestone| milestone.domain.clone()),
            source: first.source,
            agent: agents.into_iter().flatten().next(),
        },
        events: events.collect(),
        outcome: outcomes.into_iter().flatten().next(),
        claim: since_new("call.claimed"),
        connect: since_new("call.connected"),
        talk: event("call.finished").and_then(|milestone| milestone.length),
        texted: has(milestones, &MilestoneKind::Texted),
        replied: replied.is_some(),
        reply: replied.and_then(|milestone| milestone.length),
    })
}

#[cfg(test)]
mod tests;
