//! Creating and revoking tokens, and persisting their uses.

use std::sync::Arc;

use crate::core::actor::Actor;
use crate::core::audit::{Action, Deed};
use crate::core::id::TokenId;
use crate::core::token::{Token, TokenDraft, TokenText};
use crate::model::audit::{self, Audited};
use crate::model::error::StoreError;
use crate::model::lock::lock;
use crate::model::record::{Record, TokenRecord, TokenRevoked};
use crate::model::sessions;
use crate::model::token_ring::Tokens;
use crate::model::turn::{Turn, random_secret};

/// How many tokens are written to a snapshot between two group commits.
const SNAPSHOT_AT_ONCE: usize = 64;

/// Creates a token.
pub(crate) fn create(
    turn: &mut Turn<'_>,
    actor: &Actor,
    draft: TokenDraft,
) -> Result<Audited<(Token, TokenText)>, StoreError> {
    if let Some(full) = tokens(turn).is_full(draft.company.as_ref()) {
        return Err(StoreError::Limit(full));
    }
    let text = TokenText::from_bytes(random_secret());
    let token = Token {
        id: TokenId::from_bits(turn.next_id()),
        role: draft.role,
        company: draft.company,
        description: draft.description,
        created_at: turn.now,
        expires_at: draft.expires_at,
        last_used_at: None,
        hash: text.hash(),
    };
    let (record, deed) = (record_of(&token), Deed::to_token(Action::TokenCreate, &token));
    Ok(audit::write(turn, vec![record], actor, deed, (token, text)))
}

/// Revokes a token, and ends its sessions. From here on it is no longer found.
pub(crate) fn revoke(turn: &mut Turn<'_>, actor: &Actor, id: TokenId) -> Result<Audited<()>, StoreError> {
    let token = tokens(turn).get(id).ok_or(StoreError::NotFound)?;
    let mut records = sessions::end_of_token(turn, &token.hash);
    records.push(Record::from(TokenRevoked(id)));
    Ok(audit::write(turn, records, actor, Deed::to_token(Action::TokenRevoke, &token), ()))
}

/// Persists the uses that are due.
pub(crate) fn persist_uses(turn: &mut Turn<'_>) {
    for used in tokens(turn).due_for_persisting() {
        turn.write(vec![record_of(&used)]);
    }
}

/// Writes some tokens to the snapshot, from the id with these bits on; returns where to continue, if there are more.
pub(crate) fn write_snapshot(turn: &mut Turn<'_>, from: u128) -> Option<u128> {
    let tokens = tokens(turn).from(from, SNAPSHOT_AT_ONCE);
    tokens.iter().for_each(|token| turn.append(&[record_of(token)]));
    tokens.last().map(|last| last.id.bits() + 1)
}

/// The records of all tokens.
#[cfg(feature = "postgres")]
pub(crate) fn snapshot(tokens: &Tokens) -> Vec<Record> {
    tokens.from(0, usize::MAX).iter().map(record_of).collect()
}

fn record_of(token: &Token) -> Record {
    Record::from(Box::new(TokenRecord::from(token)))
}

fn tokens(turn: &Turn<'_>) -> Arc<Tokens> {
    lock(turn.registry).tokens.clone()
}
