//! `restore`: a data directory from a backup.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use super::exit::{Exit, Failure};
use super::progress;
use super::table::json_line;
use super::text::{count, number_of};
use super::verify::{write_faults, write_holdings};
use crate::service::DataDirLock;
use crate::store::offline::{self, Findings};

/// Create a data directory from a backup
#[derive(Debug, Args)]
#[command(after_help = "\
DIR must be empty or not there. FILE is verified first, and nothing is written
if anything in it is wrong. The admin token of the backup is restored too, so
that clients go on working; delete DIR/admin.token before the first start to
get a new one. Deliveries that were made after the backup was taken are made
again: receivers tell them by their webhook-id. Do not run the old machine
and the restored one at the same time. Run it as root, who gives what is in DIR
to DIR's owner, or as the user that runs the daemon.

--dry-run says what FILE holds and what would be sent, and writes nothing but
scratch files in the directory for temporary files (TMPDIR).

Examples:
  hookswitch restore --dry-run /backup/hookswitch-monday
  hookswitch restore /backup/hookswitch-monday --data-dir /var/lib/hookswitch")]
pub(super) struct Restore {
    /// The backup
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// The data directory to create
    #[arg(long, value_name = "DIR", required_unless_present = "dry_run")]
    data_dir: Option<PathBuf>,

    /// Only show what the backup contains
    #[arg(long)]
    dry_run: bool,

    /// Print its contents as JSON
    #[arg(long)]
    json: bool,
}

impl Restore {
    pub(super) fn run(self, out: &mut dyn Write) -> Result<(), Failure> {
        let shown = self.file.display().to_string();
        let findings = match &self.data_dir {
            Some(dir) if !self.dry_run => {
                offline::check_empty(dir)?;
                let lock = DataDirLock::take(dir).map_err(|error| Failure::new(error.to_string()))?;
                let findings =
                    progress::during_steps(self.json, |tell| offline::restore(&self.file, lock.dir(), tell))?;
                lock.hand_over().map_err(|error| Failure::new(error.to_string()))?;
                findings
            }
            _ => progress::during_steps(self.json, |tell| offline::verify_backup(&self.file, tell))?,
        };
        if self.json {
            json_line(out, &findings)?;
        } else {
            writeln!(out, "{shown}, taken {}", taken(&findings))?;
            write_holdings(&findings, out)?;
        }
        if !findings.is_clean() {
            write_faults(&findings, &mut std::io::stderr())?;
            let message = format!("{shown} is damaged: it cannot be restored");
            return Err(Failure { exit: Exit::StoreFailed, message });
        }
        if self.json {
            return Ok(());
        }
        let (sent, waits) = outstanding(&findings);
        writeln!(out)?;
        writeln!(
            out,
            "A daemon that starts on it sends {}; {} for disabled subscriptions.",
            number_of(sent, "delivery"),
            waiting(waits)
        )?;
        writeln!(out, "Those delivered after the backup was taken are among them and are sent again.")?;
        if let Some(dir) = self.data_dir.filter(|_| !self.dry_run) {
            writeln!(out, "Restored to {}.", dir.display())?;
        }
        Ok(())
    }
}

fn taken(findings: &Findings) -> String {
    let at = findings.taken_at.as_deref().unwrap_or("at an unknown time");
    findings.taken_by.as_ref().map_or_else(|| at.to_owned(), |version| format!("{at} by hookswitch {version}"))
}

fn waiting(number: u64) -> String {
    format!("{} {}", count(number), if number == 1 { "waits" } else { "wait" })
}

/// How many deliveries are sent at once, and how many wait for disabled subscriptions.
fn outstanding(findings: &Findings) -> (u64, u64) {
    let waits = findings.subscriptions.iter().filter(|receiver| !receiver.enabled).map(|receiver| receiver.owed).sum();
    (findings.owed().saturating_sub(waits), waits)
}
