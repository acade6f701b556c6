//! What the committer knows by heart: the subscriptions, their next sequence numbers, how many
//! deliveries wait. All of it stands in the state database too. Secrets are opened when a subscription is taken in
//! here, and so for nobody who asks.

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

/// One subscription and what is counted of it.
#[derive(Debug)]
pub(crate) struct SubscriptionState {
    pub(crate) subscription: Arc<Subscription>,
    /// Deleted, and kept until what it was owed is cancelled.
    pub(crate) deleted: bool,
    /// Its record, if the secrets in it could not be opened.
    pub(crate) locked: Option<Locked>,
    /// Whether its record in the state is not sealed with the key that seals.
    pub(crate) stale: bool,
    pub(crate) next_sequence: u64,
    pub(crate) health: Health,
    pub(crate) counts: Counts,
    /// What is known of the delivery that has waited longest.
    pub(crate) head: QueueHead,
}

/// What is known of the first delivery of a queue.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct QueueHead {
    /// It was accepted then or later; `None` if nothing is known.
    pub(crate) since: Option<Timestamp>,
    /// How often all was forgotten: what was read before that is not to be noted any more.
    pub(crate) epoch: u32,
}

impl QueueHead {
    /// The queue is empty, or has something in it that may be older. Not before the state has it so.
    pub(crate) fn forget(&mut self) {
        *self = Self { since: None, epoch: self.epoch.wrapping_add(1) };
    }

    /// What was read of a queue that was in this epoch.
    pub(crate) fn note(&mut self, epoch: u32, at: Timestamp) {
        if self.epoch == epoch {
            self.since = Some(at);
        }
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    accounts: BTreeMap<u32, SubscriptionState>,
    /// What secrets are sealed and opened with.
    keys: Arc<Keyring>,
    numbers: HashMap<SubscriptionId, u32>,
    /// The counts of all accounts together.
    total: Counts,
    by_company: HashMap<Company, Vec<u32>>,
    /// Replays that go on, by the subscription's number and their id.
    replays: BTreeMap<(u32, u128), ReplayRecord>,
    /// Up to which sequence number a subscription's queue is being discarded.
    discards: BTreeMap<u32, u64>,
    /// Owner counts have changed since they were written.
    recount: BTreeSet<u32>,
    /// The companies that post and have no webhook.
    pub(crate) unserved: Unserved,
    /// The tokens of the API; shared, because every request asks for one.
    pub(crate) tokens: Arc<Tokens>,
    /// The number that the next subscription gets.
    pub(crate) next_number: u32,
}

impl Registry {
    /// An empty registry whose next subscription gets `next_number`, and which opens secrets with `keys`.
    pub(crate) fn numbering_from(next_number: u32, keys: Arc<Keyring>) -> Self {
        Self { next_number, keys, ..Self::default() }
    }

    /// What secrets are sealed and opened with.
    pub(crate) const fn keys(&self) -> &Arc<Keyring> {
        &self.keys
    }

    /// The accounts whose secrets could not be opened. Nobody asks for those of a deleted subscription again, which
    /// stays for a while, until what it was owed is cancelled.
    pub(crate) fn locked(&self) -> impl Iterator<Item = (&SubscriptionState, &Locked)> {
        let kept = self.accounts.values().filter(|account| !account.deleted);
        kept.filter_map(|account| Some((account, account.locked.as_ref()?)))
    }

    /// The account of the subscription, if it is not deleted.
    pub(crate) fn get(&self, id: SubscriptionId) -> Option<&SubscriptionState> {
        let account = self.accounts.get(self.numbers.get(&id)?)?;
        (!account.deleted).then_some(account)
    }

    /// The account with this number, deleted or not.
    pub(crate) fn account(&mut self, number: u32) -> Option<&mut SubscriptionState> {
        self.accounts.get_mut(&number)
    }

    /// The accounts that are not deleted, in order of creation.
    pub(crate) fn all(&self) -> impl Iterator<Item = &SubscriptionState> {
        self.accounts.values().filter(|account| !account.deleted)
    }

    /// The accounts of a company that are not deleted, in order of creation.
    pub(crate) fn of_company(&self, company: &Company) -> impl Iterator<Item = &SubscriptionState> {
        let numbers = self.by_company.get(company).into_iter().flatten();
        numbers.filter_map(|number| self.accounts.get(number)).filter(|account| !account.deleted)
    }

    /// How many deliveries one event of a company makes at most.
    pub(crate) fn most_of_company(&self, company: &Company) -> usize {
        self.by_company.get(company).map_or(0, Vec::len)
    }

    /// The same for the company of an event that is posted.
    pub(crate) fn most_of_event(&self, event: &NewEvent) -> usize {
        self.most_of_company(&event.company)
    }

    /// The companies that post, have no webhook, and that `wanted` is true of, with their latest event, the latest first.
    pub(crate) fn unserved(&self, wanted: impl Fn(&Company) -> bool) -> Vec<(Company, Timestamp)> {
        self.unserved.list(|company| wanted(company) && self.of_company(company).next().is_none())
    }

    /// The companies that have a webhook, in no order.
    pub(crate) fn companies(&self) -> impl Iterator<Item = &Company> {
        self.by_company.keys().filter(|company| self.of_company(company).next().is_some())
    }

    /// The accounts that are not deleted, of `company` if one is said, which were made after `after`, in order of
    /// creation.
    pub(crate) fn made_after(
        &self,
        company: Option<&Company>,
        after: Option<SubscriptionId>,
    ) -> Box<dyn Iterator<Item = &SubscriptionState> + '_> {
        let known = after.and_then(|after| self.numbers.get(&after).copied());
        let from = known.map_or(0, |number| number.saturating_add(1));
        // One that has gone meanwhile is told by its id alone.
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

    /// At most `most` accounts with numbers from `from` on, deleted or not, by number.
    pub(crate) fn states_from(&self, from: u32, most: usize) -> impl Iterator<Item = (u32, &SubscriptionState)> {
        self.accounts.range(from..).take(most).map(|(number, account)| (*number, account))
    }

    /// The deleted ones of which something may be left, by number.
    pub(crate) fn deleted(&self) -> Vec<u32> {
        self.accounts.iter().filter(|(_, account)| account.deleted).map(|(number, _)| *number).collect()
    }

    /// Takes in a subscription that is new or has changed.
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

    /// Forgets a deleted subscription of which nothing is left. Gives the ids of its replays.
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

    /// Takes in how a replay stands; forgets it once it is over.
    pub(crate) fn put_replay(&mut self, replay: ReplayRecord) {
        let key = (replay.number, replay.id);
        if replay.is_over() {
            self.replays.remove(&key);
        } else {
            self.replays.insert(key, replay);
        }
    }

    /// The replays of a subscription, the oldest first.
    pub(crate) fn replays_of(&self, number: u32) -> impl Iterator<Item = &ReplayRecord> {
        self.replays.range((number, 0)..=(number, u128::MAX)).map(|(_, replay)| replay)
    }

    /// The oldest replay of each subscription that has any.
    pub(crate) fn replays(&self) -> Vec<ReplayRecord> {
        let mut last = None;
        let firsts = self.replays.values().filter(|replay| last.replace(replay.number) != Some(replay.number));
        firsts.cloned().collect()
    }

    /// Takes in how a discard stands; forgets it once it is over.
    pub(crate) fn put_discard(&mut self, discard: DiscardRecord) {
        if discard.last == 0 {
            self.discards.remove(&discard.number);
        } else {
            self.discards.insert(discard.number, discard.last);
        }
    }

    /// The discards that go on.
    pub(crate) fn discards(&self) -> Vec<DiscardRecord> {
        self.discards.iter().map(|(number, last)| DiscardRecord { number: *number, last: *last }).collect()
    }

    /// A delivery of subscription `number` stands elsewhere from now on; `None` for nowhere.
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

    /// A delivery of subscription `number` that may be older than all that wait for it waits again.
    pub(crate) fn requeued(&mut self, number: u32) {
        if let Some(account) = self.accounts.get_mut(&number) {
            account.head.forget();
        }
    }

    /// The counts of subscription `number` are these.
    pub(crate) fn set_counts(&mut self, number: u32, counts: Counts) {
        if let Some(account) = self.accounts.get_mut(&number) {
            self.total.replace(std::mem::replace(&mut account.counts, counts), counts);
        }
    }

    /// Owner counts have changed since [`Registry::counts_written`], and how they are now.
    pub(crate) fn changed_counts(&self) -> impl ExactSizeIterator<Item = (u32, Counts)> {
        self.recount.iter().map(|number| {
            let account = self.accounts.get(number);
            (*number, account.map(|account| account.counts).unwrap_or_default())
        })
    }

    /// The counts are written as they are now.
    pub(crate) fn counts_written(&mut self) {
        self.recount.clear();
    }

    /// All counts.
    pub(crate) fn all_counts(&self) -> impl Iterator<Item = (u32, Counts)> {
        self.accounts.iter().map(|(number, account)| (*number, account.counts))
    }

    /// Takes over the counts of another, and which of them are to be written.
    pub(crate) fn take_counts(&mut self, other: &Self) {
        self.total = Counts::default();
        for (number, account) in &mut self.accounts {
            account.counts = other.accounts.get(number).map(|account| account.counts).unwrap_or_default();
            self.total.replace(Counts::default(), account.counts);
        }
        self.recount.clone_from(&other.recount);
    }

    /// Forgets the counts, to count anew.
    pub(crate) fn reset_counts(&mut self) {
        self.accounts.values_mut().for_each(|account| account.counts = Counts::default());
        self.total = Counts::default();
    }

    /// The counts of all subscriptions together.
    pub(crate) const fn counts(&self) -> Counts {
        self.total
    }
}

/// What records change in the registry. Each locks it for a moment, so that readers are not kept waiting by a batch.
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
