//! `/v1/tokens`: created, listed and revoked by admins.
//!
//! A token bound to a company creates, sees and revokes tokens of that company only. The admin token of the first
//! start is listed for unbound tokens, under a reserved id; it is replaced on the machine itself.

use hyper::StatusCode;
use serde::Serialize;

use super::body::no_content;
use super::bridge;
use super::cursor::{self, List};
use super::problem::Problem;
use super::reply::{Reply, json};
use super::request::Permitted;
use super::shape::{Items, Text};
use crate::core::event::Company;
use crate::core::id::TokenId;
use crate::core::time::Timestamp;
use crate::core::token::{Role, Token, TokenDraft};

/// The reserved id of the admin token of the first start.
pub(super) const FIRST: TokenId = TokenId::from_bits(0);

#[derive(Serialize)]
struct TokenJson<'t> {
    id: Text<TokenId>,
    role: &'static str,
    company: Option<&'t str>,
    description: &'t str,
    created_at: Option<Text<Timestamp>>,
    expires_at: Option<Text<Timestamp>>,
    expired: bool,
    last_used_at: Option<Text<Timestamp>>,
    /// Where its text is stored; only of the first token, which cannot be revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    kept_in: Option<&'t str>,
    /// Its text, only in the response that creates it.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'t str>,
}

fn shown<'t>(token: &'t Token, now: Timestamp, text: Option<&'t str>) -> TokenJson<'t> {
    TokenJson {
        id: Text(token.id),
        role: token.role.as_str(),
        company: token.company.as_ref().map(Company::as_str),
        description: &token.description,
        created_at: Some(Text(token.created_at)),
        expires_at: token.expires_at.map(Text),
        expired: token.is_over(now),
        last_used_at: token.last_used_at.map(Text),
        kept_in: None,
        token: text,
    }
}

fn first(request: &Permitted) -> TokenJson<'_> {
    let first = &request.services().admin_token;
    TokenJson {
        id: Text(FIRST),
        role: Role::Admin.as_str(),
        company: None,
        description: "made at the first start",
        created_at: None,
        expires_at: None,
        expired: false,
        last_used_at: first.last_used_at().map(Text),
        kept_in: Some(first.kept_in()),
        token: None,
    }
}

/// Tokens in the order of their creation.
pub(super) fn list(request: &Permitted) -> Result<Reply, Problem> {
    let mut query = request.query();
    let company = query.take("company", Company::parse);
    let page = query.page(List::Tokens);
    query.finish()?;
    let company = request.access.narrow(company)?;
    let now = (request.services().clock)();
    let mut matching = request.services().store.tokens();
    matching.retain(|token| {
        page.after.is_none_or(|after| token.id.bits() > after) && (company.is_none() || token.company == company)
    });
    let mut items = Vec::new();
    if page.after.is_none() && company.is_none() {
        items.push(first(request));
    }
    let room = page.limit - items.len();
    let more = matching.len() > room;
    matching.truncate(room);
    items.extend(matching.iter().map(|token| shown(token, now, None)));
    // If the first token fills the page alone, the next page starts at the beginning.
    let last = matching.last().map_or(FIRST, |last| last.id);
    let next = more.then(|| cursor::write(List::Tokens, last.bits()));
    json(StatusCode::OK, &Items { items, next, scanned_until: None })
}

/// Creates a token. Its text is shown in this response only.
pub(super) async fn create(mut request: Permitted) -> Result<Reply, Problem> {
    request.no_query()?;
    let document = request.json().await?;
    let now = (request.services().clock)();
    let mut draft = TokenDraft::from_json(document.parse()?, now)?;
    draft.company = request.access.narrow(draft.company)?;
    let made = bridge::written(|reply| request.acting().create_token(draft, reply)).await?;
    let (token, text) = &made;
    json(StatusCode::CREATED, &shown(token, now, Some(text.expose())))
}

/// Revokes a token.
pub(super) async fn revoke(request: Permitted, id: TokenId) -> Result<Reply, Problem> {
    request.no_query()?;
    if id == FIRST && !request.access.is_bound() {
        let kept_in = request.services().admin_token.kept_in();
        return Err(Problem::conflict(format!(
            "this is the admin's token of the first start: to replace it, stop hookswitch, remove {kept_in} and start \
             again, which makes a new one"
        )));
    }
    let found = request.services().store.token(id);
    // A bound token does not see unbound ones.
    let visible = |token: &Token| match (request.access.company(), &token.company) {
        (None, _) => true,
        (Some(own), company) => company.as_ref() == Some(own),
    };
    if !found.is_some_and(|token| visible(&token)) {
        return Err(Problem::not_found("there is no token with this id"));
    }
    bridge::written(|reply| request.acting().revoke_token(id, reply)).await?;
    Ok(no_content())
}
