//! What is done with sled itself: writing pairs and removing keys, within a time limit.
//!
//! Knows nothing of what they mean.

use crate::engine::embedded::deadline;
use crate::model::error::StateError;

/// How often the garbage collector is invoked after a batch. Each call frees up to 512 unused pages; a batch leaves
/// some thousands.
const COLLECTIONS: usize = 16;

/// How many keys are removed at once.
const REMOVED_AT_ONCE: usize = 4_096;

/// Stored keys with their values.
pub(crate) type StoredPairs = Vec<(Vec<u8>, Vec<u8>)>;

impl From<sled::Error> for StateError {
    fn from(error: sled::Error) -> Self {
        match error {
            sled::Error::Corruption { .. } => Self::Corrupt(format!("is damaged: {error}")),
            _ => Self::Failed(error.to_string()),
        }
    }
}

/// Writes pairs without syncing them.
pub(super) fn write(db: &sled::Db, pairs: StoredPairs) -> Result<(), StateError> {
    let db = db.clone();
    within(move || {
        for (key, value) in pairs {
            db.insert(key, value)?;
        }
        free_old_pages();
        Ok(())
    })
}

/// Syncs what was written before, then writes a batch and syncs it.
pub(super) fn commit(db: &sled::Db, batch: sled::Batch) -> Result<(), StateError> {
    let db = db.clone();
    within(move || {
        db.flush()?;
        db.apply_batch(batch)?;
        db.flush()?;
        free_old_pages();
        Ok(())
    })
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
        free_old_pages();
    }
    Ok(())
}

/// Runs work on sled, for a limited time.
pub(super) fn within(work: impl FnOnce() -> Result<(), StateError> + Send + 'static) -> Result<(), StateError> {
    deadline::within(deadline::WRITE_LIMIT, work).map_err(StateError::Failed)?
}

/// Frees pages that sled no longer needs.
///
/// Each change in sled leaves an old page to the collector of crossbeam-epoch, which frees some of them in every 128th
/// use of sled by a thread. A batch is one use, however many changes it has, and each is written by a new thread: at
/// 7,500 events a second old pages accumulated faster than they were freed, and took 300 MiB after a minute.
fn free_old_pages() {
    for _ in 0..COLLECTIONS {
        crossbeam_epoch::pin().flush();
    }
}
