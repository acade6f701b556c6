//! Writing to sled: checkpoints, and the merging of what they wrote.
//!
//! A run is complete and synced before the manifest names it, so a crash leaves the runs as they were, or as they were to
//! be.

use std::cmp::Ordering;
use std::sync::{Arc, PoisonError};

use crate::engine::embedded::kv::database;
use crate::engine::embedded::kv::filter::is_filtered;
use crate::engine::embedded::kv::manifest::Manifest;
use crate::engine::embedded::kv::memtable::Pair;
use crate::engine::embedded::kv::merge::{self, BLOCKS_AT_ONCE, Merge, Merged, Source, Step, Writing};
use crate::engine::embedded::kv::run::{Run, RunWriter};
use crate::engine::embedded::kv::stored_key::{MANIFEST, POSITION, stored};
use crate::engine::embedded::kv::{CheckpointMeta, Kv};
use crate::engine::embedded::position::CheckpointPosition;
use crate::model::error::StateError;
use crate::model::record;

impl Kv {
    /// Makes all changes so far durable, together with `meta`, and merges what is to be merged.
    pub(crate) fn checkpoint(&self, meta: &CheckpointMeta) -> Result<(), StateError> {
        self.freeze();
        self.write_frozen(meta)?;
        while self.merge()? {}
        Ok(())
    }

    /// Completes a checkpoint: writes the immutable memtable to sled as a run, and then the manifest with `meta`.
    pub(crate) fn write_frozen(&self, meta: &CheckpointMeta) -> Result<(), StateError> {
        let mut writing = self.writing();
        let (immutable, runs) = {
            let layers = self.layers();
            let Some(immutable) = layers.immutable.clone() else { return Ok(()) };
            (immutable, layers.runs.clone())
        };
        let mut with: Vec<Pair> = meta.with.iter().map(|(key, value)| (stored(key), Some(value.clone()))).collect();
        with.sort_unstable();
        let sources = [Box::new(with.into_iter().map(Ok)) as Source<'_>, Box::new(immutable.iter())];
        let filtered = immutable.keys().filter(|key| is_filtered(key)).count() as u64;
        let run = self.write_run(&mut writing, filtered, Merged::new(sources.into_iter(), Ordering::Less))?;
        let runs: Vec<_> = run.into_iter().map(Arc::new).chain(runs.iter().cloned()).collect();
        self.write_manifest(&writing, &runs, Some(meta.position))?;
        *self.durable.lock().unwrap_or_else(PoisonError::into_inner) = meta.position;
        let mut layers = self.layers_mut();
        layers.runs = Arc::new(runs);
        layers.immutable = None;
        Ok(())
    }

    /// Writes a run of ascending changes; `None` if there are none. The caller syncs it, with the manifest.
    pub(super) fn write_run(
        &self,
        writing: &mut Writing,
        filtered: u64,
        changes: impl Iterator<Item = Result<Pair, StateError>>,
    ) -> Result<Option<Run>, StateError> {
        let mut run = RunWriter::begin(writing.next, 0, filtered);
        writing.next += 1;
        for change in changes {
            let (key, value) = change?;
            run.push(&key, value.as_deref());
            if run.complete() >= BLOCKS_AT_ONCE {
                database::write(&self.db, run.take())?;
            }
        }
        let (run, pairs) = run.finish();
        if run.meta().keys == 0 {
            return Ok(None);
        }
        database::write(&self.db, pairs)?;
        Ok(Some(run))
    }

    /// Does a step of what runs need: merging them, and removing replaced ones. Returns whether there is more to do.
    pub(crate) fn merge(&self) -> Result<bool, StateError> {
        let mut writing = self.writing();
        self.remove_replaced(&mut writing)?;
        let runs = self.layers().runs.clone();
        let merge = writing.merge.take().or_else(|| self.next_merge(&mut writing, &runs));
        let Some(merge) = merge else { return Ok(false) };
        match merge.step(&self.db)? {
            Step::Continues(merge, pairs) => {
                database::write(&self.db, pairs)?;
                writing.merge = Some(merge);
            }
            Step::Ends(inputs, run, pairs) => {
                database::write(&self.db, pairs)?;
                let runs = replaced(&runs, &inputs, run);
                self.write_manifest(&writing, &runs, None)?;
                self.layers_mut().runs = Arc::new(runs);
                writing.replaced.extend(inputs);
            }
        }
        Ok(true)
    }

    fn next_merge(&self, writing: &mut Writing, runs: &[Arc<Run>]) -> Option<Merge> {
        let chosen = merge::choose(runs.iter().map(|run| run.meta()))?;
        let id = writing.next;
        writing.next += 1;
        Some(Merge::begin(id, &runs[chosen.clone()], chosen.end == runs.len()))
    }

    /// Removes merged runs that nobody reads any more from sled.
    fn remove_replaced(&self, writing: &mut Writing) -> Result<(), StateError> {
        let is_unused = |run: &mut Arc<Run>| Arc::strong_count(run) == 1;
        let unused: Vec<_> = writing.replaced.extract_if(.., is_unused).collect();
        if unused.is_empty() {
            return Ok(());
        }
        let db = self.db.clone();
        database::within(move || unused.iter().try_for_each(|run| database::remove(&db, run.stored_keys().map(Ok))))
    }

    /// Syncs what was written, and then writes the manifest and, if it changes, the position, in one batch that is
    /// synced as well.
    pub(super) fn write_manifest(
        &self,
        writing: &Writing,
        runs: &[Arc<Run>],
        position: Option<CheckpointPosition>,
    ) -> Result<(), StateError> {
        let mut batch = sled::Batch::default();
        let runs = runs.iter().map(|run| run.meta().clone()).collect();
        batch.insert(MANIFEST, record::encode(&Manifest { next: writing.next, runs }));
        if let Some(position) = position {
            batch.insert(POSITION, record::encode(&position));
        }
        database::commit(&self.db, batch)
    }
}

/// `runs` with `run` in the place of `inputs`, which are consecutive.
fn replaced(runs: &[Arc<Run>], inputs: &[Arc<Run>], run: Option<Run>) -> Vec<Arc<Run>> {
    let at = runs.iter().position(|run| inputs.first().is_some_and(|first| Arc::ptr_eq(first, run))).unwrap_or(0);
    let mut runs = runs.to_vec();
    runs.splice(at..at + inputs.len(), run.map(Arc::new));
    runs
}
