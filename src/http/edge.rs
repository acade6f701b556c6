//! What the room is handed, and the way of a request through it: health, authorisation, route.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use super::Settings;
use super::access::{self, Access, FirstToken};
use super::attempts::Attempts;
use super::budget::{Account, Budget};
use super::connection::{Handler, Peer};
use super::fair_limit::{Lanes, Principal};
use super::openapi::Description;
use super::page::{self, Page};
use super::problem::Problem;
use super::reply::{self, Reply};
use super::request::Authorised;
use super::routes::{self, Resource};
use super::session::Sessions;
use super::{health, metrics, origin, request};
use crate::core::catalogue::Catalogue;
use crate::core::id::SubscriptionId;
use crate::core::subscription::Ordering;
use crate::core::time::Timestamp;
use crate::core::token::TokenHash;
use crate::sender::Outlet;
use crate::store::Store;
use hyper::Request;
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, HeaderMap};

/// How the sender threads are doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Senders {
    /// How many are in the middle of an attempt.
    pub busy: usize,
    /// How many there are.
    pub threads: usize,
}

/// How the deliveries of a subscription flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flow {
    /// How its receiver is: `ok`, `slow` or `down`.
    pub state: &'static str,
    /// When it is asked next, if it is down.
    pub next_try: Option<Timestamp>,
    /// How many attempts are under way.
    pub in_flight: u32,
    /// How many there may be at present.
    pub window: u32,
}

/// Tells how the deliveries of these subscriptions flow.
pub type Flows = Arc<dyn Fn(Vec<SubscriptionId>) -> HashMap<SubscriptionId, Flow> + Send + Sync>;

/// Everything that the API needs of the house. Closures stand for what it must not know more of.
pub struct Edge {
    /// The store's verbs.
    pub store: Store,
    /// The event types.
    pub catalogue: Arc<Catalogue>,
    /// For the check of a URL at registration, and for probes.
    pub outlet: Arc<Outlet>,
    /// The admin's token of the first start.
    pub admin_token: FirstToken,
    /// `[ordering] default`, for subscriptions that do not say.
    pub default_ordering: Ordering,
    /// How the sender threads are doing.
    pub senders: Box<dyn Fn() -> Senders + Send + Sync>,
    /// How the deliveries of these subscriptions flow, of those of which that is known. May block for a while.
    pub flows: Flows,
    /// What is measured, as Prometheus reads it. May block for a while.
    pub metrics: Arc<dyn Fn() -> Result<String, String> + Send + Sync>,
    /// Whether that may be read without a token.
    pub metrics_public: bool,
    /// The memory for what clients have not read, or not sent whole.
    pub budget: Budget,
    /// Whether the daemon can do its work; if not, a sentence on why.
    pub ready: Box<dyn Fn() -> Result<(), String> + Send + Sync>,
    /// The wall clock.
    pub clock: Box<dyn Fn() -> Timestamp + Send + Sync>,
}

/// An [`Edge`] with the limits of its requests.
pub(super) struct Front {
    pub(super) edge: Edge,
    pub(super) limits: request::Limits,
    /// How much is done at once of what blocks, and in whose turn.
    pub(super) lanes: Lanes,
    /// What the API is.
    description: Description,
    /// Who has signed in on the page.
    pub(super) sessions: Sessions,
    /// How often signing in was tried in vain.
    pub(super) attempts: Attempts,
    /// The page's templates and assets.
    pub(super) page: Page,
}

impl Front {
    /// For a listener on `port`.
    pub(super) fn new(edge: Edge, settings: &Settings, port: u16) -> Self {
        let limits = request::Limits { max_body_bytes: settings.max_body_bytes, body_timeout: settings.body_timeout };
        let (lanes, description) = (Lanes::default(), Description::of(&edge.catalogue));
        let (sessions, attempts, page) = (Sessions::new(port), Attempts::default(), Page::new());
        Self { edge, limits, lanes, description, sessions, attempts, page }
    }

    /// The powers of the token with this hash, as they are now.
    pub(super) fn powers(&self, token: &TokenHash) -> Option<Access> {
        access::access_of(&self.edge, token).ok()
    }

    /// The powers of whoever has signed in on the page and sends these headers.
    pub(super) fn signed_in(&self, headers: &HeaderMap) -> Option<Access> {
        self.powers(&self.sessions.token(headers, Instant::now())?)
    }

    /// The powers of who sends `request`: of its token, or of whoever signed in on the page it comes from.
    fn authenticate(&self, request: &Request<Incoming>) -> Result<Access, Problem> {
        let headers = request.headers();
        if !headers.contains_key(AUTHORIZATION)
            && let Some(access) = self.signed_in(headers)
        {
            origin::check(request.method(), headers)?;
            return Ok(access);
        }
        access::authenticate(headers, &self.edge)
    }

    /// Health is anybody's to ask, and the page sends strangers to its sign-in. For all else the token
    /// comes first, so that nobody without one learns what there is.
    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Result<Reply, Problem> {
        if let Some(view) = page::find(request.uri().path()) {
            return Box::pin(page::answer(self, view, request)).await;
        }
        let resource = routes::find(request.uri().path());
        if let Some(open @ (Resource::Health | Resource::Ready)) = &resource {
            open.check_method(request.method())?;
            return health::answer(&self.edge, open);
        }
        if resource == Some(Resource::OpenApi) {
            Resource::OpenApi.check_method(request.method())?;
            return self.description.show();
        }
        if resource == Some(Resource::Metrics) && self.edge.metrics_public {
            Resource::Metrics.check_method(request.method())?;
            return Box::pin(metrics::show(&self, Principal::new(None, None))).await;
        }
        let access = self.authenticate(&request)?;
        Peer::is_known(&request);
        let resource = resource.ok_or_else(|| {
            Problem::not_found("there is nothing at this path: check it, and that an id in it is whole")
        })?;
        resource.check_method(request.method())?;
        let account = Account::new(&self.edge.budget, access.principal(), Peer::of(&request));
        let reply = routes::answer(resource, Authorised::new(self, access, account.clone(), request)).await?;
        reply::counted(reply, &account)
    }
}

impl Handler for Front {
    async fn handle(self: Arc<Self>, request: Request<Incoming>) -> Reply {
        self.answer(request).await.unwrap_or_else(Problem::into_reply)
    }
}
