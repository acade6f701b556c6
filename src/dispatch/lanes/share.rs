//! Who may have how much of the pool, and whose turn it is among those who could go on.
//!
//! Knows subscriptions by their numbers and by what is known of their receivers; nothing of deliveries.
//!
//! Always, of N threads:
//! - receivers that are not known to be quick hold at most 5/8 N together (of 1 thread: that one);
//!   those of which nothing is known at most 1/4 N, until one of theirs takes longer than a quick
//!   answer does and counts as slow; none slow is begun beyond 3/8 N;
//! - the last 1/8 N are for quick receivers that have fewer than two under way: if many that were
//!   quick stop answering at once, they do not take the whole pool with them;
//! - those not known to be quick are not shut out by a flood for the quick: up to 1/8 N they go
//!   first, and at every eighth turn;
//! - strangers, of which nothing is known at all, are tried one after the other, [a moment](MOMENT) apart, once they
//!   hold 1/8 N. Whoever has most that could be sent is tried first, and at every fourth turn whose turn it is. So
//!   those that hang, if there are many, have not taken all that is to be had before it shows who is in need.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use super::pace::Proof;
use crate::core::time::Timestamp;

/// How long it takes until one more stranger is tried, where some are being tried already.
pub(super) const MOMENT: Duration = Duration::from_millis(25);

/// As what a subscription that could begin a delivery stands in line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// Quick, with fewer than two under way.
    Light,
    /// Quick, with more.
    Heavy,
    /// Not proven, but quick before the last start.
    Known,
    /// Not proven.
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
pub(super) struct Share {
    threads: usize,
    quick: usize,
    unproven: usize,
    slow: usize,
    lines: [Line; 5],
    turns: u32,
    needs: Needs,
    /// How many strangers have had their turn.
    tried: u32,
    /// When the next stranger may be tried, if there are many.
    next_stranger: Timestamp,
}

impl Share {
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
            next_stranger: Timestamp::ZERO,
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
            self.next_stranger = now.plus(MOMENT);
        }
    }

    /// It gives `count` of them back.
    pub(super) fn give_back(&mut self, proof: Proof, count: usize) {
        let held = self.count(proof);
        *held = held.saturating_sub(count);
        if proof == Proof::Unproven {
            // It did not hang: the next may be tried in its place.
            self.next_stranger = Timestamp::ZERO;
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
        if class == Class::Unproven {
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
        if class == Class::Unproven {
            self.needs.remove(number);
        }
    }

    fn part(&self, eighths: usize) -> usize {
        (self.threads * eighths / 8).max(1)
    }

    /// Whether there is a thread for one of which nothing is known, or was before the last start.
    fn has_room_for_unproven(&self) -> bool {
        self.unproven < self.part(2) && self.not_quick() < self.part(5)
    }

    /// Whether strangers are to wait a moment. The time may have been set back.
    fn is_early(&self, now: Timestamp) -> bool {
        self.unproven >= self.part(1) && self.next_stranger > now && self.next_stranger <= now.plus(MOMENT)
    }

    /// When the next stranger is tried, if nothing but time is missing.
    pub(super) fn wake(&self) -> Option<Timestamp> {
        let waits = !self.lines[Class::Unproven as usize].waiting.is_empty() && self.unproven >= self.part(1);
        (waits && self.has_room_for_unproven() && self.taken() < self.threads).then_some(self.next_stranger)
    }

    /// Whose turn it is, if there is a thread for anybody.
    pub(super) fn next(&mut self, now: Timestamp) -> Option<u32> {
        if self.taken() >= self.threads {
            return None;
        }
        self.turns = self.turns.wrapping_add(1);
        let few = if self.turns.is_multiple_of(8) { usize::MAX } else { self.threads / 8 };
        let order = [
            (Class::Known, few),
            (Class::Unproven, few),
            (Class::Slow, few),
            (Class::Light, usize::MAX),
            (Class::Heavy, usize::MAX),
            (Class::Known, usize::MAX),
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
            Class::Unproven => (self.unproven, self.has_room_for_unproven() && !self.is_early(now)),
            Class::Slow => (self.slow, self.slow < self.part(3) && self.not_quick() < self.part(5)),
        };
        if !room || held >= below {
            return None;
        }
        if class == Class::Unproven {
            self.tried = self.tried.wrapping_add(1);
            if !self.tried.is_multiple_of(4) {
                return self.needs.greatest();
            }
        }
        self.lines[class as usize].next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

    /// Takes all that may be taken while everybody in `lines` always wants more.
    fn fill(threads: usize, lines: &[(Proof, u32)]) -> (Share, Vec<u32>) {
        let (mut share, mut now) = (Share::new(threads), NOW);
        for (number, (proof, _)) in lines.iter().enumerate() {
            share.enter(Class::of(*proof, 0), number as u32);
        }
        let mut taken = vec![0; lines.len()];
        while let Some(number) = share.next(now) {
            let (proof, _) = lines[number as usize];
            let held = &mut taken[number as usize];
            share.leave(Class::of(proof, *held as usize), number);
            *held += 1;
            share.take(proof, now);
            share.enter(Class::of(proof, *held as usize), number);
            now = share.wake().unwrap_or(now);
        }
        (share, taken)
    }

    #[test]
    fn those_that_are_not_quick_never_take_the_whole_pool() {
        for threads in [2, 3, 4, 8, 16, 64, 1024] {
            for lines in [vec![(Proof::Unproven, 0); 9], vec![(Proof::Slow, 0); 9], vec![(Proof::Known, 0); 9]] {
                let (share, _) = fill(threads, &lines);
                assert!(share.taken() >= 1 && share.taken() < threads, "{} of {threads}", share.taken());
            }
            let (mut share, _) = fill(threads, &[(Proof::Unproven, 0), (Proof::Slow, 0)]);
            // What was unproven drags, and more of it is begun.
            share.change(Proof::Unproven, Proof::Slow, share.unproven);
            let mut now = NOW.plus(MOMENT * 1000);
            while let Some(_number) = share.next(now) {
                share.take(Proof::Unproven, now);
                now = share.wake().unwrap_or(now);
            }
            assert!(share.taken() < threads, "{} of {threads}", share.taken());
        }
        let (share, _) = fill(1, &[(Proof::Slow, 0)]);
        assert_eq!(share.taken(), 1, "one thread is for everybody");
    }

    #[test]
    fn heavy_users_leave_room_for_light_ones() {
        let (mut share, taken) = fill(64, &[(Proof::Quick, 0), (Proof::Quick, 0)]);
        assert_eq!(taken, [28, 28]);
        share.enter(Class::Light, 7);
        assert_eq!(share.next(NOW), Some(7));
    }

    #[test]
    fn nobody_is_shut_out_by_the_quick() {
        for threads in [1, 2, 8, 64] {
            let mut share = Share::new(threads);
            for (class, number) in [(Class::Light, 1), (Class::Heavy, 2), (Class::Unproven, 3), (Class::Slow, 4)] {
                share.enter(class, number);
            }
            let mut turns = [0; 5];
            for _ in 0..64 {
                let number = share.next(NOW).unwrap_or_default() as usize;
                turns[number] += 1;
                if number == 3 {
                    // Proven by now, so that the slow one comes next.
                    share.leave(Class::Unproven, 3);
                }
            }
            assert!(turns[3] == 1 && turns[4] > 0, "{threads} threads: {turns:?}");
            assert!(threads < 8 || turns[4] > 0, "{turns:?}");
        }
    }

    #[test]
    fn of_many_strangers_those_in_need_are_tried_before_those_that_hang_have_taken_all() {
        let (mut share, mut now) = (Share::new(64), NOW);
        for number in 0..300 {
            share.enter(Class::Unproven, number);
        }
        let mut at_once = 0;
        while let Some(number) = share.next(now) {
            share.leave(Class::Unproven, number);
            share.take(Proof::Unproven, now);
            at_once += 1;
        }
        assert_eq!(at_once, 8);
        assert_eq!(share.wake(), Some(now.plus(MOMENT)));
        // Twenty more, of which more is to be sent by now; they answer at once.
        let needy = 1_000..1_020;
        for number in needy.clone() {
            share.enter(Class::Unproven, number);
            share.need(number, 2);
        }
        let mut found = 0;
        while let Some(at) = share.wake().filter(|_| found < needy.len()) {
            now = at;
            while let Some(number) = share.next(now) {
                share.leave(Class::Unproven, number);
                share.take(Proof::Unproven, now);
                if needy.contains(&number) {
                    share.give_back(Proof::Unproven, 1);
                    found += 1;
                }
            }
        }
        assert_eq!(found, needy.len(), "before there was no room any more");
        assert!(now.since(NOW) <= MOMENT * 30, "{:?}", now.since(NOW));
        // A clock that was set back does not keep anybody waiting.
        assert!(share.next(Timestamp::from_millis(5)).is_some() || !share.has_room_for_unproven());
    }
}
