//! API tokens.

use crate::core::id::TokenId;
use crate::core::time::Timestamp;
use crate::core::token::{Token, TokenHash};
use crate::store::api::Store;

impl Store {
    /// All tokens, in order of creation, including expired ones.
    pub fn tokens(&self) -> Vec<Token> {
        self.token_ring().all()
    }

    /// One token.
    pub fn token(&self, id: TokenId) -> Option<Token> {
        self.token_ring().get(id)
    }

    /// The token with this hash, presented by a request. Counts as a use unless it has expired; whether it has is for
    /// the caller to check.
    pub fn find_token(&self, hash: &TokenHash, now: Timestamp) -> Option<Token> {
        self.token_ring().find(hash, now)
    }
}
