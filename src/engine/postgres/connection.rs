//! A connection with its prepared statements, and a pool of them for reading.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use postgres::error::SqlState;
use postgres::types::ToSql;
use postgres::{Client, Error, Row, Statement};

use crate::engine::postgres::connect::{Connector, Refusal, describe, store_error};
use crate::model::error::{Outage, StoreError};
use crate::model::lock::lock;

/// Writes a row as it is, so that the commit of the transaction is one that is waited for.
const WRITE_NOTHING: &str = "UPDATE store SET single = true";
/// A transaction that waits for all before it.
const WAIT_AGAIN: &str = "BEGIN; UPDATE store SET single = true; COMMIT";

/// Values of a statement.
pub(super) type Values<'v> = &'v [&'v (dyn ToSql + Sync)];

/// A connection. Each statement is prepared once.
pub(super) struct Connection {
    client: Client,
    statements: HashMap<String, Statement>,
    /// Whether the server has sent a warning since this was last reset.
    warned: Arc<AtomicBool>,
}

impl Connection {
    /// A new connection.
    ///
    /// # Errors
    /// As [`Connector::connect`].
    pub(super) fn open(connector: &Connector) -> Result<Self, Refusal> {
        let warned = Arc::default();
        Ok(Self { client: connector.connect_warned(&warned)?, statements: HashMap::new(), warned })
    }

    /// Commits: `commit` is `COMMIT`, with what follows it. Returns once the commit is where the server is set to have it.
    ///
    /// The server warns if it no longer waits for its synchronous standbys, because a time limit of the user's or somebody
    /// else cancelled that (`SyncRepWaitForLSN` in PostgreSQL's `syncrep.c`): the commit is then on its own disk alone. So another
    /// one follows, which changes nothing and waits for all before it.
    ///
    /// # Errors
    /// The server's, or that of the connection: then it is unknown whether it is committed.
    pub(super) fn commit(&mut self, commit: &str) -> Result<(), Error> {
        self.warned.store(false, Ordering::Relaxed);
        self.client.batch_execute(commit)?;
        while self.warned.swap(false, Ordering::Relaxed) {
            tracing::warn!("PostgreSQL did not wait for its synchronous standbys: it is asked to wait again");
            self.client.batch_execute(WAIT_AGAIN)?;
        }
        Ok(())
    }

    /// Waits until all that is committed is where the server is set to have it: what others have committed is seen, but may
    /// not be on the standbys, if the server ended or cancelled the wait for them. Ends the transaction.
    ///
    /// # Errors
    /// The server's, or that of the connection.
    pub(super) fn commit_nothing(&mut self) -> Result<(), Error> {
        self.client.batch_execute(WRITE_NOTHING)?;
        self.commit("COMMIT")
    }

    /// The client itself, for what is done once.
    pub(super) const fn client(&mut self) -> &mut Client {
        &mut self.client
    }

    /// The rows of a statement.
    ///
    /// # Errors
    /// The server's, or that of the connection.
    pub(super) fn query(&mut self, sql: &str, values: Values<'_>) -> Result<Vec<Row>, Error> {
        let statement = match self.statements.get(sql) {
            Some(statement) => statement.clone(),
            None => {
                let statement = self.client.prepare(sql)?;
                self.statements.insert(sql.to_owned(), statement.clone());
                statement
            }
        };
        self.client.query(&statement, values)
    }

    /// Whether it is lost.
    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }
}

/// Whether the server has ended the session, which the client may learn before it sees that the connection is closed.
fn has_ended(error: &Error) -> bool {
    [SqlState::ADMIN_SHUTDOWN, SqlState::CRASH_SHUTDOWN].iter().any(|ended| error.code() == Some(ended))
}

/// Connections for reading, made when they are first needed.
pub(super) struct Pool {
    connector: Connector,
    /// Idle connections, and how many more may be made.
    idle: Mutex<(Vec<Connection>, usize)>,
    returned: Condvar,
    /// Whether the last read failed: the first failure is logged, not each.
    failing: AtomicBool,
}

impl Pool {
    /// A pool of at most `most` connections.
    pub(super) fn new(connector: Connector, most: usize) -> Self {
        Self {
            connector,
            idle: Mutex::new((Vec::new(), most)),
            returned: Condvar::new(),
            failing: AtomicBool::new(false),
        }
    }

    /// The rows of a statement that only reads. If an idle connection turns out to be lost, another one is tried.
    ///
    /// # Errors
    /// The server cannot be reached, or fails.
    pub(super) fn query(&self, sql: &str, values: Values<'_>) -> Result<Vec<Row>, StoreError> {
        loop {
            let (mut connection, fresh) = self.take()?;
            let read = connection.query(sql, values);
            let lost = connection.is_closed() || read.as_ref().is_err_and(has_ended);
            self.put_back(Some(connection).filter(|_| !lost));
            match read {
                Err(_) if lost && !fresh => {}
                Err(error) => {
                    self.warn(&describe(&error));
                    return Err(store_error(&error));
                }
                Ok(rows) => {
                    self.failing.store(false, Ordering::Relaxed);
                    return Ok(rows);
                }
            }
        }
    }

    /// Runs `work` on a connection, once.
    ///
    /// # Errors
    /// The server cannot be reached, or fails.
    pub(super) fn with<T>(&self, work: impl FnOnce(&mut Connection) -> Result<T, Error>) -> Result<T, StoreError> {
        let (mut connection, _) = self.take()?;
        let done = work(&mut connection);
        let lost = connection.is_closed() || done.as_ref().is_err_and(has_ended);
        self.put_back(Some(connection).filter(|_| !lost));
        done.map_err(|error| {
            tracing::warn!("{}", describe(&error));
            store_error(&error)
        })
    }

    /// A connection, and whether it is a new one.
    fn take(&self) -> Result<(Connection, bool), StoreError> {
        let mut idle = lock(&self.idle);
        loop {
            if let Some(connection) = idle.0.pop() {
                return Ok((connection, false));
            }
            if idle.1 > 0 {
                break;
            }
            idle = self.returned.wait(idle).unwrap_or_else(PoisonError::into_inner);
        }
        idle.1 -= 1;
        drop(idle);
        Connection::open(&self.connector).map(|connection| (connection, true)).map_err(|refusal| {
            self.put_back(None);
            self.warn(&refusal.0);
            StoreError::Unavailable(Outage::Away)
        })
    }

    fn warn(&self, refusal: &str) {
        if !self.failing.swap(true, Ordering::Relaxed) {
            tracing::warn!("PostgreSQL could not be read: {refusal}");
        }
    }

    /// Returns a connection; `None` for one that is lost.
    fn put_back(&self, connection: Option<Connection>) {
        let mut idle = lock(&self.idle);
        match connection {
            Some(connection) => idle.0.push(connection),
            None => idle.1 += 1,
        }
        drop(idle);
        self.returned.notify_one();
    }
}
