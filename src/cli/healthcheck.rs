//! `healthcheck`: whether the daemon is ready, as an exit status, where there is no curl (an image made of this program alone).

use std::io::Write;

use clap::Args;
use serde::Deserialize;

use super::client::Client;
use super::connection::Connection;
use super::exit::Failure;
use super::text::safe;

/// Check that the daemon accepts events (exit status 0 or 1)
#[derive(Debug, Args)]
#[command(after_help = "\
It asks for /readyz, which needs no token.

Examples:
  hookswitch healthcheck
  hookswitch healthcheck --live --url https://hooks.acme.example")]
pub(super) struct Healthcheck {
    /// Only that it answers (/healthz), even with a full disk
    #[arg(long)]
    live: bool,

    #[command(flatten)]
    connection: Connection,
}

/// What a daemon says that is not ready.
#[derive(Debug, Deserialize)]
struct Reason {
    detail: String,
}

impl Healthcheck {
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<(), Failure> {
        let (path, word) = if self.live { ("/healthz", "alive") } else { ("/readyz", "ready") };
        let client = Client::new(&self.connection)?;
        let reply = client.look(path)?;
        match reply.status {
            200 => Ok(writeln!(out, "{word}")?),
            503 => {
                let reason = serde_json::from_str(&reply.text).map_or(reply.text, |reason: Reason| reason.detail);
                Err(Failure::new(format!("the daemon at {} is not ready: {}", client.base(), safe(&reason))))
            }
            other => Err(Failure::new(format!("{}{path} answers {other}, not 200: is it Hookswitch?", client.base()))),
        }
    }
}
