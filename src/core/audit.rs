//! The audit: who changed what, and who looked at which secret.
//!
//! What always holds: an entry has no secret, and nothing of the data of events. Of settings that are write-only it says
//! that they have changed; a URL is shown without its query, which may hold a key. What is erased for a person is
//! therefore never in it, unless an operator has typed it into a setting: that is found and changed as the setting is.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use url::Url;

use super::actor::Actor;
use super::auth::Auth;
use super::event::{Company, Domain};
use super::id::{AuditId, SubscriptionId};
use super::subscription::Subscription;
use super::subscription_json::SubscriptionJson;
use super::text::words;
use super::time::Timestamp;
use super::token::Token;

words! {
    /// What was done.
    Action {
        /// A webhook was created.
        SubscriptionCreate = "subscription.create",
        /// A webhook was changed.
        SubscriptionChange = "subscription.change",
        /// A webhook was deleted.
        SubscriptionDelete = "subscription.delete",
        /// The daemon has disabled a webhook.
        SubscriptionDisable = "subscription.disable",
        /// A webhook has got a new secret.
        SecretRotate = "subscription.rotate_secret",
        /// Somebody has looked at a webhook's secret.
        SecretShow = "subscription.show_secret",
        /// A webhook was tested.
        SubscriptionTest = "subscription.test",
        /// A webhook's receiver was asked for its permission.
        SubscriptionHandshake = "subscription.handshake",
        /// Events of a webhook are delivered again.
        SubscriptionReplay = "subscription.replay",
        /// What waited for a webhook was cancelled.
        SubscriptionDiscard = "subscription.discard",
        /// The owners of a webhook were sent a mail.
        SubscriptionNotify = "subscription.notify",
        /// A URL was tested that belongs to no webhook.
        UrlTest = "url.test",
        /// A delivery is made again.
        DeliveryRetry = "delivery.retry",
        /// A delivery was cancelled.
        DeliveryCancel = "delivery.cancel",
        /// A token was created.
        TokenCreate = "token.create",
        /// A token was revoked.
        TokenRevoke = "token.revoke",
        /// A portal link was created.
        PortalLinkCreate = "portal_link.create",
        /// A portal link was revoked.
        PortalLinkRevoke = "portal_link.revoke",
        /// A browser was signed in.
        SessionBegin = "session.begin",
        /// Somebody whom the provider of OpenID Connect knows was not let in.
        SessionRefuse = "session.refuse",
        /// A session was ended by hand.
        SessionEnd = "session.end",
        /// The erasure of a person's data has begun.
        ErasureBegin = "erasure.begin",
        /// Nothing of the erased data is left on the disk.
        ErasureDone = "erasure.done",
        /// A backup was taken, which holds every secret.
        BackupTake = "backup.take",
        /// The configuration was read again.
        ConfigurationReload = "configuration.reload",
    }
}

/// Names and values, as they stand in the API.
pub type Members = Map<String, Value>;

/// What was done, to what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deed {
    /// What was done.
    pub action: Action,
    /// The company it concerns; `None` if it concerns all.
    pub company: Option<Company>,
    /// The domain it concerns, if only one.
    pub domain: Option<Domain>,
    /// The webhook it concerns.
    pub subscription: Option<SubscriptionId>,
    /// The id of what it was done to.
    pub subject: Option<String>,
    /// What was there before, of what has changed.
    pub before: Members,
    /// What is there since.
    pub after: Members,
}

/// An entry of the audit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// Its id.
    pub id: AuditId,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: Actor,
    /// What.
    pub deed: Deed,
}

/// Members that say nothing of who changed what.
const DERIVED: [&str; 6] = ["id", "created_at", "updated_at", "waiting", "filter_failures", "public_keys"];
/// The member that names write-only settings that have changed.
const HIDDEN: &str = "hidden";

impl Deed {
    /// Something without more about it.
    pub fn new(action: Action, company: Option<Company>, subject: Option<String>) -> Self {
        let (before, after) = (Members::new(), Members::new());
        Self { action, company, domain: None, subscription: None, subject, before, after }
    }

    /// Something done to a webhook.
    pub fn to(action: Action, subscription: &Subscription) -> Self {
        let deed = Self::new(action, Some(subscription.company.clone()), Some(subscription.id.to_string()));
        Self { domain: subscription.domain.clone(), subscription: Some(subscription.id), ..deed }
    }

    /// A webhook that became another; only what has changed is said.
    pub fn between(action: Action, before: Option<&Subscription>, after: Option<&Subscription>) -> Option<Self> {
        let (mut was, mut is) = (before.map(settings).unwrap_or_default(), after.map(settings).unwrap_or_default());
        let hidden = changed_hidden(before, after);
        if before.is_some() && after.is_some() {
            let same: Vec<String> =
                was.iter().filter(|(name, value)| is.get(*name) == Some(value)).map(|(name, _)| name.clone()).collect();
            for name in same {
                was.remove(&name);
                is.remove(&name);
            }
        }
        if !hidden.is_empty() {
            is.insert(HIDDEN.to_owned(), json!(hidden));
        }
        let subject = after.or(before)?;
        Some(Self { before: was, after: is, ..Self::to(action, subject) })
    }

    /// Something done to a token.
    pub fn to_token(action: Action, token: &Token) -> Self {
        let shown = json!({
            "role": token.role.as_str(), "description": token.description,
            "expires_at": token.expires_at.map(|at| at.to_string()),
        });
        let deed = Self::new(action, token.company.clone(), Some(token.id.to_string()));
        match (action, shown) {
            (Action::TokenCreate, Value::Object(members)) => Self { after: members, ..deed },
            (_, Value::Object(members)) => Self { before: members, ..deed },
            _ => deed,
        }
    }

    /// The same, with more of what is there since.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.after.insert(name.to_owned(), value.into());
        self
    }
}

/// A webhook's settings as the audit shows them; without those that are empty.
fn settings(subscription: &Subscription) -> Members {
    let shown = serde_json::to_value(SubscriptionJson::of(subscription, 0, Timestamp::ZERO));
    let Ok(Value::Object(mut members)) = shown else { return Members::new() };
    for name in DERIVED {
        members.remove(name);
    }
    members.insert("url".to_owned(), json!(shown_url(&subscription.url)));
    let is_empty = |value: &Value| match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::String(text) => text.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    };
    members.retain(|_, value| !is_empty(value));
    members
}

/// A URL without its query, in which many receivers want a key.
pub fn shown_url(url: &str) -> String {
    let Ok(mut url) = Url::parse(url) else { return String::new() };
    let query = if url.query().is_some_and(|query| !query.is_empty()) { "?…" } else { "" };
    url.set_query(None);
    url.set_fragment(None);
    // Registration refuses both; an old record may have them.
    let _ = (url.set_username(""), url.set_password(None));
    format!("{url}{query}")
}

/// The names of the write-only settings that differ.
fn changed_hidden(before: Option<&Subscription>, after: Option<&Subscription>) -> Vec<String> {
    let (was, is) = (before.map(hidden).unwrap_or_default(), after.map(hidden).unwrap_or_default());
    let names = was.keys().chain(is.keys().filter(|name| !was.contains_key(*name)));
    names.filter(|name| was.get(*name) != is.get(*name)).cloned().collect()
}

/// The write-only settings by name.
fn hidden(subscription: &Subscription) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    all.insert("secret".to_owned(), subscription.secret.reveal());
    for header in &subscription.headers {
        all.insert(format!("headers/{}", header.name), header.value.expose().to_owned());
    }
    if let Some(certificate) = &subscription.client_certificate {
        all.insert("client_key".to_owned(), certificate.key.expose().to_owned());
    }
    let auth = subscription.target.auth.as_deref().map(|auth| match auth {
        Auth::Basic { password, .. } => ("auth/password", password.expose()),
        Auth::Bearer { token } => ("auth/token", token.expose()),
        Auth::ClientCredentials(credentials) => ("auth/client_secret", credentials.client_secret.expose()),
    });
    all.extend(auth.map(|(name, value)| (name.to_owned(), value.to_owned())));
    if let Some(query) = Url::parse(&subscription.url).ok().and_then(|url| url.query().map(str::to_owned)) {
        all.insert("url/query".to_owned(), query);
    }
    all
}
