//! Reading compressed journal files: a block is unpacked as a whole, and the last few stay in memory, of all files together.
//!
//! Whoever reads frames one after the other, or one that was just listed, finds its block there. Knows blocks only;
//! what stands in them is for others to prove.

use std::collections::VecDeque;
use std::fs::File;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::engine::embedded::wal::packed::{Shape, Spoilt};

/// How many blocks stay in memory: 2 MiB.
const KEPT: usize = 32;

/// The blocks that were read last.
#[derive(Debug, Default)]
pub(crate) struct Unpacked {
    /// How many files were opened.
    files: AtomicU64,
    /// The one that was used last is at the end.
    kept: Mutex<VecDeque<Block>>,
}

/// What a block holds.
#[derive(Debug)]
struct Block {
    /// Which file it is of, and which one of that.
    of: (u64, u32),
    bytes: Arc<Vec<u8>>,
}

impl Unpacked {
    fn find(&self, file: u64, block: u32) -> Option<Arc<Vec<u8>>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let at = kept.iter().rposition(|kept| kept.of == (file, block))?;
        let found = kept.remove(at)?;
        let bytes = found.bytes.clone();
        kept.push_back(found);
        Some(bytes)
    }

    fn keep(&self, file: u64, block: u32, bytes: &Arc<Vec<u8>>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT {
            kept.pop_front();
        }
        kept.push_back(Block { of: (file, block), bytes: bytes.clone() });
    }
}

/// A compressed file that is read.
#[derive(Debug)]
pub(crate) struct Packed {
    pub(crate) shape: Shape,
    /// How long the file is.
    pub(crate) length: u64,
    /// Which one it is of those that were opened: one that takes the place of another is another.
    opened: u64,
    blocks: Arc<Unpacked>,
}

impl Packed {
    /// That of a file of this shape with `length` bytes, which were [checked](Shape::check).
    pub(crate) fn new(shape: Shape, length: u64, blocks: &Arc<Unpacked>) -> Self {
        let opened = blocks.files.fetch_add(1, Ordering::Relaxed);
        Self { shape, length, opened, blocks: blocks.clone() }
    }

    fn block(&self, file: &File, block: u32) -> Result<Arc<Vec<u8>>, Spoilt> {
        if let Some(bytes) = self.blocks.find(self.opened, block) {
            return Ok(bytes);
        }
        let bytes = Arc::new(self.shape.read(file, block)?);
        self.blocks.keep(self.opened, block, &bytes);
        Ok(bytes)
    }

    /// Reads `length` bytes from offset `from` on, behind the header.
    pub(crate) fn read(&self, file: &File, buffer: &mut Vec<u8>, from: u32, length: usize) -> Result<(), Spoilt> {
        buffer.clear();
        let mut at = from;
        while buffer.len() < length {
            let number = self.shape.block_of(at);
            if at >= self.shape.end() {
                return Err(Spoilt { byte: self.length, error: None });
            }
            let (bytes, held) = (self.block(file, number)?, self.shape.held_by(number));
            let there = bytes.get((at - held.start) as usize..).unwrap_or_default();
            buffer.extend_from_slice(&there[..there.len().min(length - buffer.len())]);
            at = held.end;
        }
        Ok(())
    }

    /// How many bytes can be read from offset `from` on without another block.
    pub(crate) fn at_hand(&self, from: u32) -> usize {
        (self.shape.held_by(self.shape.block_of(from)).end - from) as usize
    }
}
