//! `store`: work on what is kept that is neither a backup nor a check.

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::exit::Failure;
use super::starting::{self, Overrides};

/// Upgrade the tables of the PostgreSQL engine
#[derive(Debug, Args)]
pub(super) struct Store {
    #[command(subcommand)]
    command: StoreCommand,
}

#[derive(Debug, Subcommand)]
enum StoreCommand {
    Upgrade(Upgrade),
}

/// Upgrade the tables in PostgreSQL to those of this version
#[derive(Debug, Args)]
#[command(after_help = "\
Every daemon does it when it starts, so it is needed only to see beforehand
that it works. What it does at first only adds: daemons of the version before
go on while they are replaced one by one. What they could not read cannot
be set yet (409 says so). With --finish, once all are replaced, it can, and
what only they needed is removed; they cannot start any more.

A data directory needs none of it: it is upgraded when it is opened.

Examples:
  hookswitch store upgrade --config /etc/hookswitch/config.toml
  hookswitch store upgrade --config /etc/hookswitch/config.toml --finish")]
struct Upgrade {
    /// The configuration file, as of `serve`
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Remove what only older versions need
    #[arg(long)]
    finish: bool,
}

impl Store {
    pub(super) fn run(self, out: &mut dyn Write) -> Result<(), Failure> {
        let StoreCommand::Upgrade(Upgrade { config, finish }) = self.command;
        let said = starting::upgrade_store(&Overrides { config_file: config, ..Overrides::default() }, finish)?;
        Ok(writeln!(out, "{said}")?)
    }
}
