//! Offline operations on a store that is not running, or on a backup: verify, restore, salvage.
//!
//! ```text
//! archive     reads a backup file, section by section
//! directory   reads a data directory, file by file
//!   audit       for both: every frame along with the state, and a comparison of the two
//!   blocks      reads a compressed segment, block by block
//!   replica     a state on a scratch database, to which records are applied
//! moving      everything of a directory, for another engine
//! making      a directory of everything that another engine has
//! layout      writes a new data directory that becomes valid only when it is complete
//! report      the findings
//! step        how far it is
//! ```
//!
//! What takes long tells how far it is ([`Tell`]). The caller must hold the directory's lock. Verifying changes nothing in the directory: its files are only read, and
//! sled, which writes whenever it opens, gets a copy of `state/` in the directory for temporary files. Nothing is
//! trusted for being there: every byte that is copied has passed its checksum, and every record was decoded.
//!
//! What a start truncates is not a fault: [`recovery`] classifies for both. Behind damage the next record is searched
//! for. In a segment of the current version it was written there by the daemon, since nobody else can make its
//! [tag](crate::engine::embedded::frame). In one of version 1 it may be forged by client data; from there to the end of
//! the segment no record that [grants rights](record::grants_rights) is accepted, and the others are counted as
//! unproved. A backup is read completely or not at all, and a restore writes its segments unchanged, salts and offsets
//! included.

mod archive;
mod audit;
mod blocks;
mod directory;
mod layout;
#[cfg(feature = "postgres")]
pub(crate) mod making;
#[cfg(feature = "postgres")]
pub(crate) mod moving;
mod refused;
mod replica;
mod report;
mod salvage;
pub(crate) mod step;

use std::convert::Infallible;
use std::path::Path;

use crate::core::seal::Fingerprint;
use crate::engine::embedded::frame::{self, Binding, Salt};
use crate::engine::embedded::marker;
use crate::engine::embedded::wal::{Header, Shape, recovery};
use crate::model::error::u32_of;
use crate::model::record::Class;
use crate::model::record::{self, Head, Record};

use self::blocks::Found;
use self::layout::Layout;

pub use archive::Taken;
pub use directory::verify_directory;
pub use refused::Refused;
pub use report::{Fault, Findings, Receiver, Salvaged};
pub use step::{Step, Tell, Work};

pub use self::layout::check_empty;

/// Checks that the backup `file` is complete, without decoding its records.
///
/// # Errors
/// It is incomplete, or cannot be read.
pub fn check_backup(file: &Path, tell: Tell<'_>) -> Result<Taken, Refused> {
    archive::each_section(file, Work::ReadBackup, tell, &mut |_| Ok(()))
}

/// The key that secrets in the data directory `dir` are sealed with; `None` if they are not sealed or there is no
/// directory. A daemon may be running on it.
///
/// # Errors
/// The marker cannot be read.
pub fn sealed_with(dir: &Path) -> Result<Option<Fingerprint>, String> {
    marker::marker(dir).map_err(|damage| damage.to_string())
}

/// Reads every record of the backup `file`.
///
/// # Errors
/// There is no such file, or no scratch space. Damage is reported in the findings.
pub fn verify_backup(file: &Path, tell: Tell<'_>) -> Result<Findings, Refused> {
    archive::verify(file, tell)
}

/// Creates a data directory from the backup `file` in `dir`, which must be empty. The backup is verified first; if it
/// has a fault that would prevent a daemon from starting, nothing is written.
///
/// # Errors
/// As described; or the directory cannot be written. It [is not opened](crate::store::Store::open) as a store
/// then.
pub fn restore(file: &Path, dir: &Path, tell: Tell<'_>) -> Result<Findings, Refused> {
    check_empty(dir)?;
    let findings = verify_backup(file, tell)?;
    if let Some(fault) = findings.first_serious() {
        let what = format!("{}: {fault}: nothing was restored from it", file.display());
        return Err(Refused::Damaged(what));
    }
    let mut layout = Layout::begin(dir)?;
    archive::each_section(file, Work::Restore, tell, &mut |section| layout.section(section))?;
    layout.finish()?;
    Ok(findings)
}

/// Whether `payload` is a valid record of the kind `kind`. Accepts arbitrary bytes without harm; the checksum that
/// precedes a payload elsewhere is skipped. For `tests/fuzz`.
pub fn is_record(kind: u8, payload: &[u8]) -> bool {
    let head = Head { version: record::VERSION, kind, continues: false, batch: 0, id: 1 };
    let has_terms = !(record::SCHEMA.terms)(head, payload).keys.is_empty();
    let is_event = (record::SCHEMA.class)(kind) == Class::Event;
    Record::decode(head, payload).is_some_and(Record::decodes_fully) && (has_terms || !is_event)
}

/// The records that a salvage would find in the segment `bytes`: kinds and payloads. As [`is_record`], accepts
/// arbitrary bytes.
pub fn records_in(bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let Some(header) = Header::read_lenient(bytes) else { return Vec::new() };
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

/// A segment of the current version with records of these kinds and payloads, under this salt. For tests: the daemon
/// draws random salts.
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

/// Writes what can be read of the damaged store in `dir`, which must not be running, to `into`, which must be empty.
/// `dir` is not changed.
///
/// # Errors
/// Nothing can be read, or `into` cannot be written.
pub fn salvage(dir: &Path, into: &Path, tell: Tell<'_>) -> Result<Salvaged, Refused> {
    salvage::salvage(dir, into, tell)
}

#[cfg(test)]
mod hostile;
