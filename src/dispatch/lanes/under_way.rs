//! The attempts of one subscription that are under way, and whether they take longer than quick ones do.

use std::collections::{BTreeMap, HashMap};

use crate::core::time::Timestamp;

use super::concurrency_limit::QUICK;

/// One of so many that takes long is chance; of fewer attempts, any one counts.
const TELLING: usize = 8;

#[derive(Debug, Default)]
#[cfg_attr(test, derive(Clone))]
pub(super) struct UnderWay {
    /// By the order in which they began: their sequence numbers, and since when.
    begun: BTreeMap<u64, (u64, Timestamp)>,
    order: HashMap<u64, u64>,
    last: u64,
    /// When it was looked at last.
    latest: Option<Timestamp>,
    /// When it is to be seen whether they drag; `None` where that is to be reckoned.
    look: Option<Timestamp>,
}

impl UnderWay {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.begun.len()
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.begun.is_empty()
    }

    /// One begins.
    pub(super) fn begin(&mut self, sequence: u64, now: Timestamp) {
        self.last += 1;
        self.begun.insert(self.last, (sequence, now));
        self.order.insert(sequence, self.last);
    }

    /// One has ended.
    pub(super) fn end(&mut self, sequence: u64) {
        if let Some(order) = self.order.remove(&sequence) {
            self.begun.remove(&order);
        }
        if self.begun.is_empty() {
            // Its books may have grown large; most receivers are idle most of the time.
            *self = Self::default();
        }
    }

    /// When to look next whether they drag: no later than the oldest that counts will have taken longer than a quick
    /// one does, if none ends before.
    pub(super) fn look_at(&mut self, now: Timestamp) -> Option<Timestamp> {
        if self.latest.replace(now).is_some_and(|latest| now < latest) {
            // The clock was set back.
            self.begun.values_mut().for_each(|(_, since)| *since = now.min(*since));
            self.look = None;
        }
        if self.look.is_none() {
            self.look = self.telling();
        }
        self.look
    }

    /// Whether they drag: many of them have taken longer than a quick one does.
    pub(super) fn drag(&mut self, now: Timestamp) -> bool {
        if self.look_at(now).is_none_or(|at| at > now) {
            return false;
        }
        self.look = self.telling();
        self.look.is_some_and(|at| at <= now)
    }

    /// When so many will have taken longer than a quick one does that it is not chance.
    fn telling(&self) -> Option<Timestamp> {
        let (_, since) = self.begun.values().nth(self.begun.len() / TELLING)?;
        Some(since.plus(QUICK))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

    /// Of `count` that began together `ended` end at once; whether the others drag a second later.
    fn drags(count: u64, ended: u64, new: u64) -> bool {
        let mut under_way = UnderWay::default();
        (0..count).for_each(|sequence| under_way.begin(sequence, NOW));
        (0..ended).for_each(|sequence| under_way.end(sequence));
        (0..new).for_each(|sequence| under_way.begin(count + sequence, NOW.plus(QUICK / 2)));
        let at = under_way.look_at(NOW.plus(QUICK / 2)).unwrap();
        assert!(at <= NOW.plus(QUICK * 3 / 2), "{at:?}");
        under_way.drag(NOW.plus(QUICK))
    }

    #[test]
    fn few_that_take_long_among_many_are_chance() {
        let cases = [
            ((1, 0, 0), true),
            ((2, 1, 1), true),
            ((8, 7, 6), true),
            ((100, 98, 98), false),
            ((100, 50, 50), true),
            ((512, 0, 0), true),
            ((512, 500, 500), false),
        ];
        for ((count, ended, new), wanted) in cases {
            assert_eq!(drags(count, ended, new), wanted, "{count} {ended} {new}");
        }
    }

    #[test]
    fn it_is_looked_at_in_time_and_no_clock_hides_it() {
        let mut under_way = UnderWay::default();
        assert_eq!(under_way.look_at(NOW), None);
        under_way.begin(1, NOW);
        assert_eq!(under_way.look_at(NOW), Some(NOW.plus(QUICK)));
        under_way.begin(2, NOW.plus(QUICK / 2));
        under_way.end(1);
        // Too early for the second: it is looked at again.
        assert!(!under_way.drag(NOW.plus(QUICK)));
        assert_eq!(under_way.look_at(NOW.plus(QUICK)), Some(NOW.plus(QUICK * 3 / 2)));
        let back = NOW.moved(-3_600_000);
        assert_eq!(under_way.look_at(back), Some(back.plus(QUICK)));
        assert!(under_way.drag(back.plus(QUICK)), "it began before it was set back");
        under_way.end(2);
        assert!(under_way.is_empty() && !under_way.drag(NOW.plus(Duration::from_secs(60))));
    }
}
