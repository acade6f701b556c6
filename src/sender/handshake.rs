//! A TLS handshake with a receiver for its own sake: whether it would be trusted, and until when.
//!
//! Goes the way of every attempt, by `[network]` and the proxy, and ends where a request would begin:
//! nothing is sent, and no client certificate is shown.

use std::time::Duration;

use super::failure::Failure;
use super::transport::Transport;
use super::words;
use crate::core::attempt::Fault;

/// A receiver whose certificate was found good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handshake {
    /// Its certificate, then those it sends along, as DER; at least one.
    pub certificates: Vec<Vec<u8>>,
    /// A sentence on how it ended the handshake after that, if it did: most often it wants a client certificate. By
    /// TLS 1.3 it says so only later, which is not waited for.
    pub refusal: Option<String>,
}

/// Why there was no handshake, or none with a certificate that is good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// The name of it.
    pub fault: Fault,
    /// A sentence.
    pub detail: String,
    /// What to do, where `detail` does not say that.
    pub advice: Option<&'static str>,
}

/// Shakes hands with the receiver of an https `url`, within `limit` and `[senders] connect_timeout`.
///
/// # Errors
/// It is not reached, not allowed, or not to be trusted.
pub fn with(transport: &Transport, url: &str, limit: Duration) -> Result<Handshake, Trouble> {
    match transport.meet(url, limit) {
        Ok(met) => Ok(Handshake { certificates: met.chain, refusal: met.refusal.map(|Failure { detail, .. }| detail) }),
        Err(Failure { fault, detail }) => Err(Trouble { fault, detail, advice: words::advice(fault) }),
    }
}
