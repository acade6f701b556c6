//! The dispatch loop: feeds the lanes with what happens, and executes what they decide.
//!
//! Runs on the dispatcher's thread. The one place where lanes, store, pool and clock meet; it decides nothing of its own.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::core::attempt::{LogEntry, Status};
use crate::core::delivery::{Delivery, State};
use crate::core::id::SubscriptionId;
use crate::core::subscription::{DisabledReason, Subscription};
use crate::core::time::Timestamp;
use crate::sender::Pool;
use crate::store::{Change, Finish, Health, ReadError};

use super::attempts::{Shared, chance};
use super::inbox::Input;
use super::lanes::{Bounds, LaneRules, Lanes, Past, Standing, Terms, Transition};
use super::monotonic_clock::Reading;
use super::notice::Notice;
use super::settings::Settings;
use super::work::Job;

/// How many ended attempts may wait for the committer before no more are begun than there are threads.
const UNRECORDED_MOST: usize = 4096;
/// How often the store is read before what has happened meanwhile is looked at.
const READS_AT_ONCE: usize = 4;
/// How many attempts are begun before what has happened meanwhile is looked at.
const STARTS_AT_ONCE: usize = 32;
/// How often a thread is asked for where there are too few.
const ASK_FOR_THREAD: Duration = Duration::from_secs(1);
/// The longest pause between two questions to a receiver that is down.
const ASK_MOST: Duration = Duration::from_secs(300);
/// After so many failures without a success, a receiver is taken to be down after a start.
const DOWN: u32 = 10;
/// A receiver whose last answer took no longer is tried first after a start.
const QUICK: Duration = Duration::from_secs(1);

/// The lanes, and whom they belong to.
pub(super) struct DispatchLoop {
    shared: Arc<Shared>,
    pool: Arc<Pool<Arc<Job>>>,
    lanes: Lanes,
    /// What the lanes have begun, and no thread was given for.
    unsent: Option<Arc<Job>>,
    settings: Arc<Settings>,
    subscriptions: HashMap<u32, Arc<Subscription>>,
    numbers: HashMap<SubscriptionId, u32>,
}

impl DispatchLoop {
    pub(super) fn new(shared: Arc<Shared>, pool: Arc<Pool<Arc<Job>>>) -> Self {
        let settings = shared.settings();
        let lanes = Lanes::new(rules(&settings));
        Self { shared, pool, lanes, unsent: None, settings, subscriptions: HashMap::new(), numbers: HashMap::new() }
    }

    /// Begins with the subscriptions that the store has; what they are owed is read as it is needed.
    pub(super) fn take_up(&mut self) {
        let now = self.shared.clock.now();
        let store = self.shared.store.clone();
        for subscription in store.subscriptions() {
            let id = subscription.id;
            let past = past(store.health(id), store.last_sequence(id), store.waiting(id) > 0);
            self.lanes.take_up(subscription.number, self.terms(&subscription), past, now, chance());
            self.know(subscription);
        }
        self.shared.publish(self.lanes.tally());
    }

    /// Works until it is told to stop.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(super) fn run(&mut self) -> Result<(), ReadError> {
        let mut inputs = Vec::new();
        loop {
            let now = self.shared.clock.now();
            self.lanes.wake(now);
            self.expire(now);
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
                        if let Some(turn) = self.lanes.done(after, seen, now, chance()) {
                            self.tell(number, turn);
                        }
                    }
                    Input::Changes(decided, changes) => {
                        let decided = self.shared.clock.reading_of(decided);
                        changes.into_iter().for_each(|change| self.hear(change, &decided, now));
                    }
                    // Who asked may have gone.
                    Input::Ask(ids, answer) => drop(answer.send(self.standings(ids))),
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

    /// How long there is nothing to do, unless something happens; `None` for ever.
    fn idle(&self, now: Timestamp) -> Option<Duration> {
        let limit = self.lanes.next_wake().map(|at| at.since(now));
        // What is due already waits for a sender or for the committer, who will be heard of.
        let limit = limit.filter(|limit| !limit.is_zero());
        // A sender that is free again is heard of, too; that the system has threads again is not.
        let ask = self.unsent.as_ref().map(|_| ASK_FOR_THREAD);
        limit.into_iter().chain(ask).min()
    }

    fn hear(&mut self, change: Change, decided: &Reading, now: Timestamp) {
        match change {
            Change::Owed(deliveries) => {
                deliveries.into_iter().for_each(|delivery| self.lanes.put(decided.inward(delivery), now));
            }
            Change::Subscription(subscription) => self.put_subscription(subscription, now),
            Change::Deleted(id) => {
                (self.shared.listener)(Notice::Settled(id));
                if let Some(number) = self.numbers.remove(&id) {
                    self.subscriptions.remove(&number);
                    self.lanes.remove_subscription(number);
                }
            }
            Change::Cancelled(id) => self.lanes.cancel(id, now),
            Change::Finished(after) => self.lanes.recorded(decided.inward(after), now),
        }
    }

    /// Goes by `settings` from now on.
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
            self.tell_switched(before.id, &subscription);
        }
        self.lanes.put_subscription(subscription.number, self.terms(&subscription), now);
        self.know(subscription);
    }

    fn know(&mut self, subscription: Arc<Subscription>) {
        self.numbers.insert(subscription.id, subscription.number);
        self.subscriptions.insert(subscription.number, subscription);
    }

    /// Hands free senders what has its turn, some of it: whoever has become free meanwhile is not to wait until a
    /// thousand strangers are all served. Tells whether there may be more.
    fn begin(&mut self, now: Timestamp) -> bool {
        let Self { pool, lanes, subscriptions, unsent, .. } = self;
        let next = || loop {
            let start = lanes.start(now)?;
            if let Some(subscription) = subscriptions.get(&start.delivery.id.subscription_number()) {
                return Some(Arc::new(Job { start, subscription: subscription.clone() }));
            }
        };
        hand_out(unsent, STARTS_AT_ONCE, next, |job| pool.submit(job))
    }

    /// Reads what the lanes want of the store, and begins with it. Tells whether they want more.
    fn read(&mut self, now: Timestamp) -> Result<bool, ReadError> {
        let mut more = false;
        for _ in 0..READS_AT_ONCE {
            let Some(wanted) = self.lanes.wanted() else { return Ok(more) };
            let found = self.shared.store.owed_after(wanted.number, wanted.after, wanted.most)?;
            let reading = self.shared.clock.reading();
            let found = found.into_iter().map(|delivery| reading.inward(delivery)).collect();
            self.lanes.read(wanted, found, now);
            more |= self.begin(now);
        }
        Ok(true)
    }

    /// Ends what is no longer wanted.
    fn expire(&mut self, now: Timestamp) {
        while let Some(delivery) = self.lanes.expired(now) {
            let reading = self.shared.clock.reading();
            let (delivery, now) = (reading.outward(delivery), reading.wall);
            let Some(subscription) = self.subscriptions.get(&delivery.id.subscription_number()) else { continue };
            let event = self.shared.store.event(delivery.event).ok().flatten();
            let after = Delivery { state: State::Expired, due: now, ..delivery };
            let why = "it was not delivered in the time in which it was wanted (`expire_after`)";
            let entry = LogEntry::without_attempt(&after, Status::Expired, why, subscription, event.as_ref(), now);
            (self.shared.listener)(Notice::Ended(&entry));
            self.shared.store.finish(Finish { entry, after, disable: None });
        }
    }

    /// Says that a receiver is down, or back.
    fn tell(&self, number: u32, turn: Transition) {
        let Some(subscription) = self.subscriptions.get(&number) else { return };
        let (id, waiting) = (subscription.id, self.shared.store.waiting(subscription.id));
        let health = self.shared.store.health(id);
        let (failures, since) = (health.failures, health.failing_since);
        let notice = match turn {
            Transition::Opened(_) => Notice::Down { subscription, failures, since, waiting },
            Transition::Closed => Notice::Back { subscription, waiting },
        };
        (self.shared.listener)(notice);
        match turn {
            Transition::Opened(next) => tracing::warn!(
                "the receiver of {id} is down: {} attempts failed since {}; it is asked again at {}, by one \
                 delivery at a time, and {waiting} wait",
                failures,
                since.map_or_else(|| "just now".to_owned(), |since| since.to_string()),
                self.shared.clock.reading().outward_time(next),
            ),
            Transition::Closed => tracing::info!("the receiver of {id} is back; {waiting} wait, and flow in order"),
        }
    }

    /// Says that a subscription was enabled or disabled.
    fn tell_switched(&self, id: SubscriptionId, subscription: &Subscription) {
        let Some(reason) = subscription.disabled else { return (self.shared.listener)(Notice::Settled(id)) };
        let waiting = self.shared.store.waiting(id);
        (self.shared.listener)(match reason {
            DisabledReason::ByHand => Notice::Settled(id),
            _ => Notice::Disabled { subscription, reason, waiting },
        });
        tracing::warn!(
            "{} is disabled ({}): what it is owed waits until it is enabled again",
            subscription.id,
            reason.as_str()
        );
    }
}

/// Submits what is left over and then what comes `next`, `most` of it, until there is nothing more, or no thread for it: the
/// system may give fewer than there may be. Then it is left over, and nothing else is begun before it. Tells whether there
/// may be more.
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
    let ask_first = settings.retry.nominal_delay(1);
    LaneRules {
        hold: settings.hold,
        threads: settings.threads,
        unrecorded: settings.threads + UNRECORDED_MOST,
        ask_first,
        ask_most: ASK_MOST.min(settings.retry.max_delay()).max(ask_first),
        bounds: Bounds::default(),
    }
}

/// What the lanes are told of a subscription after a start.
fn past(health: Health, last: u64, owed: bool) -> Past {
    let down = health.failures >= DOWN;
    let quick = health.failures == 0 && health.answer.is_some_and(|answer| answer <= QUICK);
    Past { last, owed, down_since: health.failing_since.filter(|_| down), quick }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_thread_is_given_for_goes_out_first_as_soon_as_there_is_one() {
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
