//! What the server says of itself, for `hookswitch doctor`. Changes nothing.

use postgres::{Client, Error};

use crate::core::database::{SchemaFacts, ServerFacts};
use crate::core::time::Timestamp;
use crate::engine::postgres::connect::{Connector, Refusal};
use crate::engine::postgres::{pooler, schema};

const SETTINGS: &str = "SELECT current_setting('server_version'), current_database()::text, current_user::text, \
                        current_setting('fsync')::bool, current_setting('full_page_writes')::bool, \
                        current_setting('autovacuum')::bool, current_setting('synchronous_commit'), \
                        current_setting('synchronous_standby_names')";
/// Who may not see the state of replication sees rows without it.
const STANDBYS: &str = "SELECT count(*) FILTER (WHERE sync_state IN ('sync', 'quorum') AND state = 'streaming'), \
                        pg_has_role('pg_read_all_stats', 'USAGE') FROM pg_stat_replication";
/// The oldest transaction that sees what was there when it began (section 25.1 of PostgreSQL 15's manual).
const OLDEST: &str = "SELECT what, greatest(extract(epoch FROM clock_timestamp() - since), 0)::bigint FROM ( \
                      SELECT format('process %s of the user %s (%s, %s)', pid, usename, \
                      coalesce(nullif(application_name, ''), 'no application_name'), state) AS what, xact_start AS since \
                      FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() \
                      AND coalesce(backend_xmin, backend_xid) IS NOT NULL AND xact_start IS NOT NULL \
                      UNION ALL SELECT format('prepared transaction %L of the user %s', gid, owner), prepared \
                      FROM pg_prepared_xacts WHERE database = current_database()) AS all_of_them ORDER BY since LIMIT 1";
const CLOCK: &str = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint";
const RIGHTS: &str = "SELECT has_database_privilege(current_database(), 'CREATE'), \
                      coalesce(has_schema_privilege(to_regnamespace(quote_ident($1))::oid, 'CREATE'), false), \
                      coalesce(has_schema_privilege(to_regnamespace(quote_ident($1))::oid, 'USAGE'), false), \
                      to_regnamespace(quote_ident($1)) IS NOT NULL";
const TABLES: &str = "SELECT count(*), count(*) FILTER (WHERE relname IN ('store', 'state', 'records')), \
                      bool_and(pg_has_role(relowner, 'USAGE')) FROM pg_class \
                      WHERE relnamespace = to_regnamespace(quote_ident($1)) AND relkind IN ('r', 'p', 'v', 'm', 'f')";

/// Asks the server at `url`, and looks for tables in `schema`.
///
/// # Errors
/// It cannot be reached or used, with the remedy.
pub fn inspect(url: &str, schema: &str, clock: &dyn Fn() -> Timestamp) -> Result<ServerFacts, String> {
    ask(url, schema, clock).map_err(|refusal| refusal.0)
}

fn ask(url: &str, schema: &str, clock: &dyn Fn() -> Timestamp) -> Result<ServerFacts, Refusal> {
    let connector = Connector::new(url, schema)?;
    let mut client = connector.connect()?;
    let shared_sessions = pooler::check(&connector, &mut client).err().map(|refusal| refusal.0);
    // Together: with a pooler in between, a later transaction may be of another session.
    let mut all = client.transaction()?;
    let row = all.query_one(SETTINGS, &[])?;
    let standbys = all.query_one(STANDBYS, &[])?;
    let oldest = all.query_opt(OLDEST, &[])?;
    let before = clock();
    let theirs: i64 = all.query_one(CLOCK, &[])?.get(0);
    let ours = i64::try_from(before.millis().midpoint(clock().millis())).unwrap_or(i64::MAX);
    all.commit()?;
    Ok(ServerFacts {
        version: row.get(0),
        database: (row.get(1), row.get(2)),
        fsync: row.get(3),
        full_page_writes: row.get(4),
        autovacuum: row.get(5),
        oldest_transaction: oldest.map(|row| (row.get(0), u64::try_from(row.get::<_, i64>(1)).unwrap_or(0))),
        synchronous_commit: row.get(6),
        synchronous_names: row.get(7),
        standbys: standbys.get::<_, bool>(1).then(|| u32::try_from(standbys.get::<_, i64>(0)).unwrap_or(0)),
        ahead_ms: theirs.saturating_sub(ours),
        shared_sessions,
        schema: look_at(&mut client, schema)?,
    })
}

fn look_at(client: &mut Client, name: &str) -> Result<SchemaFacts, Error> {
    let rights = client.query_one(RIGHTS, &[&name])?;
    let (may_make, may_add, may_use, is_there): (bool, bool, bool, bool) =
        (rights.get(0), rights.get(1), rights.get(2), rights.get(3));
    let tables = client.query_one(TABLES, &[&name])?;
    let (all, own): (i64, i64) = (tables.get(0), tables.get(1));
    if all == 0 {
        return Ok(SchemaFacts::Empty(if is_there { may_add && may_use } else { may_make }));
    }
    // The name is a plain one, and the tables may be somebody else's.
    let sql = format!("SELECT version, coalesce((to_jsonb(s) ->> 'needs')::int, version) FROM \"{name}\".store s");
    let versions = client.query_opt(&sql, &[]).ok().flatten();
    let versions = versions.and_then(|row| Some((row.try_get::<_, i32>(0).ok()?, row.try_get::<_, i32>(1).ok()?)));
    Ok(match versions.filter(|_| own == 3) {
        Some((version, needs)) => {
            let owned = tables.get::<_, bool>(2) && may_add;
            SchemaFacts::Tables { version, needs, newest: schema::VERSION, owned }
        }
        None => SchemaFacts::Foreign,
    })
}
