//! Signing in at the provider of OpenID Connect: the way there, and the way back.
//!
//! A browser leaves with a cookie, from which all that the provider is told is derived ([`PendingSignIn`]), and comes back
//! with a code. Whoever comes back without that cookie, later than its time or for the second time is not let in. The
//! session's cookie is `Strict`, which browsers do not send while they follow another site's redirect: so the way back ends
//! on a page of ours, which leads on.
//!
//! What is wrong is said in plain words, without what the provider or the browser sent; operators find more in the
//! messages of the daemon. Codes and tokens are in none of them.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use hyper::body::Incoming;
use hyper::header::{HeaderValue, RETRY_AFTER};
use hyper::{Request, StatusCode};
use minijinja::context;
use url::form_urlencoded;

use super::language::Spoken;
use super::paths::target;
use super::render::html;
use super::sign_in::oidc_path;
use super::state::Page;
use crate::core::actor::{Actor, Via};
use crate::core::audit::{Action, Deed};
use crate::core::oidc::{PendingSignIn, Rule};
use crate::core::session::Member;
use crate::core::token::{Role, TokenHash};
use crate::http::authentication::signed_in;
use crate::http::bridge::{self, Share};
use crate::http::connection::Peer;
use crate::http::context::RequestContext;
use crate::http::fair_limit::{Lane, Principal};
use crate::http::problem::Problem;
use crate::http::reply::{Reply, seen_other};
use crate::http::session::Place;
use crate::oidc::{Failure, Identity, Provider};
use crate::store::MemberEntry;
use crate::texts::Texts;

/// The longest query of the way back that is read: codes of some providers have 2,000 characters.
const QUERY_MOST: usize = 8_192;
/// `Retry-After` while the provider is away, in seconds.
const RETRY_SECONDS: u16 = 10;

/// Why somebody is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    /// Begun in another browser, or in none.
    Elsewhere,
    /// Away for too long.
    Late,
    /// It has opened a session already.
    Used,
    /// Somebody, or the provider, said no.
    Declined,
    /// The provider did not accept the code, or we did not accept its answer.
    NotAccepted,
    /// The ID token had expired.
    TokenExpired,
    /// No group of theirs is allowed.
    Group,
    /// The provider cannot be asked.
    Away,
    /// Too many were refused from that address; the seconds until the next may try.
    TooMany(u16),
}

impl Refusal {
    const fn status(self) -> StatusCode {
        match self {
            Self::Away => StatusCode::SERVICE_UNAVAILABLE,
            Self::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
            _ => StatusCode::FORBIDDEN,
        }
    }

    const fn retry_after(self) -> Option<u16> {
        match self {
            Self::Away => Some(RETRY_SECONDS),
            Self::TooMany(seconds) => Some(seconds),
            _ => None,
        }
    }

    /// In plain words; `name` is what people call the provider.
    fn text(self, texts: &Texts, name: &str) -> String {
        let of_provider = |key: &str| texts.text_with(key, &[("provider", name.into())]);
        match self {
            Self::Elsewhere => texts.text("oidc-elsewhere"),
            Self::Late => texts.text("oidc-late"),
            Self::Used => texts.text("oidc-used"),
            Self::Declined => of_provider("oidc-declined"),
            Self::NotAccepted => of_provider("oidc-not-accepted"),
            Self::TokenExpired => of_provider("oidc-token-expired"),
            Self::Group => of_provider("oidc-group"),
            Self::Away => of_provider("oidc-away"),
            Self::TooMany(seconds) => texts.text_with("oidc-too-many", &[("seconds", u32::from(seconds).into())]),
        }
    }
}

/// What the way back says.
struct Returned {
    state: Option<String>,
    code: Option<String>,
    error: Option<String>,
    issuer: Option<String>,
}

impl Returned {
    fn read(query: &str) -> Self {
        let query = if query.len() > QUERY_MOST { "" } else { query };
        let find = |wanted: &str| {
            let mut all = form_urlencoded::parse(query.as_bytes());
            all.find(|(name, _)| name == wanted).map(|(_, value)| value.into_owned())
        };
        Self { state: find("state"), code: find("code"), error: find("error"), issuer: find("iss") }
    }
}

/// What an error code of the way back means (RFC 6749 section 4.1.2.1, OpenID Connect Core 1.0 section 3.1.2.6), and what
/// is shown of it to operators: anybody can send others.
fn of_error(code: &str) -> (Refusal, &'static str) {
    match code {
        "access_denied" => (Refusal::Declined, "access_denied"),
        "login_required" => (Refusal::Declined, "login_required"),
        "interaction_required" => (Refusal::Declined, "interaction_required"),
        "consent_required" => (Refusal::Declined, "consent_required"),
        "server_error" => (Refusal::Away, "server_error"),
        "temporarily_unavailable" => (Refusal::Away, "temporarily_unavailable"),
        "invalid_request" => (Refusal::NotAccepted, "invalid_request"),
        "invalid_scope" => (Refusal::NotAccepted, "invalid_scope: compare `scopes` in [page.oidc] with what it offers"),
        "unauthorized_client" => {
            (Refusal::NotAccepted, "unauthorized_client: this client may not use the code flow there")
        }
        "unsupported_response_type" => (Refusal::NotAccepted, "unsupported_response_type"),
        _ => (Refusal::NotAccepted, "an error of another name, or without a code"),
    }
}

/// Sends a browser to the provider.
pub(super) async fn begin(
    page: &Page,
    context: &RequestContext,
    request: &Request<Incoming>,
) -> Result<Reply, Problem> {
    let provider = provider(context)?;
    let query = request.uri().query().unwrap_or_default();
    let then = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "then").map(|(_, value)| value);
    let then = target(then.as_deref());
    if signed_in(context, request.headers()).is_some_and(|access| access.may(Role::Read)) {
        return Ok(seen_other(&then));
    }
    let mut random = [0; 32];
    getrandom::fill(&mut random).map_err(|_| Problem::internal())?;
    let pending = PendingSignIn::begin(random, (context.services.clock)(), &then);
    let (asked, begun) = (Arc::clone(&provider), pending.clone());
    match share(context, Peer::of(request)).run(move || asked.begin(&begun)).await? {
        Ok(url) => {
            let mut reply = seen_other(url.as_str());
            let life = PendingSignIn::LIFE.as_secs();
            context.cookies.set_away(&mut reply, pending.cookie(), life, is_encrypted(&provider))?;
            Ok(reply)
        }
        Err(failure) => {
            tracing::warn!("the provider of OpenID Connect: {failure}");
            refused(page, context, request, Refusal::Away, &then)
        }
    }
}

/// Takes a browser back.
pub(super) async fn finish(
    page: &Page,
    context: &RequestContext,
    request: &Request<Incoming>,
) -> Result<Reply, Problem> {
    let provider = provider(context)?;
    let returned = Returned::read(request.uri().query().unwrap_or_default());
    let wanted = TokenHash::of(returned.state.as_deref().unwrap_or_default());
    let mut away = context.cookies.away(request.headers()).filter_map(PendingSignIn::parse);
    let Some(pending) = away.find(|pending| TokenHash::of(&pending.state()).same(&wanted)) else {
        return refused(page, context, request, Refusal::Elsewhere, &target(None));
    };
    let (peer, then) = (Peer::of(request), target(Some(pending.then())));
    let opened = match identified(context, &provider, &pending, returned, peer).await? {
        Ok(identity) => opened(context, &provider, &pending, identity, peer).await?,
        Err(refusal) => Err(refusal),
    };
    let cookie = match opened {
        Ok(cookie) => cookie,
        Err(refusal) => return refused(page, context, request, refusal, &then),
    };
    let spoken = Spoken::of_stranger(context, request.headers());
    let shared = page.given(spoken, "/sign-in", context! { signed_in => false });
    let values = context! { page => shared, refusal => (), then, again => (), provider => provider.name() };
    let mut reply = html(StatusCode::OK, page.templates.render(spoken.language, "oidc.html", values)?);
    let encrypted = is_encrypted(&provider);
    context.cookies.set(&mut reply, cookie.expose(), Place::Window { encrypted })?;
    context.cookies.set_away(&mut reply, "", 0, encrypted)?;
    Ok(reply)
}

/// Who came back.
async fn identified(
    context: &RequestContext,
    provider: &Arc<Provider>,
    pending: &PendingSignIn,
    returned: Returned,
    peer: IpAddr,
) -> Result<Result<Identity, Refusal>, Problem> {
    let now = (context.services.clock)();
    if !pending.is_in_time(now) {
        return Ok(Err(Refusal::Late));
    }
    // RFC 9207: an answer of another provider.
    if returned.issuer.is_some_and(|issuer| issuer != provider.issuer()) {
        return Ok(Err(counted(context, peer, Refusal::NotAccepted)));
    }
    let code = match (returned.error, returned.code) {
        (None, Some(code)) => code,
        (error, _) => {
            let (refusal, shown) = of_error(error.as_deref().unwrap_or_default());
            tracing::info!("a sign-in at the provider of OpenID Connect ended with {shown}, from {peer}");
            return Ok(Err(refusal));
        }
    };
    let (asked, back) = (Arc::clone(provider), pending.clone());
    let finished = share(context, peer).run(move || asked.finish(&back, &code, now)).await?;
    Ok(finished.map_err(|failure| {
        tracing::warn!("a sign-in at the provider of OpenID Connect failed, from {peer}: {failure}");
        match failure {
            Failure::Away(_) => Refusal::Away,
            Failure::Expired(_) => counted(context, peer, Refusal::TokenExpired),
            Failure::Refused(_) => counted(context, peer, Refusal::NotAccepted),
        }
    }))
}

/// `refusal`, or that too many were refused.
fn counted(context: &RequestContext, peer: IpAddr, refusal: Refusal) -> Refusal {
    context.attempts.failed(peer, "", Instant::now()).map_or_else(Refusal::TooMany, |()| refusal)
}

/// Opens the session of somebody whom the provider has identified. Returns its cookie.
async fn opened(
    context: &RequestContext,
    provider: &Provider,
    pending: &PendingSignIn,
    identity: Identity,
    peer: IpAddr,
) -> Result<Result<crate::core::hidden::Hidden, Refusal>, Problem> {
    let Identity { subject, name, groups } = identity;
    let actor = Actor::session(subject.clone(), &name).from(Via::Page, Some(peer.to_canonical()));
    let acting = context.services.store.by(actor);
    let issuer = provider.issuer().to_owned();
    let Some(Rule { group, role, company }) = provider.allowed().of_groups(&groups).cloned() else {
        tracing::info!("a sign-in of somebody without an allowed group, from {peer}");
        let deed = Deed::new(Action::SessionRefuse, None, None).with("issuer", issuer).with("subject", subject);
        bridge::written(|reply| acting.note(deed, reply)).await?;
        return Ok(Err(Refusal::Group));
    };
    let member = Member { issuer, subject, name, group, role };
    let entry = MemberEntry { member, company, sign_in: pending.hash(), until: pending.until() };
    let lifetime = context.lifetime;
    let cookie = bridge::written(|reply| acting.open_member_session(entry, lifetime, reply)).await?;
    Ok(cookie.ok_or(Refusal::Used))
}

/// The page that says why somebody is not let in.
fn refused(
    page: &Page,
    context: &RequestContext,
    request: &Request<Incoming>,
    refusal: Refusal,
    then: &str,
) -> Result<Reply, Problem> {
    let provider = provider(context)?;
    let spoken = Spoken::of_stranger(context, request.headers());
    let shared = page.given(spoken, "/sign-in", context! { signed_in => false });
    let again = oidc_path(Some(then).filter(|then| *then != "/webhooks"));
    let text = refusal.text(spoken.texts(), provider.name());
    let values = context! { page => shared, refusal => text, then, again, provider => provider.name() };
    let mut reply = html(refusal.status(), page.templates.render(spoken.language, "oidc.html", values)?);
    if let Some(seconds) = refusal.retry_after() {
        reply.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    // One that was begun since goes on.
    if refusal != Refusal::Elsewhere {
        context.cookies.set_away(&mut reply, "", 0, is_encrypted(&provider))?;
    }
    Ok(reply)
}

fn provider(context: &RequestContext) -> Result<Arc<Provider>, Problem> {
    const NONE: &str = "nobody signs in here by OpenID Connect: [page.oidc] of the configuration has no `issuer`";
    context.services.provider.clone().ok_or_else(|| Problem::not_found(NONE))
}

/// Whether browsers come back by TLS, to us or to a proxy.
fn is_encrypted(provider: &Provider) -> bool {
    provider.callback().starts_with("https://")
}

/// Nobody is known yet, so each address waits for its own requests.
fn share(context: &RequestContext, peer: IpAddr) -> Share {
    Share::of(context, Lane::SignIn, Principal::new(None, None).towards(&peer.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::texts::Language;

    #[test]
    fn the_way_back_is_read_by_its_names_and_a_long_one_is_not() {
        let read = Returned::read("code=a%2Fb&state=s&iss=https%3A%2F%2Flogin.example&session_state=x");
        assert_eq!((read.code.as_deref(), read.state.as_deref(), read.error), (Some("a/b"), Some("s"), None));
        assert_eq!(read.issuer.as_deref(), Some("https://login.example"));
        assert_eq!(Returned::read("error=access_denied&state=s").error.as_deref(), Some("access_denied"));
        assert!(Returned::read(&format!("state=s&code={}", "x".repeat(QUERY_MOST))).state.is_none());
    }

    #[test]
    fn errors_of_the_provider_are_told_apart_and_others_not_repeated() {
        assert_eq!(of_error("access_denied").0, Refusal::Declined);
        assert_eq!(of_error("temporarily_unavailable").0, Refusal::Away);
        assert_eq!(of_error("invalid_scope").0, Refusal::NotAccepted);
        let (refusal, shown) = of_error("hsk_secret\nforged");
        assert!(refusal == Refusal::NotAccepted && !shown.contains("hsk"), "{shown}");
    }

    #[test]
    fn every_refusal_is_a_sentence_and_says_when_to_come_back() {
        use Refusal as R;
        for refusal in [
            R::Elsewhere,
            R::Late,
            R::Used,
            R::Declined,
            R::NotAccepted,
            R::TokenExpired,
            R::Group,
            R::Away,
            R::TooMany(7),
        ] {
            let text = refusal.text(Texts::of(Language::English), "Example Login");
            assert!(text.ends_with('.') && text.len() > 40, "{text}");
            assert_eq!(refusal.retry_after().is_some(), [503, 429].contains(&refusal.status().as_u16()), "{text}");
        }
    }
}
