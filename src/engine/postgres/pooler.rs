//! Whether a pooler gives each transaction another session of the server, as PgBouncer does with `pool_mode = transaction`.
//!
//! The engine needs sessions of its own: prepared statements, settings and advisory locks must last from one transaction
//! to the next. A pooler that keeps a session for each connection (`pool_mode = session`) is fine.

use postgres::Client;

use crate::engine::postgres::connect::{Connector, POOLED, Refusal, first_row};

/// The process of the server that carries out a transaction of this connection.
fn process(client: &mut Client) -> Result<String, postgres::Error> {
    Ok(first_row(client, "SELECT pg_backend_pid()")?.into_iter().next().unwrap_or_default())
}

/// Finds out whether `client` has its session alone and for good.
///
/// # Errors
/// It does not, or the server fails.
pub(super) fn check(connector: &Connector, client: &mut Client) -> Result<(), Refusal> {
    let own = process(client)?;
    let mut other = connector.connect()?;
    // A pooler has given back the session of `client`, and hands it out again first.
    let mut shared = process(&mut other)? == own;
    if !shared {
        // One that hands out the oldest first has it now; and then `client` gets another, while this one is in use.
        other.batch_execute("BEGIN")?;
        shared = process(&mut other)? == own || process(client)? != own;
        other.batch_execute("ROLLBACK")?;
    }
    if shared { Err(Refusal(format!("PostgreSQL gave two connections the same session: {POOLED}"))) } else { Ok(()) }
}
