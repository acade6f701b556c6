//! Secrets of unsaved webhooks, so that a receiver can be set up and tested first.
//!
//! 'New webhook' shows a secret, and for an hour the same one in the same browser, until a webhook is saved with it.
//! Until then only the page's tests are signed with it. In memory only, at most [`MOST`]; a further one replaces the
//! oldest.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::core::id::SessionId;
use crate::core::subscription::Secret;

/// How long a secret is kept.
const KEPT: Duration = Duration::from_secs(3600);
/// Maximum number.
const MOST: usize = 1_000;

/// The secrets, by browser.
#[derive(Default)]
pub(super) struct ReservedSecrets {
    all: Mutex<HashMap<SessionId, (Secret, Instant)>>,
}

impl ReservedSecrets {
    /// The secret shown to `browser`, or else `fresh`, which is kept for it.
    pub(super) fn secret(&self, browser: SessionId, fresh: Secret, now: Instant) -> Secret {
        let mut all = self.all();
        all.retain(|_, (_, since)| now.saturating_duration_since(*since) < KEPT);
        if let Some((secret, _)) = all.get(&browser) {
            return secret.clone();
        }
        if all.len() >= MOST
            && let Some(oldest) = all.iter().min_by_key(|(_, (_, since))| *since).map(|(browser, _)| *browser)
        {
            all.remove(&oldest);
        }
        all.insert(browser, (fresh.clone(), now));
        fresh
    }

    /// A webhook was saved with this secret: it is not shown as a new one again.
    pub(super) fn release(&self, secret: &Secret) {
        self.all().retain(|_, (kept, _)| kept != secret);
    }

    fn all(&self) -> MutexGuard<'_, HashMap<SessionId, (Secret, Instant)>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(number: u16) -> Secret {
        Secret::from_bytes([[0; 30].as_slice(), &number.to_be_bytes()].concat())
    }

    #[test]
    fn a_browser_is_shown_the_same_secret_for_an_hour_or_until_it_is_saved() {
        let (reserved, begun) = (ReservedSecrets::default(), Instant::now());
        let shown = |browser: u8, fresh, after| {
            reserved.secret(SessionId::from_bits(browser.into()), secret(fresh), begun + after)
        };
        assert_eq!(shown(1, 1, Duration::ZERO), secret(1));
        assert_eq!(shown(1, 2, KEPT / 2), secret(1));
        assert_eq!(shown(2, 3, KEPT / 2), secret(3), "another browser has its own");
        reserved.release(&secret(3));
        assert_eq!(shown(2, 4, KEPT / 2), secret(4));
        assert_eq!(shown(1, 5, KEPT), secret(5), "given up after an hour");
    }

    #[test]
    fn there_are_not_more_than_there_may_be_and_none_is_printed() {
        let (reserved, begun) = (ReservedSecrets::default(), Instant::now());
        let browser = |number: u16| SessionId::from_bits(number.into());
        for number in 0..=MOST as u16 {
            let now = begun + Duration::from_millis(number.into());
            reserved.secret(browser(number), secret(number), now);
        }
        let all = reserved.all();
        assert_eq!((all.len(), all.contains_key(&browser(0))), (MOST, false), "the oldest goes");
        assert_eq!(format!("{:?}", all.values().next().unwrap().0), "[secret]");
    }
}
