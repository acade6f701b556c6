//! What other processes do that work on the same store: accept, and send for subscriptions that were given to them.

use super::*;

impl World {
    /// Two are accepted elsewhere, and the lanes hear of the second first.
    pub(super) fn accept_two(&mut self) {
        let number = self.number();
        let (first, second) = (self.new_delivery(number), self.new_delivery(number));
        self.store(&first);
        self.track(second);
        self.go_on();
        self.lanes.put(first, self.now);
    }

    /// A subscription is given to another process, or comes back from it.
    pub(super) fn hand_over(&mut self) {
        let number = self.number();
        if self.away.insert(number) {
            self.lanes.remove_subscription(number);
        } else {
            self.come_back(number);
        }
    }

    pub(super) fn come_back(&mut self, number: SubscriptionNumber) {
        self.away.remove(&number);
        let past = self.past(number);
        self.lanes.load(number, self.terms[&number], past, self.now, self.chance.part());
    }

    /// Another process delivers what it has been given.
    pub(super) fn end_elsewhere(&mut self) {
        let is_elsewhere = |(at, truth): &(&Key, &Truth)| self.away.contains(&at.0) && !truth.in_flight;
        let its: Vec<Key> = self.outstanding.iter().filter(is_elsewhere).map(|(at, _)| *at).collect();
        for at in its.into_iter().filter(|at| !self.records.iter().any(|record| key(record) == *at)).take(5) {
            self.outstanding.remove(&at);
            self.stored.remove(&at);
            self.ended += 1;
        }
    }

    /// What is known of a subscription that the lanes have not.
    fn past(&mut self, number: SubscriptionNumber) -> Past {
        let outstanding = self.stored.range((number, 0)..=(number, u64::MAX)).next().is_some();
        let down_since = self.chance.of(1, 3).then_some(self.now);
        let last = self.last.get(&number).copied().unwrap_or(0);
        Past { last, outstanding, down_since, quick: self.chance.of(1, 2) }
    }
}
