//! Signing in by a portal link.
//!
//! The secret of the link is in the fragment of the address, which browsers send to nobody. A script takes it out of the
//! address, before anything else can see it there, and posts it; then it replaces the page by the view that the link leads
//! to, so that the way back does not lead here. So nothing of a link stays in a history, a log or a `Referer`, and programs
//! that only look at links do not use them up.

use std::time::Instant;

use hyper::body::Incoming;
use hyper::{Request, StatusCode};
use minijinja::context;
use serde_json::json;

use super::language::Spoken;
use super::render::html;
use super::state::Page;
use crate::core::actor::{Actor, Via};
use crate::core::json as raw;
use crate::core::portal_link::PortalLinkText;
use crate::http::authentication::{of_session, signed_in};
use crate::http::connection::Peer;
use crate::http::context::RequestContext;
use crate::http::problem::Problem;
use crate::http::reply::{self, Reply};
use crate::http::session::Place;
use crate::http::{bridge, origin, request};
use crate::store::{OpenedSession, PortalLinkUse};
use crate::texts::Texts;

/// The page whose script takes the link; without one it says where to find one, or leads on who is signed in.
pub(super) fn show(page: &Page, context: &RequestContext, request: &Request<Incoming>) -> Result<Reply, Problem> {
    let signed_in_already = signed_in(context, request.headers()).is_some();
    let spoken = Spoken::of_stranger(context, request.headers());
    let shared = page.given(spoken, "/portal", context! { signed_in => false });
    let values = context! { page => shared, signed_in_already };
    Ok(html(StatusCode::OK, page.templates.render(spoken.language, "portal.html", values)?))
}

/// Uses a link, posted by the page's script as JSON: `{"link"}`. Answers `{"then"}`.
pub(super) async fn enter(context: &RequestContext, request: Request<Incoming>) -> Result<Reply, Problem> {
    origin::check(request.method(), request.headers())?;
    let peer = Peer::of(&request);
    let texts = Spoken::of_stranger(context, request.headers()).texts();
    let framed = origin::is_framed(request.headers());
    let place =
        if framed { Place::Frame } else { Place::Window { encrypted: origin::is_encrypted(request.headers()) } };
    let posted = request::small_json(request, context.limits).await?;
    let text = link_in(&posted)?;
    let Some(link) = PortalLinkText::parse(&text) else { return Err(refused(context, texts, peer, &text)) };
    let lifetime = context.lifetime;
    let visitor = context.services.store.by(Actor::visitor().from(Via::Page, Some(peer)));
    let used = bridge::written(|reply| visitor.use_portal_link(link, lifetime, reply)).await?;
    let OpenedSession { session, cookie, view } = match used {
        PortalLinkUse::Opened(opened) => *opened,
        PortalLinkUse::Used => return Err(Problem::forbidden(texts.text("portal-used"))),
        PortalLinkUse::Expired => return Err(Problem::forbidden(texts.text("portal-expired"))),
        PortalLinkUse::Unknown => return Err(refused(context, texts, peer, &text)),
    };
    let id = session.id;
    if of_session(&context.services, session).is_none() {
        // The token that made it has expired meanwhile.
        bridge::written(|reply| context.services.store.by(Actor::daemon()).end_session(id, reply)).await?;
        return Err(Problem::forbidden(texts.text("portal-unknown")));
    }
    let mut reply = reply::json(StatusCode::OK, &json!({"then": view.path()}))?;
    context.cookies.set(&mut reply, cookie.expose(), place)?;
    Ok(reply)
}

fn link_in(posted: &str) -> Result<String, Problem> {
    let raw = raw::parse(posted).map_err(|fault| Problem::bad_request(format!("the body is not JSON: {fault}")))?;
    let members = raw::members(raw).map_err(|fault| Problem::invalid("", fault))?;
    match members.as_slice() {
        [(name, value)] if name == "link" => raw::string(value).map_err(|fault| Problem::invalid("/link", fault)),
        _ => Err(Problem::invalid("", "must have one member: link")),
    }
}

/// The refusal of an unknown link; after too many, the client must wait.
fn refused(context: &RequestContext, texts: &Texts, peer: std::net::IpAddr, text: &str) -> Problem {
    match context.attempts.failed(peer, text, Instant::now()) {
        Ok(()) => {
            tracing::info!("a sign-in with an unknown portal link, from {peer}");
            Problem::forbidden(texts.text("portal-unknown"))
        }
        Err(seconds) => {
            let arguments = [("seconds", u32::from(seconds).into())];
            Problem::too_many_requests(texts.text_with("portal-too-many", &arguments), seconds)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_posted_alone() {
        assert_eq!(link_in(r#"{"link":"hsl_x"}"#).unwrap(), "hsl_x");
        for (text, status) in
            [("", 400), ("[]", 422), ("{}", 422), (r#"{"link":1}"#, 422), (r#"{"link":"a","more":1}"#, 422)]
        {
            assert_eq!(link_in(text).unwrap_err().status(), status, "{text}");
        }
    }
}
