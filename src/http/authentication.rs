//! Authentication: the permissions of a request, from its token or from a session of the page.

use hyper::Request;
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, HeaderMap};

use super::access::{Access, Identity};
use super::context::{RequestContext, Services};
use super::origin;
use super::problem::Problem;
use crate::core::event::Company;
use crate::core::session::{Member, Session, SignedInBy};
use crate::core::token::{Role, TokenHash};

/// The permissions of `request`, from its token or its session.
///
/// # Errors
/// 401: no token, or no valid one; 403: a change from outside the page.
pub(super) fn authenticate(context: &RequestContext, request: &Request<Incoming>) -> Result<Access, Problem> {
    let headers = request.headers();
    if !headers.contains_key(AUTHORIZATION)
        && let Some(access) = signed_in(context, headers)
    {
        origin::check(request.method(), headers)?;
        return Ok(access);
    }
    by_token(headers, &context.services)
}

/// The permissions of the session in these headers.
pub(super) fn signed_in(context: &RequestContext, headers: &HeaderMap) -> Option<Access> {
    context.sessions_in(headers).find_map(|session| of_session(&context.services, session))
}

/// The permissions of a session: those of its token; those that its portal link gave, while the token that made the
/// link might still make it; or those of a member's group, while the configuration has them.
pub(super) fn of_session(services: &Services, session: Session) -> Option<Access> {
    let Session { id, hash, by, company, .. } = session;
    match by {
        SignedInBy::Token(token) => Some(access_of(services, &token).ok()?.in_session(id)),
        SignedInBy::Link { maker, visitor } => {
            let (maker, company) = (access_of(services, &maker).ok()?, company?);
            let might_make_it = maker.may(Role::Admin) && maker.own(&company).is_ok();
            might_make_it.then(|| Access::of_visitor(id, &hash, company, visitor))
        }
        SignedInBy::Provider(member) => {
            let still = is_still_allowed(services, &member, company.as_ref());
            still.then(|| Access::of_member(id, &hash, company, member))
        }
    }
}

/// Whether the configuration still gives a member's group what their session began with, for `company`.
pub(super) fn is_still_allowed(services: &Services, member: &Member, company: Option<&Company>) -> bool {
    services.provider.as_ref().is_some_and(|provider| provider.allowed().still_allows(member, company))
}

/// The current permissions of the token with this hash. Every path ends here, so a revoked or expired token is
/// refused immediately.
///
/// # Errors
/// 401: unknown, or no longer valid.
pub(super) fn access_of(services: &Services, hash: &TokenHash) -> Result<Access, Problem> {
    let now = (services.clock)();
    if services.admin_token.is(hash) {
        services.admin_token.note_use(now);
        return Ok(Access::admin().by(hash, Identity::FirstToken));
    }
    match services.store.find_token(hash, now) {
        Some(token) if token.is_over(now) => Err(Problem::unknown_token("this token has expired")),
        Some(token) => Ok(Access::new(token.role, token.company).by(hash, Identity::Token(token.id))),
        None => Err(Problem::unknown_token("this token is not known")),
    }
}

/// The permissions of the token in `headers` (RFC 6750 section 2.1).
///
/// # Errors
/// 401 if there is none, or an unknown one.
fn by_token(headers: &HeaderMap, services: &Services) -> Result<Access, Problem> {
    bearer(headers).and_then(|token| access_of(services, &token))
}

/// The hash of the token in `headers`.
fn bearer(headers: &HeaderMap) -> Result<TokenHash, Problem> {
    const WANTED: &str = "this needs a token: send the header `Authorization: Bearer TOKEN`";
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(Problem::no_token(WANTED));
    };
    let token = value.to_str().ok().and_then(|text| {
        let (scheme, token) = text.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    match token {
        None | Some("") => Err(Problem::no_token(WANTED)),
        Some(token) => Ok(TokenHash::of(token)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_known_or_not() {
        let admin = TokenHash::of("s3cret");
        let authenticate = |headers: &HeaderMap, admin: &TokenHash| match bearer(headers)? {
            token if token.same(admin) => Ok(()),
            _ => Err(Problem::unknown_token("this token is not known")),
        };
        let with = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.append(AUTHORIZATION, value.parse().unwrap());
            headers
        };
        for good in ["Bearer s3cret", "bearer s3cret", "BEARER  s3cret "] {
            assert!(authenticate(&with(good), &admin).is_ok(), "{good}");
        }
        for bad in
            ["", "s3cret", "Basic s3cret", "Bearer", "Bearer ", "Bearer s3cre", "Bearer s3cret2", "Bearer S3cret"]
        {
            assert_eq!(authenticate(&with(bad), &admin).unwrap_err().status(), 401, "{bad}");
        }
        let mut twice = with("Bearer s3cret");
        twice.append(AUTHORIZATION, "Bearer s3cret".parse().unwrap());
        assert_eq!(authenticate(&twice, &admin).unwrap_err().status(), 401);
        assert_eq!(authenticate(&HeaderMap::new(), &admin).unwrap_err().status(), 401);
    }
}
