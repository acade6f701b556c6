//! What waits for the committer: writes, attempts that ended, and what it is told.
//!
//! Bounded where strangers fill it: beyond that a write is refused at once, so that its client comes again. Knows
//! nothing of what is done with them.

use std::collections::VecDeque;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::core::attempt::LogEntry;
use crate::core::delivery::Delivery;
use crate::core::event::NewEvent;
use crate::core::id::{AttemptId, ErasureId, SubscriptionId, TokenId};
use crate::core::subscription::{Secret, Subscription};
use crate::core::subscription_input::{Change as Patch, Draft};
use crate::core::token::{Token, TokenDraft, TokenText};

use super::conversations::{PostedMessage, PreparedMessage};
use super::known::KnownDelivery;
use super::record::ErasureRecord;
use super::{Accepted, Busy, Finish, Replay, Reply, Settings, WriteError};

/// How many commands may wait.
const MOST_WAITING: usize = 4096;
/// How many may want to know at once whether the committer turns.
const PULSES_MOST: usize = 8;
/// How many bytes of event data may wait.
const MOST_WAITING_BYTES: usize = 32 << 20;
/// How many commands go into one batch.
const BATCH_COMMANDS: usize = 256;
/// How many bytes of frames end a batch.
const BATCH_BYTES: usize = 1 << 20;

/// A write that somebody waits for.
pub(super) enum Command {
    Accept(Vec<NewEvent>, Reply<Vec<Accepted>>),
    Create(Box<Draft>, Reply<Arc<Subscription>>),
    Change(SubscriptionId, Box<Patch>, Reply<Arc<Subscription>>),
    /// The secret that it is to have; a fresh one if `None`.
    Rotate(SubscriptionId, Option<Secret>, Duration, Reply<Secret>),
    Delete(SubscriptionId, Reply<()>),
    Retry(Box<KnownDelivery>, Reply<Delivery>),
    /// Why, as a sentence.
    Cancel(Box<KnownDelivery>, &'static str, Reply<Delivery>),
    Probe(Box<LogEntry>, Reply<AttemptId>),
    Replay(SubscriptionId, Replay, Reply<()>),
    Discard(SubscriptionId, Reply<u64>),
    Erasure(ErasureId, Box<ErasureRecord>, Reply<()>),
    Message(Box<PreparedMessage>, Reply<PostedMessage>),
    CreateToken(TokenDraft, Reply<(Token, TokenText)>),
    RevokeToken(TokenId, Reply<()>),
}

impl Command {
    /// How many bytes of event data it holds.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Accept(events, _) => events.iter().map(|event| event.data.len()).sum(),
            Self::Message(message, _) => message.weight(),
            _ => 0,
        }
    }

    /// Tells whoever waits that the store has failed.
    pub(super) fn refuse(self) {
        self.refuse_with(&WriteError::Unavailable);
    }

    /// Tells whoever waits that it is not done, and why.
    pub(super) fn refuse_with(self, why: &WriteError) {
        let unavailable = why.clone();
        match self {
            Self::Accept(_, reply) => reply(Err(unavailable)),
            Self::Create(_, reply) | Self::Change(_, _, reply) => reply(Err(unavailable)),
            Self::Rotate(_, _, _, reply) => reply(Err(unavailable)),
            Self::Delete(_, reply) | Self::Replay(_, _, reply) => reply(Err(unavailable)),
            Self::CreateToken(_, reply) => reply(Err(unavailable)),
            Self::RevokeToken(_, reply) => reply(Err(unavailable)),
            Self::Discard(_, reply) => reply(Err(unavailable)),
            Self::Retry(_, reply) | Self::Cancel(_, _, reply) => reply(Err(unavailable)),
            Self::Erasure(_, _, reply) => reply(Err(unavailable)),
            Self::Probe(_, reply) => reply(Err(unavailable)),
            Self::Message(_, reply) => reply(Err(unavailable)),
        }
    }
}

#[derive(Default)]
struct Waiting {
    commands: VecDeque<Command>,
    bytes: usize,
    /// Attempts that ended. At most as many as are under way, which the dispatcher bounds.
    finishes: VecDeque<Finish>,
    closing: bool,
    /// What has become too old is to be ended.
    over: bool,
    /// A new journal file is to be begun.
    rotate: bool,
    /// A checkpoint has failed: the committer is to end.
    broken: bool,
    /// Those who want to know whether the committer turns.
    pulses: Vec<SyncSender<()>>,
    /// What is to hold from now on.
    settings: Option<Settings>,
    failed: bool,
}

impl Waiting {
    fn is_quiet(&self) -> bool {
        let told = self.closing || self.broken || self.over || self.rotate;
        let told = told || !self.pulses.is_empty() || self.settings.is_some();
        self.commands.is_empty() && self.finishes.is_empty() && !told
    }
}

/// What waits for the committer.
#[derive(Default)]
pub(super) struct Inbox {
    waiting: Mutex<Waiting>,
    arrived: Condvar,
}

impl Inbox {
    /// Hands in a command, if there is room.
    pub(super) fn push(&self, command: Command) -> Result<(), Busy> {
        let mut waiting = self.lock();
        let weight = command.weight();
        let full = waiting.commands.len() >= MOST_WAITING || waiting.bytes + weight > MOST_WAITING_BYTES.max(weight);
        if full || waiting.closing || waiting.failed {
            return Err(Busy);
        }
        waiting.bytes += weight;
        waiting.commands.push_back(command);
        drop(waiting);
        self.arrived.notify_one();
        Ok(())
    }

    /// Hands in an attempt that ended. Never refused: it has happened.
    pub(super) fn finish(&self, finish: Finish) {
        self.lock().finishes.push_back(finish);
        self.arrived.notify_one();
    }

    /// Asks the committer to end once nothing waits any more.
    pub(super) fn close(&self) {
        self.lock().closing = true;
        self.arrived.notify_one();
    }

    /// Asks the committer to end what has become too old, and to begin a new journal file if `rotate`.
    pub(super) fn end_what_is_over(&self, rotate: bool) {
        let mut waiting = self.lock();
        waiting.over = true;
        waiting.rotate |= rotate;
        drop(waiting);
        self.arrived.notify_one();
    }

    /// What [`Inbox::end_what_is_over`] asked for: the ending, and the new file.
    pub(super) fn asked(&self) -> (bool, bool) {
        let mut waiting = self.lock();
        (std::mem::take(&mut waiting.over), std::mem::take(&mut waiting.rotate))
    }

    /// Lets `pulse` hear once the committer has made a turn.
    pub(super) fn feel(&self, pulse: SyncSender<()>) {
        let mut waiting = self.lock();
        // One that does not turn gathers no more than a few.
        if waiting.pulses.len() < PULSES_MOST {
            waiting.pulses.push(pulse);
        }
        drop(waiting);
        self.arrived.notify_one();
    }

    pub(super) fn answer_pulses(&self) {
        for pulse in std::mem::take(&mut self.lock().pulses) {
            // Who asked may have gone.
            let _ = pulse.try_send(());
        }
    }

    /// Lets the committer go by these from its next turn on.
    pub(super) fn set(&self, settings: Settings) {
        self.lock().settings = Some(settings);
        self.arrived.notify_one();
    }

    /// What [`Inbox::set`] asked for.
    pub(super) fn settings(&self) -> Option<Settings> {
        self.lock().settings.take()
    }

    /// Wakes the committer, which is to end.
    pub(super) fn break_off(&self) {
        self.lock().broken = true;
        self.arrived.notify_one();
    }

    /// Waits until there is something to do, at most until `until`; takes a batch of it.
    pub(super) fn take(&self, until: Option<Instant>) -> (Vec<Command>, Vec<Finish>, bool) {
        let mut waiting = self.lock();
        while waiting.is_quiet() {
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            waiting = match left {
                Some(Duration::ZERO) => break,
                Some(left) => self.arrived.wait_timeout(waiting, left).unwrap_or_else(PoisonError::into_inner).0,
                None => self.arrived.wait(waiting).unwrap_or_else(PoisonError::into_inner),
            };
        }
        let mut bytes = 0;
        let mut commands = Vec::new();
        while commands.len() < BATCH_COMMANDS && bytes < BATCH_BYTES {
            let Some(command) = waiting.commands.pop_front() else { break };
            bytes += command.weight();
            commands.push(command);
        }
        waiting.bytes = waiting.bytes.saturating_sub(bytes);
        let finishes = waiting.finishes.len().min(4 * BATCH_COMMANDS);
        let finishes = waiting.finishes.drain(..finishes).collect();
        (commands, finishes, waiting.closing)
    }

    /// Tells everybody who waits, or comes later, that the store has failed.
    pub(super) fn fail(&self) {
        let mut waiting = self.lock();
        waiting.failed = true;
        let commands = std::mem::take(&mut waiting.commands);
        drop(waiting);
        commands.into_iter().for_each(Command::refuse);
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
