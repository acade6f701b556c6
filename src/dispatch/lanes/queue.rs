//! The in-memory part of one subscription's deliveries: a window, with its lanes, and the circuit breaker and
//! concurrency limit of its receiver.
//!
//! The window: every outstanding delivery with a sequence number up to [`Queue::cursor`] is in memory; those above,
//! up to [`Queue::tail`], are read from the store when there is room. None above the cursor is started, so the order
//! of a call holds even when its later deliveries are not in memory. The cursor moves back when a delivery below it
//! becomes outstanding again and there is no room; what is in memory above it then waits until the cursor has passed
//! it.

mod attempts;
mod window;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use crate::core::delivery::Delivery;
use crate::core::time::Timestamp;

use super::super::rate::Bucket;
use super::circuit_breaker::{CircuitBreaker, ProbePauses};
use super::concurrency_limit::{ConcurrencyLimit, Proof};
use super::fair_share::Class;
use super::in_flight::InFlight;
use super::lane::{Item, Lane, LaneKey, Next, Place, is_forgiven};
use super::tally::Counted;
use super::unrecorded::Unrecorded;
use super::values::{Bounds, Condition, Past, Standing, Terms};

#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub(super) struct Queue {
    terms: Terms,
    bounds: Bounds,
    lanes: HashMap<LaneKey, Lane>,
    /// The lane of each delivery in memory, by sequence number.
    by_sequence: HashMap<u64, LaneKey>,
    /// The lanes that can start a delivery, by the sequence number of their next; the lowest goes first.
    ready: BTreeMap<u64, LaneKey>,
    in_flight: InFlight,
    bucket: Bucket,
    breaker: CircuitBreaker,
    concurrency: ConcurrencyLimit,
    /// All outstanding deliveries up to here are in memory.
    cursor: u64,
    /// There are no outstanding deliveries above this.
    tail: u64,
    /// Number of deliveries in memory in flowing lanes.
    flowing: usize,
    unrecorded: Unrecorded,
    /// Deliveries that failed since the last success: due at once when the receiver recovers.
    stalled: Vec<u64>,
    /// When the receiver began to fail, as known at start.
    failing_since: Option<Timestamp>,
    /// Whether it was enabled since the start: what failed before is then due at once instead of after its delay.
    forgiving: bool,
    /// The class in which it waits for a thread.
    class: Option<Class>,
    /// When it is examined again.
    armed: Option<Timestamp>,
    /// The state as which it is counted.
    counted: Option<Counted>,
}

/// Whether a queue can start a delivery now.
pub(super) struct Readiness {
    /// The class in which it waits, if it can start one.
    pub(super) class: Option<Class>,
    /// When to examine it again.
    pub(super) wake: Option<Timestamp>,
}

pub(super) use self::window::{Inserted, Location};

/// A lane's timer.
#[derive(Default)]
pub(super) struct Timers {
    /// The previous time.
    pub(super) before: Option<Timestamp>,
    /// The new time.
    pub(super) after: Option<Timestamp>,
}

impl Queue {
    /// A queue for a subscription with an unknown receiver.
    pub(super) fn new(terms: Terms, bounds: Bounds, probe_pauses: ProbePauses, now: Timestamp) -> Self {
        Self::with(terms, bounds, CircuitBreaker::new(probe_pauses), ConcurrencyLimit::new(Proof::Unproven), now)
    }

    /// A queue for a subscription that existed before the start. `chance` in [0, 1) spreads the first probes of
    /// receivers that are down.
    pub(super) fn loaded(
        terms: Terms,
        bounds: Bounds,
        probe_pauses: ProbePauses,
        past: Past,
        now: Timestamp,
        chance: f64,
    ) -> Self {
        let breaker = if past.down_since.is_some() {
            CircuitBreaker::opened(probe_pauses, now, chance)
        } else {
            CircuitBreaker::new(probe_pauses)
        };
        let proof = if past.quick { Proof::Known } else { Proof::Unproven };
        Self {
            tail: past.last,
            cursor: if past.outstanding { 0 } else { past.last },
            failing_since: past.down_since,
            ..Self::with(terms, bounds, breaker, ConcurrencyLimit::new(proof), now)
        }
    }

    fn with(
        terms: Terms,
        bounds: Bounds,
        breaker: CircuitBreaker,
        concurrency: ConcurrencyLimit,
        now: Timestamp,
    ) -> Self {
        Self {
            terms,
            bounds,
            lanes: HashMap::new(),
            by_sequence: HashMap::new(),
            ready: BTreeMap::new(),
            in_flight: InFlight::default(),
            bucket: Bucket::new(terms.rate_per_second, now),
            breaker,
            concurrency,
            cursor: 0,
            tail: 0,
            flowing: 0,
            unrecorded: Unrecorded::default(),
            stalled: Vec::new(),
            failing_since: None,
            forgiving: false,
            class: None,
            armed: None,
            counted: None,
        }
    }

    /// Changes the terms. Returns the deliveries that become due.
    pub(super) fn change_terms(&mut self, terms: Terms, probe_pauses: ProbePauses, now: Timestamp) -> Vec<u64> {
        if self.terms.rate_per_second != terms.rate_per_second {
            self.bucket = Bucket::new(terms.rate_per_second, now);
        }
        let again = terms.enabled && !self.terms.enabled;
        self.terms = terms;
        if !again {
            return Vec::new();
        }
        // Enabling it by hand resets the breaker.
        self.breaker = CircuitBreaker::new(probe_pauses);
        self.forgiving = true;
        let failed = self.deliveries().filter(|delivery| is_forgiven(delivery));
        failed.map(|delivery| delivery.id.sequence()).chain(self.stalled.iter().copied()).collect()
    }

    /// The keys of its lanes.
    pub(super) fn keys(&self) -> impl Iterator<Item = LaneKey> {
        self.lanes.keys().copied()
    }

    /// The deliveries in memory.
    pub(super) fn deliveries(&self) -> impl Iterator<Item = &Delivery> {
        self.lanes.values().flat_map(|lane| lane.items.values()).map(|item| &item.delivery)
    }

    /// The number of deliveries in memory.
    pub(super) fn held(&self) -> usize {
        self.by_sequence.len()
    }

    /// The lanes that have a timer, and its time.
    pub(super) fn waiting(&self) -> impl Iterator<Item = (Timestamp, LaneKey)> {
        self.lanes.iter().filter_map(|(key, lane)| match lane.place {
            Place::Waiting(at) => Some((at, *key)),
            Place::Nowhere | Place::Ready(_) | Place::InFlight(_) => None,
        })
    }

    /// The lane of a delivery in memory.
    pub(super) fn lane_of(&self, sequence: u64) -> Option<LaneKey> {
        self.by_sequence.get(&sequence).copied()
    }

    fn item(&mut self, key: LaneKey, sequence: u64) -> Option<&mut Item> {
        self.lanes.get_mut(&key)?.items.get_mut(&sequence)
    }

    fn is_in_flight(&self, key: LaneKey, sequence: u64) -> bool {
        self.lanes.get(&key).is_some_and(|lane| lane.place == Place::InFlight(sequence))
    }

    /// The number of attempts in flight.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// The number of records to come: of attempts in flight, and of those and expiries that have ended.
    pub(super) fn not_recorded(&self) -> usize {
        self.in_flight.len().saturating_add_signed(self.unrecorded.ahead())
    }

    /// What is known about the receiver's speed.
    pub(super) const fn proof(&self) -> Proof {
        self.concurrency.proof()
    }

    /// All outstanding deliveries up to here are in memory.
    pub(super) const fn cursor(&self) -> u64 {
        self.cursor
    }

    pub(super) const fn class(&self) -> Option<Class> {
        self.class
    }

    /// Sets the class in which it waits. Returns the previous one.
    pub(super) const fn set_class(&mut self, class: Option<Class>) -> Option<Class> {
        std::mem::replace(&mut self.class, class)
    }

    pub(super) const fn armed(&self) -> Option<Timestamp> {
        self.armed
    }

    /// Whether `at` is before the next examination.
    pub(super) fn is_armed_after(&self, at: Timestamp) -> bool {
        self.armed.is_none_or(|armed| at < armed)
    }

    /// Sets the next examination. Returns the previous one.
    pub(super) const fn arm(&mut self, at: Timestamp) -> Option<Timestamp> {
        self.armed.replace(at)
    }

    pub(super) const fn disarm(&mut self) {
        self.armed = None;
    }

    /// The state as which it must be counted.
    pub(super) fn counted(&self) -> Counted {
        if self.terms.enabled { Counted::Enabled(self.condition()) } else { Counted::Disabled }
    }

    /// The state as which it was counted last.
    pub(super) const fn counted_as(&self) -> Option<Counted> {
        self.counted
    }

    /// Updates the counted state. Returns the previous one.
    pub(super) fn recount(&mut self) -> Option<Counted> {
        let counted = self.counted();
        self.counted.replace(counted)
    }

    /// The first lane that can start a delivery.
    pub(super) fn first_ready(&self) -> Option<LaneKey> {
        self.ready.first_key_value().map(|(_, key)| *key)
    }

    pub(super) fn next_of(&self, key: LaneKey, hold: Duration, now: Timestamp) -> Option<Next> {
        Some(self.lanes.get(&key)?.next(hold, now))
    }

    /// A lane's timer has fired; it must be placed again.
    pub(super) fn unplace(&mut self, key: LaneKey) {
        if let Some(lane) = self.lanes.get_mut(&key) {
            lane.place = Place::Nowhere;
        }
    }

    /// Updates a lane's place after a change in it; `None` if the lane does not exist.
    pub(super) fn place(&mut self, key: LaneKey, hold: Duration, now: Timestamp) -> Option<Timers> {
        let lane = self.lanes.get_mut(&key)?;
        let mut timers = Timers::default();
        match lane.place {
            Place::InFlight(_) | Place::Nowhere => {}
            Place::Ready(sequence) => drop(self.ready.remove(&sequence)),
            Place::Waiting(at) => timers.before = Some(at),
        }
        if !matches!(lane.place, Place::InFlight(_)) {
            lane.place = match lane.next(hold, now) {
                Next::Nothing => Place::Nowhere,
                Next::Ready(sequence) => {
                    self.ready.insert(sequence, key);
                    Place::Ready(sequence)
                }
                Next::At(at) => {
                    timers.after = Some(at);
                    Place::Waiting(at)
                }
            };
        }
        let flowing = if matches!(lane.place, Place::Waiting(_)) { 0 } else { lane.items.len() };
        self.flowing = self.flowing + flowing - std::mem::replace(&mut lane.flowing, flowing);
        if lane.items.is_empty() {
            self.lanes.remove(&key);
        }
        Some(timers)
    }

    /// The subscription's state.
    pub(super) fn standing(&self) -> Standing {
        Standing {
            condition: self.condition(),
            next_try: self.breaker.next(),
            in_flight: u32::try_from(self.in_flight.len()).unwrap_or(u32::MAX),
            limit: self.limit(),
            held: self.by_sequence.len(),
        }
    }

    /// The receiver's condition.
    fn condition(&self) -> Condition {
        match (self.breaker.is_open(), self.concurrency.proof()) {
            (true, _) => Condition::Down,
            (false, Proof::Slow) => Condition::Slow,
            (false, _) => Condition::Ok,
        }
    }

    /// The current concurrency limit.
    fn limit(&self) -> u32 {
        if self.breaker.is_open() { 1 } else { self.concurrency.limit().min(self.terms.max_in_flight).max(1) }
    }

    /// Whether a delivery can start at `now`.
    pub(super) fn readiness(&mut self, now: Timestamp) -> Readiness {
        if self.in_flight.is_empty() {
            self.concurrency.age(now);
        }
        let drags = self.drags_at(now);
        let begins = self.ready.first_key_value().is_some_and(|(sequence, _)| *sequence <= self.cursor);
        if !self.terms.enabled || !begins || self.in_flight.len() >= self.limit() as usize {
            return Readiness { class: None, wake: drags };
        }
        let free = self.bucket.free_at(now).max(self.breaker.free_at(now));
        if free > now {
            return Readiness { class: None, wake: Some(drags.map_or(free, |drags| drags.min(free))) };
        }
        Readiness { class: Some(Class::of(self.concurrency.proof(), self.in_flight.len())), wake: drags }
    }

    /// Whether the receiver is up and quick, or was quick before the last start.
    pub(super) fn is_quick(&self) -> bool {
        matches!(self.concurrency.proof(), Proof::Quick | Proof::Known) && !self.breaker.is_open()
    }

    /// Whether nothing is in memory or in flight.
    #[cfg(test)]
    pub(super) fn is_at_rest(&self) -> bool {
        let here = self.by_sequence.is_empty() && self.lanes.is_empty() && self.ready.is_empty();
        here && self.unrecorded.is_empty() && self.in_flight.is_empty() && self.flowing == 0
    }

    /// Feeds successes until the receiver has no limit.
    #[cfg(test)]
    pub(super) fn trust(&mut self, success: super::circuit_breaker::Seen, now: Timestamp) {
        for _ in 0..200 {
            self.concurrency.began(self.concurrency.limit() as usize);
            self.concurrency.ended(success, 0, 100, now);
        }
    }

    /// Sets cursor and tail.
    #[cfg(test)]
    pub(super) const fn reach(&mut self, cursor: u64, tail: u64) {
        (self.cursor, self.tail) = (cursor, tail);
    }
}
