//! The memory budget for what clients make the daemon hold: responses not yet read, and bodies not yet complete.
//!
//! A client gets more while it holds less than is free (the dynamic thresholds of Choudhury and Hahne, as in
//! [`fair_limit`](super::fair_limit)): one alone gets half of the budget, and there is always some left for the next.
//! A [`Client`] is a token at an address; all addresses of a tenant together get at most two thirds. Small pieces may
//! use the last ninth as well, so that a client over its share can still query its state; and [tiny](TINY) ones cost
//! no more than their connection and are not counted.
//!
//! Knows neither requests nor responses. Invariants: memory is released when the holder is dropped, wherever that
//! happens; the sum never exceeds the limit, except for a single piece that alone is larger.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::sleep;

use super::fair_limit::{Principal, Tenant};
use super::forwarded::site;

/// Size up to which nothing is counted, in bytes: one posted event, most responses.
pub(super) const TINY: usize = 8 * 1024;
/// Size up to which a piece is small, in bytes: a page in a browser, a short list.
const SMALL: usize = 64 * 1024;
/// To get a small piece, a client may hold this multiple of what is free.
const FOR_SMALL: u64 = 8;
/// What a tenant may hold in total, as a multiple of one client's share.
const TENANT: u64 = 2;
/// Interval at which a stream checks whether it may continue.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// The holder of memory: a token at an address.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Client {
    principal: Principal,
    site: IpAddr,
}

impl Client {
    fn new(principal: Principal, address: IpAddr) -> Self {
        Self { principal, site: site(address) }
    }
}

/// The budget. Cheap to clone: clones share it.
#[derive(Clone)]
pub struct Budget(Arc<Inner>);

struct Inner {
    limit: u64,
    books: Mutex<Books>,
}

#[derive(Default)]
struct Books {
    total: u64,
    clients: HashMap<Client, u64>,
    tenants: HashMap<Tenant, u64>,
}

/// The client holds too much already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spent;

/// Whether a client that holds `held` may have `more`, for a piece of `size`.
const fn may(limit: u64, total: u64, held: (u64, u64), more: u64, size: u64) -> bool {
    if total == 0 {
        return true; // alone: a piece larger than a share could never be had otherwise
    }
    let free = limit.saturating_sub(total.saturating_add(more));
    let times = if size <= SMALL as u64 { FOR_SMALL } else { 1 };
    let (client, tenant) = held;
    client.saturating_add(more) <= free.saturating_mul(times)
        && tenant.saturating_add(more) <= free.saturating_mul(times * TENANT)
}

impl Budget {
    /// A budget of `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self(Arc::new(Inner { limit: limit as u64, books: Mutex::default() }))
    }

    /// Bytes in use.
    pub fn used(&self) -> u64 {
        self.0.books().total
    }

    /// Bytes in total.
    pub fn limit(&self) -> u64 {
        self.0.limit
    }

    /// An empty reservation for `client`.
    fn none(&self, client: &Client) -> Held {
        Held { inner: Arc::clone(&self.0), client: client.clone(), bytes: 0 }
    }

    /// Counts `text` for `client` until its last clone is dropped.
    ///
    /// # Errors
    /// The client holds too much already.
    fn hold(&self, client: &Client, text: Bytes) -> Result<Bytes, Spent> {
        if text.len() <= TINY {
            return Ok(text);
        }
        let mut held = self.none(client);
        held.resize(text.len())?;
        Ok(Bytes::from_owner(Kept { text, _held: held }))
    }
}

/// A client's account in the budget. Cheap to clone.
#[derive(Clone)]
pub(super) struct Account {
    budget: Budget,
    client: Client,
}

impl Account {
    pub(super) fn new(budget: &Budget, principal: Principal, address: IpAddr) -> Self {
        Self { budget: budget.clone(), client: Client::new(principal, address) }
    }

    /// An empty reservation.
    pub(super) fn none(&self) -> Held {
        self.budget.none(&self.client)
    }

    /// Counts `text` until its last clone is dropped.
    ///
    /// # Errors
    /// The client holds too much already.
    pub(super) fn hold(&self, text: Bytes) -> Result<Bytes, Spent> {
        self.budget.hold(&self.client, text)
    }

    /// The same for a part of a response in progress: waits until the client holds less.
    pub(super) async fn hold_in_time(&self, text: Bytes) -> Bytes {
        loop {
            match self.hold(text.clone()) {
                Ok(held) => return held,
                Err(Spent) => sleep(LOOK_AGAIN).await,
            }
        }
    }
}

impl Inner {
    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A reservation, released when dropped.
pub(super) struct Held {
    inner: Arc<Inner>,
    client: Client,
    /// Bytes counted: none while it is tiny.
    bytes: u64,
}

impl Held {
    /// Changes the reservation to `size` bytes in total. Beyond [`TINY`] all of it is counted.
    ///
    /// # Errors
    /// The client holds too much already; the size is unchanged.
    pub(super) fn resize(&mut self, size: usize) -> Result<(), Spent> {
        let wanted = if size > TINY { size as u64 } else { 0 };
        if wanted > self.bytes {
            let mut books = self.inner.books();
            let held = (
                books.clients.get(&self.client).copied().unwrap_or_default(),
                books.tenants.get(self.client.principal.tenant()).copied().unwrap_or_default(),
            );
            // What this reservation holds itself is no obstacle.
            let alone = books.total - self.bytes;
            let more = wanted - self.bytes;
            let total = if alone == 0 { 0 } else { books.total };
            if !may(self.inner.limit, total, held, more, wanted) {
                return Err(Spent);
            }
            books.add(&self.client, more);
        } else if wanted < self.bytes {
            self.inner.books().subtract(&self.client, self.bytes - wanted);
        }
        self.bytes = wanted;
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.inner.books().subtract(&self.client, self.bytes);
        }
    }
}

impl Books {
    fn add(&mut self, client: &Client, bytes: u64) {
        self.total += bytes;
        *self.clients.entry(client.clone()).or_default() += bytes;
        *self.tenants.entry(client.principal.tenant().clone()).or_default() += bytes;
    }

    fn subtract(&mut self, client: &Client, bytes: u64) {
        self.total -= bytes;
        take_from(&mut self.clients, client, bytes);
        take_from(&mut self.tenants, client.principal.tenant(), bytes);
    }
}

/// Subtracts `bytes` from an account, and removes it if empty.
fn take_from<K: std::hash::Hash + Eq>(accounts: &mut HashMap<K, u64>, key: &K, bytes: u64) {
    if let Some(held) = accounts.get_mut(key) {
        *held = held.saturating_sub(bytes);
        if *held == 0 {
            accounts.remove(key);
        }
    }
}

/// Counted bytes.
struct Kept {
    text: Bytes,
    _held: Held,
}

impl AsRef<[u8]> for Kept {
    fn as_ref(&self) -> &[u8] {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::event::Company;
    use crate::core::token::TokenHash;

    const MIB: usize = 1 << 20;

    fn client(token: &str, company: Option<&str>, last: u8) -> Client {
        let company = company.map(|name| Company::parse(name).unwrap());
        Client::new(Principal::new(Some(&TokenHash::of(token)), company.as_ref()), [192, 0, 2, last].into())
    }

    /// The pieces of `size` that `client` gets until refused.
    fn greedy(budget: &Budget, client: &Client, size: usize) -> Vec<Bytes> {
        std::iter::from_fn(|| budget.hold(client, vec![7; size].into()).ok()).collect()
    }

    #[test]
    fn one_alone_gets_half_and_each_of_many_gets_as_much_as_is_left() {
        let budget = Budget::new(64 * MIB);
        let first = greedy(&budget, &client("a", None, 1), MIB);
        assert_eq!((first.len(), budget.used()), (32, 32 * MIB as u64));
        let second = greedy(&budget, &client("b", None, 1), MIB);
        assert_eq!(second.len(), 16, "another token at the same address");
        let third = greedy(&budget, &client("c", None, 1), MIB);
        assert_eq!(third.len(), 8);
        drop((first, second, third));
        let books = budget.0.books();
        assert_eq!((books.total, books.clients.len(), books.tenants.len()), (0, 0, 0), "all comes back");
    }

    #[test]
    fn small_requests_pass_under_pressure_and_tiny_ones_always() {
        let budget = Budget::new(64 * MIB);
        let greedy_one = client("a", None, 1);
        let large = greedy(&budget, &greedy_one, MIB);
        let small = greedy(&budget, &greedy_one, SMALL);
        assert_eq!((large.len(), small.len() * SMALL / MIB), (32, 24), "up to eight ninths");
        assert!(budget.hold(&client("b", None, 1), vec![7; MIB].into()).is_ok(), "which leaves room for others");
        let used = budget.used();
        let tiny = greedy_tiny(&budget, &greedy_one);
        assert_eq!((tiny, budget.used()), (100_000, used));
    }

    fn greedy_tiny(budget: &Budget, client: &Client) -> usize {
        (0..100_000).take_while(|_| budget.hold(client, vec![7; TINY].into()).is_ok()).count()
    }

    #[test]
    fn a_tenant_gets_no_more_by_many_addresses_and_tokens() {
        let budget = Budget::new(90 * MIB);
        let of_one = |company: Option<&str>| {
            let token = |number: u8| if company.is_some() { number.to_string() } else { "one".to_owned() };
            let held = (0..200).flat_map(|number| greedy(&budget, &client(&token(number), company, number), MIB));
            held.collect::<Vec<_>>().len()
        };
        assert_eq!((of_one(Some("acme")), budget.used()), (60, 0), "many tokens of a company");
        assert_eq!(of_one(None), 60, "one token at many addresses");
    }

    #[test]
    fn a_piece_that_grows_is_counted_once_it_is_not_tiny() {
        let budget = Budget::new(MIB);
        let mut body = budget.none(&client("a", None, 1));
        assert_eq!((body.resize(TINY), budget.used()), (Ok(()), 0));
        assert_eq!((body.resize(TINY + 1), budget.used()), (Ok(()), TINY as u64 + 1));
        assert_eq!((body.resize(4 * MIB), budget.used()), (Ok(()), 4 * MIB as u64), "alone it may be larger than all");
        let mut other = budget.none(&client("b", None, 1));
        assert_eq!((other.resize(TINY + 1), other.bytes), (Err(Spent), 0));
        assert_eq!((body.resize(100), budget.used()), (Ok(()), 0));
        assert_eq!(other.resize(TINY + 1), Ok(()));
        drop(other);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn bytes_are_given_back_with_their_last_piece() {
        let budget = Budget::new(MIB);
        let whole = budget.hold(&client("a", None, 1), vec![7; 100_000].into()).unwrap();
        let part = whole.slice(99_990..);
        drop(whole);
        assert_eq!(budget.used(), 100_000);
        drop(part);
        assert_eq!(budget.used(), 0);
    }
}
