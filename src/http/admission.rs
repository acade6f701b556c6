//! Which connections are served: limits in total and per address, and eviction.
//!
//! - In total there are `max_connections`. The last eighth is reserved for addresses with hardly any, so that a few
//!   greedy ones cannot shut out the rest; beyond the total there is room for a few from this machine itself, for the
//!   operator's command line.
//! - One address (see [`site`]) has `connections_per_address`. A trusted proxy is not one client: the requests it
//!   forwards are counted by the client it names.
//! - A connection without a known token is a stranger's. Without room for a new connection, the stranger silent
//!   longest is evicted, from the newcomer's own address or from the one with the most connections. A client that
//!   sends its head at once is served in the midst of a slow-client attack, even from the same address.
//!
//! Knows no sockets and reads no clock. Invariant: a connection with a known token is never evicted, nor a stranger
//! within [`GRACE`] of its last head.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::forwarded::site;
use super::problem::Problem;

/// Time after connecting, or after the last request head, without eviction.
const GRACE: Duration = Duration::from_secs(1);
/// The fraction of connections reserved for addresses with few.
const RESERVE: usize = 8;
/// Maximum connections of those.
const FEW: usize = 4;
/// Additional connections from this machine itself when all places are taken.
const OWN: usize = 8;

/// The addresses of this machine.
const LOCALHOST: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];

/// Why a connection is not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The total limit is reached.
    Full,
    /// The limit of its address is reached.
    Address,
}

impl Refusal {
    /// The response.
    pub(super) fn problem(self) -> Problem {
        let detail = match self {
            Self::Full => "there are as many connections as `[http] max_connections` allows",
            Self::Address => "this address has as many connections as `[limits] connections_per_address` allows",
        };
        Problem::unavailable(detail, 1)
    }
}

/// The connections being served.
#[derive(Debug)]
pub(super) struct Admission {
    most: usize,
    each: usize,
    begun: Instant,
    places: Mutex<Places>,
    left: Notify,
}

#[derive(Debug, Default)]
struct Places {
    total: usize,
    sites: HashMap<IpAddr, HashMap<u64, Arc<Seat>>>,
    /// Requests in progress that were forwarded by trusted proxies, by client.
    requests: HashMap<IpAddr, usize>,
    next: u64,
}

/// A connection being served.
#[derive(Debug)]
pub(super) struct Seat {
    number: u64,
    site: IpAddr,
    known: AtomicBool,
    /// Time of connecting or of the last head, in milliseconds since the listener began.
    last_head: AtomicU64,
    leave: Notify,
}

impl Seat {
    /// Records that a known token was presented.
    pub(super) fn set_known(&self) {
        self.known.store(true, Ordering::Relaxed);
    }

    /// Completes when it is evicted.
    pub(super) async fn must_leave(&self) {
        self.leave.notified().await;
    }
}

/// A seat, released when dropped.
#[derive(Debug)]
pub(super) struct Ticket {
    admission: Arc<Admission>,
    pub(super) seat: Arc<Seat>,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.admission.places().remove(&self.seat);
        self.admission.left.notify_waiters();
    }
}

/// A request forwarded by a trusted proxy, until dropped.
#[derive(Debug)]
pub(super) struct Passed {
    admission: Arc<Admission>,
    site: IpAddr,
}

impl Drop for Passed {
    fn drop(&mut self) {
        let mut places = self.admission.places();
        if let Some(count) = places.requests.get_mut(&self.site) {
            *count -= 1;
            if *count == 0 {
                places.requests.remove(&self.site);
            }
        }
    }
}

impl Places {
    fn insert(&mut self, site: IpAddr, last_head: u64) -> Arc<Seat> {
        let number = self.next;
        (self.next, self.total) = (number + 1, self.total + 1);
        let (known, last_head) = (AtomicBool::new(false), AtomicU64::new(last_head));
        let seat = Arc::new(Seat { number, site, known, last_head, leave: Notify::new() });
        self.sites.entry(site).or_default().insert(number, Arc::clone(&seat));
        seat
    }

    fn remove(&mut self, seat: &Seat) {
        let Some(seats) = self.sites.get_mut(&seat.site) else { return };
        if seats.remove(&seat.number).is_some() {
            self.total -= 1;
        }
        if seats.is_empty() {
            self.sites.remove(&seat.site);
        }
    }

    fn of(&self, site: IpAddr) -> usize {
        self.sites.get(&site).map_or(0, HashMap::len)
    }

    /// Evicts the stranger at `site` silent longest, since before `until`; returns whether there was one.
    fn make_way(&mut self, site: IpAddr, until: Option<u64>) -> bool {
        let strangers = self.sites.get(&site).into_iter().flat_map(HashMap::values);
        let strangers = strangers.filter(|seat| !seat.known.load(Ordering::Relaxed));
        let silent = strangers.map(|seat| (seat.last_head.load(Ordering::Relaxed), seat));
        let longest = silent
            .filter(|(last_head, _)| until.is_some_and(|until| *last_head <= until))
            .min_by_key(|(last_head, _)| *last_head);
        let Some((_, seat)) = longest.map(|(last_head, seat)| (last_head, Arc::clone(seat))) else { return false };
        // It no longer counts, although its task may take a moment to end.
        self.remove(&seat);
        seat.leave.notify_one();
        true
    }

    /// The site with the most connections.
    fn greediest(&self) -> Option<(IpAddr, usize)> {
        self.sites.iter().map(|(site, seats)| (*site, seats.len())).max_by_key(|(_, count)| *count)
    }
}

impl Admission {
    /// With `most` connections in total, and `each` per address. `begun` is now.
    pub(super) fn new(most: usize, each: usize, begun: Instant) -> Self {
        Self { most, each, begun, places: Mutex::default(), left: Notify::new() }
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn millis(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.begun).as_millis()).unwrap_or(u64::MAX)
    }

    /// A seat for a connection from `address`, if there is one or another is evicted. `proxy`: it is a trusted one.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) fn admit(self: &Arc<Self>, address: IpAddr, proxy: bool, now: Instant) -> Result<Ticket, Refusal> {
        let (site, millis) = (site(address), self.millis(now));
        let silent_since = millis.checked_sub(u64::try_from(GRACE.as_millis()).unwrap_or(u64::MAX));
        let mut places = self.places();
        let own = places.of(site);
        if own >= self.each && !proxy && !places.make_way(site, silent_since) {
            return Err(Refusal::Address);
        }
        if !self.has_room(&places, site) && !self.somebody_leaves(&mut places, site, own, silent_since) {
            return Err(Refusal::Full);
        }
        let seat = places.insert(site, millis);
        drop(places);
        Ok(Ticket { admission: Arc::clone(self), seat })
    }

    fn has_room(&self, places: &Places, site: IpAddr) -> bool {
        let reserve = self.most / RESERVE;
        let few = places.of(site) < FEW.min(reserve);
        let beyond = if few { reserve } else { 0 } + if few && LOCALHOST.contains(&site) { OWN } else { 0 };
        places.total < self.most - reserve + beyond
    }

    fn somebody_leaves(&self, places: &mut Places, site: IpAddr, own: usize, until: Option<u64>) -> bool {
        let greediest = places.greediest();
        let other = greediest.filter(|(greedy, count)| *greedy != site && *count > own + 1);
        places.total < self.most + OWN
            && (other.is_some_and(|(greedy, _)| places.make_way(greedy, until)) || places.make_way(site, until))
    }

    /// Records that a request's head was received on `seat`.
    pub(super) fn record_head(&self, seat: &Seat, now: Instant) {
        seat.last_head.store(self.millis(now), Ordering::Relaxed);
    }

    /// Counts a request forwarded by a trusted proxy for `client`.
    ///
    /// # Errors
    /// The client's limit is reached.
    pub(super) fn pass(self: &Arc<Self>, client: IpAddr) -> Result<Passed, Refusal> {
        let site = site(client);
        let mut places = self.places();
        let count = places.requests.entry(site).or_default();
        if *count >= self.each {
            return Err(Refusal::Address);
        }
        *count += 1;
        drop(places);
        Ok(Passed { admission: Arc::clone(self), site })
    }

    /// The number of connections.
    pub(super) fn count(&self) -> usize {
        self.places().total
    }

    /// Completes when there are none.
    pub(super) async fn empty(&self) {
        loop {
            let left = self.left.notified();
            if self.count() == 0 {
                return;
            }
            left.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    fn admission(most: usize, each: usize) -> (Arc<Admission>, Instant) {
        let begun = Instant::now();
        (Arc::new(Admission::new(most, each, begun)), begun)
    }

    /// As many of `count` connections from one address as are admitted.
    fn crowd(admission: &Arc<Admission>, from: u8, count: usize, now: Instant) -> Vec<Ticket> {
        (0..count).map_while(|_| admission.admit(address(from), false, now).ok()).collect()
    }

    #[test]
    fn one_address_has_so_many_and_no_more() {
        let (admission, now) = admission(1_000, 10);
        let seats = crowd(&admission, 1, 20, now);
        assert_eq!(seats.len(), 10);
        assert_eq!(admission.admit(address(1), false, now).unwrap_err(), Refusal::Address);
        assert!(admission.admit(address(2), false, now).is_ok(), "another is not counted with it");
        assert!(admission.admit(address(1), true, now).is_ok(), "a trusted proxy is many");
        drop(seats);
        assert_eq!((admission.count(), admission.places().sites.len()), (0, 0), "all places come back");
        assert_eq!(crowd(&admission, 1, 20, now).len(), 10);
    }

    #[test]
    fn a_few_greedy_addresses_leave_slots_for_others() {
        let (admission, now) = admission(80, 40);
        let greedy = [crowd(&admission, 1, 40, now), crowd(&admission, 2, 40, now)];
        assert_eq!(greedy.iter().map(Vec::len).sum::<usize>(), 70);
        let newcomers: Vec<_> = (3..5).map(|from| crowd(&admission, from, 10, now)).collect();
        assert!(newcomers.iter().all(|seats| seats.len() == FEW), "each has a few");
        assert_eq!(admission.admit(address(2), false, now).unwrap_err(), Refusal::Full);
        let more: Vec<_> = (5..9).flat_map(|from| crowd(&admission, from, 1, now)).collect();
        assert_eq!(more.len(), 2, "the reserve has its end");
        let own: Vec<_> = (0..10).map_while(|_| admission.admit([127, 0, 0, 1].into(), false, now).ok()).collect();
        assert_eq!(own.len(), FEW, "but this machine itself is served");
    }

    #[test]
    fn silent_strangers_give_way_the_longest_silent_first() {
        let (admission, begun) = admission(80, 10);
        let seats = crowd(&admission, 1, 10, begun);
        admission.record_head(&seats[0].seat, begun + SECOND);
        seats[1].seat.set_known();
        let at = begun + SECOND;
        let newcomer = admission.admit(address(1), false, at).unwrap();
        let left = |seats: &[Ticket]| {
            let places = admission.places();
            let here = |ticket: &Ticket| places.sites[&address(1)].contains_key(&ticket.seat.number);
            seats.iter().filter(|ticket| !here(ticket)).count()
        };
        assert_eq!((left(&seats), admission.count()), (1, 10));
        let more: Vec<_> = (0..10).map_while(|_| admission.admit(address(1), false, at).ok()).collect();
        assert_eq!(more.len(), 7, "the one that spoke and the one that is known stay, and whoever has just come");
        assert_eq!(admission.admit(address(1), false, at).unwrap_err(), Refusal::Address);
        drop((seats, newcomer, more));
        assert_eq!(admission.count(), 0, "who gave way is not given back twice");
    }

    #[test]
    fn at_the_limit_the_heaviest_client_gives_way() {
        let (admission, begun) = admission(80, 80);
        let greedy = crowd(&admission, 1, 70, begun);
        let others: Vec<_> = (2..12).flat_map(|from| crowd(&admission, from, 1, begun)).collect();
        assert_eq!((greedy.len(), others.len()), (70, 10));
        assert_eq!(admission.admit(address(99), false, begun).unwrap_err(), Refusal::Full, "all have just come");
        let newcomer = admission.admit(address(99), false, begun + SECOND).unwrap();
        let left = admission.places().of(address(1));
        assert_eq!((left, admission.count()), (69, 80));
        for ticket in &greedy {
            ticket.seat.set_known();
        }
        assert_eq!(admission.admit(address(98), false, begun + SECOND).unwrap_err(), Refusal::Full, "those are known");
        drop((greedy, others, newcomer));
    }

    #[test]
    fn requests_behind_a_proxy_count_for_their_client() {
        let (admission, _) = admission(80, 2);
        let passed: Vec<_> = (0..5).map_while(|_| admission.pass(address(1)).ok()).collect();
        assert_eq!(passed.len(), 2);
        assert!(admission.pass(address(2)).is_ok());
        drop(passed);
        assert!(admission.places().requests.is_empty());
    }
}
