//! The configuration as the daemon goes by it: every value valid. [`super::validate`] makes it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use super::keys::Keys;
use crate::core::address::AddressPolicy;
use crate::core::backoff::RetryPolicy;
use crate::core::catalogue::Catalogue;
use crate::core::proxy::Proxy;
use crate::core::subscription::{Ordering, Secret};
use crate::core::text::words;

/// The whole configuration, valid.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// `[http]`
    pub http: Http,
    /// `[senders]`
    pub senders: Senders,
    /// `[retry]`
    pub retry: RetryPolicy,
    /// `[ordering]`
    pub ordering: OrderingRules,
    /// `[network]`
    pub network: Network,
    /// `[retention]`
    pub retention: Retention,
    /// `[store]`
    pub store: StoreLimits,
    /// `[limits]`
    pub limits: Limits,
    /// The seven event types and those of `[[event_types]]`.
    pub catalogue: Catalogue,
    /// `[alerts]`; `None` if nobody is to be told.
    pub alerts: Option<Alerts>,
    /// `[diagnostics]`
    pub diagnostics: Diagnostics,
    /// All keys as they are written, to tell what a reload changes.
    pub keys: Keys,
}

/// `[http]`: the daemon's own endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Http {
    /// Where it listens; port 0 lets the kernel choose.
    pub listen: SocketAddr,
    /// The largest request body, 1 KiB to 64 MiB.
    pub max_body_bytes: usize,
    /// How many connections are served at once, 8 to 65,536.
    pub max_connections: usize,
    /// How long a client may take for the head of a request, 1 s to 5 min.
    pub header_timeout: Duration,
    /// How long a client may take for the body, 1 s to 5 min.
    pub body_timeout: Duration,
    /// Whether `/metrics` may be read without a token.
    pub metrics_public: bool,
    /// The proxies that are believed when they name the client behind them.
    pub trusted_proxies: Vec<IpNet>,
    /// The files for TLS; `None` for plain HTTP.
    pub tls: Option<TlsFiles>,
}

/// `http.tls_cert` and `http.tls_key`: PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, followed by those between it and its authority's own.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// `[senders]`: the pool that posts to receivers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Senders {
    /// How many threads there may be, 1 to 8192.
    pub threads: usize,
    /// How long connecting may take, TLS included; 100 ms to `timeout`, which ends it too.
    pub connect_timeout: Duration,
    /// How long a whole attempt may take, 100 ms to 5 min.
    pub timeout: Duration,
    /// How many attempts of one subscription may be under way at once, 1 to 8192.
    pub max_in_flight: u32,
}

/// `[ordering]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderingRules {
    /// The order of subscriptions that do not say.
    pub default: Ordering,
    /// How long a failing delivery holds back the later ones of its call, 0 to 7 days.
    pub hold: Duration,
}

/// `[network]`
#[derive(Debug, Clone)]
pub struct Network {
    /// Which addresses and URLs may be called (`allow`, `deny`, `https_only`).
    pub policy: AddressPolicy,
    /// PEM files with further root certificates.
    pub extra_ca: Vec<PathBuf>,
    /// The proxy towards receivers.
    pub proxy: Option<Proxy>,
}

/// `[retention]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retention {
    /// How old an entry of the log becomes, 1 s to 10 years.
    pub log_age: Duration,
    /// How many bytes of log are kept, 8 MiB to 64 TiB.
    pub log_bytes: u64,
    /// How old an event becomes, the idempotency window to 10 years.
    pub event_age: Duration,
    /// How long a producer's id is remembered, 1 s to 30 days.
    pub idempotency_window: Duration,
    /// How old a message of a conversation becomes, 1 s to 10 years.
    pub conversation_age: Duration,
}

/// `[store]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreLimits {
    /// The store's cache in memory, 1 MiB to 4 GiB.
    pub cache_bytes: u64,
    /// How much of the data directory's file system is to stay free, 1 MiB to 1 TiB.
    pub min_free_bytes: u64,
    /// The file with the keys that secrets are sealed with; `None` for a credential of systemd, or not at all.
    pub key_file: Option<PathBuf>,
}

/// `[limits]`: how much one client or one company may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The memory for answers that clients have not read yet and bodies that are not whole yet, in bytes: at least 1 MiB
    /// and four times `http.max_body_bytes`, at most 64 GiB.
    pub memory: usize,
    /// How many connections one address may have at once, 1 to 65,536; the addresses of an IPv6 /64 count as one.
    pub connections_per_address: usize,
    /// How many subscriptions one company may have, 1 to 1,000,000.
    pub subscriptions_per_company: u32,
    /// How many deliveries one request may cause, 1 to 10,000,000.
    pub deliveries_per_request: u32,
}

/// `[alerts]`: where the operator is told of what must be looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alerts {
    /// The URL that alerts are posted to.
    pub url: String,
    /// What they are signed with.
    pub secret: Secret,
    /// How long a delivery may wait before that is told, 1 s to 30 days.
    pub backlog_age: Duration,
}

/// `[diagnostics]`: the process's own messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Diagnostics {
    /// How they are written.
    pub format: LogFormat,
    /// The least important that are written.
    pub level: Level,
}

words! {
    /// How the process's own messages are written.
    LogFormat {
        /// One readable line each.
        Text = "text",
        /// One JSON object per line.
        Json = "json",
    }
}

words! {
    /// How important a message must be to be written.
    Level {
        /// Something failed that somebody must look at.
        Error = "error",
        /// Something is not as it should be, and the daemon goes on.
        Warn = "warn",
        /// Start, stop, and what changes rarely.
        Info = "info",
        /// What the daemon does.
        Debug = "debug",
        /// Each step of it.
        Trace = "trace",
    }
}
