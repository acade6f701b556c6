//! The places of the streams of live views, and what the streams share.
//!
//! Knows nothing of requests. Invariants: at most [`MOST`] streams, of one session at most [`PER_SESSION`].

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::core::id::SessionId;

/// Maximum open streams.
const MOST: usize = 500;
/// Maximum open streams of one session: one for each of a person's windows.
const PER_SESSION: usize = 10;

/// What the streams share.
#[derive(Default)]
pub(super) struct Streams {
    /// When the log was read last, and its state then.
    pub(super) newest: tokio::sync::Mutex<Option<(Instant, String)>>,
    open: Mutex<HashMap<SessionId, usize>>,
}

/// An open stream's place, free again when it is dropped.
pub(super) struct Place {
    streams: Arc<Streams>,
    pub(super) session: SessionId,
}

impl Streams {
    fn open(&self) -> MutexGuard<'_, HashMap<SessionId, usize>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a stream of this session, if one is free.
    pub(super) fn place(self: &Arc<Self>, session: SessionId) -> Option<Place> {
        let mut open = self.open();
        if open.values().sum::<usize>() >= MOST || open.get(&session).is_some_and(|own| *own >= PER_SESSION) {
            return None;
        }
        *open.entry(session).or_default() += 1;
        Some(Place { streams: Arc::clone(self), session })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.streams.open();
        if let Some(own) = open.get_mut(&self.session) {
            *own -= 1;
            if *own == 0 {
                open.remove(&self.session);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_bounded_by_session_and_in_total_and_their_places_become_free() {
        let streams = Arc::new(Streams::default());
        let own: Vec<Place> = (0..PER_SESSION).map_while(|_| streams.place(SessionId::from_bits(1))).collect();
        assert_eq!(own.len(), PER_SESSION);
        assert!(streams.place(SessionId::from_bits(1)).is_none() && streams.place(SessionId::from_bits(2)).is_some());
        let others: Vec<Place> = (2..).map_while(|session| streams.place(SessionId::from_bits(session))).collect();
        assert_eq!(own.len() + others.len(), MOST);
        drop((own, others));
        assert!(streams.open().is_empty() && streams.place(SessionId::from_bits(1)).is_some());
    }
}
