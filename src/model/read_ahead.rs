//! What maintenance needs of the log, read by another thread ahead of its turn, so that the writer reads nothing of the log.
//!
//! A turn that finds something missing asks for it and leaves that piece of work; the answer comes as an input of a later
//! turn. What was read does not change, but for what an erasure takes out of it, and that is taken out again when it is
//! written ([`Redactions`](crate::model::redactions::Redactions)).

use std::collections::{HashMap, HashSet, VecDeque};
use std::ops::ControlFlow;

use crate::core::delivery::Delivery;
use crate::core::id::EventId;
use crate::model::accepted_delivery::AcceptedDelivery;
use crate::model::known::KnownEvent;
use crate::model::progress::ReplayRecord;
use crate::model::query;
use crate::model::record::Head;
use crate::model::term::Term;
use crate::model::view::Log;

/// How many events a replay looks at in one go.
const LOOKED_AT_ONCE: usize = 64;

/// What is to be read.
#[derive(Debug)]
pub(crate) enum Request {
    /// What these events say of themselves in the log of attempts.
    Events(Vec<EventId>),
    /// The next candidates of a replay.
    Replay(ReplayRecord),
}

/// What was read.
#[derive(Debug)]
pub(crate) enum Answer {
    /// `None` for an event that is not kept, or cannot be read.
    Events(Vec<(EventId, Option<KnownEvent>)>),
    /// Of the replay of a subscription's number with this id.
    Replay((u32, u128), Candidates),
}

/// The next deliveries of a replay, as they were when their events were accepted.
#[derive(Debug)]
pub(crate) struct Candidates {
    /// Those of the wanted event types, in order.
    pub(crate) deliveries: VecDeque<Delivery>,
    /// The sequence number that is looked at after them.
    pub(crate) next: u64,
}

/// What was read and has not been used, and what was asked for.
#[derive(Debug, Default)]
pub(crate) struct ReadAhead {
    events: HashMap<EventId, Option<KnownEvent>>,
    /// Whether events were asked for: one request at a time.
    asked_events: bool,
    replays: HashMap<(u32, u128), Candidates>,
    asked_replays: HashSet<(u32, u128)>,
}

impl ReadAhead {
    /// Takes in what was read.
    pub(crate) fn insert(&mut self, answer: Answer) {
        match answer {
            Answer::Events(events) => {
                self.asked_events = false;
                self.events.extend(events);
            }
            Answer::Replay(key, candidates) => {
                self.asked_replays.remove(&key);
                self.replays.insert(key, candidates);
            }
        }
    }

    /// Whether all of these events were read; if not, the request that reads the rest, unless one is under way.
    pub(crate) fn has_events(&mut self, wanted: impl Iterator<Item = EventId>) -> Result<(), Option<Request>> {
        let missing: Vec<EventId> = wanted.filter(|id| !self.events.contains_key(id)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let asked = std::mem::replace(&mut self.asked_events, true);
        Err((!asked).then_some(Request::Events(missing)))
    }

    /// What was read of an event; it is forgotten here.
    pub(crate) fn take_event(&mut self, id: EventId) -> Option<KnownEvent> {
        self.events.remove(&id).flatten()
    }

    /// Forgets events that were read and turned out not to be needed, once no work waits for them.
    pub(crate) fn forget_events(&mut self) {
        if !self.asked_events {
            self.events.clear();
        }
    }

    /// The next candidates of a replay; if none were read, the request that reads them, unless one is under way.
    pub(crate) fn candidates(&mut self, replay: &ReplayRecord) -> Result<&mut Candidates, Option<Request>> {
        let key = (replay.number, replay.id);
        if !self.replays.contains_key(&key) {
            return Err(self.asked_replays.insert(key).then(|| Request::Replay(replay.clone())));
        }
        self.replays.get_mut(&key).ok_or(None)
    }

    /// The candidates of a replay were used up.
    pub(crate) fn forget_candidates(&mut self, replay: &ReplayRecord) {
        self.replays.remove(&(replay.number, replay.id));
    }

    /// Forgets what was read for replays that are over.
    pub(crate) fn keep_replays(&mut self, replays: &[ReplayRecord]) {
        if !self.replays.is_empty() {
            self.replays.retain(|key, _| replays.iter().any(|replay| (replay.number, replay.id) == *key));
        }
    }
}

/// Reads what was asked for.
pub(crate) fn read(log: &dyn Log, request: Request) -> Answer {
    match request {
        Request::Events(ids) => {
            let read = |id| (id, query::event(log, id).ok().flatten().map(KnownEvent::from));
            Answer::Events(ids.into_iter().map(read).collect())
        }
        Request::Replay(replay) => Answer::Replay((replay.number, replay.id), candidates(log, &replay)),
    }
}

fn candidates(log: &dyn Log, replay: &ReplayRecord) -> Candidates {
    let (number, first, last) = (replay.number, replay.next, replay.last);
    let (mut looked_at, mut found) = (0, Candidates { deliveries: VecDeque::new(), next: last + 1 });
    let passed = |head: Head, payload: &[u8]| {
        AcceptedDelivery::read(number, head, payload).map(|accepted| accepted.sequence() < first)
    };
    let walked = log.ascending(Term::Owed(number), &passed, &mut |head, payload| {
        let Some(accepted) = AcceptedDelivery::read(number, head, payload) else {
            return Ok(ControlFlow::Continue(()));
        };
        let sequence = accepted.sequence();
        if sequence > last {
            return Ok(ControlFlow::Break(()));
        }
        if looked_at == LOOKED_AT_ONCE {
            found.next = sequence;
            return Ok(ControlFlow::Break(()));
        }
        looked_at += 1;
        if accepted.is_of(replay.events.iter().map(String::as_str)) {
            found.deliveries.extend(accepted.initial());
        }
        Ok(ControlFlow::Continue(()))
    });
    if let Err(damage) = walked {
        // What cannot be read is not sent; the rest of the queue goes on.
        tracing::error!("a replay ends early: {damage}");
    }
    found
}
