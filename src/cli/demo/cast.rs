//! The receivers of the demo and their subscriptions.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use serde::Deserialize;
use serde_json::json;

use crate::cli::client::{Client, SecretReply, read, subscription_path};
use crate::cli::exit::Failure;
use crate::cli::receiver::{Answer, Message, Receiver};
use crate::core::subscription::Secret;

/// The company of the demo's events.
pub(super) const COMPANY: &str = "acme";
/// Their domain.
pub(super) const DOMAIN: &str = "www.acme.example";
/// Their source.
pub(super) const SOURCE: &str = "widget";
/// The preset of the receiver that stands in for Slack.
pub(super) const SLACK: &str = "slack";

/// The behaviour of a receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Behaviour {
    /// Accepts everything.
    Works,
    /// Answers 503 twice, then works.
    FailsTwice,
    /// Answers 410.
    Gone,
    /// Answers as Slack's incoming webhooks do: 400 (`no_text`) to what has no text.
    Slack,
}

/// The definition of a receiver.
#[derive(Debug)]
pub(super) struct Part {
    /// Its name, also the path of its URL.
    pub(super) name: &'static str,
    /// `json` or `form`.
    pub(super) format: &'static str,
    /// `envelope`, `flat`, or the name of a preset, whose body is JSON.
    pub(super) layout: &'static str,
    /// The event type it subscribes to, or `*`.
    pub(super) events: &'static str,
    pub(super) behaviour: Behaviour,
}

/// All of them.
pub(super) const PARTS: [Part; 6] = [
    Part { name: "crm", format: "json", layout: "envelope", events: "*", behaviour: Behaviour::Works },
    Part { name: "reporting", format: "form", layout: "envelope", events: "*", behaviour: Behaviour::Works },
    Part { name: "older-style", format: "json", layout: "flat", events: "*", behaviour: Behaviour::Works },
    Part { name: "chat", format: "json", layout: SLACK, events: "*", behaviour: Behaviour::Slack },
    Part {
        name: "flaky",
        format: "json",
        layout: "envelope",
        events: "call.finished",
        behaviour: Behaviour::FailsTwice,
    },
    Part { name: "gone", format: "json", layout: "envelope", events: "call.missed", behaviour: Behaviour::Gone },
];

impl Behaviour {
    /// The response to an attempt with `body` preceded by `before` others.
    fn status(self, before: usize, body: &[u8]) -> u16 {
        match self {
            Self::Slack if text_of(body).is_none() => 400,
            Self::FailsTwice if before < 2 => 503,
            Self::Works | Self::FailsTwice | Self::Slack => 200,
            Self::Gone => 410,
        }
    }

    /// The number of attempts per delivery.
    pub(super) const fn attempts(self) -> u32 {
        match self {
            Self::FailsTwice => 3,
            Self::Works | Self::Gone | Self::Slack => 1,
        }
    }

    /// For display.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Works => "works",
            Self::FailsTwice => "fails twice",
            Self::Gone => "is gone",
            Self::Slack => "is like Slack",
        }
    }
}

/// The text of a message for Slack; `None` if it would answer `no_text` or `invalid_payload`.
pub(super) fn text_of(body: &[u8]) -> Option<String> {
    let document: serde_json::Value = serde_json::from_slice(body).ok()?;
    document["text"].as_str().filter(|text| !text.trim().is_empty()).map(str::to_owned)
}

impl Part {
    /// Which of the event types `posted` it receives.
    pub(super) fn wanted<'a>(&self, posted: &[&'a str]) -> Vec<&'a str> {
        posted.iter().copied().filter(|name| self.events == "*" || self.events == *name).collect()
    }
}

/// A request as received, and its response.
#[derive(Debug, Clone)]
pub(super) struct Arrival {
    pub(super) message: Message,
    pub(super) at: SystemTime,
    pub(super) status: u16,
}

type Arrivals = Arc<Mutex<Vec<Arrival>>>;

/// A running receiver, with its subscription.
pub(super) struct Actor {
    pub(super) part: &'static Part,
    pub(super) url: String,
    pub(super) subscription: String,
    pub(super) secret: Secret,
    arrivals: Arrivals,
    _receiver: Receiver,
}

impl Actor {
    /// Starts the receiver and subscribes it.
    ///
    /// # Errors
    /// It cannot listen, or the daemon refuses the subscription.
    pub(super) fn enter(part: &'static Part, client: &Client) -> Result<Self, Failure> {
        let arrivals = Arrivals::default();
        let receiver = receiver(part.behaviour, Arc::clone(&arrivals))?;
        let url = format!("http://{}/{}", receiver.address(), part.name);
        let mut body = json!({
            "company": COMPANY, "url": url, "format": part.format, "layout": part.layout,
            "events": [part.events], "description": format!("demo: {}", part.name),
        });
        if part.layout == SLACK {
            // Slack takes one message a second; the one here is not as busy.
            (body["layout"], body["preset"], body["rate_per_second"]) = (json!("envelope"), json!(SLACK), json!(100));
        }
        let made: Named = read(&client.post("/v1/subscriptions", &body.to_string())?)?;
        let reply: SecretReply = read(&client.get(&format!("{}/secret", subscription_path(&made.id)))?)?;
        let secret = Secret::parse(&reply.secret)
            .map_err(|fault| Failure::new(format!("the daemon gave a secret that {fault}")))?;
        Ok(Self { part, url, subscription: made.id, secret, arrivals, _receiver: receiver })
    }

    /// The requests so far, in order.
    pub(super) fn arrivals(&self) -> Vec<Arrival> {
        locked(&self.arrivals).clone()
    }
}

#[derive(Deserialize)]
struct Named {
    id: String,
}

fn receiver(behaviour: Behaviour, arrivals: Arrivals) -> Result<Receiver, Failure> {
    let handler = move |message: &Message| {
        let mut arrivals = locked(&arrivals);
        let status = behaviour.status(arrivals.len(), message.body());
        arrivals.push(Arrival { message: message.clone(), at: SystemTime::now(), status });
        Answer { status, delay: Duration::ZERO }
    };
    Receiver::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), handler)
        .map_err(|error| Failure::new(format!("a receiver cannot listen on 127.0.0.1: {error}")))
}

fn locked(arrivals: &Arrivals) -> MutexGuard<'_, Vec<Arrival>> {
    arrivals.lock().unwrap_or_else(PoisonError::into_inner)
}
