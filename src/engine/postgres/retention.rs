//! The retention worker: a thread that makes the partitions of the coming days, drops those whose records have expired,
//! and removes from the tables what an erasure removes.
//!
//! A partition has the records of one class and day, and is dropped as a whole, which costs no vacuum. What must outlive
//! a log entry (how a delivery ended) is moved to the events first. An error is logged, and tried again a minute later.

use std::collections::HashMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use postgres::Row;

use crate::core::id::ErasureId;
use crate::core::time::Timestamp;
use crate::engine::postgres::commit::array;
use crate::engine::postgres::connect::describe;
use crate::engine::postgres::connection::{Connection, Pool};
use crate::engine::postgres::engine::Postgres;
use crate::engine::postgres::id::Id;
use crate::engine::postgres::kinds;
use crate::engine::postgres::log::record_in;
use crate::engine::queue::Control;
use crate::engine::wait_for;
use crate::model::command::Command;
use crate::model::error::StoreError;
use crate::model::lock::lock;
use crate::model::record::{self, Class, Disposition, ErasureRecord, Expired, Head, SCHEMA, VERSION};
use crate::model::redaction::Rule;
use crate::model::redactions::{Found, Index};

/// How often it looks for what has expired.
const EVERY: Duration = Duration::from_secs(60);
/// How often it looks whether an erasure has begun, which asks the server nothing.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A day in milliseconds.
const DAY: u64 = 86_400_000;
/// For how many days partitions are made ahead.
const AHEAD: u64 = 3;
/// How much longer than `event_age` a day of events is kept, so that what was still owed of it has been ended.
const MARGIN: Duration = Duration::from_secs(3_600);
/// The partitioned tables.
const TABLES: [&str; 3] = ["events", "log_entries", "messages"];
/// How many records are read or rewritten at once.
const AT_ONCE: i64 = 500;

/// The running thread. Dropping it stops the thread.
pub(super) struct Running {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.stop.take());
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the retention worker ended in a panic");
        }
    }
}

/// Starts the thread.
///
/// # Errors
/// It cannot be started.
pub(super) fn start(engine: Arc<Postgres>, clock: Arc<dyn Fn() -> Timestamp + Send + Sync>) -> io::Result<Running> {
    let (stop, stopped) = mpsc::channel::<()>();
    let run = move || {
        let worker = Worker { engine };
        let (mut look, mut due, mut healthy) = (Duration::ZERO, Instant::now(), true);
        while stopped.recv_timeout(look) == Err(RecvTimeoutError::Timeout) {
            let every = EVERY.min(lock(&worker.engine.rules).reclaim.every);
            look = LOOK_EVERY.min(every);
            let is_due = Instant::now() >= due || (healthy && worker.is_erasing());
            if !is_due || lock(&worker.engine.away).is_some() || !worker.engine.leads() {
                continue;
            }
            let worked = catch_unwind(AssertUnwindSafe(|| worker.run_once(clock())));
            let failure = match worked {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(error.to_string()),
                Err(_) => Some("the retention worker panicked".to_owned()),
            };
            (due, healthy) = (Instant::now() + every, failure.is_none());
            if let Some(failure) = failure {
                tracing::error!("old data could not be dropped: {failure}; nothing is lost; it is tried again");
            }
        }
    };
    let thread = std::thread::Builder::new().name("retention".to_owned()).spawn(run)?;
    Ok(Running { stop: Some(stop), thread: Some(thread) })
}

/// The first id of a day, counted from 1970.
const fn first_id(day: u64) -> u128 {
    ((day * DAY) as u128) << 80
}

fn uuid(id: u128) -> String {
    format!("{id:032x}")
}

/// The name of a table's partition of a day.
fn partition(table: &str, day: u64) -> String {
    let date = Timestamp::from_millis(day * DAY).to_string();
    format!("{table}_{}", date[..10].replace('-', ""))
}

/// Makes the partitions of today and the next days.
///
/// # Errors
/// The server's.
pub(super) fn make_partitions(connection: &mut Connection, now: Timestamp) -> Result<(), postgres::Error> {
    let today = now.millis() / DAY;
    for table in TABLES {
        for day in today.saturating_sub(1)..today + AHEAD {
            let (from, to) = (uuid(first_id(day)), uuid(first_id(day + 1)));
            let name = partition(table, day);
            let made = format!(
                "CREATE TABLE IF NOT EXISTS {name} PARTITION OF {table} FOR VALUES FROM ('{from}') TO ('{to}')"
            );
            if let Err(error) = connection.client().batch_execute(&made) {
                // Records of that day are in the partition of the rest already: the clock was wrong for a while.
                if error.code() != Some(&postgres::error::SqlState::CHECK_VIOLATION) {
                    return Err(error);
                }
                tracing::warn!("no partition {name} can be made: {}", describe(&error));
            }
        }
    }
    Ok(())
}

/// Removes what the daemons have told each other some time ago: one that was away for longer reads everything anew.
fn forget_commits(connection: &mut Connection) -> Result<(), postgres::Error> {
    connection.query("DELETE FROM commits WHERE at < clock_timestamp() - interval '1 minute'", &[])?;
    let sql = "DELETE FROM positions p WHERE at < clock_timestamp() - interval '1 day' AND fan_outs = '{}' AND NOT EXISTS \
               (SELECT FROM nodes n WHERE n.node = p.node)";
    connection.query(sql, &[]).map(drop)
}

/// The rules of erasures that are not complete.
///
/// # Errors
/// The server cannot be reached, or a rule cannot be read.
pub(super) fn rules(pool: &Pool) -> Result<Vec<Arc<Rule>>, StoreError> {
    let damaged = || StoreError::corrupt_state("has a rule of an erasure that cannot be read");
    let rule = |row: &Row| Rule::from_json(row.get(0)).map(Arc::new).ok_or_else(damaged);
    pool.query("SELECT rule FROM erasing ORDER BY id", &[])?.iter().map(rule).collect()
}

/// Redacts reads by the rules of the erasures that are not complete, as other daemons have begun and completed them.
///
/// # Errors
/// As [`rules`].
pub(super) fn redact_anew(engine: &Postgres, now: Timestamp) -> Result<(), StoreError> {
    let rules = rules(&engine.pool)?;
    let known = engine.redaction.read().unwrap_or_else(PoisonError::into_inner).rules();
    let is_in = |rule: &Arc<Rule>, rules: &[Arc<Rule>]| rules.iter().any(|one| one.id == rule.id);
    for new in rules.iter().filter(|rule| !is_in(rule, &known)) {
        engine.redact(new);
    }
    let done: Vec<Arc<Rule>> = known.into_iter().filter(|rule| !is_in(rule, &rules)).collect();
    let mut redaction = engine.redaction.write().unwrap_or_else(PoisonError::into_inner);
    done.iter().for_each(|rule| redaction.remove(rule));
    drop(redaction);
    // What they have found is not known here: they stay active for what is still in flight.
    let found = done.iter().map(|rule| (rule.id, Found::default())).collect();
    engine.redactions.done(&done, &found, now);
    Ok(())
}

struct Worker {
    engine: Arc<Postgres>,
}

/// A partition of a day.
struct Partition {
    name: String,
    /// The first id behind it.
    end: u128,
    bytes: u64,
}

impl Worker {
    fn run_once(&self, now: Timestamp) -> Result<(), StoreError> {
        self.engine.pool.with(|connection| make_partitions(connection, now))?;
        self.engine.pool.with(forget_commits)?;
        self.erase(now)?;
        self.engine.queue.send(Control::EndExpired);
        let rules = *lock(&self.engine.rules);
        let expired = rules.expired(now);
        let events = rules.expired(Timestamp::from_millis(now.millis().saturating_sub(MARGIN.as_millis() as u64)));
        for partition in self.partitions("events")? {
            if partition.end <= events.events_below {
                self.drop_partition(&partition)?;
            }
        }
        for partition in self.partitions("messages")? {
            if partition.end <= expired.messages_below {
                self.drop_partition(&partition)?;
            }
        }
        let mut newer = 0;
        for partition in self.partitions("log_entries")?.into_iter().rev() {
            if partition.end <= expired.log_below || newer >= rules.log_bytes {
                self.keep_ends(&partition, &expired)?;
                self.drop_partition(&partition)?;
            }
            newer += partition.bytes;
        }
        Ok(())
    }

    /// The partitions of a table by day, oldest first.
    fn partitions(&self, table: &str) -> Result<Vec<Partition>, StoreError> {
        let sql = "SELECT c.relname::text, pg_total_relation_size(c.oid) FROM pg_inherits i JOIN pg_class c ON c.oid = \
                   i.inhrelid WHERE i.inhparent = $1::text::regclass AND c.relname ~ '_[0-9]{8}$' ORDER BY 1";
        let rows = self.engine.pool.query(sql, &[&table])?;
        let partition = |row: &Row| {
            let name: String = row.get(0);
            let date = &name[name.len() - 8..];
            let day = Timestamp::parse(&format!("{}-{}-{}T00:00:00Z", &date[..4], &date[4..6], &date[6..])).ok()?;
            let end = first_id(day.millis() / DAY + 1);
            Some(Partition { end, bytes: u64::try_from(row.get::<_, i64>(1)).unwrap_or(0), name })
        };
        Ok(rows.iter().filter_map(partition).collect())
    }

    fn drop_partition(&self, partition: &Partition) -> Result<(), StoreError> {
        self.engine.pool.with(|connection| {
            connection.client().batch_execute(&format!(
                "SET lock_timeout = '5s'; DROP TABLE IF EXISTS {}; RESET lock_timeout",
                partition.name
            ))
        })?;
        tracing::info!("the partition {} is dropped: its records have expired", partition.name);
        Ok(())
    }

    /// Moves to the events how deliveries ended, where only log entries of a partition say so.
    fn keep_ends(&self, partition: &Partition, expired: &Expired) -> Result<(), StoreError> {
        let dropped = Expired { log_below: u128::MAX, ..*expired };
        let sql = format!(
            "SELECT id, kind, version, payload FROM {} WHERE class = $1 AND id > $2 ORDER BY id LIMIT $3",
            partition.name
        );
        let mut after = Id(0);
        loop {
            let rows = self.engine.pool.query(&sql, &[&kinds::class(Class::LogEntry), &after, &AT_ONCE])?;
            let Some(last) = rows.last() else { return Ok(()) };
            after = last.get(0);
            for row in &rows {
                let (head, payload) = record_in(row);
                let waits = &mut |delivery| Ok(record::find(delivery, &self.engine.reader)?.is_some());
                if let Disposition::Replace(kind, payload) = record::retained(head, payload, &dropped, waits)? {
                    self.insert(Head { kind, ..head }, &payload)?;
                }
            }
        }
    }

    fn insert(&self, head: Head, payload: &[u8]) -> Result<(), StoreError> {
        let sql = "INSERT INTO records (id, class, kind, version, terms, payload) VALUES ($1, $2, $3, $4, \
                   string_to_array($5, ',')::bigint[], $6) ON CONFLICT DO NOTHING";
        let terms = array(&(SCHEMA.terms)(head, payload).keys);
        let class = kinds::class((SCHEMA.class)(head.kind));
        let (kind, version) = (i16::from(head.kind), i16::from(VERSION));
        self.engine.pool.query(sql, &[&Id(head.id), &class, &kind, &version, &terms, &payload])?;
        Ok(())
    }

    /// Whether an erasure is not complete.
    fn is_erasing(&self) -> bool {
        !self.engine.redaction.read().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Carries out all erasures that are not complete.
    fn erase(&self, now: Timestamp) -> Result<(), StoreError> {
        let rules = rules(&self.engine.pool)?;
        if rules.is_empty() {
            return Ok(());
        }
        let found = self.rewrite(&rules)?;
        for rule in &rules {
            let of_rule = found.get(&rule.id).copied().unwrap_or_default();
            let begun = ErasureRecord::begun(&rule.company, rule.at, 0, 0);
            let done = begun.done(now, of_rule.events, of_rule.messages, of_rule.log_entries);
            wait_for(&*self.engine, |reply| Command::Erasure(rule.id, Box::new(done.clone()), reply))?;
            self.engine.pool.query("DELETE FROM erasing WHERE id = $1", &[&Id(rule.id.bits())])?;
            self.engine.redaction.write().unwrap_or_else(PoisonError::into_inner).remove(rule);
            tracing::info!("{}: the erasure is complete in the tables", rule.id);
        }
        self.engine.redactions.done(&rules, &found, now);
        Ok(())
    }

    /// Rewrites every record that contains something of `rules`.
    fn rewrite(&self, rules: &[Arc<Rule>]) -> Result<HashMap<ErasureId, Found>, StoreError> {
        let mut found: HashMap<ErasureId, Found> = HashMap::new();
        let index = Index::of(rules);
        let hashes: Vec<i64> =
            rules.iter().flat_map(|rule| rule.hashes()).filter_map(|hash| i64::try_from(hash).ok()).collect();
        let read = "SELECT id, kind, version, payload FROM records WHERE terms && $1 AND id > $2 ORDER BY id LIMIT $3";
        let write =
            "UPDATE records SET payload = $3, terms = string_to_array($4, ',')::bigint[] WHERE class = $1 AND id = $2";
        let mut after = Id(0);
        loop {
            let rows = self.engine.pool.query(read, &[&hashes, &after, &AT_ONCE])?;
            let Some(last) = rows.last() else { return Ok(found) };
            after = last.get(0);
            for row in &rows {
                let (head, payload) = record_in(row);
                let Some((erased, rule)) = index.apply(head, payload) else { continue };
                let terms = array(&(SCHEMA.terms)(head, &erased).keys);
                let class = kinds::class((SCHEMA.class)(head.kind));
                self.engine.pool.query(write, &[&class, &Id(head.id), &erased, &terms])?;
                found.entry(rule).or_default().count(head.kind);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_has_a_partition_of_its_own() {
        assert_eq!(partition("events", 20_787), "events_20261130");
        assert_eq!(uuid(first_id(1)), format!("{:012x}{}", DAY, "0".repeat(20)));
    }
}
