//! `serve` and `check-config`.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use super::exit::Failure;
use super::starting::{self, Overrides};

/// Run the daemon
#[derive(Debug, Args)]
#[command(after_help = "\
Settings come from the built-in defaults, then FILE, then the environment
(HOOKSWITCH_HTTP__LISTEN=…), then these options. Without --config there is no
file. The first start makes an admin token, prints it once and keeps it in
DATA_DIR/admin.token.

Examples:
  hookswitch serve --config /etc/hookswitch/config.toml
  hookswitch serve --data-dir ./data --listen 127.0.0.1:4665 --allow 127.0.0.0/8

Receivers on loopback, private and other special addresses are refused unless
--allow or [network] allow names their network.")]
pub(super) struct Serve {
    /// The configuration file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// The data directory (data_dir)
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,

    /// Address and port to listen on (http.listen)
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,

    /// A network to deliver to (network.allow); repeatable
    #[arg(long, value_name = "CIDR")]
    allow: Vec<String>,
}

impl Serve {
    pub(super) fn run(self) -> Result<(), Failure> {
        starting::run(&Overrides {
            config_file: self.config,
            data_dir: self.data_dir,
            listen: self.listen,
            allow: self.allow,
        })
    }
}

/// Check a configuration file without starting anything
#[derive(Debug, Args)]
#[command(after_help = "\
Reads FILE as `serve` would, with the defaults below and the environment above
it. Exit status 0 if it is valid, 78 with every fault named if it is not.

Example:
  hookswitch check-config /etc/hookswitch/config.toml")]
pub(super) struct CheckConfig {
    /// The configuration file; without it, the defaults and the environment
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,

    /// The same, in the form that `serve` and `doctor` take
    #[arg(long, value_name = "FILE", conflicts_with = "file")]
    config: Option<PathBuf>,
}

impl CheckConfig {
    pub(super) fn run(self, out: &mut dyn Write) -> Result<(), Failure> {
        let file = self.file.or(self.config);
        let name = file.as_ref().map_or("defaults and environment".to_owned(), |file| file.display().to_string());
        starting::check(&Overrides { config_file: file, ..Overrides::default() })?;
        Ok(writeln!(out, "{name}: ok")?)
    }
}
