//! The command handler: decides the commands and attempt results of one group commit, in order.
//!
//! Must not know how anything is stored. What always holds: an answer is returned to be called once the records are
//! durable, and every command is answered, deferred or refused.

use std::sync::{Arc, Mutex};

use crate::core::actor::Actor;
use crate::core::id::IdSource;
use crate::core::time::Timestamp;
use crate::model::audit::Audited;
use crate::model::command::{AttemptResult, Command, Operation, Reply};
use crate::model::error::StoreError;
use crate::model::fan_out::{self, Backlog, Plan};
use crate::model::registry::Registry;
use crate::model::settings::Settings;
use crate::model::turn::{Carried, Context, Outcome, Turn};
use crate::model::view::{Log, View, ViewMut};
use crate::model::{
    accept, attempts, audit, conversations, erase, expiry, maintenance, manual, read_ahead, replay, sessions,
    subscriptions, tokens,
};

/// An answer waiting for its records to be durable; called with why they are not, if so.
pub(crate) type Answer = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

/// The command handler.
pub(crate) struct Handler {
    settings: Settings,
    ids: IdSource,
    registry: Arc<Mutex<Registry>>,
    carried: Carried,
    /// Deferred requests and unfinished fan-outs.
    backlog: Backlog,
    /// Whether this process does the maintenance, which only one of several does.
    leads: bool,
}

impl Handler {
    /// A handler whose ids follow the one with the bits `last_id`, and which continues the fan-outs that are `own`.
    ///
    /// # Errors
    /// The fan-outs cannot be read.
    pub(crate) fn new(
        settings: Settings,
        last_id: u128,
        registry: Arc<Mutex<Registry>>,
        carried: Carried,
        (view, log): (&dyn View, &dyn Log),
        own: impl Fn(u128) -> bool,
    ) -> Result<Self, StoreError> {
        let mut backlog = Backlog::default();
        backlog.adopt(view, log, own)?;
        Ok(Self { settings, ids: IdSource::after(last_id), registry, carried, backlog, leads: true })
    }

    /// Whether this process does the maintenance; it resumes what is in progress.
    #[cfg(feature = "postgres")]
    pub(crate) const fn lead(&mut self, leads: bool) {
        self.carried.has_work |= leads && !self.leads;
        self.leads = leads;
    }

    /// Another process has written to the view, with ids up to the one with the bits `last_id`; `work` says whether
    /// there may be maintenance to do.
    #[cfg(feature = "postgres")]
    pub(crate) const fn follow(&mut self, last_id: u128, work: bool) {
        self.ids.advance(last_id);
        self.carried.has_work |= work;
    }

    /// Takes over these fan-outs, which another process has left unfinished.
    ///
    /// # Errors
    /// They cannot be read.
    #[cfg(feature = "postgres")]
    pub(crate) fn adopt_fan_outs(
        &mut self,
        (view, log): (&dyn View, &dyn Log),
        ids: &[u128],
    ) -> Result<(), StoreError> {
        self.backlog.adopt(view, log, |id| ids.contains(&id))
    }

    /// The ids of the fan-outs that this process carries out.
    #[cfg(feature = "postgres")]
    pub(crate) fn fan_outs(&self) -> Vec<u128> {
        self.backlog.ids()
    }

    /// Replaces the limits and periods.
    pub(crate) const fn set(&mut self, settings: Settings) {
        self.settings = settings;
    }

    /// The current limits and periods.
    pub(crate) const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The bits of the last generated id.
    pub(crate) const fn last_id(&self) -> u128 {
        self.ids.last()
    }

    /// Whether there is work to do without new commands.
    pub(crate) fn is_due(&self, view: &dyn ViewMut) -> bool {
        (self.leads && self.carried.has_work) || self.backlog.is_due(view)
    }

    /// Whether no request is deferred and no fan-out unfinished.
    pub(crate) fn has_no_backlog(&self) -> bool {
        self.backlog.is_empty()
    }

    /// Schedules a snapshot: a new segment has begun, and all subscriptions and tokens are to be written at its
    /// beginning.
    pub(crate) const fn begin_snapshot(&mut self) {
        maintenance::begin_snapshot(&mut self.carried);
    }

    /// Whether a snapshot is being written.
    pub(crate) const fn is_writing_snapshot(&self) -> bool {
        self.carried.progress.subscriptions.is_some() || self.carried.progress.tokens.is_some()
    }

    /// Schedules the ending of deliveries whose events have expired.
    pub(crate) fn end_expired(&mut self) {
        maintenance::begin_expiring(&mut self.carried);
    }

    /// Stores the answer to a read request.
    pub(crate) fn insert(&mut self, read: read_ahead::Answer) {
        self.carried.ahead.insert(read);
        self.carried.has_work = true;
    }

    /// Evicts threads from the cache. Only while everything is durable.
    pub(crate) fn evict_threads(&self) {
        conversations::evict(&self.carried.threads);
    }

    /// Decides these results and commands, and does some of the maintenance due between group commits. Returns what to
    /// do once the records are durable; `answers` receives the answers, also on error.
    ///
    /// # Errors
    /// The view cannot be read, and nothing of this group commit may be acknowledged. Commands not yet decided are
    /// refused.
    pub(crate) fn decide(
        &mut self,
        commands: Vec<Command>,
        results: Vec<AttemptResult>,
        context: Context<'_>,
        answers: &mut Vec<Answer>,
    ) -> Result<Outcome, StoreError> {
        let Self { settings, ids, registry, carried, backlog, leads } = self;
        let mut turn = Turn::begin(context, registry, *settings, carried, ids);
        for result in results {
            attempts::finish(&mut turn, result)?;
        }
        let deferred = backlog.begin(turn.view);
        for command in deferred.into_iter().chain(commands) {
            let Some((command, claim)) = backlog.admit(command, turn.registry) else { continue };
            let before = turn.outcome.deliveries;
            decide_one(&mut turn, backlog, command, answers);
            backlog.note(claim, turn.outcome.deliveries - before);
        }
        step_fan_outs(&mut turn, backlog, answers)?;
        tokens::persist_uses(&mut turn);
        if *leads && turn.carried.has_work {
            maintenance::run_some(&mut turn)?;
        }
        Ok(turn.outcome)
    }

    /// Expires some values, if due: between two checkpoints, or when many are new. `durable` are the bits of the last
    /// id for which the view is durable.
    ///
    /// # Errors
    /// The view cannot be read.
    pub(crate) fn expire(
        &mut self,
        view: &dyn ViewMut,
        checkpoint: bool,
        durable: u128,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        // Each process makes room for what it adds; one does it also when nothing is added.
        let checkpoint = checkpoint && self.leads;
        expiry::expire(&mut self.carried.expiry, view, &self.settings, checkpoint, durable, now)
    }

    /// Fails everything that waits, as it may be stored in part.
    pub(crate) fn refuse(&mut self, why: &StoreError) {
        self.backlog.refuse(why);
    }
}

/// Queues an answer until its records are durable.
fn push_answer<T: Send + 'static>(answers: &mut Vec<Answer>, decided: Result<T, StoreError>, reply: Reply<T>) {
    answers.push(Box::new(move |written| reply(written.and(decided))));
}

/// Decides one command; an error becomes its answer.
fn decide_one(turn: &mut Turn<'_>, backlog: &mut Backlog, command: Command, answers: &mut Vec<Answer>) {
    match command {
        Command::Accept(events, reply) => match fan_out::plan(turn, &events) {
            Plan::AtOnce => push_answer(answers, accept::accept(turn, events), reply),
            Plan::InSteps => backlog.push(fan_out::begin(turn, events, reply)),
            Plan::Refused(invalid) => reply(Err(StoreError::Invalid(invalid))),
        },
        Command::Message(message, reply) => push_answer(answers, conversations::post(turn, *message), reply),
        Command::By(actor, operation) => decide_operation(turn, &actor, operation, answers),
        Command::TouchSession(id, reply) => {
            sessions::touch(turn, id);
            push_answer(answers, Ok(()), reply);
        }
        Command::CancelErased(known, why, reply) => push_answer(answers, manual::cancel(turn, *known, why), reply),
        Command::ErasureProgress(id, record, reply) => push_answer(answers, erase::progress(turn, id, *record), reply),
    }
}

/// As [`push_answer`]; an answer without an entry of the audit does not fit.
fn push_audited<T: Send + 'static>(
    answers: &mut Vec<Answer>,
    decided: Result<Audited<T>, StoreError>,
    reply: Reply<T>,
) {
    push_answer(answers, decided.map(Audited::answer), reply);
}

/// Decides what `actor` answers for.
fn decide_operation(turn: &mut Turn<'_>, actor: &Actor, operation: Operation, answers: &mut Vec<Answer>) {
    use Operation as O;
    match operation {
        O::Create(draft, reply) => push_audited(answers, subscriptions::create(turn, actor, *draft), reply),
        O::Change(id, patch, reply) => push_audited(answers, subscriptions::change(turn, actor, id, &patch), reply),
        O::Copy(id, domains, reply) => push_audited(answers, subscriptions::copy(turn, actor, id, domains), reply),
        O::Rotate(id, given, overlap, reply) => {
            push_audited(answers, subscriptions::rotate(turn, actor, id, given, overlap), reply);
        }
        O::Delete(id, reply) => push_audited(answers, subscriptions::delete(turn, actor, id), reply),
        O::Retry(known, reply) => push_audited(answers, manual::retry(turn, actor, *known), reply),
        O::Cancel(known, why, reply) => push_audited(answers, manual::cancel_by(turn, actor, *known, why), reply),
        O::Erasure(id, record, reply) => push_audited(answers, erase::begin(turn, actor, id, *record), reply),
        O::Replay(id, replay, reply) => push_audited(answers, replay::replay(turn, actor, id, &replay), reply),
        O::Discard(id, reply) => push_audited(answers, replay::discard(turn, actor, id), reply),
        O::Probe(entry, reply) => push_audited(answers, Ok(attempts::record_probe(turn, actor, *entry)), reply),
        O::CreateToken(draft, reply) => push_audited(answers, tokens::create(turn, actor, draft), reply),
        O::RevokeToken(id, reply) => push_audited(answers, tokens::revoke(turn, actor, id), reply),
        O::OpenSession(token, company, lifetime, reply) => {
            push_audited(answers, Ok(sessions::open(turn, actor, token, company, lifetime)), reply);
        }
        O::OpenMemberSession(entry, lifetime, reply) => {
            push_audited(answers, sessions::open_for_member(turn, actor, *entry, lifetime), reply);
        }
        O::EndSession(id, reply) => push_audited(answers, sessions::end(turn, actor, id), reply),
        O::CreatePortalLink(draft, token, reply) => {
            push_audited(answers, sessions::create_link(turn, actor, *draft, token), reply);
        }
        O::UsePortalLink(text, lifetime, reply) => {
            push_audited(answers, Ok(sessions::use_link(turn, actor, &text, lifetime)), reply);
        }
        O::RevokePortalLink(id, reply) => push_audited(answers, sessions::revoke_link(turn, actor, id), reply),
        O::Note(deed, reply) => push_audited(answers, Ok(audit::note(turn, actor, *deed)), reply),
    }
}

/// Runs a step of each fan-out whose turn it is.
fn step_fan_outs(turn: &mut Turn<'_>, backlog: &mut Backlog, answers: &mut Vec<Answer>) -> Result<(), StoreError> {
    while let Some(mut fan_out) = backlog.next() {
        let before = turn.outcome.deliveries;
        let more = fan_out::step(turn, &mut fan_out)?;
        backlog.note(Vec::new(), turn.outcome.deliveries - before);
        if more {
            backlog.put_back(fan_out);
        } else if let Some((reply, accepted)) = fan_out.answer() {
            push_answer(answers, Ok(accepted), reply);
        }
    }
    backlog.end();
    Ok(())
}
