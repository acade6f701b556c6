//! `[http]`, as far as it limits requests.

use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use super::tls::Tls;

/// The limits of requests and connections.
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

/// What a body may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct BodyLimits {
    /// Bytes.
    pub(super) max_body_bytes: usize,
    /// From when it begins to be read until it is complete.
    pub(super) body_timeout: Duration,
}

impl Settings {
    /// What a body may take.
    pub(super) const fn body_limits(&self) -> BodyLimits {
        BodyLimits { max_body_bytes: self.max_body_bytes, body_timeout: self.body_timeout }
    }
}
