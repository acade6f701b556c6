//! Moving everything from a data directory into a schema (`hookswitch move`), offline.
//!
//! While it is under way the schema has a table `moving`, for which daemons refuse it. Each batch is one transaction with
//! the place that it reaches, so a move that was interrupted goes on there, if the directory is still the same.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use postgres::Client;

use crate::core::token::TokenText;
use crate::engine::embedded::offline::moving::{Destination, Rest, take_out};
use crate::engine::embedded::offline::{Findings, Refused, Tell};
use crate::engine::postgres::commit::array;
use crate::engine::postgres::connect::{Connector, Refusal};
use crate::engine::postgres::connection::Connection;
use crate::engine::postgres::id::Id;
use crate::engine::postgres::{kinds, partitions, pooler, schema};
use crate::model::key::{Key, ValueKind};
use crate::model::record::{Head, SCHEMA};

/// How many rows, and bytes of them, are written with one transaction.
const ROWS_AT_ONCE: usize = 1_000;
const BYTES_AT_ONCE: usize = 4 << 20;

const LOCK: &str = "SELECT pg_try_advisory_lock(hashtextextended('hookswitch move ' || $1, 0))";
const IS_EMPTY: &str = "SELECT NOT EXISTS (SELECT FROM records) AND NOT EXISTS (SELECT FROM state) \
                        AND NOT EXISTS (SELECT FROM nodes WHERE until > clock_timestamp()) \
                        AND (SELECT admin_token IS NULL FROM store)";
const MAKE: &str = "CREATE TABLE moving (single boolean PRIMARY KEY DEFAULT true CHECK (single), source text NOT NULL, \
                    id uuid NOT NULL, kind smallint NOT NULL, key bytea NOT NULL)";
const BEGIN: &str = "INSERT INTO moving (source, id, kind, key) \
                     VALUES ($1, '00000000-0000-0000-0000-000000000000', 0, '')";
const RECORDS: &str = "
WITH reached AS (UPDATE moving SET id = $1)
INSERT INTO records (id, class, kind, version, terms, payload)
SELECT id, class, kind, version, string_to_array(terms, ',')::bigint[], payload
FROM unnest($2::uuid[], $3::smallint[], $4::smallint[], $5::smallint[], $6::text[], $7::bytea[])
    AS n (id, class, kind, version, terms, payload)";
const VALUES: &str = "
WITH reached AS (UPDATE moving SET kind = $1, key = $2)
INSERT INTO state (kind, key, value) SELECT * FROM unnest($3::smallint[], $4::bytea[], $5::bytea[])";
const END: &str = "UPDATE store SET last_id = $1, next_number = $2, admin_token = $3";
/// The fan-outs that are not finished are those of a daemon that is gone.
const FAN_OUTS: &str = "INSERT INTO positions (node, batch, fan_outs) SELECT '00000000-0000-0000-0000-000000000001', batch, \
                        ARRAY(SELECT encode(key, 'hex')::uuid FROM state WHERE kind = $1) FROM store \
                        ON CONFLICT (node) DO UPDATE SET fan_outs = EXCLUDED.fan_outs, at = clock_timestamp()";

/// Moves everything in the data directory `dir`, which stays as it is, into `schema` of the database at `url`.
///
/// # Errors
/// The directory is damaged, or the server cannot be used; the schema holds data already, or another move is under way.
pub fn move_in(dir: &Path, url: &str, schema: &str, tell: Tell<'_>) -> Result<Findings, Refused> {
    let refused = |refusal: Refusal| Refused::Failed(refusal.0);
    let connector = Connector::new(url, schema).map_err(refused)?;
    let mut connection = Connection::open(&connector).map_err(refused)?;
    pooler::check(&connector, connection.client()).map_err(refused)?;
    let source = source_of(dir)?;
    let reached = begin(&mut connection, &connector, &source).map_err(refused)?;
    let mut tables = Tables::new(connection, reached);
    let rest = take_out(dir, &mut tables, tell)?;
    if source_of(dir)? != source {
        return Err(Refused::Failed(format!(
            "{} has changed meanwhile: stop its daemon, and repeat this",
            dir.display()
        )));
    }
    tables.end(rest)
}

/// What tells whether a directory is still the same: the names, sizes and times of its files.
fn source_of(dir: &Path) -> Result<String, Refused> {
    let mut files = BTreeSet::new();
    for part in ["journal", "state", "erasing"] {
        let place = dir.join(part);
        let failed = |error: std::io::Error| Refused::Failed(format!("{} cannot be read: {error}", place.display()));
        if !place.is_dir() {
            continue;
        }
        for entry in fs::read_dir(&place).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let about = entry.metadata().map_err(failed)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            files.insert(format!("{part}/{name} {} {}.{}", about.len(), about.mtime(), about.mtime_nsec()));
        }
    }
    Ok(files.into_iter().collect::<Vec<_>>().join("\n"))
}

/// Prepares the schema, or finds how far an interrupted move came.
fn begin(connection: &mut Connection, connector: &Connector, source: &str) -> Result<Reached, Refusal> {
    let schema = connector.schema();
    if !is_true(&connection.query(LOCK, &[&schema])?) {
        return Err(Refusal(format!("another move into the schema {schema} is under way")));
    }
    if !is_true(&connection.query("SELECT to_regclass('moving') IS NOT NULL", &[])?) {
        schema::prepare(connection.client(), connector).map_err(|error| Refusal(error.to_string()))?;
        if !is_true(&connection.query(IS_EMPTY, &[])?) {
            return Err(Refusal(format!(
                "the schema {schema} holds data already, or a daemon runs on it, and is left as it is: name another one"
            )));
        }
        let mut turn = connection.client().transaction()?;
        turn.batch_execute(MAKE)?;
        // The directory may have what older versions cannot read.
        schema::need_this_version(&mut turn)?;
        turn.execute(BEGIN, &[&source])?;
        turn.commit()?;
        return Ok(Reached::default());
    }
    let found = connection.query("SELECT source = $1, id, kind, key FROM moving", &[&source])?;
    if let Some(row) = found.first().filter(|row| row.get(0)) {
        let kind = kinds::of_number(row.get(2));
        return Ok(Reached { id: row.get::<_, Id>(1).0, key: kind.map(|kind| Key::new(kind, row.get(3))) });
    }
    // Of another directory, or of this one before a daemon ran on it again.
    let mut turn = connection.client().transaction()?;
    turn.batch_execute("TRUNCATE records, state, erasing, moving")?;
    turn.execute(BEGIN, &[&source])?;
    turn.commit()?;
    Ok(Reached::default())
}

fn is_true(rows: &[postgres::Row]) -> bool {
    rows.first().is_some_and(|row| row.get(0))
}

/// How far a move came: the last record, and the last value.
#[derive(Default)]
struct Reached {
    id: u128,
    key: Option<Key>,
}

/// The tables that are being filled.
struct Tables {
    connection: Connection,
    reached: Reached,
    /// The days that have partitions.
    days: BTreeSet<u64>,
    records: Vec<(Head, Vec<u8>)>,
    values: Vec<(Key, Vec<u8>)>,
    bytes: usize,
}

fn failed(error: postgres::Error) -> Refused {
    Refused::Failed(format!("{}; what was moved so far stays: repeat this to go on", Refusal::from(error)))
}

impl Tables {
    const fn new(connection: Connection, reached: Reached) -> Self {
        Self { connection, reached, days: BTreeSet::new(), records: Vec::new(), values: Vec::new(), bytes: 0 }
    }

    fn is_full(&self) -> bool {
        self.records.len().max(self.values.len()) >= ROWS_AT_ONCE || self.bytes >= BYTES_AT_ONCE
    }

    fn write_records(&mut self) -> Result<(), Refused> {
        self.bytes = 0;
        let records = std::mem::take(&mut self.records);
        let Some((last, _)) = records.last() else { return Ok(()) };
        for (head, _) in &records {
            let day = partitions::day_of(head.id);
            if self.days.insert(day) {
                partitions::make_day(&mut self.connection, day).map_err(failed)?;
            }
        }
        let ids: Vec<Id> = records.iter().map(|(head, _)| Id(head.id)).collect();
        let classes: Vec<i16> = records.iter().map(|(head, _)| kinds::class((SCHEMA.class)(head.kind))).collect();
        let kinds: Vec<i16> = records.iter().map(|(head, _)| i16::from(head.kind)).collect();
        let versions: Vec<i16> = records.iter().map(|(head, _)| i16::from(head.version)).collect();
        let terms: Vec<String> =
            records.iter().map(|(head, payload)| array(&(SCHEMA.terms)(*head, payload).keys)).collect();
        let payloads: Vec<&[u8]> = records.iter().map(|(_, payload)| payload.as_slice()).collect();
        let written =
            self.connection.query(RECORDS, &[&Id(last.id), &ids, &classes, &kinds, &versions, &terms, &payloads]);
        written.map(drop).map_err(failed)
    }

    fn write_values(&mut self) -> Result<(), Refused> {
        self.bytes = 0;
        let values = std::mem::take(&mut self.values);
        let Some((last, _)) = values.last() else { return Ok(()) };
        let kinds: Vec<i16> = values.iter().map(|(key, _)| kinds::value_kind(key.kind())).collect();
        let keys: Vec<&[u8]> = values.iter().map(|(key, _)| key.rest()).collect();
        let contents: Vec<&[u8]> = values.iter().map(|(_, value)| value.as_slice()).collect();
        let reached = (kinds::value_kind(last.kind()), last.rest());
        let written = self.connection.query(VALUES, &[&reached.0, &reached.1, &kinds, &keys, &contents]);
        written.map(drop).map_err(failed)
    }

    /// Ends the move: from here on daemons can use the schema.
    fn end(mut self, rest: Rest) -> Result<Findings, Refused> {
        self.write_records()?;
        self.write_values()?;
        let end = |client: &mut Client| -> Result<(), postgres::Error> {
            let token = rest.token.as_deref().and_then(TokenText::parse).map(|text| text.hash().bytes().to_vec());
            let mut turn = client.transaction()?;
            turn.execute(END, &[&Id(rest.last_id), &i64::from(rest.next_number), &token])?;
            turn.execute(FAN_OUTS, &[&kinds::value_kind(ValueKind::FanOut)])?;
            for rule in &rest.rules {
                turn.execute(
                    "INSERT INTO erasing (id, rule) VALUES ($1, $2)",
                    &[&Id(rule.id.bits()), &rule.to_json()],
                )?;
            }
            turn.batch_execute("DROP TABLE moving")?;
            turn.commit()?;
            // Nothing is known yet of what was written all at once.
            client.batch_execute("ANALYZE records, state")
        };
        end(self.connection.client()).map_err(failed)?;
        Ok(rest.findings)
    }
}

impl Destination for Tables {
    fn record(&mut self, head: Head, payload: &[u8]) -> Result<(), Refused> {
        if head.id <= self.reached.id {
            return Ok(());
        }
        self.bytes += payload.len();
        self.records.push((head, payload.to_vec()));
        if self.is_full() { self.write_records() } else { Ok(()) }
    }

    fn value(&mut self, key: Key, value: Vec<u8>) -> Result<(), Refused> {
        if let Some(reached) = &self.reached.key {
            if *reached == key {
                self.reached.key = None;
            }
            return Ok(());
        }
        // After the last record.
        self.write_records()?;
        self.bytes += key.rest().len() + value.len();
        self.values.push((key, value));
        if self.is_full() { self.write_values() } else { Ok(()) }
    }
}
