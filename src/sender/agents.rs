//! The ureq agents: one per receiver, bounded in number, and dropped when unused.
//!
//! An agent searches its idle connections linearly under a lock, so a single agent for all receivers would be slow
//! with a thousand of them, and one slow receiver would delay all.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use ureq::Agent;
use ureq::config::{AutoHeaderValue, Config};

use super::buffers;
use super::tls::BadCertificate;
use super::wire::{Deferred, Dialler};
use crate::core::client_certificate::ClientCertificate;
use crate::core::id::SubscriptionId;

/// Maximum number of receivers with their own agent.
const AGENTS_MOST: usize = 1024;
/// Idle time of a connection; common servers close theirs after 5 to 75 s.
const IDLE_AGE: Duration = Duration::from_secs(15);
/// Unused time after which an agent is dropped with its idle connections. Together with the pause between two sweeps
/// it is less than the idle time of a sender thread, which sweeps when it ends: so nothing remains when sending
/// stops.
const UNUSED_MOST: Duration = Duration::from_secs(18);
/// Minimum pause between two sweeps.
const SWEEP_PAUSE: Duration = Duration::from_secs(6);

/// The client certificate to present, if any.
type Certificate<'c> = Option<&'c Arc<ClientCertificate>>;

/// The agents by receiver.
pub(super) struct Agents {
    dialler: Dialler,
    begin: Instant,
    swept: AtomicU64,
    agents: RwLock<HashMap<SubscriptionId, Slot>>,
    lone: Agent,
}

struct Slot {
    pair: Pair,
    /// The client certificate presented by its connections.
    certificate: Option<Arc<ClientCertificate>>,
    /// Time of last use, in milliseconds since `begin`.
    used: AtomicU64,
}

/// The two agents of a receiver.
#[derive(Clone)]
pub(super) struct Pair {
    /// Keeps connections for the next request.
    pub(super) keeping: Agent,
    /// Keeps none: each request uses a fresh one.
    pub(super) lone: Agent,
}

impl Agents {
    pub(super) fn new(dialler: Dialler) -> Self {
        let lone = Agent::with_parts(config(0), dialler.clone(), Deferred);
        Self { dialler, begin: Instant::now(), swept: AtomicU64::new(0), agents: RwLock::default(), lone }
    }

    /// The dialler of agents without a client certificate.
    pub(super) const fn dialler(&self) -> &Dialler {
        &self.dialler
    }

    /// The agents of `receiver`, which present `certificate`.
    ///
    /// # Errors
    /// The certificate cannot be used.
    pub(super) fn of(&self, receiver: SubscriptionId, certificate: Certificate<'_>) -> Result<Pair, BadCertificate> {
        self.at(receiver, certificate, self.now())
    }

    /// An agent that belongs to no receiver and keeps no connection.
    ///
    /// # Errors
    /// The certificate cannot be used.
    pub(super) fn lone(&self, certificate: Certificate<'_>) -> Result<Agent, BadCertificate> {
        match certificate {
            None => Ok(self.lone.clone()),
            Some(shown) => Ok(Agent::with_parts(config(0), self.dialler.with_certificate(shown)?, Deferred)),
        }
    }

    /// Drops the agent of `receiver`: after a panic, its state cannot be trusted.
    pub(super) fn forget(&self, receiver: SubscriptionId) {
        self.agents.write().unwrap_or_else(PoisonError::into_inner).remove(&receiver);
    }

    fn now(&self) -> u64 {
        u64::try_from(self.begin.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn at(&self, receiver: SubscriptionId, certificate: Certificate<'_>, now: u64) -> Result<Pair, BadCertificate> {
        self.sweep(now);
        if let Some(slot) = self.agents.read().unwrap_or_else(PoisonError::into_inner).get(&receiver)
            && slot.certificate.as_ref() == certificate
        {
            slot.used.store(now, Ordering::Relaxed);
            return Ok(slot.pair.clone());
        }
        let pair = self.pair(certificate)?;
        let mut agents = self.agents.write().unwrap_or_else(PoisonError::into_inner);
        if agents.len() >= AGENTS_MOST && !agents.contains_key(&receiver) {
            let oldest = agents.iter().min_by_key(|(_, slot)| slot.used.load(Ordering::Relaxed)).map(|(id, _)| *id);
            oldest.and_then(|id| agents.remove(&id));
        }
        let fresh = || Slot { pair: pair.clone(), certificate: certificate.cloned(), used: AtomicU64::new(now) };
        let slot = agents.entry(receiver).or_insert_with(fresh);
        if slot.certificate.as_ref() != certificate {
            // It changed: connections that presented the old one must not be used any more.
            *slot = fresh();
        }
        Ok(slot.pair.clone())
    }

    fn pair(&self, certificate: Certificate<'_>) -> Result<Pair, BadCertificate> {
        let dialler = match certificate {
            None => self.dialler.clone(),
            Some(shown) => self.dialler.with_certificate(shown)?,
        };
        let lone = match certificate {
            None => self.lone.clone(),
            Some(_) => Agent::with_parts(config(0), dialler.clone(), Deferred),
        };
        // As many as have called at once may be idle; the dialler bounds the total over all receivers.
        let keeping = config(dialler.idle_most());
        Ok(Pair { keeping: Agent::with_parts(keeping, dialler, Deferred), lone })
    }

    /// Drops agents that were unused for long. Called by the way, and by threads that run idle.
    pub(super) fn drop_unused(&self) {
        self.sweep(self.now());
    }

    fn sweep(&self, now: u64) {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let (most, swept) = (millis(UNUSED_MOST), self.swept.load(Ordering::Relaxed));
        if now.saturating_sub(swept) < millis(SWEEP_PAUSE) {
            return;
        }
        if self.swept.compare_exchange(swept, now, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            let unused = |slot: &Slot| now.saturating_sub(slot.used.load(Ordering::Relaxed)) > most;
            self.agents.write().unwrap_or_else(PoisonError::into_inner).retain(|_, slot| !unused(slot));
        }
    }
}

/// No proxy, no redirects, no error for a status, no default headers. Its timeouts are not set: every read and write
/// below it ends at the attempt's own deadline ([`super::wire`]), which spares each request a copy of this
/// configuration.
fn config(idle: usize) -> Config {
    Agent::config_builder()
        .http_status_as_error(false)
        .proxy(None)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .user_agent(AutoHeaderValue::None)
        .accept(AutoHeaderValue::None)
        .accept_encoding(AutoHeaderValue::None)
        .max_response_header_size(buffers::SIZE - 1024)
        .max_idle_connections(idle)
        .max_idle_connections_per_host(idle)
        .max_idle_age(IDLE_AGE)
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::address::AddressPolicy;
    use crate::sender::resolver::Resolver;
    use crate::sender::tls::Tls;

    fn agents() -> Agents {
        let resolver = Arc::new(Resolver::new(AddressPolicy::default()));
        Agents::new(Dialler::new(resolver, Arc::new(Tls::new(&[]).unwrap()), None, 64))
    }

    fn count(agents: &Agents) -> usize {
        agents.agents.read().unwrap().len()
    }

    #[test]
    fn the_least_recently_used_gives_way() {
        let agents = agents();
        for number in 0..AGENTS_MOST as u64 {
            agents.at(SubscriptionId::from_bits(number.into()), None, number).unwrap();
        }
        agents.at(SubscriptionId::from_bits(0), None, 5_000).unwrap();
        agents.at(SubscriptionId::from_bits(u128::MAX), None, 5_000).unwrap();
        assert_eq!(count(&agents), AGENTS_MOST);
        let kept = agents.agents.read().unwrap();
        assert!(kept.contains_key(&SubscriptionId::from_bits(0)));
        assert!(!kept.contains_key(&SubscriptionId::from_bits(1)));
    }

    #[test]
    fn unused_entries_are_dropped() {
        let agents = agents();
        agents.at(SubscriptionId::from_bits(1), None, 0).unwrap();
        agents.at(SubscriptionId::from_bits(2), None, 17_000).unwrap();
        assert_eq!(count(&agents), 2);
        agents.sweep(23_000);
        assert_eq!(count(&agents), 1);
        agents.forget(SubscriptionId::from_bits(2));
        assert_eq!(count(&agents), 0);
    }
}
