//! Moving everything from a schema into a data directory (`hookswitch move`), offline: the way back.
//!
//! All is read in one transaction that holds the row of `store`, so no daemon can commit meanwhile.

use std::path::Path;

use postgres::Row;

use crate::core::id::SubscriptionNumber;
use crate::engine::embedded::offline::making::Making;
use crate::engine::embedded::offline::step::Counter;
use crate::engine::embedded::offline::{Findings, Refused, Tell, Work};
use crate::engine::postgres::connect::{Connector, Refusal};
use crate::engine::postgres::connection::Connection;
use crate::engine::postgres::id::Id;
use crate::engine::postgres::log::record_in;
use crate::engine::postgres::{kinds, pooler, schema};
use crate::model::key::Key;
use crate::model::record::Class;
use crate::model::redaction::Rule;

/// How many rows are read with one statement.
const ROWS_AT_ONCE: i64 = 1_000;

const BEGIN: &str = "SET idle_in_transaction_session_timeout = 0; SET lock_timeout = '10s'; \
                     BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1 FROM store FOR UPDATE";
const DAEMONS: &str = "SELECT coalesce(string_agg(name, ', '), '') FROM nodes WHERE until > clock_timestamp()";
const STORE: &str = "SELECT last_id, next_number FROM store";
const VALUES: &str = "SELECT kind, key, value FROM state WHERE (kind, key) > ($1, $2) ORDER BY kind, key LIMIT $3";
const RECORDS: &str =
    "SELECT id, kind, version, payload FROM records WHERE class = $1 AND id > $2 ORDER BY id LIMIT $3";
/// The classes. Of two records with one id, which an interrupted retention leaves, the log entry comes first.
const CLASSES: [Class; 5] = [Class::LogEntry, Class::Event, Class::WithEvent, Class::Message, Class::Other];

/// Moves everything in `schema` of the database at `url`, which stays as it is, into the data directory `dir`, which is
/// empty or not there.
///
/// # Errors
/// The server cannot be used, or daemons run on the schema; the directory holds something, or cannot be written.
pub fn move_out(url: &str, schema: &str, dir: &Path, tell: Tell<'_>) -> Result<Findings, Refused> {
    let refused = |refusal: Refusal| Refused::Failed(refusal.0);
    let connector = Connector::new(url, schema).map_err(refused)?;
    let mut connection = Connection::open(&connector).map_err(refused)?;
    pooler::check(&connector, connection.client()).map_err(refused)?;
    begin(&mut connection, &connector).map_err(refused)?;
    let mut making = Making::begin(dir)?;
    each_value(&mut connection, &making, &Counter::begin(tell, Work::ReadState, None))?;
    let store = connection.query(STORE, &[]).map_err(failed)?;
    let row = store.first().ok_or_else(|| Refused::Damaged("the table `store` has no row".to_owned()))?;
    let next_number = u32::try_from(row.get::<_, i64>(1)).unwrap_or(u32::MAX);
    making.begin_records(SubscriptionNumber::new(next_number))?;
    each_record(&mut connection, &mut making, &Counter::begin(tell, Work::MoveRecords, None))?;
    let rules = connection.query("SELECT rule FROM erasing ORDER BY id", &[]).map_err(failed)?;
    let damaged = || Refused::Damaged("the table `erasing` has a rule that cannot be read".to_owned());
    let rules: Vec<Rule> =
        rules.iter().map(|row| Rule::from_json(row.get(0)).ok_or_else(damaged)).collect::<Result<_, _>>()?;
    let moved = making.finish(row.get::<_, Id>(0).0, &rules, tell)?;
    connection.client().batch_execute("ROLLBACK").map_err(failed)?;
    Ok(moved)
}

fn failed(error: postgres::Error) -> Refused {
    Refused::Failed(Refusal::from(error).0)
}

/// Begins the transaction, if there is a whole store and no daemon on it.
fn begin(connection: &mut Connection, connector: &Connector) -> Result<(), Refusal> {
    let schema = connector.schema();
    let there = connection.query("SELECT to_regclass('store') IS NOT NULL", &[])?;
    if !there.first().is_some_and(|row| row.get::<_, bool>(0)) {
        return Err(Refusal(format!("the schema {schema} has no tables of hookswitch: there is nothing to move")));
    }
    // Refuses what an interrupted move has left, and other versions.
    schema::prepare(connection.client(), connector).map_err(|error| Refusal(error.to_string()))?;
    let daemons: String = connection.query(DAEMONS, &[])?.first().map(|row| row.get(0)).unwrap_or_default();
    if !daemons.is_empty() {
        return Err(Refusal(format!(
            "daemons run on the schema {schema} ({daemons}): stop them first; one that was killed counts for 10 s"
        )));
    }
    Ok(connection.client().batch_execute(BEGIN)?)
}

fn each_value(connection: &mut Connection, making: &Making, read: &Counter<'_>) -> Result<(), Refused> {
    let (mut kind, mut key) = (0_i16, Vec::<u8>::new());
    loop {
        let rows = connection.query(VALUES, &[&kind, &key, &ROWS_AT_ONCE]).map_err(failed)?;
        let Some(last) = rows.last() else { return Ok(()) };
        (kind, key) = (last.get(0), last.get(1));
        for row in &rows {
            let number: i16 = row.get(0);
            let unknown = || Refused::Damaged(format!("the table `state` has a kind that is not known ({number})"));
            let of_kind = kinds::of_number(number).ok_or_else(unknown)?;
            making.value(&Key::new(of_kind, row.get(1)), row.get(2))?;
        }
        read.add(rows.len());
    }
}

/// The records of a class that are read next.
struct Ahead {
    class: i16,
    after: Id,
    rows: std::vec::IntoIter<Row>,
    next: Option<Row>,
}

impl Ahead {
    fn advance(&mut self, connection: &mut Connection) -> Result<Option<Row>, Refused> {
        let next = self.rows.next();
        let current = std::mem::replace(&mut self.next, next);
        if self.next.is_none() {
            let rows = connection.query(RECORDS, &[&self.class, &self.after, &ROWS_AT_ONCE]).map_err(failed)?;
            self.after = rows.last().map_or(self.after, |row| row.get(0));
            self.rows = rows.into_iter();
            self.next = self.rows.next();
        }
        Ok(current)
    }
}

/// Passes on all records in the order of their ids, in which each class has them.
fn each_record(connection: &mut Connection, making: &mut Making, moved: &Counter<'_>) -> Result<(), Refused> {
    let begin = |class| Ahead { class: kinds::class(class), after: Id(0), rows: Vec::new().into_iter(), next: None };
    let mut classes = CLASSES.map(begin);
    for class in &mut classes {
        class.advance(connection)?;
    }
    loop {
        let with_next = classes.iter_mut().filter_map(|class| {
            let id = class.next.as_ref()?.get::<_, Id>(0).0;
            Some((id, class))
        });
        let Some((_, class)) = with_next.min_by_key(|(id, _)| *id) else { return Ok(()) };
        if let Some(row) = class.advance(connection)? {
            let (head, payload) = record_in(&row);
            making.record(head, payload)?;
            moved.add(1);
        }
    }
}
