//! The index of a journal file, from its file's side: read, made again where it is missing or damaged, written beside it.

use std::io;
use std::path::PathBuf;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU32, Ordering};

use super::super::place::{self, Damage};
use super::index::{Index, Outline};
use super::note_of;
use super::segment::{End, Segment};

impl Segment {
    /// Asks the index, which is read or made again if it is not in memory.
    pub(super) fn with_index<T>(&self, ask: impl FnOnce(&Index) -> T) -> Result<T, Damage> {
        if let Some(index) = &*self.index.read().unwrap_or_else(PoisonError::into_inner) {
            return Ok(ask(index));
        }
        let mut slot = self.index.write().unwrap_or_else(PoisonError::into_inner);
        if slot.is_none() {
            *slot = Some(match self.stored_index() {
                Some(index) => index,
                None => self.remake_index()?,
            });
        }
        Ok(ask(slot.get_or_insert_default()))
    }

    /// Makes the index in memory complete, for the file that goes on being written. Reads every
    /// frame, so damage anywhere in the file is found.
    pub(super) fn index_for_writing(&self) -> Result<(), Damage> {
        let index = self.rebuild_index()?;
        self.first_id()?;
        *self.index.write().unwrap_or_else(PoisonError::into_inner) = Some(index);
        Ok(())
    }

    /// Takes the index out of memory, if the file beside the journal file has it.
    pub(super) fn drop_index(&self) {
        if self.index_path().exists() {
            *self.index.write().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }

    /// Writes the index of a file that is full beside it.
    pub(super) fn seal(&self) -> Result<(), Damage> {
        self.with_index(|_| ())?;
        let mut slot = self.index.write().unwrap_or_else(PoisonError::into_inner);
        // Who let go of it meanwhile has written it.
        let Some(index) = slot.as_mut() else { return Ok(()) };
        index.sort();
        let written = self.write_index(index);
        written.map_err(|error| Damage::io(&self.index_path(), "cannot be written", &error))
    }

    /// The index beside the file, if it is whole and belongs to the file as it is now.
    fn stored_index(&self) -> Option<Index> {
        let index = std::fs::read(self.index_path()).ok().and_then(|bytes| Index::from_bytes(&bytes))?;
        (index.outline().end.max(self.begin()) == self.end()).then_some(index)
    }

    /// What there is in a file that is full. Writes its index beside it if it is not there.
    pub(super) fn outline(&self) -> Result<Outline, Damage> {
        if let Some(outline) = self.outline.get() {
            return Ok(*outline);
        }
        let outline = match self.stored_index() {
            Some(index) => index.outline(),
            None => {
                self.seal()?;
                let outline = self.with_index(Index::outline)?;
                self.drop_index();
                outline
            }
        };
        Ok(*self.outline.get_or_init(|| outline))
    }

    /// Ends the writing of indexes: the file is about to be written again, or dropped. Whoever has this
    /// segment in use goes on with the index in memory. One that comes later than the new file's would pass
    /// for it where both files are of one length.
    pub(super) fn retire(&self) {
        *self.retired.lock().unwrap_or_else(PoisonError::into_inner) = true;
    }

    /// A file that is written again has a second [`Segment`] while the first is still in use: each has
    /// a way of its own.
    fn write_index(&self, index: &Index) -> io::Result<()> {
        let retired = self.retired.lock().unwrap_or_else(PoisonError::into_inner);
        if *retired {
            return Ok(());
        }
        static WAYS: AtomicU32 = AtomicU32::new(0);
        let way = WAYS.fetch_add(1, Ordering::Relaxed);
        place::replace_file_by(&self.index_path(), &self.path().with_extension(format!("{way}.new")), &index.to_bytes())
    }

    /// Makes the index of a full file again and writes it beside the file, where it was missing or damaged.
    fn remake_index(&self) -> Result<Index, Damage> {
        let path = self.index_path();
        // Erasing and retention take it away before they replace the file.
        match path.try_exists() {
            Ok(false) => tracing::info!("{} is not there: it is made again from the journal file", path.display()),
            _ => tracing::warn!("{} is damaged: it is made again from the journal file", path.display()),
        }
        let mut index = self.rebuild_index()?;
        index.sort();
        if let Err(error) = self.write_index(&index) {
            tracing::warn!("{} could not be written: {error}", path.display());
        }
        Ok(index)
    }

    /// Makes the index again from the frames.
    fn rebuild_index(&self) -> Result<Index, Damage> {
        let mut index = Index::default();
        let end = self.walk(self.begin(), self.end(), &mut |offset, head, payload| {
            let length = self.binding.header() + payload.len();
            index.note(&note_of(offset, length, head, payload));
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
