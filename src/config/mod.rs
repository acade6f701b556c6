//! The configuration: layers, validation, and actionable errors.
//!
//! Layers, later ones override earlier ones: built-in defaults, file, environment, flags. Every value of a [`Config`]
//! is valid. Each fault names the key, the origin of its value and what is allowed. Knows [`crate::core`] and no
//! other module; starts nothing and writes nothing.
//!
//! `config.example.toml` documents every key; a test compares it with the defaults.

mod fault;
mod given;
mod keys;
mod layers;
mod settings;
#[cfg(test)]
mod tests;
mod validate;
mod values;

use std::ffi::OsString;

pub use self::fault::{ConfigError, ConfigFault};
pub use self::keys::{Changed, Keys};
pub use self::layers::Overrides;
use self::layers::{Layers, Written};
pub use self::settings::DEFAULT_DATA_DIR;
use self::validate::BadKey;
pub use self::values::{
    AlertUrl, Alerts, Config, Diagnostics, EngineName, Http, Level, Limits, LogFormat, MailSettings, Network, Oidc,
    OrderingRules, Page, PostgresStore, Retention, SecretSource, Senders, Store, StoreEngine, TlsFiles, UrlSource,
};

impl Config {
    /// Reads all layers: defaults, the file, this process's environment, and the flags.
    ///
    /// # Errors
    /// Every fault found. Nothing may start then (exit status 78).
    pub fn load(overrides: &Overrides) -> Result<Self, ConfigError> {
        Self::load_from(overrides, std::env::vars_os())
    }

    /// As [`Config::load`], with the environment as an argument.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn load_from(
        overrides: &Overrides,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, ConfigError> {
        let Written { settings, origins, mut faults } = Layers::read(overrides, variables).settings();
        match Self::try_from(settings) {
            Ok(config) if faults.is_empty() => return Ok(config),
            // A layer that cannot be read may have set the missing keys.
            Err(bad) if faults.iter().all(|fault| fault.key.is_some()) => {
                let misshapen: Vec<String> = faults.iter().filter_map(ConfigFault::setting).collect();
                let own = |bad: &BadKey| !misshapen.iter().any(|other| bad.comes_of(other));
                faults.extend(origins.locate(bad.into_iter().filter(own).collect()));
            }
            Ok(_) | Err(_) => {}
        }
        Err(ConfigError { faults })
    }
}
