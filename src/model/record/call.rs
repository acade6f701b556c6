//! Values of the call report: a call's milestones, and the parts of a group.
//!
//! Each starts with the id of the last event added to it, so that adding an event again has no effect.

use bincode::{Decode, Encode};

use crate::core::call::{Mark, What};
use crate::core::event::{Domain, EventType, Source};
use crate::core::report::{KEPT, Times};
use crate::model::record::codec::{Word as _, at};

/// The milestones of a call.
#[derive(Debug, Default, Encode, Decode)]
pub(crate) struct CallRecord {
    /// The event or message of the newest mark.
    pub(crate) last: u128,
    marks: Vec<MarkRecord>,
}

#[derive(Debug, Encode, Decode)]
struct MarkRecord {
    /// The lower half of the id of its event or message.
    tag: u64,
    /// The event type; or the kind of message.
    what: Result<String, SmsRecord>,
    at: u64,
    domain: Option<String>,
    source: String,
    agent: Option<String>,
    outcome: Option<String>,
    length: Option<u32>,
}

#[derive(Debug, Clone, Copy, Encode, Decode)]
enum SmsRecord {
    Texted,
    Replied,
}

impl CallRecord {
    /// The marks, in order of arrival; `None` if they are unreadable.
    pub(crate) fn marks(&self) -> Option<Vec<Mark>> {
        self.marks.iter().map(MarkRecord::mark).collect()
    }

    /// Adds the marks of the event or message `id`.
    pub(crate) fn add(&mut self, id: u128, marks: &[Mark]) {
        self.last = id;
        self.marks.extend(marks.iter().map(|mark| MarkRecord::new(id, mark)));
    }

    /// The lower half of the id of the call's first event; `None` if it has only messages.
    pub(crate) fn first_event(&self) -> Option<u64> {
        self.marks.iter().find(|mark| mark.what.is_ok()).map(|mark| mark.tag)
    }

    /// The number of marks before those of `id`, and including them; `None` if it has none.
    pub(crate) fn place_of(&self, id: u128) -> Option<(usize, usize)> {
        let first = self.marks.iter().position(|mark| mark.tag == id as u64)?;
        let behind = self.marks.iter().rposition(|mark| mark.tag == id as u64)? + 1;
        Some((first, behind))
    }
}

impl MarkRecord {
    fn new(id: u128, mark: &Mark) -> Self {
        Self {
            tag: id as u64,
            what: match &mark.what {
                What::Event(event_type) => Ok(event_type.as_str().to_owned()),
                What::Texted => Err(SmsRecord::Texted),
                What::Replied => Err(SmsRecord::Replied),
            },
            at: mark.at.millis(),
            domain: mark.domain.as_ref().map(|domain| domain.as_str().to_owned()),
            source: mark.source.word(),
            agent: mark.agent.clone(),
            outcome: mark.outcome.clone(),
            length: mark.length,
        }
    }

    fn mark(&self) -> Option<Mark> {
        Some(Mark {
            what: match &self.what {
                Ok(name) => What::Event(EventType::parse(name).ok()?),
                Err(SmsRecord::Texted) => What::Texted,
                Err(SmsRecord::Replied) => What::Replied,
            },
            at: at(self.at),
            domain: self.domain.as_ref().and_then(|domain| Domain::parse(domain).ok()),
            source: Source::read(&self.source)?,
            agent: self.agent.clone(),
            outcome: self.outcome.clone(),
            length: self.length,
        })
    }
}

/// Counts of the calls of one hour, domain, source and agent.
#[derive(Debug, Default, Encode, Decode)]
pub(crate) struct GroupCounts {
    /// The event or message that changed it last.
    pub(crate) last: u128,
    pub(crate) calls: u64,
    pub(crate) texted: u64,
    pub(crate) replied: u64,
    /// By event type.
    pub(crate) events: Vec<(String, u64)>,
}

/// Their outcomes.
#[derive(Debug, Default, Encode, Decode)]
pub(crate) struct GroupOutcomes {
    /// The event that changed it last.
    pub(crate) last: u128,
    pub(crate) outcomes: Vec<(String, u64)>,
}

/// A distribution of durations.
#[derive(Debug, Default, Encode, Decode)]
pub(crate) struct GroupTimes {
    /// The event or message that changed it last.
    pub(crate) last: u128,
    rounded: bool,
    /// Each duration as the difference to the one before, with how often it occurs.
    counts: Vec<(u32, u64)>,
}

impl GroupTimes {
    pub(crate) fn new(last: u128, times: &Times) -> Self {
        let mut before = 0;
        let step = |(millis, count)| (millis - std::mem::replace(&mut before, millis), count);
        Self { last, rounded: times.is_rounded(), counts: times.counts().map(step).collect() }
    }

    pub(crate) fn times(self) -> Times {
        let mut before = 0_u32;
        let sum = self.counts.into_iter().map(|(step, count)| {
            before = before.saturating_add(step);
            (before, count)
        });
        Times::of(KEPT, self.rounded, sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::record::codec::versioned;

    /// The longest value allowed in sled.
    const MOST: usize = 8 * 1024;

    #[test]
    fn the_longest_values_fit() {
        let wide = |length: usize| "\u{1f600}".repeat(length);
        let mark = |number: u64| Mark {
            what: What::Event(EventType::parse(&format!("a.{}{number:02}", "b".repeat(60))).unwrap()),
            at: at(u64::MAX),
            domain: None,
            source: Source::LeadConnect,
            agent: None,
            outcome: None,
            length: Some(u32::MAX),
        };
        let mut marks: Vec<Mark> = (0..crate::core::call::MOST_MARKS as u64).map(mark).collect();
        marks[0].domain = Some(Domain::parse(&wide(253)).unwrap());
        for mark in &mut marks[..3] {
            mark.agent = Some(wide(128));
            mark.outcome = Some(wide(16));
        }
        let mut call = CallRecord::default();
        call.add(u128::MAX, &marks);
        assert!(versioned(&call).len() < MOST, "{}", versioned(&call).len());
        assert_eq!(call.marks().unwrap(), marks);

        let events = (0..64).map(|n| (format!("a.{}{n:02}", "b".repeat(60)), u64::MAX)).collect();
        let counts = GroupCounts { last: u128::MAX, calls: u64::MAX, texted: 1, replied: 1, events };
        assert!(versioned(&counts).len() < MOST);
        let outcomes = (0..65).map(|n| (format!("{n:02}{}", "o".repeat(62)), u64::MAX)).collect();
        assert!(versioned(&GroupOutcomes { last: u128::MAX, outcomes }).len() < MOST);
    }

    #[test]
    fn durations_round_trip_and_the_most_possible_fit() {
        let mut exact = Times::new(KEPT);
        (0..600).for_each(|n| exact.add(n * 7_000_000, 100_000));
        let mut rounded = Times::new(KEPT);
        for leading in 0..32 {
            (0..64_u64).for_each(|n| rounded.add(((1_u64 << leading) + ((n << leading) / 64)) as u32, 30_000));
        }
        assert!(exact.is_exact() && rounded.is_rounded());
        for times in [exact, rounded] {
            let record = GroupTimes::new(u128::MAX, &times);
            assert!(versioned(&record).len() < MOST, "{}", versioned(&record).len());
            assert_eq!(record.times(), times);
        }
    }
}
