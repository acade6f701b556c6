//! `move`: everything in a data directory into a PostgreSQL database, and back.

use std::io::Write;
use std::path::Path;

use clap::Args;

use super::exit::Failure;
use super::progress::during_steps;
use super::table::json_line;
use super::verify::write_holdings;
use crate::core::database::{DatabaseUrl, SchemaName};
use crate::core::hidden::Hidden;
use crate::daemon;
use crate::service::{DataDirHold, DataDirLock, UrlFile};
use crate::store::offline::Findings;

/// Move a data directory into PostgreSQL, or back
#[derive(Debug, Args)]
#[command(
    name = "move",
    after_help = "\
One of FROM and TO is a data directory, the other the URL of a database, or a
file that contains it, so that no password is on the command line. No daemon
may run on either. The target must be empty or not there; the source stays as
it is, and a directory is verified first.

All is moved: events, deliveries and their order, log, conversations, webhooks
with their secrets, tokens, the report; ids and numbers stay. Secrets that are
sealed stay so: give the daemons the same key file. The admin token of a
directory stays valid in PostgreSQL; on the way back the first start makes one,
since a schema has only its hash.

An interrupted move is repeated: into PostgreSQL it goes on where it was, into a
directory it begins anew. No daemon starts on what is not complete. Afterwards
start daemons on the target only: on both, each would send what is owed.

Examples:
  hookswitch move --from /var/lib/hookswitch --to /etc/hookswitch/store.url
  hookswitch move --from /var/lib/hookswitch \\
      --to postgresql://hookswitch@db.example/hookswitch --schema hookswitch
  hookswitch move --from /etc/hookswitch/store.url --to /srv/hookswitch"
)]
pub(super) struct Move {
    /// What to move: a data directory, or the URL of a database
    #[arg(long, value_parser = |text: &str| Ok::<_, String>(Hidden::new(text)))]
    from: Hidden,

    /// Where to
    #[arg(long, value_parser = |text: &str| Ok::<_, String>(Hidden::new(text)))]
    to: Hidden,

    /// The schema of the tables
    #[arg(long, value_name = "NAME", default_value = "hookswitch", value_parser = SchemaName::parse)]
    schema: SchemaName,

    /// Print what was moved as JSON
    #[arg(long)]
    json: bool,
}

impl Move {
    pub(super) fn run(self, out: &mut dyn Write) -> Result<(), Failure> {
        let (moved, done) = if Path::new(self.from.expose()).is_dir() { self.forth()? } else { self.back()? };
        if self.json {
            return json_line(out, &moved);
        }
        write_holdings(&moved, out)?;
        writeln!(out, "\n{done}")?;
        Ok(writeln!(out, "Do not start daemons on both: each would send what is owed.")?)
    }

    fn forth(&self) -> Result<(Findings, String), Failure> {
        let (dir, url, schema) = (Path::new(self.from.expose()), url("--to", &self.to)?, &self.schema);
        let failure = |error: crate::service::DataDirError| Failure::new(format!("{error}; stop it first"));
        let _held = DataDirHold::take(dir).map_err(failure)?;
        let moved = during_steps(self.json, |tell| daemon::move_into_database(dir, &url, schema, tell))?;
        Ok((moved, format!("All of it is in the schema {schema} on {url}; {} is as it was.", dir.display())))
    }

    fn back(&self) -> Result<(Findings, String), Failure> {
        let (url, dir, schema) = (url("--from", &self.from)?, Path::new(self.to.expose()), &self.schema);
        if DatabaseUrl::parse(self.to.expose()).is_ok() || dir.is_file() {
            return Err(Failure::usage("one of --from and --to must be a data directory: a move is to or from one"));
        }
        let lock = DataDirLock::take(dir).map_err(|error| Failure::new(error.to_string()))?;
        let moved = during_steps(self.json, |tell| daemon::move_out_of_database(&url, schema, lock.dir(), tell))?;
        lock.hand_over().map_err(|error| Failure::new(error.to_string()))?;
        let kept = format!("the schema {schema} on {url} is as it was");
        Ok((moved, format!("All of it is in {}; {kept}. The first start prints a new admin token.", dir.display())))
    }
}

/// The URL, or that in the file of this name.
fn url(option: &str, given: &Hidden) -> Result<DatabaseUrl, Failure> {
    let text = given.expose();
    if Path::new(text).is_file() {
        return UrlFile::read(Path::new(text))
            .map(UrlFile::into_url)
            .map_err(|error| Failure::usage(error.to_string()));
    }
    let wrong =
        |wanted| Failure::usage(format!("{option} is no data directory, and {wanted}, or a file that contains it"));
    DatabaseUrl::parse(text).map_err(wrong)
}
