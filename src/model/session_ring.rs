//! In-memory index of the page's sessions; every request of a browser looks one up by the hash of its cookie.
//!
//! A request is noted in memory at once. That it was made is persisted at most every [`PERSISTED_EVERY`] for each session,
//! so a crash, or another daemon, is behind by that much.
//!
//! Must not know permissions.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use crate::core::id::SessionId;
use crate::core::session::{Lifetime, Session};
use crate::core::time::Timestamp;
use crate::core::token::TokenHash;
use crate::model::by_hash::{ByHash, Hashed};

/// The maximum lag of a session's persisted last request.
pub(crate) const PERSISTED_EVERY: Duration = Duration::from_secs(300);

/// A session in memory.
#[derive(Debug)]
struct Entry {
    session: Session,
    /// Its last request, in milliseconds.
    seen: AtomicU64,
    /// When it was last reported as due to be persisted.
    reported: AtomicU64,
}

impl Entry {
    fn session(&self) -> Session {
        Session { seen: self.seen(), ..self.session.clone() }
    }

    fn seen(&self) -> Timestamp {
        Timestamp::from_millis(self.seen.load(Relaxed))
    }

    /// Notes a request; whether that is due to be persisted, which it is for one caller only.
    fn touch(&self, now: Timestamp) -> bool {
        self.seen.fetch_max(now.millis(), Relaxed);
        let reported = self.reported.load(Relaxed);
        let lag = now.since(Timestamp::from_millis(reported));
        lag >= PERSISTED_EVERY && self.reported.compare_exchange(reported, now.millis(), Relaxed, Relaxed).is_ok()
    }
}

impl Hashed for Arc<Entry> {
    fn bits(&self) -> u128 {
        self.session.id.bits()
    }

    fn hash(&self) -> &TokenHash {
        &self.session.hash
    }
}

/// All sessions, ended ones included until they are removed.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    index: RwLock<ByHash<Arc<Entry>>>,
}

impl Sessions {
    /// Adds a session, or updates it.
    pub(crate) fn put(&self, session: Session) {
        let mut index = self.index_mut();
        let before = index.get(session.id.bits()).map_or(0, |old| old.seen.load(Relaxed));
        let (seen, reported) = (before.max(session.seen.millis()), session.seen.millis());
        index.put(Arc::new(Entry { session, seen: seen.into(), reported: reported.into() }));
    }

    /// Removes a session.
    pub(crate) fn remove(&self, id: SessionId) {
        self.index_mut().remove(id.bits());
    }

    /// Has the sessions of `other` from now on, with the requests noted here.
    #[cfg(feature = "postgres")]
    pub(crate) fn become_as(&self, other: &Self) {
        let gone: Vec<SessionId> = {
            let (own, other) = (self.index(), other.index());
            own.all().map(|entry| entry.session.id).filter(|id| other.get(id.bits()).is_none()).collect()
        };
        gone.into_iter().for_each(|id| self.remove(id));
        other.all().into_iter().for_each(|session| self.put(session));
    }

    /// The living session whose cookie has this hash, and whether its last request is due to be persisted. Counts as a
    /// request of it.
    pub(crate) fn find(&self, hash: &TokenHash, lifetime: Lifetime, now: Timestamp) -> Option<(Session, bool)> {
        let index = self.index();
        let entry = index.find(hash)?;
        if !entry.session.is_alive_since(entry.seen(), lifetime, now) {
            return None;
        }
        let due = entry.touch(now);
        Some((entry.session(), due))
    }

    /// The session with this id.
    pub(crate) fn get(&self, id: SessionId) -> Option<Session> {
        self.index().get(id.bits()).map(|entry| entry.session())
    }

    /// All, in order of their beginning.
    pub(crate) fn all(&self) -> Vec<Session> {
        self.index().all().map(|entry| entry.session()).collect()
    }

    fn index(&self) -> RwLockReadGuard<'_, ByHash<Arc<Entry>>> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn index_mut(&self) -> RwLockWriteGuard<'_, ByHash<Arc<Entry>>> {
        self.index.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::session::SignedInBy;

    const START: Timestamp = Timestamp::from_millis(1_790_000_000_000);

    fn session() -> Session {
        let (hash, by) = (TokenHash::of("cookie"), SignedInBy::Token(TokenHash::of("token")));
        Session { id: SessionId::from_bits(1), hash, by, company: None, begun: START, seen: START }
    }

    #[test]
    fn requests_keep_a_session_alive_and_are_persisted_now_and_then() {
        let (sessions, lifetime) = (Sessions::default(), Lifetime::default());
        sessions.put(session());
        let find = |at: Duration| sessions.find(&TokenHash::of("cookie"), lifetime, START.plus(at));
        let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
        assert!(!find(minutes(4)).unwrap().1, "soon after it was stored");
        let (found, due) = find(minutes(5)).unwrap();
        assert!(due && found.seen == START.plus(minutes(5)));
        assert!(!find(minutes(5)).unwrap().1, "one caller persists it");
        let mut at = minutes(5);
        while at + lifetime.idle < lifetime.total {
            at += lifetime.idle - minutes(1);
            assert!(find(at).is_some(), "{at:?}");
        }
        assert!(find(lifetime.total).is_none());
        assert!(sessions.find(&TokenHash::of("other"), lifetime, START).is_none());
        // What was stored meanwhile by another daemon does not take back what was noted here.
        sessions.put(session());
        assert_eq!(sessions.get(SessionId::from_bits(1)).unwrap().seen, START.plus(at));
        sessions.remove(SessionId::from_bits(1));
        assert!(find(minutes(6)).is_none() && sessions.all().is_empty());
    }

    #[test]
    fn an_idle_session_is_not_revived_by_a_request() {
        let (sessions, lifetime) = (Sessions::default(), Lifetime::default());
        sessions.put(session());
        for _ in 0..2 {
            assert!(sessions.find(&TokenHash::of("cookie"), lifetime, START.plus(lifetime.idle)).is_none());
        }
    }
}
