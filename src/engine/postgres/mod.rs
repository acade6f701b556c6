//! The PostgreSQL engine: everything is in one schema of a database, and nothing in a directory.
//!
//! **What is there.** The log is a table of records by class and day ([`log`]), the view a table of keys with values
//! ([`state`]). Both hold the same bytes as the embedded engine's, so that a kind of record needs no table of its own.
//!
//! **What is promised.** An answer is given after COMMIT, which is as durable as `synchronous_commit` of the server says.
//! One daemon writes to a schema at a time ([`node`]); a second one waits a while, and is then refused.
//!
//! **When the server is away** the process lives on: nothing is accepted, `/readyz` says why, and what had been decided
//! is resolved once the server is back ([`writer`]).

mod changes;
mod commit;
mod connect;
mod connection;
pub(crate) mod engine;
mod id;
mod inspect;
mod kinds;
mod log;
mod node;
mod partitions;
mod pooler;
mod registry;
mod retention;
mod schema;
mod state;
mod writer;

pub use self::inspect::inspect;

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, RwLock};
use std::thread::JoinHandle;

use self::changes::Changes;
use self::connect::{Connector, Refusal};
use self::connection::{Connection, Pool};
use self::engine::Postgres;
use self::id::Id;
use self::log::Records;
use self::state::{Reader, Unreadable};
use self::writer::{State, Writer};
use crate::core::id::SubscriptionNumber;
use crate::core::seal::Keyring;
use crate::core::time::Timestamp;
use crate::core::token::{TokenHash, TokenText};
use crate::engine::embedded::{OpenError, marker};
use crate::engine::queue::Control;
use crate::engine::{Listeners, reader};
use crate::model::conversations;
use crate::model::conversations::Threads;
use crate::model::error::StoreError;
use crate::model::handler::Handler;
use crate::model::load;
use crate::model::lock::lock;
use crate::model::redactions::{Index, Redactions};
use crate::model::registry::Registry;
use crate::model::settings::Settings;
use crate::model::turn::{Carried, fresh_bits};
use crate::model::view::{Tally, View};

/// Where the data is.
#[derive(Clone)]
pub struct PostgresSettings {
    /// The URL, with the password.
    pub url: String,
    /// The schema of the tables: a plain lower-case name.
    pub schema: String,
    /// How many connections read.
    pub pool: usize,
    /// How many synchronous standbys must be there.
    pub replicas: u32,
}

impl fmt::Debug for PostgresSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresSettings")
            .field("schema", &self.schema)
            .field("pool", &self.pool)
            .finish_non_exhaustive()
    }
}

impl From<Refusal> for OpenError {
    fn from(refusal: Refusal) -> Self {
        Self::Server(refusal.0)
    }
}

/// An open engine whose threads are not running yet.
pub(crate) struct Opened {
    engine: Arc<Postgres>,
    registry: Arc<Mutex<Registry>>,
    connector: Connector,
    changes: Arc<Changes>,
    node: Id,
    batch: i64,
    replicas: i64,
    settings: Settings,
}

/// The engine's threads.
pub(crate) struct Running {
    engine: Arc<Postgres>,
    writer: JoinHandle<()>,
    reader: JoinHandle<()>,
    retention: retention::Running,
}

/// Opens the schema, and makes it if it is not there. Secrets are opened and, if there is a key, sealed with `keys`.
///
/// # Errors
/// The server cannot be used, another daemon writes to the schema, or it holds something else or a newer version; or
/// its secrets are sealed with a key that is not there.
pub(crate) fn open(
    at: &PostgresSettings,
    settings: Settings,
    keys: Keyring,
    now: Timestamp,
) -> Result<Opened, OpenError> {
    let connector = Connector::new(&at.url, &at.schema)?;
    let mut connection = Connection::open(&connector)?;
    pooler::check(&connector, connection.client())?;
    schema::prepare(connection.client(), &connector)?;
    node::acquire(&mut connection, &at.schema)?;
    let node = Id(fresh_bits(now));
    let position = node::take(&mut connection, node).map_err(Refusal::from)?;
    partitions::make(&mut connection, now).map_err(Refusal::from)?;
    let unreadable = Unreadable::default();
    let pool = Arc::new(Pool::new(connector.clone(), at.pool));
    let changes = Arc::new(Changes::new(connection, unreadable.clone()));
    let unread = |error: StoreError| Refusal(format!("the tables of the schema {} cannot be read: {error}", at.schema));
    let rules = retention::rules(&pool).map_err(unread)?;
    let redaction = Arc::new(RwLock::new(Index::of(&rules)));
    let engine = Postgres {
        reader: Reader { pool: pool.clone(), unreadable },
        records: Arc::new(Records { pool: pool.clone(), tally: Tally::default(), redaction: redaction.clone() }),
        pool,
        queue: Arc::default(),
        redaction,
        redactions: Arc::new(Redactions::of(&rules)),
        rules: Mutex::new(settings.retention),
        away: Mutex::default(),
        full: Mutex::default(),
        durable: Mutex::new(position.last_id),
        size: Mutex::default(),
    };
    let next_number = SubscriptionNumber::new(position.next_number);
    let registry = Arc::new(Mutex::new(Registry::numbering_from(next_number, Arc::new(keys))));
    registry::load(&changes, &registry, next_number).map_err(unread)?;
    load::rebuild_health(&*changes, &registry, &*engine.records).map_err(unread)?;
    conversations::build_company_order(&*changes).map_err(unread)?;
    marker::check_opened(Path::new(&format!("the schema {}", at.schema)), &lock(&registry))?;
    Ok(Opened {
        engine: Arc::new(engine),
        registry,
        connector,
        changes,
        node,
        batch: position.batch,
        replicas: at.replicas.into(),
        settings,
    })
}

impl Opened {
    /// The engine.
    pub(crate) const fn engine(&self) -> &Arc<Postgres> {
        &self.engine
    }

    /// The subscriptions and tokens.
    pub(crate) const fn registry(&self) -> &Arc<Mutex<Registry>> {
        &self.registry
    }

    /// The hash of the admin token, and its text if `make` made it just now.
    ///
    /// # Errors
    /// The server fails.
    pub(crate) fn admin_token(
        &self,
        make: impl FnOnce() -> TokenText,
    ) -> Result<(TokenHash, Option<TokenText>), OpenError> {
        let unread = |error: StoreError| Refusal(format!("the admin token cannot be read: {error}"));
        let rows = self.engine.pool.query("SELECT admin_token FROM store", &[]).map_err(unread)?;
        let stored = rows.first().and_then(|row| row.get::<_, Option<Vec<u8>>>(0));
        if let Some(hash) = stored.and_then(|hash| hash.try_into().ok()) {
            return Ok((TokenHash::from_bytes(hash), None));
        }
        let text = make();
        let bytes = text.hash().bytes().to_vec();
        self.engine.pool.query("UPDATE store SET admin_token = $1", &[&bytes]).map_err(unread)?;
        Ok((text.hash(), Some(text)))
    }

    /// Starts the engine's threads. `threads` are the recently active SMS threads.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub(crate) fn start(
        self,
        threads: Arc<Mutex<Threads>>,
        clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
        listeners: Listeners,
    ) -> io::Result<Running> {
        let Self { engine, registry, connector, changes, node, batch, replicas, settings } = self;
        let (of_handler, kept, view) = (engine.clone(), threads.clone(), changes.clone());
        let shared = registry.clone();
        let make_handler = move |settings: Settings, last_id: u128| {
            let carried = Carried::after_start(kept.clone(), of_handler.redactions.clone());
            let view: &dyn View = &*view;
            let mut handler = Handler::new(settings, last_id, shared.clone(), carried, (view, &*of_handler.records))?;
            // There are no snapshots here, but by one the secrets are sealed that the current key does not seal.
            if lock(&shared).states_from(SubscriptionNumber::ZERO, usize::MAX).any(|(_, state)| state.stale) {
                handler.begin_snapshot();
            }
            Ok(handler)
        };
        let last_id = engine.durable_bits();
        let handler = make_handler(settings, last_id).map_err(io::Error::other)?;
        let (requests, reader) = reader::start(engine.records.clone(), engine.queue.clone())?;
        let retention = retention::start(engine.clone(), clock)?;
        let writer = Writer {
            engine: engine.clone(),
            connector,
            changes,
            handler,
            make_handler: Box::new(make_handler),
            registry,
            threads,
            listeners,
            reader: requests,
            node,
            replicas,
            batch,
            state: State::default(),
        };
        let writer = std::thread::Builder::new().name("writer".to_owned()).spawn(move || writer.run())?;
        Ok(Running { engine, writer, reader, retention })
    }
}

impl Running {
    /// Ends the writer after it has committed everything that is queued. Blocks until the threads have ended.
    pub(crate) fn stop(self) {
        let Self { engine, writer, reader, retention } = self;
        drop(retention);
        engine.queue.send(Control::Close);
        if writer.join().is_err() {
            tracing::error!("the writer ended in a panic");
        }
        // The thread catches its own panics.
        drop(reader.join());
    }
}
