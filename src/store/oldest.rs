//! Which delivery has waited longest.
//!
//! The state has what is owed in order of subscription and sequence, so the first of each subscription is a search, and
//! of twenty thousand subscriptions twenty thousand. What was found is therefore kept with the subscription: while its
//! queue is not empty the first of it only becomes younger, unless one is put back into it ([`Head::forget`]). So what is
//! kept is a bound, and only those are searched that could be the oldest by it: one, as a rule.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use crate::core::subscription::Subscription;
use crate::core::time::Timestamp;
use crate::model::error::ReadError;
use crate::model::lock::lock;
use crate::model::{keys, record};
use crate::store::api::Store;

/// A subscription of which something waits: from when on at the earliest, its number, and the epoch of that.
type Candidate = (Timestamp, u32, u32);

impl Store {
    /// When the delivery was accepted that has waited longest, and whose it is, of the subscriptions of which `wanted`
    /// says so.
    ///
    /// # Errors
    /// The state cannot be read. Call it off the async threads.
    pub fn oldest_waiting(
        &self,
        wanted: impl Fn(&Subscription) -> bool,
    ) -> Result<Option<(Arc<Subscription>, Timestamp)>, ReadError> {
        let mut candidates: BinaryHeap<_> = self.candidates(wanted).into_iter().map(Reverse).collect();
        let mut oldest: Option<(Timestamp, u32)> = None;
        while let Some(Reverse((since, number, epoch))) = candidates.pop() {
            if oldest.is_some_and(|(at, _)| at <= since) {
                break;
            }
            let first = self.view().scan(&keys::numbered(keys::OWED, number), None, 1)?;
            // Meanwhile it may have been sent.
            let Some(first) = first.first().and_then(|(_, value)| record::delivery_of(value)) else { continue };
            let at = first.id.timestamp();
            if let Some(account) = lock(&self.shared.registry).account(number) {
                account.head.note(epoch, at);
            }
            oldest = oldest.into_iter().chain([(at, number)]).min();
        }
        let mut registry = lock(&self.shared.registry);
        Ok(oldest.and_then(|(at, number)| Some((registry.account(number)?.subscription.clone(), at))))
    }

    fn candidates(&self, wanted: impl Fn(&Subscription) -> bool) -> Vec<Candidate> {
        let mut found = Vec::new();
        self.each_state(|number, account| {
            if account.counts.waiting() > 0 && wanted(&account.subscription) {
                found.push((account.head.since.unwrap_or(Timestamp::ZERO), number, account.head.epoch));
            }
        });
        found
    }
}
