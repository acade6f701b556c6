//! The write queue: commands, attempt results and control messages for the writer.
//!
//! Bounded where clients fill it: a command beyond the limit is refused at once, so that the client retries. Knows
//! nothing of what the writer does with its contents.

use std::collections::VecDeque;
use std::sync::mpsc::SyncSender;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

#[cfg(feature = "postgres")]
use crate::core::shards::ShardSet;
use crate::model::command::{AttemptResult, Busy, Command};
use crate::model::read_ahead::Answer;
use crate::model::settings::Settings;

/// How many commands may be queued.
const MAX_QUEUED: usize = 4096;
/// How many pings may be queued.
const MAX_PINGS: usize = 8;
/// How many bytes of event data may be queued.
const MAX_QUEUED_BYTES: usize = 32 << 20;
/// How many commands go into one group commit.
const BATCH_COMMANDS: usize = 256;
/// A group commit takes no further command once it has this many bytes of event data.
const BATCH_BYTES: usize = 1 << 20;
/// How many attempt results go into one group commit.
const BATCH_RESULTS: usize = 4 * BATCH_COMMANDS;

/// A control message for the writer.
pub(crate) enum Control {
    /// Close once the queue is empty.
    Close,
    /// Stop at once, for this reason.
    Stop(String),
    /// The records of the log that the writer requested.
    ReadAhead(Answer),
    /// End expired deliveries.
    EndExpired,
    /// Begin a new segment of the log, unless the newest is empty. Only an engine with segments is asked.
    Rotate,
    /// Others may have committed something.
    #[cfg(feature = "postgres")]
    Follow,
    /// Daemons may have joined or left: look which shards to take or to give up.
    #[cfg(feature = "postgres")]
    SettleShards,
    /// Nothing of these shards is in flight any more: give them up.
    #[cfg(feature = "postgres")]
    Release(ShardSet),
    /// Answer after the current iteration.
    Ping(SyncSender<()>),
    /// Apply new limits and retention periods.
    Configure(Settings),
}

/// What the writer takes from the queue in one iteration.
#[derive(Default)]
pub(crate) struct Batch {
    /// Control messages, in order.
    pub(crate) control: Vec<Control>,
    /// Attempt results.
    pub(crate) results: Vec<AttemptResult>,
    /// Commands.
    pub(crate) commands: Vec<Command>,
}

#[derive(Default)]
struct Queued {
    commands: VecDeque<Command>,
    bytes: usize,
    /// Attempt results. Bounded by the dispatcher: at most one for each attempt in flight.
    results: VecDeque<AttemptResult>,
    control: Vec<Control>,
    /// Closing, or the writer has failed: nothing more is accepted.
    closed: bool,
}

impl Queued {
    fn is_empty(&self) -> bool {
        self.commands.is_empty() && self.results.is_empty() && self.control.is_empty()
    }
}

/// The write queue.
#[derive(Default)]
pub(crate) struct WriteQueue {
    queued: Mutex<Queued>,
    arrived: Condvar,
}

impl WriteQueue {
    /// Queues a command, if there is space.
    pub(crate) fn push(&self, command: Command) -> Result<(), Busy> {
        let mut queued = self.lock();
        let weight = command.weight();
        let full = queued.commands.len() >= MAX_QUEUED || queued.bytes + weight > MAX_QUEUED_BYTES.max(weight);
        if full || queued.closed {
            return Err(Busy);
        }
        queued.bytes += weight;
        queued.commands.push_back(command);
        drop(queued);
        self.arrived.notify_one();
        Ok(())
    }

    /// Queues the result of an attempt. Never refused: the attempt has already happened.
    pub(crate) fn finish(&self, result: AttemptResult) {
        self.lock().results.push_back(result);
        self.arrived.notify_one();
    }

    /// Sends a control message to the writer.
    pub(crate) fn send(&self, control: Control) {
        let mut queued = self.lock();
        let pings = || queued.control.iter().filter(|one| matches!(one, Control::Ping(_))).count();
        // A writer that hangs must not accumulate pings.
        if matches!(control, Control::Ping(_)) && pings() >= MAX_PINGS {
            return;
        }
        #[cfg(feature = "postgres")]
        if matches!(control, Control::Follow) && queued.control.iter().any(|one| matches!(one, Control::Follow)) {
            return;
        }
        queued.closed |= matches!(control, Control::Close);
        queued.control.push(control);
        drop(queued);
        self.arrived.notify_one();
    }

    /// Waits for work until `until` at most; takes a batch of it.
    pub(crate) fn take(&self, until: Instant) -> Batch {
        let mut queued = self.lock();
        while queued.is_empty() {
            let left = until.saturating_duration_since(Instant::now());
            if left == Duration::ZERO {
                break;
            }
            queued = self.arrived.wait_timeout(queued, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        let (mut bytes, mut commands) = (0, Vec::new());
        while commands.len() < BATCH_COMMANDS && bytes < BATCH_BYTES {
            let Some(command) = queued.commands.pop_front() else { break };
            bytes += command.weight();
            commands.push(command);
        }
        queued.bytes = queued.bytes.saturating_sub(bytes);
        let results = queued.results.len().min(BATCH_RESULTS);
        let results = queued.results.drain(..results).collect();
        Batch { control: std::mem::take(&mut queued.control), results, commands }
    }

    /// Fails all queued commands and refuses later ones: the store has failed.
    pub(crate) fn fail(&self) {
        let mut queued = self.lock();
        queued.closed = true;
        let commands = std::mem::take(&mut queued.commands);
        // Dropping a ping tells its sender that there will be no answer.
        queued.control.clear();
        drop(queued);
        commands.into_iter().for_each(Command::refuse);
    }

    fn lock(&self) -> MutexGuard<'_, Queued> {
        self.queued.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
