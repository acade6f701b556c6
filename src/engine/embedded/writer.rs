//! The one writer: takes what has gathered, has it decided, writes it as one group commit, syncs, and answers all.
//!
//! Under load the commits grow and share the cost of a sync; alone, a request waits for one. There is no timer and no
//! artificial delay. After a write or a sync that failed nothing is known about the disk: everybody is answered
//! [`Unavailable`](crate::model::error::StoreError::Unavailable), the daemon is told, and the thread ends. Nothing is tried
//! again, which would prove nothing. The same where what is written would not be found again ([`location`]): that is asked
//! before anybody is answered.

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
use crate::engine::embedded::location::{Gone, Location};
use crate::engine::embedded::queue::{Batch, Control, WriteQueue};
use crate::engine::embedded::wal::{self, IndexEntry, Wal};
use crate::engine::{Answers, Listeners};
use crate::model::command::{AttemptResult, Command};
use crate::model::error::u32_of;
use crate::model::handler::{Answer, Handler};
use crate::model::lock::lock;
use crate::model::notice::Committed;
use crate::model::read_ahead::Request;
use crate::model::record::{self, CheckpointPosition, Head};
use crate::model::registry::Registry;
use crate::model::term::Terms;
use crate::model::turn::{Context, Outcome};
use crate::model::view::Sink;
use crate::model::{counts, report};

/// How long changes of the state may stay out of its database.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(2);
/// How many bytes of changes begin a checkpoint. sled takes them in the order of their keys: the more there are, the more of
/// them go to a page that is at hand, and the more of what was put was removed again meanwhile. With an eighth of it, 8,000
/// events a second took 49 ms in the middle, with this 3.
const CHECKPOINT_BYTES: usize = 4 << 20;
/// How many bytes of changes may gather while a checkpoint is under way, before commits wait for it.
const GATHERED_MOST: usize = 16 << 20;
/// How many bytes of journal begin a checkpoint: a start after a crash reads them again.
const CHECKPOINT_JOURNAL: u64 = 32 << 20;

/// How often to look whether fan-outs may go on that wait for the state database.
const FAN_OUT_EVERY: Duration = Duration::from_millis(5);

/// The writer, to be run by a thread of its own.
pub(crate) struct Writer {
    pub(crate) queue: Arc<WriteQueue>,
    pub(crate) handler: Handler,
    pub(crate) registry: Arc<Mutex<Registry>>,
    pub(crate) state: Arc<Kv>,
    pub(crate) journal: Arc<Wal>,
    pub(crate) wal: wal::Writer,
    pub(crate) applied: CheckpointPosition,
    pub(crate) listeners: Listeners,
    pub(crate) location: Location,
    /// The newest segment at whose beginning all subscriptions stand, for retention.
    pub(crate) snapshot_in: Arc<AtomicU32>,
    pub(crate) frames: Frames,
    /// What reads the log for maintenance.
    pub(crate) reader: Sender<Request>,
}

/// The frames of the group commit that is being decided.
#[derive(Default)]
pub(crate) struct Frames {
    /// The number of the group commit.
    number: u64,
    bytes: Vec<u8>,
    /// The same, as the index takes note of them.
    entries: Vec<IndexEntry>,
}

impl Frames {
    /// Those of the group commit after `last`.
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
        self.entries.push(IndexEntry { offset, length, class, id, marks: terms });
    }
}

/// What has been written since the last checkpoint began.
#[derive(Default)]
struct Dirty {
    /// When the first of it was, or when a checkpoint was last found to be under way.
    since: Option<Instant>,
    /// Bytes of journal.
    journal: u64,
}

impl Dirty {
    fn is_due(&self, gathered: usize) -> bool {
        let waited = self.since.is_some_and(|since| since.elapsed() >= CHECKPOINT_EVERY);
        waited || gathered >= CHECKPOINT_BYTES || self.journal >= CHECKPOINT_JOURNAL
    }
}

/// Why the writer ends against its will.
enum Failure {
    /// The disk, or a fault of its own: what was synced before is there.
    Disk(String),
    /// What it writes to would not be found by a start.
    Gone(Gone),
}

impl From<String> for Failure {
    fn from(why: String) -> Self {
        Self::Disk(why)
    }
}

impl From<Gone> for Failure {
    fn from(gone: Gone) -> Self {
        Self::Gone(gone)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const ENDS: &str = "nothing more is accepted, and the daemon ends";
        match self {
            Self::Disk(why) => write!(f, "{why}; {ENDS}; what was answered 202 is on the disk"),
            Self::Gone(gone) => write!(
                f,
                "{gone}; {ENDS}. What was accepted is where that went: before the next start put it, or its file system, \
                 back in its place, or restore a backup (`hookswitch restore`)"
            ),
        }
    }
}

/// What the writer is told, as it stands.
#[derive(Default)]
struct Told {
    closing: bool,
    stop: Option<String>,
    rotate: bool,
    pings: Vec<SyncSender<()>>,
}

impl Writer {
    /// Works until the queue is closed and empty, or the store has failed.
    pub(crate) fn run(mut self) {
        let worked = catch_unwind(AssertUnwindSafe(|| self.work()));
        let failure = match worked {
            Ok(Ok(())) => return,
            Ok(Err(failure)) => failure,
            Err(_) => Failure::Disk("the committer panicked".to_owned()),
        };
        (self.listeners.failed)(failure.to_string());
        self.handler.refuse();
        self.queue.fail();
    }

    fn work(&mut self) -> Result<(), Failure> {
        let queue = self.queue.clone();
        let checkpointer = Checkpointer::start(self.state.clone(), move || {
            queue.tell(Control::Stop("a checkpoint failed".to_owned()))
        })
        .map_err(|error| format!("no thread for checkpoints could be started: {error}"))?;
        let (mut dirty, mut told) = (Dirty::default(), Told::default());
        loop {
            let Batch { control, results, commands } = self.queue.take(self.next_turn(&dirty, told.closing));
            let idle = commands.is_empty() && results.is_empty() && self.handler.has_no_backlog();
            control.into_iter().for_each(|one| self.hear(one, &mut told));
            if let Some(why) = checkpointer.failure().or_else(|| told.stop.take()) {
                commands.into_iter().for_each(Command::refuse);
                return Err(why.into());
            }
            let wrote = self.commit(commands, results)?;
            // Who asked may have gone.
            for ping in told.pings.drain(..) {
                let _ = ping.try_send(());
            }
            if wrote > 0 {
                dirty.since.get_or_insert_with(Instant::now);
                dirty.journal += wrote;
            }
            if !self.handler.is_writing_snapshot() {
                self.snapshot_in.store(self.wal.position().0, Ordering::Release);
            }
            let rotate = std::mem::take(&mut told.rotate);
            if self.wal.is_full() || (rotate && !self.wal.is_empty()) {
                self.rotate()?;
                // So that the full segment is soon known to be applied, though nothing may follow.
                dirty.since.get_or_insert_with(Instant::now);
            }
            self.look_if_due()?;
            if idle && told.closing {
                return Ok(self.last_checkpoint(&checkpointer)?);
            }
            self.checkpoint_if_due(&checkpointer, &mut dirty)?;
        }
    }

    /// Until when to wait for something to do.
    fn next_turn(&self, dirty: &Dirty, closing: bool) -> Instant {
        if closing || self.handler.is_due(&*self.state) {
            return Instant::now();
        }
        let until = self.location.good_until();
        let until = dirty.since.map_or(until, |since| until.min(since + CHECKPOINT_EVERY));
        if self.handler.has_no_backlog() { until } else { until.min(Instant::now() + FAN_OUT_EVERY) }
    }

    fn hear(&mut self, control: Control, told: &mut Told) {
        match control {
            Control::Close => {
                told.closing = true;
                lock(&self.registry).tokens.note_every_use();
            }
            Control::Stop(why) => told.stop = told.stop.take().or(Some(why)),
            Control::ReadAhead(answer) => self.handler.insert(answer),
            Control::EndExpired => self.handler.end_expired(),
            Control::Rotate => told.rotate = true,
            Control::Ping(ping) => told.pings.push(ping),
            Control::Configure(settings) => self.handler.set(settings),
        }
    }

    /// Sees to it, once a second, that what is written will be found again.
    fn look_if_due(&mut self) -> Result<(), Gone> {
        if Instant::now() < self.location.good_until() { Ok(()) } else { self.wal.look(&mut self.location) }
    }

    /// Begins a checkpoint if one is due and none is under way; waits for that one if it falls too far behind.
    fn checkpoint_if_due(&mut self, checkpointer: &Checkpointer, dirty: &mut Dirty) -> Result<(), String> {
        self.expire(false)?;
        let gathered = self.state.gathered();
        if !dirty.is_due(gathered) {
            return Ok(());
        }
        if gathered > GATHERED_MOST {
            checkpointer.settle()?;
        }
        if checkpointer.is_free() {
            self.expire(true)?;
            checkpointer.begin(self.meta());
            *dirty = Dirty::default();
        } else {
            // It is asked again then.
            dirty.since = Some(Instant::now());
        }
        Ok(())
    }

    fn expire(&mut self, checkpoint: bool) -> Result<(), String> {
        let (now, durable) = ((self.listeners.clock)(), self.state.durable().last_id);
        self.handler.expire(&*self.state, checkpoint, durable, now).map_err(|error| error.to_string())
    }

    /// What goes to the disk together with a checkpoint that begins now.
    fn meta(&self) -> CheckpointMeta {
        CheckpointMeta { applied: self.applied, with: counts::changed(&self.registry) }
    }

    fn last_checkpoint(&self, checkpointer: &Checkpointer) -> Result<(), String> {
        self.wal.close().map_err(|error| format!("the journal's last file could not be closed: {error}"))?;
        checkpointer.settle()?;
        checkpointer.begin(self.meta());
        checkpointer.settle()
    }

    /// Carries out one group commit: decide, write, sync, tell. Says how many bytes were written.
    fn commit(&mut self, commands: Vec<Command>, results: Vec<AttemptResult>) -> Result<u64, Failure> {
        let decided_at = Moment { wall: (self.listeners.clock)(), at: Instant::now() };
        let mut answers: Vec<Answer> = Vec::with_capacity(commands.len());
        let state = self.state.clone();
        let ahead = state.ahead();
        let decided = self.decide(commands, results, &mut answers, decided_at);
        let (outcome, written) = match decided {
            Ok(outcome) => (outcome, self.write()),
            Err(failure) => (Outcome::default(), Err(failure.into())),
        };
        let durable = written.is_ok();
        let Outcome { events, heard, tally, requests, .. } = outcome;
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
            (self.listeners.answered)(Answers { answers, durable });
        }
        // Nobody who posts waits for the report; whoever asks for it waits until this is done.
        if durable && !heard.is_empty() {
            report::take_in_all(heard, &*state);
            state.check().map_err(|error| error.to_string())?;
        }
        drop(ahead);
        // Behind the write, so that what it wrote is there to be read.
        for request in requests {
            self.reader.send(request).map_err(|_| "the thread that reads the log has ended".to_owned())?;
        }
        written.map(|(bytes, _)| bytes)
    }

    fn decide(
        &mut self,
        commands: Vec<Command>,
        results: Vec<AttemptResult>,
        answers: &mut Vec<Answer>,
        at: Moment,
    ) -> Result<Outcome, String> {
        self.state.mend().map_err(|error| error.to_string())?;
        let (view, log, sink) = (&*self.state, &*self.journal, &mut self.frames);
        let context = Context { now: at.wall, view, log, sink };
        self.handler.decide(commands, results, context, answers).map_err(|error| error.to_string())
    }

    /// Makes what was decided durable; says how many bytes that took, and how long the sync.
    fn write(&mut self) -> Result<(u64, Option<Duration>), Failure> {
        self.state.check().map_err(|error| error.to_string())?;
        let Frames { number, bytes, entries } = &mut self.frames;
        if bytes.is_empty() {
            return Ok((0, None));
        }
        let length = bytes.len() as u64;
        let written = self.wal.append(bytes, entries);
        let synced = written.map_err(|error| format!("the journal could not be written: {error}"))?;
        bytes.clear();
        entries.clear();
        let batch = std::mem::replace(number, *number + 1);
        self.wal.has_name()?;
        self.look_if_due()?;
        self.handler.evict_threads();
        let (segment, offset) = self.wal.position();
        let next_number = lock(&self.registry).next_number;
        self.applied = CheckpointPosition { segment, offset, batch, last_id: self.handler.last_id(), next_number };
        Ok((length, Some(synced)))
    }

    fn rotate(&mut self) -> Result<(), Failure> {
        let now = (self.listeners.clock)();
        let rotated = self.wal.rotate(now.millis());
        rotated.map_err(|error| format!("a new journal file could not be made: {error}"))?;
        self.wal.look(&mut self.location)?;
        let bytes = self.handler.settings().retention.file_bytes(self.journal.bytes());
        self.wal.set_segment_bytes(bytes);
        let (segment, offset) = self.wal.position();
        self.applied = CheckpointPosition { segment, offset, ..self.applied };
        self.handler.begin_snapshot();
        Ok(())
    }
}
