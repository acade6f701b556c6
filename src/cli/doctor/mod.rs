//! `doctor`: checks everything a daemon on this machine needs, and says what is wrong and what to do.
//!
//! Each check prints one or a few lines and changes nothing: the disk's speed is measured on an unnamed file, and the
//! optional handshakes with receivers send no request. What cannot be checked (for lack of permissions, or because no
//! daemon answers) is reported as such, not as a fault.

mod certificate;
mod check;
mod clock;
mod database;
mod disk;
mod names;
mod provider;
mod receivers;
mod secrets;
mod service;
mod threads;

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::exit::{Exit, Failure};
use super::starting::{self, Overrides};
use super::table::json_line;
use super::text::safe;
use crate::config::{Config, StoreEngine};
use crate::core::hidden::Hidden;
use check::{Check, State};

/// Check this machine and the configuration for a daemon
#[derive(Debug, Args)]
#[command(after_help = "\
Looks at the configuration, the data directory, the disk and how fast it
syncs, the key file, the clock, the limits of open files and of threads, name
resolution, certificates (the client certificates of webhooks, too), the
provider of [page.oidc], and the port or the daemon that answers there. Changes nothing. Run it as the user that
the daemon runs as, or as root.

With PostgreSQL it looks at the server instead of the directory and the disk:
version, rights, a pooler in between, whether it syncs, its standbys, clock.
What the daemon itself reports needs its token then, by HOOKSWITCH_TOKEN.

With --receivers each https receiver of the running daemon's webhooks is
connected to, by the rules of [network]: whether it is reached, and whether its
certificate is trusted and for how long. Nothing is sent to it.

Exit status 0 if nothing failed, 1 if something did, 78 if the configuration
is not valid. A warning is no failure.

Examples:
  hookswitch doctor --config /etc/hookswitch/config.toml
  hookswitch doctor --receivers
  hookswitch doctor --json | jq '.checks[] | select(.state != \"ok\")'")]
pub(super) struct Doctor {
    /// The configuration file; else the defaults
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// The data directory (data_dir)
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,

    /// The daemon's token (or HOOKSWITCH_TOKEN; default: in admin.token)
    #[arg(long, value_name = "TOKEN", env = "HOOKSWITCH_TOKEN", hide_env = true, hide_env_values = true)]
    #[arg(next_line_help = true, value_parser = |text: &str| Ok::<_, String>(Hidden::new(text)))]
    token: Option<Hidden>,

    /// Also perform TLS handshakes with every https receiver
    #[arg(long)]
    receivers: bool,

    /// Print the results as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Findings {
    ok: bool,
    checks: Vec<Check>,
}

impl Doctor {
    pub(super) fn run(self, out: &mut dyn Write) -> Result<Exit, Failure> {
        let overrides =
            Overrides { config_file: self.config.clone(), data_dir: self.data_dir.clone(), ..Overrides::default() };
        let (checks, bad) = match starting::configuration(&overrides) {
            Ok(config) => (self.all(&config), false),
            Err(failure) => (vec![self.bad_configuration(&failure), clock::check(None)], true),
        };
        let failed = checks.iter().filter(|check| check.state == State::Fail).count();
        let warned = checks.iter().filter(|check| check.state == State::Warn).count();
        if self.json {
            json_line(out, &Findings { ok: failed == 0, checks })?;
        } else {
            write(&checks, out)?;
            writeln!(out)?;
            match (failed, warned) {
                (0, 0) => writeln!(out, "All is well.")?,
                (0, _) => writeln!(out, "Nothing failed; {warned} to look at.")?,
                _ => writeln!(out, "{failed} failed, {warned} to look at.")?,
            }
        }
        Ok(match (bad, failed) {
            (true, _) => Exit::BadConfiguration,
            (false, 0) => Exit::Done,
            (false, _) => Exit::Failed,
        })
    }

    fn all(&self, config: &Config) -> Vec<Check> {
        let mut checks = vec![Check::ok("configuration", self.name())];
        let daemon = match &config.store.engine {
            StoreEngine::Embedded { min_free_bytes, .. } => {
                let (directory, daemon) = disk::directory(&config.data_dir);
                checks.push(directory);
                checks.extend(disk::speed(&config.data_dir));
                checks.push(disk::space(&config.data_dir, *min_free_bytes));
                checks.push(secrets::check(config));
                checks.push(clock::check(Some(&config.data_dir)));
                daemon
            }
            // There is no data directory.
            StoreEngine::Postgres(store) => {
                checks.extend(database::checks(store));
                checks.push(clock::check(None));
                disk::Holder::Unknown
            }
        };
        checks.push(service::open_files(config, daemon));
        checks.push(threads::check(config, daemon));
        let (port, info) = service::port(config, self.token.as_ref(), daemon);
        checks.push(port);
        checks.extend(info.version);
        let known = info.subscriptions.as_deref();
        let enabled: Vec<_> = known.unwrap_or_default().iter().filter(|subscription| subscription.enabled).collect();
        checks.push(names::check(config, &enabled));
        checks.extend(certificate::checks(config));
        checks.extend(provider::checks(config));
        checks.extend(receivers::client_certificates(&enabled));
        if self.receivers {
            checks.extend(receivers::handshakes(config, known.map(|_| enabled.as_slice())));
        }
        checks
    }

    fn name(&self) -> String {
        self.config.as_ref().map_or("defaults and environment".to_owned(), |file| file.display().to_string())
    }

    fn bad_configuration(&self, failure: &Failure) -> Check {
        let faults = failure.message.replace('\n', "; ");
        let advice = "correct these keys; the rest was not checked";
        Check::fail("configuration", format!("{}: {faults}", self.name()), advice)
    }
}

fn write(checks: &[Check], out: &mut dyn Write) -> Result<(), Failure> {
    let width = checks.iter().map(|check| check.check.len()).max().unwrap_or(0);
    for check in checks {
        let state = match check.state {
            State::Ok => "ok  ",
            State::Warn => "look",
            State::Fail => "FAIL",
        };
        writeln!(out, "{state}  {:width$}  {}", check.check, safe(&check.message))?;
        if let Some(advice) = &check.advice {
            writeln!(out, "      {:width$}  -> {}", "", safe(advice))?;
        }
    }
    Ok(())
}
