//! The store's API in domain terms.

use std::sync::{Arc, Mutex};

use crate::core::attempt::LogEntry;
use crate::core::delivery::{Delivery, State};
use crate::core::event::{Company, Event, NewEvent};
use crate::core::id::{AttemptId, DeliveryId, EventId, SubscriptionId, SubscriptionNumber};
use crate::core::shards::{Ownership, ShardSet};
use crate::core::subscription::Subscription;
use crate::core::time::Timestamp;
use crate::engine::{Engine, Pieces};
use crate::model::command::{Accepted, AttemptResult, Busy, Command, Replay, Reply};
use crate::model::conversations::Threads;
use crate::model::deliveries::DeliveryQuery;
use crate::model::error::StoreError;
use crate::model::filter::{DeliveryFilter, EventFilter, LogFilter, ReplayFilter};
use crate::model::health::{Counts, Health};
use crate::model::key::ValueKind;
use crate::model::lock::lock;
use crate::model::page::{DeliveryCursor, Page, Reads};
use crate::model::receipts::EventReceipt;
use crate::model::registry::{Registry, SubscriptionState};
use crate::model::session_ring::Sessions;
use crate::model::token_ring::Tokens;
use crate::model::view::{Log, View};
use crate::model::{keys, query, record, replay};

/// A handle to the store; cheap to clone.
#[derive(Clone)]
pub struct Store {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) registry: Arc<Mutex<Registry>>,
    pub(crate) tokens: Arc<Tokens>,
    pub(crate) sessions: Arc<Sessions>,
    /// Recently used SMS threads.
    pub(crate) threads: Arc<Mutex<Threads>>,
    /// The maximum size of the data of a raised event.
    pub(crate) max_data_bytes: usize,
    /// For tests: the engine's internals.
    #[cfg(test)]
    pub(crate) embedded: Option<Arc<crate::engine::embedded::engine::Embedded>>,
}

impl Store {
    /// The view.
    pub(crate) fn view(&self) -> &dyn View {
        self.shared.engine.view()
    }

    /// The log of records.
    pub(crate) fn history(&self) -> &dyn Log {
        self.shared.engine.log()
    }

    /// Accepts all events or none. The reply has one [`Accepted`] for each, in order.
    ///
    /// # Errors
    /// The write queue is full; the reply is not called.
    pub fn accept(&self, events: Vec<NewEvent>, reply: Reply<Vec<Accepted>>) -> Result<(), Busy> {
        let bytes = events.iter().map(|event| event.data.len() as u64).sum();
        match self.shared.engine.admit(bytes) {
            Ok(()) => self.push(Command::Accept(events, reply)),
            Err(refusal) => {
                reply(Err(StoreError::DiskFull(refusal)));
                Ok(())
            }
        }
    }

    /// The shards whose subscriptions this process sends for.
    pub fn ownership(&self) -> Ownership {
        self.shared.engine.ownership()
    }

    /// Whether this process may begin attempts now: not if another one may have been given its shards.
    pub fn may_begin(&self) -> bool {
        self.shared.engine.may_begin()
    }

    /// Gives up shards: nothing of theirs is in flight, and this process begins nothing of theirs any more.
    pub fn release(&self, shards: ShardSet) {
        self.shared.engine.release(shards);
    }

    /// Records a finished attempt. Nobody waits for it: if it is lost, the attempt is repeated.
    pub fn finish(&self, finish: AttemptResult) {
        self.shared.engine.finish(finish);
    }

    pub(crate) fn push(&self, command: Command) -> Result<(), Busy> {
        self.shared.engine.submit(command)
    }

    /// Whether there is disk space for a small addition; if not, why.
    pub(crate) fn admit_small(&self) -> Result<(), String> {
        self.shared.engine.admit(0)
    }

    /// The in-memory tokens.
    pub(crate) fn token_ring(&self) -> &Tokens {
        &self.shared.tokens
    }

    /// The in-memory sessions.
    pub(crate) fn session_ring(&self) -> &Sessions {
        &self.shared.sessions
    }

    /// For tests: the engine's internals.
    #[cfg(test)]
    pub(crate) fn embedded(&self) -> &crate::engine::embedded::engine::Embedded {
        self.shared.embedded.as_deref().expect("the embedded engine")
    }

    /// The subscriptions, in order of creation.
    pub fn subscriptions(&self) -> Vec<Arc<Subscription>> {
        lock(&self.shared.registry).all().map(|state| state.subscription.clone()).collect()
    }

    /// One subscription.
    pub fn subscription(&self, id: SubscriptionId) -> Option<Arc<Subscription>> {
        lock(&self.shared.registry).get(id).map(|state| state.subscription.clone())
    }

    /// The number of pending and retrying deliveries of a subscription.
    pub fn waiting(&self, id: SubscriptionId) -> u64 {
        let registry = lock(&self.shared.registry);
        registry.get(id).map_or(0, |state| state.counts.waiting())
    }

    /// The health of a subscription.
    pub fn health(&self, id: SubscriptionId) -> Health {
        lock(&self.shared.registry).get(id).map(|state| state.health).unwrap_or_default()
    }

    /// The deliveries by state, over all subscriptions.
    pub fn counts(&self) -> Counts {
        lock(&self.shared.registry).counts()
    }

    /// An accepted event.
    ///
    /// # Errors
    /// The data cannot be read or is damaged. As for all methods below with this error: call them off the async
    /// threads.
    pub fn event(&self, id: EventId) -> Result<Option<Event>, StoreError> {
        query::event(self.history(), id)
    }

    /// The current deliveries of an event.
    ///
    /// # Errors
    /// The data cannot be read or is damaged.
    pub fn event_deliveries(&self, id: EventId) -> Result<Vec<Delivery>, StoreError> {
        query::event_deliveries(self.view(), self.history(), id)
    }

    /// A page of events; `after` is [`Page::next`] of the previous page.
    ///
    /// # Errors
    /// The data cannot be read or is damaged.
    pub fn events(&self, filter: &EventFilter, after: Option<u128>, limit: usize) -> Result<Page<Event>, StoreError> {
        query::events(self.history(), &self.with_receipt(filter)?, after, limit)
    }

    /// The filter with the id of the event that the producer's id named lately, which saves reading all.
    fn with_receipt(&self, filter: &EventFilter) -> Result<EventFilter, StoreError> {
        let mut filter = filter.clone();
        if let (Some(company), Some(own), None) = (&filter.company, &filter.producer_id, filter.id) {
            let receipt = self.view().get(&keys::producer(company.as_str(), own.as_str()))?;
            filter.id = receipt.and_then(|value| EventReceipt::decode(&value)).map(|receipt| receipt.id);
        }
        Ok(filter)
    }

    /// A delivery in any state. Blocks until that state is durable.
    ///
    /// # Errors
    /// The data cannot be read or is damaged.
    pub fn delivery(&self, id: DeliveryId) -> Result<Option<Delivery>, StoreError> {
        let found = query::delivery(self.view(), self.history(), id)?;
        self.view().wait_until_logged();
        Ok(found)
    }

    /// A page of deliveries; `after` is [`Page::next`] of the previous page. Pending, retrying or failed ones are
    /// listed by subscription; those in one of the other states by the time they ended, newest first; all others, and
    /// those of a call, of an event or before a time, by event. Blocks until their states are durable.
    ///
    /// # Errors
    /// The data cannot be read or is damaged.
    pub fn deliveries(
        &self,
        filter: &DeliveryFilter,
        after: Option<DeliveryCursor>,
        limit: usize,
    ) -> Result<Page<Delivery, DeliveryCursor>, StoreError> {
        let (view, log, registry) = (self.view(), self.history(), &self.shared.registry);
        let asked = filter.subscription.and_then(|id| self.subscription(id));
        let of_another = |subscription: &Subscription| {
            filter.company.as_ref().is_some_and(|company| *company != subscription.company)
        };
        if asked.as_deref().is_some_and(of_another) {
            return Ok(Page { items: Vec::new(), next: None, scanned_until: None });
        }
        let owner = |id| self.subscription(id).map(|subscription| subscription.company.clone());
        let number = asked.map(|subscription| subscription.number);
        let query = DeliveryQuery { view, log, filter, number, owner: &owner, after, limit };
        let page = match filter.state {
            Some(state @ (State::Pending | State::Retrying | State::Failed)) if filter.event.is_none() => {
                let numbers = waiting_for(&lock(registry), filter, state);
                query.by_state(&numbers)?
            }
            _ => query.page()?,
        };
        view.wait_until_logged();
        Ok(page)
    }

    /// How much was read for queries so far.
    pub fn reads(&self) -> Reads {
        self.history().tally().reads()
    }

    /// Plans a replay of a subscription; `None` without such a subscription.
    ///
    /// # Errors
    /// The data cannot be read or is damaged.
    pub fn plan_replay(&self, id: SubscriptionId, filter: ReplayFilter) -> Result<Option<Replay>, StoreError> {
        let Some((number, next)) = replay::next_sequence(&lock(&self.shared.registry), id) else { return Ok(None) };
        replay::plan(self.view(), self.history(), number, next, filter).map(Some)
    }

    /// The current deliveries of a subscription with their events, with sequence numbers from `from` to `to`, in order;
    /// at most `most`. Those whose event is no longer retained are left out. `next` is the last sequence number on the
    /// page, if there are more.
    ///
    /// # Errors
    /// The data cannot be read or is damaged.
    pub fn owed_between(
        &self,
        id: SubscriptionId,
        from: u64,
        to: u64,
        most: usize,
    ) -> Result<Page<(Delivery, Event)>, StoreError> {
        let Some((number, _)) = replay::next_sequence(&lock(&self.shared.registry), id) else {
            return Ok(Page { items: Vec::new(), next: None, scanned_until: None });
        };
        query::owed_between(self.view(), self.history(), number, (from, to), most)
    }

    /// A log entry.
    ///
    /// # Errors
    /// The data cannot be read or is damaged.
    pub fn log_entry(&self, id: AttemptId) -> Result<Option<LogEntry>, StoreError> {
        query::log_entry(self.history(), id)
    }

    /// A page of log entries; `after` is [`Page::next`] of the previous page.
    ///
    /// # Errors
    /// The data cannot be read or is damaged.
    pub fn log(&self, filter: &LogFilter, after: Option<u128>, limit: usize) -> Result<Page<LogEntry>, StoreError> {
        query::log(self.history(), filter, after, limit)
    }

    /// Starts a backup, to be taken piece by piece; `None` if one is running already.
    ///
    /// # Errors
    /// The data cannot be read.
    pub fn backup(&self, now: Timestamp) -> Result<Option<Pieces>, StoreError> {
        self.shared.engine.backup(now)
    }

    /// The first `most` pending deliveries of the subscription with this number that have sequence numbers above
    /// `after`, ascending; fewer only if there are no more. The last ones may not be durable yet: those that are have
    /// been reported to the event listener.
    ///
    /// # Errors
    /// The view cannot be read, or is damaged.
    pub fn owed_after(&self, number: SubscriptionNumber, after: u64, most: usize) -> Result<Vec<Delivery>, StoreError> {
        let from = keys::sequence(ValueKind::Owed, number, after);
        let found = self.view().scan(&keys::numbered(ValueKind::Owed, number), Some(&from), most)?;
        let unreadable =
            || StoreError::corrupt_state(format!("has a delivery of subscription number {number} that cannot be read"));
        found.iter().map(|(_, value)| record::delivery_of(value).ok_or_else(unreadable)).collect()
    }

    /// The companies without a webhook that post events and for which `wanted` holds, with the time of their latest
    /// event, latest first.
    pub fn companies_without_webhook(&self, wanted: impl Fn(&Company) -> bool) -> Vec<(Company, Timestamp)> {
        lock(&self.shared.registry).without_webhook(wanted)
    }

    /// The sequence number of the subscription's last delivery; 0 if it had none.
    pub fn last_sequence(&self, id: SubscriptionId) -> u64 {
        lock(&self.shared.registry).get(id).map_or(0, |state| state.next_sequence.saturating_sub(1))
    }
}

/// The numbers, descending, of the matching subscriptions that have deliveries in `state`.
fn waiting_for(registry: &Registry, filter: &DeliveryFilter, state: State) -> Vec<SubscriptionNumber> {
    let has_any = |counts: &Counts| match state {
        State::Pending => counts.pending > 0,
        State::Retrying => counts.retrying > 0,
        _ => counts.failed > 0,
    };
    let wanted = |candidate: &&SubscriptionState| {
        let id = candidate.subscription.id;
        has_any(&candidate.counts)
            && filter.subscription.is_none_or(|wanted| wanted == id)
            && filter.webhooks.as_ref().is_none_or(|webhooks| webhooks.contains(&id))
    };
    let number = |state: &SubscriptionState| state.subscription.number;
    let mut numbers: Vec<SubscriptionNumber> = match &filter.company {
        Some(company) => registry.of_company(company).filter(wanted).map(number).collect(),
        None => registry.all().filter(wanted).map(number).collect(),
    };
    numbers.sort_unstable_by(|one, other| other.cmp(one));
    numbers
}
