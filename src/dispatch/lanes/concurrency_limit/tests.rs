use proptest::prelude::*;

use super::*;

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

fn seen(kind: Kind, millis: u64) -> Seen {
    Seen { kind, duration: Duration::from_millis(millis), wait: None }
}

/// A receiver with an unlimited backlog.
struct Busy(ConcurrencyLimit, Timestamp);

impl Busy {
    fn new() -> Self {
        Self(ConcurrencyLimit::new(Proof::Unproven), NOW)
    }

    /// Ends `count` attempts of this duration and starts others in their place.
    fn end(&mut self, kind: Kind, millis: u64, most: u32, count: usize) {
        for _ in 0..count {
            let limit = self.0.limit() as usize;
            self.0.began(limit);
            self.1 = self.1.plus(Duration::from_millis(1));
            self.0.ended(seen(kind, millis), limit - 1, most, self.1);
        }
    }
}

#[test]
fn it_doubles_while_it_is_used_and_keeps_to_the_hard_limit() {
    let mut busy = Busy::new();
    assert_eq!(busy.0.limit(), 2);
    for wanted in [4, 8, 16, 32, 64, 128, 256, 512] {
        busy.end(Kind::Success, 200, 1_000, wanted / 2);
        assert_eq!(busy.0.limit(), wanted as u32);
    }
    busy.end(Kind::Success, 200, 600, 1_000);
    assert_eq!(busy.0.limit(), 600);
    busy.end(Kind::Success, 200, 10, 1);
    assert_eq!(busy.0.limit(), 10, "the subscription's limit changed");
}

#[test]
fn unused_capacity_does_not_raise_the_limit() {
    let mut concurrency = ConcurrencyLimit::new(Proof::Unproven);
    for _ in 0..10_000 {
        concurrency.began(3);
        concurrency.ended(seen(Kind::Success, 200), 2, 512, NOW);
    }
    assert!(concurrency.limit() <= 6, "{}", concurrency.limit());
}

#[test]
fn one_refusal_takes_its_place_and_more_of_them_cut_it() {
    let mut busy = Busy::new();
    busy.end(Kind::Success, 200, 100, 98);
    assert_eq!(busy.0.limit(), 100);
    busy.end(Kind::Refusal, 200, 100, 100);
    assert_eq!(busy.0.limit(), 100, "a refusal that is the event's own fault");
    busy.end(Kind::Trouble, 0, 100, 1);
    assert_eq!(busy.0.limit(), 98);
    let few = (1..10).find(|_| {
        busy.end(Kind::Trouble, 0, 100, 1);
        busy.0.limit() < 80
    });
    assert!(few.is_some_and(|few| few >= 3), "{few:?}");
    let cut = busy.0.limit();
    busy.end(Kind::Success, 200, 100, COUNTED_LEAST as usize);
    assert_eq!(busy.0.limit(), cut, "the limit is held while the effect of the cut is measured");
    busy.end(Kind::Success, 200, 100, cut as usize);
    assert!((cut + 1..=cut * 9 / 8).contains(&busy.0.limit()), "{} after {cut}: slow growth", busy.0.limit());
    busy.end(Kind::Trouble, 0, 100, 1_000);
    assert_eq!(busy.0.limit(), 1);
}

#[test]
fn a_refused_increase_is_retried_only_after_a_pause() {
    let (mut busy, mut refused) = (Busy::new(), Vec::new());
    while busy.1 < NOW.plus(Duration::from_secs(100)) {
        // It takes 20, whatever the load.
        if busy.0.limit() > 20 {
            refused.push(busy.1);
            busy.end(Kind::Trouble, 0, 100, 1);
        } else {
            busy.end(Kind::Success, 200, 100, 1);
        }
    }
    assert!((5..20).contains(&refused.len()), "{}", refused.len());
    let late = refused.windows(2).filter(|pair| pair[1].since(pair[0]) >= HOLDS_FIRST).count();
    assert!(late >= 3, "{refused:?}");
}

#[test]
fn it_knows_the_quick_from_the_slow_and_forgets() {
    let mut concurrency = ConcurrencyLimit::new(Proof::Unproven);
    concurrency.ended(seen(Kind::Trouble, 1), 0, 10, NOW);
    assert_eq!(concurrency.proof(), Proof::Quick, "immediate refusals hold no thread");
    concurrency.drags(NOW);
    assert_eq!(concurrency.proof(), Proof::Slow);
    concurrency.ended(seen(Kind::Success, 10_000), 0, 10, NOW);
    let quick = (1..20).find(|_| {
        concurrency.ended(seen(Kind::Success, 100), 0, 10, NOW);
        concurrency.proof() == Proof::Quick
    });
    assert!(quick.is_some_and(|quick| quick > 2), "{quick:?}: quick after more than one fast response");
    concurrency.age(NOW.plus(LATELY));
    assert_eq!(concurrency.proof(), Proof::Quick);
    concurrency.age(NOW.plus(LATELY * 2));
    assert_eq!(concurrency.proof(), Proof::Unproven);
    assert!(concurrency.limit() <= 2);
}

#[test]
fn one_that_hangs_or_is_down_begins_again_with_few() {
    let mut stranger = ConcurrencyLimit::new(Proof::Unproven);
    stranger.drags(NOW);
    assert_eq!(stranger.limit(), 1, "no second attempt to a hanging receiver");
    let mut busy = Busy::new();
    busy.end(Kind::Success, 200, 512, 600);
    busy.0.drags(busy.1);
    assert_eq!(busy.0.limit(), 256);
    busy.0.restart(busy.1);
    busy.0.restart(busy.1);
    assert_eq!(busy.0.limit(), 1);
    busy.end(Kind::Success, 0, 512, 127);
    assert_eq!(busy.0.limit(), 128, "doubles up to half of the previous limit");
    busy.end(Kind::Success, 0, 512, 128);
    assert!((130..=145).contains(&busy.0.limit()), "{}: slow growth above", busy.0.limit());
}

proptest! {
    #[test]
    fn whatever_happens_it_stays_within_its_limits(
        steps in prop::collection::vec((0..6u8, 0..5_000u64, 0..600usize, -5_000..5_000i64), 0..400),
        most in 1..1_024u32,
    ) {
        let (mut concurrency, mut now) = (ConcurrencyLimit::new(Proof::Unproven), NOW);
        for (what, millis, others, passed) in steps {
            now = now.moved(passed);
            let kind = [Kind::Success, Kind::Success, Kind::Trouble, Kind::Refusal, Kind::Nothing];
            match kind.get(what as usize) {
                Some(kind) => {
                    concurrency.began(others + 1);
                    let before = concurrency.limit;
                    concurrency.ended(seen(*kind, millis), others, most, now);
                    prop_assert!(concurrency.limit <= before + 1.0 || concurrency.latency.count() == 0, "{before} {}", concurrency.limit);
                    prop_assert!(*kind == Kind::Success || concurrency.limit <= before.max(FIRST) || concurrency.latency.count() == 0);
                }
                None if millis % 2 == 0 => concurrency.drags(now),
                None => concurrency.restart(now),
            }
            prop_assert!(concurrency.limit() >= 1 && concurrency.limit <= f64::from(most).max(FIRST), "{} of {most}", concurrency.limit);
        }
    }
}
