//! Copying the WAL piece by piece while it is being written.
//!
//! The copy holds the open files, so a segment that is removed or replaced meanwhile is still copied as it was. Every
//! frame is verified on the way, so damage is not copied as if it were sound. A compressed segment is copied block by
//! block, unchanged.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::engine::embedded::frame::NoFrame;
use crate::engine::embedded::wal::log::Wal;
use crate::engine::embedded::wal::segment::Segment;
use crate::model::error::{Damage, u32_of};
use crate::model::record::Class;

/// The size of a piece in bytes, unless a single frame is larger.
const PIECE: usize = 256 * 1024;

/// A copy in progress.
pub(crate) struct Copying {
    /// The remaining segments with their ends, the oldest first.
    files: VecDeque<(Arc<Segment>, u32)>,
    /// The offset in the first of them to continue at; 0 if it has not been begun.
    at: u32,
    /// The part of a frame that continues in the next block.
    partial: Vec<u8>,
}

/// A part of the copy.
pub(crate) enum Part {
    /// A segment begins: its number and its header.
    File(u32, Vec<u8>),
    /// Frames of the current segment.
    Frames {
        /// As in the file.
        bytes: Vec<u8>,
        /// The number of events in them.
        events: u64,
        /// The number of log entries.
        entries: u64,
    },
    /// The next block of the current, compressed segment, with the number of events and log entries that end in it.
    Block {
        /// As in the file.
        bytes: Vec<u8>,
        /// The number of events.
        events: u64,
        /// The number of log entries.
        entries: u64,
    },
}

impl Wal {
    /// Begins a copy of the WAL as it is now: all segments, each up to its synced end.
    pub(crate) fn copying(&self) -> Copying {
        let mut files: VecDeque<_> = self.newest_segments().into_iter().map(|file| (file, 0)).collect();
        files.make_contiguous().reverse();
        files.iter_mut().for_each(|(file, end)| *end = file.end());
        Copying { files, at: 0, partial: Vec::new() }
    }
}

impl Copying {
    /// Takes the segments from number `from` on from `before`, where it has them: they may have been removed or
    /// replaced since, and positions in them must remain valid.
    pub(crate) fn with_files_of(mut self, before: &Self, from: u32) -> Self {
        let kept = before.files.iter().filter(|(file, _)| file.number >= from);
        let kept: VecDeque<_> = kept.map(|(file, _)| (file.clone(), file.end())).collect();
        let newest = kept.back().map_or(0, |(file, _)| file.number);
        let older = self.files.iter().take_while(|(file, _)| file.number < from).cloned();
        let newer = self.files.iter().filter(|(file, _)| file.number >= from && file.number > newest).cloned();
        let files = older.chain(kept).chain(newer).collect();
        self.files = files;
        self
    }

    /// The next part; `None` at the end.
    ///
    /// # Errors
    /// A frame is damaged, or the disk failed.
    pub(crate) fn next(&mut self) -> Result<Option<Part>, Damage> {
        let Some((file, end)) = self.files.front().cloned() else { return Ok(None) };
        let mut bytes = Vec::new();
        if self.at == 0 {
            self.at = file.begin();
            return Ok(Some(Part::File(file.number, file.header().to_bytes())));
        }
        if self.at >= end {
            if !self.partial.is_empty() {
                return Err(file.damaged(end - 1));
            }
            self.files.pop_front();
            self.at = 0;
            return self.next();
        }
        if file.is_packed() {
            return self.next_block(&file).map(Some);
        }
        let left = (end - self.at) as usize;
        file.read(&mut bytes, self.at, left.min(PIECE))?;
        let (mut used, mut events, mut entries) = (0, 0, 0);
        while used < bytes.len() {
            match file.binding.decode(&bytes[used..], self.at + u32_of(used)) {
                Ok((head, _, length)) => {
                    used += length;
                    events += u64::from((file.schema.class)(head.kind) == Class::Event);
                    entries += u64::from((file.schema.class)(head.kind) == Class::LogEntry);
                }
                Err(NoFrame::Short(needed)) if used == 0 && needed > bytes.len() && needed <= left => {
                    file.read(&mut bytes, self.at, needed)?;
                }
                Err(NoFrame::Short(_)) if used > 0 && bytes.len() < left => break,
                Err(_) => return Err(file.damaged(self.at + u32_of(used))),
            }
        }
        bytes.truncate(used);
        self.at += u32_of(used);
        Ok(Some(Part::Frames { bytes, events, entries }))
    }

    fn next_block(&mut self, file: &Segment) -> Result<Part, Damage> {
        let (bytes, unpacked) = file.block(self.at)?;
        let from = self.at - u32_of(self.partial.len());
        self.at += u32_of(unpacked.len());
        self.partial.extend_from_slice(&unpacked);
        let (mut used, mut events, mut entries) = (0, 0, 0);
        while used < self.partial.len() {
            match file.binding.decode(&self.partial[used..], from + u32_of(used)) {
                Ok((head, _, length)) => {
                    used += length;
                    events += u64::from((file.schema.class)(head.kind) == Class::Event);
                    entries += u64::from((file.schema.class)(head.kind) == Class::LogEntry);
                }
                Err(NoFrame::Short(_)) => break,
                Err(NoFrame::Bad) => return Err(file.damaged(from + u32_of(used))),
            }
        }
        self.partial.drain(..used);
        Ok(Part::Block { bytes, events, entries })
    }
}
