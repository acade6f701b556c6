//! Loading the registry from the view.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};

use crate::core::attempt::Status;
use crate::core::id::{AttemptId, SubscriptionId, SubscriptionNumber};
use crate::core::seal::Keyring;
use crate::model::error::StoreError;
use crate::model::health::Health;
use crate::model::key::{Key, ValueKind};
use crate::model::lock::lock;
use crate::model::record::{self, HealthRecord, Kind as _, Logged, SubscriptionRecord, TokenRecord};
use crate::model::registry::Registry;
use crate::model::term::Term;
use crate::model::view::{Log, View, ViewMut, Wanted};
use crate::model::without_webhook::CompaniesWithoutWebhook;
use crate::model::{counts, keys};

/// What to do about an unreadable subscription record.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// Skip it: its pieces may be of different times, and replaying the log makes them consistent again.
    Skip,
    /// Fail: it is damaged.
    Fail,
}

/// Reloads the registry from the view after the log has been replayed. The counts are those that the replay has
/// updated, if they were `counted` correctly before; otherwise everything is recounted.
pub(crate) fn reload_registry(view: &dyn ViewMut, replayed: &Mutex<Registry>, counted: bool) -> Result<(), StoreError> {
    let next_number = lock(replayed).next_number;
    let keys = lock(replayed).keys().clone();
    let (mut reloaded, _) = registry(view, next_number, keys, Unreadable::Fail)?;
    let mut current = lock(replayed);
    reloaded.take_counts(&current);
    *current = reloaded;
    drop(current);
    if counted { Ok(()) } else { counts::count(view, replayed) }
}

/// The subscriptions with their sequence numbers and health, the replays and the discards in the view, with secrets
/// opened by `keys` as far as possible; and whether anything was skipped.
pub(crate) fn registry(
    view: &dyn View,
    next_number: SubscriptionNumber,
    keys: Arc<Keyring>,
    unreadable: Unreadable,
) -> Result<(Registry, bool), StoreError> {
    let mut registry = Registry::numbering_from(next_number, keys);
    let mut skipped = false;
    let mut records: BTreeMap<SubscriptionNumber, Vec<u8>> = BTreeMap::new();
    for (key, piece) in view.scan(&Key::all(ValueKind::Subscription), None, usize::MAX)? {
        let number = keys::number_in(&key).unwrap_or_default();
        records.entry(number).or_default().extend(piece);
    }
    for (number, value) in records {
        let record = SubscriptionRecord::of_value(&value);
        let Some(unsealed) = record.and_then(|record| record.unsealed(registry.keys())) else {
            if unreadable == Unreadable::Skip {
                skipped = true;
                continue;
            }
            let detail = format!("has a subscription (number {number}) that cannot be read");
            return Err(StoreError::corrupt_state(detail));
        };
        registry.put(unsealed);
        let next = match view.get(&keys::next_sequence(number))?.map(TryInto::try_into) {
            None => 1,
            Some(Ok(next)) => u64::from_be_bytes(next),
            // A guess would assign a sequence number twice.
            Some(Err(_)) if unreadable == Unreadable::Fail => {
                let detail =
                    format!("has the next sequence number of subscription number {number}, which cannot be read");
                return Err(StoreError::corrupt_state(detail));
            }
            Some(Err(_)) => {
                skipped = true;
                1
            }
        };
        let health = view.get(&keys::health(number))?;
        let read = health.as_deref().map(record::unversioned::<HealthRecord>);
        if matches!(read, Some(None)) && unreadable == Unreadable::Fail {
            view.note_unreadable(&keys::health(number), None);
        }
        if let Some(state) = registry.state_mut(number) {
            state.next_sequence = next;
            state.health = read.flatten().map(Into::into).unwrap_or_default();
        }
    }
    let unreadable = || StoreError::corrupt_state("has a replay or a discard that cannot be read");
    for (_, value) in view.scan(&Key::all(ValueKind::Replay), None, usize::MAX)? {
        registry.put_replay(record::unversioned(&value).ok_or_else(unreadable)?);
    }
    for (_, value) in view.scan(&Key::all(ValueKind::Discard), None, usize::MAX)? {
        registry.put_discard(record::unversioned(&value).ok_or_else(unreadable)?);
    }
    for (_, value) in view.scan(&Key::all(ValueKind::Token), None, usize::MAX)? {
        let token = record::unversioned::<TokenRecord>(&value).and_then(TokenRecord::token);
        let unreadable = || StoreError::corrupt_state("has a token of the API that cannot be read");
        registry.tokens.put(token.ok_or_else(unreadable)?);
    }
    registry.without_webhook = CompaniesWithoutWebhook::read(view)?;
    Ok((registry, skipped))
}

/// How many log entries are examined to rebuild a subscription's health.
const ENTRIES_LOOKED_AT: u32 = 10_000;

/// Rebuilds unreadable health records from the log: the outcomes of the last attempts, back to the last success.
pub(crate) fn rebuild_health(view: &dyn ViewMut, registry: &Mutex<Registry>, log: &dyn Log) -> Result<(), StoreError> {
    for key in view.noted(ValueKind::Health) {
        let number = keys::number_in(&key).unwrap_or_default();
        let id = lock(registry).state_mut(number).map(|state| state.subscription.id);
        let health = id.map_or_else(|| Ok(Health::default()), |id| health_in(log, id))?;
        if let Some(state) = lock(registry).state_mut(number) {
            state.health = health;
        }
        view.note_unreadable(&key, Some(record::versioned(&HealthRecord::from(health))));
    }
    Ok(())
}

fn health_in(log: &dyn Log, id: SubscriptionId) -> Result<Health, StoreError> {
    let keys = [Term::Subscription(id.bits())];
    let (mut health, mut looked_at) = (Health::default(), 0);
    let wanted = Wanted { kinds: Logged::KINDS, keys: &keys, ..Wanted::ANY };
    log.to_the_end(&wanted, &log.unbounded(), &mut |head, payload| {
        looked_at += 1;
        let entry = record::decode::<Logged>(payload).and_then(|logged| logged.entry(AttemptId::from_bits(head.id)));
        let tried = entry.filter(|entry| entry.subscription == id && entry.attempt > 0 && !entry.test);
        match tried {
            Some(entry) if entry.status == Status::Delivered => {
                (health.last_success, health.answer) = (Some(entry.created), Some(entry.duration));
            }
            Some(entry) => {
                health.failures = health.failures.saturating_add(1);
                health.failing_since = Some(entry.created);
            }
            None => {}
        }
        let enough = health.last_success.is_some() || looked_at == ENTRIES_LOOKED_AT;
        Ok(if enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    Ok(health)
}
