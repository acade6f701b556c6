//! `[http]` as far as it limits requests.

use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use super::brand::Logo;
use super::tls::Tls;
use crate::core::colour::Colour;
use crate::core::session::Lifetime;

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
    /// The page.
    pub page: PageSettings,
}

/// The settings of the page.
#[derive(Debug, Clone)]
pub struct PageSettings {
    /// Where browsers find the page, without a path; as a request found it if `None`.
    pub url: Option<String>,
    /// Whether this daemon speaks TLS.
    pub encrypted: bool,
    /// How long sessions last.
    pub lifetime: Lifetime,
    /// What distinguishes the cookies of daemons on one host and is the same for those that share their sessions; the
    /// port if `None`.
    pub cookie: Option<String>,
    /// The origins that may show the portal in a frame.
    pub frame_ancestors: Vec<String>,
    /// What the page calls itself.
    pub name: String,
    /// Its logo.
    pub logo: Option<Logo>,
    /// The colour of links and buttons.
    pub accent: Option<Colour>,
    /// Where its users find help.
    pub support_url: Option<String>,
    /// The language that it speaks unless the viewer asks for another.
    pub language: Option<String>,
}

impl Default for PageSettings {
    fn default() -> Self {
        Self {
            url: None,
            encrypted: false,
            lifetime: Lifetime::default(),
            cookie: None,
            frame_ancestors: Vec::new(),
            name: "Hookswitch".to_owned(),
            logo: None,
            accent: None,
            support_url: None,
            language: None,
        }
    }
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
