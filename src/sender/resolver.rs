//! Resolves a host to the addresses that may be connected to.
//!
//! The guard against calls to internal addresses (`[network]`) is here: only allowed addresses leave this module,
//! whether they come from a literal, from DNS or from the cache. The system's resolver blocks without a limit of its
//! own, so it runs on a few threads that exist only while there is something to resolve; callers wait as long as they
//! can afford. Names of one domain, whose servers may hang, use fewer threads than are idle, so that another domain
//! always finds one.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{IpAddr, ToSocketAddrs as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::failure::Failure;
use crate::core::address::AddressPolicy;
use crate::core::attempt::Fault;

/// How long a resolved name is cached.
const FRESH: Duration = Duration::from_secs(5);
/// How long a failure is cached.
const FRESH_FAILURE: Duration = Duration::from_secs(1);
/// How long cached addresses may be used when DNS does not respond.
const STALE: Duration = Duration::from_secs(600);
/// Maximum names cached.
const NAMES_MOST: usize = 4096;
/// Maximum concurrent lookups; each may hold a thread for as long as the system takes.
const THREADS_MOST: usize = 32;
/// Maximum queued names, in total and per domain: no fewer than there may be sender threads.
const QUEUE_MOST: usize = 8 * 1024;
const QUEUE_MOST_OF_DOMAIN: usize = QUEUE_MOST / 4;
/// Maximum addresses tried per name.
const ADDRESSES_MOST: usize = 16;

/// Looks up the addresses of a name; blocks.
pub(super) type Lookup = dyn Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync;

/// Resolves hosts; one for all threads.
pub(super) struct Resolver {
    policy: AddressPolicy,
    lookups: Arc<Lookups>,
}

/// State shared by callers and lookup threads.
struct Lookups {
    lookup: Box<Lookup>,
    names: Mutex<Names>,
}

#[derive(Default)]
struct Names {
    known: HashMap<String, Name>,
    queue: VecDeque<String>,
    threads: usize,
    /// Lookups in progress, by domain.
    in_progress: HashMap<String, usize>,
}

/// The addresses of a name, or why there are none.
type Answer = Result<Arc<[IpAddr]>, String>;

#[derive(Default)]
struct Name {
    /// The last result, and its time.
    answer: Option<(Instant, Answer)>,
    /// Whether a lookup is queued or in progress.
    queued: bool,
    /// Wakes only those that wait for this name: there may be a thousand waiting.
    answered: Arc<Condvar>,
}

impl Name {
    fn fresh(&self, now: Instant) -> Option<Answer> {
        let (at, answer) = self.answer.as_ref()?;
        let limit = if answer.is_ok() { FRESH } else { FRESH_FAILURE };
        (now.saturating_duration_since(*at) < limit).then(|| answer.clone())
    }

    fn stale(&self, now: Instant) -> Option<Arc<[IpAddr]>> {
        let (at, answer) = self.answer.as_ref()?;
        let addresses = answer.as_ref().ok()?;
        (now.saturating_duration_since(*at) < STALE).then(|| Arc::clone(addresses))
    }
}

impl Resolver {
    /// Uses the system's resolver, and passes what `policy` allows.
    pub(super) fn new(policy: AddressPolicy) -> Self {
        Self::with_lookup(policy, Box::new(ask_system))
    }

    pub(super) fn with_lookup(policy: AddressPolicy, lookup: Box<Lookup>) -> Self {
        let lookups = Lookups { lookup, names: Mutex::default() };
        Self { policy, lookups: Arc::new(lookups) }
    }

    pub(super) const fn policy(&self) -> &AddressPolicy {
        &self.policy
    }

    /// The allowed addresses of `host`, a literal (without brackets) or a name; at least one. Waits at most `limit`.
    pub(super) fn resolve(&self, host: &str, limit: Duration) -> Result<Vec<IpAddr>, Failure> {
        if let Ok(address) = host.parse::<IpAddr>() {
            return self.guard(&[address]);
        }
        let addresses = self.lookups.addresses(host, limit)?;
        self.guard(&addresses)
    }

    /// Checks a host that a proxy will connect to. The proxy resolves names itself, so every address known here must
    /// be allowed, and none is used; a name unknown here is left to the proxy. Waits at most `limit`.
    pub(super) fn vet(&self, host: &str, limit: Duration) -> Result<(), Failure> {
        let addresses = match host.parse::<IpAddr>() {
            Ok(address) => Ok(Arc::from([address])),
            Err(_) => self.lookups.addresses(host, limit),
        };
        let Ok(addresses) = addresses else { return Ok(()) };
        let refusal = addresses.iter().find_map(|address| self.policy.check(*address).err());
        refusal.map_or(Ok(()), |refusal| Err(Failure::new(Fault::AddressDenied, refusal.to_string())))
    }

    /// The addresses of the proxy, which is the operator's choice and not guarded.
    pub(super) fn of_proxy(&self, host: &str, limit: Duration) -> Result<Arc<[IpAddr]>, Failure> {
        host.parse::<IpAddr>().map_or_else(|_| self.lookups.addresses(host, limit), |address| Ok(Arc::from([address])))
    }

    fn guard(&self, addresses: &[IpAddr]) -> Result<Vec<IpAddr>, Failure> {
        let mut allowed = Vec::with_capacity(addresses.len());
        let mut denied = None;
        for address in addresses {
            match self.policy.check(*address) {
                Ok(()) => allowed.push(*address),
                Err(refusal) => denied = denied.or(Some(refusal)),
            }
        }
        match denied {
            Some(refusal) if allowed.is_empty() => Err(Failure::new(Fault::AddressDenied, refusal.to_string())),
            _ if allowed.is_empty() => Err(Failure::new(Fault::NameNotFound, "the host's name has no address")),
            _ => Ok(allowed),
        }
    }
}

impl Lookups {
    fn lock(&self) -> MutexGuard<'_, Names> {
        // A panic leaves nothing here inconsistent.
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn addresses(self: &Arc<Self>, host: &str, limit: Duration) -> Result<Arc<[IpAddr]>, Failure> {
        let begin = Instant::now();
        let mut names = self.lock();
        if let Some(answer) = names.known.get(host).and_then(|name| name.fresh(begin)) {
            return answer.map_err(|why| not_found(host, &why));
        }
        let stale = names.known.get(host).and_then(|name| name.stale(begin));
        // With stale addresses available, most of the time is kept for connecting to them.
        let limit = if stale.is_some() { limit / 4 } else { limit };
        loop {
            let newer = names.known.get(host).and_then(|name| name.answer.as_ref()).filter(|(at, _)| *at >= begin);
            if let Some((_, answer)) = newer {
                return answer.clone().map_err(|why| not_found(host, &why));
            }
            // Does nothing if queued already, unless the result was evicted before this thread woke.
            let answered = self.enqueue(&mut names, host)?;
            let left = limit.saturating_sub(begin.elapsed());
            if left.is_zero() {
                return stale.ok_or_else(|| {
                    Failure::new(Fault::ResolveTimeout, format!("DNS did not answer for `{host}` in time"))
                });
            }
            names = answered.wait_timeout(names, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Queues a lookup of `host`, unless queued already; returns what signals its result.
    fn enqueue(self: &Arc<Self>, names: &mut Names, host: &str) -> Result<Arc<Condvar>, Failure> {
        if let Some(name) = names.known.get(host).filter(|name| name.queued) {
            return Ok(Arc::clone(&name.answered));
        }
        let domain = domain_of(host);
        let of_domain = || names.queue.iter().filter(|waiting| domain_of(waiting) == domain).count();
        if names.queue.len() >= QUEUE_MOST || of_domain() >= QUEUE_MOST_OF_DOMAIN {
            return Err(Failure::new(Fault::ResolveTimeout, "too many names wait for DNS"));
        }
        names.make_room();
        let name = names.known.entry(host.to_owned()).or_default();
        name.queued = true;
        let answered = Arc::clone(&name.answered);
        names.queue.push_back(host.to_owned());
        if names.threads < THREADS_MOST {
            let lookups = Arc::clone(self);
            let spawned = std::thread::Builder::new()
                .name("resolver".to_owned())
                .stack_size(512 * 1024)
                .spawn(move || lookups.answer_all());
            match spawned {
                Ok(_) => names.threads += 1,
                // Another thread will process it; without one, nobody would.
                Err(_) if names.threads > 0 => {}
                Err(error) => {
                    names.queue.pop_back();
                    names.known.remove(host);
                    return Err(Failure::new(Fault::ResolveTimeout, format!("no thread to resolve names: {error}")));
                }
            }
        }
        Ok(answered)
    }

    /// Processes queued lookups, then ends.
    fn answer_all(&self) {
        let mut names = self.lock();
        while let Some(host) = names.take_next() {
            drop(names);
            let answer = catch_unwind(AssertUnwindSafe(|| (self.lookup)(&host)));
            let answer = answer.unwrap_or_else(|_| Err(io::Error::other("the resolver failed")));
            let answer = answer.map_err(|error| error.to_string()).map(|mut found| {
                found.truncate(ADDRESSES_MOST);
                Arc::from(found)
            });
            names = self.lock();
            names.end(&host);
            let name = names.known.entry(host).or_default();
            (name.answer, name.queued) = (Some((Instant::now(), answer)), false);
            name.answered.notify_all();
        }
        names.threads -= 1;
    }
}

impl Names {
    /// The next lookup: the first whose domain has fewer in progress than threads are idle. The others wait for one
    /// that ends, whose thread then calls this again.
    fn take_next(&mut self) -> Option<String> {
        let idle = THREADS_MOST.saturating_sub(self.in_progress.values().sum());
        let lookups = |host: &str| self.in_progress.get(domain_of(host)).copied().unwrap_or(0);
        let next = self.queue.iter().position(|host| lookups(host) < idle)?;
        let host = self.queue.remove(next)?;
        *self.in_progress.entry(domain_of(&host).to_owned()).or_default() += 1;
        Some(host)
    }

    /// A lookup has ended.
    fn end(&mut self, host: &str) {
        if let Some(in_progress) = self.in_progress.get_mut(domain_of(host)) {
            *in_progress -= 1;
            if *in_progress == 0 {
                self.in_progress.remove(domain_of(host));
            }
        }
    }

    /// Evicts names until there is room for one more; those in progress stay.
    fn make_room(&mut self) {
        if self.known.len() < NAMES_MOST {
            return;
        }
        let now = Instant::now();
        self.known.retain(|_, name| name.queued || name.fresh(now).is_some());
        while self.known.len() >= NAMES_MOST {
            let Some(host) = self.known.iter().find(|(_, name)| !name.queued).map(|(host, _)| host.clone()) else {
                break;
            };
            self.known.remove(&host);
        }
    }
}

/// The last two labels of a name: its registered domain, or a part of it under a public suffix of two labels.
fn domain_of(host: &str) -> &str {
    let name = host.trim_end_matches('.');
    name.rmatch_indices('.').nth(1).map_or(name, |(at, _)| &name[at + 1..])
}

fn not_found(host: &str, why: &str) -> Failure {
    Failure::new(Fault::NameNotFound, format!("the name `{host}` was not found ({why})"))
}

fn ask_system(host: &str) -> io::Result<Vec<IpAddr>> {
    let mut addresses: Vec<IpAddr> = Vec::new();
    for found in (host, 0).to_socket_addrs()? {
        if !addresses.contains(&found.ip()) {
            addresses.push(found.ip());
        }
    }
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    use super::*;

    const SOON: Duration = Duration::from_millis(50);
    const LONG: Duration = Duration::from_secs(20);

    fn policy() -> AddressPolicy {
        AddressPolicy::new(vec!["10.1.0.0/16".parse().unwrap()], Vec::new(), false)
    }

    fn fixed(addresses: &'static [&'static str]) -> Resolver {
        let lookup = move |_: &str| Ok(addresses.iter().map(|text| text.parse().unwrap()).collect());
        Resolver::with_lookup(policy(), Box::new(lookup))
    }

    #[test]
    fn only_allowed_addresses_are_returned() {
        let mixed = fixed(&["127.0.0.1", "10.1.0.1", "::1", "8.8.8.8"]);
        let allowed: Vec<String> = mixed.resolve("x.example", LONG).unwrap().iter().map(IpAddr::to_string).collect();
        assert_eq!(allowed, ["10.1.0.1", "8.8.8.8"]);

        let inside = fixed(&["169.254.169.254", "10.2.0.1"]).resolve("x.example", LONG).unwrap_err();
        assert_eq!(inside.fault, Fault::AddressDenied);
        assert!(inside.detail.contains("169.254.169.254") && inside.detail.contains("[network]"), "{}", inside.detail);
    }

    #[test]
    fn a_name_that_turns_inward_is_refused_from_then_on() {
        let lookups = AtomicUsize::new(0);
        let lookup = move |_: &str| {
            let outside = lookups.fetch_add(1, Ordering::SeqCst) == 0;
            Ok(vec![if outside { "8.8.8.8" } else { "169.254.169.254" }.parse().unwrap()])
        };
        let resolver = Resolver::with_lookup(policy(), Box::new(lookup));
        let outside: IpAddr = "8.8.8.8".parse().unwrap();
        // The checked addresses are returned, even if DNS would answer differently meanwhile.
        for _ in 0..3 {
            assert_eq!(resolver.resolve("x.example", LONG), Ok(vec![outside]));
        }
        let old = Instant::now().checked_sub(FRESH).unwrap();
        resolver.lookups.lock().known.get_mut("x.example").unwrap().answer.as_mut().unwrap().0 = old;
        for _ in 0..3 {
            assert_eq!(resolver.resolve("x.example", LONG).unwrap_err().fault, Fault::AddressDenied);
        }
    }

    #[test]
    fn literals_are_checked_without_a_lookup() {
        let resolver = Resolver::with_lookup(policy(), Box::new(|host| panic!("asked for {host}")));
        assert!(resolver.resolve("8.8.8.8", SOON).is_ok());
        for literal in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(resolver.resolve(literal, SOON).unwrap_err().fault, Fault::AddressDenied, "{literal}");
        }
    }

    #[test]
    fn other_spellings_of_addresses_are_checked_as_the_system_resolves_them() {
        let resolver = Resolver::new(AddressPolicy::default());
        for spelling in ["2130706433", "0x7f000001", "0177.0.0.1", "127.1", "localhost"] {
            let fault = resolver.resolve(spelling, LONG).unwrap_err().fault;
            assert!(matches!(fault, Fault::AddressDenied | Fault::NameNotFound), "{spelling}: {fault}");
        }
    }

    #[test]
    fn a_name_is_looked_up_once_for_all_waiters_and_then_cached() {
        let lookups = Arc::new(AtomicUsize::new(0));
        let (release, blocked) = mpsc::channel::<()>();
        let blocked = Mutex::new(blocked);
        let count = Arc::clone(&lookups);
        let lookup = move |_: &str| {
            count.fetch_add(1, Ordering::SeqCst);
            blocked.lock().unwrap().recv().ok();
            Ok(vec!["8.8.8.8".parse().unwrap()])
        };
        let resolver = Resolver::with_lookup(policy(), Box::new(lookup));
        std::thread::scope(|scope| {
            let waiting: Vec<_> = (0..8).map(|_| scope.spawn(|| resolver.resolve("x.example", LONG))).collect();
            release.send(()).unwrap();
            for thread in waiting {
                assert!(thread.join().unwrap().is_ok());
            }
        });
        assert!(resolver.resolve("x.example", SOON).is_ok());
        assert_eq!(lookups.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn names_that_hang_end_in_time_and_their_threads_are_bounded() {
        let (release, blocked) = mpsc::channel::<()>();
        let blocked = Mutex::new(blocked);
        let lookup = move |_: &str| {
            blocked.lock().unwrap().recv().ok();
            Ok(Vec::new())
        };
        let resolver = Resolver::with_lookup(policy(), Box::new(lookup));
        for number in 0..2 * THREADS_MOST {
            let failure = resolver.resolve(&format!("{number}.example"), Duration::from_millis(1)).unwrap_err();
            assert_eq!(failure.fault, Fault::ResolveTimeout);
        }
        assert_eq!(resolver.lookups.lock().threads, THREADS_MOST);
        drop(release);
        assert_eq!(resolver.resolve("0.example", LONG).unwrap_err().fault, Fault::NameNotFound);
    }

    #[test]
    fn names_of_one_domain_that_hang_leave_threads_for_others() {
        let (release, blocked) = mpsc::channel::<()>();
        let blocked = Mutex::new(blocked);
        let lookup = move |host: &str| {
            if host.ends_with(".hangs.example") {
                blocked.lock().unwrap().recv().ok();
            }
            Ok(vec!["8.8.8.8".parse().unwrap()])
        };
        let resolver = Resolver::with_lookup(policy(), Box::new(lookup));
        let mut refused = 0;
        for number in 0..2 * QUEUE_MOST {
            let failure = resolver.resolve(&format!("{number}.x.hangs.example"), Duration::ZERO).unwrap_err();
            refused += usize::from(failure.detail.contains("too many"));
        }
        assert!(refused > QUEUE_MOST, "{refused}");
        assert!(resolver.resolve("hook.works.example", LONG).is_ok());
        assert!(resolver.lookups.lock().in_progress["hangs.example"] <= THREADS_MOST / 2);
        drop(release);
        // What was queued is resolved in the end, and nothing is left behind.
        assert!(resolver.resolve("0.x.hangs.example", LONG).is_ok());
        assert!(resolver.resolve("last.hangs.example", LONG).is_ok());
    }

    #[test]
    fn a_domain_is_the_last_two_labels() {
        for (host, domain) in [("a.b.c.example", "c.example"), ("c.example.", "c.example"), ("host", "host"), ("", "")]
        {
            assert_eq!(domain_of(host), domain);
        }
    }

    #[test]
    fn old_addresses_serve_while_dns_is_silent() {
        let (release, blocked) = mpsc::channel::<()>();
        let blocked = Mutex::new(blocked);
        let lookup = move |_: &str| {
            blocked.lock().unwrap().recv().ok();
            Err(io::Error::other("silent"))
        };
        let resolver = Resolver::with_lookup(policy(), Box::new(lookup));
        let old = Instant::now().checked_sub(FRESH * 2).unwrap();
        let answer = Some((old, Ok(Arc::from(["8.8.8.8".parse::<IpAddr>().unwrap()]))));
        resolver.lookups.lock().known.insert("x.example".to_owned(), Name { answer, ..Name::default() });
        assert!(resolver.resolve("x.example", SOON).is_ok());
        drop(release);
    }

    #[test]
    fn failures_and_panics_of_a_lookup_are_answers() {
        let failing = Resolver::with_lookup(policy(), Box::new(|_| Err(io::Error::other("no such name"))));
        let failure = failing.resolve("x.example", LONG).unwrap_err();
        assert_eq!(failure.fault, Fault::NameNotFound);
        assert!(failure.detail.contains("x.example") && failure.detail.contains("no such name"));
        let panicking = Resolver::with_lookup(policy(), Box::new(|_| panic!("lookup")));
        assert_eq!(panicking.resolve("x.example", LONG).unwrap_err().fault, Fault::NameNotFound);
    }

    #[test]
    fn memory_for_names_is_bounded() {
        let resolver = fixed(&["8.8.8.8"]);
        for number in 0..NAMES_MOST + 10 {
            let name = Name { answer: Some((Instant::now(), Err(String::new()))), ..Name::default() };
            let mut names = resolver.lookups.lock();
            names.make_room();
            names.known.insert(number.to_string(), name);
        }
        assert!(resolver.lookups.lock().known.len() <= NAMES_MOST);
    }
}
