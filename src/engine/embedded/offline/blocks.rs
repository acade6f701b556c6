//! Offline reading of a compressed segment, block by block: damage costs only the frames in its block.
//!
//! Memory holds one block, or one frame if that is longer, even for a hostile file.

use std::io;

use crate::engine::embedded::frame::NoFrame;
use crate::engine::embedded::offline::audit::{Audit, OnFrame, SegmentInfo};
use crate::engine::embedded::wal::{self, Growing, Header, Shape, Source};
use crate::model::error::{Damage, u32_of};
use crate::model::record::{self, Head};

/// A part of a compressed segment, in order.
pub(crate) enum Found<'f> {
    /// A frame at this offset: its header, its payload and its total length.
    Frame(u32, Head, &'f [u8], usize),
    /// An unreadable range of offsets.
    Gap {
        from: u32,
        to: u32,
        /// The byte of the file at which it begins.
        byte: u64,
        error: Option<io::Error>,
    },
}

/// Decompressed bytes that have not been scanned yet.
struct Buffer {
    bytes: Vec<u8>,
    /// The offset of the first of them.
    at: u32,
    /// The group commit that was read last: behind a gap no frame has a lower number.
    batch: u64,
    /// A gap whose end has not been found: its offset, byte and cause.
    gap: Option<(u32, u64, Option<io::Error>)>,
}

/// Passes all parts of a file with this header and length to `visit`. `batch` is the number of the group commit that
/// was read before it.
pub(crate) fn each<E>(
    (header, shape): (Header, Shape),
    (file, length): (&(impl Source + ?Sized), u64),
    batch: u64,
    visit: &mut dyn FnMut(Found<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let mut buffer = Buffer { bytes: Vec::new(), at: shape.offsets_of(0).start, batch, gap: None };
    for number in 0..shape.blocks() {
        match shape.read_lenient(file, length, number) {
            Ok(bytes) => buffer.bytes.extend(bytes),
            Err(fault) => {
                let from = buffer.at;
                buffer.gap.get_or_insert((from, fault.byte, fault.error));
                buffer.bytes.clear();
                buffer.at = shape.offsets_of(number).end;
                continue;
            }
        }
        buffer.scan((header, shape), file, visit)?;
    }
    if !buffer.bytes.is_empty() && buffer.gap.is_none() {
        buffer.gap = Some((buffer.at, shape.byte_of(file, shape.block_of(buffer.at)), None));
    }
    buffer.gap.map_or(Ok(()), |(from, byte, error)| visit(Found::Gap { from, to: shape.end(), byte, error }))
}

impl Buffer {
    /// Scans all complete frames.
    fn scan<E>(
        &mut self,
        (header, shape): (Header, Shape),
        file: &(impl Source + ?Sized),
        visit: &mut dyn FnMut(Found<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let (binding, mut used) = (header.binding, 0);
        let end = loop {
            let (rest, at) = (&self.bytes[used..], self.at + u32_of(used));
            if let Some(gap) = self.gap.take() {
                let Some(found) = binding.find(rest, at, |header| header.head.batch >= self.batch) else {
                    self.gap = Some(gap);
                    // The next frame may begin at the very end.
                    break self.bytes.len().saturating_sub(binding.header() - 1).max(used);
                };
                used += found;
                let (from, byte, error) = gap;
                visit(Found::Gap { from, to: at + u32_of(found), byte, error })?;
                continue;
            }
            match binding.decode(rest, at) {
                Ok((head, payload, length)) => {
                    visit(Found::Frame(at, head, payload, length))?;
                    self.batch = self.batch.max(head.batch);
                    used += length;
                }
                Err(NoFrame::Short(_)) => break used,
                Err(NoFrame::Bad) => {
                    self.gap = Some((at, shape.byte_of(file, shape.block_of(at)), None));
                    used += 1;
                }
            }
        };
        self.bytes.drain(..end);
        self.at += u32_of(end);
        Ok(())
    }
}

impl Audit {
    /// Reads a whole compressed segment, continuing behind damage; returns the index that belongs to it.
    pub(crate) fn packed_file(
        &mut self,
        segment: SegmentInfo<'_>,
        shape: Shape,
        (file, length): (&(impl Source + ?Sized), u64),
        on_frame: OnFrame<'_>,
    ) -> Result<Growing, Damage> {
        self.begin_file();
        let mut made = Growing::default();
        let mut block = (u32::MAX, 0);
        let read = each::<Damage>((segment.header, shape), (file, length), self.end.batch, &mut |found| {
            match found {
                Found::Frame(at, head, payload, length) => {
                    made.insert(&wal::entry_of(&record::SCHEMA, at, length, head, payload));
                    let number = shape.block_of(at);
                    if block.0 != number {
                        block = (number, shape.byte_of(file, number));
                    }
                    self.frame(SegmentInfo { block: Some(block.1), ..segment }, at as usize, head, payload, on_frame)?;
                }
                Found::Gap { from, to, byte, error } => {
                    let why = error.map_or_else(|| "is damaged".to_owned(), |error| format!("cannot be read: {error}"));
                    let what = format!("{why}; {} bytes of what is compressed there cannot be read", to - from);
                    self.findings.fault(segment.name, byte, what);
                    self.lost(segment.number, from as usize, (to - from) as usize);
                }
            }
            Ok(())
        });
        read?;
        self.check_tables(segment, shape, (file, length));
        if shape.end() < segment.acknowledged {
            let what =
                format!("ends before offset {}, up to which it was written and acknowledged", segment.acknowledged);
            self.findings.fault(segment.name, length, what);
            self.lost(segment.number, shape.end() as usize, 0);
        }
        Ok(made)
    }

    /// Reports damage to the tables, which may leave all blocks readable.
    fn check_tables(&mut self, segment: SegmentInfo<'_>, shape: Shape, (file, length): (&(impl Source + ?Sized), u64)) {
        let agree = (0..shape.blocks()).try_for_each(|number| shape.tables_agree(file, length, number));
        if let Err(fault) = agree.and_then(|()| shape.check(file, length)) {
            self.findings.fault(segment.name, fault.byte, "has a table of its blocks that is damaged".to_owned());
        }
    }
}
