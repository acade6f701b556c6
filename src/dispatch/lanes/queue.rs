//! What one subscription is owed, as far as it is in memory: a window, with its lanes, its gate and
//! its pace.
//!
//! The window: every delivery that is owed and not above [`Queue::cursor`] in sequence is in memory;
//! what is owed above it is only known to be there, up to [`Queue::tail`], and is read from the
//! store when there is room. None above the cursor is handed out, so the order of a call holds
//! although its later deliveries are elsewhere. The cursor goes back when something below it is owed
//! again and there is no room; what is in memory above it then waits until the cursor is past it.

use std::collections::{BTreeMap, HashMap};

use crate::core::subscription::Ordering;
use crate::core::time::Timestamp;

use super::super::rate::Bucket;
use super::Condition;
use super::ended::Unrecorded;
use super::gate::Gate;
use super::lane::{Lane, LaneKey};
use super::pace::{Pace, Proof};
use super::share::Class;
use super::tally::Counted;
use super::under_way::UnderWay;

/// How many deliveries are in memory.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// So many that flow (neither wait to be tried again nor are held back) of one subscription, or
    /// four for each attempt that it may have under way if that is more.
    pub window: usize,
    /// The same where memory is short, and for a receiver that is down, or of which nothing is known: after a start
    /// those that are quick would wait until all of that is read.
    pub least: usize,
    /// So many of one subscription in all, those that wait included, after which no more are read
    /// (twice as many if the cursor has gone back). So many failures at a time are no longer single
    /// events' trouble.
    pub most: usize,
    /// So many of all subscriptions together, beyond a `window` of each.
    pub most_of_all: usize,
}

impl Default for Bounds {
    /// At about 300 bytes for each delivery: 80 MB at most, and less than a tenth of that as a rule.
    fn default() -> Self {
        Self { window: 256, least: 8, most: 65_536, most_of_all: 262_144 }
    }
}

/// How many deliveries are remembered that failed since the last success.
const STALLED_MOST: usize = 1024;

/// What lanes need to know of a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// Whether deliveries flow.
    pub enabled: bool,
    /// Which order is kept.
    pub ordering: Ordering,
    /// How many may be under way at once, at least 1.
    pub max_in_flight: u32,
    /// How many may begin each second; `None` for any number.
    pub rate_per_second: Option<u32>,
}

#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub(super) struct Queue {
    pub(super) terms: Terms,
    bounds: Bounds,
    pub(super) lanes: HashMap<LaneKey, Lane>,
    /// The lane of each delivery in memory, by its sequence number.
    pub(super) by_sequence: HashMap<u64, LaneKey>,
    /// The lanes that could go on, by the sequence number of their next: the oldest goes first.
    pub(super) ready: BTreeMap<u64, LaneKey>,
    pub(super) under_way: UnderWay,
    pub(super) bucket: Bucket,
    pub(super) gate: Gate,
    pub(super) pace: Pace,
    /// All that is owed up to here is in memory.
    pub(super) cursor: u64,
    /// Nothing is owed above this.
    pub(super) tail: u64,
    /// How many deliveries in memory are in lanes that flow.
    pub(super) flowing: usize,
    /// The deliveries whose attempts and the records of these have not both been heard of.
    pub(super) unrecorded: HashMap<u64, Unrecorded>,
    /// What failed since the last success: due at once when the receiver is back.
    pub(super) stalled: Vec<u64>,
    /// Since when it has failed, as far as was known at the start.
    pub(super) failing_since: Option<Timestamp>,
    /// Whether it was enabled since the start: what had failed before is tried in its turn, and not after its delay.
    pub(super) forgiving: bool,
    /// As what it stands in line.
    pub(super) class: Option<Class>,
    /// When it is looked at again.
    pub(super) armed: Option<Timestamp>,
    /// As what it is counted.
    pub(super) counted: Option<Counted>,
}

/// How a queue stands now.
pub(super) struct Stand {
    /// As what it gets in line, if something can begin.
    pub(super) class: Option<Class>,
    /// When to look again.
    pub(super) wake: Option<Timestamp>,
}

impl Queue {
    pub(super) fn new(terms: Terms, bounds: Bounds, gate: Gate, pace: Pace, now: Timestamp) -> Self {
        Self {
            terms,
            bounds,
            lanes: HashMap::new(),
            by_sequence: HashMap::new(),
            ready: BTreeMap::new(),
            under_way: UnderWay::default(),
            bucket: Bucket::new(terms.rate_per_second, now),
            gate,
            pace,
            cursor: 0,
            tail: 0,
            flowing: 0,
            unrecorded: HashMap::new(),
            stalled: Vec::new(),
            failing_since: None,
            forgiving: false,
            class: None,
            armed: None,
            counted: None,
        }
    }

    /// How the receiver is.
    pub(super) fn condition(&self) -> Condition {
        match (self.gate.is_closed(), self.pace.proof()) {
            (true, _) => Condition::Down,
            (false, Proof::Slow) => Condition::Slow,
            (false, _) => Condition::Ok,
        }
    }

    /// How many may be under way now.
    pub(super) fn limit(&self) -> u32 {
        if self.gate.is_closed() { 1 } else { self.pace.limit().min(self.terms.max_in_flight).max(1) }
    }

    /// Whether a delivery could begin at `now`.
    pub(super) fn stand(&mut self, now: Timestamp) -> Stand {
        if self.under_way.is_empty() {
            self.pace.age(now);
        }
        let drags = self.drags_at(now);
        let begins = self.ready.first_key_value().is_some_and(|(sequence, _)| *sequence <= self.cursor);
        if !self.terms.enabled || !begins || self.under_way.len() >= self.limit() as usize {
            return Stand { class: None, wake: drags };
        }
        let free = self.bucket.free_at(now).max(self.gate.free_at(now));
        if free > now {
            return Stand { class: None, wake: Some(drags.map_or(free, |drags| drags.min(free))) };
        }
        Stand { class: Some(Class::of(self.pace.proof(), self.under_way.len())), wake: drags }
    }

    /// When to look whether the attempts under way take longer than quick ones do, if that would be news.
    fn drags_at(&mut self, now: Timestamp) -> Option<Timestamp> {
        if self.pace.proof() == Proof::Slow { None } else { self.under_way.look_at(now) }
    }

    /// Whether the attempts under way have taken longer than quick ones do, and that is news.
    pub(super) fn drags(&mut self, now: Timestamp) -> bool {
        self.pace.proof() != Proof::Slow && self.under_way.drag(now)
    }

    /// How many deliveries that flow are wanted in memory, if there are `held` in all.
    fn window(&self, held: usize) -> usize {
        let Bounds { window, least, most_of_all, .. } = self.bounds;
        if self.gate.is_closed() || held >= most_of_all {
            return least;
        }
        (if self.pace.proof() == Proof::Unproven { least } else { window }).max(4 * self.limit() as usize)
    }

    /// Whether the receiver is quick, or was before the last start.
    pub(super) fn is_quick(&self) -> bool {
        matches!(self.pace.proof(), Proof::Quick | Proof::Known)
    }

    /// How many deliveries could begin, as far as is known, if there were room for all.
    pub(super) fn need(&self) -> usize {
        let elsewhere = usize::try_from(self.tail.saturating_sub(self.cursor)).unwrap_or(usize::MAX);
        self.ready.len().saturating_add(elsewhere)
    }

    /// Whether one more delivery may be taken into memory, if there are `held` in all.
    pub(super) fn has_room(&self, held: usize) -> bool {
        let Bounds { least, most, most_of_all, .. } = self.bounds;
        let most = if held >= most_of_all { least } else { most };
        self.flowing < self.window(held) && self.by_sequence.len() < most
    }

    /// How many deliveries are to be read from the store, if there are `held` in memory in all.
    pub(super) fn wanted(&self, held: usize) -> Option<usize> {
        if !self.terms.enabled || self.cursor >= self.tail {
            return None;
        }
        let (window, total) = (self.window(held), self.by_sequence.len());
        let behind_cursor = self.ready.first_key_value().is_some_and(|(sequence, _)| *sequence > self.cursor);
        if behind_cursor && total < 2 * self.bounds.most {
            // What could go on must wait for what is not in memory: that is to come, whatever there is.
            return Some(self.bounds.least);
        }
        let most = if held >= self.bounds.most_of_all { self.bounds.window } else { self.bounds.most };
        if self.flowing * 2 > window || total >= most {
            return None;
        }
        Some((window - self.flowing).min(most - total).max(1))
    }

    /// Remembers that a delivery failed. `asked`: the receiver said when it is to come again.
    pub(super) fn stall(&mut self, sequence: u64, asked: bool) {
        self.stalled.retain(|other| *other != sequence);
        if !asked && self.stalled.len() < STALLED_MOST {
            self.stalled.push(sequence);
        }
    }
}
