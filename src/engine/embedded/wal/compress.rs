//! Compressing journal files that are full: the same frames at the same offsets, in less room ([`packed`](crate::engine::embedded::wal::packed)).
//!
//! Knows nothing of when, and of how much room there is. The [same](crate::engine::embedded::wal::compaction) holds as when a file is written again:
//! only files in which nothing is written any more, and of which the state database has all, may be handed in; the
//! compressed file is whole, synced and read through, each frame proved, before it takes the other's name; a cut leaves one
//! of the two, and what was half written goes at the next opening. The index beside it stays: it fits both.

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

/// How many blocks of a file are tried before all are.
const TRIED: u32 = 16;
/// What must be saved: this part of the file, and a block of the disk's.
const SAVED_PART: u64 = 10;
const SAVED_BYTES: u64 = 4096;

impl Wal {
    /// The files that can be compressed, the newest first: those below `below` that are not yet, with their lengths. What is
    /// newest stays longest.
    pub(crate) fn compressible(&self, below: u32) -> Vec<(u32, u64)> {
        let segments = self.newest_segments();
        let full = segments.iter().skip(1).filter(|segment| segment.number < below);
        let open = full.filter(|segment| {
            // Those of the first format go as they came.
            segment.binding != Binding::Plain && !segment.is_packed() && !segment.stays.load(Ordering::Relaxed)
        });
        open.map(|segment| (segment.number, segment.bytes())).collect()
    }

    /// Compresses file `number`; tells how many bytes that saved. One that would not become much shorter stays as it is, and
    /// so does one that is damaged; neither is [compressible](Wal::compressible) from then on.
    pub(crate) fn compress(&self, number: u32, throttle: Throttle<'_>) -> Result<u64, NotCompacted> {
        let _files = self.hold_files();
        let segment = self.segment(number)?;
        let compressed = self.compress_held(&segment, throttle);
        let stays = match &compressed {
            Ok(saved) => *saved == 0,
            Err(NotCompacted::Failed(damage)) => !damage.is_io(),
            Err(NotCompacted::Stopped) => false,
        };
        segment.stays.store(stays, Ordering::Relaxed);
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
            // At the next opening, if not now.
            drop(fs::remove_file(&fresh));
        }
        if !written? {
            return Ok(0);
        }
        // Whoever has the file before in use has its index, too.
        segment.seal()?;
        segment.retire();
        let replaced = self.take_place(segment, &fresh)?;
        if let Some(first) = segment.first_id.get() {
            replaced.first_id.get_or_init(|| *first);
        }
        Ok(segment.bytes().saturating_sub(replaced.bytes()))
    }

    /// Reads the compressed file `fresh` through: it must have every frame of `segment`, and each must be sound.
    fn prove(segment: &Segment, fresh: &Path, throttle: Throttle<'_>) -> Result<(), NotCompacted> {
        // What others read stays in memory.
        let copy = Segment::open_at(fresh.to_owned(), segment.number, &Arc::default(), segment.schema)?;
        if copy.end() != segment.end() {
            return Err(NotCompacted::Failed(Damage::new(fresh, "is not as it was written")));
        }
        each_frame(&copy, throttle, &mut |_, _| Ok(())).map_err(|why| match why {
            // What is damaged in it is so in the file that it was made of, or it is damaged itself.
            NotCompacted::Failed(damage) if !damage.is_io() => {
                let own = each_frame(segment, &mut || true, &mut |_, _| Ok(()));
                own.err().unwrap_or(NotCompacted::Failed(damage))
            }
            why => why,
        })
    }
}

/// Whether a file of so many bytes would be shorter than that of `segment` by enough.
fn is_worth_while(segment: &Segment, bytes: u64) -> bool {
    let saved = segment.bytes().saturating_sub(bytes);
    saved >= SAVED_BYTES && saved >= segment.bytes() / SAVED_PART
}

fn packed_header(segment: &Segment) -> Header {
    Header { packed: Some(segment.end()), ..segment.header() }
}

/// About how long the file would be, by some of its blocks.
fn sampled(segment: &Segment) -> Result<u64, NotCompacted> {
    let Some(shape) = Shape::of(packed_header(segment)) else { return Ok(segment.bytes()) };
    let failed = |error: io::Error| NotCompacted::Failed(Damage::io(segment.path(), "could not be compressed", &error));
    let (mut packer, mut bytes) = (Packer::new().map_err(failed)?, Vec::new());
    let (mut read, mut packed) = (0, 0);
    for number in (0..shape.blocks()).step_by(shape.blocks().div_ceil(TRIED).max(1) as usize) {
        let held = shape.held_by(number);
        segment.read(&mut bytes, held.start, held.len())?;
        packed += packer.pack(&bytes).map_err(failed)?.len() as u64;
        read += bytes.len() as u64;
    }
    Ok(segment.bytes() * packed / read.max(1))
}

/// Writes the compressed file; gives its length. It is synced.
fn write_packed(segment: &Segment, fresh: &Path, throttle: Throttle<'_>) -> Result<u64, NotCompacted> {
    let failed = |error: io::Error| NotCompacted::Failed(Damage::io(fresh, "could not be written", &error));
    let header = packed_header(segment);
    let shape = Shape::of(header).ok_or_else(|| Damage::new(segment.path(), "has nothing in it"))?;
    // Read again before it takes the other's place.
    let file = File::options().read(true).write(true).create(true).truncate(true).open(fresh).map_err(failed)?;
    let (mut packer, mut packing) = (Packer::new().map_err(failed)?, Packing::begin(file, header).map_err(failed)?);
    let (mut bytes, mut unsynced) = (Vec::new(), 0);
    for number in 0..shape.blocks() {
        if number.is_multiple_of(THROTTLE_EVERY / BLOCK) && !throttle() {
            return Err(NotCompacted::Stopped);
        }
        let held = shape.held_by(number);
        segment.read(&mut bytes, held.start, held.len())?;
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
