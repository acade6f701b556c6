//! The index of the file that is being written, in memory.

use std::collections::BTreeMap;

use super::{MARK_EVERY, Note, Outline, Posting};

/// How many postings are handed out at once.
const CHUNK: usize = 256;

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

/// The index of the file that is being written.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(in crate::store) struct Growing {
    pub(super) outline: Outline,
    /// Ids and where their frames begin, ascending, one about every [`MARK_EVERY`] bytes.
    pub(super) marks: Vec<(u128, u32)>,
    lists: BTreeMap<u64, List>,
}

impl Growing {
    /// Takes note of a frame behind all before.
    pub(in crate::store) fn note(&mut self, note: &Note) {
        let due = self.marks.last().is_none_or(|(_, last)| note.offset - last >= MARK_EVERY);
        if note.id != 0 && due {
            self.marks.push((note.id, note.offset));
        }
        let posting = Posting::of(note.offset, note.kind);
        for key in &note.marks.keys {
            self.lists
                .entry(*key)
                .and_modify(|list| match list {
                    // What is named twice in one frame is one thing.
                    List::One(last) if *last == posting => {}
                    List::One(first) => *list = List::Many(vec![*first, posting]),
                    List::Many(postings) if postings.last() == Some(&posting) => {}
                    List::Many(postings) => postings.push(posting),
                })
                .or_insert(List::One(posting));
        }
        self.outline.note(note);
    }

    /// Whether there may be postings under `key`.
    pub(super) fn may_have(&self, key: u64) -> bool {
        self.lists.contains_key(&key)
    }

    /// The keys that have postings, ascending.
    pub(super) fn keys(&self) -> impl ExactSizeIterator<Item = u64> {
        self.lists.keys().copied()
    }

    /// Some of the postings under `key` that lie below `below`: the last ones, ascending; none if there are none.
    pub(super) fn below(&self, key: u64, below: u32) -> Vec<Posting> {
        let postings = self.lists.get(&key).map_or(&[][..], List::as_slice);
        let end = postings.partition_point(|posting| posting.offset < below);
        postings[end.saturating_sub(CHUNK)..end].to_vec()
    }

    /// Up to `most` keys from `first` to `last` that have postings.
    pub(super) fn keys_between(&self, first: u64, last: u64, most: usize) -> Vec<u64> {
        self.lists.range(first..=last).take(most).map(|(key, _)| *key).collect()
    }

    /// The postings under all keys from `first` to `last`, key by key.
    pub(super) fn postings_between(&self, first: u64, last: u64) -> Vec<Posting> {
        self.lists.range(first..=last).flat_map(|(_, list)| list.as_slice()).copied().collect()
    }

    /// The keys with their postings, ascending.
    pub(super) fn lists(&self) -> impl Iterator<Item = (u64, &[Posting])> {
        self.lists.iter().map(|(key, list)| (*key, list.as_slice()))
    }

    /// The last mark with an id up to `id`.
    pub(super) fn mark_up_to(&self, id: u128) -> Option<u32> {
        let behind = self.marks.partition_point(|(mark, _)| *mark <= id);
        behind.checked_sub(1).map(|at| self.marks[at].1)
    }

    /// The first mark with an id from `id` on.
    pub(super) fn mark_from(&self, id: u128) -> Option<u32> {
        let at = self.marks.partition_point(|(mark, _)| *mark < id);
        self.marks.get(at).map(|(_, offset)| *offset)
    }
}
