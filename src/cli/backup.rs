//! `backup`: everything in a running daemon, as one file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use serde::Serialize;

use super::client::Client;
use super::connection::Connection;
use super::exit::Failure;
use super::progress::{self, Line, Unit};
use super::text::{number_of, size};
use crate::store::offline;

/// Bytes written between two syncs: unwritten data would delay the daemon's own syncs.
const SYNC_EVERY: u64 = 2 << 20;

/// Write everything that a running daemon has to one file
#[derive(Debug, Args)]
#[command(after_help = "\
The daemon goes on meanwhile. FILE has every event, delivery, subscription and
log entry up to the moment at which the backup ends, with the signing secrets
(sealed, if they are so in the store) and the admin token: whoever has the file
can sign as you and call your daemon. It is made with mode 0600; guard it like
the data directory. It is complete when this ends with 0; until then it is
called FILE.partial.

Examples:
  hookswitch backup /backup/hookswitch-monday
  hookswitch backup --force /backup/hookswitch && \\
      hookswitch verify /backup/hookswitch")]
pub(super) struct Backup {
    /// The file to write
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Replace FILE if it is there
    #[arg(long)]
    force: bool,

    /// Print the result as JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    connection: Connection,
}

#[derive(Serialize)]
struct Written<'w> {
    file: &'w Path,
    bytes: u64,
    events: u64,
    log_entries: u64,
    seconds: f64,
}

impl Backup {
    pub(super) fn run(self, out: &mut dyn Write) -> Result<(), Failure> {
        let begun = Instant::now();
        let file = &self.file;
        let shown = file.display();
        if fs::symlink_metadata(file).is_ok() && !self.force {
            return Err(Failure::new(format!("{shown} is there already; --force replaces it")));
        }
        let name = file.file_name().ok_or_else(|| Failure::usage(format!("{shown} is not the name of a file")))?;
        let mut partial_name = name.to_owned();
        partial_name.push(".partial");
        let partial = file.with_file_name(partial_name);
        let client = Client::new(&self.connection)?;
        let taken = progress::during(self.json, |show| fetch(&client, &partial, show)).inspect_err(|_| {
            // Useless; the error itself is reported already.
            drop(fs::remove_file(&partial));
        })?;
        let renamed = fs::rename(&partial, file).and_then(|()| sync_parent(file));
        renamed.map_err(|error| Failure::new(format!("{shown}: {error}")))?;
        let seconds = begun.elapsed().as_secs_f64();
        let offline::Taken { bytes, events, log_entries, sealed } = taken;
        if self.json {
            let written = Written { file, bytes, events, log_entries, seconds };
            return super::table::json_line(out, &written);
        }
        let (events, entries) = (number_of(events, "event"), number_of(log_entries, "log entry"));
        writeln!(out, "{shown}: {}, {events} and {entries} in {seconds:.1} s", size(bytes))?;
        match sealed {
            Some(key) => writeln!(
                out,
                "Its signing secrets are sealed with key {key}, the admin token in it is not. Readable by you alone \
                 (mode 0600)."
            )?,
            None => writeln!(
                out,
                "It holds signing secrets and the admin token, and is readable by you alone (mode 0600)."
            )?,
        }
        Ok(())
    }
}

/// Downloads to `partial`, syncs it, and verifies it.
fn fetch(client: &Client, partial: &Path, show: &dyn Fn(Line)) -> Result<offline::Taken, Failure> {
    let wrong = |error: io::Error| Failure::new(format!("{}: {error}", partial.display()));
    match fs::remove_file(partial) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(wrong(error)),
        _ => {}
    }
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(partial).map_err(wrong)?;
    let mut to = Synced { file, unsynced: 0, written: 0, show };
    client.download("/v1/backup", &mut to)?;
    to.file.sync_all().map_err(wrong)?;
    let whole = offline::check_backup(partial, &|step| show(step.into()));
    whole.map_err(|error| Failure::new(format!("the backup is incomplete and was removed: {error}")))
}

fn sync_parent(file: &Path) -> io::Result<()> {
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent)?.sync_all()
}

/// A file that is synced as it grows.
struct Synced<'s> {
    file: File,
    unsynced: u64,
    written: u64,
    show: &'s dyn Fn(Line),
}

impl Write for Synced<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.unsynced += count as u64;
        self.written += count as u64;
        (self.show)(Line { doing: "receiving", unit: Unit::Bytes, done: self.written, total: None });
        if self.unsynced >= SYNC_EVERY {
            self.file.sync_data()?;
            self.unsynced = 0;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }
}
