//! The page: Settings > Webhooks in a browser. Server-rendered views over the API, no build step.
//!
//! ```text
//! mod          the table of paths, and the way of a request: method, session, view
//! visit        who looks and at which company; asks the API and renders a template
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
mod render;
mod report;
mod sign_in;
mod status;
mod visit;
mod webhooks;

use std::sync::{Arc, Mutex};

use hyper::body::Incoming;
use hyper::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, LOCATION, REFERRER_POLICY};
use hyper::{Method, Request, StatusCode};

use self::assets::Assets;
use self::render::Templates;
use self::visit::Visit;
use self::webhooks::{Recent, Reserved};
use super::access::Access;
use super::budget::Account;
use super::connection::Peer;
use super::edge::Front;
use super::fair_limit::FairLimit;
use super::problem::Problem;
use super::reply::{self, Reply, no_content};
use super::routes;
use crate::core::event::CallId;
use crate::core::id::{AttemptId, SubscriptionId};

/// What the page is made of, read once.
pub(super) struct Page {
    templates: Templates,
    assets: Assets,
    recent: Mutex<Recent>,
    reserved: Reserved,
    /// Who may have a view made.
    views: FairLimit,
}

/// How many views are made at once.
const VIEWS: usize = 8;
/// How many of one token may wait.
const WAITING: usize = 64;

impl Page {
    pub(super) fn new() -> Self {
        Self {
            templates: Templates::new(),
            assets: Assets::new(),
            recent: Mutex::default(),
            reserved: Reserved::default(),
            views: FairLimit::new(VIEWS, WAITING),
        }
    }

    /// The secrets of webhooks that are not saved yet.
    pub(super) const fn reserved(&self) -> &Reserved {
        &self.reserved
    }
}

/// Something of the page that has a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum View {
    /// Leads to the list of webhooks.
    Home,
    SignIn,
    SignOut,
    /// A script or a style, by its place in the table.
    Asset(usize),
    Webhooks,
    NewWebhook,
    Webhook(SubscriptionId),
    /// What a webhook with the form's settings would be sent, as JSON, for the form's script.
    Preview,
    Logs,
    LogEntry(AttemptId),
    /// Whether the log has grown, for the list's script.
    NewestEntry,
    LogExport,
    DeadLetters,
    Calls,
    Call(CallId),
    Report,
    ReportExport,
    Keys,
    Status,
}

/// What stands at `path`, if it is the page's.
pub(super) fn find(path: &str) -> Option<View> {
    if path == "/" {
        return Some(View::Home);
    }
    let segments = routes::segments(path)?;
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    Some(match segments.as_slice() {
        ["sign-in"] => View::SignIn,
        ["sign-out"] => View::SignOut,
        ["favicon.ico"] => View::Asset(assets::find("layout", "icon.svg")?),
        ["assets", _version, folder, name] => View::Asset(assets::find(folder, name)?),
        ["keys"] => View::Keys,
        ["status"] => View::Status,
        ["webhooks"] => View::Webhooks,
        ["webhooks", "new"] => View::NewWebhook,
        ["webhooks", "preview"] => View::Preview,
        ["webhooks", id] => View::Webhook(id.parse().ok()?),
        ["calls"] => View::Calls,
        ["calls", id] => View::Call(CallId::parse(id).ok()?),
        ["report"] => View::Report,
        ["report", "export"] => View::ReportExport,
        ["logs"] => View::Logs,
        ["logs", "newest"] => View::NewestEntry,
        ["logs", "export"] => View::LogExport,
        ["logs", "dead-letters"] => View::DeadLetters,
        ["logs", id] => View::LogEntry(id.parse().ok()?),
        _ => return None,
    })
}

impl View {
    /// The methods there are, as the header `Allow` lists them.
    const fn allow(&self) -> &'static str {
        match self {
            Self::SignIn => "GET, HEAD, POST",
            Self::SignOut => "POST",
            _ => "GET, HEAD",
        }
    }

    fn check_method(&self, method: &Method) -> Result<(), Problem> {
        let allow = self.allow();
        let known = allow.split(", ").any(|name| name == method.as_str());
        if known { Ok(()) } else { Err(Problem::method_not_allowed(method.as_str(), allow)) }
    }

    /// Whether it is asked for by a script, which takes problems as the API answers them.
    const fn is_for_scripts(&self) -> bool {
        matches!(self, Self::Preview | Self::NewestEntry)
    }

    /// Whether somebody who signs in may be led there.
    const fn is_a_place(&self) -> bool {
        !matches!(self, Self::SignIn | Self::SignOut | Self::Asset(_) | Self::LogExport | Self::ReportExport)
            && !self.is_for_scripts()
    }
}

/// Answers a request for the page.
///
/// # Errors
/// 405, and what goes wrong with a form before anything can be shown.
pub(super) async fn answer(front: Arc<Front>, view: View, request: Request<Incoming>) -> Result<Reply, Problem> {
    view.check_method(request.method())?;
    let gzip = coding::is_wanted(request.headers());
    let reply = match view {
        View::Asset(index) => front.page.assets.reply(index, request.uri().path(), request.headers()),
        View::Home => seen_other("/webhooks"),
        View::SignIn if request.method() == Method::POST => sign_in::enter(&front, request).await?,
        View::SignIn => sign_in::show(&front, &request)?,
        View::SignOut => sign_in::leave(&front, request.headers())?,
        _ => match front.signed_in(request.headers()) {
            None => seen_other(&sign_in::then(request.uri())),
            Some(access) => return viewed(front, &view, access, &request, gzip).await,
        },
    };
    Ok(guarded(coding::packed(reply, gzip)))
}

/// What somebody who has signed in is shown at `view`. What a view is made of takes several times the memory of its text: so
/// [`VIEWS`] are made at once.
async fn viewed(
    front: Arc<Front>,
    view: &View,
    access: Access,
    request: &Request<Incoming>,
    gzip: bool,
) -> Result<Reply, Problem> {
    const MANY: &str = "too many pages are asked for at once with this token: ask again in a moment";
    Peer::is_known(request);
    let principal = access.principal();
    let account = Account::new(&front.edge.budget, principal.clone(), Peer::of(request));
    let turn = front.page.views.slot(principal, false).await;
    let _turn = turn.map_err(|_| Problem::too_many_requests(MANY, 2))?;
    let browser = front.sessions.browser(request.headers());
    let visit = Visit::new(front, access, account.clone(), browser, request.uri());
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

/// `303 See Other`: what is wanted stands at `place`, a path of the page with nothing but ASCII in it.
fn seen_other(place: &str) -> Reply {
    let mut reply = no_content();
    *reply.status_mut() = StatusCode::SEE_OTHER;
    let place = HeaderValue::from_str(place).unwrap_or(HeaderValue::from_static("/webhooks"));
    reply.headers_mut().insert(LOCATION, place);
    reply
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_the_page_are_found_and_no_others() {
        let id = SubscriptionId::from_bits(7);
        assert_eq!(find("/"), Some(View::Home));
        assert_eq!(find(&format!("/webhooks/{id}")), Some(View::Webhook(id)));
        assert_eq!(find("/webhooks/new"), Some(View::NewWebhook));
        assert!(matches!(find("/assets/x/layout/base.css"), Some(View::Asset(_))));
        for path in
            ["", "//", "/webhooks/", "/webhooks/x", "/assets/x/layout/layout.html", "/assets/x/../mod.rs", "/v1"]
        {
            assert_eq!(find(path), None, "{path}");
        }
    }

    #[test]
    fn signing_in_leads_to_places_only() {
        for (path, place) in
            [("/", true), ("/webhooks", true), ("/sign-out", false), ("/assets/x/layout/base.css", false)]
        {
            assert_eq!(find(path).is_some_and(|view| view.is_a_place()), place, "{path}");
        }
    }
}
