//! `GET /v1/report/calls`: figures of calls, in total and by day, hour or another dimension.
//!
//! Reads the counts made when events were accepted, not the events.

use hyper::StatusCode;
use hyper::header::{ACCEPT, CONTENT_DISPOSITION, HeaderValue};
use serde::Serialize;

use super::body::{Body, with_body};
use super::bridge;
use super::export::Kind;
use super::problem::Problem;
use super::query;
use super::reply::{Reply, json};
use super::request::Permitted;
use super::shape::{Object, Text};
use crate::core::catalogue::Catalogue;
use crate::core::event::{Company, Domain, EventType, Source};
use crate::core::report::{By, Figures, Part, Report, Times};
use crate::core::text::harmless;
use crate::core::time::Timestamp;
use crate::store::ReportFilter;

/// Maximum parts of a report.
const MOST_PARTS: usize = 1_000;
const HOUR: u64 = 3_600_000;

#[derive(Serialize)]
struct Whole<'r> {
    company: Option<&'r str>,
    domain: Option<&'r str>,
    source: Option<&'static str>,
    agent: Option<&'r str>,
    /// The beginning of the first hour included, if limited.
    since: Option<Text<Timestamp>>,
    /// The end of the last one.
    until: Option<Text<Timestamp>>,
    by: &'static str,
    /// Whether medians and percentiles are exact.
    exact: bool,
    totals: FiguresJson<'r>,
    buckets: Vec<Bucket<'r>>,
}

#[derive(Serialize)]
struct Bucket<'r> {
    bucket: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<Text<Timestamp>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<Text<Timestamp>>,
    #[serde(flatten)]
    figures: FiguresJson<'r>,
}

#[derive(Serialize)]
struct FiguresJson<'r> {
    calls: u64,
    events: Object<&'r str, u64>,
    connection_rate: Option<f64>,
    missed_rate: Option<f64>,
    time_to_claim: Lengths,
    time_to_connect: Lengths,
    duration: Lengths,
    outcomes: &'r std::collections::BTreeMap<String, u64>,
    sms: Sms,
}

#[derive(Serialize)]
struct Sms {
    calls_with_outbound: u64,
    calls_with_reply: u64,
    reply_rate: Option<f64>,
    time_to_reply: Lengths,
}

#[derive(Serialize)]
struct Lengths {
    calls: u64,
    median_seconds: Option<f64>,
    p90_seconds: Option<f64>,
}

impl Lengths {
    fn of(times: &Times) -> Self {
        let seconds = |millis: f64| millis / 1_000.0;
        Self {
            calls: times.count(),
            median_seconds: times.median().map(seconds),
            p90_seconds: times.ninetieth().map(seconds),
        }
    }
}

/// The event types of a report: those of the catalogue, in order, and any others.
fn types<'r>(report: &'r Report, catalogue: &'r Catalogue) -> Vec<&'r str> {
    let mut names: Vec<&str> = catalogue.entries().iter().map(|entry| entry.name.as_str()).collect();
    let others: Vec<&str> =
        report.totals.events.keys().map(EventType::as_str).filter(|name| !names.contains(name)).collect();
    names.extend(others);
    names
}

fn shown<'r>(figures: &'r Figures, types: &[&'r str]) -> FiguresJson<'r> {
    FiguresJson {
        calls: figures.calls,
        events: Object(types.iter().map(|name| (*name, figures.of_type(name))).collect()),
        connection_rate: figures.connection_rate(),
        missed_rate: figures.missed_rate(),
        time_to_claim: Lengths::of(&figures.claim),
        time_to_connect: Lengths::of(&figures.connect),
        duration: Lengths::of(&figures.talk),
        outcomes: &figures.outcomes,
        sms: Sms {
            calls_with_outbound: figures.texted,
            calls_with_reply: figures.replied,
            reply_rate: figures.reply_rate(),
            time_to_reply: Lengths::of(&figures.reply),
        },
    }
}

/// The name of a part, and its bounds if it is a time range.
fn named(part: &Part) -> (Option<String>, Option<(Timestamp, Timestamp)>) {
    let hours =
        |first: u64, count: u64| (Timestamp::from_millis(first * HOUR), Timestamp::from_millis((first + count) * HOUR));
    match part {
        Part::Hour(hour) => {
            let span = hours(u64::from(*hour), 1);
            (Some(span.0.to_string()), Some(span))
        }
        Part::Day(day) => {
            let span = hours(u64::from(*day) * 24, 24);
            (span.0.to_string().get(..10).map(str::to_owned), Some(span))
        }
        Part::Name(name) => (name.clone(), None),
    }
}

fn bucket<'r>(part: &Part, figures: &'r Figures, types: &[&'r str]) -> Bucket<'r> {
    let (bucket, span) = named(part);
    Bucket {
        bucket,
        since: span.map(|(since, _)| Text(since)),
        until: span.map(|(_, until)| Text(until)),
        figures: shown(figures, types),
    }
}

/// The report, as JSON or as CSV.
pub(super) async fn calls(request: Permitted) -> Result<Reply, Problem> {
    let kind = request.headers().get(ACCEPT).and_then(|accept| Kind::wanted(accept.to_str().ok()?));
    let mut query = request.query();
    let mut filter = ReportFilter {
        company: query.take("company", Company::parse),
        domain: query.take("domain", Domain::parse),
        source: query.take("source", Source::parse),
        agent: query.take("agent", query::text),
        since: query.take_with_plus("since", Timestamp::parse),
        until: query.take_with_plus("until", Timestamp::parse),
    };
    let by = query.take("by", By::parse).unwrap_or(By::Day);
    query.finish()?;
    filter.company = request.access.narrow(filter.company)?;
    filter.domain = request.access.narrow_domain(filter.domain)?;
    let reply_filter = filter.clone();
    let services = request.services();
    let report = bridge::read(&request, move |store| store.call_report(&filter, by, MOST_PARTS)).await?;
    let report = report.ok_or_else(|| too_many(by))?;
    let types = types(&report, &services.catalogue);
    if kind == Some(Kind::Csv) {
        let text = csv(&report, &types, by).map_err(|_| Problem::internal())?;
        let mut reply = with_body(StatusCode::OK, Kind::Csv.content_type(), Body::Whole(text.into()));
        let name = HeaderValue::from_static("attachment; filename=\"hookswitch-calls.csv\"");
        reply.headers_mut().insert(CONTENT_DISPOSITION, name);
        return Ok(reply);
    }
    let hour = |millis: u64| Text(Timestamp::from_millis(millis / HOUR * HOUR));
    json(
        StatusCode::OK,
        &Whole {
            company: reply_filter.company.as_ref().map(Company::as_str),
            domain: reply_filter.domain.as_ref().map(Domain::as_str),
            source: reply_filter.source.map(Source::as_str),
            agent: reply_filter.agent.as_deref(),
            since: reply_filter.since.map(|since| hour(since.millis())),
            until: reply_filter.until.map(|until| hour(until.millis() + HOUR - 1)),
            by: by.as_str(),
            exact: report.totals.is_exact() && report.parts.values().all(Figures::is_exact),
            totals: shown(&report.totals, &types),
            buckets: report.parts.iter().map(|(part, figures)| bucket(part, figures, &types)).collect(),
        },
    )
}

fn too_many(by: By) -> Problem {
    let instead = if by == By::Hour { ", or `by=day`" } else { "" };
    let by = by.as_str();
    let detail =
        format!("divides these calls into more than {MOST_PARTS} parts (`{by}`): ask for a shorter range{instead}");
    Problem::invalid("?by", detail)
}

/// A row for each part and one for the total, a column for each figure.
fn csv(report: &Report, types: &[&str], by: By) -> Result<Vec<u8>, csv::Error> {
    let outcomes: Vec<&String> = report.totals.outcomes.keys().collect();
    let mut head = vec![by.as_str().to_owned(), "Calls".to_owned()];
    head.extend(types.iter().map(|name| (*name).to_owned()));
    head.extend(["Connection rate", "Missed rate"].map(str::to_owned));
    for what in ["Time to claim", "Time to connect", "Duration"] {
        head.extend([format!("{what}: median (s)"), format!("{what}: 90th percentile (s)")]);
    }
    let sms = ["SMS: calls with outbound", "SMS: calls with reply", "SMS: reply rate"];
    head.extend(sms.map(str::to_owned));
    head.extend(["SMS: median time to reply (s)", "SMS: 90th percentile of time to reply (s)"].map(str::to_owned));
    head.extend(outcomes.iter().map(|name| format!("Outcome: {name}")));
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    writer.write_record(head.into_iter().map(harmless))?;
    for (part, figures) in &report.parts {
        let (name, _) = named(part);
        writer.write_record(row(name.unwrap_or_default(), figures, types, &outcomes))?;
    }
    writer.write_record(row("total".to_owned(), &report.totals, types, &outcomes))?;
    writer.into_inner().map_err(|error| error.into_error().into())
}

fn row(name: String, figures: &Figures, types: &[&str], outcomes: &[&String]) -> Vec<String> {
    fn text(value: Option<f64>) -> String {
        value.map(|value| value.to_string()).unwrap_or_default()
    }
    let lengths = |times: &Times| {
        let Lengths { median_seconds, p90_seconds, .. } = Lengths::of(times);
        [text(median_seconds), text(p90_seconds)]
    };
    let mut cells = vec![harmless(name), figures.calls.to_string()];
    cells.extend(types.iter().map(|name| figures.of_type(name).to_string()));
    cells.extend([text(figures.connection_rate()), text(figures.missed_rate())]);
    cells.extend([&figures.claim, &figures.connect, &figures.talk].into_iter().flat_map(lengths));
    cells.extend([figures.texted.to_string(), figures.replied.to_string(), text(figures.reply_rate())]);
    cells.extend(lengths(&figures.reply));
    cells.extend(outcomes.iter().map(|name| figures.outcomes.get(*name).copied().unwrap_or(0).to_string()));
    cells
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let mut figures = Figures { calls: 2, texted: 1, ..Figures::default() };
        for (name, count) in [("call.new", 2), ("call.connected", 1), ("zzz.old", 1)] {
            figures.events.insert(EventType::parse(name).unwrap(), count);
        }
        figures.outcomes.insert("=done".to_owned(), 1);
        figures.claim.add(12_500, 1);
        Report { totals: figures.clone(), parts: [(Part::Day(20_782), figures)].into() }
    }

    #[test]
    fn undefined_ratios_are_null_and_days_have_bounds() {
        let (report, catalogue) = (report(), Catalogue::new(Vec::new()).unwrap());
        let types = types(&report, &catalogue);
        let (part, figures) = report.parts.first_key_value().unwrap();
        let shown = serde_json::to_value(bucket(part, figures, &types)).unwrap();
        assert_eq!((&shown["bucket"], &shown["since"]), (&"2026-11-25".into(), &"2026-11-25T00:00:00.000Z".into()));
        assert_eq!(shown["until"], "2026-11-26T00:00:00.000Z");
        assert_eq!((&shown["connection_rate"], &shown["missed_rate"]), (&0.5.into(), &0.0.into()));
        assert_eq!((&shown["events"]["call.missed"], &shown["events"]["zzz.old"]), (&0.into(), &1.into()));
        let claim = serde_json::json!({"calls": 1, "median_seconds": 12.5, "p90_seconds": 12.5});
        assert_eq!(shown["time_to_claim"], claim);
        assert!(
            shown["duration"]["median_seconds"].is_null() && shown["sms"]["time_to_reply"]["p90_seconds"].is_null()
        );
        assert_eq!(shown["sms"]["reply_rate"], 0.0);
    }

    #[test]
    fn csv_has_a_row_for_each_part_and_one_for_all() {
        let (report, catalogue) = (report(), Catalogue::new(Vec::new()).unwrap());
        let text = csv(&report, &types(&report, &catalogue), By::Day).unwrap();
        let mut reader = csv::Reader::from_reader(text.as_slice());
        let head = reader.headers().unwrap().clone();
        assert_eq!(head.iter().take(3).collect::<Vec<_>>(), ["day", "Calls", "call.new"]);
        assert_eq!(head.iter().next_back(), Some("Outcome: =done"));
        let rows: Vec<_> = reader.records().map(Result::unwrap).collect();
        let firsts: Vec<_> = rows.iter().map(|row| (row[0].to_owned(), row[1].to_owned())).collect();
        assert_eq!(firsts, [("2026-11-25", "2"), ("total", "2")].map(|(a, b)| (a.to_owned(), b.to_owned())));
        let cell = |name: &str| &rows[0][head.iter().position(|column| column == name).unwrap()];
        assert_eq!((cell("Time to claim: median (s)"), cell("Duration: median (s)")), ("12.5", ""));
    }
}
