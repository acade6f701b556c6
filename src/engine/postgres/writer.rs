//! The single writer of a daemon: takes what is queued, lets the command handler decide it, and commits it.
//!
//! Each commit begins by taking over what other daemons have committed ([`follow`]), so that it is decided
//! on what the tables say. What becomes of a commit whose connection was lost is found out in
//! [`recovery`](super::recovery); which shards this daemon owns is settled in [`membership`](super::membership).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Sender, SyncSender};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::core::id::SubscriptionNumber;
use crate::core::time::{Moment, Timestamp};
use crate::engine::postgres::changes::{Changed, Changes};
use crate::engine::postgres::commit::{self, Marks, Rows, Said};
use crate::engine::postgres::connect::{Connector, Refusal};
use crate::engine::postgres::engine::Postgres;
use crate::engine::postgres::follow::{self, News};
use crate::engine::postgres::id::Id;
use crate::engine::postgres::lease::Lease;
use crate::engine::postgres::members::About;
use crate::engine::postgres::ownership::Membership;
use crate::engine::postgres::retention;
use crate::engine::queue::{Batch, Control};
use crate::engine::{Answers, Listeners};
use crate::model::command::{AttemptResult, Command};
use crate::model::conversations::Threads;
use crate::model::error::{Outage, StoreError};
use crate::model::handler::{Answer, Handler};
use crate::model::key::{Key, ValueKind};
use crate::model::lock::lock;
use crate::model::notice::{Committed, StoreEvent};
use crate::model::read_ahead::Request;
use crate::model::registry::Registry;
use crate::model::settings::Settings;
use crate::model::turn::{Context, Outcome};
use crate::model::view::{View as _, ViewMut as _};
use crate::model::{counts, keys, read_set, replica, report};

/// How often an idle writer asks whether the server is still there.
pub(super) const ALIVE_EVERY: Duration = Duration::from_secs(5);
/// How often values are looked at that may have expired.
const EXPIRE_EVERY: Duration = Duration::from_secs(10);
/// How long results of attempts wait for others, while there are other daemons.
const RESULTS_WAIT: Duration = Duration::from_millis(5);
/// How long to wait before connecting again, or looking for standbys, at most.
pub(super) const AGAIN_MOST: Duration = Duration::from_secs(2);

/// A failure of the server or the connection: the error for whoever waits, and the sentence for the operator.
pub(super) type Failed = (StoreError, Refusal);

/// The writer, run by a thread of its own.
pub(super) struct Writer {
    pub(super) engine: Arc<Postgres>,
    pub(super) connector: Connector,
    pub(super) changes: Arc<Changes>,
    pub(super) handler: Handler,
    pub(super) make_handler: MakeHandler,
    pub(super) registry: Arc<Mutex<Registry>>,
    pub(super) threads: Arc<Mutex<Threads>>,
    pub(super) listeners: Listeners,
    pub(super) reader: Sender<Request>,
    pub(super) lease: Arc<Lease>,
    pub(super) about: About,
    /// The channel on which daemons wake each other.
    pub(super) channel: String,
    /// How many synchronous standbys there must be.
    pub(super) replicas: i64,
    /// The number of the last commit, of whichever daemon, that memory is as of.
    pub(super) batch: i64,
    /// The number of the last commit that is known to be where the server is set to have it: what others have committed
    /// since can be seen, but may not be on the standbys.
    pub(super) confirmed: i64,
    pub(super) membership: Membership,
    pub(super) state: State,
}

/// Makes a handler whose ids follow one, and which carries out the fan-outs with these ids.
pub(super) type MakeHandler = Box<dyn Fn(Settings, u128, &[u128]) -> Result<Handler, StoreError> + Send>;

/// What the writer keeps between two iterations.
#[derive(Default)]
pub(super) struct State {
    closing: bool,
    pings: Vec<SyncSender<()>>,
    /// The commit whose outcome is not known.
    pub(super) unknown: Option<Unknown>,
    /// Results of attempts that are not recorded yet.
    pub(super) results: Vec<AttemptResult>,
    /// Since when there are any.
    pub(super) oldest_result: Option<Instant>,
    /// When to connect again, and how long to wait the next time. `None` while connected.
    pub(super) away: Option<(Instant, Duration)>,
    expired: Option<Instant>,
    /// When the server last answered.
    pub(super) alive: Option<Instant>,
    /// Whether too few standbys were there when it was last asked.
    pub(super) lacking: bool,
    /// Whether the tables need a newer version.
    pub(super) outdated: bool,
    /// Whether others may have committed something.
    pub(super) news: bool,
}

/// A commit whose outcome is not known.
pub(super) struct Unknown {
    pub(super) batch: i64,
    pub(super) decided_at: Moment,
    pub(super) events: Vec<StoreEvent>,
    pub(super) requests: Vec<Request>,
    /// How many of the results, the first ones, it would have recorded.
    pub(super) results: usize,
}

/// Why the writer ends.
pub(super) struct Ended(pub(super) String);

/// Replies that nothing is written at present.
fn refuse(commands: Vec<Command>, why: Outage) {
    commands.into_iter().for_each(|command| command.refuse_with(&StoreError::Unavailable(why)));
}

impl Writer {
    /// Runs until the queue is closed and empty.
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
            self.take_results(results);
            if self.state.outdated {
                return Err(Ended("all other daemons are of a newer version".to_owned()));
            }
            if self.state.away.is_some() && !self.reconnect_if_due()? {
                refuse(commands, Outage::Away);
                if self.state.closing {
                    return Ok(());
                }
                continue;
            }
            self.check_replicas_if_due();
            let commands = if self.state.lacking {
                refuse(commands, Outage::Standbys);
                Vec::new()
            } else {
                commands
            };
            if self.membership.changed {
                self.settle_shards();
            }
            if self.state.away.is_some() {
                refuse(commands, Outage::Away);
            } else if commands.is_empty()
                && !self.is_due()
                && self.results_wait_until().is_none_or(|at| at > Instant::now())
            {
                self.look_for_news();
            } else {
                self.commit(commands)?;
            }
            for ping in self.state.pings.drain(..) {
                // The sender may have stopped waiting.
                let _ = ping.try_send(());
            }
            if idle && self.state.closing && self.state.results.is_empty() {
                self.leave();
                return Ok(());
            }
        }
    }

    fn take_results(&mut self, results: Vec<AttemptResult>) {
        if !results.is_empty() {
            self.state.oldest_result.get_or_insert_with(Instant::now);
        }
        self.state.results.extend(results);
    }

    /// Whether a commit is due without anything new: there is something to go on with, or the server is to be asked
    /// whether it is still there.
    fn is_due(&self) -> bool {
        let silent = self.state.alive.is_none_or(|last| last.elapsed() >= ALIVE_EVERY);
        silent || self.state.closing || self.handler.is_due(&*self.changes)
    }

    /// Until when the results that are there may wait for others, if nothing else is to be committed. Nobody waits for
    /// them, and each commit makes the other daemons wait.
    fn results_wait_until(&self) -> Option<Instant> {
        let wait = if self.membership.alone || self.state.closing { Duration::ZERO } else { RESULTS_WAIT };
        self.state.oldest_result.map(|since| since + wait)
    }

    /// How long to wait for work.
    fn next_turn(&self) -> Instant {
        if let Some((again, _)) = self.state.away {
            return again;
        }
        if self.state.lacking {
            return Instant::now() + AGAIN_MOST;
        }
        let goes_on = self.state.closing || self.handler.is_due(&*self.changes);
        if goes_on || self.state.news || self.membership.changed {
            return Instant::now();
        }
        let alive = self.state.alive.unwrap_or_else(Instant::now) + ALIVE_EVERY;
        self.results_wait_until().map_or(alive, |results| results.min(alive))
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
            Control::Follow => self.state.news = true,
            Control::SettleShards => self.membership.changed = true,
            Control::Release(shards) => self.note_released(&shards),
            Control::Ping(ping) => self.state.pings.push(ping),
            Control::Configure(settings) => self.handler.set(settings),
        }
        Ok(())
    }

    pub(super) fn now(&self) -> Timestamp {
        (self.listeners.clock)()
    }

    /// Begins a transaction, as of the last commit of all daemons.
    pub(super) fn begin(&mut self) -> Result<(), Failed> {
        let found = self.changes.on_connection(commit::lock)?;
        self.check_version(found)?;
        if found.batch == self.batch { Ok(()) } else { self.take_over_news(true) }
    }

    /// The same, as one of the daemons: if others have joined or left meanwhile, or have taken over from this one, that is
    /// settled first.
    pub(super) fn begin_as_member(&mut self) -> Result<(), Failed> {
        self.begin()?;
        if self.membership.changed {
            self.changes.on_connection(commit::unlock)?;
            self.try_settle_shards()?;
            self.begin()?;
        }
        Ok(())
    }

    /// Takes over what others have committed.
    fn look_for_news(&mut self) {
        if std::mem::take(&mut self.state.news)
            && let Err((_, refusal)) = self.take_over_news(false)
        {
            self.lose(Vec::new(), None, &refusal.0);
        }
    }

    /// Takes over what others have committed; `locked` says that no further commit can come meanwhile.
    pub(super) fn take_over_news(&mut self, locked: bool) -> Result<(), Failed> {
        self.state.news = false;
        let since = self.batch;
        let Some(news) = self.changes.on_connection(|connection| follow::news(connection, since))? else {
            return Ok(());
        };
        if !news.complete && !locked {
            self.begin()?;
            return self.changes.on_connection(commit::unlock);
        }
        if !news.complete {
            return self.load_anew(news.position);
        }
        self.changes.forget_committed();
        let News { position, members, changed, .. } = news;
        let taken = replica::take_over(&self.registry, &self.threads, changed).map_err(in_words)?;
        if taken.erasures {
            retention::redact_anew(&self.engine, self.now()).map_err(in_words)?;
        }
        if members {
            self.membership.changed = true;
            // Whoever has joined is to hear of the next commit.
            self.membership.alone = false;
        }
        self.handler.follow(position.last_id, taken.work);
        self.is_as_of(position);
        if !taken.events.is_empty() {
            (self.listeners.events)(Moment { wall: self.now(), at: Instant::now() }, taken.events);
        }
        Ok(())
    }

    /// Memory is as of this position now.
    pub(super) fn is_as_of(&mut self, position: commit::Position) {
        self.batch = position.batch;
        lock(&self.registry).next_number = SubscriptionNumber::new(position.next_number);
        self.engine.set_durable(position.last_id);
    }

    /// Decides and commits these commands and the results that are not recorded yet.
    fn commit(&mut self, mut commands: Vec<Command>) -> Result<(), Ended> {
        if let Err((error, refusal)) = self.begin_again_if_lost() {
            commands.into_iter().for_each(|command| command.refuse_with(&error));
            self.lose(Vec::new(), None, &refusal.0);
            return Ok(());
        }
        // While it waited for the commits of other daemons, more may have been queued.
        if !self.state.lacking {
            let more = self.engine.queue.take(Instant::now());
            for one in more.control {
                self.handle_control(one)?;
            }
            self.take_results(more.results);
            commands.extend(more.commands);
        }
        let decided_at = Moment { wall: self.now(), at: Instant::now() };
        let mut answers: Vec<Answer> = Vec::with_capacity(commands.len());
        let results = std::mem::take(&mut self.state.results);
        self.state.oldest_result = None;
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
        let counted = Key::all(ValueKind::Counted);
        let ahead = changes.prefetch(keys.chain([counted.clone()]).collect()).and_then(|()| changes.repair());
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
        for (key, value) in counts::changed(&self.registry, usize::MAX) {
            // The flag says the same nearly always: to write it with each commit would make a dead row each time.
            if key != counted || changes.get(&key)?.as_ref() != Some(&value) {
                changes.put(key, value);
            }
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
        // An answer that rests on what another daemon has committed waits for that.
        if nothing && alive && self.batch == self.confirmed {
            if let Err((_, refusal)) = self.changes.on_connection(commit::unlock) {
                self.lose(results, None, &refusal.0);
            }
            if tally.repeated > 0 {
                (self.listeners.committed)(Committed { took: decided_at.at.elapsed(), synced: None, ..tally });
            }
            self.give(answers, Ok(()));
            return self.send(requests);
        }
        let (marks, said) = (self.marks(), self.said(&changed));
        let begun = Instant::now();
        let written = self.changes.on_connection(|connection| rows.commit(connection, &marks, &said, &changed, &aside));
        match written {
            Ok(()) => {
                (self.batch, self.confirmed) = (marks.batch, marks.batch);
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

    /// What the next commit says beside its records and changes.
    pub(super) fn marks(&self) -> Marks {
        Marks {
            batch: self.batch + 1,
            last_id: self.handler.last_id(),
            next_number: lock(&self.registry).next_number.get(),
            node: self.lease.node(),
            fan_outs: self.handler.fan_outs().into_iter().map(Id).collect(),
        }
    }

    /// What the others are told of these changes. They are woken by what they must act on or show soon; of the rest they
    /// learn with their next commit, or when they renew their lease.
    fn said(&self, changed: &Changed) -> Said {
        if self.membership.alone {
            return Said::default();
        }
        let concerns = |key: &&Key| match key.kind() {
            ValueKind::Owed => !keys::number_in(key).is_some_and(|number| self.membership.owned.has(number)),
            kind => replica::is_in_memory(kind),
        };
        let keys: Vec<Key> = changed.keys().filter(concerns).cloned().collect();
        let tasks = lock(&self.registry).has_tasks();
        let wakes = |key: &Key| match key.kind() {
            ValueKind::Sequence | ValueKind::Health | ValueKind::WithoutWebhook => false,
            // Replays and discards go on when deliveries have ended.
            ValueKind::Counts => tasks,
            _ => true,
        };
        let wake = keys.iter().any(wakes).then(|| self.channel.clone());
        Said { to_others: true, keys, wake }
    }

    pub(super) fn send(&self, requests: Vec<Request>) -> Result<(), Ended> {
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
}

/// An error with its sentence.
pub(super) fn in_words(error: StoreError) -> Failed {
    let refusal = Refusal(error.to_string());
    (error, refusal)
}
