//! Subscriptions with what is counted of them, page by page: of twenty thousand nobody asks at once, for while the registry is
//! read the committer waits.

use std::sync::Arc;

use crate::core::event::{Company, Domain};
use crate::core::id::SubscriptionId;
use crate::core::subscription::Subscription;
use crate::model::bulk::Filled;
use crate::model::lock::lock;
use crate::model::page::Page;
use crate::model::registry::SubscriptionState;
use crate::model::standing::Health;
use crate::store::api::Store;

/// How many accounts are looked at before the committer may have the registry again.
const AT_ONCE: usize = 1_000;

/// Which subscriptions are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SubscriptionFilter {
    /// Of this company.
    pub company: Option<Company>,
    /// Of this domain.
    pub domain: Option<Domain>,
}

/// A subscription with what is counted of it.
#[derive(Debug, Clone)]
pub struct SubscriptionStatus {
    /// Its settings.
    pub subscription: Arc<Subscription>,
    /// How many deliveries (pending and retrying) wait for it.
    pub waiting: u64,
    /// How its attempts have gone lately.
    pub health: Health,
}

impl SubscriptionStatus {
    fn of(account: &SubscriptionState) -> Self {
        let SubscriptionState { subscription, health, counts, .. } = account;
        Self { subscription: subscription.clone(), waiting: counts.waiting(), health: *health }
    }
}

impl Store {
    /// A page of subscriptions in order of creation, to be shown with their settings.
    pub fn subscriptions_page(
        &self,
        filter: &SubscriptionFilter,
        after: Option<SubscriptionId>,
        limit: usize,
    ) -> Page<SubscriptionStatus> {
        let mut filled = Filled::default();
        self.statuses_page(filter, after, |subscription| filled.takes(subscription, limit))
    }

    /// The same, to be shown without what may be long of them.
    pub fn statuses_of(
        &self,
        filter: &SubscriptionFilter,
        after: Option<SubscriptionId>,
        limit: usize,
    ) -> Page<SubscriptionStatus> {
        let mut count = 0;
        self.statuses_page(filter, after, |_| {
            count += 1;
            count <= limit
        })
    }

    fn statuses_page(
        &self,
        filter: &SubscriptionFilter,
        after: Option<SubscriptionId>,
        mut takes: impl FnMut(&Subscription) -> bool,
    ) -> Page<SubscriptionStatus> {
        let registry = lock(&self.shared.registry);
        let (mut items, mut next): (Vec<SubscriptionStatus>, _) = (Vec::new(), None);
        let of_domain =
            |account: &&SubscriptionState| filter.domain.is_none() || filter.domain == account.subscription.domain;
        for account in registry.made_after(filter.company.as_ref(), after).filter(of_domain) {
            if !takes(&account.subscription) {
                next = items.last().map(|last| last.subscription.id.bits());
                break;
            }
            items.push(SubscriptionStatus::of(account));
        }
        Page { items, next, scanned_until: None }
    }

    /// How one subscription stands.
    pub fn status(&self, id: SubscriptionId) -> Option<SubscriptionStatus> {
        lock(&self.shared.registry).get(id).map(SubscriptionStatus::of)
    }

    /// All of which `wanted` says so.
    pub fn statuses(&self, wanted: impl Fn(&Subscription, Health) -> bool) -> Vec<SubscriptionStatus> {
        let mut found = Vec::new();
        self.each_state(|_, account| {
            if wanted(&account.subscription, account.health) {
                found.push(SubscriptionStatus::of(account));
            }
        });
        found
    }

    /// Shows `visit` every account that is not deleted, with its number.
    pub(crate) fn each_state(&self, mut visit: impl FnMut(u32, &SubscriptionState)) {
        let mut from = Some(0);
        while let Some(begin) = from {
            let registry = lock(&self.shared.registry);
            let mut last = None;
            for (number, account) in registry.states_from(begin, AT_ONCE) {
                last = Some(number);
                if !account.deleted {
                    visit(number, account);
                }
            }
            from = last.and_then(|last: u32| last.checked_add(1));
        }
    }

    /// The companies that have a webhook, by name.
    pub fn companies_with_webhook(&self) -> Vec<Company> {
        let mut companies: Vec<_> = lock(&self.shared.registry).companies().cloned().collect();
        companies.sort_unstable();
        companies
    }
}
