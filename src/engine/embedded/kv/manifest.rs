//! The manifest: which runs the state consists of. It is one value in sled, so that a checkpoint or a merge takes effect
//! as a whole.

use std::sync::Arc;

use bincode::{Decode, Encode};

use crate::engine::embedded::kv::run::{Meta, Run};
use crate::engine::embedded::kv::stored_key::{BLOCKS, INDEXES, MANIFEST, OWN_KEYS_END, run_of};
use crate::model::error::StateError;
use crate::model::record;

/// How many keys are removed from sled at once.
const REMOVED_AT_ONCE: usize = 4_096;

/// The runs, the newest first: what it says of a key hides what those behind it say.
pub(super) type Runs = Arc<Vec<Arc<Run>>>;

/// The manifest as stored.
#[derive(Debug, Default, PartialEq, Eq, Encode, Decode)]
pub(super) struct Manifest {
    /// The number of the next run.
    pub(super) next: u64,
    /// As [`Runs`].
    pub(super) runs: Vec<Meta>,
}

impl Manifest {
    /// The manifest of these runs.
    pub(super) fn of(next: u64, runs: &[Arc<Run>]) -> Self {
        Self { next, runs: runs.iter().map(|run| run.meta().clone()).collect() }
    }

    /// The manifest in sled; `None` in a database of a version without runs, or an empty one.
    pub(super) fn read(db: &sled::Db) -> Result<Option<Self>, StateError> {
        let Some(value) = db.get(MANIFEST)? else { return Ok(None) };
        record::decode(&value).map(Some).ok_or_else(|| StateError::unreadable("a list of its runs"))
    }

    /// The runs.
    pub(super) fn open(&self, db: &sled::Db) -> Result<Runs, StateError> {
        let runs = self.runs.iter().map(|meta| Run::open(db, meta.clone()).map(Arc::new));
        Ok(Arc::new(runs.collect::<Result<_, _>>()?))
    }

    /// Removes from sled what belongs to no run, left by a checkpoint or a merge that was interrupted.
    pub(super) fn remove_leftovers(&self, db: &sled::Db) -> Result<(), StateError> {
        for of in [BLOCKS, INDEXES] {
            let mut next = [of, 0u64.to_be_bytes().as_slice()].concat();
            while let Some((key, _)) = db.range(next..OWN_KEYS_END.to_vec()).next().transpose()? {
                let Some(id) = run_of(of, &key) else { break };
                let prefix = [of, id.to_be_bytes().as_slice()].concat();
                if self.runs.iter().all(|run| run.id != id) {
                    remove(db, db.scan_prefix(&prefix).keys().map(|key| key.map_err(StateError::from)))?;
                }
                next = [of, (id + 1).to_be_bytes().as_slice()].concat();
            }
        }
        Ok(())
    }
}

/// Removes keys from sled.
pub(super) fn remove<K: AsRef<[u8]>>(
    db: &sled::Db,
    keys: impl Iterator<Item = Result<K, StateError>>,
) -> Result<(), StateError> {
    let mut keys = keys.peekable();
    while keys.peek().is_some() {
        for key in keys.by_ref().take(REMOVED_AT_ONCE) {
            db.remove(key?.as_ref())?;
        }
        super::free_old_pages();
    }
    Ok(())
}
