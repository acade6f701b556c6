//! From an open store to a running one, and back: the threads that write.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::thread::JoinHandle;

use crate::core::id::IdSource;
use crate::core::time::{Moment, Timestamp};

use super::committer::{Committer, Listeners};
use super::desk::Desk;
use super::fan_out::Backlog;
use super::location::Location;
use super::open::{self, Opened};
use super::retention::keeper::{self, Keeper};
use super::sweep::Sweep;
use super::tidy::Errands;
use super::verbs::Store;
use super::{Answers, Change, Committed, Settings};

/// A store that is open and does not write yet.
pub struct Idle {
    pub(super) store: Store,
    pub(super) opened: Opened,
    pub(super) settings: Settings,
    pub(super) committed: Box<dyn Fn(Committed) + Send>,
    pub(super) answered: Box<dyn Fn(Answers) + Send>,
}

/// The running committer.
pub struct Running {
    store: Store,
    thread: JoinHandle<()>,
    keeper: keeper::Running,
}

impl Idle {
    /// The store, for reading and to be handed on.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Lets `committed` hear of every group commit that is on the disk. It must not block.
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

    /// For tests: a smaller size at which a journal file is full.
    #[cfg(test)]
    pub(super) fn limit_segment_bytes(&mut self, most: u32) {
        self.opened.writer.limit_segment_bytes(most);
    }

    /// Starts the committer. `changes` hears every change once it is on the disk, in order, and when it was decided,
    /// by which time its deliveries go; `failed` hears, once, that the store has failed, why, and what became of what was
    /// accepted. Neither may block.
    ///
    /// # Errors
    /// No thread could be started, or the data directory is gone already.
    pub fn start(
        self,
        clock: impl Fn() -> Timestamp + Send + Sync + 'static,
        changes: impl Fn(Moment, Vec<Change>) + Send + 'static,
        failed: impl Fn(String) + Send + 'static,
    ) -> std::io::Result<Running> {
        let Self { store, mut opened, settings, committed, answered } = self;
        let clock = Arc::new(clock);
        opened.writer.set_segment_bytes(settings.retention.file_bytes(opened.journal.bytes()));
        let location = Location::of(&store.shared.dir)?;
        // Ahead of retention, which may drop what the events of a batch were read from.
        let backlog = Backlog::take_up(&opened.state, &opened.journal).map_err(std::io::Error::other)?;
        let introduced = Arc::new(AtomicU32::new(0));
        let keeper = Keeper {
            store: store.clone(),
            state: opened.state.clone(),
            journal: opened.journal.clone(),
            inbox: store.shared.inbox.clone(),
            space: store.shared.space.clone(),
            introduced: introduced.clone(),
            clock: clock.clone(),
        };
        let desk = Desk {
            state: opened.state,
            ledger: opened.ledger,
            journal: opened.journal,
            settings,
            ids: IdSource::after(opened.applied.last_id),
            batch: opened.applied.batch + 1,
            bytes: Vec::new(),
            notes: Vec::new(),
            changes: Vec::new(),
            heard: Vec::new(),
            erasures: store.shared.erasures.clone(),
            threads: store.shared.threads.clone(),
            producers: Sweep::default(),
            messages: Sweep::default(),
            calls: Sweep::default(),
            // What was under way when the store was closed goes on.
            untidy: true,
            errands: Errands::default(),
            tally: Committed::default(),
            owed: 0,
        };
        let committer = Committer {
            inbox: store.shared.inbox.clone(),
            backlog,
            desk,
            writer: opened.writer,
            applied: opened.applied,
            listeners: Listeners {
                changes: Box::new(changes),
                failed: Box::new(failed),
                committed,
                answered,
                clock: Box::new(move || clock()),
            },
            location,
            introduced,
        };
        let thread = std::thread::Builder::new().name("committer".to_owned()).spawn(move || committer.run())?;
        let keeper = keeper.start()?;
        Ok(Running { store, thread, keeper })
    }
}

impl Running {
    /// Lets the committer write what waits and ends it. What comes afterwards is refused as
    /// [`Busy`](super::Busy). Blocks until the thread has ended.
    pub fn stop(self) {
        drop(self.keeper);
        self.store.shared.inbox.close();
        if self.thread.join().is_err() {
            tracing::error!("the committer ended in a panic");
        }
        if let Err(error) = open::note_reached(&self.store.shared.dir, self.store.shared.state.durable()) {
            tracing::warn!("how far the state database is could not be noted: {error}");
        }
    }
}
