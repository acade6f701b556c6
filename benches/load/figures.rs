//! Duration and repetition of measurements, and their statistics.

use std::time::Duration;

use super::Outcome;

/// Parameters from the environment, so that a quick look and a long run are the same bench.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    /// Duration of each measurement per round. `HOOKSWITCH_BENCH_SECONDS`, 3.
    pub(crate) time: Duration,
    /// Number of rounds, alternating. `HOOKSWITCH_BENCH_ROUNDS`, 3.
    pub(crate) rounds: usize,
    /// Waiting deliveries when the subscription is enabled. `HOOKSWITCH_BENCH_BACKLOG`, 20,000.
    pub(crate) backlog: usize,
}

impl Plan {
    /// From the environment. Without cargo's `--bench` (so under `cargo test --benches`) a short round that only
    /// shows that the bench runs.
    pub(crate) fn from_environment() -> Outcome<Self> {
        let short = !std::env::args().any(|argument| argument == "--bench");
        let (seconds, rounds, backlog) = if short { (0.2, 1.0, 1_000.0) } else { (3.0, 3.0, 20_000.0) };
        let seconds = number("HOOKSWITCH_BENCH_SECONDS", seconds)?;
        let rounds = number("HOOKSWITCH_BENCH_ROUNDS", rounds)?;
        let backlog = number("HOOKSWITCH_BENCH_BACKLOG", backlog)?;
        let time = Duration::try_from_secs_f64(seconds)?;
        Ok(Self { time, rounds: (rounds as usize).max(1), backlog: (backlog as usize).max(1) })
    }
}

fn number(name: &str, default: f64) -> Outcome<f64> {
    let Ok(text) = std::env::var(name) else { return Ok(default) };
    text.parse().map_err(|_| format!("{name} must be a number, not `{text}`").into())
}

/// One round's measurement of one quantity.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sample {
    /// Events per second.
    pub(crate) per_second: f64,
    /// The median latency.
    pub(crate) p50: Duration,
    /// The 99th percentile.
    pub(crate) p99: Duration,
}

impl Sample {
    /// Of `events` in `time`, with one latency per step.
    pub(crate) fn new(events: usize, time: Duration, mut latencies: Vec<Duration>) -> Self {
        latencies.sort_unstable();
        Self {
            per_second: events as f64 / time.as_secs_f64(),
            p50: quantile(&latencies, 0.5),
            p99: quantile(&latencies, 0.99),
        }
    }

    /// The median of each figure over the rounds.
    pub(crate) fn median(rounds: &[Self]) -> Self {
        let duration = |of: fn(&Self) -> Duration| {
            Duration::from_secs_f64(median(rounds.iter().map(|sample| of(sample).as_secs_f64()).collect()))
        };
        Self {
            per_second: median(rounds.iter().map(|sample| sample.per_second).collect()),
            p50: duration(|sample| sample.p50),
            p99: duration(|sample| sample.p99),
        }
    }
}

/// The value below which `share` of the ascending `values` lie; zero if empty.
fn quantile(values: &[Duration], share: f64) -> Duration {
    let index = (values.len().saturating_sub(1) as f64 * share) as usize;
    values.get(index).copied().unwrap_or_default()
}

/// The median; of an even number, the mean of the middle two.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        n if n % 2 == 1 => values[n / 2],
        n => f64::midpoint(values[n / 2 - 1], values[n / 2]),
    }
}

/// A duration in milliseconds, for a table.
pub(crate) fn millis(duration: Duration) -> String {
    format!("{:.2}", duration.as_secs_f64() * 1_000.0)
}

/// Prints a Markdown table: the first column left-aligned, the others right-aligned.
pub(crate) fn print_table(head: &[&str], rows: &[Vec<String>]) {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain([head[column].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let print = |cells: Vec<&str>| {
        let padded = cells.iter().zip(&widths).enumerate().map(|(column, (cell, width))| match column {
            0 => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        });
        println!("| {} |", padded.collect::<Vec<_>>().join(" | "));
    };
    print(head.to_vec());
    let rule = |(column, width): (usize, &usize)| match column {
        0 => "-".repeat(*width),
        _ => "-".repeat(*width - 1) + ":",
    };
    let rules: Vec<String> = widths.iter().enumerate().map(rule).collect();
    print(rules.iter().map(String::as_str).collect());
    for row in rows {
        print(row.iter().map(String::as_str).collect());
    }
}
