//! What the committer knows by heart: the subscriptions, their next sequence numbers, how many
//! deliveries wait. All of it stands in the state database too. Secrets are opened when a subscription is taken in
//! here, and so for nobody who asks.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::core::delivery::State as Standing;
use crate::core::event::{Company, NewEvent};
use crate::core::id::SubscriptionId;
use crate::core::seal::Keyring;
use crate::core::subscription::Subscription;
use crate::core::time::Timestamp;

use super::oldest::Head;
use super::record::{DiscardRecord, ReplayRecord, SubscriptionRecord, Unsealed};
use super::sealing;
use super::tokens::Tokens;
use super::unserved::Unserved;
use super::{Counts, Health};

/// One subscription and what is counted of it.
#[derive(Debug)]
pub(super) struct Account {
    pub(super) subscription: Arc<Subscription>,
    /// Deleted, and kept until what it was owed is cancelled.
    pub(super) deleted: bool,
    /// Its record, if the secrets in it could not be opened.
    pub(super) locked: Option<Box<SubscriptionRecord>>,
    /// Whether its record in the state is not sealed with the key that seals.
    pub(super) stale: bool,
    pub(super) next_sequence: u64,
    pub(super) health: Health,
    pub(super) counts: Counts,
    /// What is known of the delivery that has waited longest.
    pub(super) head: Head,
}

impl Account {
    /// Its record, as it is to be written now.
    pub(super) fn record(&self, keys: &Keyring) -> SubscriptionRecord {
        match &self.locked {
            Some(record) => (**record).clone(),
            None => sealing::record(&self.subscription, self.deleted, keys),
        }
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    accounts: BTreeMap<u32, Account>,
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
    /// Whose counts have changed since they were written.
    recount: BTreeSet<u32>,
    /// The companies that post and have no webhook.
    pub(super) unserved: Unserved,
    /// The tokens of the API; shared, because every request asks for one.
    pub(super) tokens: Arc<Tokens>,
    /// The number that the next subscription gets.
    pub(super) next_number: u32,
}

impl Ledger {
    /// An empty ledger whose next subscription gets `next_number`, and which opens secrets with `keys`.
    pub(super) fn numbering_from(next_number: u32, keys: Arc<Keyring>) -> Self {
        Self { next_number, keys, ..Self::default() }
    }

    /// What secrets are sealed and opened with.
    pub(super) const fn keys(&self) -> &Arc<Keyring> {
        &self.keys
    }

    /// The accounts whose secrets could not be opened. Nobody asks for those of a deleted subscription again, which
    /// stays for a while, until what it was owed is cancelled.
    pub(super) fn locked(&self) -> impl Iterator<Item = (&Account, &SubscriptionRecord)> {
        let kept = self.accounts.values().filter(|account| !account.deleted);
        kept.filter_map(|account| Some((account, &**account.locked.as_ref()?)))
    }

    /// The account of the subscription, if it is not deleted.
    pub(super) fn get(&self, id: SubscriptionId) -> Option<&Account> {
        let account = self.accounts.get(self.numbers.get(&id)?)?;
        (!account.deleted).then_some(account)
    }

    /// The account with this number, deleted or not.
    pub(super) fn account(&mut self, number: u32) -> Option<&mut Account> {
        self.accounts.get_mut(&number)
    }

    /// The accounts that are not deleted, in order of creation.
    pub(super) fn all(&self) -> impl Iterator<Item = &Account> {
        self.accounts.values().filter(|account| !account.deleted)
    }

    /// The accounts of a company that are not deleted, in order of creation.
    pub(super) fn of_company(&self, company: &Company) -> impl Iterator<Item = &Account> {
        let numbers = self.by_company.get(company).into_iter().flatten();
        numbers.filter_map(|number| self.accounts.get(number)).filter(|account| !account.deleted)
    }

    /// How many deliveries one event of a company makes at most.
    pub(super) fn most_of_company(&self, company: &Company) -> usize {
        self.by_company.get(company).map_or(0, Vec::len)
    }

    /// The same for the company of an event that is posted.
    pub(super) fn most_of_event(&self, event: &NewEvent) -> usize {
        self.most_of_company(&event.company)
    }

    /// The companies that post, have no webhook, and that `wanted` is true of, with their latest event, the latest first.
    pub(super) fn unserved(&self, wanted: impl Fn(&Company) -> bool) -> Vec<(Company, Timestamp)> {
        self.unserved.list(|company| wanted(company) && self.of_company(company).next().is_none())
    }

    /// The companies that have a webhook, in no order.
    pub(super) fn companies(&self) -> impl Iterator<Item = &Company> {
        self.by_company.keys().filter(|company| self.of_company(company).next().is_some())
    }

    /// The accounts that are not deleted, of `company` if one is said, which were made after `after`, in order of
    /// creation.
    pub(super) fn made_after(
        &self,
        company: Option<&Company>,
        after: Option<SubscriptionId>,
    ) -> Box<dyn Iterator<Item = &Account> + '_> {
        let known = after.and_then(|after| self.numbers.get(&after).copied());
        let from = known.map_or(0, |number| number.saturating_add(1));
        // One that has gone meanwhile is told by its id alone.
        let gone = after.filter(|_| known.is_none());
        let accounts: Box<dyn Iterator<Item = &Account>> = match company {
            Some(company) => {
                let numbers = self.by_company.get(company).map(Vec::as_slice).unwrap_or_default();
                let numbers = &numbers[numbers.partition_point(|number| *number < from)..];
                Box::new(numbers.iter().filter_map(|number| self.accounts.get(number)))
            }
            None => Box::new(self.accounts.range(from..).map(|(_, account)| account)),
        };
        let wanted =
            move |account: &&Account| !account.deleted && gone.is_none_or(|gone| account.subscription.id > gone);
        Box::new(accounts.filter(wanted))
    }

    /// At most `most` accounts with numbers from `from` on, deleted or not, by number.
    pub(super) fn accounts_from(&self, from: u32, most: usize) -> impl Iterator<Item = (u32, &Account)> {
        self.accounts.range(from..).take(most).map(|(number, account)| (*number, account))
    }

    /// The deleted ones of which something may be left, by number.
    pub(super) fn deleted(&self) -> Vec<u32> {
        self.accounts.iter().filter(|(_, account)| account.deleted).map(|(number, _)| *number).collect()
    }

    /// Takes in a subscription that is new or has changed.
    pub(super) fn put(&mut self, unsealed: Unsealed) {
        let Unsealed { subscription, deleted, locked, stale } = unsealed;
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
        let (health, counts, head) = (Health::default(), Counts::default(), Head::default());
        let account = Account { subscription, deleted, locked, stale, next_sequence: 1, health, counts, head };
        self.accounts.insert(number, account);
    }

    /// Forgets a deleted subscription of which nothing is left. Gives the ids of its replays.
    pub(super) fn remove(&mut self, number: u32) -> Vec<u128> {
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
    pub(super) fn put_replay(&mut self, replay: ReplayRecord) {
        let key = (replay.number, replay.id);
        if replay.is_over() {
            self.replays.remove(&key);
        } else {
            self.replays.insert(key, replay);
        }
    }

    /// The replays of a subscription, the oldest first.
    pub(super) fn replays_of(&self, number: u32) -> impl Iterator<Item = &ReplayRecord> {
        self.replays.range((number, 0)..=(number, u128::MAX)).map(|(_, replay)| replay)
    }

    /// The oldest replay of each subscription that has any.
    pub(super) fn replays(&self) -> Vec<ReplayRecord> {
        let mut last = None;
        let firsts = self.replays.values().filter(|replay| last.replace(replay.number) != Some(replay.number));
        firsts.cloned().collect()
    }

    /// Takes in how a discard stands; forgets it once it is over.
    pub(super) fn put_discard(&mut self, discard: DiscardRecord) {
        if discard.last == 0 {
            self.discards.remove(&discard.number);
        } else {
            self.discards.insert(discard.number, discard.last);
        }
    }

    /// The discards that go on.
    pub(super) fn discards(&self) -> Vec<DiscardRecord> {
        self.discards.iter().map(|(number, last)| DiscardRecord { number: *number, last: *last }).collect()
    }

    /// A delivery of subscription `number` stands elsewhere from now on; `None` for nowhere.
    pub(super) fn moved(&mut self, number: u32, from: Option<Standing>, to: Option<Standing>) {
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
    pub(super) fn requeued(&mut self, number: u32) {
        if let Some(account) = self.accounts.get_mut(&number) {
            account.head.forget();
        }
    }

    /// The counts of subscription `number` are these.
    pub(super) fn set_counts(&mut self, number: u32, counts: Counts) {
        if let Some(account) = self.accounts.get_mut(&number) {
            self.total.replace(std::mem::replace(&mut account.counts, counts), counts);
        }
    }

    /// Whose counts have changed since [`Ledger::counts_written`], and how they are now.
    pub(super) fn changed_counts(&self) -> impl ExactSizeIterator<Item = (u32, Counts)> {
        self.recount.iter().map(|number| {
            let account = self.accounts.get(number);
            (*number, account.map(|account| account.counts).unwrap_or_default())
        })
    }

    /// The counts are written as they are now.
    pub(super) fn counts_written(&mut self) {
        self.recount.clear();
    }

    /// All counts.
    pub(super) fn all_counts(&self) -> impl Iterator<Item = (u32, Counts)> {
        self.accounts.iter().map(|(number, account)| (*number, account.counts))
    }

    /// Takes over the counts of another, and which of them are to be written.
    pub(super) fn take_counts(&mut self, other: &Self) {
        self.total = Counts::default();
        for (number, account) in &mut self.accounts {
            account.counts = other.accounts.get(number).map(|account| account.counts).unwrap_or_default();
            self.total.replace(Counts::default(), account.counts);
        }
        self.recount.clone_from(&other.recount);
    }

    /// Forgets the counts, to count anew.
    pub(super) fn reset_counts(&mut self) {
        self.accounts.values_mut().for_each(|account| account.counts = Counts::default());
        self.total = Counts::default();
    }

    /// The counts of all subscriptions together.
    pub(super) const fn counts(&self) -> Counts {
        self.total
    }
}

impl Counts {
    /// How many wait: to be sent, or to be sent again.
    pub const fn waiting(&self) -> u64 {
        self.pending + self.retrying
    }

    /// In this sum, one that was `before` is `now`.
    fn replace(&mut self, before: Self, now: Self) {
        let changed = |sum: u64, before: u64, now: u64| sum.saturating_sub(before).saturating_add(now);
        self.pending = changed(self.pending, before.pending, now.pending);
        self.retrying = changed(self.retrying, before.retrying, now.retrying);
        self.failed = changed(self.failed, before.failed, now.failed);
    }
}
