//! An entry of the log and what it changes.

use std::time::Duration;

use bincode::{Decode, Encode};

use crate::core::attempt::{Answer, Fault, LogEntry, Phase, Sent, Status};
use crate::core::delivery::{Delivery, State};
use crate::core::event::{CallId, Company, Domain, EventType};
use crate::core::id::{AttemptId, DeliveryId, EventId, SubscriptionId};
use crate::core::subscription::{Format, Layout, Nested};
use crate::core::time::Timestamp;

use super::super::Health;
use super::{Before, DeliveryRecord, HealthRecord, Word, at, micros};

/// An entry of the log and what it changes. The entry's id stands in the frame.
#[derive(Debug, Encode, Decode)]
pub(in crate::store) struct Logged {
    entry: EntryRecord,
    /// What became of the delivery; `None` if the entry changes nothing (a probe, an attempt of a
    /// delivery that was cancelled meanwhile).
    pub(in crate::store) effect: Option<Effect>,
}

/// What an entry of the log changes.
#[derive(Debug, Encode, Decode)]
pub(in crate::store) struct Effect {
    /// The delivery from now on; its state says whether it is owed, a dead letter or over.
    pub(in crate::store) after: DeliveryRecord,
    /// Where it stood before. The counts are kept by this, also while the journal is taken in, when
    /// the state may be ahead of it already.
    pub(in crate::store) before: Before,
    /// The subscription's health from now on; `None` if it does not change.
    pub(in crate::store) health: Option<HealthRecord>,
}

#[derive(Debug, Encode, Decode)]
struct EntryRecord {
    created: u64,
    event_type: String,
    status: String,
    response: Option<u16>,
    error: Option<String>,
    error_detail: String,
    duration_us: u64,
    phases: Vec<(String, u64)>,
    address: Option<String>,
    attempt: u32,
    next_attempt: Option<u64>,
    test: bool,
    replay: bool,
    event: Option<u128>,
    delivery: Option<u128>,
    subscription: u128,
    company: String,
    domain: Option<String>,
    call: Option<String>,
    phone: Option<String>,
    url: String,
    sent: Option<SentRecord>,
    sent_body: Option<Vec<u8>>,
    answer: Option<AnswerRecord>,
}

#[derive(Debug, Encode, Decode)]
struct SentRecord {
    format: String,
    layout: String,
    headers: Vec<(String, Option<String>)>,
}

#[derive(Debug, Encode, Decode)]
struct AnswerRecord {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    truncated: bool,
}

impl Logged {
    pub(in crate::store) fn new(entry: &LogEntry, effect: Option<(State, &Delivery, Option<Health>)>) -> Self {
        let effect = effect.map(|(before, after, health)| Effect {
            after: after.into(),
            before: Some(before).into(),
            health: health.map(Into::into),
        });
        Self { entry: entry.into(), effect }
    }

    pub(in crate::store) fn entry(self, id: AttemptId) -> Option<LogEntry> {
        self.entry.entry(id)
    }

    /// The delivery that ended with this entry, from then on; `None` if it did not end.
    pub(in crate::store) fn ended(self) -> Option<DeliveryRecord> {
        let after = self.effect?.after;
        (!after.is_owed()).then(|| after.ended_at(self.entry.created))
    }

    pub(in crate::store) fn subscription(&self) -> SubscriptionId {
        SubscriptionId::from_bits(self.entry.subscription)
    }

    pub(in crate::store) fn delivery(&self) -> Option<DeliveryId> {
        self.entry.delivery.map(DeliveryId::from_bits)
    }

    pub(in crate::store) fn company(&self) -> &str {
        &self.entry.company
    }

    pub(in crate::store) fn domain(&self) -> Option<&str> {
        self.entry.domain.as_deref()
    }

    pub(in crate::store) fn event_type(&self) -> &str {
        &self.entry.event_type
    }

    /// The word of its status.
    pub(in crate::store) fn status(&self) -> &str {
        &self.entry.status
    }

    pub(in crate::store) const fn response(&self) -> Option<u16> {
        self.entry.response
    }

    pub(in crate::store) const fn is_test(&self) -> bool {
        self.entry.test
    }

    /// Milliseconds since 1970.
    pub(in crate::store) const fn created(&self) -> u64 {
        self.entry.created
    }

    /// The bits of the event's id.
    pub(in crate::store) const fn event(&self) -> Option<u128> {
        self.entry.event
    }

    /// Whether nothing is left that a person could be in.
    pub(in crate::store) fn is_erased(&self) -> bool {
        let answer = self.entry.answer.as_ref();
        let answer = answer.is_none_or(|answer| answer.body.is_empty() && answer.headers.is_empty());
        self.entry.phone.is_none() && self.entry.sent_body.is_none() && answer
    }

    /// The same without what a person could be in.
    pub(in crate::store) fn erased(mut self) -> Self {
        self.entry.phone = None;
        self.entry.sent_body = None;
        if let Some(answer) = &mut self.entry.answer {
            answer.headers.clear();
            answer.body.clear();
            answer.truncated = true;
        }
        self
    }

    pub(in crate::store) fn call(&self) -> Option<&str> {
        self.entry.call.as_deref()
    }

    pub(in crate::store) fn phone(&self) -> Option<&str> {
        self.entry.phone.as_deref()
    }
}

impl From<&LogEntry> for EntryRecord {
    fn from(entry: &LogEntry) -> Self {
        let sent = |sent: &Sent| SentRecord {
            format: format_word(sent),
            layout: sent.layout.word(),
            headers: sent.headers.clone(),
        };
        let answer = |answer: &Answer| AnswerRecord {
            status: answer.status,
            headers: answer.headers.clone(),
            body: answer.body.clone(),
            truncated: answer.truncated,
        };
        Self {
            created: entry.created.millis(),
            event_type: entry.event_type.as_str().to_owned(),
            status: entry.status.word(),
            response: entry.response,
            error: entry.error.map(Word::word),
            error_detail: entry.error_detail.clone(),
            duration_us: micros(entry.duration),
            phases: entry.phases.iter().map(|(phase, length)| (phase.word(), micros(*length))).collect(),
            address: entry.address.clone(),
            attempt: entry.attempt,
            next_attempt: entry.next_attempt.map(Timestamp::millis),
            test: entry.test,
            replay: entry.replay,
            event: entry.event.map(EventId::bits),
            delivery: entry.delivery.map(DeliveryId::bits),
            subscription: entry.subscription.bits(),
            company: entry.company.as_str().to_owned(),
            domain: entry.domain.as_ref().map(|domain| domain.as_str().to_owned()),
            call: entry.call.as_ref().map(|call| call.as_str().to_owned()),
            phone: entry.phone.clone(),
            url: entry.url.clone(),
            sent: entry.sent.as_ref().map(sent),
            sent_body: entry.sent_body.clone(),
            answer: entry.answer.as_ref().map(answer),
        }
    }
}

/// The word for a form whose lists and objects are JSON text. Of JSON, what `nested` says changes nothing.
const FORM_WITH_JSON: &str = "form, nested json";

fn format_word(sent: &Sent) -> String {
    match (sent.format, sent.nested) {
        (Format::Form, Nested::Json) => FORM_WITH_JSON.to_owned(),
        (format, _) => format.word(),
    }
}

fn read_format(word: &str) -> Option<(Format, Nested)> {
    match word {
        FORM_WITH_JSON => Some((Format::Form, Nested::Json)),
        word => Some((Format::read(word)?, Nested::Brackets)),
    }
}

impl EntryRecord {
    fn entry(self, id: AttemptId) -> Option<LogEntry> {
        let phase = |(word, length): (String, u64)| Some((Phase::read(&word)?, Duration::from_micros(length)));
        let sent = |sent: SentRecord| {
            let (format, nested) = read_format(&sent.format)?;
            Some(Sent { format, nested, layout: Layout::read(&sent.layout)?, headers: sent.headers })
        };
        let answer = |answer: AnswerRecord| Answer {
            status: answer.status,
            headers: answer.headers,
            body: answer.body,
            truncated: answer.truncated,
        };
        Some(LogEntry {
            id,
            created: at(self.created),
            event_type: EventType::parse(&self.event_type).ok()?,
            status: Status::read(&self.status)?,
            response: self.response,
            error: self.error.and_then(|word| Fault::read(&word)),
            error_detail: self.error_detail,
            duration: Duration::from_micros(self.duration_us),
            phases: self.phases.into_iter().filter_map(phase).collect(),
            address: self.address,
            attempt: self.attempt,
            next_attempt: self.next_attempt.map(at),
            test: self.test,
            replay: self.replay,
            event: self.event.map(EventId::from_bits),
            delivery: self.delivery.map(DeliveryId::from_bits),
            subscription: SubscriptionId::from_bits(self.subscription),
            company: Company::parse(&self.company).ok()?,
            domain: self.domain.and_then(|domain| Domain::parse(&domain).ok()),
            call: self.call.and_then(|call| CallId::parse(&call).ok()),
            phone: self.phone,
            url: self.url,
            sent: self.sent.and_then(sent),
            sent_body: self.sent_body,
            answer: self.answer.map(answer),
        })
    }
}
