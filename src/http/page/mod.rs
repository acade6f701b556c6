//! The page: Settings > Webhooks in a browser. Server-rendered views over the API, no build step.
//!
//! ```text
//! mod          a request's path: method, session, view
//! paths        the table of paths; state: shared by the views
//! visit        one GET by a signed-in user: queries the API and renders a template
//! recent       how the attempts of the last day and week went, by webhook
//! charts       the same as charts of a view
//! render       the templates
//! localised    what they are given in the language of the view: texts, numbers, times
//! script_texts the texts that a view's scripts use
//! language     which language a view speaks, and the switch of it
//! assets       scripts and styles
//! prepared     what is the same for everybody: compressed once, with its ETags
//! coding       gzip, if the browser accepts it
//! sign_in/     form and session cookie; signing out
//! portal/      signing in by a portal link
//! oidc/        signing in at the provider of OpenID Connect
//! layout/      the common frame, colours and script modules
//! problem/     the error page
//! handbook/    the documents of `docs`, for everybody
//! guard        the headers that isolate the page
//! filters      the values of a view's filter form
//! event_types  what the event types are called
//! live         server-sent events for views that follow the log; streams: their places
//! named        what webhooks and leads are called
//! webhooks/    list, form, preview, sample receivers, charts
//! logs/        live attempts, one with request and response, dead letters
//! event/       one event with its deliveries and attempts
//! search/      one search for everything
//! calls/       calls of a lead, one with its timeline and conversation
//! report/      figures, charts and a table of calls
//! activity/    who changed what
//! keys/        tokens
//! problems     what is wrong at the moment
//! status/      queue, disk, senders
//! ```
//!
//! A view is a folder: `mod.rs` queries the API, `*.html` renders the result, `*.css` and `*.js` belong to it. To add
//! one: a folder, a [`View`] with its path, its line in [`shown`], its template in `render`, its assets in `assets`,
//! its link in `layout/layout.html`.
//!
//! A view shows what the API returns to its visitor ([`Visit::ask`]), and its scripts make changes through the API:
//! there are no separate rules on who may see or do what. Views can be read and filtered without scripts.
//!
//! Invariants: untrusted values are escaped by the templates, or set as text by the scripts; nothing is loaded from
//! another host ([`guard`]); without a session only the sign-in and the handbook are accessible.

mod activity;
mod assets;
mod calls;
mod charts;
mod coding;
mod event;
mod event_types;
mod filters;
mod guard;
mod handbook;
mod keys;
mod language;
mod live;
mod localised;
mod logs;
mod named;
mod oidc;
mod paths;
mod portal;
mod prepared;
mod problems;
mod recent;
mod render;
mod report;
mod script_texts;
mod search;
mod sign_in;
mod state;
mod status;
mod streams;
mod visit;
mod webhooks;

use std::sync::Arc;

use hyper::body::Incoming;
use hyper::{Method, Request};

use self::guard::guarded;
pub(super) use self::paths::{View, find};
pub(super) use self::state::Page;
use self::visit::Visit;
use super::access::Access;
use super::authentication::signed_in;
use super::budget::Account;
use super::connection::{Peer, Stopping};
use super::context::RequestContext;
use super::problem::Problem;
use super::reply::{self, Reply, seen_other};
use super::{origin, portal_links};

/// Answers a request for the page.
///
/// # Errors
/// 405, and faults of a form before anything can be shown.
pub(super) async fn answer(
    page: &Arc<Page>,
    context: &Arc<RequestContext>,
    view: View,
    request: Request<Incoming>,
) -> Result<Reply, Problem> {
    view.check_method(request.method())?;
    let gzip = coding::is_wanted(request.headers());
    // Only the portal is ever shown in a frame.
    let framing = page.framing.as_ref().filter(|_| view == View::Portal);
    let reply = match view {
        View::Logo => page.assets.logo(request.uri().path())?,
        View::Accent => page.assets.accent(request.uri().path()),
        View::Asset(index) => page.assets.reply(index, request.uri().path(), request.headers()),
        View::Handbook(ref chapter) => {
            page.handbook.show(&page.templates, || page.in_english(), chapter.as_deref(), request.headers())?
        }
        View::Home => seen_other("/webhooks"),
        View::SignIn if request.method() == Method::POST => sign_in::enter(page, context, request).await?,
        View::SignIn => sign_in::show(page, context, &request)?,
        View::SignOut => sign_in::leave(context, &request).await?,
        View::Language => language::switch(context, request).await?,
        View::Portal if request.method() == Method::POST => portal::enter(context, request).await?,
        View::Portal => portal::show(page, context, &request)?,
        View::OidcLogin => oidc::begin(page, context, &request).await?,
        View::OidcCallback => oidc::finish(page, context, &request).await?,
        _ => match signed_in(context, request.headers()) {
            // Who came by a link and is shown in a frame has no token to sign in with.
            None if page.framing.is_some() && origin::is_for_frame(request.headers()) => seen_other(portal_links::PATH),
            None => seen_other(&sign_in::then(request.uri())),
            Some(access) => return viewed(page, context, &view, access, &request, gzip).await,
        },
    };
    Ok(guarded(coding::packed(reply, gzip), framing))
}

/// The `view` for a signed-in user. Rendering takes several times the memory of the resulting text, so at most
/// [`state::VIEWS`] run at once.
async fn viewed(
    page: &Arc<Page>,
    context: &Arc<RequestContext>,
    view: &View,
    access: Access,
    request: &Request<Incoming>,
    gzip: bool,
) -> Result<Reply, Problem> {
    const MANY: &str = "too many pages are requested at once with this token: try again in a moment";
    Peer::is_known(request);
    let framing = page.framing.clone().filter(|_| access.visitor().is_some());
    let principal = access.principal();
    let account = Account::new(&context.services.budget, principal.clone(), Peer::of(request));
    if *view == View::Live {
        let visit = Visit::new(Arc::clone(page), Arc::clone(context), access, account, request);
        let stopping = request.extensions().get::<Stopping>().cloned().ok_or_else(Problem::internal)?;
        return Ok(guarded(live::stream(visit, stopping)?, framing.as_ref()));
    }
    let slot = page.views.slot(principal, false).await;
    let _slot = slot.map_err(|_| Problem::too_many_requests(MANY, 2))?;
    let visit = Visit::new(Arc::clone(page), Arc::clone(context), access, account.clone(), request);
    let reply = match shown(view, &visit).await {
        Err(problem) if view.is_for_scripts() => return Err(problem),
        reply => reply.or_else(|problem| visit.problem(&problem))?,
    };
    reply::counted(guarded(coding::packed(reply, gzip), framing.as_ref()), &account)
}

/// Renders `view` for `visit`.
///
/// # Errors
/// Those of the API.
async fn shown(view: &View, visit: &Visit) -> Result<Reply, Problem> {
    if visit.is_in_portal() && !view.is_in_portal() {
        return Err(Problem::not_found(visit.texts().text("problem-nothing-here")));
    }
    match *view {
        View::Webhooks => webhooks::list(visit).await,
        View::NewWebhook => webhooks::new(visit).await,
        View::Webhook(id) => webhooks::activity(visit, id).await,
        View::WebhookSettings(id) => webhooks::settings(visit, id).await,
        View::WebhookCode(id) => webhooks::code(visit, id).await,
        View::Catalogue => webhooks::catalogue(visit).await,
        View::Preview => webhooks::preview(visit),
        View::Logs => logs::list(visit).await,
        View::LogEntry(id) => logs::entry(visit, id).await,
        View::NewestEntry => logs::newest(visit).await,
        View::LogExport => logs::export(visit).await,
        View::DeadLetters => logs::dead_letters(visit).await,
        View::Missing => Err(Problem::not_found(visit.texts().text("problem-nothing-here"))),
        View::Event(id) => event::one(visit, id).await,
        View::Search => search::show(visit).await,
        View::Calls => calls::list(visit).await,
        View::Call(ref id) => calls::one(visit, id).await,
        View::Report => report::show(visit).await,
        View::ReportExport => report::export(visit).await,
        View::Activity => activity::list(visit).await,
        View::Keys => keys::show(visit).await,
        View::Status => status::show(visit).await,
        View::Live | View::Home | View::SignIn | View::SignOut | View::Language | View::Portal => {
            Err(Problem::internal())
        }
        View::OidcLogin | View::OidcCallback => Err(Problem::internal()),
        View::Asset(_) | View::Logo | View::Accent | View::Handbook(_) => Err(Problem::internal()),
    }
}
