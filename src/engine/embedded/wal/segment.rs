//! One file of the journal: its [header], then [frames](crate::engine::embedded::frame), which may be [compressed](crate::engine::embedded::wal::packed).
//!
//! An offset is one in the file as it is when it is not compressed, and so is [`Segment::end`].
//!
//! What lies beyond [`Segment::end`] has not been synced and is never read. The file that is being written is longer
//! than its frames: it has room made of zeros, so that a sync need not write the file's length and places, too. On
//! ext4 that halves what a sync takes (5,521 and 10,743 a second for 1 KiB each). The room goes when the file is full,
//! and at an ordered stop; a start cuts off what a crash left.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, RwLock};
use std::time::{Duration, Instant};

use crate::engine::embedded::durable;
use crate::engine::embedded::frame::{Binding, NoFrame};
use crate::engine::embedded::location::{self, Gone};
use crate::engine::embedded::wal::header::{self, Header};
use crate::engine::embedded::wal::index::{Growing, Index, IndexEntry};
use crate::engine::embedded::wal::packed::{Shape, Spoilt};
use crate::engine::embedded::wal::unpacked::{Packed, Unpacked};
use crate::model::error::{Damage, u32_of};
use crate::model::record::Head;
use crate::model::segment::{Schema, SegmentStats};

/// How much is read at once when a whole file is walked through.
const STRIDE: usize = 256 * 1024;
/// How much is read at once when a frame or two are wanted.
const GLANCE: usize = 16 * 1024;

/// How much room is made at once: some of the batches that are written just now, at least and at most.
const ROOM_BATCHES: usize = 16;
const ROOM_LEAST: usize = 64 << 10;
const ROOM_MOST: usize = 1 << 20;
/// In how many writes it is made: the kernel counts the whole of what one write brought into memory as written, each
/// time that a part of it is.
const ROOM_WRITES: usize = 16;
/// What room is made of.
static ZEROS: [u8; ROOM_MOST / ROOM_WRITES] = [0; ROOM_MOST / ROOM_WRITES];

/// One file of the journal.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) number: u32,
    /// How its frames are proved.
    pub(crate) binding: Binding,
    /// The first byte behind its header.
    begin: u32,
    created: u64,
    path: PathBuf,
    file: File,
    /// How it is read if it is compressed.
    packed: Option<Packed>,
    /// Whether it is known not to become shorter by that.
    pub(crate) stays: AtomicBool,
    end: AtomicU32,
    /// The first byte behind the room that was made; nothing is known of any below [`Segment::end`].
    room: AtomicU64,
    /// The first id in it; unset until there is one.
    pub(crate) first_id: OnceLock<u128>,
    pub(crate) index: RwLock<Option<Index>>,
    /// What there is in it, once it is full and somebody has asked.
    pub(crate) stats: OnceLock<SegmentStats>,
    /// Whether another file has its name, or none; held while an index is written beside it.
    pub(crate) retired: Mutex<bool>,
    pub(crate) schema: &'static Schema,
}

/// Sees a frame: its offset, header and payload. Says whether to go on.
pub(crate) type See<'s> = &'s mut dyn FnMut(u32, Head, &[u8]) -> bool;

/// Why a walk through the frames came to its end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The file ends where a frame does.
    Clean,
    /// From here on there is no frame.
    NoFrame(u32),
}

impl Segment {
    /// Makes the file `number` in `dir`, with its header and its name on the disk.
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
            stays: AtomicBool::new(false),
            end: AtomicU32::new(end),
            room: AtomicU64::new(0),
            first_id: OnceLock::new(),
            index: RwLock::new(None),
            stats: OnceLock::new(),
            retired: Mutex::new(false),
            schema,
        }
    }

    /// Opens the file `number` in `dir`; its end is that of the file. What of it is unpacked is kept in `blocks`.
    pub(crate) fn open(
        dir: &Path,
        number: u32,
        blocks: &Arc<Unpacked>,
        schema: &'static Schema,
    ) -> Result<Self, Damage> {
        Self::open_at(path_of(dir, number), number, blocks, schema)
    }

    /// Opens the file `number`, which has another name yet.
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
            shape.check(&file, length).map_err(|spoilt| spoilt_in(&path, spoilt))?;
            let packed = Some(Packed::new(shape, length, blocks));
            return Ok(Self { packed, ..Self::of(header, path, file, shape.end(), schema) });
        }
        let end = u32::try_from(length).map_err(|_| damage("is longer than a journal file can be".to_owned()))?;
        Ok(Self::of(header, path, file, end, schema))
    }

    /// Whether it is compressed, and so whole, and never written to.
    pub(crate) const fn is_packed(&self) -> bool {
        self.packed.is_some()
    }

    /// Its header, as it stands in the file.
    pub(crate) fn header(&self) -> Header {
        let packed = self.packed.as_ref().map(|packed| packed.shape.end());
        Header { number: self.number, created: self.created, binding: self.binding, packed }
    }

    /// How many bytes it has on the disk.
    pub(crate) fn bytes(&self) -> u64 {
        self.packed.as_ref().map_or_else(|| u64::from(self.end()), |packed| packed.length)
    }

    /// The first byte behind what is synced.
    pub(crate) fn end(&self) -> u32 {
        self.end.load(Ordering::Acquire)
    }

    /// When it was made, in milliseconds since 1970.
    pub(crate) const fn created(&self) -> u64 {
        self.created
    }

    /// The first byte behind the header: where the first frame stands.
    pub(crate) const fn begin(&self) -> u32 {
        self.begin
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Whether the file still has a name, by its links.
    ///
    /// # Errors
    /// It was deleted.
    pub(crate) fn has_name(&self) -> Result<(), Gone> {
        location::has_name(&self.path, &self.file)
    }

    /// Writes `bytes` at the end and syncs them; says how long the sync took. They can be read only after
    /// [`Segment::publish`].
    pub(crate) fn append(&self, bytes: &[u8]) -> io::Result<Duration> {
        let end = u64::from(self.end());
        self.file.write_all_at(bytes, end)?;
        let behind = end + bytes.len() as u64;
        if behind > self.room.load(Ordering::Relaxed) {
            self.make_room(behind, bytes.len() * ROOM_BATCHES)?;
        }
        let begun = Instant::now();
        self.file.sync_data()?;
        Ok(begun.elapsed())
    }

    /// Makes room from `from` on; the next sync makes it durable. A full disk is no fault: room is only for speed.
    fn make_room(&self, from: u64, wished: usize) -> io::Result<()> {
        let zeros = &ZEROS[..wished.clamp(ROOM_LEAST, ROOM_MOST) / ROOM_WRITES];
        let mut behind = from;
        for _ in 0..ROOM_WRITES {
            match self.file.write_all_at(zeros, behind) {
                Ok(()) => behind += zeros.len() as u64,
                Err(error) if matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => break,
                Err(error) => return Err(error),
            }
        }
        self.room.store(behind, Ordering::Relaxed);
        Ok(())
    }

    /// Takes away the room that is left: nothing more is written to the file.
    pub(crate) fn trim(&self) -> io::Result<()> {
        if self.room.swap(0, Ordering::Relaxed) == 0 {
            return Ok(());
        }
        self.file.set_len(u64::from(self.end()))?;
        self.file.sync_all()
    }

    /// Makes synced bytes readable: `entries` are the frames in them.
    pub(crate) fn publish(&self, bytes: usize, entries: &[IndexEntry]) {
        self.note(entries);
        if let Some(first) = entries.iter().find(|note| note.id != 0) {
            self.first_id.get_or_init(|| first.id);
        }
        self.end.fetch_add(u32::try_from(bytes).unwrap_or(0), Ordering::AcqRel);
    }

    /// Makes durable what is in the file, whoever wrote it.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    /// Cuts the file at `end`, which a recovery found to be the end of what was acknowledged.
    pub(crate) fn cut(&self, end: u32) -> io::Result<()> {
        self.file.set_len(u64::from(end))?;
        self.file.sync_all()?;
        self.end.store(end, Ordering::Release);
        Ok(())
    }

    /// The first id in it, if there is any.
    pub(crate) fn first_id(&self) -> Result<Option<u128>, Damage> {
        if let Some(id) = self.first_id.get() {
            return Ok(Some(*id));
        }
        let mut found = None;
        self.look(self.begin, self.end(), &mut |_, head, _| {
            found = (head.id != 0).then_some(head.id);
            found.is_none()
        })?;
        Ok(found.map(|id| *self.first_id.get_or_init(|| id)))
    }

    /// Hands the frames from `from` to `until` to `visit` (offset, header, payload), in order, as
    /// long as it answers true.
    pub(crate) fn walk(&self, from: u32, until: u32, visit: See<'_>) -> Result<End, Damage> {
        self.walk_by(STRIDE, from, until, visit)
    }

    /// As [`Segment::walk`], for somebody who does not expect to go far.
    pub(crate) fn look(&self, from: u32, until: u32, visit: See<'_>) -> Result<End, Damage> {
        self.walk_by(GLANCE, from, until, visit)
    }

    fn walk_by(&self, stride: usize, from: u32, until: u32, visit: See<'_>) -> Result<End, Damage> {
        let mut buffer = Vec::new();
        let mut at = from;
        while at < until {
            let at_hand = self.packed.as_ref().map_or(stride, |packed| packed.at_hand(at));
            let mut want = at_hand.min((until - at) as usize);
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

    /// The frame at `offset`.
    pub(crate) fn frame(&self, offset: u32, visit: &mut dyn FnMut(Head, &[u8])) -> Result<(), Damage> {
        let end = self.look(offset, self.end(), &mut |_, head, payload| {
            visit(head, payload);
            false
        })?;
        match end {
            End::Clean => Ok(()),
            End::NoFrame(at) => Err(self.damaged(at)),
        }
    }

    /// Says that there is no frame where there must be one.
    pub(crate) fn damaged(&self, at: u32) -> Damage {
        let byte = self
            .packed
            .as_ref()
            .map_or_else(|| u64::from(at), |packed| packed.shape.byte_of(&self.file, packed.shape.block_of(at)));
        Damage::new(&self.path, format!("is damaged at byte {byte}"))
    }

    /// Reads `length` bytes from `from` on, which must be there.
    pub(crate) fn read(&self, buffer: &mut Vec<u8>, from: u32, length: usize) -> Result<(), Damage> {
        if let Some(packed) = &self.packed {
            let read = packed.read(&self.file, buffer, from, length);
            return read.map_err(|spoilt| spoilt_in(&self.path, spoilt));
        }
        buffer.resize(length, 0);
        let read = self.file.read_exact_at(buffer, u64::from(from));
        read.map_err(|error| Damage::io(&self.path, format!("cannot be read at byte {from}"), &error))
    }

    /// The block of a compressed file with what stands at `offset`, as it is in the file, and what it holds from `offset` on.
    pub(crate) fn block(&self, offset: u32) -> Result<(Vec<u8>, Vec<u8>), Damage> {
        let shape = Shape::of(self.header()).ok_or_else(|| Damage::new(&self.path, "is not compressed"))?;
        let spoilt = |spoilt| spoilt_in(&self.path, spoilt);
        let number = shape.block_of(offset);
        let packed = shape.packed(&self.file, number).map_err(spoilt)?;
        let mut bytes = shape.unpack(number, packed.clone()).ok_or_else(|| self.damaged(offset))?;
        bytes.drain(..(offset - shape.held_by(number).start) as usize);
        Ok((packed, bytes))
    }
}

/// What is wrong with a compressed file, as everywhere it is said.
fn spoilt_in(path: &Path, Spoilt { byte, error }: Spoilt) -> Damage {
    match error {
        Some(error) => Damage::io(path, format!("cannot be read at byte {byte}"), &error),
        None => Damage::new(path, format!("is damaged at byte {byte}")),
    }
}

/// As many bytes from the beginning of a file as a header may have.
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

/// Whether a cut came while the file `number` was made: it is no longer than its header, and the
/// header is not whole. A file is used only once its header is on the disk, so nothing was in it.
pub(crate) fn is_unfinished(dir: &Path, number: u32) -> bool {
    let path = path_of(dir, number);
    if std::fs::metadata(&path).is_ok_and(|file| file.len() > u64::from(header::HEADER)) {
        return false;
    }
    std::fs::read(path).is_ok_and(|bytes| Header::is_unfinished(&bytes))
}

/// Removes a file for which [`is_unfinished`] holds.
pub(crate) fn remove_unfinished(dir: &Path, number: u32) -> io::Result<()> {
    std::fs::remove_file(path_of(dir, number))
}

/// The path of file `number`.
pub(crate) fn path_of(dir: &Path, number: u32) -> PathBuf {
    dir.join(format!("{number:06}.log"))
}
