//! What the committer does little by little between group commits: cancelling what deleted subscriptions
//! were owed and what is discarded, putting back what is replayed ([`super::requeue`]), ending what retention
//! no longer keeps, and writing the subscriptions and tokens again at the beginning of a journal file.
//!
//! Each call does a bounded part, so that nobody who waits for a commit notices.

use crate::core::attempt::Status;
use crate::core::delivery::Delivery;
use crate::core::subscription::Subscription;
use crate::core::time::Timestamp;

use super::desk::Desk;
use super::known::KnownEvent;
use super::record::AccountRecord;
use super::sealing;
use super::state::StateError;
use super::step::{self, Step, lock};
use super::{Change, keys, query};

/// How many deliveries end between two group commits.
pub(super) const ENDED_AT_ONCE: usize = 64;
/// How many subscriptions are looked at, or written again, between two group commits.
const ACCOUNTS_AT_ONCE: usize = 64;

/// Where each of it is: the number of the subscription that is next.
#[derive(Debug)]
pub(super) struct Errands {
    /// Writing all subscriptions again.
    introducing: Option<u32>,
    /// Writing all tokens again: the bits of the id that is next.
    introducing_tokens: Option<u128>,
    /// Ending what is over.
    ending: Option<u32>,
    /// Forgetting threads: the key behind which to go on.
    forgetting: Option<Vec<u8>>,
    /// How many subscriptions' secrets were sealed anew on the way.
    sealed_anew: usize,
}

impl Default for Errands {
    /// After a start nobody knows whether the newest file has all subscriptions and tokens.
    fn default() -> Self {
        Self { introducing: Some(0), introducing_tokens: Some(0), ending: None, forgetting: None, sealed_anew: 0 }
    }
}

impl Desk {
    /// A new journal file has been begun: all subscriptions and tokens are to be written at its beginning.
    pub(super) fn introduce_all(&mut self) {
        self.errands.introducing = Some(0);
        self.errands.introducing_tokens = Some(0);
        self.untidy = true;
    }

    /// Whether not all of them are written yet.
    pub(super) const fn introduces(&self) -> bool {
        self.errands.introducing.is_some() || self.errands.introducing_tokens.is_some()
    }

    /// What is older than events may become is to end.
    pub(super) fn end_what_is_over(&mut self) {
        self.errands.ending.get_or_insert(0);
        self.errands.forgetting.get_or_insert_with(|| keys::LATEST.to_vec());
        self.untidy = true;
    }

    /// Does a little of what can wait. Notes whether there is more.
    pub(super) fn tidy(&mut self, now: Timestamp) -> Result<(), StateError> {
        if let Some(number) = self.errands.introducing {
            self.errands.introducing = self.introduce(number);
            return Ok(());
        }
        if let Some(from) = self.errands.introducing_tokens {
            self.errands.introducing_tokens = self.introduce_tokens(from);
            return Ok(());
        }
        let emptying = self.empty_deleted(now)?;
        let discarding = self.discard_some(now)?;
        let replaying = self.replay_some(now)?;
        if let Some(number) = self.errands.ending {
            self.errands.ending = self.end_old(number, now)?;
        }
        if let Some(after) = self.errands.forgetting.take() {
            self.errands.forgetting = self.forget_threads(&after, now)?;
        }
        let errands = self.errands.ending.is_some() || self.errands.forgetting.is_some();
        self.untidy = emptying || discarding || replaying || errands;
        Ok(())
    }

    /// Writes some subscriptions as they are, from `number` on; gives the next number, if there is one.
    ///
    /// Nothing changes by it, so it is not applied, but for secrets that are not [sealed as they should
    /// be](super::sealing).
    fn introduce(&mut self, number: u32) -> Option<u32> {
        let ledger = lock(&self.ledger);
        let mut last = None;
        let mut sealed_anew = Vec::new();
        for (number, account) in ledger.accounts_from(number, ACCOUNTS_AT_ONCE) {
            let record = account.record(ledger.keys());
            sealed_anew.extend(account.stale.then(|| record.clone()));
            let (next_sequence, health) = (account.next_sequence, account.health.into());
            let account = AccountRecord { number, next_sequence, health };
            self.notes.push(Step::Subscription(Box::new(record)).encode(&mut self.bytes, self.batch, true));
            self.notes.push(Step::Account(account).encode(&mut self.bytes, self.batch, false));
            last = Some(number);
        }
        drop(ledger);
        self.errands.sealed_anew += sealed_anew.len();
        for record in sealed_anew {
            self.heard.extend(Step::Subscription(Box::new(record)).apply(&self.state, &self.ledger));
        }
        if last.is_none() {
            self.tell_of_sealing();
        }
        last.map(|last| last + 1)
    }

    /// Says that secrets were sealed anew: whoever calls this has seen the last of them written.
    fn tell_of_sealing(&mut self) {
        let (count, keys) = (std::mem::take(&mut self.errands.sealed_anew), lock(&self.ledger).keys().clone());
        if count > 0 {
            sealing::tell_of_all_sealed(&keys, count);
        }
    }

    /// Cancels some of what a deleted subscription was owed. Tells whether there is more.
    fn empty_deleted(&mut self, now: Timestamp) -> Result<bool, StateError> {
        let Some(number) = lock(&self.ledger).deleted().first().copied() else { return Ok(false) };
        let mut left = Vec::new();
        for prefix in [keys::OWED, keys::DEAD] {
            left.extend(self.state.scan(&keys::numbered(prefix, number), None, ENDED_AT_ONCE)?);
        }
        if left.is_empty() {
            self.write(vec![Step::SubscriptionRemoved(number)]);
            return Ok(!lock(&self.ledger).deleted().is_empty());
        }
        self.cancel_all(number, &left, "its subscription was deleted", now);
        Ok(true)
    }

    /// What an entry of the log says of a delivery's event. Reads it: for what is done between group commits alone.
    fn event_of(&self, delivery: &Delivery) -> Option<KnownEvent> {
        query::event(&self.journal, delivery.event).ok().flatten().map(KnownEvent::from)
    }

    /// Cancels the deliveries in these values of subscription `number`.
    pub(super) fn cancel_all(&mut self, number: u32, values: &[(Vec<u8>, Vec<u8>)], why: &str, now: Timestamp) {
        let Some(subscription) = lock(&self.ledger).account(number).map(|account| account.subscription.clone()) else {
            return;
        };
        for delivery in values.iter().filter_map(|(_, value)| step::delivery_of(value)) {
            let event = self.event_of(&delivery);
            self.end(delivery, Status::Cancelled, why, &subscription, event, now);
        }
    }

    /// Ends what some subscriptions, from `number` on, are owed of events whose time is over; gives the
    /// number to go on with, if there is one.
    fn end_old(&mut self, number: u32, now: Timestamp) -> Result<Option<u32>, StateError> {
        let looked_at: Vec<_> = {
            let ledger = lock(&self.ledger);
            let some = ledger.accounts_from(number, ACCOUNTS_AT_ONCE);
            some.map(|(number, account)| (number, account.subscription.clone(), account.counts)).collect()
        };
        let mut left = ENDED_AT_ONCE;
        for (number, subscription, counts) in &looked_at {
            if counts.pending + counts.retrying + counts.failed == 0 {
                continue;
            }
            left -= self.end_old_of(*number, subscription, left, now)?;
            if left == 0 {
                return Ok(Some(*number));
            }
        }
        Ok(looked_at.last().map(|(number, ..)| number + 1))
    }

    /// Ends at most `most` of them of one subscription; says how many.
    fn end_old_of(
        &mut self,
        number: u32,
        subscription: &Subscription,
        most: usize,
        now: Timestamp,
    ) -> Result<usize, StateError> {
        const WHY: &str = "it was not delivered while its event was kept (`event_age` in [retention])";
        let over = self.settings.retention.events_over(now);
        let mut ended = 0;
        for prefix in [keys::OWED, keys::DEAD] {
            // In the order of acceptance: behind the first that is not over there is none.
            let oldest = self.state.scan(&keys::numbered(prefix, number), None, most - ended)?;
            let old = oldest.into_iter().map_while(|(_, value)| {
                let delivery = step::delivery_of(&value)?;
                (delivery.event.timestamp() < over).then_some(delivery)
            });
            for delivery in old {
                ended += 1;
                if delivery.state.is_owed() {
                    let event = self.event_of(&delivery);
                    self.end(delivery, Status::Expired, WHY, subscription, event, now);
                } else {
                    self.write(vec![Step::Forgotten(delivery.id)]);
                    self.changes.push(Change::Cancelled(delivery.id));
                }
            }
        }
        Ok(ended)
    }
}
