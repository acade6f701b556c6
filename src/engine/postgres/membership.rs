//! The writer's part in who owns which shards: joining, taking and giving up shards, leaving.
//!
//! What always holds: the dispatcher sends for a shard only after the commit that made it this daemon's, and a shard is
//! given up only after the dispatcher has said that nothing of it is in flight.

use std::time::Instant;

use crate::core::shards::{SHARDS, ShardSet};
use crate::core::time::Moment;
use crate::engine::postgres::cluster::channel;
use crate::engine::postgres::commit::{self, Marks, Position};
use crate::engine::postgres::connection::Connection;
use crate::engine::postgres::id::Id;
use crate::engine::postgres::lease::Lease;
use crate::engine::postgres::members::{self, About};
use crate::engine::postgres::ownership::{self, Membership};
use crate::engine::postgres::writer::{Failed, Writer, in_words};
use crate::model::error::{Outage, StoreError};
use crate::model::notice::StoreEvent;
use crate::model::turn::fresh_bits;

impl Writer {
    /// Takes shards that nobody owns, gives up those that the dispatcher has released, and begins to give up those that
    /// others are to have.
    pub(super) fn settle_shards(&mut self) {
        if let Err((_, refusal)) = self.try_settle_shards() {
            self.membership.changed = true;
            self.lose(Vec::new(), None, &refusal.0);
        }
    }

    pub(super) fn try_settle_shards(&mut self) -> Result<(), Failed> {
        self.begin()?;
        self.membership.changed = false;
        let seen = self.changes.on_connection(members::read)?;
        let me = self.lease.node();
        if !seen.has(me) {
            return self.join_again();
        }
        let step = seen.step(me, self.membership.leaving, self.lease.is_settled(Instant::now()));
        let released = self.membership.released.common(&self.membership.leaving);
        if step.dead.is_empty() && step.claim.is_empty() && released.is_empty() {
            self.changes.on_connection(commit::unlock)?;
        } else {
            self.change_members(|connection| {
                members::release(connection, me, &released)?;
                members::apply(connection, me, &step)
            })?;
        }
        for dead in &step.dead {
            tracing::warn!("the daemon {:032x} is gone: its shards are taken over", dead.0);
        }
        let membership = &mut self.membership;
        membership.alone = seen.members.len() == step.dead.len() + 1;
        // As the tables say: of a commit whose connection was lost, this daemon may not know that it was made.
        let owned = ownership::owned_by(&seen.owners, me).without(&released).with(&step.claim);
        let before = std::mem::replace(&mut membership.owned, owned).without(&membership.leaving);
        membership.leaving = membership.leaving.without(&released).with(&step.give_up).common(&owned);
        membership.released = ShardSet::NONE;
        let sends = owned.without(&membership.leaving);
        let changed = sends != before;
        self.handler.lead(self.membership.leads());
        if changed {
            let (sends, daemons) = (sends.len(), seen.members.len() - step.dead.len());
            tracing::info!("this daemon sends for {sends} of {SHARDS} shards; daemons: {daemons}");
            self.announce(vec![self.own()]);
        }
        Ok(())
    }

    /// Others have taken over: this daemon has been silent for too long. It goes on as a new one, which owns nothing yet.
    fn join_again(&mut self) -> Result<(), Failed> {
        tracing::warn!("other daemons have taken over from this one, which was silent for too long: it joins again");
        let (node, at, about) = (Id(fresh_bits(self.now())), Instant::now(), self.about.clone());
        // They have taken over the fan-outs, too.
        self.handler.refuse(&StoreError::Unavailable(Outage::Unknown));
        self.membership = Membership { changed: true, ..Membership::default() };
        self.handler.lead(false);
        self.announce(vec![self.own()]);
        self.lease.take(node, at);
        self.change_members(|connection| members::join(connection, node, &about))
    }

    /// The dispatcher has nothing of these shards in flight any more.
    pub(super) fn note_released(&mut self, shards: &ShardSet) {
        self.membership.released = self.membership.released.with(shards);
        self.membership.changed = true;
    }

    /// Leaves the others, who take over at once.
    pub(super) fn leave(&mut self) {
        let (me, channel) = (self.lease.node(), self.channel.clone());
        let left = self.begin().and_then(|()| {
            let marks = self.marks();
            self.changes.on_connection(|connection| {
                members::leave(connection, me)?;
                commit::commit_members(connection, &marks, &channel)
            })
        });
        if let Err((_, refusal)) = left {
            tracing::warn!("the other daemons take over only once the lease of this one is over: {refusal}");
        }
    }

    /// Commits a change of the daemons or their shards, and takes over what daemons that are gone left unfinished.
    fn change_members(
        &mut self,
        change: impl FnOnce(&mut Connection) -> Result<(), postgres::Error>,
    ) -> Result<(), Failed> {
        self.changes.on_connection(change)?;
        let unfinished = self.changes.on_connection(members::take_unfinished)?;
        if !unfinished.is_empty() {
            let adopted = self.handler.adopt_fan_outs((&*self.changes, &*self.engine.records), &unfinished);
            adopted.map_err(in_words)?;
        }
        let marks = self.marks();
        self.changes.on_connection(|connection| commit::commit_members(connection, &marks, &self.channel))?;
        (self.batch, self.confirmed) = (marks.batch, marks.batch);
        Ok(())
    }

    /// What this daemon sends for now.
    fn own(&self) -> StoreEvent {
        StoreEvent::Owned(self.engine.own(self.membership.owned.without(&self.membership.leaving)))
    }

    /// Makes the lanes forget everything and read it anew.
    pub(super) fn drop_and_take_lanes(&self) -> Vec<StoreEvent> {
        vec![StoreEvent::Owned(self.engine.own(ShardSet::NONE)), self.own()]
    }

    fn announce(&self, events: Vec<StoreEvent>) {
        (self.listeners.events)(Moment { wall: self.now(), at: Instant::now() }, events);
    }
}

/// What a daemon finds that joins.
pub(super) struct Joined {
    /// How far the tables were before.
    pub(super) position: Position,
    /// The shards that it takes.
    pub(super) owned: ShardSet,
    /// The fan-outs that it takes over.
    pub(super) fan_outs: Vec<u128>,
}

/// Joins the daemons of a schema, in a transaction that [`commit_join`] ends: what is read meanwhile is as of it.
///
/// # Errors
/// The server's, or that of the connection.
pub(super) fn join(connection: &mut Connection, lease: &Lease, about: &About) -> Result<Joined, postgres::Error> {
    let (me, asked) = (lease.node(), Instant::now());
    let position = commit::lock(connection)?;
    members::join(connection, me, about)?;
    lease.renew(me, asked);
    let seen = members::read(connection)?;
    let step = seen.step(me, ShardSet::NONE, false);
    members::apply(connection, me, &step)?;
    let fan_outs = members::take_unfinished(connection)?;
    Ok(Joined { position, owned: step.claim, fan_outs })
}

/// Commits what [`join`] has begun.
///
/// # Errors
/// The server's, or that of the connection.
pub(super) fn commit_join(
    connection: &mut Connection,
    lease: &Lease,
    joined: &Joined,
    schema: &str,
) -> Result<(), postgres::Error> {
    let Position { batch, last_id, next_number, .. } = joined.position;
    let fan_outs = joined.fan_outs.iter().copied().map(Id).collect();
    let marks = Marks { batch: batch + 1, last_id, next_number, node: lease.node(), fan_outs };
    commit::commit_members(connection, &marks, &channel(schema))
}
