//! Removing the entries of the audit that are old enough, with their places under terms.

use crate::core::time::Timestamp;
use crate::model::error::StoreError;
use crate::model::key::{Key, ValueKind};
use crate::model::keys;
use crate::model::query::lowest_id;
use crate::model::record::{AuditRecord, unversioned};
use crate::model::view::ViewMut;

/// How many entries expire at a time.
const EXPIRED_AT_ONCE: usize = 512;

/// Until when no entry expires.
#[derive(Debug, Default)]
pub(crate) struct AuditExpiry {
    /// No entry has an id below.
    none_below: u128,
}

impl AuditExpiry {
    /// Removes some of the entries from before `over`.
    ///
    /// # Errors
    /// The view cannot be read.
    pub(crate) fn advance(&mut self, view: &dyn ViewMut, over: Timestamp, now: Timestamp) -> Result<(), StoreError> {
        let min = lowest_id(Some(over));
        if min <= self.none_below {
            return Ok(());
        }
        let found = view.scan(&Key::all(ValueKind::Audit), None, EXPIRED_AT_ONCE)?;
        let complete = found.len() < EXPIRED_AT_ONCE;
        let mut oldest = None;
        for (key, value) in found {
            let Some(id) = keys::audit_in(&key) else { continue };
            if id >= min {
                oldest = Some(id);
                break;
            }
            // What is unreadable is removed as well; its places lead nowhere.
            for term in unversioned::<AuditRecord>(&value).map(|record| record.places()).unwrap_or_default() {
                view.remove(keys::audit_term(term).with(&id.to_be_bytes()));
            }
            view.remove(key);
        }
        if let Some(oldest) = oldest.or_else(|| complete.then(|| lowest_id(Some(now)))) {
            self.none_below = oldest;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::core::audit::{Action, Deed};
    use crate::model::audit::{note, page};
    use crate::model::filter::AuditFilter;
    use crate::model::in_memory::{InMemory, anyone};

    #[test]
    fn what_has_expired_leaves_nothing_behind() {
        let mut engine = InMemory::new();
        let make = |engine: &mut InMemory| {
            engine.now = engine.now.plus(Duration::from_secs(60));
            engine.decide(|turn| note(turn, &anyone(), Deed::new(Action::BackupTake, None, None)));
        };
        (0..5).for_each(|_| make(&mut engine));
        let all = |engine: &InMemory| page(&engine.view, &AuditFilter::default(), None, 500).unwrap().items;
        let mut expiry = AuditExpiry::default();
        let (now, newest) = (engine.now, all(&engine));
        expiry.advance(&engine.view, newest[2].at, now).unwrap();
        assert_eq!(all(&engine), newest[..3]);
        make(&mut engine);
        expiry.advance(&engine.view, engine.now.plus(Duration::from_secs(1)), engine.now).unwrap();
        let left = engine.view.all();
        let left: Vec<_> =
            left.keys().filter(|key| [ValueKind::Audit, ValueKind::AuditTerm].contains(&key.kind())).collect();
        assert_eq!(left, Vec::<&Key>::new());
    }
}
