//! Shards: the parts into which subscriptions are divided between daemons that work on one store.
//!
//! A subscription belongs to one shard for ever, and a shard has one owner at a time, which sends all that its
//! subscriptions are to get: so order, concurrency and rate are kept by one process.

use std::fmt;

use crate::core::id::SubscriptionNumber;

/// How many shards there are.
pub const SHARDS: usize = 256;
const WORDS: usize = SHARDS / 64;

/// A shard: a number below [`SHARDS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shard(u8);

impl Shard {
    /// The shard whose owner does what is done once for all subscriptions, such as retention.
    pub const LEADING: Self = Self(0);

    /// The shard with this number.
    pub const fn new(number: u8) -> Self {
        Self(number)
    }

    /// The shard of a subscription. Subscriptions that were made one after the other are far apart: an owner's shards are
    /// often neighbours.
    pub const fn of(number: SubscriptionNumber) -> Self {
        // Fibonacci hashing (Knuth, The Art of Computer Programming, vol. 3, section 6.4): 2^32 divided by the golden ratio.
        Self((number.get().wrapping_mul(0x9e37_79b9) >> 24) as u8)
    }

    /// Its number.
    pub const fn get(self) -> u8 {
        self.0
    }
}

/// A set of shards.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct ShardSet([u64; WORDS]);

impl ShardSet {
    /// No shard.
    pub const NONE: Self = Self([0; WORDS]);
    /// All shards.
    pub const ALL: Self = Self([u64::MAX; WORDS]);

    /// Whether a shard is in it.
    pub const fn contains(&self, shard: Shard) -> bool {
        self.0[shard.0 as usize / 64] & (1 << (shard.0 % 64)) != 0
    }

    /// Whether the shard of a subscription is in it.
    pub const fn has(&self, number: SubscriptionNumber) -> bool {
        self.contains(Shard::of(number))
    }

    /// Adds a shard.
    pub const fn insert(&mut self, shard: Shard) {
        self.0[shard.0 as usize / 64] |= 1 << (shard.0 % 64);
    }

    /// How many are in it.
    pub fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether none is in it.
    pub fn is_empty(&self) -> bool {
        *self == Self::NONE
    }

    /// Those in it, ascending.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Shard> + '_ {
        (0..=u8::MAX).map(Shard).filter(|shard| self.contains(*shard))
    }

    /// Those in this set and not in the other.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        Self(std::array::from_fn(|word| self.0[word] & !other.0[word]))
    }

    /// Those in either set.
    #[must_use]
    pub fn with(&self, other: &Self) -> Self {
        Self(std::array::from_fn(|word| self.0[word] | other.0[word]))
    }

    /// Those in both sets.
    #[must_use]
    pub fn common(&self, other: &Self) -> Self {
        Self(std::array::from_fn(|word| self.0[word] & other.0[word]))
    }
}

impl FromIterator<Shard> for ShardSet {
    fn from_iter<I: IntoIterator<Item = Shard>>(shards: I) -> Self {
        let mut set = Self::NONE;
        shards.into_iter().for_each(|shard| set.insert(shard));
        set
    }
}

impl fmt::Debug for ShardSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::ALL {
            f.write_str("all")
        } else {
            f.debug_set().entries(self.iter().map(Shard::get)).finish()
        }
    }
}

/// Which shards a process owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ownership {
    /// Their set.
    pub shards: ShardSet,
    /// Counts the changes: what has a lower count is outdated.
    pub change: u64,
}

impl Ownership {
    /// That of a process that has its store for itself.
    pub const SOLE: Self = Self { shards: ShardSet::ALL, change: 0 };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_of_shards_are_sets() {
        let odd: ShardSet = (0..=255).filter(|number| number % 2 == 1).map(Shard::new).collect();
        let low: ShardSet = (0..10).map(Shard::new).collect();
        assert_eq!((odd.len(), low.len(), ShardSet::ALL.len(), ShardSet::NONE.len()), (128, 10, SHARDS, 0));
        let numbers = |set: ShardSet| set.iter().map(Shard::get).collect::<Vec<_>>();
        assert_eq!(numbers(low.without(&odd)), [0, 2, 4, 6, 8]);
        assert_eq!(numbers(low.common(&odd)), [1, 3, 5, 7, 9]);
        assert_eq!(low.with(&odd).len(), 133);
        assert_eq!(odd.with(&ShardSet::ALL.without(&odd)), ShardSet::ALL);
        assert!(ShardSet::NONE.is_empty() && !odd.is_empty());
        assert_eq!(
            (format!("{:?}", ShardSet::ALL), format!("{:?}", low.common(&odd))),
            ("all".into(), "{1, 3, 5, 7, 9}".into())
        );
    }

    #[test]
    fn subscriptions_made_one_after_the_other_are_spread_over_all_shards() {
        let shard = |number: u32| Shard::of(SubscriptionNumber::new(number));
        let halves = |count: u32| (1..=count).filter(|number| shard(*number).get() < 128).count();
        assert_eq!((halves(2), halves(6), halves(100)), (1, 3, 50));
        let all: ShardSet = (1..=1_000).map(shard).collect();
        assert_eq!(all, ShardSet::ALL);
        assert!(all.has(SubscriptionNumber::new(u32::MAX)));
    }
}
