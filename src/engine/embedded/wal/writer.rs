//! Appending to the journal: the committer's side.
//!
//! One write and one sync for each group commit; nothing can be read before its sync has returned, and the next write
//! begins only then. [`recovery`](crate::engine::embedded::wal::recovery) relies on that.

use std::io;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use crate::engine::embedded::frame::Binding;
use crate::engine::embedded::wal::index::IndexEntry;
use crate::engine::embedded::wal::log::Wal;
use crate::engine::embedded::wal::segment::Segment;

/// A file is closed once it has this many bytes.
const SEGMENT_BYTES: u32 = 64 << 20;

/// The one who appends to the journal.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) journal: Arc<Wal>,
    pub(crate) active: Arc<Segment>,
    segment_bytes: u32,
    /// No file becomes larger, whatever is set.
    #[cfg(test)]
    most_bytes: u32,
}

impl Writer {
    pub(crate) const fn new(journal: Arc<Wal>, active: Arc<Segment>) -> Self {
        Self {
            journal,
            active,
            segment_bytes: SEGMENT_BYTES,
            #[cfg(test)]
            most_bytes: u32::MAX,
        }
    }

    /// Appends the frames in `bytes`, one group commit, and syncs them. `entries` are all of them, by their offset in
    /// `bytes`. Says how long the sync took. After an error nothing is known; do not go on.
    pub(crate) fn append(&mut self, bytes: &mut [u8], entries: &mut [IndexEntry]) -> io::Result<Duration> {
        let Binding::Salted(salt) = self.active.binding else {
            return Err(io::Error::other("a journal file of an older format is not written to"));
        };
        if self.active.is_packed() {
            return Err(io::Error::other("a compressed journal file is not written to"));
        }
        let end = self.active.end();
        for note in entries.iter_mut() {
            let frame = bytes.get_mut(note.offset as usize..).unwrap_or_default();
            note.offset += end;
            salt.bind(frame, note.offset, end).ok_or_else(|| io::Error::other("a frame is not where it should be"))?;
        }
        let synced = self.active.append(bytes)?;
        self.active.publish(bytes.len(), entries);
        Ok(synced)
    }

    /// Whether the file is one that is read, and not written to: of the first format, or compressed, which the newest
    /// never is unless somebody took newer ones away.
    pub(crate) fn is_for_reading(&self) -> bool {
        self.active.binding == Binding::Plain || self.active.is_packed()
    }

    /// Where the next frame will stand: the file's number and the offset in it.
    pub(crate) fn position(&self) -> (u32, u32) {
        (self.active.number, self.active.end())
    }

    /// Whether nothing has been written to the file.
    pub(crate) fn is_empty(&self) -> bool {
        self.active.end() <= self.active.begin()
    }

    /// Whether the file is full.
    pub(crate) fn is_full(&self) -> bool {
        self.active.end() >= self.segment_bytes
    }

    /// Begins a new file. The old one's index is written beside it by a thread of its own; if that
    /// does not come to pass, it is made again when it is asked for.
    pub(crate) fn rotate(&mut self, now: u64) -> io::Result<()> {
        // Only the newest file may have room behind its frames: its end is on the disk before there is a newer one.
        self.active.trim()?;
        let fresh = Arc::new(Segment::create(&self.journal.dir, self.active.number + 1, now, self.journal.schema)?);
        let old = std::mem::replace(&mut self.active, fresh.clone());
        let mut segments = self.journal.segments.write().unwrap_or_else(PoisonError::into_inner);
        segments.insert(fresh.number, fresh);
        drop(segments);
        let sealer = std::thread::Builder::new().name("index".to_owned());
        let sealed = sealer.spawn(move || match old.seal() {
            Ok(()) => {}
            Err(damage) => tracing::warn!("the journal's index is not written: {damage}"),
        });
        sealed.map(drop)
    }

    /// Ends the writing, in order: leaves no room behind the frames.
    pub(crate) fn close(&self) -> io::Result<()> {
        self.active.trim()
    }

    /// From now on a file is full at this size.
    pub(crate) fn set_segment_bytes(&mut self, bytes: u32) {
        self.segment_bytes = bytes;
        #[cfg(test)]
        {
            self.segment_bytes = bytes.min(self.most_bytes);
        }
    }

    /// For tests: no file becomes larger from now on.
    #[cfg(test)]
    pub(crate) fn limit_segment_bytes(&mut self, most: u32) {
        self.most_bytes = most;
        self.segment_bytes = self.segment_bytes.min(most);
    }
}
