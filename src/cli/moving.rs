//! `move`: everything in a data directory into a PostgreSQL database, and back.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;

use super::exit::Failure;
use super::table::json_line;
use super::verify::write_holdings;
use crate::core::database::{DatabaseUrl, SchemaName};
use crate::core::hidden::Hidden;
use crate::daemon;
use crate::service::{DataDirHold, UrlFile};

/// Move a data directory into PostgreSQL
#[derive(Debug, Args)]
#[command(
    name = "move",
    after_help = "\
No daemon may run on the data directory, and the schema must be empty or not
there. All is moved: events, deliveries and their order, log, conversations,
webhooks with their secrets, tokens, the report; ids and numbers stay. Secrets
that are sealed stay so: give the daemons the same key file. The admin token
stays valid.

The directory is verified first, and stays as it is. If the move is
interrupted, repeat it: it goes on where it was. Until it is complete no daemon
starts on the schema. Then set [store] engine = \"postgres\" and url, start the
daemons, and do not start one on the directory again: both would send.

URL may also be a file that contains it, so that no password is on the command
line.

Examples:
  hookswitch move --from /var/lib/hookswitch --to /etc/hookswitch/store.url
  hookswitch move --from /var/lib/hookswitch \\
      --to postgresql://hookswitch@db.example/hookswitch --schema hookswitch"
)]
pub(super) struct Move {
    /// The data directory
    #[arg(long, value_name = "DIR")]
    from: PathBuf,

    /// The URL of the database, or a file that contains it
    #[arg(long, value_name = "URL", value_parser = |text: &str| Ok::<_, String>(Hidden::new(text)))]
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
        let (dir, schema, url) = (&self.from, &self.schema, url(&self.to)?);
        let failure = |error: crate::service::DataDirError| Failure::new(format!("{error}; stop it first"));
        let _held = DataDirHold::take(dir).map_err(failure)?;
        let moved = daemon::move_into_database(dir, &url, schema)?;
        if self.json {
            return json_line(out, &moved);
        }
        write_holdings(&moved, out)?;
        let dir = dir.display();
        writeln!(out, "\nAll of it is in the schema {schema} on {url}; {dir} is as it was.")?;
        Ok(writeln!(out, "Do not start a daemon on both: each would send what is owed.")?)
    }
}

/// The URL, or that in the file of this name.
fn url(given: &Hidden) -> Result<DatabaseUrl, Failure> {
    let text = given.expose();
    if Path::new(text).is_file() {
        return UrlFile::read(Path::new(text))
            .map(UrlFile::into_url)
            .map_err(|error| Failure::usage(error.to_string()));
    }
    DatabaseUrl::parse(text).map_err(|wanted| Failure::usage(format!("--to {wanted}, or the name of a file with it")))
}
