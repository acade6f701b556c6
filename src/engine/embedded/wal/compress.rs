//! Compressing full segments: the same frames at the same offsets in less space
//! ([`packed`](crate::engine::embedded::wal::packed)).
//!
//! Does not know when to compress, nor how much space there is. The guarantees are those of
//! [compaction](crate::engine::embedded::wal::compaction): only full segments that are completely checkpointed may be
//! passed in; the compressed file is complete, synced and verified frame by frame before it is renamed over the old
//! one; after a crash one of the two is there, and the next opening removes an incomplete file. The index stays: it
//! fits both.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::engine::embedded::frame::Binding;
use crate::engine::embedded::wal::compaction::{NotCompacted, SYNC_EVERY, THROTTLE_EVERY, Throttle, each_frame};
use crate::engine::embedded::wal::first::REWRITE;
use crate::engine::embedded::wal::header::Header;
use crate::engine::embedded::wal::log::Wal;
use crate::engine::embedded::wal::packed::{BLOCK, Packer, Packing, Shape};
use crate::engine::embedded::wal::segment::Segment;
use crate::model::error::Damage;

/// How many blocks of a segment are sampled before all are compressed.
const TRIED: u32 = 16;
/// The minimum saving: this fraction of the file, and at least one block of the disk.
const SAVED_PART: u64 = 10;
const SAVED_BYTES: u64 = 4096;

impl Wal {
    /// The segments below `below` that can be compressed, with their sizes, newest first: the newest ones stay longest.
    pub(crate) fn compressible(&self, below: u32) -> Vec<(u32, u64)> {
        let segments = self.newest_segments();
        let full = segments.iter().skip(1).filter(|segment| segment.number < below);
        let open = full.filter(|segment| {
            // Segments of the first format are left to expire.
            segment.binding != Binding::Plain && !segment.is_packed() && !segment.incompressible.load(Ordering::Relaxed)
        });
        open.map(|segment| (segment.number, segment.bytes())).collect()
    }

    /// Compresses segment `number`; returns how many bytes that saved. A segment that would not become much shorter, or
    /// is damaged, is left as it is and is no longer [compressible](Wal::compressible).
    pub(crate) fn compress(&self, number: u32, throttle: Throttle<'_>) -> Result<u64, NotCompacted> {
        let _files = self.hold_files();
        let segment = self.segment(number)?;
        let compressed = self.compress_held(&segment, throttle);
        let incompressible = match &compressed {
            Ok(saved) => *saved == 0,
            Err(NotCompacted::Failed(damage)) => !damage.is_io(),
            Err(NotCompacted::Stopped) => false,
        };
        segment.incompressible.store(incompressible, Ordering::Relaxed);
        compressed
    }

    fn compress_held(&self, segment: &Segment, throttle: Throttle<'_>) -> Result<u64, NotCompacted> {
        if segment.is_packed() || !is_worth_while(segment, sampled(segment)?) {
            return Ok(0);
        }
        let fresh = segment.path().with_extension(REWRITE);
        let written = write_packed(segment, &fresh, throttle).and_then(|bytes| {
            let worth_while = is_worth_while(segment, bytes);
            if worth_while { Self::prove(segment, &fresh, throttle).map(|()| true) } else { Ok(false) }
        });
        if !matches!(written, Ok(true)) {
            // Otherwise the next opening removes it.
            drop(fs::remove_file(&fresh));
        }
        if !written? {
            return Ok(0);
        }
        // Readers of the old file keep its index, too.
        segment.seal()?;
        segment.retire();
        let replaced = self.replace_file(segment, &fresh)?;
        if let Some(first) = segment.first_id.get() {
            replaced.first_id.get_or_init(|| *first);
        }
        Ok(segment.bytes().saturating_sub(replaced.bytes()))
    }

    /// Verifies the compressed file `fresh`: it must have every frame of `segment`, each of them sound.
    fn prove(segment: &Segment, fresh: &Path, throttle: Throttle<'_>) -> Result<(), NotCompacted> {
        // With a cache of its own, so that other blocks are not evicted.
        let copy = Segment::open_at(fresh.to_owned(), segment.number, &Arc::default(), segment.schema)?;
        if copy.end() != segment.end() {
            return Err(NotCompacted::Failed(Damage::new(fresh, "is not as it was written")));
        }
        each_frame(&copy, throttle, &mut |_, _| Ok(())).map_err(|why| match why {
            // The damage may have been in the source already, which is then reported instead.
            NotCompacted::Failed(damage) if !damage.is_io() => {
                let own = each_frame(segment, &mut || true, &mut |_, _| Ok(()));
                own.err().unwrap_or(NotCompacted::Failed(damage))
            }
            why => why,
        })
    }
}

/// Whether a file of this many bytes would be sufficiently shorter than that of `segment`.
fn is_worth_while(segment: &Segment, bytes: u64) -> bool {
    let saved = segment.bytes().saturating_sub(bytes);
    saved >= SAVED_BYTES && saved >= segment.bytes() / SAVED_PART
}

fn packed_header(segment: &Segment) -> Header {
    Header { packed: Some(segment.end()), ..segment.header() }
}

/// Estimates the compressed size from some of the blocks.
fn sampled(segment: &Segment) -> Result<u64, NotCompacted> {
    let Some(shape) = Shape::of(packed_header(segment)) else { return Ok(segment.bytes()) };
    let failed = |error: io::Error| NotCompacted::Failed(Damage::io(segment.path(), "could not be compressed", &error));
    let (mut packer, mut bytes) = (Packer::new().map_err(failed)?, Vec::new());
    let (mut read, mut packed) = (0, 0);
    for number in (0..shape.blocks()).step_by(shape.blocks().div_ceil(TRIED).max(1) as usize) {
        let range = shape.offsets_of(number);
        segment.read(&mut bytes, range.start, range.len())?;
        packed += packer.pack(&bytes).map_err(failed)?.len() as u64;
        read += bytes.len() as u64;
    }
    Ok(segment.bytes() * packed / read.max(1))
}

/// Writes and syncs the compressed file; returns its length.
fn write_packed(segment: &Segment, fresh: &Path, throttle: Throttle<'_>) -> Result<u64, NotCompacted> {
    let failed = |error: io::Error| NotCompacted::Failed(Damage::io(fresh, "could not be written", &error));
    let header = packed_header(segment);
    let shape = Shape::of(header).ok_or_else(|| Damage::new(segment.path(), "has nothing in it"))?;
    // Readable, because it is verified before it replaces the other.
    let file = File::options().read(true).write(true).create(true).truncate(true).open(fresh).map_err(failed)?;
    let (mut packer, mut packing) = (Packer::new().map_err(failed)?, Packing::begin(file, header).map_err(failed)?);
    let (mut bytes, mut unsynced) = (Vec::new(), 0);
    for number in 0..shape.blocks() {
        if number.is_multiple_of(THROTTLE_EVERY / BLOCK) && !throttle() {
            return Err(NotCompacted::Stopped);
        }
        let range = shape.offsets_of(number);
        segment.read(&mut bytes, range.start, range.len())?;
        let packed = packer.pack(&bytes).map_err(failed)?;
        packing.block(&packed).map_err(failed)?;
        unsynced += packed.len();
        if unsynced >= SYNC_EVERY {
            packing.file().sync_data().map_err(failed)?;
            unsynced = 0;
        }
    }
    let length = packing.length();
    packing.finish().map_err(failed)?;
    Ok(length)
}

#[cfg(test)]
mod tests;
