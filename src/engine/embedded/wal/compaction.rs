//! Compaction: rewriting a segment without expired records, and dropping the oldest segment.
//!
//! Knows nothing of what is retained and why. Only full segments that are completely checkpointed may be passed in. At
//! every moment, also after power loss, each number from the first to the newest has a complete segment: a segment is
//! replaced by renaming a synced file over it, and `first` is advanced and synced before the file below it is removed.
//! The next opening removes leftovers of a crash. Readers of a replaced file continue with it.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use crate::core::id::AttemptId;
use crate::core::time::Timestamp;
use crate::engine::embedded::wal::first::{REWRITE, note_first};
use crate::engine::embedded::wal::header::Header;
use crate::engine::embedded::wal::index::Index;
use crate::engine::embedded::wal::log::Wal;
use crate::engine::embedded::wal::segment::{self, End, Segment};
use crate::engine::embedded::wal::stats::SegmentStats;
use crate::engine::embedded::{durable, frame};
use crate::model::error::{Damage, u32_of};
use crate::model::record::Disposition;
use crate::model::record::Head;

/// How many bytes are written between two syncs, so that no sync of the writer waits for many.
pub(crate) const SYNC_EVERY: usize = 2 << 20;
/// How many bytes are read or written between two calls of the throttle.
pub(crate) const THROTTLE_EVERY: u32 = 256 << 10;

/// Decides the disposition of a frame.
pub(crate) type Decide<'j> = &'j mut dyn FnMut(Head, &[u8]) -> Result<Disposition, Damage>;
/// Called regularly during long work; returning false stops it.
pub(crate) type Throttle<'b> = &'b mut dyn FnMut() -> bool;

/// The result of surveying a segment.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Survey {
    /// Bytes of frames that would be retained.
    pub(crate) kept: u64,
    /// Bytes of frames that would be removed.
    pub(crate) gone: u64,
}

/// Why a segment was not compacted. It is unchanged.
#[derive(Debug)]
pub(crate) enum NotCompacted {
    /// The worker is stopping.
    Stopped,
    /// The segment is damaged, or the disk failed.
    Failed(Damage),
}

impl From<Damage> for NotCompacted {
    fn from(damage: Damage) -> Self {
        Self::Failed(damage)
    }
}

impl Wal {
    /// Prevents the removal and replacement of segments while the guard is held: for copying.
    pub(crate) fn hold_files(&self) -> MutexGuard<'_, ()> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the first event or log entry of the active segment is older than `age`.
    pub(crate) fn newest_is_older_than(&self, now: Timestamp, age: Duration) -> Result<bool, Damage> {
        let segments = self.newest_segments();
        let first = segments.first().map(|newest| newest.first_id()).transpose()?.flatten();
        Ok(first.is_some_and(|id| now.since(AttemptId::from_bits(id).timestamp()) > age))
    }

    /// The number of the active segment.
    pub(crate) fn newest(&self) -> u32 {
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        segments.last_key_value().map_or(0, |(number, _)| *number)
    }

    /// The total size of all segments on the disk in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.newest_segments().iter().map(|segment| segment.bytes()).sum()
    }

    /// The segments by number with their statistics, the oldest first; the last is the active one.
    pub(crate) fn stats(&self) -> Vec<(u32, SegmentStats)> {
        let segments = self.newest_segments();
        let mut all = Vec::with_capacity(segments.len());
        for (age, segment) in segments.iter().enumerate().rev() {
            let stats = match age {
                0 => segment.with_index(|index| Ok(index.stats())).map(|asked| asked.answer),
                _ => segment.stats(),
            };
            // An unreadable segment looks empty: surveying it then reports the error.
            all.push((segment.number, stats.unwrap_or_default()));
        }
        all
    }

    /// Whether the active segment is empty.
    pub(crate) fn newest_is_empty(&self) -> bool {
        self.newest_segments().first().is_none_or(|newest| newest.end() <= newest.begin())
    }

    /// The numbers of the segments, the oldest first, that may have a frame under one of these keys.
    pub(crate) fn numbers_with(&self, keys: &[u64]) -> Result<Vec<u32>, Damage> {
        let mut numbers = Vec::new();
        for segment in self.newest_segments().iter().rev() {
            for key in keys {
                let any = |index: &Index| Ok(index.may_have(*key) && !index.below(*key, u32::MAX)?.is_empty());
                if segment.with_index(any)?.answer {
                    numbers.push(segment.number);
                    break;
                }
            }
        }
        Ok(numbers)
    }

    /// Reads segment `number` and returns how much of it `decide` would retain. Verifies the checksum of every frame.
    pub(crate) fn survey(
        &self,
        number: u32,
        decide: Decide<'_>,
        throttle: Throttle<'_>,
    ) -> Result<Survey, NotCompacted> {
        let mut survey = Survey::default();
        let segment = self.segment(number)?;
        each_frame(&segment, throttle, &mut |head, payload| {
            let length = (segment.binding.header() + payload.len()) as u64;
            let kept = match decide(head, payload)? {
                Disposition::Keep => length,
                Disposition::Drop => 0,
                Disposition::Replace(_, payload) => (frame::HEADER + payload.len()) as u64,
            };
            survey.kept += kept;
            survey.gone += length - kept.min(length);
            Ok(())
        })?;
        Ok(survey)
    }

    /// Rewrites segment `number` as decided by `decide`.
    ///
    /// The frames remain the same, except that none continues in the next: the transactions that they were part of have
    /// long been applied.
    pub(crate) fn rewrite(&self, number: u32, decide: Decide<'_>, throttle: Throttle<'_>) -> Result<(), NotCompacted> {
        let _files = self.hold_files();
        let segment = self.segment(number)?;
        let fresh = segment.path().with_extension(REWRITE);
        let written = write_retained(&segment, &fresh, decide, throttle);
        if written.is_err() {
            // Otherwise the next opening removes it.
            drop(fs::remove_file(&fresh));
        }
        written?;
        let failed = |error: io::Error| Damage::io(&fresh, "could not take its place", &error);
        segment.retire();
        // An index names its segment by the length, which need not change.
        match fs::remove_file(segment.path().with_extension("idx")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(NotCompacted::Failed(failed(error))),
            _ => {}
        }
        // After a crash the old index must not be found beside the new segment.
        durable::sync_dir(&self.dir).map_err(failed)?;
        let replacement = self.replace_file(&segment, &fresh)?;
        // Without it the index would be rebuilt on first use.
        replacement.index_for_writing()?;
        replacement.seal().map_err(NotCompacted::Failed)
    }

    /// Replaces the file of `segment`, which is retired, with the synced file `fresh`.
    pub(crate) fn replace_file(&self, segment: &Segment, fresh: &Path) -> Result<Arc<Segment>, Damage> {
        let failed = |error: io::Error| Damage::io(fresh, "could not take its place", &error);
        fs::rename(fresh, segment.path()).map_err(failed)?;
        let replacement = Arc::new(Segment::open(&self.dir, segment.number, &self.blocks, self.schema)?);
        let mut segments = self.segments.write().unwrap_or_else(PoisonError::into_inner);
        segments.insert(segment.number, replacement.clone());
        drop(segments);
        durable::sync_dir(&self.dir).map_err(failed)?;
        Ok(replacement)
    }

    /// Drops the oldest segment, which must be `number` and not the active one.
    pub(crate) fn drop_first(&self, number: u32) -> Result<(), Damage> {
        let _files = self.hold_files();
        let path = segment::path_of(&self.dir, number);
        let failed = |error: io::Error| Damage::io(&path, "could not be dropped", &error);
        note_first(&self.dir, number + 1).map_err(failed)?;
        let mut segments = self.segments.write().unwrap_or_else(PoisonError::into_inner);
        let dropped = segments.remove(&number);
        drop(segments);
        if let Some(segment) = dropped {
            segment.retire();
        }
        fs::remove_file(&path).map_err(failed)?;
        match fs::remove_file(path.with_extension("idx")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(error)),
            _ => Ok(()),
        }
    }

    pub(crate) fn segment(&self, number: u32) -> Result<Arc<Segment>, Damage> {
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        let missing = || Damage::new(&segment::path_of(&self.dir, number), "is not open");
        segments.get(&number).cloned().ok_or_else(missing)
    }
}

/// Called with each frame of a complete segment.
type FrameVisitor<'l> = &'l mut dyn FnMut(Head, &[u8]) -> Result<(), NotCompacted>;

pub(crate) fn each_frame(
    segment: &Segment,
    throttle: Throttle<'_>,
    visit: FrameVisitor<'_>,
) -> Result<(), NotCompacted> {
    let mut result = Ok(());
    let mut next_pause = THROTTLE_EVERY;
    let end = segment.walk(segment.begin(), segment.end(), &mut |offset, head, payload| {
        result = visit(head, payload);
        if result.is_ok() && offset >= next_pause {
            next_pause = offset + THROTTLE_EVERY;
            if !throttle() {
                result = Err(NotCompacted::Stopped);
            }
        }
        result.is_ok()
    })?;
    result?;
    match end {
        End::Clean => Ok(()),
        End::NoFrame(at) => Err(NotCompacted::Failed(segment.damaged(at))),
    }
}

/// Writes the retained frames to `fresh`. The new file has a salt of its own to which they are bound; each counts as a
/// group commit, because everything is synced before it is used.
fn write_retained(
    segment: &Segment,
    fresh: &Path,
    decide: Decide<'_>,
    throttle: Throttle<'_>,
) -> Result<(), NotCompacted> {
    let failed = |error: io::Error| NotCompacted::Failed(Damage::io(fresh, "could not be written", &error));
    let (header, salt) = Header::new(segment.number, segment.created()).map_err(failed)?;
    let mut file = File::create(fresh).map_err(failed)?;
    let mut out = header.to_bytes();
    let mut written = 0;
    each_frame(segment, throttle, &mut |head, payload| {
        let head = Head { continues: false, ..head };
        let from = out.len();
        match decide(head, payload)? {
            Disposition::Keep => frame::encode(&mut out, head, |out| out.extend_from_slice(payload)),
            Disposition::Drop => return Ok(()),
            Disposition::Replace(kind, payload) => {
                frame::encode(&mut out, Head { kind, ..head }, |out| out.extend_from_slice(&payload));
            }
        }
        let offset = u32_of(written + from);
        salt.bind(&mut out[from..], offset, offset);
        if out.len() >= SYNC_EVERY {
            file.write_all(&out).and_then(|()| file.sync_data()).map_err(failed)?;
            written += out.len();
            out.clear();
        }
        Ok(())
    })?;
    file.write_all(&out).and_then(|()| file.sync_all()).map_err(failed)
}
