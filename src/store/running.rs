//! Opening, starting and stopping the store.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use crate::core::seal::Keyring;
use crate::core::time::{Moment, Timestamp};
#[cfg(feature = "postgres")]
use crate::core::token::{TokenHash, TokenText};
use crate::engine::embedded::{self, OpenError};
#[cfg(feature = "postgres")]
use crate::engine::postgres::{self, PostgresSettings};
use crate::engine::{Answers, Engine, Listeners};
use crate::model::lock::lock;
use crate::model::notice::{Committed, StoreEvent};
use crate::model::registry::Registry;
use crate::model::settings::Settings;
use crate::store::api::{Shared, Store};

/// An open engine of either kind.
pub(crate) enum Opened {
    Embedded(Box<embedded::Opened>),
    #[cfg(feature = "postgres")]
    Postgres(Box<postgres::Opened>),
}

/// An open store that does not write yet.
pub struct OpenedStore {
    pub(crate) store: Store,
    pub(crate) opened: Opened,
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
        let (engine, registry) = (opened.engine().clone(), opened.registry().clone());
        #[cfg(test)]
        let embedded = Some(engine.clone());
        let parts = Parts {
            engine,
            registry,
            #[cfg(test)]
            embedded,
        };
        Ok(Self::with(parts, Opened::Embedded(Box::new(opened)), settings))
    }

    /// Opens the store in a schema of a PostgreSQL database, and makes its tables if they are missing. Secrets are opened
    /// and, if there is a key, sealed with `keys`.
    ///
    /// # Errors
    /// The server cannot be used, another daemon writes to the schema, or it holds something else or a newer version;
    /// or its secrets are sealed with a missing key.
    #[cfg(feature = "postgres")]
    pub fn open_postgres(
        at: &PostgresSettings,
        settings: Settings,
        keys: Keyring,
        now: Timestamp,
    ) -> Result<OpenedStore, OpenError> {
        let opened = postgres::open(at, settings, keys, now)?;
        let (engine, registry) = (opened.engine().clone(), opened.registry().clone());
        let parts = Parts {
            engine,
            registry,
            #[cfg(test)]
            embedded: None,
        };
        Ok(Self::with(parts, Opened::Postgres(Box::new(opened)), settings))
    }

    /// Upgrades the tables of a schema, and with `finish` removes what only older versions need. Returns the version that
    /// the tables had, if they were there, and the one that they have.
    ///
    /// # Errors
    /// As [`Store::open_postgres`]; or a daemon of another version still runs, and `finish` was asked for.
    #[cfg(feature = "postgres")]
    pub fn upgrade_postgres(at: &PostgresSettings, finish: bool) -> Result<(Option<i32>, i32), OpenError> {
        postgres::upgrade(at, finish)
    }

    fn with(parts: Parts, opened: Opened, settings: Settings) -> OpenedStore {
        let Parts { engine, registry, .. } = parts;
        let (tokens, sessions) = {
            let registry = lock(&registry);
            (registry.tokens.clone(), registry.sessions.clone())
        };
        let shared = Shared {
            engine,
            registry,
            tokens,
            sessions,
            threads: Arc::default(),
            max_data_bytes: settings.max_data_bytes,
            #[cfg(test)]
            embedded: parts.embedded,
        };
        let store = Self { shared: Arc::new(shared) };
        OpenedStore { store, opened, committed: Box::new(|_| ()), answered: Box::new(Answers::give) }
    }
}

/// What the store shares with an engine of either kind.
struct Parts {
    engine: Arc<dyn Engine>,
    registry: Arc<Mutex<Registry>>,
    #[cfg(test)]
    embedded: Option<Arc<embedded::engine::Embedded>>,
}

/// A running store.
pub struct Running(RunningEngine);

enum RunningEngine {
    Embedded(embedded::Running),
    #[cfg(feature = "postgres")]
    Postgres(postgres::Running),
}

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

    /// The hash of the admin token that a schema has, and its text if `make` made it just now; `None` for a data directory,
    /// which has a file.
    ///
    /// # Errors
    /// The server fails.
    #[cfg(feature = "postgres")]
    pub fn admin_token(
        &self,
        make: impl FnOnce() -> TokenText,
    ) -> Result<Option<(TokenHash, Option<TokenText>)>, OpenError> {
        match &self.opened {
            Opened::Embedded(_) => Ok(None),
            Opened::Postgres(opened) => opened.admin_token(make).map(Some),
        }
    }

    /// For tests: a smaller segment size.
    #[cfg(test)]
    pub(crate) fn limit_segment_bytes(&mut self, most: u32) {
        if let Opened::Embedded(opened) = &mut self.opened {
            opened.limit_segment_bytes(most);
        }
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
        let threads = store.shared.threads.clone();
        Ok(Running(match opened {
            Opened::Embedded(opened) => RunningEngine::Embedded(opened.start(threads, clock, listeners)?),
            #[cfg(feature = "postgres")]
            Opened::Postgres(opened) => RunningEngine::Postgres(opened.start(threads, clock, listeners)?),
        }))
    }
}

impl Running {
    /// Lets the writer drain its queue and stops it. Later commands are refused as
    /// [`Busy`](crate::model::command::Busy). Blocks until the thread has ended.
    pub fn stop(self) {
        match self.0 {
            RunningEngine::Embedded(running) => running.stop(),
            #[cfg(feature = "postgres")]
            RunningEngine::Postgres(running) => running.stop(),
        }
    }
}
