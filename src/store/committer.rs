//! The one writer: takes what has gathered, writes it as one batch, syncs, answers all.
//!
//! Under load the batches grow and share the cost of a sync; alone, a request waits for one. There
//! is no timer and no artificial delay. After a write or a sync that failed nothing is known about
//! the disk: everybody is answered [`WriteError::Unavailable`], the daemon is told, and the thread
//! ends. Nothing is tried again, which would prove nothing. The same where what is written would not
//! be found again ([`location`](super::location)): that is asked before anybody is answered.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::core::time::{Moment, Timestamp};

use super::checkpoint::Checkpointer;
use super::desk::Desk;
use super::fan_out::{Backlog, Plan};
use super::inbox::{Command, Inbox};
use super::journal::Writer;
use super::location::{Gone, Location};
use super::record::Applied;
use super::state::StateError;
use super::{Change, Committed, Finish, WriteError};
use super::{counts, report, step};

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

/// What is told to whom.
pub(super) struct Listeners {
    /// Hears every change once it is on the disk, and when it was decided. Must not block.
    pub(super) changes: Box<dyn Fn(Moment, Vec<Change>) + Send>,
    /// Hears, once, that the store has failed, why, and what became of what was accepted.
    pub(super) failed: Box<dyn Fn(String) + Send>,
    /// Hears of every group commit that is on the disk. Must not block.
    pub(super) committed: Box<dyn Fn(Committed) + Send>,
    /// Gets the answers of each group commit, to be given. Must not block.
    pub(super) answered: Box<dyn Fn(Answers) + Send>,
    /// Tells the time.
    pub(super) clock: Box<dyn Fn() -> Timestamp + Send>,
}

/// The committer, to be run by a thread of its own.
pub(super) struct Committer {
    pub(super) inbox: Arc<Inbox>,
    /// What waits for its company's turn.
    pub(super) backlog: Backlog,
    pub(super) desk: Desk,
    pub(super) writer: Writer,
    pub(super) applied: Applied,
    pub(super) listeners: Listeners,
    pub(super) location: Location,
    /// The newest journal file at whose beginning all subscriptions stand, for retention.
    pub(super) introduced: Arc<AtomicU32>,
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

/// Why the committer ends against its will.
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

/// An answer that waits for the disk: called with whether it got there.
type Answer = Box<dyn FnOnce(bool) + Send>;

/// The answers to what was written at once. They are given by dropping this, in whichever thread: none is lost.
pub struct Answers {
    answers: Vec<Answer>,
    durable: bool,
}

impl Drop for Answers {
    fn drop(&mut self) {
        self.answers.drain(..).for_each(|answer| answer(self.durable));
    }
}

impl Committer {
    /// Works until the inbox is closed and empty, or the store has failed.
    pub(super) fn run(mut self) {
        let worked = catch_unwind(AssertUnwindSafe(|| self.work()));
        let failure = match worked {
            Ok(Ok(())) => return,
            Ok(Err(failure)) => failure,
            Err(_) => Failure::Disk("the committer panicked".to_owned()),
        };
        (self.listeners.failed)(failure.to_string());
        self.backlog.refuse();
        self.inbox.fail();
    }

    fn work(&mut self) -> Result<(), Failure> {
        let inbox = self.inbox.clone();
        let checkpointer = Checkpointer::start(self.desk.state.clone(), move || inbox.break_off())
            .map_err(|error| format!("no thread for checkpoints could be started: {error}"))?;
        let mut dirty = Dirty::default();
        loop {
            let due = dirty.since.map(|since| since + CHECKPOINT_EVERY);
            let at_once = self.desk.untidy || self.backlog.is_due(&self.desk.state);
            let until = if at_once { Instant::now() } else { self.location.good_until() };
            let until = if self.backlog.is_empty() { until } else { until.min(Instant::now() + FAN_OUT_EVERY) };
            let (commands, finishes, closing) = self.inbox.take(Some(due.map_or(until, |due| due.min(until))));
            let idle = commands.is_empty() && finishes.is_empty() && self.backlog.is_empty();
            let (over, rotate) = self.inbox.asked();
            let settings = self.inbox.settings();
            self.desk.settings = settings.unwrap_or(self.desk.settings);
            if over {
                self.desk.end_what_is_over();
            }
            if closing {
                step::lock(&self.desk.ledger).tokens.note_every_use();
            }
            if let Some(failure) = checkpointer.failure() {
                commands.into_iter().for_each(Command::refuse);
                return Err(failure.into());
            }
            let wrote = self.commit(commands, finishes)?;
            self.inbox.answer_pulses();
            if wrote > 0 {
                dirty.since.get_or_insert_with(Instant::now);
                dirty.journal += wrote;
            }
            if !self.desk.introduces() {
                self.introduced.store(self.writer.position().0, Ordering::Release);
            }
            if self.writer.is_full() || (rotate && !self.writer.is_empty()) {
                self.rotate()?;
                // So that the full file is soon known to be taken in, though nothing may follow.
                dirty.since.get_or_insert_with(Instant::now);
            }
            self.look_if_due()?;
            if idle && closing {
                return Ok(self.last_checkpoint(&checkpointer)?);
            }
            self.checkpoint_if_due(&checkpointer, &mut dirty)?;
        }
    }

    /// Sees to it, once a second, that what is written will be found again.
    fn look_if_due(&mut self) -> Result<(), Gone> {
        if Instant::now() < self.location.good_until() { Ok(()) } else { self.writer.look(&mut self.location) }
    }

    /// Begins a checkpoint if one is due and none is under way; waits for that one if it falls
    /// too far behind.
    fn checkpoint_if_due(&mut self, checkpointer: &Checkpointer, dirty: &mut Dirty) -> Result<(), String> {
        let now = (self.listeners.clock)();
        self.desk.sweep(now, false).map_err(|error| error.to_string())?;
        let gathered = self.desk.state.gathered();
        if !dirty.is_due(gathered) {
            return Ok(());
        }
        if gathered > GATHERED_MOST {
            checkpointer.settle()?;
        }
        if checkpointer.is_free() {
            self.desk.sweep(now, true).map_err(|error| error.to_string())?;
            checkpointer.begin(counts::mark(self.applied, &self.desk.ledger));
            *dirty = Dirty::default();
        } else {
            // It is asked again then.
            dirty.since = Some(Instant::now());
        }
        Ok(())
    }

    fn last_checkpoint(&self, checkpointer: &Checkpointer) -> Result<(), String> {
        self.writer.close().map_err(|error| format!("the journal's last file could not be closed: {error}"))?;
        checkpointer.settle()?;
        checkpointer.begin(counts::mark(self.applied, &self.desk.ledger));
        checkpointer.settle()
    }

    /// Carries out one batch: decide, write, sync, tell. Says how many bytes were written.
    fn commit(&mut self, commands: Vec<Command>, finishes: Vec<Finish>) -> Result<u64, Failure> {
        let decided_at = Moment { wall: (self.listeners.clock)(), at: Instant::now() };
        let Moment { wall: now, at: begun } = decided_at;
        let mut answers: Vec<Answer> = Vec::with_capacity(commands.len());
        let state = self.desk.state.clone();
        let ahead = state.ahead();
        let decided = self.decide(commands, finishes, &mut answers, now);
        let written = decided.map_err(Failure::from).and_then(|()| self.write());
        let durable = written.is_ok();
        if durable {
            let changes = std::mem::take(&mut self.desk.changes);
            if !changes.is_empty() {
                (self.listeners.changes)(decided_at, changes);
            }
        }
        let tally = std::mem::take(&mut self.desk.tally);
        if durable && (tally.synced.is_some() || tally.repeated > 0) {
            (self.listeners.committed)(Committed { took: begun.elapsed(), ..tally });
        }
        if !answers.is_empty() {
            (self.listeners.answered)(Answers { answers, durable });
        }
        // Nobody who posts waits for the report; whoever asks for it waits until this is done.
        let heard = std::mem::take(&mut self.desk.heard);
        if durable && !heard.is_empty() {
            report::take_in_all(heard, &state);
            state.check().map_err(|error| error.to_string())?;
        }
        drop(ahead);
        written
    }

    fn decide(
        &mut self,
        commands: Vec<Command>,
        finishes: Vec<Finish>,
        answers: &mut Vec<Answer>,
        now: Timestamp,
    ) -> Result<(), String> {
        self.desk.state.mend().map_err(|error| error.to_string())?;
        for finish in finishes {
            self.desk.finish(finish, now).map_err(|error| error.to_string())?;
        }
        let deferred = self.backlog.begin(&self.desk.state);
        let mut commands = deferred.into_iter().chain(commands);
        while let Some(command) = commands.next() {
            let Some((command, claim)) = self.backlog.admit(command, &self.desk.ledger) else { continue };
            let before = self.desk.owed;
            if let Err(error) = self.carry_out(command, answers, now) {
                commands.for_each(Command::refuse);
                return Err(error.to_string());
            }
            self.backlog.note(claim, self.desk.owed - before);
        }
        self.go_on_with_fan_outs(answers, now).map_err(|error| error.to_string())?;
        self.desk.note_uses();
        if self.desk.untidy {
            self.desk.tidy(now).map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// Accepts the next events of batches that are accepted in steps.
    fn go_on_with_fan_outs(&mut self, answers: &mut Vec<Answer>, now: Timestamp) -> Result<(), StateError> {
        while let Some(mut fan_out) = self.backlog.next() {
            let before = self.desk.owed;
            let more = self.desk.go_on_with_fan_out(&mut fan_out, now)?;
            self.backlog.note(Vec::new(), self.desk.owed - before);
            if more {
                self.backlog.put_back(fan_out);
            } else if let Some((reply, accepted)) = fan_out.answer() {
                let answer = move |durable| reply(if durable { Ok(accepted) } else { Err(WriteError::Unavailable) });
                answers.push(Box::new(answer));
            }
        }
        self.backlog.end();
        Ok(())
    }

    fn carry_out(&mut self, command: Command, answers: &mut Vec<Answer>, now: Timestamp) -> Result<(), StateError> {
        /// Keeps the answer until the batch is on the disk.
        macro_rules! answer {
            ($done:expr, $reply:expr) => {{
                let (done, reply) = ($done, $reply);
                match done {
                    Ok(done) => answers.push(Box::new(move |durable| {
                        reply(if durable { done } else { Err(WriteError::Unavailable) })
                    })),
                    Err(error) => {
                        reply(Err(WriteError::Unavailable));
                        return Err(error);
                    }
                }
            }};
        }
        match command {
            Command::Accept(events, reply) => match self.desk.plan(&events, now) {
                Plan::AtOnce => answer!(self.desk.accept(events, now), reply),
                Plan::InSteps => self.backlog.push(self.desk.begin_fan_out(events, reply, now)),
                Plan::Refused(invalid) => reply(Err(WriteError::Invalid(invalid))),
            },
            Command::Create(draft, reply) => answer!(self.desk.create(*draft, now), reply),
            Command::Change(id, patch, reply) => answer!(self.desk.change(id, &patch, now), reply),
            Command::Rotate(id, given, overlap, reply) => answer!(self.desk.rotate(id, given, overlap, now), reply),
            Command::Delete(id, reply) => answer!(self.desk.delete(id), reply),
            Command::Retry(known, reply) => answer!(self.desk.retry(*known, now), reply),
            Command::Cancel(known, why, reply) => answer!(self.desk.cancel(*known, why, now), reply),
            Command::Erasure(id, record, reply) => answer!(self.desk.note_erasure(id, *record), reply),
            Command::Replay(id, replay, reply) => answer!(self.desk.replay(id, &replay, now), reply),
            Command::Discard(id, reply) => answer!(self.desk.discard(id), reply),
            Command::Message(message, reply) => answer!(self.desk.post_message(*message, now), reply),
            Command::Probe(entry, reply) => answer!(self.desk.record_probe(*entry, now), reply),
            Command::CreateToken(draft, reply) => answer!(self.desk.create_token(draft, now), reply),
            Command::RevokeToken(id, reply) => answer!(self.desk.revoke_token(id), reply),
        }
        Ok(())
    }

    /// Makes what was decided durable; says how many bytes that took.
    fn write(&mut self) -> Result<u64, Failure> {
        self.desk.state.check().map_err(|error| error.to_string())?;
        if self.desk.bytes.is_empty() {
            return Ok(0);
        }
        let bytes = self.desk.bytes.len() as u64;
        let written = self.writer.append(&mut self.desk.bytes, &mut self.desk.notes);
        let synced = written.map_err(|error| format!("the journal could not be written: {error}"))?;
        self.writer.has_name()?;
        self.look_if_due()?;
        self.desk.tally.synced = Some(synced);
        self.desk.bytes.clear();
        self.desk.notes.clear();
        self.desk.relieve_threads();
        let (segment, offset) = self.writer.position();
        let next_number = step::lock(&self.desk.ledger).next_number;
        self.applied = Applied { segment, offset, batch: self.desk.batch, last_id: self.desk.ids.last(), next_number };
        self.desk.batch += 1;
        Ok(bytes)
    }

    fn rotate(&mut self) -> Result<(), Failure> {
        let now = (self.listeners.clock)();
        let rotated = self.writer.rotate(now.millis());
        rotated.map_err(|error| format!("a new journal file could not be made: {error}"))?;
        self.writer.look(&mut self.location)?;
        let bytes = self.desk.settings.retention.file_bytes(self.desk.journal.bytes());
        self.writer.set_segment_bytes(bytes);
        let (segment, offset) = self.writer.position();
        self.applied = Applied { segment, offset, ..self.applied };
        self.desk.introduce_all();
        Ok(())
    }
}
