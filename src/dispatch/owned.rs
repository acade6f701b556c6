//! Which shards this process sends for, and which of them it is giving up.
//!
//! A shard that is to be given up is released once nothing of its subscriptions is out any more, or after a while: then
//! what is still out is attempted again by the next owner. Must not know the lanes.

use std::time::{Duration, Instant};

use crate::core::shards::{Ownership, ShardSet};

/// How long attempts that are out may hold back the release of their shards.
const RELEASE_MOST: Duration = Duration::from_secs(10);
/// How often it is looked whether they have ended.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What has changed hands.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) gained: ShardSet,
    pub(super) lost: ShardSet,
}

/// The shards of this process.
#[derive(Debug)]
pub(super) struct Owned {
    current: Ownership,
    /// Those to be released, and when at the latest.
    leaving: Option<(ShardSet, Instant)>,
}

impl Owned {
    pub(super) const fn new(current: Ownership) -> Self {
        Self { current, leaving: None }
    }

    /// The shards that this process sends for.
    pub(super) const fn shards(&self) -> &ShardSet {
        &self.current.shards
    }

    /// Takes over what the store says; `None` if that is outdated.
    pub(super) fn change(&mut self, to: Ownership, now: Instant) -> Option<Change> {
        if to.change <= self.current.change {
            return None;
        }
        let before = std::mem::replace(&mut self.current, to).shards;
        let (gained, lost) = (to.shards.without(&before), before.without(&to.shards));
        // What comes back at once need not be released.
        let leaving = self.leaving.map_or(ShardSet::NONE, |(shards, _)| shards).with(&lost).without(&to.shards);
        self.leaving = (!leaving.is_empty()).then(|| (leaving, now + RELEASE_MOST));
        Some(Change { gained, lost })
    }

    /// The shards to be released now: all that are leaving once they are settled, or when the time is over.
    pub(super) fn take_released(
        &mut self,
        is_settled: impl FnOnce(&ShardSet) -> bool,
        now: Instant,
    ) -> Option<ShardSet> {
        let (shards, until) = self.leaving?;
        (now >= until || is_settled(&shards)).then(|| self.leaving = None)?;
        Some(shards)
    }

    /// When to look again whether shards can be released.
    pub(super) fn look_after(&self) -> Option<Duration> {
        self.leaving.map(|_| LOOK_EVERY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::shards::Shard;

    fn set(numbers: std::ops::Range<u8>) -> ShardSet {
        numbers.map(Shard::new).collect()
    }

    fn owned(change: u64, shards: std::ops::Range<u8>) -> Ownership {
        Ownership { shards: set(shards), change }
    }

    #[test]
    fn shards_are_released_once_settled_or_when_the_time_is_over() {
        let now = Instant::now();
        let mut its = Owned::new(owned(1, 0..10));
        let change = its.change(owned(2, 5..12), now).unwrap();
        assert_eq!((change.gained, change.lost), (set(10..12), set(0..5)));
        assert_eq!(its.take_released(|_| false, now), None);
        assert!(its.look_after().is_some());
        assert_eq!(its.take_released(|shards| *shards == set(0..5), now), Some(set(0..5)));
        assert_eq!((its.take_released(|_| true, now), its.look_after()), (None, None));
        its.change(owned(3, 0..0), now).unwrap();
        assert_eq!(its.take_released(|_| false, now + RELEASE_MOST), Some(set(5..12)));
    }

    #[test]
    fn what_is_outdated_changes_nothing_and_what_comes_back_is_not_released() {
        let now = Instant::now();
        let mut its = Owned::new(owned(5, 0..10));
        assert_eq!(its.change(owned(5, 0..0), now), None);
        assert_eq!(its.change(owned(4, 0..0), now), None);
        its.change(owned(6, 0..4), now).unwrap();
        its.change(owned(7, 0..6), now).unwrap();
        assert_eq!(its.take_released(|_| true, now), Some(set(6..10)));
    }
}
