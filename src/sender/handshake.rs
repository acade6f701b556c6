//! A TLS handshake with a receiver without a request: whether its certificate is trusted, and until when.
//!
//! Takes the same path as an attempt, through `[network]` and the proxy, and ends before the request: nothing is
//! sent, and no client certificate is shown.

use std::time::Duration;

use super::failure::Failure;
use super::transport::Transport;
use super::words;
use crate::core::attempt::Fault;

/// A receiver with a valid certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handshake {
    /// The receiver's certificate, then those sent along, as DER; at least one.
    pub certificates: Vec<Vec<u8>>,
    /// How the receiver rejected the handshake after that, if it did: usually because it requires a client
    /// certificate. With TLS 1.3 that comes only later and is not waited for.
    pub refusal: Option<String>,
}

/// Why the handshake failed, or the certificate is not valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// The fault.
    pub fault: Fault,
    /// A sentence.
    pub detail: String,
    /// What to do, if `detail` does not say it.
    pub advice: Option<&'static str>,
}

/// Performs a handshake with the receiver of an https `url`, within `limit` and `[senders] connect_timeout`.
///
/// # Errors
/// It cannot be reached, is not allowed, or is not trusted.
pub fn with(transport: &Transport, url: &str, limit: Duration) -> Result<Handshake, Trouble> {
    match transport.verify_peer(url, limit) {
        Ok(peer) => {
            Ok(Handshake { certificates: peer.chain, refusal: peer.refusal.map(|Failure { detail, .. }| detail) })
        }
        Err(Failure { fault, detail }) => Err(Trouble { fault, detail, advice: words::advice(fault) }),
    }
}
