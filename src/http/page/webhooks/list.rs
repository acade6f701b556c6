//! The list of webhooks: those with problems first, found by name or URL.

use std::cmp::Reverse;

use minijinja::value::Serde;
use minijinja::{Value, context};
use serde::de::IgnoredAny;

use super::form::SECTION;
use crate::core::event::Domain;
use crate::core::id::SubscriptionId;
use crate::http::page::charts;
use crate::http::page::event_types::titles;
use crate::http::page::logs;
use crate::http::page::problems::{self, is_failing, was_disabled};
use crate::http::page::visit::Visit;
use crate::http::problem::Problem;
use crate::http::reply::Reply;
use crate::http::stats;
use crate::store::SubscriptionStatus;

/// Webhooks on one page.
const PER_PAGE: usize = 50;
/// The orders, the usual one first.
const SORTS: [&str; 4] = ["problems", "name", "waiting", "newest"];

/// The list.
///
/// # Errors
/// Those of the API.
pub(in crate::http::page) async fn list(visit: &Visit) -> Result<Reply, Problem> {
    // The API says whether the visitor may see what the address names.
    let asked = visit.chosen(&["company", "domain"]).chain([("limit", "1")]);
    let _: IgnoredAny = visit.ask_for("/v1/subscriptions", asked).await?;
    let newest = logs::newest_tag(visit).await?;
    let domain = visit.parameter("domain");
    let is_of_domain =
        |one: &SubscriptionStatus| domain.is_none() || one.subscription.domain.as_ref().map(Domain::as_str) == domain;
    let mut all = problems::statuses(visit);
    let problems = problems::counted(&all);
    all.retain(is_of_domain);
    let count = all.len();
    let find = visit.parameter("find").unwrap_or_default();
    let sort = visit.parameter("sort").filter(|name| SORTS.contains(name)).unwrap_or(SORTS[0]);
    let only = visit.parameter("show") == Some("problems");
    let found = sorted(all.into_iter().filter(|one| one.matches(find) && (!only || is_problem(one))).collect(), sort);
    let total = found.len();
    let pages = total.div_ceil(PER_PAGE).max(1);
    let number = visit.parameter("page").map_or(Ok(1), str::parse);
    let number: usize = number.map_err(|_| Problem::invalid("?page", "must be a whole number, from 1"))?;
    // There may be fewer than when the link was made.
    let number = number.clamp(1, pages);
    let ids: Vec<SubscriptionId> =
        found.iter().skip((number - 1) * PER_PAGE).take(PER_PAGE).map(|one| one.subscription.id).collect();
    let mut items = Vec::with_capacity(ids.len());
    for id in &ids {
        match visit.ask(&format!("/v1/subscriptions/{id}"), []).await {
            Ok(item) => items.push(item),
            // Deleted meanwhile.
            Err(problem) if problem.status() == 404 => {}
            Err(problem) => return Err(problem),
        }
    }
    let standings = stats::standings(visit, ids.clone()).await?;
    let charts = charts::days(visit, ids).await?;
    let (standings, charts) = (Value::from(Serde(&standings)), Value::from(Serde(&charts)));
    let values = context! {
        items, count, total, page_number => number, pages, find, sort, sorts => SORTS.to_vec(), only, newest, standings, charts,
        titles => titles(visit), problems,
    };
    visit.page("webhooks.html", SECTION, values)
}

fn is_problem(status: &SubscriptionStatus) -> bool {
    is_failing(status) || was_disabled(status)
}

/// In the order called `sort`; those that are equal in it in order of creation.
fn sorted(mut all: Vec<SubscriptionStatus>, sort: &str) -> Vec<SubscriptionStatus> {
    let name = |one: &SubscriptionStatus| {
        let subscription = &one.subscription;
        let shown = if subscription.description.is_empty() { &subscription.url } else { &subscription.description };
        shown.to_lowercase()
    };
    match sort {
        "name" => all.sort_by_cached_key(name),
        "waiting" => all.sort_by_key(|one| Reverse(one.waiting)),
        "newest" => all.reverse(),
        _ => all.sort_by_key(|one| (!is_failing(one), !was_disabled(one), !one.subscription.enabled())),
    }
    all
}
