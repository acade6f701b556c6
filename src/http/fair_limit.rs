//! Limits on concurrent work, shared fairly among principals.
//!
//! Each kind of work ([`Lane`]) has its own slots, so that none waits for another kind. Within a lane a token may
//! take one more slot while it holds fewer than are free (the dynamic thresholds of Choudhury and Hahne, 'Dynamic
//! queue length thresholds for shared-memory packet switches', 1998, with alpha = 1): one alone gets half of them,
//! and there is always one left for the next. All tokens of one tenant together get at most three quarters. Waiting
//! requests are served round robin: next is the tenant that holds fewest, of its tokens the one that holds fewest,
//! and among equals the one served longest ago. A token whose queue is full is refused; no other is.
//!
//! Knows nothing about the work, and reads no clock. Invariants: slots are released, also by work that panics or by a
//! request whose client has gone; a slot is free only while nobody eligible waits.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::core::event::Company;
use crate::core::token::TokenHash;

/// The kinds of blocking work that must not wait for each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lane {
    /// Lists, single records, exports, reports.
    Read,
    /// Figures, backups, erasures: what an operator needs while something is wrong.
    Control,
    /// Reads needed to accept something.
    Ingest,
    /// Test POSTs to receivers.
    Probe,
    /// Address checks of URLs to be saved.
    UrlCheck,
    /// Asking the provider of OpenID Connect, before it is known who asks.
    SignIn,
}

impl Lane {
    pub(super) const ALL: [Self; 6] =
        [Self::Read, Self::Control, Self::Ingest, Self::Probe, Self::UrlCheck, Self::SignIn];

    /// Number of slots. Reading is limited by the processors, of which some must be left for the rest; waiting for
    /// other machines uses none.
    fn slots(self) -> usize {
        match self {
            Self::Read => {
                let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
                (2 * processors + 2).min(32)
            }
            Self::Control => 6,
            Self::Ingest => 8,
            Self::SignIn => 8,
            Self::Probe | Self::UrlCheck => 16,
        }
    }

    /// Maximum waiting requests of one token.
    const fn queue(self) -> usize {
        match self {
            Self::Read | Self::Control => 128,
            Self::Ingest => 1024,
            Self::Probe | Self::UrlCheck | Self::SignIn => 8,
        }
    }
}

/// Threads needed by all lanes together.
pub(super) fn threads() -> usize {
    Lane::ALL.into_iter().map(Lane::slots).sum()
}

/// The limits of all lanes.
#[derive(Debug)]
pub(super) struct Lanes([FairLimit; Lane::ALL.len()]);

impl Default for Lanes {
    fn default() -> Self {
        Self(Lane::ALL.map(|lane| FairLimit::new(lane.slots(), lane.queue())))
    }
}

impl Lanes {
    /// The limit of one lane.
    pub(super) const fn of(&self, lane: Lane) -> &FairLimit {
        &self.0[lane as usize]
    }
}

/// Whom a slot is charged to: the tenant, and the token within it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Principal {
    tenant: Tenant,
    token: [u8; 32],
}

/// A company, or an unbound token.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum Tenant {
    Company(Company),
    /// An unbound token, optionally towards one host.
    Token([u8; 32], Option<String>),
}

impl Principal {
    /// The principal for this token, which may be bound to a company; `None` for public requests.
    pub(super) fn new(token: Option<&TokenHash>, company: Option<&Company>) -> Self {
        let token = token.map_or([0; 32], |token| *token.bytes());
        let tenant = company.map_or(Tenant::Token(token, None), |company| Tenant::Company(company.clone()));
        Self { tenant, token }
    }

    /// The tenant.
    pub(super) const fn tenant(&self) -> &Tenant {
        &self.tenant
    }

    /// The same for work that concerns `company`: an administrator of all companies counts as each of them.
    pub(super) fn concerning(self, company: &Company) -> Self {
        Self { tenant: Tenant::Company(company.clone()), token: [0; 32] }
    }

    /// The same for work towards `host`, unless it is a company's: with an unbound token, one receiver does not wait
    /// for another.
    pub(super) fn towards(self, host: &str) -> Self {
        match self.tenant {
            Tenant::Company(_) => self,
            Tenant::Token(token, _) => Self { tenant: Tenant::Token(token, Some(host.to_owned())), ..self },
        }
    }
}

/// A token's queue is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Full;

/// Slots, and the requests that wait for them. Cheap to clone: clones share them.
#[derive(Clone)]
pub(super) struct FairLimit(Arc<Mutex<Slots>>);

struct Slots {
    total: usize,
    queue: usize,
    held: usize,
    tenants: HashMap<Tenant, usize>,
    tokens: HashMap<Principal, Account>,
    /// Incremented with every slot given.
    given: u64,
}

#[derive(Default)]
struct Account {
    held: usize,
    waiting: VecDeque<oneshot::Sender<Slot>>,
    /// When it was served last, by [`Slots::given`].
    served: u64,
}

/// A slot, released when dropped.
pub(super) struct Slot {
    limit: FairLimit,
    principal: Principal,
}

impl std::fmt::Debug for FairLimit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let slots = self.lock();
        write!(f, "[{} of {} slots held]", slots.held, slots.total)
    }
}

impl FairLimit {
    /// `total` slots; `queue` requests of each token may wait.
    pub(super) fn new(total: usize, queue: usize) -> Self {
        let (tenants, tokens) = (HashMap::new(), HashMap::new());
        Self(Arc::new(Mutex::new(Slots { total, queue, held: 0, tenants, tokens, given: 0 })))
    }

    fn lock(&self) -> MutexGuard<'_, Slots> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a slot.
    ///
    /// # Errors
    /// The token's queue is full; never if `patient`, which is for work in progress that waits once at a time.
    pub(super) async fn slot(&self, principal: Principal, patient: bool) -> Result<Slot, Full> {
        let waiting = self.ask(principal, patient)?;
        // The sender is dropped only with the slot in it, or with `self`.
        waiting.await.map_err(|_| Full)
    }

    /// Joins the queue; the receiver yields the slot.
    pub(super) fn ask(&self, principal: Principal, patient: bool) -> Result<oneshot::Receiver<Slot>, Full> {
        let (sender, receiver) = oneshot::channel();
        let given = {
            let mut slots = self.lock();
            let queue = slots.queue;
            let account = slots.tokens.entry(principal).or_default();
            if account.waiting.len() >= queue {
                // Some may have been cancelled.
                account.waiting.retain(|waiting| !waiting.is_closed());
            }
            if account.waiting.len() >= queue && !patient {
                return Err(Full);
            }
            account.waiting.push_back(sender);
            slots.give()
        };
        self.hand_out(given);
        Ok(receiver)
    }

    /// Sends slots outside the lock: one for a cancelled request returns at once.
    fn hand_out(&self, given: Vec<(Principal, oneshot::Sender<Slot>)>) {
        for (principal, waiting) in given {
            drop(waiting.send(Slot { limit: self.clone(), principal }));
        }
    }
}

impl Slots {
    /// Assigns slots to those waiting and eligible.
    fn give(&mut self) -> Vec<(Principal, oneshot::Sender<Slot>)> {
        let mut given = Vec::new();
        while let Some(principal) = self.next() {
            let Some(account) = self.tokens.get_mut(&principal) else { break };
            let Some(waiting) = account.waiting.pop_front() else { break };
            self.given += 1;
            self.held += 1;
            account.held += 1;
            account.served = self.given;
            *self.tenants.entry(principal.tenant.clone()).or_default() += 1;
            given.push((principal, waiting));
        }
        given
    }

    /// The next to get a slot.
    fn next(&self) -> Option<Principal> {
        let free = self.total - self.held;
        let most = (self.total - self.total / 4).max(1);
        let candidates = self.tokens.iter().filter(|(_, account)| !account.waiting.is_empty() && account.held < free);
        let ranked = candidates.map(|(principal, account)| {
            let of_tenant = self.tenants.get(&principal.tenant).copied().unwrap_or(0);
            ((of_tenant, account.held, account.served), principal)
        });
        let first = ranked.filter(|((of_tenant, ..), _)| *of_tenant < most).min_by_key(|(rank, _)| *rank);
        first.map(|(_, principal)| principal.clone())
    }

    fn take_back(&mut self, principal: &Principal) {
        self.held -= 1;
        if let Some(held) = self.tenants.get_mut(&principal.tenant) {
            *held -= 1;
            if *held == 0 {
                self.tenants.remove(&principal.tenant);
            }
        }
        if let Some(account) = self.tokens.get_mut(principal) {
            account.held -= 1;
            if account.held == 0 && account.waiting.is_empty() {
                self.tokens.remove(principal);
            }
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let given = {
            let mut slots = self.limit.lock();
            slots.take_back(&self.principal);
            slots.give()
        };
        self.limit.hand_out(given);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn token(name: &str) -> Principal {
        Principal::new(Some(&TokenHash::of(name)), None)
    }

    fn of_company(company: &str, name: &str) -> Principal {
        Principal::new(Some(&TokenHash::of(name)), Some(&Company::parse(company).unwrap()))
    }

    /// Asks until `principal` gets no more slots; returns what was given, and what waits.
    fn flood(limit: &FairLimit, principal: &Principal, times: usize) -> (Vec<Slot>, Vec<oneshot::Receiver<Slot>>) {
        let (mut held, mut waiting) = (Vec::new(), Vec::new());
        for _ in 0..times {
            let Ok(mut pending) = limit.ask(principal.clone(), false) else { continue };
            match pending.try_recv() {
                Ok(slot) => held.push(slot),
                Err(_) => waiting.push(pending),
            }
        }
        (held, waiting)
    }

    fn now(limit: &FairLimit, principal: &Principal) -> Option<Slot> {
        limit.ask(principal.clone(), false).ok()?.try_recv().ok()
    }

    #[test]
    fn a_greedy_client_leaves_slots_for_the_next_ones() {
        let limit = FairLimit::new(8, 100);
        let (greedy, _waiting) = flood(&limit, &token("greedy"), 50);
        assert_eq!(greedy.len(), 4);
        let (second, _also) = flood(&limit, &token("second"), 50);
        assert_eq!(second.len(), 2);
        assert!(now(&limit, &token("third")).is_some() && now(&limit, &token("fourth")).is_some());
    }

    #[test]
    fn the_tokens_of_one_tenant_together_leave_slots_for_the_others() {
        let limit = FairLimit::new(8, 100);
        let floods: Vec<_> = (0..20).map(|n| flood(&limit, &of_company("acme", &n.to_string()), 20)).collect();
        assert_eq!(floods.iter().map(|(held, _)| held.len()).sum::<usize>(), 6);
        assert!(now(&limit, &of_company("other", "o")).is_some() && now(&limit, &token("t")).is_some());
    }

    #[test]
    fn who_waits_is_served_round_robin_and_before_who_holds_more() {
        let limit = FairLimit::new(4, 100);
        let (mut greedy, greedy_waits) = flood(&limit, &token("greedy"), 30);
        let (second, second_waits) = flood(&limit, &token("second"), 30);
        let third = now(&limit, &token("third")).unwrap();
        let mut fourth = limit.ask(token("fourth"), false).unwrap();
        assert!(fourth.try_recv().is_err(), "all are held: {limit:?}");
        // The next released slot goes to the one that has none.
        drop(greedy.pop());
        let fourth = fourth.try_recv().expect("it waited for one slot alone, though sixty stood before it");
        drop((greedy, second, third, fourth));
        let served =
            |waits: Vec<oneshot::Receiver<Slot>>| waits.into_iter().filter_map(|mut wait| wait.try_recv().ok()).count();
        let (greedy, second) = (served(greedy_waits), served(second_waits));
        assert!(greedy >= 28 && second >= 28, "{greedy} {second}");
    }

    #[test]
    fn only_the_client_with_a_full_queue_is_refused() {
        let limit = FairLimit::new(2, 3);
        let (_held, waiting) = flood(&limit, &token("greedy"), 9);
        assert_eq!(waiting.len(), 3);
        assert!(limit.ask(token("greedy"), false).is_err());
        assert!(limit.ask(token("greedy"), true).is_ok(), "what was begun goes on");
        assert!(now(&limit, &token("other")).is_some());
        // Cancelled requests make room.
        drop(waiting);
        assert!(limit.ask(token("greedy"), false).is_ok());
    }

    #[test]
    fn an_administrator_of_all_companies_acts_for_each_of_them_apart() {
        let limit = FairLimit::new(8, 1);
        let admin = || token("admin");
        let (_held, _waiting) = flood(&limit, &admin().concerning(&Company::parse("hangs").unwrap()), 20);
        assert!(now(&limit, &admin().concerning(&Company::parse("other").unwrap())).is_some());
        let (_held, _waiting) = flood(&limit, &admin().towards("hangs.example"), 20);
        assert!(now(&limit, &admin().towards("works.example")).is_some());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        /// Whatever the sequence: never more than the total, never more than the counts say, nothing lost, and no
        /// slot is free while somebody without one waits.
        #[test]
        fn slots_are_neither_lost_nor_made(total in 1usize..9, steps in proptest::collection::vec((0u8..6, 0u8..4), 1..120)) {
            let limit = FairLimit::new(total, 4);
            let mut waiting: Vec<(u8, oneshot::Receiver<Slot>)> = Vec::new();
            let mut held: Vec<(u8, Slot)> = Vec::new();
            for (who, what) in steps {
                let principal = of_company(&format!("c{}", who / 2), &who.to_string());
                match what {
                    0 | 1 => waiting.extend(limit.ask(principal, false).ok().map(|pending| (who, pending))),
                    2 => { held.iter().position(|(own, _)| *own == who).map(|at| held.remove(at)); }
                    _ => { waiting.iter().position(|(own, _)| *own == who).map(|at| waiting.remove(at)); }
                }
                let mut left = Vec::new();
                for (who, mut pending) in waiting {
                    match pending.try_recv() {
                        Ok(slot) => held.push((who, slot)),
                        Err(_) => left.push((who, pending)),
                    }
                }
                waiting = left;
                prop_assert_eq!(limit.lock().held, held.len());
                prop_assert!(held.len() <= total);
                let starved = waiting.iter().find(|(who, _)| {
                    !held.iter().any(|(own, _)| own / 2 == who / 2)
                });
                prop_assert!(starved.is_none() || held.len() == total, "{} of {total} held", held.len());
            }
            drop(held);
            drop(waiting);
            let slots = limit.lock();
            prop_assert!(slots.held == 0 && slots.tenants.is_empty() && slots.tokens.values().all(|it| it.held == 0));
        }
    }
}
