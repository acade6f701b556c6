//! Appending to the WAL, for the engine's writer.
//!
//! Each group commit is one write and one sync. Nothing can be read before its sync has returned, and the next write
//! begins only then; [`recovery`](crate::engine::embedded::wal::recovery) relies on that.

use std::io;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use crate::engine::embedded::frame::Binding;
use crate::engine::embedded::wal::index::IndexEntry;
use crate::engine::embedded::wal::log::Wal;
use crate::engine::embedded::wal::segment::Segment;

/// The default size at which a segment is full.
const SEGMENT_BYTES: u32 = 64 << 20;

/// Appends to the WAL.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) wal: Arc<Wal>,
    pub(crate) active: Arc<Segment>,
    segment_bytes: u32,
    /// An upper limit on the size, whatever is set.
    #[cfg(test)]
    most_bytes: u32,
}

impl Writer {
    pub(crate) const fn new(wal: Arc<Wal>, active: Arc<Segment>) -> Self {
        Self {
            wal,
            active,
            segment_bytes: SEGMENT_BYTES,
            #[cfg(test)]
            most_bytes: u32::MAX,
        }
    }

    /// Appends and syncs the frames in `bytes`, one group commit. `entries` describe all of them, by their offset in
    /// `bytes`. Returns the duration of the sync. After an error the state of the file is unknown: do not continue.
    pub(crate) fn append(&mut self, bytes: &mut [u8], entries: &mut [IndexEntry]) -> io::Result<Duration> {
        let Binding::Salted(salt) = self.active.binding else {
            return Err(io::Error::other("a WAL segment of an older format is not written to"));
        };
        if self.active.is_packed() {
            return Err(io::Error::other("a compressed WAL segment is not written to"));
        }
        let end = self.active.end();
        for entry in entries.iter_mut() {
            let frame = bytes.get_mut(entry.offset as usize..).unwrap_or_default();
            entry.offset += end;
            salt.bind(frame, entry.offset, end).ok_or_else(|| io::Error::other("a frame is not where it should be"))?;
        }
        let synced = self.active.append(bytes)?;
        self.active.publish(bytes.len(), entries);
        Ok(synced)
    }

    /// Whether the active segment is read-only: of the first format, or compressed, which the newest never is unless
    /// newer ones were removed by hand.
    pub(crate) fn is_for_reading(&self) -> bool {
        self.active.binding == Binding::Plain || self.active.is_packed()
    }

    /// The position of the next frame: segment number and offset.
    pub(crate) fn position(&self) -> (u32, u32) {
        (self.active.number, self.active.end())
    }

    /// Whether the active segment has no frames.
    pub(crate) fn is_empty(&self) -> bool {
        self.active.end() <= self.active.begin()
    }

    /// Whether the active segment is full.
    pub(crate) fn is_full(&self) -> bool {
        self.active.end() >= self.segment_bytes
    }

    /// Begins a new segment. The index of the old one is written beside it by a thread of its own; if that fails, it is
    /// rebuilt when it is needed.
    pub(crate) fn rotate(&mut self, now: u64) -> io::Result<()> {
        // Only the newest segment may have preallocated space: its end must be durable before a newer one exists.
        self.active.trim()?;
        let fresh = Arc::new(Segment::create(&self.wal.dir, self.active.number + 1, now, self.wal.schema)?);
        let old = std::mem::replace(&mut self.active, fresh.clone());
        let mut segments = self.wal.segments.write().unwrap_or_else(PoisonError::into_inner);
        segments.insert(fresh.number, fresh);
        drop(segments);
        let sealer = std::thread::Builder::new().name("index".to_owned());
        let sealed = sealer.spawn(move || match old.seal() {
            Ok(()) => {}
            Err(damage) => tracing::warn!("the index of a WAL segment is not written: {damage}"),
        });
        sealed.map(drop)
    }

    /// Ends writing in an orderly way: removes the preallocated space.
    pub(crate) fn close(&self) -> io::Result<()> {
        self.active.trim()
    }

    /// Sets the size at which a segment is full.
    pub(crate) fn set_segment_bytes(&mut self, bytes: u32) {
        self.segment_bytes = bytes;
        #[cfg(test)]
        {
            self.segment_bytes = bytes.min(self.most_bytes);
        }
    }

    /// For tests: limits the size of segments from now on.
    #[cfg(test)]
    pub(crate) fn limit_segment_bytes(&mut self, most: u32) {
        self.most_bytes = most;
        self.segment_bytes = self.segment_bytes.min(most);
    }
}
