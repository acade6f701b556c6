//! The HTTP API: the only module that is async, on hyper 1 without a framework.
//!
//! ```text
//! listener     one thread, the ordered stop; admission: which connections are served
//! connection   hyper around one socket: timeouts, panics, the last word; tls_connection: the handshake before
//!   wire         bytes: stalled writers, requests with two lengths
//!   request_validation   heads: methods, hosts, codings
//! router       health | the page | authentication -> route; above all handlers
//! page         Settings > Webhooks in a browser: its views show what the API's routes answer
//! routes       the table of paths, methods and roles, and which handler answers
//!   events, messages, subscriptions, probes, event_types, deliveries, log, stats, tokens, metrics, health, backup   the
//!                handlers, one file per resource
//! request      Authorised -> Permitted -> a body within its limits
//! bridge       to the store, which blocks; fair_limit: in whose turn; answers: the way back
//! authentication   whose a request is; access: what a token may see and do
//!   session      who signed in on the page; origin: that a change comes from there; attempts: how often
//!   forwarded    whom a request comes from, behind proxies, too
//! context      what is behind a request: services of the other modules, and what requests share
//! reply, problem, body   answers and refusals
//! openapi      the description of the API
//! idempotency_key  a producer's own id, beside an event or a message
//! budget       of the memory for what clients have not read or not sent whole
//! ```
//!
//! Each stands above what is below it; no file imports one above.
//!
//! Knows core, the store's API and the sender's probe; what else it needs it is handed as [`Services`].
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
mod authentication;
mod backlog;
mod backup;
mod body;
mod bridge;
mod budget;
mod calls;
mod cloud_events;
mod connection;
mod context;
mod cursor;
mod deliveries;
mod erasures;
mod event_types;
mod events;
mod export;
mod fair_limit;
mod forwarded;
mod health;
mod idempotency_key;
mod listener;
mod log;
mod log_entry;
mod messages;
mod metrics;
mod openapi;
mod origin;
mod page;
mod path;
mod probes;
mod problem;
mod query;
mod reply;
mod report;
mod request;
mod request_validation;
mod reserved_secrets;
mod router;
mod routes;
mod session;
mod settings;
mod shape;
mod stats;
mod subscriptions;
#[cfg(test)]
mod tests;
mod tls;
mod tls_connection;
mod tokens;
mod wire;

use std::io;
use std::net::TcpListener;
use std::sync::Arc;

pub use access::FirstToken;
pub use answers::{Answers, answers};
pub use budget::Budget;
use context::RequestContext;
pub use context::{Flow, Flows, Senders, Services};
pub use listener::{Died, Server};
use router::Router;
pub use settings::Settings;
pub use tls::Tls;

/// Serves the API on `listener`, on a thread of its own, until it is [stopped](Server::stop). That thread also gives
/// the store's `answers`. `died` is called if that thread ends by a panic.
///
/// # Errors
/// The listener cannot be taken over, or no thread can be had.
pub fn serve(
    listener: TcpListener,
    services: Services,
    answers: Answers,
    settings: Settings,
    died: Died,
) -> io::Result<Server> {
    let router = Router::new(Arc::new(RequestContext::new(services, &settings, listener.local_addr()?.port())));
    listener::start(listener, Arc::new(router), settings, answers.give(), died)
}
