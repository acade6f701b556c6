//! Signing in with a token, and signing out.
//!
//! The token in the form's body is only hashed; the browser keeps the id of a session.

use std::net::IpAddr;
use std::time::Instant;

use hyper::body::Incoming;
use hyper::header::HeaderValue;
use hyper::{Request, StatusCode, Uri};
use minijinja::context;
use url::form_urlencoded;

use super::paths::find;
use super::render::html;
use super::state::Page;
use crate::core::actor::{Actor, Via};
use crate::core::session::Session;
use crate::core::token::{Role, TokenHash};
use crate::http::authentication::{access_of, of_session, signed_in};
use crate::http::connection::Peer;
use crate::http::context::RequestContext;
use crate::http::problem::Problem;
use crate::http::reply::{Reply, seen_other};
use crate::http::session::Place;
use crate::http::{acting, bridge, origin, portal_links, request};

/// The sign-in page that redirects back to `wanted`.
pub(super) fn then(wanted: &Uri) -> String {
    let target = wanted.path_and_query().map_or("/webhooks", hyper::http::uri::PathAndQuery::as_str);
    if target == "/webhooks" {
        return "/sign-in".to_owned();
    }
    format!("/sign-in?{}", form_urlencoded::Serializer::new(String::new()).append_pair("then", target).finish())
}

/// The target after signing in: a view of the page, or the list of webhooks.
pub(super) fn target(wanted: Option<&str>) -> String {
    let wanted = wanted.filter(|text| text.is_ascii() && text.len() < 2_000);
    let target = wanted.and_then(|text| {
        // Must be a path with an optional query, and nothing else.
        let uri: Uri = text.parse().ok()?;
        let own = uri.authority().is_none() && uri.scheme().is_none();
        let is_redirect_target = find(uri.path()).is_some_and(|view| view.is_redirect_target());
        (own && is_redirect_target).then(|| uri.to_string())
    });
    target.unwrap_or_else(|| "/webhooks".to_owned())
}

/// The form.
pub(super) fn show(page: &Page, context: &RequestContext, request: &Request<Incoming>) -> Result<Reply, Problem> {
    let query = request.uri().query().unwrap_or_default();
    let then = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "then").map(|(_, value)| value);
    if signed_in(context, request.headers()).is_some_and(|access| access.may(Role::Read)) {
        return Ok(seen_other(&target(then.as_deref())));
    }
    form(page, StatusCode::OK, then.as_deref(), None)
}

fn form(page: &Page, status: StatusCode, then: Option<&str>, refusal: Option<&str>) -> Result<Reply, Problem> {
    let shared = page.given(context! { signed_in => false });
    let then = then.map(|text| target(Some(text)));
    let at_provider = page.provider.as_ref().map(|name| context! { name, path => oidc_path(then.as_deref()) });
    let values = context! { page => shared, then, refusal, at_provider };
    Ok(html(status, page.templates.render("sign_in.html", values)?))
}

/// The path at which a sign-in at the provider begins, which redirects back to `then`.
pub(super) fn oidc_path(then: Option<&str>) -> String {
    let query = |then| form_urlencoded::Serializer::new(String::new()).append_pair("then", then).finish();
    then.map_or_else(|| "/oidc/login".to_owned(), |then| format!("/oidc/login?{}", query(then)))
}

/// Processes the form with a token and opens a session.
pub(super) async fn enter(page: &Page, context: &RequestContext, request: Request<Incoming>) -> Result<Reply, Problem> {
    if !origin::is_same_origin(request.headers()) {
        return Err(Problem::forbidden("the sign-in form must be sent from the page itself").closing());
    }
    let (peer, encrypted) = (Peer::of(&request), origin::is_encrypted(request.headers()));
    let fields = request::form(request, context.limits).await?;
    let field = |name: &str| fields.iter().find(|(given, _)| given == name).map(|(_, value)| value.trim());
    let (token, wanted) = (field("token").unwrap_or_default(), field("then"));
    if token.is_empty() {
        return form(page, StatusCode::UNPROCESSABLE_ENTITY, wanted, Some("Enter a token."));
    }
    let hash = TokenHash::of(token);
    let Some(access) = access_of(&context.services, &hash).ok() else {
        return unknown(page, context, peer, token, wanted);
    };
    if !access.may(Role::Read) {
        const INGEST: &str = "This token may only post events. Sign in with one that has the role `read` or `admin`.";
        return form(page, StatusCode::FORBIDDEN, wanted, Some(INGEST));
    }
    let (company, lifetime) = (access.company().cloned(), context.lifetime);
    let acting = context.services.store.by(acting::actor(&context.services, &access, Via::Page, Some(peer)));
    let cookie = bridge::written(|reply| acting.open_session(hash, company, lifetime, reply)).await?;
    let mut reply = seen_other(&target(wanted));
    context.cookies.set(&mut reply, cookie.expose(), Place::Window { encrypted })?;
    Ok(reply)
}

/// The response to an unknown token; after too many, the client must wait.
fn unknown(
    page: &Page,
    context: &RequestContext,
    peer: IpAddr,
    token: &str,
    wanted: Option<&str>,
) -> Result<Reply, Problem> {
    let Err(seconds) = context.attempts.failed(peer, token, Instant::now()) else {
        tracing::info!("a sign-in with an unknown token, from {peer}");
        return form(page, StatusCode::FORBIDDEN, wanted, Some("This token is not known. Check that it is complete."));
    };
    let refusal = format!("This token is not known, and too many were tried. Try again in {seconds} seconds.");
    let mut reply = form(page, StatusCode::TOO_MANY_REQUESTS, wanted, Some(&refusal))?;
    reply.headers_mut().insert(hyper::header::RETRY_AFTER, HeaderValue::from(seconds));
    Ok(reply)
}

/// Ends the session.
pub(super) async fn leave(context: &RequestContext, request: &Request<Incoming>) -> Result<Reply, Problem> {
    let (headers, peer) = (request.headers(), Peer::of(request));
    if !origin::is_same_origin(headers) {
        return Err(Problem::forbidden("signing out must be asked for from the page itself").closing());
    }
    let sessions: Vec<Session> = context.sessions_in(headers).collect();
    let by_link = sessions.iter().any(|session| session.visitor().is_some());
    for session in sessions {
        let id = session.id;
        let user = session.visitor().and_then(|visitor| visitor.user.clone());
        let user = user.or_else(|| session.member().map(|member| member.name.clone())).unwrap_or_default();
        let actor = match of_session(&context.services, session) {
            Some(access) => acting::actor(&context.services, &access, Via::Page, Some(peer)),
            // Its token, or the rule of its group, is gone meanwhile.
            None => Actor::session(id.to_string(), &user).from(Via::Page, Some(peer)),
        };
        bridge::written(|reply| context.services.store.by(actor).end_session(id, reply)).await?;
    }
    // Who came by a link has no token to sign in with.
    let mut reply = seen_other(if by_link { portal_links::PATH } else { "/sign-in" });
    context.cookies.remove(&mut reply, origin::is_encrypted(headers))?;
    Ok(reply)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signing_in_redirects_only_within_the_page() {
        let own = ["/webhooks", "/webhooks/new?company=a%26b", "/"];
        for text in own {
            assert_eq!(target(Some(text)), text);
        }
        let others = [
            "//evil.example/webhooks",
            "https://evil.example/webhooks",
            "/\\evil.example",
            "/%2f/evil.example",
            "webhooks",
            "evil.example:80",
            "javascript:alert(1)",
            "/sign-out",
            "/sign-in",
            "/webhooks\r\nSet-Cookie: a=b",
            "/v1/log",
            "",
            "*",
        ];
        for text in others {
            assert_eq!(target(Some(text)), "/webhooks", "{text}");
        }
        assert_eq!(target(None), "/webhooks");
    }

    #[test]
    fn signing_in_keeps_the_requested_view() {
        assert_eq!(then(&"/webhooks".parse().unwrap()), "/sign-in");
        assert_eq!(then(&"/webhooks?company=a%26b".parse().unwrap()), "/sign-in?then=%2Fwebhooks%3Fcompany%3Da%2526b");
    }
}
