//! The index of a journal file, from its file's side: asked, made again where it is missing or damaged, written beside it.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::engine::embedded::durable;
use crate::engine::embedded::wal::index::{self, Growing, Index, IndexEntry, entry_of};
use crate::engine::embedded::wal::segment::{End, Segment};
use crate::model::error::Damage;
use crate::model::segment::SegmentStats;

/// An answer of the index, and whether the whole file had to be read for it.
pub(crate) struct Asked<T> {
    pub(crate) answer: T,
    /// How many bytes were read to make the index again.
    pub(crate) remade: u64,
}

impl Segment {
    /// Asks the index, which is read or made again if it is not in memory, or turns out to be damaged.
    pub(crate) fn with_index<T>(&self, ask: impl Fn(&Index) -> io::Result<T>) -> Result<Asked<T>, Damage> {
        if let Some(index) = &*self.index.read().unwrap_or_else(PoisonError::into_inner)
            && let Ok(answer) = ask(index)
        {
            return Ok(Asked { answer, remade: 0 });
        }
        let mut slot = self.index.write().unwrap_or_else(PoisonError::into_inner);
        // Somebody else may have been here first.
        for stored in [slot.take(), self.stored_index()].into_iter().flatten() {
            if let Ok(answer) = ask(&stored) {
                *slot = Some(stored);
                return Ok(Asked { answer, remade: 0 });
            }
        }
        let index = slot.insert(self.remake_index()?);
        let unreadable = |error: io::Error| Damage::io(&self.index_path(), "cannot be read", &error);
        Ok(Asked { answer: ask(index).map_err(unreadable)?, remade: u64::from(self.end()) })
    }

    /// Makes synced bytes readable: `entries` are the frames in them.
    pub(crate) fn note(&self, entries: &[IndexEntry]) {
        let mut slot = self.index.write().unwrap_or_else(PoisonError::into_inner);
        // The file that is written has its index in memory from its beginning, or from the opening on.
        if let Some(Index::Growing(index)) = &mut *slot {
            entries.iter().for_each(|note| index.note(note));
        }
    }

    /// Makes the index in memory complete, for the file that goes on being written. Reads every
    /// frame, so damage anywhere in the file is found.
    pub(crate) fn index_for_writing(&self) -> Result<(), Damage> {
        let index = self.rebuild_index()?;
        self.first_id()?;
        *self.index.write().unwrap_or_else(PoisonError::into_inner) = Some(Index::Growing(index));
        Ok(())
    }

    /// Writes the index of a file that is full beside it, and goes on with that.
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

    /// The index beside the file, if it is whole as far as can be seen and belongs to the file as it is now.
    fn stored_index(&self) -> Option<Index> {
        let retired = self.retired.lock().unwrap_or_else(PoisonError::into_inner);
        // What is beside it is another's then.
        if *retired {
            return None;
        }
        let index = File::open(self.index_path()).ok().and_then(Index::open)?;
        (index.stats().end.max(self.begin()) == self.end()).then_some(index)
    }

    /// What there is in a file that is full. Writes its index beside it if it is not there.
    pub(crate) fn stats(&self) -> Result<SegmentStats, Damage> {
        if let Some(stats) = self.stats.get() {
            return Ok(*stats);
        }
        let stats = self.with_index(|index| Ok(index.stats()))?.answer;
        Ok(*self.stats.get_or_init(|| stats))
    }

    /// Ends the writing of indexes: the file is about to be written again, or dropped. Whoever has this
    /// segment in use goes on with the index that it has, or makes one in memory. One that is written later than the
    /// new file's would pass for it where both files are of one length.
    pub(crate) fn retire(&self) {
        *self.retired.lock().unwrap_or_else(PoisonError::into_inner) = true;
    }

    /// A file that is written again has a second [`Segment`] while the first is still in use: each has
    /// a way of its own.
    fn write_index(&self, bytes: &[u8]) -> io::Result<()> {
        let retired = self.retired.lock().unwrap_or_else(PoisonError::into_inner);
        if *retired {
            return Ok(());
        }
        static WAYS: AtomicU32 = AtomicU32::new(0);
        let way = WAYS.fetch_add(1, Ordering::Relaxed);
        durable::replace_file_by(&self.index_path(), &self.path().with_extension(format!("{way}.new")), bytes)
    }

    /// Makes the index of a full file again and writes it beside the file, where it was missing, damaged, or of a
    /// version that is no longer read.
    fn remake_index(&self) -> Result<Index, Damage> {
        let path = self.index_path();
        let mut begin = [0; 8];
        let is_of_before = File::open(&path).and_then(|mut file| io::Read::read_exact(&mut file, &mut begin)).is_ok()
            && index::is_of_before(&begin);
        // Erasing and retention take it away before they replace the file.
        match path.try_exists() {
            Ok(false) => tracing::info!("{} is not there: it is made again from the journal file", path.display()),
            _ if is_of_before => tracing::info!("{} is of an older version: it is made again", path.display()),
            _ => tracing::warn!("{} is damaged: it is made again from the journal file", path.display()),
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

    /// Makes the index again from the frames.
    fn rebuild_index(&self) -> Result<Growing, Damage> {
        let mut index = Growing::default();
        let end = self.walk(self.begin(), self.end(), &mut |offset, head, payload| {
            let length = self.binding.header() + payload.len();
            index.note(&entry_of(self.schema, offset, length, head, payload));
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
