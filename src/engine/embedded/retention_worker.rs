//! The retention worker: a thread that compacts and drops expired segments, and compresses full ones.
//!
//! It is throttled, so that a disk that is busy with commits hardly notices it. An error is logged and retried later;
//! nothing is lost by it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::core::id::ErasureId;
use crate::core::time::Timestamp;
use crate::engine::embedded::engine::Embedded;
use crate::engine::embedded::reclaim::{Due, due, run_every, segment_age};
use crate::engine::embedded::wal::NotCompacted;
use crate::engine::queue::Control;
use crate::engine::wait_for;
use crate::model::command::Command;
use crate::model::error::{Damage, StoreError};
use crate::model::lock::lock;
use crate::model::record::{self, ErasureRecord, Head};
use crate::model::retention::Rules;

/// How often the free space is checked.
const SPACE_EVERY: Duration = Duration::from_secs(1);
/// How long it pauses after each 256 KiB.
const PAUSE: Duration = Duration::from_millis(2);
/// How often it checks whether a requested segment has begun.
const ROTATION_POLL: Duration = Duration::from_millis(20);
/// How long it waits after an error.
const AFTER_ERROR: Duration = Duration::from_secs(300);

/// The context of the thread.
pub(crate) struct RetentionWorker {
    pub(crate) engine: Arc<Embedded>,
    /// The newest segment that begins with a complete snapshot of the subscriptions; 0 until there is one.
    pub(crate) snapshot_in: Arc<AtomicU32>,
    pub(crate) clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
}

#[derive(Default)]
struct Stop {
    asked: Mutex<bool>,
    changed: Condvar,
}

impl Stop {
    /// Waits for `length` at most; returns whether a stop was requested.
    fn wait(&self, length: Duration) -> bool {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let (asked, _) =
            self.changed.wait_timeout_while(asked, length, |asked| !*asked).unwrap_or_else(PoisonError::into_inner);
        *asked
    }
}

/// The running thread. Dropping it stops the thread.
pub(crate) struct Running {
    stop: Arc<Stop>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        *self.stop.asked.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.stop.changed.notify_all();
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the retention worker ended in a panic");
        }
    }
}

impl RetentionWorker {
    /// Starts the thread.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub(crate) fn start(self) -> std::io::Result<Running> {
        let stop = Arc::new(Stop::default());
        let of_thread = stop.clone();
        let thread = std::thread::Builder::new().name("retention".to_owned()).spawn(move || self.run(&of_thread))?;
        Ok(Running { stop, thread: Some(thread) })
    }

    fn run(&self, stop: &Stop) {
        let every = || run_every(&self.rules());
        let mut next = Instant::now() + every();
        let mut newest = self.engine.wal.newest();
        let (mut healthy, mut more) = (true, false);
        while !stop.wait(if more { PAUSE } else { SPACE_EVERY.min(every()) }) {
            self.engine.space.current();
            let filled = self.engine.wal.newest() != newest;
            // The configuration may have set a shorter age meanwhile.
            next = next.min(Instant::now() + if healthy { every() } else { AFTER_ERROR });
            let erasing = !self.engine.erasures.under_way().is_empty();
            let due = Instant::now() >= next || ((filled || erasing) && healthy);
            more = false;
            let may_work = due || (healthy && self.next_compressible().is_some());
            if !may_work {
                continue;
            }
            if due {
                newest = self.engine.wal.newest();
                next = Instant::now() + every();
            }
            healthy = true;
            let worked = catch_unwind(AssertUnwindSafe(|| self.work(due, stop)));
            let failure = match worked {
                Ok(Ok(compressed)) => {
                    more = compressed && self.next_compressible().is_some();
                    continue;
                }
                Ok(Err(NotCompacted::Stopped)) => return,
                Ok(Err(NotCompacted::Failed(damage))) => damage.to_string(),
                Err(_) => "the retention worker panicked".to_owned(),
            };
            let later = AFTER_ERROR.as_secs();
            tracing::error!(
                "old data could not be dropped or compressed: {failure}; nothing is lost; next attempt in {later} s"
            );
            (next, healthy) = (Instant::now() + AFTER_ERROR, false);
        }
    }

    /// Runs retention if that is due, then compresses the newest segment that can be; returns whether there was one.
    fn work(&self, due: bool, stop: &Stop) -> Result<bool, NotCompacted> {
        if due {
            self.run_once(stop)?;
        }
        let Some(number) = self.next_compressible() else { return Ok(false) };
        match self.engine.wal.compress(number, &mut || !stop.wait(PAUSE)) {
            Ok(saved) => tracing::debug!("segment {number}: compression saved {saved} bytes"),
            // It is not retried, and must not prevent other work.
            Err(NotCompacted::Failed(damage)) if !damage.is_io() => {
                tracing::error!("segment {number} is not compressed: {damage}");
            }
            Err(why) => return Err(why),
        }
        Ok(true)
    }

    /// The next segment to compress: one that is fully checkpointed, and for whose copy there is space.
    fn next_compressible(&self) -> Option<u32> {
        let files = self.engine.wal.compressible(self.engine.kv.durable().segment);
        files.into_iter().find(|(_, bytes)| self.engine.space.has_space_for(*bytes)).map(|(number, _)| number)
    }

    /// Makes the writer end expired deliveries, and begin a new segment if `rotate`.
    fn end_expired(&self, rotate: bool) {
        if rotate {
            self.engine.queue.send(Control::Rotate);
        }
        self.engine.queue.send(Control::EndExpired);
    }

    /// Records the progress of an erasure in the WAL.
    fn record_erasure(&self, id: ErasureId, record: &ErasureRecord) -> Result<(), StoreError> {
        wait_for(&*self.engine, |reply| Command::ErasureProgress(id, Box::new(record.clone()), reply))
    }

    fn rules(&self) -> Rules {
        *lock(&self.engine.rules)
    }

    /// Carries out all pending erasures on every segment, after beginning a new one.
    fn erase(&self, stop: &Stop) -> Result<(), NotCompacted> {
        let erasures = &self.engine.erasures;
        let under_way = erasures.under_way();
        if under_way.is_empty() {
            return Ok(());
        }
        let full = self.engine.wal.newest();
        while !(self.engine.wal.newest() > full || self.engine.wal.newest_is_empty()) {
            self.end_expired(true);
            if stop.wait(ROTATION_POLL) {
                return Err(NotCompacted::Stopped);
            }
        }
        let newest = self.engine.wal.newest();
        while self.engine.kv.durable().segment < newest {
            if stop.wait(ROTATION_POLL) {
                return Err(NotCompacted::Stopped);
            }
        }
        let failed = |why: String| NotCompacted::Failed(Damage::failed(std::path::Path::new("erasing"), why));
        let all_found = erasures.erase(&under_way, newest, &mut || !stop.wait(PAUSE))?;
        let now = (self.clock)();
        for rule in &under_way {
            let found = all_found.get(&rule.id).copied().unwrap_or_default();
            let begun = ErasureRecord::begun(&rule.company, rule.at, 0, 0);
            let done = begun.done(now, found.events, found.messages, found.log_entries);
            self.record_erasure(rule.id, &done).map_err(|error| failed(error.to_string()))?;
        }
        erasures.done(&under_way, &all_found, now).map_err(|error| failed(error.to_string()))?;
        for rule in &under_way {
            tracing::info!("{}: the erasure is complete on the disk", rule.id);
        }
        Ok(())
    }

    /// Runs erasures and retention once over all segments.
    fn run_once(&self, stop: &Stop) -> Result<(), NotCompacted> {
        self.erase(stop)?;
        let (now, rules) = ((self.clock)(), self.rules());
        self.end_expired(self.engine.wal.newest_is_older_than(now, segment_age(&rules))?);
        let applied_before = self.engine.kv.durable().segment.min(self.snapshot_in.load(Ordering::Acquire));
        let stats = self.engine.wal.stats();
        let mut first = stats.first().map_or(0, |(number, _)| *number);
        let mut failed = None;
        for mut due in due(&rules, &stats, applied_before, now) {
            due.expired.oldest = due.number == first;
            match self.compact(&due, stop) {
                Ok(dropped) => first += u32::from(dropped),
                Err(NotCompacted::Stopped) => return Err(NotCompacted::Stopped),
                // The other segments may be intact.
                Err(NotCompacted::Failed(damage)) => failed = failed.or(Some(damage)),
            }
        }
        failed.map_or(Ok(()), |damage| Err(NotCompacted::Failed(damage)))
    }

    /// Compacts one segment; returns whether it was dropped.
    fn compact(&self, due: &Due, stop: &Stop) -> Result<bool, NotCompacted> {
        let waits = &mut |id| Ok(record::find(id, &*self.engine.kv)?.is_some());
        let decide = &mut |head: Head, payload: &[u8]| {
            record::retained(head, payload, &due.expired, waits).map_err(Damage::from)
        };
        let throttle = &mut || !stop.wait(PAUSE);
        let survey = self.engine.wal.survey(due.number, decide, throttle)?;
        if survey.kept == 0 && due.expired.oldest {
            self.engine.wal.drop_first(due.number)?;
            tracing::debug!("segment {} is dropped: all its records have expired", due.number);
            return Ok(true);
        }
        // Both files exist while it is being rewritten.
        if survey.gone > 0 && self.engine.space.has_space_for(survey.kept) {
            self.engine.wal.rewrite(due.number, decide, throttle)?;
            let (kept, gone) = (survey.kept, survey.gone);
            tracing::debug!("segment {} is compacted: {gone} bytes removed, {kept} remain", due.number);
        }
        Ok(false)
    }
}
