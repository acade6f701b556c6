//! Loading the registry from the view.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};

use crate::core::attempt::Status;
use crate::core::id::{AttemptId, SubscriptionId, SubscriptionNumber};
use crate::core::portal_link::PortalLink;
use crate::core::seal::Keyring;
use crate::core::session::Session;
use crate::core::token::Token;
use crate::model::error::StoreError;
use crate::model::health::Health;
use crate::model::key::{Key, ValueKind};
use crate::model::lock::lock;
use crate::model::progress::{DiscardRecord, ReplayRecord};
use crate::model::record::{
    self, HealthRecord, Kind as _, Logged, PortalLinkRecord, Registered, SessionRecord, SubscriptionRecord, TokenRecord,
};
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
        match subscription(number, &value, registry.keys()) {
            Ok(registered) => registry.put(registered),
            Err(_) if unreadable == Unreadable::Skip => skipped = true,
            Err(error) => return Err(error),
        }
    }
    // All at once: an engine may be far away.
    for (key, value) in view.scan(&Key::all(ValueKind::Sequence), None, usize::MAX)? {
        let number = keys::number_in(&key).unwrap_or_default();
        let Some(state) = registry.state_mut(number) else { continue };
        match next_sequence(number, value) {
            Ok(next) => state.next_sequence = next,
            Err(_) if unreadable == Unreadable::Skip => skipped = true,
            Err(error) => return Err(error),
        }
    }
    for (key, value) in view.scan(&Key::all(ValueKind::Health), None, usize::MAX)? {
        let Some(state) = registry.state_mut(keys::number_in(&key).unwrap_or_default()) else { continue };
        match health(&value) {
            Some(health) => state.health = health,
            None if unreadable == Unreadable::Fail => view.note_unreadable(&key, None),
            None => {}
        }
    }
    for (_, value) in view.scan(&Key::all(ValueKind::Replay), None, usize::MAX)? {
        registry.put_replay(replay(&value)?);
    }
    for (_, value) in view.scan(&Key::all(ValueKind::Discard), None, usize::MAX)? {
        registry.put_discard(discard(&value)?);
    }
    for (_, value) in view.scan(&Key::all(ValueKind::Token), None, usize::MAX)? {
        registry.tokens.put(token(&value)?);
    }
    for (key, value) in view.scan(&Key::all(ValueKind::Session), None, usize::MAX)? {
        match session(&value) {
            Some(session) => registry.sessions.put(session),
            None if unreadable == Unreadable::Fail => view.note_unreadable(&key, None),
            None => {}
        }
    }
    for (key, value) in view.scan(&Key::all(ValueKind::PortalLink), None, usize::MAX)? {
        match portal_link(&value) {
            Some(link) => drop(registry.portal_links.put(link)),
            None if unreadable == Unreadable::Fail => view.note_unreadable(&key, None),
            None => {}
        }
    }
    registry.without_webhook = CompaniesWithoutWebhook::read(view)?;
    Ok((registry, skipped))
}

/// The subscription in a stored value, with its secrets opened by `keys` as far as possible.
pub(crate) fn subscription(number: SubscriptionNumber, value: &[u8], keys: &Keyring) -> Result<Registered, StoreError> {
    let registered = SubscriptionRecord::of_value(value).and_then(|record| record.unsealed(keys));
    let unreadable = || StoreError::corrupt_state(format!("has a subscription (number {number}) that cannot be read"));
    registered.ok_or_else(unreadable)
}

/// The next sequence number in a stored value. A guess would assign a number twice.
pub(crate) fn next_sequence(number: SubscriptionNumber, value: Vec<u8>) -> Result<u64, StoreError> {
    let unreadable = |_| {
        let detail = format!("has the next sequence number of subscription number {number}, which cannot be read");
        StoreError::corrupt_state(detail)
    };
    value.try_into().map(u64::from_be_bytes).map_err(unreadable)
}

/// The health in a stored value; `None` if it cannot be read.
pub(crate) fn health(value: &[u8]) -> Option<Health> {
    record::unversioned::<HealthRecord>(value).map(Into::into)
}

/// The replay in a stored value.
pub(crate) fn replay(value: &[u8]) -> Result<ReplayRecord, StoreError> {
    record::unversioned(value).ok_or_else(|| StoreError::corrupt_state("has a replay that cannot be read"))
}

/// The discard in a stored value.
pub(crate) fn discard(value: &[u8]) -> Result<DiscardRecord, StoreError> {
    record::unversioned(value).ok_or_else(|| StoreError::corrupt_state("has a discard that cannot be read"))
}

/// The token in a stored value.
pub(crate) fn token(value: &[u8]) -> Result<Token, StoreError> {
    let unreadable = || StoreError::corrupt_state("has a token of the API that cannot be read");
    record::unversioned::<TokenRecord>(value).and_then(TokenRecord::token).ok_or_else(unreadable)
}

/// The session in a stored value; `None` if it cannot be read.
pub(crate) fn session(value: &[u8]) -> Option<Session> {
    SessionRecord::of_value(value).and_then(SessionRecord::session)
}

/// The portal link in a stored value; `None` if it cannot be read.
pub(crate) fn portal_link(value: &[u8]) -> Option<PortalLink> {
    record::unversioned::<PortalLinkRecord>(value).and_then(PortalLinkRecord::link)
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
