//! In-memory registry of subscriptions with their state, of tokens and sessions. All of it is also in the view. Secrets are
//! opened when a subscription is registered, not by readers.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::{Arc, Mutex};

use crate::core::delivery::State;
use crate::core::event::{Company, NewEvent};
use crate::core::id::{PortalLinkId, SessionId, SubscriptionId, SubscriptionNumber, TokenId};
use crate::core::portal_link::PortalLink;
use crate::core::seal::Keyring;
use crate::core::session::Session;
use crate::core::subscription::Subscription;
use crate::core::time::Timestamp;
use crate::core::token::{Token, TokenHash};
use crate::model::by_hash::{ByHash, Hashed};
use crate::model::health::{Counts, Health};
use crate::model::lock::lock;
use crate::model::progress::{DiscardRecord, ReplayRecord};
use crate::model::record::{Locked, Memory, Registered};
use crate::model::session_ring::Sessions;
use crate::model::token_ring::Tokens;
use crate::model::view::ViewMut;
use crate::model::without_webhook::CompaniesWithoutWebhook;

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
    states: BTreeMap<SubscriptionNumber, SubscriptionState>,
    /// The keys that seal and open secrets.
    keys: Arc<Keyring>,
    numbers: HashMap<SubscriptionId, SubscriptionNumber>,
    /// The counts of all subscriptions together.
    total: Counts,
    by_company: HashMap<Company, Vec<SubscriptionNumber>>,
    /// Replays in progress, by subscription number and id.
    replays: BTreeMap<(SubscriptionNumber, u128), ReplayRecord>,
    /// Discards in progress: the last sequence number to cancel, by subscription number.
    discards: BTreeMap<SubscriptionNumber, u64>,
    /// Subscriptions whose counts have changed since they were written.
    recount: BTreeSet<SubscriptionNumber>,
    /// Companies without a webhook that post events.
    pub(crate) without_webhook: CompaniesWithoutWebhook,
    /// The API tokens; shared, since every request looks one up.
    pub(crate) tokens: Arc<Tokens>,
    /// The page's sessions; shared likewise.
    pub(crate) sessions: Arc<Sessions>,
    /// The portal links that have not expired.
    pub(crate) portal_links: ByHash<PortalLink>,
    /// The number that the next subscription gets.
    pub(crate) next_number: SubscriptionNumber,
}

impl Registry {
    /// An empty registry whose next subscription gets `next_number`, and which opens secrets with `keys`.
    pub(crate) fn numbering_from(next_number: SubscriptionNumber, keys: Arc<Keyring>) -> Self {
        Self { next_number, keys, ..Self::default() }
    }

    /// The keys that seal and open secrets.
    pub(crate) const fn keys(&self) -> &Arc<Keyring> {
        &self.keys
    }

    /// The subscriptions whose secrets could not be opened, except deleted ones, whose secrets are not needed again.
    pub(crate) fn locked(&self) -> impl Iterator<Item = (&SubscriptionState, &Locked)> {
        let states = self.states.values().filter(|state| !state.deleted);
        states.filter_map(|state| Some((state, state.locked.as_ref()?)))
    }

    /// The subscription's state, if it is not deleted.
    pub(crate) fn get(&self, id: SubscriptionId) -> Option<&SubscriptionState> {
        let state = self.states.get(self.numbers.get(&id)?)?;
        (!state.deleted).then_some(state)
    }

    /// The state of the subscription with this number, deleted or not.
    pub(crate) fn state_mut(&mut self, number: SubscriptionNumber) -> Option<&mut SubscriptionState> {
        self.states.get_mut(&number)
    }

    /// The subscriptions that are not deleted, in order of creation.
    pub(crate) fn all(&self) -> impl Iterator<Item = &SubscriptionState> {
        self.states.values().filter(|state| !state.deleted)
    }

    /// The subscriptions of a company that are not deleted, in order of creation.
    pub(crate) fn of_company(&self, company: &Company) -> impl Iterator<Item = &SubscriptionState> {
        let numbers = self.by_company.get(company).into_iter().flatten();
        numbers.filter_map(|number| self.states.get(number)).filter(|state| !state.deleted)
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
    pub(crate) fn without_webhook(&self, wanted: impl Fn(&Company) -> bool) -> Vec<(Company, Timestamp)> {
        self.without_webhook.list(|company| wanted(company) && self.of_company(company).next().is_none())
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
        let behind = known.map_or(Bound::Unbounded, Bound::Excluded);
        // A deleted one is compared by its id.
        let gone = after.filter(|_| known.is_none());
        let states: Box<dyn Iterator<Item = &SubscriptionState>> = match company {
            Some(company) => {
                let numbers = self.by_company.get(company).map(Vec::as_slice).unwrap_or_default();
                let numbers = &numbers[numbers.partition_point(|number| known.is_some_and(|known| *number <= known))..];
                Box::new(numbers.iter().filter_map(|number| self.states.get(number)))
            }
            None => Box::new(self.states.range((behind, Bound::Unbounded)).map(|(_, state)| state)),
        };
        let wanted =
            move |state: &&SubscriptionState| !state.deleted && gone.is_none_or(|gone| state.subscription.id > gone);
        Box::new(states.filter(wanted))
    }

    /// At most `most` subscriptions with numbers from `from` on, deleted or not, by number.
    pub(crate) fn states_from(
        &self,
        from: SubscriptionNumber,
        most: usize,
    ) -> impl Iterator<Item = (SubscriptionNumber, &SubscriptionState)> {
        self.states.range(from..).take(most).map(|(number, state)| (*number, state))
    }

    /// The deleted subscriptions that are not removed yet, by number.
    pub(crate) fn deleted(&self) -> Vec<SubscriptionNumber> {
        self.states.iter().filter(|(_, state)| state.deleted).map(|(number, _)| *number).collect()
    }

    /// Registers a new or changed subscription.
    pub(crate) fn put(&mut self, registered: Registered) {
        let Registered { mut subscription, deleted, locked, stale } = registered;
        let number = subscription.number;
        self.next_number = self.next_number.max(number.next().unwrap_or(number));
        if let Some(state) = self.states.get(&number) {
            subscription.target.keep_of(&state.subscription.target);
        }
        let subscription = Arc::new(subscription);
        if let Some(state) = self.states.get_mut(&number) {
            (state.subscription, state.deleted) = (subscription, deleted);
            (state.locked, state.stale) = (locked, stale);
            return;
        }
        self.numbers.insert(subscription.id, number);
        self.by_company.entry(subscription.company.clone()).or_default().push(number);
        let (health, counts, head) = (Health::default(), Counts::default(), QueueHead::default());
        let state = SubscriptionState { subscription, deleted, locked, stale, next_sequence: 1, health, counts, head };
        self.states.insert(number, state);
    }

    /// Removes a deleted subscription; returns the ids of its replays.
    pub(crate) fn remove(&mut self, number: SubscriptionNumber) -> Vec<u128> {
        self.discards.remove(&number);
        let replays: Vec<u128> = self.replays_of(number).map(|replay| replay.id).collect();
        self.replays.retain(|(other, _), _| *other != number);
        self.recount.remove(&number);
        if let Some(state) = self.states.remove(&number) {
            self.total.replace(state.counts, Counts::default());
            self.numbers.remove(&state.subscription.id);
            if let Some(numbers) = self.by_company.get_mut(&state.subscription.company) {
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

    /// Removes a replay.
    #[cfg(feature = "postgres")]
    pub(crate) fn remove_replay(&mut self, number: SubscriptionNumber, id: u128) {
        self.replays.remove(&(number, id));
    }

    /// Removes a discard.
    #[cfg(feature = "postgres")]
    pub(crate) fn remove_discard(&mut self, number: SubscriptionNumber) {
        self.discards.remove(&number);
    }

    /// Whether a replay or a discard is in progress.
    #[cfg(feature = "postgres")]
    pub(crate) fn has_tasks(&self) -> bool {
        !self.replays.is_empty() || !self.discards.is_empty()
    }

    /// The replays of a subscription, oldest first.
    pub(crate) fn replays_of(&self, number: SubscriptionNumber) -> impl Iterator<Item = &ReplayRecord> {
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
    pub(crate) fn moved(&mut self, number: SubscriptionNumber, from: Option<State>, to: Option<State>) {
        let Some(state) = self.states.get_mut(&number) else { return };
        self.recount.insert(number);
        let before = state.counts;
        let mut add = |counted: Option<State>, step: i64| {
            let count = match counted {
                Some(State::Pending) => &mut state.counts.pending,
                Some(State::Retrying) => &mut state.counts.retrying,
                Some(State::Failed) => &mut state.counts.failed,
                _ => return,
            };
            *count = count.saturating_add_signed(step);
        };
        add(from, -1);
        add(to, 1);
        if state.counts.waiting() == 0 {
            state.head.forget();
        }
        self.total.replace(before, state.counts);
    }

    /// A delivery was requeued that may be older than the pending ones of subscription `number`.
    pub(crate) fn requeued(&mut self, number: SubscriptionNumber) {
        if let Some(state) = self.states.get_mut(&number) {
            state.head.forget();
        }
    }

    /// Sets the counts of subscription `number`.
    pub(crate) fn set_counts(&mut self, number: SubscriptionNumber, counts: Counts) {
        if let Some(state) = self.states.get_mut(&number) {
            self.total.replace(std::mem::replace(&mut state.counts, counts), counts);
        }
    }

    /// The counts that have changed since [`Registry::counts_written`].
    pub(crate) fn changed_counts(&self) -> impl ExactSizeIterator<Item = (SubscriptionNumber, Counts)> {
        self.recount.iter().map(|number| {
            let state = self.states.get(number);
            (*number, state.map(|state| state.counts).unwrap_or_default())
        })
    }

    /// Marks the counts as written.
    pub(crate) fn counts_written(&mut self) {
        self.recount.clear();
    }

    /// All counts.
    pub(crate) fn all_counts(&self) -> impl Iterator<Item = (SubscriptionNumber, Counts)> {
        self.states.iter().map(|(number, state)| (*number, state.counts))
    }

    /// Takes the counts of another registry, and which of them have changed.
    pub(crate) fn take_counts(&mut self, other: &Self) {
        self.total = Counts::default();
        for (number, state) in &mut self.states {
            state.counts = other.states.get(number).map(|state| state.counts).unwrap_or_default();
            self.total.replace(Counts::default(), state.counts);
        }
        self.recount.clone_from(&other.recount);
    }

    /// Resets the counts, for a recount.
    pub(crate) fn reset_counts(&mut self) {
        self.states.values_mut().for_each(|state| state.counts = Counts::default());
        self.total = Counts::default();
    }

    /// The counts of all subscriptions together.
    pub(crate) const fn counts(&self) -> Counts {
        self.total
    }
}

impl Hashed for PortalLink {
    fn bits(&self) -> u128 {
        self.id.bits()
    }

    fn hash(&self) -> &TokenHash {
        &self.hash
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

    fn remove_subscription(&self, number: SubscriptionNumber) -> Vec<u128> {
        lock(self).remove(number)
    }

    fn set_next_sequence(&self, number: SubscriptionNumber, next: u64) {
        if let Some(state) = lock(self).state_mut(number) {
            state.next_sequence = next;
        }
    }

    fn set_health(&self, number: SubscriptionNumber, health: Health) {
        if let Some(state) = lock(self).state_mut(number) {
            state.health = health;
        }
    }

    fn moved(&self, number: SubscriptionNumber, from: Option<State>, to: Option<State>) {
        lock(self).moved(number, from, to);
    }

    fn requeued(&self, number: SubscriptionNumber) {
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

    fn put_session(&self, session: Session) {
        lock(self).sessions.put(session);
    }

    fn remove_session(&self, id: SessionId) {
        lock(self).sessions.remove(id);
    }

    fn put_portal_link(&self, link: PortalLink) {
        lock(self).portal_links.put(link);
    }

    fn remove_portal_link(&self, id: PortalLinkId) {
        lock(self).portal_links.remove(id.bits());
    }

    fn note_without_webhook(&self, company: &Company, at: Timestamp, view: &dyn ViewMut) {
        let mut registry = lock(self);
        if registry.of_company(company).next().is_none() {
            registry.without_webhook.note(company, at, view);
        }
    }
}
