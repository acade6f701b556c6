//! Reading compressed segments: blocks are decompressed as a whole, and the most recent ones of all segments are
//! cached.
//!
//! Sequential reads, and reads of a record that was just listed, hit the cache. Knows blocks only; their content is
//! verified elsewhere.

use std::collections::VecDeque;
use std::fs::File;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::engine::embedded::wal::packed::{BlockError, Shape};

/// How many blocks are cached: 2 MiB.
const CAPACITY: usize = 32;

/// A cache of the most recently used blocks.
#[derive(Debug, Default)]
pub(crate) struct Unpacked {
    /// How many files were opened.
    files: AtomicU64,
    /// In order of use; the most recently used is last.
    recent: Mutex<VecDeque<Block>>,
}

/// A decompressed block.
#[derive(Debug)]
struct Block {
    /// The id of its open file, and its number.
    of: (u64, u32),
    bytes: Arc<Vec<u8>>,
}

impl Unpacked {
    fn find(&self, file: u64, block: u32) -> Option<Arc<Vec<u8>>> {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let at = recent.iter().rposition(|recent| recent.of == (file, block))?;
        let found = recent.remove(at)?;
        let bytes = found.bytes.clone();
        recent.push_back(found);
        Some(bytes)
    }

    fn insert(&self, file: u64, block: u32, bytes: &Arc<Vec<u8>>) {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if recent.len() >= CAPACITY {
            recent.pop_front();
        }
        recent.push_back(Block { of: (file, block), bytes: bytes.clone() });
    }
}

/// An open compressed segment.
#[derive(Debug)]
pub(crate) struct Packed {
    pub(crate) shape: Shape,
    /// The length of the file.
    pub(crate) length: u64,
    /// Its id among all opened files: a replacement of a segment has another one.
    opened: u64,
    blocks: Arc<Unpacked>,
}

impl Packed {
    /// A segment of this shape with `length` bytes, which were [checked](Shape::check).
    pub(crate) fn new(shape: Shape, length: u64, blocks: &Arc<Unpacked>) -> Self {
        let opened = blocks.files.fetch_add(1, Ordering::Relaxed);
        Self { shape, length, opened, blocks: blocks.clone() }
    }

    fn block(&self, file: &File, block: u32) -> Result<Arc<Vec<u8>>, BlockError> {
        if let Some(bytes) = self.blocks.find(self.opened, block) {
            return Ok(bytes);
        }
        let bytes = Arc::new(self.shape.read(file, block)?);
        self.blocks.insert(self.opened, block, &bytes);
        Ok(bytes)
    }

    /// Reads `length` bytes from offset `from` on, behind the header.
    pub(crate) fn read(&self, file: &File, buffer: &mut Vec<u8>, from: u32, length: usize) -> Result<(), BlockError> {
        buffer.clear();
        let mut at = from;
        while buffer.len() < length {
            let number = self.shape.block_of(at);
            if at >= self.shape.end() {
                return Err(BlockError { byte: self.length, error: None });
            }
            let (bytes, range) = (self.block(file, number)?, self.shape.offsets_of(number));
            let there = bytes.get((at - range.start) as usize..).unwrap_or_default();
            buffer.extend_from_slice(&there[..there.len().min(length - buffer.len())]);
            at = range.end;
        }
        Ok(())
    }

    /// How many bytes can be read from offset `from` on without another block.
    pub(crate) fn available(&self, from: u32) -> usize {
        (self.shape.offsets_of(self.shape.block_of(from)).end - from) as usize
    }
}
