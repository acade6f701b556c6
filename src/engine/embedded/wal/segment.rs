//! One segment of the WAL: its [header], then [frames](crate::engine::embedded::frame), possibly
//! [compressed](crate::engine::embedded::wal::packed).
//!
//! Offsets, [`Segment::end`] included, refer to the uncompressed file.
//!
//! Bytes beyond [`Segment::end`] are not synced and never read. The active segment is longer than its frames: space is
//! preallocated as zeros, so that a sync need not write the file's length and extents. On ext4 that halves the time of
//! a sync (5,521 and 10,743 a second for 1 KiB each). The zeros are removed when the segment is full and at an orderly
//! stop; after a crash, the next start truncates them.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, RwLock};
use std::time::{Duration, Instant};

use crate::engine::embedded::durable;
use crate::engine::embedded::frame::{Binding, NoFrame};
use crate::engine::embedded::location::{self, LocationError};
use crate::engine::embedded::wal::header::{self, Header};
use crate::engine::embedded::wal::index::{Growing, Index, IndexEntry};
use crate::engine::embedded::wal::packed::{BlockError, Shape};
use crate::engine::embedded::wal::stats::SegmentStats;
use crate::engine::embedded::wal::unpacked::{Packed, Unpacked};
use crate::model::error::{Damage, u32_of};
use crate::model::record::Head;
use crate::model::record::Schema;

/// The read size when a whole segment is scanned.
const STRIDE: usize = 256 * 1024;
/// The read size when one or two frames are wanted.
const SHORT_STRIDE: usize = 16 * 1024;

/// How much is preallocated at once: a multiple of the current batch size, within limits.
const PREALLOCATED_BATCHES: usize = 16;
const MIN_PREALLOCATED: usize = 64 << 10;
const MAX_PREALLOCATED: usize = 1 << 20;
/// In how many writes it is preallocated: the kernel accounts the whole range that one write brought into the page
/// cache as written whenever a part of it is.
const PREALLOCATION_WRITES: usize = 16;
/// The source of preallocated zeros.
static ZEROS: [u8; MAX_PREALLOCATED / PREALLOCATION_WRITES] = [0; MAX_PREALLOCATED / PREALLOCATION_WRITES];

/// One segment of the WAL.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) number: u32,
    /// How its frames are verified.
    pub(crate) binding: Binding,
    /// The offset behind its header.
    begin: u32,
    created: u64,
    path: PathBuf,
    file: File,
    /// Set if it is compressed.
    packed: Option<Packed>,
    /// Whether compression is known not to make it shorter.
    pub(crate) incompressible: AtomicBool,
    end: AtomicU32,
    /// The end of the preallocated space; 0 if unknown.
    allocated: AtomicU64,
    /// The first id in it; unset until there is one.
    pub(crate) first_id: OnceLock<u128>,
    pub(crate) index: RwLock<Option<Index>>,
    /// Its statistics, once it is full and they were requested.
    pub(crate) stats: OnceLock<SegmentStats>,
    /// Whether its file was replaced or dropped. Locked while an index is written beside it.
    pub(crate) retired: Mutex<bool>,
    pub(crate) schema: &'static Schema,
}

/// Called with a frame's offset, header and payload. Returns whether to continue.
pub(crate) type FrameVisitor<'s> = &'s mut dyn FnMut(u32, Head, &[u8]) -> bool;

/// Why a scan of frames ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The segment ends at a frame boundary.
    Clean,
    /// There is no frame at this offset.
    NoFrame(u32),
}

impl Segment {
    /// Creates segment `number` in `dir` and makes its header and name durable.
    pub(crate) fn create(dir: &Path, number: u32, created: u64, schema: &'static Schema) -> io::Result<Self> {
        let path = path_of(dir, number);
        let file = File::options().read(true).write(true).create_new(true).open(&path)?;
        let (header, _) = Header::new(number, created)?;
        file.write_all_at(&header.to_bytes(), 0)?;
        file.sync_all()?;
        durable::sync_dir(dir)?;
        let mut created = Self::of(header, path, file, header.end(), schema);
        created.index = RwLock::new(Some(Index::Growing(Growing::default())));
        Ok(created)
    }

    fn of(header: Header, path: PathBuf, file: File, end: u32, schema: &'static Schema) -> Self {
        Self {
            number: header.number,
            binding: header.binding,
            begin: header.end(),
            created: header.created,
            path,
            file,
            packed: None,
            incompressible: AtomicBool::new(false),
            end: AtomicU32::new(end),
            allocated: AtomicU64::new(0),
            first_id: OnceLock::new(),
            index: RwLock::new(None),
            stats: OnceLock::new(),
            retired: Mutex::new(false),
            schema,
        }
    }

    /// Opens segment `number` in `dir`, up to the end of the file. Decompressed blocks are cached in `blocks`.
    pub(crate) fn open(
        dir: &Path,
        number: u32,
        blocks: &Arc<Unpacked>,
        schema: &'static Schema,
    ) -> Result<Self, Damage> {
        Self::open_at(path_of(dir, number), number, blocks, schema)
    }

    /// Opens segment `number` under another name.
    pub(crate) fn open_at(
        path: PathBuf,
        number: u32,
        blocks: &Arc<Unpacked>,
        schema: &'static Schema,
    ) -> Result<Self, Damage> {
        let damage = |detail: String| Damage::new(&path, detail);
        let failed = |error: io::Error| Damage::io(&path, "cannot be opened", &error);
        let file = File::options().read(true).write(true).open(&path).map_err(failed)?;
        let start = read_start(&file).map_err(failed)?;
        let header = Header::read(&start).map_err(|what| damage(what.to_owned()))?;
        if header.number != number {
            return Err(damage("has another file's number in its header".to_owned()));
        }
        let length = file.metadata().map_err(failed)?.len();
        if let Some(shape) = Shape::of(header) {
            shape.check(&file, length).map_err(|fault| damage_in(&path, fault))?;
            let packed = Some(Packed::new(shape, length, blocks));
            return Ok(Self { packed, ..Self::of(header, path, file, shape.end(), schema) });
        }
        let end = u32::try_from(length).map_err(|_| damage("is longer than a WAL segment can be".to_owned()))?;
        Ok(Self::of(header, path, file, end, schema))
    }

    /// Whether it is compressed, hence complete and never written to.
    pub(crate) const fn is_packed(&self) -> bool {
        self.packed.is_some()
    }

    /// Its header, as in the file.
    pub(crate) fn header(&self) -> Header {
        let packed = self.packed.as_ref().map(|packed| packed.shape.end());
        Header { number: self.number, created: self.created, binding: self.binding, packed }
    }

    /// Its size on the disk in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.packed.as_ref().map_or_else(|| u64::from(self.end()), |packed| packed.length)
    }

    /// The end of the synced data.
    pub(crate) fn end(&self) -> u32 {
        self.end.load(Ordering::Acquire)
    }

    /// When it was created, in milliseconds since 1970.
    pub(crate) const fn created(&self) -> u64 {
        self.created
    }

    /// The offset of the first frame.
    pub(crate) const fn begin(&self) -> u32 {
        self.begin
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Checks that the file still has a name, by its link count.
    ///
    /// # Errors
    /// It was deleted.
    pub(crate) fn has_name(&self) -> Result<(), LocationError> {
        location::has_name(&self.path, &self.file)
    }

    /// Writes `bytes` at the end and syncs them; returns the duration of the sync. They become readable with
    /// [`Segment::publish`].
    pub(crate) fn append(&self, bytes: &[u8]) -> io::Result<Duration> {
        let end = u64::from(self.end());
        self.file.write_all_at(bytes, end)?;
        let behind = end + bytes.len() as u64;
        if behind > self.allocated.load(Ordering::Relaxed) {
            self.preallocate(behind, bytes.len() * PREALLOCATED_BATCHES)?;
        }
        let begun = Instant::now();
        self.file.sync_data()?;
        Ok(begun.elapsed())
    }

    /// Preallocates space from `from` on; the next sync makes it durable. A full disk is not an error: this is only for
    /// speed.
    fn preallocate(&self, from: u64, wished: usize) -> io::Result<()> {
        let zeros = &ZEROS[..wished.clamp(MIN_PREALLOCATED, MAX_PREALLOCATED) / PREALLOCATION_WRITES];
        let mut behind = from;
        for _ in 0..PREALLOCATION_WRITES {
            match self.file.write_all_at(zeros, behind) {
                Ok(()) => behind += zeros.len() as u64,
                Err(error) if matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => break,
                Err(error) => return Err(error),
            }
        }
        self.allocated.store(behind, Ordering::Relaxed);
        Ok(())
    }

    /// Removes preallocated space: nothing more will be written to the segment.
    pub(crate) fn trim(&self) -> io::Result<()> {
        if self.allocated.swap(0, Ordering::Relaxed) == 0 {
            return Ok(());
        }
        self.file.set_len(u64::from(self.end()))?;
        self.file.sync_all()
    }

    /// Makes synced bytes readable; `entries` are their frames.
    pub(crate) fn publish(&self, bytes: usize, entries: &[IndexEntry]) {
        self.index_frames(entries);
        if let Some(first) = entries.iter().find(|entry| entry.id != 0) {
            self.first_id.get_or_init(|| first.id);
        }
        self.end.fetch_add(u32::try_from(bytes).unwrap_or(0), Ordering::AcqRel);
    }

    /// Syncs the file, whoever wrote to it.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    /// Truncates the file at `end`, which recovery found to be the end of the acknowledged data.
    pub(crate) fn truncate(&self, end: u32) -> io::Result<()> {
        self.file.set_len(u64::from(end))?;
        self.file.sync_all()?;
        self.end.store(end, Ordering::Release);
        Ok(())
    }

    /// The first id in it, if any.
    pub(crate) fn first_id(&self) -> Result<Option<u128>, Damage> {
        if let Some(id) = self.first_id.get() {
            return Ok(Some(*id));
        }
        let mut found = None;
        self.walk_short(self.begin, self.end(), &mut |_, head, _| {
            found = (head.id != 0).then_some(head.id);
            found.is_none()
        })?;
        Ok(found.map(|id| *self.first_id.get_or_init(|| id)))
    }

    /// Passes the frames between `from` and `until` to `visit` (offset, header, payload), in order, until it returns
    /// false.
    pub(crate) fn walk(&self, from: u32, until: u32, visit: FrameVisitor<'_>) -> Result<End, Damage> {
        self.walk_by(STRIDE, from, until, visit)
    }

    /// As [`Segment::walk`], for callers that expect to stop soon.
    pub(crate) fn walk_short(&self, from: u32, until: u32, visit: FrameVisitor<'_>) -> Result<End, Damage> {
        self.walk_by(SHORT_STRIDE, from, until, visit)
    }

    fn walk_by(&self, stride: usize, from: u32, until: u32, visit: FrameVisitor<'_>) -> Result<End, Damage> {
        let mut buffer = Vec::new();
        let mut at = from;
        while at < until {
            let available = self.packed.as_ref().map_or(stride, |packed| packed.available(at));
            let mut want = available.min((until - at) as usize);
            self.read(&mut buffer, at, want)?;
            let mut used = 0;
            loop {
                let offset = at + u32_of(used);
                match self.binding.decode(&buffer[used..], offset) {
                    Ok((head, payload, length)) => {
                        used += length;
                        if !visit(offset, head, payload) {
                            return Ok(End::Clean);
                        }
                    }
                    Err(NoFrame::Short(_)) if used > 0 && at as usize + buffer.len() < until as usize => break,
                    Err(NoFrame::Short(_)) if used == buffer.len() => break,
                    Err(NoFrame::Short(needed))
                        if used == 0 && needed > want && at as usize + needed <= until as usize =>
                    {
                        want = needed;
                        self.read(&mut buffer, at, want)?;
                    }
                    Err(_) => return Ok(End::NoFrame(offset)),
                }
            }
            at += u32_of(used);
        }
        Ok(End::Clean)
    }

    /// Passes the frame at `offset` to `visit`.
    pub(crate) fn frame(&self, offset: u32, visit: &mut dyn FnMut(Head, &[u8])) -> Result<(), Damage> {
        let end = self.walk_short(offset, self.end(), &mut |_, head, payload| {
            visit(head, payload);
            false
        })?;
        match end {
            End::Clean => Ok(()),
            End::NoFrame(at) => Err(self.damaged(at)),
        }
    }

    /// The error for a missing frame at `at`.
    pub(crate) fn damaged(&self, at: u32) -> Damage {
        let byte = self
            .packed
            .as_ref()
            .map_or_else(|| u64::from(at), |packed| packed.shape.byte_of(&self.file, packed.shape.block_of(at)));
        Damage::new(&self.path, format!("is damaged at byte {byte}"))
    }

    /// Reads `length` bytes from `from` on, which must exist.
    pub(crate) fn read(&self, buffer: &mut Vec<u8>, from: u32, length: usize) -> Result<(), Damage> {
        if let Some(packed) = &self.packed {
            let read = packed.read(&self.file, buffer, from, length);
            return read.map_err(|fault| damage_in(&self.path, fault));
        }
        buffer.resize(length, 0);
        let read = self.file.read_exact_at(buffer, u64::from(from));
        read.map_err(|error| Damage::io(&self.path, format!("cannot be read at byte {from}"), &error))
    }

    /// The block of a compressed segment that contains `offset`, as in the file, and its content from `offset` on.
    pub(crate) fn block(&self, offset: u32) -> Result<(Vec<u8>, Vec<u8>), Damage> {
        let shape = Shape::of(self.header()).ok_or_else(|| Damage::new(&self.path, "is not compressed"))?;
        let fault = |fault| damage_in(&self.path, fault);
        let number = shape.block_of(offset);
        let packed = shape.packed(&self.file, number).map_err(fault)?;
        let mut bytes = shape.unpack(number, packed.clone()).ok_or_else(|| self.damaged(offset))?;
        bytes.drain(..(offset - shape.offsets_of(number).start) as usize);
        Ok((packed, bytes))
    }
}

/// The error for a damaged or unreadable compressed segment.
fn damage_in(path: &Path, BlockError { byte, error }: BlockError) -> Damage {
    match error {
        Some(error) => Damage::io(path, format!("cannot be read at byte {byte}"), &error),
        None => Damage::new(path, format!("is damaged at byte {byte}")),
    }
}

/// Reads as many bytes from the start of a file as a header may have.
fn read_start(file: &File) -> io::Result<Vec<u8>> {
    let mut start = vec![0; header::HEADER as usize];
    let mut read = 0;
    while read < start.len() {
        match file.read_at(&mut start[read..], read as u64) {
            Ok(0) => break,
            Ok(count) => read += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    start.truncate(read);
    Ok(start)
}

/// Whether a crash interrupted the creation of segment `number`: its header is incomplete and nothing follows it. A
/// segment is used only once its header is durable, so it never contained anything.
pub(crate) fn is_unfinished(dir: &Path, number: u32) -> bool {
    let path = path_of(dir, number);
    if std::fs::metadata(&path).is_ok_and(|file| file.len() > u64::from(header::HEADER)) {
        return false;
    }
    std::fs::read(path).is_ok_and(|bytes| Header::is_unfinished(&bytes))
}

/// Removes a segment that is [unfinished](is_unfinished).
pub(crate) fn remove_unfinished(dir: &Path, number: u32) -> io::Result<()> {
    std::fs::remove_file(path_of(dir, number))
}

/// The path of segment `number`.
pub(crate) fn path_of(dir: &Path, number: u32) -> PathBuf {
    dir.join(format!("{number:06}.log"))
}
