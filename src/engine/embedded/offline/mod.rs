//! A store that nobody runs, or a backup of one: verified, restored, salvaged.
//!
//! ```text
//! archive     a backup file, section by section
//! directory   a data directory, file by file
//!   audit       both: every frame beside the state, and the two compared
//!   blocks      a compressed journal file, block by block
//!   replica     a state on a scratch database, to apply steps to
//! layout      a new data directory, written so that it holds all or is none
//! report      what was found
//! ```
//!
//! Whoever calls this must hold the directory's lock. Verifying changes nothing in the directory: its
//! files are only read, and sled, which writes whenever it opens, is given a copy of `state/` in the
//! directory for temporary files. Nothing is believed because it is there: each byte that is taken
//! over has passed its checksum, and each record was decoded.
//!
//! What a start cuts away is no fault: [`recovery`] judges for both. Behind damage the next record is looked for. In a file
//! of today's version that is one which the daemon wrote there, for nobody else can make its [tag](crate::engine::embedded::frame). In one of
//! version 1 it may be what a stranger sent; so from there to the file's end nothing is taken that
//! [gives powers](wal::kind::gives_powers), and the rest is counted as not proved. A backup is read from its beginning to
//! its end or not at all, and a restore lays its journal files out as they were, salts and places included.

mod archive;
mod audit;
mod blocks;
mod directory;
mod layout;
mod refused;
mod replica;
mod report;
mod salvage;

use std::convert::Infallible;
use std::path::Path;

use crate::core::seal::Fingerprint;
use crate::engine::embedded::frame::{self, Binding, Salt};
use crate::engine::embedded::marker;
use crate::engine::embedded::wal::{Header, Shape, recovery};
use crate::model::error::u32_of;
use crate::model::record::{self, Head, Record};
use crate::model::segment::Class;

use self::blocks::Found;
use self::layout::Layout;

pub use archive::Taken;
pub use directory::verify_directory;
pub use refused::Refused;
pub use report::{Fault, Findings, Receiver, Salvaged};

pub use self::layout::check_empty;

/// Checks that the backup `file` is whole, without looking into its records.
///
/// # Errors
/// It is not, or it cannot be read.
pub fn check_backup(file: &Path) -> Result<Taken, Refused> {
    archive::each_section(file, &mut |_| Ok(()))
}

/// The key that secrets in the data directory `dir` are sealed with; `None` if they are not, or there is no directory.
/// A daemon may run on it.
///
/// # Errors
/// It cannot be seen.
pub fn sealed_with(dir: &Path) -> Result<Option<Fingerprint>, String> {
    marker::marker(dir).map_err(|damage| damage.to_string())
}

/// Reads every record of the backup `file`.
///
/// # Errors
/// There is no such file, or no scratch space. Damage is among the findings.
pub fn verify_backup(file: &Path) -> Result<Findings, Refused> {
    archive::verify(file)
}

/// Makes a data directory of the backup `file` in `dir`, which must be empty. The backup is verified
/// first, and nothing is written if it has a fault that a daemon would not get over.
///
/// # Errors
/// As described; or the directory cannot be written, and then it [is not taken](crate::store::api::Store::open) for a store.
pub fn restore(file: &Path, dir: &Path) -> Result<Findings, Refused> {
    check_empty(dir)?;
    let findings = verify_backup(file)?;
    if let Some(fault) = findings.first_serious() {
        let what = format!("{}: {fault}: nothing was restored from it", file.display());
        return Err(Refused::Damaged(what));
    }
    let mut layout = Layout::begin(dir)?;
    archive::each_section(file, &mut |section| layout.section(section))?;
    layout.finish()?;
    Ok(findings)
}

/// Whether `payload` can be read as the journal's record of the kind `kind`, through and through: bytes of any
/// origin may be asked about, and none may do harm. The checksum that stands before it elsewhere is left out. For `tests/fuzz`.
pub fn is_record(kind: u8, payload: &[u8]) -> bool {
    let head = Head { version: record::VERSION, kind, continues: false, batch: 0, id: 1 };
    let has_terms = !(record::SCHEMA.terms)(head, payload).keys.is_empty();
    let is_event = (record::SCHEMA.class)(kind) == Class::Event;
    Record::decode(head, payload).is_some_and(Record::decodes_fully) && (has_terms || !is_event)
}

/// The records in `bytes`, taken for all of a journal file, that a salvage would find: kinds and payloads. As of
/// [`is_record`], of any origin.
pub fn records_in(bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let Some(header) = Header::read_what_is_left(bytes) else { return Vec::new() };
    let (mut at, mut batch, mut found) = (header.end() as usize, 0, Vec::new());
    if let Some(shape) = Shape::of(header) {
        let read = blocks::each::<Infallible>((header, shape), (bytes, bytes.len() as u64), 0, &mut |part| {
            if let Found::Frame(_, head, payload, _) = part {
                found.push((head.kind, payload.to_vec()));
            }
            Ok(())
        });
        return read.map_or_else(|never| match never {}, |()| found);
    }
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        if let Ok((head, payload, length)) = header.binding.decode(rest, u32_of(at)) {
            batch = head.batch;
            found.push((head.kind, payload.to_vec()));
            at += length;
        } else if let Some(next) = recovery::resume(header.binding, bytes, at, batch) {
            at = next;
        } else {
            break;
        }
    }
    found
}

/// A journal file as it is written today, with a record of each of these kinds and payloads, under this salt. For tests:
/// the daemon draws its salts.
pub fn journal_file(salt: [u8; 16], records: &[(u8, &[u8])]) -> Vec<u8> {
    let salt = Salt::new(salt);
    let mut bytes = Header { number: 1, created: 0, binding: Binding::Salted(salt), packed: None }.to_bytes();
    for (batch, (kind, payload)) in (1..).zip(records) {
        let from = bytes.len();
        let head = Head { version: record::VERSION, kind: *kind, continues: false, batch, id: 0 };
        frame::encode(&mut bytes, head, |out| out.extend_from_slice(payload));
        salt.bind(&mut bytes[from..], u32_of(from), u32_of(from));
    }
    bytes
}

/// Writes what can be read of the damaged store in `dir`, which nobody may be running on, to `into`, which must be
/// empty. `dir` is not changed.
///
/// # Errors
/// There is nothing to be read, or `into` cannot be written.
pub fn salvage(dir: &Path, into: &Path) -> Result<Salvaged, Refused> {
    salvage::salvage(dir, into)
}

#[cfg(test)]
mod hostile;
