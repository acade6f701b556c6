//! The tables, made and upgraded under an advisory lock.
//!
//! `records` is the log, by class and day; `state` is the view; `store` says how far they are, and `commits` what the last
//! commits have changed; `nodes` are the daemons, `shards` what each of them owns, `positions` their last commits.
//!
//! **Versions.** A new version only adds at first: the daemons of the one before go on beside it while they are replaced
//! one by one, unless `needs` says that they cannot. What it no longer needs goes when all of them are new ([`finish`]), and
//! what the older ones could not read is written only then: `needs` is also the [`Format`] of records that all know.
//! A daemon that finds `needs` raised above what it knows (it was frozen meanwhile) ends.

use postgres::{Client, Transaction};

use crate::engine::embedded::OpenError;
use crate::engine::postgres::connect::{Connector, Refusal};
use crate::model::record::Format;

/// The version of the tables.
pub(super) const VERSION: i32 = Format::NEWEST.number();
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

/// From version 1, which one daemon at a time wrote to, to 2, with several: one of version 1 that runs is kept from
/// writing by `node`. The fan-outs that it left unfinished (kind 19) are those of a daemon that is gone.
const SEVERAL_DAEMONS: &str = "
ALTER TABLE store ADD COLUMN needs integer NOT NULL DEFAULT 2;
UPDATE store SET node = NULL;
CREATE TABLE nodes (
    node uuid PRIMARY KEY,
    name text NOT NULL,
    version text NOT NULL,
    process text NOT NULL,
    started timestamptz NOT NULL DEFAULT clock_timestamp(),
    until timestamptz NOT NULL
) WITH (fillfactor = 10, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0);
CREATE TABLE shards (shard smallint PRIMARY KEY, node uuid);
INSERT INTO shards SELECT generate_series(0, 255);
CREATE TABLE positions (
    node uuid PRIMARY KEY,
    batch bigint NOT NULL,
    fan_outs uuid[] NOT NULL DEFAULT '{}',
    at timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 10, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0);
INSERT INTO positions SELECT '00000000-0000-0000-0000-000000000001', batch,
    ARRAY(SELECT encode(key, 'hex')::uuid FROM state WHERE kind = 19) FROM store;
CREATE TABLE commits (
    batch bigint PRIMARY KEY,
    members boolean NOT NULL,
    kinds smallint[] NOT NULL,
    keys bytea[] NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_scale_factor = 0.1, autovacuum_vacuum_cost_delay = 0);
";

/// What each version adds to the one before, and the version that it makes.
const UPGRADES: [(i32, &str); 2] = [(2, SEVERAL_DAEMONS), (3, FORMATS)];

/// Version 3 has further kinds of records. Daemons of version 2 do not say what they know.
const FORMATS: &str = "ALTER TABLE nodes ADD COLUMN knows integer NOT NULL DEFAULT 2";

/// What the current version no longer needs.
const LEFT_OVER: &str = "ALTER TABLE store DROP COLUMN IF EXISTS node";

/// Makes the schema and its tables if they are missing, and upgrades those of an older version. Returns the version that
/// they had before, if they were there.
///
/// # Errors
/// The schema needs a newer version, or holds something else; it is unchanged then. Or the server fails.
pub(super) fn prepare(client: &mut Client, connector: &Connector) -> Result<Option<i32>, OpenError> {
    let schema = connector.schema();
    let mut turn = client.transaction()?;
    turn.execute("SELECT pg_advisory_xact_lock($1)", &[&UPGRADE_LOCK])?;
    turn.batch_execute(&format!("SET LOCAL search_path = \"{schema}\""))?;
    // See `moving`.
    if turn.query_one("SELECT to_regclass('moving') IS NOT NULL", &[])?.get(0) {
        return Err(OpenError::Schema(format!(
            "a move into the schema {schema} was interrupted, and it does not hold everything: repeat that \
             `hookswitch move`, which goes on where it was, or drop the schema"
        )));
    }
    let before = match found(&mut turn, schema)? {
        Found::Nothing => {
            let exists = turn.query_one("SELECT to_regnamespace(quote_ident($1)) IS NOT NULL", &[&schema]);
            if !exists?.get::<_, bool>(0) {
                turn.batch_execute(&format!("CREATE SCHEMA \"{schema}\""))?;
            }
            turn.batch_execute(TABLES)?;
            upgrade(&mut turn, 1)?;
            // Nobody of an older version is there.
            need_this_version(&mut turn)?;
            None
        }
        Found::Version { version, needs } if needs <= VERSION => {
            upgrade(&mut turn, version)?;
            Some(version)
        }
        Found::Version { version, .. } => {
            return Err(OpenError::Schema(newer(schema, version)));
        }
        Found::Foreign => {
            return Err(OpenError::Schema(format!(
                "the schema {schema} holds something else than hookswitch's tables, and is left as it is: name another \
                 one as `schema` in [store]"
            )));
        }
    };
    turn.commit()?;
    Ok(before)
}

/// From now on older versions are refused: what they cannot read may be written. Nobody of them may be there.
///
/// # Errors
/// The server's.
pub(super) fn need_this_version(turn: &mut Transaction<'_>) -> Result<(), postgres::Error> {
    turn.execute("UPDATE store SET needs = $1", &[&VERSION]).map(drop)
}

/// Why a schema cannot be used that this version does not know.
pub(super) fn newer(schema: &str, version: i32) -> String {
    format!(
        "the schema {schema} is of a newer hookswitch (version {version} of its tables, this one knows {VERSION}): use that \
         newer version"
    )
}

/// Upgrades tables of this version, if it is older. Commits lock a row of `store` first and other tables afterwards: so does
/// this, lest it and a commit wait for each other. Who reads, and renews a lease, goes on.
fn upgrade(turn: &mut Transaction<'_>, from: i32) -> Result<(), postgres::Error> {
    if from < VERSION {
        turn.batch_execute("LOCK TABLE store IN EXCLUSIVE MODE")?;
    }
    for (to, added) in UPGRADES.iter().filter(|(to, _)| *to > from) {
        turn.batch_execute(added)?;
        turn.execute("UPDATE store SET version = $1", &[to])?;
    }
    Ok(())
}

/// Removes what only older versions need, once no daemon of them is left.
///
/// # Errors
/// A daemon of another version runs, or the server fails.
pub(super) fn finish(client: &mut Client, connector: &Connector) -> Result<(), Refusal> {
    let (schema, own) = (connector.schema(), env!("CARGO_PKG_VERSION"));
    let mut turn = client.transaction()?;
    turn.execute("SELECT pg_advisory_xact_lock($1)", &[&UPGRADE_LOCK])?;
    turn.batch_execute(&format!("SET LOCAL search_path = \"{schema}\""))?;
    let others = "SELECT name, version FROM nodes WHERE (version <> $1 OR knows <> $2) AND until > clock_timestamp() \
                  ORDER BY started LIMIT 1";
    if let Some(other) = turn.query_opt(others, &[&own, &VERSION])? {
        let (name, version): (String, String) = (other.get(0), other.get(1));
        return Err(Refusal(format!(
            "the daemon {name} of version {version} still works on the schema {schema}, and this is {own}: replace it first"
        )));
    }
    turn.batch_execute(LEFT_OVER)?;
    need_this_version(&mut turn)?;
    Ok(turn.commit()?)
}

enum Found {
    Nothing,
    Version {
        version: i32,
        /// The oldest version that can work with the tables.
        needs: i32,
    },
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
    let row = turn.query_opt("SELECT version FROM store", &[])?;
    let Some(version) = row.map(|row| row.get(0)) else { return Ok(Found::Foreign) };
    let needs = if version < 2 { version } else { turn.query_one("SELECT needs FROM store", &[])?.get(0) };
    Ok(Found::Version { version, needs })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_version_is_made_of_the_one_before() {
        let made: Vec<i32> = UPGRADES.iter().map(|(to, _)| *to).collect();
        assert_eq!(made, (2..=VERSION).collect::<Vec<_>>());
    }
}
