//! API tokens.

use crate::core::id::TokenId;
use crate::core::time::Timestamp;
use crate::core::token::{Token, TokenDraft, TokenHash, TokenText};
use crate::model::command::{Busy, Command, Reply};
use crate::model::error::StoreError;
use crate::store::api::Store;

impl Store {
    /// Creates a token; the reply has its text, which is stored nowhere.
    ///
    /// # Errors
    /// As [`Store::accept`].
    pub fn create_token(&self, draft: TokenDraft, reply: Reply<(Token, TokenText)>) -> Result<(), Busy> {
        match self.admit_small() {
            Ok(()) => self.push(Command::CreateToken(draft, reply)),
            Err(refusal) => {
                reply(Err(StoreError::DiskFull(refusal)));
                Ok(())
            }
        }
    }

    /// Revokes a token.
    ///
    /// # Errors
    /// As [`Store::accept`].
    pub fn revoke_token(&self, id: TokenId, reply: Reply<()>) -> Result<(), Busy> {
        self.push(Command::RevokeToken(id, reply))
    }

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
