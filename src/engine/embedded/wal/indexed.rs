//! Querying, rebuilding and writing the index of a segment.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::engine::embedded::durable;
use crate::engine::embedded::wal::index::{self, Growing, Index, IndexEntry, entry_of};
use crate::engine::embedded::wal::segment::{End, Segment};
use crate::engine::embedded::wal::stats::SegmentStats;
use crate::model::error::Damage;

/// The answer of an index.
pub(crate) struct IndexAnswer<T> {
    pub(crate) answer: T,
    /// How many bytes were read to rebuild the index for it.
    pub(crate) rebuilt_bytes: u64,
}

impl Segment {
    /// Queries the index, loading or rebuilding it if it is not in memory or turns out to be damaged.
    pub(crate) fn with_index<T>(&self, query: impl Fn(&Index) -> io::Result<T>) -> Result<IndexAnswer<T>, Damage> {
        if let Some(index) = &*self.index.read().unwrap_or_else(PoisonError::into_inner)
            && let Ok(answer) = query(index)
        {
            return Ok(IndexAnswer { answer, rebuilt_bytes: 0 });
        }
        let mut slot = self.index.write().unwrap_or_else(PoisonError::into_inner);
        // Another thread may have loaded it meanwhile.
        for stored in [slot.take(), self.stored_index()].into_iter().flatten() {
            if let Ok(answer) = query(&stored) {
                *slot = Some(stored);
                return Ok(IndexAnswer { answer, rebuilt_bytes: 0 });
            }
        }
        let index = slot.insert(self.rebuild_and_write_index()?);
        let unreadable = |error: io::Error| Damage::io(&self.index_path(), "cannot be read", &error);
        Ok(IndexAnswer { answer: query(index).map_err(unreadable)?, rebuilt_bytes: u64::from(self.end()) })
    }

    /// Adds frames to the index in memory.
    pub(crate) fn index_frames(&self, entries: &[IndexEntry]) {
        let mut slot = self.index.write().unwrap_or_else(PoisonError::into_inner);
        // Only the active segment has its index in memory, since its creation or since opening.
        if let Some(Index::Growing(index)) = &mut *slot {
            entries.iter().for_each(|entry| index.insert(entry));
        }
    }

    /// Builds the index of the active segment in memory. Reads every frame, so damage anywhere in the segment is found.
    pub(crate) fn index_for_writing(&self) -> Result<(), Damage> {
        let index = self.rebuild_index()?;
        self.first_id()?;
        *self.index.write().unwrap_or_else(PoisonError::into_inner) = Some(Index::Growing(index));
        Ok(())
    }

    /// Writes the index of a full segment beside it, and uses that from then on.
    pub(crate) fn seal(&self) -> Result<(), Damage> {
        let bytes = match &*self.index.read().unwrap_or_else(PoisonError::into_inner) {
            Some(Index::Growing(index)) => Some(index::to_bytes(index)),
            _ => None,
        };
        let Some(bytes) = bytes else { return self.with_index(|_| Ok(())).map(drop) };
        self.write_index(&bytes).map_err(|error| Damage::io(&self.index_path(), "cannot be written", &error))?;
        if let Some(stored) = self.stored_index() {
            *self.index.write().unwrap_or_else(PoisonError::into_inner) = Some(stored);
        }
        Ok(())
    }

    /// The index beside the segment, if it is intact as far as can be seen and belongs to the current file.
    fn stored_index(&self) -> Option<Index> {
        let retired = self.retired.lock().unwrap_or_else(PoisonError::into_inner);
        // The file beside it then belongs to the replacement.
        if *retired {
            return None;
        }
        let index = File::open(self.index_path()).ok().and_then(Index::open)?;
        (index.stats().end.max(self.begin()) == self.end()).then_some(index)
    }

    /// The statistics of a full segment. Writes its index if there is none.
    pub(crate) fn stats(&self) -> Result<SegmentStats, Damage> {
        if let Some(stats) = self.stats.get() {
            return Ok(*stats);
        }
        let stats = self.with_index(|index| Ok(index.stats()))?.answer;
        Ok(*self.stats.get_or_init(|| stats))
    }

    /// Ends the writing of indexes: the segment is about to be rewritten or dropped. Users of this instance continue
    /// with the index that they have, or build one in memory. An index that it wrote after that of the replacement
    /// would be taken for the latter's if both files have the same length.
    pub(crate) fn retire(&self) {
        *self.retired.lock().unwrap_or_else(PoisonError::into_inner) = true;
    }

    /// Writes the index by way of a unique temporary file: a rewritten segment has a second [`Segment`] while the first
    /// is still in use.
    fn write_index(&self, bytes: &[u8]) -> io::Result<()> {
        let retired = self.retired.lock().unwrap_or_else(PoisonError::into_inner);
        if *retired {
            return Ok(());
        }
        static WAYS: AtomicU32 = AtomicU32::new(0);
        let way = WAYS.fetch_add(1, Ordering::Relaxed);
        durable::replace_file_by(&self.index_path(), &self.path().with_extension(format!("{way}.new")), bytes)
    }

    /// Rebuilds the index of a full segment and writes it, where it was missing, damaged, or of a version that is no
    /// longer read.
    fn rebuild_and_write_index(&self) -> Result<Index, Damage> {
        let path = self.index_path();
        let mut begin = [0; 8];
        let is_outdated = File::open(&path).and_then(|mut file| io::Read::read_exact(&mut file, &mut begin)).is_ok()
            && index::is_outdated(&begin);
        // Erasures and retention remove it before they replace the segment.
        match path.try_exists() {
            Ok(false) => tracing::info!("{} is missing: it is rebuilt from the segment", path.display()),
            _ if is_outdated => tracing::info!("{} is of an older version: it is rebuilt", path.display()),
            _ => tracing::warn!("{} is damaged: it is rebuilt from the segment", path.display()),
        }
        let index = self.rebuild_index()?;
        match self.write_index(&index::to_bytes(&index)) {
            Ok(()) => Ok(self.stored_index().unwrap_or(Index::Growing(index))),
            Err(error) => {
                tracing::warn!("{} could not be written: {error}", path.display());
                Ok(Index::Growing(index))
            }
        }
    }

    /// Rebuilds the index from the frames.
    fn rebuild_index(&self) -> Result<Growing, Damage> {
        let mut index = Growing::default();
        let end = self.walk(self.begin(), self.end(), &mut |offset, head, payload| {
            let length = self.binding.header() + payload.len();
            index.insert(&entry_of(self.schema, offset, length, head, payload));
            true
        })?;
        match end {
            End::Clean => Ok(index),
            End::NoFrame(at) => Err(self.damaged(at)),
        }
    }

    fn index_path(&self) -> PathBuf {
        self.path().with_extension("idx")
    }
}
