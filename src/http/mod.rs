//! The HTTP API: async, on hyper 1 without a framework.
//!
//! ```text
//! listener     one thread, ordered shutdown; admission: which connections are served
//! connection   hyper around one socket: timeouts, panics, closing; tls_connection: the handshake before
//!   wire         bytes: stalled writes, requests with two lengths
//!   request_validation   heads: methods, hosts, codings
//! router       health | the page | authentication -> route; above all handlers
//! page         Settings > Webhooks in a browser: its views query the API's routes
//! routes       the table of paths, methods, roles and handlers
//!   events, messages, subscriptions, probes, event_types, deliveries, log, stats, tokens, sessions, portal_links,
//!                metrics, health, backup   the handlers, one file per resource
//! request      Authorised -> Permitted -> a body within its limits
//! bridge       to the blocking store; fair_limit: fair slots; answers: the way back
//! authentication   the token of a request; access: its permissions
//!   session      the cookies of signed-in browsers; origin: protection of changes; attempts: failed sign-ins
//!   forwarded    the client's address, also behind proxies
//! context      services of other modules, and shared state
//! reply, problem, body   responses and refusals
//! openapi      the description of the API
//! idempotency_key  a producer's own id in a header
//! brand        how the page looks like the platform's own
//! budget       of memory for unread responses and incomplete bodies
//! ```
//!
//! Each stands above what is below it; no file imports one above.
//!
//! Knows core, the store's API, the provider of OpenID Connect and the sender's probe; other services are passed in as [`Services`].
//!
//! Invariants:
//! - No byte of a body is read before the token was checked, except the sign-in form (at most 8 KiB, few attempts);
//!   no handler runs without a role.
//! - `202` for an event is sent only after the store's reply, when the event is durable.
//! - Every wait for a client has an end: head, body, and writing the response.
//! - Memory per request is bounded: its head, its body, one page of a list; and in total what clients leave unread or
//!   unfinished.
//! - Accepting, control and reading have their own threads; within each no tenant waits for another's requests.

mod access;
mod acting;
mod admission;
mod answers;
mod attempts;
mod audit;
mod authentication;
mod backlog;
mod backup;
mod body;
mod brand;
mod bridge;
mod budget;
mod calls;
mod cloud_events;
mod cluster;
mod connection;
mod context;
mod copies;
mod cursor;
mod deliveries;
mod erasures;
mod event_types;
mod events;
mod export;
mod fair_limit;
mod forwarded;
mod handshake;
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
mod portal_links;
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
mod sessions;
mod settings;
mod shape;
mod stats;
mod subscriptions;
mod target;
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
pub use brand::{Logo, adjusted};
pub use budget::Budget;
use context::RequestContext;
pub use context::{Flow, Flows, Senders, Services};
pub use listener::{Died, Server};
use router::Router;
pub use settings::{PageSettings, Settings};
pub use tls::Tls;

/// Serves the API on `listener`, on its own thread, until it is [stopped](Server::stop). That thread also delivers
/// the store's `answers`. `died` is called if the thread panics.
///
/// # Errors
/// The listener cannot be used, or no thread can be created.
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
