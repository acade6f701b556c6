//! The page: Settings > Webhooks in a browser. Server-rendered views over the API, no build step.
//!
//! ```text
//! mod          the way of a request: method, session, view
//! paths        the table of paths; state: what the views share
//! visit        who looks and at which company; asks the API and renders a template
//! recent       how the last day's attempts went, by webhook
//! render       the templates: which there are, the filters they use, JSON made readable
//! assets       scripts and styles, compressed once, with their ETags
//! coding       gzip, where the browser takes it
//! sign_in/     form and session cookie; signing out
//! layout/      what every view has: frame, colours, and the scripts' common modules
//! problem/     what is shown when something cannot be shown
//! filters      what a view's form has chosen
//! webhooks/    list, form, preview, receivers to start from, how the last day went
//! logs/        attempts as they come in, one with request and response, dead letters
//! calls/       those of a lead, one on its time line with its conversation
//! report/      what became of calls: figures, charts, table
//! keys/        tokens
//! status/      queue, disk, senders
//! ```
//!
//! A view is a folder: `mod.rs` asks the API for what it shows, `*.html` shows it, `*.css` and `*.js` belong
//! to it. To add one: a folder, a [`View`] with its path, its line in [`shown`], its template in
//! `render`, its assets in `assets`, its link in `layout/layout.html`.
//!
//! A view shows what `GET`s of the API answer to its visitor ([`Visit::ask`]), and its scripts change things by
//! the API's other methods: there are no second rules about who may see or do what. Without scripts the
//! views can be read and filtered.
//!
//! What always holds: everything that comes from elsewhere is escaped by the templates, or set as text by the
//! scripts; nothing is loaded from another host ([`guarded`]); nobody without a session sees more than the
//! sign-in.

mod assets;
mod calls;
mod coding;
mod filters;
mod keys;
mod logs;
mod paths;
mod recent;
mod render;
mod report;
mod sign_in;
mod state;
mod status;
mod visit;
mod webhooks;

use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, REFERRER_POLICY};
use hyper::{Method, Request};

pub(super) use self::paths::{View, find};
pub(super) use self::state::Page;
use self::visit::Visit;
use super::access::Access;
use super::authentication::signed_in;
use super::budget::Account;
use super::connection::Peer;
use super::context::RequestContext;
use super::problem::Problem;
use super::reply::{self, Reply, seen_other};

/// Answers a request for the page.
///
/// # Errors
/// 405, and what goes wrong with a form before anything can be shown.
pub(super) async fn answer(
    page: &Arc<Page>,
    context: &Arc<RequestContext>,
    view: View,
    request: Request<Incoming>,
) -> Result<Reply, Problem> {
    view.check_method(request.method())?;
    let gzip = coding::is_wanted(request.headers());
    let reply = match view {
        View::Asset(index) => page.assets.reply(index, request.uri().path(), request.headers()),
        View::Home => seen_other("/webhooks"),
        View::SignIn if request.method() == Method::POST => sign_in::enter(page, context, request).await?,
        View::SignIn => sign_in::show(page, context, &request)?,
        View::SignOut => sign_in::leave(context, request.headers())?,
        _ => match signed_in(context, request.headers()) {
            None => seen_other(&sign_in::then(request.uri())),
            Some(access) => return viewed(page, context, &view, access, &request, gzip).await,
        },
    };
    Ok(guarded(coding::packed(reply, gzip)))
}

/// What somebody who has signed in is shown at `view`. What a view is made of takes several times the memory of its text: so
/// [`state::VIEWS`] are made at once.
async fn viewed(
    page: &Arc<Page>,
    context: &Arc<RequestContext>,
    view: &View,
    access: Access,
    request: &Request<Incoming>,
    gzip: bool,
) -> Result<Reply, Problem> {
    const MANY: &str = "too many pages are asked for at once with this token: ask again in a moment";
    Peer::is_known(request);
    let principal = access.principal();
    let account = Account::new(&context.services.budget, principal.clone(), Peer::of(request));
    let turn = page.views.slot(principal, false).await;
    let _turn = turn.map_err(|_| Problem::too_many_requests(MANY, 2))?;
    let browser = context.sessions.browser(request.headers());
    let visit = Visit::new(Arc::clone(page), Arc::clone(context), access, account.clone(), browser, request.uri());
    let reply = match shown(view, &visit).await {
        Err(problem) if view.is_for_scripts() => return Err(problem),
        reply => reply.or_else(|problem| visit.problem(&problem))?,
    };
    reply::counted(guarded(coding::packed(reply, gzip)), &account)
}

/// What `visit` is shown at `view`.
///
/// # Errors
/// What the API has against it.
async fn shown(view: &View, visit: &Visit) -> Result<Reply, Problem> {
    match *view {
        View::Webhooks => webhooks::list(visit).await,
        View::NewWebhook => webhooks::new(visit).await,
        View::Webhook(id) => webhooks::edit(visit, id).await,
        View::Preview => webhooks::preview(visit),
        View::Logs => logs::list(visit).await,
        View::LogEntry(id) => logs::entry(visit, id).await,
        View::NewestEntry => logs::newest(visit).await,
        View::LogExport => logs::export(visit).await,
        View::DeadLetters => logs::dead_letters(visit).await,
        View::Calls => calls::list(visit).await,
        View::Call(ref id) => calls::one(visit, id).await,
        View::Report => report::show(visit).await,
        View::ReportExport => report::export(visit).await,
        View::Keys => keys::show(visit).await,
        View::Status => status::show(visit).await,
        View::Home | View::SignIn | View::SignOut | View::Asset(_) => Err(Problem::internal()),
    }
}

/// The headers that keep a page to itself: nothing from elsewhere, no frames, no scripts in the text.
fn guarded(mut reply: Reply) -> Reply {
    const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                          form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
    let headers = reply.headers_mut();
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    // Not `no-referrer`: with it browsers say `Origin: null` of our own forms.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
    ] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    reply
}
