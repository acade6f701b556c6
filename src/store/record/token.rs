//! A token of the API.

use bincode::{Decode, Encode};

use crate::core::event::Company;
use crate::core::id::TokenId;
use crate::core::time::Timestamp;
use crate::core::token::{Role, Token, TokenHash};

use super::{Word as _, at};

/// A token, of which only the hash is kept.
#[derive(Encode, Decode)]
pub(in crate::store) struct TokenRecord {
    pub(in crate::store) id: u128,
    role: String,
    company: Option<String>,
    description: String,
    created_at: u64,
    expires_at: Option<u64>,
    last_used_at: Option<u64>,
    hash: [u8; 32],
}

impl From<&Token> for TokenRecord {
    fn from(token: &Token) -> Self {
        Self {
            id: token.id.bits(),
            role: token.role.word(),
            company: token.company.as_ref().map(|company| company.as_str().to_owned()),
            description: token.description.clone(),
            created_at: token.created_at.millis(),
            expires_at: token.expires_at.map(Timestamp::millis),
            last_used_at: token.last_used_at.map(Timestamp::millis),
            hash: *token.hash.bytes(),
        }
    }
}

impl TokenRecord {
    pub(in crate::store) fn token(self) -> Option<Token> {
        Some(Token {
            id: TokenId::from_bits(self.id),
            role: Role::read(&self.role)?,
            // One that cannot be read must not become one of all companies.
            company: match self.company {
                None => None,
                Some(name) => Some(Company::parse(&name).ok()?),
            },
            description: self.description,
            created_at: at(self.created_at),
            expires_at: self.expires_at.map(at),
            last_used_at: self.last_used_at.map(at),
            hash: TokenHash::from_bytes(self.hash),
        })
    }
}
