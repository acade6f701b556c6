//! `subscription copy`: the same webhook for further domains.

use std::io::Write;

use clap::Args;
use serde::Deserialize;
use serde_json::json;

use super::super::client::{Client, read, subscription_path};
use super::super::exit::Failure;
use super::super::text::safe;

/// Make the same webhook for further domains of its company
#[derive(Debug, Args)]
#[command(after_help = "\
Each copy has all settings of the webhook, and its secret; from then on it is a
webhook of its own. All are made, or none.

Examples:
  hookswitch subscription copy sub_01… --to-domain shop.acme.example
  hookswitch subscription copy sub_01… \\
      --to-domain shop.acme.example,www.acme.example")]
pub(super) struct Copy {
    /// Its id
    id: String,

    /// The domains, with commas between; repeatable
    #[arg(long, value_name = "DOMAINS", value_delimiter = ',', required = true)]
    to_domain: Vec<String>,

    /// Print the daemon's reply as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Deserialize)]
struct Copied {
    items: Vec<One>,
    unseen: Vec<String>,
}

#[derive(Deserialize)]
struct One {
    id: String,
    #[serde(default)]
    domain: Option<String>,
}

impl Copy {
    pub(super) fn run(self, client: &Client, out: &mut dyn Write) -> Result<(), Failure> {
        let body = json!({"domains": self.to_domain}).to_string();
        let reply = client.post(&format!("{}/copy", subscription_path(&self.id)), &body)?;
        if self.json {
            return Ok(writeln!(out, "{}", reply.trim_end())?);
        }
        let Copied { items, unseen } = read(&reply)?;
        for One { id, domain } in items {
            writeln!(out, "{}  {}", safe(&id), safe(&domain.unwrap_or_default()))?;
        }
        for domain in unseen {
            writeln!(out, "note: no event of {} was posted yet; check that it is spelt right", safe(&domain))?;
        }
        Ok(())
    }
}
