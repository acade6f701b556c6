//! The request context: the services that the daemon hands in, and the state that all requests share.
//!
//! Knows no handler and no path.

use std::collections::HashMap;
use std::sync::Arc;

use super::access::FirstToken;
use super::attempts::Attempts;
use super::budget::Budget;
use super::fair_limit::Lanes;
use super::reserved_secrets::ReservedSecrets;
use super::session::Sessions;
use super::settings::{BodyLimits, Settings};
use crate::core::catalogue::Catalogue;
use crate::core::id::SubscriptionId;
use crate::core::subscription::Ordering;
use crate::core::time::Timestamp;
use crate::sender::TransportHandle;
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

/// Tells how the deliveries of these subscriptions flow.
pub type Flows = Arc<dyn Fn(Vec<SubscriptionId>) -> HashMap<SubscriptionId, Flow> + Send + Sync>;

/// Everything that the API needs of the other modules. Closures stand for what it must not know more of.
pub struct Services {
    /// The store.
    pub store: Store,
    /// The event types.
    pub catalogue: Arc<Catalogue>,
    /// For the check of a URL at registration, and for probes.
    pub transport: Arc<TransportHandle>,
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

/// The services, and what requests share beside them.
pub(super) struct RequestContext {
    pub(super) services: Services,
    pub(super) limits: BodyLimits,
    /// How much is done at once of what blocks, and in whose turn.
    pub(super) lanes: Lanes,
    /// Who has signed in on the page.
    pub(super) sessions: Sessions,
    /// How often signing in was tried in vain.
    pub(super) attempts: Attempts,
    /// The secrets of webhooks that are not saved yet.
    pub(super) reserved: ReservedSecrets,
}

impl RequestContext {
    /// For a listener on `port`.
    pub(super) fn new(services: Services, settings: &Settings, port: u16) -> Self {
        Self {
            services,
            limits: settings.body_limits(),
            lanes: Lanes::default(),
            sessions: Sessions::new(port),
            attempts: Attempts::default(),
            reserved: ReservedSecrets::default(),
        }
    }
}
