//! Deliveries by state for each subscription, persisted so that opening does not have to read every pending delivery.
//!
//! The counts as of a checkpoint are written in the same batch as its position. Replaying the log beyond it updates
//! them by the previous state that each record holds: the view itself cannot tell, since an interrupted checkpoint may
//! have advanced it already. Without valid counts (more changed at once than fit into a batch) everything is recounted.

use std::sync::Mutex;

use crate::core::id::SubscriptionNumber;
use crate::model::error::StoreError;
use crate::model::health::Counts;
use crate::model::key::{Key, ValueKind};
use crate::model::keys;
use crate::model::lock::lock;
use crate::model::record::{self, CountsRecord};
use crate::model::registry::Registry;
use crate::model::view::{Pairs, ViewMut};

/// The maximum number of counts written with a checkpoint.
pub(crate) const WRITTEN_MOST: usize = 3_000;
/// How many deliveries are read per scan.
const PAGE: usize = 1_000;

/// The changed counts, at most `most` of them, to be written together with the checkpoint position.
pub(crate) fn changed(registry: &Mutex<Registry>, most: usize) -> Pairs {
    let mut registry = lock(registry);
    let changed = registry.changed_counts();
    if changed.len() > most {
        return vec![(Key::all(ValueKind::Counted), vec![0])];
    }
    let mut with: Pairs = changed.map(|(number, counts)| entry(number, counts)).collect();
    with.push((Key::all(ValueKind::Counted), vec![1]));
    registry.counts_written();
    with
}

/// All counts, valid.
#[cfg(feature = "postgres")]
pub(crate) fn all(registry: &Mutex<Registry>) -> Pairs {
    let mut all: Pairs = lock(registry).all_counts().map(|(number, counts)| entry(number, counts)).collect();
    all.push((Key::all(ValueKind::Counted), vec![1]));
    all
}

fn entry(number: SubscriptionNumber, counts: Counts) -> (Key, Vec<u8>) {
    (keys::counts(number), record::versioned(&CountsRecord::from(counts)))
}

/// The counts in a stored value; `None` if it cannot be read.
pub(crate) fn decode(value: &[u8]) -> Option<Counts> {
    record::unversioned::<CountsRecord>(value).map(Into::into)
}

/// Loads the counts as of the last checkpoint; returns whether they are valid.
pub(crate) fn read(view: &dyn ViewMut, registry: &Mutex<Registry>) -> Result<bool, StoreError> {
    if view.get(&Key::all(ValueKind::Counted))? != Some(vec![1]) {
        return Ok(false);
    }
    let mut registry = lock(registry);
    for (key, value) in view.scan(&Key::all(ValueKind::Counts), None, usize::MAX)? {
        let Some(counts) = decode(&value) else {
            view.note_unreadable(&key, None);
            return Ok(false);
        };
        registry.set_counts(keys::number_in(&key).unwrap_or_default(), counts);
    }
    Ok(true)
}

/// Recounts pending deliveries and dead letters. The result is persisted before it is marked valid.
pub(crate) fn count(view: &dyn ViewMut, registry: &Mutex<Registry>) -> Result<(), StoreError> {
    let mut registry = lock(registry);
    registry.reset_counts();
    for kind in [ValueKind::Owed, ValueKind::Dead] {
        let mut after: Option<Key> = None;
        loop {
            let page = view.scan(&Key::all(kind), after.as_ref(), PAGE)?;
            let Some((last, _)) = page.last() else { break };
            after = Some(last.clone());
            for (key, value) in &page {
                let unreadable = || StoreError::corrupt_state("has a delivery that cannot be read");
                let state = record::delivery_of(value).ok_or_else(unreadable)?.state;
                registry.moved(keys::number_in(key).unwrap_or_default(), None, Some(state));
            }
        }
    }
    for (number, counts) in registry.all_counts() {
        let (key, value) = entry(number, counts);
        view.put(key, value);
    }
    registry.counts_written();
    Ok(())
}
