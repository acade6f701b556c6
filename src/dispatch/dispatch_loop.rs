//! The dispatch loop: feeds inputs to the lanes and executes their decisions.
//!
//! Runs on the dispatcher's thread. The only place where lanes, store, pool and clock meet; it makes no decisions of
//! its own.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::core::attempt::{LogEntry, Status};
use crate::core::delivery::{Delivery, State};
use crate::core::id::{SubscriptionId, SubscriptionNumber};
use crate::core::shards::{Ownership, ShardSet};
use crate::core::subscription::{DisabledReason, Subscription};
use crate::core::time::Timestamp;
use crate::sender::Pool;
use crate::store::{AttemptResult, DOWN, Health, StoreError, StoreEvent};

use super::attempts::{Shared, chance};
use super::inbox::Input;
use super::lanes::{Bounds, LaneRules, Lanes, Past, Standing, Terms, Transition};
use super::monotonic_clock::Reading;
use super::notice::Notice;
use super::owned::{Change, Owned};
use super::settings::Settings;
use super::work::Job;

/// Ended attempts that may wait for the writer before starts are limited to the number of threads.
const UNRECORDED_MOST: usize = 4096;
/// Store reads between two looks at the inbox.
const READS_AT_ONCE: usize = 4;
/// Starts between two looks at the inbox.
const STARTS_AT_ONCE: usize = 32;
/// Retry interval when the system refuses to create a thread.
const THREAD_RETRY: Duration = Duration::from_secs(1);
/// Retry interval when the store cannot be read at present.
const READ_RETRY: Duration = Duration::from_millis(500);
/// The longest pause between two probes of a receiver that is down.
const LONGEST_PROBE_PAUSE: Duration = Duration::from_secs(300);
/// After a start, a receiver whose last response took no longer goes first.
const QUICK: Duration = Duration::from_secs(1);

pub(super) struct DispatchLoop {
    shared: Arc<Shared>,
    pool: Arc<Pool<Arc<Job>>>,
    lanes: Lanes,
    /// A started job for which no thread was available.
    unsent: Option<Arc<Job>>,
    /// Whether the store could not be read when it was last tried, and can be again later.
    away: bool,
    settings: Arc<Settings>,
    owned: Owned,
    /// The subscriptions of the shards that are owned.
    subscriptions: HashMap<SubscriptionNumber, Arc<Subscription>>,
    numbers: HashMap<SubscriptionId, SubscriptionNumber>,
}

impl DispatchLoop {
    pub(super) fn new(shared: Arc<Shared>, pool: Arc<Pool<Arc<Job>>>) -> Self {
        let settings = shared.settings();
        let lanes = Lanes::new(rules(&settings));
        let owned = Owned::new(shared.store.ownership());
        Self {
            shared,
            pool,
            lanes,
            unsent: None,
            away: false,
            settings,
            owned,
            subscriptions: HashMap::new(),
            numbers: HashMap::new(),
        }
    }

    /// Loads the subscriptions of the shards that are owned; their deliveries are read as needed.
    pub(super) fn load(&mut self) {
        let shards = *self.owned.shards();
        self.load_shards(&shards);
    }

    fn load_shards(&mut self, shards: &ShardSet) {
        let now = self.shared.clock.now();
        let store = self.shared.store.clone();
        for subscription in store.subscriptions().into_iter().filter(|subscription| shards.has(subscription.number)) {
            let id = subscription.id;
            let past = past(store.health(id), store.last_sequence(id), store.waiting(id) > 0);
            self.lanes.load(subscription.number, self.terms(&subscription), past, now, chance());
            self.know(subscription);
        }
        self.shared.publish(self.lanes.tally());
    }

    /// Runs until stopped.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(super) fn run(&mut self) -> Result<(), StoreError> {
        let mut inputs = Vec::new();
        loop {
            let now = self.shared.clock.now();
            self.lanes.wake(now);
            self.expire(now);
            self.release();
            let more = self.begin(now) | self.read(now)?;
            let limit = if more { Some(Duration::ZERO) } else { self.idle(now) };
            self.shared.publish(self.lanes.tally());
            self.shared.inbox.take(limit, &mut inputs);
            for input in inputs.drain(..) {
                let now = self.shared.clock.now();
                match input {
                    Input::Stop => return Ok(()),
                    Input::Settings(settings) => self.set(settings, now),
                    Input::Ended(after, seen) => {
                        let number = after.id.subscription_number();
                        if let Some(transition) = self.lanes.done(after, seen, now, chance()) {
                            self.report_transition(number, transition);
                        }
                    }
                    Input::Changes(decided, changes) => {
                        let decided = self.shared.clock.reading_of(decided);
                        changes.into_iter().for_each(|change| self.apply(change, &decided, now));
                    }
                    // The requester may be gone.
                    Input::Query(ids, answer) => drop(answer.send(self.standings(ids))),
                }
            }
        }
    }

    fn standings(&self, ids: Vec<SubscriptionId>) -> HashMap<SubscriptionId, Standing> {
        let reading = self.shared.clock.reading();
        let standing = |id: SubscriptionId| {
            let standing = self.lanes.standing(*self.numbers.get(&id)?)?;
            let next_try = standing.next_try.map(|time| reading.outward_time(time));
            Some((id, Standing { next_try, ..standing }))
        };
        ids.into_iter().filter_map(standing).collect()
    }

    /// How long there is nothing to do without input; `None` for ever.
    fn idle(&self, now: Timestamp) -> Option<Duration> {
        let limit = self.lanes.next_wake().map(|at| at.since(now));
        // What is due already waits for a sender or for the writer, both of which send input.
        let limit = limit.filter(|limit| !limit.is_zero());
        // A sender that becomes free sends input; a system that can create threads again does not.
        let ask = self.unsent.as_ref().map(|_| THREAD_RETRY);
        let again = (self.away || !self.shared.store.may_begin()).then_some(READ_RETRY);
        limit.into_iter().chain(ask).chain(again).chain(self.owned.look_after()).min()
    }

    fn apply(&mut self, change: StoreEvent, decided: &Reading, now: Timestamp) {
        match change {
            StoreEvent::Owed(deliveries) => {
                deliveries.into_iter().for_each(|delivery| self.lanes.put(decided.inward(delivery), now));
            }
            StoreEvent::Subscription(subscription) if !self.owned.shards().has(subscription.number) => {}
            StoreEvent::Subscription(subscription) => self.put_subscription(subscription, now),
            StoreEvent::Owned(ownership) => self.own(ownership),
            StoreEvent::Deleted(id) => {
                (self.shared.listener)(Notice::Settled(id));
                if let Some(number) = self.numbers.remove(&id) {
                    self.subscriptions.remove(&number);
                    self.lanes.remove_subscription(number);
                }
            }
            StoreEvent::Cancelled(id) => self.lanes.cancel(id, now),
            StoreEvent::Finished(after) => self.lanes.recorded(decided.inward(after), now),
        }
    }

    /// Sends for these shards from now on, and for no others.
    fn own(&mut self, ownership: Ownership) {
        let Some(Change { gained, lost }) = self.owned.change(ownership, Instant::now()) else { return };
        let leaving: Vec<_> = self.subscriptions.keys().filter(|number| lost.has(**number)).copied().collect();
        for number in leaving {
            self.lanes.remove_subscription(number);
            if let Some(subscription) = self.subscriptions.remove(&number) {
                self.numbers.remove(&subscription.id);
            }
        }
        if let Some(job) = self.unsent.take_if(|job| lost.has(job.number())) {
            // Nothing of it has been sent: its next owner sends it.
            self.lanes.withdraw(job.number(), self.shared.clock.now());
        }
        self.load_shards(&gained);
    }

    /// Releases shards that have been given up, once nothing of theirs is out any more.
    fn release(&mut self) {
        let Self { owned, lanes, shared, .. } = self;
        if let Some(shards) = owned.take_released(|shards| lanes.is_settled(shards), Instant::now()) {
            shared.store.release(shards);
        }
    }

    fn set(&mut self, settings: Settings, now: Timestamp) {
        self.settings = self.shared.set(settings);
        self.lanes.set_rules(rules(&self.settings), now);
        for subscription in self.subscriptions.values() {
            self.lanes.put_subscription(subscription.number, self.terms(subscription), now);
        }
    }

    fn terms(&self, subscription: &Subscription) -> Terms {
        Terms {
            enabled: subscription.enabled(),
            ordering: subscription.ordering,
            max_in_flight: subscription.max_in_flight.unwrap_or(self.settings.max_in_flight),
            rate_per_second: subscription.rate_per_second,
        }
    }

    fn put_subscription(&mut self, subscription: Arc<Subscription>, now: Timestamp) {
        let before = self.subscriptions.get(&subscription.number);
        if let Some(before) = before.filter(|before| before.enabled() != subscription.enabled()) {
            self.report_switched(before.id, &subscription);
        }
        self.lanes.put_subscription(subscription.number, self.terms(&subscription), now);
        self.know(subscription);
    }

    fn know(&mut self, subscription: Arc<Subscription>) {
        self.numbers.insert(subscription.id, subscription.number);
        self.subscriptions.insert(subscription.number, subscription);
    }

    /// Gives free senders their next deliveries, a portion at a time: a sender that becomes free meanwhile must not
    /// wait for a thousand strangers. Returns whether there may be more.
    fn begin(&mut self, now: Timestamp) -> bool {
        // Another process may have been given its shards meanwhile.
        if !self.shared.store.may_begin() {
            return false;
        }
        let Self { pool, lanes, subscriptions, unsent, .. } = self;
        let next = || loop {
            let start = lanes.start(now)?;
            if let Some(subscription) = subscriptions.get(&start.delivery.id.subscription_number()) {
                return Some(Arc::new(Job { start, subscription: subscription.clone() }));
            }
        };
        hand_out(unsent, STARTS_AT_ONCE, next, |job| pool.submit(job))
    }

    /// Reads what the lanes want from the store, a portion at a time. Returns whether they want more.
    fn read(&mut self, now: Timestamp) -> Result<bool, StoreError> {
        let mut more = false;
        for _ in 0..READS_AT_ONCE {
            let Some(wanted) = self.lanes.wanted() else { return Ok(more) };
            let found = match self.shared.store.owed_after(wanted.number, wanted.after, wanted.most) {
                Ok(found) => found,
                // The database server is away: what is in memory goes on, and this is read once it is back.
                Err(StoreError::Unavailable(_)) => {
                    self.away = true;
                    return Ok(false);
                }
                Err(error) => return Err(error),
            };
            self.away = false;
            let reading = self.shared.clock.reading();
            let found = found.into_iter().map(|delivery| reading.inward(delivery)).collect();
            self.lanes.read(wanted, found, now);
            more |= self.begin(now);
        }
        Ok(true)
    }

    fn expire(&mut self, now: Timestamp) {
        if !self.shared.store.may_begin() {
            return;
        }
        while let Some(delivery) = self.lanes.expired(now) {
            let reading = self.shared.clock.reading();
            let (delivery, now) = (reading.outward(delivery), reading.wall);
            let Some(subscription) = self.subscriptions.get(&delivery.id.subscription_number()) else { continue };
            let event = self.shared.store.event(delivery.event).ok().flatten();
            let after = Delivery { state: State::Expired, due: now, ..delivery };
            let why = "it was not delivered within `expire_after`";
            let entry = LogEntry::without_attempt(&after, Status::Expired, why, subscription, event.as_ref(), now);
            (self.shared.listener)(Notice::Ended(&entry));
            self.shared.store.finish(AttemptResult { entry, after, disable: None });
        }
    }

    /// Reports that a receiver went down or recovered.
    fn report_transition(&self, number: SubscriptionNumber, transition: Transition) {
        let Some(subscription) = self.subscriptions.get(&number) else { return };
        let (id, waiting) = (subscription.id, self.shared.store.waiting(subscription.id));
        let health = self.shared.store.health(id);
        let (failures, since) = (health.failures, health.failing_since);
        let notice = match transition {
            Transition::Opened(_) => Notice::Down { subscription, failures, since, waiting },
            Transition::Closed => Notice::Back { subscription, waiting },
        };
        (self.shared.listener)(notice);
        match transition {
            Transition::Opened(next) => tracing::warn!(
                "the receiver of {id} is down: {} attempts failed since {}; it is probed next at {}, with one \
                 delivery at a time; {waiting} are waiting",
                failures,
                since.map_or_else(|| "just now".to_owned(), |since| since.to_string()),
                self.shared.clock.reading().outward_time(next),
            ),
            Transition::Closed => {
                tracing::info!("the receiver of {id} recovered; {waiting} waiting deliveries follow in order");
            }
        }
    }

    /// Reports that a subscription was enabled or disabled.
    fn report_switched(&self, id: SubscriptionId, subscription: &Subscription) {
        let Some(reason) = subscription.disabled else { return (self.shared.listener)(Notice::Settled(id)) };
        let waiting = self.shared.store.waiting(id);
        (self.shared.listener)(match reason {
            DisabledReason::ByHand => Notice::Settled(id),
            _ => Notice::Disabled { subscription, reason, waiting },
        });
        tracing::warn!(
            "{} is disabled ({}): its deliveries wait until it is enabled again",
            subscription.id,
            reason.as_str()
        );
    }
}

/// Submits `unsent` and then up to `most` of `next`, until there is none left, or no thread: the system may provide
/// fewer than configured. What got no thread stays in `unsent` and goes first. Returns whether there may be more.
fn hand_out<J>(
    unsent: &mut Option<J>,
    most: usize,
    mut next: impl FnMut() -> Option<J>,
    mut submit: impl FnMut(J) -> Result<(), J>,
) -> bool {
    for _ in 0..most {
        let Some(job) = unsent.take().or_else(&mut next) else { return false };
        if let Err(job) = submit(job) {
            *unsent = Some(job);
            return false;
        }
    }
    true
}

fn rules(settings: &Settings) -> LaneRules {
    let first_probe = settings.retry.nominal_delay(1);
    LaneRules {
        hold: settings.hold,
        threads: settings.threads,
        unrecorded: settings.threads + UNRECORDED_MOST,
        first_probe,
        longest_probe_pause: LONGEST_PROBE_PAUSE.min(settings.retry.max_delay()).max(first_probe),
        bounds: Bounds::default(),
    }
}

/// A subscription's state for the lanes after a start.
fn past(health: Health, last: u64, outstanding: bool) -> Past {
    let down = health.failures >= DOWN;
    let quick = health.failures == 0 && health.answer.is_some_and(|answer| answer <= QUICK);
    Past { last, outstanding, down_since: health.failing_since.filter(|_| down), quick }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deliveries_without_a_thread_go_first_once_there_is_one() {
        let (mut unsent, mut jobs, mut sent) = (None, 1..=5, Vec::new());
        for (threads, begun, left) in [(2, vec![1, 2], Some(3)), (0, vec![], Some(3)), (9, vec![3, 4, 5], None)] {
            sent.clear();
            let submit = |job: u32| {
                if sent.len() >= threads {
                    return Err(job);
                }
                sent.push(job);
                Ok(())
            };
            assert!(!hand_out(&mut unsent, 9, || jobs.next(), submit), "{threads} threads");
            assert_eq!((&sent, unsent), (&begun, left), "{threads} threads");
        }
        let mut jobs = 1..=5;
        assert!(hand_out(&mut unsent, 3, || jobs.next(), |_| Ok(())), "there is more");
        assert_eq!(jobs.next(), Some(4));
    }
}
