//! The partitions of the log: one for each table and day, dropped as a whole, which costs no vacuum.
//!
//! What is of no day's partition is in that of the rest, so that nothing is refused if a clock was wrong. Such a default
//! partition excludes `DETACH … CONCURRENTLY` (`ALTER TABLE` in PostgreSQL's manual). Partitions are attached and
//! detached at once instead, and only if nobody reads for long at that moment (as pg_dump does): otherwise it is tried
//! again a minute later. A detached table is dropped after that, when nobody else can wait for it.

use std::ops::Range;

use postgres::Row;
use postgres::error::SqlState;

use crate::core::time::Timestamp;
use crate::engine::postgres::connect::describe;
use crate::engine::postgres::connection::{Connection, Pool};
use crate::model::error::StoreError;

/// A day in milliseconds.
const DAY: u64 = 86_400_000;
/// For how many days partitions are made ahead.
const AHEAD: u64 = 3;
/// A statement that waits for its lock holds up all that come after it.
const BRIEFLY: &str = "SET LOCAL lock_timeout = '100ms'";
/// The partitioned tables.
const TABLES: [&str; 3] = ["events", "log_entries", "messages"];

/// A partition of a day.
pub(super) struct Partition {
    pub(super) name: String,
    table: String,
    /// The first id behind it.
    pub(super) end: u128,
    pub(super) bytes: u64,
}

/// The first id of a day, counted from 1970.
const fn first_id(day: u64) -> u128 {
    ((day * DAY) as u128) << 80
}

fn uuid(id: u128) -> String {
    format!("{id:032x}")
}

/// The name of a table's partition of a day.
fn partition(table: &str, day: u64) -> String {
    let date = Timestamp::from_millis(day * DAY).to_string();
    format!("{table}_{}", date[..10].replace('-', ""))
}

/// Makes the partitions of today and the next days that are missing. One that cannot be made at present is made later: until
/// then its records are in that of the rest.
///
/// # Errors
/// The server's.
pub(super) fn make(connection: &mut Connection, now: Timestamp) -> Result<(), postgres::Error> {
    let today = now.millis() / DAY;
    make_days(connection, today.saturating_sub(1)..today + AHEAD)
}

/// Makes the partitions of a day that are missing, counted from 1970.
///
/// # Errors
/// The server's.
pub(super) fn make_day(connection: &mut Connection, day: u64) -> Result<(), postgres::Error> {
    make_days(connection, day..day + 1)
}

/// The day of an id.
pub(super) fn day_of(id: u128) -> u64 {
    u64::try_from(id >> 80).unwrap_or(u64::MAX) / DAY
}

fn make_days(connection: &mut Connection, days: Range<u64>) -> Result<(), postgres::Error> {
    let wanted: Vec<(String, &str, u64)> =
        days.flat_map(|day| TABLES.map(|table| (partition(table, day), table, day))).collect();
    // Even `IF NOT EXISTS` would wait for whoever reads.
    let names: Vec<&str> = wanted.iter().map(|(name, ..)| name.as_str()).collect();
    let missing = "SELECT name FROM unnest($1::text[]) AS wanted (name) WHERE to_regclass(name) IS NULL";
    let missing: Vec<String> = connection.query(missing, &[&names])?.iter().map(|row| row.get(0)).collect();
    for (name, table, day) in wanted.iter().filter(|(name, ..)| missing.contains(name)) {
        let (from, to) = (uuid(first_id(*day)), uuid(first_id(*day + 1)));
        let made = format!("CREATE TABLE {name} PARTITION OF {table} FOR VALUES FROM ('{from}') TO ('{to}')");
        match in_turn(connection, BRIEFLY, &made) {
            Err(error) if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) => {
                tracing::info!("the partition {name} is made later: its table is in use");
            }
            // Another daemon has just made it.
            Err(error) if error.code() == Some(&SqlState::DUPLICATE_TABLE) => {}
            // Records of that day are in the partition of the rest already: the clock was wrong for a while.
            Err(error) if error.code() == Some(&SqlState::CHECK_VIOLATION) => {
                tracing::warn!("no partition {name} can be made: {}", describe(&error));
            }
            made => made?,
        }
    }
    Ok(())
}

/// A statement with a setting of its own.
fn in_turn(connection: &mut Connection, setting: &str, sql: &str) -> Result<(), postgres::Error> {
    let mut turn = connection.client().transaction()?;
    turn.batch_execute(setting)?;
    turn.batch_execute(sql)?;
    turn.commit()
}

/// The partitions of a table by day, oldest first.
///
/// # Errors
/// The server cannot be reached, or fails.
pub(super) fn of_table(pool: &Pool, table: &str) -> Result<Vec<Partition>, StoreError> {
    let sql = "SELECT c.relname::text, pg_total_relation_size(c.oid) FROM pg_inherits i JOIN pg_class c ON c.oid = \
               i.inhrelid WHERE i.inhparent = $1::text::regclass AND c.relname ~ '_[0-9]{8}$' ORDER BY 1";
    let rows = pool.query(sql, &[&table])?;
    let partition = |row: &Row| {
        let name: String = row.get(0);
        let date = &name[name.len() - 8..];
        let day = Timestamp::parse(&format!("{}-{}-{}T00:00:00Z", &date[..4], &date[4..6], &date[6..])).ok()?;
        let end = first_id(day.millis() / DAY + 1);
        let bytes = u64::try_from(row.get::<_, i64>(1)).unwrap_or(0);
        Some(Partition { end, bytes, name, table: table.to_owned() })
    };
    Ok(rows.iter().filter_map(partition).collect())
}

/// Detaches and drops a partition. Returns whether it was detached: not while something reads from its table.
///
/// # Errors
/// The server cannot be reached, or fails.
pub(super) fn remove(pool: &Pool, partition: &Partition) -> Result<bool, StoreError> {
    let Partition { name, table, .. } = partition;
    let sql = format!("ALTER TABLE {table} DETACH PARTITION {name}");
    let detached = pool.with(|connection| match in_turn(connection, BRIEFLY, &sql) {
        Err(error) if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) => Ok(false),
        // Another daemon has just detached it.
        Err(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE) => Ok(true),
        detached => detached.map(|()| true),
    })?;
    if !detached {
        tracing::info!("the partition {name} has expired, and is in use: it is dropped later");
        return Ok(false);
    }
    drop_table(pool, name)?;
    Ok(true)
}

/// Drops partitions that were detached by a process that ended before it dropped them.
///
/// # Errors
/// The server cannot be reached, or fails.
pub(super) fn drop_detached(pool: &Pool) -> Result<(), StoreError> {
    let sql = "SELECT relname::text FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r' \
               AND NOT relispartition AND relname ~ $1";
    let names = format!("^({})_[0-9]{{8}}$", TABLES.join("|"));
    for row in pool.query(sql, &[&names])? {
        drop_table(pool, row.get(0))?;
    }
    Ok(())
}

fn drop_table(pool: &Pool, name: &str) -> Result<(), StoreError> {
    let sql = format!("DROP TABLE IF EXISTS {name}");
    pool.with(|connection| in_turn(connection, "SET LOCAL lock_timeout = '5s'", &sql))?;
    tracing::info!("the partition {name} is dropped: its records have expired");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_has_a_partition_of_its_own() {
        assert_eq!(partition("events", 20_787), "events_20261130");
        assert_eq!((day_of(first_id(20_787)), day_of(first_id(20_788) - 1)), (20_787, 20_787));
        assert_eq!(uuid(first_id(1)), format!("{:012x}{}", DAY, "0".repeat(20)));
    }
}
