//! From an open store to a running one, and back.

use std::io;
use std::sync::Arc;

use crate::core::time::{Moment, Timestamp};
use crate::engine::{Answers, Listeners, embedded};
use crate::model::notice::{Change, Committed};
use crate::store::verbs::Store;

/// A store that is open and does not write yet.
pub struct Idle {
    pub(crate) store: Store,
    pub(crate) opened: embedded::Opened,
    pub(crate) committed: Box<dyn Fn(Committed) + Send>,
    pub(crate) answered: Box<dyn Fn(Answers) + Send>,
}

/// A running store.
pub struct Running(embedded::Running);

impl Idle {
    /// The store, for reading and to be handed on.
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// Lets `committed` hear of every group commit that is durable. It must not block.
    #[must_use]
    pub fn measured(mut self, committed: impl Fn(Committed) + Send + 'static) -> Self {
        self.committed = Box::new(committed);
        self
    }

    /// Hands the answers of each group commit to `answered`, to be given where the requests wait. It must not block.
    #[must_use]
    pub fn answering(mut self, answered: impl Fn(Answers) + Send + 'static) -> Self {
        self.answered = Box::new(answered);
        self
    }

    /// For tests: a smaller size at which a segment is full.
    #[cfg(test)]
    pub(crate) fn limit_segment_bytes(&mut self, most: u32) {
        self.opened.limit_segment_bytes(most);
    }

    /// Starts the writer. `events` hears every event once it is durable, in order, and when it was decided, by which time
    /// its deliveries go; `failed` hears, once, that the store has failed, why, and what became of what was accepted.
    /// Neither may block.
    ///
    /// # Errors
    /// No thread could be started, or the data directory is gone already.
    pub fn start(
        self,
        clock: impl Fn() -> Timestamp + Send + Sync + 'static,
        events: impl Fn(Moment, Vec<Change>) + Send + 'static,
        failed: impl Fn(String) + Send + 'static,
    ) -> io::Result<Running> {
        let Self { store, opened, committed, answered } = self;
        let clock = Arc::new(clock);
        let of_writer = clock.clone();
        let listeners = Listeners {
            events: Box::new(events),
            failed: Box::new(failed),
            committed,
            answered,
            clock: Box::new(move || of_writer()),
        };
        opened.start(store.shared.threads.clone(), clock, listeners).map(Running)
    }
}

impl Running {
    /// Lets the writer write what waits and ends it. What comes afterwards is refused as
    /// [`Busy`](crate::model::command::Busy). Blocks until the thread has ended.
    pub fn stop(self) {
        self.0.stop();
    }
}
