//! The index of a full file, beside it on the disk.
//!
//! Only its head is in memory, with the first key of every block, about a two-hundredth of it, and the [filter] that
//! tells which keys are not there. A question reads one block of about 2 KiB for each list that it goes through, and one
//! more for every few hundred postings.
//!
//! ```text
//! head    "HSwI" | version u32 | marks u32 | blocks of marks u32 | blocks of lists u32 | bytes of the filter u32
//!         | stats: end u32, logged u32, last logged u128, last event u128, last message u128, late u64
//!         | first mark of each block: id u128, offset u32
//!         | each block of lists: first key u64, its first offset u32, length u32
//!         | CRC-32 of the head
//! marks   blocks of 100: id u128, offset u32; CRC-32 of the block
//! lists   blocks: entries; CRC-32 of the block
//! filter  its bits; CRC-32 of them
//! entry   key, less that of the entry before, times two, plus one if there are several postings: varint
//!         | how many, if several: varint | postings, each less the one before: (offset, tag in the lower two bits): varint
//! ```
//! A list that is longer than a block goes on in the next, as an entry of its own. `end` says to which file it belongs:
//! that file's length. Retention may have written the file again since; an index with another end is not read. Versions
//! 1 to 3 had no companies in their keys, and are made again.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt as _;

use crate::engine::embedded::wal::index::entry::Posting;
use crate::engine::embedded::wal::index::filter::{self, Filter};
use crate::engine::embedded::wal::index::growing::Growing;
use crate::model::segment::SegmentStats;

const MAGIC: [u8; 4] = *b"HSwI";
const VERSION: u32 = 4;
/// The head ahead of its lists.
const FIXED: usize = 24 + 64;
const FENCE: usize = 16;
const MARK: usize = 20;
/// How many marks a block has.
const MARKS: usize = 100;
/// At how many bytes a block of lists ends.
const BLOCK: usize = 2048;
/// Bytes of a checksum.
const CRC: usize = 4;

/// Where a block of lists is, and what it begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Fence {
    key: u64,
    offset: u32,
    length: u32,
    /// Where it stands in the file.
    at: u64,
}

/// The index of a full file.
#[derive(Debug)]
pub(crate) struct Sealed {
    stats: SegmentStats,
    /// How many marks there are.
    marks: usize,
    /// The first mark of each block.
    first_marks: Vec<(u128, u32)>,
    fences: Vec<Fence>,
    /// Where the blocks of marks begin.
    marks_at: u64,
    /// Which keys are not there; `None` where too much memory is used for such.
    filter: Option<Filter>,
    file: File,
}

/// As an index stands in a file.
pub(crate) fn to_bytes(index: &Growing) -> Vec<u8> {
    let (fences, lists) = blocks_of(index);
    let filter = filter::of(index.keys());
    let count = |length: usize| u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes();
    let marks: Vec<_> = index.marks.chunks(MARKS).collect();
    let mut out = Vec::with_capacity(FIXED + marks.len() * (MARK + MARKS * MARK + CRC) + lists.len());
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&count(index.marks.len()));
    out.extend_from_slice(&count(marks.len()));
    out.extend_from_slice(&count(fences.len()));
    out.extend_from_slice(&count(filter.len()));
    let SegmentStats { end, logged, last_logged, last_event, last_message, late } = index.stats;
    out.extend_from_slice(&end.to_le_bytes());
    out.extend_from_slice(&logged.to_le_bytes());
    for id in [last_logged, last_event, last_message] {
        out.extend_from_slice(&id.to_le_bytes());
    }
    out.extend_from_slice(&late.to_le_bytes());
    let put_mark = |out: &mut Vec<u8>, (id, offset): &(u128, u32)| {
        out.extend_from_slice(&id.to_le_bytes());
        out.extend_from_slice(&offset.to_le_bytes());
    };
    marks.iter().for_each(|block| put_mark(&mut out, &block[0]));
    for fence in &fences {
        out.extend_from_slice(&fence.key.to_le_bytes());
        out.extend_from_slice(&fence.offset.to_le_bytes());
        out.extend_from_slice(&fence.length.to_le_bytes());
    }
    let crc = crc32fast::hash(&out);
    out.extend_from_slice(&crc.to_le_bytes());
    for block in marks {
        let begin = out.len();
        block.iter().for_each(|mark| put_mark(&mut out, mark));
        let crc = crc32fast::hash(&out[begin..]);
        out.extend_from_slice(&crc.to_le_bytes());
    }
    out.extend_from_slice(&lists);
    out.extend_from_slice(&filter);
    out.extend_from_slice(&crc32fast::hash(&filter).to_le_bytes());
    out
}

/// The blocks of lists, one behind the other, and where each is.
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
            // Each takes five bytes at most.
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
        // Ascending offsets: the tag is told anew each time.
        put(out, (((packed >> 2) - last) << 2) | (packed & 3));
        last = packed >> 2;
    }
}

/// Seven bits a byte, the lowest first; the eighth says that there is more.
fn put(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for (place, byte) in bytes.iter().enumerate().take(10) {
        number |= u64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            *bytes = &bytes[place + 1..];
            return Some(number);
        }
    }
    None
}

/// Whether these bytes are the index of a version that is made again instead of being read.
pub(crate) fn is_of_before(bytes: &[u8]) -> bool {
    let version = bytes.get(4..8).and_then(|version| version.try_into().ok()).map(u32::from_le_bytes);
    bytes.starts_with(&MAGIC) && version.is_some_and(|version| version < VERSION)
}

/// The end of the file to which the index in these bytes belongs, by itself; `None` if it is of another version, or none.
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
        let (marks, mark_blocks, blocks) = (number(8)? as usize, number(12)? as usize, number(16)? as usize);
        let filter_bytes = number(20)? as usize;
        let length = FIXED + mark_blocks * MARK + blocks * FENCE;
        if mark_blocks != marks.div_ceil(MARKS) || length as u64 > file.metadata().ok()?.len() {
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
        let (mark_part, fence_part) = body[FIXED..].split_at(mark_blocks * MARK);
        let marks_at = head.len() as u64;
        let mut at = marks_at + (marks * MARK + mark_blocks * CRC) as u64;
        let fence = |part: &[u8]| {
            let key = u64::from_le_bytes(part[..8].try_into().ok()?);
            let offset = u32::from_le_bytes(part[8..12].try_into().ok()?);
            let length = u32::from_le_bytes(part[12..].try_into().ok()?);
            at += u64::from(length);
            Some(Fence { key, offset, length, at: at - u64::from(length) })
        };
        let fences = fence_part.chunks_exact(FENCE).map(fence).collect::<Option<Vec<_>>>()?;
        let first_marks = mark_part.chunks_exact(MARK).map(mark).collect::<Option<_>>()?;
        if file.metadata().ok()?.len() != at + (filter_bytes + CRC) as u64 {
            return None;
        }
        let bits = read(&file, at, filter_bytes + CRC).ok()?;
        Some(Self { stats, marks, first_marks, fences, marks_at, filter: Filter::hold(bits), file })
    }

    pub(crate) const fn stats(&self) -> SegmentStats {
        self.stats
    }

    /// As of [`Growing::may_have`], from memory.
    pub(crate) fn may_have(&self, key: u64) -> bool {
        self.filter.as_ref().is_none_or(|filter| filter.may_have(key))
    }

    /// As of [`Growing::below`]: from one block.
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

    /// As of [`Growing::keys_between`].
    pub(crate) fn keys_between(&self, first: u64, last: u64, most: usize) -> io::Result<Vec<u64>> {
        let mut found: Vec<u64> = Vec::new();
        let mut from = first;
        while found.len() < most {
            // Behind a long list the search begins anew.
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

    /// As of [`Growing::postings_between`].
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

    /// Hands the keys of a block with each of their postings to `visit`, as long as it answers true.
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

    fn marks(&self, block: usize) -> io::Result<Vec<(u128, u32)>> {
        let at = self.marks_at + (block * (MARKS * MARK + CRC)) as u64;
        let count = MARKS.min(self.marks - block * MARKS);
        let bytes = read(&self.file, at, count * MARK + CRC)?;
        bytes.chunks_exact(MARK).map(mark).collect::<Option<_>>().ok_or_else(damaged)
    }

    /// As of [`Growing::mark_up_to`].
    pub(crate) fn mark_up_to(&self, id: u128) -> io::Result<Option<u32>> {
        let behind = self.first_marks.partition_point(|(mark, _)| *mark <= id);
        let Some(block) = behind.checked_sub(1) else { return Ok(None) };
        let marks = self.marks(block)?;
        Ok(marks.iter().rfind(|(mark, _)| *mark <= id).map(|(_, offset)| *offset))
    }

    /// As of [`Growing::mark_from`].
    pub(crate) fn mark_from(&self, id: u128) -> io::Result<Option<u32>> {
        let behind = self.first_marks.partition_point(|(mark, _)| *mark < id);
        let next = self.first_marks.get(behind).map(|(_, offset)| *offset);
        let Some(block) = behind.checked_sub(1) else { return Ok(next) };
        let marks = self.marks(block)?;
        Ok(marks.iter().find(|(mark, _)| *mark >= id).map(|(_, offset)| *offset).or(next))
    }
}

/// A block without its checksum, which fits.
fn read(file: &File, at: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, at)?;
    let crc = bytes.split_off(length.checked_sub(CRC).ok_or_else(damaged)?);
    if crc32fast::hash(&bytes).to_le_bytes()[..] != crc[..] { Err(damaged()) } else { Ok(bytes) }
}

fn mark(part: &[u8]) -> Option<(u128, u32)> {
    Some((u128::from_le_bytes(part[..16].try_into().ok()?), u32::from_le_bytes(part[16..].try_into().ok()?)))
}
