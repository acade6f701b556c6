//! The attempts of one subscription that are in flight, and whether they take longer than quick ones.

use std::collections::{BTreeMap, HashMap};

use crate::core::time::Timestamp;

use super::concurrency_limit::QUICK;

/// One slow attempt in this many is chance; of fewer attempts, any one counts.
const TELLING: usize = 8;

#[derive(Debug, Default)]
#[cfg_attr(test, derive(Clone))]
pub(super) struct InFlight {
    /// Sequence number and start time, in order of start.
    begun: BTreeMap<u64, (u64, Timestamp)>,
    order: HashMap<u64, u64>,
    last: u64,
    /// Time of the last check.
    latest: Option<Timestamp>,
    /// When to check whether they drag; `None` if it must be computed.
    look: Option<Timestamp>,
}

impl InFlight {
    pub(super) fn len(&self) -> usize {
        self.begun.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.begun.is_empty()
    }

    pub(super) fn begin(&mut self, sequence: u64, now: Timestamp) {
        self.last += 1;
        self.begun.insert(self.last, (sequence, now));
        self.order.insert(sequence, self.last);
    }

    pub(super) fn end(&mut self, sequence: u64) {
        if let Some(order) = self.order.remove(&sequence) {
            self.begun.remove(&order);
        }
        if self.begun.is_empty() {
            // Releases memory: most receivers are idle most of the time.
            *self = Self::default();
        }
    }

    /// When to check next whether they drag: no later than the oldest relevant attempt becomes slow, if none ends
    /// before.
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

    /// Whether they drag: many of them take longer than a quick one.
    pub(super) fn drag(&mut self, now: Timestamp) -> bool {
        if self.look_at(now).is_none_or(|at| at > now) {
            return false;
        }
        self.look = self.telling();
        self.look.is_some_and(|at| at <= now)
    }

    /// When enough of them will be slow that it is not chance.
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

    /// Of `count` started together, `ended` end at once; whether the others drag a second later.
    fn drags(count: u64, ended: u64, new: u64) -> bool {
        let mut in_flight = InFlight::default();
        (0..count).for_each(|sequence| in_flight.begin(sequence, NOW));
        (0..ended).for_each(|sequence| in_flight.end(sequence));
        (0..new).for_each(|sequence| in_flight.begin(count + sequence, NOW.plus(QUICK / 2)));
        let at = in_flight.look_at(NOW.plus(QUICK / 2)).unwrap();
        assert!(at <= NOW.plus(QUICK * 3 / 2), "{at:?}");
        in_flight.drag(NOW.plus(QUICK))
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
        let mut in_flight = InFlight::default();
        assert_eq!(in_flight.look_at(NOW), None);
        in_flight.begin(1, NOW);
        assert_eq!(in_flight.look_at(NOW), Some(NOW.plus(QUICK)));
        in_flight.begin(2, NOW.plus(QUICK / 2));
        in_flight.end(1);
        // Too early for the second: checked again later.
        assert!(!in_flight.drag(NOW.plus(QUICK)));
        assert_eq!(in_flight.look_at(NOW.plus(QUICK)), Some(NOW.plus(QUICK * 3 / 2)));
        let back = NOW.moved(-3_600_000);
        assert_eq!(in_flight.look_at(back), Some(back.plus(QUICK)));
        assert!(in_flight.drag(back.plus(QUICK)), "started before the clock was set back");
        in_flight.end(2);
        assert!(in_flight.is_empty() && !in_flight.drag(NOW.plus(Duration::from_secs(60))));
    }
}
