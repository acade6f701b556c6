//! Checks that everything was delivered correctly: signatures, bodies, attempts, and the state of failing receivers.
//! Every fault is a sentence; the demo succeeds without any.

use serde::Deserialize;

use super::cast::{Actor, Arrival, Behaviour, SLACK, text_of};
use crate::cli::client::{Client, Page, read, subscription_path};
use crate::cli::event_types::EventType;
use crate::cli::exit::Failure;
use crate::cli::log::Entry;
use crate::cli::receiver::delivery::{self, Signature};
use crate::core::json;

/// Number of built-in event types.
const BUILT_IN: usize = 7;

/// An event accepted by the daemon.
pub(super) struct Posted {
    pub(super) event_type: EventType,
    pub(super) id: String,
    pub(super) deliveries: u32,
}

/// The result.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    /// Number of deliveries expected.
    pub(super) expected: usize,
    /// How many of them are delivered, according to the log.
    pub(super) delivered: usize,
    /// How many of them failed, according to the log.
    pub(super) failed: usize,
    /// Number of requests received.
    pub(super) requests: usize,
    /// How many of those had a valid signature.
    pub(super) verified: usize,
    /// Why the receiver that is gone is disabled.
    pub(super) disabled_reason: Option<String>,
    /// The faults.
    pub(super) faults: Vec<String>,
}

#[derive(Deserialize)]
struct Brief {
    #[serde(default)]
    enabled: bool,
    #[serde(default)]
    disabled_reason: Option<String>,
}

impl Verdict {
    /// Compares what the receivers got with the log.
    ///
    /// # Errors
    /// The daemon does not answer.
    pub(super) fn of(
        client: &Client,
        actors: &[Actor],
        posted: &[Posted],
        log: &[Entry],
        expected: usize,
    ) -> Result<Self, Failure> {
        let with = |status: &str| log.iter().filter(|entry| entry.status == status).count();
        let mut verdict = Self { expected, delivered: with("delivered"), failed: with("failed"), ..Self::default() };
        verdict.judge_counts(actors, posted);
        for actor in actors {
            verdict.judge_actor(actor, posted, log);
            if actor.part.behaviour == Behaviour::Gone {
                verdict.judge_gone(client, actor)?;
            }
        }
        Ok(verdict)
    }

    /// Whether there are no faults.
    pub(super) fn is_good(&self) -> bool {
        self.faults.is_empty()
    }

    fn expect(&mut self, holds: bool, fault: impl FnOnce() -> String) {
        if !holds {
            self.faults.push(fault());
        }
    }

    fn judge_counts(&mut self, actors: &[Actor], posted: &[Posted]) {
        let count = posted.len();
        self.expect(count == BUILT_IN, || format!("there are {count} event types, not {BUILT_IN}"));
        let promised: u32 = posted.iter().map(|event| event.deliveries).sum();
        let expected = self.expected;
        self.expect(usize::try_from(promised) == Ok(expected), || {
            format!("the daemon promised {promised} deliveries, not {expected}")
        });
        let gone: usize = actors.iter().filter(|actor| actor.part.behaviour == Behaviour::Gone).count();
        let (delivered, failed) = (self.delivered, self.failed);
        self.expect(delivered + gone == expected, || {
            format!("{delivered} deliveries are in the log as delivered, not {}", expected - gone)
        });
        self.expect(failed == gone, || format!("{failed} deliveries are in the log as failed, not {gone}"));
    }

    fn judge_actor(&mut self, actor: &Actor, posted: &[Posted], log: &[Entry]) {
        let name = actor.part.name;
        let arrivals = actor.arrivals();
        self.requests += arrivals.len();
        for arrival in &arrivals {
            let signature = delivery::signature(&arrival.message, Some(&actor.secret), arrival.at);
            self.verified += usize::from(signature == Signature::Good);
            self.expect(signature == Signature::Good, || format!("{name}: {}", signature.as_str()));
        }
        let mut wanted = 0;
        for event in posted.iter().filter(|event| !actor.part.wanted(&[&event.event_type.name]).is_empty()) {
            wanted += 1;
            self.judge_event(actor, event, &arrivals);
        }
        let in_log = log.iter().filter(|entry| entry.subscription == actor.subscription).count();
        self.expect(in_log == arrivals.len(), || {
            format!("{name}: {in_log} attempts are in the log, and {} arrived", arrivals.len())
        });
        let gaps = sequence_fault(&arrivals, wanted);
        self.faults.extend(gaps.map(|fault| format!("{name}: {fault}")));
    }

    fn judge_event(&mut self, actor: &Actor, event: &Posted, arrivals: &[Arrival]) {
        let (name, event_type) = (actor.part.name, &event.event_type.name);
        let of_event =
            arrivals.iter().filter(|arrival| delivery::header(&arrival.message, "webhook-id") == Some(&event.id));
        let of_event: Vec<&Arrival> = of_event.collect();
        let attempts: Vec<Option<u32>> = of_event.iter().map(|arrival| delivery::attempt(&arrival.message)).collect();
        let expected: Vec<Option<u32>> = (1..=actor.part.behaviour.attempts()).map(Some).collect();
        self.expect(attempts == expected, || {
            format!("{name}: {event_type} came in {} attempts, not {}", attempts.len(), expected.len())
        });
        for arrival in of_event {
            let fault = body_fault(actor, event, arrival);
            self.faults.extend(fault.map(|fault| format!("{name}: {event_type}: {fault}")));
        }
    }

    fn judge_gone(&mut self, client: &Client, actor: &Actor) -> Result<(), Failure> {
        let brief: Brief = read(&client.get(&subscription_path(&actor.subscription))?)?;
        self.expect(!brief.enabled, || format!("{}: answered 410 and is not disabled", actor.part.name));
        self.disabled_reason = brief.disabled_reason;
        let path = format!("/v1/deliveries?state=failed&subscription={}", actor.subscription);
        let dead: Page = read(&client.get(&path)?)?;
        self.expect(dead.items.len() == 1, || format!("{}: {} dead letters, not 1", actor.part.name, dead.items.len()));
        Ok(())
    }
}

/// What is wrong with the sequence numbers of `arrivals`: `wanted` ones, without a gap.
fn sequence_fault(arrivals: &[Arrival], wanted: usize) -> Option<String> {
    let numbers =
        arrivals.iter().map(|arrival| delivery::header(&arrival.message, "hookswitch-sequence")?.parse::<u64>().ok());
    let Some(mut numbers) = numbers.collect::<Option<Vec<u64>>>() else {
        return Some("a hookswitch-sequence is missing".to_owned());
    };
    numbers.sort_unstable();
    numbers.dedup();
    let whole = numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]);
    (!whole || numbers.len() != wanted).then(|| format!("the sequence numbers {numbers:?} have gaps"))
}

/// What is wrong with the body, by the subscription's format and layout.
fn body_fault(actor: &Actor, event: &Posted, arrival: &Arrival) -> Option<String> {
    if actor.part.layout == SLACK {
        return chat_fault(event, arrival.message.body()).err();
    }
    let named = delivery::event_type(&arrival.message);
    if named.as_deref() != Some(&event.event_type.name) {
        return Some(format!("the body names the event type {named:?}"));
    }
    let fault = match (actor.part.format, actor.part.layout) {
        ("form", _) => form_fault(event, arrival.message.body()),
        (_, "flat") => flat_fault(event, arrival.message.body()),
        _ => envelope_fault(event, arrival.message.body()),
    };
    fault.err()
}

/// The message says who it is about: the number, as people write it.
fn chat_fault(event: &Posted, body: &[u8]) -> Result<(), String> {
    let text = text_of(body).ok_or("the message has no text")?;
    let sample: serde_json::Value =
        serde_json::from_str(event.event_type.sample.get()).map_err(|error| error.to_string())?;
    let phone = sample["lead_phone"].as_str().unwrap_or_default();
    let last = phone.get(phone.len().saturating_sub(4)..).unwrap_or_default();
    if text.contains(last) { Ok(()) } else { Err(format!("the message does not name the number: {text}")) }
}

/// The envelope contains the event's id, and `data` byte for byte.
fn envelope_fault(event: &Posted, body: &[u8]) -> Result<(), String> {
    let text = std::str::from_utf8(body).map_err(|error| error.to_string())?;
    let members = json::members(json::parse(text)?)?;
    let member = |wanted: &str| members.iter().find(|(name, _)| name == wanted).map(|(_, raw)| raw.get());
    if member("id") != Some(&json::quote(&event.id)) {
        return Err("the envelope's id is not the event's".to_owned());
    }
    let same = member("data") == Some(event.event_type.sample.get());
    if same { Ok(()) } else { Err("data is not what was posted".to_owned()) }
}

/// The flat body is the event type and then the members of `data`, in order.
fn flat_fault(event: &Posted, body: &[u8]) -> Result<(), String> {
    let text = std::str::from_utf8(body).map_err(|error| error.to_string())?;
    let members = json::members(json::parse(text)?)?;
    let sent = json::members(&event.event_type.sample)?;
    let plain = |(name, raw): &json::Member<'_>| (name.to_string(), raw.get().to_owned());
    let same = members.iter().skip(1).map(plain).eq(sent.iter().map(plain));
    if same { Ok(()) } else { Err("the members are not those that were posted".to_owned()) }
}

/// The form contains every top-level string and number of `data`, and the texts of the conversation.
fn form_fault(event: &Posted, body: &[u8]) -> Result<(), String> {
    let sample: serde_json::Value =
        serde_json::from_str(event.event_type.sample.get()).map_err(|error| error.to_string())?;
    let pairs: Vec<_> = delivery::form(body).collect();
    let holds = |key: &str, value: &str| pairs.iter().any(|(k, v)| k == key && v == value);
    for (name, raw) in json::members(&event.event_type.sample)? {
        let value = match json::Kind::of(raw) {
            json::Kind::String => json::string(raw)?,
            json::Kind::Number => raw.get().to_owned(),
            _ => continue,
        };
        if !holds(&format!("data[{name}]"), &value) {
            return Err(format!("data[{name}] is not what was posted"));
        }
    }
    let conversation = sample.get("conversation").and_then(serde_json::Value::as_array);
    for (index, message) in conversation.into_iter().flatten().enumerate() {
        let text = message.get("body").and_then(serde_json::Value::as_str).unwrap_or_default();
        if !holds(&format!("data[conversation][{index}][body]"), text) {
            return Err(format!("message {index} of the conversation is not what was posted"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
