//! The configuration as written: one field per key, with its built-in default.
//!
//! Ranges are checked in [`super::validate`]. Durations are text here, and a key without a default is an `Option`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::given::Given;
use crate::core::backoff::RetrySettings;
use crate::core::session::Lifetime;
use crate::core::time::format_duration;

/// The default data directory: systemd's state directory in the shipped unit.
pub const DEFAULT_DATA_DIR: &str = "/var/lib/hookswitch";

macro_rules! section {
    ($(#[$doc:meta])* $name:ident { $($(#[$kdoc:meta])* $key:ident: $kind:ty = $default:expr),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Deserialize, Serialize)]
        #[serde(deny_unknown_fields, default)]
        pub(super) struct $name { $($(#[$kdoc])* pub(super) $key: $kind),+ }

        impl Default for $name {
            fn default() -> Self {
                Self { $($key: $default),+ }
            }
        }
    };
}

section!(
    /// The whole file. No `Debug`: it contains secrets.
    Settings {
        data_dir: String = DEFAULT_DATA_DIR.to_owned(),
        http: Http = Http::default(),
        senders: Senders = Senders::default(),
        retry: Retry = Retry::default(),
        ordering: Ordering = Ordering::default(),
        network: Network = Network::default(),
        retention: Retention = Retention::default(),
        store: Store = Store::default(),
        limits: Limits = Limits::default(),
        page: Page = Page::default(),
        alerts: Alerts = Alerts::default(),
        event_types: Vec<EventType> = Vec::new(),
        diagnostics: Diagnostics = Diagnostics::default(),
    }
);

section!(
    /// `[http]`
    Http {
        listen: String = "127.0.0.1:4665".to_owned(),
        max_body_bytes: u64 = 1024 * 1024,
        max_connections: u64 = 1024,
        header_timeout: String = "10s".to_owned(),
        body_timeout: String = "30s".to_owned(),
        tls_cert: Option<String> = None,
        tls_key: Option<String> = None,
        metrics_public: bool = false,
        trusted_proxies: Vec<String> = Vec::new(),
    }
);

section!(
    /// `[senders]`
    Senders {
        threads: u64 = 2048,
        connect_timeout: String = "5s".to_owned(),
        timeout: String = "15s".to_owned(),
        max_in_flight: u64 = 512,
    }
);

section!(
    /// `[retry]`; the defaults are [`RetrySettings`]'s.
    Retry {
        initial_delay: String = format_duration(RetrySettings::default().initial_delay),
        multiplier: f64 = RetrySettings::default().multiplier,
        max_delay: String = format_duration(RetrySettings::default().max_delay),
        jitter: f64 = RetrySettings::default().jitter,
        give_up_after: String = format_duration(RetrySettings::default().give_up_after),
        disable_after: String = format_duration(RetrySettings::default().disable_after),
    }
);

section!(
    /// `[ordering]`
    Ordering {
        default: String = "call".to_owned(),
        hold: String = "15m".to_owned(),
    }
);

section!(
    /// `[network]`
    Network {
        allow: Vec<String> = Vec::new(),
        deny: Vec<String> = Vec::new(),
        https_only: bool = false,
        extra_ca: Vec<String> = Vec::new(),
        proxy: Option<String> = None,
    }
);

section!(
    /// `[retention]`
    Retention {
        log_age: String = "30d".to_owned(),
        log_bytes: u64 = 10 * 1024 * 1024 * 1024,
        event_age: String = "30d".to_owned(),
        idempotency_window: String = "24h".to_owned(),
        conversation_age: String = "90d".to_owned(),
        audit_age: String = "400d".to_owned(),
    }
);

section!(
    /// `[store]`
    Store {
        engine: String = "embedded".to_owned(),
        cache_bytes: Given<u64> = Given::by_default(16 * 1024 * 1024),
        min_free_bytes: Given<u64> = Given::by_default(256 * 1024 * 1024),
        url: Option<String> = None,
        url_file: Option<String> = None,
        schema: Given<String> = Given::by_default("hookswitch".to_owned()),
        pool: Given<u64> = Given::by_default(4),
        replicas: Given<u64> = Given::by_default(0),
        key_file: Option<String> = None,
    }
);

section!(
    /// `[limits]`
    Limits {
        memory: u64 = 256 * 1024 * 1024,
        connections_per_address: u64 = 512,
        subscriptions_per_company: u64 = 1_000,
        deliveries_per_request: u64 = 100_000,
    }
);

section!(
    /// `[page]`
    Page {
        url: Option<String> = None,
        session_idle: String = format_duration(Lifetime::default().idle),
        session_longest: String = format_duration(Lifetime::default().total),
        frame_ancestors: Vec<String> = Vec::new(),
        name: String = "Hookswitch".to_owned(),
        logo: Option<String> = None,
        accent: Option<String> = None,
        support_url: Option<String> = None,
        language: Option<String> = None,
        company_languages: Option<BTreeMap<String, String>> = None,
        oidc: Oidc = Oidc::default(),
    }
);

section!(
    /// `[page.oidc]`
    Oidc {
        issuer: Option<String> = None,
        name: Option<String> = None,
        client_id: Option<String> = None,
        client_secret: Option<String> = None,
        client_secret_file: Option<String> = None,
        scopes: Vec<String> = ["openid", "email", "profile"].map(str::to_owned).into(),
        groups_claim: String = "groups".to_owned(),
        allow: Vec<OidcRule> = Vec::new(),
    }
);

/// An item of `[[page.oidc.allow]]`.
#[derive(Clone, PartialEq, Deserialize, Serialize)]
#[cfg_attr(test, derive(Default))]
#[serde(deny_unknown_fields)]
pub(super) struct OidcRule {
    pub(super) group: String,
    pub(super) role: String,
    #[serde(default)]
    pub(super) company: Option<String>,
}

section!(
    /// `[alerts]`
    Alerts {
        url: Option<String> = None,
        secret: Option<String> = None,
        preset: Option<String> = None,
        smtp_url: Option<String> = None,
        mail_from: Option<String> = None,
        mail_to: Vec<String> = Vec::new(),
        backlog_age: String = "1h".to_owned(),
    }
);

section!(
    /// `[diagnostics]`
    Diagnostics {
        format: String = "text".to_owned(),
        level: String = "info".to_owned(),
    }
);

/// An item of `[[event_types]]`.
#[derive(Clone, PartialEq, Deserialize, Serialize)]
#[cfg_attr(test, derive(Default))]
#[serde(deny_unknown_fields)]
pub(super) struct EventType {
    pub(super) name: String,
    pub(super) title: String,
    pub(super) description: String,
    /// JSON text of `data`
    pub(super) sample: String,
}
