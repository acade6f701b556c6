//! The engine that the daemon runs on: the embedded one, or with `--engine postgres` (or `HOOKSWITCH_BENCH_ENGINE=postgres`)
//! PostgreSQL, in a cluster of this process with fsync on, below cargo's target directory; each daemon has a schema of
//! its own.

use std::fs;
use std::path::Path;
use std::sync::{Mutex, OnceLock, PoisonError};

use postgres::{Client, NoTls};

use super::{Outcome, cluster::Cluster};

/// A server process's share of a second, in `/proc`: `USER_HZ`, the same on every Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// PostgreSQL, as the benches see it.
pub(crate) struct Server {
    cluster: Cluster,
    client: Mutex<Client>,
}

/// What a server has done so far.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Work {
    /// Statements.
    pub(crate) statements: f64,
    /// Bytes of WAL.
    pub(crate) wal: f64,
    /// Processor time of all its processes, in seconds.
    pub(crate) processor: f64,
}

/// The server; `None` with the embedded engine.
pub(crate) fn server() -> Outcome<Option<&'static Server>> {
    static SERVER: OnceLock<Result<Option<Server>, String>> = OnceLock::new();
    SERVER.get_or_init(start).as_ref().map(Option::as_ref).map_err(|why| why.clone().into())
}

fn start() -> Result<Option<Server>, String> {
    match named().as_deref() {
        None | Some("embedded") => return Ok(None),
        Some("postgres") => {}
        Some(other) => return Err(format!("the engine is `postgres` or `embedded`, not `{other}`")),
    }
    let cluster = Cluster::measured(Path::new(env!("CARGO_TARGET_TMPDIR")))?;
    let connect = || {
        let mut client = Client::connect(&cluster.url(), NoTls)?;
        client.batch_execute("CREATE EXTENSION pg_stat_statements")?;
        Ok(client)
    };
    let client = connect().map_err(|error: postgres::Error| format!("no connection to the cluster: {error}"))?;
    Ok(Some(Server { cluster, client: Mutex::new(client) }))
}

fn named() -> Option<String> {
    let given = std::env::args().skip_while(|argument| argument != "--engine").nth(1);
    given.or_else(|| std::env::var("HOOKSWITCH_BENCH_ENGINE").ok())
}

impl Server {
    /// The URL of its database.
    pub(crate) fn url(&self) -> String {
        self.cluster.url()
    }

    /// The name of a schema that no other daemon has.
    pub(crate) fn new_schema(&self) -> String {
        self.cluster.new_schema()
    }

    /// Runs `work` on a connection.
    pub(crate) fn ask<T>(&self, work: impl FnOnce(&mut Client) -> Result<T, postgres::Error>) -> Outcome<T> {
        Ok(work(&mut self.client.lock().unwrap_or_else(PoisonError::into_inner))?)
    }

    /// Bytes of the tables and indexes of a schema.
    pub(crate) fn on_disk(&self, schema: &str) -> Outcome<u64> {
        let sql = "SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint FROM pg_class c \
                   WHERE relnamespace = to_regnamespace($1) AND relkind = 'r'";
        let bytes: i64 = self.ask(|client| client.query_one(sql, &[&schema]))?.get(0);
        Ok(u64::try_from(bytes)?)
    }

    /// What it has done so far, without what this asks.
    pub(crate) fn work(&self) -> Outcome<Work> {
        let sql = "SELECT sum(calls)::float8, pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::float8 \
                   FROM pg_stat_statements WHERE query NOT LIKE '%pg_stat_statements%'";
        let row = self.ask(|client| client.query_one(sql, &[]))?;
        Ok(Work { statements: row.get(0), wal: row.get(1), processor: self.processor()? })
    }

    fn processor(&self) -> Outcome<f64> {
        let postmaster = self.cluster.postmaster();
        let children = fs::read_to_string(format!("/proc/{postmaster}/task/{postmaster}/children"))?;
        // Those that have ended are counted with the one that watches them.
        let mut ticks = of_process(&postmaster.to_string(), 11..15);
        ticks += children.split_whitespace().map(|pid| of_process(pid, 11..13)).sum::<f64>();
        Ok(ticks / TICKS_PER_SECOND)
    }
}

/// Fields of a process's `stat` behind its name, added up; 0 if it has ended.
fn of_process(pid: &str, fields: std::ops::Range<usize>) -> f64 {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let behind_name = text.rsplit_once(')').map_or("", |(_, rest)| rest);
    let numbers = behind_name.split_whitespace().skip(fields.start).take(fields.len());
    numbers.filter_map(|number| number.parse::<f64>().ok()).sum()
}

impl std::ops::Sub for Work {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self {
            statements: self.statements - other.statements,
            wal: self.wal - other.wal,
            processor: self.processor - other.processor,
        }
    }
}

impl Work {
    /// In words, for each of `events`.
    pub(crate) fn of_each(&self, events: f64) -> String {
        format!(
            "{:.2} statements, {:.0} bytes of WAL and {:.0} µs of processor time in PostgreSQL",
            self.statements / events,
            self.wal / events,
            self.processor * 1e6 / events
        )
    }
}
