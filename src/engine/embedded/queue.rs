//! The write queue: commands, attempts that ended, and what the writer is told.
//!
//! Bounded where strangers fill it: beyond that a command is refused at once, so that its client comes again. Knows nothing
//! of what is done with what is in it.

use std::collections::VecDeque;
use std::sync::mpsc::SyncSender;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::model::command::{AttemptResult, Busy, Command};
use crate::model::read_ahead::Answer;
use crate::model::settings::Settings;

/// How many commands may wait.
const MOST_WAITING: usize = 4096;
/// How many may ask at once whether the writer makes turns.
const MOST_PINGS: usize = 8;
/// How many bytes of event data may wait.
const MOST_WAITING_BYTES: usize = 32 << 20;
/// How many commands go into one group commit.
const BATCH_COMMANDS: usize = 256;
/// How many bytes of event data end a group commit.
const BATCH_BYTES: usize = 1 << 20;
/// How many attempts that ended go into one group commit.
const BATCH_RESULTS: usize = 4 * BATCH_COMMANDS;

/// What the writer is told.
pub(crate) enum Control {
    /// To close once nothing waits any more.
    Close,
    /// To stop at once, and why.
    Stop(String),
    /// What it asked to be read of the log.
    ReadAhead(Answer),
    /// To end what has become too old.
    EndExpired,
    /// To begin a new segment, if the newest is not empty.
    Rotate,
    /// To answer once it has made a turn.
    Ping(SyncSender<()>),
    /// To go by these limits and periods.
    Configure(Settings),
}

/// What one turn takes out of the queue.
#[derive(Default)]
pub(crate) struct Batch {
    /// What the writer is told, in order.
    pub(crate) control: Vec<Control>,
    /// Attempts that ended.
    pub(crate) results: Vec<AttemptResult>,
    /// Commands.
    pub(crate) commands: Vec<Command>,
}

#[derive(Default)]
struct Waiting {
    commands: VecDeque<Command>,
    bytes: usize,
    /// Attempts that ended. At most as many as are under way, which the dispatcher bounds.
    results: VecDeque<AttemptResult>,
    control: Vec<Control>,
    /// Nothing more is taken: it is closing, or the writer has failed.
    closed: bool,
}

impl Waiting {
    fn is_empty(&self) -> bool {
        self.commands.is_empty() && self.results.is_empty() && self.control.is_empty()
    }
}

/// What waits for the writer.
#[derive(Default)]
pub(crate) struct WriteQueue {
    waiting: Mutex<Waiting>,
    arrived: Condvar,
}

impl WriteQueue {
    /// Hands in a command, if there is room.
    pub(crate) fn push(&self, command: Command) -> Result<(), Busy> {
        let mut waiting = self.lock();
        let weight = command.weight();
        let full = waiting.commands.len() >= MOST_WAITING || waiting.bytes + weight > MOST_WAITING_BYTES.max(weight);
        if full || waiting.closed {
            return Err(Busy);
        }
        waiting.bytes += weight;
        waiting.commands.push_back(command);
        drop(waiting);
        self.arrived.notify_one();
        Ok(())
    }

    /// Hands in an attempt that ended. Never refused: it has happened.
    pub(crate) fn finish(&self, result: AttemptResult) {
        self.lock().results.push_back(result);
        self.arrived.notify_one();
    }

    /// Tells the writer something.
    pub(crate) fn tell(&self, control: Control) {
        let mut waiting = self.lock();
        let pings = || waiting.control.iter().filter(|one| matches!(one, Control::Ping(_))).count();
        // A writer that makes no turns gathers no more than a few.
        if matches!(control, Control::Ping(_)) && pings() >= MOST_PINGS {
            return;
        }
        waiting.closed |= matches!(control, Control::Close);
        waiting.control.push(control);
        drop(waiting);
        self.arrived.notify_one();
    }

    /// Waits until there is something to do, at most until `until`; takes a batch of it.
    pub(crate) fn take(&self, until: Instant) -> Batch {
        let mut waiting = self.lock();
        while waiting.is_empty() {
            let left = until.saturating_duration_since(Instant::now());
            if left == Duration::ZERO {
                break;
            }
            waiting = self.arrived.wait_timeout(waiting, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        let (mut bytes, mut commands) = (0, Vec::new());
        while commands.len() < BATCH_COMMANDS && bytes < BATCH_BYTES {
            let Some(command) = waiting.commands.pop_front() else { break };
            bytes += command.weight();
            commands.push(command);
        }
        waiting.bytes = waiting.bytes.saturating_sub(bytes);
        let results = waiting.results.len().min(BATCH_RESULTS);
        let results = waiting.results.drain(..results).collect();
        Batch { control: std::mem::take(&mut waiting.control), results, commands }
    }

    /// Tells everybody who waits, or comes later, that the store has failed.
    pub(crate) fn fail(&self) {
        let mut waiting = self.lock();
        waiting.closed = true;
        let commands = std::mem::take(&mut waiting.commands);
        // Whoever waits for an answer to a ping hears that there will be none.
        waiting.control.clear();
        drop(waiting);
        commands.into_iter().for_each(Command::refuse);
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
