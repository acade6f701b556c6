//! Lanes: which delivery starts next? Sans-io: values in, decisions out; no clock, no thread, no store, no randomness.
//!
//! A lane holds the deliveries of one call to one subscription (or a single delivery, where no
//! order is kept). A lane is serial: at most one of its deliveries is under way. Its next is the
//! earliest in sequence that is due; one that has failed and waits to be tried again holds back
//! those behind it until `hold` after its first failure, and is then passed: what passes names it.
//!
//! Of each subscription only a window is in memory (`queue`); what else it is owed is read from the
//! store when the lanes ask for it ([`Lanes::wanted`], [`Lanes::read`]). A receiver that is down is
//! asked by one delivery at a time (`circuit_breaker`), one that is up gets as many at once as it takes well
//! (`concurrency_limit`), and the pool is shared so that none holds all of it (`fair_share`).
//!
//! Invariants:
//! - of one call, a later delivery is never handed out while an earlier one is under way, or while
//!   an earlier one is owed whose hold has not ended, also if that one is not in memory;
//! - a subscription never has more under way than its `max_in_flight`, nor begins more in a second
//!   than its `rate_per_second`, and a disabled one begins nothing;
//! - there are never more under way than threads; subscriptions that could go on take turns;
//! - what has ended is not handed out again, although the store may say for a while that it is owed; and what is owed
//!   is handed out, in whatever order the lanes are told of it (`ended`);
//! - memory is bounded, whatever is owed: see [`Bounds`].
//!
//! Two calls whose hashes agree share a lane, which costs them speed and nothing else.

mod circuit_breaker;
mod concurrency_limit;
mod ended;
mod fair_share;
mod lane;
mod queue;
mod tally;
mod under_way;
mod unrecorded;
mod values;
mod window;

use std::collections::{BTreeSet, HashMap};

use crate::core::delivery::Delivery;
use crate::core::id::DeliveryId;
use crate::core::time::Timestamp;

use self::circuit_breaker::Asking;
use self::concurrency_limit::Proof;
use self::fair_share::{Class, FairShare};
use self::lane::{LaneKey, Next};
use self::queue::Queue;

pub use self::circuit_breaker::{Kind, Seen, Transition};
pub use self::tally::Tally;
pub use self::values::{Bounds, Condition, LaneRules, Past, Standing, Start, Terms, Wanted};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    Lane(u32, LaneKey),
    Queue(u32),
}

/// All lanes of all subscriptions, which go by their numbers here.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub struct Lanes {
    rules: LaneRules,
    queues: HashMap<u32, Queue>,
    share: FairShare,
    /// How many subscriptions are in which state.
    tally: Tally,
    /// Subscriptions of which more is to be read, as far as memory allows.
    hungry: BTreeSet<u32>,
    /// Those of them whose receivers are up and quick, or were before the last start: they would wait for it.
    eager: BTreeSet<u32>,
    /// How often something was read.
    reads: u32,
    /// The one of which was read last, and the last of those that are eager.
    fed: u32,
    fed_eager: u32,
    /// How many deliveries are in memory.
    held: usize,
    /// Attempts under way of subscriptions that are gone.
    orphans: usize,
    /// Attempts and expiries that were handed out and are not on the disk yet.
    unrecorded: usize,
    timers: BTreeSet<(Timestamp, Timer)>,
    /// When deliveries stop being wanted.
    expiries: BTreeSet<(Timestamp, DeliveryId)>,
}

impl Lanes {
    /// No lanes.
    pub fn new(rules: LaneRules) -> Self {
        Self {
            rules,
            queues: HashMap::new(),
            share: FairShare::new(rules.threads),
            tally: Tally::default(),
            hungry: BTreeSet::new(),
            eager: BTreeSet::new(),
            reads: 0,
            fed: 0,
            fed_eager: 0,
            held: 0,
            orphans: 0,
            unrecorded: 0,
            timers: BTreeSet::new(),
            expiries: BTreeSet::new(),
        }
    }

    /// Goes by `rules` from now on, but for the number of threads, what is in memory, and how
    /// receivers that are known already are asked while they are down.
    pub fn set_rules(&mut self, rules: LaneRules, now: Timestamp) {
        let LaneRules { threads, unrecorded, bounds, .. } = self.rules;
        self.rules = LaneRules { threads, unrecorded, bounds, ..rules };
        let of_queue = |(number, queue): (&u32, &Queue)| queue.keys().map(|key| (*number, key)).collect::<Vec<_>>();
        let lanes: Vec<_> = self.queues.iter().flat_map(of_queue).collect();
        lanes.into_iter().for_each(|(number, key)| self.place(number, key, now));
    }

    const fn asking(&self) -> Asking {
        Asking { first: self.rules.ask_first, most: self.rules.ask_most }
    }

    /// A subscription that was there before the start, with what is known of it. `chance` (0 up to
    /// 1) spreads the first questions to those that are down.
    pub fn take_up(&mut self, number: u32, terms: Terms, past: Past, now: Timestamp, chance: f64) {
        let queue = Queue::taken_up(terms, self.rules.bounds, self.asking(), past, now, chance);
        self.queues.insert(number, queue);
        self.settle(number, now);
    }

    /// A subscription is new, or its terms have changed. A change of its ordering holds for what is
    /// owed from then on.
    pub fn put_subscription(&mut self, number: u32, terms: Terms, now: Timestamp) {
        let (asking, bounds) = (self.asking(), self.rules.bounds);
        let queue = self.queues.entry(number).or_insert_with(|| Queue::new(terms, bounds, asking, now));
        let due = queue.change_terms(terms, asking, now);
        due.into_iter().for_each(|sequence| self.make_due(number, sequence, now));
        self.settle(number, now);
    }

    /// A subscription is gone, and what it was owed with it.
    pub fn remove_subscription(&mut self, number: u32) {
        self.hungry.remove(&number);
        self.eager.remove(&number);
        let Some(queue) = self.queues.remove(&number) else { return };
        self.tally.change(queue.counted_as(), None);
        if let Some(class) = queue.class() {
            self.share.leave(class, number);
        }
        if let Some(at) = queue.armed() {
            self.timers.remove(&(at, Timer::Queue(number)));
        }
        self.held -= queue.held();
        // Its attempts under way go on holding their threads.
        self.share.change(queue.proof(), Proof::Quick, queue.in_flight());
        self.orphans += queue.in_flight();
        for (at, key) in queue.waiting() {
            self.timers.remove(&(at, Timer::Lane(number, key)));
        }
        for delivery in queue.deliveries() {
            self.forget_expiry(delivery);
        }
    }

    /// A delivery that waits to be tried again is due now.
    fn make_due(&mut self, number: u32, sequence: u64, now: Timestamp) {
        let Some(queue) = self.queues.get_mut(&number) else { return };
        let Some(key) = queue.make_due(sequence, now) else { return };
        self.place(number, key, now);
    }

    /// The next delivery whose turn it is, if there is one; it is under way from now on.
    pub fn start(&mut self, now: Timestamp) -> Option<Start> {
        self.wake(now);
        if self.unrecorded >= self.rules.unrecorded {
            return None;
        }
        let (number, key, sequence) = loop {
            let number = self.share.next(now)?;
            let queue = self.queues.get(&number)?;
            let key = queue.first_ready()?;
            // An earlier one may have come due since the lane was listed, or the clock was set back.
            match queue.next_of(key, self.rules.hold, now)? {
                Next::Ready(sequence) => break (number, key, sequence),
                Next::Nothing | Next::At(_) => self.place(number, key, now),
            }
        };
        let queue = self.queues.get_mut(&number)?;
        let start = queue.begin(key, sequence, now)?;
        self.share.take(queue.proof(), now);
        self.unrecorded += 1;
        self.settle(number, now);
        Some(start)
    }

    /// How many subscriptions are in which state.
    pub const fn tally(&self) -> Tally {
        self.tally
    }

    /// The same, counted one by one.
    #[cfg(test)]
    fn tally_one_by_one(&self) -> Tally {
        let mut tally = Tally::default();
        self.queues.values().for_each(|queue| tally.change(None, Some(queue.counted())));
        tally
    }

    /// When there is something to do again, if nothing happens before.
    pub fn next_wake(&self) -> Option<Timestamp> {
        let timer = self.timers.first().map(|(at, _)| *at);
        let expiry = self.expiries.first().map(|(at, _)| *at);
        timer.into_iter().chain(expiry).chain(self.share.wake()).min()
    }

    /// Looks again at what waited for a time that has come.
    pub fn wake(&mut self, now: Timestamp) {
        while let Some((at, timer)) = self.timers.first().copied() {
            if at > now {
                return;
            }
            self.timers.remove(&(at, timer));
            match timer {
                Timer::Queue(number) => {
                    let Some(queue) = self.queues.get_mut(&number) else { continue };
                    queue.disarm();
                    if let Some(before) = queue.note_drag(now) {
                        self.share.change(before, queue.proof(), queue.in_flight());
                    }
                    self.settle(number, now);
                }
                Timer::Lane(number, key) => {
                    if let Some(queue) = self.queues.get_mut(&number) {
                        queue.unplace(key);
                    }
                    self.place(number, key, now);
                }
            }
        }
    }

    /// Puts a lane where it belongs after something in it has changed.
    fn place(&mut self, number: u32, key: LaneKey, now: Timestamp) {
        let Some(queue) = self.queues.get_mut(&number) else { return };
        let Some(timers) = queue.place(key, self.rules.hold, now) else { return };
        if let Some(at) = timers.before {
            self.timers.remove(&(at, Timer::Lane(number, key)));
        }
        if let Some(at) = timers.after {
            self.timers.insert((at, Timer::Lane(number, key)));
        }
        self.settle(number, now);
    }

    /// Sees whether a subscription could begin a delivery now, and whether more of it is to be read.
    fn settle(&mut self, number: u32, now: Timestamp) {
        let Some(queue) = self.queues.get_mut(&number) else { return };
        let proof = queue.proof();
        let stand = queue.stand(now);
        self.share.change(proof, queue.proof(), queue.in_flight());
        let class = queue.stand_as(stand.class);
        if class != stand.class {
            if let Some(class) = class {
                self.share.leave(class, number);
            }
            if let Some(class) = stand.class {
                self.share.enter(class, number);
            }
        }
        if stand.class == Some(Class::Stranger) {
            self.share.need(number, queue.need());
        }
        if let Some(at) = stand.wake.filter(|at| queue.is_armed_after(*at)) {
            if let Some(armed) = queue.arm(at) {
                self.timers.remove(&(armed, Timer::Queue(number)));
            }
            self.timers.insert((at, Timer::Queue(number)));
        }
        let counted = queue.recount();
        self.tally.change(counted, queue.counted_as());
        let hungry = queue.wanted(0).is_some();
        let eager = hungry && queue.is_quick();
        for (set, belongs) in [(&mut self.hungry, hungry), (&mut self.eager, eager)] {
            if belongs {
                set.insert(number);
            } else {
                set.remove(&number);
            }
        }
    }

    /// The lane of a delivery that is in memory.
    fn find(&self, id: DeliveryId) -> Option<(u32, LaneKey)> {
        let number = id.subscription_number();
        let key = self.queues.get(&number)?.lane_of(id.sequence())?;
        Some((number, key))
    }

    /// Takes a delivery out of its lane; the lane is to be placed afterwards.
    fn remove(&mut self, number: u32, key: LaneKey, sequence: u64) -> Option<Delivery> {
        let delivery = self.queues.get_mut(&number)?.remove(key, sequence)?;
        self.held -= 1;
        self.forget_expiry(&delivery);
        Some(delivery)
    }

    fn forget_expiry(&mut self, delivery: &Delivery) {
        if let Some(at) = delivery.expire_at {
            self.expiries.remove(&(at, delivery.id));
        }
    }
}

#[cfg(test)]
mod isolation;
#[cfg(test)]
mod orders;
#[cfg(test)]
mod property;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod thundering_herd;
