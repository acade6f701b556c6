use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
const SIZES: [usize; 6] = [1, 2, 8, 64, 2_048, 8_192];

fn n(number: u32) -> SubscriptionNumber {
    SubscriptionNumber::new(number)
}

/// Subscriptions, and the threads they hold of a pool.
struct World {
    share: FairShare,
    now: Timestamp,
    /// For each: its proof, its maximum number of attempts, and its number of attempts.
    receivers: BTreeMap<u32, (Proof, usize, usize)>,
}

impl World {
    fn new(threads: usize) -> Self {
        Self { share: FairShare::new(threads), now: NOW, receivers: BTreeMap::new() }
    }

    fn add(&mut self, proof: Proof, most: usize, count: u32) {
        let first = self.receivers.len() as u32;
        for number in first..first + count {
            self.receivers.insert(number, (proof, most, 0));
            self.line_up(number);
        }
    }

    fn class(&self, number: u32) -> Option<Class> {
        let (proof, most, held) = self.receivers[&number];
        (held < most).then(|| Class::of(proof, held))
    }

    fn line_up(&mut self, number: u32) {
        if let Some(class) = self.class(number) {
            self.share.enter(class, n(number));
        }
    }

    fn leave(&mut self, number: u32) {
        if let Some(class) = self.class(number) {
            self.share.leave(class, n(number));
        }
    }

    /// Starts one more attempt if possible; returns its subscription.
    fn take(&mut self) -> Option<u32> {
        let number = self.share.next(self.now)?.get();
        self.leave(number);
        let (proof, _, held) = self.receivers.get_mut(&number).unwrap();
        *held += 1;
        self.share.take(*proof, self.now);
        self.line_up(number);
        Some(number)
    }

    /// Starts everything that may start now and, with `wait`, in the moments after.
    fn fill(&mut self, wait: bool) -> usize {
        let mut taken = 0;
        loop {
            while self.take().is_some() {
                taken += 1;
            }
            match self.share.wake().filter(|_| wait) {
                Some(at) => self.now = self.now.max(at),
                None => return taken,
            }
        }
    }

    fn end(&mut self, number: u32) {
        if self.receivers[&number].2 > 0 {
            self.leave(number);
            let (proof, _, held) = self.receivers.get_mut(&number).unwrap();
            *held -= 1;
            self.share.give_back(*proof, 1);
            self.line_up(number);
        }
    }

    fn prove(&mut self, number: u32, proof: Proof) {
        self.leave(number);
        let (before, _, held) = self.receivers.get_mut(&number).unwrap();
        self.share.change(*before, proof, *held);
        *before = proof;
        self.line_up(number);
    }

    fn held(&self, of: impl Fn(Proof) -> bool) -> usize {
        self.receivers.values().filter(|(proof, ..)| of(*proof)).map(|(.., held)| held).sum()
    }
}

/// A pool's parts as documented: for unproven, for slow, for both.
fn parts(threads: usize) -> (usize, usize, usize) {
    let eighths = |small: usize, large| (threads * if threads < 256 { small } else { large } / 8).max(1);
    (eighths(2, 4), eighths(3, 4), eighths(5, 6))
}

#[test]
fn those_that_are_not_quick_never_take_the_whole_pool() {
    for threads in [2, 3, 4, 8, 16, 64, 255, 256, 1_024, 2_048, 8_192] {
        let (unproven, slow, both) = parts(threads);
        for (proof, part) in [(Proof::Unproven, unproven), (Proof::Slow, slow), (Proof::Known, unproven)] {
            let mut world = World::new(threads);
            world.add(proof, 1, 20_000);
            assert_eq!(world.fill(true), part, "{proof:?} of {threads}");
            assert!(part < threads);
        }
        let mut world = World::new(threads);
        world.add(Proof::Unproven, 1, 10_000);
        world.add(Proof::Slow, 10_000, 10);
        world.fill(true);
        // Unproven ones drag, and more are started.
        for number in 0..10_000 {
            world.prove(number, if world.receivers[&number].2 > 0 { Proof::Slow } else { Proof::Unproven });
        }
        world.fill(true);
        assert!((both.min(unproven + slow)..=both).contains(&world.share.not_quick()), "{threads}");
        assert!(world.share.taken() < threads, "{} of {threads}", world.share.taken());
    }
    let mut world = World::new(1);
    world.add(Proof::Slow, 9, 1);
    assert_eq!(world.fill(true), 1, "one thread is open to all");
}

#[test]
fn heavy_subscriptions_leave_threads_for_light_ones() {
    for threads in [64, 2_048, 8_192] {
        let mut world = World::new(threads);
        world.add(Proof::Quick, threads, 2);
        world.fill(true);
        let half = threads * 7 / 16;
        assert_eq!((world.receivers[&0].2, world.receivers[&1].2), (half, half));
        world.share.enter(Class::Light, n(7));
        assert_eq!(world.share.next(NOW), Some(n(7)));
    }
}

#[test]
fn fast_receivers_starve_no_other() {
    for threads in SIZES {
        let mut share = FairShare::new(threads);
        for (class, number) in [(Class::Light, 1), (Class::Heavy, 2), (Class::Stranger, 3), (Class::Slow, 4)] {
            share.enter(class, n(number));
        }
        let mut turns = [0; 5];
        for _ in 0..64 {
            let number = share.next(NOW).unwrap_or_default().get() as usize;
            turns[number] += 1;
            if number == 3 {
                // Proven by now, so that the slow one is next.
                share.leave(Class::Stranger, n(3));
            }
        }
        assert!(turns[3] == 1 && turns[4] > 0, "{threads} threads: {turns:?}");
    }
}

#[test]
fn every_stranger_is_tried_before_any_is_tried_twice() {
    for (threads, strangers) in [(64, 10), (64, 16), (2_048, 20), (2_048, 1_020), (8_192, 4_000)] {
        let mut world = World::new(threads);
        world.add(Proof::Unproven, 2, strangers);
        for _ in 0..strangers {
            world.take().expect("there is room for all");
        }
        assert!(world.receivers.values().all(|(.., held)| *held == 1), "{threads}");
        world.fill(true);
        let room = parts(threads).0.div_ceil(2).max(strangers as usize).min(2 * strangers as usize);
        assert_eq!(world.share.taken(), room, "{threads}");
    }
}

#[test]
fn of_many_strangers_those_in_need_are_tried_before_those_that_hang_have_taken_all() {
    for (threads, hanging) in [(64, 300), (2_048, 5_000)] {
        let (mut world, a_moment) = (World::new(threads), threads / 64);
        world.add(Proof::Unproven, 1, hanging);
        let at_once = world.fill(false);
        assert!((threads / 8..=threads / 8 + a_moment).contains(&at_once), "{at_once} of {threads}");
        assert_eq!(world.share.wake(), Some(NOW.plus(MOMENT)));
        // Twenty more, with larger backlogs, which answer at once.
        world.add(Proof::Unproven, 1, 20);
        let needy = hanging..hanging + 20;
        needy.clone().for_each(|number| world.share.need(n(number), 2));
        let mut found = 0;
        while found < needy.len() {
            world.now = world.share.wake().expect("there is room before").max(world.now);
            while let Some(number) = world.take() {
                if needy.contains(&number) {
                    world.prove(number, Proof::Quick);
                    world.end(number);
                    world.leave(number);
                    found += 1;
                }
            }
        }
        assert!(world.now.since(NOW) <= MOMENT * 30, "{:?}", world.now.since(NOW));
        // A clock that was set back blocks nobody.
        world.now = Timestamp::from_millis(5);
        assert!(world.take().is_some() || !world.share.has_room_for_unproven());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn the_pool_is_never_overdrawn(
        size in 0..SIZES.len(),
        steps in prop::collection::vec((0..5u8, any::<u32>(), 0..4usize), 1..300),
    ) {
        let threads = SIZES[size];
        let mut world = World::new(threads);
        let proofs = [Proof::Unproven, Proof::Known, Proof::Quick, Proof::Slow];
        proofs.iter().for_each(|proof| world.add(*proof, threads / 3 + 1, 10));
        for (what, chosen, kind) in steps {
            let number = chosen % world.receivers.len() as u32;
            match what {
                0 | 1 => for _ in 0..chosen as usize % threads.min(400) + 1 {
                    let (unproven, slow, both) = parts(threads);
                    let before = (world.held(|proof| matches!(proof, Proof::Unproven | Proof::Known)),
                        world.held(|proof| proof == Proof::Slow), world.share.taken());
                    let tried = world.receivers.values().any(|(proof, _, held)| *proof == Proof::Unproven && *held == 0);
                    let Some(number) = world.take() else { break };
                    let (proof, _, held) = world.receivers[&number];
                    prop_assert!(before.2 < threads);
                    match proof {
                        Proof::Unproven | Proof::Known => {
                            prop_assert!(before.0 < unproven && before.0 + before.1 < both);
                            prop_assert!(proof == Proof::Known || held == 1 || !tried, "a second attempt before another's first");
                        }
                        Proof::Slow => prop_assert!(before.1 < slow && before.0 + before.1 < both),
                        Proof::Quick => prop_assert!(held <= 2 || before.2 < threads - threads / 8),
                    }
                },
                2 => for other in 0..chosen % 400 {
                    world.end((number + other) % 40);
                },
                3 => world.prove(number, proofs[kind]),
                _ => world.now = world.now.moved(i64::from(chosen % 200) - 50),
            }
            let all = world.held(|_| true);
            prop_assert_eq!(world.share.taken(), all);
        }
    }
}
