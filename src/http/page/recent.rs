//! The attempts of the last day and week by webhook: the last response and small charts.
//!
//! Read from the log when the list is viewed, and only what is new since the last view. Invariant: one update reads at
//! most [`MOST`] entries; if there are more, older ones are left out and the chart states the time from which it counts.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use crate::core::attempt::{LogEntry, Status};
use crate::core::id::{AttemptId, SubscriptionId};
use crate::core::time::Timestamp;
use crate::http::bridge::Asker;
use crate::http::log;
use crate::http::problem::Problem;
use crate::store::LogFilter;

/// Maximum entries read by one update.
const MOST: usize = 20_000;
/// Entries read at once.
const PAGE: usize = 500;
const HOUR: u64 = 3_600_000;
/// Hours of a day's chart: one bar each.
const DAY: u64 = 24;
/// Hours of a week's chart: one bar for [`PART`] of them.
const WEEK: u64 = 7 * DAY;
const PART: u64 = 6;

/// The attempts of the last week.
#[derive(Default)]
pub(super) struct Recent {
    /// The newest entry counted.
    newest: Option<AttemptId>,
    /// Everything since then is counted, if not the whole week.
    from: Option<Timestamp>,
    of: HashMap<SubscriptionId, Track>,
}

#[derive(Default)]
struct Track {
    last: Option<Last>,
    /// By hour since 1970: delivered and failed attempts.
    hours: BTreeMap<u64, (u32, u32)>,
}

/// The last attempt other than tests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Last {
    id: String,
    at: String,
    response: Option<u16>,
    error: Option<&'static str>,
    delivered: bool,
}

/// A chart of hours, in a field of `width` by 20.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(super) struct Chart {
    pub(super) last: Option<Last>,
    attempts: u64,
    failed: u64,
    /// Percentage of delivered attempts, such as `99.4`; `None` without attempts.
    rate: Option<String>,
    bars: Vec<Bar>,
    /// Start of counting, if that is within the chart.
    since: Option<String>,
    width: u64,
}

#[derive(Debug, PartialEq, Serialize)]
struct Bar {
    x: u64,
    good: f64,
    bad: f64,
}

impl Recent {
    /// Counts the new entries of the log.
    ///
    /// # Errors
    /// The log cannot be read.
    pub(super) async fn update(&mut self, asker: &impl Asker, now: Timestamp) -> Result<(), Problem> {
        let week = Timestamp::from_millis(now.millis().saturating_sub(WEEK * HOUR));
        let filter = LogFilter { test: Some(false), since: Some(week), ..LogFilter::default() };
        let (mut fresh, mut after, mut read) = (Vec::new(), None, 0);
        let known = self.newest;
        let complete = loop {
            let page = log::page(asker, filter.clone(), after, PAGE).await?;
            read += page.items.len();
            let new = page.items.iter().take_while(|entry| known.is_none_or(|known| entry.id.bits() > known.bits()));
            let before = fresh.len();
            fresh.extend(new.map(Seen::of));
            let at_known = fresh.len() - before < page.items.len();
            match page.next {
                _ if at_known => break true,
                None => break true,
                Some(_) if read >= MOST => break false,
                next => after = next,
            }
        };
        if !complete {
            self.of.clear();
            self.from = fresh.last().map(|seen| seen.at);
        }
        self.take(&fresh, week);
        Ok(())
    }

    /// Counts `fresh`, newest first, and drops what is older than `begin`.
    fn take(&mut self, fresh: &[Seen], begin: Timestamp) {
        if let Some(first) = fresh.first() {
            self.newest = Some(first.id);
        }
        for seen in fresh.iter().rev() {
            let track = self.of.entry(seen.subscription).or_default();
            let hour = track.hours.entry(seen.at.millis() / HOUR).or_default();
            if seen.last.delivered {
                hour.0 += 1;
            } else {
                hour.1 += 1;
            }
            track.last = Some(seen.last.clone());
        }
        let oldest = begin.millis() / HOUR + 1;
        for track in self.of.values_mut() {
            track.hours.retain(|hour, _| *hour >= oldest);
        }
        self.of.retain(|_, track| !track.hours.is_empty());
        self.from = self.from.filter(|from| from.millis() > begin.millis());
    }

    /// The chart of the day of one webhook as of `now`.
    pub(super) fn chart(&self, id: SubscriptionId, now: Timestamp) -> Chart {
        self.drawn(id, now, DAY, 1)
    }

    /// The chart of its week.
    pub(super) fn week(&self, id: SubscriptionId, now: Timestamp) -> Chart {
        self.drawn(id, now, WEEK, PART)
    }

    /// The chart of the last `hours`, with a bar for each `part` of them.
    fn drawn(&self, id: SubscriptionId, now: Timestamp, hours: u64, part: u64) -> Chart {
        let newest = now.millis() / HOUR;
        let begin = now.millis().saturating_sub(hours * HOUR);
        let since = self.from.filter(|from| from.millis() > begin).map(|from| from.to_string());
        let width = hours / part;
        let Some(track) = self.of.get(&id) else { return Chart { since, width, ..Chart::default() } };
        let (mut sums, mut delivered, mut failed) = (BTreeMap::<u64, (u32, u32)>::new(), 0_u64, 0_u64);
        for (hour, (good, bad)) in &track.hours {
            let Some(ago) = newest.checked_sub(*hour).filter(|ago| *ago < hours) else { continue };
            let sum = sums.entry(width - 1 - ago / part).or_default();
            *sum = (sum.0 + good, sum.1 + bad);
            (delivered, failed) = (delivered + u64::from(*good), failed + u64::from(*bad));
        }
        let attempts = delivered + failed;
        let most = sums.values().map(|(good, bad)| good + bad).max().unwrap_or(1);
        let height = |count: u32| (f64::from(count) / f64::from(most) * 200.0).ceil() / 10.0;
        let bars = sums.iter().map(|(x, (good, bad))| Bar { x: *x, good: height(*good), bad: height(*bad) });
        // Rounded down: 100 % means no failure at all.
        let rate = (attempts > 0).then(|| delivered * 1_000 / attempts);
        let rate = rate
            .map(|rate| if rate % 10 == 0 { format!("{}", rate / 10) } else { format!("{}.{}", rate / 10, rate % 10) });
        Chart { last: track.last.clone(), attempts, failed, rate, bars: bars.collect(), since, width }
    }
}

/// The counted part of an entry.
struct Seen {
    id: AttemptId,
    subscription: SubscriptionId,
    at: Timestamp,
    last: Last,
}

impl Last {
    /// The result of `entry`.
    pub(super) fn of(entry: &LogEntry) -> Self {
        Seen::of(entry).last
    }
}

impl Seen {
    fn of(entry: &LogEntry) -> Self {
        let last = Last {
            id: entry.id.to_string(),
            at: entry.created.to_string(),
            response: entry.response,
            error: entry.error.map(crate::core::attempt::Fault::as_str),
            delivered: entry.status == Status::Delivered,
        };
        Self { id: entry.id, subscription: entry.subscription, at: entry.created, last }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(id: u128, at: u64, delivered: bool) -> Seen {
        let response = Some(if delivered { 200 } else { 500 });
        let (at, text) = (Timestamp::from_millis(at), Timestamp::from_millis(at).to_string());
        let last = Last { id: id.to_string(), at: text, response, error: None, delivered };
        Seen { id: AttemptId::from_bits(id), subscription: SubscriptionId::from_bits(1), at, last }
    }

    #[test]
    fn a_day_is_drawn_and_forgotten() {
        let now = 1_790_000_000_000;
        let week = |now: u64| Timestamp::from_millis(now - WEEK * HOUR);
        let mut recent = Recent::default();
        recent
            .take(&[seen(4, now, false), seen(3, now, true), seen(2, now, true), seen(1, now - HOUR, true)], week(now));
        let chart = recent.chart(SubscriptionId::from_bits(1), Timestamp::from_millis(now));
        assert_eq!((chart.attempts, chart.failed, chart.rate.as_deref()), (4, 1, Some("75")));
        assert_eq!(chart.bars, [Bar { x: 22, good: 6.7, bad: 0.0 }, Bar { x: 23, good: 13.4, bad: 6.7 }]);
        assert_eq!(chart.last.unwrap().response, Some(500));
        recent.take(&[seen(5, now + HOUR, true)], week(now + HOUR));
        let chart = recent.chart(SubscriptionId::from_bits(1), Timestamp::from_millis(now + HOUR));
        assert_eq!(
            (chart.attempts, chart.rate.as_deref(), recent.newest),
            (5, Some("80"), Some(AttemptId::from_bits(5)))
        );
        // Three days later it is out of the day's chart, and in the week's.
        let later = Timestamp::from_millis(now + 72 * HOUR);
        assert_eq!(recent.chart(SubscriptionId::from_bits(1), later).attempts, 0);
        let drawn = recent.week(SubscriptionId::from_bits(1), later);
        assert_eq!((drawn.attempts, drawn.bars.len(), drawn.bars[0].x), (5, 2, 15));
        recent.take(&[], week(now + 200 * HOUR));
        let chart = recent.chart(SubscriptionId::from_bits(1), Timestamp::from_millis(now + 200 * HOUR));
        assert_eq!(chart, Chart { width: 24, ..Chart::default() });
        assert_eq!(recent.chart(SubscriptionId::from_bits(2), Timestamp::from_millis(now)).attempts, 0);
    }
}
