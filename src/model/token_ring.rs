//! In-memory index of tokens; every request looks one up by its hash.
//!
//! A use is recorded in memory at once, and persisted with some later group commit: at most every [`PERSISTED_EVERY`] for
//! each token, and when the store closes. So a use costs no sync, and a crash can lose the last minutes of it, but never a
//! token or its revocation.
//!
//! Must not know permissions; an expired token is found, too.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use crate::core::event::Company;
use crate::core::id::TokenId;
use crate::core::time::Timestamp;
use crate::core::token::{Token, TokenHash};
use crate::model::by_hash::{ByHash, Hashed};

/// The maximum lag of a token's persisted last use.
const PERSISTED_EVERY: Duration = Duration::from_secs(600);
/// The maximum number of tokens.
const MAX: usize = 10_000;
/// The maximum number of tokens of a company.
const MAX_OF_COMPANY: usize = 1_000;

/// A token in memory.
#[derive(Debug)]
struct Entry {
    token: Token,
    /// The time of its last use, in milliseconds; 0 for never.
    used: AtomicU64,
}

impl Entry {
    fn token(&self) -> Token {
        let used = self.used.load(Relaxed);
        Token { last_used_at: (used > 0).then(|| Timestamp::from_millis(used)), ..self.token.clone() }
    }

    /// The lag of its persisted last use.
    fn lag(&self) -> Duration {
        let persisted = self.token.last_used_at.unwrap_or(Timestamp::from_millis(0));
        Timestamp::from_millis(self.used.load(Relaxed)).since(persisted)
    }
}

impl Hashed for Arc<Entry> {
    fn bits(&self) -> u128 {
        self.token.id.bits()
    }

    fn hash(&self) -> &TokenHash {
        &self.token.hash
    }
}

type Index = ByHash<Arc<Entry>>;

/// All tokens.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    index: RwLock<Index>,
    /// Whether a use is due to be persisted.
    due: AtomicBool,
    /// Whether every use is due.
    closing: AtomicBool,
}

impl Tokens {
    /// Adds a token, or updates it.
    pub(crate) fn put(&self, token: Token) {
        let mut index = self.index_mut();
        let used_before = index.get(token.id.bits()).map_or(0, |old| old.used.load(Relaxed));
        let used = used_before.max(token.last_used_at.map_or(0, Timestamp::millis));
        index.put(Arc::new(Entry { token, used: used.into() }));
    }

    /// Has the tokens of `other` from now on, with the uses noted here.
    #[cfg(feature = "postgres")]
    pub(crate) fn become_as(&self, other: &Self) {
        let gone: Vec<TokenId> = {
            let (own, other) = (self.index(), other.index());
            own.all().map(|entry| entry.token.id).filter(|id| other.get(id.bits()).is_none()).collect()
        };
        gone.into_iter().for_each(|id| self.remove(id));
        other.all().into_iter().for_each(|token| self.put(token));
    }

    /// Removes a token.
    pub(crate) fn remove(&self, id: TokenId) {
        self.index_mut().remove(id.bits());
    }

    pub(crate) fn all(&self) -> Vec<Token> {
        self.index().all().map(|entry| entry.token()).collect()
    }

    pub(crate) fn get(&self, id: TokenId) -> Option<Token> {
        self.index().get(id.bits()).map(|entry| entry.token())
    }

    /// The token with this hash; counts as a use of it, unless it has expired.
    pub(crate) fn find(&self, hash: &TokenHash, now: Timestamp) -> Option<Token> {
        let index = self.index();
        let entry = index.find(hash)?;
        if !entry.token.is_over(now) {
            entry.used.fetch_max(now.millis(), Relaxed);
            if entry.lag() >= PERSISTED_EVERY {
                self.due.store(true, Relaxed);
            }
        }
        Some(entry.token())
    }

    /// At most `most` tokens from the id with these bits on, ascending.
    pub(crate) fn from(&self, bits: u128, most: usize) -> Vec<Token> {
        self.index().from(bits).take(most).map(|entry| entry.token()).collect()
    }

    /// Why no more tokens are possible, for this company or at all.
    pub(crate) fn is_full(&self, company: Option<&Company>) -> Option<String> {
        let index = self.index();
        let of_company = |company| index.all().filter(|entry| entry.token.company.as_ref() == company).count();
        if index.len() >= MAX {
            Some(format!("there are {MAX} tokens already: revoke some that are no longer used"))
        } else if company.is_some() && of_company(company) >= MAX_OF_COMPANY {
            Some(format!("the company has {MAX_OF_COMPANY} tokens already: revoke some that are no longer used"))
        } else {
            None
        }
    }

    /// Marks every use as due, before the store closes.
    pub(crate) fn note_every_use(&self) {
        self.closing.store(true, Relaxed);
    }

    /// The tokens whose last use is due to be persisted.
    pub(crate) fn due_for_persisting(&self) -> Vec<Token> {
        let closing = self.closing.load(Relaxed);
        if !self.due.swap(false, Relaxed) && !closing {
            return Vec::new();
        }
        let least = if closing { Duration::from_millis(1) } else { PERSISTED_EVERY };
        let index = self.index();
        index.all().filter(|entry| entry.lag() >= least).map(|entry| entry.token()).collect()
    }

    fn index(&self) -> RwLockReadGuard<'_, Index> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn index_mut(&self) -> RwLockWriteGuard<'_, Index> {
        self.index.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::token::Role;

    const START: Timestamp = Timestamp::from_millis(1_790_000_000_000);

    fn token(id: u128, text: &str, company: Option<&str>) -> Token {
        Token {
            id: TokenId::from_bits(id),
            role: Role::Read,
            company: company.map(|name| Company::parse(name).unwrap()),
            description: String::new(),
            created_at: START,
            expires_at: None,
            last_used_at: None,
            hash: TokenHash::of(text),
        }
    }

    #[test]
    fn a_token_is_found_by_its_text_alone_until_it_is_revoked() {
        let tokens = Tokens::default();
        for (id, text) in [(1, "one"), (2, "two")] {
            tokens.put(token(id, text, None));
        }
        let find = |text: &str| tokens.find(&TokenHash::of(text), START).map(|found| found.id.bits());
        assert_eq!((find("one"), find("two"), find("three")), (Some(1), Some(2), None));
        tokens.remove(TokenId::from_bits(1));
        assert_eq!((find("one"), find("two")), (None, Some(2)));
        assert_eq!(tokens.all().len(), 1);
    }

    #[test]
    fn uses_are_persisted_at_intervals_and_on_close() {
        let tokens = Tokens::default();
        tokens.put(token(1, "one", None));
        let hash = TokenHash::of("one");
        tokens.find(&hash, START).unwrap();
        let first = tokens.due_for_persisting();
        assert_eq!(first[0].last_used_at, Some(START), "the first use is persisted at once");
        tokens.put(first[0].clone());
        let soon = START.plus(Duration::from_secs(30));
        assert_eq!(tokens.find(&hash, soon).unwrap().last_used_at, Some(soon));
        assert!(tokens.due_for_persisting().is_empty(), "persisted again after half a minute");
        tokens.note_every_use();
        assert_eq!(tokens.due_for_persisting()[0].last_used_at, Some(soon));
        tokens.put(tokens.due_for_persisting()[0].clone());
        assert!(tokens.due_for_persisting().is_empty());
    }

    #[test]
    fn an_expired_token_is_found_and_not_used() {
        let tokens = Tokens::default();
        tokens.put(Token { expires_at: Some(START), ..token(1, "one", None) });
        let found = tokens.find(&TokenHash::of("one"), START).unwrap();
        assert!(found.is_over(START) && found.last_used_at.is_none());
    }

    #[test]
    fn the_number_of_tokens_is_bounded() {
        let tokens = Tokens::default();
        let acme = Company::parse("acme").unwrap();
        for id in 1..=MAX_OF_COMPANY as u128 {
            tokens.put(token(id, &id.to_string(), Some("acme")));
        }
        assert!(tokens.is_full(Some(&acme)).unwrap().contains("the company has 1000"));
        assert_eq!(tokens.is_full(None), None);
        for id in 0..MAX as u128 {
            tokens.put(token(id, &id.to_string(), None));
        }
        assert!(tokens.is_full(None).is_some());
    }
}
