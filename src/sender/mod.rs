//! Posting: the only module that knows ureq.
//!
//! - [`transport`]: the way out, one for all threads; its `post` is one attempt.
//! - [`transport_handle`]: a handle to the transport in use, which can be replaced while requests are under way.
//! - [`pool`]: the fixed threads on which attempts block.
//! - [`probe`]: a test POST, and what came of it or of any attempt in plain words (`words`).
//! - [`handshake`]: whether a receiver's certificate would be trusted.
//!
//! Below these: `attempt` (one exchange, capped), `agents` (one ureq agent for each receiver), `wire`, `stream`
//! and `buffers` (connections under ureq), `head` (of answers), `content` (their encoded bodies), `tls` and
//! `verifier` (trust), `diagnosis` (TLS that has nothing in common), `tunnel` (the way through a proxy), `resolver` (names, with the address guard), `marks`
//! (time and phases of the attempt that a thread is in), `failure`.
//!
//! Knows core. Must not know the store, the schedule of retries, or whose turn it is.

mod agents;
mod attempt;
mod buffers;
mod content;
mod diagnosis;
mod failure;
pub mod handshake;
mod head;
mod marks;
pub mod pool;
pub mod probe;
mod resolver;
mod stream;
mod tls;
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
