//! Log data for maintenance, read ahead on another thread, so that the writer does not read the log.
//!
//! A turn that misses data requests it and skips that piece of work; the answer arrives as an input of a later turn.
//! The data does not change in between, except by an erasure, and redaction is applied again when it is written
//! ([`Redactions`](crate::model::redactions::Redactions)).

use std::collections::{HashMap, HashSet, VecDeque};
use std::ops::ControlFlow;

use crate::core::delivery::Delivery;
use crate::core::id::{EventId, SubscriptionNumber};
use crate::model::accepted_delivery::AcceptedDelivery;
use crate::model::known::KnownEvent;
use crate::model::progress::ReplayRecord;
use crate::model::query;
use crate::model::record::Head;
use crate::model::term::Term;
use crate::model::view::Log;

/// How many events are examined per request of a replay.
const EXAMINED_AT_ONCE: usize = 64;

/// A read request.
#[derive(Debug)]
pub(crate) enum Request {
    /// The data of these events that log entries contain.
    Events(Vec<EventId>),
    /// The next candidates of a replay.
    Replay(ReplayRecord),
}

/// The answer to a request.
#[derive(Debug)]
pub(crate) enum Answer {
    /// `None` for an event that is no longer retained or unreadable.
    Events(Vec<(EventId, Option<KnownEvent>)>),
    /// For the replay with this subscription number and id.
    Replay((SubscriptionNumber, u128), Candidates),
}

/// The next deliveries of a replay, as they were at acceptance.
#[derive(Debug)]
pub(crate) struct Candidates {
    /// The deliveries of the requested event types, in order.
    pub(crate) deliveries: VecDeque<Delivery>,
    /// The next sequence number to examine.
    pub(crate) next: u64,
}

/// Unused answers, and requests in progress.
#[derive(Debug, Default)]
pub(crate) struct ReadAhead {
    events: HashMap<EventId, Option<KnownEvent>>,
    /// Whether a request for events is in progress; there is at most one.
    events_requested: bool,
    replays: HashMap<(SubscriptionNumber, u128), Candidates>,
    replays_requested: HashSet<(SubscriptionNumber, u128)>,
}

impl ReadAhead {
    /// Stores an answer.
    pub(crate) fn insert(&mut self, answer: Answer) {
        match answer {
            Answer::Events(events) => {
                self.events_requested = false;
                self.events.extend(events);
            }
            Answer::Replay(key, candidates) => {
                self.replays_requested.remove(&key);
                self.replays.insert(key, candidates);
            }
        }
    }

    /// Whether all of these events are available; otherwise the request that reads the rest, unless one is in progress.
    pub(crate) fn require_events(&mut self, wanted: impl Iterator<Item = EventId>) -> Result<(), Option<Request>> {
        let missing: Vec<EventId> = wanted.filter(|id| !self.events.contains_key(id)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let requested = std::mem::replace(&mut self.events_requested, true);
        Err((!requested).then_some(Request::Events(missing)))
    }

    /// Removes and returns the data of an event.
    pub(crate) fn take_event(&mut self, id: EventId) -> Option<KnownEvent> {
        self.events.remove(&id).flatten()
    }

    /// Drops unused events, unless a request is in progress.
    pub(crate) fn drop_events(&mut self) {
        if !self.events_requested {
            self.events.clear();
        }
    }

    /// The next candidates of a replay; if none are available, the request that reads them, unless one is in progress.
    pub(crate) fn candidates(&mut self, replay: &ReplayRecord) -> Result<&mut Candidates, Option<Request>> {
        let key = (replay.number, replay.id);
        if !self.replays.contains_key(&key) {
            return Err(self.replays_requested.insert(key).then(|| Request::Replay(replay.clone())));
        }
        self.replays.get_mut(&key).ok_or(None)
    }

    /// Drops the used candidates of a replay.
    pub(crate) fn drop_candidates(&mut self, replay: &ReplayRecord) {
        self.replays.remove(&(replay.number, replay.id));
    }

    /// Drops the candidates of replays that have ended.
    pub(crate) fn retain_replays(&mut self, replays: &[ReplayRecord]) {
        if !self.replays.is_empty() {
            self.replays.retain(|key, _| replays.iter().any(|replay| (replay.number, replay.id) == *key));
        }
    }
}

/// Executes a request.
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
    let (mut examined, mut found) = (0, Candidates { deliveries: VecDeque::new(), next: last + 1 });
    let passed = |head: Head, payload: &[u8]| {
        AcceptedDelivery::read(number, head, payload).map(|accepted| accepted.sequence() < first)
    };
    let result = log.ascending(Term::Owed(number), &passed, &mut |head, payload| {
        let Some(accepted) = AcceptedDelivery::read(number, head, payload) else {
            return Ok(ControlFlow::Continue(()));
        };
        let sequence = accepted.sequence();
        if sequence > last {
            return Ok(ControlFlow::Break(()));
        }
        if examined == EXAMINED_AT_ONCE {
            found.next = sequence;
            return Ok(ControlFlow::Break(()));
        }
        examined += 1;
        if accepted.is_of(replay.events.iter().map(String::as_str)) {
            found.deliveries.extend(accepted.initial());
        }
        Ok(ControlFlow::Continue(()))
    });
    if let Err(damage) = result {
        // What was requested before is readable or was refused then ([`replay::plan`](crate::model::replay::plan)); so this
        // is new damage. The rest of the queue is not affected.
        let reached = found.deliveries.back().map_or(first, |delivery| delivery.id.sequence() + 1);
        tracing::error!(
            "a replay ends early: of sequence numbers up to {last}, those from {reached} on are not sent again: \
             {damage}; `hookswitch verify` names all damage"
        );
    }
    found
}
