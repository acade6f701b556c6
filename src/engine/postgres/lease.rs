//! The lease of this daemon: until when it may begin attempts without having been heard of again.
//!
//! Others take the shards of a daemon once its lease in the table `nodes` is over. The time here is counted from before the
//! lease was renewed there, and ends a margin earlier, so it is over first.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::engine::postgres::id::Id;
use crate::model::lock::lock;

/// How long a lease is valid.
pub(super) const LEASE: Duration = Duration::from_secs(6);
/// How often it is renewed.
pub(super) const RENEWED_EVERY: Duration = Duration::from_millis(1_500);
/// How much earlier a daemon considers its lease over than the others do.
const MARGIN: Duration = Duration::from_secs(1);

#[derive(Debug)]
struct Held {
    node: Id,
    until: Option<Instant>,
    /// Since when the connection that renews it is there.
    connected: Option<Instant>,
}

/// The lease.
#[derive(Debug)]
pub(super) struct Lease(Mutex<Held>);

impl Lease {
    /// The lease of `node`, taken at `at`.
    pub(super) const fn taken(node: Id, at: Instant) -> Self {
        Self(Mutex::new(Held { node, until: Some(at), connected: None }))
    }

    /// The id of this daemon, as the others know it.
    pub(super) fn node(&self) -> Id {
        lock(&self.0).node
    }

    /// The daemon has joined again, as `node`, at `at`.
    pub(super) fn take(&self, node: Id, at: Instant) {
        let mut held = lock(&self.0);
        (held.node, held.until) = (node, Some(at));
    }

    /// It was renewed for `node`, which was asked for at `at`.
    pub(super) fn renew(&self, node: Id, at: Instant) {
        let mut held = lock(&self.0);
        if held.node == node {
            held.until = Some(at);
        }
    }

    /// Others have taken over from `node`.
    pub(super) fn lose(&self, node: Id) {
        let mut held = lock(&self.0);
        if held.node == node {
            held.until = None;
        }
    }

    /// The connection that renews it is there, or is lost.
    pub(super) fn note_connected(&self, connected: bool, now: Instant) {
        let mut held = lock(&self.0);
        held.connected = connected.then(|| held.connected.unwrap_or(now));
    }

    /// Whether it has been renewed all the time for as long as a lease is valid: so others could have renewed theirs.
    pub(super) fn is_settled(&self, now: Instant) -> bool {
        lock(&self.0).connected.is_some_and(|since| now.saturating_duration_since(since) >= LEASE)
    }

    /// Whether attempts may begin.
    pub(super) fn is_valid(&self, now: Instant) -> bool {
        lock(&self.0).until.is_some_and(|at| now.saturating_duration_since(at) < LEASE - MARGIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_over_before_others_say_so_and_at_once_when_it_was_lost() {
        let begun = Instant::now();
        let lease = Lease::taken(Id(1), begun);
        let after = |time: Duration| begun + time;
        assert!(lease.is_valid(begun) && !lease.is_valid(after(LEASE - MARGIN)));
        lease.renew(Id(1), after(RENEWED_EVERY));
        assert!(lease.is_valid(after(LEASE - MARGIN)));
        lease.renew(Id(2), after(LEASE));
        lease.lose(Id(2));
        assert!(!lease.is_valid(after(LEASE - MARGIN + RENEWED_EVERY)), "what is another daemon's changes nothing");
        assert!(lease.is_valid(after(LEASE - MARGIN)));
        lease.lose(Id(1));
        assert!(!lease.is_valid(after(RENEWED_EVERY)));
        lease.take(Id(3), after(LEASE));
        assert!(lease.is_valid(after(LEASE)) && lease.node() == Id(3));
    }

    #[test]
    fn one_that_was_connected_for_a_lease_is_settled_until_its_connection_is_lost() {
        let begun = Instant::now();
        let lease = Lease::taken(Id(1), begun);
        assert!(!lease.is_settled(begun + LEASE));
        lease.note_connected(true, begun);
        lease.note_connected(true, begun + LEASE / 2);
        assert!(!lease.is_settled(begun + LEASE / 2) && lease.is_settled(begun + LEASE));
        lease.note_connected(false, begun + LEASE);
        lease.note_connected(true, begun + LEASE);
        assert!(!lease.is_settled(begun + LEASE));
    }
}
