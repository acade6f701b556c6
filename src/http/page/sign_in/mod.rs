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

use super::language::Spoken;
use super::paths::target;
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

/// The form.
pub(super) fn show(page: &Page, context: &RequestContext, request: &Request<Incoming>) -> Result<Reply, Problem> {
    let query = request.uri().query().unwrap_or_default();
    let then = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "then").map(|(_, value)| value);
    if signed_in(context, request.headers()).is_some_and(|access| access.may(Role::Read)) {
        return Ok(seen_other(&target(then.as_deref())));
    }
    let form = Form { page, spoken: Spoken::of_stranger(context, request.headers()), then: then.as_deref() };
    form.show(StatusCode::OK, None)
}

/// The form, in the language of the browser.
struct Form<'f> {
    page: &'f Page,
    spoken: Spoken,
    /// The address that signing in leads to.
    then: Option<&'f str>,
}

impl Form<'_> {
    fn show(&self, status: StatusCode, refusal: Option<String>) -> Result<Reply, Problem> {
        let then = self.then.map(|text| target(Some(text)));
        // Switching the language leads to where signing in does, and so back here.
        let here = then.as_deref().unwrap_or("/webhooks");
        let shared = self.page.given(self.spoken, here, context! { signed_in => false });
        let provider = self.page.provider.as_ref();
        let at_provider = provider.map(|name| context! { name, path => oidc_path(then.as_deref()) });
        let values = context! { page => shared, then, refusal, at_provider };
        Ok(html(status, self.page.templates.render(self.spoken.language, "sign_in.html", values)?))
    }

    fn refuse(&self, status: StatusCode, key: &str) -> Result<Reply, Problem> {
        self.show(status, Some(self.spoken.texts().text(key)))
    }
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
    let spoken = Spoken::of_stranger(context, request.headers());
    let fields = request::form(request, context.limits).await?;
    let field = |name: &str| fields.iter().find(|(given, _)| given == name).map(|(_, value)| value.trim());
    let (token, wanted) = (field("token").unwrap_or_default(), field("then"));
    let form = Form { page, spoken, then: wanted };
    if token.is_empty() {
        return form.refuse(StatusCode::UNPROCESSABLE_ENTITY, "sign-in-no-token");
    }
    let hash = TokenHash::of(token);
    let Some(access) = access_of(&context.services, &hash).ok() else {
        return unknown(&form, context, peer, token);
    };
    if !access.may(Role::Read) {
        return form.refuse(StatusCode::FORBIDDEN, "sign-in-ingest");
    }
    let (company, lifetime) = (access.company().cloned(), context.lifetime);
    let acting = context.services.store.by(acting::actor(&context.services, &access, Via::Page, Some(peer)));
    let cookie = bridge::written(|reply| acting.open_session(hash, company, lifetime, reply)).await?;
    let mut reply = seen_other(&target(wanted));
    context.cookies.set(&mut reply, cookie.expose(), Place::Window { encrypted })?;
    Ok(reply)
}

/// The response to an unknown token; after too many, the client must wait.
fn unknown(form: &Form<'_>, context: &RequestContext, peer: IpAddr, token: &str) -> Result<Reply, Problem> {
    let Err(seconds) = context.attempts.failed(peer, token, Instant::now()) else {
        tracing::info!("a sign-in with an unknown token, from {peer}");
        return form.refuse(StatusCode::FORBIDDEN, "sign-in-unknown");
    };
    let refusal = form.spoken.texts().text_with("sign-in-too-many", &[("seconds", u32::from(seconds).into())]);
    let mut reply = form.show(StatusCode::TOO_MANY_REQUESTS, Some(refusal))?;
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
    fn signing_in_keeps_the_requested_view() {
        assert_eq!(then(&"/webhooks".parse().unwrap()), "/sign-in");
        assert_eq!(then(&"/webhooks?company=a%26b".parse().unwrap()), "/sign-in?then=%2Fwebhooks%3Fcompany%3Da%2526b");
    }
}
