//! Reading a data directory that is not running, file by file.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use crate::engine::embedded::format::{self, FORMAT};
use crate::engine::embedded::kv::stored_key::OPENED;
use crate::engine::embedded::marker;
use crate::engine::embedded::offline::audit::{Audit, SegmentInfo};
use crate::engine::embedded::offline::refused::Refused;
use crate::engine::embedded::offline::replica::Replica;
use crate::engine::embedded::offline::report::Findings;
use crate::engine::embedded::offline::step::{Counter, Step, Tell, Work};
use crate::engine::embedded::open::UNFINISHED;
use crate::engine::embedded::position::CheckpointPosition;
use crate::engine::embedded::wal::{self, Growing, Header, Shape, recovery};
use crate::model::error::{Damage, u32_of};
use crate::model::record::{self, Head};

/// How many bytes of the state are read at once.
const PAGE_BYTES: usize = 1 << 20;

/// Receives the frames of the WAL.
pub(crate) trait FrameSink {
    /// A segment begins, or should.
    fn file(&mut self, number: u32) -> Result<(), Damage>;
    /// A frame that was read.
    fn frame(&mut self, head: Head, payload: &[u8]) -> Result<(), Damage>;
}

/// Ignores everything.
pub(crate) struct NullSink;

impl FrameSink for NullSink {
    fn file(&mut self, _: u32) -> Result<(), Damage> {
        Ok(())
    }

    fn frame(&mut self, _: Head, _: &[u8]) -> Result<(), Damage> {
        Ok(())
    }
}

/// Reads and compares everything; `sink` receives the WAL.
pub(crate) fn read(dir: &Path, tell: Tell<'_>, sink: &mut dyn FrameSink) -> Result<Audit, Refused> {
    let mut faults: Vec<(&str, String)> = Vec::new();
    check_marker(dir, &mut faults)?;
    if let Err(damage) = marker::marker(dir) {
        faults.push(("sealed", damage.detail().to_owned()));
    }
    let mut stored = match read_state(dir, tell) {
        Ok(stored) => Some(stored),
        Err(what) => {
            faults.push(("state", what));
            None
        }
    };
    let derived_faults = stored.as_mut().map(|(replica, _)| std::mem::take(&mut replica.derived_faults));
    let mut audit = Audit::new(stored).map_err(Refused::Failed)?;
    for what in derived_faults.unwrap_or_default() {
        audit.findings.derived_fault("state", &what);
    }
    for (file, what) in faults {
        audit.findings.fault(file, None, what);
    }
    let failed = |damage: Damage| Refused::Failed(damage.to_string());
    read_wal(dir, &mut audit, tell, sink).map_err(failed)?;
    tell(Step { work: Work::Compare, done: 0, total: None });
    audit.compare().map_err(failed)?;
    Ok(audit)
}

/// Checks FORMAT. A foreign directory or one of a newer version is refused.
fn check_marker(dir: &Path, faults: &mut Vec<(&str, String)>) -> Result<(), Refused> {
    if dir.join(UNFINISHED).exists() && !dir.join(FORMAT).exists() {
        let what = "holds a first start, a restore or a salvage that was interrupted: there is nothing to verify";
        return Err(Refused::Failed(format!("{} {what}", dir.display())));
    }
    match fs::read(dir.join(FORMAT)) {
        Ok(text) => {
            let text = String::from_utf8_lossy(&text);
            if let Err(error) = format::check_format(dir, &text) {
                if format::is_newer(&text) {
                    return Err(Refused::Damaged(error.to_string()));
                }
                faults.push((FORMAT, "is not one that hookswitch wrote".to_owned()));
            }
            Ok(())
        }
        Err(error) if dir.join("journal").is_dir() || dir.join("state").is_dir() => {
            faults.push((FORMAT, format!("cannot be read: {error}")));
            Ok(())
        }
        Err(_) => Err(Refused::Failed(format!("{} is not a data directory of hookswitch", dir.display()))),
    }
}

/// The state, with every pair validated, and its checkpoint position.
fn read_state(dir: &Path, tell: Tell<'_>) -> Result<(Replica, CheckpointPosition), String> {
    let read = Counter::begin(tell, Work::ReadState, None);
    let mut replica = Replica::of_directory(dir)?;
    let panicked = |_| "is damaged: it cannot be read as a whole".to_owned();
    let looked = catch_unwind(AssertUnwindSafe(|| validate_pairs(&mut replica, &read)));
    let applied = looked.map_err(panicked)??;
    Ok((replica, applied))
}

fn validate_pairs(replica: &mut Replica, read: &Counter<'_>) -> Result<CheckpointPosition, String> {
    let text = |damage: Damage| damage.detail().to_owned();
    let applied = replica.kv.applied().map_err(|error| error.to_string())?;
    let applied = applied.ok_or("does not record its checkpoint position")?;
    if let Some(opened) = replica.kv.own(OPENED).map_err(|error| error.to_string())? {
        replica.validate(OPENED, &opened)?;
    }
    let mut after: Option<Vec<u8>> = None;
    loop {
        let page = replica.kv.stored(after.as_deref(), PAGE_BYTES).map_err(|error| error.to_string())?;
        let Some((last, _)) = page.last() else { break };
        after = Some(last.clone());
        for (key, value) in &page {
            replica.validate(key, value)?;
        }
        read.add(page.len());
    }
    replica.load_registry(applied).map_err(text)?;
    Ok(applied)
}

/// The segments by the number in their header, or else in their name, each with the latter and its header, as far as
/// that can be read.
fn files_of(wal_dir: &Path, named: &[u32], audit: &mut Audit) -> BTreeMap<u32, (u32, Option<Header>)> {
    let mut files = BTreeMap::new();
    for named in named.iter().copied() {
        let path = wal::file_path(wal_dir, named);
        let start = read_start(&path).unwrap_or_default();
        let header = Header::read(&start).map_err(|what| audit.findings.fault(&name_of(named), 0, what)).ok();
        let header = header.or_else(|| Header::read_lenient(&start));
        let number = header.map_or(named, |header| if header.number == 0 { named } else { header.number });
        if number != named {
            audit.findings.fault(&name_of(named), 12, format!("is the file {}, by its header", name_of(number)));
        }
        files.insert(if files.contains_key(&number) { named } else { number }, (named, header));
    }
    files
}

fn read_start(path: &Path) -> io::Result<Vec<u8>> {
    use io::Read as _;
    let mut start = Vec::new();
    fs::File::open(path)?.take(u64::from(wal::HEADER)).read_to_end(&mut start)?;
    Ok(start)
}

fn name_of(number: u32) -> String {
    format!("journal/{number:06}.log")
}

fn read_wal(dir: &Path, audit: &mut Audit, tell: Tell<'_>, sink: &mut dyn FrameSink) -> Result<(), Damage> {
    let wal_dir = dir.join("journal");
    let applied = audit.stored.as_ref().map_or_else(CheckpointPosition::default, |(_, applied)| *applied);
    let named = wal::numbers_in(&wal_dir)?;
    // As a start would: a segment that was never used is created again.
    let unused = named.last().copied().filter(|newest| recovery::was_never_used(&wal_dir, *newest, applied));
    let first = wal::first(&wal_dir)?.or_else(|| named.first().copied()).unwrap_or(1);
    let named: Vec<u32> = named.into_iter().filter(|number| *number >= first && Some(*number) != unused).collect();
    let files = files_of(&wal_dir, &named, audit);
    let lengths = lengths_of(&wal_dir, &files);
    let read_bytes = Counter::begin(tell, Work::ReadJournal, Some(lengths.values().sum()));
    let mut behind = 0;
    let newest = files.keys().last().copied().max(unused).unwrap_or(1).max(applied.segment);
    for number in first..=newest {
        sink.file(number)?;
        if Some(number) == unused && !files.contains_key(&number) {
            audit.findings.files += 1;
            continue;
        }
        let Some((named, header)) = files.get(&number) else {
            audit.findings.fault(&name_of(number), None, "is missing");
            audit.lost(number, 0, 0);
            continue;
        };
        let (name, path) = (name_of(*named), wal::file_path(&wal_dir, *named));
        let acknowledged = if number == applied.segment { applied.offset } else { 0 };
        let segment =
            |header| SegmentInfo { name: &name, number, header, newest: number == newest, acknowledged, block: None };
        let read = match header {
            Some(header) => read_file(&path, segment(*header), audit, &read_bytes, sink)?,
            None => fs::metadata(&path).map(|file| {
                let what = "has lost its salt, without which no record in it can be verified: all of it is lost";
                audit.findings.fault(&name, 0, what);
                audit.lost(number, 0, usize::try_from(file.len()).unwrap_or(usize::MAX));
            }),
        };
        if let Err(error) = read {
            audit.findings.fault(&name, None, format!("cannot be read: {error}"));
            audit.lost(number, 0, 0);
        }
        behind += lengths.get(&number).unwrap_or(&0);
        read_bytes.reach(behind);
    }
    Ok(())
}

/// How long each segment is, uncompressed.
fn lengths_of(wal_dir: &Path, files: &BTreeMap<u32, (u32, Option<Header>)>) -> BTreeMap<u32, u64> {
    let length = |named: u32| fs::metadata(wal::file_path(wal_dir, named)).map_or(0, |file| file.len());
    let uncompressed = |header: &Option<Header>| header.and_then(|header| header.packed).map(u64::from);
    files
        .iter()
        .map(|(number, (named, header))| (*number, uncompressed(header).unwrap_or_else(|| length(*named))))
        .collect()
}

/// Reads a segment, and compares the index beside it. The inner error is why it cannot be read.
fn read_file(
    path: &Path,
    segment: SegmentInfo<'_>,
    audit: &mut Audit,
    read: &Counter<'_>,
    sink: &mut dyn FrameSink,
) -> Result<io::Result<()>, Damage> {
    let gaps = audit.gaps;
    let header = segment.header.binding.header();
    let on_frame = &mut |head, payload: &[u8]| {
        read.add(header + payload.len());
        sink.frame(head, payload)
    };
    let (made, end) = if let Some(shape) = Shape::of(segment.header) {
        let opened = fs::File::open(path).and_then(|file| Ok((file.metadata()?.len(), file)));
        let (length, file) = match opened {
            Ok(opened) => opened,
            Err(error) => return Ok(Err(error)),
        };
        (audit.packed_file(segment, shape, (&file, length), on_frame)?, shape.end() as usize)
    } else {
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) => return Ok(Err(error)),
        };
        audit.file(segment, &bytes, on_frame)?;
        index_of(segment.header, &bytes)
    };
    if audit.gaps == gaps {
        check_index(path, (&made, end), !segment.newest, audit);
    }
    Ok(Ok(()))
}

/// The index that belongs to a segment, and the end of its frames.
fn index_of(header: Header, bytes: &[u8]) -> (Growing, usize) {
    let mut made = Growing::default();
    let mut at = header.end() as usize;
    while let Ok((head, payload, length)) = header.binding.decode(bytes.get(at..).unwrap_or_default(), u32_of(at)) {
        made.insert(&wal::entry_of(&record::SCHEMA, u32_of(at), length, head, payload));
        at += length;
    }
    (made, at)
}

/// Compares the index beside a segment, if there is one, with its frames.
fn check_index(path: &Path, (made, end): (&Growing, usize), full: bool, audit: &mut Audit) {
    let path = path.with_extension("idx");
    let name = format!("journal/{}", path.file_name().unwrap_or_default().to_string_lossy());
    let Ok(stored) = fs::read(&path) else { return };
    let harmless = "(it is rebuilt when the daemon next needs it)";
    match wal::end_in(&stored) {
        None if wal::is_outdated(&stored) => {}
        None => audit.findings.fault(&name, 0, format!("is damaged {harmless}")),
        // It belongs to the segment before it was rewritten, and is rebuilt when it is needed.
        Some(stored) if stored as usize != end => {}
        Some(_) if full && stored != wal::index_bytes(made) => {
            audit.findings.fault(
                &name,
                0,
                format!("is damaged, or does not fit its WAL segment: remove it {harmless}"),
            );
        }
        Some(_) => {}
    }
}

/// Reads every record of the store in `dir`, which must not be running, and changes nothing.
///
/// # Errors
/// There is no store, it is of a newer version, or there is no scratch space. Damage is reported in the findings.
pub fn verify_directory(dir: &Path, tell: Tell<'_>) -> Result<Findings, Refused> {
    let mut audit = read(dir, tell, &mut NullSink)?;
    audit.sum_up();
    Ok(audit.findings)
}
