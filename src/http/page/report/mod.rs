//! Report: figures, charts and a table of calls.

mod chart;
mod figures;

use minijinja::value::Serde;
use minijinja::{Value, context};

use self::figures::{Bucket, Report};
use super::event_types::titles;
use super::filters::Filters;
use super::visit::Visit;
use crate::core::time::Timestamp;
use crate::http::problem::Problem;
use crate::http::reply::Reply;

const SECTION: &str = "report";
const FILTERS: [&str; 7] = ["company", "domain", "source", "agent", "since", "until", "by"];
/// The selectable ranges, in days up to now.
const RANGES: [u64; 4] = [1, 7, 30, 90];
const DAY: u64 = 24 * HOUR;
const HOUR: u64 = 3_600_000;
/// Maximum columns of a chart, including those without calls; beyond, only those with calls are drawn.
const MOST_COLUMNS: u64 = 400;

/// The report of the selected range, by default the last seven days.
///
/// # Errors
/// Those of the API, except for invalid filters, which are shown in the form.
pub(super) async fn show(visit: &Visit) -> Result<Reply, Problem> {
    let filters = Filters::read(visit, &FILTERS);
    let (since, days) = since(visit, &filters);
    let api_query = parameters(&filters, since.as_deref());
    let (report, fault) = match visit.ask_for::<Report>("/v1/report/calls", api_query).await {
        Ok(report) => (Some(report), None),
        Err(problem) if problem.status() == 422 => (None, Some(problem.detail().to_owned())),
        Err(problem) => return Err(problem),
    };
    let report = report.map(|mut report| {
        let now = (visit.services().clock)();
        let end = filters.get("until").and_then(|until| Timestamp::parse(until).ok()).unwrap_or(now);
        let begin = since.as_deref().or(filters.get("since")).and_then(|since| Timestamp::parse(since).ok());
        report.buckets = without_gaps(report.buckets, filters.get("by") == Some("hour"), begin, end);
        let charts = chart::of(&report, visit.texts());
        let names = names(visit, &report);
        context! { figures => Value::from(Serde(report)), charts => Value::from(Serde(charts)), names }
    });
    let query = {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(parameters(&filters, since.as_deref())).finish()
    };
    let values = context! {
        report, fault, query, days, ranges => RANGES.to_vec(), filters => filters.fields(),
        titles => titles(visit),
    };
    visit.page("report.html", SECTION, values)
}

/// The event types counted, in the catalogue's order, then any others.
fn names(visit: &Visit, report: &Report) -> Vec<String> {
    let counted = &report.totals.events;
    let known = visit.services().catalogue.entries().iter().map(|entry| entry.name.to_string());
    let mut names: Vec<String> = known.filter(|name| counted.contains_key(name)).collect();
    let others: Vec<String> = counted.keys().filter(|name| !names.contains(name)).cloned().collect();
    names.extend(others);
    names
}

/// The API's parameters, with a default `since`.
fn parameters<'f>(filters: &'f Filters, since: Option<&'f str>) -> Vec<(&'f str, &'f str)> {
    filters.parameters().chain(since.map(|since| ("since", since))).collect()
}

/// The default start, and its distance in days, today included.
fn since(visit: &Visit, filters: &Filters) -> (Option<String>, Option<u64>) {
    if filters.get("since").is_some() || filters.get("until").is_some() {
        return (None, None);
    }
    let chosen = visit.parameter("days").and_then(|days| days.parse().ok()).filter(|days| RANGES.contains(days));
    let days = chosen.unwrap_or(7);
    let today = (visit.services().clock)().millis() / DAY;
    let first = Timestamp::from_millis(today.saturating_sub(days - 1) * DAY);
    (Some(first.to_string()), Some(days))
}

/// Fills in the hours or days without calls between `begin` (or the first call) and `end`.
fn without_gaps(buckets: Vec<Bucket>, hourly: bool, begin: Option<Timestamp>, end: Timestamp) -> Vec<Bucket> {
    let step = if hourly { HOUR } else { DAY };
    let at = |bucket: &Bucket| bucket.since.as_deref().and_then(|since| Timestamp::parse(since).ok());
    let Some(first) = begin.or_else(|| buckets.first().and_then(at)) else { return buckets };
    let first = first.millis() / step;
    let last = (end.millis().max(1) - 1) / step;
    if last < first || last - first >= MOST_COLUMNS {
        return buckets;
    }
    let mut given = buckets.into_iter().peekable();
    let mut whole = Vec::new();
    for number in first..=last {
        let start = Timestamp::from_millis(number * step);
        while let Some(bucket) = given.next_if(|bucket| at(bucket).is_none_or(|at| at < start)) {
            whole.push(bucket);
        }
        whole.push(given.next_if(|bucket| at(bucket) == Some(start)).unwrap_or_else(|| Bucket::empty(start, hourly)));
    }
    whole.extend(given);
    whole
}

/// The report as CSV.
///
/// # Errors
/// Those of the API.
pub(super) async fn export(visit: &Visit) -> Result<Reply, Problem> {
    visit.csv("/v1/report/calls", Filters::read(visit, &FILTERS).parameters()).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_without_calls_are_there() {
        let time = |text: &str| Timestamp::parse(text).unwrap();
        let day = |text: &str| {
            let mut bucket = Bucket::empty(time(text), false);
            bucket.figures.calls = 3;
            bucket
        };
        let given = vec![day("2026-11-22T00:00:00Z"), day("2026-11-24T00:00:00Z")];
        let begin = Some(time("2026-11-21T00:00:00Z"));
        let filled = without_gaps(given, false, begin, time("2026-11-25T10:00:00Z"));
        let seen: Vec<_> = filled.iter().map(|bucket| (bucket.name(), bucket.figures.calls)).collect();
        let wanted = [("2026-11-21", 0), ("2026-11-22", 3), ("2026-11-23", 0), ("2026-11-24", 3), ("2026-11-25", 0)];
        assert_eq!(seen, wanted);
        let years = without_gaps(vec![day("2026-11-22T00:00:00Z")], false, Some(Timestamp::ZERO), Timestamp::MAX);
        assert_eq!(years.len(), 1, "not ever so many");
    }
}
