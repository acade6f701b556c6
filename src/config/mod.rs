//! The configuration: layers, validation, and errors that an operator can act on.
//!
//! Layers, the later above the earlier: built-in defaults, file, environment, flags. A [`Config`] that
//! exists is valid in every value. Each fault names the key, where its value came from and what is
//! allowed. Knows [`crate::core`] and no other module; starts nothing and writes nothing.
//!
//! `config.example.toml` documents every key; a test holds it against the defaults.

mod fault;
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
    Alerts, Config, Diagnostics, Http, Level, Limits, LogFormat, Network, OrderingRules, Retention, Senders,
    StoreLimits, TlsFiles,
};

impl Config {
    /// Reads all layers: defaults, the file, this process's environment, and the flags.
    ///
    /// # Errors
    /// Every fault that was found. Nothing may start then (exit status 78).
    pub fn load(overrides: &Overrides) -> Result<Self, ConfigError> {
        Self::load_from(overrides, std::env::vars_os())
    }

    /// As [`Config::load`], with the environment handed in.
    ///
    /// # Errors
    /// As there.
    pub fn load_from(
        overrides: &Overrides,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, ConfigError> {
        let Written { settings, origins, mut faults } = Layers::read(overrides, variables).settings();
        match Self::try_from(settings) {
            Ok(config) if faults.is_empty() => return Ok(config),
            // Of a layer that cannot be read nobody knows what it would have said.
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
