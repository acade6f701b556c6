//! `verify`: reads every record of a stopped store or a backup, and salvages a damaged store.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;

use super::exit::{Exit, Failure};
use super::progress::during_steps;
use super::table::{Column, Table, json_line};
use super::text::{count, number_of, safe, size};
use crate::config::DEFAULT_DATA_DIR;
use crate::service::{DataDirHold, DataDirLock};
use crate::store::offline::{self, Findings, Salvaged};

/// Maximum lost deliveries listed.
const NAMED_MOST: usize = 20;

/// Read every record of a backup or a stopped daemon's store
#[derive(Debug, Args)]
#[command(after_help = "\
Without FILE the data directory is read (--data-dir, HOOKSWITCH_DATA_DIR, or
/var/lib/hookswitch), on which no daemon may run. Nothing in it is changed;
scratch files go to the directory for temporary files (TMPDIR) and need about
the size of DIR/state. Exit status 0 if all is well, 74 if
something is wrong: each fault is listed with its file and byte.

--salvage writes what can be read to NEWDIR, which must be empty or not there,
and says what was lost. DIR stays as it is.

Examples:
  hookswitch verify /backup/hookswitch-monday
  hookswitch verify --data-dir /var/lib/hookswitch --json
  hookswitch verify --salvage --data-dir /var/lib/hookswitch --into /srv/saved")]
pub(super) struct Verify {
    /// A backup
    #[arg(value_name = "FILE", conflicts_with_all = ["data_dir", "salvage"])]
    file: Option<PathBuf>,

    /// A data directory; by default as for the other commands
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,

    /// Save what can be read to another directory
    #[arg(long, requires = "into")]
    salvage: bool,

    /// The directory to save to
    #[arg(long, value_name = "NEWDIR", requires = "salvage")]
    into: Option<PathBuf>,

    /// Print the findings as JSON
    #[arg(long)]
    json: bool,
}

impl Verify {
    pub(super) fn run(self, out: &mut dyn Write) -> Result<Exit, Failure> {
        if let Some(file) = &self.file {
            let findings = during_steps(self.json, |tell| offline::verify_backup(file, tell))?;
            return self.report(file, &findings, out);
        }
        let given = self.data_dir.clone();
        let variable = || std::env::var_os("HOOKSWITCH_DATA_DIR").filter(|dir| !dir.is_empty()).map(PathBuf::from);
        let dir = given.or_else(variable).unwrap_or_else(|| PathBuf::from(DEFAULT_DATA_DIR));
        let failure = |error: crate::service::DataDirError| Failure::new(format!("{error}; stop it first"));
        let _held = DataDirHold::take(&dir).map_err(failure)?;
        let Some(into) = self.into.as_ref().filter(|_| self.salvage) else {
            let findings = during_steps(self.json, |tell| offline::verify_directory(&dir, tell))?;
            return self.report(&dir, &findings, out);
        };
        offline::check_empty(into)?;
        let lock = DataDirLock::take(into).map_err(|error| Failure::new(error.to_string()))?;
        let salvaged = during_steps(self.json, |tell| offline::salvage(&dir, lock.dir(), tell))?;
        lock.hand_over().map_err(|error| Failure::new(error.to_string()))?;
        if self.json {
            json_line(out, &salvaged)?;
        } else {
            write_salvaged(&dir, into, &salvaged, out)?;
        }
        Ok(Exit::Done)
    }

    fn report(&self, of: &Path, findings: &Findings, out: &mut dyn Write) -> Result<Exit, Failure> {
        if self.json {
            json_line(out, findings)?;
        } else {
            writeln!(out, "{}", of.display())?;
            write_holdings(findings, out)?;
            writeln!(out)?;
            if findings.is_clean() {
                writeln!(out, "All of it was read, and nothing is wrong.")?;
            } else {
                write_faults(findings, out)?;
            }
        }
        if !findings.is_clean() && !self.json && self.file.is_none() {
            let dir = of.display();
            writeln!(
                out,
                "\nPut back a backup (`hookswitch restore FILE --data-dir NEWDIR`), or save what can be read\n\
                 (`hookswitch verify --salvage --data-dir {dir} --into NEWDIR`)."
            )?;
        }
        Ok(if findings.is_clean() { Exit::Done } else { Exit::StoreFailed })
    }
}

/// The contents of a store, for display.
pub(super) fn write_holdings(findings: &Findings, out: &mut dyn Write) -> Result<(), Failure> {
    writeln!(out, "journal     {}, {}", number_of(findings.files, "file"), size(findings.bytes))?;
    writeln!(out, "events      {}", count(findings.events))?;
    let (entries, others) = (findings.log_entries, findings.other_records);
    writeln!(out, "log         {}, {}", number_of(entries, "entry"), number_of(others, "other record"))?;
    writeln!(out, "deliveries  {} pending, {} retrying", count(findings.pending), count(findings.retrying))?;
    writeln!(out, "            {} failed (dead letters)", count(findings.failed))?;
    if findings.sealed > 0 {
        let keys = findings.sealed_with.iter().cloned().collect::<Vec<_>>().join(", ");
        let count = findings.sealed;
        writeln!(out, "sealed      secrets (subscriptions: {count}), with key {keys}; they were not opened")?;
    }
    if findings.torn_bytes > 0 {
        writeln!(out, "torn        {} at the end, nothing acknowledged in them", size(findings.torn_bytes))?;
    }
    writeln!(out)?;
    let columns = [
        Column::id("SUBSCRIPTION"),
        Column::elastic("COMPANY"),
        Column::elastic("URL"),
        Column::number("OWED"),
        Column::number("FAILED"),
    ];
    let mut table = Table::new(&columns);
    for receiver in &findings.subscriptions {
        let (owed, failed) = (count(receiver.owed), count(receiver.failed));
        table.row([receiver.id.to_string(), receiver.company.clone(), receiver.url.clone(), owed, failed]);
    }
    Ok(table.write(out, "There are no subscriptions.")?)
}

/// The faults, one per line.
pub(super) fn write_faults(findings: &Findings, out: &mut dyn Write) -> Result<(), Failure> {
    let total = findings.faults_total;
    writeln!(out, "{}:", number_of(total, "fault"))?;
    for fault in &findings.faults {
        let place = match (fault.file.as_str(), fault.byte) {
            ("", Some(byte)) => format!("byte {byte}: "),
            ("", None) => String::new(),
            (file, Some(byte)) => format!("{file} at byte {byte}: "),
            (file, None) => format!("{file}: "),
        };
        writeln!(out, "  {}{}", safe(&place), safe(&fault.what))?;
    }
    let more = total.saturating_sub(findings.faults.len() as u64);
    if more > 0 {
        writeln!(out, "  and {more} more")?;
    }
    Ok(())
}

fn write_salvaged(dir: &Path, into: &Path, salvaged: &Salvaged, out: &mut dyn Write) -> Result<(), Failure> {
    writeln!(out, "saved from {} to {}", dir.display(), into.display())?;
    write_holdings(&salvaged.kept, out)?;
    writeln!(out)?;
    if salvaged.kept.is_clean() {
        writeln!(out, "Nothing was wrong: this is all there was.")?;
    } else {
        write_faults(&salvaged.kept, out)?;
    }
    writeln!(
        out,
        "\nlost        {} of the journal, in {}; at least {}, counted for each subscription",
        size(salvaged.lost_bytes),
        number_of(salvaged.gaps, "place"),
        number_of(salvaged.missing_sequences, "event")
    )?;
    let lost = number_of(salvaged.lost_deliveries.len() as u64, "delivery");
    writeln!(out, "            {lost} whose event or subscription is lost")?;
    for delivery in salvaged.lost_deliveries.iter().take(NAMED_MOST) {
        writeln!(out, "            {delivery}")?;
    }
    write_doubts(salvaged, out)?;
    if salvaged.state_rebuilt {
        writeln!(out, "The state database could not be used; the state was made again from the journal.")?;
        writeln!(out, "Subscriptions whose records stood in journal files that are gone are not in it.")?;
    }
    Ok(())
}

/// What was salvaged, and what is doubtful.
fn write_doubts(salvaged: &Salvaged, out: &mut dyn Write) -> Result<(), Failure> {
    for (what, records) in [("taken over", &salvaged.taken), ("left out", &salvaged.left_out)] {
        for (nth, (kind, number)) in records.iter().enumerate() {
            writeln!(out, "{:<11} {kind}: {}", if nth == 0 { what } else { "" }, count(*number))?;
        }
    }
    if !salvaged.left_out.is_empty() || salvaged.unproved > 0 {
        writeln!(
            out,
            "A journal file of an older format is damaged. Senders of events, SMS or responses could have forged what\n\
             follows the damage: of that, no record that grants permissions was taken, but {} others were. Check\n\
             the subscriptions.",
            count(salvaged.unproved)
        )?;
    }
    if salvaged.renew_tokens {
        writeln!(
            out,
            "Replace all tokens (`hookswitch token create`, then `revoke`): one may be missing, or a revoked one valid\n\
             again."
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holdings_are_written_for_people() {
        let cases = [
            ((1, 1_258_291, 1, 2), ["1 file, 1.2 MiB", "events      1\n", "1 entry, 2 other records"]),
            ((2, 12, 12_345, 1), ["2 files, 12 bytes", "events      12,345\n", "12,345 entries, 1 other record\n"]),
        ];
        for ((files, bytes, events, other_records), wanted) in cases {
            let found = Findings { files, bytes, events, log_entries: events, other_records, ..Findings::default() };
            let mut out = Vec::new();
            write_holdings(&found, &mut out).unwrap();
            let text = String::from_utf8(out).unwrap();
            for wanted in wanted {
                assert!(text.contains(wanted), "{wanted:?} in\n{text}");
            }
        }
    }
}
