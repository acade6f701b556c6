//! Test of every order in which the lanes can learn what happens to one delivery.
//!
//! They have three inputs: what the store has made durable, in its order; ended attempts; and reads, which may be
//! ahead of notifications. Their interleaving is not defined, so all interleavings are tried. In each, what the store
//! finally reports as outstanding is sent, nothing is sent twice at once, and nothing stays behind in the lanes.

use std::collections::{HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use super::*;
use crate::core::delivery::{self, State};
use crate::core::subscription::Ordering;

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
const LATE: Timestamp = Timestamp::from_millis(1_790_000_600_000);
const TERMS: Terms = Terms { enabled: true, ordering: Ordering::Call, max_in_flight: 4, rate_per_second: None };

/// Actions by hand or by the clock, in the order of a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hand {
    /// `POST /deliveries/{id}/retry`.
    Retry,
    /// `POST /deliveries/{id}/cancel`.
    Cancel,
    /// Put back by a replay, unless outstanding anyway.
    Replay,
    /// The subscription is disabled.
    Disable,
    Enable,
    /// The subscription is deleted and its deliveries cancelled.
    Delete,
    /// `expire_after` has passed.
    Late,
}

/// How an attempt ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Retried immediately.
    Again,
    /// Finally: a dead letter, or expired.
    Over,
}

/// A notification from the store.
#[derive(Debug, Clone)]
enum Notification {
    Owed(Delivery),
    Cancelled(DeliveryId),
    Finished(Delivery),
    Terms(Terms),
    Deleted,
}

/// One possible next step.
#[derive(Debug, Clone, Copy)]
enum Move {
    Hand,
    /// The attempt in flight ends; store and lanes are notified.
    End,
    /// The store makes the oldest result durable.
    Commit,
    ReceiveChange,
    HearEnd,
    Start,
    Read,
    Expire,
}

const MOVES: [Move; 8] =
    [Move::Hand, Move::End, Move::Commit, Move::ReceiveChange, Move::HearEnd, Move::Start, Move::Read, Move::Expire];

#[derive(Debug, Clone)]
struct World {
    lanes: Lanes,
    now: Timestamp,
    hands: VecDeque<Hand>,
    ends: VecDeque<End>,
    /// The store's outstanding delivery.
    stored: Option<Delivery>,
    /// Its last final state, for a retry by hand.
    over: Option<Delivery>,
    deleted: bool,
    results: VecDeque<Delivery>,
    changes: VecDeque<Notification>,
    ended: VecDeque<Delivery>,
    in_flight: Option<Delivery>,
}

impl World {
    /// `read`: it existed before the start and must be read from the store.
    fn new(read: bool, hands: &[Hand], ends: &[End]) -> Self {
        let delivery = Delivery {
            expire_at: Some(LATE),
            ..Delivery::for_test(DeliveryId::new(NOW, SubscriptionNumber::FIRST, 1))
        };
        let (first_probe, longest_probe_pause) = (Duration::ZERO, Duration::ZERO);
        let bounds = Bounds::default();
        let mut lanes = Lanes::new(LaneRules {
            hold: Duration::ZERO,
            threads: 8,
            unrecorded: 8,
            first_probe,
            longest_probe_pause,
            bounds,
        });
        let past = if read { Past { last: 1, outstanding: true, ..Past::default() } } else { Past::default() };
        lanes.load(SubscriptionNumber::FIRST, TERMS, past, NOW, 0.5);
        let outstanding = Notification::Owed(delivery.clone());
        Self {
            lanes,
            now: NOW,
            hands: hands.iter().copied().collect(),
            ends: ends.iter().copied().collect(),
            stored: Some(delivery),
            over: None,
            deleted: false,
            results: VecDeque::new(),
            changes: (!read).then_some(outstanding).into_iter().collect(),
            ended: VecDeque::new(),
            in_flight: None,
        }
    }

    /// The world after this step; `None` if the step is impossible now.
    fn after(&self, next: Move) -> Option<Self> {
        let mut world = self.clone();
        world.make(next).then_some(world)
    }

    fn make(&mut self, next: Move) -> bool {
        match next {
            Move::Hand => self.hands.pop_front().map(|hand| self.hand(hand)).is_some(),
            Move::End => self.in_flight.take().map(|delivery| self.end(delivery)).is_some(),
            Move::Commit => self.results.pop_front().map(|after| self.commit(after)).is_some(),
            Move::ReceiveChange => self.changes.pop_front().map(|notification| self.receive(notification)).is_some(),
            Move::HearEnd => self.ended.pop_front().map(|after| self.hear_end(after)).is_some(),
            Move::Start => self.start(),
            Move::Read => self.read(),
            Move::Expire => self.expire(),
        }
    }

    fn hand(&mut self, hand: Hand) {
        match hand {
            Hand::Retry if !self.deleted => {
                let outstanding = self.stored.clone();
                let Some(found) = outstanding.or_else(|| self.over.clone()) else { return };
                let state = if found.attempts == 0 { State::Pending } else { State::Retrying };
                let first_failed_at = found.first_failed_at.filter(|_| found.state.is_owed());
                self.accept(Delivery {
                    state,
                    due: self.now,
                    expire_at: None,
                    replay: false,
                    first_failed_at,
                    ..found
                });
            }
            Hand::Replay if !self.deleted && self.stored.is_none() => {
                let Some(found) = self.over.clone() else { return };
                let (state, attempts, first_failed_at) = (State::Pending, 0, None);
                let due = self.now;
                self.accept(Delivery { state, attempts, due, expire_at: None, replay: true, first_failed_at, ..found });
            }
            Hand::Cancel => self.cancel(),
            Hand::Disable if !self.deleted => {
                self.changes.push_back(Notification::Terms(Terms { enabled: false, ..TERMS }));
            }
            Hand::Enable if !self.deleted => self.changes.push_back(Notification::Terms(TERMS)),
            Hand::Delete if !self.deleted => {
                self.deleted = true;
                self.changes.push_back(Notification::Deleted);
                self.cancel();
            }
            Hand::Late => self.now = LATE,
            _ => {}
        }
    }

    fn accept(&mut self, delivery: Delivery) {
        self.stored = Some(delivery.clone());
        self.changes.push_back(Notification::Owed(delivery));
    }

    fn cancel(&mut self) {
        if let Some(outstanding) = self.stored.take() {
            self.changes.push_back(Notification::Cancelled(outstanding.id));
            self.over = Some(Delivery { state: State::Cancelled, ..outstanding });
        }
    }

    fn end(&mut self, before: Delivery) {
        let state = match self.ends.pop_front() {
            None => State::Delivered,
            Some(End::Again) => State::Retrying,
            Some(End::Over) if before.expire_at.is_some_and(|at| at <= self.now) => State::Expired,
            Some(End::Over) => State::Failed,
        };
        let after = Delivery {
            state,
            attempts: before.attempts + 1,
            due: self.now,
            first_failed_at: before.first_failed_at.or(Some(self.now)),
            ..before
        };
        self.results.push_back(after.clone());
        self.ended.push_back(after);
    }

    fn commit(&mut self, after: Delivery) {
        let after = delivery::recorded(self.stored.as_ref(), after, self.now);
        if self.stored.is_some() {
            self.stored = after.state.is_owed().then(|| after.clone());
            self.over = (!after.state.is_owed()).then(|| after.clone());
        }
        self.changes.push_back(Notification::Finished(after));
    }

    fn receive(&mut self, notification: Notification) {
        match notification {
            Notification::Owed(delivery) => self.lanes.put(delivery, self.now),
            Notification::Cancelled(id) => self.lanes.cancel(id, self.now),
            Notification::Finished(after) => self.lanes.recorded(after, self.now),
            Notification::Terms(terms) => self.lanes.put_subscription(SubscriptionNumber::FIRST, terms, self.now),
            Notification::Deleted => self.lanes.remove_subscription(SubscriptionNumber::FIRST),
        }
    }

    fn hear_end(&mut self, after: Delivery) {
        let kind = if after.state == State::Delivered { Kind::Success } else { Kind::Refusal };
        self.lanes.done(after, Seen { kind, duration: Duration::from_millis(5), wait: None }, self.now, 0.5);
    }

    fn start(&mut self) -> bool {
        let Some(start) = self.lanes.start(self.now) else { return false };
        assert!(self.in_flight.is_none() && self.ended.is_empty(), "sent twice at once: {self:#?}");
        let quiet = self.results.is_empty() && self.changes.is_empty();
        assert!(!quiet || self.stored.is_some(), "sent although not outstanding: {self:#?}");
        self.in_flight = Some(start.delivery);
        true
    }

    fn read(&mut self) -> bool {
        let Some(wanted) = self.lanes.wanted() else { return false };
        let found =
            self.stored.iter().filter(|outstanding| outstanding.id.sequence() > wanted.after).cloned().collect();
        self.lanes.read(wanted, found, self.now);
        true
    }

    fn expire(&mut self) -> bool {
        let Some(expired) = self.lanes.expired(self.now) else { return false };
        self.results.push_back(Delivery { state: State::Expired, ..expired });
        true
    }

    fn must_be_done(&self) {
        assert!(self.stored.is_none(), "outstanding, but not sent: {self:#?}");
        let lanes = &self.lanes;
        assert!(lanes.held == 0 && lanes.share.taken() == 0 && lanes.unrecorded == 0, "{self:#?}");
        assert!(lanes.queues.values().all(Queue::is_at_rest), "{self:#?}");
    }

    fn mark(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        format!("{self:?}").hash(&mut hasher);
        hasher.finish()
    }
}

/// Explores everything reachable from `world`; returns the number of distinct worlds.
fn go_through(world: World) -> usize {
    let mut seen = HashSet::from([world.mark()]);
    let mut open = vec![world];
    while let Some(world) = open.pop() {
        let mut next = MOVES.iter().filter_map(|next| world.after(*next)).peekable();
        if next.peek().is_none() {
            world.must_be_done();
        }
        for world in next {
            if seen.insert(world.mark()) {
                open.push(world);
            }
        }
    }
    seen.len()
}

const HANDS: [Hand; 5] = [Hand::Retry, Hand::Cancel, Hand::Replay, Hand::Late, Hand::Disable];

fn go_through_all(hands: &[Hand], ends: &[&[End]]) -> usize {
    // A disabled subscription is enabled in the end, or it may wait for ever.
    let mut hands = hands.to_vec();
    if hands.iter().rev().find(|hand| [Hand::Disable, Hand::Enable].contains(hand)) == Some(&Hand::Disable) {
        hands.push(Hand::Enable);
    }
    let worlds = ends.iter().flat_map(|ends| [false, true].map(|read| World::new(read, &hands, ends)));
    worlds.map(go_through).sum()
}

#[test]
fn in_any_order_every_delivery_is_sent() {
    use End::{Again, Over};
    let all: [&[End]; 5] = [&[], &[Again], &[Over], &[Again, Over], &[Over, Over]];
    let mut worlds = go_through_all(&[], &all);
    for first in HANDS {
        worlds += go_through_all(&[first], &all);
        worlds += go_through_all(&[first, Hand::Delete], &all);
        for second in HANDS {
            worlds += go_through_all(&[first, second], &[&[], &[Over], &[Again, Over]]);
        }
    }
    assert!(worlds > 10_000, "only {worlds} worlds");
}

#[test]
fn in_any_order_of_three_manual_actions_every_delivery_is_sent() {
    let hands = [Hand::Retry, Hand::Cancel, Hand::Replay];
    let mut worlds = 0;
    for first in hands {
        for second in hands {
            for third in hands {
                worlds += go_through_all(&[first, second, third], &[&[], &[End::Over]]);
            }
        }
    }
    assert!(worlds > 10_000, "only {worlds} worlds");
}

/// Removes one of `waiting` at random; those of one delivery keep their order.
fn any(waiting: &mut Vec<Delivery>, chance: &mut u64) -> Option<Delivery> {
    *chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    let id = waiting.get((*chance >> 33) as usize % waiting.len().max(1))?.id;
    let oldest = waiting.iter().position(|delivery| delivery.id == id)?;
    Some(waiting.remove(oldest))
}

#[test]
fn in_a_hundred_thousand_deliveries_nothing_drifts() {
    // Enough to detect a counter that drifts.
    const DELIVERIES: u64 = 100_000;
    const UNRECORDED: usize = 64;
    // Everything fits in memory: nothing is read.
    let (ask, bounds) = (Duration::ZERO, Bounds { least: 256, ..Bounds::default() });
    let rules = LaneRules {
        hold: ask,
        threads: 32,
        unrecorded: UNRECORDED,
        first_probe: ask,
        longest_probe_pause: ask,
        bounds,
    };
    let mut lanes = Lanes::new(rules);
    let terms = Terms { ordering: Ordering::None, max_in_flight: 32, ..TERMS };
    lanes.put_subscription(SubscriptionNumber::FIRST, terms, NOW);
    let first = World::new(false, &[], &[]).stored.unwrap();
    let (mut put, mut sent, mut chance) = (0, 0, 7);
    // Ends and records of attempts, delivered in any order.
    let (mut ends, mut records): (Vec<Delivery>, Vec<Delivery>) = Default::default();
    while sent < DELIVERIES || !records.is_empty() || !ends.is_empty() {
        while put < DELIVERIES && put < sent + 100 {
            put += 1;
            lanes.put(
                Delivery { id: DeliveryId::new(NOW, SubscriptionNumber::FIRST, put), expire_at: None, ..first.clone() },
                NOW,
            );
        }
        while let Some(Start { delivery, .. }) = lanes.start(NOW) {
            let state = if delivery.attempts == 0 && sent % 7 == 0 { State::Retrying } else { State::Delivered };
            sent += u64::from(!state.is_owed());
            let after = Delivery { state, attempts: delivery.attempts + 1, ..delivery };
            ends.push(after.clone());
            records.push(after);
        }
        assert!(records.len() <= UNRECORDED, "{} are unrecorded", records.len());
        assert!(!records.is_empty() || !ends.is_empty(), "nothing starts after {sent}");
        if let Some(after) = any(&mut ends, &mut chance) {
            // Success keeps the circuit breaker closed, so that no time has to pass.
            let seen = Seen { kind: Kind::Success, duration: Duration::from_millis(5), wait: None };
            lanes.done(after, seen, NOW, 0.5);
        }
        if let Some(after) = any(&mut records, &mut chance) {
            lanes.recorded(after, NOW);
        }
    }
    assert_eq!((put, lanes.unrecorded, lanes.held, lanes.share.taken()), (DELIVERIES, 0, 0, 0));
    assert!(lanes.queues.values().all(Queue::is_at_rest));
}
