//! The outcome of one attempt, and its log entry.
//!
//! Every reason is a closed list, stored, logged, counted and shown under one name.

use std::time::Duration;

pub use super::answer::Answer;
use super::delivery::{Delivery, State};
use super::event::{CallId, Company, Domain, Event, EventType};
use super::id::{AttemptId, DeliveryId, EventId, SubscriptionId};
use super::subscription::{Format, Layout, Nested, Subscription};
use super::success::SuccessRule;
use super::text::words;
use super::time::Timestamp;

words! {
    /// Why an attempt got no response, or none that counts although its status does.
    Fault {
        /// The URL's host name is not known to DNS.
        NameNotFound = "name_not_found",
        /// DNS did not answer in time.
        ResolveTimeout = "resolve_timeout",
        /// An address that `[network]` does not allow.
        AddressDenied = "address_denied",
        /// Nothing listens there.
        Refused = "connection_refused",
        /// There is no route to the address.
        Unreachable = "unreachable",
        /// The proxy of `[network]` refused the connection, or cannot be reached.
        Proxy = "proxy_failed",
        /// The connection was not established in time.
        ConnectTimeout = "connect_timeout",
        /// The certificate has expired or is not valid yet.
        TlsExpired = "tls_certificate_expired",
        /// The certificate is for another host name.
        TlsWrongName = "tls_wrong_name",
        /// The certificate's issuer is not trusted by this machine.
        TlsUnknownIssuer = "tls_unknown_issuer",
        /// TLS failed in another way.
        Tls = "tls_failed",
        /// The request was not read in time.
        SendTimeout = "send_timeout",
        /// No response began in time.
        ResponseTimeout = "response_timeout",
        /// The response's body did not end in time.
        BodyTimeout = "body_timeout",
        /// The connection broke before the response was complete.
        Disconnected = "disconnected",
        /// The response is not HTTP.
        Protocol = "protocol_error",
        /// The URL cannot be called.
        BadUrl = "bad_url",
        /// The token to sign in with could not be fetched.
        SignIn = "sign_in_failed",
        /// The status is a success, but the body is not, by `success_body`.
        UnexpectedBody = "unexpected_body",
        /// The template of the body did not render.
        Template = "template_failed",
        /// The event is gone from the store (retention) or cannot be read.
        EventUnavailable = "event_unavailable",
        /// Internal error: the attempt panicked.
        Internal = "internal_error",
    }
}

words! {
    /// The phases of an attempt, in order.
    Phase {
        /// Resolving the host's name.
        Resolve = "resolve",
        /// Establishing the connection, TLS included.
        Connect = "connect",
        /// Sending the request.
        Send = "send",
        /// Waiting for the response's status line and headers.
        Wait = "wait",
        /// Reading the response's body.
        Receive = "receive",
    }
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// With a response, whatever its status.
    Answered(Answer),
    /// Without one.
    Failed {
        /// The reason.
        fault: Fault,
        /// Details beyond the fault's name, as a sentence; may be empty.
        detail: String,
    },
}

/// The observed facts of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// How it ended.
    pub outcome: Outcome,
    /// What was wrong with the rest of a response whose status was received, as a sentence without a full stop that
    /// contains nothing the receiver sent.
    pub note: Option<String>,
    /// Total duration.
    pub duration: Duration,
    /// The duration of each phase reached, in order.
    pub phases: Vec<(Phase, Duration)>,
    /// The address connected to, with its port.
    pub address: Option<String>,
}

impl Report {
    /// What the log has of it: the response, the fault, and the detail of that, or the note.
    pub fn for_log(&self, rule: &SuccessRule) -> (Option<Answer>, Option<Fault>, String) {
        match &self.outcome {
            Outcome::Failed { fault, detail } => (None, Some(*fault), detail.clone()),
            Outcome::Answered(answer) => match rule.fault_of_body(answer) {
                Some(why) => (Some(answer.clone()), Some(Fault::UnexpectedBody), why),
                None => (Some(answer.clone()), None, self.note.clone().unwrap_or_default()),
            },
        }
    }
}

words! {
    /// A delivery's status in a log entry.
    Status {
        /// Delivered.
        Delivered = "delivered",
        /// To be retried.
        Retrying = "retrying",
        /// Given up: a dead letter.
        Failed = "failed",
        /// Not delivered before it expired.
        Expired = "expired",
        /// Cancelled by hand.
        Cancelled = "cancelled",
    }
}

impl From<Status> for State {
    fn from(status: Status) -> Self {
        match status {
            Status::Delivered => Self::Delivered,
            Status::Retrying => Self::Retrying,
            Status::Failed => Self::Failed,
            Status::Expired => Self::Expired,
            Status::Cancelled => Self::Cancelled,
        }
    }
}

/// What an attempt sent, as far as it cannot be rendered again from the event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// How the body was written.
    pub format: Format,
    /// What it held.
    pub layout: Layout,
    /// How a form held lists and objects.
    pub nested: Nested,
    /// The headers in order; values of the subscription's own headers are omitted.
    pub headers: Vec<(String, Option<String>)>,
}

/// One log entry: an attempt, or a delivery that ended without one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// Assigned by the store.
    pub id: AttemptId,
    /// When the attempt ended, or the delivery did.
    pub created: Timestamp,
    /// The event type.
    pub event_type: EventType,
    /// The resulting status of the delivery.
    pub status: Status,
    /// The status code, if there was a response.
    pub response: Option<u16>,
    /// Why there was none, or why it does not count although its status does.
    pub error: Option<Fault>,
    /// Details of `error`; without one, what was wrong with the rest of a response ([`Report::note`]), or why the
    /// delivery ended without an attempt.
    pub error_detail: String,
    /// The duration of the attempt.
    pub duration: Duration,
    /// The duration of each phase.
    pub phases: Vec<(Phase, Duration)>,
    /// The address connected to.
    pub address: Option<String>,
    /// The number of the attempt, from 1; 0 if the delivery ended without one.
    pub attempt: u32,
    /// When it is retried.
    pub next_attempt: Option<Timestamp>,
    /// Whether it is a probe.
    pub test: bool,
    /// Whether a replay put the delivery back into the queue.
    pub replay: bool,
    /// The event; `None` for a probe.
    pub event: Option<EventId>,
    /// The delivery; `None` for a probe.
    pub delivery: Option<DeliveryId>,
    /// The subscription.
    pub subscription: SubscriptionId,
    /// Its company.
    pub company: Company,
    /// The event's domain.
    pub domain: Option<Domain>,
    /// The event's call; `None` for a probe.
    pub call: Option<CallId>,
    /// The lead's phone number.
    pub phone: Option<String>,
    /// The URL called.
    pub url: String,
    /// What was sent; `None` if the delivery ended without an attempt.
    pub sent: Option<Sent>,
    /// The body sent, if it cannot be rendered from a stored event (a probe, or a template, which may change).
    pub sent_body: Option<Vec<u8>>,
    /// The response.
    pub answer: Option<Answer>,
}

impl LogEntry {
    /// The entry of a delivery that ended without an attempt, with `why` as a sentence. The store assigns the id.
    pub fn without_attempt(
        delivery: &Delivery,
        status: Status,
        why: &str,
        subscription: &Subscription,
        event: Option<&Event>,
        now: Timestamp,
    ) -> Self {
        Self {
            id: AttemptId::from_bits(0),
            created: now,
            event_type: delivery.event_type.clone(),
            status,
            response: None,
            error: None,
            error_detail: why.to_owned(),
            duration: Duration::ZERO,
            phases: Vec::new(),
            address: None,
            attempt: 0,
            next_attempt: None,
            test: false,
            replay: delivery.replay,
            event: Some(delivery.event),
            delivery: Some(delivery.id),
            subscription: delivery.subscription,
            company: subscription.company.clone(),
            domain: event.and_then(|event| event.domain.clone()),
            call: Some(delivery.call.clone()),
            phone: event.and_then(|event| event.phone.clone()),
            url: subscription.url.clone(),
            sent: None,
            sent_body: None,
            answer: None,
        }
    }
}
