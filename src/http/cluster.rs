//! `GET /v1/cluster`: the daemons that work on the store, and the standbys of its server.

use hyper::StatusCode;
use serde::Serialize;

use super::bridge;
use super::fair_limit::Lane;
use super::problem::Problem;
use super::reply::{Reply, json};
use super::request::Permitted;
use super::shape::Text;
use crate::core::shards::SHARDS;
use crate::core::time::Timestamp;
use crate::store::{Cluster, Member, Standby, Store, process_name};

#[derive(Serialize)]
struct ClusterJson {
    engine: &'static str,
    shards: usize,
    unowned_shards: usize,
    daemons: Vec<DaemonJson>,
    standbys: Vec<StandbyJson>,
}

#[derive(Serialize)]
struct DaemonJson {
    /// None where a daemon has its store for itself.
    id: Option<String>,
    name: String,
    version: String,
    started_at: Text<Timestamp>,
    alive: bool,
    shards: usize,
    this: bool,
}

#[derive(Serialize)]
struct StandbyJson {
    name: String,
    sync: String,
    state: String,
    lag_bytes: Option<u64>,
}

/// The daemons and standbys.
///
/// # Errors
/// 403 for a token bound to a company, 422 for a query, and as [`bridge::read_in`].
pub(super) async fn show(request: Permitted) -> Result<Reply, Problem> {
    request.no_query()?;
    if request.access.is_bound() {
        return Err(Problem::forbidden("daemons serve every company, and this token is bound to one"));
    }
    let cluster = bridge::read_in(Lane::Control, &request, Store::cluster).await?;
    let started = request.services().started;
    json(StatusCode::OK, &cluster.map_or_else(|| alone(started), several))
}

fn several(cluster: Cluster) -> ClusterJson {
    let Cluster { daemons, unowned, standbys } = cluster;
    let daemon = |Member { id, name, version, started, alive, shards, this }| DaemonJson {
        id: Some(id),
        name,
        version,
        started_at: Text(started),
        alive,
        shards,
        this,
    };
    let standby = |Standby { name, sync, state, lag_bytes }| StandbyJson { name, sync, state, lag_bytes };
    ClusterJson {
        engine: "postgres",
        shards: SHARDS,
        unowned_shards: unowned,
        daemons: daemons.into_iter().map(daemon).collect(),
        standbys: standbys.into_iter().map(standby).collect(),
    }
}

/// A daemon that has its store for itself.
fn alone(started: Timestamp) -> ClusterJson {
    let daemon = DaemonJson {
        id: None,
        name: process_name(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started_at: Text(started),
        alive: true,
        shards: SHARDS,
        this: true,
    };
    ClusterJson { engine: "embedded", shards: SHARDS, unowned_shards: 0, daemons: vec![daemon], standbys: Vec::new() }
}
