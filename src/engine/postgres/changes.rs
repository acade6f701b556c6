//! The writer's view: what is committed, and above it the changes of the commit that is being decided.
//!
//! What it has read or written stays true until this daemon changes it again, or another one has committed
//! ([`Changes::forget_committed`]); a commit that failed ends that, too ([`Changes::forget`]).

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;

use crate::engine::postgres::connect::{Refusal, store_error};
use crate::engine::postgres::connection::{Connection, Values};
use crate::engine::postgres::kinds;
use crate::engine::postgres::state::{self, Unreadable};
use crate::model::error::{Outage, StoreError};
use crate::model::key::{Key, ValueKind};
use crate::model::lock::lock;
use crate::model::value;
use crate::model::view::{Pairs, View, ViewMut};
use postgres::Row;

/// How many values are remembered between commits.
const REMEMBERED_MOST: usize = 50_000;
const PREFETCH: &str = "SELECT s.kind, s.key, s.value FROM unnest($1::smallint[], $2::bytea[]) AS w (kind, key) \
                        JOIN state s USING (kind, key)";

/// The changes of a commit: new values, and `None` for removed ones.
pub(super) type Changed = BTreeMap<Key, Option<Vec<u8>>>;

#[derive(Default)]
struct Inner {
    changed: Changed,
    /// Values as committed.
    remembered: HashMap<Key, Option<Vec<u8>>>,
    /// Values to be kept as unreadable.
    aside: Pairs,
    failure: Option<StoreError>,
    /// Why the last statement failed, in words.
    refusal: Option<Refusal>,
}

/// The writer's view.
pub(super) struct Changes {
    /// `None` while the server is away.
    connection: Mutex<Option<Connection>>,
    inner: Mutex<Inner>,
    unreadable: Unreadable,
}

impl Changes {
    pub(super) fn new(connection: Connection, unreadable: Unreadable) -> Self {
        Self { connection: Mutex::new(Some(connection)), inner: Mutex::default(), unreadable }
    }

    /// Runs `work` on the connection.
    ///
    /// # Errors
    /// There is none, or the work fails.
    pub(super) fn on_connection<T>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, postgres::Error>,
    ) -> Result<T, (StoreError, Refusal)> {
        let mut connection = lock(&self.connection);
        let Some(connection) = connection.as_mut() else {
            return Err((StoreError::Unavailable(Outage::Away), Refusal("PostgreSQL is away".to_owned())));
        };
        work(connection).map_err(|error| (store_error(&error), error.into()))
    }

    /// Why a statement failed, in words, since this was last asked.
    pub(super) fn take_refusal(&self) -> Option<Refusal> {
        lock(&self.inner).refusal.take()
    }

    /// Replaces the connection.
    pub(super) fn set_connection(&self, connection: Option<Connection>) {
        *lock(&self.connection) = connection;
    }

    fn query(&self, sql: &str, values: Values<'_>) -> Result<Vec<Row>, StoreError> {
        self.on_connection(|connection| connection.query(sql, values)).map_err(|(error, refusal)| {
            lock(&self.inner).refusal = Some(refusal);
            error
        })
    }

    /// Reads values ahead, with one statement.
    pub(super) fn prefetch(&self, keys: Vec<Key>) -> Result<(), StoreError> {
        let missing: Vec<Key> = {
            let inner = lock(&self.inner);
            keys.into_iter()
                .filter(|key| !inner.remembered.contains_key(key) && !inner.changed.contains_key(key))
                .collect()
        };
        if missing.is_empty() {
            return Ok(());
        }
        let numbers: Vec<i16> = missing.iter().map(|key| kinds::value_kind(key.kind())).collect();
        let rests: Vec<&[u8]> = missing.iter().map(Key::rest).collect();
        let rows = self.query(PREFETCH, &[&numbers, &rests])?;
        let found = rows.into_iter().filter_map(|row| Some((kinds::of_number(row.get(0))?, row.get(1), row.get(2))));
        let mut inner = lock(&self.inner);
        remember(&mut inner.remembered, missing, found.map(|(kind, rest, value)| (Key::new(kind, rest), value)));
        Ok(())
    }

    /// Sets aside what readers could not decode and is still unreadable.
    pub(super) fn repair(&self) -> Result<(), StoreError> {
        let noted = std::mem::take(&mut *lock(&self.unreadable));
        for (key, instead) in noted {
            let Some(found) = self.get(&key)? else { continue };
            if key.kind().is_derived() && !value::is_readable(&key, &found) {
                lock(&self.inner).aside.push((key.clone(), found));
                match instead {
                    Some(instead) => self.put(key, instead),
                    None => self.remove(key),
                }
            }
        }
        Ok(())
    }

    /// Whether all records were fully applied.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        lock(&self.inner).failure.clone().map_or(Ok(()), Err)
    }

    /// What is to be committed: the changes, and the values set aside.
    pub(super) fn pending(&self) -> (Changed, Pairs) {
        let inner = lock(&self.inner);
        (inner.changed.clone(), inner.aside.clone())
    }

    /// The changes are committed.
    pub(super) fn committed(&self) {
        let mut inner = lock(&self.inner);
        if inner.remembered.len() > REMEMBERED_MOST {
            inner.remembered.clear();
        }
        let changed = std::mem::take(&mut inner.changed);
        inner.remembered.extend(changed);
        inner.aside.clear();
    }

    /// Forgets what was committed: another daemon has committed since.
    pub(super) fn forget_committed(&self) {
        lock(&self.inner).remembered.clear();
    }

    /// Forgets everything: what is committed must be read anew.
    pub(super) fn forget(&self) {
        *lock(&self.inner) = Inner::default();
    }

    fn known(&self, key: &Key) -> Option<Option<Vec<u8>>> {
        let inner = lock(&self.inner);
        inner.changed.get(key).or_else(|| inner.remembered.get(key)).cloned()
    }

    /// The changes of keys for which `inside` holds.
    fn changed(&self, inside: impl Fn(&Key) -> bool) -> Changed {
        let inner = lock(&self.inner);
        let inside = inner.changed.iter().filter(|(key, _)| inside(key));
        inside.map(|(key, value)| (key.clone(), value.clone())).collect()
    }
}

/// Remembers the values that were `found` of those that were asked for: the others do not exist.
fn remember(
    remembered: &mut HashMap<Key, Option<Vec<u8>>>,
    asked: Vec<Key>,
    found: impl Iterator<Item = (Key, Vec<u8>)>,
) {
    // A key may have been asked for twice.
    remembered.extend(asked.into_iter().map(|key| (key, None)));
    remembered.extend(found.map(|(key, value)| (key, Some(value))));
}

/// Up to `most` pairs of a range, in the order of `read`: those stored, of which `read` gives a number from the beginning
/// of the range, with the changes within the range laid over them.
fn laid_over(
    changed: &Changed,
    most: usize,
    descending: bool,
    read: impl FnOnce(usize) -> Result<Pairs, StoreError>,
) -> Result<Pairs, StoreError> {
    // As many more as changes may remove.
    let wanted = most.saturating_add(changed.values().filter(|value| value.is_none()).count());
    let stored = read(wanted)?;
    // Nothing is known of what is stored behind the last one, if there may be more.
    let last = stored.last().filter(|_| stored.len() == wanted).map(|(key, _)| key.clone());
    let is_known = |key: &Key| last.as_ref().is_none_or(|last| if descending { key >= last } else { key <= last });
    let mut all: Changed = stored.into_iter().map(|(key, value)| (key, Some(value))).collect();
    all.extend(changed.iter().filter(|(key, _)| is_known(key)).map(|(key, value)| (key.clone(), value.clone())));
    let left = all.into_iter().filter_map(|(key, value)| Some((key, value?)));
    Ok(if descending { left.rev().take(most).collect() } else { left.take(most).collect() })
}

impl View for Changes {
    fn get(&self, key: &Key) -> Result<Option<Vec<u8>>, StoreError> {
        if let Some(known) = self.known(key) {
            return Ok(known);
        }
        let found = state::get(&mut |sql, values| self.query(sql, values), key)?;
        lock(&self.inner).remembered.insert(key.clone(), found.clone());
        Ok(found)
    }

    fn scan(&self, prefix: &Key, after: Option<&Key>, most: usize) -> Result<Pairs, StoreError> {
        let begins = |key: &Key| key.kind() == prefix.kind() && key.rest().starts_with(prefix.rest());
        let changed = self.changed(|key| begins(key) && after.is_none_or(|after| key > after));
        laid_over(&changed, most, false, |most| {
            state::scan(&mut |sql, values| self.query(sql, values), prefix, after, most)
        })
    }

    fn scan_down(&self, prefix: &Key, below: &Key, most: usize) -> Result<Pairs, StoreError> {
        let changed = self.changed(|key| key >= prefix && key < below);
        laid_over(&changed, most, true, |most| {
            state::scan_down(&mut |sql, values| self.query(sql, values), prefix, below, most)
        })
    }

    fn wait_until_logged(&self) {}

    fn note_unreadable(&self, key: &Key, instead: Option<Vec<u8>>) {
        state::note_unreadable(&self.unreadable, key, instead);
    }
}

impl ViewMut for Changes {
    fn put(&self, key: Key, value: Vec<u8>) {
        lock(&self.inner).changed.insert(key, Some(value));
    }

    fn put_new(&self, key: Key, value: Vec<u8>) {
        self.put(key, value);
    }

    fn remove(&self, key: Key) {
        lock(&self.inner).changed.insert(key, None);
    }

    fn put_pieces(&self, key: &Key, value: &[u8], most: u8) {
        // A value may have any length here: there is one piece, or none.
        let first = key.clone().with(&[0]);
        if value.is_empty() || most == 0 {
            self.remove(first);
        } else {
            self.put(first, value.to_vec());
        }
    }

    fn is_live(&self) -> bool {
        true
    }

    fn set_aside(&self, key: &Key, value: Vec<u8>) {
        tracing::error!("the table `state` has {} that cannot be read: it is set aside", key.kind().name());
        lock(&self.inner).aside.push((key.clone(), value));
        self.remove(key.clone());
    }

    fn noted(&self, kind: ValueKind) -> Vec<Key> {
        lock(&self.unreadable).keys().filter(|key| key.kind() == kind).cloned().collect()
    }

    fn note_failure(&self, error: StoreError) {
        lock(&self.inner).failure.get_or_insert(error);
    }

    fn gathered(&self) -> usize {
        0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(byte: u8) -> Key {
        Key::new(ValueKind::Owed, vec![byte])
    }

    #[test]
    fn a_value_that_two_commands_look_at_is_found_for_both() {
        let mut remembered = HashMap::new();
        remember(&mut remembered, vec![key(1), key(2), key(1)], [(key(1), vec![7])].into_iter());
        assert_eq!(remembered, HashMap::from([(key(1), Some(vec![7])), (key(2), None)]));
    }

    proptest! {
        #[test]
        fn what_is_read_is_what_would_be_there_after_the_commit(
            stored in proptest::collection::btree_set(0u8..40, 0..30),
            changes in proptest::collection::btree_map(0u8..40, proptest::option::of(100u8..200), 0..30),
            most in 0usize..20,
            descending: bool,
        ) {
            let changed: Changed = changes.into_iter().map(|(byte, value)| (key(byte), value.map(|value| vec![value]))).collect();
            let pair = |byte: &u8| (key(*byte), vec![*byte]);
            let read = |most: usize| -> Result<Pairs, StoreError> {
                let all = stored.iter().map(pair);
                Ok(if descending { all.rev().take(most).collect() } else { all.take(most).collect() })
            };
            let mut after: BTreeMap<Key, Vec<u8>> = stored.iter().map(pair).collect();
            for (key, value) in &changed {
                match value {
                    Some(value) => drop(after.insert(key.clone(), value.clone())),
                    None => drop(after.remove(key)),
                }
            }
            let wanted: Pairs = match descending {
                true => after.into_iter().rev().take(most).collect(),
                false => after.into_iter().take(most).collect(),
            };
            prop_assert_eq!(laid_over(&changed, most, descending, read).unwrap(), wanted);
        }
    }
}
