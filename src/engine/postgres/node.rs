//! Which daemon writes to a schema: one at a time.
//!
//! The writer's connection holds an advisory lock of the session, so a daemon that ends in any way frees the schema at once.
//! In addition each opening writes a new random number, the node, into `store`, and every commit requires it: a daemon
//! that lost its connection, and its lock with it, cannot write any more once another has taken over (a fencing token).

use std::time::{Duration, Instant};

use crate::engine::postgres::connect::Refusal;
use crate::engine::postgres::connection::Connection;
use crate::engine::postgres::id::Id;

/// How long to wait for another daemon to end: it may be stopping, or the server may not have noticed its end.
const WAIT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(200);

/// How far the tables are.
pub(super) struct Position {
    /// The number of the last commit.
    pub(super) batch: i64,
    /// The bits of the last id.
    pub(super) last_id: u128,
    /// The number of the next subscription.
    pub(super) next_number: u32,
    /// Whose they are.
    pub(super) node: Option<Id>,
}

/// Takes the lock of the schema, if no other session has it.
fn lock(connection: &mut Connection, schema: &str) -> Result<bool, postgres::Error> {
    let sql = "SELECT pg_try_advisory_lock(hashtextextended('hookswitch ' || $1, 0))";
    Ok(connection.query(sql, &[&schema])?.first().is_some_and(|row| row.get(0)))
}

/// Sets how the writer's statements are planned: they find few rows by their keys, whatever the server's statistics say.
const PLANS: &str = "SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_seqscan = off; SET plan_cache_mode = \
                     force_generic_plan";

/// Makes a connection the writer's: waits until no other daemon writes to the schema, and takes the lock.
///
/// # Errors
/// Another daemon goes on, or the server fails.
pub(super) fn acquire(connection: &mut Connection, schema: &str) -> Result<(), Refusal> {
    connection.client().batch_execute(PLANS)?;
    let until = Instant::now() + WAIT;
    loop {
        if lock(connection, schema)? {
            return Ok(());
        }
        if Instant::now() > until {
            let sql = "SELECT coalesce(host(a.client_addr), 'this machine') || ', process ' || l.pid || ' of the server, since ' \
                       || date_trunc('second', a.backend_start) FROM pg_locks l JOIN pg_stat_activity a USING (pid) \
                       WHERE l.locktype = 'advisory' AND l.granted AND a.application_name = 'hookswitch' \
                       AND l.pid <> pg_backend_pid() LIMIT 1";
            let other =
                connection.query(sql, &[]).ok().and_then(|rows| rows.first().map(|row| row.get::<_, String>(0)));
            let other = other.map(|other| format!(" (from {other})")).unwrap_or_default();
            return Err(Refusal(format!(
                "another daemon{other} writes to the schema {schema}: stop it, or name another `schema` in [store]"
            )));
        }
        std::thread::sleep(POLL);
    }
}

/// Makes `node` the one that may write, and returns how far the tables are.
pub(super) fn take(connection: &mut Connection, node: Id) -> Result<Position, postgres::Error> {
    connection.query("UPDATE store SET node = $1", &[&node])?;
    position(connection)
}

/// How far the tables are.
pub(super) fn position(connection: &mut Connection) -> Result<Position, postgres::Error> {
    let rows = connection.query("SELECT batch, last_id, next_number, node FROM store", &[])?;
    let found = rows.first().map(|row| Position {
        batch: row.get(0),
        last_id: row.get::<_, Id>(1).0,
        next_number: u32::try_from(row.get::<_, i64>(2)).unwrap_or(u32::MAX),
        node: row.get(3),
    });
    Ok(found.unwrap_or(Position { batch: 0, last_id: 0, next_number: 1, node: None }))
}
