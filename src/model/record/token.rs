//! An API token.

use bincode::{Decode, Encode};

use crate::core::event::Company;
use crate::core::id::TokenId;
use crate::core::time::Timestamp;
use crate::core::token::{Role, Token, TokenHash};
use crate::model::keys;
use crate::model::record::codec::{Word as _, at, optional, versioned};
use crate::model::record::kind::{
    Class, Kind, Target, begins_no_delivery, complete_if_decoded, encoded_as_id, encoded_as_itself, kept_by_the_view,
    kept_until_oldest, not_indexed, nothing_personal,
};

/// A token; only its hash is stored.
#[derive(Encode, Decode)]
pub(crate) struct TokenRecord {
    pub(crate) id: u128,
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
    pub(crate) fn token(self) -> Option<Token> {
        Some(Token {
            id: TokenId::from_bits(self.id),
            role: Role::read(&self.role)?,
            company: optional(self.company, |name| Company::parse(name).ok())?,
            description: self.description,
            created_at: at(self.created_at),
            expires_at: self.expires_at.map(at),
            last_used_at: self.last_used_at.map(at),
            hash: TokenHash::from_bytes(self.hash),
        })
    }
}

impl Kind for TokenRecord {
    const NAME: &'static str = "tokens";
    const CLASS: Class = Class::Other;
    const GRANTS_RIGHTS: bool = true;

    encoded_as_itself!(17);
    not_indexed!();
    begins_no_delivery!();

    fn decodes_fully(self, _: u128) -> bool {
        self.token().is_some()
    }

    fn apply(self, _: u128, target: Target<'_>) -> Option<Self> {
        target.view.put(keys::token(TokenId::from_bits(self.id)), versioned(&self));
        if let Some(token) = self.token() {
            target.memory.put_token(token);
        }
        None
    }

    kept_by_the_view!();
    nothing_personal!();
}

/// A token was revoked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TokenRevoked(pub(crate) TokenId);

impl Kind for TokenRevoked {
    const NAME: &'static str = "revocations of tokens";
    const CLASS: Class = Class::Other;
    const GRANTS_RIGHTS: bool = false;

    encoded_as_id!(18, TokenId);
    not_indexed!();
    begins_no_delivery!();
    complete_if_decoded!();

    fn apply(self, _: u128, target: Target<'_>) -> Option<Self> {
        target.view.remove(keys::token(self.0));
        target.memory.remove_token(self.0);
        None
    }

    kept_until_oldest!();
    nothing_personal!();
}
