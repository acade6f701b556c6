//! Values of the call report: a call's milestones, and the parts of a group.
//!
//! Each starts with the id of the last event added to it, so that adding an event again has no effect.

use bincode::{Decode, Encode};

use crate::core::call::{Milestone, MilestoneKind};
use crate::core::event::{Domain, EventType, Source};
use crate::core::report::{KEPT, Times};
use crate::model::record::codec::{Word as _, at};

/// The milestones of a call.
#[derive(Debug, Default, Encode, Decode)]
pub(crate) struct CallRecord {
    /// The event or message of the newest milestone.
    pub(crate) last: u128,
    milestones: Vec<MilestoneRecord>,
}

#[derive(Debug, Encode, Decode)]
struct MilestoneRecord {
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
    /// The milestones, in order of arrival; `None` if they are unreadable.
    pub(crate) fn milestones(&self) -> Option<Vec<Milestone>> {
        self.milestones.iter().map(MilestoneRecord::milestone).collect()
    }

    /// Adds the milestones of the event or message `id`.
    pub(crate) fn add(&mut self, id: u128, milestones: &[Milestone]) {
        self.last = id;
        self.milestones.extend(milestones.iter().map(|milestone| MilestoneRecord::new(id, milestone)));
    }

    /// The lower half of the id of the call's first event; `None` if it has only messages.
    pub(crate) fn first_event(&self) -> Option<u64> {
        self.milestones.iter().find(|milestone| milestone.what.is_ok()).map(|milestone| milestone.tag)
    }

    /// The number of milestones before those of `id`, and including them; `None` if it has none.
    pub(crate) fn place_of(&self, id: u128) -> Option<(usize, usize)> {
        let first = self.milestones.iter().position(|milestone| milestone.tag == id as u64)?;
        let behind = self.milestones.iter().rposition(|milestone| milestone.tag == id as u64)? + 1;
        Some((first, behind))
    }
}

impl MilestoneRecord {
    fn new(id: u128, milestone: &Milestone) -> Self {
        Self {
            tag: id as u64,
            what: match &milestone.what {
                MilestoneKind::Event(event_type) => Ok(event_type.as_str().to_owned()),
                MilestoneKind::Texted => Err(SmsRecord::Texted),
                MilestoneKind::Replied => Err(SmsRecord::Replied),
            },
            at: milestone.at.millis(),
            domain: milestone.domain.as_ref().map(|domain| domain.as_str().to_owned()),
            source: milestone.source.word(),
            agent: milestone.agent.clone(),
            outcome: milestone.outcome.clone(),
            length: milestone.length,
        }
    }

    fn milestone(&self) -> Option<Milestone> {
        Some(Milestone {
            what: match &self.what {
                Ok(name) => MilestoneKind::Event(EventType::parse(name).ok()?),
                Err(SmsRecord::Texted) => MilestoneKind::Texted,
                Err(SmsRecord::Replied) => MilestoneKind::Replied,
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
        let milestone = |number: u64| Milestone {
            what: MilestoneKind::Event(EventType::parse(&format!("a.{}{number:02}", "b".repeat(60))).unwrap()),
            at: at(u64::MAX),
            domain: None,
            source: Source::LeadConnect,
            agent: None,
            outcome: None,
            length: Some(u32::MAX),
        };
        let mut milestones: Vec<Milestone> = (0..crate::core::call::MAX_MILESTONES as u64).map(milestone).collect();
        milestones[0].domain = Some(Domain::parse(&wide(253)).unwrap());
        for milestone in &mut milestones[..3] {
            milestone.agent = Some(wide(128));
            milestone.outcome = Some(wide(16));
        }
        let mut call = CallRecord::default();
        call.add(u128::MAX, &milestones);
        assert!(versioned(&call).len() < MOST, "{}", versioned(&call).len());
        assert_eq!(call.milestones().unwrap(), milestones);

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
