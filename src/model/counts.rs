//! How many deliveries stand where, by subscription, kept over restarts, so that opening does not
//! have to look at all that is owed.
//!
//! The counts as of a checkpoint are written in the same batch as how far it is. What the journal has
//! beyond it moves them on, by what each of its records says of where the delivery stood before: the
//! state itself cannot tell, for a checkpoint that was cut short may have brought it further already.
//! Where there are no good counts (more changed at once than fit into a batch) all is counted anew.

use std::sync::Mutex;

use crate::model::error::StoreError;
use crate::model::keys;
use crate::model::lock::lock;
use crate::model::record::{self, CountsRecord};
use crate::model::registry::Registry;
use crate::model::standing::Counts;
use crate::model::view::{Pairs, ViewMut};

/// How many counts are written with a checkpoint.
const WRITTEN_MOST: usize = 3_000;
/// How many deliveries are looked at in one go.
const PAGE: usize = 1_000;

/// The counts that have changed, to be written together with how far a checkpoint is.
pub(crate) fn changed(registry: &Mutex<Registry>) -> Pairs {
    let mut registry = lock(registry);
    let changed = registry.changed_counts();
    if changed.len() > WRITTEN_MOST {
        return vec![(keys::COUNTED.to_vec(), vec![0])];
    }
    let mut with: Pairs = changed.map(|(number, counts)| entry(number, counts)).collect();
    with.push((keys::COUNTED.to_vec(), vec![1]));
    registry.counts_written();
    with
}

fn entry(number: u32, counts: Counts) -> (Vec<u8>, Vec<u8>) {
    (keys::counts(number), record::versioned(&CountsRecord::from(counts)))
}

/// Reads the counts as of the last checkpoint; says whether they are good.
pub(crate) fn read(view: &dyn ViewMut, registry: &Mutex<Registry>) -> Result<bool, StoreError> {
    if view.get(keys::COUNTED)? != Some(vec![1]) {
        return Ok(false);
    }
    let mut registry = lock(registry);
    let numbers: Vec<u32> = registry.all_counts().map(|(number, _)| number).collect();
    for number in numbers {
        let Some(value) = view.get(&keys::counts(number))? else { continue };
        let Some(record) = record::unversioned::<CountsRecord>(&value) else {
            view.note_unreadable(&keys::counts(number), None);
            return Ok(false);
        };
        registry.set_counts(number, record.into());
    }
    Ok(true)
}

/// Counts what is owed and the dead letters anew. The result goes to the disk before it is said to
/// be good.
pub(crate) fn count(view: &dyn ViewMut, registry: &Mutex<Registry>) -> Result<(), StoreError> {
    let mut registry = lock(registry);
    registry.reset_counts();
    for prefix in [keys::OWED, keys::DEAD] {
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = view.scan(&[prefix], after.as_deref(), PAGE)?;
            let Some((last, _)) = page.last() else { break };
            after = Some(last.clone());
            for (key, value) in &page {
                let unreadable = || StoreError::corrupt_state("has a delivery that cannot be read");
                let standing = record::delivery_of(value).ok_or_else(unreadable)?.state;
                registry.moved(keys::number_in(key).unwrap_or(0), None, Some(standing));
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
