//! The configuration as a list of keys, to find changes between two versions.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use super::settings::Settings;

/// Every key and its value as written. No `Debug`: some values are secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Keys(BTreeMap<String, String>);

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[keys]")
    }
}

/// A changed key. Displayed as `retry.jitter (0.1, now 0)`; a secret without its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// Such as `retry.jitter`.
    pub key: String,
    values: Option<(String, String)>,
}

impl Changed {
    /// The values before and now; `None` for a secret.
    pub fn values(&self) -> Option<(&str, &str)> {
        self.values.as_ref().map(|(before, now)| (before.as_str(), now.as_str()))
    }
}

impl fmt::Display for Changed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.values {
            Some((before, now)) => write!(f, "{} ({before}, now {now})", self.key),
            None => f.write_str(&self.key),
        }
    }
}

impl Keys {
    pub(super) fn of(settings: &Settings) -> Self {
        let mut keys = BTreeMap::new();
        let Ok(Value::Object(top)) = serde_json::to_value(settings) else { return Self(keys) };
        for (name, value) in top {
            add(&mut keys, name, value);
        }
        Self(keys)
    }

    /// The keys whose values differ in `new`, in order.
    pub fn changes(&self, new: &Self) -> Vec<Changed> {
        let value = |keys: &Self, key: &str| keys.0.get(key).cloned().unwrap_or_default();
        let differs = new.0.iter().filter(|(key, now)| self.0.get(*key) != Some(*now));
        let changed = differs.map(|(key, now)| Changed {
            key: key.clone(),
            values: (!is_secret(key)).then(|| (value(self, key), now.clone())),
        });
        changed.collect()
    }

    /// Adopts the value of `key` from `new`.
    pub fn take_over(&mut self, key: &str, new: &Self) {
        if let Some(value) = new.0.get(key) {
            self.0.insert(key.to_owned(), value.clone());
        }
    }
}

/// Adds the keys of a section, and of those within it.
fn add(keys: &mut BTreeMap<String, String>, name: String, value: Value) {
    match value {
        Value::Object(section) => {
            section.into_iter().for_each(|(key, value)| add(keys, format!("{name}.{key}"), value));
        }
        other => drop(keys.insert(name, written(&other))),
    }
}

fn is_secret(key: &str) -> bool {
    key.ends_with("secret")
        || key.ends_with("token")
        || key.ends_with("proxy")
        || key == "store.url"
        || key == "alerts.smtp_url"
}

fn written(value: &Value) -> String {
    match value {
        Value::Null => "not set".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_listed_by_key_and_secrets_without_values() {
        let before = Keys::of(&Settings::default());
        let mut settings = Settings::default();
        settings.retry.jitter = 0.5;
        settings.network.allow = vec!["10.0.0.0/8".to_owned()];
        settings.alerts.secret = Some("whsec_hunter2".to_owned());
        settings.page.oidc.client_secret = Some("hunter2".to_owned());
        settings.alerts.smtp_url = Some("smtps://u:hunter2@mail.example".to_owned());
        settings.store.url = Some("postgresql://u:hunter2@db.example/db".to_owned());
        settings.http.tls_cert = Some("/etc/tls.pem".to_owned());
        let after = Keys::of(&settings);
        let changes: Vec<String> = before.changes(&after).iter().map(ToString::to_string).collect();
        let wanted = [
            "alerts.secret",
            "alerts.smtp_url",
            "http.tls_cert (not set, now \"/etc/tls.pem\")",
            "network.allow ([], now [\"10.0.0.0/8\"])",
            "page.oidc.client_secret",
            "retry.jitter (0.1, now 0.5)",
            "store.url",
        ];
        assert_eq!(changes, wanted);
        assert_eq!(format!("{after:?}"), "[keys]");
        let mut taken = before.clone();
        taken.take_over("retry.jitter", &after);
        assert_eq!(taken.changes(&after).len(), 6);
        assert_eq!(before.changes(&before), []);
    }
}
