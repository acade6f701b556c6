//! In-memory registry of subscriptions with their state, and of tokens. All of it is also in the view. Secrets are
//! opened when a subscription is registered, not by readers.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

use crate::core::delivery::State as Standing;
use crate::core::event::{Company, NewEvent};
use crate::core::id::{SubscriptionId, TokenId};
use crate::core::seal::Keyring;
use crate::core::subscription::Subscription;
use crate::core::time::Timestamp;
use crate::core::token::Token;
use crate::model::lock::lock;
use crate::model::progress::{DiscardRecord, ReplayRecord};
use crate::model::record::{Locked, Memory, Registered};
use crate::model::standing::{Counts, Health};
use crate::model::token_ring::Tokens;
use crate::model::unserved::Unserved;
use crate::model::view::ViewMut;

/// A subscription with its counters.
#[derive(Debug)]
pub(crate) struct SubscriptionState {
    pub(crate) subscription: Arc<Subscription>,
    /// Deleted, and kept until its deliveries are cancelled.
    pub(crate) deleted: bool,
    /// Its record, if its secrets could not be opened.
    pub(crate) locked: Option<Locked>,
    /// Whether its record in the view is not sealed with the current key.
    pub(crate) stale: bool,
    pub(crate) next_sequence: u64,
    pub(crate) health: Health,
    pub(crate) counts: Counts,
    /// What is known about its longest waiting delivery.
    pub(crate) head: QueueHead,
}

/// What is known about the first delivery of a queue.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct QueueHead {
    /// A lower bound of its acceptance time; `None` if unknown.
    pub(crate) since: Option<Timestamp>,
    /// How often the bound was reset: a value read in an earlier epoch is discarded.
    pub(crate) epoch: u32,
}

impl QueueHead {
    /// Resets the bound: the queue is empty, or has a delivery that may be older. Only after the view has it so.
    pub(crate) fn forget(&mut self) {
        *self = Self { since: None, epoch: self.epoch.wrapping_add(1) };
    }

    /// Records a time read while the queue was in `epoch`.
    pub(crate) fn note(&mut self, epoch: u32, at: Timestamp) {
        if self.epoch == epoch {
            self.since = Some(at);
        }
    }
}

/// The registry.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    accounts: BTreeMap<u32, SubscriptionState>,
    /// The keys that seal and open secrets.
    keys: Arc<Keyring>,
    numbers: HashMap<SubscriptionId, u32>,
    /// The counts of all subscriptions together.
    total: Counts,
    by_company: HashMap<Company, Vec<u32>>,
    /// Replays in progress, by subscription number and id.
    replays: BTreeMap<(u32, u128), ReplayRecord>,
    /// Discards in progress: the last sequence number to cancel, by subscription number.
    discards: BTreeMap<u32, u64>,
    /// Subscriptions whose counts have changed since they were written.
    recount: BTreeSet<u32>,
    /// Companies without a webhook that post events.
    pub(crate) unserved: Unserved,
    /// The API tokens; shared, since every request looks one up.
    pub(crate) tokens: Arc<Tokens>,
    /// The number that the next subscription gets.
    pub(crate) next_number: u32,
}

impl Registry {
    /// An empty registry whose next subscription gets `next_number`, and which opens secrets with `keys`.
    pub(crate) fn numbering_from(next_number: u32, keys: Arc<Keyring>) -> Self {
        Self { next_number, keys, ..Self::default() }
    }

    /// The keys that seal and open secrets.
    pub(crate) const fn keys(&self) -> &Arc<Keyring> {
        &self.keys
    }

    /// The subscriptions whose secrets could not be opened, except deleted ones, whose secrets are not needed again.
    pub(crate) fn locked(&self) -> impl Iterator<Item = (&SubscriptionState, &Locked)> {
        let kept = self.accounts.values().filter(|account| !account.deleted);
        kept.filter_map(|account| Some((account, account.locked.as_ref()?)))
    }

    /// The subscription's state, if it is not deleted.
    pub(crate) fn get(&self, id: SubscriptionId) -> Option<&SubscriptionState> {
        let account = self.accounts.get(self.numbers.get(&id)?)?;
        (!account.deleted).then_some(account)
    }

    /// The state of the subscription with this number, deleted or not.
    pub(crate) fn account(&mut self, number: u32) -> Option<&mut SubscriptionState> {
        self.accounts.get_mut(&number)
    }

    /// The subscriptions that are not deleted, in order of creation.
    pub(crate) fn all(&self) -> impl Iterator<Item = &SubscriptionState> {
        self.accounts.values().filter(|account| !account.deleted)
    }

    /// The subscriptions of a company that are not deleted, in order of creation.
    pub(crate) fn of_company(&self, company: &Company) -> impl Iterator<Item = &SubscriptionState> {
        let numbers = self.by_company.get(company).into_iter().flatten();
        numbers.filter_map(|number| self.accounts.get(number)).filter(|account| !account.deleted)
    }

    /// The maximum number of deliveries of an event of a company.
    pub(crate) fn most_of_company(&self, company: &Company) -> usize {
        self.by_company.get(company).map_or(0, Vec::len)
    }

    /// As [`most_of_company`](Self::most_of_company), for the company of a posted event.
    pub(crate) fn most_of_event(&self, event: &NewEvent) -> usize {
        self.most_of_company(&event.company)
    }

    /// The companies without a webhook for which `wanted` holds, with the time of their latest event, latest first.
    pub(crate) fn unserved(&self, wanted: impl Fn(&Company) -> bool) -> Vec<(Company, Timestamp)> {
        self.unserved.list(|company| wanted(company) && self.of_company(company).next().is_none())
    }

    /// The companies with a webhook, in no particular order.
    pub(crate) fn companies(&self) -> impl Iterator<Item = &Company> {
        self.by_company.keys().filter(|company| self.of_company(company).next().is_some())
    }

    /// The subscriptions that are not deleted, of `company` if given, created after `after`, in order of creation.
    pub(crate) fn made_after(
        &self,
        company: Option<&Company>,
        after: Option<SubscriptionId>,
    ) -> Box<dyn Iterator<Item = &SubscriptionState> + '_> {
        let known = after.and_then(|after| self.numbers.get(&after).copied());
        let from = known.map_or(0, |number| number.saturating_add(1));
        // A deleted one is compared by its id.
        let gone = after.filter(|_| known.is_none());
        let accounts: Box<dyn Iterator<Item = &SubscriptionState>> = match company {
            Some(company) => {
                let numbers = self.by_company.get(company).map(Vec::as_slice).unwrap_or_default();
                let numbers = &numbers[numbers.partition_point(|number| *number < from)..];
                Box::new(numbers.iter().filter_map(|number| self.accounts.get(number)))
            }
            None => Box::new(self.accounts.range(from..).map(|(_, account)| account)),
        };
        let wanted = move |account: &&SubscriptionState| {
            !account.deleted && gone.is_none_or(|gone| account.subscription.id > gone)
        };
        Box::new(accounts.filter(wanted))
    }

    /// At most `most` subscriptions with numbers from `from` on, deleted or not, by number.
    pub(crate) fn states_from(&self, from: u32, most: usize) -> impl Iterator<Item = (u32, &SubscriptionState)> {
        self.accounts.range(from..).take(most).map(|(number, account)| (*number, account))
    }

    /// The deleted subscriptions that are not removed yet, by number.
    pub(crate) fn deleted(&self) -> Vec<u32> {
        self.accounts.iter().filter(|(_, account)| account.deleted).map(|(number, _)| *number).collect()
    }

    /// Registers a new or changed subscription.
    pub(crate) fn put(&mut self, registered: Registered) {
        let Registered { subscription, deleted, locked, stale } = registered;
        let number = subscription.number;
        self.next_number = self.next_number.max(number + 1);
        let subscription = Arc::new(subscription);
        if let Some(account) = self.accounts.get_mut(&number) {
            (account.subscription, account.deleted) = (subscription, deleted);
            (account.locked, account.stale) = (locked, stale);
            return;
        }
        self.numbers.insert(subscription.id, number);
        self.by_company.entry(subscription.company.clone()).or_default().push(number);
        let (health, counts, head) = (Health::default(), Counts::default(), QueueHead::default());
        let account =
            SubscriptionState { subscription, deleted, locked, stale, next_sequence: 1, health, counts, head };
        self.accounts.insert(number, account);
    }

    /// Removes a deleted subscription; returns the ids of its replays.
    pub(crate) fn remove(&mut self, number: u32) -> Vec<u128> {
        self.discards.remove(&number);
        let replays: Vec<u128> = self.replays_of(number).map(|replay| replay.id).collect();
        self.replays.retain(|(other, _), _| *other != number);
        self.recount.remove(&number);
        if let Some(account) = self.accounts.remove(&number) {
            self.total.replace(account.counts, Counts::default());
            self.numbers.remove(&account.subscription.id);
            if let Some(numbers) = self.by_company.get_mut(&account.subscription.company) {
                numbers.retain(|other| *other != number);
            }
        }
        replays
    }

    /// Updates a replay; removes it once it is complete.
    pub(crate) fn put_replay(&mut self, replay: ReplayRecord) {
        let key = (replay.number, replay.id);
        if replay.is_over() {
            self.replays.remove(&key);
        } else {
            self.replays.insert(key, replay);
        }
    }

    /// The replays of a subscription, oldest first.
    pub(crate) fn replays_of(&self, number: u32) -> impl Iterator<Item = &ReplayRecord> {
        self.replays.range((number, 0)..=(number, u128::MAX)).map(|(_, replay)| replay)
    }

    /// The oldest replay of each subscription that has any.
    pub(crate) fn replays(&self) -> Vec<ReplayRecord> {
        let mut last = None;
        let firsts = self.replays.values().filter(|replay| last.replace(replay.number) != Some(replay.number));
        firsts.cloned().collect()
    }

    /// Updates a discard; removes it once it is complete.
    pub(crate) fn put_discard(&mut self, discard: DiscardRecord) {
        if discard.last == 0 {
            self.discards.remove(&discard.number);
        } else {
            self.discards.insert(discard.number, discard.last);
        }
    }

    /// The discards in progress.
    pub(crate) fn discards(&self) -> Vec<DiscardRecord> {
        self.discards.iter().map(|(number, last)| DiscardRecord { number: *number, last: *last }).collect()
    }

    /// Updates the counts for a delivery of subscription `number` that changes state; `None` is none of the counted
    /// states.
    pub(crate) fn moved(&mut self, number: u32, from: Option<Standing>, to: Option<Standing>) {
        let Some(account) = self.accounts.get_mut(&number) else { return };
        self.recount.insert(number);
        let before = account.counts;
        let mut slot = |standing: Option<Standing>, step: i64| {
            let count = match standing {
                Some(Standing::Pending) => &mut account.counts.pending,
                Some(Standing::Retrying) => &mut account.counts.retrying,
                Some(Standing::Failed) => &mut account.counts.failed,
                _ => return,
            };
            *count = count.saturating_add_signed(step);
        };
        slot(from, -1);
        slot(to, 1);
        if account.counts.waiting() == 0 {
            account.head.forget();
        }
        self.total.replace(before, account.counts);
    }

    /// A delivery was requeued that may be older than the pending ones of subscription `number`.
    pub(crate) fn requeued(&mut self, number: u32) {
        if let Some(account) = self.accounts.get_mut(&number) {
            account.head.forget();
        }
    }

    /// Sets the counts of subscription `number`.
    pub(crate) fn set_counts(&mut self, number: u32, counts: Counts) {
        if let Some(account) = self.accounts.get_mut(&number) {
            self.total.replace(std::mem::replace(&mut account.counts, counts), counts);
        }
    }

    /// The counts that have changed since [`Registry::counts_written`].
    pub(crate) fn changed_counts(&self) -> impl ExactSizeIterator<Item = (u32, Counts)> {
        self.recount.iter().map(|number| {
            let account = self.accounts.get(number);
            (*number, account.map(|account| account.counts).unwrap_or_default())
        })
    }

    /// Marks the counts as written.
    pub(crate) fn counts_written(&mut self) {
        self.recount.clear();
    }

    /// All counts.
    pub(crate) fn all_counts(&self) -> impl Iterator<Item = (u32, Counts)> {
        self.accounts.iter().map(|(number, account)| (*number, account.counts))
    }

    /// Takes the counts of another registry, and which of them have changed.
    pub(crate) fn take_counts(&mut self, other: &Self) {
        self.total = Counts::default();
        for (number, account) in &mut self.accounts {
            account.counts = other.accounts.get(number).map(|account| account.counts).unwrap_or_default();
            self.total.replace(Counts::default(), account.counts);
        }
        self.recount.clone_from(&other.recount);
    }

    /// Resets the counts, for a recount.
    pub(crate) fn reset_counts(&mut self) {
        self.accounts.values_mut().for_each(|account| account.counts = Counts::default());
        self.total = Counts::default();
    }

    /// The counts of all subscriptions together.
    pub(crate) const fn counts(&self) -> Counts {
        self.total
    }
}

/// The changes that records make to the registry. Each locks it only briefly, so that a batch does not block readers.
impl Memory for Mutex<Registry> {
    fn keys(&self) -> Arc<Keyring> {
        lock(self).keys.clone()
    }

    fn put_subscription(&self, subscription: Registered) {
        lock(self).put(subscription);
    }

    fn remove_subscription(&self, number: u32) -> Vec<u128> {
        lock(self).remove(number)
    }

    fn set_next_sequence(&self, number: u32, next: u64) {
        if let Some(account) = lock(self).account(number) {
            account.next_sequence = next;
        }
    }

    fn set_health(&self, number: u32, health: Health) {
        if let Some(account) = lock(self).account(number) {
            account.health = health;
        }
    }

    fn moved(&self, number: u32, from: Option<Standing>, to: Option<Standing>) {
        lock(self).moved(number, from, to);
    }

    fn requeued(&self, number: u32) {
        lock(self).requeued(number);
    }

    fn put_replay(&self, replay: ReplayRecord) {
        lock(self).put_replay(replay);
    }

    fn put_discard(&self, discard: DiscardRecord) {
        lock(self).put_discard(discard);
    }

    fn put_token(&self, token: Token) {
        lock(self).tokens.put(token);
    }

    fn remove_token(&self, id: TokenId) {
        lock(self).tokens.remove(id);
    }

    fn note_unserved(&self, company: &Company, at: Timestamp, view: &dyn ViewMut) {
        let mut registry = lock(self);
        if registry.of_company(company).next().is_none() {
            registry.unserved.note(company, at, view);
        }
    }
}
