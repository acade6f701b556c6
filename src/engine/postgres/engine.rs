//! The PostgreSQL engine's implementation of [`Engine`].

use std::sync::{Arc, Mutex, PoisonError, RwLock, mpsc};
use std::time::{Duration, Instant};

use crate::core::shards::{Ownership, Shard, ShardSet};
use crate::core::time::Timestamp;
use crate::engine::postgres::connection::Pool;
use crate::engine::postgres::lease::Lease;
use crate::engine::postgres::log::Records;
use crate::engine::postgres::members;
use crate::engine::postgres::state::Reader;
use crate::engine::queue::{Control, WriteQueue};
use crate::engine::{DiskSpace, Engine, Pieces};
use crate::model::cluster::Cluster;
use crate::model::command::{AttemptResult, Busy, Command};
use crate::model::error::StoreError;
use crate::model::lock::lock;
use crate::model::redaction::Rule;
use crate::model::redactions::{Index, Redactions};
use crate::model::retention::Rules;
use crate::model::settings::Settings;
use crate::model::view::{Log, View};

/// How often the size of the tables is asked for.
const SIZE_EVERY: Duration = Duration::from_secs(60);

/// The shared state of the engine, for readers and for submitting commands.
pub(crate) struct Postgres {
    pub(super) pool: Arc<Pool>,
    pub(super) reader: Reader,
    pub(super) records: Arc<Records>,
    pub(crate) queue: Arc<WriteQueue>,
    pub(super) redaction: Arc<RwLock<Index>>,
    pub(super) redactions: Arc<Redactions>,
    /// Retention periods.
    pub(super) rules: Mutex<Rules>,
    /// Why nothing is accepted.
    pub(super) away: Mutex<Option<String>>,
    /// Why nothing new is accepted since a commit found the server's disk full.
    pub(super) full: Mutex<Option<String>>,
    /// The shards that this daemon sends for.
    pub(super) ownership: Mutex<Ownership>,
    pub(super) lease: Arc<Lease>,
    /// The bits of the last committed id.
    pub(super) durable: Mutex<u128>,
    /// The size of all tables, and when it was asked for.
    pub(super) size: Mutex<(u64, Option<Instant>)>,
}

impl Postgres {
    /// Records why nothing is accepted; `None` if it is again.
    pub(super) fn set_away(&self, why: Option<String>) {
        *lock(&self.away) = why;
    }

    /// Records that the server's disk is full; `None` once a commit has succeeded.
    pub(super) fn set_full(&self, why: Option<String>) {
        *lock(&self.full) = why;
    }

    /// The bits of the last committed id.
    pub(super) fn durable_bits(&self) -> u128 {
        *lock(&self.durable)
    }

    /// Records the last committed id.
    pub(super) fn set_durable(&self, id: u128) {
        *lock(&self.durable) = id;
    }

    /// Sends for these shards from now on.
    pub(super) fn own(&self, shards: ShardSet) -> Ownership {
        let mut ownership = lock(&self.ownership);
        *ownership = Ownership { shards, change: ownership.change + 1 };
        *ownership
    }

    /// Whether this daemon does what is done once for all.
    pub(super) fn leads(&self) -> bool {
        lock(&self.ownership).shards.contains(Shard::LEADING)
    }

    /// Redacts reads by a rule from now on.
    pub(super) fn redact(&self, rule: &Arc<Rule>) {
        self.redactions.insert(rule.clone());
        self.redaction.write().unwrap_or_else(PoisonError::into_inner).insert(rule.clone());
    }
}

impl Engine for Postgres {
    fn view(&self) -> &dyn View {
        &self.reader
    }

    fn log(&self) -> &dyn Log {
        &*self.records
    }

    fn submit(&self, command: Command) -> Result<(), Busy> {
        self.queue.push(command)
    }

    fn finish(&self, result: AttemptResult) {
        self.queue.finish(result);
    }

    fn ownership(&self) -> Ownership {
        *lock(&self.ownership)
    }

    fn may_begin(&self) -> bool {
        self.lease.is_valid(Instant::now())
    }

    fn cluster(&self) -> Result<Option<Cluster>, StoreError> {
        members::cluster(&self.pool, self.lease.node()).map(Some)
    }

    fn release(&self, shards: ShardSet) {
        self.queue.send(Control::Release(shards));
    }

    fn admit(&self, _: u64) -> Result<(), String> {
        // The server says so at a commit, and an idle writer commits every few seconds.
        lock(&self.full).clone().map_or(Ok(()), Err)
    }

    fn space(&self) -> Option<DiskSpace> {
        None
    }

    fn out_of_space(&self) -> Option<String> {
        let away = lock(&self.away).clone();
        away.or_else(|| lock(&self.full).clone())
    }

    fn bytes(&self) -> u64 {
        let mut size = lock(&self.size);
        if size.1.is_none_or(|asked| asked.elapsed() > SIZE_EVERY) && lock(&self.away).is_none() {
            let sql = "SELECT coalesce(sum(pg_total_relation_size(oid)), 0)::bigint FROM pg_class WHERE relnamespace = \
                       current_schema()::regnamespace AND relkind = 'r'";
            let found = self.pool.query(sql, &[]).ok();
            let found = found.and_then(|rows| rows.first().map(|row| row.get::<_, i64>(0)));
            *size = (found.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(size.0), Some(Instant::now()));
        }
        size.0
    }

    fn ping(&self, limit: Duration) -> bool {
        let (ping, answered) = mpsc::sync_channel(1);
        self.queue.send(Control::Ping(ping));
        // While the server is away the writer is well, and waits for it.
        answered.recv_timeout(limit).is_ok() || lock(&self.away).is_some()
    }

    fn reconfigure(&self, settings: Settings) {
        *lock(&self.rules) = settings.retention;
        self.queue.send(Control::Configure(settings));
    }

    fn durable_id(&self) -> u128 {
        self.durable_bits()
    }

    fn erase(&self, rule: Rule) -> Result<(), StoreError> {
        let (id, text) = (super::id::Id(rule.id.bits()), rule.to_json());
        self.pool.query("INSERT INTO erasing (id, rule) VALUES ($1, $2)", &[&id, &text])?;
        self.redact(&Arc::new(rule));
        Ok(())
    }

    fn backup(&self, _: Timestamp) -> Result<Option<Pieces>, StoreError> {
        Err(StoreError::Conflict(
            "the data is in PostgreSQL: back it up there (pg_dump, pgBackRest, or the provider's backups)".to_owned(),
        ))
    }
}
