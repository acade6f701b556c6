//! Offline reading of a compressed segment, block by block: damage costs only the frames in its block.
//!
//! Memory holds one block, or one frame if that is longer, even for a hostile file.

use std::io;

use crate::engine::embedded::frame::NoFrame;
use crate::engine::embedded::offline::audit::{Audit, Keep, Place};
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
struct Held {
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
    let mut held = Held { bytes: Vec::new(), at: shape.held_by(0).start, batch, gap: None };
    for number in 0..shape.blocks() {
        match shape.read_what_is_left(file, length, number) {
            Ok(bytes) => held.bytes.extend(bytes),
            Err(spoilt) => {
                let from = held.at;
                held.gap.get_or_insert((from, spoilt.byte, spoilt.error));
                held.bytes.clear();
                held.at = shape.held_by(number).end;
                continue;
            }
        }
        held.look((header, shape), file, visit)?;
    }
    if !held.bytes.is_empty() && held.gap.is_none() {
        held.gap = Some((held.at, shape.byte_of(file, shape.block_of(held.at)), None));
    }
    held.gap.map_or(Ok(()), |(from, byte, error)| visit(Found::Gap { from, to: shape.end(), byte, error }))
}

impl Held {
    /// Scans all complete frames.
    fn look<E>(
        &mut self,
        (header, shape): (Header, Shape),
        file: &(impl Source + ?Sized),
        visit: &mut dyn FnMut(Found<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let (binding, mut used) = (header.binding, 0);
        let end = loop {
            let (rest, at) = (&self.bytes[used..], self.at + u32_of(used));
            if let Some(gap) = self.gap.take() {
                let Some(found) = binding.find(rest, at, |ahead| ahead.head.batch >= self.batch) else {
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
        place: Place<'_>,
        shape: Shape,
        (file, length): (&(impl Source + ?Sized), u64),
        keep: Keep<'_>,
    ) -> Result<Growing, Damage> {
        self.begin_file();
        let mut made = Growing::default();
        let mut block = (u32::MAX, 0);
        let read = each::<Damage>((place.header, shape), (file, length), self.end.batch, &mut |found| {
            match found {
                Found::Frame(at, head, payload, length) => {
                    made.note(&wal::entry_of(&record::SCHEMA, at, length, head, payload));
                    let number = shape.block_of(at);
                    if block.0 != number {
                        block = (number, shape.byte_of(file, number));
                    }
                    self.frame(Place { block: Some(block.1), ..place }, at as usize, head, payload, keep)?;
                }
                Found::Gap { from, to, byte, error } => {
                    let why = error.map_or_else(|| "is damaged".to_owned(), |error| format!("cannot be read: {error}"));
                    let what = format!("{why}; {} bytes of what is compressed there cannot be read", to - from);
                    self.findings.fault(place.name, byte, what);
                    self.lost(place.number, from as usize, (to - from) as usize);
                }
            }
            Ok(())
        });
        read?;
        self.look_at_tables(place, shape, (file, length));
        if shape.end() < place.acknowledged {
            let what =
                format!("ends before offset {}, up to which it was written and acknowledged", place.acknowledged);
            self.findings.fault(place.name, length, what);
            self.lost(place.number, shape.end() as usize, 0);
        }
        Ok(made)
    }

    /// Reports damage to the tables, which may leave all blocks readable.
    fn look_at_tables(&mut self, place: Place<'_>, shape: Shape, (file, length): (&(impl Source + ?Sized), u64)) {
        let agree = (0..shape.blocks()).try_for_each(|number| shape.tables_agree(file, length, number));
        if let Err(spoilt) = agree.and_then(|()| shape.check(file, length)) {
            self.findings.fault(place.name, spoilt.byte, "has a table of its blocks that is damaged".to_owned());
        }
    }
}
