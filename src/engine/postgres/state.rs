//! The view: a table of keys with values.
//!
//! [`Reader`] reads what is committed, on any thread; [`changes`](super::changes) is the view of the writer.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use postgres::Row;

use crate::engine::postgres::connection::{Pool, Values};
use crate::engine::postgres::kinds;
use crate::model::error::StoreError;
use crate::model::key::Key;
use crate::model::lock::lock;
use crate::model::view::{Pairs, View};

/// Reads one value.
const GET: &str = "SELECT value FROM state WHERE kind = $1 AND key = $2";
const SCAN: &str = "SELECT key, value FROM state WHERE kind = $1 AND key >= $2 AND ($3::bytea IS NULL OR key < $3) \
                    ORDER BY key LIMIT $4";
const SCAN_DOWN: &str =
    "SELECT key, value FROM state WHERE kind = $1 AND key >= $2 AND key < $3 ORDER BY key DESC LIMIT $4";

/// Runs a statement.
pub(super) type Query<'q> = &'q mut dyn FnMut(&str, Values<'_>) -> Result<Vec<Row>, StoreError>;

/// The first key behind all that begin with `prefix`; `None` if there is none.
fn behind(prefix: &[u8]) -> Option<Vec<u8>> {
    let kept = prefix.iter().rposition(|byte| *byte < u8::MAX)?;
    let mut end = prefix[..=kept].to_vec();
    end[kept] += 1;
    Some(end)
}

fn most_of(most: usize) -> i64 {
    i64::try_from(most).unwrap_or(i64::MAX)
}

fn pairs(prefix: &Key, rows: Vec<Row>) -> Pairs {
    rows.into_iter().map(|row| (Key::new(prefix.kind(), row.get(0)), row.get(1))).collect()
}

/// As [`View::get`].
pub(super) fn get(query: Query<'_>, key: &Key) -> Result<Option<Vec<u8>>, StoreError> {
    let rows = query(GET, &[&kinds::value_kind(key.kind()), &key.rest()])?;
    Ok(rows.first().map(|row| row.get(0)))
}

/// As [`View::scan`].
pub(super) fn scan(query: Query<'_>, prefix: &Key, after: Option<&Key>, most: usize) -> Result<Pairs, StoreError> {
    // The first key that follows another is that one and a zero byte.
    let from = after.map_or_else(|| prefix.rest().to_vec(), |after| [after.rest(), &[0]].concat());
    let rows = query(SCAN, &[&kinds::value_kind(prefix.kind()), &from, &behind(prefix.rest()), &most_of(most)])?;
    Ok(pairs(prefix, rows))
}

/// As [`View::scan_down`].
pub(super) fn scan_down(query: Query<'_>, prefix: &Key, below: &Key, most: usize) -> Result<Pairs, StoreError> {
    let values: Values<'_> = &[&kinds::value_kind(prefix.kind()), &prefix.rest(), &below.rest(), &most_of(most)];
    Ok(pairs(prefix, query(SCAN_DOWN, values)?))
}

/// Derived values that a reader could not decode, with their replacements, for the writer to set aside.
pub(super) type Unreadable = Arc<Mutex<BTreeMap<Key, Option<Vec<u8>>>>>;

/// How many such values are kept at a time.
const UNREADABLE_MOST: usize = 1_000;

/// Records an unreadable value.
pub(super) fn note_unreadable(unreadable: &Unreadable, key: &Key, instead: Option<Vec<u8>>) {
    let mut unreadable = lock(unreadable);
    if unreadable.len() < UNREADABLE_MOST && !unreadable.contains_key(key) {
        let then = if instead.is_some() { "it was rebuilt" } else { "it is left out" };
        tracing::error!("the table `state` has {} that cannot be read: {then}", key.kind().name());
        unreadable.insert(key.clone(), instead);
    }
}

/// The view as committed.
pub(super) struct Reader {
    pub(super) pool: Arc<Pool>,
    pub(super) unreadable: Unreadable,
}

impl View for Reader {
    fn get(&self, key: &Key) -> Result<Option<Vec<u8>>, StoreError> {
        get(&mut |sql, values| self.pool.query(sql, values), key)
    }

    fn scan(&self, prefix: &Key, after: Option<&Key>, most: usize) -> Result<Pairs, StoreError> {
        scan(&mut |sql, values| self.pool.query(sql, values), prefix, after, most)
    }

    fn scan_down(&self, prefix: &Key, below: &Key, most: usize) -> Result<Pairs, StoreError> {
        scan_down(&mut |sql, values| self.pool.query(sql, values), prefix, below, most)
    }

    fn wait_until_logged(&self) {
        // The view and the log are of one commit.
    }

    fn note_unreadable(&self, key: &Key, instead: Option<Vec<u8>>) {
        note_unreadable(&self.unreadable, key, instead);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_prefix_is_above_all_that_begin_with_it() {
        assert_eq!(behind(b"ab"), Some(b"ac".to_vec()));
        assert_eq!(behind(&[1, 0xFF, 0xFF]), Some(vec![2]));
        assert_eq!(behind(&[0xFF]), None);
        assert_eq!(behind(&[]), None);
    }
}
