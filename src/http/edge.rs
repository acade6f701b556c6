//! What the room is handed, and the way of a request through it: health, authorisation, route.

use std::collections::HashMap;
use std::sync::Arc;

use hyper::Request;
use hyper::body::Incoming;
use tokio::sync::Semaphore;

use super::Settings;
use super::access::{self, FirstToken};
use super::connection::Handler;
use super::problem::Problem;
use super::reply::Reply;
use super::request::Authorised;
use super::routes::{self, Resource};
use super::{health, metrics, request};
use crate::core::catalogue::Catalogue;
use crate::core::id::SubscriptionId;
use crate::core::subscription::Ordering;
use crate::core::time::Timestamp;
use crate::sender::Outlet;
use crate::store::Store;

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
    /// How the deliveries of each subscription flow, of those of which that is known. May block for a while.
    pub flows: Arc<dyn Fn() -> HashMap<SubscriptionId, Flow> + Send + Sync>,
    /// What is measured, as Prometheus reads it. May block for a while.
    pub metrics: Arc<dyn Fn() -> Result<String, String> + Send + Sync>,
    /// Whether that may be read without a token.
    pub metrics_public: bool,
    /// Whether the daemon can do its work; if not, a sentence on why.
    pub ready: Box<dyn Fn() -> Result<(), String> + Send + Sync>,
    /// The wall clock.
    pub clock: Box<dyn Fn() -> Timestamp + Send + Sync>,
}

/// An [`Edge`] with the limits of its requests.
pub(super) struct Front {
    pub(super) edge: Edge,
    pub(super) limits: request::Limits,
    /// Room for what waits for other machines: probes, and checks of URLs.
    pub(super) outward: Arc<Semaphore>,
}

impl Front {
    pub(super) fn new(edge: Edge, settings: &Settings) -> Self {
        let limits = request::Limits { max_body_bytes: settings.max_body_bytes, body_timeout: settings.body_timeout };
        Self { edge, limits, outward: Arc::new(Semaphore::new(super::OUTWARD)) }
    }

    /// Health is anybody's to ask. For all else the token comes first, so that nobody without
    /// one learns what there is.
    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Result<Reply, Problem> {
        let resource = routes::find(request.uri().path());
        if let Some(open @ (Resource::Health | Resource::Ready)) = &resource {
            open.check_method(request.method())?;
            return health::answer(&self.edge, open);
        }
        if resource == Some(Resource::Metrics) && self.edge.metrics_public {
            Resource::Metrics.check_method(request.method())?;
            return metrics::show(&self.edge).await;
        }
        let access = access::authenticate(request.headers(), &self.edge)?;
        let resource = resource.ok_or_else(|| {
            Problem::not_found("there is nothing at this path: check it, and that an id in it is whole")
        })?;
        resource.check_method(request.method())?;
        routes::answer(resource, Authorised::new(self, access, request)).await
    }
}

impl Handler for Front {
    async fn handle(self: Arc<Self>, request: Request<Incoming>) -> Reply {
        self.answer(request).await.unwrap_or_else(Problem::into_reply)
    }
}
