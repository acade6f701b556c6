//! Opening, starting and stopping the store.

use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::core::seal::Keyring;
use crate::core::time::{Moment, Timestamp};
use crate::engine::embedded::{self, OpenError};
use crate::engine::{Answers, Listeners};
use crate::model::lock::lock;
use crate::model::notice::{Committed, StoreEvent};
use crate::model::settings::Settings;
use crate::store::api::{Shared, Store};

/// An open store that does not write yet.
pub struct OpenedStore {
    pub(crate) store: Store,
    pub(crate) opened: embedded::Opened,
    pub(crate) committed: Box<dyn Fn(Committed) + Send>,
    pub(crate) answered: Box<dyn Fn(Answers) + Send>,
}

impl Store {
    /// Opens the store in the directory `dir`, which must exist and be locked by this process; creates a new one in an
    /// empty directory. Secrets are opened and, if there is a key, sealed with `keys`.
    ///
    /// # Errors
    /// The directory is foreign, damaged, of a newer version, or not writable; or its secrets are sealed with a missing
    /// key. It is unchanged then.
    pub fn open(dir: &Path, settings: Settings, keys: Keyring, now: Timestamp) -> Result<OpenedStore, OpenError> {
        let opened = embedded::open(dir, settings, keys, now)?;
        let registry = opened.registry().clone();
        let tokens = lock(&registry).tokens.clone();
        let (engine, max_data_bytes) = (opened.engine().clone(), settings.max_data_bytes);
        let shared = Shared {
            #[cfg(test)]
            embedded: opened.engine().clone(),
            engine,
            registry,
            tokens,
            threads: Arc::default(),
            max_data_bytes,
        };
        let store = Self { shared: Arc::new(shared) };
        Ok(OpenedStore { store, opened, committed: Box::new(|_| ()), answered: Box::new(Answers::give) })
    }
}

/// A running store.
pub struct Running(embedded::Running);

impl OpenedStore {
    /// The store, for reading and for sharing.
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// Calls `committed` for every durable group commit. It must not block.
    #[must_use]
    pub fn measured(mut self, committed: impl Fn(Committed) + Send + 'static) -> Self {
        self.committed = Box::new(committed);
        self
    }

    /// Passes the answers of each group commit to `answered`, to be delivered where the requests wait. It must not
    /// block.
    #[must_use]
    pub fn answering(mut self, answered: impl Fn(Answers) + Send + 'static) -> Self {
        self.answered = Box::new(answered);
        self
    }

    /// For tests: a smaller segment size.
    #[cfg(test)]
    pub(crate) fn limit_segment_bytes(&mut self, most: u32) {
        self.opened.limit_segment_bytes(most);
    }

    /// Starts the writer. `events` is called with all events in order once they are durable, and with the time of the
    /// decision, which deliveries are scheduled by; `failed` is called once if the store fails, with the reason and
    /// what became of accepted data. Neither may block.
    ///
    /// # Errors
    /// No thread could be started, or the data directory is gone.
    pub fn start(
        self,
        clock: impl Fn() -> Timestamp + Send + Sync + 'static,
        events: impl Fn(Moment, Vec<StoreEvent>) + Send + 'static,
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
    /// Lets the writer drain its queue and stops it. Later commands are refused as
    /// [`Busy`](crate::model::command::Busy). Blocks until the thread has ended.
    pub fn stop(self) {
        self.0.stop();
    }
}
