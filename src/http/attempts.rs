//! How often an address may try to sign in with a token that is not known.
//!
//! Each address may fail [`BURST`] times at once and then once every [`PAUSE`]; while it may not, no
//! token is even looked at. What always holds: at most [`MOST`] addresses are remembered. If more try
//! at once, that is an attack, and the newcomers wait until the oldest are forgotten.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How many failures are let pass at once.
const BURST: u32 = 10;
/// After how long one more is let pass.
const PAUSE: Duration = Duration::from_secs(6);
/// How many addresses are remembered.
const MOST: usize = 4_096;

/// The addresses with failures, each with the time at which all of them will be forgotten.
#[derive(Default)]
pub(super) struct Attempts(Mutex<HashMap<IpAddr, Instant>>);

impl Attempts {
    fn all(&self) -> MutexGuard<'_, HashMap<IpAddr, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether `address` may try now.
    ///
    /// # Errors
    /// After how many seconds it may.
    pub(super) fn check(&self, address: IpAddr, now: Instant) -> Result<(), u16> {
        let mut all = self.all();
        let free = match all.get(&site(address)) {
            Some(forgotten) => *forgotten,
            None if all.len() < MOST => return Ok(()),
            None => {
                all.retain(|_, forgotten| *forgotten > now);
                if all.len() < MOST {
                    return Ok(());
                }
                now + PAUSE * BURST
            }
        };
        let wait = free.saturating_duration_since(now + PAUSE * (BURST - 1));
        if wait.is_zero() { Ok(()) } else { Err(u16::try_from(wait.as_secs() + 1).unwrap_or(u16::MAX)) }
    }

    /// Notes that `address` tried in vain.
    pub(super) fn failed(&self, address: IpAddr, now: Instant) {
        let mut all = self.all();
        let forgotten = all.entry(site(address)).or_insert(now);
        *forgotten = (*forgotten).max(now) + PAUSE;
    }
}

/// Of an IPv6 address the network: one machine has 2^64 addresses there.
fn site(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(long) => IpAddr::V6((u128::from(long) >> 64 << 64).into()),
        short @ IpAddr::V4(_) => short,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_fails_too_often_waits_and_nobody_else_does() {
        let (attempts, now) = (Attempts::default(), Instant::now());
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let guesser = address("2001:db8::1");
        for _ in 0..BURST {
            assert_eq!(attempts.check(guesser, now), Ok(()));
            attempts.failed(guesser, now);
        }
        let wait = attempts.check(guesser, now).unwrap_err();
        assert!((1..=7).contains(&wait), "{wait}");
        assert!(attempts.check(address("2001:db8::2"), now).is_err(), "the same network");
        assert_eq!(attempts.check(address("192.0.2.1"), now), Ok(()));
        assert_eq!(attempts.check(guesser, now + Duration::from_secs(u64::from(wait))), Ok(()));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (attempts, now) = (Attempts::default(), Instant::now());
        for number in 0..MOST as u32 {
            attempts.failed(IpAddr::V4(number.into()), now);
        }
        let newcomer = IpAddr::V4(u32::MAX.into());
        assert!(attempts.check(newcomer, now).is_err());
        assert_eq!(attempts.check(newcomer, now + PAUSE), Ok(()));
    }
}
