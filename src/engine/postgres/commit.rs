//! One commit: all records and changes of a group, in one statement.
//!
//! The transaction begins by locking the row of `store`, so the commits of all daemons follow one after the other, each
//! with the next number, and each is decided on what the one before has left.

use crate::engine::postgres::changes::Changed;
use crate::engine::postgres::connect::first_row;
use crate::engine::postgres::connection::Connection;
use crate::engine::postgres::id::Id;
use crate::engine::postgres::kinds;
use crate::model::key::{Key, ValueKind};
use crate::model::record::{SCHEMA, VERSION};
use crate::model::term::{Terms, of_all_companies};
use crate::model::view::{Pairs, Sink};

/// Takes the place of the next commit: no other daemon commits until this transaction ends.
const LOCK: &str = "BEGIN; SELECT batch, last_id, next_number, needs FROM store FOR UPDATE";

/// Everything at once. The division fails, and with it the whole, if the commit is not the next one, or of a daemon that
/// is no longer one of them (a fencing token).
const COMMIT: &str = "
WITH own AS (
    UPDATE store SET batch = $1, last_id = $2, next_number = $3
    WHERE batch = $1::bigint - 1 AND EXISTS (SELECT FROM nodes WHERE node = $4) RETURNING 1),
mine AS (
    INSERT INTO positions (node, batch, fan_outs) VALUES ($4, $1, $20)
    ON CONFLICT (node) DO UPDATE SET batch = EXCLUDED.batch, fan_outs = EXCLUDED.fan_outs, at = clock_timestamp()),
said AS (INSERT INTO commits (batch, members, kinds, keys) SELECT $1, false, $21::smallint[], $22::bytea[] WHERE $23::boolean),
new_records AS (
    INSERT INTO records (id, class, kind, version, terms, payload)
    SELECT id, class, kind, $5, string_to_array(terms, ',')::bigint[], payload
    FROM unnest($6::uuid[], $7::smallint[], $8::smallint[], $9::text[], $10::bytea[]) AS n (id, class, kind, terms, payload)),
values_set AS (
    INSERT INTO state (kind, key, value) SELECT * FROM unnest($11::smallint[], $12::bytea[], $13::bytea[])
    ON CONFLICT (kind, key) DO UPDATE SET value = EXCLUDED.value),
ended AS (DELETE FROM state_owed WHERE kind = 1 AND key = ANY($14::bytea[])),
removed AS (
    DELETE FROM state USING unnest($15::smallint[], $16::bytea[]) AS gone (kind, key)
    WHERE state.kind = gone.kind AND state.key = gone.key),
kept AS (INSERT INTO state_aside (kind, key, value) SELECT * FROM unnest($17::smallint[], $18::bytea[], $19::bytea[]))
SELECT 1 / count(*) FROM own";

const COMMIT_MEMBERS: &str = "
WITH own AS (UPDATE store SET batch = $1 WHERE batch = $1::bigint - 1 RETURNING 1),
mine AS (
    INSERT INTO positions (node, batch, fan_outs) VALUES ($2, $1, $3)
    ON CONFLICT (node) DO UPDATE SET batch = EXCLUDED.batch, fan_outs = EXCLUDED.fan_outs, at = clock_timestamp()),
said AS (INSERT INTO commits (batch, members, kinds, keys) VALUES ($1, true, '{}', '{}'))
SELECT 1 / count(*) FROM own";

/// The records of a group that are kept: those with an id. The others only change the view, which is of the same commit.
#[derive(Default)]
pub(super) struct Rows {
    ids: Vec<Id>,
    classes: Vec<i16>,
    kinds: Vec<i16>,
    terms: Vec<String>,
    payloads: Vec<Vec<u8>>,
    /// Whether anything was written, with or without an id.
    written: bool,
}

impl Sink for Rows {
    fn append(&mut self, kind: u8, id: u128, _: bool, terms: Terms, payload: &mut dyn FnMut(&mut Vec<u8>)) {
        self.written = true;
        if id == 0 {
            return;
        }
        let mut bytes = Vec::new();
        payload(&mut bytes);
        self.ids.push(Id(id));
        self.classes.push(kinds::class((SCHEMA.class)(kind)));
        self.kinds.push(i16::from(kind));
        self.terms.push(array(&terms.keys));
        self.payloads.push(bytes);
    }
}

/// Keys as PostgreSQL reads an array of them, each also without its company.
pub(super) fn array(keys: &[u64]) -> String {
    let mut all: Vec<u64> = keys.iter().flat_map(|key| [*key, of_all_companies(*key)]).collect();
    all.sort_unstable();
    all.dedup();
    all.iter().map(u64::to_string).collect::<Vec<_>>().join(",")
}

/// How far the tables are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position {
    /// The number of the last commit.
    pub(super) batch: i64,
    /// The bits of the last id.
    pub(super) last_id: u128,
    /// The number of the next subscription.
    pub(super) next_number: u32,
    /// The oldest version of this program that can work with the tables.
    pub(super) needs: i32,
}

/// Begins a transaction that no other daemon's commit can overtake.
///
/// # Errors
/// The server's, or that of the connection.
pub(super) fn lock(connection: &mut Connection) -> Result<Position, postgres::Error> {
    // Both at once, which only the simple protocol can: it answers in text.
    let row = first_row(connection.client(), LOCK)?;
    let text = |column: usize| row.get(column).map(String::as_str).unwrap_or_default();
    let next_number = text(2).parse::<i64>().unwrap_or(1);
    Ok(Position {
        batch: text(0).parse().unwrap_or(0),
        last_id: u128::from_str_radix(&text(1).replace('-', ""), 16).unwrap_or(0),
        next_number: u32::try_from(next_number).unwrap_or(u32::MAX),
        needs: text(3).parse().unwrap_or(i32::MAX),
    })
}

/// Commits a change of the daemons or their shards that was made in this transaction.
///
/// # Errors
/// The server's, or that of the connection: then it is unknown whether it is committed.
pub(super) fn commit_members(connection: &mut Connection, marks: &Marks, channel: &str) -> Result<(), postgres::Error> {
    connection.query(COMMIT_MEMBERS, &[&marks.batch, &marks.node, &marks.fan_outs])?;
    connection.commit(&format!("COMMIT; NOTIFY {channel}, '{:032x}'", marks.node.0))
}

/// Ends the transaction without changing anything.
///
/// # Errors
/// The server's, or that of the connection.
pub(super) fn unlock(connection: &mut Connection) -> Result<(), postgres::Error> {
    connection.client().batch_execute("ROLLBACK")
}

/// What the other daemons are told of a commit.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// Whether there are others.
    pub(super) to_others: bool,
    /// The values that others have in memory and that it has changed.
    pub(super) keys: Vec<Key>,
    /// The channel on which others are woken, if they are to be.
    pub(super) wake: Option<String>,
}

/// What a commit says beside its records and changes.
pub(super) struct Marks {
    /// The number of the commit.
    pub(super) batch: i64,
    /// The bits of the last id.
    pub(super) last_id: u128,
    /// The number of the next subscription.
    pub(super) next_number: u32,
    /// Who commits.
    pub(super) node: Id,
    /// The fan-outs that the daemon carries out.
    pub(super) fan_outs: Vec<Id>,
}

impl Rows {
    /// Whether there is nothing to commit but changes.
    pub(super) const fn is_empty(&self) -> bool {
        !self.written
    }

    /// Commits everything.
    ///
    /// # Errors
    /// The server's, or that of the connection: then it is unknown whether it is committed.
    pub(super) fn commit(
        &self,
        connection: &mut Connection,
        marks: &Marks,
        said: &Said,
        changed: &Changed,
        aside: &Pairs,
    ) -> Result<(), postgres::Error> {
        let number = |kind| kinds::value_kind(kind);
        let (mut kinds_set, mut keys_set, mut values_set) = (Vec::new(), Vec::new(), Vec::new());
        let (mut ended, mut kinds_gone, mut keys_gone) = (Vec::new(), Vec::new(), Vec::new());
        for (key, value) in changed {
            match value {
                Some(value) => {
                    kinds_set.push(number(key.kind()));
                    keys_set.push(key.rest());
                    values_set.push(value.as_slice());
                }
                None if key.kind() == ValueKind::Owed => ended.push(key.rest()),
                None => {
                    kinds_gone.push(number(key.kind()));
                    keys_gone.push(key.rest());
                }
            }
        }
        let kinds_aside: Vec<i16> = aside.iter().map(|(key, _)| number(key.kind())).collect();
        let keys_aside: Vec<&[u8]> = aside.iter().map(|(key, _)| key.rest()).collect();
        let values_aside: Vec<&[u8]> = aside.iter().map(|(_, value)| value.as_slice()).collect();
        let version = i16::from(VERSION);
        let next_number = i64::from(marks.next_number);
        let kinds_said: Vec<i16> = said.keys.iter().map(|key| number(key.kind())).collect();
        let keys_said: Vec<&[u8]> = said.keys.iter().map(Key::rest).collect();
        connection.query(
            COMMIT,
            &[
                &marks.batch,
                &Id(marks.last_id),
                &next_number,
                &marks.node,
                &version,
                &self.ids,
                &self.classes,
                &self.kinds,
                &self.terms,
                &self.payloads,
                &kinds_set,
                &keys_set,
                &values_set,
                &ended,
                &kinds_gone,
                &keys_gone,
                &kinds_aside,
                &keys_aside,
                &values_aside,
                &marks.fan_outs,
                &kinds_said,
                &keys_said,
                &said.to_others,
            ],
        )?;
        // Waking others within the transaction would hold a lock of the whole cluster while it is synced.
        let wake = said.wake.as_ref().map(|channel| format!("; NOTIFY {channel}, '{:032x}'", marks.node.0));
        connection.commit(&format!("COMMIT{}", wake.unwrap_or_default()))
    }
}
