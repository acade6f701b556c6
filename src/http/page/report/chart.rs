//! The report's charts, as coordinates in a 100 by 100 field that a template draws.
//!
//! Coordinates are percentages, so a chart fits any width while text and lines keep their size. Series differ by
//! pattern, dash or shape, never by colour alone.

use serde::Serialize;

use super::figures::{Bucket, Figures, Report};
use crate::texts::Texts;

/// Maximum columns with a number on top, and with a name below.
const NUMBERED: usize = 16;
const NAMED: usize = 6;
/// Width reserved for the axis labels.
const AXIS: f64 = 8.0;

/// All charts.
#[derive(Serialize)]
pub(super) struct Charts {
    calls: Chart,
    rates: Chart,
    claim: Chart,
    outcomes: Vec<Share>,
}

/// One chart: columns, lines, or both.
#[derive(Serialize, Default)]
pub(super) struct Chart {
    columns: Vec<Column>,
    lines: Vec<Line>,
    ticks: Vec<Tick>,
    /// Whether there is anything to draw.
    any: bool,
}

/// The position of one bucket, with its bars.
#[derive(Serialize)]
struct Column {
    x: f64,
    width: f64,
    middle: f64,
    /// The label below the axis, if there is room.
    name: Option<String>,
    /// The label's anchor: `start`, `middle` or `end`.
    anchor: &'static str,
    /// Everything in words.
    words: String,
    bars: Vec<Bar>,
    number: Option<u64>,
    top: f64,
}

#[derive(Serialize)]
struct Bar {
    series: &'static str,
    y: f64,
    height: f64,
}

/// One series over the buckets; interrupted where a bucket has no value.
#[derive(Serialize)]
struct Line {
    series: &'static str,
    points: Vec<(f64, f64)>,
    segments: Vec<(f64, f64, f64, f64)>,
}

#[derive(Serialize)]
struct Tick {
    y: f64,
    label: String,
}

/// The share of one outcome.
#[derive(Serialize)]
struct Share {
    name: String,
    count: u64,
    width: f64,
}

/// The charts of a report.
pub(super) fn of(report: &Report, texts: &Texts) -> Charts {
    let language = texts.language();
    Charts {
        calls: calls(&report.buckets, texts),
        rates: lines(
            &report.buckets,
            &[("first", |one| one.connection_rate), ("second", |one| one.missed_rate)],
            Some(1.0),
            texts,
            |value| language.percent(value),
        ),
        claim: lines(
            &report.buckets,
            &[("first", |one| one.time_to_claim.median_seconds), ("second", |one| one.time_to_claim.p90_seconds)],
            None,
            texts,
            |value| language.seconds(value),
        ),
        outcomes: outcomes(&report.totals),
    }
}

/// The next round number from `most` up: 1, 2 or 5 times a power of ten, and its half.
fn round(most: f64) -> f64 {
    let power = 10_f64.powf(most.max(1.0).log10().floor());
    [1.0, 2.0, 4.0, 5.0, 10.0].into_iter().map(|factor| factor * power).find(|round| *round >= most).unwrap_or(most)
}

fn ticks(top: f64, label: impl Fn(f64) -> String) -> Vec<Tick> {
    [0.0, 0.5, 1.0].map(|part| Tick { y: 100.0 - part * 100.0, label: label(top * part) }).into()
}

fn column(buckets: &[Bucket], index: usize, texts: &Texts) -> Column {
    let share = (100.0 - AXIS) / buckets.len() as f64;
    let every = buckets.len().div_ceil(NAMED);
    let middle = AXIS + (index as f64 + 0.5) * share;
    let named = index.is_multiple_of(every);
    let anchor = match middle {
        ..8.0 => "start",
        92.0.. => "end",
        _ => "middle",
    };
    let (x, width) = (AXIS + index as f64 * share + share * 0.14, share * 0.72);
    let bucket = &buckets[index];
    let name = named.then(|| short_name(bucket.name(), texts));
    Column { x, width, middle, name, anchor, words: String::new(), bars: Vec::new(), number: None, top: 100.0 }
}

/// `11-25` of a day, `11-25 09:00` of an hour, as the language writes days; else the beginning of the name.
fn short_name(name: &str, texts: &Texts) -> String {
    match (texts.language().day(name), name.get(11..16)) {
        (Some(day), Some(time)) if name.ends_with('Z') => format!("{day} {time}"),
        (Some(day), None) if name.len() == 10 => day,
        _ => name.chars().take(12).collect(),
    }
}

fn calls(buckets: &[Bucket], texts: &Texts) -> Chart {
    let most = buckets.iter().map(|bucket| bucket.figures.calls).max().unwrap_or(0);
    let top = round((most as f64).max(2.0));
    let columns = (0..buckets.len()).map(|index| {
        let (bucket, mut column) = (&buckets[index], column(buckets, index, texts));
        let all = bucket.figures.calls;
        let connected = bucket.figures.of("call.connected").min(all);
        // A call that was missed first and connected later counts as connected.
        let missed = bucket.figures.of("call.missed").min(all - connected);
        let mut y = 100.0;
        for (series, count) in [("connected", connected), ("missed", missed), ("other", all - connected - missed)] {
            let height = count as f64 / top * 100.0;
            y -= height;
            if count > 0 {
                column.bars.push(Bar { series, y, height });
            }
        }
        column.top = y;
        column.number = (all > 0 && buckets.len() <= NUMBERED).then_some(all);
        let name = texts.language().bucket(bucket.name());
        let counts = [("calls", all.into()), ("connected", connected.into()), ("missed", missed.into())];
        let arguments = counts.into_iter().chain([("name", name.into())]).collect::<Vec<_>>();
        column.words = texts.text_with("report-column", &arguments);
        column
    });
    Chart {
        columns: columns.collect(),
        lines: Vec::new(),
        ticks: ticks(top, |value| texts.language().decimal(value, if value.fract() == 0.0 { 0 } else { 1 })),
        any: most > 0,
    }
}

type Series = (&'static str, fn(&Figures) -> Option<f64>);

fn lines(
    buckets: &[Bucket],
    series: &[Series],
    top: Option<f64>,
    texts: &Texts,
    label: impl Fn(f64) -> String,
) -> Chart {
    let values = series.iter().flat_map(|(_, value)| buckets.iter().filter_map(|bucket| value(&bucket.figures)));
    let (count, most) = values.fold((0, 0.0), |(count, most), value| (count + 1, value.max(most)));
    let top = top.unwrap_or_else(|| round(most));
    let columns = (0..buckets.len()).map(|index| column(buckets, index, texts)).collect::<Vec<_>>();
    let line = |(series, value): &Series| {
        let place = |bucket: &Bucket, column: &Column| {
            Some((column.middle, 100.0 - value(&bucket.figures)?.min(top) / top * 100.0))
        };
        let places: Vec<_> = buckets.iter().zip(&columns).map(|(bucket, column)| place(bucket, column)).collect();
        let pairs = places.windows(2).filter_map(|pair| Some((pair[0]?, pair[1]?)));
        let segments = pairs.map(|((x1, y1), (x2, y2))| (x1, y1, x2, y2)).collect();
        Line { series, points: places.into_iter().flatten().collect(), segments }
    };
    let lines = series.iter().map(line).collect();
    Chart { lines, columns, ticks: ticks(top, label), any: count > 0 }
}

/// The outcomes, most frequent first.
fn outcomes(totals: &Figures) -> Vec<Share> {
    let most = totals.outcomes.values().max().copied().unwrap_or(0).max(1) as f64;
    let share = |(name, count): (&String, &u64)| Share {
        name: name.clone(),
        count: *count,
        width: *count as f64 / most * 100.0,
    };
    let mut shares: Vec<_> = totals.outcomes.iter().map(share).collect();
    shares.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.name.cmp(&b.name)));
    shares
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::time::Timestamp;
    use crate::texts::Language;

    fn english() -> &'static Texts {
        Texts::of(Language::English)
    }

    fn day(number: u64, calls: u64, connected: u64, missed: u64) -> Bucket {
        let mut bucket = Bucket::empty(Timestamp::from_millis(number * 86_400_000), false);
        bucket.figures.calls = calls;
        bucket.figures.events =
            [("call.connected".to_owned(), connected), ("call.missed".to_owned(), missed)].into_iter().collect();
        bucket.figures.connection_rate = (calls > 0).then(|| connected as f64 / calls as f64);
        bucket
    }

    #[test]
    fn bars_stand_on_each_other_and_make_up_the_calls() {
        let chart = calls(&[day(20_780, 10, 6, 3), day(20_781, 0, 0, 0), day(20_782, 4, 4, 4)], english());
        let heights =
            |index: usize| chart.columns[index].bars.iter().map(|bar| (bar.series, bar.height)).collect::<Vec<_>>();
        assert_eq!(heights(0), [("connected", 60.0), ("missed", 30.0), ("other", 10.0)]);
        assert_eq!(heights(1), []);
        assert_eq!(heights(2), [("connected", 40.0)], "missed first, connected later");
        assert_eq!((chart.columns[0].top, chart.columns[1].number, chart.columns[2].number), (0.0, None, Some(4)));
        assert_eq!(chart.columns[2].name.as_deref(), Some("11-25"));
        assert_eq!(chart.columns[2].words, "2026-11-25: 4 calls, 4 connected, 0 missed");
        let chart = calls(&[day(20_782, 1, 0, 1)], Texts::of(Language::German));
        assert_eq!(chart.columns[0].name.as_deref(), Some("25.11."));
        assert_eq!(chart.columns[0].words, "25.11.2026: 1 Anruf, 0 verbunden, 1 verpasst");
    }

    #[test]
    fn a_line_is_broken_where_nothing_is_known() {
        let buckets = [day(1, 2, 1, 0), day(2, 2, 2, 0), day(3, 0, 0, 0), day(4, 1, 0, 0)];
        let chart =
            lines(&buckets, &[("first", |one| one.connection_rate)], Some(1.0), english(), |value| value.to_string());
        assert_eq!((chart.lines[0].points.len(), chart.lines[0].segments.len()), (3, 1));
        assert_eq!(chart.lines[0].segments[0], (19.5, 50.0, 42.5, 0.0));
    }

    #[test]
    fn axes_end_at_round_numbers() {
        for (most, wanted) in
            [(0.0, 1.0), (3.0, 4.0), (4.5, 5.0), (7.0, 10.0), (11.0, 20.0), (99.0, 100.0), (350.0, 400.0)]
        {
            assert_eq!(round(most), wanted, "{most}");
        }
    }
}
