//! The request context: services of other modules, and state shared by all requests.
//!
//! Knows no handler and no path.

use std::collections::HashMap;
use std::sync::Arc;

use hyper::header::HeaderMap;

use super::access::FirstToken;
use super::attempts::Attempts;
use super::budget::Budget;
use super::fair_limit::Lanes;
use super::reserved_secrets::ReservedSecrets;
use super::session::Cookies;
use super::settings::{BodyLimits, PageSettings, Settings};
use crate::core::catalogue::Catalogue;
use crate::core::id::SubscriptionId;
use crate::core::session::{Lifetime, Session};
use crate::core::subscription::Ordering;
use crate::core::time::Timestamp;
use crate::oidc::Provider;
use crate::sender::TransportHandle;
use crate::store::Store;

/// Load of the sender threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Senders {
    /// Threads in an attempt.
    pub busy: usize,
    /// Threads in total.
    pub threads: usize,
}

/// Live state of a subscription's deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flow {
    /// The receiver's condition: `ok`, `slow` or `down`.
    pub state: &'static str,
    /// The time of the next probe, if it is down.
    pub next_try: Option<Timestamp>,
    /// Attempts in flight.
    pub in_flight: u32,
    /// The current concurrency limit.
    pub window: u32,
}

/// Returns the live state of these subscriptions.
pub type Flows = Arc<dyn Fn(Vec<SubscriptionId>) -> HashMap<SubscriptionId, Flow> + Send + Sync>;

/// What the API needs of other modules; closures hide the rest of them.
pub struct Services {
    /// The store.
    pub store: Store,
    /// The event types.
    pub catalogue: Arc<Catalogue>,
    /// For checking URLs at registration, and for probes.
    pub transport: Arc<TransportHandle>,
    /// The admin's token of the first start.
    pub admin_token: FirstToken,
    /// The provider at which people may sign in besides.
    pub provider: Option<Arc<Provider>>,
    /// Whether mails can be sent: a server is configured.
    pub can_mail: Box<dyn Fn() -> bool + Send + Sync>,
    /// `[ordering] default`, for subscriptions without their own.
    pub default_ordering: Ordering,
    /// Load of the sender threads.
    pub senders: Box<dyn Fn() -> Senders + Send + Sync>,
    /// The live state of those subscriptions for which it is known. May block for a while.
    pub flows: Flows,
    /// The metrics in Prometheus' format. May block for a while.
    pub metrics: Arc<dyn Fn() -> Result<String, String> + Send + Sync>,
    /// Whether metrics are public.
    pub metrics_public: bool,
    /// The memory budget for unread responses and incomplete bodies.
    pub budget: Budget,
    /// Whether the daemon is ready; if not, the reason as a sentence.
    pub ready: Box<dyn Fn() -> Result<(), String> + Send + Sync>,
    /// When the daemon started.
    pub started: Timestamp,
    /// The wall clock.
    pub clock: Box<dyn Fn() -> Timestamp + Send + Sync>,
}

/// The services, and the state shared by requests.
pub(super) struct RequestContext {
    pub(super) services: Services,
    pub(super) limits: BodyLimits,
    /// Limits on concurrent blocking work.
    pub(super) lanes: Lanes,
    /// The cookies of the page's sessions.
    pub(super) cookies: Cookies,
    /// How long these last.
    pub(super) lifetime: Lifetime,
    /// The page's settings.
    pub(super) page: PageSettings,
    /// Failed sign-ins.
    pub(super) attempts: Attempts,
    /// The secrets of unsaved webhooks.
    pub(super) reserved: ReservedSecrets,
}

impl RequestContext {
    /// For a listener on `port`.
    pub(super) fn new(services: Services, settings: &Settings, port: u16) -> Self {
        Self {
            services,
            limits: settings.body_limits(),
            lanes: Lanes::default(),
            cookies: Cookies::new(&settings.page.cookie.clone().unwrap_or_else(|| port.to_string())),
            lifetime: settings.page.lifetime,
            page: settings.page.clone(),
            attempts: Attempts::default(),
            reserved: ReservedSecrets::default(),
        }
    }

    /// The living sessions of the cookies in `headers`, which count as requests of theirs.
    pub(super) fn sessions_in(&self, headers: &HeaderMap) -> impl Iterator<Item = Session> {
        let now = (self.services.clock)();
        let hashes = self.cookies.hashes(headers).into_iter();
        hashes.filter_map(move |hash| self.services.store.find_session(&hash, self.lifetime, now))
    }
}
