//! The manifest: which runs the state consists of. It is one value in sled, so that a checkpoint or a merge takes effect
//! as a whole. And the forms in which it and what runs have beside their blocks are stored.

use bincode::{Decode, Encode};

use crate::engine::embedded::kv::database;
use crate::engine::embedded::kv::stored_key::{BLOCKS, INDEXES, MANIFEST, OWN_KEYS_END, run_of};
use crate::model::error::StateError;
use crate::model::record;

/// What the manifest says of a run.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(super) struct Meta {
    /// Its number; no other run has had it.
    pub(super) id: u64,
    /// How often its keys have been merged.
    pub(super) level: u32,
    /// How many keys it has, and how many of them are removed ones.
    pub(super) keys: u64,
    pub(super) removed: u64,
    /// How many of them are in its filter.
    pub(super) filtered: u64,
    /// How many values in sled its blocks take, and how many its index takes.
    pub(super) blocks: u32,
    pub(super) index: u32,
}

/// The index of a run, stored in pieces: the first key of each block, the number of its first value, the filter.
#[derive(Encode, Decode)]
pub(super) struct Index {
    pub(super) firsts: Vec<Vec<u8>>,
    pub(super) begins: Vec<u32>,
    pub(super) filter: Vec<u8>,
}

/// The manifest as stored.
#[derive(Debug, Default, PartialEq, Eq, Encode, Decode)]
pub(super) struct Manifest {
    /// The number of the next run.
    pub(super) next: u64,
    /// The newest first: what it says of a key hides what those behind it say.
    pub(super) runs: Vec<Meta>,
}

impl Manifest {
    /// The manifest in sled; `None` in a database of a version without runs, or an empty one.
    pub(super) fn read(db: &sled::Db) -> Result<Option<Self>, StateError> {
        let Some(value) = db.get(MANIFEST)? else { return Ok(None) };
        record::decode(&value).map(Some).ok_or_else(|| StateError::unreadable("a list of its runs"))
    }

    /// Removes from sled what belongs to no run, left by a checkpoint or a merge that was interrupted.
    pub(super) fn remove_leftovers(&self, db: &sled::Db) -> Result<(), StateError> {
        for of in [BLOCKS, INDEXES] {
            let mut next = [of, 0u64.to_be_bytes().as_slice()].concat();
            while let Some((key, _)) = db.range(next..OWN_KEYS_END.to_vec()).next().transpose()? {
                let Some(id) = run_of(of, &key) else { break };
                let prefix = [of, id.to_be_bytes().as_slice()].concat();
                if self.runs.iter().all(|run| run.id != id) {
                    database::remove(db, db.scan_prefix(&prefix).keys().map(|key| key.map_err(StateError::from)))?;
                }
                next = [of, (id + 1).to_be_bytes().as_slice()].concat();
            }
        }
        Ok(())
    }
}
