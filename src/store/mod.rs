//! The store's API: the only way for other modules to read or change stored data.
//!
//! Its methods (`accept`, `finish`, `log`, …) speak of events, deliveries and subscriptions. Decisions about them are
//! in [`model`](crate::model), storage in an [`engine`](crate::engine). This module must not know who sends what to
//! whom, or why.

mod acting;
mod api;
mod calls;
mod conversations;
mod erasures;
mod known;
mod oldest;
mod ops;
mod report;
mod running;
mod sessions;
mod statuses;
mod tokens;

pub use crate::engine::embedded::{OpenError, offline};
#[cfg(feature = "postgres")]
pub use crate::engine::postgres::{
    PostgresSettings, inspect as inspect_postgres, move_in as move_into_postgres, move_out as move_out_of_postgres,
};
pub use crate::engine::process::name as process_name;
pub use crate::engine::{Answers, DiskSpace, Pieces};
pub use crate::model::calls::{CallFilter, CallStory};
pub use crate::model::cluster::{Cluster, Member, Standby};
pub use crate::model::command::{Accepted, AttemptResult, Busy, Replay, Reply};
pub use crate::model::conversations::{ConversationFilter, PostedMessage, PreparedMessage, Shown as ShownConversation};
pub use crate::model::erasure::Erasure;
pub use crate::model::error::{Outage, StoreError};
pub use crate::model::filter::{
    AuditFilter, DeliveryFilter, EventFilter, LogFilter, ReplayFilter, ReportFilter, Webhooks,
};
pub use crate::model::health::{Counts, Health};
pub use crate::model::known::{KnownDelivery, KnownEvent};
pub use crate::model::notice::{Committed, StoreEvent};
pub use crate::model::page::{DeliveryCursor, Page, Reads};
pub use crate::model::retention::{Reclaim, Rules as Retention};
pub use crate::model::sessions::{MemberEntry, OpenedSession, PortalLinkUse};
pub use crate::model::settings::Settings;
pub use acting::Acting;
pub use api::Store;
pub use running::{OpenedStore, Running};
pub use statuses::{DOWN, SubscriptionFilter, SubscriptionStatus};

#[cfg(test)]
mod tests;
