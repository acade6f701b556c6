//! Lanes: which delivery starts next? Sans-io: values in, decisions out; no clock, thread, store or randomness.
//!
//! A lane holds the deliveries of one call to one subscription (or a single delivery, if no order is kept). A lane is
//! serial: at most one of its deliveries is in flight. Its next is the earliest in sequence that is due; one that has
//! failed and waits for a retry holds back those behind it until `hold` after its first failure, and is then passed:
//! deliveries that pass it name it.
//!
//! For each subscription only a window is in memory (`queue`); the other outstanding deliveries are read from the
//! store on request ([`Lanes::wanted`], [`Lanes::read`]). A receiver that is down gets one probe at a time
//! (`circuit_breaker`), one that is up as many at once as it handles well (`concurrency_limit`), and the pool is
//! shared so that none holds all of it (`fair_share`).
//!
//! Invariants:
//! - within a call, a later delivery never starts while an earlier one is in flight, or while an earlier one is
//!   outstanding whose hold has not ended, even if that one is not in memory;
//! - a subscription never exceeds its `max_in_flight` nor its `rate_per_second`, and a disabled one starts nothing;
//! - there are never more attempts in flight than threads; subscriptions that can start take turns;
//! - a delivery that has ended does not start again, although the store may report it as outstanding for a while; and
//!   every outstanding delivery starts, in whatever order notifications arrive (`ended`);
//! - memory is bounded, however large the backlog: see [`Bounds`].
//!
//! Two calls whose hashes collide share a lane, which costs only speed.

mod circuit_breaker;
mod concurrency_limit;
mod departed;
mod ended;
mod fair_share;
mod in_flight;
mod lane;
mod queue;
mod tally;
mod unrecorded;
mod values;
mod window;

use std::collections::{BTreeSet, HashMap};

use crate::core::delivery::Delivery;
use crate::core::id::{DeliveryId, SubscriptionNumber};
use crate::core::shards::ShardSet;
use crate::core::time::Timestamp;

use self::circuit_breaker::ProbePauses;
use self::concurrency_limit::Proof;
use self::departed::Departed;
use self::fair_share::{Class, FairShare};
use self::lane::{LaneKey, Next};
use self::queue::Queue;

pub use self::circuit_breaker::{Kind, Seen, Transition};
pub use self::tally::Tally;
pub use self::values::{Bounds, Condition, LaneRules, Past, Standing, Start, Terms, Wanted};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    Lane(SubscriptionNumber, LaneKey),
    Queue(SubscriptionNumber),
}

/// All lanes of all subscriptions, which are identified by number here.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub struct Lanes {
    rules: LaneRules,
    queues: HashMap<SubscriptionNumber, Queue>,
    share: FairShare,
    /// Number of subscriptions by state.
    tally: Tally,
    /// Subscriptions with more to read, as far as memory allows.
    unread: BTreeSet<SubscriptionNumber>,
    /// Those of them whose receivers are up and quick, or were before the last start: they are read first.
    eager: BTreeSet<SubscriptionNumber>,
    /// Number of reads.
    reads: u32,
    /// The subscription read last, and the last eager one.
    fed: SubscriptionNumber,
    fed_eager: SubscriptionNumber,
    /// Number of deliveries in memory.
    held: usize,
    /// Subscriptions that have left while attempts of theirs were out.
    departed: Departed,
    /// Started attempts and expiries whose results are not durable yet.
    unrecorded: usize,
    timers: BTreeSet<(Timestamp, Timer)>,
    /// When deliveries expire.
    expiries: BTreeSet<(Timestamp, DeliveryId)>,
}

impl Lanes {
    /// Lanes without subscriptions.
    pub fn new(rules: LaneRules) -> Self {
        Self {
            rules,
            queues: HashMap::new(),
            share: FairShare::new(rules.threads),
            tally: Tally::default(),
            unread: BTreeSet::new(),
            eager: BTreeSet::new(),
            reads: 0,
            fed: SubscriptionNumber::ZERO,
            fed_eager: SubscriptionNumber::ZERO,
            held: 0,
            departed: Departed::default(),
            unrecorded: 0,
            timers: BTreeSet::new(),
            expiries: BTreeSet::new(),
        }
    }

    /// Applies `rules`, except for the number of threads, the memory bounds, and the probe pauses of known receivers.
    pub fn set_rules(&mut self, rules: LaneRules, now: Timestamp) {
        let LaneRules { threads, unrecorded, bounds, .. } = self.rules;
        self.rules = LaneRules { threads, unrecorded, bounds, ..rules };
        let of_queue =
            |(number, queue): (&SubscriptionNumber, &Queue)| queue.keys().map(|key| (*number, key)).collect::<Vec<_>>();
        let lanes: Vec<_> = self.queues.iter().flat_map(of_queue).collect();
        lanes.into_iter().for_each(|(number, key)| self.place(number, key, now));
    }

    const fn probe_pauses(&self) -> ProbePauses {
        ProbePauses { first: self.rules.first_probe, most: self.rules.longest_probe_pause }
    }

    /// Adds a subscription that existed before the start. `chance` in [0, 1) spreads the first probes of receivers
    /// that are down.
    ///
    /// One that has left before comes back once all that was out then is recorded.
    pub fn load(&mut self, number: SubscriptionNumber, terms: Terms, past: Past, now: Timestamp, chance: f64) {
        if self.departed.come_back(number, terms, past) {
            return;
        }
        let queue = Queue::loaded(terms, self.rules.bounds, self.probe_pauses(), past, now, chance);
        self.queues.insert(number, queue);
        self.refresh(number, now);
    }

    /// Adds a subscription or changes its terms. A changed ordering applies to later deliveries.
    pub fn put_subscription(&mut self, number: SubscriptionNumber, terms: Terms, now: Timestamp) {
        if let Some(returning) = self.departed.returning(number) {
            returning.0 = terms;
            return;
        }
        let (probe_pauses, bounds) = (self.probe_pauses(), self.rules.bounds);
        let queue = self.queues.entry(number).or_insert_with(|| Queue::new(terms, bounds, probe_pauses, now));
        let due = queue.change_terms(terms, probe_pauses, now);
        due.into_iter().for_each(|sequence| self.make_due(number, sequence, now));
        self.refresh(number, now);
    }

    /// Removes a subscription and its deliveries.
    pub fn remove_subscription(&mut self, number: SubscriptionNumber) {
        self.unread.remove(&number);
        self.eager.remove(&number);
        let Some(queue) = self.queues.remove(&number) else { return self.departed.leave(number, 0, 0) };
        self.tally.change(queue.counted_as(), None);
        if let Some(class) = queue.class() {
            self.share.leave(class, number);
        }
        if let Some(at) = queue.armed() {
            self.timers.remove(&(at, Timer::Queue(number)));
        }
        self.held -= queue.held();
        // Its attempts in flight keep holding their threads.
        self.share.change(queue.proof(), Proof::Quick, queue.in_flight());
        self.departed.leave(number, queue.in_flight(), queue.not_recorded());
        for (at, key) in queue.waiting() {
            self.timers.remove(&(at, Timer::Lane(number, key)));
        }
        for delivery in queue.deliveries() {
            self.forget_expiry(delivery);
        }
    }

    /// Whether nothing is out of subscriptions of these shards that have left.
    pub fn is_settled(&self, shards: &ShardSet) -> bool {
        self.departed.is_settled(shards)
    }

    /// Lets a subscription that has left come back, if it wants to and nothing of it is out any more.
    fn settle(&mut self, number: SubscriptionNumber, now: Timestamp) {
        if let Some((terms, past)) = self.departed.settle(number) {
            // Its receiver's probes need not be spread: few come back at once.
            self.load(number, terms, past, now, 0.0);
        }
    }

    /// Makes a delivery that waits for a retry due now.
    fn make_due(&mut self, number: SubscriptionNumber, sequence: u64, now: Timestamp) {
        let Some(queue) = self.queues.get_mut(&number) else { return };
        let Some(key) = queue.make_due(sequence, now) else { return };
        self.place(number, key, now);
    }

    /// The next delivery to start, if any; it is in flight from now on.
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
        self.refresh(number, now);
        Some(start)
    }

    /// Number of subscriptions by state.
    pub const fn tally(&self) -> Tally {
        self.tally
    }

    /// The same, recounted.
    #[cfg(test)]
    fn tally_one_by_one(&self) -> Tally {
        let mut tally = Tally::default();
        self.queues.values().for_each(|queue| tally.change(None, Some(queue.counted())));
        tally
    }

    /// When there is something to do, if nothing happens before.
    pub fn next_wake(&self) -> Option<Timestamp> {
        let timer = self.timers.first().map(|(at, _)| *at);
        let expiry = self.expiries.first().map(|(at, _)| *at);
        timer.into_iter().chain(expiry).chain(self.share.wake()).min()
    }

    /// Processes timers that have fired.
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
                    self.refresh(number, now);
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

    /// Updates a lane's place after a change in it.
    fn place(&mut self, number: SubscriptionNumber, key: LaneKey, now: Timestamp) {
        let Some(queue) = self.queues.get_mut(&number) else { return };
        let Some(timers) = queue.place(key, self.rules.hold, now) else { return };
        if let Some(at) = timers.before {
            self.timers.remove(&(at, Timer::Lane(number, key)));
        }
        if let Some(at) = timers.after {
            self.timers.insert((at, Timer::Lane(number, key)));
        }
        self.refresh(number, now);
    }

    /// Updates whether a subscription can start a delivery, and whether to read more of it.
    fn refresh(&mut self, number: SubscriptionNumber, now: Timestamp) {
        let Some(queue) = self.queues.get_mut(&number) else { return };
        let proof = queue.proof();
        let stand = queue.readiness(now);
        self.share.change(proof, queue.proof(), queue.in_flight());
        let class = queue.set_class(stand.class);
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
        let unread = queue.wanted(0).is_some();
        let eager = unread && queue.is_quick();
        for (set, belongs) in [(&mut self.unread, unread), (&mut self.eager, eager)] {
            if belongs {
                set.insert(number);
            } else {
                set.remove(&number);
            }
        }
    }

    /// The lane of a delivery in memory.
    fn find(&self, id: DeliveryId) -> Option<(SubscriptionNumber, LaneKey)> {
        let number = id.subscription_number();
        let key = self.queues.get(&number)?.lane_of(id.sequence())?;
        Some((number, key))
    }

    /// Removes a delivery from its lane; the lane must be placed afterwards.
    fn remove(&mut self, number: SubscriptionNumber, key: LaneKey, sequence: u64) -> Option<Delivery> {
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
