//! Keeping what is in memory in step with a view that other processes change as well.
//!
//! Each of several processes has the registry in memory, and decides only when it is as the view says: whoever commits
//! says which values that others hold in memory have changed, and the others read those again, in the order of the
//! commits. What always holds: after [`take_over`] memory is as if this process had loaded the view just now.
//!
//! Must not know how values reach it.

use std::sync::Mutex;

use crate::core::delivery::Delivery;
use crate::core::id::{DeliveryId, SessionId, SubscriptionNumber, TokenId};
use crate::core::time::Timestamp;
use crate::model::conversations::Threads;
use crate::model::error::StoreError;
use crate::model::key::{Key, ValueKind};
use crate::model::lock::lock;
use crate::model::notice::StoreEvent;
use crate::model::registry::Registry;
use crate::model::without_webhook::CompaniesWithoutWebhook;
use crate::model::{counts, keys, load, record};

/// Whether a process holds in memory what a value of this kind says.
pub(crate) const fn is_in_memory(kind: ValueKind) -> bool {
    match kind {
        ValueKind::Subscription | ValueKind::Sequence | ValueKind::Health | ValueKind::Counts => true,
        ValueKind::Replay | ValueKind::Discard | ValueKind::Token | ValueKind::WithoutWebhook => true,
        ValueKind::Session | ValueKind::PortalLink => true,
        // The owner of its subscription has it in a lane.
        ValueKind::Owed => true,
        // The rules by which reads are redacted.
        ValueKind::Erasure => true,
        // The cache of threads compares with the view before it is used.
        ValueKind::Thread | ValueKind::Latest | ValueKind::LatestOf | ValueKind::InOrder | ValueKind::Message => false,
        ValueKind::Group | ValueKind::Call | ValueKind::Producer | ValueKind::Counted | ValueKind::Dead => false,
        ValueKind::Audit | ValueKind::AuditTerm | ValueKind::SignIn => false,
        // Known to the process that carries it out.
        ValueKind::FanOut => false,
    }
}

/// What follows from changes of others.
#[derive(Debug, Default)]
pub(crate) struct TakenOver {
    /// For the dispatcher, in an order in which they could have happened.
    pub(crate) events: Vec<StoreEvent>,
    /// Whether the rules of erasures have changed.
    pub(crate) erasures: bool,
    /// Whether there may be maintenance to do.
    pub(crate) work: bool,
}

/// Takes over values that others have changed, as they are now; `None` for those that are gone.
///
/// # Errors
/// A value cannot be read. Then memory is not as the view says.
pub(crate) fn take_over(
    registry: &Mutex<Registry>,
    threads: &Mutex<Threads>,
    mut changed: Vec<(Key, Option<Vec<u8>>)>,
) -> Result<TakenOver, StoreError> {
    // Subscriptions first: what else is said of a number is about a known subscription then. Deliveries last.
    changed.sort_unstable_by_key(|(key, _)| {
        let first = match key.kind() {
            ValueKind::Subscription => 0,
            ValueKind::Owed => 2,
            _ => 1,
        };
        (first, key.clone())
    });
    let mut taken = TakenOver::default();
    let mut owed: Vec<Delivery> = Vec::new();
    for (key, value) in changed {
        let number = keys::number_in(&key).unwrap_or_default();
        match key.kind() {
            ValueKind::Subscription => subscription(registry, number, value, &mut taken)?,
            ValueKind::Owed => match value {
                Some(value) => owed.push(delivery(&value)?),
                None => taken.events.extend(cancelled(&key).map(StoreEvent::Cancelled)),
            },
            ValueKind::Erasure => {
                taken.erasures = true;
                // Threads and entries that were read before may have what is erased.
                lock(threads).clear();
            }
            _ => of_registry(&mut lock(registry), number, &key, value)?,
        }
    }
    if !owed.is_empty() {
        taken.events.push(StoreEvent::Owed(owed));
    }
    taken.work |= lock(registry).has_tasks();
    Ok(taken)
}

fn subscription(
    registry: &Mutex<Registry>,
    number: SubscriptionNumber,
    value: Option<Vec<u8>>,
    taken: &mut TakenOver,
) -> Result<(), StoreError> {
    let mut registry = lock(registry);
    let keys = registry.keys().clone();
    let known = registry.state_mut(number).map(|state| state.subscription.id);
    taken.work = true;
    match value {
        Some(value) => {
            let registered = load::subscription(number, &value, &keys)?;
            let id = registered.subscription.id;
            registry.put(registered);
            let current = registry.get(id).map(|state| state.subscription.clone());
            taken.events.push(current.map_or(StoreEvent::Deleted(id), StoreEvent::Subscription));
        }
        None => {
            registry.remove(number);
            taken.events.extend(known.map(StoreEvent::Deleted));
        }
    }
    Ok(())
}

/// Takes over a value of the registry that is no subscription.
fn of_registry(
    registry: &mut Registry,
    number: SubscriptionNumber,
    key: &Key,
    value: Option<Vec<u8>>,
) -> Result<(), StoreError> {
    match (key.kind(), value) {
        (ValueKind::Sequence, Some(value)) => {
            let next = load::next_sequence(number, value)?;
            if let Some(state) = registry.state_mut(number) {
                state.next_sequence = next;
            }
        }
        (ValueKind::Health, value) => {
            if let Some(state) = registry.state_mut(number) {
                state.health = value.as_deref().and_then(load::health).unwrap_or_default();
            }
        }
        (ValueKind::Counts, value) => {
            registry.set_counts(number, value.as_deref().and_then(counts::decode).unwrap_or_default());
            // Its first delivery may be another one now.
            registry.requeued(number);
        }
        (ValueKind::Replay, Some(value)) => registry.put_replay(load::replay(&value)?),
        (ValueKind::Replay, None) => registry.remove_replay(number, trailing_bits(key)),
        (ValueKind::Discard, Some(value)) => registry.put_discard(load::discard(&value)?),
        (ValueKind::Discard, None) => registry.remove_discard(number),
        (ValueKind::Token, Some(value)) => registry.tokens.put(load::token(&value)?),
        (ValueKind::Token, None) => registry.tokens.remove(TokenId::from_bits(trailing_bits(key))),
        (ValueKind::Session, value) => match value.as_deref().and_then(load::session) {
            Some(session) => registry.sessions.put(session),
            None => registry.sessions.remove(SessionId::from_bits(trailing_bits(key))),
        },
        (ValueKind::PortalLink, value) => match value.as_deref().and_then(load::portal_link) {
            Some(link) => drop(registry.portal_links.put(link)),
            None => drop(registry.portal_links.remove(trailing_bits(key))),
        },
        (ValueKind::WithoutWebhook, value) => {
            let Some(company) = CompaniesWithoutWebhook::company(key) else { return Ok(()) };
            let at = value.and_then(|value| CompaniesWithoutWebhook::decode(key, &value));
            registry.without_webhook.take_over(company, at.map(|(_, at)| at));
        }
        _ => {}
    }
    Ok(())
}

/// The id at the end of a key.
fn trailing_bits(key: &Key) -> u128 {
    key.rest().last_chunk().map_or(0, |bits| u128::from_be_bytes(*bits))
}

fn delivery(value: &[u8]) -> Result<Delivery, StoreError> {
    record::delivery_of(value).ok_or_else(|| StoreError::corrupt_state("has a delivery that cannot be read"))
}

/// The delivery of a key; lanes find it by its number and sequence alone.
fn cancelled(key: &Key) -> Option<DeliveryId> {
    let sequence = key.rest().last_chunk().map(|sequence| u64::from_be_bytes(*sequence))?;
    Some(DeliveryId::new(Timestamp::from_millis(0), keys::number_in(key)?, sequence))
}
