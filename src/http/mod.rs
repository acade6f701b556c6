//! The HTTP API: the only room that is async, on hyper 1 without a framework.
//!
//! ```text
//! listener     one thread, the ordered stop; admission: which connections are served
//! connection   hyper around one socket: timeouts, panics, the last word
//!   wire         bytes: stalled writers, requests with two lengths
//!   hygiene      heads: methods, hosts, codings
//! edge         health | the page | authorisation -> route
//!   access       tokens, roles, companies
//!   session      who signed in on the page; origin: that a change comes from there; attempts: how often
//!   forwarded    whom a request comes from, behind proxies, too
//!   routes       the table of paths, methods and roles
//!   request      Authorised -> Permitted -> a body within its limits
//! openapi      the description of all of them
//! idempotency_key  a producer's own id, beside an event or a message
//! events, messages, subscriptions, probes, event_types, deliveries, log, stats, tokens, metrics, health, backup   one
//!              file per resource
//! page         Settings > Webhooks in a browser, on top of the resources
//! bridge       to the store, which blocks; fair_limit: in whose turn; answers: the way back
//! budget       of the memory for what clients have not read or not sent whole
//! ```
//!
//! Knows core, the store's verbs and the sender's probe; what else it needs it is handed in an [`Edge`].
//!
//! What always holds:
//! - No byte of a body is read before the token was checked, but for the form of signing in (8 KiB at
//!   most, few attempts); no handler runs without a role.
//! - `202` to an event is answered only from the store's reply, when it is on the disk.
//! - Every wait for a client has an end: head, body, and the writing of the answer.
//! - What is read into memory for one request is bounded: its head, its body, one page of a list; and for all together what
//!   clients leave unread or unfinished.
//! - Accepting, control and reading have threads of their own; within each nobody waits for what another tenant asks for.

mod access;
mod admission;
mod answers;
mod attempts;
mod backlog;
mod backup;
mod bridge;
mod budget;
mod calls;
mod cloud_events;
mod connection;
mod cursor;
mod deliveries;
mod edge;
mod erasures;
mod event_types;
mod events;
mod export;
mod fair_limit;
mod forwarded;
mod health;
mod hygiene;
mod idempotency_key;
mod listener;
mod log;
mod messages;
mod metrics;
mod openapi;
mod origin;
mod page;
mod probes;
mod problem;
mod query;
mod reply;
mod report;
mod request;
mod routes;
mod session;
mod shape;
mod stats;
mod subscriptions;
#[cfg(test)]
mod tests;
mod tls;
mod tokens;
mod wire;

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

pub use access::FirstToken;
pub use answers::{Answers, answers};
pub use budget::Budget;
pub use edge::{Edge, Flow, Flows, Senders};
pub use listener::{Died, Server};
pub use tls::Tls;

/// `[http]`, as far as it limits requests.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The largest body of a request, in bytes.
    pub max_body_bytes: usize,
    /// How many connections are served at once.
    pub max_connections: usize,
    /// How long a request's head may take; also a TLS handshake, and how long a connection may be idle.
    pub header_timeout: Duration,
    /// How long a request's whole body may take.
    pub body_timeout: Duration,
    /// How long an answer may wait for a client that does not read it. 30 s is a good value.
    pub write_timeout: Duration,
    /// How many connections one address may have at once.
    pub connections_per_address: usize,
    /// The proxies that are believed when they name the client behind them.
    pub trusted_proxies: Vec<IpNet>,
    /// The certificate, if connections are to be TLS.
    pub tls: Option<Arc<Tls>>,
}

/// Serves the API on `listener`, on a thread of its own, until it is [stopped](Server::stop). That thread also gives
/// the store's `answers`. `died` is called if that thread ends by a panic.
///
/// # Errors
/// The listener cannot be taken over, or no thread can be had.
pub fn serve(
    listener: TcpListener,
    edge: Edge,
    answers: Answers,
    settings: Settings,
    died: Died,
) -> io::Result<Server> {
    let front = edge::Front::new(edge, &settings, listener.local_addr()?.port());
    listener::start(listener, Arc::new(front), settings, answers.give(), died)
}
