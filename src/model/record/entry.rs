//! A log entry and its effect.

use std::time::Duration;

use bincode::{Decode, Encode};

use crate::core::attempt::{Answer, Fault, LogEntry, Phase, Sent, Status};
use crate::core::delivery::{Delivery, State};
use crate::core::event::{CallId, Company, Domain, EventType};
use crate::core::id::{AttemptId, DeliveryId, EventId, SubscriptionId};
use crate::core::subscription::{Format, Layout, Nested};
use crate::core::time::Timestamp;
use crate::model::error::StoreError;
use crate::model::health::Health;
use crate::model::keys;
use crate::model::record::codec::{self, Word, at, micros, versioned};
use crate::model::record::delivery::{DeliveryRecord, HealthRecord, PriorState};
use crate::model::record::delivery_state::set_state;
use crate::model::record::ended::EndedRecord;
use crate::model::record::kind::{
    Class, Disposition, Expired, Frame, Kind, Target, Waits, begins_no_delivery, encoded_as_itself,
};
use crate::model::redaction::{Rule, Subject};
use crate::model::term::{Owner, Term, Terms};

/// A log entry and its effect. The entry's id is in the record head.
#[derive(Debug, Encode, Decode)]
pub(crate) struct Logged {
    entry: EntryRecord,
    /// The effect; `None` if the entry changes nothing (a probe, or an attempt of a delivery that was cancelled in the
    /// meantime).
    pub(crate) effect: Option<Effect>,
}

/// The effect of a log entry.
#[derive(Debug, Encode, Decode)]
pub(crate) struct Effect {
    /// The delivery after it; its state says whether it is pending, a dead letter or ended.
    pub(crate) after: DeliveryRecord,
    /// The state before it. The counts are updated by this, also during replay, when the view may be ahead of the log.
    pub(crate) before: PriorState,
    /// The subscription's health after it; `None` if unchanged.
    pub(crate) health: Option<HealthRecord>,
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
    pub(crate) fn new(entry: &LogEntry, effect: Option<(State, &Delivery, Option<Health>)>) -> Self {
        let effect = effect.map(|(before, after, health)| Effect {
            after: after.into(),
            before: Some(before).into(),
            health: health.map(Into::into),
        });
        Self { entry: entry.into(), effect }
    }

    pub(crate) fn entry(self, id: AttemptId) -> Option<LogEntry> {
        self.entry.entry(id)
    }

    /// The delivery, if it ended with this entry.
    pub(crate) fn ended(self) -> Option<DeliveryRecord> {
        let after = self.effect?.after;
        (!after.is_owed()).then(|| after.ended_at(self.entry.created))
    }

    pub(crate) fn subscription(&self) -> SubscriptionId {
        SubscriptionId::from_bits(self.entry.subscription)
    }

    pub(crate) fn delivery(&self) -> Option<DeliveryId> {
        self.entry.delivery.map(DeliveryId::from_bits)
    }

    pub(crate) fn company(&self) -> &str {
        &self.entry.company
    }

    pub(crate) fn domain(&self) -> Option<&str> {
        self.entry.domain.as_deref()
    }

    pub(crate) fn event_type(&self) -> &str {
        &self.entry.event_type
    }

    /// The name of its status.
    pub(crate) fn status(&self) -> &str {
        &self.entry.status
    }

    pub(crate) const fn response(&self) -> Option<u16> {
        self.entry.response
    }

    pub(crate) const fn is_test(&self) -> bool {
        self.entry.test
    }

    /// Milliseconds since 1970.
    pub(crate) const fn created(&self) -> u64 {
        self.entry.created
    }

    /// The bits of the event's id.
    pub(crate) const fn event(&self) -> Option<u128> {
        self.entry.event
    }

    /// Whether it has no personal data left.
    pub(crate) fn is_erased(&self) -> bool {
        let answer = self.entry.answer.as_ref();
        let answer = answer.is_none_or(|answer| answer.body.is_empty() && answer.headers.is_empty());
        self.entry.phone.is_none() && self.entry.sent_body.is_none() && answer
    }

    /// The entry without personal data.
    pub(crate) fn erased(mut self) -> Self {
        self.entry.phone = None;
        self.entry.sent_body = None;
        if let Some(answer) = &mut self.entry.answer {
            answer.headers.clear();
            answer.body.clear();
            answer.truncated = true;
        }
        self
    }

    pub(crate) fn call(&self) -> Option<&str> {
        self.entry.call.as_deref()
    }

    pub(crate) fn phone(&self) -> Option<&str> {
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

/// The name for a form whose lists and objects are JSON text. For JSON `nested` has no meaning.
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

impl Kind for Logged {
    const NAME: &'static str = "log entries";
    const CLASS: Class = Class::LogEntry;
    const GRANTS_RIGHTS: bool = false;

    encoded_as_itself!(2);

    fn terms(&self) -> Terms {
        let own = [
            Term::All,
            Term::Type(self.event_type()),
            Term::Status(self.status()),
            Term::Response(self.response()),
            Term::Subscription(self.subscription().bits()),
        ];
        let own = own.into_iter().chain(self.is_test().then_some(Term::Test));
        let own = own.chain(self.domain().map(Term::Domain)).chain(self.call().map(Term::Call));
        let own = own.chain(self.phone().map(Term::Phone));
        let own = own.chain(self.delivery().map(|id| Term::Delivery(id.bits())));
        Terms { keys: Owner::company(self.company()).keys(own), at: Some(self.created()) }
    }

    begins_no_delivery!();

    fn decodes_fully(self, id: u128) -> bool {
        self.entry(AttemptId::from_bits(id)).is_some()
    }

    fn apply(self, _: u128, target: Target<'_>) -> Option<Self> {
        let Effect { after, before, health } = self.effect?;
        let delivery = after.delivery()?;
        set_state(&delivery, before.into(), target);
        if let Some(health) = health {
            let number = delivery.id.subscription_number();
            target.view.put(keys::health(number), versioned(&health));
            target.memory.set_health(number, health.into());
        }
        None
    }

    /// If it ended a delivery whose event is retained, an [`EndedRecord`] replaces it.
    fn retain(frame: Frame<'_>, expired: &Expired, _: Waits<'_>) -> Result<Disposition, StoreError> {
        if frame.id >= expired.log_below {
            return Ok(Disposition::Keep);
        }
        let Some(logged) = codec::decode::<Self>(frame.payload) else { return Ok(Disposition::Keep) };
        let company = logged.company().to_owned();
        Ok(match logged.ended() {
            Some(delivery) if delivery.event().bits() >= expired.events_below => {
                let ended = EndedRecord { delivery, company: Some(company) };
                let mut payload = Vec::new();
                ended.encode(&mut payload);
                Disposition::Replace(ended.kind(), payload)
            }
            _ => Disposition::Drop,
        })
    }

    fn redact(frame: Frame<'_>, rule: &Rule) -> Option<Vec<u8>> {
        let logged = codec::decode::<Self>(frame.payload)?;
        let own = logged.company() == rule.company && logged.event().is_some_and(|event| event < rule.below);
        let named = rule.names(logged.phone(), logged.call());
        (own && named && !logged.is_erased()).then(|| codec::encode(&logged.erased()))
    }

    fn subjects(frame: Frame<'_>, visit: &mut dyn FnMut(&Subject<'_>)) {
        if let Some(logged) = codec::decode::<Self>(frame.payload) {
            visit(&Subject { company: logged.company(), phone: logged.phone(), call: logged.call() });
        }
    }
}
