//! What one subscription is owed, as far as it is in memory: a window, with its lanes, its gate and
//! its pace.
//!
//! The window: every delivery that is owed and not above [`Queue::cursor`] in sequence is in memory;
//! what is owed above it is only known to be there, up to [`Queue::tail`], and is read from the
//! store when there is room. None above the cursor is handed out, so the order of a call holds
//! although its later deliveries are elsewhere. The cursor goes back when something below it is owed
//! again and there is no room; what is in memory above it then waits until the cursor is past it.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use crate::core::delivery::Delivery;
use crate::core::time::Timestamp;

use super::super::rate::Bucket;
use super::gate::{Asking, Gate, Kind, Seen, Turn};
use super::lane::{Heard, Item, Lane, LaneKey, Next, Place, asked_for, is_forgiven, lane_key, may_have_asked};
use super::pace::{Pace, Proof};
use super::share::Class;
use super::tally::Counted;
use super::under_way::UnderWay;
use super::unrecorded::Unrecorded;
use super::values::{Bounds, Condition, Past, Standing, Start, Terms};

/// How many deliveries are remembered that failed since the last success.
const STALLED_MOST: usize = 1024;

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
    gate: Gate,
    pace: Pace,
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

/// How a lane stands among the timers.
#[derive(Default)]
pub(super) struct Timers {
    /// When it was to be looked at before.
    pub(super) before: Option<Timestamp>,
    /// When it is to be looked at now.
    pub(super) after: Option<Timestamp>,
}

/// What became of a delivery that was to be in memory.
pub(super) enum Inserted {
    /// It is new in this lane.
    New(LaneKey),
    /// It was in this lane already, and stood so before.
    Changed(LaneKey, Box<Delivery>),
    /// It is under way, and that attempt is the one that was asked for.
    UnderWay,
}

/// Where a delivery that is owed is to be.
pub(super) enum Owed {
    /// In memory.
    Here,
    /// In the store, to be read later.
    Elsewhere,
    /// Nowhere: it has ended, and the store does not know yet.
    Over,
}

/// A delivery whose attempt has ended.
pub(super) struct TakenBack {
    /// How it stays in memory, if it does.
    pub(super) stays: Option<Delivery>,
}

/// What an attempt said of its receiver.
pub(super) struct Judged {
    /// What was known of how quick it is, before and after.
    pub(super) before: Proof,
    pub(super) after: Proof,
    /// How many attempts are still under way.
    pub(super) others: usize,
    /// Whether it goes down or is back by this.
    pub(super) turn: Option<Turn>,
    /// What is due by this.
    pub(super) due: Vec<u64>,
}

impl Queue {
    /// Of a subscription of which nothing is known.
    pub(super) fn new(terms: Terms, bounds: Bounds, asking: Asking, now: Timestamp) -> Self {
        Self::with(terms, bounds, Gate::new(asking), Pace::new(Proof::Unproven), now)
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
        let gate = if past.down_since.is_some() { Gate::shut(asking, now, chance) } else { Gate::new(asking) };
        let proof = if past.quick { Proof::Known } else { Proof::Unproven };
        Self {
            tail: past.last,
            cursor: if past.owed { 0 } else { past.last },
            failing_since: past.down_since,
            ..Self::with(terms, bounds, gate, Pace::new(proof), now)
        }
    }

    fn with(terms: Terms, bounds: Bounds, gate: Gate, pace: Pace, now: Timestamp) -> Self {
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
        self.gate = Gate::new(asking);
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
        self.pace.proof()
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

    /// A delivery that waits to be tried again is due now. Gives its lane, which is to be placed.
    pub(super) fn make_due(&mut self, sequence: u64, now: Timestamp) -> Option<LaneKey> {
        let key = self.lane_of(sequence)?;
        if let Some(item) = self.item(key, sequence) {
            item.delivery.due = item.delivery.due.min(now);
        }
        Some(key)
    }

    /// The lane that goes first among those that could go on.
    pub(super) fn first_ready(&self) -> Option<LaneKey> {
        self.ready.first_key_value().map(|(_, key)| *key)
    }

    /// What can be done in a lane.
    pub(super) fn next_of(&self, key: LaneKey, hold: Duration, now: Timestamp) -> Option<Next> {
        Some(self.lanes.get(&key)?.next(hold, now))
    }

    /// The delivery `sequence` of the lane that goes first is under way from now on.
    pub(super) fn begin(&mut self, key: LaneKey, sequence: u64, now: Timestamp) -> Option<Start> {
        self.ready.pop_first();
        let lane = self.lanes.get_mut(&key)?;
        let start = Start { delivery: lane.items.get(&sequence)?.delivery.clone(), gap: lane.passed_by(sequence) };
        lane.place = Place::UnderWay(sequence);
        self.under_way.begin(sequence, now);
        self.pace.began(self.under_way.len());
        self.bucket.take(now);
        self.gate.take(now);
        Some(start)
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

    /// Takes a delivery out of its lane; the lane is to be placed afterwards.
    pub(super) fn remove(&mut self, key: LaneKey, sequence: u64) -> Option<Delivery> {
        self.by_sequence.remove(&sequence);
        Some(self.lanes.get_mut(&key)?.items.remove(&sequence)?.delivery)
    }

    /// A delivery in memory stands as `delivery` says from now on. Gives how it stood before.
    pub(super) fn replace(&mut self, key: LaneKey, delivery: Delivery) -> Option<Delivery> {
        let item = self.item(key, delivery.id.sequence())?;
        Some(std::mem::replace(&mut item.delivery, delivery))
    }

    /// Takes a delivery into memory, or changes it there; its lane is to be placed afterwards. Of one that is under way
    /// it is only noted that it was asked for.
    pub(super) fn insert(&mut self, delivery: Delivery) -> Inserted {
        let sequence = delivery.id.sequence();
        let fresh = lane_key(self.terms.ordering, &delivery);
        let key = *self.by_sequence.entry(sequence).or_insert(fresh);
        let lane = self.lanes.entry(key).or_insert_with(Lane::new);
        let Some(item) = lane.items.get_mut(&sequence) else {
            lane.items.insert(sequence, Item::new(delivery));
            return Inserted::New(key);
        };
        if lane.place == Place::UnderWay(sequence) {
            item.heard = Heard::Owed(Box::new(delivery));
            return Inserted::UnderWay;
        }
        let after = if self.unrecorded.contains(sequence) {
            // The store does not know of its last attempt yet.
            Delivery { due: item.delivery.due.min(delivery.due), ..asked_for(item.delivery.clone(), &delivery) }
        } else {
            delivery
        };
        Inserted::Changed(key, Box::new(std::mem::replace(&mut item.delivery, after)))
    }

    /// A delivery is owed. Tells whether it is to be in memory now, if there are `held` in all.
    pub(super) fn owe(&mut self, sequence: u64, held: usize) -> Owed {
        let all_here = self.cursor >= self.tail;
        self.tail = self.tail.max(sequence);
        if self.unrecorded.is_over(sequence) {
            return Owed::Over;
        }
        let room = self.has_room(held);
        if self.by_sequence.contains_key(&sequence) {
            Owed::Here
        } else if sequence <= self.cursor {
            if room {
                Owed::Here
            } else {
                self.cursor = sequence - 1;
                Owed::Elsewhere
            }
        } else if all_here && room {
            self.cursor = sequence;
            Owed::Here
        } else {
            Owed::Elsewhere
        }
    }

    /// What is owed above `after` was read, up to `last`, or all there is. Tells whether it was to be read from there.
    pub(super) fn advance(&mut self, after: u64, last: Option<u64>) -> bool {
        if self.cursor != after {
            return false;
        }
        self.cursor = last.map_or(self.tail, |last| last.min(self.tail));
        true
    }

    /// A delivery was read. Tells whether it is to be taken into memory; it may be due earlier than the store says.
    pub(super) fn takes(&mut self, delivery: &mut Delivery, now: Timestamp) -> bool {
        let sequence = delivery.id.sequence();
        // What is above the tail is not on the disk yet; it will be told of.
        if sequence > self.tail || self.unrecorded.is_over(sequence) || self.by_sequence.contains_key(&sequence) {
            return false;
        }
        let failed = delivery.first_failed_at.zip(self.failing_since).is_some_and(|(at, since)| at >= since);
        if failed {
            self.stall(sequence, may_have_asked(delivery));
        }
        if self.forgiving && is_forgiven(delivery) {
            // It has not been tried since it was enabled: then it would be in memory.
            delivery.due = delivery.due.min(now);
        }
        true
    }

    /// Notes what was heard of a delivery if it is under way; whether it is.
    pub(super) fn note_under_way(&mut self, key: LaneKey, sequence: u64, heard: Heard) -> bool {
        let under_way = self.is_under_way(key, sequence);
        if under_way && let Some(item) = self.item(key, sequence) {
            item.heard = heard;
        }
        under_way
    }

    /// The attempt of a delivery has ended, which stands as `after` says from now on, and `asked` tells whether the
    /// receiver said when it is to come again. Gives how the delivery stays in memory; `None` if it was not under way.
    pub(super) fn take_back(&mut self, key: LaneKey, after: Delivery, asked: bool) -> Option<TakenBack> {
        let sequence = after.id.sequence();
        if !self.is_under_way(key, sequence) {
            return None;
        }
        self.unplace(key);
        let heard = std::mem::replace(&mut self.item(key, sequence)?.heard, Heard::Nothing);
        let is_recorded = self.unrecorded.ended(sequence) <= 0;
        let stays = match heard {
            Heard::Nothing => after.state.is_owed().then_some(after),
            Heard::Over => None,
            // It was asked for after all attempts that there were.
            Heard::Owed(owed) if is_recorded => Some(*owed),
            Heard::Owed(owed) => after.state.is_owed().then(|| asked_for(after, &owed)),
        };
        self.unrecorded.note_over(sequence, stays.is_none());
        if stays.is_some() {
            self.stall(sequence, asked);
        }
        Some(TakenBack { stays })
    }

    /// A delivery is no longer wanted; it is to be removed. Tells whether that ends it: one that is under way may arrive
    /// yet, and its judgement knows what time it is.
    pub(super) fn expire(&mut self, key: LaneKey, sequence: u64) -> bool {
        if !self.lanes.contains_key(&key) || self.is_under_way(key, sequence) {
            return false;
        }
        self.unrecorded.ended(sequence);
        self.unrecorded.note_over(sequence, true);
        true
    }

    /// How an attempt or an expiry of a delivery ended is on the disk. Gives by how much those that ended are ahead.
    pub(super) fn recorded(&mut self, sequence: u64) -> i32 {
        self.unrecorded.recorded(sequence)
    }

    /// A delivery in memory had at least so many attempts.
    pub(super) fn had_attempts(&mut self, key: LaneKey, sequence: u64, attempts: u32) {
        if let Some(item) = self.item(key, sequence) {
            item.delivery.attempts = item.delivery.attempts.max(attempts);
        }
    }

    /// What an attempt of the lane `key` that ended says of the receiver.
    pub(super) fn judge(&mut self, key: LaneKey, sequence: u64, seen: Seen, now: Timestamp, chance: f64) -> Judged {
        let before = self.pace.proof();
        self.under_way.end(sequence);
        let others = self.under_way.len();
        self.pace.ended(seen, others, self.terms.max_in_flight, now);
        let after = self.pace.proof();
        let turn = self.gate.ended(key, seen, others, now, chance);
        if turn.is_some() {
            self.pace.restart(now);
        }
        let mut due = Vec::new();
        if seen.kind == Kind::Success {
            self.failing_since = None;
            let stalled = std::mem::take(&mut self.stalled);
            if turn == Some(Turn::Opened) {
                // They failed because it was down: now they are the first in order again.
                due = stalled;
            }
        }
        Judged { before, after, others, turn, due }
    }

    /// The time has come to see whether the attempts under way take longer than quick ones do. Gives what was known of
    /// the receiver before, if that is news.
    pub(super) fn note_drag(&mut self, now: Timestamp) -> Option<Proof> {
        if !self.drags(now) {
            return None;
        }
        let before = self.pace.proof();
        self.pace.drags(now);
        Some(before)
    }

    /// How the subscription stands.
    pub(super) fn standing(&self) -> Standing {
        Standing {
            condition: self.condition(),
            next_try: self.gate.next(),
            in_flight: u32::try_from(self.under_way.len()).unwrap_or(u32::MAX),
            limit: self.limit(),
            held: self.by_sequence.len(),
        }
    }

    /// How the receiver is.
    fn condition(&self) -> Condition {
        match (self.gate.is_closed(), self.pace.proof()) {
            (true, _) => Condition::Down,
            (false, Proof::Slow) => Condition::Slow,
            (false, _) => Condition::Ok,
        }
    }

    /// How many may be under way now.
    fn limit(&self) -> u32 {
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
    fn drags(&mut self, now: Timestamp) -> bool {
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

    /// Whether the receiver is up and quick, or was quick before the last start.
    pub(super) fn is_quick(&self) -> bool {
        matches!(self.pace.proof(), Proof::Quick | Proof::Known) && !self.gate.is_closed()
    }

    /// How many deliveries could begin, as far as is known, if there were room for all.
    pub(super) fn need(&self) -> usize {
        let elsewhere = usize::try_from(self.tail.saturating_sub(self.cursor)).unwrap_or(usize::MAX);
        self.ready.len().saturating_add(elsewhere)
    }

    /// Whether one more delivery may be taken into memory, if there are `held` in all.
    fn has_room(&self, held: usize) -> bool {
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
    fn stall(&mut self, sequence: u64, asked: bool) {
        self.stalled.retain(|other| *other != sequence);
        if !asked && self.stalled.len() < STALLED_MOST {
            self.stalled.push(sequence);
        }
    }

    /// Whether nothing is in memory or under way.
    #[cfg(test)]
    pub(super) fn is_at_rest(&self) -> bool {
        let here = self.by_sequence.is_empty() && self.lanes.is_empty() && self.ready.is_empty();
        here && self.unrecorded.is_empty() && self.under_way.is_empty() && self.flowing == 0
    }

    /// The receiver has taken so much that it is sent to without restraint.
    #[cfg(test)]
    pub(super) fn trust(&mut self, success: Seen, now: Timestamp) {
        for _ in 0..200 {
            self.pace.began(self.pace.limit() as usize);
            self.pace.ended(success, 0, 100, now);
        }
    }

    /// What is in memory ends at `cursor`, what is owed at `tail`.
    #[cfg(test)]
    pub(super) const fn reach(&mut self, cursor: u64, tail: u64) {
        (self.cursor, self.tail) = (cursor, tail);
    }
}
