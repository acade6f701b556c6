//! The attempts of the last 24 hours by webhook: the last response and a small chart.
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
/// Number of bars of a chart.
const HOURS: u64 = 24;

/// The attempts of the last 24 hours.
#[derive(Default)]
pub(super) struct Recent {
    /// The newest entry counted.
    newest: Option<AttemptId>,
    /// Everything since then is counted, if not the whole day.
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

/// The chart of the last 24 hours, in a field of 24 by 20.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(super) struct Chart {
    last: Option<Last>,
    attempts: u64,
    failed: u64,
    /// Percentage of delivered attempts, such as `99.4`; `None` without attempts.
    rate: Option<String>,
    bars: Vec<Bar>,
    /// Start of counting, if less than a day ago.
    since: Option<String>,
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
        let day = Timestamp::from_millis(now.millis().saturating_sub(HOURS * HOUR));
        let filter = LogFilter { test: Some(false), since: Some(day), ..LogFilter::default() };
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
        self.take(&fresh, day);
        Ok(())
    }

    /// Counts `fresh`, newest first, and drops what is older than `day`.
    fn take(&mut self, fresh: &[Seen], day: Timestamp) {
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
        let oldest = day.millis() / HOUR + 1;
        for track in self.of.values_mut() {
            track.hours.retain(|hour, _| *hour >= oldest);
        }
        self.of.retain(|_, track| !track.hours.is_empty());
        self.from = self.from.filter(|from| from.millis() > day.millis());
    }

    /// The chart of one webhook as of `now`.
    pub(super) fn chart(&self, id: SubscriptionId, now: Timestamp) -> Chart {
        let since = self.from.map(|from| from.to_string());
        let Some(track) = self.of.get(&id) else { return Chart { since, ..Chart::default() } };
        let sum = |part: fn(&(u32, u32)) -> u32| track.hours.values().map(|hour| u64::from(part(hour))).sum::<u64>();
        let (delivered, failed) = (sum(|hour| hour.0), sum(|hour| hour.1));
        let attempts = delivered + failed;
        let most = track.hours.values().map(|(good, bad)| good + bad).max().unwrap_or(1);
        let newest = now.millis() / HOUR;
        let height = |count: u32| (f64::from(count) / f64::from(most) * 200.0).ceil() / 10.0;
        let bars = track.hours.iter().filter(|(hour, _)| **hour <= newest && newest - **hour < HOURS);
        let bars = bars.map(|(hour, (good, bad))| Bar {
            x: HOURS - 1 - (newest - hour),
            good: height(*good),
            bad: height(*bad),
        });
        // Rounded down: 100 % means no failure at all.
        let rate = (attempts > 0).then(|| delivered * 1_000 / attempts);
        let rate = rate
            .map(|rate| if rate % 10 == 0 { format!("{}", rate / 10) } else { format!("{}.{}", rate / 10, rate % 10) });
        Chart { last: track.last.clone(), attempts, failed, rate, bars: bars.collect(), since }
    }
}

/// The counted part of an entry.
struct Seen {
    id: AttemptId,
    subscription: SubscriptionId,
    at: Timestamp,
    last: Last,
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
        let day = |now: u64| Timestamp::from_millis(now - HOURS * HOUR);
        let mut recent = Recent::default();
        recent
            .take(&[seen(4, now, false), seen(3, now, true), seen(2, now, true), seen(1, now - HOUR, true)], day(now));
        let chart = recent.chart(SubscriptionId::from_bits(1), Timestamp::from_millis(now));
        assert_eq!((chart.attempts, chart.failed, chart.rate.as_deref()), (4, 1, Some("75")));
        assert_eq!(chart.bars, [Bar { x: 22, good: 6.7, bad: 0.0 }, Bar { x: 23, good: 13.4, bad: 6.7 }]);
        assert_eq!(chart.last.unwrap().response, Some(500));
        recent.take(&[seen(5, now + HOUR, true)], day(now + HOUR));
        let chart = recent.chart(SubscriptionId::from_bits(1), Timestamp::from_millis(now + HOUR));
        assert_eq!(
            (chart.attempts, chart.rate.as_deref(), recent.newest),
            (5, Some("80"), Some(AttemptId::from_bits(5)))
        );
        recent.take(&[], day(now + 30 * HOUR));
        let chart = recent.chart(SubscriptionId::from_bits(1), Timestamp::from_millis(now + 30 * HOUR));
        assert_eq!(chart, Chart::default());
        assert_eq!(recent.chart(SubscriptionId::from_bits(2), Timestamp::from_millis(now)), Chart::default());
    }
}
