//! The call report: maintained as events are accepted, so that reading it touches no events.
//!
//! **What is kept.** For each call, its [milestones](crate::core::call) (`t`), which tell late or repeated events from
//! new ones. For all calls of a company that started in the same hour, with the same domain, source and agent: how many
//! had which events, their outcomes, and how long things took (`a`, one key for each, so that an event changes little).
//! A call whose start moves to another hour, or which gets an agent, moves from one group to the other.
//!
//! **How long.** A call's milestones until `event_age` after the last of them, and a little longer: a later event
//! counts as one of a new call. The groups indefinitely; their names are those of sites and agents, not of leads. A
//! backup has both. If a salvage rebuilds the view from the log, the report starts with the oldest retained event. A
//! directory that predates the report has one from its upgrade on.
//!
//! **Why applying an event twice changes nothing more**, even if parts of the view are of a later time: each value
//! holds the id of the event that changed it last. Ids ascend in the log, so a value whose last id is not below the
//! event's includes it. A call's milestones are append-only, each with its event; so what the call contributed to the
//! report before the event, and with it, can be computed at any later time. And each group is moved from the one to the
//! other only if its own last id is below. An empty group is removed, and removing a contribution from it again has no
//! effect.

mod groups;

use crate::core::call::{Occurrence, Place, contribution, new_milestones};
use crate::core::event::{Company, EventType};
use crate::core::id::{EventId, MessageId};
use crate::core::report::{By, Figures, Part, Report, tally};
use crate::model::error::StoreError;
use crate::model::filter::ReportFilter;
use crate::model::key::Key;
use crate::model::keys::{self, GroupPart};
use crate::model::record::{
    Accepted, Body, CallRecord, GroupCounts, GroupOutcomes, GroupTimes, MessageRecord, Record, unversioned, versioned,
};
use crate::model::view::{View, ViewMut};

use self::groups::Groups;

/// How many keys of the report are read per scan.
const PAGE: usize = 500;
/// How many different outcomes one set of figures shows.
const SHOWN_OUTCOMES: usize = 500;

/// Adds records to the report, in the order of their ids, which are above all earlier ones. Called once a group commit
/// is durable and answered, because most of its events change the same few groups.
pub(crate) fn add_records(occurred: impl IntoIterator<Item = Record>, view: &dyn ViewMut) {
    let mut groups = Groups::of(view);
    for Record { id, body } in occurred {
        match body {
            Body::Accepted(accepted) => event_accepted(EventId::from_bits(id), &accepted, &mut groups),
            Body::Message(message) => message_stored(MessageId::from_bits(id), &message, &mut groups),
            _ => debug_assert!(false, "the report is made of events and messages only"),
        }
    }
    groups.write();
}

fn event_accepted(id: EventId, accepted: &Accepted, groups: &mut Groups<'_>) {
    let (Ok(event_type), Some(source)) = (EventType::parse(accepted.event_type()), accepted.source()) else { return };
    let domain = accepted.domain();
    let occurred = Occurrence::Event {
        event_type: &event_type,
        at: accepted.occurred_at(),
        domain: domain.as_ref(),
        source,
        data: accepted.data(),
    };
    add_observation(groups, (accepted.company(), accepted.call()), id.bits(), occurred);
}

fn message_stored(id: MessageId, message: &MessageRecord, groups: &mut Groups<'_>) {
    let Some(thread) = message.thread().clone().conversation() else { return };
    let occurred = Occurrence::Message {
        outbound: message.is_outbound(),
        sent_at: message.sent_at(),
        domain: thread.domain.as_ref(),
        source: thread.source,
    };
    add_observation(groups, (thread.company.as_str(), thread.call.as_str()), id.bits(), occurred);
}

/// Adds one observation about a call (its company and id), made by the record `id`.
fn add_observation(groups: &mut Groups<'_>, call: (&str, &str), id: u128, occurred: Occurrence<'_>) {
    if let Err(error) = change(groups, call, id, occurred) {
        groups.view.note_failure(error);
    }
}

fn change(
    groups: &mut Groups<'_>,
    (company, call): (&str, &str),
    id: u128,
    occurred: Occurrence<'_>,
) -> Result<(), StoreError> {
    let view = groups.view;
    let key = keys::call(company, call);
    let value = view.get(&key)?;
    let known = value.as_deref().and_then(|value| {
        let record = unversioned::<CallRecord>(value)?;
        record.milestones().map(|milestones| (record, milestones))
    });
    if let (None, Some(value)) = (&known, value) {
        view.set_aside(&key, value);
    }
    let (mut record, mut milestones) = known.unwrap_or_default();
    let before = if id > record.last {
        let new = new_milestones(&milestones, occurred);
        if new.is_empty() {
            return Ok(());
        }
        record.add(id, &new);
        view.put(key, versioned(&record));
        let before = milestones.len();
        milestones.extend(new);
        before
    } else {
        let Some((before, with)) = record.place_of(id) else { return Ok(()) };
        milestones.truncate(with);
        before
    };
    groups.regroup(company, id, contribution(&milestones[..before]).as_ref(), contribution(&milestones).as_ref())
}

/// The id of the last record added to a call.
pub(crate) fn last_event(value: &[u8]) -> Option<u128> {
    unversioned::<CallRecord>(value).map(|call| call.last)
}

/// The group that a key belongs to.
struct Group {
    company: String,
    place: Place,
    part: GroupPart,
}

pub(crate) fn report(
    view: &dyn View,
    filter: &ReportFilter,
    by: By,
    most: usize,
) -> Result<Option<Report>, StoreError> {
    let prefix = keys::groups(filter.company.as_ref().map(Company::as_str));
    let from = filter.since.map_or(0, |since| hour(since.millis()));
    let until = filter.until.map_or(u32::MAX, |until| hour(until.millis().saturating_add(3_599_999)));
    let mut report = Report::default();
    let mut after: Option<Key> = None;
    loop {
        let page = view.scan(&prefix, after.as_ref(), PAGE)?;
        let Some((last, _)) = page.last() else { return Ok(Some(report)) };
        after = Some(last.clone());
        for (key, value) in &page {
            let Some((company, place, part)) = keys::group_in(key) else {
                view.note_unreadable(key, None);
                continue;
            };
            let group = Group { company, place, part };
            if let Some(behind) = group.skip(from, until) {
                after = Some(behind);
                break;
            }
            if group.is_wanted(filter) {
                let name = group.part_of(by);
                if !report.parts.contains_key(&name) && report.parts.len() == most {
                    return Ok(None);
                }
                let added = add(&mut report.totals, group.part, value);
                if added.and_then(|()| add(report.parts.entry(name).or_default(), group.part, value)).is_none() {
                    view.note_unreadable(key, None);
                }
            }
        }
    }
}

fn hour(millis: u64) -> u32 {
    u32::try_from(millis / 3_600_000).unwrap_or(u32::MAX)
}

impl Group {
    /// If it is outside the hours: the key after which the next one inside may be.
    fn skip(&self, from: u32, until: u32) -> Option<Key> {
        if self.place.hour < from {
            return Some(keys::groups_from(&self.company, from));
        }
        (self.place.hour >= until).then(|| keys::groups_behind(&self.company))
    }

    fn is_wanted(&self, filter: &ReportFilter) -> bool {
        let Place { domain, source, agent, .. } = &self.place;
        filter.domain.as_ref().is_none_or(|wanted| domain.as_ref() == Some(wanted))
            && filter.source.is_none_or(|wanted| *source == wanted)
            && filter.agent.as_ref().is_none_or(|wanted| agent.as_ref() == Some(wanted))
    }

    fn part_of(&self, by: By) -> Part {
        let Place { hour, domain, source, agent } = &self.place;
        match by {
            By::Hour => Part::Hour(*hour),
            By::Day => Part::Day(*hour / 24),
            By::Company => Part::Name(Some(self.company.clone())),
            By::Domain => Part::Name(domain.as_ref().map(|domain| domain.as_str().to_owned())),
            By::Source => Part::Name(Some(source.as_str().to_owned())),
            By::Agent => Part::Name(agent.clone()),
        }
    }
}

/// Adds a group's value to figures; `None`, without adding anything, if it is unreadable.
fn add(figures: &mut Figures, part: GroupPart, value: &[u8]) -> Option<()> {
    let times = |value: &[u8]| unversioned::<GroupTimes>(value).map(GroupTimes::times);
    match part {
        GroupPart::Counts => {
            let group: GroupCounts = unversioned(value)?;
            let parsed = group.events.into_iter().map(|(name, count)| Some((EventType::parse(&name).ok()?, count)));
            let events: Vec<_> = parsed.collect::<Option<_>>()?;
            figures.calls += group.calls;
            figures.texted += group.texted;
            figures.replied += group.replied;
            for (event_type, count) in events {
                *figures.events.entry(event_type).or_default() += count;
            }
        }
        GroupPart::Outcomes => {
            let group: GroupOutcomes = unversioned(value)?;
            for (name, count) in group.outcomes {
                tally(&mut figures.outcomes, &name, count, SHOWN_OUTCOMES);
            }
        }
        GroupPart::Claim => figures.claim.merge(&times(value)?),
        GroupPart::Connect => figures.connect.merge(&times(value)?),
        GroupPart::Talk => figures.talk.merge(&times(value)?),
        GroupPart::Reply => figures.reply.merge(&times(value)?),
    }
    Some(())
}

#[cfg(test)]
mod tests;
