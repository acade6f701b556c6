//! `report`: the call report, with small bars.

use std::collections::BTreeMap;
use std::io::Write;

use clap::{Args, ValueEnum};
use serde::Deserialize;

use super::choice::{among, sources};
use super::client::{Client, read, with_query};
use super::connection::Connection;
use super::exit::Failure;
use super::table::{Column, Table};
use super::text::{count, number_of, safe};
use super::time::Here;

/// Length of a bar, in columns.
const BAR: usize = 14;
/// Maximum outcomes shown.
const OUTCOMES_MOST: usize = 12;

/// Report on calls: how many, how they went, how long things took
#[derive(Debug, Args)]
#[command(after_help = "\
A call counts on the day (UTC) on which it began. CONNECTED and MISSED are for
each new call, REPLY for each call with an SMS to the lead. CLAIM and TALK are
medians: from the new call until it is claimed, and how long they talked.

Examples:
  hookswitch report --company acme --since 7d
  hookswitch report --by agent
  hookswitch report --json | jq .totals.connection_rate")]
pub(super) struct Report {
    #[command(flatten)]
    filter: Filter,

    /// day (default), hour, company, domain, source, agent
    #[arg(long, value_enum, default_value_t = By::Day, hide_possible_values = true, hide_default_value = true)]
    by: By,

    /// Print the daemon's reply as JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Only calls")]
struct Filter {
    /// … of this company
    #[arg(long)]
    company: Option<String>,
    /// … of this site
    #[arg(long)]
    domain: Option<String>,
    /// … from this source: widget, lead_connect or api
    #[arg(long, value_parser = among(sources()), hide_possible_values = true)]
    source: Option<String>,
    /// … that this agent took
    #[arg(long, value_name = "ID")]
    agent: Option<String>,
    /// … from this hour on: a date, RFC 3339, or 7d ago
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// … before this time
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum By {
    Day,
    Hour,
    Company,
    Domain,
    Source,
    Agent,
}

impl By {
    const fn word(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Hour => "hour",
            Self::Company => "company",
            Self::Domain => "domain",
            Self::Source => "source",
            Self::Agent => "agent",
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct CallReport {
    exact: bool,
    pub(super) totals: Figures,
    buckets: Vec<Bucket>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Bucket {
    bucket: Option<String>,
    #[serde(flatten)]
    figures: Figures,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Figures {
    pub(super) calls: u64,
    events: BTreeMap<String, u64>,
    connection_rate: Option<f64>,
    missed_rate: Option<f64>,
    time_to_claim: Lengths,
    time_to_connect: Lengths,
    duration: Lengths,
    outcomes: BTreeMap<String, u64>,
    pub(super) sms: Sms,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Lengths {
    calls: u64,
    median_seconds: Option<f64>,
    p90_seconds: Option<f64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Sms {
    calls_with_outbound: u64,
    pub(super) calls_with_reply: u64,
    reply_rate: Option<f64>,
    time_to_reply: Lengths,
}

impl Report {
    pub(super) fn run(self, out: &mut dyn Write) -> Result<(), Failure> {
        let client = Client::new(&self.connection)?;
        let Filter { company, domain, source, agent, since, until } = &self.filter;
        let here = Here::of_machine();
        let (since, until) = here.period(since, until)?;
        let parameters = [
            ("by", Some(self.by.word())),
            ("company", company.as_deref()),
            ("domain", domain.as_deref()),
            ("source", source.as_deref()),
            ("agent", agent.as_deref()),
            ("since", since.as_deref()),
            ("until", until.as_deref()),
        ];
        let reply = client.get(&with_query("/v1/report/calls", &parameters))?;
        if self.json {
            return Ok(writeln!(out, "{}", reply.trim_end())?);
        }
        write(&read(&reply)?, self.by.word(), out)
    }
}

/// Prints a report grouped by `by`.
pub(super) fn write(report: &CallReport, by: &str, out: &mut dyn Write) -> Result<(), Failure> {
    let title = by.to_uppercase();
    let mut table = Table::new(&[
        Column::elastic(if matches!(by, "day" | "hour") { "BEGAN (UTC)" } else { "WHICH" }),
        Column::text("CALLS"),
        Column::number(""),
        Column::number("CONNECTED"),
        Column::number("MISSED"),
        Column::number("CLAIM"),
        Column::number("TALK"),
        Column::number("REPLY"),
    ]);
    let most = report.buckets.iter().map(|bucket| bucket.figures.calls).max().unwrap_or(0);
    for Bucket { bucket, figures } in &report.buckets {
        let name = bucket.as_deref().unwrap_or("(none)");
        let name = if by == "hour" { name.get(..16).unwrap_or(name).replace('T', " ") } else { name.to_owned() };
        table.row([
            name,
            bar(figures.calls, most),
            count(figures.calls),
            percent(figures.connection_rate),
            percent(figures.missed_rate),
            length(figures.time_to_claim.median_seconds),
            length(figures.duration.median_seconds),
            percent(figures.sms.reply_rate),
        ]);
    }
    writeln!(out, "Calls by {}", title.to_lowercase())?;
    table.write(out, "No calls match.")?;
    write_totals(&report.totals, out)?;
    if !report.exact {
        writeln!(out, "\nMedians and percentiles are rounded, within one part in fifty: there are very many calls.")?;
    }
    Ok(())
}

fn write_totals(totals: &Figures, out: &mut dyn Write) -> Result<(), Failure> {
    if totals.calls == 0 && totals.sms.calls_with_outbound == 0 {
        return Ok(());
    }
    let new = totals.events.get("call.new").copied().unwrap_or(0);
    writeln!(out, "\nIn all           {}, {} of them new", number_of(totals.calls, "call"), count(new))?;
    for (name, rate) in [("connected", totals.connection_rate), ("missed", totals.missed_rate)] {
        if let Some(rate) = rate {
            writeln!(out, "{name:<15}  {} {:>6}", bar((rate * 1000.0) as u64, 1000), percent(Some(rate)))?;
        }
    }
    for (name, lengths) in [
        ("time to claim", &totals.time_to_claim),
        ("time to connect", &totals.time_to_connect),
        ("duration", &totals.duration),
        ("time to reply", &totals.sms.time_to_reply),
    ] {
        let Lengths { calls, median_seconds, p90_seconds } = lengths;
        if *calls > 0 {
            let (median, ninetieth) = (length(*median_seconds), length(*p90_seconds));
            let of = number_of(*calls, "call");
            writeln!(out, "{name:<15}  median {median}, 90 % within {ninetieth} ({of})")?;
        }
    }
    let Sms { calls_with_outbound: sent, calls_with_reply: answered, reply_rate, .. } = &totals.sms;
    if *sent > 0 {
        writeln!(
            out,
            "SMS              {} with an SMS to the lead, {} answered ({})",
            number_of(*sent, "call"),
            count(*answered),
            percent(*reply_rate)
        )?;
    }
    let mut outcomes: Vec<(&String, &u64)> = totals.outcomes.iter().collect();
    outcomes.sort_by_key(|(_, calls)| std::cmp::Reverse(**calls));
    let most = outcomes.first().map_or(0, |(_, calls)| **calls);
    for (at, (name, calls)) in outcomes.iter().take(OUTCOMES_MOST).enumerate() {
        let title = if at == 0 { "outcomes" } else { "" };
        writeln!(out, "{title:<15}  {} {:>6}  {}", bar(**calls, most), count(**calls), safe(name))?;
    }
    if outcomes.len() > OUTCOMES_MOST {
        writeln!(out, "{:<15}  and {} more", "", outcomes.len() - OUTCOMES_MOST)?;
    }
    Ok(())
}

/// `part` of `whole` as a bar of [`BAR`] columns, in eighths of a column.
fn bar(part: u64, whole: u64) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let full = BAR as u64 * 8;
    let eighths = if whole == 0 { 0 } else { (part.min(whole) * full).div_ceil(whole) };
    let (blocks, rest) = ((eighths / 8) as usize, (eighths % 8) as usize);
    let drawn = "█".repeat(blocks) + EIGHTHS[rest];
    let missing = BAR - blocks - usize::from(rest > 0);
    drawn + &" ".repeat(missing)
}

fn percent(rate: Option<f64>) -> String {
    rate.map_or_else(|| "-".to_owned(), |rate| format!("{:.1}%", rate * 100.0))
}

/// A duration for display.
fn length(seconds: Option<f64>) -> String {
    let Some(seconds) = seconds else { return "-".to_owned() };
    if seconds < 59.95 {
        return format!("{seconds:.1}s").replace(".0s", "s");
    }
    let whole = seconds.round() as u64;
    let (hours, minutes, seconds) = (whole / 3600, whole / 60 % 60, whole % 60);
    if hours > 0 { format!("{hours}h{minutes:02}m") } else { format!("{minutes}m{seconds:02}s") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::table::WIDTH;

    #[test]
    fn bars_are_as_long_as_their_values() {
        assert_eq!(bar(0, 0), " ".repeat(BAR));
        assert_eq!(bar(0, 9), " ".repeat(BAR));
        assert_eq!(bar(9, 9), "█".repeat(BAR));
        assert_eq!(bar(1, 1_000_000).trim_end(), "▏", "something is never nothing");
        assert_eq!(bar(1, 2).trim_end(), "█".repeat(BAR / 2));
    }

    #[test]
    fn lengths_are_said_as_people_do() {
        let cases = [
            (None, "-"),
            (Some(12.5), "12.5s"),
            (Some(20.0), "20s"),
            (Some(59.96), "1m00s"),
            (Some(402.0), "6m42s"),
            (Some(7260.0), "2h01m"),
        ];
        for (seconds, wanted) in cases {
            assert_eq!(length(seconds), wanted);
        }
    }

    #[test]
    fn a_report_fits_the_terminal_and_escapes_control_characters() {
        let text = serde_json::json!({
            "exact": false,
            "totals": {"calls": 12, "events": {"call.new": 12}, "connection_rate": 0.75, "missed_rate": 0.25,
                "time_to_claim": {"calls": 9, "median_seconds": 20.0, "p90_seconds": 60.0},
                "outcomes": {"finished": 9, "\u{1b}[2J": 3},
                "sms": {"calls_with_outbound": 4, "calls_with_reply": 1, "reply_rate": 0.25}},
            "buckets": [{"bucket": "2026-11-25", "calls": 12, "connection_rate": 1.0, "missed_rate": 0.0},
                {"bucket": null, "calls": 0}],
        })
        .to_string();
        for by in ["day", "hour", "agent"] {
            let mut out = Vec::new();
            write(&read(&text).unwrap(), by, &mut out).unwrap();
            let out = String::from_utf8(out).unwrap();
            assert!(out.lines().all(|line| line.chars().count() <= WIDTH + 10), "{out}");
            assert!(out.contains("100.0%") && out.contains("(none)") && !out.contains('\u{1b}'), "{out}");
            assert!(out.contains("4 calls with an SMS to the lead, 1 answered (25.0%)"), "{out}");
        }
    }
}
