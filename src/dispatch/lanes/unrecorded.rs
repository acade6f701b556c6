//! For each delivery, by how much ended attempts are ahead of their records.
//!
//! The lanes go on as soon as an attempt has ended. Until its record is durable, the store lags behind the lanes: it
//! may say that the delivery is owed, or say something of it that the record will change. While attempts are ahead of
//! records, what the attempts said holds; once they are even, what the store has said holds, whatever was said
//! before. Nothing depends on which of the two is received first: the count of a delivery may be negative for a
//! while.

use std::collections::HashMap;

/// The deliveries of one subscription whose attempts and the records of these have not both been heard of.
#[derive(Debug, Default)]
#[cfg_attr(test, derive(Clone))]
pub(super) struct Unrecorded(HashMap<u64, Count>);

/// What is counted for one delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Count {
    /// How many attempts (or expiries) ended, less how many records were heard of; never 0.
    ahead: i32,
    /// Whether it is over, as the last of them says.
    over: bool,
}

impl Unrecorded {
    /// Whether a delivery has ended, and the store may still say that it is owed.
    pub(super) fn is_over(&self, sequence: u64) -> bool {
        self.0.get(&sequence).is_some_and(|count| count.over && count.ahead > 0)
    }

    /// Whether attempts and records of a delivery are not even.
    pub(super) fn contains(&self, sequence: u64) -> bool {
        self.0.contains_key(&sequence)
    }

    /// An attempt, or an expiry, ended. Gives how far they are ahead of the records now.
    pub(super) fn ended(&mut self, sequence: u64) -> i32 {
        self.count(sequence, 1)
    }

    /// An attempt, or an expiry, was recorded. Gives how far they are ahead of the records now.
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

    /// Notes whether the delivery is over, if it is not even.
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
