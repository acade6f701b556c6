//! The call report: aggregate figures of many calls.
//!
//! Counts are exact. Durations are stored individually while there are few distinct values, so that medians and
//! percentiles are exact; beyond that they are rounded ([`Times`]) with a known error bound.

use std::collections::BTreeMap;

use super::event::EventType;

/// Maximum distinct outcomes in one set of figures.
pub const MOST_OUTCOMES: usize = 64;
/// Maximum distinct event types.
pub const MOST_TYPES: usize = 64;
/// The outcome that collects those beyond the maximum.
pub const OTHER: &str = "(other)";

/// The dimension by which the report is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The hour in which a call began, UTC.
    Hour,
    /// The day, UTC.
    Day,
    /// The company.
    Company,
    /// The domain.
    Domain,
    /// Where the call came from.
    Source,
    /// The agent who took it.
    Agent,
}

impl By {
    /// All of them, in the order in which they are listed.
    pub const ALL: [Self; 6] = [Self::Hour, Self::Day, Self::Company, Self::Domain, Self::Source, Self::Agent];

    /// As text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Company => "company",
            Self::Domain => "domain",
            Self::Source => "source",
            Self::Agent => "agent",
        }
    }

    /// Reads one.
    ///
    /// # Errors
    /// A sentence that lists the valid values.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wanted = || "must be `day`, `hour`, `company`, `domain`, `source` or `agent`".to_owned();
        Self::ALL.into_iter().find(|by| by.as_str() == text).ok_or_else(wanted)
    }
}

/// The precision of stored durations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grain {
    /// Up to this many distinct values, each is stored exactly.
    pub most: usize,
    /// Beyond that, this many binary digits after the leading one are kept: the relative error is at most 1/2^(digits
    /// + 1).
    pub digits: u32,
}

/// For one hour, domain, source and agent, as stored. Rounded within 1/64.
pub const KEPT: Grain = Grain { most: 600, digits: 5 };
/// For a whole report or one part of it. Rounded within 1/256.
pub const SHOWN: Grain = Grain { most: 4_000, digits: 7 };

/// Durations in milliseconds, up to 49 days, with their frequencies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Times {
    grain: Grain,
    /// Whether the values are rounded.
    rounded: bool,
    /// Whether merged values had been rounded before.
    inexact: bool,
    counts: BTreeMap<u32, u64>,
}

impl Times {
    /// An empty set.
    pub const fn new(grain: Grain) -> Self {
        Self { grain, rounded: false, inexact: false, counts: BTreeMap::new() }
    }

    /// A set with these counts, `rounded` or not.
    pub fn of(grain: Grain, rounded: bool, counts: impl IntoIterator<Item = (u32, u64)>) -> Self {
        let mut times = Self { grain, rounded, inexact: false, counts: BTreeMap::new() };
        counts.into_iter().for_each(|(millis, count)| times.add(millis, count));
        times
    }

    /// Adds `count` occurrences of this duration.
    pub fn add(&mut self, millis: u32, count: u64) {
        let millis = self.place(millis);
        let counted = self.counts.entry(millis).or_default();
        *counted = counted.saturating_add(count);
        if self.counts.len() > self.grain.most && !self.rounded {
            self.rounded = true;
            for (millis, count) in std::mem::take(&mut self.counts) {
                let counted = self.counts.entry(rounded(millis, self.grain.digits)).or_default();
                *counted = counted.saturating_add(count);
            }
        }
    }

    /// Removes one occurrence of this duration.
    pub fn remove(&mut self, millis: u32) {
        let millis = self.place(millis);
        if let Some(count) = self.counts.get_mut(&millis) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&millis);
            }
        }
    }

    fn place(&self, millis: u32) -> u32 {
        if self.rounded { rounded(millis, self.grain.digits) } else { millis }
    }

    /// Adds those of another set.
    pub fn merge(&mut self, other: &Self) {
        for (millis, count) in &other.counts {
            self.add(*millis, *count);
        }
        self.inexact |= !other.is_exact();
    }

    /// Whether further durations are rounded.
    pub const fn is_rounded(&self) -> bool {
        self.rounded
    }

    /// Whether every value is exact.
    pub const fn is_exact(&self) -> bool {
        !self.rounded && !self.inexact
    }

    /// Each duration with its count, ascending.
    pub fn counts(&self) -> impl ExactSizeIterator<Item = (u32, u64)> {
        self.counts.iter().map(|(millis, count)| (*millis, *count))
    }

    /// The number of durations.
    pub fn count(&self) -> u64 {
        self.counts.values().fold(0, |sum: u64, count| sum.saturating_add(*count))
    }

    /// The value with this rank, from 1.
    fn ranked(&self, rank: u64) -> Option<u32> {
        let mut before = 0_u64;
        let mut reached = |count: u64| {
            before = before.saturating_add(count);
            before >= rank
        };
        self.counts.iter().find(|(_, count)| reached(**count)).map(|(millis, _)| *millis)
    }

    /// The median, in milliseconds; `None` if empty.
    pub fn median(&self) -> Option<f64> {
        let count = self.count();
        let (low, high) = (self.ranked(count.div_ceil(2).max(1))?, self.ranked(count / 2 + 1)?);
        Some(f64::midpoint(f64::from(low), f64::from(high)))
    }

    /// The 90th percentile, in milliseconds; `None` if empty.
    pub fn ninetieth(&self) -> Option<f64> {
        let count = self.count();
        // Nine tenths, rounded up.
        self.ranked((count - count / 10).max(1)).map(f64::from)
    }
}

/// The middle of the values that share the leading binary digits of `millis`.
fn rounded(millis: u32, digits: u32) -> u32 {
    let Some(shift) = millis.checked_ilog2().and_then(|leading| leading.checked_sub(digits)) else { return millis };
    ((millis >> shift) << shift) | ((1 << shift) >> 1)
}

/// Adds `count` to a name's count, or to that of [`OTHER`] if there are `most` names already.
pub fn tally(counts: &mut BTreeMap<String, u64>, name: &str, count: u64, most: usize) {
    let name = if counts.len() < most || counts.contains_key(name) { name } else { OTHER };
    let counted = counts.entry(name.to_owned()).or_default();
    *counted = counted.saturating_add(count);
}

/// Figures of a set of calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Figures {
    /// Number of calls: those with an accepted event.
    pub calls: u64,
    /// Number of calls with an event of each type.
    pub events: BTreeMap<EventType, u64>,
    /// Number of calls by outcome (`callstatus`).
    pub outcomes: BTreeMap<String, u64>,
    /// From `call.new` to `call.claimed`.
    pub claim: Times,
    /// From `call.new` to `call.connected`.
    pub connect: Times,
    /// Talk time.
    pub talk: Times,
    /// Calls whose lead was sent an SMS.
    pub texted: u64,
    /// Calls whose lead replied.
    pub replied: u64,
    /// From the first SMS to the lead to the lead's first reply.
    pub reply: Times,
}

impl Default for Figures {
    fn default() -> Self {
        let none = || Times::new(SHOWN);
        Self {
            calls: 0,
            events: BTreeMap::new(),
            outcomes: BTreeMap::new(),
            claim: none(),
            connect: none(),
            talk: none(),
            texted: 0,
            replied: 0,
            reply: none(),
        }
    }
}

impl Figures {
    /// Number of calls with an event of this type.
    pub fn of_type(&self, name: &str) -> u64 {
        self.events.iter().find(|(event_type, _)| event_type.as_str() == name).map_or(0, |(_, count)| *count)
    }

    /// Connected calls per new one; `None` without any.
    pub fn connection_rate(&self) -> Option<f64> {
        rate(self.of_type("call.connected"), self.of_type("call.new"))
    }

    /// Missed calls per new one; `None` without any.
    pub fn missed_rate(&self) -> Option<f64> {
        rate(self.of_type("call.missed"), self.of_type("call.new"))
    }

    /// Calls with a reply per call with an SMS to the lead; `None` without any.
    pub fn reply_rate(&self) -> Option<f64> {
        rate(self.replied, self.texted)
    }

    /// Whether every duration is exact.
    pub fn is_exact(&self) -> bool {
        [&self.claim, &self.connect, &self.talk, &self.reply].iter().all(|times| times.is_exact())
    }
}

/// `part` of `whole`, to four decimals.
fn rate(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| (part as f64 / whole as f64 * 10_000.0).round() / 10_000.0)
}

/// The value of the dimension for one part of the report.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Calls that began in this hour, in hours since the epoch.
    Hour(u32),
    /// Calls that began on this day, in days since the epoch.
    Day(u32),
    /// Calls with this value; `None` for those without one.
    Name(Option<String>),
}

/// The call report.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// All calls together.
    pub totals: Figures,
    /// The parts with calls, in order.
    pub parts: BTreeMap<Part, Figures>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn times(values: &[u32]) -> Times {
        let mut times = Times::new(SHOWN);
        values.iter().for_each(|value| times.add(*value, 1));
        times
    }

    #[test]
    fn medians_and_percentiles_match_a_plain_count() {
        let cases: [(&[u32], Option<f64>, Option<f64>); 6] = [
            (&[], None, None),
            (&[7], Some(7.0), Some(7.0)),
            (&[10, 20], Some(15.0), Some(20.0)),
            (&[30, 10, 20], Some(20.0), Some(30.0)),
            (&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10], Some(5.5), Some(9.0)),
            (&[5, 5, 5, 9], Some(5.0), Some(9.0)),
        ];
        for (values, median, ninetieth) in cases {
            let times = times(values);
            assert_eq!((times.median(), times.ninetieth()), (median, ninetieth), "{values:?}");
        }
    }

    proptest! {
        #[test]
        fn rounding_stays_within_its_bound(millis in any::<u32>()) {
            for Grain { digits, .. } in [KEPT, SHOWN] {
                let error = millis.abs_diff(rounded(millis, digits));
                prop_assert!(f64::from(error) <= f64::from(millis) / f64::from(1 << (digits + 1)));
                prop_assert_eq!(rounded(rounded(millis, digits), digits), rounded(millis, digits));
            }
        }

        #[test]
        fn removed_values_leave_no_trace(
            kept in proptest::collection::vec(0u32..5_000_000, 0..40),
            gone in proptest::collection::vec(0u32..5_000_000, 0..40),
            most in 1usize..60,
        ) {
            let mut times = Times::new(Grain { most, digits: 5 });
            kept.iter().chain(&gone).for_each(|value| times.add(*value, 1));
            gone.iter().for_each(|value| times.remove(*value));
            prop_assert_eq!(times.count(), kept.len() as u64);
            let mut wanted = kept.clone();
            wanted.sort_unstable();
            let median = times.median().unwrap_or(0.0);
            let exact = if wanted.is_empty() { 0.0 } else {
                f64::midpoint(f64::from(wanted[(wanted.len() - 1) / 2]), f64::from(wanted[wanted.len() / 2]))
            };
            let bound = if times.is_rounded() { exact / 64.0 } else { 0.0 };
            prop_assert!((median - exact).abs() <= bound, "{} {}", median, exact);
        }
    }

    #[test]
    fn rounded_histograms_fit_their_stored_form() {
        // Every possible value, rounded: no more than fit into 8 KiB (see `store::report`).
        let mut all: std::collections::BTreeSet<u32> = (0..64).collect();
        for leading in 6..32 {
            all.extend((0..64).map(|part| rounded((1 << leading) + (part << (leading - 6)), KEPT.digits)));
        }
        assert!(all.len() <= 960, "{}", all.len());
    }

    #[test]
    fn rates_are_nothing_where_there_is_nothing_to_divide_by() {
        let mut figures = Figures { texted: 3, replied: 2, ..Figures::default() };
        assert_eq!((figures.connection_rate(), figures.missed_rate()), (None, None));
        assert_eq!(figures.reply_rate(), Some(0.6667));
        figures.events.insert(EventType::parse("call.new").unwrap(), 4);
        figures.events.insert(EventType::parse("call.connected").unwrap(), 3);
        assert_eq!((figures.connection_rate(), figures.missed_rate()), (Some(0.75), Some(0.0)));
    }

    #[test]
    fn names_beyond_the_most_are_counted_together() {
        let mut counts = BTreeMap::new();
        for name in ["a", "b", "c", "a", "d"] {
            tally(&mut counts, name, 1, 2);
        }
        let counts: Vec<_> = counts.iter().map(|(name, count)| (name.as_str(), *count)).collect();
        assert_eq!(counts, [(OTHER, 2), ("a", 2), ("b", 1)]);
    }
}
