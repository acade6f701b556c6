//! The tabs of a stored webhook: its attempts, its settings, and code for its receiver.

use minijinja::value::Serde;
use minijinja::{Value, context};

use super::form::{SECTION, form};
use super::snippets;
use crate::core::id::SubscriptionId;
use crate::core::target::Signatures;
use crate::http::page::charts;
use crate::http::page::filters::Filters;
use crate::http::page::logs;
use crate::http::page::visit::Visit;
use crate::http::problem::Problem;
use crate::http::reply::Reply;
use crate::http::stats;

/// The filters of its attempts.
const FILTERS: [&str; 3] = ["status", "event", "response"];

/// The webhook, and how it is.
async fn read(visit: &Visit, id: SubscriptionId) -> Result<(Value, Value), Problem> {
    let webhook = visit.ask(&format!("/v1/subscriptions/{id}"), []).await?;
    let standing = stats::standings(visit, vec![id]).await?.remove(&id.to_string());
    Ok((webhook, Value::from(Serde(&standing))))
}

/// How it is, its attempts, and what can be done about them.
///
/// # Errors
/// 404 if the visitor may not see it.
pub(in crate::http::page) async fn activity(visit: &Visit, id: SubscriptionId) -> Result<Reply, Problem> {
    let (webhook, standing) = read(visit, id).await?;
    let chart = charts::days(visit, vec![id]).await?.remove(&id.to_string());
    let week = charts::week(visit, id).await;
    let filters = Filters::read(visit, &FILTERS);
    let text = id.to_string();
    let attempts = logs::attempts(visit, &filters, &[("subscription", &text)]).await?;
    let values = context! {
        webhook, standing, tab => "activity", chart => Value::from(Serde(&chart)), week => Value::from(Serde(&week)),
        ..attempts
    };
    visit.page("webhook_activity.html", SECTION, values)
}

/// The form.
///
/// # Errors
/// 404 if the visitor may not see it.
pub(in crate::http::page) async fn settings(visit: &Visit, id: SubscriptionId) -> Result<Reply, Problem> {
    let (webhook, standing) = read(visit, id).await?;
    form(visit, webhook, context! { standing, tab => "settings" }).await
}

/// The secret, and receivers to start from.
///
/// # Errors
/// 404 if the visitor may not see it.
pub(in crate::http::page) async fn code(visit: &Visit, id: SubscriptionId) -> Result<Reply, Problem> {
    let (webhook, standing) = read(visit, id).await?;
    let text = |name: &str| {
        webhook.get_attr(name).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
    };
    let signatures = Signatures::parse(&text("signature")).unwrap_or(Signatures::Symmetric);
    let snippets = snippets::of(&text("url"), &text("format"), &text("layout"), signatures)?;
    let values = context! { webhook, standing, tab => "code", snippets => Value::from(Serde(&snippets)) };
    visit.page("webhook_code.html", SECTION, values)
}
