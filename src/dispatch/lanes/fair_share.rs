//! Fair share of the pool: how many threads each class of receivers may hold, and which subscription starts next.
//!
//! Knows subscriptions by number and by what is known about their receivers; nothing about deliveries.
//!
//! Invariants, for N threads:
//! - receivers not known to be quick hold at most 3/4 N together (5/8 N of a pool of fewer than [`LARGE`]; the one
//!   thread of a pool of 1); unknown receivers hold at most 1/2 N (1/4 N), until one of their attempts takes longer
//!   than a quick one and they count as slow; no attempt to a slow receiver starts beyond 1/2 N (3/8 N);
//! - the last 1/8 N are reserved for quick receivers with fewer than two attempts in flight: many quick receivers
//!   that stop responding at once do not take the whole pool;
//! - a flood for quick receivers does not starve the others: up to 1/8 N, and up to [`FEW`], the others go first, and
//!   at every eighth start;
//! - no stranger (nothing at all is known about it) gets a second attempt while another stranger waits for its first,
//!   and second attempts leave half of the strangers' part to strangers that come later;
//! - if there are more strangers than their part has threads, they are tried one after the other once they hold 1/8
//!   N, one per [moment](MOMENT) and 64 threads of the pool. The stranger with the largest backlog is tried first,
//!   and at every fourth start the next in round robin. So hanging receivers do not take all threads before it shows
//!   which receivers have a backlog.
//!   threads before it shows which receivers have a backlog.

use std::collections::{BTreeSet, HashMap};
use std::ops::Bound;
use std::time::Duration;

use super::concurrency_limit::Proof;
use crate::core::id::SubscriptionNumber;
use crate::core::time::Timestamp;

/// Interval between two strangers, when they are tried one after the other.
pub(super) const MOMENT: Duration = Duration::from_millis(25);

/// A pool of this size has room for many slow receivers and for the quick ones beside them.
const LARGE: usize = 256;
/// In a large pool, no more receivers than this that are not known to be quick go before the quick.
const FEW: usize = 16;
/// One stranger per moment for this many threads, when they are tried one after the other.
const THREADS_A_MOMENT: usize = 64;

/// The class in which a subscription waits for a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// Quick, with fewer than two attempts in flight.
    Light,
    /// Quick, with more.
    Heavy,
    /// Unproven, but quick before the last start.
    Known,
    /// Unproven, with no attempt in flight that would prove it.
    Stranger,
    /// Unproven, with an attempt in flight.
    Unproven,
    /// Slow.
    Slow,
}

impl Class {
    pub(super) const fn of(proof: Proof, in_flight: usize) -> Self {
        match proof {
            Proof::Quick if in_flight < 2 => Self::Light,
            Proof::Quick => Self::Heavy,
            Proof::Known => Self::Known,
            Proof::Unproven if in_flight == 0 => Self::Stranger,
            Proof::Unproven => Self::Unproven,
            Proof::Slow => Self::Slow,
        }
    }
}

/// The waiting subscriptions of one class, in round robin.
#[derive(Debug, Default)]
#[cfg_attr(test, derive(Clone))]
struct Line {
    waiting: BTreeSet<SubscriptionNumber>,
    /// The subscription served last.
    last: SubscriptionNumber,
}

impl Line {
    fn next(&mut self) -> Option<SubscriptionNumber> {
        let behind = self.waiting.range((Bound::Excluded(self.last), Bound::Unbounded)).next();
        let number = *behind.or_else(|| self.waiting.first())?;
        self.last = number;
        Some(number)
    }
}

/// The backlogs of unknown receivers.
#[derive(Debug, Default)]
#[cfg_attr(test, derive(Clone))]
struct Needs {
    of: HashMap<SubscriptionNumber, usize>,
    sorted: BTreeSet<(usize, SubscriptionNumber)>,
}

impl Needs {
    fn set(&mut self, number: SubscriptionNumber, need: usize) {
        if self.of.get(&number) != Some(&need) {
            self.remove(number);
            self.of.insert(number, need);
            self.sorted.insert((need, number));
        }
    }

    fn remove(&mut self, number: SubscriptionNumber) {
        if let Some(need) = self.of.remove(&number) {
            self.sorted.remove(&(need, number));
        }
    }

    fn greatest(&self) -> Option<SubscriptionNumber> {
        self.sorted.last().map(|(_, number)| *number)
    }
}

/// The division of the pool.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub(super) struct FairShare {
    threads: usize,
    quick: usize,
    unproven: usize,
    slow: usize,
    lines: [Line; 6],
    turns: u32,
    needs: Needs,
    /// Number of strangers served.
    tried: u32,
    /// Strangers that may be tried before the moment ends, if there are many.
    left: usize,
    next_moment: Timestamp,
}

impl FairShare {
    /// A pool of `threads`, at least 1.
    pub(super) fn new(threads: usize) -> Self {
        Self {
            threads: threads.max(1),
            quick: 0,
            unproven: 0,
            slow: 0,
            lines: Default::default(),
            turns: 0,
            needs: Needs::default(),
            tried: 0,
            left: 0,
            next_moment: Timestamp::ZERO,
        }
    }

    fn count(&mut self, proof: Proof) -> &mut usize {
        match proof {
            Proof::Quick => &mut self.quick,
            Proof::Unproven | Proof::Known => &mut self.unproven,
            Proof::Slow => &mut self.slow,
        }
    }

    /// Threads taken.
    pub(super) const fn taken(&self) -> usize {
        self.quick + self.unproven + self.slow
    }

    /// Threads taken by receivers not known to be quick.
    pub(super) const fn not_quick(&self) -> usize {
        self.unproven + self.slow
    }

    /// A receiver with this `proof` takes a thread.
    pub(super) fn take(&mut self, proof: Proof, now: Timestamp) {
        *self.count(proof) += 1;
        if proof == Proof::Unproven {
            if self.left == 0 || self.is_over(now) {
                (self.left, self.next_moment) = (self.a_moment(), now.plus(MOMENT));
            }
            self.left -= 1;
        }
    }

    /// Returns `count` threads.
    pub(super) fn give_back(&mut self, proof: Proof, count: usize) {
        let held = self.count(proof);
        *held = held.saturating_sub(count);
        if proof == Proof::Unproven {
            // It did not hang: another may be tried in its place.
            self.left = (self.left + count).min(self.a_moment());
        }
    }

    /// The proof of a receiver that holds `count` threads changes.
    pub(super) fn change(&mut self, from: Proof, to: Proof, count: usize) {
        let held = self.count(from);
        *held = held.saturating_sub(count);
        *self.count(to) += count;
    }

    /// A subscription starts waiting.
    pub(super) fn enter(&mut self, class: Class, number: SubscriptionNumber) {
        self.lines[class as usize].waiting.insert(number);
        if class == Class::Stranger {
            self.needs.set(number, 1);
        }
    }

    /// The number of deliveries that could start for a waiting stranger.
    pub(super) fn need(&mut self, number: SubscriptionNumber, need: usize) {
        self.needs.set(number, need);
    }

    /// A subscription stops waiting.
    pub(super) fn leave(&mut self, class: Class, number: SubscriptionNumber) {
        self.lines[class as usize].waiting.remove(&number);
        if class == Class::Stranger {
            self.needs.remove(number);
        }
    }

    fn part(&self, eighths: usize) -> usize {
        (self.threads * eighths / 8).max(1)
    }

    /// Maximum threads of unknown receivers, of slow ones, and of all that are not known to be quick.
    fn parts(&self) -> (usize, usize, usize) {
        let (unproven, slow, both) = if self.threads < LARGE { (2, 3, 5) } else { (4, 4, 6) };
        (self.part(unproven), self.part(slow), self.part(both))
    }

    /// Whether there is a thread for a receiver that is unknown, or was before the last start.
    fn has_room_for_unproven(&self) -> bool {
        let (unproven, _, both) = self.parts();
        self.unproven < unproven && self.not_quick() < both
    }

    /// Whether there is a thread for a second attempt to an unknown receiver.
    fn has_room_for_seconds(&self) -> bool {
        let strangers = &self.lines[Class::Stranger as usize].waiting;
        strangers.is_empty() && self.unproven < self.parts().0.div_ceil(2) && self.has_room_for_unproven()
    }

    /// The number of strangers tried per moment.
    fn a_moment(&self) -> usize {
        (self.threads / THREADS_A_MOMENT).max(1)
    }

    /// Whether the moment has ended. The time may have been set back.
    fn is_over(&self, now: Timestamp) -> bool {
        self.next_moment <= now || self.next_moment > now.plus(MOMENT)
    }

    /// Whether strangers are tried one after the other: there are more than there is room for.
    fn is_crowded(&self) -> bool {
        let strangers = self.lines[Class::Stranger as usize].waiting.len();
        self.unproven >= self.part(1) && self.unproven + strangers > self.parts().0
    }

    /// Whether strangers must wait for the next moment.
    fn is_early(&self, now: Timestamp) -> bool {
        self.left == 0 && self.is_crowded() && !self.is_over(now)
    }

    /// When the next stranger may be tried, if only time is missing.
    pub(super) fn wake(&self) -> Option<Timestamp> {
        let waits = !self.lines[Class::Stranger as usize].waiting.is_empty() && self.left == 0 && self.is_crowded();
        (waits && self.has_room_for_unproven() && self.taken() < self.threads).then_some(self.next_moment)
    }

    /// The subscription that starts next, if there is a thread for it.
    pub(super) fn next(&mut self, now: Timestamp) -> Option<SubscriptionNumber> {
        if self.taken() >= self.threads {
            return None;
        }
        self.turns = self.turns.wrapping_add(1);
        let few = if self.turns.is_multiple_of(8) { usize::MAX } else { (self.threads / 8).min(FEW) };
        let order = [
            (Class::Known, few),
            (Class::Stranger, few),
            (Class::Unproven, few),
            (Class::Slow, few),
            (Class::Light, usize::MAX),
            (Class::Heavy, usize::MAX),
            (Class::Known, usize::MAX),
            (Class::Stranger, usize::MAX),
            (Class::Unproven, usize::MAX),
            (Class::Slow, usize::MAX),
        ];
        order.into_iter().find_map(|(class, below)| self.of_class(class, below, now))
    }

    /// The next of `class`, if the class has room and holds fewer than `below` threads.
    fn of_class(&mut self, class: Class, below: usize, now: Timestamp) -> Option<SubscriptionNumber> {
        let threads = self.threads;
        let (held, room) = match class {
            Class::Light => (self.quick, true),
            Class::Heavy => (self.quick, self.taken() < threads - threads / 8),
            Class::Known => (self.unproven, self.has_room_for_unproven()),
            Class::Stranger => (self.unproven, self.has_room_for_unproven() && !self.is_early(now)),
            Class::Unproven => (self.unproven, self.has_room_for_seconds()),
            Class::Slow => (self.slow, self.slow < self.parts().1 && self.not_quick() < self.parts().2),
        };
        if !room || held >= below {
            return None;
        }
        if class == Class::Stranger {
            self.tried = self.tried.wrapping_add(1);
            if !self.tried.is_multiple_of(4) {
                return self.needs.greatest();
            }
        }
        self.lines[class as usize].next()
    }
}

#[cfg(test)]
mod tests;
