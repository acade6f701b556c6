//! The daemons that work on a schema, and the shards that each of them owns.
//!
//! Joining, leaving, taking over and changing shards are commits like others: they happen under the lock of the row of
//! `store`, one after the other with all commits of all daemons. So a daemon that is no longer in `nodes` cannot commit,
//! and one that commits knows who owned what at that time.

use postgres::Row;

use crate::core::shards::{Shard, ShardSet};
use crate::core::time::Timestamp;
use crate::engine::postgres::connection::{Connection, Pool};
use crate::engine::postgres::id::Id;
use crate::engine::postgres::lease::LEASE;
use crate::engine::postgres::ownership::{self, Member, Sight, Step};
use crate::engine::postgres::{process, schema};
use crate::model::cluster::{Cluster, Member as Seen, Standby};
use crate::model::error::StoreError;

/// The daemons and the owners of all shards; also how far the tables are.
#[derive(Debug, Clone)]
pub(super) struct Members {
    pub(super) members: Vec<Member>,
    pub(super) owners: Vec<Option<Id>>,
    /// The number of the last commit.
    pub(super) batch: i64,
}

impl Members {
    /// What `me` does, which is giving up the shards `leaving`, and is `settled` if it was connected for a lease.
    pub(super) fn step(&self, me: Id, leaving: ShardSet, settled: bool) -> Step {
        ownership::step(&Sight { me, members: &self.members, owners: &self.owners, leaving, settled })
    }

    /// Whether this daemon is one of them.
    pub(super) fn has(&self, node: Id) -> bool {
        self.members.iter().any(|member| member.node == node)
    }
}

const READ: &str = "SELECT s.batch, o.owners, n.node, n.until > clock_timestamp(), n.process FROM store s CROSS JOIN \
                    (SELECT array_agg(node ORDER BY shard) AS owners FROM shards) o LEFT JOIN nodes n ON true";
const RENEW: &str = "WITH renewed AS (UPDATE nodes SET until = clock_timestamp() + $2 * interval '1 millisecond' WHERE \
                     node = $1 RETURNING 1) SELECT s.batch, o.owners, n.node, n.until > clock_timestamp(), n.process FROM \
                     store s CROSS JOIN (SELECT array_agg(node ORDER BY shard) AS owners FROM shards) o LEFT JOIN nodes n \
                     ON true";

fn lease_millis() -> f64 {
    LEASE.as_millis() as f64
}

/// Reads them.
pub(super) fn read(connection: &mut Connection) -> Result<Members, postgres::Error> {
    connection.query(READ, &[]).map(|rows| members(&rows))
}

/// Renews the lease of `node`, if it has one, and reads them.
pub(super) fn renew(connection: &mut Connection, node: Id) -> Result<Members, postgres::Error> {
    connection.query(RENEW, &[&node, &lease_millis()]).map(|rows| members(&rows))
}

fn members(rows: &[Row]) -> Members {
    let member = |row: &Row| {
        let node: Option<Id> = row.get(2);
        let ended = row.get::<_, Option<&str>>(4).is_some_and(process::has_ended);
        Some(Member { node: node?, alive: row.get::<_, Option<bool>>(3) == Some(true), ended })
    };
    Members {
        members: rows.iter().filter_map(member).collect(),
        owners: rows.first().map(|row| row.get(1)).unwrap_or_default(),
        batch: rows.first().map_or(0, |row| row.get(0)),
    }
}

/// What others see of a daemon.
#[derive(Debug, Clone)]
pub(super) struct About {
    pub(super) name: String,
    pub(super) process: String,
}

impl About {
    /// This daemon.
    pub(super) fn this() -> Self {
        Self { name: crate::engine::process::name(), process: process::identity() }
    }
}

/// Adds a daemon.
pub(super) fn join(connection: &mut Connection, node: Id, about: &About) -> Result<(), postgres::Error> {
    let sql = "INSERT INTO nodes (node, name, version, process, until, knows) VALUES ($1, $2, $3, $4, clock_timestamp() + \
               $5 * interval '1 millisecond', $6)";
    let (version, lease) = (env!("CARGO_PKG_VERSION"), lease_millis());
    connection.query(sql, &[&node, &about.name, &version, &about.process, &lease, &schema::VERSION]).map(drop)
}

/// Carries out a step of `me`: removes the dead, and takes shards.
pub(super) fn apply(connection: &mut Connection, me: Id, step: &Step) -> Result<(), postgres::Error> {
    let dead: Vec<Id> = step.dead.clone();
    connection.query("DELETE FROM nodes WHERE node = ANY($1)", &[&dead])?;
    let claim: Vec<i16> = step.claim.iter().map(Shard::get).map(i16::from).collect();
    connection.query("UPDATE shards SET node = $1 WHERE shard = ANY($2)", &[&me, &claim]).map(drop)
}

/// Gives up shards of `me`.
pub(super) fn release(connection: &mut Connection, me: Id, shards: &ShardSet) -> Result<(), postgres::Error> {
    let shards: Vec<i16> = shards.iter().map(Shard::get).map(i16::from).collect();
    connection.query("UPDATE shards SET node = NULL WHERE node = $1 AND shard = ANY($2)", &[&me, &shards]).map(drop)
}

/// Removes `me`, and gives up all its shards.
pub(super) fn leave(connection: &mut Connection, me: Id) -> Result<(), postgres::Error> {
    connection.query("UPDATE shards SET node = NULL WHERE node = $1", &[&me])?;
    connection.query("DELETE FROM nodes WHERE node = $1", &[&me]).map(drop)
}

/// The fan-outs of daemons that are gone, which from now on are those of the caller.
pub(super) fn take_unfinished(connection: &mut Connection) -> Result<Vec<u128>, postgres::Error> {
    let sql = "WITH gone AS (SELECT node, fan_outs FROM positions p WHERE fan_outs <> '{}' AND NOT EXISTS (SELECT FROM \
               nodes n WHERE n.node = p.node)), taken AS (UPDATE positions SET fan_outs = '{}' WHERE node IN (SELECT node \
               FROM gone)) SELECT unnest(fan_outs) FROM gone";
    Ok(connection.query(sql, &[])?.iter().map(|row| row.get::<_, Id>(0).0).collect())
}

/// All that can be said of the daemons and of the server's standbys.
///
/// # Errors
/// The server cannot be reached, or fails.
pub(super) fn cluster(pool: &Pool, me: Id) -> Result<Cluster, StoreError> {
    let of_nodes = "SELECT n.node, n.node::text, n.name, n.version, (extract(epoch FROM n.started) * 1000)::bigint, n.until > \
                    clock_timestamp(), (SELECT count(*) FROM shards s WHERE s.node = n.node) FROM nodes n ORDER BY n.started";
    let number = |number: i64| usize::try_from(number).unwrap_or(0);
    let member = |row: &Row| Seen {
        this: row.get::<_, Id>(0) == me,
        id: row.get(1),
        name: row.get(2),
        version: row.get(3),
        started: Timestamp::from_millis(u64::try_from(row.get::<_, i64>(4)).unwrap_or(0)),
        alive: row.get(5),
        shards: number(row.get(6)),
    };
    let of_standbys = "SELECT coalesce(application_name, ''), coalesce(sync_state, ''), coalesce(state, ''), \
                       pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)::bigint FROM pg_stat_replication ORDER BY 1, pid";
    let standby = |row: &Row| Standby {
        name: row.get(0),
        sync: row.get(1),
        state: row.get(2),
        lag_bytes: row.get::<_, Option<i64>>(3).map(|bytes| u64::try_from(bytes).unwrap_or(0)),
    };
    let unowned = pool.query("SELECT count(*) FROM shards WHERE node IS NULL", &[])?;
    Ok(Cluster {
        daemons: pool.query(of_nodes, &[])?.iter().map(member).collect(),
        unowned: unowned.first().map_or(0, |row| number(row.get(0))),
        standbys: pool.query(of_standbys, &[])?.iter().map(standby).collect(),
    })
}

/// The last commit of `node`, and the fan-outs that it had begun.
pub(super) fn position(connection: &mut Connection, node: Id) -> Result<(i64, Vec<u128>), postgres::Error> {
    let rows = connection.query("SELECT batch, fan_outs FROM positions WHERE node = $1", &[&node])?;
    let fan_outs = |row: &Row| row.get::<_, Vec<Id>>(1).into_iter().map(|id| id.0).collect();
    Ok(rows.first().map_or((0, Vec::new()), |row| (row.get(0), fan_outs(row))))
}
