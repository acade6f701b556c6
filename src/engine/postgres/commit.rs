//! One commit: all records and changes of a group, in one statement, which is a transaction of its own.

use postgres::error::SqlState;

use crate::engine::postgres::changes::Changed;
use crate::engine::postgres::connection::Connection;
use crate::engine::postgres::id::Id;
use crate::engine::postgres::kinds;
use crate::model::key::ValueKind;
use crate::model::record::{SCHEMA, VERSION};
use crate::model::term::{Terms, of_all_companies};
use crate::model::view::{Pairs, Sink};

/// Everything at once. The division fails, and with it the whole, if the tables are no longer this daemon's.
const COMMIT: &str = "
WITH own AS (UPDATE store SET batch = $1, last_id = $2, next_number = $3 WHERE node = $4 RETURNING 1),
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
            ],
        )?;
        Ok(())
    }
}

/// Whether the tables are another daemon's.
pub(super) fn is_fenced(error: &postgres::Error) -> bool {
    error.code() == Some(&SqlState::DIVISION_BY_ZERO)
}
