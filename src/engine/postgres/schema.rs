//! The tables, made and upgraded under an advisory lock.
//!
//! `records` is the log, by class and day; `state` is the view; `store` says whose it is, and how far.

use postgres::{Client, Transaction};

use crate::engine::postgres::connect::{Connector, Refusal};

/// The version of the tables.
pub(super) const VERSION: i32 = 1;
/// The key of the advisory lock under which tables are made and upgraded ("hookswit").
const UPGRADE_LOCK: i64 = 0x686f_6f6b_7377_6974;

/// The tables of version 1. Kinds and classes are numbered in [`kinds`](super::kinds). Hot tables are vacuumed early:
/// what is owed comes and goes.
const TABLES: &str = "
CREATE TABLE store (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    version integer NOT NULL,
    node uuid,
    admin_token bytea,
    batch bigint NOT NULL DEFAULT 0,
    last_id uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
    next_number bigint NOT NULL DEFAULT 1
) WITH (fillfactor = 10, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0);
INSERT INTO store (version) VALUES (1);

CREATE TABLE state (kind smallint NOT NULL, key bytea NOT NULL, value bytea NOT NULL, PRIMARY KEY (kind, key))
    PARTITION BY LIST (kind);
CREATE TABLE state_owed PARTITION OF state FOR VALUES IN (1)
    WITH (fillfactor = 80, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_scale_factor = 0.02,
          autovacuum_vacuum_cost_delay = 0);
CREATE TABLE state_receipts PARTITION OF state FOR VALUES IN (3, 4);
CREATE TABLE state_calls PARTITION OF state FOR VALUES IN (5) WITH (fillfactor = 80);
CREATE TABLE state_rest PARTITION OF state DEFAULT
    WITH (fillfactor = 50, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0.05);
CREATE TABLE state_aside (kind smallint NOT NULL, key bytea NOT NULL, value bytea NOT NULL, at timestamptz NOT NULL
    DEFAULT now());

CREATE TABLE records (
    id uuid NOT NULL,
    class smallint NOT NULL,
    kind smallint NOT NULL,
    version smallint NOT NULL,
    terms bigint[] NOT NULL,
    payload bytea NOT NULL,
    PRIMARY KEY (class, id)
) PARTITION BY LIST (class);
CREATE TABLE events PARTITION OF records FOR VALUES IN (1, 2) PARTITION BY RANGE (id);
CREATE TABLE log_entries PARTITION OF records FOR VALUES IN (3) PARTITION BY RANGE (id);
CREATE TABLE messages PARTITION OF records FOR VALUES IN (4) PARTITION BY RANGE (id);
CREATE TABLE other_records PARTITION OF records FOR VALUES IN (5);
CREATE TABLE events_rest PARTITION OF events DEFAULT;
CREATE TABLE log_entries_rest PARTITION OF log_entries DEFAULT;
CREATE TABLE messages_rest PARTITION OF messages DEFAULT;
CREATE INDEX records_terms ON records USING gin (terms);

CREATE TABLE erasing (id uuid PRIMARY KEY, rule text NOT NULL);
";

/// Makes the schema and its tables if they are missing.
///
/// # Errors
/// The schema is of a newer version, or holds something else; it is unchanged then. Or the server fails.
pub(super) fn prepare(client: &mut Client, connector: &Connector) -> Result<(), Refusal> {
    let schema = connector.schema();
    let mut turn = client.transaction()?;
    turn.execute("SELECT pg_advisory_xact_lock($1)", &[&UPGRADE_LOCK])?;
    match found(&mut turn, schema)? {
        Found::Nothing => {
            let exists = turn.query_one("SELECT to_regnamespace(quote_ident($1)) IS NOT NULL", &[&schema]);
            if !exists?.get::<_, bool>(0) {
                turn.batch_execute(&format!("CREATE SCHEMA \"{schema}\""))?;
            }
            turn.batch_execute(&format!("SET LOCAL search_path = \"{schema}\"; {TABLES}"))?;
        }
        Found::Version(VERSION) => {}
        Found::Version(newer) => {
            return Err(Refusal(format!(
                "the schema {schema} is of a newer hookswitch (version {newer} of its tables, this one knows {VERSION}): \
                 use that newer version"
            )));
        }
        Found::Foreign => {
            return Err(Refusal(format!(
                "the schema {schema} holds something else than hookswitch's tables, and is left as it is: name another \
                 one as `schema` in [store]"
            )));
        }
    }
    Ok(turn.commit()?)
}

enum Found {
    Nothing,
    Version(i32),
    Foreign,
}

fn found(turn: &mut Transaction<'_>, schema: &str) -> Result<Found, postgres::Error> {
    let tables = "SELECT relname::text FROM pg_class WHERE relnamespace = to_regnamespace(quote_ident($1)) AND relkind \
                  IN ('r', 'p', 'v', 'm', 'f')";
    let names: Vec<String> = turn.query(tables, &[&schema])?.iter().map(|row| row.get(0)).collect();
    if names.is_empty() {
        return Ok(Found::Nothing);
    }
    if !["store", "state", "records"].iter().all(|own| names.iter().any(|name| name == own)) {
        return Ok(Found::Foreign);
    }
    let row = turn.query_opt(&format!("SELECT version FROM \"{schema}\".store"), &[])?;
    Ok(row.map_or(Found::Foreign, |row| Found::Version(row.get(0))))
}
