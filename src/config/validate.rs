//! From the written configuration to valid values: the only place with the keys' ranges.
//!
//! Knows neither files nor variables. All faults are found in one pass.

mod alerts;
mod oidc;
mod page;
mod store;

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use super::keys::Keys;
use super::settings::{self, Settings};
use super::values::{
    Config, Diagnostics, Http, Level, Limits, LogFormat, Network, OrderingRules, Retention, Senders, TlsFiles,
};
use crate::core::address::AddressPolicy;
use crate::core::backoff::{BadPolicy, RetryPolicy, RetrySettings};
use crate::core::catalogue::{Catalogue, Declared};
use crate::core::proxy::Proxy;
use crate::core::subscription::Ordering;
use crate::core::text::excerpt;
use crate::core::time::{format_duration, parse_duration};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);
const YEAR: Duration = Duration::from_secs(365 * 86_400);
const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
/// Maximum of `http.max_body_bytes`.
const MOST_BODY: u64 = 64 * MIB;

/// A key with an invalid value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BadKey {
    /// The key's path: `http.listen`, `network.allow.0`.
    pub(super) key: String,
    /// What would be valid.
    pub(super) detail: String,
}

impl BadKey {
    /// Whether this fault may be caused solely by the wrong type of `setting`, which was replaced by its default.
    pub(super) fn comes_of(&self, setting: &str) -> bool {
        let below = |key: &str| key.strip_prefix(setting).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        below(&self.key)
            || match self.key.as_str() {
                "alerts.url" => setting.split('.').next() == Some("network"),
                "limits.memory" => setting == "http.max_body_bytes",
                "retention.event_age" => setting == "retention.idempotency_window",
                "retry.initial_delay" => setting == "retry.max_delay",
                // Whether a key of [store] belongs there depends on the engine.
                key if key.starts_with("store.") => setting == "store.engine",
                _ => false,
            }
    }
}

impl TryFrom<Settings> for Config {
    type Error = Vec<BadKey>;

    fn try_from(settings: Settings) -> Result<Self, Vec<BadKey>> {
        let (mut check, keys) = (Check::default(), Keys::of(&settings));
        let data_dir = check.path("data_dir", &settings.data_dir);
        let http = check.http(&settings.http);
        let senders = check.senders(&settings.senders);
        let retry = check.retry(&settings.retry);
        let ordering = check.ordering(&settings.ordering);
        let network = check.network(&settings.network);
        let retention = check.retention(&settings.retention);
        let store = check.store(&settings.store);
        let limits = check.limits(&settings.limits, settings.http.max_body_bytes);
        let page = check.page(&settings.page);
        let alerts = check.alerts(&settings.alerts, network.as_ref());
        let diagnostics = check.diagnostics(&settings.diagnostics);
        let catalogue = check.catalogue(settings.event_types);
        let complete = (http, retry, ordering, network, store, diagnostics, catalogue);
        let (Some(http), Some(retry), Some(ordering), Some(network), Some(store), Some(diagnostics), Some(catalogue)) =
            complete
        else {
            return Err(check.faults);
        };
        if !check.faults.is_empty() {
            return Err(check.faults);
        }
        Ok(Self {
            data_dir,
            http,
            senders,
            retry,
            ordering,
            network,
            retention,
            store,
            limits,
            page,
            catalogue,
            alerts,
            diagnostics,
            keys,
        })
    }
}

/// Collects faults. A reader that finds one returns a placeholder or `None`.
#[derive(Default)]
struct Check {
    faults: Vec<BadKey>,
}

impl Check {
    fn fault(&mut self, key: impl Into<String>, detail: impl Into<String>) {
        self.faults.push(BadKey { key: key.into(), detail: detail.into() });
    }

    fn take<T>(&mut self, key: &str, result: Result<T, String>) -> Option<T> {
        result.map_err(|detail| self.fault(key, detail)).ok()
    }

    fn number(&mut self, key: &str, value: u64, allowed: RangeInclusive<u64>) -> u64 {
        if !allowed.contains(&value) {
            self.fault(key, format!("must be from {} to {}, not {value}", allowed.start(), allowed.end()));
        }
        value
    }

    fn duration(&mut self, key: &str, text: &str, allowed: RangeInclusive<Duration>) -> Duration {
        // The maximum replaces an invalid value, so that values that must be smaller are not reported as well.
        let Some(value) = self.take(key, parse_duration(&excerpt(text))) else {
            return *allowed.end();
        };
        if allowed.contains(&value) {
            return value;
        }
        let (least, most) = (format_duration(*allowed.start()), format_duration(*allowed.end()));
        self.fault(key, format!("must be from \"{least}\" to \"{most}\", not \"{}\"", excerpt(text)));
        *allowed.end()
    }

    fn path(&mut self, key: &str, text: &str) -> PathBuf {
        if text.is_empty() || text.contains('\0') {
            self.fault(key, "must be a path");
        }
        PathBuf::from(text)
    }

    fn http(&mut self, http: &settings::Http) -> Option<Http> {
        let max_body_bytes = self.number("http.max_body_bytes", http.max_body_bytes, KIB..=MOST_BODY);
        let max_connections = self.number("http.max_connections", http.max_connections, 8..=65_536);
        let header_timeout = self.duration("http.header_timeout", &http.header_timeout, SECOND..=300 * SECOND);
        let body_timeout = self.duration("http.body_timeout", &http.body_timeout, SECOND..=300 * SECOND);
        let listen = http.listen.parse::<SocketAddr>().map_err(|_| {
            let given = excerpt(&http.listen);
            format!("must be an IP address and a port, such as \"127.0.0.1:4665\" or \"[::1]:4665\", not \"{given}\"")
        });
        let trusted_proxies = self.networks("http.trusted_proxies", &http.trusted_proxies);
        Some(Http {
            listen: self.take("http.listen", listen)?,
            max_body_bytes: usize::try_from(max_body_bytes).ok()?,
            max_connections: usize::try_from(max_connections).ok()?,
            header_timeout,
            body_timeout,
            metrics_public: http.metrics_public,
            trusted_proxies: trusted_proxies?,
            tls: self.tls(http.tls_cert.as_deref(), http.tls_key.as_deref()),
        })
    }

    fn tls(&mut self, cert: Option<&str>, key: Option<&str>) -> Option<TlsFiles> {
        match (cert, key) {
            (Some(cert), Some(key)) => {
                Some(TlsFiles { cert: self.path("http.tls_cert", cert), key: self.path("http.tls_key", key) })
            }
            (None, None) => None,
            (Some(_), None) => {
                self.fault("http.tls_key", "must be given with `tls_cert`: the PEM file with its private key");
                None
            }
            (None, Some(_)) => {
                self.fault("http.tls_cert", "must be given with `tls_key`: the PEM file with its certificate");
                None
            }
        }
    }

    fn senders(&mut self, senders: &settings::Senders) -> Senders {
        let threads = self.number("senders.threads", senders.threads, 1..=8192);
        let max_in_flight = self.number("senders.max_in_flight", senders.max_in_flight, 1..=8192);
        let least = Duration::from_millis(100);
        let timeout = self.duration("senders.timeout", &senders.timeout, least..=300 * SECOND);
        let connect_timeout = self.duration("senders.connect_timeout", &senders.connect_timeout, least..=300 * SECOND);
        // Connecting is part of the attempt and ends with it.
        let connect_timeout = connect_timeout.min(timeout);
        // Fits after the range check: the fallback is unreachable.
        let narrow = |value: u64| u32::try_from(value).unwrap_or(1);
        let threads = usize::try_from(threads).unwrap_or(1);
        Senders { threads, connect_timeout, timeout, max_in_flight: narrow(max_in_flight) }
    }

    fn retry(&mut self, retry: &settings::Retry) -> Option<RetryPolicy> {
        let mut length = |key: &str, text: &str| self.take(&format!("retry.{key}"), parse_duration(&excerpt(text)));
        let initial_delay = length("initial_delay", &retry.initial_delay);
        let max_delay = length("max_delay", &retry.max_delay);
        let give_up_after = length("give_up_after", &retry.give_up_after);
        let disable_after = length("disable_after", &retry.disable_after);
        let (mut initial_delay, max_delay) = (initial_delay?, max_delay?);
        if initial_delay == RetrySettings::default().initial_delay {
            // A largest delay below the built-in initial one implies a smaller initial one.
            initial_delay = initial_delay.min(max_delay);
        }
        let settings = RetrySettings {
            initial_delay,
            multiplier: retry.multiplier,
            max_delay,
            jitter: retry.jitter,
            give_up_after: give_up_after?,
            disable_after: disable_after?,
        };
        let policy = RetryPolicy::try_new(&settings);
        let note = |bad: BadPolicy| self.fault(format!("retry.{}", bad.key), bad.detail);
        policy.map_err(|faults| faults.into_iter().for_each(note)).ok()
    }

    fn ordering(&mut self, ordering: &settings::Ordering) -> Option<OrderingRules> {
        let hold = self.duration("ordering.hold", &ordering.hold, Duration::ZERO..=168 * HOUR);
        let default = self.take("ordering.default", Ordering::parse(&ordering.default))?;
        Some(OrderingRules { default, hold })
    }

    fn retention(&mut self, retention: &settings::Retention) -> Retention {
        let window = &retention.idempotency_window;
        let idempotency_window = self.duration("retention.idempotency_window", window, SECOND..=720 * HOUR);
        let log_age = self.duration("retention.log_age", &retention.log_age, SECOND..=10 * YEAR);
        let log_bytes = self.number("retention.log_bytes", retention.log_bytes, 8 * MIB..=64 * MIB * MIB);
        let event_age = self.duration("retention.event_age", &retention.event_age, SECOND..=10 * YEAR);
        let age = &retention.conversation_age;
        let conversation_age = self.duration("retention.conversation_age", age, SECOND..=10 * YEAR);
        let audit_age = self.duration("retention.audit_age", &retention.audit_age, SECOND..=10 * YEAR);
        if event_age < idempotency_window {
            // Otherwise a repost would be answered with the id of a deleted event.
            let window = format_duration(idempotency_window);
            self.fault("retention.event_age", format!("must be at least `idempotency_window`, which is \"{window}\""));
        }
        Retention { log_age, log_bytes, event_age, idempotency_window, conversation_age, audit_age }
    }

    fn limits(&mut self, limits: &settings::Limits, max_body_bytes: u64) -> Limits {
        const BODIES: u64 = 4;
        let memory = self.number("limits.memory", limits.memory, MIB..=65_536 * MIB);
        let least = BODIES.saturating_mul(max_body_bytes);
        if memory < least && max_body_bytes <= MOST_BODY && memory >= MIB {
            // Otherwise one body could exceed a client's share and be refused for ever.
            let wanted =
                format!("must be at least four times `max_body_bytes` of [http], which is {least}, not {memory}");
            self.fault("limits.memory", wanted);
        }
        let connections = self.number("limits.connections_per_address", limits.connections_per_address, 1..=65_536);
        let subscriptions =
            self.number("limits.subscriptions_per_company", limits.subscriptions_per_company, 1..=1_000_000);
        let deliveries = self.number("limits.deliveries_per_request", limits.deliveries_per_request, 1..=10_000_000);
        // They fit after the range check: the fallbacks are unreachable.
        Limits {
            memory: usize::try_from(memory).unwrap_or(usize::MAX),
            connections_per_address: usize::try_from(connections).unwrap_or(1),
            subscriptions_per_company: u32::try_from(subscriptions).unwrap_or(1),
            deliveries_per_request: u32::try_from(deliveries).unwrap_or(1),
        }
    }

    fn network(&mut self, network: &settings::Network) -> Option<Network> {
        let allow = self.networks("network.allow", &network.allow);
        let deny = self.networks("network.deny", &network.deny);
        let files = network.extra_ca.iter().enumerate();
        let extra_ca = files.map(|(at, file)| self.path(&format!("network.extra_ca.{at}"), file)).collect();
        let proxy = network.proxy.as_deref().map(|text| self.take("network.proxy", Proxy::parse(text)));
        Some(Network {
            policy: AddressPolicy::new(allow?, deny?, network.https_only),
            extra_ca,
            proxy: proxy.flatten(),
        })
    }

    /// CIDRs; a single address is a network of one.
    fn networks(&mut self, key: &str, texts: &[String]) -> Option<Vec<IpNet>> {
        let before = self.faults.len();
        let mut networks = Vec::with_capacity(texts.len());
        for (at, text) in texts.iter().enumerate() {
            match text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from)) {
                Ok(network) => networks.push(network.trunc()),
                Err(_) => {
                    let wanted = "must be a network such as \"10.0.0.0/8\", \"fd00::/8\" or \"192.168.1.7\"";
                    self.fault(format!("{key}.{at}"), format!("{wanted}, not \"{}\"", excerpt(text)));
                }
            }
        }
        (self.faults.len() == before).then_some(networks)
    }

    fn diagnostics(&mut self, diagnostics: &settings::Diagnostics) -> Option<Diagnostics> {
        let format = self.take("diagnostics.format", LogFormat::parse(&diagnostics.format));
        let level = self.take("diagnostics.level", Level::parse(&diagnostics.level));
        Some(Diagnostics { format: format?, level: level? })
    }

    fn catalogue(&mut self, event_types: Vec<settings::EventType>) -> Option<Catalogue> {
        let declare =
            |settings::EventType { name, title, description, sample }| Declared { name, title, description, sample };
        match Catalogue::new(event_types.into_iter().map(declare).collect()) {
            Ok(catalogue) => Some(catalogue),
            Err(invalid) => {
                for error in invalid.errors {
                    self.fault(format!("event_types{}", error.pointer.replace('/', ".")), error.detail);
                }
                None
            }
        }
    }
}
