//! Plain pairs: values under their own keys in sled, as versions without runs wrote them, and as a restore writes them.
//!
//! They are put into a run when the database is opened. Nothing else reads or writes them.

use std::ops::Bound;
use std::sync::Arc;

use crate::engine::embedded::kv::Kv;
use crate::engine::embedded::kv::database;
use crate::engine::embedded::kv::filter::is_filtered;
use crate::engine::embedded::kv::memtable::Pair;
use crate::engine::embedded::kv::stored_key::{OPENED, OWN_KEYS_END, POSITION};
use crate::model::error::StateError;

impl Kv {
    /// Puts plain pairs into a run if there is no manifest yet (`is_new`). With one, an earlier open did so and was
    /// interrupted while it removed them. Pairs of the engine itself stay.
    pub(super) fn take_over_plain(&self, is_new: bool) -> Result<(), StateError> {
        if is_new {
            let filtered = plain(&self.db).filter(|pair| pair.as_ref().is_ok_and(|(key, _)| is_filtered(key)));
            let filtered = filtered.count() as u64;
            let mut writing = self.writing();
            let run = self.write_run(&mut writing, filtered, plain(&self.db))?;
            let runs: Vec<_> = run.into_iter().map(Arc::new).collect();
            self.write_manifest(&writing, &runs, None)?;
            self.layers_mut().runs = Arc::new(runs);
        }
        if plain(&self.db).next().is_none() {
            return Ok(());
        }
        let keys = plain(&self.db).map(|pair| pair.map(|(key, _)| key));
        database::remove(&self.db, keys)?;
        let db = self.db.clone();
        database::within(move || Ok(db.flush().map(drop)?))
    }
}

/// The plain pairs, ascending.
fn plain(db: &sled::Db) -> impl Iterator<Item = Result<Pair, StateError>> + use<> {
    let all = db.range::<&[u8], _>((Bound::Included(OWN_KEYS_END), Bound::Unbounded));
    let all = all.map(|pair| pair.map(|(key, value)| (key.to_vec(), Some(value.to_vec()))).map_err(StateError::from));
    all.filter(|pair| pair.as_ref().map_or(true, |(key, _)| ![POSITION, OPENED].contains(&key.as_slice())))
}
