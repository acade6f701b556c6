//! Storage engines. [`Engine`] is the interface; [`embedded`] keeps everything in one directory, [`postgres`] in one schema
//! of a database.
//!
//! An engine stores a log of records ordered by id, and a view of the current state. It runs the command handler of
//! [`model`](crate::model) once for each group commit and acknowledges only what is durable. It must not know what a
//! record means: a [`Schema`](crate::model::record::Schema) tells it which terms to index and how to classify a
//! record.

pub mod embedded;
#[cfg(feature = "postgres")]
pub mod postgres;
pub mod process;
mod queue;
mod reader;

use std::sync::mpsc;
use std::time::Duration;

use crate::core::shards::{Ownership, ShardSet};
use crate::core::time::{Moment, Timestamp};
use crate::model::cluster::Cluster;
use crate::model::command::{AttemptResult, Busy, Command, Reply};
use crate::model::error::{Outage, StoreError};
use crate::model::handler::Answer;
use crate::model::notice::{Committed, StoreEvent};
use crate::model::redaction::Rule;
use crate::model::settings::Settings;
use crate::model::view::{Log, View};

/// Free space on the file system of the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskSpace {
    /// Bytes available to this user.
    pub free: u64,
    /// Bytes that must stay free.
    pub least: u64,
    /// Whether new data is refused.
    pub low: bool,
}

/// A backup, read piece by piece. If it cannot be completed, its last piece says so.
pub type Pieces = Box<dyn Iterator<Item = Vec<u8>> + Send>;

/// A storage engine. Every method may be called from any thread.
pub(crate) trait Engine: Send + Sync {
    /// The current state.
    fn view(&self) -> &dyn View;

    /// All durable records.
    fn log(&self) -> &dyn Log;

    /// Queues a command. Its reply is called once the command is durable or has failed.
    ///
    /// # Errors
    /// The write queue is full or the store is closing; the reply is dropped uncalled.
    fn submit(&self, command: Command) -> Result<(), Busy>;

    /// Queues the result of an attempt. Never refused: the attempt has already happened.
    fn finish(&self, result: AttemptResult);

    /// The shards whose subscriptions this process sends for.
    fn ownership(&self) -> Ownership {
        Ownership::SOLE
    }

    /// Whether this process may begin attempts now: not if another one may have been given its shards.
    fn may_begin(&self) -> bool {
        true
    }

    /// The daemons that work on the store; `None` if it is this one's alone.
    ///
    /// # Errors
    /// The stored data cannot be read.
    fn cluster(&self) -> Result<Option<Cluster>, StoreError> {
        Ok(None)
    }

    /// Gives up shards, of which nothing is in flight.
    fn release(&self, _: ShardSet) {}

    /// Checks that there is space for `bytes` of new data.
    ///
    /// # Errors
    /// There is not. The message names the directory, the free space and the configuration key.
    fn admit(&self, bytes: u64) -> Result<(), String>;

    /// The free space; `None` if the disk is a database server's.
    fn space(&self) -> Option<DiskSpace>;

    /// Why new data is refused for lack of space; `None` if it is accepted.
    fn out_of_space(&self) -> Option<String>;

    /// The size of all stored data in bytes, as far as it can be determined.
    fn bytes(&self) -> u64;

    /// Whether the writer answers within `limit`. Blocks until then; writes nothing.
    fn ping(&self, limit: Duration) -> bool;

    /// Applies new limits and retention periods.
    fn reconfigure(&self, settings: Settings);

    /// The bits of the last id that is durable in the view.
    fn durable_id(&self) -> u128;

    /// Starts an erasure: reads are redacted by `rule` from now on, also after a restart, and the data is soon removed
    /// from the disk. Blocks until the rule is durable.
    ///
    /// # Errors
    /// The rule could not be written.
    fn erase(&self, rule: Rule) -> Result<(), StoreError>;

    /// Begins a backup; `None` if another one is running.
    ///
    /// # Errors
    /// The stored data cannot be read.
    fn backup(&self, now: Timestamp) -> Result<Option<Pieces>, StoreError>;
}

/// Submits a command and waits for its reply.
pub(crate) fn wait_for<T: Send + 'static>(
    engine: &dyn Engine,
    command: impl Fn(Reply<T>) -> Command,
) -> Result<T, StoreError> {
    hand_in(engine, command)?.recv().map_err(|_| StoreError::Unavailable(Outage::Ended))?
}

/// Submits a command; waits only for a free slot in the write queue.
pub(crate) fn hand_in<T: Send + 'static>(
    engine: &dyn Engine,
    command: impl Fn(Reply<T>) -> Command,
) -> Result<mpsc::Receiver<Result<T, StoreError>>, StoreError> {
    for _ in 0..1000 {
        let (sender, answer) = mpsc::channel();
        let reply = Box::new(move |result| drop(sender.send(result)));
        if engine.submit(command(reply)).is_ok() {
            return Ok(answer);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Err(StoreError::Busy)
}

/// The replies of one group commit, to be [sent](Answers::give) from any thread.
pub struct Answers {
    answers: Vec<Answer>,
    /// Why they are not durable, if so.
    written: Result<(), StoreError>,
}

impl Answers {
    /// Sends all replies.
    pub fn give(self) {
        for answer in self.answers {
            answer(self.written.clone());
        }
    }
}

/// Callbacks of the engine.
pub(crate) struct Listeners {
    /// Receives all events of a group commit once they are durable, with the time of the decision. Must not block.
    pub(crate) events: Box<dyn Fn(Moment, Vec<StoreEvent>) + Send>,
    /// Called once when the store has failed, with the reason and what became of accepted data.
    pub(crate) failed: Box<dyn Fn(String) + Send>,
    /// Called after every durable group commit. Must not block.
    pub(crate) committed: Box<dyn Fn(Committed) + Send>,
    /// Receives the replies of each group commit, to be sent. Must not block.
    pub(crate) answered: Box<dyn Fn(Answers) + Send>,
    /// The clock.
    pub(crate) clock: Box<dyn Fn() -> Timestamp + Send>,
}
