//! The validated configuration. [`super::validate`] creates it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use super::keys::Keys;
use crate::core::address::AddressPolicy;
use crate::core::alert_preset::AlertPreset;
use crate::core::backoff::RetryPolicy;
use crate::core::catalogue::Catalogue;
use crate::core::colour::Colour;
use crate::core::database::{DatabaseUrl, SchemaName};
use crate::core::hidden::Hidden;
use crate::core::mail_address::MailAddress;
use crate::core::oidc::Allowed;
use crate::core::proxy::Proxy;
use crate::core::session::Lifetime;
use crate::core::smtp::MailServer;
use crate::core::subscription::{Ordering, Secret};
use crate::core::text::words;

/// The whole configuration, valid.
#[derive(Debug, Clone)]
pub struct Config {
    /// The data directory.
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
    pub store: Store,
    /// `[limits]`
    pub limits: Limits,
    /// `[page]`
    pub page: Page,
    /// The seven built-in event types and those of `[[event_types]]`.
    pub catalogue: Catalogue,
    /// `[alerts]`
    pub alerts: Alerts,
    /// `[diagnostics]`
    pub diagnostics: Diagnostics,
    /// All keys as written, to find what a reload changes.
    pub keys: Keys,
}

/// `[http]`: the daemon's own endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Http {
    /// The listen address; port 0 lets the kernel choose.
    pub listen: SocketAddr,
    /// Maximum size of a request body, 1 KiB to 64 MiB.
    pub max_body_bytes: usize,
    /// Maximum connections, 8 to 65,536.
    pub max_connections: usize,
    /// Time limit of the head of a request, 1 s to 5 min.
    pub header_timeout: Duration,
    /// Time limit of the body, 1 s to 5 min.
    pub body_timeout: Duration,
    /// Whether `/metrics` is public.
    pub metrics_public: bool,
    /// Proxies trusted to name the client behind them.
    pub trusted_proxies: Vec<IpNet>,
    /// The files for TLS; `None` for plain HTTP.
    pub tls: Option<TlsFiles>,
}

/// `http.tls_cert` and `http.tls_key`: PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, followed by its intermediates.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// `[senders]`: the pool that posts to receivers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Senders {
    /// Maximum threads, 1 to 8192.
    pub threads: usize,
    /// Time limit of connecting, TLS included; 100 ms to `timeout`.
    pub connect_timeout: Duration,
    /// Time limit of a whole attempt, 100 ms to 5 min.
    pub timeout: Duration,
    /// Maximum attempts of one subscription in flight, 1 to 8192.
    pub max_in_flight: u32,
}

/// `[ordering]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderingRules {
    /// The default order of subscriptions.
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
    /// Maximum age of a log entry, 1 s to 10 years.
    pub log_age: Duration,
    /// Maximum size of the log, 8 MiB to 64 TiB.
    pub log_bytes: u64,
    /// Maximum age of an event, from the idempotency window to 10 years.
    pub event_age: Duration,
    /// How long a producer's id is remembered, 1 s to 30 days.
    pub idempotency_window: Duration,
    /// Maximum age of a conversation's message, 1 s to 10 years.
    pub conversation_age: Duration,
    /// How long entries of the audit are kept.
    pub audit_age: Duration,
}

/// `[store]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    /// What keeps the data, with its own keys.
    pub engine: StoreEngine,
    /// The file with the keys that seal secrets; `None` for systemd's credential, or no sealing.
    pub key_file: Option<PathBuf>,
}

words! {
    /// The word of `store.engine`.
    EngineName {
        /// Files in the data directory.
        Embedded = "embedded",
        /// A PostgreSQL database.
        Postgres = "postgres",
    }
}

/// `store.engine`, with the keys of that engine only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreEngine {
    /// Files in the data directory.
    Embedded {
        /// The store's cache in memory, 1 MiB to 4 GiB.
        cache_bytes: u64,
        /// Minimum free space on the data directory's file system, 1 MiB to 1 TiB.
        min_free_bytes: u64,
    },
    /// A PostgreSQL database; `data_dir` is not used.
    Postgres(PostgresStore),
}

impl StoreEngine {
    /// Its word.
    pub const fn name(&self) -> EngineName {
        match self {
            Self::Embedded { .. } => EngineName::Embedded,
            Self::Postgres(_) => EngineName::Postgres,
        }
    }
}

/// The keys of `[store]` for a PostgreSQL database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostgresStore {
    /// Where the database's URL comes from.
    pub url: UrlSource,
    /// The schema with the tables.
    pub schema: SchemaName,
    /// Connections for reading, 1 to 64.
    pub pool: usize,
    /// The synchronous standbys without which nothing is accepted, 0 to 16.
    pub replicas: u32,
}

/// Where the URL of a database comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UrlSource {
    /// `store.url`.
    Key(DatabaseUrl),
    /// `store.url_file`: the file that contains it.
    File(PathBuf),
    /// Neither is set: systemd's credential `store.url`, which must then exist.
    Credential,
}

/// `[limits]`: limits per client and company.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Memory for unread responses and incomplete bodies, in bytes: at least 1 MiB and four times
    /// `http.max_body_bytes`, at most 64 GiB.
    pub memory: usize,
    /// Maximum connections per address, 1 to 65,536; an IPv6 /64 counts as one address.
    pub connections_per_address: usize,
    /// Maximum subscriptions per company, 1 to 1,000,000.
    pub subscriptions_per_company: u32,
    /// Maximum deliveries caused by one request, 1 to 10,000,000.
    pub deliveries_per_request: u32,
}

/// `[page]`: Settings > Webhooks in a browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Where browsers find the page: an origin. As a request found it if `None`.
    pub url: Option<String>,
    /// How long sessions last, 1 min to a year.
    pub session: Lifetime,
    /// The origins that may show the page in a frame.
    pub frame_ancestors: Vec<String>,
    /// What the page calls itself, 1 to 40 characters.
    pub name: String,
    /// The file with its logo.
    pub logo: Option<PathBuf>,
    /// The colour of links and buttons.
    pub accent: Option<Colour>,
    /// Where its users find help.
    pub support_url: Option<String>,
    /// The language that it speaks unless the viewer asks for another.
    pub language: Option<String>,
    /// The language of the mails to the owners of a company's webhooks, where it is not [`Page::language`].
    pub company_languages: BTreeMap<String, String>,
    /// Where people may sign in besides.
    pub oidc: Option<Oidc>,
}

/// `[page.oidc]`: a provider of OpenID Connect at which people sign in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Oidc {
    /// What people call it, 1 to 40 characters.
    pub name: String,
    /// What it calls us.
    pub client_id: String,
    /// Where what we show it comes from.
    pub secret: SecretSource,
    /// What we ask for beside `openid`.
    pub scopes: Vec<String>,
    /// The claim with somebody's groups.
    pub groups_claim: String,
    /// Its issuer, and who is allowed what.
    pub allowed: Allowed,
    /// Where browsers come back to.
    pub callback: String,
}

/// Where the secret of a client comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// `page.oidc.client_secret`.
    Key(Hidden),
    /// `page.oidc.client_secret_file`: the file that contains it.
    File(PathBuf),
    /// Neither is set: systemd's credential `page.oidc.client_secret`, which must then exist.
    Credential,
}

/// `[alerts]`: where alerts for the operator are sent, and by which server the owners of webhooks are mailed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alerts {
    /// The URL that alerts are posted to.
    pub url: Option<AlertUrl>,
    /// The mail server.
    pub mail: Option<MailSettings>,
    /// Waiting time of a delivery that raises an alert, 1 s to 30 days.
    pub backlog_age: Duration,
}

/// A URL that alerts are posted to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertUrl {
    /// The URL.
    pub url: String,
    /// The signing secret; optional with a preset.
    pub secret: Option<Secret>,
    /// The service, if it wants a format of its own.
    pub preset: Option<AlertPreset>,
}

/// A mail server, and for whom alerts are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailSettings {
    /// The server.
    pub server: MailServer,
    /// The sender.
    pub from: MailAddress,
    /// Who gets the alerts; may be nobody.
    pub to: Vec<MailAddress>,
}

/// `[diagnostics]`: the process's own messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Diagnostics {
    /// Their format.
    pub format: LogFormat,
    /// The minimum level.
    pub level: Level,
}

words! {
    /// The format of the process's own messages.
    LogFormat {
        /// One readable line each.
        Text = "text",
        /// One JSON object per line.
        Json = "json",
    }
}

words! {
    /// The level of a message.
    Level {
        /// A failure that needs attention.
        Error = "error",
        /// An irregularity; the daemon continues.
        Warn = "warn",
        /// Start, stop, and rare changes.
        Info = "info",
        /// Activities of the daemon.
        Debug = "debug",
        /// Every step.
        Trace = "trace",
    }
}
