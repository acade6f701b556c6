//! `/v1/sessions`: the page's sessions, listed and ended by admins.
//!
//! A token bound to a company sees and ends sessions of that company only.

use std::collections::HashMap;

use hyper::StatusCode;
use serde::Serialize;

use super::authentication::is_still_allowed;
use super::body::no_content;
use super::bridge;
use super::cursor::{self, List};
use super::problem::Problem;
use super::reply::{Reply, json};
use super::request::Permitted;
use super::shape::{Items, Text};
use super::tokens;
use crate::core::event::{Company, Domain};
use crate::core::id::{PortalLinkId, SessionId, TokenId};
use crate::core::session::{Session, SignedInBy, Visitor};
use crate::core::time::Timestamp;
use crate::core::token::Role;

#[derive(Serialize)]
struct SessionJson<'s> {
    id: Text<SessionId>,
    /// `token`, `portal` or `oidc`.
    kind: &'static str,
    /// The token that was signed in with, or that made the link; `None` if it is gone.
    token: Option<Text<TokenId>>,
    link: Option<Text<PortalLinkId>>,
    role: Option<&'static str>,
    company: Option<&'s str>,
    domain: Option<&'s str>,
    /// The provider at which it was signed in, and the group that is allowed.
    issuer: Option<&'s str>,
    group: Option<&'s str>,
    user: Option<&'s str>,
    language: Option<&'s str>,
    began_at: Text<Timestamp>,
    last_used_at: Text<Timestamp>,
    /// Unless there is another request.
    ends_at: Text<Timestamp>,
    /// Whether it is that of this request.
    current: bool,
}

/// Ids and roles of the tokens, by the bytes of their hashes.
type Tokens = HashMap<[u8; 32], (TokenId, Role)>;

fn tokens_of(request: &Permitted) -> Tokens {
    let known = request.services().store.tokens().into_iter();
    let mut all: Tokens = known.map(|token| (*token.hash.bytes(), (token.id, token.role))).collect();
    let first = request.services().admin_token.hash();
    all.insert(*first.bytes(), (tokens::FIRST, Role::Admin));
    all
}

fn shown<'s>(request: &Permitted, session: &'s Session, tokens: &Tokens) -> SessionJson<'s> {
    let token = session.token().and_then(|token| tokens.get(token.bytes()));
    let (visitor, member) = (session.visitor(), session.member());
    let role = visitor.map(|visitor| visitor.role).or_else(|| member.map(|member| member.role));
    let role = role.or_else(|| token.map(|(_, role)| *role));
    let user = visitor.and_then(|visitor| visitor.user.as_deref());
    SessionJson {
        id: Text(session.id),
        kind: match session.by {
            SignedInBy::Token(_) => "token",
            SignedInBy::Link { .. } => "portal",
            SignedInBy::Provider(_) => "oidc",
        },
        token: token.map(|(id, _)| Text(*id)),
        link: visitor.map(|visitor| Text(visitor.link)),
        role: role.map(Role::as_str),
        company: session.company.as_ref().map(Company::as_str),
        domain: visitor.and_then(|visitor| visitor.domain.as_ref()).map(Domain::as_str),
        issuer: member.map(|member| member.issuer.as_str()),
        group: member.map(|member| member.group.as_str()),
        user: user.or_else(|| member.map(|member| member.name.as_str())),
        language: visitor.and_then(|Visitor { language, .. }| language.as_deref()),
        began_at: Text(session.begun),
        last_used_at: Text(session.seen),
        ends_at: Text(session.ends_at(request.context.lifetime)),
        current: request.access.session() == Some(session.id),
    }
}

/// Living sessions, in the order of their beginning.
pub(super) fn list(request: &Permitted) -> Result<Reply, Problem> {
    let mut query = request.query();
    let company = query.take("company", Company::parse);
    let page = query.page(List::Sessions);
    query.finish()?;
    let company = request.access.narrow(company)?;
    let now = (request.services().clock)();
    let mut found = request.services().store.sessions(request.context.lifetime, now);
    found.retain(|session| {
        // A session whose rule is gone is over, and stays gone unless the rule comes back.
        let company = session.company.as_ref();
        session.member().is_none_or(|member| is_still_allowed(request.services(), member, company))
    });
    found.retain(|session| {
        page.after.is_none_or(|after| session.id.bits() > after) && (company.is_none() || session.company == company)
    });
    let more = found.len() > page.limit;
    found.truncate(page.limit);
    let tokens = tokens_of(request);
    let items = found.iter().map(|session| shown(request, session, &tokens)).collect();
    let last = found.last().filter(|_| more);
    let next = last.map(|last| cursor::write(List::Sessions, last.id.bits()));
    json(StatusCode::OK, &Items { items, next, scanned_until: None })
}

/// Ends a session.
pub(super) async fn end(request: Permitted, id: SessionId) -> Result<Reply, Problem> {
    request.no_query()?;
    let found = request.services().store.session(id);
    // A bound token does not see sessions of unbound ones.
    let visible =
        |session: &Session| !request.access.is_bound() || request.access.company() == session.company.as_ref();
    if !found.is_some_and(|session| visible(&session)) {
        return Err(Problem::not_found("there is no session with this id"));
    }
    bridge::written(|reply| request.acting().end_session(id, reply)).await?;
    Ok(no_content())
}
