//! `[http]` as far as it limits requests.

use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use super::tls::Tls;

/// The limits of requests and connections.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The largest body of a request, in bytes.
    pub max_body_bytes: usize,
    /// Maximum connections.
    pub max_connections: usize,
    /// Time limit of a request's head and of a TLS handshake; also the idle time of a connection.
    pub header_timeout: Duration,
    /// Time limit of a request's body.
    pub body_timeout: Duration,
    /// How long a response may wait for a client that does not read it. 30 s is a good value.
    pub write_timeout: Duration,
    /// Maximum connections per address.
    pub connections_per_address: usize,
    /// Proxies trusted to name the client behind them.
    pub trusted_proxies: Vec<IpNet>,
    /// The certificate, if TLS is enabled.
    pub tls: Option<Arc<Tls>>,
}

/// Limits of a body.
#[derive(Debug, Clone, Copy)]
pub(super) struct BodyLimits {
    /// Bytes.
    pub(super) max_body_bytes: usize,
    /// Time from the start of reading until it is complete.
    pub(super) body_timeout: Duration,
}

impl Settings {
    /// Limits of a body.
    pub(super) const fn body_limits(&self) -> BodyLimits {
        BodyLimits { max_body_bytes: self.max_body_bytes, body_timeout: self.body_timeout }
    }
}
