//! Compressed segments: the same frames at the same offsets, in blocks that are read independently.
//!
//! ```text
//! offset  bytes  what
//!      0   1024  header of version 3: that of the uncompressed file, and the length of that file
//!   1024    8*n  table: for each of n blocks its end, relative to this table's end (u32), and its CRC-32 as stored
//!             ..  the blocks, one after the other
//!            8*n  the table again
//! ```
//! A block holds 64 KiB of the uncompressed file, starting behind its header; the last one holds the rest. It is stored
//! as a zstd frame or, if that is not shorter, verbatim. All numbers are little-endian. An 'offset' refers to the
//! uncompressed file: indexes and positions contain offsets, and frames are bound to them. A 'byte' is a position in
//! the compressed file.
//!
//! A file may be hostile: no block decompresses to more than its range of offsets, and nothing is allocated because a
//! number in the file says so.
//!
//! Knows bytes only: neither records nor frames, nor which segments are compressed and when.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;

use zstd::bulk::Compressor;

use crate::engine::embedded::wal::header::{HEADER, Header};
use crate::model::error::u32_of;

/// How many bytes of the uncompressed file a block holds. Measured on files of `benches/space`: 32 KiB would take 3 %
/// more space and half the time to read (some 0.1 ms for a block of 64 KiB).
pub(crate) const BLOCK: u32 = 64 << 10;
/// The zstd level. Measured on the same files: 1 takes 2 % more space in about the same time, 6 takes 3 % less in five
/// times the time.
const LEVEL: i32 = 3;
/// Bytes of a block's entry in the table.
const ENTRY: u64 = 8;

/// Bytes with random access.
pub(crate) trait Source {
    /// Fills `into` from byte `at` on.
    fn read_all_at(&self, into: &mut [u8], at: u64) -> io::Result<()>;
}

impl Source for File {
    fn read_all_at(&self, into: &mut [u8], at: u64) -> io::Result<()> {
        self.read_exact_at(into, at)
    }
}

impl Source for [u8] {
    fn read_all_at(&self, into: &mut [u8], at: u64) -> io::Result<()> {
        let there = usize::try_from(at).ok().and_then(|at| self.get(at..)?.get(..into.len()));
        into.copy_from_slice(there.ok_or(ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

/// A part of a compressed segment that could not be read.
#[derive(Debug)]
pub(crate) struct BlockError {
    /// The byte from which on it failed.
    pub(crate) byte: u64,
    /// The error of the operating system; `None` if the content is invalid.
    pub(crate) error: Option<io::Error>,
}

impl BlockError {
    const fn at(byte: u64) -> Self {
        Self { byte, error: None }
    }

    fn io(byte: u64, error: io::Error) -> Self {
        Self { byte, error: (error.kind() != ErrorKind::UnexpectedEof).then_some(error) }
    }
}

/// The layout of a compressed segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    end: u32,
}

impl Shape {
    /// The layout of a segment with this header, if it is compressed.
    pub(crate) fn of(header: Header) -> Option<Self> {
        header.packed.filter(|end| *end > HEADER).map(|end| Self { end })
    }

    /// The offset behind the last frame.
    pub(crate) const fn end(self) -> u32 {
        self.end
    }

    /// The number of blocks.
    pub(crate) const fn blocks(self) -> u32 {
        (self.end - HEADER).div_ceil(BLOCK)
    }

    /// The block that contains `offset`, which must not be in the header.
    pub(crate) const fn block_of(self, offset: u32) -> u32 {
        offset.saturating_sub(HEADER) / BLOCK
    }

    /// The offsets in block `block`.
    pub(crate) fn offsets_of(self, block: u32) -> Range<u32> {
        let from = HEADER.saturating_add(block.saturating_mul(BLOCK)).min(self.end);
        from..from.saturating_add(BLOCK).min(self.end)
    }

    /// The length of a table.
    const fn table(self) -> u64 {
        self.blocks() as u64 * ENTRY
    }

    /// The first byte of the first block.
    const fn first(self) -> u64 {
        HEADER as u64 + self.table()
    }

    /// The positions of the tables in a file of `length` bytes.
    fn tables(self, length: u64) -> [u64; 2] {
        [u64::from(HEADER), length.saturating_sub(self.table())]
    }

    /// Checks that a file of `length` bytes ends where it must.
    pub(crate) fn check(self, file: &(impl Source + ?Sized), length: u64) -> Result<(), BlockError> {
        let (bytes, _) = self.entry(file, u64::from(HEADER), self.blocks() - 1)?;
        let wanted = bytes.end + self.table();
        if wanted == length { Ok(()) } else { Err(BlockError::at(wanted.min(length))) }
    }

    /// The first byte of a block, as far as the table can be read: to report where something is damaged.
    pub(crate) fn byte_of(self, file: &(impl Source + ?Sized), block: u32) -> u64 {
        self.entry(file, u64::from(HEADER), block).map_or_else(|fault| fault.byte, |(bytes, _)| bytes.start)
    }

    /// The entry of a block in the table at byte `table`: its bytes, and its checksum.
    fn entry(self, file: &(impl Source + ?Sized), table: u64, block: u32) -> Result<(Range<u64>, u32), BlockError> {
        let at = table + u64::from(block) * ENTRY;
        let mut entries = [0; 2 * ENTRY as usize];
        // The previous entry says where it begins.
        let (into, from) = if block == 0 { (&mut entries[8..], at) } else { (&mut entries[..], at - ENTRY) };
        file.read_all_at(into, from).map_err(|error| BlockError::io(at, error))?;
        let [begin, end, crc] = [0, 8, 12].map(|at| u32::from_le_bytes([0, 1, 2, 3].map(|byte| entries[at + byte])));
        let range = self.offsets_of(block);
        if end <= begin || end - begin > range.end - range.start {
            return Err(BlockError::at(at));
        }
        Ok((self.first() + u64::from(begin)..self.first() + u64::from(end), crc))
    }

    /// Block `block` as stored, with its checksum verified.
    pub(crate) fn packed(self, file: &(impl Source + ?Sized), block: u32) -> Result<Vec<u8>, BlockError> {
        self.packed_by(file, u64::from(HEADER), block)
    }

    fn packed_by(self, file: &(impl Source + ?Sized), table: u64, block: u32) -> Result<Vec<u8>, BlockError> {
        let (bytes, crc) = self.entry(file, table, block)?;
        let mut packed = vec![0; usize::try_from(bytes.end - bytes.start).unwrap_or(0)];
        file.read_all_at(&mut packed, bytes.start).map_err(|error| BlockError::io(bytes.start, error))?;
        if crc32fast::hash(&packed) != crc { Err(BlockError::at(bytes.start)) } else { Ok(packed) }
    }

    /// Decompresses a stored block; `None` if it is invalid.
    pub(crate) fn unpack(self, block: u32, packed: Vec<u8>) -> Option<Vec<u8>> {
        let range = self.offsets_of(block);
        let length = (range.end - range.start) as usize;
        if packed.len() >= length {
            return (packed.len() == length).then_some(packed);
        }
        let mut bytes = vec![0; length];
        let unpacked = zstd::bulk::decompress_to_buffer(&packed, &mut bytes[..]);
        unpacked.is_ok_and(|unpacked| unpacked == length).then_some(bytes)
    }

    /// The content of block `block`.
    pub(crate) fn read(self, file: &(impl Source + ?Sized), block: u32) -> Result<Vec<u8>, BlockError> {
        let packed = self.packed(file, block)?;
        self.unpack(block, packed).ok_or_else(|| BlockError::at(self.byte_of(file, block)))
    }

    /// As [`Shape::read`], falling back to the second table if the first does not help: for salvage.
    pub(crate) fn read_lenient(
        self,
        file: &(impl Source + ?Sized),
        length: u64,
        block: u32,
    ) -> Result<Vec<u8>, BlockError> {
        let [_, again] = self.tables(length);
        self.read(file, block).or_else(|fault| {
            let packed = self.packed_by(file, again, block).ok().and_then(|packed| self.unpack(block, packed));
            packed.ok_or(fault)
        })
    }

    /// Checks that both tables agree on a block; if not, returns the byte of a wrong entry.
    pub(crate) fn tables_agree(self, file: &(impl Source + ?Sized), length: u64, block: u32) -> Result<(), BlockError> {
        let entries = self.tables(length).map(|table| table + u64::from(block) * ENTRY).map(|at| {
            let mut entry = [0; ENTRY as usize];
            file.read_all_at(&mut entry, at).map(|()| entry).map_err(|error| BlockError::io(at, error))
        });
        let [first, again] = entries;
        if first? == again? {
            return Ok(());
        }
        let wrong = usize::from(self.read(file, block).is_ok());
        Err(BlockError::at(self.tables(length)[wrong] + u64::from(block) * ENTRY))
    }
}

/// A compressed segment that is being written.
pub(crate) struct Packing {
    file: File,
    shape: Shape,
    table: Vec<u8>,
    /// The total length of the blocks so far.
    behind: u32,
}

impl Packing {
    /// Begins in `file`, which is empty, with the header of a compressed segment.
    ///
    /// # Errors
    /// It cannot be written, or the header is not that of a compressed segment.
    pub(crate) fn begin(file: File, header: Header) -> io::Result<Self> {
        let shape = Shape::of(header).ok_or(ErrorKind::InvalidInput)?;
        file.write_all_at(&header.to_bytes(), 0)?;
        Ok(Self { file, shape, table: Vec::new(), behind: 0 })
    }

    /// Appends the next block, as it is to be stored.
    ///
    /// # Errors
    /// It cannot be written, or there is no block left.
    pub(crate) fn block(&mut self, packed: &[u8]) -> io::Result<()> {
        let number = u32::try_from(self.table.len() as u64 / ENTRY).map_err(io::Error::other)?;
        let range = self.shape.offsets_of(number);
        if packed.is_empty() || packed.len() > (range.end - range.start) as usize {
            return Err(io::Error::new(ErrorKind::InvalidData, "the block does not belong to this segment"));
        }
        self.file.write_all_at(packed, self.shape.first() + u64::from(self.behind))?;
        // Together they are no longer than the uncompressed file.
        self.behind += u32_of(packed.len());
        self.table.extend_from_slice(&self.behind.to_le_bytes());
        self.table.extend_from_slice(&crc32fast::hash(packed).to_le_bytes());
        Ok(())
    }

    /// The file so far.
    pub(crate) const fn file(&self) -> &File {
        &self.file
    }

    /// The length of the file if nothing more is appended.
    pub(crate) const fn length(&self) -> u64 {
        self.shape.first() + self.behind as u64 + self.shape.table()
    }

    /// Completes and syncs it.
    ///
    /// # Errors
    /// It cannot be written, or blocks are missing.
    pub(crate) fn finish(self) -> io::Result<()> {
        if self.table.len() as u64 != self.shape.table() {
            return Err(io::Error::new(ErrorKind::InvalidData, "blocks are missing"));
        }
        for at in self.shape.tables(self.length()) {
            self.file.write_all_at(&self.table, at)?;
        }
        self.file.sync_all()
    }
}

/// Compresses blocks.
pub(crate) struct Packer(Compressor<'static>);

impl Packer {
    pub(crate) fn new() -> io::Result<Self> {
        Compressor::new(LEVEL).map(Self)
    }

    /// Compresses `bytes` to a block, as it is to be stored.
    pub(crate) fn pack(&mut self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        let packed = self.0.compress(bytes)?;
        Ok(if packed.len() < bytes.len() { packed } else { bytes.to_vec() })
    }
}

/// For tests: compresses a segment given as bytes.
#[cfg(test)]
pub(crate) fn pack_file(bytes: &[u8]) -> Vec<u8> {
    let path = tempfile::NamedTempFile::new().unwrap();
    let header = Header { packed: Some(u32_of(bytes.len())), ..Header::read(bytes).unwrap() };
    let mut packing = Packing::begin(path.reopen().unwrap(), header).unwrap();
    let mut packer = Packer::new().unwrap();
    bytes[HEADER as usize..]
        .chunks(BLOCK as usize)
        .for_each(|block| packing.block(&packer.pack(block).unwrap()).unwrap());
    packing.finish().unwrap();
    std::fs::read(path.path()).unwrap()
}

#[cfg(test)]
mod tests;
