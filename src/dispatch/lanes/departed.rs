//! Subscriptions that have left the lanes while attempts of theirs were out, and those that come back meanwhile.
//!
//! Each attempt that is out ends, and is recorded some time after. A subscription that comes back before (its shard was
//! given to another process and has returned) waits for both: what was out could otherwise be overtaken within its
//! call, or be sent twice at a time; and the store would still show what an attempt has ended as outstanding.

use std::collections::HashMap;

use super::values::{Past, Terms};
use crate::core::id::SubscriptionNumber;
use crate::core::shards::ShardSet;

/// What is out of one subscription.
#[derive(Debug, Default)]
#[cfg_attr(test, derive(Clone))]
struct Out {
    /// Attempts that have not ended.
    attempts: usize,
    /// Attempts and expiries whose records are not durable.
    records: usize,
    /// Comes back with this once nothing is out.
    returns: Option<(Terms, Past)>,
}

/// The subscriptions that have left.
#[derive(Debug, Default)]
#[cfg_attr(test, derive(Clone))]
pub(super) struct Departed(HashMap<SubscriptionNumber, Out>);

impl Departed {
    /// A subscription leaves, or leaves again before it is back.
    pub(super) fn leave(&mut self, number: SubscriptionNumber, attempts: usize, records: usize) {
        if let Some(out) = self.0.get_mut(&number) {
            out.returns = None;
        } else if attempts > 0 || records > 0 {
            self.0.insert(number, Out { attempts, records, returns: None });
        }
    }

    /// A subscription comes back. Returns whether it must wait.
    pub(super) fn come_back(&mut self, number: SubscriptionNumber, terms: Terms, past: Past) -> bool {
        let out = self.0.get_mut(&number);
        out.map(|out| out.returns = Some((terms, past))).is_some()
    }

    /// What a subscription comes back with, if it waits to.
    pub(super) fn returning(&mut self, number: SubscriptionNumber) -> Option<&mut (Terms, Past)> {
        self.0.get_mut(&number)?.returns.as_mut()
    }

    /// Whether an attempt of a subscription is out.
    pub(super) fn has_attempt(&self, number: SubscriptionNumber) -> bool {
        self.0.get(&number).is_some_and(|out| out.attempts > 0)
    }

    /// An attempt has ended.
    pub(super) fn ended(&mut self, number: SubscriptionNumber) {
        if let Some(out) = self.0.get_mut(&number) {
            out.attempts = out.attempts.saturating_sub(1);
        }
    }

    /// A record is durable.
    pub(super) fn recorded(&mut self, number: SubscriptionNumber) {
        if let Some(out) = self.0.get_mut(&number) {
            out.records = out.records.saturating_sub(1);
        }
    }

    /// Forgets a subscription of which nothing is out any more. Returns what it comes back with.
    pub(super) fn settle(&mut self, number: SubscriptionNumber) -> Option<(Terms, Past)> {
        let settled = self.0.get(&number).is_some_and(|out| out.attempts == 0 && out.records == 0);
        if settled { self.0.remove(&number)?.returns } else { None }
    }

    /// Whether nothing is out of the subscriptions of these shards.
    pub(super) fn is_settled(&self, shards: &ShardSet) -> bool {
        !self.0.keys().any(|number| shards.has(*number))
    }
}
