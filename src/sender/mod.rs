//! Posting: the only module that knows ureq.
//!
//! - [`transport`]: sends requests, shared by all threads; its `post` is one attempt.
//! - [`transport_handle`]: a handle to the current transport, which can be replaced while requests are in flight.
//! - [`pool`]: the threads on which attempts block.
//! - [`probe`]: a test POST, and the plain-language description of an attempt's result (`words`).
//! - [`handshake`]: whether a receiver's certificate is trusted.
//! - [`fetch`]: one exchange that is no attempt.
//!
//! Below these: `attempt` (one bounded exchange), `exchange` (one of another kind), `agents` (one ureq agent per receiver), `wire`, `stream` and
//! `buffers` (connections under ureq), `head` (of responses), `content` (encoded bodies), `tls` and `verifier`
//! (trust), `tokens` (by which receivers are signed in to), `diagnosis` (TLS without common parameters), `tunnel`
//! (through a proxy), `resolver` (names, with the address guard), `marks` (time and phases of the current thread's
//! attempt), `failure`.
//!
//! Knows core. Must not know the store, the retry schedule, or dispatch order.

mod agents;
mod attempt;
mod buffers;
mod content;
mod diagnosis;
mod exchange;
mod failure;
pub mod fetch;
pub mod handshake;
mod head;
mod marks;
pub mod pool;
pub mod probe;
mod resolver;
mod stream;
mod tls;
mod tokens;
pub mod transport;
pub mod transport_handle;
mod tunnel;
mod verifier;
mod wire;
mod words;

pub use pool::{Done, Pool};
pub use transport::{Transport, TransportSettings};
pub use transport_handle::TransportHandle;

#[cfg(test)]
mod receiver;
#[cfg(test)]
mod tests;
