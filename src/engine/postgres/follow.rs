//! Taking over what other daemons have committed.
//!
//! A commit says which values it has changed that others have in memory. All that are new are read in one statement, so
//! they are of one moment, and memory is then as of the last commit of that moment.

use postgres::Row;

use crate::engine::postgres::commit::Position;
use crate::engine::postgres::connection::Connection;
use crate::engine::postgres::id::Id;
use crate::engine::postgres::kinds;
use crate::model::key::Key;

const NEWS: &str = "
WITH new AS MATERIALIZED (SELECT members, kinds, keys FROM commits WHERE batch > $1),
changed AS (SELECT DISTINCT c.kind, c.key FROM new, unnest(new.kinds, new.keys) AS c (kind, key))
SELECT s.batch, s.last_id, s.next_number, (SELECT count(*) FROM new),
    (SELECT coalesce(bool_or(members), false) FROM new), c.kind, c.key, v.value, s.needs
FROM store s LEFT JOIN changed c ON true LEFT JOIN state v ON v.kind = c.kind AND v.key = c.key";

/// What other daemons have committed.
#[derive(Debug)]
pub(super) struct News {
    /// As of which commit.
    pub(super) position: Position,
    /// Whether all commits since are known; otherwise everything must be read anew.
    pub(super) complete: bool,
    /// Whether daemons have joined or left, or shards have changed hands.
    pub(super) members: bool,
    /// The changed values, as they are now.
    pub(super) changed: Vec<(Key, Option<Vec<u8>>)>,
}

/// Reads what was committed after the commit `since`; `None` if nothing was.
pub(super) fn news(connection: &mut Connection, since: i64) -> Result<Option<News>, postgres::Error> {
    let rows = connection.query(NEWS, &[&since])?;
    let Some(first) = rows.first() else { return Ok(None) };
    let position = Position {
        batch: first.get(0),
        last_id: first.get::<_, Id>(1).0,
        next_number: u32::try_from(first.get::<_, i64>(2)).unwrap_or(u32::MAX),
        needs: first.get(8),
    };
    if position.batch == since {
        return Ok(None);
    }
    let complete = position.batch.checked_sub(since) == Some(first.get(3));
    let change = |row: &Row| {
        let kind = kinds::of_number(row.get::<_, Option<i16>>(5)?)?;
        Some((Key::new(kind, row.get::<_, Option<Vec<u8>>>(6)?), row.get(7)))
    };
    let changed = rows.iter().filter_map(change).collect();
    Ok(Some(News { position, complete, members: first.get(4), changed }))
}
