//! A copy of the journal, piece by piece, while it goes on being written.
//!
//! It holds the files themselves, so one that is removed or replaced meanwhile is still copied as it
//! was. Every frame is checked on its way: what is damaged is not copied as if it were sound. A compressed file is copied
//! block by block, as it is.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::engine::embedded::frame::NoFrame;
use crate::engine::embedded::wal::log::Wal;
use crate::engine::embedded::wal::segment::Segment;
use crate::model::error::{Damage, u32_of};
use crate::model::segment::Class;

/// How many bytes of frames a piece has, unless one frame alone has more.
const PIECE: usize = 256 * 1024;

/// What is left to be copied.
pub(crate) struct Copying {
    /// The files with their ends, the oldest first.
    files: VecDeque<(Arc<Segment>, u32)>,
    /// Where in the first of them to go on; 0 if it has not begun.
    at: u32,
    /// What the blocks before have of a frame that goes on in the next.
    begun: Vec<u8>,
}

/// A part of the copy.
pub(crate) enum Part {
    /// A file begins: its number, and the header that it has.
    File(u32, Vec<u8>),
    /// Frames of the file that began last.
    Frames {
        /// As they stand in the file.
        bytes: Vec<u8>,
        /// How many events are in them.
        events: u64,
        /// How many entries of the log.
        entries: u64,
    },
    /// The next block of the compressed file that began last, with the events and entries that end in it.
    Block {
        /// As it stands in the file.
        bytes: Vec<u8>,
        /// How many events.
        events: u64,
        /// How many entries of the log.
        entries: u64,
    },
}

impl Wal {
    /// The journal as it is at this moment: all files, each up to the end of what is synced.
    pub(crate) fn copying(&self) -> Copying {
        let mut files: VecDeque<_> = self.newest_segments().into_iter().map(|file| (file, 0)).collect();
        files.make_contiguous().reverse();
        files.iter_mut().for_each(|(file, end)| *end = file.end());
        Copying { files, at: 0, begun: Vec::new() }
    }
}

impl Copying {
    /// The same, but the files from number `from` on that were there `before` are those: they may have
    /// gone or been replaced since, and places in them are remembered.
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

    /// The next part; `None` behind the last.
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
            if !self.begun.is_empty() {
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
        let from = self.at - u32_of(self.begun.len());
        self.at += u32_of(unpacked.len());
        self.begun.extend_from_slice(&unpacked);
        let (mut used, mut events, mut entries) = (0, 0, 0);
        while used < self.begun.len() {
            match file.binding.decode(&self.begun[used..], from + u32_of(used)) {
                Ok((head, _, length)) => {
                    used += length;
                    events += u64::from((file.schema.class)(head.kind) == Class::Event);
                    entries += u64::from((file.schema.class)(head.kind) == Class::LogEntry);
                }
                Err(NoFrame::Short(_)) => break,
                Err(NoFrame::Bad) => return Err(file.damaged(from + u32_of(used))),
            }
        }
        self.begun.drain(..used);
        Ok(Part::Block { bytes, events, entries })
    }
}
