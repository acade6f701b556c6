//! The single writer of a daemon: takes what is queued, lets the command handler decide it, and commits it.
//!
//! A commit whose outcome is unknown, because the connection was lost, is answered as unavailable. The writer then
//! connects again, and learns from the number of the last commit whether it was made: if so, what it decided goes to
//! the dispatcher; if not, everything in memory is read anew, and the attempts that had ended are recorded again. While
//! the server is away new commands are refused, and the process lives on.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Sender, SyncSender};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::core::time::{Moment, Timestamp};
use crate::engine::postgres::changes::Changes;
use crate::engine::postgres::commit::{Marks, Rows, is_fenced};
use crate::engine::postgres::connect::{Connector, Refusal};
use crate::engine::postgres::connection::Connection;
use crate::engine::postgres::engine::Postgres;
use crate::engine::postgres::id::Id;
use crate::engine::postgres::{node, registry};
use crate::engine::queue::{Batch, Control};
use crate::engine::{Answers, Listeners};
use crate::model::command::{AttemptResult, Command};
use crate::model::conversations::Threads;
use crate::model::error::{Outage, StoreError};
use crate::model::handler::{Answer, Handler};
use crate::model::lock::lock;
use crate::model::notice::{Committed, StoreEvent};
use crate::model::read_ahead::Request;
use crate::model::registry::Registry;
use crate::model::settings::Settings;
use crate::model::turn::{Context, Outcome};
use crate::model::{counts, read_set, report};

/// How often an idle writer asks whether the server is still there.
const ALIVE_EVERY: Duration = Duration::from_secs(5);
/// How often values are looked at that may have expired.
const EXPIRE_EVERY: Duration = Duration::from_secs(10);
/// How long to wait before connecting again, at first and at most.
const AGAIN_FIRST: Duration = Duration::from_millis(100);
const AGAIN_MOST: Duration = Duration::from_secs(2);

/// The writer, run by a thread of its own.
pub(super) struct Writer {
    pub(super) engine: Arc<Postgres>,
    pub(super) connector: Connector,
    pub(super) changes: Arc<Changes>,
    pub(super) handler: Handler,
    pub(super) make_handler: Box<dyn Fn(Settings, u128) -> Result<Handler, StoreError> + Send>,
    pub(super) registry: Arc<Mutex<Registry>>,
    pub(super) threads: Arc<Mutex<Threads>>,
    pub(super) listeners: Listeners,
    pub(super) reader: Sender<Request>,
    pub(super) node: Id,
    /// How many synchronous standbys there must be.
    pub(super) replicas: i64,
    pub(super) batch: i64,
    pub(super) state: State,
}

/// What the writer keeps between two iterations.
#[derive(Default)]
pub(super) struct State {
    closing: bool,
    pings: Vec<SyncSender<()>>,
    /// The commit whose outcome is not known.
    unknown: Option<Unknown>,
    /// Results of attempts that are not recorded yet.
    results: Vec<AttemptResult>,
    /// When to connect again, and how long to wait the next time. `None` while connected.
    away: Option<(Instant, Duration)>,
    expired: Option<Instant>,
    /// When the server last answered.
    alive: Option<Instant>,
    /// Whether too few standbys were there when it was last asked.
    lacking: bool,
}

/// A commit whose outcome is not known.
struct Unknown {
    batch: i64,
    decided_at: Moment,
    events: Vec<StoreEvent>,
    requests: Vec<Request>,
    /// How many of the results, the first ones, it would have recorded.
    results: usize,
}

/// Why the writer ends.
struct Ended(String);

/// Why it did not connect again.
enum NotConnected {
    /// The server is still away.
    Away(Refusal),
    /// It must not write any more.
    Ended(Ended),
}

impl From<Refusal> for NotConnected {
    fn from(refusal: Refusal) -> Self {
        Self::Away(refusal)
    }
}

impl From<Ended> for NotConnected {
    fn from(ended: Ended) -> Self {
        Self::Ended(ended)
    }
}

/// Replies that nothing is written at present.
fn refuse(commands: Vec<Command>, why: Outage) {
    commands.into_iter().for_each(|command| command.refuse_with(&StoreError::Unavailable(why)));
}

impl Writer {
    /// Runs until the queue is closed and empty, or another daemon has taken over.
    pub(super) fn run(mut self) {
        let worked = catch_unwind(AssertUnwindSafe(|| self.work()));
        let why = match worked {
            Ok(Ok(())) => return,
            Ok(Err(Ended(why))) => why,
            Err(_) => "the writer panicked".to_owned(),
        };
        let ends = "nothing more is accepted, and the daemon ends; what was answered 202 is committed";
        (self.listeners.failed)(format!("{why}; {ends}"));
        self.handler.refuse(&StoreError::Unavailable(Outage::Ended));
        self.engine.queue.fail();
    }

    fn work(&mut self) -> Result<(), Ended> {
        loop {
            let Batch { control, results, commands } = self.engine.queue.take(self.next_turn());
            let idle = commands.is_empty() && results.is_empty() && self.handler.has_no_backlog();
            for one in control {
                self.handle_control(one)?;
            }
            self.state.results.extend(results);
            if self.state.away.is_some() && !self.reconnect_if_due()? {
                refuse(commands, Outage::Away);
                if self.state.closing {
                    return Ok(());
                }
                continue;
            }
            self.check_replicas_if_due();
            if self.state.lacking {
                refuse(commands, Outage::Standbys);
                self.commit(Vec::new())?;
            } else {
                self.commit(commands)?;
            }
            for ping in self.state.pings.drain(..) {
                // The sender may have stopped waiting.
                let _ = ping.try_send(());
            }
            if idle && self.state.closing && self.state.results.is_empty() {
                return Ok(());
            }
        }
    }

    /// How long to wait for work.
    fn next_turn(&self) -> Instant {
        if let Some((again, _)) = self.state.away {
            return again;
        }
        if self.state.lacking {
            return Instant::now() + AGAIN_MOST;
        }
        if self.state.closing || !self.state.results.is_empty() || self.handler.is_due(&*self.changes) {
            return Instant::now();
        }
        self.state.alive.unwrap_or_else(Instant::now) + ALIVE_EVERY
    }

    fn handle_control(&mut self, control: Control) -> Result<(), Ended> {
        match control {
            Control::Close => {
                self.state.closing = true;
                lock(&self.registry).tokens.note_every_use();
            }
            Control::Stop(why) => return Err(Ended(why)),
            Control::ReadAhead(answer) => self.handler.insert(answer),
            Control::EndExpired => self.handler.end_expired(),
            // There are no segments here.
            Control::Rotate => {}
            Control::Ping(ping) => self.state.pings.push(ping),
            Control::Configure(settings) => self.handler.set(settings),
        }
        Ok(())
    }

    /// Asks now and then whether enough synchronous standbys are there. Without them nothing new is accepted; what was
    /// accepted is delivered.
    fn check_replicas_if_due(&mut self) {
        let due = self.state.alive.is_none_or(|last| last.elapsed() >= ALIVE_EVERY) || self.state.lacking;
        if self.replicas == 0 || !due {
            return;
        }
        let sql =
            "SELECT count(*) FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum') AND state = 'streaming'";
        let there = self.changes.on_connection(|connection| connection.query(sql, &[]));
        // If the server is away, the commit finds out.
        let Ok(there) = there.map(|rows| rows.first().map_or(0, |row| row.get::<_, i64>(0))) else { return };
        let lacking = there < self.replicas;
        if lacking != self.state.lacking {
            let wanted = self.replicas;
            let why = format!(
                "{there} synchronous standbys of PostgreSQL are there, and `replicas` in [store] wants {wanted}: start them, \
                 check synchronous_standby_names, and give the user of `url` the role pg_monitor"
            );
            if lacking {
                tracing::error!("{why}; nothing new is accepted until they are");
            } else {
                tracing::info!("{there} synchronous standbys are there");
            }
            self.engine.set_away(lacking.then_some(why));
            self.state.lacking = lacking;
        }
    }

    fn now(&self) -> Timestamp {
        (self.listeners.clock)()
    }

    /// Decides and commits these commands and the results that are not recorded yet.
    fn commit(&mut self, commands: Vec<Command>) -> Result<(), Ended> {
        let decided_at = Moment { wall: self.now(), at: Instant::now() };
        let mut answers: Vec<Answer> = Vec::with_capacity(commands.len());
        let results = std::mem::take(&mut self.state.results);
        let mut rows = Rows::default();
        match self.decide(commands, results.clone(), decided_at, &mut rows, &mut answers) {
            Err(error) => {
                self.give(answers, Err(error.clone()));
                let refusal = self.changes.take_refusal().unwrap_or_else(|| Refusal(error.to_string()));
                self.lose(results, None, &refusal.0);
                Ok(())
            }
            Ok(outcome) => self.write(&rows, outcome, answers, results, decided_at),
        }
    }

    fn decide(
        &mut self,
        commands: Vec<Command>,
        results: Vec<AttemptResult>,
        at: Moment,
        rows: &mut Rows,
        answers: &mut Vec<Answer>,
    ) -> Result<Outcome, StoreError> {
        let changes = self.changes.clone();
        let keys = commands.iter().flat_map(read_set::of_command).chain(results.iter().map(read_set::of_result));
        let ahead = changes.prefetch(keys.collect()).and_then(|()| changes.repair());
        if let Err(error) = ahead {
            commands.into_iter().for_each(|command| command.refuse_with(&error));
            return Err(error);
        }
        let now = at.at;
        // Now and then in any case, and when many are new.
        let anyway = self.state.expired.is_none_or(|last| now.duration_since(last) >= EXPIRE_EVERY);
        if anyway {
            self.state.expired = Some(now);
        }
        self.handler.expire(&*changes, anyway, self.handler.last_id(), at.wall)?;
        let (view, log) = (&*changes, &*self.engine.records);
        let context = Context { now: at.wall, view, log, sink: rows };
        let mut outcome = self.handler.decide(commands, results, context, answers)?;
        report::add_records(std::mem::take(&mut outcome.for_report), &*changes);
        for (key, value) in counts::changed(&self.registry) {
            crate::model::view::ViewMut::put(&*changes, key, value);
        }
        changes.check()?;
        Ok(outcome)
    }

    fn write(
        &mut self,
        rows: &Rows,
        outcome: Outcome,
        answers: Vec<Answer>,
        results: Vec<AttemptResult>,
        decided_at: Moment,
    ) -> Result<(), Ended> {
        let Outcome { events, requests, tally, .. } = outcome;
        let (changed, aside) = self.changes.pending();
        let nothing = rows.is_empty() && changed.is_empty() && aside.is_empty();
        let alive = self.state.alive.is_some_and(|last| decided_at.at.duration_since(last) < ALIVE_EVERY);
        if nothing && alive {
            self.give(answers, Ok(()));
            return self.send(requests);
        }
        let next_number = lock(&self.registry).next_number.get();
        let marks = Marks { batch: self.batch + 1, last_id: self.handler.last_id(), next_number, node: self.node };
        let begun = Instant::now();
        let mut fenced = false;
        let written = self.changes.on_connection(|connection| {
            let written = rows.commit(connection, &marks, &changed, &aside);
            fenced = written.as_ref().err().is_some_and(is_fenced);
            written
        });
        if fenced {
            self.give(answers, Err(StoreError::Unavailable(Outage::Away)));
            return Err(self.taken_over());
        }
        match written {
            Ok(()) => {
                self.batch = marks.batch;
                self.state.alive = Some(Instant::now());
                self.changes.committed();
                self.engine.set_durable(marks.last_id);
                self.handler.evict_threads();
                if !events.is_empty() {
                    (self.listeners.events)(decided_at, events);
                }
                let (took, synced) = (decided_at.at.elapsed(), Some(begun.elapsed()));
                if !rows.is_empty() || tally.repeated > 0 {
                    (self.listeners.committed)(Committed { took, synced, ..tally });
                }
                self.engine.set_full(None);
                self.give(answers, Ok(()));
                self.send(requests)
            }
            Err((error, refusal)) => {
                if let StoreError::DiskFull(why) = &error {
                    self.engine.set_full(Some(why.clone()));
                }
                // The connection may have been lost while the commit was made.
                let error = match error {
                    StoreError::Unavailable(_) => StoreError::Unavailable(Outage::Unknown),
                    other => other,
                };
                self.give(answers, Err(error));
                let unknown = Unknown { batch: marks.batch, decided_at, events, requests, results: results.len() };
                self.lose(results, Some(unknown), &refusal.0);
                Ok(())
            }
        }
    }

    fn send(&self, requests: Vec<Request>) -> Result<(), Ended> {
        for request in requests {
            self.reader.send(request).map_err(|_| Ended("the read-ahead thread has ended".to_owned()))?;
        }
        Ok(())
    }

    fn give(&self, answers: Vec<Answer>, written: Result<(), StoreError>) {
        if !answers.is_empty() {
            (self.listeners.answered)(Answers { answers, written });
        }
    }

    fn taken_over(&self) -> Ended {
        Ended(format!("another daemon writes to the schema {}", self.connector.schema()))
    }

    /// The server is away, or refuses: what was decided is kept until it is known whether it was committed.
    fn lose(&mut self, results: Vec<AttemptResult>, unknown: Option<Unknown>, why: &str) {
        tracing::error!("{why}; nothing is accepted until PostgreSQL answers again, and what is owed stays");
        self.changes.set_connection(None);
        self.engine.set_away(Some(why.to_owned()));
        self.handler.refuse(&StoreError::Unavailable(Outage::Unknown));
        self.state.results = results;
        self.state.unknown = unknown;
        self.state.away = Some((Instant::now(), AGAIN_FIRST));
        // Whoever answers next may have other standbys.
        (self.state.alive, self.state.lacking) = (None, false);
    }

    /// Connects again, if it is time; returns whether the server is there.
    fn reconnect_if_due(&mut self) -> Result<bool, Ended> {
        let Some((again, wait)) = self.state.away else { return Ok(true) };
        if Instant::now() < again {
            return Ok(false);
        }
        match self.reconnect() {
            Ok(()) => {
                self.state.away = None;
                self.engine.set_away(None);
                tracing::info!("PostgreSQL answers again");
                Ok(true)
            }
            Err(NotConnected::Away(refusal)) => {
                self.engine.set_away(Some(refusal.0));
                self.state.away = Some((Instant::now() + wait, (wait * 2).min(AGAIN_MOST)));
                Ok(false)
            }
            Err(NotConnected::Ended(ended)) => Err(ended),
        }
    }

    fn reconnect(&mut self) -> Result<(), NotConnected> {
        let mut connection = Connection::open(&self.connector)?;
        node::acquire(&mut connection, self.connector.schema())?;
        let found = node::position(&mut connection).map_err(Refusal::from)?;
        if found.node != Some(self.node) {
            return Err(self.taken_over().into());
        }
        self.changes.set_connection(Some(connection));
        let made = self.state.unknown.as_ref().is_some_and(|unknown| unknown.batch == found.batch);
        let read = if made {
            self.changes.committed();
            self.begin_anew(found.last_id)
        } else {
            self.reload(found.last_id)
        };
        if let Err(error) = read {
            self.changes.set_connection(None);
            return Err(Refusal(format!("the tables cannot be read: {error}")).into());
        }
        if let Some(unknown) = self.state.unknown.take().filter(|_| made) {
            // Memory is right, and these attempts are recorded; others have ended since.
            self.state.results.drain(..unknown.results.min(self.state.results.len()));
            self.engine.set_durable(found.last_id);
            (self.listeners.events)(unknown.decided_at, unknown.events);
            self.send(unknown.requests)?;
        }
        self.batch = found.batch;
        Ok(())
    }

    /// Reads everything in memory anew: a commit that changed it was not made.
    fn reload(&mut self, last_id: u128) -> Result<(), StoreError> {
        self.changes.forget();
        lock(&self.threads).clear();
        let next_number = lock(&self.registry).next_number;
        registry::load(&self.changes, &self.registry, next_number)?;
        self.begin_anew(last_id)
    }

    /// A handler that continues what is committed: the one before refused what waited when the server went away.
    fn begin_anew(&mut self, last_id: u128) -> Result<(), StoreError> {
        let last_id = last_id.max(self.handler.last_id());
        self.handler = (self.make_handler)(*self.handler.settings(), last_id)?;
        Ok(())
    }
}
