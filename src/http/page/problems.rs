//! What is wrong at the moment, for the line above the views of webhooks, log and status.

use minijinja::{Value, context};

use super::visit::Visit;
use crate::core::event::Company;
use crate::core::subscription::DisabledReason;
use crate::store::{SubscriptionFilter, SubscriptionStatus};

/// The webhooks that the visitor sees of the selected company, in order of creation; none for a name that cannot be one.
pub(super) fn statuses(visit: &Visit) -> Vec<SubscriptionStatus> {
    let company = match visit.company().map(Company::parse) {
        Some(Err(_)) => return Vec::new(),
        Some(Ok(company)) => Some(company),
        None => None,
    };
    let filter = SubscriptionFilter { company, domain: visit.domain().cloned() };
    visit.services().store.statuses_of(&filter, None, usize::MAX).items
}

/// Whether its last attempt failed.
pub(super) fn is_failing(status: &SubscriptionStatus) -> bool {
    status.subscription.enabled() && status.health.failures > 0
}

/// Whether it was disabled, and not by hand.
pub(super) fn was_disabled(status: &SubscriptionStatus) -> bool {
    status.subscription.disabled.is_some_and(|reason| reason != DisabledReason::ByHand)
}

/// How many webhooks fail, how many were disabled, and how many deliveries wait for them.
pub(super) fn of(visit: &Visit) -> Value {
    counted(&statuses(visit))
}

/// The same of these webhooks.
pub(super) fn counted(statuses: &[SubscriptionStatus]) -> Value {
    let (mut failing, mut disabled, mut waiting) = (0_u64, 0_u64, 0_u64);
    for status in statuses {
        if is_failing(status) {
            failing += 1;
        } else if was_disabled(status) {
            disabled += 1;
        } else {
            continue;
        }
        waiting += status.waiting;
    }
    context! { failing, disabled, waiting }
}
