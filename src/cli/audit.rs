//! `audit`: who changed what, and who looked at which secret; oldest first, newest last.

use std::io::Write;

use clap::Args;
use serde::Deserialize;

use super::client::Client;
use super::connection::Connection;
use super::exit::Failure;
use super::following::{Listed, Printing};
use super::table::Column;
use super::time::{Here, plain};

/// Print who changed what, and who looked at which secret
#[derive(Debug, Args)]
#[command(after_help = "\
The newest entry stands last. WHO is the name of the token, user or session, or
its kind; FROM the client's address. --json has what was there before and after.

Examples:
  hookswitch audit
  hookswitch audit --follow
  hookswitch audit --action subscription.show_secret --since 24h
  hookswitch audit --actor tok_01M… --json | jq .after

With --json each entry is one line, with everything the daemon tells of it.")]
pub(super) struct Audit {
    #[command(flatten)]
    printing: Printing,

    #[command(flatten)]
    filter: Filter,

    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Only entries")]
struct Filter {
    /// … that concern this company
    #[arg(long)]
    company: Option<String>,
    /// … of this actor: its kind, id or name
    #[arg(long)]
    actor: Option<String>,
    /// … of this action, such as subscription.change
    #[arg(long)]
    action: Option<String>,
    /// … about this subscription
    #[arg(long, value_name = "ID")]
    subscription: Option<String>,
    /// … from this time on: a date, RFC 3339, or 24h ago
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// … before this time
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

/// The displayed members of an entry.
#[derive(Debug, Deserialize)]
struct Entry {
    created: String,
    action: String,
    actor: Actor,
    #[serde(default)]
    subject: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Actor {
    kind: String,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    address: Option<String>,
}

/// The columns.
const COLUMNS: [(Column, usize); 5] = [
    (Column::text("CREATED (UTC)"), 19),
    (Column::text("ACTION"), 26),
    (Column::elastic("WHO"), 20),
    (Column::id("WHAT"), 30),
    (Column::text("FROM"), 15),
];

impl Entry {
    /// The cells of [`COLUMNS`].
    fn cells(&self) -> [String; 5] {
        let who = self.actor.name.clone().unwrap_or_else(|| self.actor.kind.clone());
        let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        [plain(&self.created), self.action.clone(), who, or_none(&self.subject), or_none(&self.actor.address)]
    }
}

impl Audit {
    pub(super) fn run(self, out: &mut dyn Write) -> Result<(), Failure> {
        let client = Client::new(&self.connection)?;
        let here = Here::of_machine();
        let filter = self.filter.parameters(&here)?;
        let listed = Listed { path: "/v1/audit", filter, columns: &COLUMNS, printing: self.printing, client: &client };
        listed.run(here.now, Entry::cells, out)
    }
}

impl Filter {
    /// The query parameters of the given options.
    fn parameters(self, here: &Here) -> Result<Vec<(&'static str, String)>, Failure> {
        let (since, until) = here.period(&self.since, &self.until)?;
        let given = [
            ("company", self.company),
            ("actor", self.actor),
            ("action", self.action),
            ("subscription", self.subscription),
            ("since", since),
            ("until", until),
        ];
        Ok(given.into_iter().filter_map(|(name, value)| Some((name, value?))).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_a_line_with_who_and_what() {
        let text = r#"{"created":"2026-11-23T09:30:00.123Z","action":"token.create","actor":{"kind":"token","id":"tok_1",
                       "name":null,"via":"api","address":"192.0.2.7"},"subject":null,"before":{},"after":{}}"#;
        let entry: Entry = serde_json::from_str(text).unwrap();
        assert_eq!(entry.cells(), ["2026-11-23 09:30:00", "token.create", "token", "-", "192.0.2.7"]);
    }
}
