//! What one subscription is owed, as far as it is in memory: a window, with its lanes, the circuit
//! breaker and the concurrency limit of its receiver.
//!
//! The window: every delivery that is owed and not above [`Queue::cursor`] in sequence is in memory;
//! what is owed above it is only known to be there, up to [`Queue::tail`], and is read from the
//! store when there is room. None above the cursor is handed out, so the order of a call holds
//! although its later deliveries are elsewhere. The cursor goes back when something below it is owed
//! again and there is no room; what is in memory above it then waits until the cursor is past it.

mod attempts;
mod window;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use crate::core::delivery::Delivery;
use crate::core::time::Timestamp;

use super::super::rate::Bucket;
use super::circuit_breaker::{Asking, CircuitBreaker};
use super::concurrency_limit::{ConcurrencyLimit, Proof};
use super::fair_share::Class;
use super::lane::{Item, Lane, LaneKey, Next, Place, is_forgiven};
use super::tally::Counted;
use super::under_way::UnderWay;
use super::unrecorded::Unrecorded;
use super::values::{Bounds, Condition, Past, Standing, Terms};

#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub(super) struct Queue {
    terms: Terms,
    bounds: Bounds,
    lanes: HashMap<LaneKey, Lane>,
    /// The lane of each delivery in memory, by its sequence number.
    by_sequence: HashMap<u64, LaneKey>,
    /// The lanes that could go on, by the sequence number of their next: the oldest goes first.
    ready: BTreeMap<u64, LaneKey>,
    under_way: UnderWay,
    bucket: Bucket,
    breaker: CircuitBreaker,
    concurrency: ConcurrencyLimit,
    /// All that is owed up to here is in memory.
    cursor: u64,
    /// Nothing is owed above this.
    tail: u64,
    /// How many deliveries in memory are in lanes that flow.
    flowing: usize,
    unrecorded: Unrecorded,
    /// What failed since the last success: due at once when the receiver is back.
    stalled: Vec<u64>,
    /// Since when it has failed, as far as was known at the start.
    failing_since: Option<Timestamp>,
    /// Whether it was enabled since the start: what had failed before is tried in its turn, and not after its delay.
    forgiving: bool,
    /// As what it stands in line.
    class: Option<Class>,
    /// When it is looked at again.
    armed: Option<Timestamp>,
    /// As what it is counted.
    counted: Option<Counted>,
}

/// How a queue stands now.
pub(super) struct Stand {
    /// As what it gets in line, if something can begin.
    pub(super) class: Option<Class>,
    /// When to look again.
    pub(super) wake: Option<Timestamp>,
}

pub(super) use self::window::{Inserted, Owed};

/// How a lane stands among the timers.
#[derive(Default)]
pub(super) struct Timers {
    /// When it was to be looked at before.
    pub(super) before: Option<Timestamp>,
    /// When it is to be looked at now.
    pub(super) after: Option<Timestamp>,
}

impl Queue {
    /// Of a subscription of which nothing is known.
    pub(super) fn new(terms: Terms, bounds: Bounds, asking: Asking, now: Timestamp) -> Self {
        Self::with(terms, bounds, CircuitBreaker::new(asking), ConcurrencyLimit::new(Proof::Unproven), now)
    }

    /// Of one that was there before the start, with what is known of it. `chance` (0 up to 1) spreads the first
    /// questions to those that are down.
    pub(super) fn taken_up(
        terms: Terms,
        bounds: Bounds,
        asking: Asking,
        past: Past,
        now: Timestamp,
        chance: f64,
    ) -> Self {
        let breaker = if past.down_since.is_some() {
            CircuitBreaker::opened(asking, now, chance)
        } else {
            CircuitBreaker::new(asking)
        };
        let proof = if past.quick { Proof::Known } else { Proof::Unproven };
        Self {
            tail: past.last,
            cursor: if past.owed { 0 } else { past.last },
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
            under_way: UnderWay::default(),
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

    /// Its terms have changed. Gives the deliveries that are due by that.
    pub(super) fn change_terms(&mut self, terms: Terms, asking: Asking, now: Timestamp) -> Vec<u64> {
        if self.terms.rate_per_second != terms.rate_per_second {
            self.bucket = Bucket::new(terms.rate_per_second, now);
        }
        let again = terms.enabled && !self.terms.enabled;
        self.terms = terms;
        if !again {
            return Vec::new();
        }
        // Whoever enables it again has seen to the receiver: what was held against it is over.
        self.breaker = CircuitBreaker::new(asking);
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

    /// How many deliveries are in memory.
    pub(super) fn held(&self) -> usize {
        self.by_sequence.len()
    }

    /// The lanes that stand among the timers, and when they are to be looked at.
    pub(super) fn waiting(&self) -> impl Iterator<Item = (Timestamp, LaneKey)> {
        self.lanes.iter().filter_map(|(key, lane)| match lane.place {
            Place::Waiting(at) => Some((at, *key)),
            Place::Nowhere | Place::Ready(_) | Place::UnderWay(_) => None,
        })
    }

    /// The lane of a delivery that is in memory.
    pub(super) fn lane_of(&self, sequence: u64) -> Option<LaneKey> {
        self.by_sequence.get(&sequence).copied()
    }

    fn item(&mut self, key: LaneKey, sequence: u64) -> Option<&mut Item> {
        self.lanes.get_mut(&key)?.items.get_mut(&sequence)
    }

    fn is_under_way(&self, key: LaneKey, sequence: u64) -> bool {
        self.lanes.get(&key).is_some_and(|lane| lane.place == Place::UnderWay(sequence))
    }

    /// How many attempts are under way.
    pub(super) fn in_flight(&self) -> usize {
        self.under_way.len()
    }

    /// What is known of how quick the receiver is.
    pub(super) const fn proof(&self) -> Proof {
        self.concurrency.proof()
    }

    /// All that is owed up to here is in memory.
    pub(super) const fn cursor(&self) -> u64 {
        self.cursor
    }

    /// As what it stands in line.
    pub(super) const fn class(&self) -> Option<Class> {
        self.class
    }

    /// It stands in line as `class` from now on. Gives as what it stood there before.
    pub(super) const fn stand_as(&mut self, class: Option<Class>) -> Option<Class> {
        std::mem::replace(&mut self.class, class)
    }

    /// When it is looked at again.
    pub(super) const fn armed(&self) -> Option<Timestamp> {
        self.armed
    }

    /// Whether `at` is before it is looked at again.
    pub(super) fn is_armed_after(&self, at: Timestamp) -> bool {
        self.armed.is_none_or(|armed| at < armed)
    }

    /// It is looked at again at `at`. Gives when it was to be before.
    pub(super) const fn arm(&mut self, at: Timestamp) -> Option<Timestamp> {
        self.armed.replace(at)
    }

    /// It is looked at now.
    pub(super) const fn disarm(&mut self) {
        self.armed = None;
    }

    /// As what it is to be counted.
    pub(super) fn counted(&self) -> Counted {
        if self.terms.enabled { Counted::Enabled(self.condition()) } else { Counted::Disabled }
    }

    /// As what it was counted last.
    pub(super) const fn counted_as(&self) -> Option<Counted> {
        self.counted
    }

    /// It is counted anew. Gives as what it was counted before.
    pub(super) fn recount(&mut self) -> Option<Counted> {
        let counted = self.counted();
        self.counted.replace(counted)
    }

    /// The lane that goes first among those that could go on.
    pub(super) fn first_ready(&self) -> Option<LaneKey> {
        self.ready.first_key_value().map(|(_, key)| *key)
    }

    /// What can be done in a lane.
    pub(super) fn next_of(&self, key: LaneKey, hold: Duration, now: Timestamp) -> Option<Next> {
        Some(self.lanes.get(&key)?.next(hold, now))
    }

    /// The time at which a lane was to be looked at has come: it is to be placed.
    pub(super) fn unplace(&mut self, key: LaneKey) {
        if let Some(lane) = self.lanes.get_mut(&key) {
            lane.place = Place::Nowhere;
        }
    }

    /// Puts a lane where it belongs after something in it has changed; `None` if there is none such.
    pub(super) fn place(&mut self, key: LaneKey, hold: Duration, now: Timestamp) -> Option<Timers> {
        let lane = self.lanes.get_mut(&key)?;
        let mut timers = Timers::default();
        match lane.place {
            Place::UnderWay(_) | Place::Nowhere => {}
            Place::Ready(sequence) => drop(self.ready.remove(&sequence)),
            Place::Waiting(at) => timers.before = Some(at),
        }
        if !matches!(lane.place, Place::UnderWay(_)) {
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

    /// How the subscription stands.
    pub(super) fn standing(&self) -> Standing {
        Standing {
            condition: self.condition(),
            next_try: self.breaker.next(),
            in_flight: u32::try_from(self.under_way.len()).unwrap_or(u32::MAX),
            limit: self.limit(),
            held: self.by_sequence.len(),
        }
    }

    /// How the receiver is.
    fn condition(&self) -> Condition {
        match (self.breaker.is_open(), self.concurrency.proof()) {
            (true, _) => Condition::Down,
            (false, Proof::Slow) => Condition::Slow,
            (false, _) => Condition::Ok,
        }
    }

    /// How many may be under way now.
    fn limit(&self) -> u32 {
        if self.breaker.is_open() { 1 } else { self.concurrency.limit().min(self.terms.max_in_flight).max(1) }
    }

    /// Whether a delivery could begin at `now`.
    pub(super) fn stand(&mut self, now: Timestamp) -> Stand {
        if self.under_way.is_empty() {
            self.concurrency.age(now);
        }
        let drags = self.drags_at(now);
        let begins = self.ready.first_key_value().is_some_and(|(sequence, _)| *sequence <= self.cursor);
        if !self.terms.enabled || !begins || self.under_way.len() >= self.limit() as usize {
            return Stand { class: None, wake: drags };
        }
        let free = self.bucket.free_at(now).max(self.breaker.free_at(now));
        if free > now {
            return Stand { class: None, wake: Some(drags.map_or(free, |drags| drags.min(free))) };
        }
        Stand { class: Some(Class::of(self.concurrency.proof(), self.under_way.len())), wake: drags }
    }

    /// Whether the receiver is up and quick, or was quick before the last start.
    pub(super) fn is_quick(&self) -> bool {
        matches!(self.concurrency.proof(), Proof::Quick | Proof::Known) && !self.breaker.is_open()
    }

    /// Whether nothing is in memory or under way.
    #[cfg(test)]
    pub(super) fn is_at_rest(&self) -> bool {
        let here = self.by_sequence.is_empty() && self.lanes.is_empty() && self.ready.is_empty();
        here && self.unrecorded.is_empty() && self.under_way.is_empty() && self.flowing == 0
    }

    /// The receiver has taken so much that it is sent to without restraint.
    #[cfg(test)]
    pub(super) fn trust(&mut self, success: super::circuit_breaker::Seen, now: Timestamp) {
        for _ in 0..200 {
            self.concurrency.began(self.concurrency.limit() as usize);
            self.concurrency.ended(success, 0, 100, now);
        }
    }

    /// What is in memory ends at `cursor`, what is owed at `tail`.
    #[cfg(test)]
    pub(super) const fn reach(&mut self, cursor: u64, tail: u64) {
        (self.cursor, self.tail) = (cursor, tail);
    }
}
