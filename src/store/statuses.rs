//! Subscriptions with their state, page by page: nobody reads twenty thousand at once, because the writer waits while
//! the registry is locked for reading.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::core::event::{Company, Domain};
use crate::core::id::{SubscriptionId, SubscriptionNumber};
use crate::core::subscription::Subscription;
use crate::model::health::Health;
use crate::model::lock::lock;
use crate::model::page::Page;
use crate::model::page_size::PageSize;
use crate::model::registry::SubscriptionState;
use crate::store::api::Store;

/// From this many failures without a success on a receiver is taken for down, where nothing else is known of it.
pub const DOWN: u32 = 10;

/// How many subscriptions are visited before the registry is unlocked for the writer.
const AT_ONCE: usize = 1_000;

/// Which subscriptions to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SubscriptionFilter {
    /// Of this company.
    pub company: Option<Company>,
    /// Of this domain.
    pub domain: Option<Domain>,
}

/// A subscription with its state.
#[derive(Debug, Clone)]
pub struct SubscriptionStatus {
    /// Its settings.
    pub subscription: Arc<Subscription>,
    /// The number of its pending and retrying deliveries.
    pub waiting: u64,
    /// Its health.
    pub health: Health,
}

impl SubscriptionStatus {
    fn of(state: &SubscriptionState) -> Self {
        let SubscriptionState { subscription, health, counts, .. } = state;
        Self { subscription: subscription.clone(), waiting: counts.waiting(), health: *health }
    }

    /// Whether each word of `text` is a part of its name, URL, company, domain or id, in any case.
    pub fn matches(&self, text: &str) -> bool {
        let one = &self.subscription;
        let domain = one.domain.as_ref().map(ToString::to_string).unwrap_or_default();
        let all = format!("{} {} {} {domain} {}", one.description, one.url, one.company, one.id).to_lowercase();
        text.to_lowercase().split_whitespace().all(|word| all.contains(word))
    }
}

impl Store {
    /// The subscriptions of a company that are for this domain alone.
    pub fn subscriptions_of_domain(&self, company: &Company, domain: &Domain) -> BTreeSet<SubscriptionId> {
        let registry = lock(&self.shared.registry);
        let of_company = registry.of_company(company).map(|state| &state.subscription);
        of_company.filter(|one| one.domain.as_ref() == Some(domain)).map(|one| one.id).collect()
    }

    /// A page of subscriptions in order of creation, limited by the size of their settings.
    pub fn subscriptions_page(
        &self,
        filter: &SubscriptionFilter,
        after: Option<SubscriptionId>,
        limit: usize,
    ) -> Page<SubscriptionStatus> {
        let mut size = PageSize::default();
        self.statuses_page(filter, after, |subscription| size.admits(subscription, limit))
    }

    /// A page of subscriptions in order of creation, limited by their number only, for callers that leave out long
    /// settings.
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
        mut admits: impl FnMut(&Subscription) -> bool,
    ) -> Page<SubscriptionStatus> {
        let registry = lock(&self.shared.registry);
        let (mut items, mut next): (Vec<SubscriptionStatus>, _) = (Vec::new(), None);
        let of_domain =
            |state: &&SubscriptionState| filter.domain.is_none() || filter.domain == state.subscription.domain;
        for state in registry.made_after(filter.company.as_ref(), after).filter(of_domain) {
            if !admits(&state.subscription) {
                next = items.last().map(|last| last.subscription.id.bits());
                break;
            }
            items.push(SubscriptionStatus::of(state));
        }
        Page { items, next, scanned_until: None }
    }

    /// The state of one subscription.
    pub fn status(&self, id: SubscriptionId) -> Option<SubscriptionStatus> {
        lock(&self.shared.registry).get(id).map(SubscriptionStatus::of)
    }

    /// All subscriptions for which `wanted` holds.
    pub fn statuses(&self, wanted: impl Fn(&Subscription, Health) -> bool) -> Vec<SubscriptionStatus> {
        let mut found = Vec::new();
        self.each_state(|_, state| {
            if wanted(&state.subscription, state.health) {
                found.push(SubscriptionStatus::of(state));
            }
        });
        found
    }

    /// Calls `visit` with every subscription that is not deleted, with its number.
    pub(crate) fn each_state(&self, mut visit: impl FnMut(SubscriptionNumber, &SubscriptionState)) {
        let mut from = Some(SubscriptionNumber::ZERO);
        while let Some(begin) = from {
            let registry = lock(&self.shared.registry);
            let mut last = None;
            for (number, state) in registry.states_from(begin, AT_ONCE) {
                last = Some(number);
                if !state.deleted {
                    visit(number, state);
                }
            }
            from = last.and_then(SubscriptionNumber::next);
        }
    }

    /// The companies with a webhook, by name.
    pub fn companies_with_webhook(&self) -> Vec<Company> {
        let mut companies: Vec<_> = lock(&self.shared.registry).companies().cloned().collect();
        companies.sort_unstable();
        companies
    }
}
