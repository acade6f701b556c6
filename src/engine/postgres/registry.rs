//! The subscriptions and tokens in memory, as committed: read at the start, and anew when a commit was not made.

use std::sync::Mutex;

use crate::core::id::SubscriptionNumber;
use crate::engine::postgres::changes::Changes;
use crate::model::counts;
use crate::model::error::StoreError;
use crate::model::load::{self, Unreadable};
use crate::model::lock::lock;
use crate::model::registry::Registry;

/// Reads the registry into the one that is shared.
///
/// # Errors
/// The server cannot be reached, or something cannot be read.
pub(super) fn load(changes: &Changes, registry: &Mutex<Registry>, next: SubscriptionNumber) -> Result<(), StoreError> {
    let (keys, tokens, sessions) = {
        let registry = lock(registry);
        (registry.keys().clone(), registry.tokens.clone(), registry.sessions.clone())
    };
    let (mut loaded, _) = load::registry(changes, next, keys, Unreadable::Fail)?;
    // Every request looks tokens or sessions up, without the registry.
    tokens.become_as(&loaded.tokens);
    loaded.tokens = tokens;
    sessions.become_as(&loaded.sessions);
    loaded.sessions = sessions;
    *lock(registry) = loaded;
    if !counts::read(changes, registry)? {
        counts::count(changes, registry)?;
    }
    Ok(())
}
