//! The index file of a full segment.
//!
//! Only its head is in memory, with the first key of every block (about a two-hundredth of the file), and a [filter]
//! for absent keys. A query reads one block of about 2 KiB for each posting list, and one more for every few hundred
//! postings.
//!
//! ```text
//! head    "HSwI" | version u32 | sparse entries u32 | sparse blocks u32 | list blocks u32 | bytes of the filter u32
//!         | stats: end u32, logged u32, last logged u128, last event u128, last message u128, late u64
//!         | first entry of each sparse block: id u128, offset u32
//!         | each list block: first key u64, its first offset u32, length u32
//!         | CRC-32 of the head
//! sparse  blocks of 100: id u128, offset u32; CRC-32 of the block
//! lists   blocks: entries; CRC-32 of the block
//! filter  its bits; CRC-32 of them
//! entry   difference to the previous key, times two, plus one if there are several postings: varint
//!         | number of postings, if several: varint
//!         | postings, as differences: (offset, tag in the lower two bits): varint
//! ```
//! A list that does not fit into a block continues in the next as an entry of its own. `end` is the length of the
//! segment that the index belongs to: retention may have rewritten the segment since, and an index with another end is
//! ignored. Versions 1 to 3 had no companies in their keys, and are rebuilt.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt as _;

use crate::engine::embedded::varint::{put, take};
use crate::engine::embedded::wal::index::entry::Posting;
use crate::engine::embedded::wal::index::filter::{self, Filter};
use crate::engine::embedded::wal::index::growing::Growing;
use crate::engine::embedded::wal::stats::SegmentStats;

const MAGIC: [u8; 4] = *b"HSwI";
const VERSION: u32 = 4;
/// The fixed part of the head.
const FIXED: usize = 24 + 64;
const FENCE: usize = 16;
const SPARSE_ENTRY: usize = 20;
/// The number of entries in a block of the sparse index.
const SPARSE_BLOCK: usize = 100;
/// The size in bytes at which a block of lists ends.
const BLOCK: usize = 2048;
/// The size of a checksum in bytes.
const CRC: usize = 4;

/// The position of a block of lists, and the first key in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Fence {
    key: u64,
    offset: u32,
    length: u32,
    /// The position in the file.
    at: u64,
}

/// The index of a full segment.
#[derive(Debug)]
pub(crate) struct Sealed {
    stats: SegmentStats,
    /// The number of entries in the sparse index.
    sparse: usize,
    /// The first entry of each block of the sparse index.
    first_sparse: Vec<(u128, u32)>,
    fences: Vec<Fence>,
    /// The position of the sparse index.
    sparse_at: u64,
    /// A filter for absent keys; `None` if all filters together would be too large.
    filter: Option<Filter>,
    file: File,
}

/// The content of an index file.
pub(crate) fn to_bytes(index: &Growing) -> Vec<u8> {
    let (fences, lists) = blocks_of(index);
    let filter = filter::of(index.keys());
    let count = |length: usize| u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes();
    let sparse: Vec<_> = index.sparse.chunks(SPARSE_BLOCK).collect();
    let mut out =
        Vec::with_capacity(FIXED + sparse.len() * (SPARSE_ENTRY + SPARSE_BLOCK * SPARSE_ENTRY + CRC) + lists.len());
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&count(index.sparse.len()));
    out.extend_from_slice(&count(sparse.len()));
    out.extend_from_slice(&count(fences.len()));
    out.extend_from_slice(&count(filter.len()));
    let SegmentStats { end, logged, last_logged, last_event, last_message, late } = index.stats;
    out.extend_from_slice(&end.to_le_bytes());
    out.extend_from_slice(&logged.to_le_bytes());
    for id in [last_logged, last_event, last_message] {
        out.extend_from_slice(&id.to_le_bytes());
    }
    out.extend_from_slice(&late.to_le_bytes());
    let put_sparse = |out: &mut Vec<u8>, (id, offset): &(u128, u32)| {
        out.extend_from_slice(&id.to_le_bytes());
        out.extend_from_slice(&offset.to_le_bytes());
    };
    sparse.iter().for_each(|block| put_sparse(&mut out, &block[0]));
    for fence in &fences {
        out.extend_from_slice(&fence.key.to_le_bytes());
        out.extend_from_slice(&fence.offset.to_le_bytes());
        out.extend_from_slice(&fence.length.to_le_bytes());
    }
    let crc = crc32fast::hash(&out);
    out.extend_from_slice(&crc.to_le_bytes());
    for block in sparse {
        let begin = out.len();
        block.iter().for_each(|entry| put_sparse(&mut out, entry));
        let crc = crc32fast::hash(&out[begin..]);
        out.extend_from_slice(&crc.to_le_bytes());
    }
    out.extend_from_slice(&lists);
    out.extend_from_slice(&filter);
    out.extend_from_slice(&crc32fast::hash(&filter).to_le_bytes());
    out
}

/// The blocks of lists, concatenated, and their positions.
fn blocks_of(index: &Growing) -> (Vec<Fence>, Vec<u8>) {
    let (mut fences, mut out): (Vec<Fence>, Vec<u8>) = (Vec::new(), Vec::new());
    let mut begin = 0;
    let end_block = |out: &mut Vec<u8>, fences: &mut Vec<Fence>, begin: &mut usize| {
        if let Some(fence) = fences.last_mut().filter(|_| out.len() > *begin) {
            let crc = crc32fast::hash(&out[*begin..]);
            out.extend_from_slice(&crc.to_le_bytes());
            fence.length = u32::try_from(out.len() - *begin).unwrap_or(u32::MAX);
            *begin = out.len();
        }
    };
    let mut last_key = 0;
    for (key, mut postings) in index.lists() {
        while let Some(first) = postings.first() {
            if out.len() - begin >= BLOCK {
                end_block(&mut out, &mut fences, &mut begin);
            }
            if out.len() == begin {
                fences.push(Fence { key, offset: first.offset, length: 0, at: 0 });
                last_key = 0;
            }
            // A posting takes five bytes at most.
            let fit = (BLOCK.saturating_sub(out.len() - begin) / 5).max(1).min(postings.len());
            let (now, later) = postings.split_at(fit);
            put_entry(&mut out, key - last_key, now);
            (postings, last_key) = (later, key);
            if !postings.is_empty() {
                end_block(&mut out, &mut fences, &mut begin);
            }
        }
    }
    end_block(&mut out, &mut fences, &mut begin);
    (fences, out)
}

fn put_entry(out: &mut Vec<u8>, key: u64, postings: &[Posting]) {
    put(out, (key << 1) | u64::from(postings.len() > 1));
    if postings.len() > 1 {
        put(out, postings.len() as u64);
    }
    let mut last = 0;
    for posting in postings {
        let packed = posting.packed();
        // Only offsets are stored as differences, tags are not.
        put(out, (((packed >> 2) - last) << 2) | (packed & 3));
        last = packed >> 2;
    }
}

/// Whether these bytes are an index of an older version, which is rebuilt instead of read.
pub(crate) fn is_outdated(bytes: &[u8]) -> bool {
    let version = bytes.get(4..8).and_then(|version| version.try_into().ok()).map(u32::from_le_bytes);
    bytes.starts_with(&MAGIC) && version.is_some_and(|version| version < VERSION)
}

/// The end of the segment that the index in these bytes belongs to; `None` if it is no index of the current version.
pub(crate) fn end_in(bytes: &[u8]) -> Option<u32> {
    let number = |at: usize| bytes.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes);
    if bytes.starts_with(&MAGIC) && number(4)? == VERSION { number(24) } else { None }
}

fn damaged() -> io::Error {
    io::Error::new(ErrorKind::InvalidData, "the index is damaged")
}

impl Sealed {
    /// Reads the head of an index; `None` if it is damaged, of another version, or cannot be read.
    pub(crate) fn open(file: File) -> Option<Self> {
        let mut fixed = [0; FIXED];
        file.read_exact_at(&mut fixed, 0).ok()?;
        let number = |at: usize| fixed.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes);
        let id = |at: usize| fixed.get(at..at + 16)?.try_into().ok().map(u128::from_le_bytes);
        if fixed[..4] != MAGIC || number(4)? != VERSION {
            return None;
        }
        let (sparse, sparse_blocks, blocks) = (number(8)? as usize, number(12)? as usize, number(16)? as usize);
        let filter_bytes = number(20)? as usize;
        let length = FIXED + sparse_blocks * SPARSE_ENTRY + blocks * FENCE;
        if sparse_blocks != sparse.div_ceil(SPARSE_BLOCK) || length as u64 > file.metadata().ok()?.len() {
            return None;
        }
        let mut head = vec![0; length + CRC];
        file.read_exact_at(&mut head, 0).ok()?;
        let (body, crc) = head.split_last_chunk::<CRC>()?;
        if crc32fast::hash(body) != u32::from_le_bytes(*crc) {
            return None;
        }
        let late = fixed.get(FIXED - 8..)?.try_into().ok().map(u64::from_le_bytes)?;
        let (last_logged, last_event, last_message) = (id(32)?, id(48)?, id(64)?);
        let stats = SegmentStats { end: number(24)?, logged: number(28)?, last_logged, last_event, last_message, late };
        let (sparse_part, fence_part) = body[FIXED..].split_at(sparse_blocks * SPARSE_ENTRY);
        let sparse_at = head.len() as u64;
        let mut at = sparse_at + (sparse * SPARSE_ENTRY + sparse_blocks * CRC) as u64;
        let fence = |part: &[u8]| {
            let key = u64::from_le_bytes(part[..8].try_into().ok()?);
            let offset = u32::from_le_bytes(part[8..12].try_into().ok()?);
            let length = u32::from_le_bytes(part[12..].try_into().ok()?);
            at += u64::from(length);
            Some(Fence { key, offset, length, at: at - u64::from(length) })
        };
        let fences = fence_part.chunks_exact(FENCE).map(fence).collect::<Option<Vec<_>>>()?;
        let first_sparse = sparse_part.chunks_exact(SPARSE_ENTRY).map(sparse_entry).collect::<Option<_>>()?;
        if file.metadata().ok()?.len() != at + (filter_bytes + CRC) as u64 {
            return None;
        }
        let bits = read(&file, at, filter_bytes + CRC).ok()?;
        Some(Self { stats, sparse, first_sparse, fences, sparse_at, filter: Filter::hold(bits), file })
    }

    pub(crate) const fn stats(&self) -> SegmentStats {
        self.stats
    }

    /// As [`Growing::may_have`], from memory.
    pub(crate) fn may_have(&self, key: u64) -> bool {
        self.filter.as_ref().is_none_or(|filter| filter.may_have(key))
    }

    /// As [`Growing::below`]: from one block.
    pub(crate) fn below(&self, key: u64, below: u32) -> io::Result<Vec<Posting>> {
        let behind = self.fences.partition_point(|fence| (fence.key, fence.offset) < (key, below));
        let Some(at) = behind.checked_sub(1) else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        self.block(at, &mut |own, posting| {
            if own == key && posting.offset < below {
                found.push(posting);
            }
            own <= key
        })?;
        Ok(found)
    }

    /// As [`Growing::keys_between`].
    pub(crate) fn keys_between(&self, first: u64, last: u64, most: usize) -> io::Result<Vec<u64>> {
        let mut found: Vec<u64> = Vec::new();
        let mut from = first;
        while found.len() < most {
            // Seeks again, to skip the rest of a long list.
            let at = self.fences.partition_point(|fence| fence.key < from).saturating_sub(1);
            let before = found.len();
            for block in at..self.fences.len().min(at + 2) {
                if self.fences[block].key > last {
                    break;
                }
                self.block(block, &mut |key, _| {
                    if key >= from && key <= last && found.last() != Some(&key) && found.len() < most {
                        found.push(key);
                    }
                    key <= last
                })?;
            }
            match found.last() {
                Some(key) if found.len() > before => from = key + 1,
                _ => break,
            }
        }
        Ok(found)
    }

    /// As [`Growing::postings_between`].
    pub(crate) fn postings_between(&self, first: u64, last: u64) -> io::Result<Vec<Posting>> {
        let at = self.fences.partition_point(|fence| fence.key < first).saturating_sub(1);
        let mut found = Vec::new();
        for (block, _) in self.fences.iter().enumerate().skip(at).take_while(|(_, fence)| fence.key <= last) {
            self.block(block, &mut |key, posting| {
                found.extend((first..=last).contains(&key).then_some(posting));
                key <= last
            })?;
        }
        Ok(found)
    }

    /// Passes each posting of a block to `visit` with its key, until it returns false.
    fn block(&self, at: usize, visit: &mut dyn FnMut(u64, Posting) -> bool) -> io::Result<()> {
        let fence = self.fences[at];
        let bytes = read(&self.file, fence.at, fence.length as usize)?;
        let mut rest = &bytes[..];
        let mut key = 0;
        while !rest.is_empty() {
            let head = take(&mut rest).ok_or_else(damaged)?;
            key += head >> 1;
            let count = if head & 1 == 1 { take(&mut rest).ok_or_else(damaged)? } else { 1 };
            let mut last = 0;
            for _ in 0..count {
                let packed = take(&mut rest).ok_or_else(damaged)?;
                last += packed >> 2;
                if !visit(key, Posting::unpacked((last << 2) | (packed & 3))) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn sparse_block(&self, block: usize) -> io::Result<Vec<(u128, u32)>> {
        let at = self.sparse_at + (block * (SPARSE_BLOCK * SPARSE_ENTRY + CRC)) as u64;
        let count = SPARSE_BLOCK.min(self.sparse - block * SPARSE_BLOCK);
        let bytes = read(&self.file, at, count * SPARSE_ENTRY + CRC)?;
        bytes.chunks_exact(SPARSE_ENTRY).map(sparse_entry).collect::<Option<_>>().ok_or_else(damaged)
    }

    /// As [`Growing::sparse_floor`].
    pub(crate) fn sparse_floor(&self, id: u128) -> io::Result<Option<u32>> {
        let behind = self.first_sparse.partition_point(|(entry, _)| *entry <= id);
        let Some(block) = behind.checked_sub(1) else { return Ok(None) };
        let sparse = self.sparse_block(block)?;
        Ok(sparse.iter().rfind(|(entry, _)| *entry <= id).map(|(_, offset)| *offset))
    }

    /// As [`Growing::sparse_ceiling`].
    pub(crate) fn sparse_ceiling(&self, id: u128) -> io::Result<Option<u32>> {
        let behind = self.first_sparse.partition_point(|(entry, _)| *entry < id);
        let next = self.first_sparse.get(behind).map(|(_, offset)| *offset);
        let Some(block) = behind.checked_sub(1) else { return Ok(next) };
        let sparse = self.sparse_block(block)?;
        Ok(sparse.iter().find(|(entry, _)| *entry >= id).map(|(_, offset)| *offset).or(next))
    }
}

/// Reads a block and verifies its checksum.
fn read(file: &File, at: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, at)?;
    let crc = bytes.split_off(length.checked_sub(CRC).ok_or_else(damaged)?);
    if crc32fast::hash(&bytes).to_le_bytes()[..] != crc[..] { Err(damaged()) } else { Ok(bytes) }
}

fn sparse_entry(part: &[u8]) -> Option<(u128, u32)> {
    Some((u128::from_le_bytes(part[..16].try_into().ok()?), u32::from_le_bytes(part[16..].try_into().ok()?)))
}
