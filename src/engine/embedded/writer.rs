//! The single writer: takes what is queued, lets the command handler decide it, writes it as one group commit, syncs,
//! and replies.
//!
//! Under load commits grow and share the cost of a sync; a lone request waits for one. There is no timer and no
//! artificial delay. After a failed write or sync the content of the disk is unknown: every caller gets
//! [`Unavailable`](crate::model::error::StoreError::Unavailable), the daemon is notified, and the thread ends. Nothing
//! is retried, since a retry would prove nothing. The same applies if a restart would no longer find the written files,
//! which [`location`](crate::engine::embedded::location) checks before any reply.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Sender, SyncSender};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::core::time::Moment;
use crate::engine::embedded::checkpoint::Checkpointer;
use crate::engine::embedded::frame;
use crate::engine::embedded::kv::{CheckpointMeta, Kv};
use crate::engine::embedded::location::{Location, LocationError};
use crate::engine::embedded::position::CheckpointPosition;
use crate::engine::embedded::reclaim;
use crate::engine::embedded::wal::{self, IndexEntry, Wal};
use crate::engine::queue::{Batch, Control, WriteQueue};
use crate::engine::{Answers, Listeners};
use crate::model::command::{AttemptResult, Command};
use crate::model::error::{Outage, StoreError, u32_of};
use crate::model::handler::{Answer, Handler};
use crate::model::lock::lock;
use crate::model::notice::Committed;
use crate::model::read_ahead::Request;
use crate::model::record::{self, Head};
use crate::model::registry::Registry;
use crate::model::term::Terms;
use crate::model::turn::{Context, Outcome};
use crate::model::view::Sink;
use crate::model::{counts, report};

/// How long changes of the state may stay out of its database.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(2);
/// How many bytes of changes start a checkpoint. sled applies them in key order: with more changes, more of them share
/// a page in cache, and more inserted keys have been removed again. With an eighth of it, 8,000 events a second had a
/// median latency of 49 ms, with this 3.
const CHECKPOINT_BYTES: usize = 4 << 20;
/// How many bytes of changes may accumulate during a checkpoint before commits wait for it.
const MAX_GATHERED: usize = 16 << 20;
/// How many bytes of WAL start a checkpoint: a start after a crash replays them.
const CHECKPOINT_WAL_BYTES: u64 = 32 << 20;

/// How often to check whether fan-outs that wait for the state database can continue.
const FAN_OUT_EVERY: Duration = Duration::from_millis(5);

/// The writer, run by a thread of its own.
pub(crate) struct Writer {
    pub(crate) queue: Arc<WriteQueue>,
    pub(crate) handler: Handler,
    pub(crate) registry: Arc<Mutex<Registry>>,
    pub(crate) kv: Arc<Kv>,
    pub(crate) wal: Arc<Wal>,
    pub(crate) wal_writer: wal::Writer,
    pub(crate) position: CheckpointPosition,
    pub(crate) listeners: Listeners,
    pub(crate) location: Location,
    /// The newest segment that begins with a complete snapshot of the subscriptions, for retention.
    pub(crate) snapshot_in: Arc<AtomicU32>,
    pub(crate) frames: Frames,
    /// Requests to the read-ahead thread.
    pub(crate) reader: Sender<Request>,
}

/// The frames of the group commit that is being decided.
#[derive(Default)]
pub(crate) struct Frames {
    /// The number of the group commit.
    number: u64,
    bytes: Vec<u8>,
    /// Their index entries.
    entries: Vec<IndexEntry>,
}

impl Frames {
    /// The frames of the group commit after `last`.
    pub(crate) fn after(last: u64) -> Self {
        Self { number: last + 1, ..Self::default() }
    }
}

impl Sink for Frames {
    fn append(&mut self, kind: u8, id: u128, continues: bool, terms: Terms, payload: &mut dyn FnMut(&mut Vec<u8>)) {
        let offset = u32_of(self.bytes.len());
        let head = Head { version: record::VERSION, kind, continues, batch: self.number, id };
        frame::encode(&mut self.bytes, head, payload);
        let (length, class) = (u32_of(self.bytes.len()) - offset, (record::SCHEMA.class)(kind));
        self.entries.push(IndexEntry { offset, length, class, id, terms });
    }
}

/// What has been written since the last checkpoint began.
#[derive(Default)]
struct Dirty {
    /// When the first of it was written, or when a due checkpoint was last postponed.
    since: Option<Instant>,
    /// Bytes of WAL.
    wal_bytes: u64,
}

impl Dirty {
    fn is_due(&self, gathered: usize) -> bool {
        let waited = self.since.is_some_and(|since| since.elapsed() >= CHECKPOINT_EVERY);
        waited || gathered >= CHECKPOINT_BYTES || self.wal_bytes >= CHECKPOINT_WAL_BYTES
    }
}

/// Why the writer ends prematurely.
enum Failure {
    /// The disk failed, or the writer did. Everything synced before is intact.
    Disk(String),
    /// A restart would not find the files that are being written.
    Location(LocationError),
}

impl From<String> for Failure {
    fn from(why: String) -> Self {
        Self::Disk(why)
    }
}

impl From<LocationError> for Failure {
    fn from(gone: LocationError) -> Self {
        Self::Location(gone)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const ENDS: &str = "nothing more is accepted, and the daemon ends";
        match self {
            Self::Disk(why) => write!(f, "{why}; {ENDS}; what was answered 202 is on the disk"),
            Self::Location(gone) => write!(
                f,
                "{gone}; {ENDS}. Accepted data is where that went: before the next start put it, or its file system, \
                 back in its place, or restore a backup (`hookswitch restore`)"
            ),
        }
    }
}

/// Control messages received so far.
#[derive(Default)]
struct Requests {
    closing: bool,
    stop: Option<String>,
    rotate: bool,
    pings: Vec<SyncSender<()>>,
}

impl Writer {
    /// Runs until the queue is closed and empty, or the store has failed.
    pub(crate) fn run(mut self) {
        let worked = catch_unwind(AssertUnwindSafe(|| self.work()));
        let failure = match worked {
            Ok(Ok(())) => return,
            Ok(Err(failure)) => failure,
            Err(_) => Failure::Disk("the writer panicked".to_owned()),
        };
        (self.listeners.failed)(failure.to_string());
        self.handler.refuse(&StoreError::Unavailable(Outage::Ended));
        self.queue.fail();
    }

    fn work(&mut self) -> Result<(), Failure> {
        let queue = self.queue.clone();
        let checkpointer =
            Checkpointer::start(self.kv.clone(), move || queue.send(Control::Stop("a checkpoint failed".to_owned())))
                .map_err(|error| format!("no thread for checkpoints could be started: {error}"))?;
        let (mut dirty, mut requests) = (Dirty::default(), Requests::default());
        loop {
            let Batch { control, results, commands } = self.queue.take(self.next_turn(&dirty, requests.closing));
            let idle = commands.is_empty() && results.is_empty() && self.handler.has_no_backlog();
            control.into_iter().for_each(|one| self.handle_control(one, &mut requests));
            if let Some(why) = checkpointer.failure().or_else(|| requests.stop.take()) {
                commands.into_iter().for_each(Command::refuse);
                return Err(why.into());
            }
            let wrote = self.commit(commands, results)?;
            // The sender may have stopped waiting.
            for ping in requests.pings.drain(..) {
                let _ = ping.try_send(());
            }
            if wrote > 0 {
                dirty.since.get_or_insert_with(Instant::now);
                dirty.wal_bytes += wrote;
            }
            if !self.handler.is_writing_snapshot() {
                self.snapshot_in.store(self.wal_writer.position().0, Ordering::Release);
            }
            let rotate = std::mem::take(&mut requests.rotate);
            if self.wal_writer.is_full() || (rotate && !self.wal_writer.is_empty()) {
                self.rotate()?;
                // So that the full segment soon counts as checkpointed, even if no commit follows.
                dirty.since.get_or_insert_with(Instant::now);
            }
            self.check_location_if_due()?;
            if idle && requests.closing {
                return Ok(self.last_checkpoint(&checkpointer)?);
            }
            self.checkpoint_if_due(&checkpointer, &mut dirty)?;
        }
    }

    /// How long to wait for work.
    fn next_turn(&self, dirty: &Dirty, closing: bool) -> Instant {
        if closing || self.handler.is_due(&*self.kv) {
            return Instant::now();
        }
        let until = self.location.valid_until();
        let until = dirty.since.map_or(until, |since| until.min(since + CHECKPOINT_EVERY));
        if self.handler.has_no_backlog() { until } else { until.min(Instant::now() + FAN_OUT_EVERY) }
    }

    fn handle_control(&mut self, control: Control, requests: &mut Requests) {
        match control {
            Control::Close => {
                requests.closing = true;
                lock(&self.registry).tokens.note_every_use();
            }
            Control::Stop(why) => requests.stop = requests.stop.take().or(Some(why)),
            Control::ReadAhead(answer) => self.handler.insert(answer),
            Control::EndExpired => self.handler.end_expired(),
            Control::Rotate => requests.rotate = true,
            Control::Ping(ping) => requests.pings.push(ping),
            Control::Configure(settings) => self.handler.set(settings),
            // A directory has one daemon.
            #[cfg(feature = "postgres")]
            Control::Follow | Control::SettleShards | Control::Release(_) => {}
        }
    }

    /// Checks once a second that a restart would find the files that are being written.
    fn check_location_if_due(&mut self) -> Result<(), LocationError> {
        if Instant::now() < self.location.valid_until() {
            Ok(())
        } else {
            self.wal_writer.check_location(&mut self.location)
        }
    }

    /// Begins a checkpoint if one is due and none is running; waits for the running one if it falls too far behind.
    fn checkpoint_if_due(&mut self, checkpointer: &Checkpointer, dirty: &mut Dirty) -> Result<(), String> {
        self.expire(false)?;
        let gathered = self.kv.gathered();
        if !dirty.is_due(gathered) {
            return Ok(());
        }
        if gathered > MAX_GATHERED {
            checkpointer.wait_until_idle()?;
        }
        if checkpointer.is_free() {
            self.expire(true)?;
            checkpointer.begin(self.meta());
            *dirty = Dirty::default();
        } else {
            // Checked again after the same interval.
            dirty.since = Some(Instant::now());
        }
        Ok(())
    }

    fn expire(&mut self, checkpoint: bool) -> Result<(), String> {
        let (now, durable) = ((self.listeners.clock)(), self.kv.durable().last_id);
        self.handler.expire(&*self.kv, checkpoint, durable, now).map_err(|error| error.to_string())
    }

    /// The metadata of a checkpoint that begins now.
    fn meta(&self) -> CheckpointMeta {
        CheckpointMeta { position: self.position, with: counts::changed(&self.registry, counts::WRITTEN_MOST) }
    }

    fn last_checkpoint(&self, checkpointer: &Checkpointer) -> Result<(), String> {
        self.wal_writer.close().map_err(|error| format!("the newest WAL segment could not be closed: {error}"))?;
        checkpointer.wait_until_idle()?;
        checkpointer.begin(self.meta());
        checkpointer.wait_until_idle()
    }

    /// Executes one group commit: decide, write, sync, reply. Returns the number of bytes written.
    fn commit(&mut self, commands: Vec<Command>, results: Vec<AttemptResult>) -> Result<u64, Failure> {
        let decided_at = Moment { wall: (self.listeners.clock)(), at: Instant::now() };
        let mut answers: Vec<Answer> = Vec::with_capacity(commands.len());
        let kv = self.kv.clone();
        let guard = kv.begin_commit();
        let decided = self.decide(commands, results, &mut answers, decided_at);
        let (outcome, written) = match decided {
            Ok(outcome) => (outcome, self.write()),
            Err(failure) => (Outcome::default(), Err(failure.into())),
        };
        let durable = written.is_ok();
        let Outcome { events, for_report, tally, requests, .. } = outcome;
        if durable && !events.is_empty() {
            (self.listeners.events)(decided_at, events);
        }
        if let Ok((bytes, synced)) = written
            && (bytes > 0 || tally.repeated > 0)
        {
            let took = decided_at.at.elapsed();
            (self.listeners.committed)(Committed { took, synced, ..tally });
        }
        if !answers.is_empty() {
            let written = if durable { Ok(()) } else { Err(StoreError::Unavailable(Outage::Ended)) };
            (self.listeners.answered)(Answers { answers, written });
        }
        // Callers do not wait for the report; its readers wait on the commit barrier until this is done.
        if durable && !for_report.is_empty() {
            report::add_records(for_report, &*kv);
            kv.check().map_err(|error| error.to_string())?;
        }
        drop(guard);
        let (bytes, _) = written?;
        // After the write, so that its records can be read.
        for request in requests {
            self.reader.send(request).map_err(|_| "the read-ahead thread has ended".to_owned())?;
        }
        Ok(bytes)
    }

    fn decide(
        &mut self,
        commands: Vec<Command>,
        results: Vec<AttemptResult>,
        answers: &mut Vec<Answer>,
        at: Moment,
    ) -> Result<Outcome, String> {
        self.kv.repair().map_err(|error| error.to_string())?;
        let (view, log, sink) = (&*self.kv, &*self.wal, &mut self.frames);
        let context = Context { now: at.wall, view, log, sink };
        self.handler.decide(commands, results, context, answers).map_err(|error| error.to_string())
    }

    /// Makes what was decided durable; returns the bytes written and the duration of the sync.
    fn write(&mut self) -> Result<(u64, Option<Duration>), Failure> {
        self.kv.check().map_err(|error| error.to_string())?;
        let Frames { number, bytes, entries } = &mut self.frames;
        if bytes.is_empty() {
            return Ok((0, None));
        }
        let length = bytes.len() as u64;
        let written = self.wal_writer.append(bytes, entries);
        let synced = written.map_err(|error| format!("the write-ahead log could not be written: {error}"))?;
        bytes.clear();
        entries.clear();
        let batch = std::mem::replace(number, *number + 1);
        self.wal_writer.has_name()?;
        self.check_location_if_due()?;
        self.handler.evict_threads();
        let (segment, offset) = self.wal_writer.position();
        let next_number = lock(&self.registry).next_number;
        self.position = CheckpointPosition { segment, offset, batch, last_id: self.handler.last_id(), next_number };
        Ok((length, Some(synced)))
    }

    fn rotate(&mut self) -> Result<(), Failure> {
        let now = (self.listeners.clock)();
        let rotated = self.wal_writer.rotate(now.millis());
        rotated.map_err(|error| format!("a new WAL segment could not be created: {error}"))?;
        self.wal_writer.check_location(&mut self.location)?;
        let bytes = reclaim::segment_bytes(&self.handler.settings().retention, self.wal.bytes());
        self.wal_writer.set_segment_bytes(bytes);
        let (segment, offset) = self.wal_writer.position();
        self.position = CheckpointPosition { segment, offset, ..self.position };
        self.handler.begin_snapshot();
        Ok(())
    }
}
