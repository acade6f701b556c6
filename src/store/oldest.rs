//! The delivery that has waited longest.
//!
//! The view orders pending deliveries by subscription and sequence, so finding the first of each subscription is a
//! lookup, and with twenty thousand subscriptions twenty thousand. The result is therefore cached with the
//! subscription: while its queue is not empty its first delivery only gets younger, unless one is requeued
//! ([`QueueHead::forget`](crate::model::registry::QueueHead::forget)). The cached time is a lower bound, and only those
//! subscriptions are searched that could be the oldest by it: usually one.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use crate::core::id::SubscriptionNumber;
use crate::core::subscription::Subscription;
use crate::core::time::Timestamp;
use crate::model::error::StoreError;
use crate::model::key::ValueKind;
use crate::model::lock::lock;
use crate::model::{keys, record};
use crate::store::api::Store;

/// A subscription with waiting deliveries: the lower bound of the oldest one's time, the subscription's number, and the
/// epoch of the bound.
type Candidate = (Timestamp, SubscriptionNumber, u32);

impl Store {
    /// The acceptance time of the delivery that has waited longest, with its subscription, among those for which
    /// `wanted` holds.
    ///
    /// # Errors
    /// The view cannot be read. Call it off the async threads.
    pub fn oldest_waiting(
        &self,
        wanted: impl Fn(&Subscription) -> bool,
    ) -> Result<Option<(Arc<Subscription>, Timestamp)>, StoreError> {
        let mut candidates: BinaryHeap<_> = self.candidates(wanted).into_iter().map(Reverse).collect();
        let mut oldest: Option<(Timestamp, SubscriptionNumber)> = None;
        while let Some(Reverse((since, number, epoch))) = candidates.pop() {
            if oldest.is_some_and(|(at, _)| at <= since) {
                break;
            }
            let first = self.view().scan(&keys::numbered(ValueKind::Owed, number), None, 1)?;
            // It may have been sent in the meantime.
            let Some(first) = first.first().and_then(|(_, value)| record::delivery_of(value)) else { continue };
            let at = first.id.timestamp();
            if let Some(state) = lock(&self.shared.registry).state_mut(number) {
                state.head.note(epoch, at);
            }
            oldest = oldest.into_iter().chain([(at, number)]).min();
        }
        let mut registry = lock(&self.shared.registry);
        Ok(oldest.and_then(|(at, number)| Some((registry.state_mut(number)?.subscription.clone(), at))))
    }

    fn candidates(&self, wanted: impl Fn(&Subscription) -> bool) -> Vec<Candidate> {
        let mut found = Vec::new();
        self.each_state(|number, state| {
            if state.counts.waiting() > 0 && wanted(&state.subscription) {
                found.push((state.head.since.unwrap_or(Timestamp::ZERO), number, state.head.epoch));
            }
        });
        found
    }
}
