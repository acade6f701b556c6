//! Reading a backup file, section by section.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use crate::engine::embedded::backup::container::{Kind, Reader, Unreadable};
use crate::engine::embedded::backup::{About, Totals, pairs_in};
use crate::engine::embedded::format::FORMAT_VERSION;
use crate::engine::embedded::frame::NoFrame;
use crate::engine::embedded::kv::stored_key;
use crate::engine::embedded::offline::audit::{Audit, SegmentInfo};
use crate::engine::embedded::offline::refused::Refused;
use crate::engine::embedded::offline::replica::Replica;
use crate::engine::embedded::offline::report::Findings;
use crate::engine::embedded::offline::step::{Counter, Step, Tell, Work};
use crate::engine::embedded::position::CheckpointPosition;
use crate::engine::embedded::wal::{Header, Shape};
use crate::model::error::u32_of;

/// A section of a backup, its checksum verified.
pub(crate) enum Section<'s> {
    /// The metadata of the backup.
    About(&'s About),
    /// The content of `admin.token`.
    Token(&'s [u8]),
    /// Pairs of the state.
    Pairs(Vec<(&'s [u8], &'s [u8])>),
    /// A WAL segment begins: its header, decoded.
    File(Header),
    /// Frames of that segment.
    Frames(&'s [u8]),
    /// The next block of that segment, which is compressed.
    Block(&'s [u8]),
}

/// The totals of a complete backup.
#[derive(Debug, Clone)]
pub struct Taken {
    /// Size of the file in bytes.
    pub bytes: u64,
    /// Accepted events in it.
    pub events: u64,
    /// Log entries in it.
    pub log_entries: u64,
    /// The fingerprint of the key that its secrets are sealed with; `None` if they are not sealed.
    pub sealed: Option<String>,
}

/// An error while reading a backup, and the byte at which it occurred.
struct Wrong {
    byte: u64,
    what: String,
    /// Whether the file is at fault rather than this machine.
    damaged: bool,
}

impl From<Unreadable> for Wrong {
    fn from(fault: Unreadable) -> Self {
        Self { byte: fault.byte, what: fault.what, damaged: true }
    }
}

/// Passes every section to `visit`, and checks that none is missing.
pub(crate) fn each_section(
    file: &Path,
    work: Work,
    tell: Tell<'_>,
    visit: &mut dyn FnMut(Section<'_>) -> Result<(), Refused>,
) -> Result<Taken, Refused> {
    let (opened, length) = open(file)?;
    let read = Counter::begin(tell, work, Some(length));
    let mut refused = None;
    let walked = walk(opened, &read, &mut |_, section| {
        visit(section).map_err(|error| {
            let what = error.to_string();
            refused = Some(error);
            what
        })
    });
    walked.map_err(|wrong| {
        let what = format!("{}: {} (byte {})", file.display(), wrong.what, wrong.byte);
        refused.unwrap_or(Refused::Damaged(what))
    })
}

/// The file, and its length.
fn open(file: &Path) -> Result<(BufReader<File>, u64), Refused> {
    let refused = |error: std::io::Error| Refused::Failed(format!("{}: {error}", file.display()));
    let opened = File::open(file).map_err(refused)?;
    let about = opened.metadata().map_err(refused)?;
    if about.is_dir() {
        let what = "is a directory and no backup; if it is a data directory, name it with --data-dir";
        return Err(Refused::Failed(format!("{} {what}", file.display())));
    }
    Ok((BufReader::with_capacity(256 * 1024, opened), about.len()))
}

fn walk(
    file: BufReader<File>,
    read: &Counter<'_>,
    visit: &mut dyn FnMut(u64, Section<'_>) -> Result<(), String>,
) -> Result<Taken, Wrong> {
    let mut reader = Reader::new(file)?;
    let (mut about, mut seen): (Option<About>, _) = (None, Totals::default());
    loop {
        let byte = reader.position();
        read.reach(byte);
        let wrong = |what: String| Wrong { byte, what, damaged: true };
        let malformed = || wrong("it has a section of an unknown kind".to_owned());
        let Some((kind, payload)) = reader.next()? else { break };
        if about.is_none() && kind != Kind::About {
            return Err(malformed());
        }
        let section = match kind {
            Kind::About => {
                let found = serde_json::from_slice::<About>(&payload).map_err(|_| malformed())?;
                if found.format > FORMAT_VERSION {
                    return Err(wrong(format!(
                        "it was taken by a newer hookswitch ({}, format {}; this one knows format {FORMAT_VERSION}): \
                         use that newer version",
                        found.hookswitch, found.format
                    )));
                }
                Section::About(about.insert(found))
            }
            Kind::Token => Section::Token(&payload),
            Kind::Pairs => {
                let pairs = pairs_in(&payload).ok_or_else(malformed)?;
                seen.pairs += pairs.iter().filter(|(key, _)| *key != stored_key::POSITION).count() as u64;
                Section::Pairs(pairs)
            }
            Kind::File => {
                let (number, header) = payload.split_first_chunk::<4>().ok_or_else(malformed)?;
                let number = u32::from_le_bytes(*number);
                let begun = Header::read(header).map_err(|_| malformed())?;
                if begun.number != number || header.len() != begun.end() as usize {
                    return Err(malformed());
                }
                seen.files += 1;
                Section::File(begun)
            }
            Kind::Frames => {
                seen.journal_bytes += payload.len() as u64;
                Section::Frames(&payload)
            }
            Kind::Block => {
                seen.journal_bytes += payload.len() as u64;
                Section::Block(&payload)
            }
            Kind::Broken => {
                let why = String::from_utf8_lossy(&payload).into_owned();
                return Err(wrong(format!("the daemon could not complete it: {why}")));
            }
            Kind::End => {
                let totals: Totals = serde_json::from_slice(&payload).map_err(|_| malformed())?;
                (seen.events, seen.entries) = (totals.events, totals.entries);
                if totals != seen {
                    return Err(wrong("its totals are not those of its sections".to_owned()));
                }
                continue;
            }
        };
        visit(byte, section).map_err(|what| Wrong { byte, what, damaged: false })?;
    }
    let sealed = about.and_then(|about| about.sealed);
    Ok(Taken { bytes: reader.position(), events: seen.events, log_entries: seen.entries, sealed })
}

/// The stage of verifying a backup.
enum Stage {
    /// Reading the state.
    Pairs(Box<Replica>, Option<CheckpointPosition>),
    /// Reading the WAL, currently in this segment.
    Wal(Box<Audit>, Reading),
    Over,
}

/// The progress in a segment.
struct Reading {
    header: Header,
    /// The next offset.
    at: usize,
    /// The part of a frame that continues in the next block.
    partial: Vec<u8>,
}

impl Reading {
    fn of(header: Header) -> Self {
        Self { header, at: header.end() as usize, partial: Vec::new() }
    }

    /// Reads frames; a frame that is incomplete waits for the next block.
    fn add_frames(&mut self, audit: &mut Audit, bytes: &[u8]) -> Result<(), String> {
        let number = self.header.number;
        let name = format!("journal/{number:06}.log");
        let segment =
            SegmentInfo { name: &name, number, header: self.header, newest: false, acknowledged: 0, block: None };
        let packed = self.header.packed.is_some();
        let mut pending = std::mem::take(&mut self.partial);
        pending.extend_from_slice(bytes);
        let mut used = 0;
        while used < pending.len() {
            match self.header.binding.decode(&pending[used..], u32_of(self.at)) {
                Ok((head, payload, length)) => {
                    let taken = audit.frame(segment, self.at, head, payload, &mut |_, _| Ok(()));
                    taken.map_err(|damage| damage.to_string())?;
                    used += length;
                    self.at += length;
                }
                Err(NoFrame::Short(_)) if packed => break,
                Err(_) => return Err("it has damaged frames".to_owned()),
            }
        }
        pending.drain(..used);
        self.partial = pending;
        Ok(())
    }

    /// Reads the next block of a compressed segment.
    fn add_block(&mut self, audit: &mut Audit, packed: &[u8]) -> Result<(), String> {
        let none = || "it has a block that does not belong to a compressed WAL segment".to_owned();
        let shape = Shape::of(self.header).ok_or_else(none)?;
        let from = self.at + self.partial.len();
        let block = shape.block_of(u32_of(from));
        let is_next = from < shape.end() as usize && shape.offsets_of(block).start as usize == from;
        let bytes = is_next.then(|| shape.unpack(block, packed.to_vec())).flatten().ok_or_else(none)?;
        self.add_frames(audit, &bytes)
    }

    /// Checks that the segment is complete.
    fn end(&self) -> Result<(), String> {
        let whole = self.partial.is_empty() && self.header.packed.is_none_or(|end| end as usize == self.at);
        whole.then_some(()).ok_or_else(|| format!("blocks of WAL segment {} are missing", self.header.number))
    }
}

/// Reads every record of a backup.
pub(crate) fn verify(file: &Path, tell: Tell<'_>) -> Result<Findings, Refused> {
    let (opened, length) = open(file)?;
    let read = Counter::begin(tell, Work::ReadBackup, Some(length));
    let mut stage = Stage::Pairs(Box::new(Replica::for_backup().map_err(Refused::Failed)?), None);
    let mut about: Option<About> = None;
    let walked = walk(opened, &read, &mut |_, section| {
        if let Section::About(read) = &section {
            about = Some((*read).clone());
        }
        stage = advance(std::mem::replace(&mut stage, Stage::Over), section)?;
        Ok(())
    });
    let mut findings = Findings::default();
    if let Stage::Wal(mut audit, last) = stage {
        // An incomplete WAL need not agree with the state.
        if walked.is_ok() {
            if let Err(what) = last.end() {
                audit.findings.fault("", None, what);
            }
            tell(Step { work: Work::Compare, done: 0, total: None });
            audit.compare().map_err(|damage| Refused::Failed(damage.to_string()))?;
            audit.sum_up();
        }
        findings = audit.findings;
    } else if walked.is_ok() {
        findings.fault("", None, "contains no write-ahead log");
    }
    if let Some(about) = about {
        findings.taken(about.taken_at, &about.hookswitch);
    }
    match walked {
        Ok(taken) => findings.bytes = taken.bytes,
        Err(Wrong { byte, what, damaged: true }) => findings.fault("", byte, what),
        Err(Wrong { what, .. }) => return Err(Refused::Failed(what)),
    }
    Ok(findings)
}

fn advance(stage: Stage, section: Section<'_>) -> Result<Stage, String> {
    let text = |damage: crate::model::error::Damage| damage.to_string();
    Ok(match (stage, section) {
        (Stage::Pairs(mut replica, mut applied), Section::Pairs(pairs)) => {
            for (key, value) in pairs {
                replica.validate(key, value).map_err(|what| format!("its state {what}"))?;
                applied = replica.put(key, value).map_err(text)?.or(applied);
            }
            Stage::Pairs(replica, applied)
        }
        (Stage::Pairs(mut replica, applied), Section::File(header)) => {
            let applied = applied.ok_or("it does not record the checkpoint position of its state")?;
            replica.load_registry(applied).map_err(text)?;
            let derived_faults = std::mem::take(&mut replica.derived_faults);
            let mut audit = Audit::new(Some((*replica, applied)))?;
            audit.findings.files = 1;
            for what in derived_faults {
                audit.findings.derived_fault("", &format!("its state {what}"));
            }
            Stage::Wal(Box::new(audit), Reading::of(header))
        }
        (Stage::Wal(mut audit, before), Section::File(header)) => {
            before.end()?;
            let (before, number) = (before.header.number, header.number);
            if number != before + 1 {
                audit.findings.fault("", None, format!("has no WAL segment between {before} and {number}"));
            }
            audit.findings.files += 1;
            Stage::Wal(audit, Reading::of(header))
        }
        (Stage::Wal(mut audit, mut reading), Section::Frames(bytes)) if reading.header.packed.is_none() => {
            reading.add_frames(&mut audit, bytes)?;
            Stage::Wal(audit, reading)
        }
        (Stage::Wal(mut audit, mut reading), Section::Block(packed)) => {
            reading.add_block(&mut audit, packed)?;
            Stage::Wal(audit, reading)
        }
        (stage, Section::About(_) | Section::Token(_)) => stage,
        _ => return Err("its sections are not in order".to_owned()),
    })
}
