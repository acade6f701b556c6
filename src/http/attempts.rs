//! Limits failed sign-ins with unknown tokens.
//!
//! A known token is never delayed: these limits apply only once a token was not found, and decide the response. They
//! are keyed by the address and a prefix of the token tried, so that a user who mistypes is told so while somebody
//! else guesses behind the same proxy; and, less strictly, by the address alone.
//!
//! Invariant: at most [`MOST`] are remembered. Reaching that is an attack; new clients then wait until the oldest
//! entries expire.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::forwarded::site;
use crate::core::token::TokenHash;

/// Failures allowed at once.
const BURST: u32 = 10;
/// The same for one address with any tokens, as a multiple.
const WIDER: u32 = 10;
/// Interval after which one more is allowed.
const PAUSE: Duration = Duration::from_secs(6);
/// Maximum entries.
const MOST: usize = 4_096;
/// Length of the token prefix.
const PREFIX: usize = 12;

/// The source of attempts: an address and a token prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Tried {
    site: IpAddr,
    /// Hash of the prefix; `None` for all.
    prefix: Option<u64>,
}

/// Sources with failures, with the time at which all of them expire.
#[derive(Default)]
pub(super) struct Attempts(Mutex<HashMap<Tried, Instant>>);

impl Attempts {
    /// Records that `address` tried the unknown `token`.
    ///
    /// # Errors
    /// Too many attempts; the seconds until the next is allowed. The attempt is not counted.
    pub(super) fn failed(&self, address: IpAddr, token: &str, now: Instant) -> Result<(), u16> {
        let prefix: String = token.chars().take(PREFIX).collect();
        let one = Tried { site: site(address), prefix: Some(TokenHash::of(&prefix).locator()) };
        let all = Tried { prefix: None, ..one };
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let limits = [(one, PAUSE), (all, PAUSE / WIDER)];
        if known.len() + limits.len() > MOST {
            known.retain(|_, forgotten| *forgotten > now);
        }
        for (tried, pause) in limits {
            let burst = PAUSE.as_millis() / pause.as_millis() * u128::from(BURST);
            let burst = u32::try_from(burst).unwrap_or(BURST);
            let forgotten = match known.get(&tried) {
                Some(forgotten) => *forgotten,
                None if known.len() + limits.len() <= MOST => continue,
                None => now + pause * burst,
            };
            let wait = forgotten.saturating_duration_since(now + pause * (burst - 1));
            if !wait.is_zero() {
                return Err(u16::try_from(wait.as_secs() + 1).unwrap_or(u16::MAX));
            }
        }
        for (tried, pause) in limits {
            let forgotten = known.entry(tried).or_insert(now);
            *forgotten = (*forgotten).max(now) + pause;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn only_the_client_that_fails_too_often_waits() {
        let (attempts, now) = (Attempts::default(), Instant::now());
        let guesser = address("2001:db8::1");
        for number in 0..BURST {
            assert_eq!(attempts.failed(guesser, &format!("hsk_abcdefgh{number}"), now), Ok(()));
        }
        let wait = attempts.failed(guesser, "hsk_abcdefgh", now).unwrap_err();
        assert!((1..=7).contains(&wait), "{wait}");
        assert!(attempts.failed(address("2001:db8::2"), "hsk_abcdefgh", now).is_err(), "the same network");
        assert_eq!(attempts.failed(guesser, "hsk_ijklmnop", now), Ok(()), "somebody else behind the same address");
        assert_eq!(attempts.failed(address("192.0.2.1"), "hsk_abcdefgh", now), Ok(()));
        assert_eq!(attempts.failed(guesser, "hsk_abcdefgh", now + Duration::from_secs(u64::from(wait))), Ok(()));
    }

    #[test]
    fn an_address_that_tries_all_kinds_of_tokens_waits_too() {
        let (attempts, now) = (Attempts::default(), Instant::now());
        let failed_at = |number: u32| attempts.failed(address("192.0.2.1"), &format!("{number}-of-many"), now);
        assert_eq!((0..1_000).take_while(|number| failed_at(*number).is_ok()).count(), (BURST * WIDER) as usize);
        assert_eq!(failed_at(2_000), Err(1));
    }

    #[test]
    fn remembered_addresses_are_bounded() {
        let (attempts, now) = (Attempts::default(), Instant::now());
        for number in 0..MOST as u32 {
            let _ = attempts.failed(IpAddr::V4(number.into()), "x", now);
        }
        assert!(attempts.0.lock().unwrap().len() <= MOST);
        let newcomer = IpAddr::V4(u32::MAX.into());
        assert!(attempts.failed(newcomer, "x", now).is_err());
        assert_eq!(attempts.failed(newcomer, "x", now + PAUSE), Ok(()));
    }
}
