//! SIGHUP: reads the configuration again and applies what can change at run time.
//!
//! All or nothing: fallible steps come first, and a configuration that is invalid, or names an unusable file, changes
//! nothing. Changes, keys that need a restart, and faults are logged key by key.

use super::{Daemon, alarms, dispatch_settings, provider, store, transport};
use crate::config::{Changed, Config, ConfigError};
use crate::core::actor::Actor;
use crate::core::audit::{Action, Deed};
use crate::telemetry::Messages;

/// Keys and prefixes of keys that a reload applies; all others need a restart.
const LIVE: &[&str] = &[
    "senders.connect_timeout",
    "senders.timeout",
    "senders.max_in_flight",
    "retry.",
    "ordering.hold",
    "network.",
    "retention.",
    "store.min_free_bytes",
    "alerts.",
    "diagnostics.level",
];

fn is_live(key: &str) -> bool {
    LIVE.iter().any(|live| key == *live || (live.ends_with('.') && key.starts_with(live)))
}

impl Daemon {
    /// Applies the configuration in `read`, as far as possible, and logs the result.
    pub(super) fn reload(&mut self, read: Result<Config, ConfigError>, messages: &Messages) {
        let new = match read {
            Ok(new) => new,
            Err(error) => {
                for fault in &error.faults {
                    tracing::error!("reload: {fault}");
                }
                return tracing::error!("reload: the configuration is not valid; the previous one stays in force");
            }
        };
        if let Err(why) = self.apply(&new, messages) {
            return tracing::error!("reload: {why}; the previous configuration stays in force");
        }
        let same = self.engine.name() == new.store.engine.name();
        // Which keys of [store] apply depends on the engine.
        let applied = |changed: &Changed| is_live(&changed.key) && (same || !changed.key.starts_with("store."));
        let (live, later): (Vec<Changed>, Vec<Changed>) =
            self.in_force.changes(&new.keys).into_iter().partition(applied);
        for changed in &live {
            self.in_force.take_over(&changed.key, &new.keys);
        }
        if !later.is_empty() {
            tracing::warn!("reload: these take effect only after a restart: {}", list(&later));
        }
        self.audit_reload(&live, &later);
        if live.is_empty() {
            tracing::info!("reload: no reloadable key has changed; files named by keys were read again");
        } else {
            tracing::info!("reload: in force now: {}", list(&live));
        }
    }

    /// Records in the audit what was reloaded. Nobody waits for it: it is in force already.
    fn audit_reload(&self, live: &[Changed], later: &[Changed]) {
        let mut deed = Deed::new(Action::ConfigurationReload, None, None);
        for changed in live {
            let (before, now) = changed.values().unwrap_or(("(secret)", "(another secret)"));
            deed.before.insert(changed.key.clone(), before.into());
            deed.after.insert(changed.key.clone(), now.into());
        }
        if !later.is_empty() {
            let keys: Vec<&str> = later.iter().map(|changed| changed.key.as_str()).collect();
            deed = deed.with("after_restart", keys);
        }
        let warn_if = |failed: bool| {
            if failed {
                tracing::warn!("reload: it could not be recorded in the audit");
            }
        };
        let recorded = self.store.by(Actor::signal()).note(deed, Box::new(move |result| warn_if(result.is_err())));
        warn_if(recorded.is_err());
    }

    /// # Errors
    /// A file cannot be used. Nothing has changed then.
    fn apply(&mut self, new: &Config, messages: &Messages) -> Result<(), String> {
        let transport = transport(new).map_err(|fatal| fatal.to_string())?;
        let to_provider = provider::transport(new).map_err(|fatal| fatal.to_string())?;
        let mailer = alarms::mailer(new)?;
        self.reload_certificate()?;
        messages.set_level(new.diagnostics.level)?;
        self.transport.exchange(transport);
        if let Some(provider) = &self.provider {
            provider.transport().exchange(to_provider);
        }
        self.dispatcher.reconfigure(dispatch_settings(new));
        // Another engine needs a restart.
        if self.engine.name() == new.store.engine.name() {
            self.engine = new.store.engine.clone();
        }
        self.store.reconfigure(store::settings(new, &self.engine));
        self.alerts.aim(new, mailer);
        self.attempt_limit = new.senders.timeout;
        Ok(())
    }
}

fn list(changed: &[Changed]) -> String {
    changed.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_live_as_a_whole_and_a_key_by_its_name() {
        for (key, live) in [
            ("retry.jitter", true),
            ("network.allow", true),
            ("senders.timeout", true),
            ("senders.threads", false),
            ("http.listen", false),
            ("ordering.default", false),
            ("diagnostics.format", false),
            ("data_dir", false),
            ("store.min_free_bytes", true),
            ("store.cache_bytes", false),
            ("store.engine", false),
            ("store.url", false),
            ("store.url_file", false),
            ("store.schema", false),
            ("store.pool", false),
            ("store.replicas", false),
            ("page.oidc.allow", false),
            ("event_types", false),
        ] {
            assert_eq!(is_live(key), live, "{key}");
        }
    }
}
