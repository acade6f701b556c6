//! The PostgreSQL engine: everything is in one schema of a database, and nothing in a directory.
//!
//! **What is there.** The log is a table of records by class and day ([`log`]), the view a table of keys with values
//! ([`state`]). Both hold the same bytes as the embedded engine's, so that a kind of record needs no table of its own.
//!
//! **What is promised.** An answer is given after COMMIT, which is as durable as `synchronous_commit` of the server says.
//!
//! **Several daemons** work on one schema. Their commits follow one after the other ([`commit`]), and each is decided on
//! what the one before has left ([`follow`]); so all that is promised of one daemon holds for all together. Which of them
//! sends for a subscription follows from its shard ([`ownership`], [`members`]), as long as its owner renews its lease
//! ([`cluster`], [`lease`]).
//!
//! **When the server is away** the process lives on: nothing is accepted, `/readyz` says why, and what had been decided
//! is resolved once the server is back ([`recovery`]).

mod changes;
mod cluster;
mod commit;
mod connect;
mod connection;
pub(crate) mod engine;
mod follow;
mod id;
mod inspect;
mod kinds;
mod lease;
mod log;
mod members;
mod membership;
mod moving;
mod moving_out;
mod ownership;
mod partitions;
mod pooler;
mod process;
mod recovery;
mod registry;
mod retention;
mod schema;
mod standbys;
mod state;
mod writer;

pub use self::inspect::inspect;
pub use self::moving::move_in;
pub use self::moving_out::move_out;

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use self::changes::Changes;
use self::connect::{Connector, Refusal};
use self::connection::{Connection, Pool};
use self::engine::Postgres;
use self::id::Id;
use self::lease::Lease;
use self::log::Records;
use self::members::About;
use self::ownership::Membership;
use self::state::{Reader, Unreadable};
use self::writer::{State, Writer};
use crate::core::id::SubscriptionNumber;
use crate::core::seal::Keyring;
use crate::core::shards::Ownership;
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
use crate::model::view::{Log, Tally, View};

/// How long a daemon that stops waits for its last commit.
const LAST_COMMIT: Duration = Duration::from_secs(10);

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

impl From<postgres::Error> for OpenError {
    fn from(error: postgres::Error) -> Self {
        Refusal::from(error).into()
    }
}

/// An open engine whose threads are not running yet.
pub(crate) struct Opened {
    engine: Arc<Postgres>,
    registry: Arc<Mutex<Registry>>,
    connector: Connector,
    changes: Arc<Changes>,
    about: About,
    membership: Membership,
    batch: i64,
    /// Fan-outs that daemons that are gone left unfinished.
    fan_outs: Vec<u128>,
    replicas: i64,
    settings: Settings,
}

/// The engine's threads.
pub(crate) struct Running {
    engine: Arc<Postgres>,
    writer: JoinHandle<()>,
    /// Disconnected once the writer has ended.
    ended: Receiver<()>,
    cluster: cluster::Running,
    reader: JoinHandle<()>,
    retention: retention::Running,
}

/// Opens the schema, and makes it if it is not there. Secrets are opened and, if there is a key, sealed with `keys`.
///
/// # Errors
/// The server cannot be used, or the schema holds something else or needs a newer version; or its secrets are sealed with
/// a key that is not there.
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
    recovery::prepare(&mut connection).map_err(Refusal::from)?;
    partitions::make(&mut connection, now).map_err(Refusal::from)?;
    let (about, lease) = (About::this(), Arc::new(Lease::taken(Id(fresh_bits(now)), Instant::now())));
    let joined = membership::join(&mut connection, &lease, &about).map_err(Refusal::from)?;
    let position = joined.position;
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
        ownership: Mutex::new(Ownership { shards: joined.owned, change: 1 }),
        lease,
        durable: Mutex::new(position.last_id),
        size: Mutex::default(),
    };
    let next_number = SubscriptionNumber::new(position.next_number);
    let registry = Arc::new(Mutex::new(Registry::numbering_from(next_number, Arc::new(keys))));
    registry::load(&changes, &registry, next_number).map_err(unread)?;
    load::rebuild_health(&*changes, &registry, &*engine.records).map_err(unread)?;
    conversations::build_company_order(&*changes).map_err(unread)?;
    marker::check_opened(Path::new(&format!("the schema {}", at.schema)), &lock(&registry))?;
    let finish = |connection: &mut Connection| membership::commit_join(connection, &engine.lease, &joined, &at.schema);
    changes.on_connection(finish).map_err(|(_, refusal)| refusal)?;
    Ok(Opened {
        engine: Arc::new(engine),
        registry,
        connector,
        changes,
        about,
        membership: Membership { owned: joined.owned, changed: true, ..Membership::default() },
        batch: position.batch + 1,
        fan_outs: joined.fan_outs,
        replicas: at.replicas.into(),
        settings,
    })
}

/// Upgrades the tables of a schema, and with `finish` removes what only older versions need. Returns the version that the
/// tables had, if they were there, and the one that they have.
///
/// # Errors
/// The server cannot be used, the schema holds something else or needs a newer version, or daemons of an older version
/// still run.
pub(crate) fn upgrade(at: &PostgresSettings, finish: bool) -> Result<(Option<i32>, i32), OpenError> {
    let connector = Connector::new(&at.url, &at.schema)?;
    let mut connection = Connection::open(&connector)?;
    let before = schema::prepare(connection.client(), &connector)?;
    if finish {
        schema::finish(connection.client(), &connector)?;
    }
    Ok((before, schema::VERSION))
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
        let Self { engine, registry, connector, changes, about, membership, batch, fan_outs, replicas, settings } =
            self;
        let (of_handler, kept, view) = (engine.clone(), threads.clone(), changes.clone());
        let shared = registry.clone();
        let make_handler = move |settings: Settings, last_id: u128, fan_outs: &[u128]| {
            let carried = Carried::after_start(kept.clone(), of_handler.redactions.clone());
            let view: &dyn View = &*view;
            let (read, own) = ((view, &*of_handler.records as &dyn Log), |id| fan_outs.contains(&id));
            let mut handler = Handler::new(settings, last_id, shared.clone(), carried, read, own)?;
            // There are no snapshots here, but by one the secrets are sealed that the current key does not seal.
            if lock(&shared).states_from(SubscriptionNumber::ZERO, usize::MAX).any(|(_, state)| state.stale) {
                handler.begin_snapshot();
            }
            Ok(handler)
        };
        let last_id = engine.durable_bits();
        let mut handler = make_handler(settings, last_id, &fan_outs).map_err(io::Error::other)?;
        handler.lead(membership.leads());
        let lease = engine.lease.clone();
        let cluster = cluster::start(connector.clone(), lease.clone(), engine.queue.clone())?;
        let (requests, reader) = reader::start(engine.records.clone(), engine.queue.clone())?;
        let retention = retention::start(engine.clone(), clock)?;
        let writer = Writer {
            engine: engine.clone(),
            channel: cluster::channel(connector.schema()),
            connector,
            changes,
            handler,
            make_handler: Box::new(make_handler),
            registry,
            threads,
            listeners,
            reader: requests,
            lease,
            about,
            replicas,
            batch,
            confirmed: batch,
            membership,
            state: State::default(),
        };
        let (running, ended) = mpsc::channel();
        let run = move || {
            writer.run();
            drop::<mpsc::Sender<()>>(running);
        };
        let writer = std::thread::Builder::new().name("writer".to_owned()).spawn(run)?;
        Ok(Running { engine, writer, ended, cluster, reader, retention })
    }
}

impl Running {
    /// Ends the writer after it has committed everything that is queued. Blocks until the threads have ended, or until a
    /// commit has not ended within [`LAST_COMMIT`]: the process is to end then, which ends the connection. Nobody was told
    /// that this commit is made.
    pub(crate) fn stop(self) {
        let Self { engine, writer, ended, cluster, reader, retention } = self;
        drop(retention);
        engine.queue.send(Control::Close);
        if ended.recv_timeout(LAST_COMMIT) == Err(mpsc::RecvTimeoutError::Timeout) {
            let seconds = LAST_COMMIT.as_secs();
            let why = "it waits for a synchronous standby, or PostgreSQL does not answer";
            tracing::warn!("the last COMMIT has not ended within {seconds} s ({why}): it is not waited for");
            return;
        }
        if writer.join().is_err() {
            tracing::error!("the writer ended in a panic");
        }
        cluster.stop();
        // The thread catches its own panics.
        drop(reader.join());
    }
}
