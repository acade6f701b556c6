//! What the writer does when the server is away, and when it is back.
//!
//! A commit whose outcome is unknown, because the connection was lost, is answered as unavailable. The writer then
//! connects again, and learns from the number of this daemon's last commit whether it was made: if so, what it decided goes
//! to the dispatcher; if not, everything in memory is read anew, and the attempts that had ended are recorded again. While
//! the server is away new commands are refused, and the process lives on.

use std::time::{Duration, Instant};

use crate::core::id::SubscriptionNumber;
use crate::core::time::Moment;
use crate::engine::postgres::commit::{self, Position};
use crate::engine::postgres::connect::Refusal;
use crate::engine::postgres::connection::Connection;
use crate::engine::postgres::writer::{AGAIN_MOST, Ended, Failed, Unknown, Writer, in_words};
use crate::engine::postgres::{members, registry, retention, schema};
use crate::model::command::AttemptResult;
use crate::model::error::{Outage, StoreError};
use crate::model::lock::lock;
use crate::model::record::Format;

/// How long to wait before connecting again, at first.
const AGAIN_FIRST: Duration = Duration::from_millis(100);

/// Sets how the writer's statements are planned: they find few rows by their keys, whatever the server's statistics say.
/// A daemon that is stopped within a transaction loses its connection soon: the others wait for it.
const WRITERS: &str = "SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_seqscan = off; SET plan_cache_mode \
                       = force_generic_plan; SET idle_in_transaction_session_timeout = '5s'; SET lock_timeout = '20s'";

/// Makes a connection the writer's.
///
/// # Errors
/// The server's, or that of the connection.
pub(super) fn prepare(connection: &mut Connection) -> Result<(), postgres::Error> {
    connection.client().batch_execute(WRITERS)
}

impl Writer {
    /// The server is away, or refuses: what was decided is kept until it is known whether it was committed.
    pub(super) fn lose(&mut self, results: Vec<AttemptResult>, unknown: Option<Unknown>, why: &str) {
        tracing::error!("{why}; nothing is accepted until PostgreSQL answers again, and what is owed stays");
        self.changes.set_connection(None);
        self.engine.set_away(Some(why.to_owned()));
        self.handler.refuse(&StoreError::Unavailable(Outage::Unknown));
        let later = std::mem::replace(&mut self.state.results, results);
        self.state.results.extend(later);
        self.state.oldest_result = (!self.state.results.is_empty()).then(Instant::now);
        self.state.unknown = unknown;
        self.state.away = Some((Instant::now(), AGAIN_FIRST));
        // Whoever answers next may have other standbys.
        (self.state.alive, self.state.lacking) = (None, false);
    }

    /// Begins a transaction. A server that was restarted while nothing was committed has ended the connection, which is
    /// made again, once: nothing depended on it, and nobody needs to be refused. Where standbys are wanted, they are looked for
    /// first, as after each outage.
    pub(super) fn begin_again_if_lost(&mut self) -> Result<(), Failed> {
        let begun = self.begin_as_member();
        let lost = matches!(begun, Err((StoreError::Unavailable(Outage::Away), _)));
        if !lost || self.replicas > 0 || !self.handler.has_no_backlog() {
            return begun;
        }
        self.changes.set_connection(None);
        self.reconnect().map_err(|refusal| (StoreError::Unavailable(Outage::Away), refusal))?;
        tracing::info!("the connection to PostgreSQL was lost, and is made again");
        self.begin_as_member()
    }

    /// Connects again, if it is time; returns whether the server is there.
    pub(super) fn reconnect_if_due(&mut self) -> Result<bool, Ended> {
        let Some((again, wait)) = self.state.away else { return Ok(true) };
        if Instant::now() < again {
            return Ok(false);
        }
        match self.reconnect() {
            Ok(unknown) => {
                self.state.away = None;
                self.engine.set_away(None);
                tracing::info!("PostgreSQL answers again");
                if let Some(unknown) = unknown {
                    (self.listeners.events)(unknown.decided_at, unknown.events);
                    self.send(unknown.requests)?;
                }
                Ok(true)
            }
            Err(refusal) => {
                self.changes.set_connection(None);
                self.engine.set_away(Some(refusal.0));
                self.state.away = Some((Instant::now() + wait, (wait * 2).min(AGAIN_MOST)));
                Ok(false)
            }
        }
    }

    /// Connects again. Returns the commit whose outcome was not known, if it was made.
    fn reconnect(&mut self) -> Result<Option<Unknown>, Refusal> {
        let mut connection = Connection::open(&self.connector)?;
        prepare(&mut connection)?;
        let me = self.lease.node();
        // A commit whose connection was lost may still be under way: this waits for it.
        let position = commit::lock(&mut connection)?;
        self.check_version(position).map_err(|(_, refusal)| refusal)?;
        let (last, fan_outs) = members::position(&mut connection, me)?;
        self.changes.set_connection(Some(connection));
        let unread = |(_, refusal): Failed| Refusal(format!("the tables cannot be read: {refusal}"));
        let made = self.state.unknown.as_ref().is_some_and(|unknown| unknown.batch == last);
        if made {
            // Memory is as of that commit.
            self.changes.committed();
            let last_id = self.handler.last_id();
            self.batch = last;
            self.engine.set_durable(last_id);
            self.begin_anew(last_id, &fan_outs).map_err(unread)?;
        } else {
            let since = self.batch;
            self.load_as_of(position, &fan_outs).map_err(unread)?;
            // The lanes know nothing of what was not committed, and must hear of what others have.
            (self.batch, self.state.news) = (since, true);
        }
        // Nothing is answered or sent of what a server that crashed meanwhile may have on its own disk alone. If this fails, too,
        // all of it is done again. Without the standbys it would not end, and nothing is accepted.
        if self.has_replicas().map_err(unread)? {
            self.changes.on_connection(Connection::commit_nothing).map_err(unread)?;
            self.confirmed = position.batch;
        } else {
            self.changes.on_connection(commit::unlock).map_err(unread)?;
        }
        let unknown = self.state.unknown.take();
        let made = unknown.filter(|_| made);
        if let Some(unknown) = &made {
            // These attempts are recorded; others have ended since.
            self.state.results.drain(..unknown.results.min(self.state.results.len()));
        }
        // Whoever was away may have been given up by the others.
        self.membership.changed = true;
        Ok(made)
    }

    /// Takes over what all daemons can read, which this one must be able to, too.
    pub(super) fn check_version(&mut self, found: Position) -> Result<(), Failed> {
        self.handler.may_write(Format::new(found.needs));
        self.state.outdated = found.needs > schema::VERSION;
        if !self.state.outdated {
            return Ok(());
        }
        let why = schema::newer(self.connector.schema(), found.needs);
        Err((StoreError::Unavailable(Outage::Ended), Refusal(why)))
    }

    /// Reads everything in memory anew: too much has been committed since to follow. What the lanes have may be outdated.
    pub(super) fn load_anew(&mut self, position: Position) -> Result<(), Failed> {
        let fan_outs = self.handler.fan_outs();
        self.handler.refuse(&StoreError::Unavailable(Outage::Unknown));
        self.load_as_of(position, &fan_outs)?;
        self.membership.changed = true;
        let events = self.drop_and_take_lanes();
        (self.listeners.events)(Moment { wall: self.now(), at: Instant::now() }, events);
        Ok(())
    }

    /// Reads everything in memory anew: a commit that changed it was not made.
    fn load_as_of(&mut self, position: Position, fan_outs: &[u128]) -> Result<(), Failed> {
        self.changes.forget();
        lock(&self.threads).clear();
        let next = SubscriptionNumber::new(position.next_number);
        registry::load(&self.changes, &self.registry, next).map_err(in_words)?;
        retention::redact_anew(&self.engine, self.now()).map_err(in_words)?;
        self.is_as_of(position);
        self.begin_anew(position.last_id, fan_outs)
    }

    /// A handler that continues what is committed: the one before refused what waited when the server went away.
    fn begin_anew(&mut self, last_id: u128, fan_outs: &[u128]) -> Result<(), Failed> {
        let last_id = last_id.max(self.handler.last_id());
        let handler = (self.make_handler)(*self.handler.settings(), last_id, fan_outs).map_err(in_words)?;
        self.handler = handler;
        self.handler.lead(self.membership.leads());
        Ok(())
    }
}
