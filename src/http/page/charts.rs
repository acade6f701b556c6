//! The charts of a view's webhooks.

use std::collections::BTreeMap;

use super::recent::{Chart, Last};
use super::visit::Visit;
use crate::core::id::SubscriptionId;
use crate::http::log;
use crate::http::problem::Problem;
use crate::store::LogFilter;

/// How many webhooks without a counted attempt are looked up in the log, in one view.
const LOOKED_UP: usize = 20;

/// Those of the last 24 hours, by id.
///
/// # Errors
/// The log cannot be read.
pub(super) async fn days(visit: &Visit, ids: Vec<SubscriptionId>) -> Result<BTreeMap<String, Chart>, Problem> {
    let now = (visit.services().clock)();
    let mut found: Vec<(SubscriptionId, Chart)> = {
        let mut recent = visit.recent().lock().await;
        recent.update(visit, now).await?;
        ids.into_iter().map(|id| (id, recent.chart(id, now))).collect()
    };
    // One whose attempts were not counted, because there are too many of others, still had some.
    let tried = |id: SubscriptionId| {
        let health = visit.services().store.health(id);
        health.failures > 0 || health.last_success.is_some()
    };
    let missing = found.iter_mut().filter(|(id, chart)| chart.last.is_none() && tried(*id));
    for (id, chart) in missing.take(LOOKED_UP) {
        let filter = LogFilter { test: Some(false), subscription: Some(*id), ..LogFilter::default() };
        let newest = log::page(visit, filter, None, 1).await?;
        chart.last = newest.items.first().map(Last::of);
    }
    Ok(found.into_iter().map(|(id, chart)| (id.to_string(), chart)).collect())
}

/// The chart of one webhook's week, as far as [`days`] has counted it.
pub(super) async fn week(visit: &Visit, id: SubscriptionId) -> Chart {
    visit.recent().lock().await.week(id, (visit.services().clock)())
}
