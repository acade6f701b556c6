//! Fair share of the pool: how many threads each class of receivers may hold, and which subscription starts next.
//!
//! Knows subscriptions by their numbers and by what is known of their receivers; nothing of deliveries.
//!
//! Invariants, of N threads:
//! - receivers that are not known to be quick hold at most 3/4 N together (5/8 N of a pool of fewer than [`LARGE`];
//!   of a pool of 1 that one); those of which nothing is known at most 1/2 N (1/4 N), until an attempt of theirs
//!   takes longer than a quick one and they count as slow; no attempt to a slow one starts beyond 1/2 N (3/8 N);
//! - the last 1/8 N are reserved for quick receivers with fewer than two attempts in flight: if many that were quick
//!   stop answering at once, they do not take the whole pool;
//! - receivers not known to be quick are not starved by a flood for quick ones: up to 1/8 N, and up to [`FEW`], they
//!   go first, and at every eighth start;
//! - no stranger (nothing is known of it at all) gets a second attempt while another stranger waits for its first,
//!   and second attempts leave half of the strangers' part to strangers that come later;
//! - where there are more strangers than their part has threads, they are tried one after the other once they hold
//!   1/8 N, one in each [moment](MOMENT) for every 64 threads of the pool. The stranger with the most deliveries to
//!   start is tried first, and at every fourth start the next in round robin. So receivers that hang do not take all
//!   threads before it shows which receivers have a backlog.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use super::concurrency_limit::Proof;
use crate::core::time::Timestamp;

/// How long it takes until one more stranger is tried, where some are being tried already.
pub(super) const MOMENT: Duration = Duration::from_millis(25);

/// A pool of so many threads has room for many that are not quick, and for the quick beside them.
const LARGE: usize = 256;
/// Of a large pool, no more of those not known to be quick go before the quick.
const FEW: usize = 16;
/// One stranger in each moment for so many threads, where they are tried one after the other.
const THREADS_A_MOMENT: usize = 64;

/// As what a subscription that could begin a delivery stands in line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// Quick, with fewer than two under way.
    Light,
    /// Quick, with more.
    Heavy,
    /// Not proven, but quick before the last start.
    Known,
    /// Not proven, and nothing under way that would.
    Stranger,
    /// Not proven, with something under way.
    Unproven,
    /// Slow.
    Slow,
}

impl Class {
    pub(super) const fn of(proof: Proof, under_way: usize) -> Self {
        match proof {
            Proof::Quick if under_way < 2 => Self::Light,
            Proof::Quick => Self::Heavy,
            Proof::Known => Self::Known,
            Proof::Unproven if under_way == 0 => Self::Stranger,
            Proof::Unproven => Self::Unproven,
            Proof::Slow => Self::Slow,
        }
    }
}

/// Those of one class who could go on, in turn.
#[derive(Debug, Default)]
#[cfg_attr(test, derive(Clone))]
struct Line {
    waiting: BTreeSet<u32>,
    /// Whose turn it was last.
    last: u32,
}

impl Line {
    fn next(&mut self) -> Option<u32> {
        let behind = self.waiting.range(self.last.saturating_add(1)..).next();
        let number = *behind.or_else(|| self.waiting.first())?;
        self.last = number;
        Some(number)
    }
}

/// How much those could send of which nothing is known.
#[derive(Debug, Default)]
#[cfg_attr(test, derive(Clone))]
struct Needs {
    of: HashMap<u32, usize>,
    sorted: BTreeSet<(usize, u32)>,
}

impl Needs {
    fn set(&mut self, number: u32, need: usize) {
        if self.of.get(&number) != Some(&need) {
            self.remove(number);
            self.of.insert(number, need);
            self.sorted.insert((need, number));
        }
    }

    fn remove(&mut self, number: u32) {
        if let Some(need) = self.of.remove(&number) {
            self.sorted.remove(&(need, number));
        }
    }

    fn greatest(&self) -> Option<u32> {
        self.sorted.last().map(|(_, number)| *number)
    }
}

/// The pool, as it is divided.
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
    /// How many strangers have had their turn.
    tried: u32,
    /// How many strangers may be tried before this, if there are many.
    left: usize,
    next_moment: Timestamp,
}

impl FairShare {
    /// Of a pool of `threads`, 1 and up.
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

    /// How many threads are taken.
    pub(super) const fn taken(&self) -> usize {
        self.quick + self.unproven + self.slow
    }

    /// How many threads are taken by receivers that are not known to be quick.
    pub(super) const fn not_quick(&self) -> usize {
        self.unproven + self.slow
    }

    /// A receiver of which `proof` is known takes a thread.
    pub(super) fn take(&mut self, proof: Proof, now: Timestamp) {
        *self.count(proof) += 1;
        if proof == Proof::Unproven {
            if self.left == 0 || self.is_over(now) {
                (self.left, self.next_moment) = (self.a_moment(), now.plus(MOMENT));
            }
            self.left -= 1;
        }
    }

    /// It gives `count` of them back.
    pub(super) fn give_back(&mut self, proof: Proof, count: usize) {
        let held = self.count(proof);
        *held = held.saturating_sub(count);
        if proof == Proof::Unproven {
            // It did not hang: the next may be tried in its place.
            self.left = (self.left + count).min(self.a_moment());
        }
    }

    /// Something else is known from now on of a receiver that holds `count` threads.
    pub(super) fn change(&mut self, from: Proof, to: Proof, count: usize) {
        let held = self.count(from);
        *held = held.saturating_sub(count);
        *self.count(to) += count;
    }

    /// A subscription gets in line.
    pub(super) fn enter(&mut self, class: Class, number: u32) {
        self.lines[class as usize].waiting.insert(number);
        if class == Class::Stranger {
            self.needs.set(number, 1);
        }
    }

    /// So many deliveries could be sent of a stranger that is in line.
    pub(super) fn need(&mut self, number: u32, need: usize) {
        self.needs.set(number, need);
    }

    /// A subscription leaves the line.
    pub(super) fn leave(&mut self, class: Class, number: u32) {
        self.lines[class as usize].waiting.remove(&number);
        if class == Class::Stranger {
            self.needs.remove(number);
        }
    }

    fn part(&self, eighths: usize) -> usize {
        (self.threads * eighths / 8).max(1)
    }

    /// How many of the threads those may have of which nothing is known, those that are slow, and all that are not
    /// known to be quick.
    fn parts(&self) -> (usize, usize, usize) {
        let (unproven, slow, both) = if self.threads < LARGE { (2, 3, 5) } else { (4, 4, 6) };
        (self.part(unproven), self.part(slow), self.part(both))
    }

    /// Whether there is a thread for one of which nothing is known, or was before the last start.
    fn has_room_for_unproven(&self) -> bool {
        let (unproven, _, both) = self.parts();
        self.unproven < unproven && self.not_quick() < both
    }

    /// Whether there is a thread for a second attempt to one of which nothing is known.
    fn has_room_for_seconds(&self) -> bool {
        let strangers = &self.lines[Class::Stranger as usize].waiting;
        strangers.is_empty() && self.unproven < self.parts().0.div_ceil(2) && self.has_room_for_unproven()
    }

    /// How many strangers are tried in a moment.
    fn a_moment(&self) -> usize {
        (self.threads / THREADS_A_MOMENT).max(1)
    }

    /// Whether the moment is over. The time may have been set back.
    fn is_over(&self, now: Timestamp) -> bool {
        self.next_moment <= now || self.next_moment > now.plus(MOMENT)
    }

    /// Whether strangers are tried one after the other: there are more than there is room for.
    fn is_crowded(&self) -> bool {
        let strangers = self.lines[Class::Stranger as usize].waiting.len();
        self.unproven >= self.part(1) && self.unproven + strangers > self.parts().0
    }

    /// Whether strangers are to wait a moment.
    fn is_early(&self, now: Timestamp) -> bool {
        self.left == 0 && self.is_crowded() && !self.is_over(now)
    }

    /// When the next stranger is tried, if nothing but time is missing.
    pub(super) fn wake(&self) -> Option<Timestamp> {
        let waits = !self.lines[Class::Stranger as usize].waiting.is_empty() && self.left == 0 && self.is_crowded();
        (waits && self.has_room_for_unproven() && self.taken() < self.threads).then_some(self.next_moment)
    }

    /// Whose turn it is, if there is a thread for anybody.
    pub(super) fn next(&mut self, now: Timestamp) -> Option<u32> {
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
    fn of_class(&mut self, class: Class, below: usize, now: Timestamp) -> Option<u32> {
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
