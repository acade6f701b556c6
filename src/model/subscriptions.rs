//! Creating, changing and deleting subscriptions, and rotating their secrets.

use std::sync::Arc;
use std::time::Duration;

use crate::core::actor::Actor;
use crate::core::audit::{Action, Deed};
use crate::core::event::{Company, Domain};
use crate::core::id::{SubscriptionId, SubscriptionNumber};
use crate::core::invalid::Invalid;
use crate::core::seal::Keyring;
use crate::core::subscription::{DisabledReason, PreviousSecret, Secret, Subscription};
use crate::core::subscription_input::{Change as Patch, Draft};
use crate::core::time::format_duration;
use crate::model::audit::{self, Audited};
use crate::model::error::StoreError;
use crate::model::health::Health;
use crate::model::lock::lock;
use crate::model::notice::StoreEvent;
use crate::model::record::{Record, SubscriptionRecord, SubscriptionStateRecord};
use crate::model::registry::SubscriptionState;
use crate::model::turn::{Turn, random_secret};

/// Creates a subscription.
pub(crate) fn create(
    turn: &mut Turn<'_>,
    actor: &Actor,
    draft: Draft,
) -> Result<Audited<Arc<Subscription>>, StoreError> {
    check_room(turn, draft.company(), 1).map_err(|detail| StoreError::Invalid(Invalid::one("/company", detail)))?;
    let number = lock(turn.registry).next_number;
    let id = SubscriptionId::from_bits(turn.next_id());
    let secret = draft.secret().cloned().unwrap_or_else(|| Secret::from_bytes(random_secret()));
    let made = draft.into_subscription(id, number, secret, turn.now);
    let deed = deed(Action::SubscriptionCreate, None, Some(&made))?;
    store(turn, actor, deed, made, None)
}

/// Checks that a company may have so many more webhooks; otherwise says why not.
fn check_room(turn: &Turn<'_>, company: &Company, more: usize) -> Result<(), String> {
    let others = lock(turn.registry).of_company(company).count();
    let most = turn.settings.subscriptions_per_company;
    if others + more <= most as usize {
        return Ok(());
    }
    Err(format!(
        "has {others} webhooks, and one company may have {most} (`subscriptions_per_company` in [limits]): delete one, or \
         have the limit raised"
    ))
}

/// Copies a subscription, with its secret, to these domains of its company; to none if one of them has it already.
pub(crate) fn copy(
    turn: &mut Turn<'_>,
    actor: &Actor,
    id: SubscriptionId,
    domains: Vec<Domain>,
) -> Result<Audited<Vec<Arc<Subscription>>>, StoreError> {
    let original = current(turn, id).ok_or(StoreError::NotFound)?;
    if original.is_locked() {
        return Err(StoreError::Conflict(Subscription::LOCKED.to_owned()));
    }
    let there = |domain: &&Domain| {
        let registry = lock(turn.registry);
        let mut same = registry.of_company(&original.company).map(|state| &state.subscription);
        same.any(|one| one.url == original.url && one.domain.as_ref() == Some(*domain))
    };
    if let Some(there) = domains.iter().find(there) {
        return Err(StoreError::Conflict(format!("the domain `{there}` has a webhook with this URL already")));
    }
    check_room(turn, &original.company, domains.len())
        .map_err(|detail| StoreError::Limit(format!("the company {detail}")))?;
    let (mut records, mut copies, mut deeds) = (Vec::new(), Vec::new(), Vec::new());
    let mut number = lock(turn.registry).next_number;
    for domain in domains {
        let (id, created_at, updated_at) = (SubscriptionId::from_bits(turn.next_id()), turn.now, turn.now);
        let copy = Subscription { id, number, domain: Some(domain), created_at, updated_at, ..(*original).clone() };
        number = SubscriptionNumber::new(number.get() + 1);
        records.push(record_of(turn, &copy));
        deeds.push(deed(Action::SubscriptionCreate, None, Some(&copy))?.with("copy_of", original.id.to_string()));
        copies.push(Arc::new(copy));
    }
    let last = deeds.pop().ok_or(StoreError::NotFound)?;
    records.extend(deeds.into_iter().map(|deed| audit::record_of(turn, actor, deed)).collect::<Vec<_>>());
    turn.outcome.events.extend(copies.iter().cloned().map(StoreEvent::Subscription));
    Ok(audit::write(turn, records, actor, last, copies))
}

/// Applies a change to the current subscription.
pub(crate) fn change(
    turn: &mut Turn<'_>,
    actor: &Actor,
    id: SubscriptionId,
    patch: &Patch,
) -> Result<Audited<Arc<Subscription>>, StoreError> {
    let current = match current(turn, id) {
        Some(current) if current.is_locked() => {
            return Err(StoreError::Conflict(Subscription::LOCKED.to_owned()));
        }
        Some(current) => current,
        None => return Err(StoreError::NotFound),
    };
    let changed = patch.apply(&current, turn.now).map_err(StoreError::Invalid)?;
    let enables = changed.enabled() && !current.enabled();
    let reset = if enables { reset_health(turn, changed.number) } else { None };
    let deed = deed(Action::SubscriptionChange, Some(&current), Some(&changed))?;
    store(turn, actor, deed, changed, reset)
}

/// Resets a subscription's health. Whoever enables it again has fixed the receiver; with its old failures the next one
/// alone would disable it.
fn reset_health(turn: &Turn<'_>, number: SubscriptionNumber) -> Option<Record> {
    let mut registry = lock(turn.registry);
    let state = registry.state_mut(number)?;
    let health = Health { last_success: state.health.last_success, ..Health::default() };
    let (next_sequence, health) = (state.next_sequence, health.into());
    Some(Record::from(SubscriptionStateRecord { number, next_sequence, health }))
}

/// Gives a subscription a new secret, `given` or generated; the previous one also signs for `overlap`. A subscription
/// whose secrets could not be opened has lost its headers and its client certificate, and stays disabled.
pub(crate) fn rotate(
    turn: &mut Turn<'_>,
    actor: &Actor,
    id: SubscriptionId,
    given: Option<Secret>,
    overlap: Duration,
) -> Result<Audited<Secret>, StoreError> {
    let Some(current) = current(turn, id) else { return Err(StoreError::NotFound) };
    if given.as_ref() == Some(&current.secret) && !current.is_locked() {
        // The previous secret would be dropped, and with it an overlap that may be running.
        let invalid = Invalid::one("/secret", "is the one that it has already");
        return Err(StoreError::Invalid(invalid));
    }
    let secret = given.unwrap_or_else(|| Secret::from_bytes(random_secret()));
    let previous = PreviousSecret { secret: current.secret.clone(), until: turn.now.plus(overlap) };
    let previous_secret = (!overlap.is_zero() && !current.is_locked()).then_some(previous);
    let disabled = if current.is_locked() { Some(DisabledReason::ByHand) } else { current.disabled };
    let secrets = Subscription { secret: secret.clone(), previous_secret, ..(*current).clone() };
    let changed = Subscription { disabled, updated_at: turn.now, ..secrets };
    let deed = deed(Action::SecretRotate, Some(&current), Some(&changed))?.with("overlap", format_duration(overlap));
    Ok(store(turn, actor, deed, changed, None)?.map(|_| secret))
}

pub(crate) fn current(turn: &Turn<'_>, id: SubscriptionId) -> Option<Arc<Subscription>> {
    lock(turn.registry).get(id).map(|state| state.subscription.clone())
}

/// The record of a subscription.
pub(crate) fn record_of(turn: &Turn<'_>, subscription: &Subscription) -> Record {
    let keys = lock(turn.registry).keys().clone();
    Record::from(Box::new(SubscriptionRecord::sealed_by(subscription, false, &keys)))
}

fn store(
    turn: &mut Turn<'_>,
    actor: &Actor,
    deed: Deed,
    subscription: Subscription,
    more: Option<Record>,
) -> Result<Audited<Arc<Subscription>>, StoreError> {
    let record = record_of(turn, &subscription);
    turn.format.admit(record.kind(), "`notify`")?;
    let records = std::iter::once(record).chain(more).collect();
    let subscription = Arc::new(subscription);
    turn.outcome.events.push(StoreEvent::Subscription(subscription.clone()));
    Ok(audit::write(turn, records, actor, deed, subscription))
}

/// What is recorded of a change.
fn deed(action: Action, before: Option<&Subscription>, after: Option<&Subscription>) -> Result<Deed, StoreError> {
    Deed::between(action, before, after).ok_or(StoreError::NotFound)
}

/// Deletes a subscription; [`maintenance`](crate::model::maintenance) cancels its deliveries.
pub(crate) fn delete(turn: &mut Turn<'_>, actor: &Actor, id: SubscriptionId) -> Result<Audited<()>, StoreError> {
    let (record, deed) = {
        let registry = lock(turn.registry);
        let state = registry.get(id).ok_or(StoreError::NotFound)?;
        let deed = deed(Action::SubscriptionDelete, Some(&state.subscription), None)?;
        (current_record(state, registry.keys()).deleted(), deed)
    };
    turn.carried.has_work = true;
    turn.outcome.events.push(StoreEvent::Deleted(id));
    Ok(audit::write(turn, vec![Record::from(Box::new(record))], actor, deed, ()))
}

/// The record of a subscription to write now: the stored one if its secrets could not be opened.
pub(crate) fn current_record(state: &SubscriptionState, keys: &Keyring) -> SubscriptionRecord {
    let locked = state.locked.as_ref().and_then(|locked| SubscriptionRecord::of_value(&locked.value));
    locked.unwrap_or_else(|| SubscriptionRecord::sealed_by(&state.subscription, state.deleted, keys))
}
