//! For each delivery, by how much ended attempts are ahead of their records.
//!
//! The lanes continue as soon as an attempt has ended. Until its record is durable the store lags behind: it may
//! report the delivery as outstanding, or in a state that the record will change. While attempts are ahead of
//! records, the attempts' results hold; once they are even, the store's last report holds, whatever came before. The
//! order in which the two arrive does not matter: the count of a delivery may be negative for a while.

use std::collections::HashMap;

/// The deliveries of one subscription whose attempts and records are not even.
#[derive(Debug, Default)]
#[cfg_attr(test, derive(Clone))]
pub(super) struct Unrecorded(HashMap<u64, Count>);

/// The count of one delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Count {
    /// Ended attempts and expiries less records; never 0.
    ahead: i32,
    /// Whether it has ended, according to the last of them.
    over: bool,
}

impl Unrecorded {
    /// Whether a delivery has ended and the store may still report it as outstanding.
    pub(super) fn is_over(&self, sequence: u64) -> bool {
        self.0.get(&sequence).is_some_and(|count| count.over && count.ahead > 0)
    }

    /// Whether attempts and records of a delivery differ.
    pub(super) fn contains(&self, sequence: u64) -> bool {
        self.0.contains_key(&sequence)
    }

    /// By how many ended attempts and expiries are ahead of records, in all.
    pub(super) fn ahead(&self) -> isize {
        self.0.values().map(|count| count.ahead as isize).sum()
    }

    /// Counts an ended attempt or expiry. Returns the new difference.
    pub(super) fn ended(&mut self, sequence: u64) -> i32 {
        self.count(sequence, 1)
    }

    /// Counts a recorded attempt or expiry. Returns the new difference.
    pub(super) fn recorded(&mut self, sequence: u64) -> i32 {
        self.count(sequence, -1)
    }

    fn count(&mut self, sequence: u64, by: i32) -> i32 {
        let count = self.0.entry(sequence).or_insert(Count { ahead: 0, over: false });
        count.ahead += by;
        let ahead = count.ahead;
        if ahead == 0 {
            self.0.remove(&sequence);
        }
        ahead
    }

    /// Records whether the delivery has ended, if the counts differ.
    pub(super) fn note_over(&mut self, sequence: u64, over: bool) {
        if let Some(count) = self.0.get_mut(&sequence) {
            count.over = over;
        }
    }

    /// Whether attempts and records of all deliveries are even.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
