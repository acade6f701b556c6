//! What happened: the outcome of one attempt, and the entry of the log that tells of it.
//!
//! Every 'why' is a closed list, stored, logged, counted and shown under one name.

use std::time::Duration;

use super::delivery::{Delivery, State};
use super::event::{CallId, Company, Domain, Event, EventType};
use super::id::{AttemptId, DeliveryId, EventId, SubscriptionId};
use super::subscription::{Format, Layout, Nested, Subscription};
use super::text::words;
use super::time::Timestamp;

words! {
    /// Why an attempt got no answer.
    Fault {
        /// The URL's host name is not known to DNS.
        NameNotFound = "name_not_found",
        /// DNS did not answer in time.
        ResolveTimeout = "resolve_timeout",
        /// An address that `[network]` does not allow.
        AddressDenied = "address_denied",
        /// Nothing listens there.
        Refused = "connection_refused",
        /// The network knows no way there.
        Unreachable = "unreachable",
        /// The proxy of `[network]` did not let the connection through, or is not there.
        Proxy = "proxy_failed",
        /// The connection was not established in time.
        ConnectTimeout = "connect_timeout",
        /// The certificate has run out, or is not valid yet.
        TlsExpired = "tls_certificate_expired",
        /// The certificate is another host's.
        TlsWrongName = "tls_wrong_name",
        /// The certificate's issuer is not one this machine trusts.
        TlsUnknownIssuer = "tls_unknown_issuer",
        /// TLS failed in another way.
        Tls = "tls_failed",
        /// The request was not taken in time.
        SendTimeout = "send_timeout",
        /// No answer began in time.
        ResponseTimeout = "response_timeout",
        /// The answer's body did not end in time.
        BodyTimeout = "body_timeout",
        /// The connection broke before the answer was complete.
        Disconnected = "disconnected",
        /// What came back is not HTTP.
        Protocol = "protocol_error",
        /// The URL cannot be called.
        BadUrl = "bad_url",
        /// What was to be sent is gone from the store (retention) or cannot be read.
        EventUnavailable = "event_unavailable",
        /// Hookswitch's own fault: the attempt ended in a panic.
        Internal = "internal_error",
    }
}

words! {
    /// The parts of an attempt, in their order.
    Phase {
        /// Turning the host's name into addresses.
        Resolve = "resolve",
        /// Establishing the connection, TLS included.
        Connect = "connect",
        /// Sending the request.
        Send = "send",
        /// Waiting for the answer's first line and headers.
        Wait = "wait",
        /// Reading the answer's body.
        Receive = "receive",
    }
}

/// An answer as it was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The headers in their order, named as the receiver wrote them; what is not UTF-8 is shown with replacement
    /// characters.
    pub headers: Vec<(String, String)>,
    /// The beginning of the body, unpacked where it came as gzip or deflate; at most [`Answer::BODY_KEPT`] bytes.
    pub body: Vec<u8>,
    /// Whether there was more of the body.
    pub truncated: bool,
}

impl Answer {
    /// How many bytes of an answer's body are kept.
    pub const BODY_KEPT: usize = 8 * 1024;
    /// How many bytes of an answer's headers (names and values) are kept.
    pub const HEADERS_KEPT: usize = 8 * 1024;

    /// The value of the header `name` (any case), the first if there are several.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    /// Whether the status means success (2xx).
    pub const fn is_success(&self) -> bool {
        self.status >= 200 && self.status < 300
    }
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// With an answer, whatever its status.
    Answered(Answer),
    /// Without one.
    Failed {
        /// Why.
        fault: Fault,
        /// What there is to know beyond the fault's name, as a sentence; may be empty.
        detail: String,
    },
}

/// One attempt: what was seen of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// How it ended.
    pub outcome: Outcome,
    /// What was wrong with the rest of an answer whose status came, as a sentence without a full stop that
    /// holds nothing of what the receiver sent.
    pub note: Option<String>,
    /// How long it took in all.
    pub duration: Duration,
    /// How long each phase took that was reached, in order.
    pub phases: Vec<(Phase, Duration)>,
    /// The address that was connected to, with its port.
    pub address: Option<String>,
}

words! {
    /// What an entry of the log says of its delivery.
    Status {
        /// It arrived.
        Delivered = "delivered",
        /// It will be tried again.
        Retrying = "retrying",
        /// It was given up: a dead letter.
        Failed = "failed",
        /// It was not delivered in the time in which it was wanted.
        Expired = "expired",
        /// Somebody cancelled it.
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

/// What an attempt sent, as far as the body cannot be written again from its event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// How the body was written.
    pub format: Format,
    /// What it held.
    pub layout: Layout,
    /// How a form held lists and objects.
    pub nested: Nested,
    /// The headers in their order; the values of the subscription's own headers are left out.
    pub headers: Vec<(String, Option<String>)>,
}

/// One entry of the log: an attempt, or a delivery that ended without one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// Its id; given by the store.
    pub id: AttemptId,
    /// When the attempt ended, or the delivery did.
    pub created: Timestamp,
    /// The event type.
    pub event_type: EventType,
    /// What became of the delivery.
    pub status: Status,
    /// The status code, if there was an answer.
    pub response: Option<u16>,
    /// Why there was none.
    pub error: Option<Fault>,
    /// What there is to know beyond `error`; without one, what was wrong with the rest of an answer
    /// ([`Report::note`]), or why the delivery ended without an attempt.
    pub error_detail: String,
    /// How long the attempt took.
    pub duration: Duration,
    /// How long each of its phases took.
    pub phases: Vec<(Phase, Duration)>,
    /// The address that was connected to.
    pub address: Option<String>,
    /// Which attempt of the delivery it was, from 1; 0 if the delivery ended without one.
    pub attempt: u32,
    /// When it is tried again.
    pub next_attempt: Option<Timestamp>,
    /// Whether it was a probe.
    pub test: bool,
    /// Whether a replay had put the delivery back into the queue.
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
    /// The URL that was called.
    pub url: String,
    /// What was sent; `None` if the delivery ended without an attempt.
    pub sent: Option<Sent>,
    /// The body that was sent, where no stored event can give it again (a probe).
    pub sent_body: Option<Vec<u8>>,
    /// What came back.
    pub answer: Option<Answer>,
}

impl LogEntry {
    /// The entry for a delivery that ended without an attempt, `why` as a sentence. Its id is the
    /// store's to give.
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
