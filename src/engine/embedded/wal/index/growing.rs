//! The index of the active segment, in memory.
//!
//! An event is inserted under two dozen keys while others wait for its commit, so lists are in hash maps. Ordered
//! queries ask for one term of all companies. Its keys are in the same one of many parts, so that a few hundred keys
//! are scanned. All keys are sorted only once, when the segment is full.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};

use crate::engine::embedded::wal::index::entry::{IndexEntry, Posting, SPARSE_EVERY};
use crate::engine::embedded::wal::stats::SegmentStats;
use crate::model::term::BITS;

/// How many postings are returned at once.
const CHUNK: usize = 256;
/// How many upper bits of a key select its part. A growing part moves all its lists at once: the more parts there are,
/// the shorter a commit waits for that.
const PART_BITS: u32 = 8;

/// Hashes keys by folded multiplication with a random seed. Keys are hashes themselves, but an attacker can predict
/// them.
#[derive(Debug, Clone)]
struct Seed([u64; 2]);

impl Default for Seed {
    fn default() -> Self {
        let random = RandomState::new();
        Self([random.hash_one(0), random.hash_one(1) | 1])
    }
}

impl BuildHasher for Seed {
    type Hasher = Folded;

    fn build_hasher(&self) -> Folded {
        Folded { seed: self.0, hash: 0 }
    }
}

/// The hash of one key.
struct Folded {
    seed: [u64; 2],
    hash: u64,
}

impl Hasher for Folded {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(self.hash ^ u64::from(*byte)));
    }

    fn write_u64(&mut self, key: u64) {
        let product = u128::from(key ^ self.seed[0]) * u128::from(self.seed[1]);
        self.hash = product as u64 ^ (product >> 64) as u64;
    }

    fn finish(&self) -> u64 {
        self.hash
    }
}

/// The lists of keys with the same upper bits.
type Lists = HashMap<u64, List, Seed>;

/// The postings under one key, ascending. Most keys have one.
#[derive(Debug, Clone, PartialEq, Eq)]
enum List {
    One(Posting),
    Many(Vec<Posting>),
}

impl List {
    fn as_slice(&self) -> &[Posting] {
        match self {
            Self::One(posting) => std::slice::from_ref(posting),
            Self::Many(postings) => postings,
        }
    }
}

/// The index of the active segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Growing {
    pub(crate) stats: SegmentStats,
    /// The sparse index: ids and the offsets of their frames, ascending, one about every [`SPARSE_EVERY`] bytes.
    pub(crate) sparse: Vec<(u128, u32)>,
    /// By the upper bits of the keys.
    parts: Vec<Lists>,
}

impl Default for Growing {
    fn default() -> Self {
        let (stats, sparse, seed) = (SegmentStats::default(), Vec::new(), Seed::default());
        Self { stats, sparse, parts: vec![Lists::with_hasher(seed); 1 << PART_BITS] }
    }
}

/// The part of a key.
fn part_of(key: u64) -> usize {
    let part = key >> (BITS - PART_BITS);
    part.min((1 << PART_BITS) - 1) as usize
}

impl Growing {
    /// Inserts a frame that follows all others.
    pub(crate) fn insert(&mut self, entry: &IndexEntry) {
        let due = self.sparse.last().is_none_or(|(_, last)| entry.offset - last >= SPARSE_EVERY);
        if entry.id != 0 && due {
            self.sparse.push((entry.id, entry.offset));
        }
        let posting = Posting::of(entry.offset, entry.class);
        for key in &entry.terms.keys {
            self.parts[part_of(*key)]
                .entry(*key)
                .and_modify(|list| match list {
                    // A key may occur twice in one frame.
                    List::One(last) if *last == posting => {}
                    List::One(first) => *list = List::Many(vec![*first, posting]),
                    List::Many(postings) if postings.last() == Some(&posting) => {}
                    List::Many(postings) => postings.push(posting),
                })
                .or_insert(List::One(posting));
        }
        self.stats.add(entry);
    }

    fn list(&self, key: u64) -> Option<&List> {
        self.parts[part_of(key)].get(&key)
    }

    /// Whether there may be postings under `key`.
    pub(crate) fn may_have(&self, key: u64) -> bool {
        self.list(key).is_some()
    }

    /// The keys that have postings, unordered.
    pub(crate) fn keys(&self) -> impl ExactSizeIterator<Item = u64> {
        self.parts.iter().flat_map(Lists::keys).copied().collect::<Vec<_>>().into_iter()
    }

    /// Some of the postings under `key` with offsets below `below`: the last ones, ascending; empty if there are none.
    pub(crate) fn below(&self, key: u64, below: u32) -> Vec<Posting> {
        let postings = self.list(key).map_or(&[][..], List::as_slice);
        let end = postings.partition_point(|posting| posting.offset < below);
        postings[end.saturating_sub(CHUNK)..end].to_vec()
    }

    /// Up to `most` keys between `first` and `last` that have postings, ascending.
    pub(crate) fn keys_between(&self, first: u64, last: u64, most: usize) -> Vec<u64> {
        let mut found = Vec::new();
        for part in &self.parts[part_of(first)..=part_of(last)] {
            let before = found.len();
            found.extend(part.keys().filter(|key| (first..=last).contains(*key)));
            found[before..].sort_unstable();
            if found.len() >= most {
                break;
            }
        }
        found.truncate(most);
        found
    }

    /// The postings under all keys between `first` and `last`, unordered.
    pub(crate) fn postings_between(&self, first: u64, last: u64) -> Vec<Posting> {
        let parts = self.parts[part_of(first)..=part_of(last)].iter().flatten();
        let inside = parts.filter(|(key, _)| (first..=last).contains(*key));
        inside.flat_map(|(_, list)| list.as_slice()).copied().collect()
    }

    /// The keys with their postings, ascending.
    pub(crate) fn lists(&self) -> impl Iterator<Item = (u64, &[Posting])> {
        self.parts.iter().flat_map(|part| {
            let mut lists: Vec<_> = part.iter().map(|(key, list)| (*key, list.as_slice())).collect();
            lists.sort_unstable_by_key(|(key, _)| *key);
            lists
        })
    }

    /// The last entry of the sparse index with an id up to `id`.
    pub(crate) fn sparse_floor(&self, id: u128) -> Option<u32> {
        let behind = self.sparse.partition_point(|(mark, _)| *mark <= id);
        behind.checked_sub(1).map(|at| self.sparse[at].1)
    }

    /// The first entry of the sparse index with an id from `id` on.
    pub(crate) fn sparse_ceiling(&self, id: u128) -> Option<u32> {
        let at = self.sparse.partition_point(|(mark, _)| *mark < id);
        self.sparse.get(at).map(|(_, offset)| *offset)
    }
}
