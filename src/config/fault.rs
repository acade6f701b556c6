//! Faults of a configuration, as shown to the operator.

use std::fmt;

/// One fault of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigFault {
    /// The key's path, such as `http.listen`; `None` if a whole layer cannot be read.
    pub key: Option<String>,
    /// The origin of the value: a file's path, `environment variable X`, `flag --x` or `built-in default`.
    pub origin: String,
    /// What is allowed. Never shows a secret.
    pub detail: String,
}

impl ConfigFault {
    /// The key without its index in a list: `network.allow`, `event_types`.
    pub(super) fn setting(&self) -> Option<String> {
        let key = self.key.as_deref()?;
        Some(key.split('[').next().unwrap_or(key).to_owned())
    }
}

impl fmt::Display for ConfigFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.key {
            Some(key) => write!(f, "{key} ({}) {}", self.origin, self.detail),
            None => write!(f, "{} {}", self.origin, self.detail),
        }
    }
}

/// The configuration is invalid. Displayed as one line per fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The faults; at least one.
    pub faults: Vec<ConfigFault>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.faults.iter().enumerate() {
            let newline = if index == 0 { "" } else { "\n" };
            write!(f, "{newline}{fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}
