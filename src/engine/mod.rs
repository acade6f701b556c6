//! Engines: what keeps records. The seam is [`Engine`]; [`embedded`] is the one that there is.
//!
//! An engine keeps a log of records in the order of their ids and a view of what is true now, runs the command handler of
//! [`model`](crate::model) once for each group commit, and acknowledges nothing that is not durable. It must not know what
//! a record means: it is told what it needs of that by a [`Schema`](crate::model::segment::Schema).

pub mod embedded;

use std::sync::mpsc;
use std::time::Duration;

use crate::core::time::{Moment, Timestamp};
use crate::model::command::{AttemptResult, Busy, Command, Reply};
use crate::model::error::StoreError;
use crate::model::handler::Answer;
use crate::model::notice::{Committed, StoreEvent};
use crate::model::redaction::Rule;
use crate::model::settings::Settings;
use crate::model::view::{Log, View};

/// How much room there is for what is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskSpace {
    /// Bytes that are free for this user.
    pub free: u64,
    /// Bytes that are to stay free.
    pub least: u64,
    /// Whether nothing new is accepted.
    pub low: bool,
}

/// A backup, to be taken piece by piece. Where one cannot be read, the last piece says so.
pub type Pieces = Box<dyn Iterator<Item = Vec<u8>> + Send>;

/// What keeps records. All of it may be called from any thread.
pub(crate) trait Engine: Send + Sync {
    /// What is true now.
    fn view(&self) -> &dyn View;

    /// All records that are durable.
    fn log(&self) -> &dyn Log;

    /// Hands in a command; its reply is called once it is durable, or has failed.
    ///
    /// # Errors
    /// The write queue is full, or the store is closing: the reply is dropped uncalled.
    fn submit(&self, command: Command) -> Result<(), Busy>;

    /// Hands in an attempt that ended. Never refused: it has happened.
    fn finish(&self, result: AttemptResult);

    /// Whether there is room for `bytes` of something new.
    ///
    /// # Errors
    /// There is not; the sentence names the place, what is free and the key of the configuration.
    fn admit(&self, bytes: u64) -> Result<(), String>;

    /// How much room there is.
    fn space(&self) -> DiskSpace;

    /// Why nothing new is accepted for want of room; `None` if it is.
    fn out_of_space(&self) -> Option<String>;

    /// How many bytes all that is kept takes, as far as that can be seen.
    fn bytes(&self) -> u64;

    /// Whether the writer makes a turn within `limit`. Blocks until it has; writes nothing.
    fn ping(&self, limit: Duration) -> bool;

    /// From now on these limits and periods hold.
    fn reconfigure(&self, settings: Settings);

    /// The bits of the last id of which the view is durable.
    fn durable_id(&self) -> u128;

    /// From now on the log is read by this rule, also after a restart, and soon what it takes out is off the disk. Blocks.
    ///
    /// # Errors
    /// It could not be written down.
    fn erase(&self, rule: Rule) -> Result<(), StoreError>;

    /// Begins a backup; `None` if one is being taken already.
    ///
    /// # Errors
    /// What is kept cannot be read.
    fn backup(&self, now: Timestamp) -> Result<Option<Pieces>, StoreError>;
}

/// Has the writer do something, and waits for it.
pub(crate) fn wait_for<T: Send + 'static>(
    engine: &dyn Engine,
    command: impl Fn(Reply<T>) -> Command,
) -> Result<T, StoreError> {
    hand_in(engine, command)?.recv().map_err(|_| StoreError::Unavailable)?
}

/// Hands the writer something to do; waits for a place in its queue alone.
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

/// The answers to what was written in one group commit, to be [given](Answers::give) in whichever thread.
pub struct Answers {
    answers: Vec<Answer>,
    durable: bool,
}

impl Answers {
    /// Gives all answers.
    pub fn give(self) {
        for answer in self.answers {
            answer(self.durable);
        }
    }
}

/// Who is told of what.
pub(crate) struct Listeners {
    /// Hears every event once it is durable, and when it was decided. Must not block.
    pub(crate) events: Box<dyn Fn(Moment, Vec<StoreEvent>) + Send>,
    /// Hears, once, that the store has failed, why, and what became of what was accepted.
    pub(crate) failed: Box<dyn Fn(String) + Send>,
    /// Hears of every group commit that is durable. Must not block.
    pub(crate) committed: Box<dyn Fn(Committed) + Send>,
    /// Gets the answers of each group commit, to be given. Must not block.
    pub(crate) answered: Box<dyn Fn(Answers) + Send>,
    /// Tells the time.
    pub(crate) clock: Box<dyn Fn() -> Timestamp + Send>,
}
