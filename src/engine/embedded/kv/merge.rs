//! Merging: reading several sources as one, and replacing several runs by one, so that there are few.
//!
//! Runs have levels. A checkpoint writes one of level 0; as soon as [`FAN_IN`] runs have the same level, they are merged
//! into one of the next. So a key is written again as often as there are levels, and a look-up has a few runs of each
//! level to ask. Runs of a level were written one after the other, so the order of runs by age is kept.

use std::cmp::Ordering;
use std::iter::Peekable;
use std::ops::{Bound, Range as Numbers};
use std::sync::Arc;

use crate::engine::embedded::kv::database::StoredPairs;
use crate::engine::embedded::kv::manifest::Meta;
use crate::engine::embedded::kv::memtable::Pair;
use crate::engine::embedded::kv::run::{Run, RunWriter};
use crate::model::error::StateError;

/// How many runs of one level are merged.
const FAN_IN: usize = 6;
/// One key in so many may be a removed one before all runs are merged: those keys take room, and what they removed does.
const KEYS_PER_REMOVED: u64 = 4;
/// Fewer removed keys than this are not worth a merge of all.
const MIN_REMOVED: u64 = 10_000;
/// How many blocks are written at once.
pub(super) const BLOCKS_AT_ONCE: usize = 256;
/// How many bytes of keys and values are read at once, if most of them are not written again.
const BYTES_AT_ONCE: usize = 2 << 20;

/// A source of changes in the order of their keys.
pub(super) type Source<'s> = Box<dyn Iterator<Item = Result<Pair, StateError>> + 's>;

/// Several sources read as one: for a key in more than one, the first of them counts.
pub(super) struct Merged<'s> {
    sources: Vec<Peekable<Source<'s>>>,
    /// How an earlier key compares to a later one: `Less` ascending, `Greater` descending.
    first: Ordering,
}

impl<'s> Merged<'s> {
    /// Merges `sources`, all in the order named by `first`.
    pub(super) fn new(sources: impl Iterator<Item = Source<'s>>, first: Ordering) -> Self {
        Self { sources: sources.map(Iterator::peekable).collect(), first }
    }
}

impl Iterator for Merged<'_> {
    type Item = Result<Pair, StateError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut best: Option<(usize, &[u8])> = None;
        for (index, source) in self.sources.iter_mut().enumerate() {
            match source.peek() {
                None => {}
                Some(Err(_)) => return self.sources[index].next(),
                Some(Ok((key, _))) if best.is_none_or(|(_, least)| key.as_slice().cmp(least) == self.first) => {
                    best = Some((index, key));
                }
                Some(Ok(_)) => {}
            }
        }
        let (best, _) = best?;
        let pair = self.sources[best].next();
        if let Some(Ok((key, _))) = &pair {
            for source in &mut self.sources[best + 1..] {
                source.next_if(|hidden| hidden.as_ref().is_ok_and(|(hidden, _)| hidden == key));
            }
        }
        pair
    }
}

/// Which runs to merge next, if any: the runs have these descriptions, the newest first.
pub(super) fn choose<'m>(runs: impl Iterator<Item = &'m Meta>) -> Option<Numbers<usize>> {
    let runs: Vec<&Meta> = runs.collect();
    let (keys, removed): (u64, u64) = runs.iter().fold((0, 0), |sums, run| (sums.0 + run.keys, sums.1 + run.removed));
    if runs.len() > 1 && removed >= MIN_REMOVED.max(keys / KEYS_PER_REMOVED) {
        return Some(0..runs.len());
    }
    runs.chunk_by(|one, other| one.level == other.level)
        .scan(0, |end, chunk| {
            *end += chunk.len();
            Some(*end - chunk.len()..*end)
        })
        .find(|level| level.len() >= FAN_IN)
}

/// The progress of what is written to sled.
#[derive(Default)]
pub(super) struct Writing {
    /// The number of the next run.
    pub(super) next: u64,
    pub(super) merge: Option<Merge>,
    /// Runs that were merged into others, and may still be read by somebody.
    pub(super) replaced: Vec<Arc<Run>>,
}

/// A merge in progress.
pub(super) struct Merge {
    inputs: Vec<Arc<Run>>,
    /// Nothing is older, so that removed keys have nothing to hide.
    oldest: bool,
    /// The last key that was read.
    after: Option<Vec<u8>>,
    writer: RunWriter,
}

/// What a step of a merge leads to.
pub(super) enum Step {
    /// There is more to do.
    Continues(Merge, StoredPairs),
    /// The inputs, and the run that replaces them; `None` if nothing is left of them.
    Ends(Vec<Arc<Run>>, Option<Run>, StoredPairs),
}

impl Merge {
    /// Begins a merge of consecutive runs into the run `id`.
    pub(super) fn begin(id: u64, inputs: &[Arc<Run>], oldest: bool) -> Self {
        let metas = || inputs.iter().map(|run| run.meta());
        let level = metas().map(|meta| meta.level).max().unwrap_or(0) + 1;
        let writer = RunWriter::begin(id, level, RunWriter::filtered(metas()));
        Self { inputs: inputs.to_vec(), oldest, after: None, writer }
    }

    /// Merges about as many keys as fill [`BLOCKS_AT_ONCE`]; the pairs must be written before the next step.
    pub(super) fn step(mut self, db: &sled::Db) -> Result<Step, StateError> {
        let after = self.after.take();
        let range = (after.as_deref().map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
        let sources = self.inputs.iter().map(|run| Box::new(run.range(db, range)) as Source<'_>);
        let (mut read, mut reached) = (0, None);
        for pair in Merged::new(sources, Ordering::Less) {
            let (key, value) = pair?;
            read += key.len() + value.as_ref().map_or(0, Vec::len);
            if value.is_some() || !self.oldest {
                self.writer.push(&key, value.as_deref());
            }
            if self.writer.complete() >= BLOCKS_AT_ONCE || read >= BYTES_AT_ONCE {
                reached = Some(key);
                break;
            }
        }
        if reached.is_some() {
            let pairs = self.writer.take();
            return Ok(Step::Continues(Self { after: reached, ..self }, pairs));
        }
        let (run, pairs) = self.writer.finish();
        let is_empty = run.meta().keys == 0;
        Ok(if is_empty { Step::Ends(self.inputs, None, Vec::new()) } else { Step::Ends(self.inputs, Some(run), pairs) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metas(levels: &[(u32, u64)]) -> Vec<Meta> {
        let meta = |(id, (level, removed)): (usize, &(u32, u64))| {
            let mut writer = RunWriter::begin(id as u64, *level, 0);
            (0..*removed).for_each(|number| writer.push(&number.to_be_bytes(), None));
            (*removed..20_000).for_each(|number| writer.push(&number.to_be_bytes(), Some(&[])));
            writer.finish().0.meta().clone()
        };
        levels.iter().enumerate().map(meta).collect()
    }

    #[test]
    fn runs_of_a_level_are_merged_once_there_are_enough_of_them() {
        let chosen = |levels: &[u32]| {
            let levels: Vec<_> = levels.iter().map(|level| (*level, 0)).collect();
            choose(metas(&levels).iter())
        };
        assert_eq!(chosen(&[0, 0, 0, 0, 0, 1, 1, 1, 2]), None);
        assert_eq!(chosen(&[0, 0, 0, 0, 0, 0, 1]), Some(0..6));
        assert_eq!(chosen(&[0, 0, 0, 0, 0, 0, 0]), Some(0..7));
        assert_eq!(chosen(&[0, 1, 1, 1, 1, 1, 1, 2]), Some(1..7));
        assert_eq!((chosen(&[4]), chosen(&[])), (None, None));
    }

    #[test]
    fn all_runs_are_merged_once_many_keys_are_removed() {
        let chosen = |removed: &[u64]| {
            let levels: Vec<_> = removed.iter().enumerate().map(|(level, removed)| (level as u32, *removed)).collect();
            choose(metas(&levels).iter())
        };
        assert_eq!((chosen(&[9_000, 0]), chosen(&[19_000, 0]), chosen(&[19_000])), (None, Some(0..2), None));
        assert_eq!((chosen(&[11_000, 0, 0, 0]), chosen(&[11_000, 9_000, 0, 0])), (None, Some(0..4)));
    }

    #[test]
    fn for_a_key_in_several_sources_the_first_counts() {
        let source = |pairs: &[(u8, u8)]| -> Source<'static> {
            let pairs: Vec<_> = pairs.iter().map(|(key, value)| Ok((vec![*key], Some(vec![*value])))).collect();
            Box::new(pairs.into_iter())
        };
        let read = |sources: Vec<Source<'static>>, first| -> Vec<(u8, u8)> {
            let pairs = Merged::new(sources.into_iter(), first).map(|pair| pair.unwrap());
            pairs.map(|(key, value)| (key[0], value.unwrap()[0])).collect()
        };
        let ascending = vec![source(&[(1, 1), (3, 1)]), source(&[(2, 2), (3, 2)]), source(&[(1, 3), (3, 3), (4, 3)])];
        assert_eq!(read(ascending, Ordering::Less), [(1, 1), (2, 2), (3, 1), (4, 3)]);
        let descending = vec![source(&[(3, 1)]), source(&[(3, 2), (2, 2)]), source(&[(4, 3), (2, 3)])];
        assert_eq!(read(descending, Ordering::Greater), [(4, 3), (3, 1), (2, 2)]);
    }
}
